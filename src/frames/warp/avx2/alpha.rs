//! Pixels of four bytes of which one is alpha: what of their colours shows.

use std::arch::x86_64::*;

use super::super::VISIBLE;
use super::{Source, Taps, pixel::spread};

/// Adds the colours of one source, each times its alpha: sum `i` is of the channels of pixel `i`, then of pixel
/// `i + 4`. (That of alpha itself means nothing.)
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add<const ROWS: usize>(
    source: &Source,
    taps: &Taps,
    alpha: i32,
    shown: &mut [__m256; 4],
) {
    let (mut columns, mut lines) = ([0i32; 8], [0i32; 8]);
    // SAFETY: both have the 32 bytes.
    unsafe {
        _mm256_storeu_si256(columns.as_mut_ptr().cast(), taps.x);
        _mm256_storeu_si256(lines.as_mut_ptr().cast(), taps.y);
    }
    let alpha = _mm256_set1_epi32(alpha);
    for (index, shown) in shown.iter_mut().enumerate() {
        let across = taps.across.map(|weights| spread(weights, index));
        for tap in (4 - ROWS) / 2..(4 + ROWS) / 2 {
            let mut line = _mm256_setzero_ps();
            for column in (4 - ROWS) / 2..(4 + ROWS) / 2 {
                let [low, high] = [index, index + 4].map(|pixel| {
                    let place = columns[pixel] + column as i32 - 1;
                    source.pixel(lines[pixel], tap, place.clamp(0, source.width - 1))
                });
                let pixels = _mm_set_epi32(0, 0, high, low);
                let levels = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(pixels));
                let times = _mm256_permutevar_ps(levels, alpha);
                let times = _mm256_mul_ps(weight(&across, column), times);
                line = _mm256_fmadd_ps(levels, times, line);
            }
            let down = spread(_mm256_castps_si256(taps.down[tap]), index);
            *shown = _mm256_fmadd_ps(line, _mm256_castsi256_ps(down), *shown);
        }
    }
}

/// The weight of a tap along the row, from its two signed bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn weight(across: &[__m256i; 2], tap: usize) -> __m256 {
    let [high, low] = across.map(|weights| {
        let left = _mm_cvtsi32_si128(24 - 8 * tap as i32);
        _mm256_srai_epi32::<24>(_mm256_sll_epi32(weights, left))
    });
    _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_slli_epi32::<7>(high), low))
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
