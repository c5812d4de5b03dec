//! Pictures as blocks, and how much two of them differ.

use rayon::prelude::*;

use super::size::Size;

/// Pixels along a block's side.
pub(super) const SIDE: usize = 8;
/// Pixels of a block.
const AREA: usize = SIDE * SIDE;
/// Values a level of luma is split into, so that tone curves need no rounding to levels.
pub(super) const PARTS: i16 = 4;
/// Residual that is taken for rounding: half a level in each pixel.
const ROUNDING: f32 = AREA as f32 * (PARTS * PARTS) as f32 / 4.0;
/// The same of a block's mean.
const MEAN_ROUNDING: f32 = ROUNDING / 8.0;
/// As much contrast, in the mean of a block's pixels, as makes a block count half.
const CONTRAST: f32 = AREA as f32 * (PARTS * PARTS) as f32 * 4.0;
/// The blocks as many of which make up full evidence.
const EVIDENCE: usize = 144;

/// Values for the 256 levels, in parts of a level.
pub(super) type Tone = [i16; 256];

/// Returns the curve that leaves levels as they are.
pub(super) fn plain() -> Tone {
    std::array::from_fn(|level| level as i16 * PARTS)
}

/// Frames as blocks: each block's pixels lie together.
#[derive(Debug)]
pub(super) struct Frames {
    first: usize,
    blocks: usize,
    pixels: Vec<[i16; AREA]>,
    moments: Vec<Moments>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    sum: f32,
    square: f32,
}

/// A frame as blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pixels: &'a [[i16; AREA]],
    moments: &'a [Moments],
}

impl Frames {
    /// Cuts pictures, the first of which is frame `first`, into the blocks in use.
    pub(super) fn cut(first: usize, luma: &[u8], size: Size, used: &[usize], tone: &Tone) -> Self {
        let count = luma.len() / size.pixels();
        let mut pixels = vec![[0; AREA]; count * used.len()];
        let mut moments = vec![Moments::default(); count * used.len()];
        let across = size.width / SIDE;
        if !used.is_empty() {
            (
                pixels.par_chunks_mut(used.len()),
                moments.par_chunks_mut(used.len()),
                luma.par_chunks(size.pixels()),
            )
                .into_par_iter()
                .for_each(|(pixels, moments, luma)| {
                    for ((pixels, moments), &block) in pixels.iter_mut().zip(moments).zip(used) {
                        let corner = block / across * SIDE * size.width + block % across * SIDE;
                        for (row, values) in pixels.as_chunks_mut::<SIDE>().0.iter_mut().enumerate()
                        {
                            let from = corner + row * size.width;
                            for (value, &level) in values.iter_mut().zip(&luma[from..from + SIDE]) {
                                *value = tone[usize::from(level)];
                            }
                        }
                        moments.sum = pixels.iter().map(|&v| i32::from(v)).sum::<i32>() as f32;
                        moments.square = dot(pixels, pixels);
                    }
                });
        }
        Self {
            first,
            blocks: used.len(),
            pixels,
            moments,
        }
    }

    /// Returns a frame, if it is among these.
    pub(super) fn get(&self, frame: usize) -> Option<Frame<'_>> {
        let from = frame.checked_sub(self.first)? * self.blocks;
        Some(Frame {
            pixels: self.pixels.get(from..from + self.blocks)?,
            moments: self.moments.get(from..from + self.blocks)?,
        })
    }
}

impl Frame<'_> {
    /// Returns the means of the blocks, in levels.
    pub(super) fn means(&self) -> impl Iterator<Item = f32> {
        let level = 1.0 / (AREA as f32 * f32::from(PARTS));
        self.moments.iter().map(move |m| m.sum * level)
    }

    /// Returns the contrast in each block: the sum of squares about its mean.
    fn contrasts(&self) -> impl Iterator<Item = f32> {
        self.moments
            .iter()
            .map(|m| m.square - m.sum * m.sum / AREA as f32)
    }
}

fn dot(a: &[i16; AREA], b: &[i16; AREA]) -> f32 {
    let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b));
    products.sum::<i32>() as f32
}

/// Difference of two blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    /// Sum of squares, about the means.
    pub(super) pattern: f32,
    /// Part of the means in the sum of squares.
    pub(super) mean: f32,
    /// Correlation; blocks without contrast have none.
    pub(super) correlation: f32,
}

/// Returns how two frames differ, block by block.
pub(super) fn differences<'a>(a: Frame<'a>, b: Frame<'a>) -> impl Iterator<Item = Difference> + 'a {
    let area = AREA as f32;
    let moments = a.moments.iter().zip(b.moments);
    let pixels = a.pixels.iter().zip(b.pixels);
    pixels.zip(moments).map(move |((pa, pb), (ma, mb))| {
        let together = dot(pa, pb) - ma.sum * mb.sum / area;
        let (va, vb) = (
            ma.square - ma.sum * ma.sum / area,
            mb.square - mb.sum * mb.sum / area,
        );
        let mean = ma.sum - mb.sum;
        Difference {
            pattern: (va + vb - 2.0 * together).max(0.0),
            mean: mean * mean / area,
            correlation: together / ((va + ROUNDING) * (vb + ROUNDING)).sqrt(),
        }
    })
}

/// Returns how well the patterns of two frames correlate: the mean over the blocks, by contrast.
pub(super) fn correlation(a: Frame<'_>, b: Frame<'_>) -> f32 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (difference, (ca, cb)) in differences(a, b).zip(a.contrasts().zip(b.contrasts())) {
        let contrast = ca.max(cb);
        let weight = contrast / (contrast + CONTRAST);
        sum += weight * difference.correlation.max(0.0);
        weights += weight;
    }
    sum / weights.max(1e-6)
}

/// The way cost is taken from differences.
#[derive(Debug, Clone)]
pub(super) enum Measure {
    /// By correlation alone: nothing is known of the pair of files yet.
    Correlation,
    /// Against what differs at frames that belong together, block by block.
    Noise(Noise),
}

/// Differences between frames that belong together, in each block.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    pattern: Vec<f32>,
    mean: Vec<f32>,
}

impl Noise {
    /// Learns from pairs that (mostly) belong together: the median of each block.
    pub(super) fn learn(pairs: &[Vec<Difference>]) -> Option<Self> {
        let blocks = pairs.first()?.len();
        let median = |block: usize, value: &dyn Fn(&Difference) -> f32| {
            let mut values: Vec<f32> = pairs.iter().map(|pair| value(&pair[block])).collect();
            let middle = values.len() / 2;
            *values.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        Some(Self {
            pattern: (0..blocks)
                .map(|b| median(b, &|d| d.pattern) + ROUNDING)
                .collect(),
            mean: (0..blocks)
                .map(|b| median(b, &|d| d.mean) + MEAN_ROUNDING)
                .collect(),
        })
    }

    /// Returns how much a difference of patterns says, block by block.
    pub(super) fn weights(&self) -> impl Iterator<Item = f32> {
        self.pattern.iter().map(|noise| 1.0 / noise)
    }
}

/// Returns the part of the evidence that a block of so many has.
fn share(blocks: usize) -> f32 {
    EVIDENCE.min(blocks) as f32 / blocks.max(1) as f32
}

/// Sums logarithms, a product of several at a time.
#[derive(Debug)]
struct Logs {
    sum: f64,
    product: f64,
}

impl Logs {
    fn new() -> Self {
        Self {
            sum: 0.0,
            product: 1.0,
        }
    }

    fn add(&mut self, factor: f32) {
        self.product *= f64::from(factor);
        if self.product > 1e200 {
            self.sum += self.product.ln();
            self.product = 1.0;
        }
    }

    fn sum(self) -> f32 {
        (self.sum + self.product.ln()) as f32
    }
}

impl Measure {
    /// Returns what it costs to say that two frames belong together: the logarithm of a likelihood
    /// with heavy tails, so that blocks that are covered for a while do little harm.
    pub(super) fn cost(&self, other: Frame<'_>, reference: Frame<'_>) -> f32 {
        let differences = differences(other, reference);
        let share = share(other.pixels.len());
        match self {
            Self::Correlation => {
                let contrasts = other.contrasts();
                let costs = differences.zip(contrasts).map(|(d, contrast)| {
                    let weight = contrast / (contrast + CONTRAST);
                    weight * (1.0 + (1.0 - d.correlation.max(0.0)) / 0.05).ln()
                });
                share * costs.sum::<f32>()
            }
            Self::Noise(noise) => {
                let mut logs = Logs::new();
                for ((d, pattern), mean) in differences.zip(&noise.pattern).zip(&noise.mean) {
                    logs.add((1.0 + d.pattern / pattern) * (1.0 + d.mean / mean));
                }
                share * logs.sum()
            }
        }
    }

    /// Returns the cost beyond which a frame is taken to have no match, though `best` is the
    /// likeliest. Between `best` and its neighbour there may be one that isn't in the reference.
    pub(super) fn limit(
        &self,
        other: Frame<'_>,
        best: Frame<'_>,
        neighbour: Option<Frame<'_>>,
    ) -> f32 {
        let share = share(other.pixels.len());
        match self {
            Self::Correlation => {
                let weights = other.contrasts().map(|c| c / (c + CONTRAST));
                share * weights.sum::<f32>() * (1.0f32 + 0.65 / 0.05).ln()
            }
            Self::Noise(noise) => {
                let apart: Vec<Difference> = match neighbour {
                    Some(neighbour) => differences(best, neighbour).collect(),
                    None => Vec::new(),
                };
                let mut logs = Logs::new();
                for (block, (pattern, mean)) in noise.pattern.iter().zip(&noise.mean).enumerate() {
                    let (p, m) = apart.get(block).map_or((0.0, 0.0), |d| (d.pattern, d.mean));
                    logs.add((4.0 + 0.5 * p / pattern) * (4.0 + 0.5 * m / mean));
                }
                share * logs.sum()
            }
        }
    }

    /// Returns how sure it is that two frames belong together, from 0 to 1: the part of the
    /// picture's contrast that is found again, where blocks count as well as they are found.
    pub(super) fn confidence(&self, other: Frame<'_>, reference: Frame<'_>) -> f32 {
        let Self::Noise(noise) = self else {
            return correlation(other, reference);
        };
        let weights: Vec<f32> = noise.weights().collect();
        let all: f32 = weights.iter().sum();
        let level = other
            .moments
            .iter()
            .zip(&weights)
            .map(|(m, w)| w * m.sum / AREA as f32);
        let level = level.sum::<f32>() / all;
        let (mut missed, mut there) = (0.0, 0.0);
        for ((d, m), w) in differences(other, reference)
            .zip(other.moments)
            .zip(&weights)
        {
            missed += w * (d.pattern + d.mean);
            there += w * (m.square - 2.0 * level * m.sum + AREA as f32 * level * level);
        }
        (1.0 - missed / (there + all * CONTRAST)).clamp(0.0, 1.0)
    }
}

/// Returns how far two frames are apart in the block where that is most, in units of its noise.
pub(super) fn apart(noise: &Noise, a: Frame<'_>, b: Frame<'_>) -> f32 {
    let blocks = differences(a, b).zip(noise.weights());
    blocks
        .map(|(d, weight)| weight * (d.pattern + d.mean))
        .fold(0.0, f32::max)
}

/// Place of a frame between two others, when they are laid over each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between {
    /// The part of the way from the first to the second.
    pub(super) part: f32,
    /// Gain of that fit over the first, in units of noise in each block.
    pub(super) gain: f32,
    /// Distance of the two in the block where that is most, in units of its noise.
    pub(super) most: f32,
}

/// Finds the part of the way from one frame to another where a third lies.
pub(super) fn between(noise: &Noise, other: Frame<'_>, from: Frame<'_>, to: Frame<'_>) -> Between {
    let (mut along, mut apart, mut most) = (0.0f32, 0.0f32, 0.0f32);
    for (block, weight) in noise.weights().enumerate() {
        let (o, a, b) = (&other.pixels[block], &from.pixels[block], &to.pixels[block]);
        let (saa, sbb) = (from.moments[block].square, to.moments[block].square);
        let sab = dot(a, b);
        along += weight * (dot(o, b) - dot(o, a) - sab + saa);
        let here = weight * (saa + sbb - 2.0 * sab).max(0.0);
        apart += here;
        most = most.max(here);
    }
    let part = (along / apart.max(1e-6)).clamp(0.0, 1.0);
    let blocks = other.pixels.len().max(1) as f32;
    Between {
        part,
        gain: part * (2.0 * along - part * apart) / blocks,
        most,
    }
}
