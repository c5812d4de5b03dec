//! The search over whole displacements that a network begins with (`search` in `training/model.py`).

mod comparison;

use std::ops::Range;

use ort::memory::Allocator;
use ort::operator::ComputeContext;

use self::comparison::{Comparison, UNIT};
use super::planes::{Planes, PlanesMut, Scratch, in_parallel, zeros};
use super::{Simd, vectorised};
use crate::sync::{Mutex, PoisonError, lock};

/// Number of steps of displacement each way, in pixels of the pictures compared.
const REACH: usize = 22;

/// Number of displacements on an axis.
const SIDE: usize = 2 * REACH + 1;

/// Difference that a step of displacement equals.
const RELUCTANCE: f32 = 0.004;

/// Rows of cells that one thread searches in a go: what it compares them by fits in its cache.
const ROWS: usize = 12;

/// Number of cells that are looked at together.
const BLOCK: usize = 32;

/// Judgement of rest where nothing else is found.
const NOTHING: f32 = 8.0;

/// A displacement found at half the size takes the place of one found at the whole where it lies
/// beyond that one's reach, and its judgement is less than this share of the other's, and by this much.
const LIKELIER: f32 = 0.8;
const SURELY: f32 = 0.02;

/// Writes how far the second of two lumas `[2, 4h, 4w]` lies beyond the first around every cell, x
/// and y in pixels, `[2, h, w]`: by a search in them, and by one in `halved`, which are half as large.
pub(crate) fn search_wide(
    context: &ComputeContext,
    allocator: &Allocator,
    simd: Simd,
    [lumas, halved]: [Planes<'_>; 2],
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let (height, width) = (out.height, out.width);
    let mut near = Scratch::new(allocator, [3, height, width])?;
    search(context, allocator, simd, lumas, near.planes_mut())?;
    let mut far = Scratch::new(allocator, [3, height / 2, width / 2])?;
    search(context, allocator, simd, halved, far.planes_mut())?;
    let (near, far) = (near.planes(), far.planes());
    for y in 0..height {
        // SAFETY: nobody else has them.
        let (across, down) = unsafe { (out.rows(0, y, 1), out.rows(1, y, 1)) };
        across.copy_from_slice(near.row(0, y));
        down.copy_from_slice(near.row(1, y));
        for x in 0..width {
            let [far_x, far_y, judged] = [0, 1, 2].map(|channel| far.row(channel, y / 2)[x / 2]);
            let by = [2.0 * far_x, 2.0 * far_y];
            let beyond = by[0].abs().max(by[1].abs()) > REACH as f32;
            if beyond && judged < LIKELIER * near.row(2, y)[x] - SURELY {
                (across[x], down[x]) = (by[0], by[1]);
            }
        }
    }
    Ok(())
}

/// Writes how far the second of two lumas `[2, 4h, 4w]` lies beyond the first around every cell: x
/// and y in pixels, and the judgement of that, `[3, h, w]`.
fn search(
    context: &ComputeContext,
    allocator: &Allocator,
    simd: Simd,
    lumas: Planes<'_>,
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let (height, width) = (out.height, out.width);
    let comparison = Comparison::new(context, allocator, simd, lumas, REACH)?;
    let outcome = Mutex::new(Ok(()));
    in_parallel(context, height, ROWS, 16 * SIDE * SIDE * width, |range| {
        for start in range.clone().step_by(ROWS) {
            let rows = start..(start + ROWS).min(range.end);
            // SAFETY: this call alone has these rows.
            let [across, down, least] =
                [0, 1, 2].map(|channel| unsafe { out.rows(channel, start, rows.len()) });
            let found = search_rows(simd, &comparison, rows, [least, across, down]);
            if let Err(lack) = found {
                *lock(&outcome) = Err(lack);
                return;
            }
        }
    })?;
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Best displacements around cells so far.
pub(super) struct Best<'a> {
    /// Their judgements, and these in units of costs, rounded up.
    least: &'a mut [f32],
    limits: &'a mut [u16],
    across: &'a mut [f32],
    down: &'a mut [f32],
}

/// Costs of a displacement around cells, and of its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Costs<'a> {
    at: &'a [u16],
    left: &'a [u16],
    right: &'a [u16],
    above: &'a [u16],
    below: &'a [u16],
}

/// Searches some rows of cells.
fn search_rows(
    simd: Simd,
    comparison: &Comparison,
    rows: Range<usize>,
    [least, across, down]: [&mut [f32]; 3],
) -> ort::Result<()> {
    let cells = least.len();
    let mut limits = zeros(cells)?;
    limits.fill(u16::MAX);
    least.fill(NOTHING);
    across.fill(0.0);
    down.fill(0.0);
    let mut best = Best {
        least,
        limits: &mut limits,
        across,
        down,
    };
    let mut sums = comparison.sums(rows.len())?;
    let mut costs = [
        zeros(SIDE * cells)?,
        zeros(SIDE * cells)?,
        zeros(SIDE * cells)?,
    ];
    let mut fill = |down: usize, costs: &mut [u16]| {
        for (across, costs) in costs.chunks_exact_mut(cells).enumerate() {
            comparison.compare(simd, [across, down], rows.clone(), &mut sums, costs);
        }
    };
    fill(0, &mut costs[0]);
    fill(0, &mut costs[1]);
    for row in 0..SIDE {
        fill((row + 1).min(SIDE - 1), &mut costs[2]);
        let [above, here, below] = &costs;
        for across in 0..SIDE {
            let range = |across: usize| across * cells..(across + 1) * cells;
            let costs = Costs {
                at: &here[range(across)],
                left: &here[range(across.saturating_sub(1))],
                right: &here[range((across + 1).min(SIDE - 1))],
                above: &above[range(across)],
                below: &below[range(across)],
            };
            let by = [across, row].map(|step| step as f32 - REACH as f32);
            judge(simd, by, costs, &mut best);
        }
        costs.rotate_left(1);
    }
    Ok(())
}

vectorised! {
    /// Judges a displacement: only where it costs no more than its neighbours, and by what it would
    /// cost between whole displacements. Keeps the best.
    fn judge(by: [f32; 2], costs: Costs<'_>, best: &mut Best<'_>) {
        let length = RELUCTANCE * (by[0] * by[0] + by[1] * by[1]).sqrt();
        let least = (length * UNIT) as u16;
        let cells = costs.at.len();
        let whole = cells - cells % BLOCK;
        for start in (0..whole).step_by(BLOCK) {
            // few are better than what was found before: only these are looked at one by one
            if costs.may_be_better::<BLOCK>(start, least, best.limits) {
                for cell in start..start + BLOCK {
                    costs.judge(cell, by, length, best);
                }
            }
        }
        for cell in whole..cells {
            costs.judge(cell, by, length, best);
        }
    }
}

impl Costs<'_> {
    /// Returns whether one of `N` cells from `start` on may be judged less than its limit; `length` is
    /// what the displacement's length costs at least.
    #[inline(always)]
    fn may_be_better<const N: usize>(&self, start: usize, length: u16, limits: &[u16]) -> bool {
        let (at, limits) = (&self.at[start..][..N], &limits[start..][..N]);
        let (left, right) = (&self.left[start..][..N], &self.right[start..][..N]);
        let (above, below) = (&self.above[start..][..N], &self.below[start..][..N]);
        let mut any = 0;
        for i in 0..N {
            let lowest = left[i].min(right[i]).min(above[i].min(below[i]));
            let between = above[i].abs_diff(below[i]) + left[i].abs_diff(right[i]);
            let judgement = at[i].saturating_sub(between.div_ceil(2)) + length;
            any |= u16::from(at[i] <= lowest) & u16::from(judgement < limits[i]);
        }
        any != 0
    }

    /// Judges the displacement around one cell.
    #[inline(always)]
    fn judge(&self, cell: usize, by: [f32; 2], length: f32, best: &mut Best<'_>) {
        let (at, left, right) = (self.at[cell], self.left[cell], self.right[cell]);
        let (above, below) = (self.above[cell], self.below[cell]);
        if at > left.min(right).min(above.min(below)) {
            return;
        }
        let cost = f32::from(at);
        let between = f32::from(above.abs_diff(below) + left.abs_diff(right)) * 0.5;
        let judgement = (cost - between).max(0.0) / UNIT + length;
        if judgement < best.least[cell] {
            let place = |before: u16, behind: u16| {
                let slope = (f32::from(before.max(behind)) - cost).max(1.0);
                (f32::from(before) - f32::from(behind)) / (2.0 * slope)
            };
            best.least[cell] = judgement;
            best.limits[cell] = (judgement * UNIT).ceil() as u16;
            best.across[cell] = by[0] + place(left, right);
            best.down[cell] = by[1] + place(above, below);
        }
    }
}
