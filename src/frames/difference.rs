//! Difference of two frames.

use super::{Plane, Sample};

/// Samples of a row, and rows, that are compared as one place.
const BLOCK: usize = 8;

/// Returns by how much two frames differ in the place where they differ most: the root mean square
/// of the differences in a block of 8x8 samples, as a part of the full range. `None` if that is
/// more than `limit`; the first such block ends the search. Planes of different shape have nothing
/// in common.
///
/// The largest local change counts and not the mean of all, so that a pointer that moves through a
/// still picture is never missed; and squares rather than absolute values, because a few samples
/// that change much are motion and many that change a little are noise.
pub fn difference(a: &[Plane], b: &[Plane], limit: f64) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let mut largest = 0.0f64;
    for (a, b) in a.iter().zip(b) {
        largest = largest.max(plane_difference(a, b, limit)?);
    }
    Some(largest)
}

fn plane_difference(a: &Plane, b: &Plane, limit: f64) -> Option<f64> {
    let shape = |p: &Plane| (p.width, p.height, p.format);
    if shape(a) != shape(b) {
        return None;
    }
    let (row, height) = (a.row_bytes(), a.height);
    let (bytes, full) = match a.format.sample {
        Sample::U8 => (1, 255.0),
        Sample::U16 { depth, shift } => (2, f64::from(((1u32 << depth) - 1) << shift)),
    };
    let samples = row / bytes;
    let mut sums = vec![0u64; samples.div_ceil(BLOCK)];
    let mut largest = 0.0f64;
    for top in (0..height).step_by(BLOCK) {
        let rows = BLOCK.min(height - top);
        let mut equal = true;
        for y in top..top + rows {
            let line = |stride| y * stride..y * stride + row;
            let (a, b) = (a.data.get(line(a.stride))?, b.data.get(line(b.stride))?);
            if a != b {
                equal = false;
                if bytes == 1 {
                    add_bytes(&mut sums, a, b);
                } else {
                    add_words(&mut sums, a, b);
                }
            }
        }
        if equal {
            continue;
        }
        for (index, sum) in sums.iter_mut().enumerate() {
            let columns = BLOCK.min(samples - index * BLOCK);
            largest = largest.max(*sum as f64 / (columns * rows) as f64);
            *sum = 0;
        }
        if largest.sqrt() > limit * full {
            return None;
        }
    }
    Some(largest.sqrt() / full)
}

fn add_bytes(sums: &mut [u64], a: &[u8], b: &[u8]) {
    for (sum, (a, b)) in sums.iter_mut().zip(a.chunks(BLOCK).zip(b.chunks(BLOCK))) {
        let squares = a.iter().zip(b).map(|(&a, &b)| {
            let difference = i32::from(a) - i32::from(b);
            difference.unsigned_abs().pow(2)
        });
        *sum += u64::from(squares.sum::<u32>());
    }
}

fn add_words(sums: &mut [u64], a: &[u8], b: &[u8]) {
    let blocks = a.chunks(2 * BLOCK).zip(b.chunks(2 * BLOCK));
    for (sum, (a, b)) in sums.iter_mut().zip(blocks) {
        let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
        *sum += pairs
            .map(|(a, b)| {
                let difference = u16::from_ne_bytes(*a).abs_diff(u16::from_ne_bytes(*b));
                u64::from(difference).pow(2)
            })
            .sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use super::super::PlaneFormat;
    use super::*;
    use proptest::prelude::*;

    fn plane(data: &[u8], width: usize, stride: usize, sample: Sample) -> Plane<'_> {
        Plane {
            data,
            stride,
            width,
            height: data.len() / stride,
            format: PlaneFormat {
                sample,
                channels: 1,
                sub_x: 0,
                sub_y: 0,
                alpha: None,
            },
        }
    }

    #[test]
    fn padding_is_not_compared() {
        let (a, b) = ([[7u8, 7, 7, 0]; 9].concat(), [[7u8, 7, 7, 9]; 9].concat());
        let planes = |data| [plane(data, 3, 4, Sample::U8)];
        assert_eq!(difference(&planes(&a), &planes(&b), 0.0), Some(0.0));
    }

    #[test]
    fn planes_of_other_shape_are_not_alike() {
        let data = [0u8; 64];
        let planes = |width| [plane(&data, width, 8, Sample::U8)];
        assert_eq!(difference(&planes(8), &planes(7), 1.0), None);
        assert_eq!(difference(&planes(8), &[], 1.0), None);
    }

    #[test]
    fn a_pointer_is_seen_where_noise_is_let_pass() {
        let still = vec![100u8; 64 * 64];
        let noisy: Vec<_> = (0..64 * 64).map(|i| 99 + (i * 7 % 3) as u8).collect();
        let mut pointed = still.clone();
        pointed[33 * 64 + 41] = 140;
        let planes = |data| [plane(data, 64, 64, Sample::U8)];
        let limit = 1.5 / 255.0;
        assert!(difference(&planes(&still), &planes(&noisy), limit).is_some());
        assert_eq!(difference(&planes(&still), &planes(&pointed), limit), None);
        let found = difference(&planes(&still), &planes(&pointed), 1.0).unwrap();
        assert!((found - 40.0 / 8.0 / 255.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn ten_bits_are_measured_on_their_own_scale() {
        for shift in [0, 6] {
            let sample = Sample::U16 { depth: 10, shift };
            let of = |value: u16| (value << shift).to_ne_bytes().repeat(64);
            let (a, b) = (of(500), of(504));
            let planes = |data| [plane(data, 8, 16, sample)];
            let found = difference(&planes(&a), &planes(&b), 4.01 / 1023.0).unwrap();
            assert!((found - 4.0 / 1023.0).abs() < 1e-9, "{found}");
            assert_eq!(difference(&planes(&a), &planes(&b), 3.99 / 1023.0), None);
        }
    }

    proptest! {
        /// Compares with the definition, for any size.
        #[test]
        fn agrees_with_the_definition(
            width in 1usize..30,
            height in 1usize..30,
            pad in 0usize..5,
            noise in prop::collection::vec(0u8..6, 35 * 30),
            limit in 0.0f64..0.02,
        ) {
            let stride = width + pad;
            let a = vec![50u8; stride * height];
            let b: Vec<u8> = noise.iter().take(stride * height).map(|n| 50 + n).collect();
            let mut largest = 0.0f64;
            for top in (0..height).step_by(8) {
                for left in (0..width).step_by(8) {
                    let (bottom, right) = ((top + 8).min(height), (left + 8).min(width));
                    let places = (top..bottom).flat_map(|y| (left..right).map(move |x| y * stride + x));
                    let squares: Vec<_> = places.map(|i| f64::from(b[i] - a[i]).powi(2)).collect();
                    largest = largest.max(squares.iter().sum::<f64>() / squares.len() as f64);
                }
            }
            let largest = largest.sqrt() / 255.0;
            prop_assume!((largest - limit).abs() > 1e-9);
            let planes = |data| [plane(data, width, stride, Sample::U8)];
            match difference(&planes(&a), &planes(&b), limit) {
                Some(found) => prop_assert!((found - largest).abs() < 1e-9 && found <= limit),
                None => prop_assert!(largest > limit),
            }
        }
    }
}
