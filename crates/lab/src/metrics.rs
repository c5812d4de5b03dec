//! How near a rebuilt frame comes to the true one.

use anyhow::{Result, bail};

use crate::luma::Luma;

/// Equal frames have no noise; they count as this many dB.
pub(crate) const MOST_DB: f64 = 100.0;

/// Side of the window in which SSIM compares, and its sigma, as in the paper (Wang et al. 2004).
pub(crate) const WINDOW: usize = 11;
const SIGMA: f32 = 1.5;

/// SSIM's constants (0.01 * 255)² and (0.03 * 255)².
const C1: f32 = 6.5025;
const C2: f32 = 58.5225;

/// Returns the peak signal to noise ratio, in dB.
pub(crate) fn psnr(made: &Luma, wanted: &Luma) -> Result<f64> {
    made.same_size(wanted)?;
    let square = |(&a, &b): (&u8, &u8)| u64::from(a.abs_diff(b)).pow(2);
    let error: u64 = made.data.iter().zip(&wanted.data).map(square).sum();
    let mean = error as f64 / made.data.len().max(1) as f64;
    Ok((10.0 * (255.0 * 255.0 / mean).log10()).min(MOST_DB))
}

/// Returns the structural similarity: the mean over every place where a Gaussian window of 11x11
/// lies inside the frame.
pub(crate) fn ssim(made: &Luma, wanted: &Luma) -> Result<f64> {
    made.same_size(wanted)?;
    let (width, height) = (made.width, made.height);
    if width < WINDOW || height < WINDOW {
        bail!("{width}x{height} is less than SSIM's window of {WINDOW}x{WINDOW}");
    }
    let kernel = gaussian();
    let values = |luma: &Luma| -> Vec<f32> { luma.data.iter().map(|v| f32::from(*v)).collect() };
    let (a, b) = (values(made), values(wanted));
    let mean_of = |f: fn(f32, f32) -> f32| {
        let map: Vec<f32> = a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect();
        weighted_means(&map, width, &kernel)
    };
    let (mean_a, mean_b) = (mean_of(|a, _| a), mean_of(|_, b| b));
    let (aa, bb, ab) = (
        mean_of(|a, _| a * a),
        mean_of(|_, b| b * b),
        mean_of(|a, b| a * b),
    );
    let sum: f64 = (0..mean_a.len())
        .map(|i| {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (va, vb, covariance) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
            let likeness = (2.0 * ma * mb + C1) * (2.0 * covariance + C2);
            f64::from(likeness / ((ma * ma + mb * mb + C1) * (va + vb + C2)))
        })
        .sum();
    Ok(sum / mean_a.len() as f64)
}

/// Returns the structural similarity as ffmpeg's filter `ssim` and x264 have it: blocks of 8x8 at
/// every fourth pixel, all values alike in weight.
pub(crate) fn ssim_of_blocks(made: &Luma, wanted: &Luma) -> Result<f64> {
    /// (0.01 * 255)² * 64 and (0.03 * 255)² * 64 * 63, rounded as there.
    const C: (f64, f64) = (416.0, 235_963.0);
    made.same_size(wanted)?;
    let (width, height) = (made.width, made.height);
    if width < 8 || height < 8 {
        bail!("{width}x{height} is less than a block of 8x8");
    }
    let (across, down) = (width / 4, height / 4);
    // Sums over blocks of 4x4: of both, of their squares, of their products.
    let sums: Vec<[u32; 4]> = (0..across * down)
        .map(|block| {
            let (x, y) = (block % across * 4, block / across * 4);
            let mut sum = [0; 4];
            for start in (y..y + 4).map(|y| y * width + x) {
                let rows = made.data[start..start + 4].iter();
                for (a, b) in rows.zip(&wanted.data[start..start + 4]) {
                    let (a, b) = (u32::from(*a), u32::from(*b));
                    for (sum, value) in sum.iter_mut().zip([a, b, a * a + b * b, a * b]) {
                        *sum += value;
                    }
                }
            }
            sum
        })
        .collect();
    let mut total = 0.0;
    for (upper, lower) in sums.chunks(across).zip(sums.chunks(across).skip(1)) {
        for (upper, lower) in upper.windows(2).zip(lower.windows(2)) {
            let of = |i: usize| {
                let parts = upper.iter().chain(lower);
                f64::from(parts.map(|sums| sums[i]).sum::<u32>())
            };
            let (a, b) = (of(0), of(1));
            let variances = of(2) * 64.0 - a * a - b * b;
            let covariance = of(3) * 64.0 - a * b;
            total += (2.0 * a * b + C.0) * (2.0 * covariance + C.1)
                / ((a * a + b * b + C.0) * (variances + C.1));
        }
    }
    Ok(total / ((across - 1) * (down - 1)) as f64)
}

fn gaussian() -> [f32; WINDOW] {
    let middle = (WINDOW / 2) as f32;
    let kernel: [f32; WINDOW] =
        std::array::from_fn(|i| (-(i as f32 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f32 = kernel.iter().sum();
    kernel.map(|weight| weight / sum)
}

/// Returns the weighted mean at each place where the window lies inside: first along rows, then
/// along columns.
fn weighted_means(map: &[f32], width: usize, kernel: &[f32; WINDOW]) -> Vec<f32> {
    let inside = width - (WINDOW - 1);
    let mut rows = Vec::with_capacity(map.len());
    for row in map.chunks_exact(width) {
        let start = rows.len();
        rows.resize(start + inside, 0.0);
        for (shift, weight) in kernel.iter().enumerate() {
            add(&mut rows[start..], &row[shift..], *weight);
        }
    }
    let mut means = vec![0.0; rows.len() - (WINDOW - 1) * inside];
    for (y, out) in means.chunks_exact_mut(inside).enumerate() {
        for (shift, weight) in kernel.iter().enumerate() {
            add(out, &rows[(y + shift) * inside..], *weight);
        }
    }
    means
}

fn add(sums: &mut [f32], values: &[f32], weight: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value * weight;
    }
}

/// Returns the mean squared gradient (Sobel), which blur lowers and doubled or broken edges change.
pub(crate) fn edges(luma: &Luma) -> f64 {
    let rows: Vec<&[u8]> = luma.data.chunks_exact(luma.width).collect();
    let mut sum = 0u64;
    let mut places = 0u64;
    for rows in rows.windows(3) {
        for x in 1..luma.width.saturating_sub(1) {
            let at = |row: usize, column: usize| i32::from(rows[row][column]);
            let column = |x: usize| at(0, x) + 2 * at(1, x) + at(2, x);
            let row = |y: usize| at(y, x - 1) + 2 * at(y, x) + at(y, x + 1);
            let (across, down) = (column(x + 1) - column(x - 1), row(2) - row(0));
            sum += u64::from((across * across + down * down).unsigned_abs());
            places += 1;
        }
    }
    sum as f64 / places.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Luma {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let data = places.map(|(x, y)| value(x, y)).collect();
        Luma::new(width, height, data).unwrap()
    }

    fn texture(x: usize, y: usize) -> u8 {
        ((x * 7 + y * 13) % 32 * 8) as u8
    }

    #[track_caller]
    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-3, "{a} is not {b}");
    }

    #[test]
    fn psnr_is_the_textbooks() {
        let flat = |value| luma(16, 16, move |_, _| value);
        near(psnr(&flat(10), &flat(11)).unwrap(), 48.1308);
        near(psnr(&flat(0), &flat(255)).unwrap(), 0.0);
        near(psnr(&flat(7), &flat(7)).unwrap(), MOST_DB);
        assert!(psnr(&flat(7), &luma(16, 17, |_, _| 7)).is_err());
    }

    #[test]
    fn ssim_of_flat_frames_is_that_of_their_means() {
        let flat = |value| luma(20, 16, move |_, _| value);
        near(ssim(&flat(90), &flat(90)).unwrap(), 1.0);
        let wanted =
            (2.0 * 100.0 * 110.0 + 6.5025) / (100.0f64.powi(2) + 110.0f64.powi(2) + 6.5025);
        near(ssim(&flat(100), &flat(110)).unwrap(), wanted);
        assert!(ssim(&luma(10, 16, texture), &luma(10, 16, texture)).is_err());
    }

    /// The figures are `structural_similarity`'s of scikit-image, with `gaussian_weights`, a sigma
    /// of 1.5 and without `use_sample_covariance`.
    #[test]
    fn ssim_is_what_others_find() {
        let (a, b) = (
            luma(32, 24, texture),
            luma(32, 24, |x, y| texture(x + 1, y)),
        );
        near(ssim(&a, &a).unwrap(), 1.0);
        near(ssim(&a, &b).unwrap(), -0.030896);
        let soft = luma(32, 24, |x, y| (texture(x, y) / 2) + 60);
        near(ssim(&a, &soft).unwrap(), 0.801232);
    }

    #[test]
    fn edges_are_lost_in_a_blend() {
        // A step of 100 is seen from two columns of 10, with 4 * 100 each.
        let step = |at| luma(12, 12, move |x, _| if x < at { 50 } else { 150 });
        near(edges(&step(6)), 400.0 * 400.0 * 2.0 / 10.0);
        near(edges(&luma(12, 12, |_, _| 9)), 0.0);
        let doubled = step(4).blend(&step(8), 0.5).unwrap();
        near(edges(&doubled) / edges(&step(6)), 0.5);
    }
}
