//! The time for which no frame comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use gst::prelude::*;
use test_support::rig::*;

const TEXT: &str = "GRAY8 16x16 30/1";

fn disconts(out: &[gst::Buffer]) -> Vec<usize> {
    let marked = |n: &usize| out[*n].flags().contains(gst::BufferFlags::DISCONT);
    (0..out.len()).filter(marked).collect()
}

#[track_caller]
fn assert_whole(out: &[gst::Buffer], frames: u64) {
    let expected: Vec<_> = (0..frames).map(|n| n * SECOND / 60).collect();
    assert_eq!(times(out), expected);
    assert_eq!(disconts(out), [0]);
}

/// Frames of 30 a second with these numbers, doubled.
fn double(
    frames: impl IntoIterator<Item = u64>,
    set: impl FnOnce(&Rig),
) -> (Vec<gst::Buffer>, Rig) {
    let mut rig = Rig::new(TEXT, None);
    set(&rig);
    for k in frames {
        rig.push(&info(TEXT), k);
    }
    (rig.finish(), rig)
}

#[test]
fn a_fixed_rate_is_kept_across_a_hole_by_repeats() {
    let short = gst::ClockTime::from_mseconds(100);
    let set = |rig: &Rig| rig.element.set_property("max-gap", short);
    let (out, rig) = double([0, 1, 20, 21], set);
    assert_whole(&out, 44);
    assert_eq!(rig.stat("synthesised"), 2, "none across the hole");
    assert_eq!(rig.stat("originals"), 4);
    assert_eq!(bytes(&out[39]), bytes(&frame(&info(TEXT), 1)));
}

#[test]
fn holes_are_filled_beside_duplicates_too() {
    let set = |rig: &Rig| rig.element.set_property("dedup", true);
    let (out, _) = double([0, 1, 2, 90, 91], set);
    assert_whole(&out, 184);
}

#[test]
fn a_screen_that_stands_still_is_whole_at_a_fixed_rate() {
    let text = "GRAY8 16x16 0/1";
    let mut rig = Rig::new(text, Some("video/x-raw,framerate=60/1"));
    for (k, ms) in [0, 100, 200, 3000, 3100].into_iter().enumerate() {
        rig.harness
            .push(frame_at(&info(text), k as u64, ms))
            .unwrap();
    }
    let out = rig.finish();
    assert_whole(&out, out.len() as u64);
    assert!(out.len() >= 187, "{}", out.len());
}

#[test]
fn a_varying_rate_keeps_its_holes() {
    let text = "GRAY8 16x16 0/1";
    let mut rig = Rig::new(text, None);
    let bus = rig.watch();
    for (k, ms) in [0, 40, 3000, 3040].into_iter().enumerate() {
        rig.harness
            .push(frame_at(&info(text), k as u64, ms))
            .unwrap();
    }
    let out = rig.finish();
    let ms: Vec<_> = times(&out).iter().map(|t| t / 1_000_000).collect();
    assert_eq!(ms, [0, 20, 40, 60, 3000, 3020, 3040, 3060]);
    assert_eq!(disconts(&out), [0, 4]);
    assert_eq!(pop_warnings(&bus), [""; 0]);
}

#[test]
fn a_live_source_keeps_its_holes() {
    let mut rig = Rig::bare(None);
    rig.make_live(5);
    rig.harness.set_src_caps(caps(TEXT));
    for k in [0, 1, 90, 91] {
        rig.push(&info(TEXT), k);
    }
    let out = rig.finish();
    let original = times(&out)
        .iter()
        .position(|pts| *pts == 3 * SECOND)
        .unwrap();
    assert_eq!(disconts(&out), [0, original]);
    assert!(out.len() <= 8, "{:?}", times(&out));
}

#[test]
fn a_hole_of_an_hour_is_told_once() {
    let mut rig = Rig::new(TEXT, None);
    let bus = rig.watch();
    for hours in 0..3 {
        rig.push(&info(TEXT), 30 * 3600 * hours);
    }
    let out = rig.finish();
    assert_eq!(disconts(&out), [0, 2, 4]);
    let warnings = pop_warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("1:00:00.000000000") && warnings[0].contains("0:10:00"),
        "{warnings:?}"
    );
}

#[test]
fn gap_events_at_a_fixed_rate_are_filled_at_once() {
    let mut rig = Rig::new(TEXT, None);
    let info = info(TEXT);
    rig.push(&info, 0);
    let ms = gst::ClockTime::from_mseconds;
    for at in [0, 1000, 2000] {
        let gap = gst::event::Gap::builder(ms(at)).duration(ms(1000));
        assert!(rig.harness.push_event(gap.build()));
    }
    rig.settle();
    let before_the_next = rig.stat("repeated");
    rig.push(&info, 90);
    let out = rig.finish();
    assert_whole(&out, 182);
    assert_eq!(before_the_next, 179);
    let events = std::iter::from_fn(|| rig.harness.try_pull_event());
    let gaps = events.filter(|event| event.type_() == gst::EventType::Gap);
    assert_eq!(gaps.count(), 0, "it is no gap any more");
}

#[test]
fn slow_sources_are_interpolated_at_their_declared_rate() {
    let text = "GRAY8 16x16 1/2";
    let mut rig = Rig::new(text, Some("video/x-raw,framerate=2/1"));
    for k in 0..3 {
        rig.push(&info(text), k);
    }
    assert_eq!(rig.finish().len(), 12);
    assert_eq!(rig.stat("synthesised"), 6);
}

/// Fills a hole of nine minutes and calls `act` in the middle of it; returns how many frames left.
fn interrupt(act: impl FnOnce(&mut Rig)) -> u64 {
    let mut rig = Rig::new(TEXT, None);
    let pad = rig.element.static_pad("src").unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let (in_the_middle, reached) = channel();
    let shared = Arc::clone(&count);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        if shared.fetch_add(1, Ordering::SeqCst) == 100 {
            in_the_middle.send(()).unwrap();
            while !pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                std::thread::yield_now();
            }
        }
        gst::PadProbeReturn::Ok
    });
    for k in [0, 9 * 60 * 30] {
        rig.push(&info(TEXT), k);
    }
    reached.recv().unwrap();
    act(&mut rig);
    count.load(Ordering::SeqCst)
}

#[test]
fn a_flush_ends_the_filling_of_a_hole() {
    let left = interrupt(|rig| {
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    });
    assert_eq!(left, 101);
}

#[test]
fn a_stop_ends_the_filling_of_a_hole() {
    let left = interrupt(|rig| {
        rig.element.set_state(gst::State::Null).unwrap();
    });
    assert_eq!(left, 101);
}
