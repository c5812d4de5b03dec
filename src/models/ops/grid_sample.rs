//! `GridSample` as an operator of our own for the CPU: ONNX Runtime's takes about half of a flow
//! network's time, this one a fifth of that.
//!
//! Bilinear sampling of `[N, C, H, W]` pictures at `[N, h, w, 2]` positions in -1..1, with zeros
//! or the border outside.

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::Float32;

use super::sampling::{Axes, Row, Sampling, sample};
use super::{Simd, rows};

pub(crate) struct GridSample;

impl Operator for GridSample {
    type Kernel<'attr> = GridSampleKernel;

    fn name(&self) -> &str {
        "GridSample"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(Float32),
            OperatorInput::required(Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        context: &KernelContext<'attr>,
    ) -> ort::Result<GridSampleKernel> {
        let padding: Option<String> = context.get("padding_mode");
        Ok(GridSampleKernel {
            sampling: Sampling {
                border: padding.as_deref() == Some("border"),
                align_corners: context.get::<i64>("align_corners") == Some(1),
            },
            simd: Simd::best(),
        })
    }
}

pub(crate) struct GridSampleKernel {
    sampling: Sampling,
    simd: Simd,
}

/// Fewest samples (times channels) for which a part is worth another thread.
const PART: usize = 16 * 1024;

impl Kernel for GridSampleKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("GridSample lacks an input or output");
        let picture = context.input(0)?.ok_or_else(missing)?;
        let grid = context.input(1)?.ok_or_else(missing)?;
        let (picture_shape, picture) = picture.try_extract_tensor::<f32>()?;
        let (grid_shape, grid) = grid.try_extract_tensor::<f32>()?;
        let (&[n, c, h, w], &[gn, gh, gw, 2]) = (&**picture_shape, &**grid_shape) else {
            return Err(ort::Error::new(format!(
                "GridSample takes pictures [N, C, H, W] and positions [N, h, w, 2], not {picture_shape:?} and {grid_shape:?}"
            )));
        };
        if n != gn {
            return Err(ort::Error::new(
                "GridSample's pictures and positions differ in number",
            ));
        }
        let mut output = context.output(0, [n, c, gh, gw])?.ok_or_else(missing)?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        if output.is_empty() {
            return Ok(());
        }
        let Some(size) = Size::new([c, h, w, gh, gw].map(|dim| dim as usize)) else {
            return Err(ort::Error::new(
                "GridSample's picture is empty or too large",
            ));
        };
        let rows = n as usize * size.grid_height;
        let part = PART.div_ceil(size.grid_width * size.channels).min(rows);
        let job = Job {
            sampling: self.sampling,
            simd: self.simd,
            size,
            picture,
            grid,
            output: Output(output.as_mut_ptr()),
        };
        let parts = rows.div_ceil(part);
        if parts == 1 {
            job.rows(0..rows);
            return Ok(());
        }
        context.par_for(parts, 0, |index| {
            job.rows(index * part..((index + 1) * part).min(rows));
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Size {
    channels: usize,
    height: usize,
    width: usize,
    grid_height: usize,
    grid_width: usize,
}

impl Size {
    /// Places must fit 32-bit integers, and pixel positions be exact in `f32`.
    fn new([channels, height, width, grid_height, grid_width]: [usize; 5]) -> Option<Self> {
        let fits = |dim| (1..1 << 20).contains(&dim);
        let pixels = height.checked_mul(width)?;
        (fits(height) && fits(width) && pixels < 1 << 30).then_some(Self {
            channels,
            height,
            width,
            grid_height,
            grid_width,
        })
    }
}

/// Where the rows are written: each by one thread only.
struct Output(*mut f32);

// SAFETY: `Job::rows` writes only its own rows, and `compute` gives each row to one call.
unsafe impl Sync for Output {}
// SAFETY: as above; the memory outlives the job.
unsafe impl Send for Output {}

struct Job<'a> {
    sampling: Sampling,
    simd: Simd,
    size: Size,
    picture: &'a [f32],
    grid: &'a [f32],
    output: Output,
}

impl Job<'_> {
    /// Samples some of the `N * h` rows. No two calls at a time may share a row.
    fn rows(&self, rows: std::ops::Range<usize>) {
        let Size {
            channels,
            height,
            width,
            grid_height,
            grid_width,
        } = self.size;
        let (plane, out_plane) = (height * width, grid_height * grid_width);
        let axes = Axes::new(self.sampling, width, height);
        let mut places = vec![0.0; 2 * grid_width];
        let (xs, ys) = places.split_at_mut(grid_width);
        for row in rows {
            let (n, y) = (row / grid_height, row % grid_height);
            let picture = &self.picture[n * channels * plane..][..channels * plane];
            rows::unzip(self.simd, &self.grid[row * grid_width * 2..], xs, ys);
            let start = n * channels * out_plane + y * grid_width;
            // SAFETY: the output has N * C * h * w samples; row y of channel 0 of picture n begins
            // at `start`, and those of the other channels lie whole planes further on. No other call
            // has them.
            unsafe {
                let row = Row {
                    output: self.output.0.add(start),
                    stride: out_plane,
                };
                sample(self.simd, &axes, picture, plane, [xs, ys], &row);
            }
        }
    }
}

/// Samples a picture of the sizes given at any positions, with vector instructions and without:
/// within its memory, and nearly the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_sample([c, h, w, gh, gw, n]: [u8; 6], flags: u8, positions: &[f32]) {
    let sizes = [c % 4 + 1, h % 40 + 1, w % 40 + 1, gh % 8 + 1, gw % 40 + 1].map(usize::from);
    let n = usize::from(n % 2 + 1);
    let [c, h, w, gh, gw] = sizes;
    let Some(size) = Size::new(sizes) else { return };
    let picture: Vec<f32> = (0..n * c * h * w).map(|i| (i * 37 % 64) as f32).collect();
    let positions = positions.iter().copied().chain([0.0]).cycle();
    let grid: Vec<f32> = positions.take(n * gh * gw * 2).collect();
    let sampled = |simd| {
        let mut output = vec![f32::NAN; n * c * gh * gw];
        let job = Job {
            sampling: Sampling {
                border: flags & 1 != 0,
                align_corners: flags & 2 != 0,
            },
            simd,
            size,
            picture: &picture,
            grid: &grid,
            output: Output(output.as_mut_ptr()),
        };
        job.rows(0..n * gh);
        output
    };
    for (fast, plain) in sampled(Simd::best()).iter().zip(sampled(Simd::Plain)) {
        // a position that rounds to the next pixel may differ, what it reads may not be absurd
        assert!(
            (0.0..=64.0).contains(fast) && (0.0..=64.0).contains(&plain),
            "{fast}, {plain}"
        );
    }
}

#[cfg(test)]
mod tests;
