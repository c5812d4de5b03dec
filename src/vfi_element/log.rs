//! Log categories, and times as GStreamer tells them.

use std::sync::LazyLock;

/// The element's log category.
pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "vfiinterp",
        gst::DebugColorFlags::empty(),
        Some("Video frame interpolation"),
    )
});

/// The log category of ONNX Runtime's own messages.
pub(super) static RUNTIME_CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "vfiinterp-onnxruntime",
        gst::DebugColorFlags::empty(),
        Some("Messages of ONNX Runtime"),
    )
});

/// A sum of times as GStreamer can tell it: the largest number of nanoseconds means none to it.
pub(super) fn clock_time(nanoseconds: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(nanoseconds.min(gst::ClockTime::MAX.nseconds()))
}
