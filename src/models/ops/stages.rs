//! The stages of this project's networks as operators: what each does is written in
//! `training/model.py`, and in standard operators in the files themselves.

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{TensorElementType::Float32, ValueRef};

use super::Simd;
use super::planes::{Planes, PlanesMut, Scratch, allocator, in_parallel};
use super::rows;
use super::sampling::Row;
use super::search::search_wide;
use super::steps::{Steps, Warp, moments, neighbours, repeat_ends};

/// Input pixels per cell of the search.
pub(crate) const SEARCH_STRIDE: usize = 8;

/// Input pixels between the displacements that the search compares.
const STEP: f32 = 2.0;

/// Sides of the input are multiples of it.
const ALIGN: usize = 16;

/// Adds the operators to a domain.
pub(crate) fn add(domain: OperatorDomain) -> ort::Result<OperatorDomain> {
    [
        Stage::Start,
        Stage::Look(16),
        Stage::Look(8),
        Stage::Look(4),
        Stage::Improve(16),
        Stage::Improve(8),
        Stage::Improve(4),
        Stage::Finish,
    ]
    .into_iter()
    .try_fold(domain, |domain, stage| {
        domain.add(StageOperator(stage, stage.name()))
    })
}

/// The stages; numbers are input pixels per cell of the block they belong to.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Start,
    Look(usize),
    Improve(usize),
    Finish,
}

impl Stage {
    fn name(self) -> String {
        match self {
            Self::Start => "Start".into(),
            Self::Look(stride) => format!("Look{stride}"),
            Self::Improve(stride) => format!("Improve{stride}"),
            Self::Finish => "Finish".into(),
        }
    }

    fn inputs_and_outputs(self) -> (usize, usize) {
        match self {
            Self::Start => (3, 5),
            Self::Look(_) => (3, 2),
            Self::Improve(_) => (3, 1),
            Self::Finish => (6, 1),
        }
    }
}

struct StageOperator(Stage, String);

impl Operator for StageOperator {
    type Kernel<'attr> = StageKernel;

    fn name(&self) -> &str {
        &self.1
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let (inputs, _) = self.0.inputs_and_outputs();
        (0..inputs).map(|_| OperatorInput::required(Float32))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let (_, outputs) = self.0.inputs_and_outputs();
        (0..outputs).map(|_| OperatorOutput::required(Float32))
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<StageKernel> {
        Ok(StageKernel {
            stage: self.0,
            simd: Simd::best(),
        })
    }
}

struct StageKernel {
    stage: Stage,
    simd: Simd,
}

impl Kernel for StageKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let call = Call {
            context,
            simd: self.simd,
        };
        match self.stage {
            Stage::Start => call.start(),
            Stage::Look(stride) => call.look(stride),
            Stage::Improve(stride) => call.improve(stride),
            Stage::Finish => call.finish(),
        }
    }
}

/// A stage at work.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a ComputeContext,
    pub(crate) simd: Simd,
}

/// The tensors have sizes that don't go together.
pub(crate) fn misfit(stage: &str, sizes: &[[usize; 3]]) -> ort::Error {
    ort::Error::new(format!("{stage} can't take planes of {sizes:?}"))
}

/// The only number of a tensor.
pub(crate) fn number(value: &ValueRef<'_>) -> ort::Result<f32> {
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    match data {
        [number] => Ok(*number),
        _ => Err(ort::Error::new(format!("a timestep of shape {shape:?}"))),
    }
}

impl Call<'_> {
    pub(crate) fn input(&self, index: usize) -> ort::Result<ValueRef<'_>> {
        let input = self.context.input(index)?;
        input.ok_or_else(|| ort::Error::new("a stage lacks an input"))
    }

    /// Lets `work` fill planes `[channels, height, width]` that become an output.
    pub(crate) fn output(
        &self,
        index: usize,
        size: [usize; 3],
        work: impl FnOnce(PlanesMut<'_>) -> ort::Result<()>,
    ) -> ort::Result<()> {
        let [channels, height, width] = size.map(|dim| dim as i64);
        let output = self.context.output(index, [1, channels, height, width])?;
        let mut output = output.ok_or_else(|| ort::Error::new("a stage lacks an output"))?;
        let (_, data) = output.try_extract_tensor_mut::<f32>()?;
        work(PlanesMut::new(data, size))
    }

    fn start(&self) -> ort::Result<()> {
        let simd = self.simd;
        let (first, second, phase) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let pictures = [Planes::of(&first, "Start")?, Planes::of(&second, "Start")?];
        let phase = number(&phase)?;
        let [channels, height, width] = pictures[0].size();
        let fits = channels == 3 && height.min(width) > 0 && (height | width) % ALIGN == 0;
        if !fits || pictures[1].size() != pictures[0].size() {
            return Err(misfit("Start", &pictures.map(|picture| picture.size())));
        }
        let allocator = allocator(self.context)?;
        let (rows, columns) = (height / SEARCH_STRIDE, width / SEARCH_STRIDE);
        let mut half_lumas = Scratch::new(&allocator, [2, height / 2, width / 2])?;
        let mut lumas = Scratch::new(&allocator, [2, height / 4, width / 4])?;
        self.output(1, [6, height, width], |pair| {
            self.output(2, [6, height / 2, width / 2], |half| {
                self.output(3, [6, height / 4, width / 4], |quarter| {
                    let lumas = [half_lumas.planes_mut(), lumas.planes_mut()];
                    self.shrink(pictures, [pair, half, quarter], lumas)
                })
            })
        })?;
        let mut apart = Scratch::new(&allocator, [2, rows, columns])?;
        let searched = [half_lumas.planes(), lumas.planes()];
        search_wide(self.context, &allocator, simd, searched, apart.planes_mut())?;
        let apart = apart.planes();
        self.output(4, [2, rows, columns], |out| {
            // SAFETY: nobody else has them.
            let found = [0, 1].map(|channel| unsafe { out.rows(channel, 0, rows) });
            for (channel, out) in found.into_iter().enumerate() {
                rows::scale(simd, apart.channel(channel), STEP, out);
            }
            Ok(())
        })?;
        let mut motion = Scratch::new(&allocator, [4, rows, columns])?;
        for (channel, (from, sign)) in [(0, -STEP), (1, -STEP), (0, STEP), (1, STEP)]
            .into_iter()
            .enumerate()
        {
            let motion = motion.planes_mut();
            // SAFETY: nobody else has them.
            let row = unsafe { motion.rows(channel, 0, rows) };
            rows::scale(simd, apart.channel(from), sign, row);
        }
        let motion = motion.planes();
        let warp = Warp::new(simd, lumas.planes(), motion, 0.25, phase);
        let mut seen = Scratch::new(&allocator, [2, 2 * rows, 2 * columns])?;
        self.see(&warp, seen.planes_mut(), None)?;
        let mut products = Scratch::new(&allocator, [5, rows, columns])?;
        moments(self.context, simd, seen.planes(), 2, products.planes_mut())?;
        let products = products.planes();
        self.output(0, [5, rows, columns], |out| {
            in_parallel(self.context, rows, 1, 64 * columns, |range| {
                let mut steps = Steps::new(products, 2);
                let (mut across, mut down) = (vec![0.0; columns], vec![0.0; columns]);
                for y in range {
                    steps.row(simd, y, &mut across, &mut down);
                    let steps = [(&across, -4.0), (&down, -4.0), (&across, 4.0), (&down, 4.0)];
                    for (channel, (step, sign)) in steps.into_iter().enumerate() {
                        // SAFETY: this call alone has this row.
                        let out = unsafe { out.rows(channel, y, 1) };
                        out.copy_from_slice(motion.row(channel, y));
                        rows::add_scaled(simd, step, sign, out);
                    }
                    // SAFETY: as above.
                    unsafe { out.rows(4, y, 1) }.fill(0.0);
                }
            })
        })
    }

    /// Writes both pictures round zero, at their size, half and a quarter of it; and their lumas at
    /// half and a quarter.
    fn shrink(
        &self,
        pictures: [Planes<'_>; 2],
        [pair, half, quarter]: [PlanesMut<'_>; 3],
        lumas: [PlanesMut<'_>; 2],
    ) -> ort::Result<()> {
        let simd = self.simd;
        let width = pair.width;
        let shrink = |from: &[f32], width: usize, out: &mut [f32]| {
            for (from, out) in from
                .chunks_exact(2 * width)
                .zip(out.chunks_exact_mut(width / 2))
            {
                let (upper, lower) = from.split_at(width);
                rows::halve(simd, upper, lower, out);
            }
        };
        in_parallel(self.context, quarter.height, 1, 4 * 6 * width, |range| {
            for y in range {
                for (picture, from) in pictures.iter().enumerate() {
                    let [red, green, blue] = [0, 1, 2].map(|colour| {
                        let channel = 3 * picture + colour;
                        // SAFETY: this call alone has these rows, in all of them.
                        let (pair, half, quarter) = unsafe {
                            (
                                pair.rows(channel, 4 * y, 4),
                                half.rows(channel, 2 * y, 2),
                                quarter.rows(channel, y, 1),
                            )
                        };
                        let from = from.rows(colour, 4 * y, 4);
                        rows::subtract_half(simd, from, pair);
                        shrink(pair, width, half);
                        shrink(half, width / 2, quarter);
                        (&*half, &*quarter)
                    });
                    // SAFETY: as above.
                    let (half, quarter) = unsafe {
                        (
                            lumas[0].rows(picture, 2 * y, 2),
                            lumas[1].rows(picture, y, 1),
                        )
                    };
                    rows::luma(simd, red.0, green.0, blue.0, half);
                    rows::luma(simd, red.1, green.1, blue.1, quarter);
                }
            }
        })
    }

    /// Warps a pair of pictures, in colour or not, and writes the sum of their lumas and by how much the
    /// second is more; and the pictures themselves where there is room for them.
    pub(crate) fn see(
        &self,
        warp: &Warp<'_>,
        seen: PlanesMut<'_>,
        warped: Option<PlanesMut<'_>>,
    ) -> ort::Result<()> {
        let simd = self.simd;
        let (height, width) = (seen.height, seen.width);
        let channels = if warped.is_some() { 3 } else { 1 };
        in_parallel(self.context, height, 1, 8 * channels * width, |range| {
            let mut scratch = warp.scratch();
            let mut lumas = [vec![0.0; width], vec![0.0; width]];
            for y in range {
                for (picture, luma) in lumas.iter_mut().enumerate() {
                    let row = match &warped {
                        Some(warped) => warped.across(3 * picture, y),
                        None => Row {
                            output: luma.as_mut_ptr(),
                            stride: 0,
                        },
                    };
                    // SAFETY: `row` is a luma, or a row of three channels, which this call alone has.
                    unsafe { warp.row(picture, y, &mut scratch, &row) };
                    if let Some(warped) = &warped {
                        // SAFETY: as above.
                        let [red, green, blue] = [0, 1, 2]
                            .map(|channel| unsafe { warped.rows(3 * picture + channel, y, 1) });
                        rows::luma(simd, red, green, blue, luma);
                    }
                }
                // SAFETY: this call alone has this row.
                let (sum, apart) = unsafe { (seen.rows(0, y, 1), seen.rows(1, y, 1)) };
                rows::compare(simd, &lumas[0], &lumas[1], sum, apart);
            }
        })
    }

    fn look(&self, stride: usize) -> ort::Result<()> {
        let simd = self.simd;
        let (pair, motion, phase) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let (pair, motion) = (Planes::of(&pair, "Look")?, Planes::of(&motion, "Look")?);
        let phase = number(&phase)?;
        let [channels, height, width] = pair.size();
        let (rows, columns) = (height / 4, width / 4);
        // how many times finer the motion is than the block's grid
        let finer = motion.width / columns.max(1);
        let fits = (height | width) % 4 == 0 && height.min(width) > 0 && matches!(finer, 1 | 2);
        if !fits || channels != 6 || motion.size() != [5, rows * finer, columns * finer] {
            return Err(misfit("Look", &[pair.size(), motion.size()]));
        }
        let allocator = allocator(self.context)?;
        let mut seen = Scratch::new(&allocator, [2, height, width])?;
        let warp = Warp::new(simd, pair, motion, 4.0 / stride as f32, phase);
        self.output(0, pair.size(), |warped| {
            self.see(&warp, seen.planes_mut(), Some(warped))
        })?;
        let mut products = Scratch::new(&allocator, [5, rows, columns])?;
        moments(self.context, simd, seen.planes(), 4, products.planes_mut())?;
        let products = products.planes();
        self.output(1, [8, rows, columns], |prior| {
            in_parallel(self.context, rows, 1, 32 * columns, |range| {
                let mut steps = Steps::new(products, 4);
                let mut row = vec![0.0; columns];
                for y in range {
                    for channel in 0..5 {
                        let seen = match finer {
                            1 => motion.row(channel, y),
                            _ => {
                                let (upper, lower) =
                                    (motion.row(channel, 2 * y), motion.row(channel, 2 * y + 1));
                                rows::halve(simd, upper, lower, &mut row);
                                &row
                            }
                        };
                        let unit = if channel < 4 {
                            1.0 / stride as f32
                        } else {
                            1.0
                        };
                        // SAFETY: this call alone has this row.
                        rows::scale(simd, seen, unit, unsafe { prior.rows(channel, y, 1) });
                    }
                    // SAFETY: as above.
                    let (plane, across, down) = unsafe {
                        (
                            prior.rows(5, y, 1),
                            prior.rows(6, y, 1),
                            prior.rows(7, y, 1),
                        )
                    };
                    plane.fill(phase);
                    steps.row(simd, y, across, down);
                }
            })
        })
    }

    fn improve(&self, stride: usize) -> ort::Result<()> {
        let simd = self.simd;
        let (motion, prior, found) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let motion = Planes::of(&motion, "Improve")?;
        let (prior, found) = (
            Planes::of(&prior, "Improve")?,
            Planes::of(&found, "Improve")?,
        );
        let [channels, height, width] = found.size();
        // how many times finer the result is than the motion
        let factor = 2 * width / motion.width.max(1);
        let fits = channels >= 21 && height.min(width) > 0 && matches!(factor, 1 | 2);
        if !fits
            || prior.size() != [8, height, width]
            || motion.size() != [5, 2 * height / factor, 2 * width / factor]
        {
            let sizes = [motion.size(), prior.size(), found.size()];
            return Err(misfit("Improve", &sizes));
        }
        let enlarged =
            |upper: &[f32], lower: &[f32], share, factor, padded: &mut [f32], out: &mut [f32]| {
                rows::mix(simd, upper, lower, share, &mut padded[1..][..upper.len()]);
                repeat_ends(padded);
                rows::enlarge(simd, padded, factor, out);
            };
        self.output(0, [5, 2 * height, 2 * width], |out| {
            in_parallel(self.context, 2 * height, 1, 64 * width, |range| {
                let mut padded = vec![0.0; width + 2];
                let mut padded_motion = vec![0.0; motion.width + 2];
                let [mut upper_step, mut lower_step] = [vec![0.0; width], vec![0.0; width]];
                let mut steps = [vec![0.0; 2 * width], vec![0.0; 2 * width]];
                for y in range {
                    let (upper, lower, share) = neighbours(y, 2, height);
                    for (axis, step) in steps.iter_mut().enumerate() {
                        let trusted = |row: usize, out: &mut [f32]| {
                            let (step, trust) = (prior.row(6 + axis, row), found.row(20, row));
                            rows::trusted(simd, step, trust, stride as f32 / 4.0, out);
                        };
                        trusted(upper, &mut upper_step);
                        trusted(lower, &mut lower_step);
                        enlarged(&upper_step, &lower_step, share, 2, &mut padded, step);
                    }
                    let (upper, lower, share) = neighbours(y, factor, motion.height);
                    for channel in 0..5 {
                        // SAFETY: this call alone has this row.
                        let out = unsafe { out.rows(channel, y, 1) };
                        let row = |row| motion.row(channel, row);
                        enlarged(
                            row(upper),
                            row(lower),
                            share,
                            factor,
                            &mut padded_motion,
                            out,
                        );
                        let change = |column| found.row(4 * channel + 2 * (y % 2) + column, y / 2);
                        let unit = if channel < 4 { stride as f32 } else { 1.0 };
                        rows::add_in_turns(simd, change(0), change(1), unit, out);
                        if channel < 4 {
                            let sign = if channel < 2 { -1.0 } else { 1.0 };
                            rows::add_scaled(simd, &steps[channel % 2], sign, out);
                        }
                    }
                }
            })
        })
    }
}

#[cfg(test)]
mod tests;
