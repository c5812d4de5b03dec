//! Behaviour when there is no time for everything, and the reports about it.

use gst::prelude::*;
use test_support::rig::*;

const TEXT: &str = "GRAY8 64x64 30/1";

/// Reports that downstream shows a frame `late` nanoseconds after its time.
fn tell_late(rig: &mut Rig, running_time: u64, late: i64) {
    let time = gst::ClockTime::from_nseconds(running_time);
    let late = late.max(-(running_time as i64));
    let event = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, late, time);
    assert!(rig.harness.push_upstream_event(event));
}

/// Frames are late by a second; but that before every fourth is in time, so that this one is made.
fn mostly_late(k: u64) -> i64 {
    if k % 4 == 1 { -1000 } else { SECOND as i64 }
}

/// Pushes frame `k` and takes all that leaves up to it.
fn pass(rig: &mut Rig, k: u64) -> Vec<gst::Buffer> {
    let info = info(TEXT);
    rig.push(&info, k);
    let last = frame(&info, k).pts();
    let mut out = Vec::new();
    loop {
        let buffer = rig.harness.pull().unwrap();
        let ends = buffer.pts() >= last;
        out.push(buffer);
        if ends {
            return out;
        }
    }
}

fn rig(overload: &str) -> (Rig, gst::Bus) {
    let rig = Rig::new(TEXT, None);
    rig.element.set_property_from_str("overload", overload);
    let bus = rig.watch();
    (rig, bus)
}

/// Returns the element messages of this name.
fn messages(bus: &gst::Bus, name: &str) -> Vec<gst::Structure> {
    std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element]))
        .filter_map(|message| message.structure().map(|s| s.to_owned()))
        .filter(|structure| structure.name() == name)
        .collect()
}

#[test]
fn a_repeat_sends_the_nearest_original_instead() {
    let (mut rig, _bus) = rig("repeat");
    rig.element.set_property("multiplier", 4u32);
    pass(&mut rig, 0);
    tell_late(&mut rig, 0, SECOND as i64);
    let out = pass(&mut rig, 1);
    let info = info(TEXT);
    let [first, second] = [0, 1].map(|k| bytes(&frame(&info, k)));
    rig.settle();
    assert_eq!(out.len(), 4);
    for (buffer, expected) in out.iter().zip([&first, &second, &second, &second]) {
        assert_eq!(&bytes(buffer), expected);
    }
    assert_eq!(rig.stat("repeated"), 3);
    assert_eq!(rig.stat("late"), 3);
}

#[test]
fn none_makes_what_is_late() {
    let (mut rig, _bus) = rig("none");
    pass(&mut rig, 0);
    for k in 1..40 {
        tell_late(&mut rig, (k - 1) * SECOND / 30, SECOND as i64);
        pass(&mut rig, k);
    }
    rig.settle();
    assert_eq!(rig.stat("synthesised"), 39);
    assert_eq!(rig.stat("late"), 0);
}

#[test]
fn lasting_lateness_leads_to_originals_only_and_each_step_is_told() {
    let (mut rig, bus) = rig("degrade");
    pass(&mut rig, 0);
    for k in 1..110 {
        tell_late(&mut rig, (k - 1) * SECOND / 30, mostly_late(k));
        pass(&mut rig, k);
    }
    rig.settle();
    assert_eq!(rig.stat("originals"), 110);
    let steps = messages(&bus, "vfiinterp-overload");
    let names: Vec<_> = steps
        .iter()
        .map(|s| s.get::<&str>("name").unwrap())
        .collect();
    assert_eq!(names, ["fewer", "originals"], "64x64 has no smaller size");
    assert_eq!(steps[0].get("step"), Ok(1u64));
    assert_eq!(steps[0].get("share"), Ok(0.5));
    assert_eq!(rig.stat("steps"), 2);
    assert_eq!(rig.stat("step"), 2);
    assert!(rig.stat("left-out") > 0);
}

#[test]
fn effort_comes_back_once_downstream_is_in_time() {
    let (mut rig, bus) = rig("degrade");
    pass(&mut rig, 0);
    for k in 1..500 {
        let late = if k < 100 { mostly_late(k) } else { -1000 };
        tell_late(&mut rig, (k - 1) * SECOND / 30, late);
        pass(&mut rig, k);
    }
    rig.settle();
    assert_eq!(rig.stat("step"), 0);
    let last = messages(&bus, "vfiinterp-overload").pop().unwrap();
    assert_eq!(last.get("name"), Ok("full"));
}

#[test]
fn a_file_written_to_a_file_is_never_degraded() {
    let (mut rig, bus) = rig("degrade");
    rig.element.set_property("multiplier", 4u32);
    for k in 0..60 {
        pass(&mut rig, k);
    }
    rig.settle();
    assert_eq!(rig.stat("synthesised"), 59 * 3);
    assert!(messages(&bus, "vfiinterp-overload").is_empty());
}

#[test]
fn the_divisor_can_be_read() {
    let mut rig = Rig::new("GRAY8 1280x64 30/1", None);
    rig.push(&info("GRAY8 1280x64 30/1"), 0);
    rig.finish();
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get("downscale"), Ok(2.0));
}

#[test]
fn figures_are_posted_at_their_interval() {
    let (mut rig, bus) = rig("degrade");
    let clock = rig.use_test_clock();
    rig.element.set_property("stats-interval", SECOND);
    for k in 0..91 {
        clock.set_time(gst::ClockTime::from_nseconds(10 * SECOND + k * SECOND / 30));
        pass(&mut rig, k);
        rig.settle();
    }
    let reports = messages(&bus, "vfiinterp-stats");
    assert_eq!(reports.len(), 3);
    for report in reports {
        assert_eq!(report.get("interval"), Ok(SECOND));
        assert_eq!(report.get("rate-in"), Ok(30.0));
        assert_eq!(report.get("rate-out"), Ok(60.0));
        assert_eq!(report.get("rate-synthesised"), Ok(30.0));
        assert_eq!(report.get("late"), Ok(0u64));
        assert_eq!(report.get("step"), Ok(0u64));
    }
}

#[test]
fn nothing_is_posted_by_default() {
    let (mut rig, bus) = rig("degrade");
    let clock = rig.use_test_clock();
    for k in 0..5 {
        clock.set_time(gst::ClockTime::from_seconds(100 * k));
        pass(&mut rig, k);
    }
    rig.finish();
    assert!(messages(&bus, "vfiinterp-stats").is_empty());
}
