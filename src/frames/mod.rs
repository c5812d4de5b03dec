//! Frames, and how new ones are made.
//!
//! A network sees a frame as a small [`Picture`] and answers with [`Motion`]; the frames
//! themselves stay in their own format at their own size, as [`Plane`]s.
//!
//! * `shrink` shrinks a frame to a picture, by GStreamer's converter (`convert`).
//! * `warp` makes a frame of two others and the motion between them. Flow and mask are enlarged
//!   there, in `warp::field`, a row at a time.
//! * `enlarge` enlarges a picture to a frame, where a network gives no motion; `excess` gives back
//!   what RGB has cut off of its colours.
//! * `difference` tells by how much two frames differ.
//! * `format`, `layout`, `plane`, `mapped`, `picture`: what all of these work on; `packing` unpacks formats
//!   whose planes the kernels can't take as they lie.

pub(crate) mod alpha;
pub(crate) mod colour;
pub(crate) mod convert;
mod difference;
mod enlarge;
mod error;
pub(crate) mod excess;
mod format;
mod layout;
pub mod mapped;
mod motion;
mod packing;
mod picture;
mod plane;
mod pool;
mod shrink;
pub(crate) mod space;
mod warp;

pub use convert::ScaleMethod;
pub use difference::difference;
pub use enlarge::Enlarger;
pub use error::FrameError;
pub use excess::between as excess_between;
pub use format::FORMATS;
pub use layout::{FrameLayout, Planes, PlanesMut};
pub use mapped::{readable, writable};
pub use motion::Motion;
pub use picture::Picture;
pub use plane::{Plane, PlaneFormat, PlaneMut, Sample};
pub use shrink::Shrinker;
pub use warp::{Sampling, reference, synthesise};

#[cfg(test)]
mod tests;
