//! Frames that lie in CUDA's memory already: GStreamer's and ONNX Runtime's dealings with one device.

use gst::prelude::*;
use test_support::cuda::{Counts, Loaded, is_on_device, offered_pool, on_device, upload};
use test_support::rig::{self, Rig, SECOND};

use crate::{
    FRAME, NAME, SMALL, THUMBNAIL, collect_warnings, concerns, provider, read_stat, start,
};

/// Bytes of a frame with what may lie between its lines.
const PITCHED: u64 = 512 * 240 * 3 / 2;

/// Pushes eight frames, and counts after each of those that come when all is ready.
fn push(rig: &mut Rig, driver: &Loaded) -> Vec<Counts> {
    let (caps, info) = (on_device(&rig::caps(NAME)), rig::info(NAME));
    rig.harness.set_src_caps(caps.clone());
    let pool = offered_pool(&rig.element, &caps);
    let frames = (0..8).map(|k| upload(&pool, &rig::frame(&info, k), &info));
    let frames: Vec<_> = frames.collect();
    let counts = frames.into_iter().map(|frame| {
        rig.harness.push(frame).unwrap();
        rig.settle();
        driver.counts()
    });
    counts.skip(2).collect()
}

#[test]
fn frames_never_come_down() {
    let Some(driver) = provider() else {
        return;
    };
    for device in [0, 1] {
        let mut rig = start(|element| element.set_property("device", device));
        let heard = collect_warnings();
        for pair in push(&mut rig, &driver).windows(2) {
            // whether a pair is still takes a number
            assert_eq!(pair[1].downloaded - pair[0].downloaded, THUMBNAIL + 4);
            // what the test writes goes up from GStreamer's staging, once
            let up = pair[1].uploaded - pair[0].uploaded;
            assert!((FRAME..PITCHED + SMALL).contains(&up), "{up} bytes up");
            assert!(pair[1].launches > pair[0].launches);
        }
        assert_eq!(read_stat(&rig, "frames-made-on"), "device");
        assert_eq!(rig.stat("synthesised"), 7);
        assert_eq!(concerns(&heard), [""; 0]);
        let out = rig.finish();
        let expected: Vec<_> = (0..16).map(|k| k * SECOND / 60).collect();
        assert_eq!(rig::times(&out), expected);
        assert!(out.iter().all(|buffer| is_on_device(buffer)));
    }
}
