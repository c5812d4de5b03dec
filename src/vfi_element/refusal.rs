//! Why caps that upstream has sent are refused, or what it sends without any, and what is to be put before the
//! element.
//!
//! GStreamer asks a pad whether it accepts caps before it sends them, and an answer of no leaves
//! upstream with "not-negotiated". But elements ask before they have decided, too. What tells the
//! two apart: who decided has the caps on its own pad already.

use gst::prelude::*;

use super::caps;
use super::context::Context;
use super::cuda;
use crate::sync::lock;

/// Elements that may stand between a decoder and this one; more than there ever are.
const FARTHEST: usize = 64;

impl Context {
    /// Posts an error if what upstream has sent is what can't be taken: once for each.
    pub(super) fn explain_refusal(&self) {
        if !self.sinkpad.is_active() {
            return;
        }
        let Some((pad, sent)) = self.sent() else {
            return;
        };
        let device = self.settings().at_start.device;
        let Some(reason) = caps::refusal(&sent, || cuda::can_serve(device)) else {
            return;
        };
        // The question below may come back here.
        if lock(&self.refused).replace(sent.clone()).as_ref() == Some(&sent) {
            return;
        }
        if !pad.query_caps(Some(&sent)).is_empty() {
            // Something in between makes of it what is taken.
            *lock(&self.refused) = None;
            return;
        }
        if let Some(element) = self.element() {
            gst::element_error!(
                element,
                gst::StreamError::Format,
                ("{reason}"),
                ["upstream sends {sent}, accepted is {}", *caps::TEMPLATE]
            );
        }
    }

    /// Posts an error for data that no caps came before, as files and network sources send what they read.
    pub(super) fn explain_missing_caps(&self, data: &gst::BufferRef) {
        let Some(element) = self.element() else {
            return;
        };
        let peer = self.sinkpad.peer().and_then(|peer| peer.parent_element());
        let sender = peer.map_or_else(|| "upstream".into(), |peer| peer.name());
        let found = data.map_readable().ok().and_then(|data| {
            let found = gst_base::type_find_helper_for_data(Some(&element), data.as_slice());
            found
                .ok()
                .map(|(caps, _)| format!(", which looks like {caps}"))
        });
        let found = found.unwrap_or_default();
        gst::element_error!(
            element,
            gst::CoreError::Negotiation,
            ("Upstream's data can't be interpolated: {sender} sends it without caps{found}, and raw video has \
                 some. Put decodebin before this element")
        );
    }

    /// The nearest caps that were sent upstream and have not arrived, and the pad that they were
    /// sent to.
    fn sent(&self) -> Option<(gst::Pad, gst::Caps)> {
        let arrived = self.sinkpad.current_caps();
        let mut pad = self.sinkpad.clone();
        for _ in 0..FARTHEST {
            let peer = pad.peer()?;
            let sent = peer.current_caps();
            if sent.is_some() && sent != arrived {
                return sent.map(|sent| (pad, sent));
            }
            pad = only_link(&peer).filter(leaves_it_to_others)?;
        }
        None
    }
}

/// Returns the pad that a pad's data comes from, if that is one other pad.
fn only_link(pad: &gst::Pad) -> Option<gst::Pad> {
    let mut links = pad.iterate_internal_links();
    let link = links.next().ok()??;
    matches!(links.next(), Ok(None)).then_some(link)
}

/// Returns whether what a pad accepts is up to what stands behind it. Only such are asked: of
/// others it isn't known whether they can be while they ask themselves.
fn leaves_it_to_others(pad: &gst::Pad) -> bool {
    let transforms = || {
        let class = glib::Type::from_name("GstBaseTransform")?;
        Some(pad.parent_element()?.type_().is_a(class))
    };
    pad.is::<gst::ProxyPad>()
        || pad.pad_flags().contains(gst::PadFlags::PROXY_CAPS)
        || transforms() == Some(true)
}
