//! Layout of a GStreamer video format in memory, as planes.

use gst_video::{
    VideoFormat, VideoFrameRef, VideoInfo, VideoInterlaceMode, VideoMultiviewMode, prelude::*,
};

use super::{FrameError, Plane, PlaneFormat, PlaneMut, Sample};

/// The formats that frames can have.
pub const FORMATS: [VideoFormat; 18] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Gray8,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::P01010le,
    VideoFormat::I42010le,
];

/// Width and height above which frames are refused.
const LARGEST: u32 = 32768;

/// The planes of frames of one format and size, in the order of their memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    format: VideoFormat,
    width: usize,
    height: usize,
    planes: Vec<PlaneLayout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlaneLayout {
    width: usize,
    height: usize,
    format: PlaneFormat,
}

impl PlaneLayout {
    /// Bytes a plane of this layout takes from its first pixel to its last.
    fn bytes(&self, stride: usize) -> usize {
        (self.height - 1) * stride + self.row()
    }

    fn row(&self) -> usize {
        self.width * self.format.pixel_bytes()
    }
}

impl FrameLayout {
    /// The layout of frames that `info` describes.
    ///
    /// # Errors
    /// If the format is none of [`FORMATS`] (or of the other byte order), the video interlaced or
    /// of views that take turns, or its size out of range.
    pub fn new(info: &VideoInfo) -> Result<Self, FrameError> {
        let format = info.format_info();
        let found = info.format();
        let deep = format.depth().iter().any(|&depth| depth > 8);
        if !FORMATS.contains(&found) || (deep && format.is_le() != cfg!(target_endian = "little")) {
            return Err(FrameError::Format { found });
        }
        if info.interlace_mode() != VideoInterlaceMode::Progressive {
            return Err(FrameError::Interlaced {
                found: info.interlace_mode(),
            });
        }
        let views = info.multiview_mode();
        if matches!(
            views,
            VideoMultiviewMode::FrameByFrame
                | VideoMultiviewMode::MultiviewFrameByFrame
                | VideoMultiviewMode::Separated
        ) {
            return Err(FrameError::Views {
                found: views.to_caps_string().unwrap_or_default().into(),
            });
        }
        let (width, height) = (info.width(), info.height());
        if !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        let plane = |index| {
            // All components of a plane are alike but for their place in the pixel.
            let component = format.plane().iter().position(|&plane| plane == index)?;
            let depth = *format.depth().get(component)?;
            let (sample, bytes) = if depth > 8 {
                let shift = *format.shift().get(component)?;
                (Sample::U16 { depth, shift }, 2)
            } else {
                (Sample::U8, 1)
            };
            let component = u8::try_from(component).ok()?;
            let place = usize::from(component);
            let alpha = (format.has_alpha() && format.plane().get(3) == Some(&index))
                .then(|| format.poffset().get(3).copied())
                .flatten()
                .and_then(|offset| usize::try_from(offset).ok());
            Some(PlaneLayout {
                width: format.scale_width(component, width) as usize,
                height: format.scale_height(component, height) as usize,
                format: PlaneFormat {
                    sample,
                    channels: usize::try_from(*format.pixel_stride().get(place)?).ok()? / bytes,
                    sub_x: *format.w_sub().get(place)?,
                    sub_y: *format.h_sub().get(place)?,
                    alpha,
                },
            })
        };
        let planes: Option<Vec<_>> = (0..format.n_planes()).map(plane).collect();
        Ok(Self {
            format: found,
            width: width as usize,
            height: height as usize,
            planes: planes.ok_or(FrameError::Format { found })?,
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

    /// Returns width, height and format of each plane.
    pub fn shapes(&self) -> impl Iterator<Item = (usize, usize, PlaneFormat)> {
        let planes = self.planes.iter();
        planes.map(|plane| (plane.width, plane.height, plane.format))
    }

    /// The planes of `frame`.
    ///
    /// # Errors
    /// [`FrameError::Frame`] if the frame is of another format or size, [`FrameError::Memory`] if
    /// its memory ends too early.
    pub fn planes<'a>(
        &self,
        frame: &'a VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Vec<Plane<'a>>, FrameError> {
        let parts = self.parts(frame)?;
        let plane = |(layout, part): (&PlaneLayout, Part)| Plane {
            // SAFETY: `parts` made sure that the bytes are mapped; they are while `frame` lives.
            data: unsafe { std::slice::from_raw_parts(part.data, part.bytes) },
            stride: part.stride,
            width: layout.width,
            height: layout.height,
            format: layout.format,
        };
        Ok(self.planes.iter().zip(parts).map(plane).collect())
    }

    /// The planes of `frame`, to be written.
    ///
    /// # Errors
    /// As [`planes`](Self::planes), and [`FrameError::Planes`] if two planes share memory.
    pub fn planes_mut<'a>(
        &self,
        frame: &'a mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<Vec<PlaneMut<'a>>, FrameError> {
        let parts = self.parts(frame)?;
        let mut ranges: Vec<_> = parts.iter().map(Part::range).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(FrameError::Planes {
                found: "planes that share memory".into(),
                expected: "planes apart from each other".into(),
            });
        }
        let plane = |(layout, part): (&PlaneLayout, Part)| PlaneMut {
            // SAFETY: `parts` made sure that the bytes are mapped, for writing since the frame is
            // a writable one; no two planes overlap, and `frame` is borrowed while they are used.
            data: unsafe { std::slice::from_raw_parts_mut(part.data, part.bytes) },
            stride: part.stride,
            width: layout.width,
            height: layout.height,
            format: layout.format,
        };
        Ok(self.planes.iter().zip(parts).map(plane).collect())
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
            self.planes.len()
        };
        let part = |(plane, layout): (usize, &PlaneLayout)| {
            let stride = usize::try_from(raw.info.stride[plane]).unwrap_or(0);
            let data = raw.data[plane].cast::<u8>();
            let start = data as usize;
            let left = raw.map.iter().take(maps).filter_map(|map| {
                let from = map.data as usize;
                let end = from.checked_add(map.size)?;
                (from != 0 && (from..end).contains(&start)).then(|| end - start)
            });
            let (found, bytes) = (left.max().unwrap_or(0), layout.bytes(stride));
            if stride < layout.row() || found < bytes {
                return Err(FrameError::Memory {
                    plane,
                    found: found.min(stride * layout.height),
                    expected: layout.bytes(stride.max(layout.row())),
                });
            }
            Ok(Part {
                data,
                bytes,
                stride,
            })
        };
        self.planes.iter().enumerate().map(part).collect()
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
