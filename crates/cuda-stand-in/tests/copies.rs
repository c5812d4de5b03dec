//! The element's own copies, between GStreamer's CUDA memory and what a network's sessions read and write.
//! These files of the element's are compiled into this program, as no pad shows what is copied where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

#[allow(dead_code)] // the element uses more of it
#[path = "../../../src/vfi_element/cuda/frame.rs"]
mod frame;
#[allow(dead_code)] // the element uses more of it
#[path = "../../../src/vfi_element/cuda/library.rs"]
mod library;
/// Modules that those files import.
mod frames {
    pub(crate) use gstvfiinterp::frames::mapped;
}
mod models {
    pub(crate) use gstvfiinterp::models::device;
}

use gst::prelude::*;
use gst_video::prelude::*;
use test_support::cuda::*;
use test_support::rig;

use frame::Copier;
use models::device::Dense;

/// Width and height of the planes of `NV12 70x52`, in bytes.
const PLANES: [(usize, usize); 2] = [(70, 52), (70, 26)];
const STREAM: &str = "NV12 70x52 30/1";

/// Planes that follow one another from `address` on, where there is room for them.
fn dense<'a>(address: usize, on_device: bool) -> [Dense<'a>; 2] {
    let mut next = address;
    PLANES.map(|(width, height)| {
        let address = next;
        next += width * height;
        // SAFETY: the tests use memory of that size, one at a time.
        unsafe { Dense::new(address as *mut _, on_device, (width, height)) }
    })
}

/// A network's bytes for frame `k`: what the planes hold, without what lies between the rows.
fn planes_of(k: u64) -> Vec<u8> {
    let (info, frame) = (rig::info(STREAM), rig::frame(&rig::info(STREAM), k));
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&frame, &info).unwrap();
    let mut bytes = Vec::new();
    for (plane, (width, height)) in PLANES.into_iter().enumerate() {
        let pitch = frame.plane_stride()[plane] as usize;
        let data = frame.plane_data(plane as u32).unwrap();
        for row in data.chunks(pitch).take(height) {
            bytes.extend_from_slice(&row[..width]);
        }
    }
    bytes
}

/// Pools of GStreamer's CUDA memory in the primary context and in another.
fn pools(driver: &Driver) -> [gst::BufferPool; 2] {
    let caps = on_device(&rig::caps(STREAM));
    [None, Some(driver.foreign_context(0))].map(|context| {
        let mut rig = rig::Rig::with_model(rig::blending_model());
        if let Some(context) = context {
            rig.element.set_context(&context);
        }
        rig.harness.set_src_caps(caps.clone());
        offered_pool(&rig.element, &caps)
    })
}

#[test]
fn a_frame_of_any_context_comes_to_the_host_without_its_pitch() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let info = rig::info(STREAM);
    let copier = Copier::new(0).unwrap();
    for (k, pool) in (0..).zip(pools(&driver)) {
        let buffer = upload(&pool, &rig::frame(&info, k), &info);
        let mut bytes = vec![0; planes_of(k).len()];
        let planes = dense(bytes.as_mut_ptr() as usize, false);
        copier.fetch(&buffer, &info, &planes).unwrap();
        assert!(bytes == planes_of(k), "context {k}");
    }
}

#[test]
fn a_frame_goes_through_the_device_s_memory_without_the_host() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let info = rig::info(STREAM);
    let copier = Copier::new(0).unwrap();
    let pools = pools(&driver);
    let (size, planes) = (planes_of(0).len(), |address| dense(address, true));
    let address = driver.allocate(0, size);
    for from in &pools {
        for to in &pools {
            let source = upload(from, &rig::frame(&info, 7), &info);
            // what the host wrote is brought to the device by whoever maps it there first
            copier.fetch(&source, &info, &planes(address)).unwrap();
            let before = driver.counts();
            let mut target = to.acquire_buffer(None).unwrap();
            copier.fetch(&source, &info, &planes(address)).unwrap();
            let target_ref = target.get_mut().unwrap();
            copier.store(&planes(address), target_ref, &info).unwrap();
            let after = driver.counts();
            assert_eq!(after.within - before.within, 4, "two planes there and back");
            assert_eq!(
                (after.uploads, after.downloads),
                (before.uploads, before.downloads)
            );
            assert!(download(&target, &info) == download(&source, &info));
        }
    }
}

#[test]
fn what_is_no_cuda_memory_or_too_narrow_is_refused() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let info = rig::info(STREAM);
    let copier = Copier::new(0).unwrap();
    let mut bytes = vec![0_u8; 1024 * 1024];
    let planes = dense(bytes.as_mut_ptr() as usize, false);
    let refusal =
        |buffer: &gst::Buffer, planes: &[Dense]| copier.fetch(buffer, &info, planes).unwrap_err();
    let host = rig::frame(&info, 0);
    assert!(refusal(&host, &planes).contains("said to be in CUDA's memory"));
    let [pool, _] = pools(&driver);
    let buffer = upload(&pool, &host, &info);
    assert!(refusal(&buffer, &planes[..1]).contains("1 planes for a frame of 2"));
    for (size, reason) in [
        ((513, 52), "rows of 512 bytes, and 513 are needed"),
        ((70, 53), "52 rows, and 53 are needed"),
    ] {
        // SAFETY: there is more room than that.
        let large = unsafe { Dense::new(bytes.as_mut_ptr().cast(), false, size) };
        let [_, chroma] = dense(bytes.as_mut_ptr() as usize, false);
        let refused = refusal(&buffer, &[large, chroma]);
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let reason = Copier::new(9).unwrap_err();
    assert!(reason.contains("cuDevicePrimaryCtxRetain"), "{reason}");
}
