//! The pictures that a network is fed, and how they are laid out for it.

use crate::models::runtime::binding::Input;
use crate::models::runtime::tensor_pool::Memory;

/// A picture that may be shown to a network again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracked<T> {
    /// Number that tells it from all other pictures; 0 if it won't be shown again.
    pub(crate) id: u64,
    /// The picture itself.
    pub(crate) picture: T,
}

impl<T> Tracked<T> {
    /// Wraps a picture that is shown this once.
    pub(crate) fn once(picture: T) -> Self {
        Self { id: 0, picture }
    }

    /// Returns the same picture in another form.
    pub(crate) fn map<U>(self, form: impl FnOnce(T) -> U) -> Tracked<U> {
        Tracked {
            id: self.id,
            picture: form(self.picture),
        }
    }
}

/// Where a picture lies, which is where its features come to lie.
#[derive(Clone, Copy)]
pub(crate) enum PictureRef<'a> {
    /// Planes on the host.
    Host(&'a [f32]),
    /// In this memory.
    Bound(Input<'a>, &'a Memory),
}

/// Sizes the stacked input and fills the channels that stay the same from run to run.
pub(crate) fn lay_out(stacked: &mut Vec<f32>, channels: usize, width: usize, height: usize) {
    let plane = width * height;
    stacked.clear();
    stacked.resize(channels * plane, 0.0);
    let constants = &mut stacked[6 * plane..];
    match channels {
        // flow at the pictures' own scale
        8 => constants[plane..].fill(1.0),
        11 => {
            let step = |size: usize| 2.0 / (size.max(2) - 1) as f32;
            for (i, value) in constants[plane..2 * plane].iter_mut().enumerate() {
                *value = (i % width) as f32 * step(width) - 1.0;
            }
            for (i, value) in constants[2 * plane..3 * plane].iter_mut().enumerate() {
                *value = (i / width) as f32 * step(height) - 1.0;
            }
            constants[3 * plane..4 * plane].fill(step(width));
            constants[4 * plane..].fill(step(height));
        }
        _ => {}
    }
}
