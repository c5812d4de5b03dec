//! Motion between two frames as a network gives it.

/// Motion at one phase between frame 0 and frame 1, on a grid of cells that may be coarser than
/// the frame and may reach past its right and bottom edge (network padding).
///
/// A grid of `width` x `height` cells starts at the frame's top left corner; `cover_x` x `cover_y`
/// of them (not always whole numbers) span the frame. With `s = frame_width / cover_x`, frame
/// position `x` (pixel centres at integers) lies at grid position `(x + 0.5) / s - 0.5`, and a
/// stored flow value `v` means `v * unit * s` frame pixels; likewise vertically.
///
/// The frame at the phase is `mask * frame0(p + flow0(p)) + (1 - mask) * frame1(p + flow1(p))`,
/// sampled with the border repeated.
#[derive(Clone, Copy, Debug)]
pub struct Motion<'a> {
    /// Cells in a row of the grid.
    pub width: usize,
    /// Rows of the grid.
    pub height: usize,
    /// Number of cells that span the frame's width.
    pub cover_x: f32,
    /// Number of cells that span the frame's height.
    pub cover_y: f32,
    /// Cells per stored flow unit.
    pub unit: f32,
    /// Four planes of `height * width`: x and y of the flow to frame 0, x and y of the flow to
    /// frame 1.
    pub flow: &'a [f32],
    /// One plane of `height * width`: the weight of frame 0, in `[0, 1]`.
    pub mask: &'a [f32],
}
