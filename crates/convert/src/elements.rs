//! Finding the plugin and making elements, with a helpful word when one is missing.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

const LIBRARY: &str = "libgstvfiinterp.so";

/// The elements the program makes by name, with the Debian package that has each.
const PACKAGES: [(&str, &[&str]); 4] = [
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    (
        "gstreamer1.0-libav",
        &["avenc_aac", "avenc_ffv1", "avenc_prores_ks"],
    ),
    (
        "gstreamer1.0-plugins-bad",
        &["h264parse", "h265parse", "x265enc", "svtav1enc", "av1parse"],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "mp4mux",
            "qtmux",
            "matroskamux",
            "imagesequencesrc",
            "scaletempo",
            "deinterlace",
            "videoflip",
            "aacparse",
            "capssetter",
            "videocrop",
        ],
    ),
];

/// Makes `vfiinterp` known: by `GST_PLUGIN_PATH` and the system, else from beside this program or
/// from its own build folder.
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

/// Returns where cargo puts the library, seen from `target/<profile>/vfi-convert`, and from
/// `target/<profile>/deps/`.
fn beside_this_program() -> Result<Vec<PathBuf>> {
    let program = env::current_exe()?;
    let folder = program.parent().context("this program lies in no folder")?;
    let profile = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    // A run by cargo surely brings deps/ up to date, the copy above it not always.
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

/// Returns how one comes by an element.
pub(crate) fn install(factory: &str) -> String {
    let package = PACKAGES
        .iter()
        .find(|(_, elements)| elements.contains(&factory))
        .map_or("gstreamer1.0-plugins-base", |(package, _)| package);
    format!("apt-get install {package}")
}

/// Returns the kind of the first structure: `audio/x-opus`, say.
pub(crate) fn kind_of(caps: &gst::Caps) -> &str {
    caps.structure(0).map_or("", |s| s.name().as_str())
}

/// Returns what to install when a decoder is missing, from the message an autoplugger posts.
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

/// Brings a pipeline to a state, the `first` elements of its stream last: what they are linked to
/// only once they give something must be ready by then, or it is refused and all wait for ever.
pub(crate) fn start(pipeline: &gst::Pipeline, first: &[gst::Element], state: gst::State) {
    for element in first {
        element.set_locked_state(true);
    }
    // A failure says more on the bus than in what set_state returns.
    let _ = pipeline.set_state(state);
    for element in first {
        element.set_locked_state(false);
        let _ = element.sync_state_with_parent();
    }
}

/// Returns a pipeline's bus.
pub(crate) fn bus(pipeline: &gst::Pipeline) -> Result<gst::Bus> {
    pipeline.bus().context("a pipeline without a bus")
}

pub(crate) fn link_pad(pad: &gst::Pad, element: &gst::Element) -> Result<()> {
    let sink = element.static_pad("sink").context("no sink pad")?;
    pad.link(&sink)?;
    Ok(())
}

/// Returns an error message as one would tell it.
pub(crate) fn failure(error: &gst::message::Error, hint: Option<String>) -> anyhow::Error {
    let from = error
        .src()
        .and_then(|src| src.downcast_ref::<gst::Element>())
        .map(set_property::kind);
    let mut text = format!(
        "{}: {}",
        from.as_deref().unwrap_or("pipeline"),
        error.error()
    );
    for detail in error
        .debug()
        .as_deref()
        .and_then(useful)
        .into_iter()
        .map(str::to_owned)
        .chain(hint)
    {
        text.push_str("\n  ");
        text.push_str(&detail);
    }
    anyhow::anyhow!(text)
}

/// Returns the debug text without the place in the source that GStreamer puts before it.
fn useful(debug: &str) -> Option<&str> {
    let rest = debug.split_once('\n').map_or("", |(_, rest)| rest).trim();
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_the_source_is_left_out() {
        let debug = "gstfilesrc.c(532): gst_file_src_start (): /GstPipeline:p/GstFileSrc:f:\nNo such file \"x\"";
        assert_eq!(useful(debug), Some("No such file \"x\""));
        assert_eq!(useful("a.c(1): f (): /p"), None);
    }
}
