//! How well a motion fits a pair of pictures, and which of them has what is wanted.

use super::frame::{Frame, ROWS};
use crate::models::ops::planes::{Planes, PlanesMut, in_parallel};
use crate::models::ops::rows;
use crate::models::ops::sampling::Row;
use crate::models::ops::stages::Call;
use crate::models::ops::steps::{Surrounding, Warp};
use crate::models::ops::{Simd, vectorised};

/// Amount that the mask's logit is moved by where only one picture has what is wanted.
const ONE_SIDED: f32 = 8.0;

/// Share of a cell's surroundings that has to be comparable.
const ENOUGH: f32 = 0.1;

/// Side of the surroundings, in cells.
const AROUND: usize = 5;

/// The planes of a fit: how much of a cell can be compared, how much that differs, and the mask.
const COMPARABLE: usize = 0;
const APART: usize = 1;
pub(super) const MASK: usize = 2;

impl Call<'_> {
    /// Writes how a motion of four channels, or five with a mask, fits lumas as large as it is:
    /// [`COMPARABLE`], [`APART`] and [`MASK`].
    pub(super) fn fit(
        &self,
        lumas: Planes<'_>,
        motion: Planes<'_>,
        covered: Planes<'_>,
        phase: f32,
        out: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let simd = self.simd;
        let frame = Frame::new(motion, phase);
        let warp = Warp::new(simd, lumas, motion, 0.5, phase);
        let width = lumas.width;
        in_parallel(self.context, out.height, ROWS, 64 * width, |range| {
            let mut scratch = warp.scratch();
            let mut aligned = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                for (picture, aligned) in aligned.iter_mut().enumerate() {
                    let row = Row {
                        output: aligned.as_mut_ptr(),
                        stride: 0,
                    };
                    // SAFETY: the row is as wide as the pair, and this thread's own.
                    unsafe { warp.row(picture, y, &mut scratch, &row) };
                }
                // SAFETY: this call alone has this row.
                let [comparable, difference, mask] =
                    [COMPARABLE, APART, MASK].map(|channel| unsafe { out.rows(channel, y, 1) });
                rows::differ(simd, &aligned[0], &aligned[1], difference);
                if motion.channels > 4 {
                    mask.copy_from_slice(motion.row(4, y));
                } else {
                    mask.fill(0.0);
                }
                let velocity = [0, 1, 2, 3].map(|channel| motion.row(channel, y));
                see(simd, y, frame, velocity, covered, comparable, mask);
                rows::multiply(simd, comparable, difference);
            }
        })
    }
}

/// Misfits of cells, by their surroundings.
pub(super) struct Misfit {
    surrounding: Surrounding,
    share: Vec<f32>,
    /// The misfit where too little can be compared.
    unknown: f32,
}

impl Misfit {
    pub(super) fn new(width: usize, unknown: f32) -> Self {
        Self {
            surrounding: Surrounding::new(AROUND, width),
            share: vec![0.0; width],
            unknown,
        }
    }

    /// Writes the misfits of a row, in colour values.
    pub(super) fn row(&mut self, simd: Simd, fit: Planes<'_>, y: usize, out: &mut [f32]) {
        let mut around = |channel: usize, out: &mut [f32]| {
            let row = |row| fit.row(channel, row);
            self.surrounding.row(simd, row, fit.height, y, out);
        };
        around(COMPARABLE, &mut self.share);
        around(APART, out);
        relate(simd, &self.share, self.unknown, out);
    }
}

vectorised! {
    /// Divides differences by the share that could be compared.
    fn relate(share: &[f32], unknown: f32, out: &mut [f32]) {
        for (out, share) in out.iter_mut().zip(share) {
            let misfit = *out / share.max(ENOUGH);
            *out = if *share > ENOUGH { misfit } else { unknown };
        }
    }

    /// How much of a row's cells both pictures have, and for the mask which of them has more.
    fn see(
        y: usize, frame: Frame, velocity: [&[f32]; 4], covered: Planes<'_>,
        comparable: &mut [f32], mask: &mut [f32],
    ) {
        let width = comparable.len();
        let velocity = velocity.map(|row| &row[..width]);
        let mask = &mut mask[..width];
        let here = &covered.row(0, y)[..width];
        let all = covered.channel(0);
        let (last_column, last_row) = (width as f32 - 1.0, covered.height as f32 - 1.0);
        for x in 0..width {
            let places = frame.places(x, y, velocity.map(|row| row[x]));
            let seen = [0, 1].map(|picture| {
                let flow = [0, 1].map(|axis| velocity[2 * picture + axis][x] * frame.shares[picture]);
                let column = (x as f32 + flow[0] / 2.0).round_ties_even().max(0.0).min(last_column);
                let row = (y as f32 + flow[1] / 2.0).round_ties_even().max(0.0).min(last_row);
                let free = 1.0 - all[row as usize * width + column as usize];
                let inside = frame.is_inside([places[2 * picture], places[2 * picture + 1]]);
                if inside { free } else { 0.0 }
            });
            comparable[x] = seen[0] * seen[1] * (1.0 - here[x]);
            mask[x] += ONE_SIDED * (seen[0] - seen[1]);
        }
    }
}
