//! Nothing of CUDA stays behind. A program of its own, because the driver counts for the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig;

#[test]
fn nothing_is_left_when_the_element_is_gone() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let stream = "NV12 64x48 30/1";
    let (caps, info) = (on_device(&rig::caps(stream)), rig::info(stream));
    for round in 0..3 {
        let mut rig = rig::Rig::with_model(rig::blending_model());
        rig.harness.set_src_caps(caps.clone());
        let pool = offered_pool(&rig.element, &caps);
        for k in 0..4 {
            let buffer = upload(&pool, &rig::frame(&info, k), &info);
            rig.harness.push(buffer).unwrap();
        }
        let out = rig.finish();
        assert_eq!(out.len(), 8);
        let during = driver.counts();
        assert_eq!((during.contexts, during.streams), (1, 0), "{during:?}");
        assert!(during.memories >= 7, "{during:?}");
        drop(out);
        pool.set_active(false).unwrap();
        drop((rig, pool));
        let after = driver.counts();
        assert_eq!(
            (after.memories, after.pinned, after.contexts),
            (0, 0, 0),
            "round {round}: {after:?}"
        );
    }
}
