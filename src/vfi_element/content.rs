//! What a pair of frames shows: whether a cut lies between them. Pure arithmetic on small pictures
//! of luma.
//!
//! A cut is what motion and light cannot explain. Three measures, each with what it was lately
//! taken off, so that a clip that is lively all the time has to jump out of its own measure:
//! the mean difference, the difference of the histograms, and the part of the detail that is
//! found nowhere near in the other frame, however it is moved and lit. The last is what tells a
//! cut from a pan, a zoom (both move), a flash, a fade or a change of exposure (all of them light).

use crate::frames::Picture;

/// Cells along a thumbnail's longer side.
const CELLS: usize = 64;

/// Cells along the side of a block whose like is looked for.
const BLOCK: usize = 8;

/// How far a block may have moved, in cells: a quarter of the longer side.
const REACH: usize = CELLS / 4;

/// Levels a histogram tells apart.
const LEVELS: usize = 16;

/// The mean difference from which on a pair differs altogether. This and the next four were chosen on
/// consecutive, second and fourth frames of 82 clips, some 2400 cuts made by joining them, and flashes drawn over
/// them (`vfi-lab content` shows how they do).
const DIFFERENT: f32 = 0.12;

/// The difference of histograms from which on a pair differs altogether.
const REDISTRIBUTED: f32 = 0.2;

/// The part of the detail that may well be missing where nothing is cut.
const USUALLY_MISSING: f32 = 0.12;

/// How much more has to be missing to be a cut for sure.
const MISSING: f32 = 0.3;

/// How much of the detail that was lately missing is taken off; of the other measures all is.
const USUAL: f32 = 0.5;

/// The weight of the newest pair in what is usual.
const NEWEST: f32 = 0.25;

/// The rise of the mean difference that makes a step to or from black a cut and not a fade's last.
const BLACKOUT: f32 = 0.15;

/// Cells that differ less count as equal when bars are looked for.
const EVEN: f32 = 0.02;

/// Bars and black frames are not brighter than this.
const DARK: f32 = 0.1;

/// The least part of a picture between bars; what shows less is something drawn on black.
const SHOWN: f32 = 0.25;

/// Cells brighter than this may have lost their detail in a flash.
const WHITE: f32 = 0.95;

/// The rise of the mean luma that makes a frame a flash's.
const BRIGHTER: f32 = 0.03;

/// The luma of a frame, averaged to cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Thumbnail {
    width: usize,
    height: usize,
    /// In `[0, 1]`, row by row.
    luma: Vec<f32>,
}

impl Thumbnail {
    /// Of a picture, in storage that is reused.
    pub(super) fn set(&mut self, picture: &Picture) {
        let (width, height) = (picture.width, picture.height);
        let cells = |side: usize| (side * CELLS / width.max(height).max(1)).clamp(1, side.max(1));
        (self.width, self.height) = if width.max(height) > CELLS {
            (cells(width), cells(height))
        } else {
            (width, height)
        };
        self.luma.clear();
        self.luma.resize(self.width * self.height, 0.0);
        let area = width * height;
        let (Some(red), Some(green), Some(blue)) = (
            picture.data.get(..area),
            picture.data.get(area..2 * area),
            picture.data.get(2 * area..3 * area),
        ) else {
            return;
        };
        let mut sums = vec![0.0; self.width];
        for (row, cells) in self.luma.chunks_exact_mut(self.width.max(1)).enumerate() {
            let lines = row * height / self.height..(row + 1) * height / self.height;
            sums.fill(0.0);
            for line in lines.clone() {
                for (column, sum) in sums.iter_mut().enumerate() {
                    let from = line * width + column * width / self.width;
                    let to = line * width + (column + 1) * width / self.width;
                    let total = |plane: &[f32]| plane[from..to].iter().sum::<f32>();
                    // BT.709; which matrix makes no difference here.
                    *sum += (0.2126 * total(red) + 0.7152 * total(green) + 0.0722 * total(blue))
                        / (to - from) as f32;
                }
            }
            for (cell, sum) in cells.iter_mut().zip(&sums) {
                *cell = sum / lines.len() as f32;
            }
        }
    }

    fn row(&self, y: usize, columns: &std::ops::Range<usize>) -> &[f32] {
        &self.luma[y * self.width..][columns.clone()]
    }
}

/// Finds cuts in a run of pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Scenes {
    usual: Measures,
}

/// What a pair differs by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measures {
    /// The mean of the cells' differences.
    mean: f32,
    /// The part of the cells that would have to change their level to make the histograms equal.
    histogram: f32,
    /// The part of the detail that is nowhere near in the other frame.
    unexplained: f32,
}

impl Scenes {
    /// How sure it is that a cut lies between two frames, from 0 to 1; and takes note of the pair.
    /// What needs a search is left out where no score above `threshold` could come of it.
    pub(super) fn score(&mut self, a: &Thumbnail, b: &Thumbnail, threshold: f64) -> f64 {
        if (a.width, a.height) != (b.width, b.height) || a.luma.is_empty() {
            return 0.0;
        }
        let part = Part::shown(a, b);
        let mut found = Measures {
            mean: part.mean_difference(a, b),
            histogram: part.histogram_difference(a, b),
            unexplained: 0.0,
        };
        let mean = (found.mean - self.usual.mean).max(0.0);
        let histogram = (found.histogram - self.usual.histogram).max(0.0);
        let most = ((mean / DIFFERENT).min(1.0) * (histogram / REDISTRIBUTED).min(1.0)).sqrt();
        let score = if part.is_black(a) != part.is_black(b) {
            if mean >= BLACKOUT { 1.0 } else { 0.0 }
        } else if f64::from(most) < threshold {
            0.0
        } else {
            found.unexplained = part.unexplained(a, b).min(part.unexplained(b, a));
            let usual = USUAL * self.usual.unexplained + USUALLY_MISSING;
            let missing = found.unexplained - usual;
            most * (missing / MISSING).clamp(0.0, 1.0)
        };
        self.usual.approach(&found);
        f64::from(score)
    }
}

impl Measures {
    fn approach(&mut self, found: &Measures) {
        self.mean += NEWEST * (found.mean - self.mean);
        self.histogram += NEWEST * (found.histogram - self.histogram);
        self.unexplained += NEWEST * (found.unexplained - self.unexplained);
    }
}

/// The part of two thumbnails that shows something: all but dark bars that both have.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
}

impl Part {
    fn shown(a: &Thumbnail, b: &Thumbnail) -> Self {
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

    fn is_black(&self, of: &Thumbnail) -> bool {
        let (low, high) = self
            .cells(of)
            .fold((f32::MAX, f32::MIN), |(low, high), luma| {
                (low.min(luma), high.max(luma))
            });
        high < DARK && high - low < EVEN
    }

    /// The part of the detail in `b` that is nowhere within reach in `a`.
    ///
    /// Of each block the detail is what differs from its mean, and the most that a block of `a`
    /// explains of it, stretched as it likes, is the square of their correlation. Where `b` is the brighter
    /// one its white cells say nothing, because a flash leaves no detail there, and the others as much less as
    /// there are fewer of them.
    fn unexplained(&self, a: &Thumbnail, b: &Thumbnail) -> f32 {
        let side = BLOCK.min(self.columns.len()).min(self.rows.len());
        if side < 2 {
            return 0.0;
        }
        let windows = Windows::new(a, side);
        let flashed = self.mean(b) > self.mean(a) + BRIGHTER;
        let limit = if flashed { WHITE } else { f32::MAX };
        let (mut detail, mut missing, mut counted, mut cells) = (0.0, 0.0, 0.0, 0.0);
        for top in spread(&self.rows, side) {
            for left in spread(&self.columns, side) {
                let block = Block::of(b, left, top, side, limit);
                detail += block.detail;
                counted += block.number;
                cells += (side * side) as f32;
                if block.detail > NOISE * (side * side) as f32 {
                    missing += block.detail * (1.0 - self.likeness(&windows, &block));
                }
            }
        }
        if detail > 0.0 {
            missing / detail * counted / cells
        } else {
            0.0
        }
    }

    /// The square of the best correlation within reach; it is looked for from the middle outwards,
    /// and no further than a good one.
    fn likeness(&self, windows: &Windows, block: &Block) -> f32 {
        let mut best = 0.0f32;
        for ring in 0..=REACH {
            let (left, right) = (block.left.saturating_sub(ring), block.left + ring);
            let (top, bottom) = (block.top.saturating_sub(ring), block.top + ring);
            let last_x = (self.columns.end - block.side).min(right);
            let last_y = (self.rows.end - block.side).min(bottom);
            let first_x = self.columns.start.max(left);
            let first_y = self.rows.start.max(top);
            for y in first_y..=last_y {
                let edge = y.abs_diff(block.top) == ring;
                for x in first_x..=last_x {
                    if edge || x.abs_diff(block.left) == ring {
                        best = best.max(windows.correlation(x, y, block));
                    }
                }
            }
            if best > ENOUGH {
                break;
            }
        }
        best * best
    }
}

/// The variance of a cell that counts as none: one level of 255.
const NOISE: f32 = 1.0 / (255.0 * 255.0);

/// A correlation that no search would better by much.
const ENOUGH: f32 = 0.99;

/// What lies between the bars at both ends of a side; nothing if all of it is bars.
fn inner(side: usize, is_bar: impl Fn(usize) -> bool) -> std::ops::Range<usize> {
    let start = (0..side).find(|at| !is_bar(*at)).unwrap_or(0);
    let end = (start..side)
        .rfind(|at| !is_bar(*at))
        .map_or(side, |at| at + 1);
    start..end
}

/// Where blocks begin: side by side, what is left over is shared between both ends.
fn spread(range: &std::ops::Range<usize>, side: usize) -> impl Iterator<Item = usize> + use<> {
    let start = range.start + range.len() % side / 2;
    (0..range.len() / side).map(move |index| start + index * side)
}

/// A block's detail.
struct Block {
    left: usize,
    top: usize,
    side: usize,
    /// Differences from its mean; zero where a cell does not count.
    cells: [[f32; BLOCK]; BLOCK],
    /// Which cells count, by 1 and 0; none if all do.
    counts: Option<[[f32; BLOCK]; BLOCK]>,
    /// How many cells count.
    number: f32,
    /// The sum of the squares of the differences.
    detail: f32,
}

impl Block {
    /// A block whose cells above `limit` do not count; where most of them don't, none do.
    fn of(thumbnail: &Thumbnail, left: usize, top: usize, side: usize, limit: f32) -> Self {
        let mut cells = [[0.0; BLOCK]; BLOCK];
        let mut counts = [[0.0; BLOCK]; BLOCK];
        let (mut sum, mut number) = (0.0, 0.0);
        let columns = left..left + side;
        for y in 0..side {
            for (x, luma) in thumbnail.row(top + y, &columns).iter().enumerate() {
                if *luma <= limit {
                    cells[y][x] = *luma;
                    counts[y][x] = 1.0;
                    sum += luma;
                    number += 1.0;
                }
            }
        }
        let all = (side * side) as f32;
        if number < all / 2.0 {
            counts = Default::default();
            number = 0.0;
        }
        let mean = sum / number.max(1.0);
        let mut detail = 0.0;
        for (cell, count) in cells
            .as_flattened_mut()
            .iter_mut()
            .zip(counts.as_flattened())
        {
            *cell = (*cell - mean) * count;
            detail += *cell * *cell;
        }
        Self {
            left,
            top,
            side,
            cells,
            counts: (number < all).then_some(counts),
            number,
            detail,
        }
    }
}

/// The blocks of a thumbnail at every place.
struct Windows<'a> {
    thumbnail: &'a Thumbnail,
    side: usize,
    /// Of each window the sum of the squares of its differences from its mean.
    details: Vec<f32>,
}

impl<'a> Windows<'a> {
    fn new(thumbnail: &'a Thumbnail, side: usize) -> Self {
        let (width, height) = (thumbnail.width, thumbnail.height);
        let mut details = vec![0.0; width * height];
        for y in 0..=height - side {
            for x in 0..=width - side {
                let rows = (y..y + side).map(|line| thumbnail.row(line, &(x..x + side)));
                let (mut sum, mut squares) = (0.0, 0.0);
                for luma in rows.flatten() {
                    sum += luma;
                    squares += luma * luma;
                }
                details[y * width + x] = squares - sum * sum / (side * side) as f32;
            }
        }
        Self {
            thumbnail,
            side,
            details,
        }
    }

    /// How alike the window at a place and a block are, from 0 (not at all, or inverse) to 1.
    fn correlation(&self, x: usize, y: usize, block: &Block) -> f32 {
        let columns = x..x + self.side;
        let rows = (y..y + self.side).map(|line| self.thumbnail.row(line, &columns));
        let mut product = 0.0;
        let detail = match &block.counts {
            None => {
                for (row, cells) in rows.zip(&block.cells) {
                    product += row.iter().zip(cells).map(|(a, b)| a * b).sum::<f32>();
                }
                self.details[y * self.thumbnail.width + x]
            }
            Some(counts) => {
                let (mut sum, mut squares, mut number) = (0.0, 0.0, 0.0);
                for (row, (cells, counts)) in rows.zip(block.cells.iter().zip(counts)) {
                    for (luma, (cell, count)) in row.iter().zip(cells.iter().zip(counts)) {
                        product += luma * cell;
                        sum += count * luma;
                        squares += count * luma * luma;
                        number += count;
                    }
                }
                squares - sum * sum / number
            }
        };
        if detail <= NOISE * (self.side * self.side) as f32 {
            return 0.0;
        }
        // The block's cells add up to zero, so the window's mean has no part in the product.
        (product / (detail * block.detail).sqrt()).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
