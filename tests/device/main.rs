//! The element's tests once more, its frames going the way they go on a device: uploaded, made ready, warped
//! and finished by graphs. The device is the CPU; what a GPU makes of them is another matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails
#![allow(dead_code)] // what they share is written for the others, too

#[path = "../element/common.rs"]
mod common;
#[path = "../element/content.rs"]
mod content;
#[path = "../element/dedup.rs"]
mod dedup;
#[path = "../element/events.rs"]
mod events;
#[path = "../common/fixtures.rs"]
mod fixtures;
#[path = "../element/formats.rs"]
mod formats;
#[path = "../element/levels.rs"]
mod levels;
#[path = "../element/overlay.rs"]
mod overlay;
#[path = "../element/rife.rs"]
mod rife;
#[path = "../element/settings.rs"]
mod settings;
#[path = "../element/signatures.rs"]
mod signatures;
#[path = "../element/timing.rs"]
mod timing;

mod way;

/// Before the first test of a process; `common` calls it.
fn set_up() {
    gstvfiinterp::faults::force_device(true);
}
