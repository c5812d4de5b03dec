//! Motion between two frames by block matching, for what is measured where motion diverges.

use anyhow::Result;

use crate::luma::Luma;
use crate::metrics::MOST_DB;

/// Distance of the places where motion is looked for, in pixels, and the side of what is compared.
const GRID: usize = 4;
const BLOCK: usize = 8;

/// Halvings of the picture, largest first, and how far is searched around the guess at each size.
const LEVELS: usize = 4;
const REACH: i32 = 3;

/// Difference that a block has to save for each pixel away from the guess: else noise moves.
const STEADINESS: u32 = BLOCK as u32 * 2;

/// Part of the largest divergence that is counted, as in the authors' own program.
const THRESHOLD: f32 = 0.01;

/// Motion in pixels at every [`GRID`]th pixel.
#[derive(Debug, Clone)]
struct Field {
    width: usize,
    height: usize,
    motion: Vec<[f32; 2]>,
}

impl Field {
    /// Returns the motion at a place of the grid, that of the border beyond it.
    fn at(&self, x: i32, y: i32) -> [f32; 2] {
        let clamp = |place: i32, length: usize| {
            usize::try_from(place).map_or(0, |place| place.min(length - 1))
        };
        self.motion[clamp(y, self.height) * self.width + clamp(x, self.width)]
    }

    /// Returns the median of each component around each place.
    fn median(&self) -> Self {
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        let motion = places.map(|(x, y)| {
            [0, 1].map(|component| {
                let around = (0..9).map(|i| {
                    let (dx, dy) = (i % 3 - 1, i / 3 - 1);
                    self.at(x as i32 + dx, y as i32 + dy)[component]
                });
                let mut around: Vec<f32> = around.collect();
                around.sort_by(f32::total_cmp);
                around[4]
            })
        });
        Self {
            motion: motion.collect(),
            ..*self
        }
    }

    /// Returns how much motion diverges at each place: |du/dx + dv/dy|.
    fn divergence(&self) -> Vec<f32> {
        let places = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        let of = |(x, y): (usize, usize)| {
            let (x, y) = (x as i32, y as i32);
            let across = self.at(x + 1, y)[0] - self.at(x - 1, y)[0];
            let down = self.at(x, y + 1)[1] - self.at(x, y - 1)[1];
            ((across + down) / (2 * GRID) as f32).abs()
        };
        places.map(of).collect()
    }
}

/// Returns a picture of half the size.
fn halve(luma: &Luma) -> Luma {
    let (width, height) = (luma.width / 2, luma.height / 2);
    let at = |x: usize, y: usize| u16::from(luma.data[y * luma.width + x]);
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (2 * x, 2 * y)));
    let data = places.map(|(x, y)| {
        let sum = at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1);
        (sum / 4) as u8
    });
    Luma {
        width,
        height,
        data: data.collect(),
    }
}

/// Returns where each block of a frame is found in another.
fn field(from: &Luma, to: &Luma) -> Field {
    let mut pyramid = vec![(from.clone(), to.clone())];
    while let Some((a, b)) = pyramid.last()
        && pyramid.len() < LEVELS
        && a.width.min(a.height) >= 4 * BLOCK
    {
        pyramid.push((halve(a), halve(b)));
    }
    let mut guess: Option<Field> = None;
    for (from, to) in pyramid.iter().rev() {
        guess = Some(refine(from, to, guess.as_ref()).median());
    }
    guess.unwrap_or(Field {
        width: 1,
        height: 1,
        motion: vec![[0.0; 2]],
    })
}

/// Returns the motion at one size, from what was found at half of it.
fn refine(from: &Luma, to: &Luma, coarse: Option<&Field>) -> Field {
    let (width, height) = (from.width.div_ceil(GRID), from.height.div_ceil(GRID));
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let motion = places.map(|(x, y)| {
        let guess = coarse.map_or([0.0; 2], |coarse| coarse.at(x as i32 / 2, y as i32 / 2));
        let guess = guess.map(|value| (2.0 * value).round() as i32);
        search(from, to, (x * GRID, y * GRID), guess)
    });
    Field {
        width,
        height,
        motion: motion.collect(),
    }
}

/// Returns the motion of a block, to parts of a pixel by a parabola.
fn search(from: &Luma, to: &Luma, (x, y): (usize, usize), guess: [i32; 2]) -> [f32; 2] {
    // A block lies in the frame as a whole.
    let inside = |place: usize, length: usize| {
        (place.saturating_sub((BLOCK - GRID) / 2)).min(length.saturating_sub(BLOCK))
    };
    let (x, y) = (inside(x, from.width), inside(y, from.height));
    let cost = |motion: [i32; 2]| {
        let away = (motion[0] - guess[0]).unsigned_abs() + (motion[1] - guess[1]).unsigned_abs();
        difference(from, to, (x, y), motion) + away * STEADINESS
    };
    let mut best = (u32::MAX, guess);
    for dy in -REACH..=REACH {
        for dx in -REACH..=REACH {
            let motion = [guess[0] + dx, guess[1] + dy];
            best = best.min((cost(motion), motion));
        }
    }
    let motion = best.1;
    let least = difference(from, to, (x, y), motion);
    [0, 1].map(|axis| {
        let beside = |by: i32| {
            let mut motion = motion;
            motion[axis] += by;
            difference(from, to, (x, y), motion) as f32
        };
        let (before, behind) = (beside(-1), beside(1));
        let bend = before + behind - 2.0 * least as f32;
        let part = if least > 0 && bend > 0.0 {
            ((before - behind) / (2.0 * bend)).clamp(-0.5, 0.5)
        } else {
            0.0
        };
        motion[axis] as f32 + part
    })
}

/// Returns the sum of differences of a block and the one it would have moved to; the border goes on
/// beyond the frame.
fn difference(from: &Luma, to: &Luma, (x, y): (usize, usize), motion: [i32; 2]) -> u32 {
    let (right, bottom) = (to.width as i32 - 1, to.height as i32 - 1);
    let (left, top) = (x as i32 + motion[0], y as i32 + motion[1]);
    let side = BLOCK as i32;
    let rows = y..(y + BLOCK).min(from.height);
    let across = BLOCK.min(from.width - x);
    let whole = left >= 0 && left + side <= right + 1;
    rows.zip(top..)
        .map(|(y, there)| {
            let a = &from.data[y * from.width + x..][..across];
            let row = &to.data[there.clamp(0, bottom) as usize * to.width..][..to.width];
            if whole {
                let b = &row[left as usize..][..across];
                let each = a.iter().zip(b);
                each.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
            } else {
                let b = (left..).map(|x| row[x.clamp(0, right) as usize]);
                let each = a.iter().zip(b);
                each.map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>()
            }
        })
        .sum()
}

/// Returns the peak signal to noise ratio, in dB, over the places where motion from a made frame to
/// the `next` one diverges by more than a hundredth of the most; none where it diverges nowhere.
pub(super) fn psnr_of_divergence(made: &Luma, next: &Luma, wanted: &Luma) -> Result<Option<f64>> {
    made.same_size(wanted)?;
    made.same_size(next)?;
    let field = field(made, next);
    let divergence = field.divergence();
    let most = divergence.iter().copied().fold(0.0, f32::max);
    if most <= 0.0 {
        return Ok(None);
    }
    let (mut error, mut count) = (0u64, 0u64);
    for (number, (a, b)) in made.data.iter().zip(&wanted.data).enumerate() {
        let (x, y) = (number % made.width / GRID, number / made.width / GRID);
        if divergence[y * field.width + x] > THRESHOLD * most {
            error += u64::from(a.abs_diff(*b)).pow(2);
            count += 1;
        }
    }
    let mean = error as f64 / count as f64;
    Ok(Some((10.0 * (255.0 * 255.0 / mean).log10()).min(MOST_DB)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a texture that doesn't repeat, moved by a distance that depends on the place.
    fn texture(by: impl Fn(f32, f32) -> f32) -> Luma {
        let value = |x: usize, y: usize| {
            let (x, y) = (x as f32, y as f32);
            let x = x - by(x, y);
            let wave = (x * 0.31 + (y * 0.17).sin() * 2.0).sin() + (y * 0.23 - x * 0.11).cos();
            (128.0 + 50.0 * wave) as u8
        };
        let places = (0..64).flat_map(|y| (0..96).map(move |x| (x, y)));
        let data = places.map(|(x, y)| value(x, y)).collect();
        Luma::new(96, 64, data).unwrap()
    }

    #[test]
    fn motion_is_found_to_parts_of_a_pixel() {
        let field = field(&texture(|_, _| 0.0), &texture(|_, _| 6.5));
        let mut across: Vec<f32> = field.motion.iter().map(|motion| motion[0]).collect();
        across.sort_by(f32::total_cmp);
        let median = across[across.len() / 2];
        assert!((median - 6.5).abs() < 0.3, "{median}");
    }

    #[test]
    fn only_errors_where_motion_diverges_count() {
        // The right half moves, the left one rests.
        let half = |by: f32| move |x: f32, _: f32| if x < 48.0 { 0.0 } else { by };
        let (made, next) = (texture(half(0.0)), texture(half(5.0)));
        let spoilt = |at: usize| {
            let mut wanted = made.clone();
            for y in 20..40 {
                wanted.data[y * 96 + at] ^= 0x40;
            }
            psnr_of_divergence(&made, &next, &wanted).unwrap().unwrap()
        };
        assert_eq!(spoilt(12), MOST_DB);
        assert!(spoilt(48) < 40.0, "{}", spoilt(48));
    }

    #[test]
    fn a_still_picture_diverges_nowhere() {
        let still = texture(|_, _| 0.0);
        assert_eq!(psnr_of_divergence(&still, &still, &still).unwrap(), None);
    }
}
