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
}

/// Where the samples of a component lie.
#[derive(Clone, Debug)]
struct Component {
    /// Plane in memory.
    plane: usize,
    /// Bytes in which the samples' places repeat: 1, 2, 4, 8 or 16.
    group: usize,
    /// First bit of each sample of a group. None lies in two words of 32 bits.
    at: Vec<usize>,
    depth: u32,
    sub: (u32, u32),
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
        Some(Self { components, planes })
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
        for (plane, channels) in planes.iter_mut().zip(&self.planes) {
            let (stride, format) = (plane.stride, plane.format);
            for (index, band) in plane.data.chunks_mut(BAND * stride).enumerate() {
                tasks.push((channels, format, stride, index * BAND, band));
            }
        }
        pool::each(
            tasks,
            |(): &mut (), (channels, format, stride, top, band)| {
                for (y, out) in (top..).zip(band.chunks_mut(stride)) {
                    for (channel, &component) in channels.iter().enumerate() {
                        let component = &self.components[component];
                        let (rows, to) = (&memory[component.plane], Channel::new(format, channel));
                        match to.sub == component.sub {
                            true => component.unpack(rows.get(y), out, to),
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
                    let components = self.components.iter().zip(&places);
                    for (component, &(from, channel)) in
                        components.filter(|(c, _)| c.plane == plane)
                    {
                        let plane = &planes[from];
                        let line = &plane.data[y * plane.stride..][..plane.row_bytes()];
                        component.pack(line, out, Channel::new(plane.format, channel));
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
    fn get(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.row]
    }
}

/// A channel of a plane's pixels.
#[derive(Clone, Copy)]
struct Channel {
    sample: Sample,
    sub: (u32, u32),
    /// Bytes of a pixel, and before the channel in it.
    pixel: usize,
    at: usize,
}

impl Channel {
    fn new(format: PlaneFormat, channel: usize) -> Self {
        Self {
            sample: format.sample,
            sub: (format.sub_x, format.sub_y),
            pixel: format.pixel_bytes(),
            at: channel * format.sample.bytes(),
        }
    }

    fn put(self, pixel: &mut [u8], level: u32) {
        match self.sample {
            Sample::U8 => pixel[self.at] = level as u8,
            Sample::U16 { .. } => {
                pixel[self.at..self.at + 2].copy_from_slice(&(level as u16).to_ne_bytes());
            }
        }
    }

    fn get(self, pixel: &[u8]) -> u32 {
        match self.sample {
            Sample::U8 => pixel[self.at].into(),
            Sample::U16 { .. } => u16::from_ne_bytes([pixel[self.at], pixel[self.at + 1]]).into(),
        }
    }
}

impl Component {
    /// The highest level.
    fn most(&self) -> u32 {
        (1 << self.depth) - 1
    }

    /// Writes a row's samples to a channel of a plane's row.
    fn unpack(&self, row: &[u8], out: &mut [u8], to: Channel) {
        match self.group {
            1 => self.unpack_groups::<1>(row, out, to),
            2 => self.unpack_groups::<2>(row, out, to),
            4 => self.unpack_groups::<4>(row, out, to),
            8 => self.unpack_groups::<8>(row, out, to),
            _ => self.unpack_groups::<16>(row, out, to),
        }
    }

    fn unpack_groups<const GROUP: usize>(&self, row: &[u8], out: &mut [u8], to: Channel) {
        // loops of a fixed step are several times as fast
        match self.at.len() * to.pixel {
            1 => self.unpack_steps::<GROUP, 1>(row, out, to),
            2 => self.unpack_steps::<GROUP, 2>(row, out, to),
            3 => self.unpack_steps::<GROUP, 3>(row, out, to),
            4 => self.unpack_steps::<GROUP, 4>(row, out, to),
            8 => self.unpack_steps::<GROUP, 8>(row, out, to),
            12 => self.unpack_steps::<GROUP, 12>(row, out, to),
            _ => self.unpack_steps::<GROUP, 0>(row, out, to),
        }
    }

    /// The same; `STEP` is how far apart samples lie in `out` that come of one place in a group, or 0.
    fn unpack_steps<const GROUP: usize, const STEP: usize>(
        &self,
        row: &[u8],
        out: &mut [u8],
        to: Channel,
    ) {
        let step = if STEP > 0 {
            STEP
        } else {
            self.at.len() * to.pixel
        };
        let (groups, _) = row.as_chunks::<GROUP>();
        let (most, own) = (to.sample.most(), self.most());
        for (first, &at) in self.at.iter().enumerate() {
            let (byte, shift) = word_of::<GROUP>(at);
            let level = |group: &[u8; GROUP]| (word(group, byte) >> shift) & own;
            let out = out.get_mut(first * to.pixel + to.at..).unwrap_or_default();
            match to.sample {
                Sample::U8 => put(out, step, groups, |group| [level(group) as u8]),
                Sample::U16 { .. } if most == own => {
                    put(out, step, groups, |group| {
                        (level(group) as u16).to_ne_bytes()
                    });
                }
                // alpha of fewer bits
                Sample::U16 { .. } => put(out, step, groups, |group| {
                    (((level(group) * most + own / 2) / own) as u16).to_ne_bytes()
                }),
            }
        }
    }

    /// Writes the means of samples that lie closer than a plane's pixels to a channel of its row `y`.
    fn average(&self, rows: &Rows<&[u8]>, y: usize, out: &mut [u8], to: Channel) {
        let columns = 1 << (to.sub.0 - self.sub.0);
        let lines = 1 << (to.sub.1 - self.sub.1);
        let one = Channel {
            pixel: to.sample.bytes(),
            at: 0,
            ..to
        };
        let mut line = vec![0; rows.row / self.group * self.at.len() * one.pixel];
        let mut sums = vec![(0, 0); out.len() / to.pixel];
        for y in (y * lines..(y + 1) * lines).take_while(|&y| y < rows.height) {
            self.unpack(rows.get(y), &mut line, one);
            let areas = line.chunks(columns * one.pixel);
            for ((sum, count), area) in sums.iter_mut().zip(areas) {
                let levels = area.chunks_exact(one.pixel).map(|sample| one.get(sample));
                *sum += levels.sum::<u32>();
                *count += (area.len() / one.pixel) as u32;
            }
        }
        for (pixel, (sum, count)) in out.chunks_exact_mut(to.pixel).zip(sums) {
            to.put(pixel, (sum + count / 2) / count.max(1));
        }
    }

    /// Adds a channel of a plane's row to a row in memory.
    fn pack(&self, line: &[u8], out: &mut [u8], from: Channel) {
        match self.group {
            1 => self.pack_groups::<1>(line, out, from),
            2 => self.pack_groups::<2>(line, out, from),
            4 => self.pack_groups::<4>(line, out, from),
            8 => self.pack_groups::<8>(line, out, from),
            _ => self.pack_groups::<16>(line, out, from),
        }
    }

    fn pack_groups<const GROUP: usize>(&self, line: &[u8], out: &mut [u8], from: Channel) {
        match self.at.len() * from.pixel {
            1 => self.pack_steps::<GROUP, 1>(line, out, from),
            2 => self.pack_steps::<GROUP, 2>(line, out, from),
            3 => self.pack_steps::<GROUP, 3>(line, out, from),
            4 => self.pack_steps::<GROUP, 4>(line, out, from),
            8 => self.pack_steps::<GROUP, 8>(line, out, from),
            12 => self.pack_steps::<GROUP, 12>(line, out, from),
            _ => self.pack_steps::<GROUP, 0>(line, out, from),
        }
    }

    fn pack_steps<const GROUP: usize, const STEP: usize>(
        &self,
        line: &[u8],
        out: &mut [u8],
        from: Channel,
    ) {
        let step = if STEP > 0 {
            STEP
        } else {
            self.at.len() * from.pixel
        };
        let (groups, _) = out.as_chunks_mut::<GROUP>();
        let (most, own) = (from.sample.most(), self.most());
        for (first, &at) in self.at.iter().enumerate() {
            let (byte, shift) = word_of::<GROUP>(at);
            let line = line.get(first * from.pixel + from.at..).unwrap_or_default();
            match from.sample {
                Sample::U8 => get(line, step, groups, |group, [level]: [u8; 1]| {
                    add(group, byte, u32::from(level) << shift);
                }),
                Sample::U16 { .. } if most == own => get(line, step, groups, |group, bytes| {
                    add(group, byte, u32::from(u16::from_ne_bytes(bytes)) << shift);
                }),
                Sample::U16 { .. } => get(line, step, groups, |group, bytes| {
                    let level = u32::from(u16::from_ne_bytes(bytes));
                    add(group, byte, ((level * own + most / 2) / most) << shift);
                }),
            }
        }
    }
}

/// Stores a sample for each group, each `step` bytes behind the one before.
#[inline(always)]
fn put<const BYTES: usize, const GROUP: usize>(
    out: &mut [u8],
    step: usize,
    groups: &[[u8; GROUP]],
    sample: impl Fn(&[u8; GROUP]) -> [u8; BYTES],
) {
    let count = out.len() / step;
    let (whole, last) = out.split_at_mut(count * step);
    for (out, group) in whole.chunks_exact_mut(step).zip(groups) {
        out[..BYTES].copy_from_slice(&sample(group));
    }
    if let (Some(out), Some(group)) = (last.first_chunk_mut(), groups.get(count)) {
        *out = sample(group);
    }
}

/// Takes what [`put`] stores.
#[inline(always)]
fn get<const BYTES: usize, const GROUP: usize>(
    line: &[u8],
    step: usize,
    groups: &mut [[u8; GROUP]],
    add: impl Fn(&mut [u8; GROUP], [u8; BYTES]),
) {
    let count = line.len() / step;
    let (whole, last) = line.split_at(count * step);
    for (group, line) in groups.iter_mut().zip(whole.chunks_exact(step)) {
        let mut sample = [0; BYTES];
        sample.copy_from_slice(&line[..BYTES]);
        add(group, sample);
    }
    if let (Some(group), Some(sample)) = (groups.get_mut(count), last.first_chunk()) {
        add(group, *sample);
    }
}

/// The byte that the word begins with in which a sample lies, and the sample's first bit in it.
fn word_of<const GROUP: usize>(at: usize) -> (usize, usize) {
    let size = GROUP.min(4);
    let (byte, shift) = (at / (8 * size) * size, at % (8 * size));
    assert!(byte + size <= GROUP, "a sample lies in its group");
    (byte, shift)
}

/// A word of a group, of as many bytes as that has, at most four; little endian.
#[inline(always)]
fn word<const GROUP: usize>(group: &[u8; GROUP], byte: usize) -> u32 {
    match GROUP {
        1 => group[0].into(),
        2 => u16::from_le_bytes([group[0], group[1]]).into(),
        _ => u32::from_le_bytes([
            group[byte],
            group[byte + 1],
            group[byte + 2],
            group[byte + 3],
        ]),
    }
}

/// Sets bits of such a word.
#[inline(always)]
fn add<const GROUP: usize>(group: &mut [u8; GROUP], byte: usize, bits: u32) {
    let bytes = (word(group, byte) | bits).to_le_bytes();
    let size = GROUP.min(4);
    group[byte..byte + size].copy_from_slice(&bytes[..size]);
}
