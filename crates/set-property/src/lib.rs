//! Properties of elements set from text, with errors that say what would have been taken.

use anyhow::{Context, Result};
use gst::prelude::*;

/// Sets a property from text, as gst-launch would, but with an error instead of an abort.
///
/// # Errors
/// If the element has no such property to set, or the text is none of its values; the error names
/// the range, or the values.
pub fn set(element: &gst::Element, name: &str, text: &str) -> Result<()> {
    let pspec = element
        .find_property(name)
        .filter(|pspec| pspec.flags().contains(glib::ParamFlags::WRITABLE))
        .with_context(|| format!("{} has no property {name} to set", kind(element)))?;
    let value = glib::Value::deserialize_with_pspec(text, &pspec).ok();
    let (taken, within) =
        bounds(&pspec, value.as_ref()).unwrap_or_else(|| (kinds(&pspec), value.is_some()));
    let value = value
        .filter(|value| within && is_as_written(value, text))
        .with_context(|| format!("{name}={text}: it takes {taken}"))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

/// Returns the name of the element's factory.
pub fn kind(element: &gst::Element) -> String {
    element
        .factory()
        .map_or_else(|| element.name().into(), |factory| factory.name().into())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)] // that is how a test fails
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        gst::init().unwrap();
        let make = |factory| gst::ElementFactory::make(factory).build().unwrap();
        let queue = make("queue");
        let said = |name, text| set(&queue, name, text).unwrap_err().to_string();
        assert!(said("leaky", "sideways").contains("no, upstream, downstream"));
        assert!(said("max-size-time", "long").contains("from 0 to 18446744073709551615"));
        // which GStreamer takes for others that are in the range
        assert!(said("max-size-time", "-1").contains("from 0 to 18446744073709551615"));
        assert!(said("max-size-buffers", "4294967298").contains("from 0 to 4294967295"));
        set(&queue, "max-size-buffers", "7").unwrap();
        assert_eq!(queue.property::<u32>("max-size-buffers"), 7);
        let convert = make("videoconvert");
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
