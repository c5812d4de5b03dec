//! The element through its pads, as GStreamer uses it.
//!
//! Tests are driven by what comes out, never by time that passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

#[path = "../common/fixtures.rs"]
mod fixtures;
#[path = "../common/hostile.rs"]
mod hostile;

mod alpha;
mod common;
mod content;
mod dedup;
mod events;
mod faults;
mod formats;
mod holes;
mod hostile_files;
mod largest;
mod levels;
mod live;
mod memory;
mod metas;
mod negotiation;
mod overlay;
mod overload;
mod pace;
mod pipeline;
mod rife;
mod seeks;
mod settings;
mod signatures;
mod sync;
mod timing;

/// Before the first test of a process; `common` calls it.
fn set_up() {}
