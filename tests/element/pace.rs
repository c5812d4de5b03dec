//! Where a clock sets the pace, and how late it lets frames be.

use gst::prelude::*;
use test_support::rig::*;

const TEXT: &str = "GRAY8 16x16 25/1";

/// Takes frames until that of this time. Whoever waits for the clock is let go, if its time has passed:
/// this clock does so only when it is told to.
fn pull_until(rig: &mut Rig, clock: &gst_check::TestClock, ms: u64) {
    let time = gst::ClockTime::from_mseconds(ms);
    loop {
        match rig.harness.try_pull() {
            // so that the push is over before the clock goes on
            Some(buffer) if buffer.pts() >= Some(time) => return rig.settle(),
            Some(_) => {}
            None => {
                let _let_go = clock.process_next_clock_id();
                std::thread::yield_now();
            }
        }
    }
}

/// Frames that come ten seconds after their time, with this behind the element, which is not live.
fn late_frames_before(way: &str, frames: u64) -> Rig {
    let mut rig = Rig::before(way);
    let clock = rig.use_test_clock();
    rig.harness.set_src_caps(caps(TEXT));
    for k in 0..frames {
        clock.set_time(gst::ClockTime::from_mseconds(10_000 + 40 * k));
        rig.push(&info(TEXT), k);
        pull_until(&mut rig, &clock, 40 * k);
    }
    rig.settle();
    assert_eq!(rig.stat("originals"), frames);
    rig
}

#[test]
fn what_waits_for_the_clock_without_a_word_sets_the_pace() {
    for way in [
        "identity sync=true",
        "queue ! clocksync",
        "( queue ! identity sync=true )",
    ] {
        let rig = late_frames_before(way, 10);
        assert_eq!((rig.stat("synthesised"), rig.stat("late")), (0, 9), "{way}");
    }
}

#[test]
fn what_does_not_wait_leaves_all_the_time_there_is() {
    for way in [
        "identity",
        "queue ! identity sync=false",
        "( queue ! clocksync sync=false )",
    ] {
        let rig = late_frames_before(way, 10);
        assert_eq!((rig.stat("synthesised"), rig.stat("late")), (9, 0), "{way}");
    }
}

#[test]
fn another_way_behind_the_element_is_looked_at() {
    let mut rig = Rig::before("identity name=sync sync=false");
    let clock = rig.use_test_clock();
    rig.harness.set_src_caps(caps(TEXT));
    let source = rig.element.static_pad("src").unwrap();
    let identity = source.peer().unwrap().iterate_internal_links();
    let identity = identity
        .into_iter()
        .next()
        .unwrap()
        .unwrap()
        .peer()
        .unwrap();
    let identity = identity.parent_element().unwrap();
    for k in 0..10 {
        if k == 5 {
            identity.set_property("sync", true);
            // as linking something else does
            source.send_event(gst::event::Reconfigure::new());
        }
        clock.set_time(gst::ClockTime::from_mseconds(10_000 + 40 * k));
        rig.push(&info(TEXT), k);
        pull_until(&mut rig, &clock, 40 * k);
    }
    rig.settle();
    assert_eq!((rig.stat("synthesised"), rig.stat("late")), (4, 5));
}

#[test]
fn after_a_flush_nothing_is_late_until_the_running_time_has_begun_anew() {
    let mut rig = late_frames_before("identity sync=true", 5);
    let clock = rig.harness.testclock().unwrap();
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    for k in 0..5 {
        rig.push(&info(TEXT), k);
        pull_until(&mut rig, &clock, 40 * k);
    }
    rig.settle();
    assert_eq!((rig.stat("synthesised"), rig.stat("late")), (4, 4));
    let time = clock.time();
    let bin = rig
        .element
        .parent()
        .unwrap()
        .downcast::<gst::Element>()
        .unwrap();
    for element in [&rig.element, &bin] {
        element.set_base_time(time - gst::ClockTime::from_seconds(10));
    }
    for k in 5..10 {
        rig.push(&info(TEXT), k);
        pull_until(&mut rig, &clock, 40 * k);
    }
    rig.settle();
    assert_eq!((rig.stat("synthesised"), rig.stat("late")), (4, 9));
}

/// A live source whose frames are shown `later` milliseconds after their time, and come in when the
/// one before has been shown.
fn shown_later(later: u64, frames: u64) -> Rig {
    let mut rig = Rig::bare(None);
    rig.make_live(5);
    let clock = rig.use_test_clock();
    let pad = rig.element.static_pad("src").unwrap();
    let shows = clock.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let pts = probe.buffer().and_then(|buffer| buffer.pts()).unwrap();
        let time = pts + gst::ClockTime::from_mseconds(later);
        shows.set_time(time.max(shows.time()));
        gst::PadProbeReturn::Ok
    });
    rig.harness.set_src_caps(caps(TEXT));
    for k in 0..frames {
        let due = gst::ClockTime::from_mseconds(40 * k + 5);
        clock.set_time(due.max(clock.time()));
        rig.push(&info(TEXT), k);
        rig.pull_until_ms(40 * k);
        rig.settle();
    }
    assert_eq!(rig.stat("originals"), frames);
    rig
}

#[test]
fn how_late_frames_may_be_is_learnt_from_how_long_they_are_held() {
    let rig = shown_later(1000, 16);
    // some pushes have to be seen first
    let made = rig.stat("synthesised");
    assert!(made >= 10, "{made} made, {} late", rig.stat("late"));
}

#[test]
fn a_delay_that_qos_events_always_tell_of_is_no_lateness() {
    let mut rig = Rig::new(TEXT, None);
    for k in 0..20 {
        rig.push(&info(TEXT), k);
        rig.pull_until_ms(40 * k);
        rig.settle();
        let time = gst::ClockTime::from_mseconds(40 * k);
        let late = gst::event::Qos::new(gst::QOSType::Underflow, 1.0, SECOND as i64, time);
        assert!(rig.harness.push_upstream_event(late));
    }
    let made = rig.stat("synthesised");
    assert!(made >= 12, "{made} made, {} late", rig.stat("late"));
}
