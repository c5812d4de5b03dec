//! The kernels for AVX2 and FMA: eight pixels at a time, without gathers.
//!
//! Flow is smooth, so the pixels that four neighbours are made from mostly lie in one window of
//! 16 bytes a row. One load and one byte shuffle then fetch all of them; gathers would take about
//! ten times as long. Where neighbours part ways (another row, too far apart), the window is
//! placed again for those left over, at most four times, so that any flow gives a right result.
//! Pixels wider than two bytes fill a window each, and always have their own; so have those whose
//! channels count as much as one of them does.
//!
//! Weights along a row are integers (13 bits for bytes, split into two signed bytes for
//! `vpmaddubsw`; 14 bits for words), so a row of four pixels costs two to five instructions;
//! weights across rows are `f32` and include the mask. Against the reference that is off by at most
//! 0.3 levels before rounding, up to 12 bits. Of 16 bits it would be eight, and samples don't fit
//! signed words: there weights and sums along a row are `f32`, too.

use std::arch::x86_64::*;

use super::{
    Job, Sampling,
    field::{self, PARTS},
};
use crate::frames::{Plane, PlaneFormat, Sample};
use taps::{Taps, taps};

mod channels;
mod pixel;
mod taps;
mod window;

/// One of the two sources, ready to be read by the kernels.
struct Source<'a> {
    data: &'a [u8],
    width: i32,
    row_bytes: i32,
    /// Byte offsets of rows -1 to `height + 1`, those outside repeating the border: the rows for a
    /// position in row `y` are entries `y` to `y + 3`.
    rows: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Returns `None` if a window doesn't fit.
    fn new(plane: &Plane<'a>) -> Option<Self> {
        let (row, last) = (plane.row_bytes(), plane.height.checked_sub(1)?);
        let fits = row >= 16 && plane.data.len() >= last * plane.stride + row;
        fits.then(|| Self {
            data: plane.data,
            width: plane.width as i32,
            row_bytes: row as i32,
            rows: (0..plane.height + 3)
                .map(|row| row.saturating_sub(1).min(last) * plane.stride)
                .collect(),
        })
    }

    /// Returns the address of `byte` of tap row `tap` of row `y`.
    #[inline(always)]
    fn at(&self, y: i32, tap: usize, byte: i32) -> *const u8 {
        debug_assert!(byte >= 0 && byte + 16 <= self.row_bytes);
        debug_assert!(self.rows[y as usize + tap] + byte as usize + 16 <= self.data.len());
        self.data
            .as_ptr()
            .wrapping_add(self.rows[y as usize + tap] + byte as usize)
    }
}

type Row = unsafe fn(&Warp, usize, &mut [f32], &mut [u8]);

/// A plane to be synthesised by these kernels.
pub(super) struct Warp<'a> {
    job: Job<'a>,
    a: Source<'a>,
    b: Source<'a>,
    row: Row,
    /// The highest level, and the unused bits below (words only).
    most: i32,
    shift: i32,
    /// Masks nearer to 0 or 1 than this change no level, so one source needn't be read.
    negligible: f32,
    /// The channel that is alpha, where the others count as much as that.
    alpha: i32,
}

impl<'a> Warp<'a> {
    /// Returns `None` where the machine or the plane isn't one for these kernels.
    pub(super) fn new(job: Job<'a>) -> Option<Self> {
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return None;
        }
        let format = job.a.format;
        let (most, shift) = match format.sample {
            Sample::U8 => (255, 0),
            Sample::U16 { depth, shift } => ((1 << depth) - 1, shift as i32),
        };
        let cubic = job.sampling == Sampling::Bicubic;
        let row = match job.alpha {
            Some(_) => row_by_alpha(&format, cubic)?,
            None => row_of(&format, most, cubic)?,
        };
        Some(Self {
            a: Source::new(&job.a)?,
            b: Source::new(&job.b)?,
            alpha: job.alpha.unwrap_or(0) as i32,
            job,
            row,
            most,
            shift,
            negligible: 0.2 / most as f32,
        })
    }

    /// Makes row `y`.
    pub(super) fn row(&self, y: usize, scratch: &mut Vec<f32>, out: &mut [u8]) {
        scratch.resize(PARTS * field::pitch(self.job.motion), 0.0);
        // SAFETY: `new` made sure that the machine has AVX2 and FMA.
        unsafe { (self.row)(self, y, scratch, out) }
    }
}

/// The kernel for planes of which all counts.
fn row_of(format: &PlaneFormat, most: i32, cubic: bool) -> Option<Row> {
    // samples have to fit signed words, or are floats
    let whole = most > i32::from(i16::MAX);
    Some(
        match (format.pixel_bytes(), format.channels, whole, cubic) {
            (1, 1, _, false) => row::<1, 1, 2, PLAIN>,
            (1, 1, _, true) => row::<1, 1, 4, PLAIN>,
            (2, 1, false, false) => row::<2, 1, 2, PLAIN>,
            (2, 1, false, true) => row::<2, 1, 4, PLAIN>,
            (2, 1, true, false) => row::<2, 1, 2, FLOAT>,
            (2, 1, true, true) => row::<2, 1, 4, FLOAT>,
            (2, 2, _, false) => row::<2, 2, 2, PLAIN>,
            (2, 2, _, true) => row::<2, 2, 4, PLAIN>,
            (3, 3, _, false) => row::<3, 3, 2, PLAIN>,
            (3, 3, _, true) => row::<3, 3, 4, PLAIN>,
            (4, 4, _, false) => row::<4, 4, 2, PLAIN>,
            (4, 4, _, true) => row::<4, 4, 4, PLAIN>,
            (4, 2, false, false) => row::<4, 2, 2, PLAIN>,
            (4, 2, false, true) => row::<4, 2, 4, PLAIN>,
            (4, 2, true, false) => row::<4, 2, 2, FLOAT>,
            (4, 2, true, true) => row::<4, 2, 4, FLOAT>,
            (8, 4, _, false) => row::<8, 4, 2, FLOAT>,
            (8, 4, _, true) => row::<8, 4, 4, FLOAT>,
            _ => return None,
        },
    )
}

/// The kernel for planes whose channels count as much as one of them.
fn row_by_alpha(format: &PlaneFormat, cubic: bool) -> Option<Row> {
    Some(match (format.pixel_bytes(), format.channels, cubic) {
        (2, 2, false) => row::<2, 2, 2, ALPHA>,
        (2, 2, true) => row::<2, 2, 4, ALPHA>,
        (3, 3, false) => row::<3, 3, 2, ALPHA>,
        (3, 3, true) => row::<3, 3, 4, ALPHA>,
        (4, 4, false) => row::<4, 4, 2, ALPHA>,
        (4, 4, true) => row::<4, 4, 4, ALPHA>,
        (8, 4, false) => row::<8, 4, 2, ALPHA>,
        (8, 4, true) => row::<8, 4, 4, ALPHA>,
        _ => return None,
    })
}

/// Ways to sum samples up: by integer weights along the row; by `f32`; the same, counting as much
/// of each pixel as shows.
const PLAIN: u8 = 0;
const FLOAT: u8 = 1;
const ALPHA: u8 = 2;

/// Makes row `y` of a plane of `BYTES` a pixel in `CHANNELS`, from `ROWS` rows of the sources.
#[target_feature(enable = "avx2,fma")]
fn row<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    warp: &Warp,
    y: usize,
    field: &mut [f32],
    out: &mut [u8],
) {
    let job = &warp.job;
    field::enlarge_row(&job.mapping, job.motion, y, field);
    let grid = Grid::new(warp, field);
    let row = _mm256_set1_ps(y as f32);
    for (index, out) in out.chunks_mut(8 * BYTES).enumerate() {
        let x = _mm256_add_ps(
            _mm256_set1_ps((8 * index) as f32),
            _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
        );
        let [x0, y0, x1, y1, mask] = grid.read(x);
        let one = _mm256_set1_ps(1.0);
        let some = _mm256_cmp_ps::<_CMP_GT_OQ>(mask, _mm256_set1_ps(warp.negligible));
        let all = _mm256_cmp_ps::<_CMP_GT_OQ>(mask, _mm256_set1_ps(1.0 - warp.negligible));
        let mask = _mm256_blendv_ps(_mm256_and_ps(mask, some), one, all);
        let mut sums = [_mm256_setzero_ps(); 4];
        let mut shown = sums;
        if _mm256_movemask_ps(some) != 0 {
            let (x, y) = (_mm256_add_ps(x, x0), _mm256_add_ps(row, y0));
            let taps = taps::<BYTES, CHANNELS, ROWS, WAY>(&warp.a, x, y, mask);
            add::<BYTES, CHANNELS, ROWS, WAY>(warp, &warp.a, &taps, &mut sums, &mut shown);
        }
        if _mm256_movemask_ps(all) != 0xff {
            let (x, y) = (_mm256_add_ps(x, x1), _mm256_add_ps(row, y1));
            let rest = _mm256_sub_ps(one, mask);
            let taps = taps::<BYTES, CHANNELS, ROWS, WAY>(&warp.b, x, y, rest);
            add::<BYTES, CHANNELS, ROWS, WAY>(warp, &warp.b, &taps, &mut sums, &mut shown);
        }
        if WAY == ALPHA {
            sums = channels::divided(&sums, &shown, warp.alpha);
        }
        if BYTES == 8 {
            store_words(&channels::words(warp, &sums), out);
            continue;
        }
        let levels = if WAY == ALPHA {
            channels::bytes::<CHANNELS>(&sums)
        } else if BYTES <= 2 {
            window::levels::<BYTES, CHANNELS>(warp, &sums)
        } else {
            pixel::levels::<CHANNELS>(warp, &sums)
        };
        if out.len() == 32 {
            // SAFETY: `out` has the 32 bytes.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), levels) };
        } else {
            let mut bytes = [0u8; 32];
            // SAFETY: `bytes` has the 32 bytes.
            unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), levels) };
            match <&mut [u8; 8]>::try_from(&mut *out) {
                Ok(out) => out.copy_from_slice(&bytes[..8]),
                Err(_) => out.copy_from_slice(&bytes[..out.len()]),
            }
        }
    }
}

/// Stores eight pixels of four words, or the first ones of them.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_words(levels: &[__m256i; 2], out: &mut [u8]) {
    let mut bytes = [0u8; 64];
    for (levels, bytes) in levels.iter().zip(bytes.chunks_exact_mut(32)) {
        // SAFETY: `bytes` has the 32 bytes.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), *levels) };
    }
    out.copy_from_slice(&bytes[..out.len()]);
}

/// Adds what one source gives; `shown` is of use where channels count as much as one of them.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    warp: &Warp,
    source: &Source,
    taps: &Taps,
    sums: &mut [__m256; 4],
    shown: &mut [__m256; 4],
) {
    if WAY == ALPHA || BYTES == 8 {
        channels::add::<BYTES, CHANNELS, ROWS, WAY>(warp, source, taps, sums, shown);
    } else if BYTES <= 2 {
        window::add::<BYTES, CHANNELS, ROWS, WAY>(source, taps, warp.shift, sums);
    } else {
        pixel::add::<BYTES, CHANNELS, ROWS, WAY>(source, taps, warp.shift, sums);
    }
}

/// A row of the field, and how to read it.
struct Grid<'a> {
    row: &'a [f32],
    pitch: usize,
    step: __m256,
    origin: __m256,
    last: __m256,
    /// Eight pixels span at most eight cells.
    fine: bool,
}

impl<'a> Grid<'a> {
    #[target_feature(enable = "avx2,fma")]
    fn new(warp: &Warp, row: &'a [f32]) -> Self {
        let (mapping, motion) = (&warp.job.mapping, warp.job.motion);
        let pitch = field::pitch(motion);
        assert!(row.len() == PARTS * pitch);
        Self {
            row,
            pitch,
            step: _mm256_set1_ps(mapping.kx),
            origin: _mm256_set1_ps(mapping.ox),
            last: _mm256_set1_ps((motion.width - 1) as f32),
            fine: mapping.kx <= 1.0,
        }
    }

    /// Returns flow and mask of the pixels in columns `x`, which follow each other.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn read(&self, x: __m256) -> [__m256; PARTS] {
        let at = _mm256_fmadd_ps(x, self.step, self.origin);
        let at = _mm256_min_ps(_mm256_max_ps(at, _mm256_setzero_ps()), self.last);
        let cell = _mm256_cvttps_epi32(at);
        let mut field = [_mm256_setzero_ps(); PARTS];
        if self.fine {
            let first = _mm256_cvtsi256_si32(cell);
            let start = _mm256_set1_epi32(first);
            // Rounding can give an eighth step; its pixel lies at the end of the seventh then.
            let lane = _mm256_min_epi32(_mm256_sub_epi32(cell, start), _mm256_set1_epi32(7));
            let part = _mm256_sub_ps(at, _mm256_cvtepi32_ps(_mm256_add_epi32(lane, start)));
            for (index, value) in field.iter_mut().enumerate() {
                // SAFETY: `first` is a cell of the grid, and the row goes on for 16 more.
                let (left, right) = unsafe {
                    let from = self.row.as_ptr().add(index * self.pitch + first as usize);
                    (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(1)))
                };
                let left = _mm256_permutevar8x32_ps(left, lane);
                let right = _mm256_permutevar8x32_ps(right, lane);
                *value = _mm256_fmadd_ps(_mm256_sub_ps(right, left), part, left);
            }
        } else {
            let part = _mm256_sub_ps(at, _mm256_cvtepi32_ps(cell));
            for (index, value) in field.iter_mut().enumerate() {
                // SAFETY: each of `cell` is a cell of the grid, and the row goes on for 16 more.
                let (left, right) = unsafe {
                    let from = self.row.as_ptr().add(index * self.pitch);
                    (
                        _mm256_i32gather_ps::<4>(from, cell),
                        _mm256_i32gather_ps::<4>(from.add(1), cell),
                    )
                };
                *value = _mm256_fmadd_ps(_mm256_sub_ps(right, left), part, left);
            }
        }
        field
    }
}

/// Loads 16 bytes from each of two places.
///
/// # Safety
/// Both have to be readable for 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load(low: *const u8, high: *const u8) -> __m256i {
    // SAFETY: as the caller promises.
    unsafe {
        _mm256_inserti128_si256::<1>(
            _mm256_castsi128_si256(_mm_loadu_si128(low.cast())),
            _mm_loadu_si128(high.cast()),
        )
    }
}

/// Sums of four bytes times four weights of `taps.rs`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_bytes(samples: __m256i, weights: &[__m256i]) -> __m256 {
    let high = _mm256_maddubs_epi16(samples, weights[0]);
    let low = _mm256_maddubs_epi16(samples, weights[1]);
    let high = _mm256_madd_epi16(high, _mm256_set1_epi16(128));
    let low = _mm256_madd_epi16(low, _mm256_set1_epi16(1));
    _mm256_cvtepi32_ps(_mm256_add_epi32(high, low))
}

/// Sums of pairs of words times two weights of `f32`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_words(samples: __m256i, first: __m256i, second: __m256i) -> __m256 {
    let low = _mm256_and_si256(samples, _mm256_set1_epi32(0xffff));
    let high = _mm256_srli_epi32::<16>(samples);
    let [first, second] = [first, second].map(|weight| _mm256_castsi256_ps(weight));
    let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(low), first);
    _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), second, sum)
}

/// Spreads lane `index` of each half over it.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn spread(value: __m256i, index: usize) -> __m256i {
    match index {
        0 => _mm256_shuffle_epi32::<0b00_00_00_00>(value),
        1 => _mm256_shuffle_epi32::<0b01_01_01_01>(value),
        2 => _mm256_shuffle_epi32::<0b10_10_10_10>(value),
        _ => _mm256_shuffle_epi32::<0b11_11_11_11>(value),
    }
}
