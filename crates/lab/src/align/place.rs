//! Place and size of the other file's pictures in the reference's.

use rayon::prelude::*;

use super::blocks::{Frame, Frames, SIDE, correlation, plain};
use super::size::Size;

/// The smallest part of a picture's width that the other one is looked for in.
const SMALLEST: f64 = 0.22;
/// Squared levels, in the mean of pixels, that are taken for no contrast.
const FLAT: f32 = 2.0;
/// Pixels of a small picture by which a place may be off and be the whole picture all the same.
const WHOLE_WITHIN: f64 = 0.4;
/// Gain in correlation that a place must bring before it is taken instead of a simpler one.
const WORTH: f32 = 0.01;

/// The rectangle of the reference that the other file's whole picture covers, in parts of the
/// reference's size. It may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Place {
    /// Both show the same, whole.
    pub(super) const WHOLE: Self = Self {
        x: 0.0,
        y: 0.0,
        width: 1.0,
        height: 1.0,
    };

    /// Returns where the reference lies in the other.
    fn inverse(self) -> Self {
        Self {
            x: -self.x / self.width,
            y: -self.y / self.height,
            width: 1.0 / self.width,
            height: 1.0 / self.height,
        }
    }

    /// Returns whether the other file's pictures are the ones to be shrunk, so that none is
    /// compared at more than its own sharpness.
    fn is_inside(self) -> bool {
        self.width * self.height <= 1.0
    }

    fn shares_something(self) -> bool {
        let covered = |at: f64, size: f64| (at + size).min(1.0) - at.max(0.0);
        covered(self.x, self.width) > 0.1 && covered(self.y, self.height) > 0.1
    }
}

/// The way pictures of both files are laid over each other.
#[derive(Debug, Clone)]
pub(super) struct View {
    reference: Option<Warp>,
    other: Option<Warp>,
    /// The blocks that both show, and no mask covers.
    pub(super) used: Vec<usize>,
}

impl View {
    /// Lays the other file's pictures at a place; `masks` are rectangles of the reference.
    pub(super) fn new(place: Place, masks: &[Place], size: Size) -> Self {
        let (mut reference, mut other) = (None, None);
        let mut shown = Place::WHOLE;
        let mut masks = masks.to_vec();
        if place.is_inside() {
            if place != Place::WHOLE {
                other = Some(Warp::new(place, size));
                shown = place;
            }
        } else {
            shown = place.inverse();
            reference = Some(Warp::new(shown, size));
            for mask in &mut masks {
                mask.x = shown.x + mask.x * shown.width;
                mask.y = shown.y + mask.y * shown.height;
                mask.width *= shown.width;
                mask.height *= shown.height;
            }
        }
        let across = size.width / SIDE;
        let (bw, bh) = (
            SIDE as f64 / size.width as f64,
            SIDE as f64 / size.height as f64,
        );
        let used = (0..across * (size.height / SIDE)).filter(|block| {
            let (x, y) = ((block % across) as f64 * bw, (block / across) as f64 * bh);
            let is_shown = x >= shown.x - 1e-9
                && y >= shown.y - 1e-9
                && x + bw <= shown.x + shown.width + 1e-9
                && y + bh <= shown.y + shown.height + 1e-9;
            is_shown
                && masks.iter().all(|mask| {
                    x + bw <= mask.x
                        || y + bh <= mask.y
                        || x >= mask.x + mask.width
                        || y >= mask.y + mask.height
                })
        });
        let used = used.collect();
        Self {
            reference,
            other,
            used,
        }
    }

    /// Lays pictures of the reference.
    pub(super) fn reference(&self, luma: Vec<u8>, size: Size) -> Vec<u8> {
        lay(self.reference.as_ref(), luma, size)
    }

    /// Lays pictures of the other file.
    pub(super) fn other(&self, luma: Vec<u8>, size: Size) -> Vec<u8> {
        lay(self.other.as_ref(), luma, size)
    }
}

fn lay(warp: Option<&Warp>, luma: Vec<u8>, size: Size) -> Vec<u8> {
    let Some(warp) = warp else { return luma };
    let mut laid = vec![0; luma.len()];
    let pictures = luma.par_chunks(size.pixels());
    pictures
        .zip(laid.par_chunks_mut(size.pixels()))
        .for_each(|(picture, laid)| warp.apply(picture, size.width, laid));
    laid
}

/// A picture made smaller and moved: each axis by itself, each value the mean of what it covers.
#[derive(Debug, Clone)]
struct Warp {
    columns: Vec<Taps>,
    rows: Vec<Taps>,
}

/// Weights of neighbours, from the first on.
type Taps = (usize, Vec<f32>);

impl Warp {
    fn new(place: Place, size: Size) -> Self {
        Self {
            columns: taps(place.x, place.width, size.width, size.width),
            rows: taps(place.y, place.height, size.height, size.height),
        }
    }

    fn apply(&self, picture: &[u8], width: usize, output: &mut [u8]) {
        let mut line = vec![0.0f32; width];
        let mut output = output.iter_mut();
        for (top, weights) in &self.rows {
            line.fill(0.0);
            for (row, weight) in picture.chunks(width).skip(*top).zip(weights) {
                for (sum, &value) in line.iter_mut().zip(row) {
                    *sum += weight * f32::from(value);
                }
            }
            for ((left, weights), output) in self.columns.iter().zip(&mut output) {
                let values = line[*left..].iter().zip(weights);
                *output = (values.map(|(v, w)| v * w).sum::<f32>() + 0.5) as u8;
            }
        }
    }
}

/// Returns what each of `to` values takes of `from` values that cover a part of the `to`.
fn taps(at: f64, part: f64, from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / (to as f64 * part);
    let taps = (0..to).map(|index| {
        let middle = (index as f64 + 0.5 - at * to as f64) * scale;
        // At least a pixel wide: then a shift by parts of a pixel mixes two of them.
        let half = scale.max(1.0) / 2.0;
        let (begin, end) = (
            (middle - half).clamp(0.0, from as f64 - 1.0),
            (middle + half).clamp(1.0, from as f64),
        );
        let first = begin.floor() as usize;
        let last = (end.ceil() as usize).clamp(first + 1, from);
        let covered = (first..last).map(|pixel| {
            let pixel = pixel as f64;
            ((pixel + 1.0).min(end) - pixel.max(begin)).max(0.0) as f32
        });
        let mut covered: Vec<f32> = covered.collect();
        let all: f32 = covered.iter().sum();
        for weight in &mut covered {
            *weight /= all.max(1e-6);
        }
        (first, covered)
    });
    taps.collect()
}

/// Pictures of both files that are thought to belong together.
pub(super) type Pairs = [(Vec<u8>, Vec<u8>)];

/// Returns how well pairs (of the reference, of the other) correlate at a place.
pub(super) fn agreement(pairs: &Pairs, place: Place, masks: &[Place], size: Size) -> f32 {
    if !place.shares_something() {
        return 0.0;
    }
    let view = View::new(place, masks, size);
    if view.used.len() < 4 {
        return 0.0;
    }
    let tone = plain();
    let each = pairs.par_iter().map(|(reference, other)| {
        let cut = |luma: Vec<u8>| Frames::cut(0, &luma, size, &view.used, &tone);
        let (reference, other) = (
            cut(view.reference(reference.clone(), size)),
            cut(view.other(other.clone(), size)),
        );
        let frames: Option<(Frame<'_>, Frame<'_>)> = other.get(0).zip(reference.get(0));
        frames.map_or(0.0, |(other, reference)| correlation(other, reference))
    });
    each.sum::<f32>() / pairs.len().max(1) as f32
}

/// Moves and scales a place by ever smaller steps as long as that helps.
pub(super) fn refine(pairs: &Pairs, start: Place, masks: &[Place], size: Size) -> (Place, f32) {
    let before = agreement(pairs, start, masks, size);
    let (mut best, mut score) = (start, before);
    for pixels in [3.0, 1.5, 0.75, 0.375, 0.2] {
        let (dx, dy) = (pixels / size.width as f64, pixels / size.height as f64);
        // x, y, width, height
        let moves = [
            [dx, 0.0, 0.0, 0.0],
            [0.0, dy, 0.0, 0.0],
            [-dx, -dy, 2.0 * dx, 2.0 * dy],
            [-dx, 0.0, 2.0 * dx, 0.0],
            [0.0, -dy, 0.0, 2.0 * dy],
        ];
        for _ in 0..8 {
            let last = score;
            for [x, y, width, height] in moves {
                for sign in [1.0, -1.0] {
                    let place = Place {
                        x: best.x + sign * x,
                        y: best.y + sign * y,
                        width: (best.width + sign * width).max(0.05),
                        height: (best.height + sign * height).max(0.05),
                    };
                    let found = agreement(pairs, place, masks, size);
                    if found > score {
                        (best, score) = (place, found);
                    }
                }
            }
            if score - last < 1e-4 {
                break;
            }
        }
    }
    let off = |at: f64, pixels: usize| at.abs() * (pixels as f64) < WHOLE_WITHIN;
    let is_whole = off(best.x, size.width)
        && off(best.y, size.height)
        && off(best.x + best.width - 1.0, size.width)
        && off(best.y + best.height - 1.0, size.height);
    if is_whole {
        return (Place::WHOLE, score);
    }
    if score < before + WORTH {
        return (start, before);
    }
    (best, score)
}

/// Looks for the other file's pictures in the reference's, and the other way round, at all scales
/// that keep the aspect. Pictures needn't belong together: the place is one for all of them.
pub(super) fn search(
    reference: &[Vec<u8>],
    other: &[Vec<u8>],
    size: Size,
    shown: [(u32, u32); 2],
) -> Option<Place> {
    let halve = |luma: &Vec<u8>| half(luma, size);
    let reference: Vec<Vec<f32>> = reference.iter().map(halve).collect();
    let other: Vec<Vec<f32>> = other.iter().map(halve).collect();
    let size = Size {
        width: size.width / 2,
        height: size.height / 2,
    };
    let aspect = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
    let [in_reference, in_other] = [shown[0], shown[1]].map(aspect);
    let inside = look(&other, &reference, size, in_other / in_reference);
    let around = look(&reference, &other, size, in_reference / in_other);
    let around = around.map(|(score, place)| (score, place.inverse()));
    let better = inside.into_iter().chain(around);
    let better = better.max_by(|a, b| a.0.total_cmp(&b.0));
    better.map(|(_, place)| place)
}

/// Looks for templates in larger pictures; `aspect` is the templates' by the pictures'.
fn look(
    templates: &[Vec<f32>],
    pictures: &[Vec<f32>],
    size: Size,
    aspect: f64,
) -> Option<(f32, Place)> {
    let mut scales = Vec::new();
    let mut scale = 1.0f64;
    while scale >= SMALLEST {
        scales.push((scale * aspect.min(1.0), scale / aspect.max(1.0)));
        // as far as it goes that fills the picture by either side alone
        scale *= 0.955;
    }
    let all = scales.into_par_iter().filter_map(|(width, height)| {
        let small = Size {
            width: (width * size.width as f64).round() as usize,
            height: (height * size.height as f64).round() as usize,
        };
        if small.width < 8 || small.height < 6 {
            return None;
        }
        let (score, x, y) = best_at(templates, pictures, size, small);
        let place = Place {
            x: x as f64 / size.width as f64,
            y: y as f64 / size.height as f64,
            width: small.width as f64 / size.width as f64,
            height: small.height as f64 / size.height as f64,
        };
        Some((score, place))
    });
    all.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// Returns the position where the templates, made small, correlate best: summed over the
/// templates, each with the picture it fits best there.
fn best_at(
    templates: &[Vec<f32>],
    pictures: &[Vec<f32>],
    size: Size,
    small: Size,
) -> (f32, usize, usize) {
    let (across, down) = (size.width - small.width + 1, size.height - small.height + 1);
    let area = small.pixels() as f32;
    let contrasts: Vec<Vec<f32>> = pictures
        .iter()
        .map(|picture| contrasts(picture, size, small))
        .collect();
    let mut sums = vec![0.0f32; across * down];
    for template in templates {
        let mut template = resize(template, size, small);
        let mean = template.iter().sum::<f32>() / area;
        template.iter_mut().for_each(|value| *value -= mean);
        let norm = template.iter().map(|v| v * v).sum::<f32>() + area * FLAT;
        let mut best = vec![0.0f32; across * down];
        for (picture, contrasts) in pictures.iter().zip(&contrasts) {
            for (at, (best, contrast)) in best.iter_mut().zip(contrasts).enumerate() {
                let (x, y) = (at % across, at / across);
                let lines = template.chunks_exact(small.width).enumerate();
                let cross = lines.map(|(row, line)| {
                    let from = (y + row) * size.width + x;
                    product(line, &picture[from..from + small.width])
                });
                *best = best.max(cross.sum::<f32>() / (contrast * norm).sqrt());
            }
        }
        for (sum, best) in sums.iter_mut().zip(best) {
            *sum += best;
        }
    }
    // Few pixels correlate well by chance, and many places are tried.
    let chance = 2.0 / area.sqrt();
    let best = sums.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let (at, sum) = best.map_or((0, 0.0), |(at, sum)| (at, *sum));
    let score = sum / templates.len().max(1) as f32 - chance;
    (score, at % across, at / across)
}

/// Returns the sum of products, in lanes that a processor takes at once.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    lanes.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Returns the contrast of each part of a picture: the sum of squares about its mean.
fn contrasts(picture: &[f32], size: Size, small: Size) -> Vec<f32> {
    let columns = size.width + 1;
    // sums, and sums of squares, of all that is above and to the left
    let mut table = vec![[0.0f64; 2]; columns * (size.height + 1)];
    for (y, line) in picture.chunks_exact(size.width).enumerate() {
        let mut row = [0.0; 2];
        for (x, &value) in line.iter().enumerate() {
            let value = f64::from(value);
            row = [row[0] + value, row[1] + value * value];
            let above = table[y * columns + x + 1];
            table[(y + 1) * columns + x + 1] = [above[0] + row[0], above[1] + row[1]];
        }
    }
    let area = small.pixels() as f64;
    let corners = (0..=size.height - small.height)
        .flat_map(|y| (0..=size.width - small.width).map(move |x| y * columns + x));
    let contrasts = corners.map(|corner| {
        let below = corner + small.height * columns;
        let [sum, square] = [0, 1].map(|which| {
            let at = |index: usize| table[index][which];
            at(below + small.width) - at(below) - at(corner + small.width) + at(corner)
        });
        ((square - sum * sum / area).max(0.0) + area * f64::from(FLAT)) as f32
    });
    contrasts.collect()
}

fn half(luma: &[u8], size: Size) -> Vec<f32> {
    let mut half = Vec::with_capacity(size.pixels() / 4);
    for rows in luma.chunks_exact(2 * size.width) {
        let (above, below) = rows.split_at(size.width);
        for (a, b) in above
            .as_chunks::<2>()
            .0
            .iter()
            .zip(below.as_chunks::<2>().0)
        {
            half.push(a.iter().chain(b).map(|v| f32::from(*v)).sum::<f32>() / 4.0);
        }
    }
    half
}

fn resize(picture: &[f32], size: Size, small: Size) -> Vec<f32> {
    let columns = taps(0.0, 1.0, size.width, small.width);
    let rows = taps(0.0, 1.0, size.height, small.height);
    let mut output = Vec::with_capacity(small.pixels());
    for (top, row_weights) in &rows {
        for (left, weights) in &columns {
            let lines = picture.chunks(size.width).skip(*top).zip(row_weights);
            let sum = lines.map(|(line, weight)| {
                let values = line[*left..].iter().zip(weights);
                weight * values.map(|(v, w)| v * w).sum::<f32>()
            });
            output.push(sum.sum());
        }
    }
    output
}
