//! Content of a pair of frames: whether a cut lies between them. Pure arithmetic on small pictures
//! of luma.
//!
//! A cut is what motion and light cannot explain. Three measures are taken of a pair: the mean
//! difference, the difference of the histograms, and the missing detail: the part of it that is
//! found nowhere near in the other frame, however it is moved and lit. Missing detail tells a cut
//! from a pan, a zoom (both move), a flash, a fade or a change of exposure (all of them light).
//!
//! Each measure is reduced by its recent average (fully for mean and histogram, by half for missing
//! detail), so that a clip that is lively all the time has to exceed its own level.

pub(super) mod block_match;
pub(super) mod duplicates;
pub(super) mod thumbnail;

use std::ops::Range;

use self::block_match::{BlockMatches, WHITE, search};
use crate::frames::Picture;
use crate::vfi_element::scene::thumbnail::Thumbnail;

/// Cells along a thumbnail's longer side.
const CELLS: usize = 64;

/// Levels a histogram tells apart.
const LEVELS: usize = 16;

// Cuts. Chosen on consecutive, second and fourth frames of 82 clips, some 2400 cuts made by joining
// them, and flashes drawn over them (`vfi-lab content` shows how they do).

/// Mean difference, less its recent average, from which on a pair differs altogether.
const FULL_MEAN: f32 = 0.12;
/// Difference of the histograms, less its recent average, from which on a pair differs altogether.
const FULL_HISTOGRAM: f32 = 0.2;
/// Part of the detail that may be missing where nothing is cut.
const USUALLY_MISSING: f32 = 0.12;
/// How much more of the detail has to be missing to be a cut for sure.
const FULL_MISSING: f32 = 0.3;
/// Part of the recent average of missing detail that is subtracted; of the other measures all is.
const HISTORY_WEIGHT: f32 = 0.5;
/// Weight of the newest pair in the recent averages.
const NEWEST_WEIGHT: f32 = 0.25;
/// Rise of the mean difference that makes a step to or from black a cut and not a fade's last.
const BLACKOUT: f32 = 0.15;

// Cuts whose detail is missing in one frame only, as it may be in a flash; but light leaves bright
// what was bright. Chosen on flashes and fades drawn over clips, and on cuts to and from pages and
// dark pictures.

/// Missing detail of one frame, weighted by how little bright and dark agree, that shows a cut for
/// sure.
const REPLACED: f32 = 0.5;
/// Least part of the detail that must be missing in both frames: a white frame says nothing.
const MIN_MISSING_BOTH: f32 = 0.01;
/// Tiles across and down in which bright and dark are told from each other's mean.
const TILES: usize = 4;

// Flashes. From a change of a twelfth on a crossfade is nearer to the truth than the network's
// frame (measured on clips whose frames were made brighter in turn); light that changes by so much
// otherwise is rare.

/// Least change of light in the brighter half of the blocks that makes a flash.
const FLASH_HALF: f32 = 0.025;
/// Least change of light in the brightest quarter of the blocks that makes one.
const FLASH_QUARTER: f32 = 0.08;
/// Least change of the picture's mean that a flash takes besides.
const MIN_MEAN_CHANGE: f32 = 0.02;
/// Most by which nearly all blocks may have become darker in a flash: blocks that were mistaken for
/// others go either way.
const MAX_DIMMED: f32 = 0.01;

const HALF: f32 = 0.5;
const QUARTER: f32 = 0.25;
const NEARLY_ALL: f32 = 0.9;

// Even changes of light.

/// Most times the light of the darker frame that the brighter one may have for a change of light to
/// be even, so that little of it is white. With both frames brought to the same mean, what is left
/// of the change must also be less than [`FLASH_HALF`] for nearly all blocks. Up to there `vfi-lite`
/// is far ahead of a crossfade (by 4 dB at 1.35, measured on clips whose frames were made brighter
/// in turn), and at 1.6 behind it in a quarter of the pairs.
const MAX_EVEN_GAIN: f32 = 1.45;
/// Added to means before they are compared, so that what is nearly black isn't taken for dim light.
const NEARLY_BLACK: f32 = 0.03;

// Bars.

/// Range of luma below which cells count as flat.
const FLAT_RANGE: f32 = 0.02;
/// Luma that bars and black frames stay below.
const BLACK_LUMA: f32 = 0.1;
/// Least part of a picture between bars; what shows less is something drawn on black.
const MIN_PICTURE_AREA: f32 = 0.25;

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

/// Change from one frame to the next, beside motion, as the detector measures it. How the pair is
/// bridged then is for [`Pair::of`] to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No change that matters.
    None,
    /// The light has changed evenly and not by too much: a fade, an exposure that is adjusted.
    Exposure,
    /// The light has changed so that motion can't be followed: a flash, a quick fade.
    Light,
    /// Everything has changed: there is a cut.
    Cut,
}

impl SceneDetector {
    /// Returns the change between two frames, and takes the pair into the recent averages;
    /// `threshold`, from 0 to 1, is how sure a cut has to be. Measures that need a search are left
    /// out where nothing could come of them.
    pub(super) fn judge(&mut self, a: &Thumbnail, b: &Thumbnail, threshold: f64) -> Change {
        if (a.width, a.height) != (b.width, b.height) || a.luma.is_empty() {
            return Change::None;
        }
        let area = PictureArea::find(a, b);
        let mut found = Measures {
            mean: area.mean_difference(a, b),
            histogram: area.histogram_difference(a, b),
            unexplained: 0.0,
        };
        let mean = (found.mean - self.usual.mean).max(0.0);
        let histogram = (found.histogram - self.usual.histogram).max(0.0);
        let most = ((mean / FULL_MEAN).min(1.0) * (histogram / FULL_HISTOGRAM).min(1.0)).sqrt();
        let brighter = area.mean(b) - area.mean(a);
        let blackout = area.is_black(a) != area.is_black(b) && mean >= BLACKOUT;
        let mut change = if blackout { Change::Cut } else { Change::None };
        // how far it is on the way to a cut, from 0 to 1
        let mut cut_confidence = if blackout { 1.0 } else { 0.0 };
        let may_be_cut = f64::from(most) >= threshold;
        let may_be_lit = brighter.abs() >= MIN_MEAN_CHANGE;
        if !blackout && (may_be_cut || may_be_lit) {
            // In this order the second has lost no detail to the light.
            let (bright, dark) = if brighter > 0.0 { (b, a) } else { (a, b) };
            let seen = area.search(bright, dark, -brighter.abs());
            let mut replaced = false;
            if may_be_cut {
                let back = area.search(dark, bright, brighter.abs());
                found.unexplained = seen.unexplained.min(back.unexplained);
                let in_one = seen.unexplained.max(back.unexplained) - self.usual.unexplained;
                replaced = found.unexplained >= MIN_MISSING_BOTH
                    && in_one * (1.0 - area.correlation(a, b)) >= REPLACED;
            }
            let usual = HISTORY_WEIGHT * self.usual.unexplained + USUALLY_MISSING;
            let missing = match replaced {
                true => 1.0,
                false => ((found.unexplained - usual) / FULL_MISSING).clamp(0.0, 1.0),
            };
            let sure = f64::from(most * missing);
            cut_confidence = (sure / threshold).min(1.0) as f32;
            if may_be_cut && sure >= threshold {
                change = Change::Cut;
            } else if may_be_lit
                && (seen.light(HALF) >= FLASH_HALF || seen.light(QUARTER) >= FLASH_QUARTER)
                && seen.light(NEARLY_ALL) >= -MAX_DIMMED
            {
                change = match area.is_evenly_lit(bright, dark) {
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
        self.usual
            .approach(&found, NEWEST_WEIGHT * (1.0 - cut_confidence));
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

/// The area of two thumbnails that shows something: all but dark bars that both have.
#[derive(Clone, Debug, PartialEq)]
struct PictureArea {
    columns: Range<usize>,
    rows: Range<usize>,
}

impl PictureArea {
    fn find(a: &Thumbnail, b: &Thumbnail) -> Self {
        let cell = |x: usize, y: usize| y * a.width + x;
        let even = |cells: &mut dyn Iterator<Item = usize>| {
            let mut range = (f32::MAX, f32::MIN);
            for cell in cells {
                for luma in [a.luma[cell], b.luma[cell]] {
                    range = (range.0.min(luma), range.1.max(luma));
                }
            }
            range.1 < BLACK_LUMA && range.1 - range.0 < FLAT_RANGE
        };
        let bar_row = |y: usize| even(&mut (0..a.width).map(|x| cell(x, y)));
        let bar_column = |x: usize| even(&mut (0..a.height).map(|y| cell(x, y)));
        let area = Self {
            columns: without_bars(a.width, bar_column),
            rows: without_bars(a.height, bar_row),
        };
        let whole = Self {
            columns: 0..a.width,
            rows: 0..a.height,
        };
        if area.cell_count() < MIN_PICTURE_AREA * whole.cell_count() {
            whole
        } else {
            area
        }
    }

    fn cells<'a>(&self, of: &'a Thumbnail) -> impl Iterator<Item = f32> + use<'a> {
        let columns = self.columns.clone();
        let rows = self.rows.clone();
        rows.flat_map(move |y| of.row(y, &columns).iter().copied())
    }

    fn cell_count(&self) -> f32 {
        (self.columns.len() * self.rows.len()).max(1) as f32
    }

    fn mean(&self, of: &Thumbnail) -> f32 {
        self.cells(of).sum::<f32>() / self.cell_count()
    }

    fn mean_difference(&self, a: &Thumbnail, b: &Thumbnail) -> f32 {
        let differences = self.cells(a).zip(self.cells(b)).map(|(a, b)| (a - b).abs());
        differences.sum::<f32>() / self.cell_count()
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
        differences.sum::<f32>() / (2.0 * self.cell_count())
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

    /// Returns the tiles of the area, as many across as down.
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

    fn search(&self, a: &Thumbnail, b: &Thumbnail, brighter: f32) -> BlockMatches {
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
        brighter <= MAX_EVEN_GAIN && {
            let (bright, dark) = (
                lit(bright, brighter.sqrt().recip()),
                lit(dark, brighter.sqrt()),
            );
            let left = self.search(&bright, &dark, 0.0);
            left.light(1.0 - NEARLY_ALL) < FLASH_HALF && left.light(NEARLY_ALL) > -FLASH_HALF
        }
    }

    fn is_black(&self, of: &Thumbnail) -> bool {
        let (low, high) = self
            .cells(of)
            .fold((f32::MAX, f32::MIN), |(low, high), luma| {
                (low.min(luma), high.max(luma))
            });
        high < BLACK_LUMA && high - low < FLAT_RANGE
    }
}

/// Returns the range between the bars at both ends of a side; the whole side if all of it is bars.
fn without_bars(side: usize, is_bar: impl Fn(usize) -> bool) -> Range<usize> {
    let start = (0..side).find(|at| !is_bar(*at)).unwrap_or(0);
    let end = (start..side)
        .rfind(|at| !is_bar(*at))
        .map_or(side, |at| at + 1);
    start..end
}

/// How the time between two frames can be bridged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Along motion.
    Moving,
    /// With either frame: both show the same.
    Still,
    /// Not along motion, because the light changes: a flash, a quick fade.
    Flash,
    /// Not at all: there is a cut.
    Cut,
}

impl Pair {
    /// Returns how a change is bridged; `levels_light` says that the network follows motion while
    /// the light changes evenly.
    pub(super) fn of(change: Change, levels_light: bool) -> Self {
        match change {
            Change::None => Self::Moving,
            Change::Exposure if levels_light => Self::Moving,
            Change::Exposure | Change::Light => Self::Flash,
            Change::Cut => Self::Cut,
        }
    }
}

#[cfg(test)]
mod tests;
