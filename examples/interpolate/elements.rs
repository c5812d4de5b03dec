//! Finding the plugin and making elements, with a helpful word when one is missing.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gst::glib;
use gst::prelude::*;

const LIBRARY: &str = "libgstvfiinterp.so";

/// The elements the program makes by name, with the Debian package that has each.
const PACKAGES: [(&str, &[&str]); 4] = [
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    ("gstreamer1.0-libav", &["avenc_aac"]),
    ("gstreamer1.0-plugins-bad", &["h264parse"]),
    (
        "gstreamer1.0-plugins-good",
        &[
            "mp4mux",
            "matroskamux",
            "deinterlace",
            "videoflip",
            "aacparse",
        ],
    ),
];

/// Makes `vfiinterp` known: by `GST_PLUGIN_PATH` and the system, else from this program's own
/// build folder.
pub(crate) fn find_plugin(element: &str) -> Result<()> {
    if gst::ElementFactory::find(element).is_some() {
        return Ok(());
    }
    for library in beside_this_program()? {
        if library.is_file() {
            gst::Plugin::load_file(&library)
                .with_context(|| format!("cannot load {}", library.display()))?;
        }
        if gst::ElementFactory::find(element).is_some() {
            return Ok(());
        }
    }
    bail!(
        "no element {element}: run `cargo build --release`, or set GST_PLUGIN_PATH to the folder of {LIBRARY}"
    )
}

/// Where cargo puts the library, seen from target/<profile>/examples/interpolate.
fn beside_this_program() -> Result<Vec<PathBuf>> {
    let program = env::current_exe()?;
    let profile = program
        .ancestors()
        .nth(2)
        .context("this program lies in no folder")?;
    // `cargo run --example` surely brings deps/ up to date, the copy above it not always.
    Ok(vec![
        profile.join("deps").join(LIBRARY),
        profile.join(LIBRARY),
    ])
}

/// Makes an element.
pub(crate) fn make(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| anyhow::anyhow!("no element {factory}: {}", install(factory)))
}

/// How one comes by an element.
fn install(factory: &str) -> String {
    let package = PACKAGES
        .iter()
        .find(|(_, elements)| elements.contains(&factory))
        .map_or("gstreamer1.0-plugins-base", |(package, _)| package);
    format!("apt-get install {package}")
}

/// Sets a property from text, as gst-launch would, but with an error instead of an abort.
pub(crate) fn set(element: &gst::Element, name: &str, text: &str) -> Result<()> {
    let pspec = element
        .find_property(name)
        .filter(|pspec| pspec.flags().contains(glib::ParamFlags::WRITABLE))
        .with_context(|| format!("{} has no property {name} to set", kind(element)))?;
    let value = glib::Value::deserialize_with_pspec(text, &pspec)
        .ok()
        .with_context(|| format!("{name}={text}: not a value of type {}", pspec.value_type()))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

/// The name of the element's factory.
pub(crate) fn kind(element: &gst::Element) -> String {
    element
        .factory()
        .map_or_else(|| element.name().into(), |factory| factory.name().into())
}

/// What to install when a decoder is missing, from the message an autoplugger posts.
pub(crate) fn missing(message: &gst::MessageRef) -> Option<String> {
    let structure = message
        .structure()
        .filter(|s| s.name() == "missing-plugin")?;
    let what = structure
        .get::<String>("name")
        .unwrap_or_else(|_| "a decoder".into());
    Some(format!(
        "missing: {what}; most are in gstreamer1.0-libav, gstreamer1.0-plugins-bad and gstreamer1.0-plugins-ugly"
    ))
}
