//! Where the cells' motion leads to in the pictures' frame.

use crate::models::ops::planes::Planes;

/// Pixels from the border within which comparisons suffer from it.
const MARGIN: f32 = 4.0;

/// Rows of cells that one thread does in a go, for what it prepares once.
pub(super) const ROWS: usize = 8;

/// The pictures' frame, as cells of 2x2 pixels see it.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Width and height in cells.
    cells: [usize; 2],
    /// Shares of the velocities that lead to picture 0 and 1.
    pub(super) shares: [f32; 2],
}

impl Frame {
    pub(super) fn new(motion: Planes<'_>, phase: f32) -> Self {
        Self {
            cells: [motion.width, motion.height],
            shares: [phase, 1.0 - phase],
        }
    }

    /// Returns where a cell's velocity leads to, in pixels: x, y in picture 0, then in picture 1.
    #[inline(always)]
    pub(super) fn places(&self, x: usize, y: usize, velocity: [f32; 4]) -> [f32; 4] {
        let centre = [x, y].map(|at| at as f32 * 2.0 + 0.5);
        std::array::from_fn(|i| velocity[i] * self.shares[i / 2] + centre[i % 2])
    }

    /// Returns whether one of two places lies beyond the border.
    #[inline(always)]
    pub(super) fn is_beyond(&self, places: [f32; 4]) -> bool {
        !(self.is_inside([places[0], places[1]]) && self.is_inside([places[2], places[3]]))
    }

    /// Returns whether a place lies inside.
    #[inline(always)]
    pub(super) fn is_inside(&self, place: [f32; 2]) -> bool {
        let within =
            |axis: usize| place[axis] >= -0.5 && place[axis] <= 2.0 * self.cells[axis] as f32 - 0.5;
        within(0) & within(1)
    }

    /// Returns the cell that lies as far inwards as another leads beyond the border, and some more:
    /// column and row.
    pub(super) fn inwards(&self, x: usize, y: usize, places: [f32; 4]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let last = 2.0 * self.cells[axis] as f32 - 0.5;
            let over = |place: f32| place - place.max(-0.5).min(last);
            let over = over(places[axis]) + over(places[axis + 2]);
            let margin = if over == 0.0 {
                0.0
            } else {
                MARGIN.copysign(over)
            };
            let inwards = [x, y][axis] as f32 - (over + margin) / 2.0;
            // what is no number becomes 0
            (inwards.round_ties_even().max(0.0) as usize).min(self.cells[axis] - 1)
        })
    }
}
