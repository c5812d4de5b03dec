//! The small RGB picture a network works on.

/// A planar RGB picture of `f32` in `[0, 1]`: `data` holds the red, green and blue planes one
/// after the other, each `height` rows of `width` samples without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `3 * height * width` samples.
    pub data: Vec<f32>,
}

impl Picture {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0.0; 3 * width * height],
        }
    }
}
