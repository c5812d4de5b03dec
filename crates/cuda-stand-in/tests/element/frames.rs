//! Frames in CUDA's memory on their way through the element.

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig::{Rig, blending_model, caps, frame, info};

/// The element with a pool of frames in CUDA's memory.
struct Device {
    rig: Rig,
    pool: gst::BufferPool,
    info: gst_video::VideoInfo,
}

impl Device {
    fn new(stream: &str) -> Self {
        let mut rig = Rig::with_model(blending_model());
        let caps = on_device(&caps(stream));
        rig.harness.set_src_caps(caps.clone());
        let pool = offered_pool(&rig.element, &caps);
        Self {
            rig,
            pool,
            info: info(stream),
        }
    }

    /// Pushes frame `k`.
    fn push(&mut self, k: u64) -> gst::Buffer {
        let buffer = upload(&self.pool, &frame(&self.info, k), &self.info);
        self.rig.harness.push(buffer.clone()).unwrap();
        buffer
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.pool.set_active(false).unwrap();
    }
}

#[test]
fn frames_are_those_that_come_out_on_the_host_in_every_format() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    for format in [
        "NV12",
        "I420",
        "YV12",
        "Y42B",
        "Y444",
        "RGB",
        "BGR",
        "RGBx",
        "BGRx",
        "RGBA",
        "BGRA",
        "ARGB",
        "ABGR",
        "P010_10LE",
        "I420_10LE",
    ] {
        // no width is a device's pitch, and odd sizes have chroma beyond the edge
        let stream = format!("{format} 70x51 30/1");
        let mut device = Device::new(&stream);
        let mut host = Rig::new(&stream, None);
        for k in 0..3 {
            device.push(k);
            host.push(&device.info, k);
        }
        let (device_frames, host_frames) = (device.rig.finish(), host.finish());
        assert_eq!(device_frames.len(), 6, "{format}");
        for (k, (on_device, on_host)) in device_frames.iter().zip(&host_frames).enumerate() {
            assert!(is_on_device(on_device), "{format}, frame {k}");
            assert_eq!(on_device.pts(), on_host.pts(), "{format}, frame {k}");
            assert!(
                download(on_device, &device.info) == download(on_host, &device.info),
                "{format}, frame {k} differs"
            );
        }
    }
}

#[test]
fn originals_leave_as_the_memory_they_came_in() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let mut device = Device::new("NV12 64x48 30/1");
    let memory = |buffer: &gst::Buffer| buffer.peek_memory(0).as_ptr();
    let pushed: Vec<_> = (0..3).map(|k| memory(&device.push(k))).collect();
    let out = device.rig.finish();
    let originals: Vec<_> = out.iter().step_by(2).map(memory).collect();
    assert_eq!(originals, pushed);
}

#[test]
fn caps_change_from_one_memory_to_the_other_and_back() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let stream = "NV12 64x48 30/1";
    let mut device = Device::new(stream);
    let info = device.info.clone();
    device.push(0);
    device.push(1);
    device.rig.harness.set_src_caps(caps(stream));
    for k in 2..4 {
        device.rig.push(&info, k);
    }
    device.rig.harness.set_src_caps(on_device(&caps(stream)));
    device.push(4);
    device.push(5);
    let kinds: Vec<_> = device
        .rig
        .finish()
        .iter()
        .map(|b| is_on_device(b))
        .collect();
    let expected = [vec![true; 4], vec![false; 4], vec![true; 4]].concat();
    assert_eq!(kinds, expected);
}

#[test]
fn a_size_change_brings_memory_of_the_new_size() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let mut device = Device::new("NV12 64x48 30/1");
    device.push(0);
    device.push(1);
    let larger = "NV12 130x98 30/1";
    let caps = on_device(&caps(larger));
    device.rig.harness.set_src_caps(caps.clone());
    device.pool.set_active(false).unwrap();
    (device.pool, device.info) = (offered_pool(&device.rig.element, &caps), info(larger));
    device.push(2);
    device.push(3);
    let widths: Vec<_> = device
        .rig
        .finish()
        .iter()
        .map(|buffer| buffer.meta::<gst_video::VideoMeta>().unwrap().width())
        .collect();
    assert_eq!(widths, [64, 64, 64, 64, 130, 130, 130, 130]);
}

#[test]
fn a_flush_in_between_leaves_frames_on_the_device() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let mut device = Device::new("NV12 64x48 30/1");
    device.push(0);
    device.push(1);
    let harness = &mut device.rig.harness;
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    while harness.try_pull().is_some() {}
    device.push(2);
    device.push(3);
    let out = device.rig.finish();
    assert_eq!(out.len(), 4);
    assert!(out.iter().all(|buffer| is_on_device(buffer)));
}

#[test]
fn downstream_s_own_pool_is_used_if_it_is_one_of_cuda_s() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let stream = "NV12 64x48 30/1";
    let caps = on_device(&caps(stream));
    for cuda in [true, false] {
        let mut rig = Rig::with_model(blending_model());
        // any other element will do to make one
        let other = Device::new(stream);
        let theirs = match cuda {
            true => other.pool.clone(),
            false => gst_video::VideoBufferPool::new().upcast(),
        };
        other.pool.set_active(false).unwrap();
        let offered = theirs.clone();
        rig.answer_allocation(move |query| {
            query.add_allocation_pool(Some(&offered), 64 * 48 * 3 / 2, 0, 0);
        });
        rig.harness.set_src_caps(caps.clone());
        let mut query = gst::query::Allocation::new(Some(&caps), false);
        rig.element.static_pad("sink").unwrap().query(&mut query);
        assert_eq!(theirs.is_active(), cuda);
    }
}

#[test]
fn upstream_s_pool_holds_what_the_element_keeps() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let rig = Rig::with_model(blending_model());
    let caps = on_device(&caps("NV12 64x48 30/1"));
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(rig.element.static_pad("sink").unwrap().query(&mut query));
    let (_, size, min, _) = query.allocation_pools().next().unwrap();
    assert_eq!(size, 512 * 48 * 2, "lines lie 512 bytes apart on a device");
    assert!(min >= 2, "{min}");
    assert!(
        query
            .find_allocation_meta::<gst_video::VideoMeta>()
            .is_some()
    );
}
