//! Sizes of small pictures.

/// The size of small pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Size {
    /// Returns how many pixels a picture has.
    pub(super) fn pixels(self) -> usize {
        self.width * self.height
    }
}
