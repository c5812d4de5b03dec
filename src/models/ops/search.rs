//! The search over whole displacements that a network begins with (`search` in `training/model.py`).

use ort::memory::Allocator;
use ort::operator::ComputeContext;

use super::planes::{Planes, PlanesMut, Scratch, in_parallel};
use super::rows;
use super::steps::Surrounding;

/// How far it goes each way, in cells.
const REACH: usize = 5;
const SIDE: usize = 2 * REACH + 1;

/// How much of the luma is added to the contrast.
const BRIGHTNESS: f32 = 6.0;

/// How much a difference counts, and what difference a cell of displacement equals.
const SHARPNESS: f32 = 25.0;
const RELUCTANCE: f32 = 0.03;

/// The side of the squares whose mean and spread make contrast, and of those that are compared.
const CONTRAST: usize = 7;
const COMPARED: usize = 9;

/// How far the second of two lumas lies beyond the first around every cell: x and y, in cells.
pub(crate) fn search(
    context: &ComputeContext,
    allocator: &Allocator,
    simd: bool,
    lumas: Planes<'_>,
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let [_, height, width] = lumas.size();
    let mut looks = Scratch::new(allocator, [2, height + 2 * REACH, width + 2 * REACH])?;
    looked(context, simd, lumas, looks.planes_mut())?;
    let looks = looks.planes();
    let mut differences = Scratch::new(allocator, [SIDE * SIDE, height, width])?;
    let every = differences.planes_mut();
    in_parallel(context, SIDE * SIDE, 1, 16 * height * width, |range| {
        let mut apart = vec![0.0; height * width];
        let mut surrounding = Surrounding::new(COMPARED, width);
        for index in range {
            compare(simd, &looks, index, &mut apart);
            let [x, y] = displacement(index);
            let reluctance = RELUCTANCE * x.hypot(y);
            for row in 0..height {
                // SAFETY: this call alone has this displacement.
                let out = unsafe { every.rows(index, row, 1) };
                let apart = |row| &apart[row * width..][..width];
                surrounding.row(simd, apart, height, row, out);
                out.iter_mut()
                    .for_each(|difference| *difference += reluctance);
            }
        }
    })?;
    let differences = differences.planes();
    in_parallel(context, height, 1, 16 * SIDE * SIDE * width, |range| {
        let (mut least, mut total) = (vec![0.0; width], vec![0.0; width]);
        for y in range {
            least.fill(f32::INFINITY);
            total.fill(0.0);
            for index in 0..SIDE * SIDE {
                rows::least(simd, differences.row(index, y), &mut least);
            }
            // SAFETY: this call alone has this row.
            let (across, down) = unsafe { (out.rows(0, y, 1), out.rows(1, y, 1)) };
            across.fill(0.0);
            down.fill(0.0);
            for index in 0..SIDE * SIDE {
                let difference = differences.row(index, y);
                let by = displacement(index);
                rows::weigh(
                    simd, difference, &least, SHARPNESS, by, &mut total, across, down,
                );
            }
            rows::divide(simd, &total, across);
            rows::divide(simd, &total, down);
        }
    })
}

/// Returns how far number `index` goes across and down, in cells.
fn displacement(index: usize) -> [f32; 2] {
    [index % SIDE, index / SIDE].map(|step| step as f32 - REACH as f32)
}

/// Computes what pictures are compared by: their contrast and some of their brightness, with the
/// edges repeated as far as a displacement goes.
fn looked(
    context: &ComputeContext,
    simd: bool,
    lumas: Planes<'_>,
    out: PlanesMut<'_>,
) -> ort::Result<()> {
    let [_, height, width] = lumas.size();
    in_parallel(context, 2, 1, 64 * height * width, |range| {
        let mut squares = vec![0.0; height * width];
        let mut surrounding = Surrounding::new(CONTRAST, width);
        let (mut mean, mut square) = (vec![0.0; width], vec![0.0; width]);
        for picture in range {
            let luma = lumas.channel(picture);
            rows::squares(simd, luma, &mut squares);
            // SAFETY: this call alone has this picture.
            let out = unsafe { out.rows(picture, 0, out.height) };
            let padded = width + 2 * REACH;
            for y in 0..height {
                surrounding.row(simd, |row| lumas.row(picture, row), height, y, &mut mean);
                let row = |row| &squares[row * width..][..width];
                surrounding.row(simd, row, height, y, &mut square);
                let out = &mut out[(y + REACH) * padded..][..padded];
                let luma = lumas.row(picture, y);
                let inner = &mut out[REACH..][..width];
                rows::looks(simd, luma, &mean, &square, BRIGHTNESS, inner);
                let (first, last) = (inner[0], inner[width - 1]);
                out[..REACH].fill(first);
                out[REACH + width..].fill(last);
            }
            for y in 0..REACH {
                out.copy_within(REACH * padded..(REACH + 1) * padded, y * padded);
                let last = (REACH + height - 1) * padded;
                out.copy_within(last..last + padded, (REACH + height + y) * padded);
            }
        }
    })
}

/// How much the pictures differ at a displacement, half of which is taken from either.
fn compare(simd: bool, looks: &Planes<'_>, index: usize, out: &mut [f32]) {
    let width = looks.width - 2 * REACH;
    let [(x0, x1), (y0, y1)] = [index % SIDE, index / SIDE].map(|step| {
        let whole = step as isize - REACH as isize;
        // rounded down, also below zero
        let half = whole.div_euclid(2);
        let place = |shift: isize| (REACH as isize + shift) as usize;
        (place(-half), place(whole - half))
    });
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        let (first, second) = (looks.row(0, y + y0), looks.row(1, y + y1));
        rows::differences(simd, &first[x0..], &second[x1..], out);
    }
}
