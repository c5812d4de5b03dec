//! The element where the system gives no more memory: under a limited address space, as `ulimit -v`
//! sets it, in processes of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::process::Command;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use test_support::rig::*;

/// Tells a child how many MiB it may have beyond what it has when it is at work.
const MARGIN: &str = "VFIINTERP_TEST_MARGIN";

/// The address space of this process, in bytes.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').next().unwrap().parse::<u64>().unwrap()
}

fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the limit is there to be read.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(result, 0);
}

/// Counts of what came out.
struct Made {
    frames: u64,
    warnings: u32,
}

/// Takes all memory that the C library gives to this thread, but for some MiB.
fn take_all_but(margin: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::with_capacity(1 << 16);
    for size in [1 << 20, 1 << 16] {
        loop {
            let mut block = Vec::new();
            if block.try_reserve_exact(size).is_err() || taken.len() == taken.capacity() {
                break;
            }
            taken.push(block);
        }
    }
    taken.drain(..margin);
    taken
}

/// Plays small frames, and after that, with `margin` MiB more than it has then, larger ones, which
/// the network is to see at full size.
///
/// None of the originals may be lost, and no error posted.
fn play_within(margin: u64) -> Made {
    const SMALL: &str = "NV12 128x96 30/1";
    const LARGE: &str = "NV12 1920x1080 30/1";
    let (mut rig, bus) = Rig::at_full_size(blending_model(), SMALL, |element| {
        element.set_property("model", "vfi-lite");
    });
    let (small, large) = (info(SMALL), info(LARGE));
    (0..3).for_each(|k| drop(rig.push(&small, k)));
    rig.settle();
    let sent: Vec<_> = (3..7).map(|k| frame(&large, k)).collect();
    limit_address_space(address_space() + (margin << 20));
    let taken = take_all_but(0);
    // the task's thread has a heap of its own
    let taken_there = Arc::new(Mutex::new(None));
    let place = Arc::clone(&taken_there);
    let pad = rig.element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, _| {
        place
            .lock()
            .unwrap()
            .get_or_insert_with(|| take_all_but(margin as usize));
        gst::PadProbeReturn::Ok
    });
    rig.harness.set_src_caps(caps(LARGE));
    for buffer in &sent {
        rig.harness.push(buffer.copy()).unwrap();
    }
    let out = rig.finish();
    drop(taken);
    drop(taken_there.lock().unwrap().take());
    for original in &sent {
        let same = |buffer: &&gst::Buffer| buffer.pts() == original.pts();
        assert_eq!(bytes(out.iter().find(same).unwrap()), bytes(original));
    }
    let types = [gst::MessageType::Warning, gst::MessageType::Error];
    let mut warnings = 0;
    while let Some(message) = bus.pop_filtered(&types) {
        assert_eq!(message.type_(), gst::MessageType::Warning, "{message:?}");
        warnings += 1;
    }
    let stats = rig.element.property::<gst::Structure>("stats");
    assert!(stats.get::<f64>("downscale").unwrap() > 1.0);
    assert!(rig.stat("shortages") > 0);
    Made {
        frames: rig.stat("synthesised"),
        warnings,
    }
}

/// Runs the test of this name in a process of its own, that plays within each of the margins.
#[track_caller]
fn in_children(test: &str, margins: &[u64], child: impl Fn(u64)) {
    if let Ok(margin) = std::env::var(MARGIN) {
        return child(margin.parse().unwrap());
    }
    for margin in margins {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(MARGIN, margin.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{margin} MiB: {}\n{said}{why}",
            output.status
        );
    }
}

#[test]
fn with_less_room_than_wanted_all_is_made_at_a_smaller_size() {
    // the network's two pictures alone, without what it makes of them; no more than the C library reserves for a
    // thread, 64 MiB, can be taken from it
    let pictures: u64 = 2 * 3 * 4 * 1920 * 1080;
    in_children(
        "with_less_room_than_wanted_all_is_made_at_a_smaller_size",
        &[pictures >> 20],
        |margin| {
            let made = play_within(margin);
            assert_eq!((made.frames, made.warnings), (5, 0));
        },
    );
}

#[test]
fn with_hardly_any_room_the_originals_go_on() {
    in_children(
        "with_hardly_any_room_the_originals_go_on",
        &[1, 4],
        |margin| {
            let made = play_within(margin);
            // those before there was a want
            assert_eq!((made.frames, made.warnings), (2, 1));
        },
    );
}

#[test]
fn a_file_that_does_not_fit_is_one_error() {
    in_children("a_file_that_does_not_fit_is_one_error", &[8], |margin| {
        let file = TemporaryFile::new("large.onnx", b"");
        let large = std::fs::OpenOptions::new().write(true).open(file.path());
        large.unwrap().set_len(500 << 20).unwrap();
        let (element, _model) = element();
        // all that is started once is there
        element.set_state(gst::State::Paused).unwrap();
        element.set_state(gst::State::Null).unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        element.set_property("model", file.path());
        limit_address_space(address_space() + (margin << 20));
        assert!(element.set_state(gst::State::Paused).is_err());
        element.set_state(gst::State::Null).unwrap();
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let text = error.error().to_string();
        assert!(
            text.contains("large.onnx") && text.contains("not enough memory"),
            "{text}"
        );
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    });
}

#[test]
fn a_network_that_is_loaded_within_a_limit_leaves_room_for_others() {
    const LARGE: &str = "NV12 1920x1080 30/1";
    const TEST: &str = "a_network_that_is_loaded_within_a_limit_leaves_room_for_others";
    // Which of them end in the middle of what depends on the processor.
    in_children(TEST, &[60, 120, 190, 200, 210], |margin| {
        // all that is started once is there
        let (element, _model) = element();
        element.set_state(gst::State::Paused).unwrap();
        element.set_state(gst::State::Null).unwrap();
        limit_address_space(address_space() + (margin << 20));
        let mut rig = Rig::with_model_and(blending_model(), |element| {
            element.set_property("model", "vfi-lite");
            element.set_property("scene-threshold", 0.0);
            element.set_property("downscale", 1.0);
        });
        rig.harness.set_src_caps(caps(LARGE));
        let large = info(LARGE);
        (0..3).for_each(|k| drop(rig.push(&large, k)));
        assert_eq!(rig.finish().len(), 6);
        assert!(rig.stat("shortages") > 0);
        assert!(rig.stat("memory-held") <= (margin << 20) / 4 * 3);
    });
}
