//! The other file's rendering of the reference's levels.

use super::blocks::{PARTS, SIDE, Tone, plain};
use super::size::Size;

/// Levels to either side that a level's value is averaged with.
const AROUND: usize = 6;
/// Pixels that a level needs before it counts fully.
const ENOUGH: f64 = 200.0;

/// Counts how often each level of the reference (256 rows) is each level of the other.
#[derive(Debug)]
pub(super) struct Tones(Vec<u32>);

impl Tones {
    pub(super) fn new() -> Self {
        Self(vec![0; 256 * 256])
    }

    /// Adds the blocks in use of a pair of pictures.
    pub(super) fn add(&mut self, reference: &[u8], other: &[u8], size: Size, used: &[usize]) {
        let across = size.width / SIDE;
        for block in used {
            for row in 0..SIDE {
                let from = (block / across * SIDE + row) * size.width + block % across * SIDE;
                let pixels = reference[from..from + SIDE]
                    .iter()
                    .zip(&other[from..from + SIDE]);
                for (&r, &o) in pixels {
                    self.0[usize::from(r) * 256 + usize::from(o)] += 1;
                }
            }
        }
    }

    /// Returns the curve through each level's median, so that what covers less than half of the
    /// pixels of a level doesn't bend it; levels that don't occur follow their neighbours.
    pub(super) fn curve(&self) -> Tone {
        let shifts: Vec<(f64, f64)> = self
            .0
            .chunks_exact(256)
            .enumerate()
            .map(|(level, counts)| {
                let count: u32 = counts.iter().sum();
                (median(counts) - level as f64, f64::from(count))
            })
            .collect();
        let mut tone = plain();
        let mut reach = AROUND;
        for (level, value) in tone.iter_mut().enumerate() {
            let shift = loop {
                let near = level.saturating_sub(reach)..(level + reach + 1).min(256);
                let near = shifts[near]
                    .iter()
                    .map(|(shift, count)| (shift, count.min(ENOUGH)));
                let (sum, weight) = near.fold((0.0, 0.0), |(s, w), (shift, count)| {
                    (s + shift * count, w + count)
                });
                if weight >= ENOUGH {
                    break sum / weight;
                }
                if reach >= 256 {
                    break 0.0;
                }
                reach *= 2;
            };
            reach = AROUND;
            *value += (shift * f64::from(PARTS)).round() as i16;
        }
        tone
    }
}

/// Returns the median, with its part of a level; 0 where there is none.
fn median(counts: &[u32]) -> f64 {
    let half = f64::from(counts.iter().sum::<u32>()) / 2.0;
    let mut below = 0.0;
    for (level, &count) in counts.iter().enumerate() {
        let count = f64::from(count);
        if count > 0.0 && below + count >= half {
            return level as f64 - 0.5 + (half - below) / count;
        }
        below += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_what_most_pixels_say() {
        let size = Size {
            width: 64,
            height: 40,
        };
        let used: Vec<usize> = (0..40).collect();
        let reference: Vec<u8> = (0..size.pixels()).map(|at| (at % 200) as u8).collect();
        // brighter by 20, but covered in part
        let other = reference.iter().enumerate();
        let other = other.map(|(at, v)| if at % 64 < 8 { 0 } else { v + 20 });
        let other: Vec<u8> = other.collect();
        let mut tones = Tones::new();
        for _ in 0..20 {
            tones.add(&reference, &other, size, &used);
        }
        let tone = tones.curve();
        for level in [0, 50, 120, 199] {
            let wanted = (level + 20) * PARTS;
            assert!(
                (tone[level as usize] - wanted).abs() <= PARTS,
                "{level}: {}",
                tone[level as usize]
            );
        }
    }
}
