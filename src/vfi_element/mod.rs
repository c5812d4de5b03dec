//! The GStreamer side: the element `vfiinterp`.
//!
//! ```text
//! upstream's thread                      the src pad's task
//! pads: chain, serialized events ─────►  queue ─► task ─► engine (shrink, estimate, make)
//! pads: flush, seek, queries                       │  ▲
//! lifecycle: start, stop                           ▼  ├── timing: when
//! latency: what the pipeline is told      output ─► src pad
//!                                                     └── quality: whether, and how
//! ```
//!
//! Imports run down this list: [`lifecycle`], [`pads`], [`imp`], [`task`], [`context`], [`loader`],
//! [`engine`], and the pure [`scene`], [`quality`] and [`timing`] (docs/decisions.md has the whole
//! order). The task's [worker](task::Worker) owns all that only the task touches, so that nothing
//! is locked while a frame is made or pushed.
//!
//! # Examples
//!
//! Play a file at 60 frames a second:
//! ```text
//! gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvert ! vfiinterp \
//!     ! video/x-raw,framerate=60/1 ! queue ! videoconvert ! autovideosink
//! ```
//!
//! Four times as many frames from a camera, on a network that sees a quarter of each side:
//! ```text
//! gst-launch-1.0 v4l2src ! videoconvert ! vfiinterp multiplier=4 downscale=4 \
//!     ! queue ! videoconvert ! autovideosink
//! ```
//!
//! The same, with figures once a second and a message whenever less or more effort goes into
//! frames:
//! ```text
//! gst-launch-1.0 -m v4l2src ! videoconvert ! vfiinterp stats-interval=1000000000 \
//!     ! queue ! videoconvert ! autovideosink
//! ```

use glib::prelude::*;

use self::log::RUNTIME_CAT;
use crate::models::runtime::{self, LogLevel};

mod at_start;
mod buffers;
mod caps;
mod context;
mod crew;
mod cuda;
mod engine;
mod error;
mod imp;
mod item;
mod jobs;
mod latency;
mod lifecycle;
mod loader;
mod log;
mod messenger;
mod metas;
mod pads;
mod quality;
mod queue;
// by path, as `tests/threads.rs` compiles that file, too, for which these are not
#[cfg(test)]
#[path = "queue/tests.rs"]
mod queue_tests;
mod refusal;
mod scene;
mod settings;
mod sinks;
mod stats;
mod task;
mod timing;

#[cfg(any(test, fuzzing))]
pub use timing::timeline::fuzz::fuzz_timeline;

glib::wrapper! {
    /// The element `vfiinterp`.
    pub struct VfiInterp(ObjectSubclass<imp::VfiInterp>) @extends gst::Element, gst::Object;
}

/// Makes `vfiinterp` known to GStreamer.
///
/// # Errors
/// If the name is taken.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    runtime::set_log_sink(|level, message| match level {
        LogLevel::Error | LogLevel::Fatal => gst::error!(RUNTIME_CAT, "{message}"),
        LogLevel::Warning => gst::warning!(RUNTIME_CAT, "{message}"),
        _ => gst::debug!(RUNTIME_CAT, "{message}"),
    });
    gst::Element::register(
        Some(plugin),
        "vfiinterp",
        gst::Rank::NONE,
        VfiInterp::static_type(),
    )
}
