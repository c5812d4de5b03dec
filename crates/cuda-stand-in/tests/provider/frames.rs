//! Frames that go through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use gstvfiinterp::frames::FORMATS;
use test_support::cuda::{Counts, Loaded};
use test_support::rig::{self, Rig, SECOND};

use crate::{
    BLANK, FRAME, NAME, SMALL, THUMBNAIL, collect_warnings, concerns, provider, read_stat, start,
};

/// Pushes frames, and counts after each.
fn push(rig: &mut Rig, driver: &Loaded, frames: std::ops::Range<u64>) -> Vec<Counts> {
    let info = rig::info(NAME);
    let counts = frames.map(|k| {
        rig.push(&info, k);
        rig.settle();
        driver.counts()
    });
    counts.collect()
}

#[test]
fn a_stream_is_doubled() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rig = start(|_| {});
    rig.harness.set_src_caps(rig::caps(NAME));
    let counts = push(&mut rig, &driver, 0..6);
    let out = rig.finish();
    assert_eq!(read_stat(&rig, "provider"), "cuda");
    assert_eq!(read_stat(&rig, "frames-made-on"), "device");
    let expected: Vec<_> = (0..12).map(|k| k * SECOND / 60).collect();
    assert_eq!(rig::times(&out), expected);
    for (k, pair) in (0..).zip(out.chunks(2)) {
        let frame = rig::bytes(&rig::frame(&rig::info(NAME), k));
        assert!(rig::bytes(&pair[0]) == frame, "original {k}");
        // all of it comes from the device, or is the last frame once more
        let made = rig::bytes(&pair[1]);
        assert!(
            made == [BLANK].repeat(made.len()) || k == 5 && made == frame,
            "frame {k}"
        );
    }
    assert!(counts[5].launches > counts[4].launches);
}

#[test]
fn a_frame_goes_up_once_and_a_new_one_comes_down() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rig = start(|_| {});
    rig.harness.set_src_caps(rig::caps(NAME));
    let counts = push(&mut rig, &driver, 0..8);
    // the first pair makes sessions ready
    for pair in counts[2..].windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let up = after.uploaded - before.uploaded;
        assert!((FRAME..FRAME + SMALL).contains(&up), "{up} bytes up");
        assert_eq!(after.downloaded - before.downloaded, FRAME + THUMBNAIL);
        assert_eq!(after.memories, before.memories, "allocated frame by frame");
        assert_eq!(after.pinned, before.pinned, "allocated frame by frame");
    }
}

/// Formats whose frames are made on the host (docs/properties.md).
const ON_THE_HOST: [&str; 12] = [
    "AYUV",
    "A420",
    "GBR",
    "I420_12LE",
    "I422_12LE",
    "P012_LE",
    "P016_LE",
    "GRAY16_LE",
    "GBR_10LE",
    "Y410",
    "RGB10A2_LE",
    "ARGB64",
];

#[test]
fn every_format_is_made_on_the_device_or_known_not_to_be() {
    let Some(_driver) = provider() else {
        return;
    };
    let mut rig = start(|_| {});
    let heard = collect_warnings();
    for format in FORMATS {
        let name = format!("{format} 96x64 30/1");
        heard.lock().unwrap().clear();
        rig.harness.set_src_caps(rig::caps(&name));
        let info = rig::info(&name);
        for k in 0..3 {
            rig.push(&info, k);
        }
        rig.settle();
        let on_host = ON_THE_HOST.contains(&format.to_str().as_str());
        let place = if on_host { "host" } else { "device" };
        assert_eq!(read_stat(&rig, "frames-made-on"), place, "{format}");
        if !on_host {
            assert_eq!(concerns(&heard), [""; 0], "{format}");
        }
    }
}

#[test]
fn memory_stays_as_it_is() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rig = start(|_| {});
    let fitted = watch_specialising();
    rig.harness.set_src_caps(rig::caps(NAME));
    let mut next = 0;
    let mut most = |rig: &mut Rig, count: u64| {
        let counts = push(rig, &driver, next..next + count);
        next += count;
        while rig.harness.try_pull().is_some() {}
        let most = |number: fn(&Counts) -> u64| counts.iter().map(number).max().unwrap();
        [most(|c| c.held[0]), most(|c| c.pinned), most(|c| c.streams)]
    };
    // a session for one size is made beside the stream from the thirtieth pair on
    while !fitted.load(SeqCst) {
        most(&mut rig, 1);
    }
    let before = most(&mut rig, 60);
    let after = most(&mut rig, 200);
    let grows = after
        .iter()
        .zip(before)
        .any(|(after, before)| *after > before);
    assert!(!grows, "{after:?} rather than {before:?}");
}

/// Becomes true when the element has made a session for one size, or not.
fn watch_specialising() -> Arc<AtomicBool> {
    let fitted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fitted);
    gst::log::set_threshold_for_name("vfiinterp", gst::DebugLevel::Info);
    gst::log::add_log_function(move |_, _, _, _, _, _, message| {
        let message = message.get();
        if message.is_some_and(|message| message.starts_with("Specialise")) {
            told.store(true, SeqCst);
        }
    });
    fitted
}

#[test]
fn a_flush_ends_nothing() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rig = start(|_| {});
    rig.harness.set_src_caps(rig::caps(NAME));
    for _ in 0..3 {
        let info = rig::info(NAME);
        for k in 0..4 {
            rig.push(&info, k);
        }
        // in the middle of whatever goes on
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
        while rig.harness.try_pull().is_some() {}
    }
    push(&mut rig, &driver, 0..4);
    assert_eq!(rig.finish().len(), 8);
}

#[test]
fn nothing_is_left_behind() {
    let Some(driver) = provider() else {
        return;
    };
    for round in 0..4 {
        let mut rig = start(|_| {});
        rig.harness.set_src_caps(rig::caps(NAME));
        let info = rig::info(NAME);
        for k in 0..3 {
            rig.push(&info, k);
        }
        if round % 2 == 0 {
            rig.finish();
        }
        // the other times in the middle of whatever goes on
        drop(rig);
        let left = driver.counts();
        assert_eq!(
            (left.memories, left.pinned, left.streams),
            (0, 0, 0),
            "round {round}: {left:?}"
        );
    }
}
