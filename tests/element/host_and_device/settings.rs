//! Properties, and changing them while playing.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "GRAY8 32x32 30/1";

#[test]
fn a_new_multiplier_holds_from_the_next_pair_on() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    for k in 0..2 {
        rig.push(&info, k);
    }
    // Three frames out: the element is through with the pair.
    for _ in 0..3 {
        rig.harness.pull().unwrap();
    }
    rig.element.set_property("multiplier", 4u32);
    rig.push(&info, 2);
    let out = rig.finish();
    let (start, slot) = (SECOND / 30, SECOND / 120);
    let expected: Vec<_> = (1..=7).map(|n| start + n * slot).collect();
    for (time, expected) in times(&out).iter().zip(&expected) {
        assert!(time.abs_diff(*expected) < 10, "{:?}", times(&out));
    }
    assert_eq!(out.len(), 7);
}

#[test]
fn a_new_downscale_loses_no_frame() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    for (k, downscale) in [1.0, 2.0, 1.5, 0.0].into_iter().enumerate() {
        rig.element.set_property("downscale", downscale);
        rig.push(&info, k as u64);
    }
    assert_eq!(rig.finish().len(), 8);
    assert_eq!(rig.stat("synthesised"), 3);
}

/// Two flat frames give their blend.
#[track_caller]
fn assert_blends(mut rig: Rig) {
    let info = info(TEXT);
    rig.harness.set_src_caps(caps(TEXT));
    for (k, value) in [(0, 40u8), (1, 80)] {
        let mut buffer = frame(&info, k);
        buffer.make_mut().map_writable().unwrap().fill(value);
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    for value in bytes(&out[1]) {
        assert!(value.abs_diff(60) <= 1, "{value}");
    }
}

#[test]
fn both_ways_up_give_the_same_blend() {
    for upscale in ["auto", "motion", "image"] {
        let rig = Rig::bare(None);
        rig.element.set_property_from_str("upscale", upscale);
        assert_blends(rig);
    }
}

#[test]
fn a_picture_model_blends_too() {
    let model = fixtures::blend_with_timestep(&[1]);
    assert_blends(Rig::with_model(TemporaryFile::new("blend.onnx", &model)));
}

#[test]
fn the_built_in_network_runs() {
    init();
    let element = gst::ElementFactory::make("vfiinterp").build().unwrap();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let text = "NV12 98x66 30/1";
    harness.set_src_caps(caps(text));
    let info = info(text);
    for k in 0..2 {
        harness.push(frame(&info, k)).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let out = std::iter::from_fn(|| harness.pull_until_eos().unwrap()).count();
    assert_eq!(out, 4);
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("model"), Ok("vfi-lite"));
    assert_eq!(stats.get::<u64>("synthesised"), Ok(1));
}

#[test]
fn a_model_that_cannot_be_loaded_while_playing_is_a_warning() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let bus = rig.watch();
    rig.push(&info, 0);
    rig.element.set_property("model", "no-such-model");
    rig.push(&info, 1);
    let warning = bus
        .timed_pop_filtered(
            gst::ClockTime::from_seconds(60),
            &[gst::MessageType::Warning],
        )
        .expect("a warning");
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!()
    };
    assert!(warning.error().to_string().contains("no-such-model"));
    rig.push(&info, 2);
    assert_eq!(rig.finish().len(), 6, "the stream goes on");
}

#[test]
fn a_model_that_could_not_be_loaded_may_be_tried_again() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let bus = rig.watch();
    rig.push(&info, 0);
    for k in 1..3 {
        rig.element.set_property("model", "no-such-model");
        rig.push(&info, k);
        let warning = bus.timed_pop_filtered(
            gst::ClockTime::from_seconds(60),
            &[gst::MessageType::Warning],
        );
        assert!(warning.is_some(), "try {k}");
    }
}

#[test]
fn a_model_without_motion_goes_on_with_its_picture() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let bus = rig.watch();
    rig.element.set_property_from_str("upscale", "motion");
    rig.push(&info, 0);
    rig.push(&info, 1);
    let picture = fixtures::blend_with_timestep(&[1]);
    let picture = TemporaryFile::new("blend.onnx", &picture);
    rig.element.set_property("model", picture.path());
    let warned = (2..1000).any(|k| {
        rig.push(&info, k);
        rig.settle();
        while rig.harness.try_pull().is_some() {}
        bus.pop_filtered(&[gst::MessageType::Warning]).is_some()
    });
    assert!(warned, "upscale can't stay as it is");
    rig.push(&info, 1000);
    rig.finish();
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn the_largest_values_end_no_stream() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.make_live(20);
    for name in ["latency", "max-gap", "stats-interval"] {
        rig.element.set_property(name, u64::MAX - 1);
    }
    for k in 0..4 {
        rig.push(&info, k);
    }
    rig.finish();
    assert_eq!(rig.stat("originals"), 4);
}

#[test]
fn stats_begin_anew_with_the_stream() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    rig.finish();
    assert_eq!(rig.stat("frames-in"), 1);
    rig.element.set_state(gst::State::Null).unwrap();
    rig.element.set_state(gst::State::Paused).unwrap();
    assert_eq!(rig.stat("frames-in"), 0);
}

#[test]
fn what_holds_from_start_to_stop_reads_back_what_is_used() {
    let (element, _model) = element();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let read = |name: &str| {
        let value = element.property_value(name);
        value.serialize().unwrap().to_string()
    };
    element.set_property_from_str("precision", "fp32");
    element.set_state(gst::State::Paused).unwrap();
    for (name, set) in [
        ("precision", "fp16"),
        ("device", "1"),
        ("execution-provider", "cuda"),
    ] {
        let before = read(name);
        element.set_property_from_str(name, set);
        assert_eq!(read(name), before);
    }
    let message = bus.pop_filtered(&[gst::MessageType::Warning]).unwrap();
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}");
    };
    let said = warning.error().to_string();
    assert!(
        said.contains("precision") && said.contains("next start"),
        "{said}"
    );
    element.set_state(gst::State::Ready).unwrap();
    assert_eq!(["precision", "device"].map(read), ["fp16", "1"]);
    element.set_property_from_str("execution-provider", "cpu");
    element.set_state(gst::State::Paused).unwrap();
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("precision"), Ok("fp16"));
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_network_computes_in_as_many_bits_as_asked_for() {
    for (asked, found) in [("auto", "fp32"), ("fp32", "fp32"), ("fp16", "fp16")] {
        let (element, _model) = element();
        element.set_property_from_str("precision", asked);
        element.set_state(gst::State::Paused).unwrap();
        let stats = element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<&str>("precision"), Ok(found));
        element.set_state(gst::State::Null).unwrap();
    }
}
