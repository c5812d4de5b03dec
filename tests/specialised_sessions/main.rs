//! Sessions for one size, made beside the stream: the CPU plays a TensorRT that takes as long as the
//! test wants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::sync::MutexGuard;
use std::sync::mpsc::Sender;

use gst::prelude::*;
use gstvfiinterp::faults;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "GRAY8 320x240 30/1";
const SMALLER: &str = "GRAY8 160x128 30/1";
/// More pairs than it takes until one is made.
const SETTLED: u64 = 40;

/// Faults hold for the process: one test at a time. Sessions are made as the sender says.
fn reserve() -> (MutexGuard<'static, ()>, Sender<Result<(), String>>) {
    (faults::reserve(), faults::fit())
}

/// The element at work, and its bus. A model of its own, so that tests share no session.
fn rig() -> (Rig, gst::Bus) {
    rig_with(|_| {})
}

/// The same with other properties.
fn rig_with(set: impl FnOnce(&gst::Element)) -> (Rig, gst::Bus) {
    Rig::at_full_size(blending_model(), TEXT, set)
}

/// Plays these frames and checks that one is made between any two: exactly the blend.
fn play(rig: &mut Rig, text: &str, frames: std::ops::Range<u64>) {
    let info = info(text);
    let before = rig.stat("synthesised");
    let count = frames.end - frames.start;
    frames.for_each(|k| drop(rig.push(&info, k)));
    rig.settle();
    let made = rig.stat("synthesised") - before;
    assert!(made >= count - 1, "{made} of {count}");
    let out: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull()).collect();
    for window in out.windows(3) {
        let [a, between, b] = window else {
            unreachable!()
        };
        // originals have the even slots
        if between.offset() % 2 == 1 && a.size() == b.size() {
            let (a, between, b) = (bytes(a), bytes(between), bytes(b));
            let blend = |(a, b): (&u8, &u8)| (u16::from(*a) + u16::from(*b)).div_ceil(2) as u8;
            let blends = a.iter().zip(&b).map(blend);
            let off = between
                .iter()
                .zip(blends)
                .filter(|(x, y)| x.abs_diff(*y) > 1);
            assert_eq!(off.count(), 0);
        }
    }
}

fn provider(rig: &Rig) -> String {
    rig.element
        .property::<gst::Structure>("stats")
        .get("provider")
        .unwrap()
}

/// Waits for the next message about a session.
fn progress(bus: &gst::Bus) -> (gst::ProgressType, String) {
    let timeout = gst::ClockTime::from_seconds(60);
    let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Progress]);
    let message = message.expect("it is told");
    let gst::MessageView::Progress(progress) = message.view() else {
        unreachable!()
    };
    let (kind, code, text) = progress.get();
    assert_eq!(code, "engine");
    (kind, text.into())
}

/// Plays until a session is made and three pairs further, and checks that it runs them.
fn play_until_it_takes_over(rig: &mut Rig, bus: &gst::Bus) {
    play(rig, TEXT, 0..SETTLED);
    assert_eq!(progress(bus).0, gst::ProgressType::Start);
    assert_eq!(progress(bus).0, gst::ProgressType::Complete);
    play(rig, TEXT, SETTLED..SETTLED + 3);
    assert_eq!(provider(rig), "tensorrt");
}

fn is_told_more(bus: &gst::Bus) -> bool {
    bus.pop_filtered(&[gst::MessageType::Progress]).is_some()
}

#[test]
fn the_stream_goes_on_while_one_is_made_and_with_it_afterwards() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    play(&mut rig, TEXT, 0..20);
    assert!(!is_told_more(&bus), "nothing is made for a few frames");
    play(&mut rig, TEXT, 20..SETTLED);
    let (kind, text) = progress(&bus);
    assert_eq!(kind, gst::ProgressType::Start);
    assert!(text.contains("tensorrt at 320x240"), "{text}");
    play(&mut rig, TEXT, SETTLED..SETTLED + 10);
    assert_eq!(provider(&rig), "cpu");
    maker.send(Ok(())).unwrap();
    assert_eq!(progress(&bus).0, gst::ProgressType::Complete);
    play(&mut rig, TEXT, SETTLED + 10..SETTLED + 20);
    assert_eq!(provider(&rig), "tensorrt");
    let frames = SETTLED + 20;
    assert_eq!(rig.frame_counts(), (frames, frames - 1));
    assert!(!is_told_more(&bus));
}

#[test]
fn on_the_device_it_takes_over_too() {
    let (_alone, maker) = reserve();
    faults::force_device(true);
    let (mut rig, bus) = rig();
    maker.send(Ok(())).unwrap();
    play(&mut rig, TEXT, 0..SETTLED);
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("frames-made-on"), Ok("device"));
    assert_eq!(progress(&bus).0, gst::ProgressType::Start);
    assert_eq!(progress(&bus).0, gst::ProgressType::Complete);
    play(&mut rig, TEXT, SETTLED..SETTLED + 5);
    assert_eq!(provider(&rig), "tensorrt");
    // the network's failure is the other one's turn here, too
    faults::fail_next_runs(1);
    play(&mut rig, TEXT, SETTLED + 5..SETTLED + 10);
    assert_eq!(provider(&rig), "cpu");
    assert_eq!(rig.stat("synthesised"), SETTLED + 9);
}

#[test]
fn both_fit_into_a_limit_with_what_makes_frames() {
    let (_alone, maker) = reserve();
    faults::force_device(true);
    // how much they hold depends on the processor
    let held_within = |limit: u64| {
        let (mut rig, bus) = rig_with(|element| element.set_property("memory-limit", limit));
        maker.send(Ok(())).unwrap();
        play_until_it_takes_over(&mut rig, &bus);
        let stats = rig.element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<&str>("frames-made-on"), Ok("device"));
        rig.stat("memory-held")
    };
    let limit = 2 * held_within(0);
    assert!(held_within(limit) <= limit);
}

#[test]
fn one_that_can_t_be_made_is_one_warning() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    maker.send(Err("no such luck".into())).unwrap();
    play(&mut rig, TEXT, 0..SETTLED);
    assert_eq!(progress(&bus).0, gst::ProgressType::Start);
    assert_eq!(progress(&bus).0, gst::ProgressType::Error);
    // posted after the progress message; the next pairs wait for nothing
    play(&mut rig, TEXT, SETTLED..SETTLED + 5);
    rig.harness.set_src_caps(caps(SMALLER));
    play(&mut rig, SMALLER, SETTLED + 5..3 * SETTLED);
    let warnings = pop_warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("no such luck") && warnings[0].contains("tensorrt"));
    assert_eq!(provider(&rig), "cpu");
    assert!(!is_told_more(&bus), "it is not tried again");
}

#[test]
fn another_size_is_served_at_once_and_gets_one_of_its_own() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    maker.send(Ok(())).unwrap();
    play_until_it_takes_over(&mut rig, &bus);
    rig.harness.set_src_caps(caps(SMALLER));
    play(&mut rig, SMALLER, SETTLED + 3..2 * SETTLED + 3);
    assert_eq!(provider(&rig), "cpu");
    let (kind, text) = progress(&bus);
    assert_eq!(kind, gst::ProgressType::Start);
    assert!(text.contains("160x128"), "{text}");
    maker.send(Ok(())).unwrap();
    assert_eq!(progress(&bus).0, gst::ProgressType::Complete);
    play(&mut rig, SMALLER, 2 * SETTLED + 3..2 * SETTLED + 6);
    assert_eq!(provider(&rig), "tensorrt");
}

#[test]
fn what_is_made_for_a_size_that_is_gone_is_called_off() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    play(&mut rig, TEXT, 0..SETTLED);
    assert_eq!(progress(&bus).0, gst::ProgressType::Start);
    rig.harness.set_src_caps(caps(SMALLER));
    play(&mut rig, SMALLER, SETTLED..2 * SETTLED);
    maker.send(Ok(())).unwrap();
    let (kind, text) = progress(&bus);
    assert_eq!(kind, gst::ProgressType::Canceled);
    assert!(text.contains("320x240"), "{text}");
    assert_eq!(progress(&bus).0, gst::ProgressType::Start);
    maker.send(Ok(())).unwrap();
    assert_eq!(progress(&bus).0, gst::ProgressType::Complete);
    play(&mut rig, SMALLER, 2 * SETTLED..2 * SETTLED + 3);
    assert_eq!(provider(&rig), "tensorrt");
}

#[test]
fn one_that_fails_later_is_given_up_and_no_frame_is_lost() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    maker.send(Ok(())).unwrap();
    play_until_it_takes_over(&mut rig, &bus);
    faults::fail_next_runs(1);
    play(&mut rig, TEXT, SETTLED + 3..SETTLED + 6);
    assert_eq!(provider(&rig), "cpu");
    assert_eq!(rig.stat("synthesised"), SETTLED + 5);
    assert_eq!(rig.stat("shortages"), 0);
}

#[test]
fn elements_that_want_the_same_have_it_made_once() {
    let (_alone, maker) = reserve();
    let (mut first, first_bus) = rig();
    let (mut second, second_bus) = rig();
    // a second one would wait for ever
    maker.send(Ok(())).unwrap();
    for (rig, bus) in [(&mut first, &first_bus), (&mut second, &second_bus)] {
        play_until_it_takes_over(rig, bus);
    }
}

#[test]
fn stopping_waits_for_nothing_that_is_made() {
    let (_alone, maker) = reserve();
    let (mut rig, bus) = rig();
    play(&mut rig, TEXT, 0..SETTLED);
    assert_eq!(progress(&bus).0, gst::ProgressType::Start);
    rig.element.set_state(gst::State::Null).unwrap();
    // messages hold it
    bus.set_flushing(true);
    let element = rig.element.downgrade();
    drop((rig, bus));
    assert!(element.upgrade().is_none());
    // a process that ends while the runtime is at work crashes, so it is not set to work any more
    maker.send(Err("too late".into())).unwrap();
}

#[test]
fn a_first_run_on_nothing_holds_up_no_stop() {
    let (_alone, _maker) = reserve();
    let model = TemporaryFile::new("slow.onnx", &fixtures::slow(400));
    let mut rig = Rig::with_model_and(model, |element| {
        element.set_property("downscale", 1.0);
    });
    let text = "GRAY8 1280x720 30/1";
    rig.harness.set_src_caps(caps(text));
    let info = info(text);
    // has the engine configured, for which a frame has to come
    rig.push(&info, 0);
    rig.settle();
    rig.element.set_state(gst::State::Null).unwrap();
    let element = rig.element.downgrade();
    drop(rig);
    assert!(element.upgrade().is_none());
}
