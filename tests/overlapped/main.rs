//! Frames that are finished and sent while the next pair is at the network, as where that runs on a
//! device: what comes out is the same, and in the same order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod ahead;

use std::sync::{Arc, Mutex, MutexGuard};

use gst::prelude::*;
use gstvfiinterp::faults;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "NV12 320x240 30/1";
const FRAMES: u64 = 30;

/// Faults hold for the process: one test at a time.
fn reserve() -> MutexGuard<'static, ()> {
    let guard = faults::reserve();
    faults::set_apart(true);
    guard
}

fn moving() -> TemporaryFile {
    TemporaryFile::new("moving.onnx", &fixtures::constant_motion([3.0, -1.5], 2, 8))
}

fn rig(set: impl FnOnce(&gst::Element)) -> Rig {
    let mut rig = Rig::with_model_and(moving(), |element| {
        element.set_property("scene-threshold", 0.0);
        element.set_property("downscale", 1.0);
        set(element);
    });
    rig.harness.set_src_caps(caps(TEXT));
    rig
}

/// Returns times, places and content of all that comes of a stream with this set.
fn play(set: impl Fn(&gst::Element)) -> Vec<(Option<gst::ClockTime>, u64, Vec<u8>)> {
    let mut rig = rig(set);
    let info = info(TEXT);
    let frames = (0..FRAMES).map(|k| {
        // every fourth shows what the one before does
        let content = bytes(&frame(&info, k - u64::from(k % 4 == 3)));
        let mut buffer = frame(&info, k);
        let target = buffer.make_mut();
        target.map_writable().unwrap().copy_from_slice(&content);
        buffer
    });
    // made before, so that they come faster than they are dealt with
    let frames: Vec<_> = frames.collect();
    for buffer in frames {
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    assert_eq!(rig.stat("originals"), FRAMES);
    let told = |b: &gst::Buffer| (b.pts(), b.offset(), bytes(b));
    out.iter().map(told).collect()
}

#[test]
fn what_comes_out_is_the_same() {
    let _alone = reserve();
    let kinds: [&dyn Fn(&gst::Element); 4] = [
        &|_| {},
        &|element| element.set_property("multiplier", 5_u32),
        &|element| element.set_property_from_str("upscale", "image"),
        &|element| element.set_property("scene-threshold", 0.3),
    ];
    for on_device in [false, true] {
        faults::force_device(on_device);
        for kind in kinds {
            faults::set_apart(false);
            let expected = play(kind);
            assert_eq!(faults::sent_apart(), 0);
            faults::set_apart(true);
            let found = play(kind);
            assert!(faults::sent_apart() > 0);
            assert_eq!(faults::fetched() > 0, on_device);
            assert_eq!(found.len(), expected.len());
            assert!(found == expected);
        }
    }
}

#[test]
fn events_keep_their_places() {
    let _alone = reserve();
    let mut rig = rig(|_| {});
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    let source = rig.element.static_pad("src").unwrap();
    source.add_probe(kinds, move |_, probe| {
        let told = match &probe.data {
            Some(gst::PadProbeData::Buffer(buffer)) => buffer.pts().map(|pts| pts.mseconds()),
            Some(gst::PadProbeData::Event(event)) => {
                let mark = event.structure().filter(|s| s.name() == "mark");
                mark.and_then(|mark| mark.get("after").ok())
            }
            _ => None,
        };
        seen.lock().unwrap().extend(told);
        gst::PadProbeReturn::Ok
    });
    let info = info(TEXT);
    let frames: Vec<_> = (0..FRAMES).map(|k| frame(&info, k)).collect();
    let mut expected = Vec::new();
    for (k, buffer) in frames.into_iter().enumerate() {
        let ms = buffer.pts().unwrap().mseconds();
        rig.harness.push(buffer).unwrap();
        if k > 0 {
            expected.push(ms - 17);
        }
        expected.push(ms);
        if k % 5 == 4 {
            let number = 100_000 + k as u64;
            let mark = gst::Structure::builder("mark").field("after", number);
            let event = gst::event::CustomDownstream::new(mark.build());
            assert!(rig.harness.push_event(event));
            expected.push(number);
        }
    }
    rig.settle();
    let found = order.lock().unwrap().clone();
    assert!(faults::sent_apart() > 0);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.abs_diff(*expected) <= 1, "{found} for {expected}");
    }
}

/// Blocks what leaves; the number of buffers that have come to it.
fn block(rig: &Rig) -> (gst::PadProbeId, Arc<Mutex<u64>>) {
    let source = rig.element.static_pad("src").unwrap();
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    let kind = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
    let id = source.add_probe(kind, move |_, _| {
        *counter.lock().unwrap() += 1;
        gst::PadProbeReturn::Ok
    });
    (id.unwrap(), count)
}

/// Pushes on a thread of its own, until told to stop, while the element stands still in the middle.
fn push_until_stopped(
    rig: &mut Rig,
) -> std::thread::JoinHandle<Result<gst::FlowSuccess, gst::FlowError>> {
    let info = info(TEXT);
    // what goes through first shows that all is at work
    let frames: Vec<_> = (0..FRAMES).map(|k| frame(&info, k)).collect();
    for buffer in frames {
        rig.harness.push(buffer).unwrap();
    }
    rig.settle();
    assert!(faults::sent_apart() > 0);
    let (_, blocked) = block(rig);
    let sink = rig.element.static_pad("sink").unwrap();
    let upstream = std::thread::spawn(move || {
        let mut frames = FRAMES..;
        loop {
            let buffer = frame(&info, frames.next().unwrap());
            sink.chain(buffer)?;
        }
    });
    while *blocked.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    upstream
}

#[test]
fn a_flush_lets_nothing_old_through_on_a_device() {
    let _alone = reserve();
    faults::force_device(true);
    flush_lets_nothing_old_through();
}

#[test]
fn a_flush_lets_nothing_old_through() {
    let _alone = reserve();
    flush_lets_nothing_old_through();
}

fn flush_lets_nothing_old_through() {
    let mut rig = rig(|_| {});
    let upstream = push_until_stopped(&mut rig);
    while rig.harness.try_pull().is_some() {}
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    let stopped = upstream.join().unwrap();
    assert_eq!(stopped, Err(gst::FlowError::Flushing));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert!(rig.harness.try_pull().is_none());
}

#[test]
fn a_stop_waits_for_nobody_on_a_device() {
    let _alone = reserve();
    faults::force_device(true);
    stop_waits_for_nobody();
}

#[test]
fn a_stop_waits_for_nobody() {
    let _alone = reserve();
    stop_waits_for_nobody();
}

fn stop_waits_for_nobody() {
    let mut rig = rig(|_| {});
    let upstream = push_until_stopped(&mut rig);
    rig.element.set_state(gst::State::Null).unwrap();
    assert_eq!(upstream.join().unwrap(), Err(gst::FlowError::Flushing));
    let element = rig.element.downgrade();
    drop(rig);
    assert!(element.upgrade().is_none());
}

#[test]
fn upstream_learns_that_downstream_has_ended() {
    let _alone = reserve();
    let rig = rig(|_| {});
    let source = rig.element.static_pad("src").unwrap();
    let sink = source.peer().unwrap();
    source.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let late = probe.buffer().and_then(|buffer| buffer.pts());
        if late > Some(gst::ClockTime::from_mseconds(500)) {
            probe.flow_res = Err(gst::FlowError::Eos);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
    drop(sink);
    let info = info(TEXT);
    let pad = rig.element.static_pad("sink").unwrap();
    let end = (0..1000).find_map(|k| pad.chain(frame(&info, k)).err());
    assert_eq!(end, Some(gst::FlowError::Eos));
    assert!(faults::sent_apart() > 0);
}

#[test]
fn where_a_clock_sets_the_pace_all_is_sent_by_the_task() {
    let _alone = reserve();
    let mut rig = rig(|element| element.set_property_from_str("overload", "none"));
    rig.make_live(10);
    // the latency is asked for when a pipeline is put together
    let source = rig.element.static_pad("src").unwrap();
    source.query(&mut gst::query::Latency::new());
    let info = info(TEXT);
    (0..FRAMES).for_each(|k| drop(rig.push(&info, k)));
    rig.settle();
    assert_eq!(rig.stat("synthesised"), FRAMES - 1);
    assert_eq!(faults::sent_apart(), 0);
}
