//! Arithmetic on rows of samples. Rows of one call are equally long where nothing else is said.

use super::vectorised;

/// Number that is added to the mean square slope, in colour values per pixel (`DAMPING` in
/// `training/model.py`).
const DAMPING: f32 = 3e-5;

/// The longest step, in pixels.
const LONGEST: f32 = 1.5;

/// Number of cells that are judged together.
const BLOCK: usize = 32;

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

    /// Means of 2x2 samples of a row and the next, at every place; the last sample is repeated.
    fn soften(upper: &[f32], lower: &[f32], out: &mut [f32]) {
        let Some(last) = out.len().checked_sub(1) else { return };
        for x in 0..last {
            out[x] = (upper[x] + upper[x + 1] + lower[x] + lower[x + 1]) * 0.25;
        }
        out[last] = (upper[last] + lower[last]) * 0.5;
    }

    /// `out = (at - mean) / (spread + 0.01) + brightness * at`, where the spread follows from the mean
    /// square.
    fn looks(at: &[f32], mean: &[f32], square: &[f32], brightness: f32, out: &mut [f32]) {
        let rows = out.iter_mut().zip(at.iter().zip(mean).zip(square));
        for (out, ((at, mean), square)) in rows {
            let spread = (square - mean * mean).max(0.0).sqrt();
            *out = (at - mean) / (spread + 0.01) + brightness * at;
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

    /// Every fourth sample from `phase` on, times `factor`, as the nearest of the levels from -128 to
    /// 127, 128 added.
    fn levels(from: &[f32], phase: usize, factor: f32, out: &mut [u8]) {
        for (out, four) in out.iter_mut().zip(from.as_chunks::<4>().0) {
            let level = (four[phase % 4] * factor).clamp(-128.0, 127.0).round_ties_even();
            *out = (level + 128.0) as u8;
        }
    }

    /// Adds the sizes of the differences of rows, `most` at most, to `count` rows of `width` in `out`.
    /// Rows begin `stride` after each other in what is compared, and `out_stride` in `out`.
    fn add_differences(
        first: &[u8], second: &[u8], stride: usize, most: u8, count: usize, width: usize,
        out: &mut [u8], out_stride: usize,
    ) {
        for row in 0..count {
            let out = &mut out[row * out_stride..][..width];
            let (first, second) = (&first[row * stride..][..width], &second[row * stride..][..width]);
            for (out, (a, b)) in out.iter_mut().zip(first.iter().zip(second)) {
                *out = out.wrapping_add(a.abs_diff(*b).min(most));
            }
        }
    }

    /// Computes sums of squares of 9 x 9 differences in levels, as differences in units of contrast.
    ///
    /// `columns` has room for a row and 8 more, and holds zeros. The number of samples in a sum is
    /// `counts` of its column times that of its row, the first of `rows`; where it is no more than
    /// `wanted` of its column times the second of `rows`, the squares are as unlike as can be.
    fn surroundings(
        apart: &[u8], columns: &mut [u16], counts: &[f32], wanted: &[f32], rows: &[[f32; 2]],
        out: &mut [f32],
    ) {
        let width = counts.len();
        let row = |y: usize| &apart[y * width..][..width];
        for y in 0..rows.len().min(4) {
            for (sum, apart) in columns[4..].iter_mut().zip(row(y)) {
                *sum += u16::from(*apart);
            }
        }
        for (y, &[count, share]) in rows.iter().enumerate() {
            if y + 4 < rows.len() {
                for (sum, apart) in columns[4..].iter_mut().zip(row(y + 4)) {
                    *sum = sum.wrapping_add(u16::from(*apart));
                }
            }
            if y > 4 {
                for (sum, apart) in columns[4..].iter_mut().zip(row(y - 5)) {
                    *sum = sum.wrapping_sub(u16::from(*apart));
                }
            }
            let out = &mut out[y * width..][..width];
            let (columns, wanted) = (&columns[..width + 8], &wanted[..width]);
            for x in 0..width {
                let sum = (x..x + 9).fold(0, |sum: u16, x| sum.wrapping_add(columns[x]));
                let count = counts[x] * count;
                let cost = f32::from(sum) / (count.max(1.0) * 16.0);
                out[x] = if count > share * wanted[x] { cost } else { 2.0 };
            }
        }
    }

    /// Judges a displacement `by` with costs `at`, of whose neighbours `around` are those to the
    /// left, to the right, above and below: only where it is no worse than they are, and by what it
    /// would cost between whole displacements. Keeps the best.
    fn judge(
        at: &[f32], around: &[&[f32]; 4], length: f32, by: [f32; 2],
        least: &mut [f32], across: &mut [f32], down: &mut [f32],
    ) {
        let cells = least.len();
        let whole = cells - cells % BLOCK;
        let mut best = Best { least, across, down };
        for start in (0..whole).step_by(BLOCK) {
            judge_block::<BLOCK>(start, at, around, length, by, &mut best);
        }
        for start in whole..cells {
            judge_block::<1>(start, at, around, length, by, &mut best);
        }
    }

    /// Keeps the better of two displacements: judgement, x and y.
    fn keep_best(
        others: [&[f32]; 3], least: &mut [f32], across: &mut [f32], down: &mut [f32],
    ) {
        let [other, x, y] = others;
        let best = least.iter_mut().zip(across).zip(down);
        for (((least, across), down), ((other, x), y)) in best.zip(other.iter().zip(x).zip(y)) {
            let better = *other < *least;
            *least = if better { *other } else { *least };
            *across = if better { *x } else { *across };
            *down = if better { *y } else { *down };
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
        let mut add = |x: usize, left: usize, right: usize| {
            let across = (middle[right] - middle[left]) * 0.25;
            let down = (below[x] - above[x]) * 0.25;
            xx[x] += across * across;
            xy[x] += across * down;
            yy[x] += down * down;
            xt[x] += across * apart[x];
            yt[x] += down * apart[x];
        };
        add(0, 0, 1.min(width - 1));
        for x in 1..width.saturating_sub(1) {
            add(x, x - 1, x + 1);
        }
        if width > 1 {
            add(width - 1, width - 2, width - 1);
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

    /// `out = (motion + step * sign) * share`
    fn moved(motion: &[f32], step: &[f32], sign: f32, share: &[f32], out: &mut [f32]) {
        let rows = out.iter_mut().zip(motion.iter().zip(step).zip(share));
        for (out, ((motion, step), share)) in rows {
            *out = (motion + step * sign) * share;
        }
    }
}

/// Best displacements so far: judgements, x and y.
struct Best<'a> {
    least: &'a mut [f32],
    across: &'a mut [f32],
    down: &'a mut [f32],
}

/// Judges `N` cells from `start` on, as [`judge`] says: so many at once that the compiler knows how
/// many there are.
#[inline(always)]
fn judge_block<const N: usize>(
    start: usize,
    at: &[f32],
    around: &[&[f32]; 4],
    length: f32,
    by: [f32; 2],
    best: &mut Best<'_>,
) {
    let block = |row: &[f32]| -> [f32; N] {
        let mut block = [0.0; N];
        block.copy_from_slice(&row[start..][..N]);
        block
    };
    let (at, least) = (block(at), block(best.least));
    let [left, right, above, below] = around.map(block);
    let mut judged = [0.0; N];
    for i in 0..N {
        let lowest = left[i].min(right[i]).min(above[i].min(below[i]));
        let between = (above[i] - below[i]).abs() + (left[i] - right[i]).abs();
        let judgement = (at[i] - between * 0.5).max(0.0) + length;
        judged[i] = if at[i] <= lowest {
            judgement
        } else {
            f32::INFINITY
        };
    }
    let better = (0..N).fold(0, |any, i| any | u32::from(judged[i] < least[i]));
    // few are better than what was found before: only these are looked at one by one
    if better == 0 {
        return;
    }
    for i in (0..N).filter(|&i| judged[i] < least[i]) {
        let place = |before: f32, behind: f32| {
            (before - behind) / (2.0 * (before.max(behind) - at[i]).max(1e-6))
        };
        best.least[start + i] = judged[i];
        best.across[start + i] = by[0] + place(left[i], right[i]);
        best.down[start + i] = by[1] + place(above[i], below[i]);
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
            enlarge(false, &line, factor, &mut out);
            for (x, value) in out.iter().enumerate() {
                let expected = (x as f32 + 0.5) / factor as f32 + 0.5;
                assert!((value - expected).abs() < 1e-5, "{factor}: {out:?}");
            }
        }
    }
}
