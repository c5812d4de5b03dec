//! Samples of a component, one by one.

use super::Rows;
use crate::frames::{PlaneFormat, Sample};

/// Where the samples of a component lie.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// Plane in memory.
    pub(super) plane: usize,
    /// Bytes in which the samples' places repeat: 1, 2, 4, 8 or 16.
    pub(super) group: usize,
    /// First bit of each sample of a group. None lies in two words of 32 bits.
    pub(super) at: Vec<usize>,
    pub(super) depth: u32,
    pub(super) sub: (u32, u32),
}

/// A channel of a plane's pixels.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    sample: Sample,
    pub(super) sub: (u32, u32),
    /// Bytes of a pixel, and before the channel in it.
    pixel: usize,
    at: usize,
}

impl Channel {
    pub(super) fn new(format: PlaneFormat, channel: usize) -> Self {
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
    pub(super) fn most(&self) -> u32 {
        (1 << self.depth) - 1
    }

    /// Writes a row's samples to a channel of a plane's row.
    pub(super) fn unpack(&self, row: &[u8], out: &mut [u8], to: Channel) {
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
    pub(super) fn average(&self, rows: &Rows<&[u8]>, y: usize, out: &mut [u8], to: Channel) {
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
    pub(super) fn pack(&self, line: &[u8], out: &mut [u8], from: Channel) {
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
