//! Memory that is kept is given back, and bounded, as the element's own figures show.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "GRAY8 160x96 30/1";

/// The element with a network of this file, which every pair goes through.
fn rig(model: TemporaryFile, set: impl FnOnce(&gst::Element)) -> Rig {
    let mut rig = Rig::with_model_and(model, |element| {
        element.set_property("scene-threshold", 0.0);
        element.set_property("downscale", 1.0);
        set(element);
    });
    rig.harness.set_src_caps(caps(TEXT));
    rig
}

fn moving(set: impl FnOnce(&gst::Element)) -> Rig {
    rig(blending_model(), set)
}

/// Sends so many frames and waits for what follows.
fn play(rig: &mut Rig, frames: u64) {
    play_as(rig, TEXT, frames);
}

fn play_as(rig: &mut Rig, text: &str, frames: u64) {
    let info = info(text);
    for k in 0..frames {
        rig.push(&info, k);
    }
    rig.settle();
}

#[test]
fn memory_is_given_back_with_the_run_after_every_so_many_pairs() {
    // 24 pairs; what falls due with the last one waits for a run that does not come
    for (interval, clears) in [(-1, 2), (0, 0), (1, 23), (5, 4), (6, 3)] {
        let mut rig = moving(|element| element.set_property("cache-clear-interval", interval));
        play(&mut rig, 25);
        assert_eq!(rig.stat("clears"), clears, "every {interval}");
        assert_eq!(rig.stat("clears-pressure"), 0);
    }
}

#[test]
fn a_flush_begins_the_count_anew() {
    let mut rig = moving(|element| element.set_property("cache-clear-interval", 5));
    for _ in 0..3 {
        play(&mut rig, 5);
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    }
    assert_eq!(rig.stat("clears"), 0, "four pairs at a time");
}

#[test]
fn the_figures_say_what_the_session_holds() {
    let mut rig = moving(|_| {});
    play(&mut rig, 3);
    let [held, used, peak] = ["memory-held", "memory-used", "memory-peak"].map(|n| rig.stat(n));
    assert!(
        held >= peak && peak >= used && peak > 0,
        "{held} {peak} {used}"
    );
}

#[test]
fn sixteen_frames_a_pair_need_no_more_of_the_session_than_two() {
    let peak = |model: &dyn Fn() -> TemporaryFile, multiplier: u32| {
        let mut rig = rig(model(), |element| {
            element.set_property("multiplier", multiplier);
        });
        play(&mut rig, 4);
        assert_eq!(rig.stat("synthesised"), 3 * u64::from(multiplier - 1));
        rig.stat("memory-peak")
    };
    let midpoint = || TemporaryFile::new("mean.onnx", &fixtures::mean());
    // of what halving makes on the way, no more than one a level is kept; a piece of the arena may
    // be up to twice as large as what is in it
    let pictures = 4 * 2 * (3 * 4 * 160 * 96);
    for (model, constant) in [
        (&blending_model as &dyn Fn() -> TemporaryFile, 0),
        (&midpoint, pictures),
    ] {
        let (two, sixteen) = (peak(model, 2), peak(model, 16));
        assert!(sixteen <= two + constant, "{sixteen} after {two}");
    }
}

/// The warnings and errors that were posted.
fn complaints(bus: &gst::Bus) -> Vec<String> {
    let types = [gst::MessageType::Warning, gst::MessageType::Error];
    let text = |message: gst::Message| match message.view() {
        gst::MessageView::Warning(warning) => warning.error().to_string(),
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!(),
    };
    std::iter::from_fn(|| bus.pop_filtered(&types))
        .map(text)
        .collect()
}

#[test]
fn a_limit_that_nothing_fits_into_leaves_the_originals_and_one_that_is_lifted_brings_all_back() {
    // less than the input alone of the smallest pictures there are: 11 planes of 64x107 numbers
    let mut rig = moving(|element| {
        element.set_property("model", "vfi-lite");
        element.set_property("memory-limit", 100_000u64);
    });
    let bus = rig.watch();
    play(&mut rig, 20);
    assert_eq!(rig.frame_counts(), (20, 0));
    let warnings = complaints(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("originals"), "{warnings:?}");
    // the network is loaded anew in the background
    rig.element.set_property("memory-limit", 0u64);
    let info = info(TEXT);
    let mut frames = 20..20_000;
    while rig.stat("synthesised") == 0 {
        rig.push(&info, frames.next().expect("it takes no ten minutes"));
        rig.settle();
    }
    assert_eq!(complaints(&bus), [""; 0]);
}

#[test]
fn a_limit_makes_the_network_s_pictures_smaller_and_loses_no_frame() {
    const LARGER: &str = "GRAY8 320x192 30/1";
    let mut whole = moving(|element| element.set_property("model", "vfi-lite"));
    whole.harness.set_src_caps(caps(LARGER));
    play_as(&mut whole, LARGER, 3);
    let half = whole.stat("memory-peak") / 2;
    let mut rig = moving(|element| {
        element.set_property("model", "vfi-lite");
        element.set_property("memory-limit", half);
    });
    rig.harness.set_src_caps(caps(LARGER));
    play_as(&mut rig, LARGER, 10);
    assert_eq!(rig.frame_counts(), (10, 9));
    assert!(rig.stat("shortages") > 0);
    assert!(rig.stat("memory-held") <= half);
    let stats = rig.element.property::<gst::Structure>("stats");
    assert!(stats.get::<f64>("downscale").unwrap() >= 1.5);
}

#[test]
fn a_limit_that_the_network_can_t_even_be_measured_in_is_an_error_at_the_start() {
    let (element, _model) = element();
    element.set_property("memory-limit", 4096u64);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    element.set_state(gst::State::Null).unwrap();
    let complaints = complaints(&bus);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("not enough memory"),
        "{complaints:?}"
    );
}
