//! What a frame is, and how a new one is made.
//!
//! A network sees a frame as a small [`Picture`] and answers with [`Motion`]; the frames
//! themselves stay in their own format at their own size, as [`Plane`]s.

mod error;
mod motion;
mod picture;
mod plane;
mod warp;

pub use error::FrameError;
pub use motion::Motion;
pub use picture::Picture;
pub use plane::{Plane, PlaneFormat, PlaneMut, Sample};
pub use warp::{Sampling, reference, synthesise};
