//! Estimates of what lies between two pictures: read where they lie, or kept while the network goes on.

use std::sync::Arc;

use super::output::NetworkOutput;
use super::prepared::Prepared;
use crate::frames::{Motion, Picture};
use crate::models::options::ModelKind;

/// Estimate of what lies between two pictures.
#[derive(Clone, Copy, Debug)]
pub enum Estimate<'a> {
    /// Motion between them.
    Motion(Motion<'a>),
    /// A finished picture of their size.
    Picture(&'a Picture),
    /// The first of them is nearer than all that a midpoint-only network is to make.
    First,
    /// The second of them is nearer.
    Second,
}

/// Estimate that may be kept while the network goes on.
#[derive(Debug)]
pub(crate) enum Inference {
    /// Motion between the two.
    Motion(KeptOutput),
    /// A picture of their size.
    Picture(KeptOutput),
    /// The first of them is nearer than all that a midpoint-only network is to make.
    First,
    /// The second of them is nearer.
    Second,
}

impl Inference {
    /// Keeps the output of a network of this kind, for a pair that was prepared as `picture` was.
    ///
    /// # Errors
    /// If the output is of another shape than it should be.
    pub(crate) fn of(
        output: &Arc<NetworkOutput>,
        kind: ModelKind,
        picture: &Prepared,
    ) -> Result<Self, String> {
        let kept = KeptOutput {
            output: Arc::clone(output),
            size: picture.size(),
            padded: picture.padded(),
        };
        match kind {
            ModelKind::Motion => kept.motion().map(drop)?,
            ModelKind::Picture => output.picture(kept.padded).map(drop)?,
        }
        Ok(match kind {
            ModelKind::Motion => Self::Motion(kept),
            ModelKind::Picture => Self::Picture(kept),
        })
    }
}

/// Output of a network, and of which pictures it is.
#[derive(Debug)]
pub(crate) struct KeptOutput {
    output: Arc<NetworkOutput>,
    /// Width and height of the pictures.
    size: (usize, usize),
    /// Width and height with the padding.
    padded: (usize, usize),
}

impl KeptOutput {
    /// Returns the motion that it is.
    pub(crate) fn motion(&self) -> Result<Motion<'_>, String> {
        self.output.motion(self.size, self.padded)
    }

    /// Returns width and height of the picture that it is.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Copies the picture that it is into one of its [`size`](Self::size).
    pub(crate) fn crop(&self, into: &mut Picture) -> Result<(), String> {
        self.output.crop(self.padded, into)
    }
}
