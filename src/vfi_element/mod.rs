//! The GStreamer side: the element `vfiinterp`.
//!
//! ```text
//! upstream's thread                      the src pad's task
//! pads: chain, serialized events ─────►  queue ─► worker ─► engine (shrink, estimate, make)
//! pads: flush, seek, queries                        │  ▲
//! lifecycle: start, stop, load                      ▼  ├── timeline: when
//! latency: what the pipeline is told                │  └── tempo (pacing, effort): whether, and how
//!                                                 src pad
//! ```
//!
//! [`imp`], [`pads`], [`lifecycle`], [`latency`], [`tempo`] and [`care`] (memory) are glue; [`timeline`], [`pacing`], [`effort`] (with
//! its [`ladder`] and [`calibration`]), [`shortage`] and [`caps`] are pure; the
//! [`worker`] owns all that only the task touches, so that nothing is locked while a frame is made
//! or pushed.
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
//! The same, with figures once a second and a message whenever less or more effort goes into frames:
//! ```text
//! gst-launch-1.0 -m v4l2src ! videoconvert ! vfiinterp stats-interval=1000000000 \
//!     ! queue ! videoconvert ! autovideosink
//! ```

use std::sync::LazyLock;

use glib::prelude::*;

use crate::models::runtime::{self, LogLevel};

mod alarm;
mod allocation;
mod background;
mod between;
mod blocks;
mod cadence;
mod calibration;
mod caps;
mod care;
mod content;
mod courier;
mod crew;
mod cuda;
mod dedup;
mod effort;
mod engine;
mod grid;
mod hold;
mod imp;
mod item;
mod ladder;
mod latency;
mod lifecycle;
mod metas;
mod pacing;
mod pads;
mod patience;
mod queue;
#[cfg(test)]
#[path = "queue/tests.rs"]
mod queue_tests;
mod refusal;
mod settings;
mod shortage;
mod stats;
mod tempo;
mod timeline;
mod window;
mod worker;

#[cfg(any(test, fuzzing))]
pub use timeline::fuzz::fuzz_timeline;

/// The element's log category.
static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "vfiinterp",
        gst::DebugColorFlags::empty(),
        Some("Video frame interpolation"),
    )
});

/// The log category of ONNX Runtime's own messages.
static RUNTIME_CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "vfiinterp-onnxruntime",
        gst::DebugColorFlags::empty(),
        Some("Messages of ONNX Runtime"),
    )
});

/// A sum of times as GStreamer can tell it: the largest number of nanoseconds means none to it.
fn clock_time(nanoseconds: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(nanoseconds.min(gst::ClockTime::MAX.nseconds()))
}

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
