//! Formats whose planes are not what the kernels work on: several samples in a word of bits, luma
//! and chroma of different widths in one plane, alpha in a plane of its own.
//!
//! Frames of such formats are unpacked to planes that the kernels take, and made frames are packed.
//! Components of one size share a plane, pixel by pixel, and alpha goes with each of them. Where
//! the samples lie is taken from GStreamer's description, but for formats that it only has functions
//! for: those are the rows of [`WORDS`].

use gst_video::{VideoFormat, VideoFormatInfo};

use super::pool::{self, BAND};
use super::{Plane, PlaneFormat, PlaneMut, Sample};
use component::{Channel, Component};
use vectors::{BLOCK, Vectors};

mod component;
mod vectors;

/// Formats of words: bytes of a group, and where its samples of each component begin, in bits from
/// the lowest of its first byte on.
///
/// From the formats' descriptions in `gst-libs/gst/video/video-format.h` of gst-plugins-base.
const WORDS: [(VideoFormat, usize, [&[usize]; 4]); 4] = [
    (
        VideoFormat::V210,
        16,
        [
            &[10, 32, 52, 74, 96, 116],
            &[0, 42, 84],
            &[20, 64, 106],
            &[],
        ],
    ),
    (VideoFormat::Y210, 8, [&[6, 38], &[22], &[54], &[]]),
    (VideoFormat::Y410, 4, [&[10], &[0], &[20], &[30]]),
    (VideoFormat::Rgb10a2Le, 4, [&[0], &[10], &[20], &[30]]),
];

/// The way from a frame's memory to its planes, and back.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    components: Vec<Component>,
    /// Which component each channel of each plane is.
    planes: Vec<Vec<usize>>,
    /// The fast way for each plane, where there is one.
    vectors: Vec<Option<Vectors>>,
}

/// A plane's memory.
#[derive(Debug)]
pub(super) struct Rows<Bytes> {
    pub(super) data: Bytes,
    pub(super) stride: usize,
    /// Bytes of a row's groups.
    pub(super) row: usize,
    pub(super) height: usize,
}

impl Packing {
    /// Returns the packing of a format; `None` where the kernels take the planes as they lie.
    pub(super) fn of(format: &VideoFormatInfo) -> Option<Self> {
        let words = WORDS.iter().find(|row| row.0 == format.format());
        let count = format.n_components() as usize;
        let component = |index: usize| {
            let (group, at) = match words {
                Some((_, group, at)) => (*group, at[index].to_vec()),
                None => {
                    let byte = usize::try_from(format.poffset()[index]).ok()?;
                    let shift = format.shift()[index] as usize;
                    let group = usize::try_from(format.pixel_stride()[index]).ok()?;
                    (group, vec![8 * byte + shift])
                }
            };
            Some(Component {
                plane: format.plane()[index] as usize,
                group,
                at,
                depth: format.depth()[index],
                sub: (format.w_sub()[index], format.h_sub()[index]),
            })
        };
        let components: Vec<_> = (0..count).map(component).collect::<Option<_>>()?;
        // that of Y410 is not called so
        let alpha = (count == 4).then_some(3);
        let uneven = components.iter().any(|one| {
            let mut same = components.iter().filter(|other| other.plane == one.plane);
            same.any(|other| (other.group, other.sub) != (one.group, one.sub))
        });
        let apart = alpha.is_some_and(|alpha| components[alpha].plane != components[0].plane);
        if words.is_none() && !uneven && !apart {
            return None;
        }
        let mut planes: Vec<Vec<usize>> = Vec::new();
        for index in (0..count).filter(|&index| Some(index) != alpha) {
            let same = |plane: &&mut Vec<usize>| components[plane[0]].sub == components[index].sub;
            match planes.iter_mut().find(same) {
                Some(plane) => plane.push(index),
                None => planes.push(vec![index]),
            }
        }
        planes.iter_mut().for_each(|plane| plane.extend(alpha));
        let mut packing = Self {
            components,
            planes,
            vectors: Vec::new(),
        };
        let vectors = packing.formats().zip(&packing.planes);
        packing.vectors = vectors
            .map(|(format, channels)| {
                let components = channels.iter().map(|&index| &packing.components[index]);
                Vectors::of(&components.collect::<Vec<_>>(), format)
            })
            .collect();
        Some(packing)
    }

    /// The formats of the planes.
    pub(super) fn formats(&self) -> impl Iterator<Item = PlaneFormat> {
        self.planes.iter().map(|channels| {
            let first = &self.components[channels[0]];
            let sample = match first.depth {
                ..=8 => Sample::U8,
                depth => Sample::U16 { depth, shift: 0 },
            };
            // alpha is the last component, and of other channels than colours
            let last = channels.len() - 1;
            let is_alpha = channels[last] == 3;
            PlaneFormat {
                sample,
                channels: channels.len(),
                sub_x: first.sub.0,
                sub_y: first.sub.1,
                alpha: is_alpha.then_some(last),
            }
        })
    }

    /// Plane and channel of the components.
    pub(super) fn places(&self) -> Vec<(usize, usize)> {
        let place = |component| {
            let mut planes = self.planes.iter().enumerate();
            planes.find_map(|(plane, channels)| {
                let channel = channels.iter().position(|&channel| channel == component)?;
                Some((plane, channel))
            })
        };
        (0..self.components.len()).filter_map(place).collect()
    }

    /// Bytes of a row of a plane in memory, rows, and bytes of its words, for frames of this size.
    pub(super) fn memory(
        &self,
        plane: usize,
        (width, height): (usize, usize),
    ) -> (usize, usize, usize) {
        let components = self.components.iter().filter(|one| one.plane == plane);
        let sizes = components.map(|one| {
            let samples = width.div_ceil(1 << one.sub.0);
            let row = samples.div_ceil(one.at.len()) * one.group;
            (row, height.div_ceil(1 << one.sub.1), one.group.min(4))
        });
        sizes.fold((0, 0, 1), |all, one| {
            (all.0.max(one.0), all.1.max(one.1), all.2.max(one.2))
        })
    }

    /// Unpacks a frame's memory.
    pub(super) fn unpack(&self, memory: &[Rows<&[u8]>], planes: &mut [PlaneMut]) {
        let mut tasks = Vec::new();
        for ((plane, channels), vectors) in planes.iter_mut().zip(&self.planes).zip(&self.vectors) {
            let (stride, format) = (plane.stride, plane.format);
            for (index, band) in plane.data.chunks_mut(BAND * stride).enumerate() {
                tasks.push((channels, vectors, format, stride, index * BAND, band));
            }
        }
        pool::each(
            tasks,
            |(): &mut (), (channels, vectors, format, stride, top, band)| {
                for (y, out) in (top..).zip(band.chunks_mut(stride)) {
                    let done = vectors.as_ref().map_or((0, 0), |vectors| {
                        let plane = self.components[channels[0]].plane;
                        let blocks = vectors.unpack(memory[plane].get(y), out);
                        (blocks * BLOCK, blocks * vectors.bytes)
                    });
                    let out = &mut out[done.1..];
                    for (channel, &component) in channels.iter().enumerate() {
                        let component = &self.components[component];
                        let (rows, to) = (&memory[component.plane], Channel::new(format, channel));
                        match to.sub == component.sub {
                            true => component.unpack(&rows.get(y)[done.0..], out, to),
                            false => component.average(rows, y, out, to),
                        }
                    }
                }
            },
        );
    }

    /// Packs planes into a frame's memory. Bits that mean nothing become zero.
    pub(super) fn pack(&self, planes: &[Plane], memory: Vec<Rows<&mut [u8]>>) {
        let places = self.places();
        let mut tasks = Vec::new();
        for (plane, rows) in memory.into_iter().enumerate() {
            let bands = rows.data.chunks_mut(BAND * rows.stride).enumerate();
            for (index, band) in bands {
                let count = rows.height.saturating_sub(index * BAND).min(BAND);
                tasks.push((plane, rows.stride, rows.row, index * BAND, count, band));
            }
        }
        pool::each(
            tasks,
            |(): &mut (), (plane, stride, row, top, count, band)| {
                for (y, out) in (top..).zip(band.chunks_mut(stride).take(count)) {
                    let out = &mut out[..row];
                    out.fill(0);
                    for (from, channels) in self.planes.iter().enumerate() {
                        let here = |&(_, component): &(usize, &usize)| {
                            let one = &self.components[*component];
                            one.plane == plane && places[*component].0 == from
                        };
                        let mut channels = channels.iter().enumerate().filter(here).peekable();
                        if channels.peek().is_none() {
                            continue;
                        }
                        let plane = &planes[from];
                        let line = &plane.data[y * plane.stride..][..plane.row_bytes()];
                        let done = self.vectors[from].as_ref().map_or((0, 0), |vectors| {
                            let blocks = vectors.pack(line, out);
                            (blocks * vectors.bytes, blocks * BLOCK)
                        });
                        for (channel, &component) in channels {
                            let from = Channel::new(plane.format, channel);
                            let component = &self.components[component];
                            component.pack(&line[done.0..], &mut out[done.1..], from);
                        }
                    }
                }
            },
        );
    }
}

impl Rows<&mut [u8]> {
    /// The same, to be read.
    pub(super) fn shared(&self) -> Rows<&[u8]> {
        Rows {
            data: self.data,
            stride: self.stride,
            row: self.row,
            height: self.height,
        }
    }
}

impl Rows<&[u8]> {
    pub(super) fn get(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.row]
    }
}
