//! Scaling along one side as a matrix: what each sample out is made of.
//!
//! The weights are those of GStreamer's converter (`gst-libs/gst/video/video-resampler.c` and
//! `video-scaler.c` of gst-plugins-base, whose formulas are restated here), its
//! rounding of weights to 6 or 12 bits included, so that a device gives what the converter gives.

use crate::frames::ScaleMethod;

/// The converter takes no more weights than this for a sample.
const MOST: usize = 128;

/// Makeup of one sample: weights of samples that follow each other.
#[derive(Clone, Debug, PartialEq)]
struct Tap {
    first: usize,
    weights: Vec<f64>,
}

/// Scaling of a line of `inputs` samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taps {
    inputs: usize,
    taps: Vec<Tap>,
}

impl Taps {
    /// Scales `from` samples to `to` as `method` says, with weights of so many `bits` after the
    /// point.
    ///
    /// Samples lie at the centres of pixels. The kernels (a triangle; Mitchell's and Netravali's
    /// cubic with b = c = 1/3; a sinc windowed by the wider sinc's main lobe) are stretched where
    /// the line is shrunk; what reaches beyond an end counts for the last sample there.
    pub(crate) fn resampled(method: ScaleMethod, from: usize, to: usize, bits: u32) -> Self {
        let reach = match method {
            ScaleMethod::Bilinear => 1.0,
            ScaleMethod::Bicubic | ScaleMethod::Lanczos => 2.0,
        };
        let ratio = (from as f64 / to as f64).max(1.0);
        let wanted = ((2.0 * reach * ratio).ceil() as usize).min(MOST);
        let scale = 2.0 * reach / wanted as f64;
        let kernel = |distance: f64| match method {
            ScaleMethod::Bilinear => (1.0 - distance * scale).max(0.0),
            ScaleMethod::Bicubic => cubic(distance * scale),
            ScaleMethod::Lanczos => {
                let window = 2.0 * distance / wanted as f64;
                let window = if window < 1.0 { sinc(window) } else { 0.0 };
                sinc(distance * scale) * window
            }
        };
        let count = wanted.min(from);
        let shift = if count == 1 { 0.0 } else { 0.5 };
        let taps = (0..to).map(|index| {
            let place = (index as f64 + 0.5) / to as f64 * from as f64 - shift;
            let place = place.clamp(0.0, (from - 1) as f64);
            let start = (place - ((count - 1) / 2) as f64).floor();
            let first = (start.max(0.0) as usize).min(from - count);
            let mut weights = vec![0.0; count];
            for tap in 0..count {
                let at = start + tap as f64;
                let inside = at.clamp(0.0, (from - 1) as f64) as usize;
                weights[inside - first] += kernel((place - at).abs());
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            round(&mut weights, bits);
            Tap { first, weights }
        });
        Self {
            inputs: from,
            taps: taps.collect(),
        }
    }

    /// Enlarges `from` samples to `to` between neighbours, the outermost ones lying on each other:
    /// the converter's way for lines of bytes, with weights of 8 bits.
    pub(crate) fn stretched(from: usize, to: usize) -> Self {
        let step = if to > 1 {
            (((from - 1) << 16) / (to - 1)).saturating_sub(1)
        } else {
            0
        };
        let taps = (0..to).map(|index| {
            let place = index * step;
            let part = ((place >> 8) & 255) as f64 / 256.0;
            Tap {
                first: place >> 16,
                weights: vec![1.0 - part, part],
            }
        });
        Self {
            inputs: from,
            taps: taps.collect(),
        }
    }

    /// Means of two neighbours.
    pub(crate) fn halved(to: usize) -> Self {
        let taps = (0..to).map(|index| Tap {
            first: 2 * index,
            weights: vec![0.5; 2],
        });
        Self {
            inputs: 2 * to,
            taps: taps.collect(),
        }
    }

    /// Means of `to` parts of a line, as even as whole samples allow.
    pub(crate) fn cells(from: usize, to: usize) -> Self {
        let taps = (0..to).map(|index| {
            let (first, end) = (index * from / to, (index + 1) * from / to);
            Tap {
                first,
                weights: vec![1.0 / (end - first) as f64; end - first],
            }
        });
        Self {
            inputs: from,
            taps: taps.collect(),
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(crate) fn outputs(&self) -> usize {
        self.taps.len()
    }

    /// The first sample that the last one out is made of.
    pub(crate) fn last_start(&self) -> usize {
        self.taps.last().map_or(0, |tap| tap.first)
    }

    /// All weights: a row for each sample in, a column for each sample out, or, if `across`, the
    /// other way round.
    pub(crate) fn dense(&self, across: bool) -> Vec<f32> {
        let mut dense = vec![0.0; self.inputs * self.taps.len()];
        for (out, tap) in self.taps.iter().enumerate() {
            for (index, weight) in tap.weights.iter().enumerate() {
                let place = match tap.first + index {
                    // a weight of nothing behind the end
                    at if at >= self.inputs => continue,
                    at if across => out * self.inputs + at,
                    at => at * self.taps.len() + out,
                };
                dense[place] = *weight as f32;
            }
        }
        dense
    }
}

/// Returns the weight at `x`. Mitchell and Netravali, "Reconstruction filters in computer graphics"
/// (1988), b = c = 1/3.
fn cubic(x: f64) -> f64 {
    let (b, c) = (1.0 / 3.0, 1.0 / 3.0);
    let sixfold = if x <= 1.0 {
        ((12.0 - 9.0 * b - 6.0 * c) * x + (12.0 * b + 6.0 * c - 18.0)) * x * x + 6.0 - 2.0 * b
    } else if x <= 2.0 {
        (((-b - 6.0 * c) * x + 6.0 * b + 30.0 * c) * x - 12.0 * b - 48.0 * c) * x
            + 8.0 * b
            + 24.0 * c
    } else {
        0.0
    };
    sixfold / 6.0
}

fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if x == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// Rounds weights to `bits` after the point, all with one bias between 0 and 1 that is looked for
/// by halving until their sum is 1, as the converter does.
fn round(weights: &mut [f64], bits: u32) {
    let unit = f64::from(1_u32 << bits);
    let (mut low, mut high, mut bias) = (0.0, 1.0, 0.5);
    let mut rounded = vec![0.0; weights.len()];
    for _ in 0..64 {
        for (rounded, weight) in rounded.iter_mut().zip(&*weights) {
            *rounded = (bias + weight * unit).floor();
        }
        let sum: f64 = rounded.iter().sum();
        if sum == unit || low == high {
            break;
        }
        if sum < unit {
            low = bias.max(low);
            bias += (high - low) / 2.0;
        } else {
            high = bias.min(high);
            bias -= (high - low) / 2.0;
        }
    }
    for (weight, rounded) in weights.iter_mut().zip(rounded) {
        *weight = rounded / unit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [ScaleMethod; 3] = [
        ScaleMethod::Bilinear,
        ScaleMethod::Bicubic,
        ScaleMethod::Lanczos,
    ];

    fn sums(taps: &Taps) -> impl Iterator<Item = f64> {
        taps.taps.iter().map(|tap| tap.weights.iter().sum())
    }

    #[test]
    fn flat_lines_stay_flat() {
        // weights that are alike are rounded alike, so that now and then no bias makes their sum right
        let mut all = vec![(Taps::halved(7), 8)];
        all.push((Taps::stretched(7, 31), 8));
        all.push((Taps::stretched(1, 5), 8));
        for method in METHODS {
            for (from, to) in [(97, 31), (31, 97), (720, 360), (1, 5), (5, 1), (40, 39)] {
                for bits in [6, 12] {
                    all.push((Taps::resampled(method, from, to, bits), bits));
                }
            }
        }
        for (taps, bits) in &all {
            let step = 1.0 / f64::from(1 << bits);
            assert!(sums(taps).all(|sum| (sum - 1.0).abs() <= step), "{taps:?}");
            let beyond = |tap: &Tap| tap.first + tap.weights.len() > taps.inputs;
            let zero = |tap: &Tap| tap.weights.last() == Some(&0.0);
            assert!(taps.taps.iter().all(|tap| !beyond(tap) || zero(tap)));
        }
        assert!(sums(&Taps::cells(101, 64)).all(|sum| (sum - 1.0).abs() < 1e-12));
    }
}
