//! Small pictures of luma, on which changes are judged.

use std::ops::Range;

use crate::vfi_element::scene::{CELLS, Picture};

/// The luma of a frame, averaged to cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Thumbnail {
    pub width: usize,
    pub height: usize,
    /// In `[0, 1]`, or brighter where something shows through, row by row.
    pub luma: Vec<f32>,
}

impl Thumbnail {
    /// Returns how many columns and rows there are of a picture of this size.
    pub(in crate::vfi_element) fn cells((width, height): (usize, usize)) -> (usize, usize) {
        let cells = |side: usize| (side * CELLS / width.max(height).max(1)).clamp(1, side.max(1));
        if width.max(height) > CELLS {
            (cells(width), cells(height))
        } else {
            (width, height)
        }
    }

    /// Sets the thumbnail of a picture of this size, its cells known already; in storage that is
    /// reused.
    pub(in crate::vfi_element) fn set_cells(&mut self, picture: (usize, usize), luma: &[f32]) {
        (self.width, self.height) = Self::cells(picture);
        self.luma.clear();
        self.luma.extend_from_slice(luma);
    }

    /// Sets the thumbnail of a picture, in storage that is reused.
    pub(in crate::vfi_element) fn set(&mut self, picture: &Picture) {
        let (width, height) = (picture.width, picture.height);
        (self.width, self.height) = Self::cells((width, height));
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

    /// Returns some columns of a row.
    pub(in crate::vfi_element) fn row(&self, y: usize, columns: &Range<usize>) -> &[f32] {
        &self.luma[y * self.width..][columns.clone()]
    }
}
