//! Pictures warped by motion, and steps of Lucas and Kanade between them: what several stages share.

use ort::operator::ComputeContext;

use super::planes::{Planes, PlanesMut, in_parallel};
use super::sampling::{Axes, Row, sample};
use super::{Simd, rows};

/// Both pictures of a pair, warped to a phase by a motion (x, y to picture 0, then to picture 1)
/// from a grid 1, 2 or 4 times coarser.
pub(crate) struct Warp<'a> {
    simd: Simd,
    pair: Planes<'a>,
    motion: Planes<'a>,
    /// Factors that the motion is multiplied by to become offsets in pixels, to picture 0 and 1.
    shares: [f32; 2],
    factor: usize,
    axes: Axes,
}

/// Rows that a [`Warp`] uses in between, for one thread.
pub(crate) struct WarpRows {
    mixed: Vec<f32>,
    padded: Vec<f32>,
    places: [Vec<f32>; 2],
}

impl<'a> Warp<'a> {
    /// `unit`: pixels of the pictures for a motion of 1 at a phase of 1.
    pub(crate) fn new(
        simd: Simd,
        pair: Planes<'a>,
        motion: Planes<'a>,
        unit: f32,
        phase: f32,
    ) -> Self {
        Self {
            simd,
            pair,
            motion,
            shares: [phase * unit, (1.0 - phase) * unit],
            factor: pair.width / motion.width,
            axes: Axes::of_places(pair.width, pair.height),
        }
    }

    pub(crate) fn scratch(&self) -> WarpRows {
        WarpRows {
            mixed: vec![0.0; self.motion.width],
            padded: vec![0.0; self.motion.width + 2],
            places: [vec![0.0; self.pair.width], vec![0.0; self.pair.width]],
        }
    }

    /// Row `y` of all channels of a picture.
    ///
    /// # Safety
    /// As [`sample`] says of `out`, for rows as wide as the pair.
    pub(crate) unsafe fn row(&self, picture: usize, y: usize, scratch: &mut WarpRows, out: &Row) {
        let WarpRows {
            mixed,
            padded,
            places,
        } = scratch;
        let (upper, lower, share) = neighbours(y, self.factor, self.motion.height);
        for (axis, places) in places.iter_mut().enumerate() {
            let row = |row| self.motion.row(2 * picture + axis, row);
            rows::mix(self.simd, row(upper), row(lower), share, mixed);
            let scale = self.shares[picture];
            rows::scale(self.simd, mixed, scale, &mut padded[1..][..mixed.len()]);
            repeat_ends(padded);
            rows::enlarge(self.simd, padded, self.factor, places);
        }
        let [xs, ys] = places;
        rows::add_places(self.simd, xs);
        for place in ys.iter_mut() {
            *place += y as f32;
        }
        let channels = self.pair.channels / 2;
        let plane = self.pair.height * self.pair.width;
        let picture = self.pair.channels_from(picture * channels, channels);
        // SAFETY: as the caller promises.
        unsafe { sample(self.simd, &self.axes, picture, plane, [xs, ys], out) };
    }
}

/// The rows that row `y` of a grid `factor` times finer lies between, and the second one's share.
pub(crate) fn neighbours(y: usize, factor: usize, height: usize) -> (usize, usize, f32) {
    let place = ((y as f32 + 0.5) / factor as f32 - 0.5).max(0.0);
    let upper = (place as usize).min(height - 1);
    (upper, (upper + 1).min(height - 1), place - upper as f32)
}

/// Sets the first and the last sample to their neighbours.
pub(crate) fn repeat_ends(padded: &mut [f32]) {
    if let [first, second, .., before, last] = padded {
        (*first, *last) = (*second, *before);
    } else if let [first, only, last] = padded {
        (*first, *last) = (*only, *only);
    }
}

/// The mean products of slopes and differences in cells of `cell` x `cell` pixels of `seen`, the sum
/// of two lumas and by how much the second is more: five planes.
pub(crate) fn moments(
    context: &ComputeContext,
    simd: Simd,
    seen: Planes<'_>,
    cell: usize,
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let width = seen.width;
    in_parallel(context, out.height, 1, 4 * cell * width, |range| {
        let mut sums = vec![0.0; 5 * width];
        for y in range {
            sums.fill(0.0);
            let mut parts = sums.chunks_exact_mut(width);
            let mut parts: [&mut [f32]; 5] =
                std::array::from_fn(|_| parts.next().unwrap_or_default());
            for row in y * cell..(y + 1) * cell {
                let middle = |row: usize| seen.row(0, row.min(seen.height - 1));
                let above = middle(row.saturating_sub(1));
                let (middle, below) = (middle(row), middle(row + 1));
                rows::moments(simd, above, middle, below, seen.row(1, row), &mut parts);
            }
            for (channel, sums) in parts.iter().enumerate() {
                // SAFETY: this call alone has this row.
                let row = unsafe { out.rows(channel, y, 1) };
                rows::pool(simd, sums, cell, cell, row);
            }
        }
    })
}

/// Means over squares round each place, of which only what lies inside counts.
pub(crate) struct Surrounding {
    reach: usize,
    /// One over how many count, in each column.
    inverse: Vec<f32>,
    padded: Vec<f32>,
}

impl Surrounding {
    /// `size`: of the squares, odd.
    pub(crate) fn new(size: usize, width: usize) -> Self {
        let reach = size / 2;
        let count = |x: usize| (x + reach).min(width - 1) + 1 - x.saturating_sub(reach);
        Self {
            reach,
            inverse: (0..width).map(|x| 1.0 / count(x) as f32).collect(),
            padded: vec![0.0; width + 2 * reach],
        }
    }

    /// Row `y` of what `row` gives the rows of, `height` in number.
    pub(crate) fn row<'a>(
        &mut self,
        simd: Simd,
        row: impl Fn(usize) -> &'a [f32],
        height: usize,
        y: usize,
        out: &mut [f32],
    ) {
        let (first, last) = (
            y.saturating_sub(self.reach),
            (y + self.reach).min(height - 1),
        );
        let share = 1.0 / (last + 1 - first) as f32;
        let inner = &mut self.padded[self.reach..][..out.len()];
        rows::scale(simd, row(first), share, inner);
        for other in first + 1..=last {
            rows::add_scaled(simd, row(other), share, inner);
        }
        rows::sums(simd, &self.padded, 2 * self.reach + 1, &self.inverse, out);
    }
}

/// Steps of Lucas and Kanade by [`moments`] and what surrounds them.
pub(crate) struct Steps<'a> {
    moments: Planes<'a>,
    surrounding: Surrounding,
    means: Vec<f32>,
}

impl<'a> Steps<'a> {
    /// `cell` as in [`moments`]: a surrounding of some twelve pixels counts.
    pub(crate) fn new(moments: Planes<'a>, cell: usize) -> Self {
        Self {
            moments,
            surrounding: Surrounding::new((12 / cell - 1) / 2 * 2 + 1, moments.width),
            means: vec![0.0; 5 * moments.width],
        }
    }

    /// Those of a row: how far picture 1 lies beyond picture 0, in pixels.
    pub(crate) fn row(&mut self, simd: Simd, y: usize, across: &mut [f32], down: &mut [f32]) {
        let width = self.moments.width;
        for (channel, out) in self.means.chunks_exact_mut(width).enumerate() {
            let row = |row| self.moments.row(channel, row);
            self.surrounding.row(simd, row, self.moments.height, y, out);
        }
        let mut means = self.means.chunks_exact(width);
        let means = std::array::from_fn(|_| means.next().unwrap_or_default());
        rows::solve(simd, &means, across, down);
    }
}
