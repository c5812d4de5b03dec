//! `vfiinterp`: a GStreamer element that puts synthesised frames between a video's own, in real
//! time, with RIFE- and FILM-family ONNX networks.
//!
//! The crate has three parts, and imports run down this list only:
//!
//! * `vfi_element` is the GStreamer side: pads, events, the timeline, properties;
//! * [`models`] is the inference side: it loads a network and turns a pair of small pictures and a
//!   phase into motion (or a picture); it knows no pads, no buffers, no clock;
//! * [`frames`] is what a frame is: its planes, shrinking it for the network, and synthesising a
//!   new one at full size from motion.
//!
//! The plugin is used through GStreamer; the modules are public so that tests and benches reach
//! them, without a promise of a stable Rust API.

#[cfg(feature = "faults")]
pub mod faults;
pub mod frames;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod models;
mod sync;
mod vfi_element;

/// Items that GStreamer asks of a plugin, as its macro defines them.
#[allow(missing_docs)]
mod plugin {
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        crate::vfi_element::register(plugin)
    }

    gst::plugin_define!(
        vfiinterp,
        "Video frame interpolation in real time",
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        "vfiinterp",
        "Unknown package origin",
        env!("BUILD_REL_DATE")
    );
}

/// Makes the plugin known inside this process, without a plugin file.
pub use plugin::plugin_register_static;
