//! Pixels of one or two bytes: four neighbours from one window of 16 bytes a row.

use std::arch::x86_64::*;

use super::taps::Taps;
use super::{PLAIN, Source, Warp, dot_bytes, dot_words, load};

/// For a first lane of 0 to 3 and one of 4 to 7: lanes that spread each over its half.
static LEADERS: [[[i32; 8]; 4]; 4] = {
    let mut table = [[[0; 8]; 4]; 4];
    let mut index = 0;
    while index < 128 {
        let (low, high, lane) = (index / 32, index / 8 % 4, index % 8);
        table[low][high][lane] = (if lane < 4 { low } else { 4 + high }) as i32;
        index += 1;
    }
    table
};

/// Adds one source to the sums, one of eight pixels for each channel.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn add<const BYTES: usize, const CHANNELS: usize, const ROWS: usize, const WAY: u8>(
    source: &Source,
    taps: &Taps,
    shift: i32,
    sums: &mut [__m256; 4],
) {
    // Pixels in a window, and how far before the leader's first tap it starts.
    let size = 16 / BYTES as i32;
    let ahead = if BYTES == 1 { 4 } else { 0 };
    let set = |value: i32| _mm256_set1_epi32(value);
    let before = _mm256_sub_epi32(taps.x, set(1));
    let first = _mm256_max_epi32(before, set(0));
    let last = _mm256_min_epi32(_mm256_add_epi32(taps.x, set(2)), set(source.width - 1));
    let starts = _mm256_max_epi32(_mm256_sub_epi32(before, set(ahead)), set(0));
    let starts = _mm256_min_epi32(starts, set(source.width - size));
    let ends = _mm256_add_epi32(starts, set(size - 1));

    let mut left = 0xff;
    let mut open = set(-1);
    while left != 0 {
        let (low, high) = (left & 15, left >> 4);
        let low = (low | 16u32).trailing_zeros() & 3;
        let high = (high | 16u32).trailing_zeros() & 3;
        // SAFETY: the table's entries are eight numbers of 32 bits.
        let leader =
            unsafe { _mm256_loadu_si256(LEADERS[low as usize][high as usize].as_ptr().cast()) };
        let start = _mm256_permutevar8x32_epi32(starts, leader);
        let end = _mm256_permutevar8x32_epi32(ends, leader);
        let row = _mm256_permutevar8x32_epi32(taps.y, leader);
        let outside = _mm256_or_si256(
            _mm256_cmpgt_epi32(start, first),
            _mm256_cmpgt_epi32(last, end),
        );
        let inside = _mm256_andnot_si256(outside, _mm256_cmpeq_epi32(row, taps.y));
        let hit = _mm256_and_si256(inside, open);
        // A leader always hits, so there are at most four rounds.
        left &= !(_mm256_movemask_ps(_mm256_castsi256_ps(hit)) as u32);
        open = _mm256_andnot_si256(hit, open);

        let controls = controls::<BYTES, CHANNELS>(_mm256_sub_epi32(before, start));
        let (start_low, start_high) = halves(start);
        let (row_low, row_high) = halves(row);
        let (start_low, start_high) = (start_low * BYTES as i32, start_high * BYTES as i32);
        for tap in (4 - ROWS) / 2..(4 + ROWS) / 2 {
            // SAFETY: windows start within [0, width - size], so they lie in their rows.
            let window = unsafe {
                load(
                    source.at(row_low, tap, start_low),
                    source.at(row_high, tap, start_high),
                )
            };
            let weight = _mm256_and_ps(taps.down[tap], _mm256_castsi256_ps(hit));
            if BYTES == CHANNELS {
                for channel in 0..CHANNELS {
                    let samples = _mm256_shuffle_epi8(window, controls[channel]);
                    let line = dot_bytes(samples, &taps.across[..2]);
                    sums[channel] = _mm256_fmadd_ps(line, weight, sums[channel]);
                }
            } else {
                let window = _mm256_srl_epi16(window, _mm_cvtsi32_si128(shift));
                let first = _mm256_shuffle_epi8(window, controls[0]);
                let second = _mm256_shuffle_epi8(window, controls[1]);
                let line = if WAY == PLAIN {
                    _mm256_cvtepi32_ps(_mm256_add_epi32(
                        _mm256_madd_epi16(first, taps.across[0]),
                        _mm256_madd_epi16(second, taps.across[1]),
                    ))
                } else {
                    let [w0, w1, w2, w3] = taps.across;
                    _mm256_add_ps(dot_words(first, w0, w1), dot_words(second, w2, w3))
                };
                sums[0] = _mm256_fmadd_ps(line, weight, sums[0]);
            }
        }
    }
}

/// Lanes 0 and 4.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn halves(value: __m256i) -> (i32, i32) {
    (
        _mm256_cvtsi256_si32(value),
        _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(value)),
    )
}

/// Shuffles that fetch the four taps of each pixel, the first `offset` pixels into its window.
///
/// Bytes: a shuffle a channel. Words: one for taps 0 and 1, one for taps 2 and 3. Taps outside
/// the window are moved into it: it then ends at the frame's border, or the lane isn't used.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn controls<const BYTES: usize, const CHANNELS: usize>(offset: __m256i) -> [__m256i; 2] {
    let both = |bytes| _mm256_broadcastsi128_si256(bytes);
    let spread = both(_mm_setr_epi8(
        0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12,
    ));
    let taps = both(_mm_setr_epi8(
        0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,
    ));
    let pixels = _mm256_add_epi8(_mm256_shuffle_epi8(offset, spread), taps);
    let pixels = _mm256_max_epi8(pixels, _mm256_setzero_si256());
    let pixels = _mm256_min_epi8(pixels, _mm256_set1_epi8(16 / BYTES as i8 - 1));
    if BYTES == 1 {
        return [pixels; 2];
    }
    let bytes = _mm256_add_epi8(pixels, pixels);
    if CHANNELS == 2 {
        return [bytes, _mm256_add_epi8(bytes, _mm256_set1_epi8(1))];
    }
    let parts = both(_mm_setr_epi8(
        0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1,
    ));
    let early = both(_mm_setr_epi8(
        0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13,
    ));
    let late = both(_mm_setr_epi8(
        2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15,
    ));
    [
        _mm256_add_epi8(_mm256_shuffle_epi8(bytes, early), parts),
        _mm256_add_epi8(_mm256_shuffle_epi8(bytes, late), parts),
    ]
}

/// The sums as samples in their order, from the first byte on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn levels<const BYTES: usize, const CHANNELS: usize>(
    warp: &Warp,
    sums: &[__m256; 4],
) -> __m256i {
    let first = _mm256_cvtps_epi32(sums[0]);
    if BYTES != CHANNELS {
        let words = _mm256_packus_epi32(first, first);
        let words = _mm256_min_epu16(words, _mm256_set1_epi16(warp.most as i16));
        let words = _mm256_sll_epi16(words, _mm_cvtsi32_si128(warp.shift));
        return _mm256_permute4x64_epi64::<0b1000>(words);
    }
    let second = if CHANNELS == 2 {
        _mm256_cvtps_epi32(sums[1])
    } else {
        first
    };
    let words = _mm256_packs_epi32(first, second);
    let bytes = _mm256_packus_epi16(words, words);
    if CHANNELS == 2 {
        let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 4, 1, 5, 2, 6, 3, 7, 8, 8, 8, 8, 8, 8, 8, 8,
        ));
        return _mm256_permute4x64_epi64::<0b1000>(_mm256_shuffle_epi8(bytes, order));
    }
    _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0))
}
