//! Memory that can't be had, by faults on demand: nothing ends but what has to, and no original is
//! lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use gstvfiinterp::faults;
use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, ModelError, Prepared};
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "GRAY8 320x240 30/1";

/// The element at work, and its bus.
fn rig(set: impl FnOnce(&gst::Element)) -> (Rig, gst::Bus) {
    Rig::at_full_size(blending_model(), TEXT, set)
}

fn play(rig: &mut Rig, text: &str, frames: std::ops::Range<u64>) {
    let info = info(text);
    frames.for_each(|k| drop(rig.push(&info, k)));
    rig.settle();
}

/// The warnings that were posted, and the names of the steps that were told.
fn drain(bus: &gst::Bus) -> (Vec<String>, Vec<String>) {
    let (mut warnings, mut steps) = (Vec::new(), Vec::new());
    while let Some(message) = bus.pop() {
        match message.view() {
            gst::MessageView::Warning(warning) => warnings.push(warning.error().to_string()),
            gst::MessageView::Error(error) => panic!("{}", error.error()),
            gst::MessageView::Element(element) => {
                let name = element.structure().map(|told| told.get::<String>("name"));
                steps.extend(name.and_then(Result::ok));
            }
            _ => {}
        }
    }
    (warnings, steps)
}

#[test]
fn what_lacks_once_is_had_after_giving_back() {
    let _alone = faults::reserve();
    // the second try gives back, the third has it
    for failures in [1, 2] {
        let (mut rig, bus) = rig(|_| {});
        play(&mut rig, TEXT, 0..3);
        faults::fail_next_runs(failures);
        play(&mut rig, TEXT, 3..6);
        assert_eq!(rig.frame_counts(), (6, 5));
        assert_eq!(faults::failed(), failures);
        assert!(rig.stat("clears-pressure") > 0);
        assert_eq!(rig.stat("shortages"), 0);
        assert_eq!(drain(&bus), (vec![], vec![]));
        faults::clear();
    }
}

#[test]
fn what_lacks_at_one_size_is_made_at_a_smaller_one() {
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(|_| {});
    faults::fail_runs_above(320 * 240 / 4);
    play(&mut rig, TEXT, 0..10);
    assert_eq!(rig.frame_counts(), (10, 9), "not even the first is lost");
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<f64>("downscale"), Ok(2.25));
    assert_eq!(rig.stat("shortages"), 2);
    let (warnings, steps) = drain(&bus);
    assert_eq!((warnings.len(), steps), (0, vec!["smaller".into(); 2]));
}

#[test]
fn what_lacks_at_every_size_leaves_the_originals_and_one_warning() {
    let _alone = faults::reserve();
    for overload in ["degrade", "skip", "repeat", "none"] {
        let (mut rig, bus) = rig(|element| element.set_property_from_str("overload", overload));
        faults::fail_runs_above(0);
        let info = info(TEXT);
        let sent: Vec<_> = (0..20).map(|k| rig.push(&info, k)).collect();
        let out = rig.finish();
        assert_eq!(rig.frame_counts(), (20, 0));
        let repeats = if overload == "repeat" { 19 } else { 0 };
        // the last one fills the time that is left
        assert_eq!(out.len(), 20 + repeats + 1, "{overload}");
        let mut out = out.iter();
        for original in &sent {
            let same = |buffer: &&gst::Buffer| buffer.pts() == original.pts();
            let found = out.find(same).expect("every original comes out, in order");
            assert_eq!(bytes(found), bytes(original));
        }
        let (warnings, steps) = drain(&bus);
        assert_eq!(warnings.len(), 1, "{overload}: {warnings:?}");
        assert!(warnings[0].contains("Only originals") && warnings[0].contains("memory"));
        assert_eq!(steps.last().map(String::as_str), Some("originals"));
        faults::clear();
    }
}

#[test]
fn after_half_a_minute_of_the_stream_more_is_tried() {
    const SLOW: &str = "GRAY8 320x240 1/1";
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(|_| {});
    rig.harness.set_src_caps(caps(SLOW));
    faults::fail_runs_above(0);
    play(&mut rig, SLOW, 0..3);
    assert_eq!(rig.frame_counts(), (3, 0));
    faults::clear();
    play(&mut rig, SLOW, 3..30);
    assert_eq!(rig.frame_counts(), (30, 0), "not yet");
    play(&mut rig, SLOW, 30..200);
    assert!(rig.stat("synthesised") > 150);
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<f64>("downscale"), Ok(1.0), "all the way back");
    assert_eq!(pop_warnings(&bus).len(), 1);
}

#[test]
fn new_caps_and_another_size_are_tried_at_once() {
    const OTHER: &str = "GRAY8 160x128 30/1";
    let _alone = faults::reserve();
    let (mut rig, _bus) = rig(|_| {});
    faults::fail_runs_above(0);
    play(&mut rig, TEXT, 0..3);
    assert_eq!(rig.frame_counts(), (3, 0));
    faults::clear();
    rig.harness.set_src_caps(caps(OTHER));
    play(&mut rig, OTHER, 3..6);
    assert_eq!(rig.frame_counts(), (6, 2));
    faults::fail_runs_above(0);
    play(&mut rig, OTHER, 6..8);
    faults::clear();
    rig.element.set_property("downscale", 2.0);
    play(&mut rig, OTHER, 8..10);
    assert_eq!(rig.frame_counts(), (10, 4));
}

#[test]
fn frames_that_can_t_be_had_are_not_made_and_originals_go_on() {
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(|_| {});
    play(&mut rig, TEXT, 0..2);
    // of the output; then also all that is smaller
    for (bytes, frames) in [(320 * 240 - 1, 2..6), (1000, 6..10)] {
        faults::fail_buffers_above(bytes);
        play(&mut rig, TEXT, frames);
    }
    assert_eq!(rig.frame_counts(), (10, 1));
    assert_eq!(pop_warnings(&bus).len(), 1);
    // getting ready for other caps needs memory, too
    rig.harness.set_src_caps(caps("GRAY8 640x480 30/1"));
    play(&mut rig, "GRAY8 640x480 30/1", 10..13);
    assert_eq!(rig.frame_counts(), (13, 1));
    faults::clear();
    rig.harness.set_src_caps(caps(TEXT));
    play(&mut rig, TEXT, 13..15);
    assert_eq!(rig.frame_counts(), (15, 2));
}

/// Memory that the built-in networks' search needs for a while grows with the picture, as frames do.
#[test]
fn a_search_that_finds_no_memory_is_an_error_that_says_so() {
    let _alone = faults::reserve();
    init();
    let options = LoadOptions {
        model: "vfi-lite".into(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let mut network = Interpolator::load(&options).unwrap();
    let mut pair = [Prepared::default(), Prepared::default()];
    for prepared in &mut pair {
        let picture = Picture::new(320, 240);
        network.prepare(&picture, prepared).unwrap();
    }
    let mut run = |phase| network.estimate(&pair[0], &pair[1], phase).map(drop);
    run(0.5).unwrap();
    for bytes in [1 << 15, 1000] {
        faults::fail_buffers_above(bytes);
        let lack = run(0.25);
        assert!(matches!(lack, Err(ModelError::Memory { .. })), "{lack:?}");
    }
    faults::clear();
    run(0.75).unwrap();
}

#[test]
fn flashes_and_duplicates_go_without_memory_too() {
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(|element| {
        element.set_property("dedup", true);
        element.set_property("scene-threshold", 0.3);
    });
    faults::fail_buffers_above(1000);
    let info = info(TEXT);
    for k in 0..12 {
        let mut buffer = frame(&info, k);
        let value = [10, 10, 200, 200, 60, 60][k as usize % 6];
        buffer.make_mut().map_writable().unwrap().fill(value);
        rig.harness.push(buffer).unwrap();
    }
    rig.finish();
    assert_eq!(rig.frame_counts(), (12, 0));
    assert_eq!(pop_warnings(&bus).len(), 1);
}

#[test]
fn a_network_that_does_not_fit_is_one_error_at_the_start() {
    let _alone = faults::reserve();
    faults::fail_next_loads(u64::MAX);
    let (element, _model) = element();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    element.set_state(gst::State::Null).unwrap();
    let errors: Vec<_> =
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let gst::MessageView::Error(error) = errors[0].view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    assert!(
        text.contains("not enough memory") && text.contains("still.onnx"),
        "{text}"
    );
    assert!(error.error().matches(gst::ResourceError::NoSpaceLeft));
    // it may be started once there is some
    faults::clear();
    element.set_state(gst::State::Paused).unwrap();
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_network_that_lacks_memory_once_is_loaded_at_the_second_try() {
    let _alone = faults::reserve();
    let (element, _model) = element();
    // one with this project's operator, one without, as for any reason it is refused
    faults::fail_next_loads(1);
    element.set_state(gst::State::Paused).unwrap();
    assert_eq!(faults::failed(), 1);
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn while_playing_a_network_that_does_not_fit_leaves_the_old_one() {
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(|_| {});
    play(&mut rig, TEXT, 0..2);
    let other = TemporaryFile::new("blend.onnx", &fixtures::blend_with_timestep(&[1]));
    faults::fail_next_loads(u64::MAX);
    rig.element.set_property("model", other.path());
    play(&mut rig, TEXT, 2..4);
    let timeout = gst::ClockTime::from_seconds(60);
    let warning = bus.timed_pop_filtered(timeout, &[gst::MessageType::Warning]);
    let warning = warning.expect("it is told");
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!()
    };
    let text = warning.error().to_string();
    assert!(
        text.contains("stays") && text.contains("not enough memory"),
        "{text}"
    );
    play(&mut rig, TEXT, 4..6);
    assert_eq!(rig.frame_counts(), (6, 5));
}

#[test]
fn where_little_is_left_memory_is_given_back_at_once() {
    let _alone = faults::reserve();
    let (mut rig, _bus) = rig(|element| element.set_property("cache-clear-interval", 0));
    faults::set_memory_left(Some((1 << 20, 8 << 30)));
    play(&mut rig, TEXT, 0..4);
    assert!(rig.stat("clears-pressure") > 0);
    assert_eq!(
        (rig.stat("clears"), rig.frame_counts()),
        (rig.stat("clears-pressure"), (4, 3))
    );
}
