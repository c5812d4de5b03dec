//! Arithmetic on rows of samples. Rows of one call are equally long where nothing else is said.

use super::{Simd, vectorised};

/// Number that is added to the mean square slope, in colour values per pixel (`DAMPING` in
/// `training/model.py`).
const DAMPING: f32 = 3e-5;

/// The longest step, in pixels.
const LONGEST: f32 = 1.5;

/// Samples that are worked on together.
const BLOCK: usize = 16;

/// The luma of BT.601.
const RED: f32 = 0.299;
const GREEN: f32 = 0.587;
const BLUE: f32 = 0.114;

vectorised! {
    fn subtract_half(from: &[f32], out: &mut [f32]) {
        for (out, from) in out.iter_mut().zip(from) {
            *out = from - 0.5;
        }
    }

    /// `out = from * factor`
    fn scale(from: &[f32], factor: f32, out: &mut [f32]) {
        for (out, from) in out.iter_mut().zip(from) {
            *out = from * factor;
        }
    }

    /// `out += from * factor`
    fn add_scaled(from: &[f32], factor: f32, out: &mut [f32]) {
        for (out, from) in out.iter_mut().zip(from) {
            *out += from * factor;
        }
    }

    /// `out = a * (1 - share) + b * share`
    fn mix(a: &[f32], b: &[f32], share: f32, out: &mut [f32]) {
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = a * (1.0 - share) + b * share;
        }
    }

    fn luma(red: &[f32], green: &[f32], blue: &[f32], out: &mut [f32]) {
        for (out, ((r, g), b)) in out.iter_mut().zip(red.iter().zip(green).zip(blue)) {
            *out = r * RED + g * GREEN + b * BLUE;
        }
    }

    /// The sum of two rows and by how much the second is more.
    fn compare(first: &[f32], second: &[f32], sum: &mut [f32], apart: &mut [f32]) {
        let rows = sum.iter_mut().zip(apart).zip(first.iter().zip(second));
        for ((sum, apart), (first, second)) in rows {
            *sum = first + second;
            *apart = second - first;
        }
    }

    /// Means of 2x2 samples of two rows that are twice as long.
    fn halve(upper: &[f32], lower: &[f32], out: &mut [f32]) {
        let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
        for (out, (a, b)) in out.iter_mut().zip(pairs) {
            *out = (a[0] + a[1] + b[0] + b[1]) * 0.25;
        }
    }

    /// Means of the sizes of 2x2 samples of two rows that are twice as long.
    fn halve_sizes(upper: &[f32], lower: &[f32], out: &mut [f32]) {
        let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
        for (out, (a, b)) in out.iter_mut().zip(pairs) {
            *out = (a[0].abs() + a[1].abs() + b[0].abs() + b[1].abs()) * 0.25;
        }
    }

    /// `out *= share`
    fn multiply(share: &[f32], out: &mut [f32]) {
        for (out, share) in out.iter_mut().zip(share) {
            *out *= share;
        }
    }

    /// Sizes of differences.
    fn differ(first: &[f32], second: &[f32], out: &mut [f32]) {
        for (out, (a, b)) in out.iter_mut().zip(first.iter().zip(second)) {
            *out = (a - b).abs();
        }
    }

    fn squares(of: &[f32], out: &mut [f32]) {
        for (out, of) in out.iter_mut().zip(of) {
            *out = of * of;
        }
    }

    /// Sums of `size` neighbours in `padded`, which is longer by `size - 1`, times `inverse`.
    fn sums(padded: &[f32], size: usize, inverse: &[f32], out: &mut [f32]) {
        let count = out.len();
        out.copy_from_slice(&padded[..count]);
        for start in 1..size {
            for (out, next) in out.iter_mut().zip(&padded[start..start + count]) {
                *out += next;
            }
        }
        for (out, inverse) in out.iter_mut().zip(inverse) {
            *out *= inverse;
        }
    }

    /// Adds what a step of Lucas and Kanade needs of one row to five rows: the products of slopes
    /// across (of `middle`, whose ends are repeated) and down (from `above` to `below`) and `apart`.
    fn moments(
        above: &[f32], middle: &[f32], below: &[f32], apart: &[f32], sums: &mut [&mut [f32]; 5],
    ) {
        let width = apart.len();
        let [xx, xy, yy, xt, yt] = sums;
        let (xx, xy, yy) = (&mut xx[..width], &mut xy[..width], &mut yy[..width]);
        let (xt, yt) = (&mut xt[..width], &mut yt[..width]);
        let (above, middle, below) = (&above[..width], &middle[..width], &below[..width]);
        let blocks = 1 + width.saturating_sub(2) / BLOCK * BLOCK;
        let mut add_one = |x: usize, left: usize, right: usize| {
            let across = (middle[right] - middle[left]) * 0.25;
            let down = (below[x] - above[x]) * 0.25;
            xx[x] += across * across;
            xy[x] += across * down;
            yy[x] += down * down;
            xt[x] += across * apart[x];
            yt[x] += down * apart[x];
        };
        add_one(0, 0, 1.min(width - 1));
        for x in blocks..width.saturating_sub(1) {
            add_one(x, x - 1, x + 1);
        }
        if width > 1 {
            add_one(width - 1, width - 2, width - 1);
        }
        for x in (1..blocks).step_by(BLOCK) {
            let mut slopes = [[0.0; BLOCK]; 2];
            let range = x..x + BLOCK;
            let sides = [&middle[x - 1..][..BLOCK], &middle[x + 1..][..BLOCK]];
            let ends = [&above[range.clone()], &below[range.clone()]];
            for (slopes, [before, behind]) in slopes.iter_mut().zip([sides, ends]) {
                for (slope, (before, behind)) in slopes.iter_mut().zip(before.iter().zip(behind)) {
                    *slope = (behind - before) * 0.25;
                }
            }
            let mut light = [0.0; BLOCK];
            light.copy_from_slice(&apart[range.clone()]);
            let [across, down] = slopes;
            let products = [
                (&mut *xx, across, across),
                (&mut *xy, across, down),
                (&mut *yy, down, down),
                (&mut *xt, across, light),
                (&mut *yt, down, light),
            ];
            for (sums, first, second) in products {
                for (sum, (a, b)) in sums[range.clone()].iter_mut().zip(first.iter().zip(second)) {
                    *sum += a * b;
                }
            }
        }
    }

    /// Means of `count` neighbours; `from` is `count` times as long. `rows` is how many rows were
    /// added up in it.
    fn pool(from: &[f32], count: usize, rows: usize, out: &mut [f32]) {
        let inverse = 1.0 / (count * rows) as f32;
        match count {
            4 => {
                for (out, four) in out.iter_mut().zip(from.as_chunks::<4>().0) {
                    *out = (four[0] + four[1] + (four[2] + four[3])) * inverse;
                }
            }
            2 => {
                for (out, two) in out.iter_mut().zip(from.as_chunks::<2>().0) {
                    *out = (two[0] + two[1]) * inverse;
                }
            }
            _ => {
                for (out, some) in out.iter_mut().zip(from.chunks_exact(count)) {
                    *out = some.iter().sum::<f32>() * inverse;
                }
            }
        }
    }

    /// The step of Lucas and Kanade by the means of the five products of [`moments`].
    fn solve(moments: &[&[f32]; 5], across: &mut [f32], down: &mut [f32]) {
        let width = across.len();
        let [xx, xy, yy, xt, yt] = moments.map(|row| &row[..width]);
        let down = &mut down[..width];
        for x in 0..width {
            let (sxx, syy) = (xx[x] + DAMPING, yy[x] + DAMPING);
            let scale = -1.0 / (sxx * syy - xy[x] * xy[x]);
            across[x] = ((syy * xt[x] - xy[x] * yt[x]) * scale).clamp(-LONGEST, LONGEST);
            down[x] = ((sxx * yt[x] - xy[x] * xt[x]) * scale).clamp(-LONGEST, LONGEST);
        }
    }

    /// Bilinear enlargement by 1, 2 or 4: `padded` has one sample more at either end, which repeats the
    /// outermost; `out` is `factor` times as long as what lies between.
    fn enlarge(padded: &[f32], factor: usize, out: &mut [f32]) {
        match factor {
            2 => {
                for (out, near) in out.as_chunks_mut::<2>().0.iter_mut().zip(padded.windows(3)) {
                    *out = [near[0] * 0.25 + near[1] * 0.75, near[1] * 0.75 + near[2] * 0.25];
                }
            }
            4 => {
                for (out, near) in out.as_chunks_mut::<4>().0.iter_mut().zip(padded.windows(3)) {
                    *out = [
                        near[0] * 0.375 + near[1] * 0.625,
                        near[0] * 0.125 + near[1] * 0.875,
                        near[1] * 0.875 + near[2] * 0.125,
                        near[1] * 0.625 + near[2] * 0.375,
                    ];
                }
            }
            _ => out.copy_from_slice(&padded[1..][..out.len()]),
        }
    }

    /// Adds the number of each place: 0, 1, 2, ...
    fn add_places(out: &mut [f32]) {
        for (place, out) in out.iter_mut().enumerate() {
            *out += place as i32 as f32;
        }
    }

    /// Pairs x, y as x and as y.
    fn unzip(pairs: &[f32], xs: &mut [f32], ys: &mut [f32]) {
        for ((x, y), pair) in xs.iter_mut().zip(ys).zip(pairs.as_chunks::<2>().0) {
            [*x, *y] = *pair;
        }
    }

    /// Adds two rows that take turns, times `factor`, to one twice as long.
    fn add_in_turns(even: &[f32], odd: &[f32], factor: f32, out: &mut [f32]) {
        let pairs = out.as_chunks_mut::<2>().0.iter_mut();
        for (out, (even, odd)) in pairs.zip(even.iter().zip(odd)) {
            out[0] += even * factor;
            out[1] += odd * factor;
        }
    }

    /// `out = step * sigmoid(trust) * factor`
    fn trusted(step: &[f32], trust: &[f32], factor: f32, out: &mut [f32]) {
        for (out, (step, trust)) in out.iter_mut().zip(step.iter().zip(trust)) {
            *out = step * (sigmoid(*trust) * factor);
        }
    }

    /// How much of the motion is left: `sigmoid(-(rest of moving and resting, and wish))`.
    fn unrest(moving: &[f32], resting: &[f32], wish: &[f32], rest: [f32; 3], out: &mut [f32]) {
        let rows = out.iter_mut().zip(moving.iter().zip(resting).zip(wish));
        for (out, ((moving, resting), wish)) in rows {
            *out = sigmoid(-(rest[0] * moving + rest[1] * resting + rest[2] + wish));
        }
    }
}

/// e to the power of `x`, to 2 units in the last place: 2 to a whole power, times Cephes' polynomial
/// (`expf`) within half a power.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // added, it leaves the nearest whole number in the last bits
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for factor in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = sum * rest + factor;
    }
    let part = sum * rest * rest + rest + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    part * power
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_e_are_right() {
        for step in -8_700..=8_800 {
            let x = step as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "{x}: {found}");
        }
        assert!(exp(-1e30) < 1e-37 && exp(1e30).is_finite());
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn enlarging_keeps_lines_straight() {
        let line: Vec<f32> = (0..10).map(|x| x as f32).collect();
        for factor in [1, 2, 4] {
            let mut out = vec![0.0; 8 * factor];
            enlarge(Simd::Plain, &line, factor, &mut out);
            for (x, value) in out.iter().enumerate() {
                let expected = (x as f32 + 0.5) / factor as f32 + 0.5;
                assert!((value - expected).abs() < 1e-5, "{factor}: {out:?}");
            }
        }
    }
}
