//! The last stage, `Finish`: one more step, and rest.

use super::planes::{Planes, PlanesMut, Scratch, allocator, in_parallel};
use super::rows;
use super::stages::{Call, misfit, number};
use super::steps::{Steps, Surrounding, Warp, moments};

impl Call<'_> {
    pub(crate) fn finish(&self) -> ort::Result<()> {
        let simd = self.simd;
        let (pair, motion, found) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let (rest, phase) = (self.input(3)?, self.input(4)?);
        let pair = Planes::of(&pair, "Finish")?;
        let (motion, found) = (
            Planes::of(&motion, "Finish")?,
            Planes::of(&found, "Finish")?,
        );
        let phase = number(&phase)?;
        let [channels, height, width] = pair.size();
        let (rows, columns) = (height / 2, width / 2);
        let fits = channels == 6 && (height | width) % 4 == 0 && height.min(width) > 0;
        let (_, rest) = rest.try_extract_tensor::<f32>()?;
        let &[moving, resting, bias] = rest else {
            return Err(ort::Error::new("Finish takes three numbers for rest"));
        };
        if !fits
            || motion.size() != [5, rows, columns]
            || found.size() != [29, rows / 2, columns / 2]
        {
            let sizes = [pair.size(), motion.size(), found.size()];
            return Err(misfit("Finish", &sizes));
        }
        let allocator = allocator(self.context)?;
        let mut lumas = Scratch::new(&allocator, [2, height, width])?;
        let mut differences = Scratch::new(&allocator, [2, rows, columns])?;
        self.resting(pair, lumas.planes_mut(), differences.planes_mut())?;
        let mut seen = Scratch::new(&allocator, [2, height, width])?;
        let warp = Warp::new(simd, lumas.planes(), motion, 1.0, phase);
        self.see(&warp, seen.planes_mut(), None)?;
        let seen = seen.planes();
        let mut products = Scratch::new(&allocator, [5, rows, columns])?;
        moments(self.context, simd, seen, 2, products.planes_mut())?;
        let products = products.planes();
        let agreement = differences.planes_mut();
        in_parallel(self.context, rows, 1, 4 * columns, |range| {
            for y in range {
                let (upper, lower) = (seen.row(1, 2 * y), seen.row(1, 2 * y + 1));
                // SAFETY: this call alone has this row.
                rows::halve_sizes(simd, upper, lower, unsafe { agreement.rows(0, y, 1) });
            }
        })?;
        let differences = differences.planes();
        self.output(0, [5, rows, columns], |out| {
            in_parallel(self.context, rows, 1, 64 * columns, |range| {
                let mut steps = Steps::new(products, 2);
                let mut surrounding = Surrounding::new(3, columns);
                let row = || vec![0.0; columns];
                let mut step = [row(), row()];
                let mut agreement = [row(), row()];
                let [mut gate, mut wish, mut share, none] = [row(), row(), row(), row()];
                for y in range {
                    let gate_of = |index: usize, out: &mut [f32]| {
                        let column =
                            |column| found.row(21 + 4 * index + 2 * (y % 2) + column, y / 2);
                        out.fill(0.0);
                        rows::add_in_turns(simd, column(0), column(1), 1.0, out);
                    };
                    gate_of(0, &mut gate);
                    gate_of(1, &mut wish);
                    let [across, down] = &mut step;
                    steps.row(simd, y, across, down);
                    for step in &mut step {
                        rows::trusted(simd, &step.clone(), &gate, 1.0, step);
                    }
                    for (index, agreement) in agreement.iter_mut().enumerate() {
                        let row = |row| differences.row(index, row);
                        surrounding.row(simd, row, rows, y, agreement);
                    }
                    let [moved, unmoved] = &agreement;
                    let rest = [moving, resting, bias];
                    rows::unrest(simd, moved, unmoved, &wish, rest, &mut share);
                    let [across, down] = &step;
                    let steps = [
                        (across, -1.0),
                        (down, -1.0),
                        (across, 1.0),
                        (down, 1.0),
                        (&none, 0.0),
                    ];
                    for (channel, (step, sign)) in steps.into_iter().enumerate() {
                        // SAFETY: this call alone has this row.
                        let out = unsafe { out.rows(channel, y, 1) };
                        rows::moved(simd, motion.row(channel, y), step, sign, &share, out);
                    }
                }
            })
        })
    }

    /// The lumas of a pair, and in `differences`' second plane how much they differ in cells of 2x2.
    fn resting(
        &self,
        pair: Planes<'_>,
        lumas: PlanesMut<'_>,
        differences: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let (simd, width) = (self.simd, pair.width);
        in_parallel(self.context, differences.height, 1, 16 * width, |range| {
            let mut sum = vec![0.0; width];
            let mut apart = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                for (line, apart) in apart.iter_mut().enumerate() {
                    let row = 2 * y + line;
                    // SAFETY: this call alone has these rows.
                    let [first, second] =
                        [0, 1].map(|picture| unsafe { lumas.rows(picture, row, 1) });
                    for (picture, luma) in [&mut *first, &mut *second].into_iter().enumerate() {
                        let [red, green, blue] = [0, 1, 2].map(|c| pair.row(3 * picture + c, row));
                        rows::luma(simd, red, green, blue, luma);
                    }
                    rows::compare(simd, first, second, &mut sum, apart);
                }
                // SAFETY: as above.
                let out = unsafe { differences.rows(1, y, 1) };
                rows::halve_sizes(simd, &apart[0], &apart[1], out);
            }
        })
    }
}
