//! The element where there is no driver. A program of its own, because a driver that was loaded
//! once is there for good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig;

/// Returns whether this machine has a driver of its own.
fn has_driver() -> bool {
    // SAFETY: loading it does nothing else.
    let found = unsafe { libloading::Library::new("libcuda.so.1") }.is_ok();
    if found {
        println!("skipped: this machine has a driver");
    }
    found
}

#[test]
fn without_a_driver_cuda_s_memory_is_not_promised() {
    if has_driver() {
        return;
    }
    let (element, _model) = rig::element();
    let stream = rig::caps("NV12 64x48 30/1");
    for pad in ["sink", "src"] {
        let pad = element.static_pad(pad).unwrap();
        let offered = pad.query_caps(None);
        assert!(
            offered
                .iter_with_features()
                .all(|(_, f)| !f.contains(FEATURE))
        );
        assert!(pad.query_accept_caps(&stream));
        assert!(!pad.query_accept_caps(&on_device(&stream)));
        let template = pad.pad_template_caps();
        assert!(
            template
                .iter_with_features()
                .any(|(_, f)| f.contains(FEATURE))
        );
    }
}

#[test]
fn without_a_driver_there_is_no_context() {
    if has_driver() {
        return;
    }
    let (element, _model) = rig::element();
    assert_eq!(ask_for_context(&element, "sink"), None);
}
