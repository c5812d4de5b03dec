//! Matters of the device alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gstvfiinterp::faults;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "NV12 320x240 30/1";

fn place(rig: &Rig) -> String {
    let stats: gst::Structure = rig.element.property("stats");
    stats.get("frames-made-on").unwrap()
}

/// Keeps others waiting that look at where frames are made, or change it.
fn lock_place() -> MutexGuard<'static, ()> {
    static PLACE: Mutex<()> = Mutex::new(());
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Otherwise the element's tests would be run on the host once more.
#[test]
fn the_program_begins_on_the_device() {
    let _place = lock_place();
    let mut rig = Rig::new(TEXT, None);
    (0..2).for_each(|k| drop(rig.push(&info(TEXT), k)));
    rig.settle();
    assert_eq!(place(&rig), "device");
}

#[test]
fn frames_are_made_where_the_network_is() {
    let _place = lock_place();
    for (forced, expected) in [(true, "device"), (false, "host")] {
        init();
        faults::force_device(forced);
        let info = info(TEXT);
        let mut rig = Rig::new(TEXT, None);
        (0..4).for_each(|k| drop(rig.push(&info, k)));
        rig.settle();
        assert_eq!(place(&rig), expected);
        assert_eq!(rig.stat("synthesised"), 3);
    }
    faults::force_device(true);
}

/// Both ways give the same frames but for rounding.
#[test]
fn a_device_makes_what_the_host_makes() {
    let _place = lock_place();
    init();
    let made = |forced, upscale: &str| {
        faults::force_device(forced);
        let info = info(TEXT);
        let mut rig = Rig::with_model_and(moving_model(), |element| {
            element.set_property("scene-threshold", 0.0);
            element.set_property("downscale", 2.0);
            element.set_property_from_str("upscale", upscale);
        });
        rig.harness.set_src_caps(caps(TEXT));
        (0..4).for_each(|k| drop(rig.push(&info, k)));
        let out = rig.finish();
        faults::force_device(true);
        out.iter().map(bytes).collect::<Vec<_>>()
    };
    for upscale in ["motion", "image"] {
        let (device, host) = (made(true, upscale), made(false, upscale));
        assert_eq!(device.len(), host.len());
        for (device, host) in device.iter().zip(&host) {
            let pairs = device.iter().zip(host);
            let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{upscale}: {worst:?}");
        }
    }
}

fn moving_model() -> TemporaryFile {
    TemporaryFile::new("moving.onnx", &fixtures::constant_motion([3.0, -1.5], 2, 8))
}

#[test]
fn a_want_of_memory_is_survived() {
    init();
    faults::clear();
    faults::force_device(true);
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    faults::fail_runs_above(320 * 240 / 4);
    (0..6).for_each(|k| drop(rig.push(&info, k)));
    rig.settle();
    assert!(rig.stat("shortages") > 0);
    assert!(faults::failed() > 0);
    faults::clear();
    let originals = rig.stat("originals");
    assert_eq!(originals, 6);
    assert!(rig.stat("synthesised") > 0, "at a smaller size");
}

/// Frames take as much of the sessions' arenas after many of them as after few.
#[test]
fn memory_is_flat() {
    init();
    let info = info("NV12 640x360 30/1");
    let mut rig = Rig::with_model_and(moving_model(), |element| {
        element.set_property("scene-threshold", 0.0);
        element.set_property_from_str("upscale-method", "bicubic");
        element.set_property("downscale", 2.0);
    });
    rig.harness.set_src_caps(caps("NV12 640x360 30/1"));
    let mut before = None;
    for k in 0..40 {
        rig.push(&info, k);
        if k == 8 || k == 39 {
            rig.settle();
            let [used, peak, held] =
                ["used", "peak", "held"].map(|n| rig.stat(&format!("memory-{n}")));
            let (used_before, peak_before) = *before.get_or_insert((used, peak));
            assert_eq!(used, used_before);
            // a piece of an arena is at most twice as large as what is in it
            assert!(held <= 2 * peak_before, "{held} after {peak_before}");
        }
    }
}

/// Plays frames whose network sees them so much smaller, within a limit: where they were made, and the most that
/// was held.
fn within(limit: u64, downscale: f64) -> (String, u64) {
    let mut rig = Rig::with_model_and(moving_model(), |element| {
        element.set_property("model", "vfi-lite");
        element.set_property("scene-threshold", 0.0);
        element.set_property("downscale", downscale);
        element.set_property("memory-limit", limit);
    });
    let text = "NV12 640x360 30/1";
    rig.harness.set_src_caps(caps(text));
    let (info, mut most) = (info(text), 0);
    for k in 0..6 {
        rig.push(&info, k);
        rig.settle();
        most = most.max(rig.stat("memory-held"));
    }
    assert_eq!(rig.stat("synthesised"), 5);
    (place(&rig), most)
}

#[test]
fn a_limit_bounds_what_all_sessions_hold_together() {
    init();
    let plenty = 1 << 30;
    let (place, held) = within(plenty, 1.0);
    assert_eq!(place, "device");
    // each of them would fit into that
    let (_, bounded) = within(held - 1, 1.0);
    assert!(bounded < held, "{bounded} of {held}");
}

#[test]
fn frames_that_a_limit_leaves_no_room_for_are_made_on_the_host() {
    init();
    let (_, held) = within(1 << 30, 2.0);
    // half of it is for the sessions that make frames, and they hold most of it
    assert_eq!(within(held, 2.0).0, "host");
}
