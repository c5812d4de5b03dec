//! Pixels whose channels lie side by side as `f32`: those of four words, and those of which one
//! channel is alpha and says what of the others shows. A window of 16 bytes a row for each, or two
//! where four pixels have more.

use std::arch::x86_64::*;

use super::super::VISIBLE;
use super::taps::Taps;
use super::{ALPHA, Source, Warp, load};

/// Adds one source to the sums: sum `i` is of the channels of pixel `i`, then of pixel `i + 4`.
/// Adds to `shown` the same of the colours each times its alpha. (That of alpha itself means
/// nothing.)
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    warp: &Warp,
    source: &Source,
    taps: &Taps,
    sums: &mut [__m256; 4],
    shown: &mut [__m256; 4],
) {
    let Windows { starts, places } = Windows::of::<BYTES, ROWS>(source, taps.x);
    let mut lines = [0i32; 8];
    // SAFETY: it has the 32 bytes.
    unsafe { _mm256_storeu_si256(lines.as_mut_ptr().cast(), taps.y) };
    // SAFETY: the constant has the 32 bytes.
    let parts = unsafe { _mm256_loadu_si256(parts::<BYTES, CHANNELS>().as_ptr().cast()) };
    let alpha = _mm256_set1_epi32(warp.alpha);
    let shift = _mm_cvtsi32_si128(warp.shift);
    let first = (4 - ROWS) / 2;
    for index in 0..4 {
        // what depends on the index is read by it, so that the loop needn't be unrolled
        let lane = _mm256_set1_epi32(index as i32);
        let byte = _mm256_set1_epi8(4 * index as i8);
        let mut across = [_mm256_setzero_ps(); ROWS];
        let mut orders = [parts; ROWS];
        for tap in 0..ROWS {
            let weights = _mm256_castsi256_ps(taps.across[first + tap]);
            across[tap] = _mm256_permutevar_ps(weights, lane);
            orders[tap] = _mm256_add_epi8(parts, _mm256_shuffle_epi8(places[tap], byte));
        }
        let (mut sum, mut visible) = (sums[index], shown[index]);
        for tap in first..first + ROWS {
            let (mut line, mut line_visible) = (_mm256_setzero_ps(), _mm256_setzero_ps());
            let mut window = _mm256_setzero_si256();
            for column in 0..ROWS {
                if column % pixels::<BYTES>() == 0 {
                    let starts = &starts[column / pixels::<BYTES>()];
                    // SAFETY: windows start within [0, row_bytes - 16], so they lie in their rows.
                    window = unsafe {
                        load(
                            source.at(lines[index], tap, starts[index]),
                            source.at(lines[index + 4], tap, starts[index + 4]),
                        )
                    };
                    if BYTES != CHANNELS {
                        window = _mm256_srl_epi16(window, shift);
                    }
                }
                let levels = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(window, orders[column]));
                line = _mm256_fmadd_ps(levels, across[column], line);
                if WAY == ALPHA {
                    let opacity = _mm256_permutevar_ps(levels, alpha);
                    let times = _mm256_mul_ps(across[column], opacity);
                    line_visible = _mm256_fmadd_ps(levels, times, line_visible);
                }
            }
            let down = _mm256_permutevar_ps(taps.down[tap], lane);
            sum = _mm256_fmadd_ps(line, down, sum);
            if WAY == ALPHA {
                visible = _mm256_fmadd_ps(line_visible, down, visible);
            }
        }
        (sums[index], shown[index]) = (sum, visible);
    }
}

/// Pixels that a window has, at most as many as are read of a row.
const fn pixels<const BYTES: usize>() -> usize {
    if BYTES == 8 { 2 } else { 4 }
}

/// Where the pixels are in memory that eight others are made from.
struct Windows {
    /// Bytes in a row that the windows of each pixel start with; the second for pixels of eight.
    starts: [[i32; 8]; 2],
    /// First byte of each pixel that is read of a row, in its window.
    places: [__m256i; 4],
}

impl Windows {
    /// Returns the windows for pixels from `x` on, and those before.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn of<const BYTES: usize, const ROWS: usize>(source: &Source, x: __m256i) -> Self {
        let mut windows = Self {
            starts: [[0; 8]; 2],
            places: [_mm256_setzero_si256(); 4],
        };
        let last = _mm256_set1_epi32(source.width - 1);
        let farthest = _mm256_set1_epi32(source.row_bytes - 16);
        let zero = _mm256_setzero_si256();
        let mut start = zero;
        for column in 0..ROWS {
            let tap = _mm256_set1_epi32((column + (4 - ROWS) / 2) as i32 - 1);
            let pixel = _mm256_max_epi32(_mm256_add_epi32(x, tap), zero);
            let pixel = _mm256_min_epi32(pixel, last);
            let byte = _mm256_mullo_epi32(pixel, _mm256_set1_epi32(BYTES as i32));
            if column % pixels::<BYTES>() == 0 {
                start = _mm256_min_epi32(byte, farthest);
                let starts = &mut windows.starts[column / pixels::<BYTES>()];
                // SAFETY: it has the 32 bytes.
                unsafe { _mm256_storeu_si256(starts.as_mut_ptr().cast(), start) };
            }
            windows.places[column] = _mm256_sub_epi32(byte, start);
        }
        windows
    }
}

/// Shuffle that fetches the channels of a window's first pixel, each into 32 bits.
const fn parts<const BYTES: usize, const CHANNELS: usize>() -> [u8; 32] {
    let mut order = [0x80; 32];
    let size = BYTES / CHANNELS;
    let mut byte = 0;
    while byte < 32 {
        let (channel, part) = (byte % 16 / 4, byte % 4);
        if channel < CHANNELS && part < size {
            order[byte] = (channel * size + part) as u8;
        }
        byte += 1;
    }
    order
}

/// Colours of what shows, over its alpha; where hardly anything shows, all as `plain` has it.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn divided(plain: &[__m256; 4], shown: &[__m256; 4], alpha: i32) -> [__m256; 4] {
    let alpha = _mm256_set1_epi32(alpha);
    let channels = _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3);
    let colours = _mm256_andnot_si256(_mm256_cmpeq_epi32(channels, alpha), _mm256_set1_epi32(-1));
    std::array::from_fn(|index| {
        let opacity = _mm256_permutevar_ps(plain[index], alpha);
        let visible = _mm256_cmp_ps::<_CMP_GE_OQ>(opacity, _mm256_set1_ps(VISIBLE));
        let divided = _mm256_div_ps(shown[index], opacity);
        let visible = _mm256_and_ps(visible, _mm256_castsi256_ps(colours));
        _mm256_blendv_ps(plain[index], divided, visible)
    })
}

/// The sums as bytes in their order, from the first on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn bytes<const CHANNELS: usize>(sums: &[__m256; 4]) -> __m256i {
    let [first, second, third, fourth] = sums.map(|sum| _mm256_cvtps_epi32(sum));
    let pixels = _mm256_packus_epi16(
        _mm256_packs_epi32(first, second),
        _mm256_packs_epi32(third, fourth),
    );
    match CHANNELS {
        2 => {
            let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                0, 1, 4, 5, 8, 9, 12, 13, 15, 15, 15, 15, 15, 15, 15, 15,
            ));
            _mm256_permute4x64_epi64::<0b1000>(_mm256_shuffle_epi8(pixels, order))
        }
        3 => {
            let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15,
            ));
            let pixels = _mm256_shuffle_epi8(pixels, order);
            _mm256_permutevar8x32_epi32(pixels, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7))
        }
        _ => pixels,
    }
}

/// The sums as words in their order, from the first on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn words(warp: &Warp, sums: &[__m256; 4]) -> [__m256i; 2] {
    let [first, second, third, fourth] = sums.map(|sum| _mm256_cvtps_epi32(sum));
    let pairs = [
        _mm256_packus_epi32(first, second),
        _mm256_packus_epi32(third, fourth),
    ];
    let most = _mm256_set1_epi16(warp.most as i16);
    let [early, late] = pairs.map(|words| {
        _mm256_sll_epi16(_mm256_min_epu16(words, most), _mm_cvtsi32_si128(warp.shift))
    });
    [
        _mm256_permute2x128_si256::<0x20>(early, late),
        _mm256_permute2x128_si256::<0x31>(early, late),
    ]
}
