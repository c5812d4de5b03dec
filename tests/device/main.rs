//! The element's tests once more, its frames going the way they go on a device: uploaded, made ready, warped
//! and finished by graphs. The device is the CPU; what a GPU makes of them is another matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

// Compiled a second time, because a device that is forced is there for the whole program.
#[allow(dead_code)] // some of it is for the element's other tests
#[path = "../element/host_and_device/mod.rs"]
mod host_and_device;
mod on_device;

test_support::before_main!(gstvfiinterp::faults::force_device(true));
