//! Messages to the application, from the element as long as it is there.

use glib::WeakRef;
use gst::prelude::*;

/// Sender of the element's messages.
#[derive(Default)]
pub(super) struct Messenger {
    /// Set when the element has been constructed; gone with it.
    element: WeakRef<gst::Element>,
}

impl Messenger {
    /// Sends messages in the name of this element from now on.
    pub(super) fn belong_to(&self, element: &gst::Element) {
        self.element.set(Some(element));
    }

    /// Returns the element, as long as it is there.
    pub(super) fn element(&self) -> Option<gst::Element> {
        self.element.upgrade()
    }

    /// Posts a message on the bus.
    pub(super) fn post(&self, message: gst::Message) {
        // Fails where there is no bus, and then nobody wants to know.
        let _posted = self.element().map(|element| element.post_message(message));
    }

    /// Posts an element message.
    pub(super) fn tell(&self, structure: gst::Structure) {
        let message = gst::message::Element::builder(structure);
        self.post(message.src_if_some(self.element().as_ref()).build());
    }

    /// Posts a warning.
    pub(super) fn warn(&self, code: impl gst::MessageErrorDomain, text: &str) {
        if let Some(element) = self.element() {
            gst::element_warning!(element, code, ("{text}"));
        }
    }

    /// Posts an error: the stream ends.
    pub(super) fn fail(&self, code: impl gst::MessageErrorDomain, text: &str) {
        if let Some(element) = self.element() {
            gst::element_error!(element, code, ("{text}"));
        }
    }

    /// Tells the application that a property was changed from within.
    pub(super) fn notify(&self, property: &str) {
        if let Some(element) = self.element() {
            element.notify(property);
        }
    }
}
