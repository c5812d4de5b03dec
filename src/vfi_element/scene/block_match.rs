//! Looks in one thumbnail for the blocks of another: which of them moved, how their light changed,
//! and what is new.

use std::ops::Range;

use super::thumbnail::Thumbnail;

/// Cells along the side of a block whose like is looked for.
const BLOCK: usize = 8;

/// How far a block may have moved, in cells: a quarter of a thumbnail's longer side.
const REACH: usize = 16;

/// Cells brighter than this may have lost their detail in a flash.
pub(super) const WHITE: f32 = 0.95;

/// Rise of the mean luma from which on a frame may be lit by a flash.
const FLASH_RISE: f32 = 0.03;

/// The variance of a cell that counts as none: one level of 255.
const NOISE: f32 = 1.0 / (255.0 * 255.0);

/// Correlation from which on a search ends: none would better it by much.
const GOOD_CORRELATION: f32 = 0.99;

/// Correlation from which on a block counts as found.
const MIN_CORRELATION: f32 = 0.7;

/// The blocks that were found again, and the detail that was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct BlockMatches {
    /// The part of the detail that is nowhere within reach, in `[0, 1]`.
    pub unexplained: f32,
    /// By how much the match of each block that was found is brighter, in rising order.
    pub lights: Vec<f32>,
}

impl BlockMatches {
    /// Returns by how much this part of the blocks has become brighter, or more.
    pub(in crate::vfi_element) fn light(&self, part: f32) -> f32 {
        let at = ((1.0 - part) * self.lights.len() as f32) as usize;
        self.lights.get(at).copied().unwrap_or(0.0)
    }
}

/// Looks in `a` for the blocks of `b`, in a part of both.
///
/// Of each block the detail is what differs from its mean, and the most that a block of `a` explains
/// of it, stretched as it likes, is the square of their correlation. Where `b` is the brighter one its
/// white cells say nothing, because a flash leaves no detail there, and the others as much less as
/// there are fewer of them.
pub(in crate::vfi_element) fn search(
    a: &Thumbnail,
    b: &Thumbnail,
    columns: &Range<usize>,
    rows: &Range<usize>,
    brighter: f32,
) -> BlockMatches {
    let side = BLOCK.min(columns.len()).min(rows.len());
    if side < 2 {
        return BlockMatches::default();
    }
    let windows = Windows::new(a, side);
    let limit = if brighter > FLASH_RISE {
        WHITE
    } else {
        f32::MAX
    };
    let (mut detail, mut missing, mut counted, mut cells) = (0.0, 0.0, 0.0, 0.0);
    let mut lights = Vec::new();
    for top in spread(rows, side) {
        for left in spread(columns, side) {
            let block = Block::of(b, left, top, side, limit);
            detail += block.detail;
            counted += block.number;
            cells += (side * side) as f32;
            let mut place = None;
            if block.detail > NOISE * (side * side) as f32 {
                let (correlation, at) = windows.best(columns, rows, &block);
                missing += block.detail * (1.0 - correlation * correlation);
                place = Some(at).filter(|_| correlation >= MIN_CORRELATION);
            }
            // What a flash has made white is where it was.
            let white = windows.mean((left, top)) > WHITE;
            if let Some(place) = place.or(white.then_some((left, top))) {
                lights.push(windows.mean(place) - block.mean);
            }
        }
    }
    lights.sort_by(f32::total_cmp);
    let unexplained = if detail > 0.0 {
        missing / detail * counted / cells
    } else {
        0.0
    };
    BlockMatches {
        unexplained,
        lights,
    }
}

/// Returns where blocks begin: side by side, the remainder shared between both ends.
fn spread(range: &Range<usize>, side: usize) -> impl Iterator<Item = usize> + use<> {
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
    /// How many cells count, and their mean.
    number: f32,
    mean: f32,
    /// The sum of the squares of the differences.
    detail: f32,
}

impl Block {
    /// Cuts out a block, in which cells above `limit` do not count; where most of them don't, none
    /// do.
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
            mean,
            detail,
        }
    }
}

/// The blocks of a thumbnail at every place.
struct Windows<'a> {
    thumbnail: &'a Thumbnail,
    side: usize,
    /// Of each window its mean, and the sum of the squares of its differences from that.
    means: Vec<f32>,
    details: Vec<f32>,
}

impl<'a> Windows<'a> {
    fn new(thumbnail: &'a Thumbnail, side: usize) -> Self {
        let (width, height) = (thumbnail.width, thumbnail.height);
        let mut means = vec![0.0; width * height];
        let mut details = vec![0.0; width * height];
        let all = (side * side) as f32;
        for y in 0..=height - side {
            for x in 0..=width - side {
                let rows = (y..y + side).map(|line| thumbnail.row(line, &(x..x + side)));
                let (mut sum, mut squares) = (0.0, 0.0);
                for luma in rows.flatten() {
                    sum += luma;
                    squares += luma * luma;
                }
                means[y * width + x] = sum / all;
                details[y * width + x] = squares - sum * sum / all;
            }
        }
        Self {
            thumbnail,
            side,
            means,
            details,
        }
    }

    fn mean(&self, (x, y): (usize, usize)) -> f32 {
        self.means[y * self.thumbnail.width + x]
    }

    /// Returns the best correlation within reach, and where; it is looked for from the middle
    /// outwards, and no further than a good one.
    fn best(
        &self,
        columns: &Range<usize>,
        rows: &Range<usize>,
        block: &Block,
    ) -> (f32, (usize, usize)) {
        let mut best = (0.0f32, (block.left, block.top));
        let last = (columns.end - block.side, rows.end - block.side);
        for ring in 0..=REACH {
            let within = |at: usize, first: usize, last: usize| {
                at.saturating_sub(ring).max(first)..=(at + ring).min(last)
            };
            for y in within(block.top, rows.start, last.1) {
                let edge = y.abs_diff(block.top) == ring;
                for x in within(block.left, columns.start, last.0) {
                    if edge || x.abs_diff(block.left) == ring {
                        let found = self.correlation(x, y, block);
                        if found > best.0 {
                            best = (found, (x, y));
                        }
                    }
                }
            }
            if best.0 > GOOD_CORRELATION {
                break;
            }
        }
        best
    }

    /// Returns how alike the window at a place and a block are, from 0 (not at all, or inverse)
    /// to 1.
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
