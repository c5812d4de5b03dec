//! The element through its pads, as GStreamer uses it.
//!
//! Tests are driven by what comes out, never by time that passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod alpha;
mod faults;
mod holes;
mod host_and_device;
mod hostile_files;
mod largest;
mod live;
mod memory;
mod metas;
mod negotiation;
mod overload;
mod pace;
mod pipeline;
mod seeks;
mod sync;
