//! Who has nothing to do with CUDA pays nothing for it. A program of its own, because the driver counts for
//! the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use test_support::cuda::*;
use test_support::rig;

#[test]
fn frames_on_the_host_bring_no_context_to_life() {
    let Some(driver) = Driver::load() else {
        return;
    };
    // downstream takes anything, so CUDA's memory as well
    let stream = "NV12 64x48 30/1";
    let mut rig = rig::Rig::new(stream, None);
    for k in 0..3 {
        rig.push(&rig::info(stream), k);
    }
    assert_eq!(rig.finish().len(), 6);
    assert_eq!(driver.counts(), Counts::default());
}
