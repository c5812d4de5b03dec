//! Frames on the device that a network runs on: uploaded once, made ready, warped and finished there.

pub(super) mod bound;
pub(super) mod memory;
mod stage;

pub use stage::{DeviceFrame, Look, Outcome, Stage};
