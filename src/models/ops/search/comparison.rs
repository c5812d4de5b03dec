//! How unlike two pictures are around every cell, at one displacement after the other.

use std::ops::Range;

use ort::memory::Allocator;
use ort::operator::ComputeContext;

use crate::models::ops::planes::{Planes, Scratch, in_parallel, zeros};
use crate::models::ops::rows;
use crate::models::ops::steps::Surrounding;
use crate::models::ops::{Simd, vectorised};

/// Side of a cell in pixels; every second pixel across and down is compared.
pub(super) const CELL: usize = 4;

/// Side of the square of cells that is compared, and how far it reaches from the one in its middle.
const COMPARED: usize = 9;
const AROUND: usize = COMPARED / 2;

/// Side of the squares whose mean and spread make contrast.
const CONTRAST: usize = 13;

/// Cells that are worked on together: rows are short.
const BLOCK: usize = 16;

/// How much of the luma is added to the contrast.
const BRIGHTNESS: f32 = 6.0;

/// Levels of a unit of contrast, and the largest difference that counts, in levels.
const LEVELS: f32 = 16.0;
const MOST: u8 = 32;

/// Parts that a level is divided into in costs, and a cost of one unit of contrast.
const FINE: f32 = 128.0;
pub(super) const UNIT: f32 = LEVELS * FINE;

/// Share of the places around a cell that have to lie inside both pictures.
const KNOWN: f32 = 0.3;

/// Comparison of two pictures.
pub(super) struct Comparison {
    prints: Fingerprints,
    columns: Axis,
    rows: Axis,
}

/// Sums that a [`Comparison`] uses in between, for one thread.
pub(super) struct Sums {
    /// Differences in the cells.
    apart: Vec<u8>,
    /// Sums of [`COMPARED`] rows of those, with as many zeros at either end as a square reaches.
    columns: Vec<u16>,
    /// Sums of squares, and factors and summands that make costs of them.
    squares: Vec<u16>,
    factors: Vec<f32>,
    summands: Vec<f32>,
}

impl Comparison {
    /// Begins the comparison of two lumas `[2, 4h, 4w]`, at displacements of up to `reach` pixels
    /// each way.
    pub(super) fn new(
        context: &ComputeContext,
        allocator: &Allocator,
        simd: Simd,
        lumas: Planes<'_>,
        reach: usize,
    ) -> ort::Result<Self> {
        Ok(Self {
            prints: fingerprints(context, allocator, simd, lumas)?,
            columns: Axis::new(lumas.width, reach),
            rows: Axis::new(lumas.height, reach),
        })
    }

    /// Returns room for what a thread uses in between when it compares so many rows of cells.
    ///
    /// # Errors
    /// If memory lacks.
    pub(super) fn sums(&self, rows: usize) -> ort::Result<Sums> {
        let width = self.columns.around.len();
        Ok(Sums {
            apart: zeros((rows + 2 * AROUND) * width)?,
            columns: zeros(width + 2 * AROUND)?,
            squares: zeros(width)?,
            factors: zeros(width)?,
            summands: zeros(width)?,
        })
    }

    /// Fills `out` with how unlike the surroundings of some rows of cells are, [`UNIT`] a unit of
    /// contrast, at the displacement with these numbers across and down.
    pub(super) fn compare(
        &self,
        simd: Simd,
        by: [usize; 2],
        rows: Range<usize>,
        sums: &mut Sums,
        out: &mut [u16],
    ) {
        let [xs, ys] = [&self.columns.shifts[by[0]], &self.rows.shifts[by[1]]];
        let width = self.columns.around.len();
        let height = ys.inside.len();
        let needed = rows.start.saturating_sub(AROUND)..(rows.end + AROUND).min(height);
        let Sums {
            apart,
            columns,
            squares,
            factors,
            summands,
        } = sums;
        let apart = &mut apart[..needed.len() * width];
        self.add_up(simd, xs, ys, needed.clone(), apart);
        let apart = |y: usize| &apart[(y - needed.start) * width..][..width];
        columns.fill(0);
        let inner = AROUND..AROUND + width;
        let (mut added, mut counts) = (needed.start, [f32::NAN; 2]);
        for (y, out) in rows.zip(out.chunks_exact_mut(width)) {
            let end = (y + AROUND + 1).min(needed.end);
            for y in added..end {
                add(simd, apart(y), &mut columns[inner.clone()]);
            }
            added = end;
            if let Some(gone) = y.checked_sub(AROUND + 1).filter(|y| needed.contains(y)) {
                subtract(simd, apart(gone), &mut columns[inner.clone()]);
            }
            let count = [ys.inside[y], KNOWN * self.rows.around[y]];
            if count != counts {
                counts = count;
                let around = &self.columns.around;
                relate(simd, &xs.inside, around, counts, factors, summands);
            }
            sum_up(simd, columns, squares);
            weigh(simd, squares, factors, summands, out);
        }
    }

    /// Adds up the differences of the four samples of each cell of some rows.
    fn add_up(&self, simd: Simd, xs: &Shift, ys: &Shift, rows: Range<usize>, apart: &mut [u8]) {
        apart.fill(0);
        let width = self.columns.around.len();
        for (v, u) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let inside = &ys.cells[v];
            let known = inside.start.max(rows.start)..inside.end.min(rows.end);
            let columns = xs.cells[u].clone();
            if known.is_empty() || columns.is_empty() {
                continue;
            }
            let [first, second] = [0, 1].map(|picture| {
                let [y, x] = [(ys, v, known.start), (xs, u, columns.start)]
                    .map(|(shift, sample, cell)| shift.place(picture, sample, cell));
                self.prints.from(picture, y, x)
            });
            let out = &mut apart[(known.start - rows.start) * width + columns.start..];
            let size = [known.len(), columns.len()];
            add_differences(simd, first, second, self.prints.stride(), size, out, width);
        }
    }
}

/// An axis of the pictures.
struct Axis {
    /// Its places at every displacement, from the one furthest back.
    shifts: Vec<Shift>,
    /// Numbers of samples around each cell.
    around: Vec<f32>,
}

/// Places of samples along an axis at a displacement, half of which is taken from either picture.
struct Shift {
    /// Places of both pictures' samples in the first cell, which may lie outside.
    first: [[isize; 2]; 2],
    /// Cells whose sample lies inside both pictures, by sample.
    cells: [Range<usize>; 2],
    /// Numbers of samples around each cell that lie inside both pictures.
    inside: Vec<f32>,
}

impl Axis {
    /// Creates an axis of `size` pixels, with displacements of up to `reach` each way.
    fn new(size: usize, reach: usize) -> Self {
        let reach = reach as isize;
        Self {
            shifts: (-reach..=reach).map(|by| Shift::new(by, size)).collect(),
            around: counts(size / CELL, &[0..size / CELL, 0..size / CELL]),
        }
    }
}

impl Shift {
    fn new(by: isize, size: usize) -> Self {
        // rounded down, also below zero
        let half = by.div_euclid(2);
        let first = [-half, by - half].map(|place| [place, place + 2]);
        let cells = [0, 1].map(|sample| {
            let (one, other) = (first[0][sample], first[1][sample]);
            let (start, end) = (-one.min(other), size as isize - one.max(other));
            // both bounds round up to the next cell
            let [start, end] = [start, end].map(|at| at.max(0).unsigned_abs().div_ceil(CELL));
            start..end.min(size / CELL)
        });
        let inside = counts(size / CELL, &cells);
        Self {
            first,
            cells,
            inside,
        }
    }

    /// Returns the place of a picture's sample in a cell, where it lies inside.
    fn place(&self, picture: usize, sample: usize, cell: usize) -> usize {
        let place = self.first[picture][sample] + (CELL * cell) as isize;
        place.unsigned_abs()
    }
}

/// Returns how many samples there are around each of `count` cells, if only these cells have the one
/// and the other.
fn counts(count: usize, cells: &[Range<usize>; 2]) -> Vec<f32> {
    let within = |around: Range<usize>| {
        let both = cells.iter().map(|cells| {
            let end = around.end.min(cells.end);
            end.saturating_sub(around.start.max(cells.start))
        });
        both.sum::<usize>() as f32
    };
    (0..count)
        .map(|cell| within(cell.saturating_sub(AROUND)..(cell + AROUND + 1).min(count)))
        .collect()
}

/// Pixels of two pictures as they are compared, in whole levels; those whose places leave the same
/// rest divided by [`CELL`] lie side by side.
struct Fingerprints {
    levels: Vec<u8>,
    height: usize,
    width: usize,
}

impl Fingerprints {
    /// Returns a picture's pixels from x, y on, at every fourth x.
    fn from(&self, picture: usize, y: usize, x: usize) -> &[u8] {
        let row = (picture * self.height + y) * CELL + x % CELL;
        &self.levels[row * self.width + x / CELL..]
    }

    /// Returns the distance of a pixel from the one a cell below.
    fn stride(&self) -> usize {
        CELL * CELL * self.width
    }
}

/// Computes what pictures are compared by: the contrast of squares of 2x2 pixels, and some of their
/// brightness.
fn fingerprints(
    context: &ComputeContext,
    allocator: &Allocator,
    simd: Simd,
    lumas: Planes<'_>,
) -> ort::Result<Fingerprints> {
    let [_, height, width] = lumas.size();
    let mut soft = Scratch::new(allocator, [4, height, width])?;
    let made = soft.planes_mut();
    in_parallel(context, height, 1, 8 * width, |range| {
        for y in range {
            for picture in 0..2 {
                let next = lumas.row(picture, (y + 1).min(height - 1));
                // SAFETY: this call alone has these rows.
                let [mean, square] =
                    [picture, picture + 2].map(|channel| unsafe { made.rows(channel, y, 1) });
                soften(simd, lumas.row(picture, y), next, mean);
                rows::squares(simd, mean, square);
            }
        }
    })?;
    let soft = soft.planes();
    let mut prints = Scratch::new(allocator, [2, height, width])?;
    let made = prints.planes_mut();
    in_parallel(context, height, 1, 64 * width, |range| {
        let mut surrounding = Surrounding::new(CONTRAST, width);
        let (mut mean, mut square) = (vec![0.0; width], vec![0.0; width]);
        for y in range {
            for picture in 0..2 {
                for (channel, out) in [(picture, &mut mean), (picture + 2, &mut square)] {
                    surrounding.row(simd, |row| soft.row(channel, row), height, y, out);
                }
                // SAFETY: this call alone has this row.
                let out = unsafe { made.rows(picture, y, 1) };
                looks(simd, soft.row(picture, y), &mean, &square, out);
            }
        }
    })?;
    let prints = prints.planes();
    let columns = width / CELL;
    let mut levels = zeros(2 * height * width)?;
    for (index, out) in levels.chunks_exact_mut(width).enumerate() {
        let row = prints.row(index / height, index % height);
        for (phase, out) in out.chunks_exact_mut(columns).enumerate() {
            round(simd, row, phase, out);
        }
    }
    Ok(Fingerprints {
        levels,
        height,
        width: columns,
    })
}

vectorised! {
    /// Means of 2x2 samples of a row and the next, at every place; the last sample is repeated.
    fn soften(upper: &[f32], lower: &[f32], out: &mut [f32]) {
        let Some(last) = out.len().checked_sub(1) else { return };
        for x in 0..last {
            out[x] = (upper[x] + upper[x + 1] + lower[x] + lower[x + 1]) * 0.25;
        }
        out[last] = (upper[last] + lower[last]) * 0.5;
    }

    /// The contrast of samples, whose spread follows from the mean square around them, and some of
    /// their brightness.
    fn looks(at: &[f32], mean: &[f32], square: &[f32], out: &mut [f32]) {
        let rows = out.iter_mut().zip(at.iter().zip(mean).zip(square));
        for (out, ((at, mean), square)) in rows {
            let spread = (square - mean * mean).max(0.0).sqrt();
            *out = (at - mean) / (spread + 0.01) + BRIGHTNESS * at;
        }
    }

    /// Every fourth sample from `phase` on, as the nearest of the levels from -128 to 127, 128 added.
    fn round(from: &[f32], phase: usize, out: &mut [u8]) {
        for (out, four) in out.iter_mut().zip(from.as_chunks::<CELL>().0) {
            let level = (four[phase % CELL] * LEVELS).clamp(-128.0, 127.0).round_ties_even();
            *out = (level + 128.0) as u8;
        }
    }

    /// Adds the sizes of the differences of so many rows and columns to `out`, [`MOST`] at most. Rows
    /// begin `stride` after each other in what is compared, and `out_stride` in `out`.
    fn add_differences(
        first: &[u8], second: &[u8], stride: usize, size: [usize; 2], out: &mut [u8],
        out_stride: usize,
    ) {
        let [count, width] = size;
        for row in 0..count {
            let out = &mut out[row * out_stride..][..width];
            let (first, second) = (&first[row * stride..][..width], &second[row * stride..][..width]);
            let (out, first, second) = add_blocks::<32>(out, first, second);
            let (out, first, second) = add_blocks::<16>(out, first, second);
            let (out, first, second) = add_blocks::<8>(out, first, second);
            add_blocks::<1>(out, first, second);
        }
    }

    fn add(row: &[u8], sums: &mut [u16]) {
        for (sum, apart) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_add(u16::from(*apart));
        }
    }

    fn subtract(row: &[u8], sums: &mut [u16]) {
        for (sum, apart) in sums.iter_mut().zip(row) {
            *sum = sum.wrapping_sub(u16::from(*apart));
        }
    }

    /// Sums of [`COMPARED`] neighbours.
    fn sum_up(sums: &[u16], out: &mut [u16]) {
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        for (index, out) in blocks.iter_mut().enumerate() {
            let sums = &sums[index * BLOCK..][..BLOCK + 2 * AROUND];
            let mut added = [0_u16; BLOCK];
            for by in 0..COMPARED {
                for (added, sum) in added.iter_mut().zip(&sums[by..by + BLOCK]) {
                    *added = added.wrapping_add(*sum);
                }
            }
            *out = added;
        }
        for (out, sums) in rest.iter_mut().zip(sums[blocks.len() * BLOCK..].windows(COMPARED)) {
            *out = sums.iter().fold(0, |sum, more| sum.wrapping_add(*more));
        }
    }

    /// Factors and summands that make costs of sums. `inside` and `around` are the numbers of samples
    /// around each column, those inside both pictures and all, and `counts` those around the row.
    /// Where the former are too few, cells are as unlike as can be.
    fn relate(
        inside: &[f32], around: &[f32], counts: [f32; 2], factors: &mut [f32], summands: &mut [f32],
    ) {
        let [count, least] = counts;
        let rows = factors.iter_mut().zip(summands).zip(inside.iter().zip(around));
        for ((factor, summand), (inside, around)) in rows {
            let count = inside * count;
            let known = count > around * least;
            *factor = if known { FINE / count.max(1.0) } else { 0.0 };
            *summand = if known { 0.0 } else { f32::from(MOST) * FINE };
        }
    }

    /// Costs of sums, whole numbers.
    fn weigh(sums: &[u16], factors: &[f32], summands: &[f32], out: &mut [u16]) {
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let whole = blocks.len() * BLOCK;
        for (index, out) in blocks.iter_mut().enumerate() {
            let at = index * BLOCK;
            let (sums, factors) = (&sums[at..][..BLOCK], &factors[at..][..BLOCK]);
            let summands = &summands[at..][..BLOCK];
            for i in 0..BLOCK {
                out[i] = cost(sums[i], factors[i], summands[i]);
            }
        }
        let rest = rest.iter_mut().zip(&sums[whole..]);
        for ((out, sum), (factor, summand)) in rest.zip(factors[whole..].iter().zip(&summands[whole..])) {
            *out = cost(*sum, *factor, *summand);
        }
    }
}

/// Returns a sum's cost, a whole number.
#[inline(always)]
fn cost(sum: u16, factor: f32, summand: f32) -> u16 {
    let cost = f32::from(sum) * factor + summand;
    // SAFETY: a number from 0 to `MOST * FINE`, or little more.
    unsafe { cost.to_int_unchecked::<i32>() as u16 }
}

/// Adds the sizes of differences to `out` as far as whole blocks of `N` go, and returns what is left.
#[inline(always)]
fn add_blocks<'a, const N: usize>(
    out: &'a mut [u8],
    first: &'a [u8],
    second: &'a [u8],
) -> (&'a mut [u8], &'a [u8], &'a [u8]) {
    let (blocks, rest) = out.as_chunks_mut::<N>();
    let [(first, first_rest), (second, second_rest)] = [first, second].map(<[u8]>::as_chunks::<N>);
    for (out, (first, second)) in blocks.iter_mut().zip(first.iter().zip(second)) {
        for i in 0..N {
            out[i] = out[i].wrapping_add(first[i].abs_diff(second[i]).min(MOST));
        }
    }
    (rest, first_rest, second_rest)
}
