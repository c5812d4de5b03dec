//! Frames in CUDA's memory that go the way they go with a network on a GPU: copied by the device to where the
//! network's sessions read, and from where they write, without GStreamer's staging on the host. Here the network's
//! device is the CPU, and the driver the stand-in: logic alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig;
use test_support::rig::{Rig, blending_model, caps, frame, info};

test_support::before_main!(gstvfiinterp::faults::force_device(true));

/// The frames that leave for these that come, each with a number for what it shows.
fn push_through(
    stream: &str,
    numbers: &[u64],
    set: impl Fn(&gst::Element),
) -> (Rig, Vec<gst::Buffer>) {
    let mut rig = Rig::with_model_and(blending_model(), set);
    let (caps, info) = (on_device(&caps(stream)), info(stream));
    rig.harness.set_src_caps(caps.clone());
    let pool = offered_pool(&rig.element, &caps);
    let buffers = numbers.iter().enumerate().map(|(k, &number)| {
        let mut shown = frame(&info, number);
        let place = frame(&info, k as u64);
        let target = shown.make_mut();
        target.set_pts(place.pts());
        target.set_duration(place.duration());
        upload(&pool, &shown, &info)
    });
    // made before, so that they come faster than they are dealt with
    for buffer in buffers.collect::<Vec<_>>() {
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    pool.set_active(false).unwrap();
    (rig, out)
}

#[test]
fn frames_are_those_of_the_host_s_memory() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    for format in [
        "NV12",
        "I420",
        "Y444",
        "RGB",
        "BGRA",
        "P010_10LE",
        "I420_10LE",
    ] {
        // an even height: GStreamer 1.22 copies odd I420 without its last plane
        let stream = format!("{format} 70x52 30/1");
        let info = info(&stream);
        let (rig, on_device) = push_through(&stream, &[0, 1, 2], |_| {});
        let place: String = rig
            .element
            .property::<gst::Structure>("stats")
            .get("frames-made-on")
            .unwrap();
        assert_eq!(place, "device", "{format}");
        let mut host = Rig::new(&stream, None);
        for k in 0..3 {
            host.push(&info, k);
        }
        let on_host = host.finish();
        assert_eq!(on_device.len(), on_host.len(), "{format}");
        for (k, (a, b)) in on_device.iter().zip(&on_host).enumerate() {
            assert!(is_on_device(a), "{format}, frame {k}");
            let same = download(a, &info) == download(b, &info);
            assert!(same, "{format}, frame {k}");
        }
    }
}

#[test]
fn frames_that_are_finished_beside_the_network_are_the_same() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let numbers: Vec<u64> = (0..20).collect();
    let stream = "NV12 320x240 30/1";
    let bytes = |out: &[gst::Buffer]| -> Vec<_> {
        let info = info(stream);
        out.iter().map(|buffer| download(buffer, &info)).collect()
    };
    let (_rig, in_turn) = push_through(stream, &numbers, |_| {});
    let pinned = driver.counts().pinned;
    gstvfiinterp::faults::set_apart(true);
    let (_rig, apart) = push_through(stream, &numbers, |_| {});
    assert!(gstvfiinterp::faults::sent_apart() > 0);
    gstvfiinterp::faults::set_apart(false);
    assert_eq!(
        driver.counts().pinned - pinned,
        20,
        "made frames have no staging"
    );
    assert!(bytes(&apart) == bytes(&in_turn));
}

#[test]
fn made_frames_never_lie_on_the_host() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let before = driver.counts();
    let (_rig, out) = push_through("NV12 70x52 30/1", &[0, 1, 2, 3], |_| {});
    let counts = driver.counts();
    assert_eq!(out.len(), 8);
    // this test writes four frames through GStreamer's staging; what is made has none
    assert_eq!(counts.pinned - before.pinned, 4, "{counts:?}");
    // each of two planes: into the sessions, and of three made frames out of them, beside GStreamer's own four
    assert_eq!(counts.downloads - before.downloads, 2 * 4 + 4, "{counts:?}");
    assert_eq!(counts.uploads - before.uploads, 2 * 3 + 4, "{counts:?}");
}

#[test]
fn still_pairs_are_found_where_they_lie() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let before = driver.counts();
    let (rig, out) = push_through("NV12 70x52 30/1", &[5, 5, 6, 6], |_| {});
    let counts = driver.counts();
    assert_eq!(rig.stat("stills"), 2);
    assert_eq!(out.len(), 8);
    assert_eq!(counts.pinned - before.pinned, 4, "{counts:?}");
}

#[test]
fn repeated_frames_make_way_for_motion() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (rig, out) = push_through("NV12 70x52 30/1", &[0, 0, 1, 1, 2, 2], |element| {
        element.set_property("dedup", true);
    });
    assert!(rig.stat("duplicates") >= 2, "{}", rig.stat("duplicates"));
    assert!(out.iter().all(|buffer| is_on_device(buffer)));
}

#[test]
fn a_context_of_a_neighbour_s_own_is_crossed() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let stream = "NV12 70x52 30/1";
    rig::init();
    let foreign = driver.foreign_context(0);
    let (rig, foreign_out) = push_through(stream, &[0, 1], |element| element.set_context(&foreign));
    assert_eq!(
        ask_for_context(&rig.element, "src"),
        Some(carried_object(&foreign))
    );
    let (_rig, own_out) = push_through(stream, &[0, 1], |_| {});
    let bytes = |out: &[gst::Buffer]| -> Vec<_> {
        out.iter()
            .map(|buffer| download(buffer, &info(stream)))
            .collect()
    };
    assert!(bytes(&foreign_out) == bytes(&own_out));
}
