//! Which sink frames go to, and whether it shows them by the clock.
//!
//! The way is followed from pad to pad: into bins and out of them, through whatever has one way out, as
//! queues, encoders and muxers do. It ends at the first element that waits for the clock, which may also
//! be one on the way. Where it divides, behind a tee, it is not followed.

use glib::translate::{ToGlibPtr, from_glib_full};
use gst::prelude::*;

use super::context::Context;
use super::log::CAT;
use super::timing::deadlines::Sink;
use crate::sync::lock;

/// A way longer than that leads in a circle.
const LONGEST_WAY: usize = 1000;

impl Context {
    /// Finds out whether downstream waits for the clock. Too dear to be asked for every frame.
    pub(super) fn look_for_sink(&self) {
        let sink = find(&self.srcpad);
        gst::debug!(CAT, obj = self.srcpad, "waits for the clock: {sink:?}");
        lock(&self.latency_budget).sink = sink;
    }
}

/// Finds the element that waits for the clock behind this pad, if there is a clear way to it.
fn find(source: &gst::Pad) -> Option<Sink> {
    let (mut source, mut later) = (source.clone(), 0_i64);
    for _ in 0..LONGEST_WAY {
        let peer = source.peer()?;
        later = later
            .saturating_add(source.offset())
            .saturating_add(peer.offset());
        if let Some(sink) = peer.parent_element().and_then(|element| waits(&element)) {
            return Some(Sink {
                later: later.saturating_add(sink.later),
                ..sink
            });
        }
        let mut ways = ways_on(&peer)?.into_iter();
        let way = ways.next()?.ok()?;
        if ways.next().is_some() {
            return None;
        }
        source = way;
    }
    None
}

/// Returns the pads by which data that comes into a pad leaves its element. `None` where that is
/// unknown: the safe call takes a pad that has no element for a fault.
fn ways_on(pad: &gst::Pad) -> Option<gst::Iterator<gst::Pad>> {
    // SAFETY: the pad is one; the iterator, if there is any, is the caller's, and gives pads.
    unsafe {
        let ways = gst::ffi::gst_pad_iterate_internal_links(pad.to_glib_none().0);
        (!ways.is_null()).then(|| from_glib_full(ways))
    }
}

/// Returns when an element lets frames be shown, if it waits for the clock. Of a bin, what is in
/// it tells.
fn waits(element: &gst::Element) -> Option<Sink> {
    let syncs = !element.is::<gst::Bin>() && number(element, "sync") == Some(1);
    syncs.then(|| {
        let of = |name| number(element, name).unwrap_or(0);
        Sink {
            later: of("ts-offset").saturating_sub(of("render-delay")),
            lateness: u64::try_from(of("max-lateness")).unwrap_or(0),
        }
    })
}

/// A property that is a boolean or a time.
fn number(element: &gst::Element, name: &str) -> Option<i64> {
    let value = element
        .find_property(name)
        .map(|_| element.property_value(name))?;
    let time = || {
        value
            .get::<u64>()
            .map(|time| i64::try_from(time).unwrap_or(i64::MAX))
    };
    let flag = || value.get::<bool>().map(i64::from);
    value
        .get::<i64>()
        .or_else(|_| time())
        .or_else(|_| flag())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Returns the sink that is found behind an identity in front of this.
    fn behind(way: &str) -> Option<Sink> {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!("identity name=source ! {way}")).unwrap();
        let pipeline = pipeline.downcast::<gst::Bin>().unwrap();
        if let Some(pad) = pipeline.by_name("moved").and_then(|e| e.static_pad("sink")) {
            pad.set_offset(300 * MS);
        }
        find(
            &pipeline
                .by_name("source")
                .unwrap()
                .static_pad("src")
                .unwrap(),
        )
    }

    #[test]
    fn sinks_that_wait_for_the_clock_are_found_through_everything_with_one_way_out() {
        for way in [
            "fakesink sync=true",
            "queue ! identity ! queue ! fakesink sync=true",
            "( identity ! ( queue ! fakesink sync=true ) )",
            "( identity ! queue ) ! fakesink sync=true",
            "mux. funnel name=mux ! fakesink sync=true fakesrc ! mux.",
            "identity sync=true ! fakesink",
            "tee ! fakesink sync=true",
        ] {
            assert_eq!(behind(way), Some(Sink::default()), "{way}");
        }
    }

    #[test]
    fn what_does_not_wait_or_can_t_be_followed_is_none() {
        for way in [
            "fakesink",
            "queue ! fakesink sync=false",
            "tee name=t ! fakesink sync=true t. ! fakesink sync=true",
            "identity",
        ] {
            assert_eq!(behind(way), None, "{way}");
        }
    }

    #[test]
    fn a_pad_without_an_element_leads_nowhere() {
        gst::init().unwrap();
        let pad = |direction| gst::Pad::builder(direction).build();
        let (source, sink) = (pad(gst::PadDirection::Src), pad(gst::PadDirection::Sink));
        source.link(&sink).unwrap();
        assert_eq!(find(&source), None);
    }

    #[test]
    fn offsets_of_pads_and_sinks_add_up() {
        let way = "identity name=moved ! fakesink sync=true ts-offset=200000000 render-delay=50000000 \
                   max-lateness=20000000";
        let found = behind(way).unwrap();
        assert_eq!(found.later, (300 + 200 - 50) * MS);
        assert_eq!(found.lateness, 20 * MS as u64);
    }
}
