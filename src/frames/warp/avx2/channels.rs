//! Pixels fetched one by one, their channels side by side as `f32`: those of four words, and those of which one
//! channel is alpha and says what of the others shows.

use std::arch::x86_64::*;

use super::super::VISIBLE;
use super::{ALPHA, Source, Taps, Warp, spread};

/// Adds one source to the sums: sum `i` is of the channels of pixel `i`, then of pixel `i + 4`. Adds to `shown` the
/// same of the colours each times its alpha. (That of alpha itself means nothing.)
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    warp: &Warp,
    source: &Source,
    taps: &Taps,
    sums: &mut [__m256; 4],
    shown: &mut [__m256; 4],
) {
    let (mut columns, mut lines) = ([0i32; 8], [0i32; 8]);
    // SAFETY: both have the 32 bytes.
    unsafe {
        _mm256_storeu_si256(columns.as_mut_ptr().cast(), taps.x);
        _mm256_storeu_si256(lines.as_mut_ptr().cast(), taps.y);
    }
    let alpha = _mm256_set1_epi32(warp.alpha);
    let shift = _mm_cvtsi32_si128(warp.shift);
    for (index, (sum, shown)) in sums.iter_mut().zip(shown).enumerate() {
        let across = taps.across.map(|weights| spread(weights, index));
        for tap in (4 - ROWS) / 2..(4 + ROWS) / 2 {
            let (mut line, mut visible) = (_mm256_setzero_ps(), _mm256_setzero_ps());
            let read = (4 - ROWS) / 2..(4 + ROWS) / 2;
            for (column, weight) in read.clone().zip(&across[read]) {
                let [low, high] = [index, index + 4].map(|pixel| {
                    let place = columns[pixel] + column as i32 - 1;
                    let place = place.clamp(0, source.width - 1);
                    source.pixel::<BYTES>(lines[pixel], tap, place)
                });
                let levels = if BYTES == CHANNELS {
                    _mm256_cvtepu8_epi32(_mm_set_epi32(0, 0, high as i32, low as i32))
                } else {
                    let words = _mm_srl_epi16(_mm_set_epi64x(high, low), shift);
                    _mm256_cvtepu16_epi32(words)
                };
                let levels = _mm256_cvtepi32_ps(levels);
                let weight = _mm256_castsi256_ps(*weight);
                line = _mm256_fmadd_ps(levels, weight, line);
                if WAY == ALPHA {
                    let times = _mm256_mul_ps(weight, _mm256_permutevar_ps(levels, alpha));
                    visible = _mm256_fmadd_ps(levels, times, visible);
                }
            }
            let down = _mm256_castsi256_ps(spread(_mm256_castps_si256(taps.down[tap]), index));
            *sum = _mm256_fmadd_ps(line, down, *sum);
            if WAY == ALPHA {
                *shown = _mm256_fmadd_ps(visible, down, *shown);
            }
        }
    }
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
