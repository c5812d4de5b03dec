//! What rests though its surroundings move: letters over a pan.

use ort::memory::Allocator;

use super::frame::ROWS;
use crate::models::ops::planes::{Planes, PlanesMut, Scratch, in_parallel, zeros};
use crate::models::ops::rows;
use crate::models::ops::stages::{Call, SEARCH_STRIDE};
use crate::models::ops::steps::Surrounding;
use crate::models::ops::{Simd, vectorised};

/// Displacement in pixels up to which nothing is looked for that rests.
const SLOW: f32 = 2.0;

/// What rests differs less than the first on average around it and by less than the third itself, and
/// moved it differs more than the second times as much, and the first. Colour values.
const SAME: f32 = 0.04;
const TIMES: f32 = 3.0;
const STILL: f32 = 0.02;

/// More than any difference.
const UNKNOWN: f32 = 9.0;

/// Side of the squares of pixels that are compared.
const AROUND: usize = 3;

impl Call<'_> {
    /// Writes how much of each cell of 2x2 pixels rests though the surroundings lie `apart`.
    pub(super) fn cover(
        &self,
        allocator: &Allocator,
        lumas: Planes<'_>,
        apart: Planes<'_>,
        out: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let (simd, height, width) = (self.simd, lumas.height, lumas.width);
        let displacements = displacements(apart)?;
        let displacements = |y: usize| {
            let blocks = width / SEARCH_STRIDE;
            &displacements[y / SEARCH_STRIDE * blocks..][..blocks]
        };
        let mut differences = Scratch::new(allocator, [3, height, width])?;
        let made = differences.planes_mut();
        in_parallel(self.context, height, SEARCH_STRIDE, 8 * width, |range| {
            for y in range {
                // SAFETY: this call alone has these rows.
                let [unmoved, forth, back] = [0, 1, 2].map(|c| unsafe { made.rows(c, y, 1) });
                rows::differ(simd, lumas.row(0, y), lumas.row(1, y), unmoved);
                for (picture, sign, out) in [(0, 1, forth), (1, -1, back)] {
                    let blocks = lumas.row(picture, y).chunks_exact(SEARCH_STRIDE);
                    let blocks = blocks.zip(out.chunks_exact_mut(SEARCH_STRIDE));
                    let blocks = blocks.zip(displacements(y)).enumerate();
                    for (block, ((here, out), by)) in blocks {
                        let by = by.map(|by| sign * by);
                        let row = moved(y, by[1], height);
                        let there = lumas.row(1 - picture, row);
                        let first = block * SEARCH_STRIDE;
                        let start = moved(first, by[0], width);
                        let whole = first.checked_add_signed(by[0]) == Some(start);
                        match there.get(start..start + SEARCH_STRIDE) {
                            Some(there) if whole => rows::differ(simd, here, there, out),
                            _ => {
                                for (x, (out, here)) in out.iter_mut().zip(here).enumerate() {
                                    *out = (here - there[moved(first + x, by[0], width)]).abs();
                                }
                            }
                        }
                    }
                }
            }
        })?;
        let differences = differences.planes();
        let mut rests = Scratch::new(allocator, [1, height, width])?;
        let made = rests.planes_mut();
        in_parallel(self.context, height, SEARCH_STRIDE, 32 * width, |range| {
            let mut surrounding = Surrounding::new(AROUND, width);
            let mut means = [vec![0.0; width], vec![0.0; width], vec![0.0; width]];
            let mut limits = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                for (channel, mean) in means.iter_mut().enumerate() {
                    let row = |row| differences.row(channel, row);
                    surrounding.row(simd, row, height, y, mean);
                }
                for (limits, sign) in limits.iter_mut().zip([1, -1]) {
                    limit(displacements(y), y, sign, height, limits);
                }
                // SAFETY: this call alone has this row.
                let out = unsafe { made.rows(0, y, 1) };
                let [unmoved, forth, back] = &means;
                let [forth_limit, back_limit] = &limits;
                rest(simd, unmoved, forth, back, forth_limit, back_limit, out);
            }
        })?;
        let rests = rests.planes();
        in_parallel(self.context, out.height, ROWS, 16 * width, |range| {
            let mut padded = vec![0.0; width + 2];
            let mut grown = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                for (line, grown) in grown.iter_mut().enumerate() {
                    let row = 2 * y + line;
                    let (above, below) = (row.saturating_sub(1), (row + 1).min(height - 1));
                    let [above, here, below] = [above, row, below].map(|row| rests.row(0, row));
                    let apart = differences.row(0, row);
                    grow(simd, above, here, below, apart, &mut padded, grown);
                }
                // SAFETY: this call alone has this row.
                let out = unsafe { out.rows(0, y, 1) };
                rows::halve(simd, &grown[0], &grown[1], out);
            }
        })
    }
}

/// Returns the displacements of blocks, x and y in whole pixels.
///
/// # Errors
/// If memory lacks.
fn displacements(apart: Planes<'_>) -> ort::Result<Vec<[isize; 2]>> {
    let mut displacements = zeros(apart.height * apart.width)?;
    let both = apart.channel(0).iter().zip(apart.channel(1));
    for (out, (x, y)) in displacements.iter_mut().zip(both) {
        *out = [x, y].map(|by| by.round_ties_even() as isize);
    }
    Ok(displacements)
}

/// Returns a place on an axis of `size` moved by so many pixels; the border stops it.
fn moved(place: usize, by: isize, size: usize) -> usize {
    place.saturating_add_signed(by).min(size - 1)
}

/// Writes the least difference that a row's pixels have where they moved to, `sign` times as the
/// search says: [`UNKNOWN`] where nothing moves, or to beyond the border.
fn limit(displacements: &[[isize; 2]], y: usize, sign: isize, height: usize, limits: &mut [f32]) {
    let width = limits.len();
    let is_inside = |place: usize, by: isize, size: usize| {
        place
            .checked_add_signed(by)
            .is_some_and(|place| place < size)
    };
    let blocks = limits.chunks_exact_mut(SEARCH_STRIDE).zip(displacements);
    for (block, (limits, by)) in blocks.enumerate() {
        let length = by.map(|by| (by * by) as f32).iter().sum::<f32>();
        let by = by.map(|by| sign * by);
        let known = length > SLOW * SLOW && is_inside(y, by[1], height);
        let first = block * SEARCH_STRIDE;
        let ends = [first, first + SEARCH_STRIDE - 1].map(|x| is_inside(x, by[0], width));
        if !known || ends == [true; 2] {
            limits.fill(if known { 0.0 } else { UNKNOWN });
            continue;
        }
        for (x, limit) in limits.iter_mut().enumerate() {
            let known = is_inside(first + x, by[0], width);
            *limit = if known { 0.0 } else { UNKNOWN };
        }
    }
}

vectorised! {
    /// Whether pixels rest, 1 or 0: by differences unmoved, moved forth and back, and the least that
    /// the latter can be.
    fn rest(
        unmoved: &[f32], forth: &[f32], back: &[f32], forth_limit: &[f32], back_limit: &[f32],
        out: &mut [f32],
    ) {
        let width = out.len();
        let (unmoved, forth, back) = (&unmoved[..width], &forth[..width], &back[..width]);
        let (forth_limit, back_limit) = (&forth_limit[..width], &back_limit[..width]);
        for x in 0..width {
            let moved = forth[x].max(forth_limit[x]).min(back[x].max(back_limit[x]));
            let rests = unmoved[x] < SAME && moved > TIMES * unmoved[x] + SAME && moved < UNKNOWN;
            out[x] = if rests { 1.0 } else { 0.0 };
        }
    }

    /// Pixels that rest, or lie beside one that does and are the same in both pictures.
    fn grow(
        above: &[f32], here: &[f32], below: &[f32], apart: &[f32], padded: &mut [f32],
        out: &mut [f32],
    ) {
        let width = out.len();
        let inner = &mut padded[1..][..width];
        for (x, inner) in inner.iter_mut().enumerate() {
            *inner = above[x].max(here[x]).max(below[x]);
        }
        let (padded, apart) = (&padded[..width + 2], &apart[..width]);
        for x in 0..width {
            let most = padded[x].max(padded[x + 1]).max(padded[x + 2]);
            out[x] = if apart[x] < STILL { most } else { 0.0 };
        }
    }
}
