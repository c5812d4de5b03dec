//! Networks that fail in the middle of a stream: it goes on, without their frames or with those of the
//! network before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::ops::Range;
use std::time::Duration;

use gst::prelude::*;
use gstvfiinterp::faults;
use test_support::fixtures::failing::{Then, When, failing};
use test_support::rig::*;

const TEXT: &str = "GRAY8 160x96 30/1";
const DARK: u8 = 20;
const BRIGHT: u8 = 250;

fn model(when: When, then: Then) -> TemporaryFile {
    TemporaryFile::new("failing.onnx", &failing(when, then))
}

/// The element at work with a network, and its bus.
fn rig(model: TemporaryFile, set: impl FnOnce(&gst::Element)) -> (Rig, gst::Bus) {
    Rig::at_full_size(model, TEXT, |element| {
        element.set_property("still-threshold", 0.0);
        set(element);
    })
}

/// Sends frames of one grey each, a little more of it in each, and waits for what follows.
fn play(rig: &mut Rig, text: &str, frames: Range<u64>, grey: u8) -> Vec<gst::Buffer> {
    let info = info(text);
    let sent = frames.map(|k| {
        let mut buffer = frame(&info, k);
        let mut map = buffer.make_mut().map_writable().unwrap();
        map.fill(grey);
        map[..8].fill(k as u8);
        drop(map);
        rig.harness.push(buffer.copy()).unwrap();
        buffer
    });
    let sent = sent.collect();
    rig.settle();
    sent
}

/// How frames go: on a device, and beside the network.
const WAYS: [(bool, bool); 3] = [(false, false), (true, false), (true, true)];

fn take((device, apart): (bool, bool)) {
    faults::clear();
    faults::force_device(device);
    faults::set_apart(apart);
}

#[test]
fn whatever_it_does_originals_go_on_with_one_warning() {
    let _alone = faults::reserve();
    for way in WAYS {
        for (then, said) in [
            (Then::Fail, "running the model"),
            (Then::Columns(0), "unexpected"),
            (Then::Columns(7), "unexpected"),
            (Then::NoShape, "the model"),
        ] {
            take(way);
            let (mut rig, bus) = rig(model(When::Bright, then), |_| {});
            let mut sent = play(&mut rig, TEXT, 0..6, DARK);
            assert_eq!(rig.frame_counts(), (6, 5), "{then:?}");
            sent.extend(play(&mut rig, TEXT, 6..20, BRIGHT));
            let out = rig.finish();
            // from the first pair that begins with a bright one
            assert_eq!(rig.frame_counts(), (20, 6), "{then:?}");
            let mut out = out.iter();
            for original in &sent {
                let same = |buffer: &&gst::Buffer| buffer.pts() == original.pts();
                let found = out.find(same).expect("every original comes out, in order");
                assert_eq!(bytes(found), bytes(original));
            }
            let warnings = pop_warnings(&bus);
            assert_eq!(warnings.len(), 1, "{then:?}: {warnings:?}");
            for part in ["Only originals", said] {
                assert!(warnings[0].contains(part), "{then:?}: {warnings:?}");
            }
        }
    }
    faults::force_device(false);
}

#[test]
fn repeats_stand_in_where_they_are_wanted() {
    let _alone = faults::reserve();
    for (overload, repeats) in [("skip", 0), ("repeat", 9), ("none", 0), ("degrade", 0)] {
        let (mut rig, _bus) = rig(model(When::Bright, Then::Fail), |element| {
            element.set_property_from_str("overload", overload);
        });
        play(&mut rig, TEXT, 0..10, BRIGHT);
        assert_eq!(rig.frame_counts(), (10, 0));
        assert_eq!(rig.stat("repeated"), repeats, "{overload}");
    }
}

#[test]
fn one_that_fails_at_one_size_is_tried_again_at_another() {
    // not the one of the trial run
    const WIDE: &str = "GRAY8 320x96 30/1";
    const OTHER: &str = "GRAY8 128x96 30/1";
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(model(When::Width(320), Then::Fail), |_| {});
    rig.harness.set_src_caps(caps(WIDE));
    play(&mut rig, WIDE, 0..5, DARK);
    assert_eq!((rig.frame_counts(), pop_warnings(&bus).len()), ((5, 0), 1));
    rig.harness.set_src_caps(caps(OTHER));
    play(&mut rig, OTHER, 5..10, DARK);
    assert_eq!((rig.frame_counts(), pop_warnings(&bus).len()), ((10, 4), 0));
    rig.harness.set_src_caps(caps(WIDE));
    play(&mut rig, WIDE, 10..15, DARK);
    assert_eq!((rig.frame_counts(), pop_warnings(&bus).len()), ((15, 4), 1));
}

/// Sets a model and plays dark frames, from `k` on, until it is in use.
fn change(rig: &mut Rig, model: &TemporaryFile, k: &mut u64) {
    let name = |rig: &Rig| {
        let stats: gst::Structure = rig.element.property("stats");
        stats.get::<String>("model").unwrap()
    };
    rig.element.set_property("model", model.path());
    while name(rig) != "failing" {
        play(rig, TEXT, *k..*k + 1, DARK);
        *k += 1;
    }
}

#[test]
fn the_network_before_takes_over_and_no_frame_is_lost() {
    let _alone = faults::reserve();
    for way in WAYS {
        for then in [Then::Fail, Then::Columns(0)] {
            take(way);
            let (mut rig, bus) = rig(blending_model(), |_| {});
            let mut k = 4;
            play(&mut rig, TEXT, 0..k, DARK);
            let bad = model(When::Bright, then);
            // the second time it is set to what it was set to before
            for round in 1..3 {
                change(&mut rig, &bad, &mut k);
                play(&mut rig, TEXT, k..k + 10, BRIGHT);
                k += 10;
                let (originals, synthesised) = rig.frame_counts();
                assert_eq!(originals, k, "{then:?}");
                // two pairs are under way where frames are made beside the network
                let lost = if way.1 { 2 * round } else { 0 };
                let pairs = k - 1;
                assert!(
                    (pairs - lost..=pairs).contains(&synthesised),
                    "{then:?}: {synthesised}"
                );
                let warnings = pop_warnings(&bus);
                assert_eq!(warnings.len(), 1, "{then:?}: {warnings:?}");
                assert!(warnings[0].contains("The model before"), "{warnings:?}");
            }
        }
    }
    faults::force_device(false);
}

#[test]
fn where_the_network_before_fails_too_originals_go_on() {
    let _alone = faults::reserve();
    let (mut rig, bus) = rig(model(When::Bright, Then::Columns(7)), |_| {});
    let mut k = 4;
    play(&mut rig, TEXT, 0..k, DARK);
    let other = TemporaryFile::new("other.onnx", &failing(When::Bright, Then::Fail));
    rig.element.set_property("model", other.path());
    let name = |rig: &Rig| {
        let stats: gst::Structure = rig.element.property("stats");
        stats.get::<String>("model").unwrap()
    };
    while name(&rig) != "other" {
        play(&mut rig, TEXT, k..k + 1, DARK);
        k += 1;
    }
    play(&mut rig, TEXT, k..k + 10, BRIGHT);
    assert_eq!(rig.frame_counts().0, k + 10);
    let warnings = pop_warnings(&bus);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("The model before") && warnings[1].contains("Only originals"));
}

#[test]
fn a_run_that_never_ends_is_given_up() {
    let _alone = faults::reserve();
    for way in WAYS {
        take(way);
        let (mut rig, bus) = rig(model(When::Bright, Then::Endless), |_| {});
        play(&mut rig, TEXT, 0..6, DARK);
        assert_eq!(rig.frame_counts(), (6, 5));
        play(&mut rig, TEXT, 6..7, BRIGHT);
        // no run that ends by itself is made after this
        faults::set_patience(Some(Duration::from_millis(1)));
        play(&mut rig, TEXT, 7..20, BRIGHT);
        assert_eq!(rig.frame_counts(), (20, 6));
        let warnings = pop_warnings(&bus);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("did not answer"), "{warnings:?}");
        rig.finish();
    }
    faults::force_device(false);
}
