//! Samples as bytes.

use std::sync::Mutex;

use ort::operator::ComputeContext;

use super::super::planes::{Planes, PlanesMut, in_parallel};
use super::super::{Simd, vectorised};
use super::dot::ROUNDING;

/// Channels in a word.
pub(super) const CHANNELS: usize = 4;

/// The way from numbers to bytes: `byte = number / step + zero`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) step: f32,
    pub(super) zero: u8,
}

impl Scale {
    /// The finest scale that has both numbers and zero in it; nothing if there is none.
    pub(super) fn over([least, most]: [f32; 2]) -> Option<Self> {
        let (least, most) = (least.min(0.0), most.max(0.0));
        let step = (most - least) / 255.0;
        if !step.is_finite() {
            return None;
        }
        if step < f32::MIN_POSITIVE {
            return Some(Self { step: 1.0, zero: 0 });
        }
        let zero = (-least / step).round() as u8;
        Some(Self { step, zero })
    }
}

/// Returns the least and the largest number; infinity if one is not a number.
pub(super) fn extremes(
    context: &ComputeContext,
    simd: Simd,
    samples: &[f32],
) -> ort::Result<[f32; 2]> {
    const PART: usize = 4096;
    let found = Mutex::new([0.0_f32, 0.0_f32]);
    in_parallel(
        context,
        samples.len().div_ceil(PART),
        1,
        PART / 4,
        |parts| {
            let end = samples.len().min(parts.end * PART);
            let mut range = [0.0, 0.0];
            widen(simd, &samples[parts.start * PART..end], &mut range);
            if let Ok(mut found) = found.lock() {
                *found = [found[0].min(range[0]), found[1].max(range[1])];
            }
        },
    )?;
    let poisoned = |_| ort::Error::new("Conv: a thread ended early");
    found.into_inner().map_err(poisoned)
}

/// Places of an input's samples as words of [`CHANNELS`] channels: for each group of channels, for each
/// row, for each of `stride` starting columns, every `stride`-th column. So what neighbouring output samples
/// see at a place lies side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    groups: usize,
    /// Rows, with those of zeros.
    rows: usize,
    stride: usize,
    /// Words of each starting column.
    line: usize,
    /// Output samples in a row, up to whole registers.
    pitch: usize,
    /// Rows above and columns left that are zero.
    above: usize,
    left: usize,
}

impl Layout {
    /// A layout of `input` with zeros around it, of which `width` outputs see `kernel` columns each, `stride`
    /// apart.
    pub(super) fn new(
        input: &Planes<'_>,
        [above, left, below, _]: [usize; 4],
        stride: usize,
        kernel: usize,
        width: usize,
    ) -> Self {
        let pitch = width.next_multiple_of(ROUNDING);
        Self {
            groups: input.channels.div_ceil(CHANNELS),
            rows: above + input.height + below,
            stride,
            line: pitch + (kernel - 1) / stride,
            pitch,
            above,
            left,
        }
    }

    /// Groups of channels, rows, and words of a row.
    pub(super) fn size(&self) -> [usize; 3] {
        [self.groups, self.rows, self.stride * self.line]
    }

    /// Sums in a row of outputs, up to whole registers.
    pub(super) fn pitch(&self) -> usize {
        self.pitch
    }

    /// First word of a row.
    pub(super) fn row(&self, row: usize) -> usize {
        row * self.stride * self.line
    }

    /// Offset of what lies `y` rows and `x` columns on in a group of channels.
    pub(super) fn place(&self, group: usize, y: usize, x: usize) -> usize {
        let line = (group * self.rows + y) * self.stride + x % self.stride;
        line * self.line + x / self.stride
    }

    /// Writes `input` as bytes.
    pub(super) fn fill(
        &self,
        context: &ComputeContext,
        simd: Simd,
        input: Planes<'_>,
        scale: Scale,
        words: PlanesMut<'_, u32>,
    ) -> ort::Result<()> {
        let cost = 2 * words.width;
        in_parallel(context, self.groups * self.rows, 1, cost, |rows| {
            for index in rows {
                let [group, row] = [index / self.rows, index % self.rows];
                // SAFETY: this call alone has this row.
                let words = unsafe { words.rows(group, row, 1) };
                self.fill_row(simd, &input, [group, row], scale, words);
            }
        })
    }

    fn fill_row(
        &self,
        simd: Simd,
        input: &Planes<'_>,
        [group, row]: [usize; 2],
        scale: Scale,
        words: &mut [u32],
    ) {
        let zero = u32::from_ne_bytes([scale.zero; CHANNELS]);
        words.fill(zero);
        let inside = row.checked_sub(self.above).filter(|&y| y < input.height);
        let Some(y) = inside else {
            return;
        };
        let first = group * CHANNELS;
        // channels that are not there weigh nothing
        let channels = [0, 1, 2, 3].map(|i| input.row((first + i).min(input.channels - 1), y));
        let terms = [1.0 / scale.step, f32::from(scale.zero) + 0.5];
        for (start, line) in words.chunks_exact_mut(self.line).enumerate() {
            // column `stride * i + start - left` stands at `i`
            let skipped = self.left.saturating_sub(start).div_ceil(self.stride);
            let from = skipped * self.stride + start - self.left;
            let Some(line) = line.get_mut(skipped..) else {
                continue;
            };
            let channels = channels.map(|row| row.get(from..).unwrap_or_default());
            match self.stride {
                1 => pack(simd, channels, terms, line),
                2 => pack_every_second(simd, channels, terms, line),
                _ => pack_every(channels, terms, self.stride, line),
            }
        }
    }
}

/// Returns a word of four numbers, each times `factor` plus `zero`, which has a half in it to round by.
#[inline(always)]
fn word(numbers: [f32; CHANNELS], [factor, zero]: [f32; 2]) -> u32 {
    let byte = |number: f32| {
        let value = number * factor + zero;
        let value = if value > 0.0 { value } else { 0.0 };
        let value = if value < 255.0 { value } else { 255.0 };
        // SAFETY: it lies in 0..=255.
        unsafe { value.to_int_unchecked::<i32>() as u32 }
    };
    let [a, b, c, d] = numbers.map(byte);
    a | b << 8 | c << 16 | d << 24
}

/// As `pack`, of every `stride`-th sample.
#[inline(always)]
fn pack_every(channels: [&[f32]; CHANNELS], terms: [f32; 2], stride: usize, words: &mut [u32]) {
    let count = words.len().min(channels[0].len().div_ceil(stride));
    let Some(last) = count.checked_sub(1) else {
        return;
    };
    let [a, b, c, d] = channels.map(|row| &row[..=last * stride]);
    for (i, out) in words[..count].iter_mut().enumerate() {
        let at = i * stride;
        *out = word([a[at], b[at], c[at], d[at]], terms);
    }
}

vectorised! {
    /// Widens a range so far that it holds all numbers; without end if one is none.
    fn widen(samples: &[f32], range: &mut [f32; 2]) {
        let (mut least, mut most) = ([range[0]; 32], [range[1]; 32]);
        let mut sound = [0.0_f32; 32];
        let (whole, rest) = samples.as_chunks::<32>();
        let mut last = [0.0; 32];
        last[..rest.len()].copy_from_slice(rest);
        for samples in whole.iter().chain([&last]) {
            for i in 0..32 {
                let sample = samples[i];
                least[i] = if sample < least[i] { sample } else { least[i] };
                most[i] = if sample > most[i] { sample } else { most[i] };
                sound[i] += sample * 0.0; // none if the sample is none, or infinite
            }
        }
        for i in 0..32 {
            *range = [range[0].min(least[i]), range[1].max(most[i])];
        }
        if sound.iter().any(|sound| sound.is_nan()) {
            *range = [f32::NEG_INFINITY, f32::INFINITY];
        }
    }

    /// Turns samples of four channels into words, as many as there are of both.
    fn pack(channels: [&[f32]; CHANNELS], terms: [f32; 2], words: &mut [u32]) {
        pack_every(channels, terms, 1, words);
    }

    /// As `pack`, of every second sample.
    fn pack_every_second(channels: [&[f32]; CHANNELS], terms: [f32; 2], words: &mut [u32]) {
        pack_every(channels, terms, 2, words);
    }
}
