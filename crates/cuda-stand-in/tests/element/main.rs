//! The element with frames in CUDA's memory, over the stand-in driver: logic alone, and no GPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

#[path = "../common/mod.rs"]
mod device;
#[path = "../../../../tests/common/fixtures.rs"]
mod fixtures;
#[allow(dead_code)] // made for other tests
#[path = "../../../../tests/element/common.rs"]
mod rig;

mod contexts;
mod frames;
mod negotiation;

/// The CPU's network takes frames from the host.
fn set_up() {}
