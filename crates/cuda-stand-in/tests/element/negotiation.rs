//! Which memory neighbours are offered.

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig::{caps, element};

const STREAM: &str = "NV12 64x48 30/1";

/// A neighbour's pad that takes or gives these caps.
fn neighbour(direction: gst::PadDirection, caps: &gst::Caps) -> gst::Pad {
    let presence = gst::PadPresence::Always;
    let template = gst::PadTemplate::new("pad", direction, presence, caps).unwrap();
    gst::Pad::from_template(&template)
}

/// The memories that one side of the element is offered, in their order (true: CUDA's), where the
/// other has a neighbour with these caps.
#[track_caller]
fn list_offered(side: &str, others: &gst::Caps) -> Vec<bool> {
    let (element, _model) = element();
    let pad = |name| element.static_pad(name).unwrap();
    let _neighbour = match side {
        "sink" => {
            let neighbour = neighbour(gst::PadDirection::Sink, others);
            pad("src").link(&neighbour).unwrap();
            neighbour
        }
        _ => {
            let neighbour = neighbour(gst::PadDirection::Src, others);
            neighbour.link(&pad("sink")).unwrap();
            neighbour
        }
    };
    let answer = pad(side).query_caps(None);
    let mut kinds: Vec<_> = answer
        .iter_with_features()
        .map(|(_, f)| f.contains(FEATURE))
        .collect();
    kinds.dedup();
    kinds
}

/// Returns caps of system memory first, as a neighbour that doesn't care has it.
fn either() -> gst::Caps {
    let mut both = caps(STREAM);
    both.merge(on_device(&caps(STREAM)));
    both
}

#[test]
fn a_neighbour_is_offered_what_the_other_side_has_and_cuda_s_first() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    for side in ["sink", "src"] {
        assert_eq!(list_offered(side, &either()), [true, false], "{side}");
        assert_eq!(
            list_offered(side, &gst::Caps::new_any()),
            [true, false],
            "{side}"
        );
        assert_eq!(
            list_offered(side, &on_device(&caps(STREAM))),
            [true],
            "{side}"
        );
        assert_eq!(list_offered(side, &caps(STREAM)), [false], "{side}");
    }
}

#[test]
fn what_is_accepted_is_what_downstream_takes() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (host, device) = (caps(STREAM), on_device(&caps(STREAM)));
    for (downstream, takes_host, takes_device) in [
        (&either(), true, true),
        (&host, true, false),
        (&device, false, true),
    ] {
        let (element, _model) = element();
        let neighbour = neighbour(gst::PadDirection::Sink, downstream);
        element.static_pad("src").unwrap().link(&neighbour).unwrap();
        let sink = element.static_pad("sink").unwrap();
        assert_eq!(sink.query_accept_caps(&host), takes_host, "{downstream}");
        assert_eq!(
            sink.query_accept_caps(&device),
            takes_device,
            "{downstream}"
        );
    }
}

#[test]
fn formats_that_gstreamer_has_no_device_memory_for_stay_on_the_host() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let sink = element.static_pad("sink").unwrap();
    for format in ["GRAY8", "xRGB", "xBGR"] {
        let stream = caps(&STREAM.replace("NV12", format));
        assert!(sink.query_accept_caps(&stream), "{format}");
        assert!(!sink.query_accept_caps(&on_device(&stream)), "{format}");
    }
}

#[test]
fn a_device_that_is_not_there_promises_nothing() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let sink = element.static_pad("sink").unwrap();
    let stream = on_device(&caps(STREAM));
    for (device, there) in [(0, true), (1, true), (2, false)] {
        element.set_property("device", device);
        assert_eq!(sink.query_accept_caps(&stream), there, "{device}");
        assert_eq!(
            ask_for_context(&element, "sink").is_some(),
            there,
            "{device}"
        );
    }
}
