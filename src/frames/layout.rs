//! Layout of a GStreamer video format in memory, as planes.

use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, prelude::*};

use super::packing::{Packing, Rows};
use super::{FrameError, Plane, PlaneFormat, PlaneMut, format, space};
use crate::sync::{Mutex, lock};

/// The planes of frames of one format and size, as the kernels take them: those in memory in their
/// order, or what is unpacked from these.
#[derive(Debug)]
pub struct FrameLayout {
    format: VideoFormat,
    width: usize,
    height: usize,
    planes: Vec<PlaneLayout>,
    memory: Vec<MemoryLayout>,
    packing: Option<Packing>,
    places: Vec<(usize, usize)>,
    spares: Mutex<Vec<Vec<u8>>>,
}

/// Number of frames whose storage is kept for the next ones: two that are read, one that is made.
const SPARES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlaneLayout {
    width: usize,
    height: usize,
    format: PlaneFormat,
}

impl PlaneLayout {
    fn row(&self) -> usize {
        self.width * self.format.pixel_bytes()
    }
}

/// A plane as it lies in memory.
#[derive(Clone, Copy, Debug)]
struct MemoryLayout {
    /// Bytes of a row from its first sample to its last.
    row: usize,
    height: usize,
    /// Bytes that the converter reads and writes at once.
    unit: usize,
}

impl MemoryLayout {
    /// Bytes a plane of this layout takes from its first sample to its last.
    fn bytes(&self, stride: usize) -> usize {
        (self.height - 1) * stride + self.row
    }
}

impl FrameLayout {
    /// The layout of frames that `info` describes.
    ///
    /// # Errors
    /// If the format is none of [`FORMATS`](super::FORMATS) (or of the other byte order), the video interlaced or
    /// of views that take turns, or its size out of range.
    pub fn new(info: &VideoInfo) -> Result<Self, FrameError> {
        format::check(info)?;
        let description = info.format_info();
        let (width, height) = (info.width() as usize, info.height() as usize);
        let packing = Packing::of(&description);
        let formats: Vec<_> = match &packing {
            Some(packing) => packing.formats().collect(),
            None => {
                let planes = (0..description.n_planes())
                    .map(|plane| format::as_it_lies(&description, plane));
                let planes = planes.collect::<Option<_>>();
                planes.ok_or(FrameError::Format {
                    found: info.format(),
                })?
            }
        };
        let planes: Vec<_> = formats
            .into_iter()
            .map(|format| PlaneLayout {
                width: width.div_ceil(1 << format.sub_x),
                height: height.div_ceil(1 << format.sub_y),
                format,
            })
            .collect();
        let memory = match &packing {
            Some(packing) => (0..description.n_planes() as usize)
                .map(|plane| {
                    let (row, height, unit) = packing.memory(plane, (width, height));
                    MemoryLayout { row, height, unit }
                })
                .collect(),
            None => planes.iter().map(in_memory).collect(),
        };
        let places = match &packing {
            Some(packing) => packing.places(),
            None => format::places(&description),
        };
        Ok(Self {
            format: info.format(),
            width,
            height,
            planes,
            memory,
            packing,
            places,
            spares: Mutex::default(),
        })
    }

    /// The video format.
    pub fn format(&self) -> VideoFormat {
        self.format
    }

    /// Returns the width of the frame in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the height of the frame in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns whether what is shown may show through.
    pub fn has_alpha(&self) -> bool {
        self.planes.iter().any(|plane| plane.format.alpha.is_some())
    }

    /// Returns whether planes are unpacked from what lies in memory.
    pub fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// Returns width, height and format of each plane.
    pub fn shapes(&self) -> impl Iterator<Item = (usize, usize, PlaneFormat)> {
        let planes = self.planes.iter();
        planes.map(|plane| (plane.width, plane.height, plane.format))
    }

    /// Returns plane and channel of the components: luma and both of chroma, or red, green and
    /// blue; luma alone for grey; alpha last.
    pub fn places(&self) -> &[(usize, usize)] {
        &self.places
    }

    /// The planes of `frame`.
    ///
    /// # Errors
    /// [`FrameError::Frame`] if the frame is of another format or size, [`FrameError::Memory`] if
    /// its memory ends too early, [`FrameError::NoMemory`] if there is none to unpack it to.
    pub fn planes<'a>(
        &'a self,
        frame: &'a VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Planes<'a>, FrameError> {
        let parts = self.parts(frame)?;
        let rows = |(layout, part): (&MemoryLayout, Part)| Rows {
            // SAFETY: `parts` made sure that the bytes are mapped; they are while `frame` lives.
            data: unsafe { std::slice::from_raw_parts(part.data.cast_const(), part.bytes) },
            stride: part.stride,
            row: layout.row,
            height: layout.height,
        };
        let memory: Vec<_> = self.memory.iter().zip(parts).map(rows).collect();
        let unpacked = match &self.packing {
            None => Vec::new(),
            Some(packing) => {
                let mut storage = self.take_storage()?;
                packing.unpack(&memory, &mut self.cut_mut(&mut storage));
                storage
            }
        };
        Ok(Planes {
            layout: self,
            memory,
            unpacked,
        })
    }

    /// The planes of `frame`, to be written.
    ///
    /// # Errors
    /// As [`planes`](Self::planes), and [`FrameError::Planes`] if two planes share memory.
    pub fn planes_mut<'a>(
        &'a self,
        frame: &'a mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<PlanesMut<'a>, FrameError> {
        let parts = self.parts(frame)?;
        let mut ranges: Vec<_> = parts.iter().map(Part::range).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(FrameError::Planes {
                found: "planes that share memory".into(),
                expected: "planes apart from each other".into(),
            });
        }
        let rows = |(layout, part): (&MemoryLayout, Part)| Rows {
            // SAFETY: `parts` made sure that the bytes are mapped, for writing since the frame is
            // a writable one; no two planes overlap, and `frame` is borrowed while they are used.
            data: unsafe { std::slice::from_raw_parts_mut(part.data, part.bytes) },
            stride: part.stride,
            row: layout.row,
            height: layout.height,
        };
        let memory = self.memory.iter().zip(parts).map(rows).collect();
        let unpacked = match &self.packing {
            None => Vec::new(),
            Some(_) => self.take_storage()?,
        };
        Ok(PlanesMut {
            layout: self,
            memory,
            unpacked,
        })
    }

    /// Changes what `frame` holds.
    ///
    /// # Errors
    /// As [`planes_mut`](Self::planes_mut), and those of the work; the frame may be changed.
    pub(super) fn edit(
        &self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        work: impl FnOnce(&mut [PlaneMut]) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let mut planes = self.planes_mut(frame)?;
        if let Some(packing) = &self.packing {
            let memory: Vec<_> = planes.memory.iter().map(Rows::shared).collect();
            packing.unpack(&memory, &mut self.cut_mut(&mut planes.unpacked));
        }
        work(&mut planes.get())
    }

    /// Refuses a frame that is not what this is the layout of, or whose memory ends too early.
    ///
    /// # Errors
    /// As [`planes`](Self::planes).
    pub(super) fn check(&self, frame: &VideoFrameRef<&gst::BufferRef>) -> Result<(), FrameError> {
        self.parts(frame).map(drop)
    }

    /// Refuses a frame that the converter can't write: its kernels take pixels of two and four
    /// bytes for words that lie at multiples of their size, and crash where they don't.
    ///
    /// # Errors
    /// As [`planes`](Self::planes), and [`FrameError::Alignment`].
    pub(super) fn check_alignment(
        &self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<(), FrameError> {
        let parts = self.parts(frame)?;
        for (plane, (part, memory)) in parts.iter().zip(&self.memory).enumerate() {
            if !(part.data as usize | part.stride).is_multiple_of(memory.unit) {
                return Err(FrameError::Alignment {
                    plane,
                    expected: memory.unit,
                });
            }
        }
        Ok(())
    }

    /// Storage for planes that are unpacked.
    fn take_storage(&self) -> Result<Vec<u8>, FrameError> {
        let mut storage = lock(&self.spares).pop().unwrap_or_default();
        let planes = self.planes.iter();
        space::resize(
            &mut storage,
            planes.map(|plane| plane.row() * plane.height).sum(),
            0,
        )?;
        Ok(storage)
    }

    fn put_storage(&self, storage: &mut Vec<u8>) {
        let mut spares = lock(&self.spares);
        if self.is_packed() && spares.len() < SPARES {
            spares.push(std::mem::take(storage));
        }
    }

    /// The planes in storage.
    fn cut<'a>(&self, mut storage: &'a [u8]) -> Vec<Plane<'a>> {
        let plane = |layout: &PlaneLayout| {
            let (data, rest) = storage.split_at(layout.row() * layout.height);
            storage = rest;
            layout.plane(data, layout.row())
        };
        self.planes.iter().map(plane).collect()
    }

    fn cut_mut<'a>(&self, mut storage: &'a mut [u8]) -> Vec<PlaneMut<'a>> {
        let plane = |layout: &PlaneLayout| {
            let all = std::mem::take(&mut storage);
            let (data, rest) = all.split_at_mut(layout.row() * layout.height);
            storage = rest;
            layout.plane_mut(data, layout.row())
        };
        self.planes.iter().map(plane).collect()
    }

    /// Returns where the planes of a frame lie, after checking that they do.
    ///
    /// (`VideoFrameRef::plane_data` counts whole strides for the last row too, which a buffer
    /// needn't have, and takes a buffer's video meta at its word.)
    fn parts(&self, frame: &VideoFrameRef<&gst::BufferRef>) -> Result<Vec<Part>, FrameError> {
        let size = (frame.width() as usize, frame.height() as usize);
        if frame.format() != self.format || size != (self.width, self.height) {
            return Err(FrameError::Frame {
                found: format!("{:?} {}x{}", frame.format(), size.0, size.1),
                expected: format!("{:?} {}x{}", self.format, self.width, self.height),
            });
        }
        // SAFETY: the pointer is to the frame's own, mapped structure.
        let raw = unsafe { &*frame.as_ptr() };
        // With a video meta each plane is mapped by itself, without one all are in the first map, and
        // the others are not even initialised.
        let maps = if raw.meta.is_null() {
            1
        } else {
            self.memory.len()
        };
        let part = |(plane, layout): (usize, &MemoryLayout)| {
            let stride = usize::try_from(raw.info.stride[plane]).unwrap_or(0);
            let data = raw.data[plane].cast::<u8>();
            let start = data as usize;
            let left = raw.map.iter().take(maps).filter_map(|map| {
                let from = map.data as usize;
                let end = from.checked_add(map.size)?;
                (from != 0 && (from..end).contains(&start)).then(|| end - start)
            });
            let (found, bytes) = (left.max().unwrap_or(0), layout.bytes(stride));
            if stride < layout.row || found < bytes {
                return Err(FrameError::Memory {
                    plane,
                    found: found.min(stride * layout.height),
                    expected: layout.bytes(stride.max(layout.row)),
                });
            }
            Ok(Part {
                data,
                bytes,
                stride,
            })
        };
        self.memory.iter().enumerate().map(part).collect()
    }
}

impl PlaneLayout {
    fn plane<'a>(&self, data: &'a [u8], stride: usize) -> Plane<'a> {
        Plane {
            data,
            stride,
            width: self.width,
            height: self.height,
            format: self.format,
        }
    }

    fn plane_mut<'a>(&self, data: &'a mut [u8], stride: usize) -> PlaneMut<'a> {
        PlaneMut {
            data,
            stride,
            width: self.width,
            height: self.height,
            format: self.format,
        }
    }
}

/// The planes of a frame, to be read.
#[derive(Debug)]
pub struct Planes<'a> {
    layout: &'a FrameLayout,
    memory: Vec<Rows<&'a [u8]>>,
    unpacked: Vec<u8>,
}

/// The planes of a frame, to be written. What is packed is packed when this is dropped.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    layout: &'a FrameLayout,
    memory: Vec<Rows<&'a mut [u8]>>,
    unpacked: Vec<u8>,
}

impl Planes<'_> {
    /// Returns the planes.
    pub fn get(&self) -> Vec<Plane<'_>> {
        if self.layout.is_packed() {
            return self.layout.cut(&self.unpacked);
        }
        let planes = self.layout.planes.iter().zip(&self.memory);
        planes
            .map(|(layout, rows)| layout.plane(rows.data, rows.stride))
            .collect()
    }
}

impl PlanesMut<'_> {
    /// Returns the planes. Those that are packed don't hold the frame's contents.
    pub fn get(&mut self) -> Vec<PlaneMut<'_>> {
        if self.layout.is_packed() {
            return self.layout.cut_mut(&mut self.unpacked);
        }
        let planes = self.layout.planes.iter().zip(&mut self.memory);
        planes
            .map(|(layout, rows)| layout.plane_mut(rows.data, rows.stride))
            .collect()
    }
}

impl Drop for Planes<'_> {
    fn drop(&mut self) {
        self.layout.put_storage(&mut self.unpacked);
    }
}

impl Drop for PlanesMut<'_> {
    fn drop(&mut self) {
        if let Some(packing) = &self.layout.packing {
            let memory = std::mem::take(&mut self.memory);
            packing.pack(&self.layout.cut(&self.unpacked), memory);
        }
        self.layout.put_storage(&mut self.unpacked);
    }
}

fn in_memory(plane: &PlaneLayout) -> MemoryLayout {
    MemoryLayout {
        row: plane.row(),
        height: plane.height,
        unit: 1 << plane.format.pixel_bytes().trailing_zeros(),
    }
}

/// A plane's memory.
struct Part {
    data: *mut u8,
    bytes: usize,
    stride: usize,
}

impl Part {
    fn range(&self) -> (usize, usize) {
        (self.data as usize, self.data as usize + self.bytes)
    }
}
