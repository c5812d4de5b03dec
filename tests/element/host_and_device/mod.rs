//! Tests that hold wherever frames are made, so that the program `device` has them, too.

mod content;
mod dedup;
mod events;
pub(crate) mod formats;
mod levels;
mod overlay;
mod rife;
mod settings;
mod signatures;
mod timing;
