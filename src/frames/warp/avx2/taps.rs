//! What eight pixels are made from: places in a source and weights.

use std::arch::x86_64::*;

use super::{PLAIN, Source};

/// Positions and weights that eight pixels are made from.
#[derive(Clone, Copy)]
pub(super) struct Taps {
    /// Column and row of the pixel left of and above each position.
    pub(super) x: __m256i,
    pub(super) y: __m256i,
    /// Weights along the row. For bytes: four signed bytes a pixel, high and low part; for words:
    /// two words a pixel, for taps 0 and 1, and taps 2 and 3; as `f32`: those of each tap.
    pub(super) across: [__m256i; 4],
    /// Weights of the rows, times the source's own weight, over the scale of `across`.
    pub(super) down: [__m256; 4],
}

/// Returns what is to be read for eight positions, and how much of it; `weight` is the source's
/// own.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn taps<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    source: &Source,
    x: __m256,
    y: __m256,
    weight: __m256,
) -> Taps {
    let zero = _mm256_setzero_ps();
    let right = _mm256_set1_ps((source.width - 1) as f32);
    let bottom = _mm256_set1_ps((source.rows.len() - 4) as f32);
    // `max` gives its second argument where the first is no number.
    let x = _mm256_min_ps(_mm256_max_ps(x, zero), right);
    let y = _mm256_min_ps(_mm256_max_ps(y, zero), bottom);
    let (column, row) = (_mm256_cvttps_epi32(x), _mm256_cvttps_epi32(y));
    let along = _mm256_sub_ps(x, _mm256_cvtepi32_ps(column));
    let below = _mm256_sub_ps(y, _mm256_cvtepi32_ps(row));

    let scale = if WAY != PLAIN {
        1.0
    } else if BYTES == CHANNELS {
        8192.0
    } else {
        16384.0
    };
    let weights = if ROWS == 4 {
        cubic(along, scale)
    } else {
        [
            zero,
            zero,
            _mm256_mul_ps(along, _mm256_set1_ps(scale)),
            zero,
        ]
    };
    let across = if WAY == PLAIN {
        whole_weights::<BYTES, CHANNELS>(&weights, scale)
    } else {
        let [first, _, third, fourth] = weights;
        let others = _mm256_add_ps(_mm256_add_ps(first, fourth), third);
        let second = _mm256_sub_ps(_mm256_set1_ps(1.0), others);
        [first, second, third, fourth].map(|weight| _mm256_castps_si256(weight))
    };

    let weight = _mm256_mul_ps(weight, _mm256_set1_ps(1.0 / scale));
    let down = if ROWS == 4 {
        let [first, _, third, fourth] = cubic(below, 1.0);
        let others = _mm256_add_ps(_mm256_add_ps(first, fourth), third);
        let second = _mm256_sub_ps(_mm256_set1_ps(1.0), others);
        [first, second, third, fourth].map(|row| _mm256_mul_ps(row, weight))
    } else {
        let third = _mm256_mul_ps(below, weight);
        [zero, _mm256_sub_ps(weight, third), third, zero]
    };
    Taps {
        x: column,
        y: row,
        across,
        down,
    }
}

/// Weights along the row as integers that add up to `scale`; that of tap 1 is what is left.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn whole_weights<const BYTES: usize, const CHANNELS: usize>(
    weights: &[__m256; 4],
    scale: f32,
) -> [__m256i; 4] {
    let first = _mm256_cvtps_epi32(weights[0]);
    let third = _mm256_cvtps_epi32(weights[2]);
    let fourth = _mm256_cvtps_epi32(weights[3]);
    let others = _mm256_add_epi32(_mm256_add_epi32(first, fourth), third);
    let second = _mm256_sub_epi32(_mm256_set1_epi32(scale as i32), others);
    let [early, late] = if BYTES == CHANNELS {
        bytes([first, second, third, fourth])
    } else {
        [
            _mm256_blend_epi16::<0xaa>(first, _mm256_slli_epi32::<16>(second)),
            _mm256_blend_epi16::<0xaa>(third, _mm256_slli_epi32::<16>(fourth)),
        ]
    };
    [early, late, early, late]
}

/// Returns the Catmull-Rom weights of taps 0, 2 and 3 for positions `t`, times `scale`; that of tap
/// 1 is what is left.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn cubic(t: __m256, scale: f32) -> [__m256; 4] {
    let set = |value: f32| _mm256_set1_ps(value * scale);
    let u = _mm256_sub_ps(_mm256_set1_ps(1.0), t);
    let both = _mm256_mul_ps(_mm256_mul_ps(t, u), set(-0.5));
    let third = _mm256_fmadd_ps(set(-1.5), t, set(2.0));
    let third = _mm256_fmadd_ps(third, t, set(0.5));
    [
        _mm256_mul_ps(both, u),
        _mm256_setzero_ps(),
        _mm256_mul_ps(third, t),
        _mm256_mul_ps(both, t),
    ]
}

/// Weights of 13 bits as two signed bytes, `128 * high + low`, four of each a pixel.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn bytes(weights: [__m256i; 4]) -> [__m256i; 2] {
    let split = |words: __m256i| {
        let high = _mm256_srai_epi16::<7>(_mm256_add_epi16(words, _mm256_set1_epi16(64)));
        (high, _mm256_sub_epi16(words, _mm256_slli_epi16::<7>(high)))
    };
    let (high01, low01) = split(_mm256_packs_epi32(weights[0], weights[1]));
    let (high23, low23) = split(_mm256_packs_epi32(weights[2], weights[3]));
    // Tap by tap to pixel by pixel.
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    ));
    [
        _mm256_shuffle_epi8(_mm256_packs_epi16(high01, high23), order),
        _mm256_shuffle_epi8(_mm256_packs_epi16(low01, low23), order),
    ]
}
