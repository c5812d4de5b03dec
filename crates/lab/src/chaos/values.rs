//! Values for properties, at random, for whatever properties the element has.

use anyhow::{Context, Result};
use fastrand::Rng;
use gst::glib::{self, prelude::*};

use crate::networks::Networks;

/// Values an application may set.
#[derive(Debug)]
pub(super) struct Values {
    properties: Vec<glib::ParamSpec>,
    models: Vec<String>,
}

/// Values that `model-info` may be set to, sense and nonsense.
const INFOS: [&str; 7] = [
    "",
    "align=8",
    "align=32",
    "timestep=none",
    "align=-1",
    "no such key=1",
    "/nowhere/info.toml",
];

impl Values {
    /// Collects all properties of an element's own class.
    pub(super) fn new(element: &gst::Element, networks: &Networks) -> Self {
        let own = element.type_();
        let properties = element.list_properties();
        Self {
            properties: (properties.iter())
                .filter(|property| property.owner_type() == own)
                .cloned()
                .collect(),
            models: networks.names(),
        }
    }

    /// Returns one of the properties.
    pub(super) fn property(&self, rng: &mut Rng) -> Result<&glib::ParamSpec> {
        rng.choice(&self.properties).context("no properties")
    }

    /// Returns a value that GLib lets through for this property; whether it makes sense is for the
    /// element to tell. `None` if it can't be set.
    pub(super) fn value(&self, property: &glib::ParamSpec, rng: &mut Rng) -> Option<glib::Value> {
        if !property.flags().contains(glib::ParamFlags::WRITABLE) {
            return None;
        }
        if rng.u8(..4) == 0 {
            return Some(property.default_value().clone());
        }
        Some(
            if let Some(spec) = property.downcast_ref::<glib::ParamSpecUInt64>() {
                whole(rng, spec.minimum(), spec.maximum()).to_value()
            } else if let Some(spec) = property.downcast_ref::<glib::ParamSpecInt64>() {
                rng.i64(spec.minimum()..=spec.maximum()).to_value()
            } else if let Some(spec) = property.downcast_ref::<glib::ParamSpecUInt>() {
                let most = spec.maximum();
                let value = whole(rng, spec.minimum().into(), most.into());
                u32::try_from(value).unwrap_or(most).to_value()
            } else if let Some(spec) = property.downcast_ref::<glib::ParamSpecInt>() {
                let (least, most) = (i64::from(spec.minimum()), i64::from(spec.maximum()));
                let range = u64::try_from(most - least).unwrap_or(0);
                let value = least.saturating_add_unsigned(whole(rng, 0, range));
                i32::try_from(value).unwrap_or(spec.maximum()).to_value()
            } else if let Some(spec) = property.downcast_ref::<glib::ParamSpecDouble>() {
                let (least, most) = (spec.minimum(), spec.maximum());
                let few = [least, most, f64::MIN_POSITIVE.clamp(least, most)];
                let some = least + rng.f64() * (most - least);
                rng.choice(few)
                    .filter(|_| rng.bool())
                    .unwrap_or(some)
                    .to_value()
            } else if property.is::<glib::ParamSpecBoolean>() {
                rng.bool().to_value()
            } else if property.is::<glib::ParamSpecString>() {
                let text = match property.name() {
                    "model" => rng.choice(&self.models).map(String::as_str),
                    "model-info" => rng.choice(INFOS),
                    _ => rng.choice(["", "nonsense"]),
                };
                // No string at all is one, too.
                text.filter(|_| rng.u8(..10) > 0).to_value()
            } else {
                let class = glib::EnumClass::with_type(property.value_type())?;
                let value = rng.choice(class.values())?;
                value.to_value(&class)
            },
        )
    }
}

/// Returns a whole number within bounds: one of them, a small one, or one of any size.
fn whole(rng: &mut Rng, least: u64, most: u64) -> u64 {
    match rng.u8(..8) {
        0 => least,
        1 => most,
        2..5 => rng.u64(least..=most.min(least.saturating_add(4))),
        _ => {
            let bits = rng.u32(..64);
            rng.u64(least..=least.max(most >> bits))
        }
    }
}
