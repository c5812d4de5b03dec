//! The element with frames in CUDA's memory, over the stand-in driver: logic alone, and no GPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod contexts;
mod frames;
mod negotiation;
