//! Enlarging flow and mask from the network's grid to a plane, a row at a time.

use crate::frames::{Motion, PlaneFormat};

/// Planes in a row of the field: x and y to frame 0, x and y to frame 1, mask.
pub(super) const PARTS: usize = 5;

/// Cells repeated behind the last one, so that a window of nine cells can start at any cell.
const PADDING: usize = 16;

/// A flow longer than this many pixels counts as none, as do NaN and infinity.
const LIMIT: f32 = 32768.0;

/// Positions of a plane's pixels in the grid of a [`Motion`], and the scale of its flow.
///
/// With `k = 2^subsampling * cover / frame size` cells per plane pixel, the centre of plane pixel
/// `x` lies at `(x + 0.5) * k - 0.5`: a subsampled pixel covers whole frame pixels and sits in
/// their centre. (Formats that site chroma elsewhere are off by at most half a frame pixel in
/// where the flow is read, not in where it leads, since flow is a difference of positions.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    /// Cells per plane pixel.
    pub(super) kx: f32,
    /// Grid position of pixel 0.
    pub(super) ox: f32,
    ky: f32,
    oy: f32,
    /// Plane pixels per stored flow unit.
    flow_x: f32,
    flow_y: f32,
}

impl Mapping {
    /// The mapping for a plane of `format` in a frame of `width` x `height`.
    pub(super) fn new(motion: &Motion, width: usize, height: usize, format: &PlaneFormat) -> Self {
        let kx = motion.cover_x / width as f32 * (1u32 << format.sub_x) as f32;
        let ky = motion.cover_y / height as f32 * (1u32 << format.sub_y) as f32;
        Self {
            kx,
            ox: 0.5 * kx - 0.5,
            ky,
            oy: 0.5 * ky - 0.5,
            flow_x: motion.unit / kx,
            flow_y: motion.unit / ky,
        }
    }

    /// Returns the grid column left of plane column `x`, and how far behind it, within the grid.
    pub(super) fn column(&self, x: usize, motion: &Motion) -> (usize, f32) {
        split(x as f32 * self.kx + self.ox, motion.width)
    }

    /// Returns the grid row above plane row `y`, and how far behind it, within the grid.
    pub(super) fn row(&self, y: usize, motion: &Motion) -> (usize, f32) {
        split(y as f32 * self.ky + self.oy, motion.height)
    }

    /// Returns part `part` (0 to 4) of cell `cell`, in plane pixels, made harmless.
    #[inline(always)]
    pub(super) fn cell(&self, motion: &Motion, part: usize, cell: usize) -> f32 {
        if part == PARTS - 1 {
            weight(motion.mask[cell])
        } else {
            let scale = [self.flow_x, self.flow_y][part % 2];
            pixels(
                motion.flow[part * motion.width * motion.height + cell],
                scale,
            )
        }
    }
}

/// A position in a grid of `cells`, clamped to it, as the cell before and the part behind it.
fn split(position: f32, cells: usize) -> (usize, f32) {
    let position = position.max(0.0).min((cells - 1) as f32);
    (position as usize, position.fract())
}

#[inline(always)]
fn pixels(value: f32, scale: f32) -> f32 {
    let value = value * scale;
    if value.abs() <= LIMIT { value } else { 0.0 }
}

#[inline(always)]
fn weight(value: f32) -> f32 {
    if value >= 0.0 {
        value.min(1.0)
    } else if value < 0.0 {
        0.0
    } else {
        0.5
    }
}

/// Floats in one part of a row that [`enlarge_row`] fills.
pub(super) fn pitch(motion: &Motion) -> usize {
    motion.width + PADDING
}

/// Fills `row` with the grid interpolated at plane row `y`: [`PARTS`] parts of [`pitch`] floats,
/// the last cell of each repeated to its end.
#[inline(always)]
pub(super) fn enlarge_row(mapping: &Mapping, motion: &Motion, y: usize, row: &mut [f32]) {
    let (above, part) = mapping.row(y, motion);
    let below = (above + 1).min(motion.height - 1);
    let (width, cells) = (motion.width, motion.width * motion.height);
    for (index, out) in row.chunks_exact_mut(pitch(motion)).enumerate() {
        let (plane, scale) = if index == PARTS - 1 {
            (motion.mask, 1.0)
        } else {
            let scale = [mapping.flow_x, mapping.flow_y][index % 2];
            (&motion.flow[index * cells..(index + 1) * cells], scale)
        };
        let top = &plane[above * width..(above + 1) * width];
        let bottom = &plane[below * width..(below + 1) * width];
        let (filled, rest) = out.split_at_mut(width);
        if index == PARTS - 1 {
            for ((out, &top), &bottom) in filled.iter_mut().zip(top).zip(bottom) {
                let (top, bottom) = (weight(top), weight(bottom));
                *out = top + part * (bottom - top);
            }
        } else {
            for ((out, &top), &bottom) in filled.iter_mut().zip(top).zip(bottom) {
                let (top, bottom) = (pixels(top, scale), pixels(bottom, scale));
                *out = top + part * (bottom - top);
            }
        }
        rest.fill(filled[width - 1]);
    }
}
