//! The search over whole displacements that a network begins with (`search` in `training/model.py`).

use ort::memory::Allocator;
use ort::operator::ComputeContext;

use super::planes::{Planes, PlanesMut, Scratch, in_parallel};
use super::rows;
use super::steps::Surrounding;

/// Number of steps of displacement each way, in pixels of the pictures compared.
const REACH: isize = 22;

/// Number of displacements on an axis.
const SIDE: usize = 2 * REACH as usize + 1;

/// Side of a cell in pixels; every second pixel across and down is compared.
const CELL: usize = 4;

/// Side of the square of cells that is compared.
const COMPARED: usize = 9;

/// Side of the squares whose mean and spread make contrast.
const CONTRAST: usize = 13;

/// How much of the luma is added to the contrast.
const BRIGHTNESS: f32 = 6.0;

/// Levels of a unit of contrast, and the largest difference that counts, in units.
const LEVELS: f32 = 16.0;
const MOST: f32 = 2.0;

/// Difference that a step of displacement equals.
const RELUCTANCE: f32 = 0.004;

/// Share of the places around a cell that have to lie inside both pictures.
const KNOWN: f32 = 0.3;

/// Rows of displacements that one thread compares in a go. It needs one more on either side.
const ROWS: usize = 12;

/// Returns how far the second of two lumas `[2, 4h, 4w]` lies beyond the first around every cell:
/// x and y in pixels, `[2, h, w]`.
pub(crate) fn search(
    context: &ComputeContext,
    allocator: &Allocator,
    simd: bool,
    lumas: Planes<'_>,
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let (height, width) = (out.height, out.width);
    let prints = fingerprints(context, allocator, simd, lumas)?;
    let parts = SIDE.div_ceil(ROWS);
    let mut found = Scratch::new(allocator, [3 * parts, height, width])?;
    let best = found.planes_mut();
    let cost = 16 * SIDE * height * width;
    in_parallel(context, SIDE, ROWS, cost, |range| {
        for start in range.clone().step_by(ROWS) {
            // SAFETY: this call alone has this part.
            let [least, xs, ys] =
                [0, 1, 2].map(|i| unsafe { best.rows(3 * (start / ROWS) + i, 0, height) });
            let mut best = Best { least, xs, ys };
            let rows = start..(start + ROWS).min(range.end);
            search_rows(simd, &prints, rows, [height, width], &mut best);
        }
    })?;
    let found = found.planes();
    // SAFETY: nobody else has them.
    let (across, down) = unsafe { (out.rows(0, 0, height), out.rows(1, 0, height)) };
    across.copy_from_slice(found.channel(1));
    down.copy_from_slice(found.channel(2));
    let mut least = found.channel(0).to_vec();
    for part in 1..parts {
        let [other, x, y] = [0, 1, 2].map(|i| found.channel(3 * part + i));
        rows::keep_best(simd, [other, x, y], &mut least, across, down);
    }
    Ok(())
}

/// Best displacement around every cell so far, and its judgement.
struct Best<'a> {
    least: &'a mut [f32],
    xs: &'a mut [f32],
    ys: &'a mut [f32],
}

/// Judges the displacements of some rows.
fn search_rows(
    simd: bool,
    prints: &Fingerprints,
    rows: std::ops::Range<usize>,
    [height, width]: [usize; 2],
    best: &mut Best<'_>,
) {
    best.least.fill(f32::INFINITY);
    let cells = height * width;
    let mut comparison = Comparison::new(prints, [height, width]);
    let mut costs = [(); 3].map(|()| vec![0.0; SIDE * cells]);
    let mut fill = |down: usize, costs: &mut [f32]| {
        for (across, costs) in costs.chunks_exact_mut(cells).enumerate() {
            comparison.compare(simd, [across, down], costs);
        }
    };
    fill(rows.start.saturating_sub(1), &mut costs[0]);
    fill(rows.start, &mut costs[1]);
    for row in rows {
        fill((row + 1).min(SIDE - 1), &mut costs[2]);
        let [above, here, below] = &costs;
        for across in 0..SIDE {
            let (left, right) = (across.saturating_sub(1), (across + 1).min(SIDE - 1));
            let by = [across, row].map(|step| step as f32 - REACH as f32);
            let length = RELUCTANCE * (by[0] * by[0] + by[1] * by[1]).sqrt();
            let around = [
                (here, left),
                (here, right),
                (above, across),
                (below, across),
            ]
            .map(|(costs, across)| &costs[across * cells..][..cells]);
            let at = &here[across * cells..][..cells];
            let Best { least, xs, ys } = &mut *best;
            rows::judge(simd, at, &around, length, by, least, xs, ys);
        }
        costs.rotate_left(1);
    }
}

/// What two pictures are compared by, in whole levels; pixels whose places leave the same rest
/// divided by [`CELL`] lie side by side.
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
    simd: bool,
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
                rows::soften(simd, lumas.row(picture, y), next, mean);
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
                surrounding.row(simd, |row| soft.row(picture, row), height, y, &mut mean);
                surrounding.row(
                    simd,
                    |row| soft.row(picture + 2, row),
                    height,
                    y,
                    &mut square,
                );
                // SAFETY: this call alone has this row.
                let out = unsafe { made.rows(picture, y, 1) };
                rows::looks(simd, soft.row(picture, y), &mean, &square, BRIGHTNESS, out);
            }
        }
    })?;
    let prints = prints.planes();
    let columns = width / CELL;
    let mut levels = vec![0; 2 * height * width];
    for (index, out) in levels.chunks_exact_mut(width).enumerate() {
        let row = prints.row(index / height, index % height);
        for (phase, out) in out.chunks_exact_mut(columns).enumerate() {
            rows::levels(simd, row, phase, LEVELS, out);
        }
    }
    Ok(Fingerprints {
        levels,
        height,
        width: columns,
    })
}

/// A comparison of two pictures at one displacement after the other.
struct Comparison<'a> {
    prints: &'a Fingerprints,
    height: usize,
    width: usize,
    /// Sums of differences in the cells.
    apart: Vec<u8>,
    /// Sums of [`COMPARED`] rows of those, with as many zeros at either end as a sum reaches over.
    columns: Vec<u16>,
    /// Numbers of samples inside both pictures around each column, and of all samples there.
    counts: Vec<f32>,
    wanted: Vec<f32>,
    /// Numbers of samples inside both pictures around each row, and of those that are wanted.
    rows: Vec<[f32; 2]>,
}

/// Places of the samples of a row of cells that lie inside both pictures.
struct Inside {
    /// Place of the first picture's samples in the first cell, and of the second's, by sample.
    first: [isize; 2],
    second: [isize; 2],
    /// Size of the pictures.
    size: isize,
}

impl Inside {
    /// Half of a displacement `by` is taken from either picture.
    fn new(by: isize, size: usize) -> Self {
        // rounded down, also below zero
        let half = by.div_euclid(2);
        Self {
            first: [-half, 2 - half],
            second: [by - half, 2 + by - half],
            size: size as isize,
        }
    }

    /// Returns the cells whose sample lies inside both pictures.
    fn cells(&self, sample: usize) -> std::ops::Range<usize> {
        let (first, second) = (self.first[sample], self.second[sample]);
        let cell = CELL as isize;
        let start = (-first.min(second)).max(0);
        let end = self.size - first.max(second);
        // both bounds round up to the next cell
        let [start, end] = [start, end].map(|place| (place + cell - 1).div_euclid(cell).max(0));
        start as usize..end.min(self.size / cell) as usize
    }

    /// Returns the number of samples inside both pictures around a cell.
    fn count(&self, cell: usize) -> f32 {
        let count = (self.size / CELL as isize) as usize;
        let around = cell.saturating_sub(COMPARED / 2)..(cell + COMPARED / 2 + 1).min(count);
        let inside = [self.cells(0), self.cells(1)].map(|cells| {
            let end = around.end.min(cells.end);
            end.saturating_sub(around.start.max(cells.start))
        });
        (inside[0] + inside[1]) as f32
    }
}

/// Returns the number of cells around one of `count`, itself included.
fn surroundings(cell: usize, count: usize) -> usize {
    (cell + COMPARED / 2 + 1).min(count) - cell.saturating_sub(COMPARED / 2)
}

impl<'a> Comparison<'a> {
    fn new(prints: &'a Fingerprints, [height, width]: [usize; 2]) -> Self {
        Self {
            prints,
            height,
            width,
            apart: vec![0; height * width],
            columns: vec![0; width + COMPARED - 1],
            counts: vec![0.0; width],
            wanted: (0..width)
                .map(|x| 4.0 * surroundings(x, width) as f32)
                .collect(),
            rows: vec![[0.0; 2]; height],
        }
    }

    /// Fills `out` with how unlike the surroundings of every cell are, at the displacement with
    /// these numbers across and down.
    fn compare(&mut self, simd: bool, by: [usize; 2], out: &mut [f32]) {
        let [across, down] = by.map(|step| step as isize - REACH);
        let xs = Inside::new(across, self.width * CELL);
        let ys = Inside::new(down, self.height * CELL);
        self.differences(simd, &xs, &ys);
        for (x, count) in self.counts.iter_mut().enumerate() {
            *count = xs.count(x);
        }
        for (y, row) in self.rows.iter_mut().enumerate() {
            *row = [ys.count(y), KNOWN * surroundings(y, self.height) as f32];
        }
        self.columns.fill(0);
        let (apart, columns) = (&self.apart, &mut self.columns);
        rows::surroundings(
            simd,
            apart,
            columns,
            &self.counts,
            &self.wanted,
            &self.rows,
            out,
        );
    }

    /// Adds up the differences of the four samples of each cell.
    fn differences(&mut self, simd: bool, xs: &Inside, ys: &Inside) {
        self.apart.fill(0);
        for (v, u) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (rows, columns) = (ys.cells(v), xs.cells(u));
            if rows.is_empty() || columns.is_empty() {
                continue;
            }
            let samples = |picture: usize, top: isize, left: isize| {
                let y = (top + (CELL * rows.start) as isize) as usize;
                let x = left + (CELL * columns.start) as isize;
                self.prints.from(picture, y, x as usize)
            };
            let first = samples(0, ys.first[v], xs.first[u]);
            let second = samples(1, ys.second[v], xs.second[u]);
            rows::add_differences(
                simd,
                first,
                second,
                self.prints.stride(),
                (MOST * LEVELS) as u8,
                rows.len(),
                columns.len(),
                &mut self.apart[rows.start * self.width + columns.start..],
                self.width,
            );
        }
    }
}
