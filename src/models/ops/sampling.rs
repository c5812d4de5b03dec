//! Bilinear sampling of planes at any positions: a row of positions is turned into places and weights
//! once and used for all channels.

use super::Simd;

/// How positions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// Outside is the border's colour, else zero.
    pub(crate) border: bool,
    /// -1 and 1 are the centres of the outermost pixels, else their outer edges.
    pub(crate) align_corners: bool,
}

/// One row of output in every channel: a sample for each position, `stride` apart.
pub(crate) struct Row {
    pub(crate) output: *mut f32,
    pub(crate) stride: usize,
}

/// Samples a row of positions in every channel of `picture`, planes of `plane` pixels as `axes` says.
///
/// # Safety
/// `row` points to as many samples a channel as there are positions, in every channel, which nobody
/// else has at the time.
pub(crate) unsafe fn sample(
    simd: Simd,
    axes: &Axes,
    picture: &[f32],
    plane: usize,
    positions: [&[f32]; 2],
    row: &Row,
) {
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if simd >= Simd::Avx2 {
        // SAFETY: `simd` says that the processor has AVX2 and FMA; `row` is as described.
        done = unsafe { avx2::sample(axes, picture, plane, positions, row) };
    }
    // SAFETY: `row` is as described.
    unsafe { sample_from(axes, picture, plane, positions, row, done) };
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

    /// For positions that are places, with the border outside.
    fn of_places(size: usize) -> Self {
        Self {
            scale: 1.0,
            offset: 0.0,
            least: 0.0,
            most: size as f32 - 1.0,
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
pub(crate) struct Axes {
    x: Axis,
    y: Axis,
    width: usize,
}

impl Axes {
    /// For pictures of at least a pixel, whose positions go from -1 to 1.
    pub(crate) fn new(sampling: Sampling, width: usize, height: usize) -> Self {
        Self {
            x: Axis::new(sampling, width),
            y: Axis::new(sampling, height),
            width,
        }
    }

    /// For positions in pixels, and the border outside.
    pub(crate) fn of_places(width: usize, height: usize) -> Self {
        Self {
            x: Axis::of_places(width),
            y: Axis::of_places(height),
            width,
        }
    }
}

/// Samples a row from position `from` on, one position at a time.
///
/// # Safety
/// `row` points to as many samples a channel as there are positions, in every channel.
unsafe fn sample_from(
    axes: &Axes,
    picture: &[f32],
    plane: usize,
    [xs, ys]: [&[f32]; 2],
    row: &Row,
    from: usize,
) {
    for (i, (x, y)) in xs.iter().zip(ys).enumerate().skip(from) {
        let [(x0, left), (x1, right)] = axes.x.place(*x);
        let [(y0, upper), (y1, lower)] = axes.y.place(*y);
        let (row0, row1) = (y0 * axes.width, y1 * axes.width);
        for (channel, pixels) in picture.chunks_exact(plane).enumerate() {
            let value = upper * (left * pixels[row0 + x0] + right * pixels[row0 + x1])
                + lower * (left * pixels[row1 + x0] + right * pixels[row1 + x1]);
            // SAFETY: position i of channel `channel`, within what the caller promises.
            unsafe { row.output.add(channel * row.stride + i).write(value) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Axes, Axis, Row};

    /// Samples the positions of a row eight at a time and returns how many were done: none where
    /// pictures are a single column, as neighbours are read in pairs.
    ///
    /// # Safety
    /// The processor has AVX2 and FMA; `row` points to as many samples a channel as there are
    /// positions, in every channel; `picture` is whole planes of `plane` pixels, as `axes` says.
    #[target_feature(enable = "avx2,fma")]
    pub(crate) unsafe fn sample(
        axes: &Axes,
        picture: &[f32],
        plane: usize,
        [xs, ys]: [&[f32]; 2],
        row: &Row,
    ) -> usize {
        if axes.width < 2 {
            return 0;
        }
        let (xs, ys) = (xs.as_chunks::<8>().0, ys.as_chunks::<8>().0);
        let eights = xs.len().min(ys.len());
        let width = _mm256_set1_epi32(axes.width as i32);
        for (eight, (xs, ys)) in xs.iter().zip(ys).enumerate() {
            // SAFETY: eight values each are read.
            let (xs, ys) = unsafe { (_mm256_loadu_ps(xs.as_ptr()), _mm256_loadu_ps(ys.as_ptr())) };
            let (x, [left, right]) = pair(&axes.x, xs);
            let (rows, [upper, lower]) = place(&axes.y, ys);
            let rows = rows.map(|y| {
                let index = _mm256_add_epi32(_mm256_mullo_epi32(y, width), x);
                // so that the pairs of eight pixels come out of `across` in their order
                let index = _mm256_permute4x64_epi64::<0b11_01_10_00>(index);
                let half = _mm256_extracti128_si256::<1>(index);
                [_mm256_castsi256_si128(index), half]
            });
            let weights = [upper, lower]
                .map(|share| [_mm256_mul_ps(share, left), _mm256_mul_ps(share, right)]);
            for (channel, pixels) in picture.chunks_exact(plane).enumerate() {
                let mut sum = _mm256_setzero_ps();
                for (row, [left, right]) in rows.iter().zip(weights) {
                    let [a, b] = row.map(|index| {
                        // SAFETY: `pair` and `place` keep every index and the next within a row.
                        let pairs =
                            unsafe { _mm256_i32gather_pd::<4>(pixels.as_ptr().cast(), index) };
                        _mm256_castpd_ps(pairs)
                    });
                    let first = _mm256_shuffle_ps::<0b10_00_10_00>(a, b);
                    let second = _mm256_shuffle_ps::<0b11_01_11_01>(a, b);
                    sum = _mm256_fmadd_ps(first, left, sum);
                    sum = _mm256_fmadd_ps(second, right, sum);
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

    /// The first of two neighbours, which both lie within the picture, and the weights of both: as
    /// [`Axis::place`] has them, but for where they had to be moved.
    #[target_feature(enable = "avx2,fma")]
    fn pair(axis: &Axis, position: __m256) -> (__m256i, [__m256; 2]) {
        let (index, near, far) = split(axis, position);
        let one = _mm256_set1_epi32(1);
        let low = _mm256_max_epi32(index, _mm256_setzero_si256());
        let first = _mm256_min_epi32(low, _mm256_set1_epi32(axis.last - 1));
        let kept = |here: __m256i, weight: __m256| {
            _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(here, first)), weight)
        };
        let next = _mm256_add_epi32(index, one);
        let before = _mm256_sub_epi32(index, one);
        let left = _mm256_or_ps(kept(index, near), kept(next, far));
        let right = _mm256_or_ps(kept(index, far), kept(before, near));
        (first, [left, right])
    }

    /// [`Axis::place`] eight times.
    #[target_feature(enable = "avx2,fma")]
    fn place(axis: &Axis, position: __m256) -> ([__m256i; 2], [__m256; 2]) {
        let (index, near, far) = split(axis, position);
        let next = _mm256_add_epi32(index, _mm256_set1_epi32(1));
        let (first, near) = inside(axis, index, near);
        let (second, far) = inside(axis, next, far);
        ([first, second], [near, far])
    }

    /// The neighbour before a position, its weight, and the next one's.
    #[target_feature(enable = "avx2,fma")]
    fn split(axis: &Axis, position: __m256) -> (__m256i, __m256, __m256) {
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
        (_mm256_cvtps_epi32(floor), near, far)
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
