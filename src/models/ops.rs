//! `GridSample` as an operator of our own for the CPU: ONNX Runtime's takes about half of a flow
//! network's time, this one a fifth of that.
//!
//! Bilinear sampling of `[N, C, H, W]` pictures at `[N, h, w, 2]` positions in -1..1, with zeros
//! or the border outside. A row of positions is turned into places and weights once and used for
//! all channels; rows run in parallel on the runtime's own threads.

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::Float32;

use super::graph::edit::OWN_DOMAIN;

/// The domain with the operators, to be given to a session.
pub(super) fn domain() -> ort::Result<OperatorDomain> {
    OperatorDomain::new(OWN_DOMAIN)?.add(GridSample)
}

struct GridSample;

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
            simd: simd_available(),
        })
    }
}

struct GridSampleKernel {
    sampling: Sampling,
    simd: bool,
}

/// Below this many samples (times channels) a part is not worth another thread.
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

/// How positions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sampling {
    /// Outside is the border's colour, else zero.
    border: bool,
    /// -1 and 1 are the centres of the outermost pixels, else their outer edges.
    align_corners: bool,
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
    simd: bool,
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
        let axes = Axes::new(self.sampling, self.size);
        for row in rows {
            let (n, y) = (row / grid_height, row % grid_height);
            let picture = &self.picture[n * channels * plane..][..channels * plane];
            let grid = &self.grid[row * grid_width * 2..][..grid_width * 2];
            let start = n * channels * out_plane + y * grid_width;
            // SAFETY: the output has N * C * h * w samples; row y of channel 0 of picture n begins
            // at `start`, and those of the other channels lie whole planes further on.
            let row = unsafe {
                Row {
                    output: self.output.0.add(start),
                    stride: out_plane,
                }
            };
            let mut done = 0;
            #[cfg(target_arch = "x86_64")]
            if self.simd {
                // SAFETY: `simd` says that the processor has AVX2 and FMA; `row` is as described.
                done = unsafe { avx2::sample(&axes, picture, plane, grid, &row) };
            }
            // SAFETY: `row` is as described.
            unsafe { sample_from(&axes, picture, plane, grid, &row, done) };
        }
    }
}

/// One row of output in every channel: `grid` samples each, `stride` apart.
struct Row {
    output: *mut f32,
    stride: usize,
}

/// From a position in -1..1 to a place in pixels: `position * scale + offset`, kept within
/// `least..=most`.
#[derive(Clone, Copy, Debug)]
struct Axis {
    scale: f32,
    offset: f32,
    least: f32,
    most: f32,
    last: i32,
}

impl Axis {
    fn new(sampling: Sampling, size: usize) -> Self {
        let last = size as f32 - 1.0;
        let scale = if sampling.align_corners {
            last / 2.0
        } else {
            size as f32 / 2.0
        };
        // with zeros outside, everything further than a pixel away is as far as two
        let (least, most) = if sampling.border {
            (0.0, last)
        } else {
            (-2.0, last + 2.0)
        };
        Self {
            scale,
            offset: last / 2.0,
            least,
            most,
            last: size as i32 - 1,
        }
    }

    /// The two neighbours of a position and their weights.
    fn place(&self, position: f32) -> [(usize, f32); 2] {
        // `max` first: it turns what is no number into `least`
        let place = (position * self.scale + self.offset)
            .max(self.least)
            .min(self.most);
        let floor = place.floor();
        let (near, far) = (1.0 - (place - floor), place - floor);
        [(floor as i32, near), (floor as i32 + 1, far)].map(|(index, weight)| {
            let inside = index.clamp(0, self.last);
            // at the border the neighbour outside has no weight anyway
            (inside as usize, if inside == index { weight } else { 0.0 })
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Axes {
    x: Axis,
    y: Axis,
    width: usize,
}

impl Axes {
    fn new(sampling: Sampling, size: Size) -> Self {
        Self {
            x: Axis::new(sampling, size.width),
            y: Axis::new(sampling, size.height),
            width: size.width,
        }
    }
}

/// Samples a row from position `from` on, one position at a time.
///
/// # Safety
/// `row` points to as many samples a channel as `grid` has positions, in every channel.
unsafe fn sample_from(
    axes: &Axes,
    picture: &[f32],
    plane: usize,
    grid: &[f32],
    row: &Row,
    from: usize,
) {
    for (i, position) in grid.chunks_exact(2).enumerate().skip(from) {
        let [(x0, left), (x1, right)] = axes.x.place(position[0]);
        let [(y0, upper), (y1, lower)] = axes.y.place(position[1]);
        let (row0, row1) = (y0 * axes.width, y1 * axes.width);
        for (channel, pixels) in picture.chunks_exact(plane).enumerate() {
            let value = upper * (left * pixels[row0 + x0] + right * pixels[row0 + x1])
                + lower * (left * pixels[row1 + x0] + right * pixels[row1 + x1]);
            // SAFETY: position i of channel `channel`, within what the caller promises.
            unsafe { row.output.add(channel * row.stride + i).write(value) };
        }
    }
}

fn simd_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Axes, Axis, Row};

    /// Samples the positions of a row eight at a time and returns how many were done.
    ///
    /// # Safety
    /// The processor has AVX2 and FMA; `row` points to as many samples a channel as `grid` has
    /// positions, in every channel; `picture` is whole planes of `plane` pixels, as `axes` says.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn sample(
        axes: &Axes,
        picture: &[f32],
        plane: usize,
        grid: &[f32],
        row: &Row,
    ) -> usize {
        let eights = grid.len() / 16;
        for eight in 0..eights {
            let (xs, ys) = positions(&grid[eight * 16..][..16]);
            let ([x0, x1], [left, right]) = place(&axes.x, xs);
            let ([y0, y1], [upper, lower]) = place(&axes.y, ys);
            let width = _mm256_set1_epi32(axes.width as i32);
            let (row0, row1) = (_mm256_mullo_epi32(y0, width), _mm256_mullo_epi32(y1, width));
            let corners = [
                (_mm256_add_epi32(row0, x0), _mm256_mul_ps(upper, left)),
                (_mm256_add_epi32(row0, x1), _mm256_mul_ps(upper, right)),
                (_mm256_add_epi32(row1, x0), _mm256_mul_ps(lower, left)),
                (_mm256_add_epi32(row1, x1), _mm256_mul_ps(lower, right)),
            ];
            for (channel, pixels) in picture.chunks_exact(plane).enumerate() {
                let mut sum = _mm256_setzero_ps();
                for (index, weight) in corners {
                    // SAFETY: `place` keeps every index within the plane.
                    let value = unsafe { _mm256_i32gather_ps::<4>(pixels.as_ptr(), index) };
                    sum = _mm256_fmadd_ps(value, weight, sum);
                }
                // SAFETY: eight samples of this row, within what the caller promises.
                unsafe {
                    let target = row.output.add(channel * row.stride + eight * 8);
                    _mm256_storeu_ps(target, sum);
                }
            }
        }
        eights * 8
    }

    /// Sixteen values x, y, x, y, ... as eight x and eight y.
    #[target_feature(enable = "avx2,fma")]
    fn positions(grid: &[f32]) -> (__m256, __m256) {
        let grid: &[f32; 16] = match grid.try_into() {
            Ok(grid) => grid,
            Err(_) => return (_mm256_setzero_ps(), _mm256_setzero_ps()),
        };
        // SAFETY: sixteen values are read.
        let (a, b) = unsafe {
            (
                _mm256_loadu_ps(grid.as_ptr()),
                _mm256_loadu_ps(grid.as_ptr().add(8)),
            )
        };
        let low = _mm256_permute2f128_ps::<0x20>(a, b);
        let high = _mm256_permute2f128_ps::<0x31>(a, b);
        (
            _mm256_shuffle_ps::<0b10_00_10_00>(low, high),
            _mm256_shuffle_ps::<0b11_01_11_01>(low, high),
        )
    }

    /// [`Axis::place`] eight times.
    #[target_feature(enable = "avx2,fma")]
    fn place(axis: &Axis, position: __m256) -> ([__m256i; 2], [__m256; 2]) {
        let place = _mm256_fmadd_ps(
            position,
            _mm256_set1_ps(axis.scale),
            _mm256_set1_ps(axis.offset),
        );
        // the second operand wins when the first is no number
        let place = _mm256_max_ps(place, _mm256_set1_ps(axis.least));
        let place = _mm256_min_ps(place, _mm256_set1_ps(axis.most));
        let floor = _mm256_floor_ps(place);
        let far = _mm256_sub_ps(place, floor);
        let near = _mm256_sub_ps(_mm256_set1_ps(1.0), far);
        let index = _mm256_cvtps_epi32(floor);
        let next = _mm256_add_epi32(index, _mm256_set1_epi32(1));
        let (first, near) = inside(axis, index, near);
        let (second, far) = inside(axis, next, far);
        ([first, second], [near, far])
    }

    /// The index within the picture, and the weight, zero if it had to be moved there.
    #[target_feature(enable = "avx2,fma")]
    fn inside(axis: &Axis, index: __m256i, weight: __m256) -> (__m256i, __m256) {
        let low = _mm256_max_epi32(index, _mm256_setzero_si256());
        let inside = _mm256_min_epi32(low, _mm256_set1_epi32(axis.last));
        let kept = _mm256_castsi256_ps(_mm256_cmpeq_epi32(inside, index));
        (inside, _mm256_and_ps(weight, kept))
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
    for (fast, plain) in sampled(simd_available()).iter().zip(sampled(false)) {
        // a position that rounds to the next pixel may differ, what it reads may not be absurd
        assert!(
            (0.0..=64.0).contains(fast) && (0.0..=64.0).contains(&plain),
            "{fast}, {plain}"
        );
    }
}

#[cfg(test)]
mod tests;
