//! The GStreamer side.
//!
//! SECTION:element-vfiinterp

use glib::prelude::*;

mod allocation;
mod caps;
mod engine;
mod imp;
mod pacing;
mod queue;
mod settings;
mod stats;
mod timeline;
mod worker;

/// The element's log category.
static CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new(
        "vfiinterp",
        gst::DebugColorFlags::empty(),
        Some("Video frame interpolation"),
    )
});

glib::wrapper! {
    /// The element `vfiinterp`.
    pub struct VfiInterp(ObjectSubclass<imp::VfiInterp>) @extends gst::Element, gst::Object;
}

/// Makes `vfiinterp` known to GStreamer.
///
/// # Errors
/// If the name is taken.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "vfiinterp",
        gst::Rank::NONE,
        VfiInterp::static_type(),
    )
}
