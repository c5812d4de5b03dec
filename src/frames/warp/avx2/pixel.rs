//! Pixels of three or four bytes: a window of 16 bytes a row for each.

use std::arch::x86_64::*;

use super::taps::Taps;
use super::{PLAIN, Source, Warp, channels, dot_bytes, dot_words, load, spread};

/// Returns the tap that a byte of a shuffled window belongs to.
///
/// Bytes come channel by channel; words as taps 0 and 1 of both channels, then taps 2 and 3.
const fn tap<const CHANNELS: usize>(byte: usize) -> i32 {
    (if CHANNELS == 2 {
        byte / 8 * 2 + byte / 2 % 2
    } else {
        byte % 4
    }) as i32
}

/// Returns which of the pixel's bytes a byte of a shuffled window is.
const fn part<const CHANNELS: usize>(byte: usize) -> i32 {
    (if CHANNELS == 2 {
        byte / 4 % 2 * 2 + byte % 2
    } else if byte / 4 < CHANNELS {
        byte / 4
    } else {
        0
    }) as i32
}

/// Adds one source to the sums: sum `i` is of the channels of pixel `i`, then of pixel `i + 4`
/// (of two channels: those of taps 0 and 1, then those of taps 2 and 3).
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    source: &Source,
    taps: &Taps,
    shift: i32,
    sums: &mut [__m256; 4],
) {
    let words = BYTES != CHANNELS;
    let (mut columns, mut lines) = ([0i32; 8], [0i32; 8]);
    // SAFETY: both have the 32 bytes.
    unsafe {
        _mm256_storeu_si256(columns.as_mut_ptr().cast(), taps.x);
        _mm256_storeu_si256(lines.as_mut_ptr().cast(), taps.y);
    }
    let farthest = source.row_bytes - 16;
    let start = |column: i32| ((column - 1) * BYTES as i32).clamp(0, farthest);
    let outside = _mm256_or_si256(
        _mm256_cmpgt_epi32(_mm256_set1_epi32(1), taps.x),
        _mm256_cmpgt_epi32(taps.x, _mm256_set1_epi32(farthest / BYTES as i32 + 1)),
    );
    let border = _mm256_movemask_epi8(outside) != 0;
    let inner = const {
        let mut bytes = [0u8; 32];
        let mut byte = 0;
        while byte < 32 {
            let (tap, part) = (tap::<CHANNELS>(byte % 16), part::<CHANNELS>(byte % 16));
            bytes[byte] = (tap * BYTES as i32 + part) as u8;
            byte += 1;
        }
        bytes
    };
    for index in 0..4 {
        let (low, high) = (columns[index], columns[index + 4]);
        let mut order = inner;
        if border {
            for (half, column) in order.chunks_exact_mut(16).zip([low, high]) {
                for (byte, place) in half.iter_mut().enumerate() {
                    let pixel = (column - 1 + tap::<CHANNELS>(byte)).clamp(0, source.width - 1);
                    let part = part::<CHANNELS>(byte);
                    *place = (pixel * BYTES as i32 + part - start(column)) as u8;
                }
            }
        }
        // SAFETY: `order` has the 32 bytes.
        let order = unsafe { _mm256_loadu_si256(order.as_ptr().cast()) };
        let across = if words && WAY != PLAIN {
            let [w0, w1, w2, w3] = taps.across.map(|weights| spread(weights, index));
            [
                _mm256_blend_epi32::<0b1100_1100>(w0, w2),
                _mm256_blend_epi32::<0b1100_1100>(w1, w3),
            ]
        } else if words {
            let pairs = if index < 2 {
                _mm256_unpacklo_epi32(taps.across[0], taps.across[1])
            } else {
                _mm256_unpackhi_epi32(taps.across[0], taps.across[1])
            };
            [match index % 2 {
                0 => _mm256_shuffle_epi32::<0b01_01_00_00>(pairs),
                _ => _mm256_shuffle_epi32::<0b11_11_10_10>(pairs),
            }; 2]
        } else {
            [0, 1].map(|part| spread(taps.across[part], index))
        };
        for tap in (4 - ROWS) / 2..(4 + ROWS) / 2 {
            // SAFETY: windows start within [0, row_bytes - 16], so they lie in their rows.
            let window = unsafe {
                load(
                    source.at(lines[index], tap, start(low)),
                    source.at(lines[index + 4], tap, start(high)),
                )
            };
            let line = if words {
                let window = _mm256_srl_epi16(window, _mm_cvtsi32_si128(shift));
                let samples = _mm256_shuffle_epi8(window, order);
                match WAY {
                    PLAIN => _mm256_cvtepi32_ps(_mm256_madd_epi16(samples, across[0])),
                    _ => dot_words(samples, across[0], across[1]),
                }
            } else {
                dot_bytes(_mm256_shuffle_epi8(window, order), &across)
            };
            let weight = spread(_mm256_castps_si256(taps.down[tap]), index);
            sums[index] = _mm256_fmadd_ps(line, _mm256_castsi256_ps(weight), sums[index]);
        }
    }
}

/// The sums as samples in their order, from the first byte on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn levels<const CHANNELS: usize>(warp: &Warp, sums: &[__m256; 4]) -> __m256i {
    if CHANNELS == 2 {
        let pair = |first, second| {
            let early = _mm256_shuffle_ps::<0b01_00_01_00>(first, second);
            let late = _mm256_shuffle_ps::<0b11_10_11_10>(first, second);
            _mm256_cvtps_epi32(_mm256_add_ps(early, late))
        };
        let words = _mm256_packus_epi32(pair(sums[0], sums[1]), pair(sums[2], sums[3]));
        let words = _mm256_min_epu16(words, _mm256_set1_epi16(warp.most as i16));
        return _mm256_sll_epi16(words, _mm_cvtsi32_si128(warp.shift));
    }
    channels::bytes::<CHANNELS>(sums)
}
