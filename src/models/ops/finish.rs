//! The last stage, `Finish`: one more step, the border, rest, and the search's own word.

mod covered;
mod fit;
mod frame;

use self::frame::{Frame, ROWS};
use super::planes::{Planes, PlanesMut, Scratch, allocator, in_parallel};
use super::rows;
use super::stages::{Call, SEARCH_STRIDE, misfit, number};
use super::steps::{Steps, Surrounding, Warp, moments};
use super::{Simd, vectorised};

/// The search's motion is taken where its misfit is less than this share of the network's, and by
/// this much, in colour values.
const FITS: f32 = 0.7;
const CLEARLY: f32 = 0.005;

/// Share of a cell from which on it rests.
const COVERED: f32 = 0.25;

/// Weights of agreement moved and unmoved when a cell is brought to rest, and a bias.
type Rest = [f32; 3];

impl Call<'_> {
    pub(crate) fn finish(&self) -> ort::Result<()> {
        let [pair, motion, found, apart] = [0, 1, 2, 5].map(|index| self.input(index));
        let (pair, motion, found, apart) = (pair?, motion?, found?, apart?);
        let [pair, motion, found, apart] =
            [&pair, &motion, &found, &apart].map(|input| Planes::of(input, "Finish"));
        let (pair, motion, found, apart) = (pair?, motion?, found?, apart?);
        let (rest, phase) = (self.input(3)?, number(&self.input(4)?)?);
        let (_, rest) = rest.try_extract_tensor::<f32>()?;
        let &[moved, unmoved, bias] = rest else {
            return Err(ort::Error::new("Finish takes three numbers for rest"));
        };
        let [channels, height, width] = pair.size();
        let (rows, columns) = (height / 2, width / 2);
        let whole = (height | width) % SEARCH_STRIDE == 0 && height.min(width) > 0;
        if !whole
            || channels != 6
            || motion.size() != [5, rows, columns]
            || found.size() != [29, rows / 2, columns / 2]
            || apart.size() != [2, height / SEARCH_STRIDE, width / SEARCH_STRIDE]
        {
            let sizes = [pair, motion, found, apart].map(|planes| planes.size());
            return Err(misfit("Finish", &sizes));
        }
        let allocator = allocator(self.context)?;
        let mut lumas = Scratch::new(&allocator, [2, height, width])?;
        let mut small = Scratch::new(&allocator, [2, rows, columns])?;
        let mut differences = Scratch::new(&allocator, [2, rows, columns])?;
        let made = [
            lumas.planes_mut(),
            small.planes_mut(),
            differences.planes_mut(),
        ];
        self.resting(pair, made)?;
        let lumas = lumas.planes();
        let mut stepped = Scratch::new(&allocator, [5, rows, columns])?;
        {
            let mut seen = Scratch::new(&allocator, [2, height, width])?;
            let warp = Warp::new(self.simd, lumas, motion, 1.0, phase);
            self.see(&warp, seen.planes_mut(), None)?;
            let seen = seen.planes();
            let mut products = Scratch::new(&allocator, [5, rows, columns])?;
            moments(self.context, self.simd, seen, 2, products.planes_mut())?;
            self.pool_differences(seen, differences.planes_mut())?;
            let seen = [products.planes(), differences.planes()];
            let rest = [moved, unmoved, bias];
            self.step(motion, found, seen, rest, stepped.planes_mut())?;
        }
        let mut settled = Scratch::new(&allocator, [5, rows, columns])?;
        self.settle(motion, stepped.planes(), phase, settled.planes_mut())?;
        drop(stepped);
        let mut covered = Scratch::new(&allocator, [1, rows, columns])?;
        self.cover(&allocator, lumas, apart, covered.planes_mut())?;
        let covered = covered.planes();
        let mut searched = Scratch::new(&allocator, [4, rows, columns])?;
        self.spread(apart, searched.planes_mut())?;
        let candidates = [settled.planes(), searched.planes()];
        let mut fits = [
            Scratch::new(&allocator, [3, rows, columns])?,
            Scratch::new(&allocator, [3, rows, columns])?,
        ];
        for (motion, fit) in candidates.into_iter().zip(&mut fits) {
            self.fit(small.planes(), motion, covered, phase, fit.planes_mut())?;
        }
        let fits = [fits[0].planes(), fits[1].planes()];
        self.output(0, [5, rows, columns], |out| {
            self.choose(candidates, fits, covered, out)
        })
    }

    /// Writes the lumas of a pair, their means in cells of 2x2, and in `differences`' second plane how
    /// much they differ there.
    fn resting(
        &self,
        pair: Planes<'_>,
        [lumas, small, differences]: [PlanesMut<'_>; 3],
    ) -> ort::Result<()> {
        let (simd, width) = (self.simd, pair.width);
        in_parallel(self.context, small.height, ROWS, 16 * width, |range| {
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
                for picture in 0..2 {
                    // SAFETY: as above, and both rows are written.
                    let (from, out) =
                        unsafe { (lumas.rows(picture, 2 * y, 2), small.rows(picture, y, 1)) };
                    let (upper, lower) = from.split_at(width);
                    rows::halve(simd, upper, lower, out);
                }
                // SAFETY: as above.
                let out = unsafe { differences.rows(1, y, 1) };
                rows::halve_sizes(simd, &apart[0], &apart[1], out);
            }
        })
    }

    /// Writes in `differences`' first plane how much the pair as moved differs in cells of 2x2;
    /// `seen` as [`Self::see`] makes it.
    fn pool_differences(&self, seen: Planes<'_>, differences: PlanesMut<'_>) -> ort::Result<()> {
        let (simd, cost) = (self.simd, 4 * differences.width);
        in_parallel(self.context, differences.height, 1, cost, |range| {
            for y in range {
                let (upper, lower) = (seen.row(1, 2 * y), seen.row(1, 2 * y + 1));
                // SAFETY: this call alone has this row.
                let out = unsafe { differences.rows(0, y, 1) };
                rows::halve_sizes(simd, upper, lower, out);
            }
        })
    }

    /// Follows one more step of Lucas and Kanade, and writes what is left of the motion where it is
    /// brought to rest into the fifth plane. `seen`: products of slopes, and differences moved and
    /// unmoved.
    fn step(
        &self,
        motion: Planes<'_>,
        found: Planes<'_>,
        [products, differences]: [Planes<'_>; 2],
        rest: Rest,
        out: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let simd = self.simd;
        let (height, width) = (out.height, out.width);
        in_parallel(self.context, height, ROWS, 64 * width, |range| {
            let mut steps = Steps::new(products, 2);
            let mut surrounding = Surrounding::new(3, width);
            let row = || vec![0.0; width];
            let mut step = [row(), row()];
            let mut agreement = [row(), row()];
            let [mut gate, mut wish] = [row(), row()];
            for y in range {
                let gate_of = |index: usize, out: &mut [f32]| {
                    let column = |column| found.row(21 + 4 * index + 2 * (y % 2) + column, y / 2);
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
                    surrounding.row(simd, row, height, y, agreement);
                }
                let [moved, unmoved] = &agreement;
                // SAFETY: this call alone has this row.
                let share = unsafe { out.rows(4, y, 1) };
                rows::unrest(simd, moved, unmoved, &wish, rest, share);
                for (channel, sign) in [-1.0, -1.0, 1.0, 1.0].into_iter().enumerate() {
                    // SAFETY: as above.
                    let out = unsafe { out.rows(channel, y, 1) };
                    out.copy_from_slice(motion.row(channel, y));
                    rows::add_scaled(simd, &step[channel % 2], sign, out);
                }
            }
        })
    }

    /// Brings motion to rest, but where a picture hasn't got what is wanted: there is nothing to
    /// compare there, and the motion of the nearest place where there is goes on. `stepped` as
    /// [`Self::step`] makes it, `motion` for the mask.
    fn settle(
        &self,
        motion: Planes<'_>,
        stepped: Planes<'_>,
        phase: f32,
        out: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let frame = Frame::new(stepped, phase);
        let (simd, width) = (self.simd, out.width);
        in_parallel(self.context, out.height, ROWS, 32 * width, |range| {
            let mut share = vec![0.0; width];
            for y in range {
                share.copy_from_slice(stepped.row(4, y));
                // SAFETY: this call alone has this row.
                let mut row = [0, 1, 2, 3].map(|channel| unsafe { out.rows(channel, y, 1) });
                for (channel, row) in row.iter_mut().enumerate() {
                    row.copy_from_slice(stepped.row(channel, y));
                }
                for x in 0..width {
                    let velocity = [0, 1, 2, 3].map(|channel| row[channel][x]);
                    let places = frame.places(x, y, velocity);
                    if !frame.is_beyond(places) {
                        continue;
                    }
                    let [column, line] = frame.inwards(x, y, places);
                    let velocity = [0, 1, 2, 3].map(|channel| stepped.row(channel, line)[column]);
                    for (row, velocity) in row.iter_mut().zip(velocity) {
                        row[x] = velocity;
                    }
                    if frame.is_beyond(frame.places(x, y, velocity)) {
                        share[x] = 1.0;
                    }
                }
                for row in row {
                    rows::multiply(simd, &share, row);
                }
                // SAFETY: as above.
                let mask = unsafe { out.rows(4, y, 1) };
                mask.copy_from_slice(motion.row(4, y));
                rows::multiply(simd, &share, mask);
            }
        })
    }

    /// Writes what the search found as motion: x, y to picture 0, then to picture 1.
    fn spread(&self, apart: Planes<'_>, out: PlanesMut<'_>) -> ort::Result<()> {
        let cells = SEARCH_STRIDE / 2;
        in_parallel(self.context, out.height, 1, 4 * out.width, |range| {
            for y in range {
                for (channel, sign) in [-1.0, -1.0, 1.0, 1.0].into_iter().enumerate() {
                    // SAFETY: this call alone has this row.
                    let out = unsafe { out.rows(channel, y, 1) };
                    let from = apart.row(channel % 2, y / cells);
                    for (out, from) in out.chunks_exact_mut(cells).zip(from) {
                        out.fill(from * sign);
                    }
                }
            }
        })
    }

    /// Writes the motion that fits, the network's or the search's, with its mask; none where
    /// something rests.
    fn choose(
        &self,
        [motion, searched]: [Planes<'_>; 2],
        fits: [Planes<'_>; 2],
        covered: Planes<'_>,
        out: PlanesMut<'_>,
    ) -> ort::Result<()> {
        let simd = self.simd;
        let width = out.width;
        in_parallel(self.context, out.height, ROWS, 64 * width, |range| {
            let mut misfits = [fit::Misfit::new(width, 0.0), fit::Misfit::new(width, 1.0)];
            let [mut found, mut other] = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                misfits[0].row(simd, fits[0], y, &mut found);
                misfits[1].row(simd, fits[1], y, &mut other);
                let covered = covered.row(0, y);
                for channel in 0..5 {
                    let [own, other_motion] = [(motion, fits[0]), (searched, fits[1])].map(
                        |(motion, fit)| match channel {
                            4 => fit.row(fit::MASK, y),
                            _ => motion.row(channel, y),
                        },
                    );
                    // SAFETY: this call alone has this row.
                    let out = unsafe { out.rows(channel, y, 1) };
                    choose(simd, own, other_motion, &found, &other, covered, out);
                }
            }
        })
    }
}

vectorised! {
    /// One of two where the other's misfit is clearly less, and nothing where something rests.
    fn choose(
        motion: &[f32], searched: &[f32], found: &[f32], other: &[f32], covered: &[f32],
        out: &mut [f32],
    ) {
        let width = out.len();
        let (motion, searched, covered) = (&motion[..width], &searched[..width], &covered[..width]);
        let (found, other) = (&found[..width], &other[..width]);
        for x in 0..width {
            let chosen = if other[x] < FITS * found[x] - CLEARLY { searched[x] } else { motion[x] };
            out[x] = if covered[x] < COVERED { chosen } else { 0.0 };
        }
    }
}
