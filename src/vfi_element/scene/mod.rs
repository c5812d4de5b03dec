//! Content of a pair of frames: whether a cut lies between them. Pure arithmetic on small pictures
//! of luma.
//!
//! A cut is what motion and light cannot explain. Three measures, each with what it was lately
//! taken off, so that a clip that is lively all the time has to jump out of its own measure:
//! the mean difference, the difference of the histograms, and the part of the detail that is
//! found nowhere near in the other frame, however it is moved and lit. The last is what tells a
//! cut from a pan, a zoom (both move), a flash, a fade or a change of exposure (all of them light).

pub(super) mod block_match;
pub(super) mod duplicates;
pub(super) mod thumbnail;

use std::ops::Range;

use self::block_match::{Found, WHITE, search};
use crate::frames::Picture;
use crate::vfi_element::scene::thumbnail::Thumbnail;

/// Cells along a thumbnail's longer side.
const CELLS: usize = 64;

/// Levels a histogram tells apart.
const LEVELS: usize = 16;

/// Mean difference from which on a pair differs altogether. This and the next four were chosen on
/// consecutive, second and fourth frames of 82 clips, some 2400 cuts made by joining them, and
/// flashes drawn over them (`vfi-lab content` shows how they do).
const DIFFERENT: f32 = 0.12;

/// The difference of histograms from which on a pair differs altogether.
const REDISTRIBUTED: f32 = 0.2;

/// The part of the detail that may well be missing where nothing is cut.
const USUALLY_MISSING: f32 = 0.12;

/// How much more has to be missing to be a cut for sure.
const MISSING: f32 = 0.3;

/// How much of the detail that was lately missing is taken off; of the other measures all is.
const USUAL: f32 = 0.5;

/// The part of the detail that shows a cut for sure if it is missing in one of the frames only, as
/// it may be in a flash, but what is bright in one is not what is bright in the other: light leaves
/// that as it is. Chosen on flashes and fades drawn over clips, and on cuts to and from pages and
/// dark pictures.
const REPLACED: f32 = 0.5;

/// Tiles across and down in which bright and dark are told from each other's mean.
const TILES: usize = 4;

/// The least part of the detail that must be missing in the other one as well: a white frame says
/// nothing.
const LEFT: f32 = 0.01;

/// The weight of the newest pair in what is usual.
const NEWEST: f32 = 0.25;

/// The rise of the mean difference that makes a step to or from black a cut and not a fade's last.
const BLACKOUT: f32 = 0.15;

/// Least change of light in half of a picture that makes a flash, followed by that in a tile.
/// From a change of a twelfth on a crossfade is nearer to the truth than the network's frame
/// (measured on clips whose frames were made brighter in turn); light that changes by so much
/// otherwise is rare.
const LIT: f32 = 0.025;
const BRIGHTLY_LIT: f32 = 0.08;
/// Least change of the mean of all that a flash takes besides.
const LIT_IN_ALL: f32 = 0.02;
const HALF: f32 = 0.5;
const QUARTER: f32 = 0.25;

/// Most times the light of the darker frame that the brighter one may have for a change of light to
/// be even, so that little of it is white. All frames brought to the same mean, what is left of the
/// change must also be less than `LIT` for nearly all that is seen. Up to there `vfi-lite` is far
/// ahead of a crossfade (by 4 dB at 1.35, measured on clips whose frames were made brighter in
/// turn), and at 1.6 behind it in a quarter of the pairs.
const MUCH_BRIGHTER: f32 = 1.45;
/// Added to means before they are compared, so that what is nearly black isn't taken for dim light.
const NEARLY_BLACK: f32 = 0.03;

/// Most by which nearly all may have become darker in a flash: what was mistaken for something else
/// goes either way.
const DIMMED: f32 = 0.01;
const NEARLY_ALL: f32 = 0.9;

/// Cells that differ less count as equal when bars are looked for.
const EVEN: f32 = 0.02;

/// Bars and black frames are not brighter than this.
const DARK: f32 = 0.1;

/// The least part of a picture between bars; what shows less is something drawn on black.
const SHOWN: f32 = 0.25;

/// Finds cuts in a run of pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct SceneDetector {
    usual: Measures,
}

/// Differences of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measures {
    /// The mean of the cells' differences.
    mean: f32,
    /// The part of the cells that would have to change their level to make the histograms equal.
    histogram: f32,
    /// The part of the detail that is nowhere near in the other frame.
    unexplained: f32,
}

/// Change from one frame to the next, beside motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that matters.
    None,
    /// The light, of all that is seen alike and not by too much: a fade, an exposure that is
    /// adjusted.
    Exposure,
    /// The light, and in such a way that motion can't be followed: a flash, a fade that is quick.
    Light,
    /// Everything: there is a cut.
    Cut,
}

impl SceneDetector {
    /// Returns the change between two frames, and takes note of the pair; `threshold`, from 0 to 1,
    /// is how sure a cut has to be. Measures that need a search are left out where nothing could
    /// come of them.
    pub(super) fn judge(&mut self, a: &Thumbnail, b: &Thumbnail, threshold: f64) -> Change {
        if (a.width, a.height) != (b.width, b.height) || a.luma.is_empty() {
            return Change::None;
        }
        let part = Part::find(a, b);
        let mut found = Measures {
            mean: part.mean_difference(a, b),
            histogram: part.histogram_difference(a, b),
            unexplained: 0.0,
        };
        let mean = (found.mean - self.usual.mean).max(0.0);
        let histogram = (found.histogram - self.usual.histogram).max(0.0);
        let most = ((mean / DIFFERENT).min(1.0) * (histogram / REDISTRIBUTED).min(1.0)).sqrt();
        let brighter = part.mean(b) - part.mean(a);
        let blackout = part.is_black(a) != part.is_black(b) && mean >= BLACKOUT;
        let mut change = if blackout { Change::Cut } else { Change::None };
        // how far it is on the way to a cut
        let mut likeness = if blackout { 1.0 } else { 0.0 };
        let may_be_cut = f64::from(most) >= threshold;
        let may_be_lit = brighter.abs() >= LIT_IN_ALL;
        if !blackout && (may_be_cut || may_be_lit) {
            // In this order the second has lost no detail to the light.
            let (bright, dark) = if brighter > 0.0 { (b, a) } else { (a, b) };
            let seen = part.search(bright, dark, -brighter.abs());
            let mut replaced = false;
            if may_be_cut {
                let back = part.search(dark, bright, brighter.abs());
                found.unexplained = seen.unexplained.min(back.unexplained);
                let in_one = seen.unexplained.max(back.unexplained) - self.usual.unexplained;
                replaced = found.unexplained >= LEFT
                    && in_one * (1.0 - part.correlation(a, b)) >= REPLACED;
            }
            let usual = USUAL * self.usual.unexplained + USUALLY_MISSING;
            let missing = match replaced {
                true => 1.0,
                false => ((found.unexplained - usual) / MISSING).clamp(0.0, 1.0),
            };
            let sure = f64::from(most * missing);
            likeness = (sure / threshold).min(1.0) as f32;
            if may_be_cut && sure >= threshold {
                change = Change::Cut;
            } else if may_be_lit
                && (seen.light(HALF) >= LIT || seen.light(QUARTER) >= BRIGHTLY_LIT)
                && seen.light(NEARLY_ALL) >= -DIMMED
            {
                change = match part.is_evenly_lit(bright, dark) {
                    true => Change::Exposure,
                    false => Change::Light,
                };
            }
        }
        if change == Change::Light {
            // differences that light makes say nothing of those that motion makes
            (found.mean, found.histogram) = (self.usual.mean, self.usual.histogram);
        }
        // the more a pair looks like a cut, the less it says of what is usual within a shot
        self.usual.approach(&found, NEWEST * (1.0 - likeness));
        change
    }
}

impl Measures {
    fn approach(&mut self, found: &Measures, weight: f32) {
        self.mean += weight * (found.mean - self.mean);
        self.histogram += weight * (found.histogram - self.histogram);
        self.unexplained += weight * (found.unexplained - self.unexplained);
    }
}

/// The part of two thumbnails that shows something: all but dark bars that both have.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    columns: Range<usize>,
    rows: Range<usize>,
}

impl Part {
    fn find(a: &Thumbnail, b: &Thumbnail) -> Self {
        let cell = |x: usize, y: usize| y * a.width + x;
        let even = |cells: &mut dyn Iterator<Item = usize>| {
            let mut range = (f32::MAX, f32::MIN);
            for cell in cells {
                for luma in [a.luma[cell], b.luma[cell]] {
                    range = (range.0.min(luma), range.1.max(luma));
                }
            }
            range.1 < DARK && range.1 - range.0 < EVEN
        };
        let bar_row = |y: usize| even(&mut (0..a.width).map(|x| cell(x, y)));
        let bar_column = |x: usize| even(&mut (0..a.height).map(|y| cell(x, y)));
        let part = Self {
            columns: inner(a.width, bar_column),
            rows: inner(a.height, bar_row),
        };
        let whole = Self {
            columns: 0..a.width,
            rows: 0..a.height,
        };
        if part.area() < SHOWN * whole.area() {
            whole
        } else {
            part
        }
    }

    fn cells<'a>(&self, of: &'a Thumbnail) -> impl Iterator<Item = f32> + use<'a> {
        let columns = self.columns.clone();
        let rows = self.rows.clone();
        rows.flat_map(move |y| of.row(y, &columns).iter().copied())
    }

    fn area(&self) -> f32 {
        (self.columns.len() * self.rows.len()).max(1) as f32
    }

    fn mean(&self, of: &Thumbnail) -> f32 {
        self.cells(of).sum::<f32>() / self.area()
    }

    fn mean_difference(&self, a: &Thumbnail, b: &Thumbnail) -> f32 {
        let differences = self.cells(a).zip(self.cells(b)).map(|(a, b)| (a - b).abs());
        differences.sum::<f32>() / self.area()
    }

    fn histogram_difference(&self, a: &Thumbnail, b: &Thumbnail) -> f32 {
        let histogram = |of| {
            let mut counts = [0.0f32; LEVELS];
            for luma in self.cells(of) {
                counts[((luma * LEVELS as f32) as usize).min(LEVELS - 1)] += 1.0;
            }
            counts
        };
        let (a, b) = (histogram(a), histogram(b));
        let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
        differences.sum::<f32>() / (2.0 * self.area())
    }

    /// Returns how alike it is where both are bright and where they are dark, from -1 (inverse) to
    /// 1; 0 if either is the same everywhere. Each tile is taken from its own mean: light may fall on
    /// a part of the picture. White cells don't count.
    fn correlation(&self, a: &Thumbnail, b: &Thumbnail) -> f32 {
        let (mut product, mut squares) = (0.0, (0.0, 0.0));
        for tile in self.tiles() {
            let both = tile.cells(a).zip(tile.cells(b));
            let both: Vec<_> = both.filter(|(a, b)| a.max(*b) <= WHITE).collect();
            let number = both.len().max(1) as f32;
            let sums = both
                .iter()
                .fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a, sum.1 + b));
            for (a, b) in both {
                let (a, b) = (a - sums.0 / number, b - sums.1 / number);
                product += a * b;
                squares = (squares.0 + a * a, squares.1 + b * b);
            }
        }
        let detail = (squares.0 * squares.1).sqrt();
        if detail > 0.0 { product / detail } else { 0.0 }
    }

    /// Returns the tiles of the part, as many across as down.
    fn tiles(&self) -> impl Iterator<Item = Self> {
        let cut = |range: &Range<usize>, at: usize| {
            let place = |at: usize| range.start + range.len() * at / TILES;
            place(at)..place(at + 1)
        };
        (0..TILES * TILES).map(move |at| Self {
            columns: cut(&self.columns, at % TILES),
            rows: cut(&self.rows, at / TILES),
        })
    }

    fn search(&self, a: &Thumbnail, b: &Thumbnail, brighter: f32) -> Found {
        search(a, b, &self.columns, &self.rows, brighter)
    }

    /// Returns whether all that the darker frame shows is brighter in the other one in the same
    /// measure.
    fn is_evenly_lit(&self, bright: &Thumbnail, dark: &Thumbnail) -> bool {
        let level =
            |of: &Thumbnail| of.luma.iter().sum::<f32>() / of.luma.len() as f32 + NEARLY_BLACK;
        let brighter = level(bright) / level(dark);
        let lit = |of: &Thumbnail, by: f32| Thumbnail {
            luma: of.luma.iter().map(|luma| luma * by).collect(),
            ..*of
        };
        brighter <= MUCH_BRIGHTER && {
            let (bright, dark) = (
                lit(bright, brighter.sqrt().recip()),
                lit(dark, brighter.sqrt()),
            );
            let left = self.search(&bright, &dark, 0.0);
            left.light(1.0 - NEARLY_ALL) < LIT && left.light(NEARLY_ALL) > -LIT
        }
    }

    fn is_black(&self, of: &Thumbnail) -> bool {
        let (low, high) = self
            .cells(of)
            .fold((f32::MAX, f32::MIN), |(low, high), luma| {
                (low.min(luma), high.max(luma))
            });
        high < DARK && high - low < EVEN
    }
}

/// Returns the range between the bars at both ends of a side; nothing if all of it is bars.
fn inner(side: usize, is_bar: impl Fn(usize) -> bool) -> Range<usize> {
    let start = (0..side).find(|at| !is_bar(*at)).unwrap_or(0);
    let end = (start..side)
        .rfind(|at| !is_bar(*at))
        .map_or(side, |at| at + 1);
    start..end
}

/// Kind of difference between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Motion, to be followed.
    Moving,
    /// Nothing: both show the same.
    Still,
    /// Another light: a flash, a quick fade.
    Flash,
    /// A cut.
    Cut,
}

#[cfg(test)]
mod tests;
