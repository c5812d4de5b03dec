//! The properties that don't change while the element runs.

use crate::models::{ExecutionProvider, Precision};

/// Values of those properties.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct AtStart {
    pub execution_provider: ExecutionProvider,
    pub device: i32,
    pub precision: Precision,
}

impl AtStart {
    /// Takes a property's new value; `false` for a name that is none of these.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "execution-provider" => take(&mut self.execution_provider, value),
            "device" => take(&mut self.device, value),
            "precision" => take(&mut self.precision, value),
            _ => false,
        }
    }
}

/// Takes a value, if it is of the right type.
pub(super) fn take<'v, T: glib::value::FromValue<'v>>(to: &mut T, value: &'v glib::Value) -> bool {
    value.get().map(|new| *to = new).is_ok()
}
