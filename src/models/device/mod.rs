//! Frames on the device that a network runs on: uploaded once, made ready, warped and finished there.

pub(super) mod bound;
pub(super) mod memory;
mod stage;
mod transfer;

pub use stage::{DeviceFrame, Look, Outcome, Stage};
pub use transfer::{Dense, Sink, Source, Transfer};
