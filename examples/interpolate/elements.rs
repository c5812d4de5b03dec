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
    (
        "gstreamer1.0-plugins-bad",
        &["h264parse", "h265parse", "x265enc"],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "mp4mux",
            "matroskamux",
            "deinterlace",
            "videoflip",
            "aacparse",
            "capssetter",
            "videocrop",
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

/// Returns where cargo puts the library, seen from target/<profile>/examples/interpolate.
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

/// Returns how one comes by an element.
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
    let value = glib::Value::deserialize_with_pspec(text, &pspec).ok();
    let (expected, within) =
        bounds(&pspec, value.as_ref()).unwrap_or_else(|| (kinds(&pspec), value.is_some()));
    let value = value
        .filter(|value| within && is_as_written(value, text))
        .with_context(|| format!("{name}={text}: expected {expected}"))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

/// Returns whether a whole number is the one in the text: GStreamer reads -1 as the largest one where
/// there is none below 0, and cuts off what is too long.
fn is_as_written(value: &glib::Value, text: &str) -> bool {
    let whole = |text: &str| text.trim().parse::<i128>().ok();
    let read = value.serialize().ok();
    let read = read.and_then(|read| whole(&read));
    whole(text)
        .zip(read)
        .is_none_or(|(written, read)| written == read)
}

/// Returns a number's bounds as text, and whether `value` keeps them.
fn bounds(pspec: &glib::ParamSpec, value: Option<&glib::Value>) -> Option<(String, bool)> {
    macro_rules! look {
        ($($spec:ty => $number:ty),*) => {
            $(if let Some(spec) = pspec.downcast_ref::<$spec>() {
                let range = spec.minimum()..=spec.maximum();
                let within = value.is_some_and(|v| {
                    v.get::<$number>().is_ok_and(|v| range.contains(&v))
                });
                return Some((format!("a number from {} to {}", range.start(), range.end()), within));
            })*
        };
    }
    look!(
        glib::ParamSpecInt => i32, glib::ParamSpecUInt => u32,
        glib::ParamSpecInt64 => i64, glib::ParamSpecUInt64 => u64,
        glib::ParamSpecFloat => f32, glib::ParamSpecDouble => f64
    );
    None
}

/// Names the values a property takes that is no number.
fn kinds(pspec: &glib::ParamSpec) -> String {
    match glib::EnumClass::with_type(pspec.value_type()) {
        Some(class) => {
            let nicks: Vec<_> = class.values().iter().map(glib::EnumValue::nick).collect();
            format!("one of {}", nicks.join(", "))
        }
        None => format!("a value of type {}", pspec.value_type()),
    }
}

/// Returns the kind of the first structure: `audio/x-opus`, say.
pub(crate) fn kind_of(caps: &gst::Caps) -> &str {
    caps.structure(0).map_or("", |s| s.name().as_str())
}

/// Returns the name of the element's factory.
pub(crate) fn kind(element: &gst::Element) -> String {
    element
        .factory()
        .map_or_else(|| element.name().into(), |factory| factory.name().into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        gst::init().unwrap();
        let queue = make("queue").unwrap();
        let said = |name, text| set(&queue, name, text).unwrap_err().to_string();
        assert!(said("leaky", "sideways").contains("no, upstream, downstream"));
        assert!(said("max-size-time", "long").contains("from 0 to 18446744073709551615"));
        // which GStreamer takes for others that are in the range
        assert!(said("max-size-time", "-1").contains("from 0 to 18446744073709551615"));
        assert!(said("max-size-buffers", "4294967298").contains("from 0 to 4294967295"));
        set(&queue, "max-size-buffers", "7").unwrap();
        assert_eq!(queue.property::<u32>("max-size-buffers"), 7);
        let convert = make("videoconvert").unwrap();
        for (name, text, range) in [
            ("alpha-value", "1.5", "from 0 to 1"),
            ("alpha-value", "nan", "from 0 to 1"),
            ("alpha-value", "much", "from 0 to 1"),
        ] {
            let said = set(&convert, name, text).unwrap_err().to_string();
            assert!(said.contains(range) && said.contains(text), "{said}");
        }
        set(&convert, "alpha-value", "0.5").unwrap();
        assert_eq!(convert.property::<f64>("alpha-value"), 0.5);
    }
}
