//! Counts, timestamps, durations and offsets of what comes out.

use gst::prelude::*;
use test_support::rig::*;

/// Sends `frames` frames through and checks that the output is `outputs` frames on the exact grid.
#[track_caller]
fn assert_grid(input: &str, output: (u64, u64), frames: u64, outputs: usize) {
    let text = format!("GRAY8 16x16 {input}");
    let info = info(&text);
    let downstream = format!("video/x-raw,framerate={}/{}", output.0, output.1);
    let mut rig = Rig::new(&text, Some(&downstream));
    let mut n = 0;
    let mut check = |buffer: gst::Buffer| {
        let exact = n as f64 * output.1 as f64 / output.0 as f64;
        let pts = buffer.pts().unwrap().nseconds();
        assert!((pts as f64 - exact * 1e9).abs() <= 1.0, "{n}: {pts}");
        let next =
            u128::from(n + 1) * u128::from(output.1) * u128::from(SECOND) / u128::from(output.0);
        let end = buffer.pts().unwrap() + buffer.duration().unwrap();
        assert_eq!(u128::from(end.nseconds()), next, "end of {n}");
        assert_eq!(buffer.offset(), n);
        n += 1;
    };
    for k in 0..frames {
        rig.push(&info, k);
        while let Some(buffer) = rig.harness.try_pull() {
            check(buffer);
        }
    }
    rig.finish().into_iter().for_each(&mut check);
    assert_eq!(n as usize, outputs);
}

#[test]
fn film_becomes_sixty_over_ten_thousand_frames() {
    assert_grid("24/1", (60, 1), 10_000, 25_000);
}

#[test]
fn ntsc_doubles_over_ten_thousand_frames() {
    assert_grid("30000/1001", (60_000, 1001), 10_000, 20_000);
}

#[test]
fn pal_doubles() {
    assert_grid("25/1", (50, 1), 100, 200);
}

#[test]
fn ntsc_film_becomes_sixty() {
    assert_grid("24000/1001", (60, 1), 1000, 2503);
}

#[test]
fn a_lower_rate_is_made_too() {
    assert_grid("60/1", (24, 1), 100, 40);
}

#[test]
fn the_same_rate_passes_through() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, Some("video/x-raw,framerate=30/1"));
    for k in 0..5 {
        rig.push(&info, k);
    }
    assert_eq!(rig.finish().len(), 5);
    assert_eq!(rig.stat("synthesised"), 0);
}

#[test]
fn many_frames_for_one() {
    let text = "GRAY8 16x16 2/1";
    let info = info(text);
    for multiplier in [16_u32, 26, 64] {
        let mut rig = Rig::new(text, None);
        rig.element.set_property("multiplier", multiplier);
        for k in 0..3 {
            rig.push(&info, k);
        }
        let out = rig.finish();
        assert_eq!(out.len(), 3 * multiplier as usize);
        let slot = SECOND / 2 / u64::from(multiplier);
        for pair in times(&out).windows(2) {
            assert!((pair[1] - pair[0]).abs_diff(slot) <= 1, "{pair:?}");
        }
    }
}

#[test]
fn one_frame_lasts_its_time() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let original = rig.push(&info, 0);
    let out = rig.finish();
    assert_eq!(times(&out), [0, SECOND / 60]);
    assert_eq!(bytes(&out[1]), bytes(&original));
}

#[test]
fn no_frames_are_no_trouble() {
    let mut rig = Rig::new("GRAY8 16x16 30/1", None);
    assert_eq!(rig.finish().len(), 0);
}

#[test]
fn no_caps_are_no_trouble() {
    let mut rig = Rig::bare(None);
    assert_eq!(rig.finish().len(), 0);
}

#[test]
fn variable_rate_stays_variable() {
    let text = "GRAY8 16x16 0/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    for (k, ms) in [0, 40, 60, 160].into_iter().enumerate() {
        rig.harness.push(frame_at(&info, k as u64, ms)).unwrap();
    }
    let out: Vec<_> = times(&rig.finish()).iter().map(|t| t / 1_000_000).collect();
    assert_eq!(out, [0, 20, 40, 50, 60, 110, 160, 210]);
}

#[test]
fn variable_rate_becomes_fixed_when_asked() {
    let text = "GRAY8 16x16 0/1";
    let info = info(text);
    let mut rig = Rig::new(text, Some("video/x-raw,framerate=100/1"));
    for (k, ms) in [0, 35, 60].into_iter().enumerate() {
        rig.harness.push(frame_at(&info, k as u64, ms)).unwrap();
    }
    let out: Vec<_> = times(&rig.finish()).iter().map(|t| t / 1_000_000).collect();
    assert_eq!(out, [0, 10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(rig.stat("originals"), 2, "35 ms is no slot");
}

#[test]
fn a_frame_that_goes_back_is_dropped_and_counted() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    for k in [0, 1, 0, 2] {
        rig.push(&info, k);
    }
    assert_eq!(rig.finish().len(), 6);
    assert_eq!(rig.stat("dropped"), 1);
}

#[test]
fn a_missing_timestamp_is_the_next_one() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    for k in 0..4 {
        let mut buffer = frame(&info, k);
        if k == 2 {
            buffer.make_mut().set_pts(None);
        }
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    assert_eq!(out.len(), 8);
    assert_eq!(times(&out)[4], SECOND * 4 / 60);
}

#[test]
fn a_gap_within_the_limit_is_bridged() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    for k in [0, 1, 4] {
        rig.push(&info, k);
    }
    let out = rig.finish();
    assert_eq!(out.len(), 10);
    assert_eq!(
        rig.stat("synthesised"),
        1 + 5,
        "one, and five across the gap"
    );
}

#[test]
fn a_stream_may_begin_late() {
    let text = "GRAY8 16x16 24/1";
    let info = info(text);
    let mut rig = Rig::new(text, Some("video/x-raw,framerate=60/1"));
    let base = 24 * 3600;
    for k in base..base + 2 {
        rig.push(&info, k);
    }
    let start = 3600 * SECOND;
    let expected: Vec<_> = (0..5).map(|n| start + n * SECOND / 60).collect();
    assert_eq!(times(&rig.finish()), expected);
}

/// Frames at these times and with these flags; what the bus was told, and what came out.
fn collect_warnings(
    text: &str,
    frames: impl IntoIterator<Item = gst::Buffer>,
) -> (Vec<String>, Vec<gst::Buffer>) {
    let mut rig = Rig::new(text, None);
    let bus = rig.watch();
    for buffer in frames {
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    let warnings = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]));
    let texts = warnings.filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    });
    (texts.collect(), out)
}

/// Returns frame `k` with this timestamp, in milliseconds.
fn frame_stamped_at(text: &str, k: u64, ms: Option<u64>) -> gst::Buffer {
    let mut buffer = frame(&info(text), k);
    let target = buffer.make_mut();
    target.set_pts(ms.map(gst::ClockTime::from_mseconds));
    target.set_duration(None);
    buffer
}

#[test]
fn frames_without_timestamps_take_their_places_by_the_rate() {
    let text = "GRAY8 16x16 25/1";
    let frames = (0..5).map(|k| frame_stamped_at(text, k, None));
    let (warnings, out) = collect_warnings(text, frames);
    let expected: Vec<_> = (0..10).map(|n| n * SECOND / 50).collect();
    assert_eq!(times(&out), expected);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn frames_that_have_only_decoding_times_are_shown_then() {
    let text = "GRAY8 16x16 25/1";
    let frames = (0..3).map(|k| {
        let mut buffer = frame_stamped_at(text, k, None);
        let dts = gst::ClockTime::from_mseconds(400 + 40 * k);
        buffer.make_mut().set_dts(dts);
        buffer
    });
    let (_, out) = collect_warnings(text, frames);
    assert_eq!(times(&out)[0], 400_000_000);
    assert_eq!(out.len(), 6);
}

#[test]
fn frames_that_have_no_place_are_told_of_once() {
    let text = "GRAY8 16x16 0/1";
    let (warnings, out) = collect_warnings(text, (0..4).map(|k| frame_stamped_at(text, k, None)));
    assert_eq!(out.len(), 0);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("no timestamp"), "{warnings:?}");

    let text = "GRAY8 16x16 25/1";
    let frames = [400, 440, 400, 420, 480].map(|ms| frame_stamped_at(text, ms, Some(ms)));
    let (warnings, out) = collect_warnings(text, frames);
    assert_eq!(out.len(), 6);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("0:00:00.440000000"), "{warnings:?}");
}

#[test]
fn timestamps_may_begin_anew_where_a_frame_says_so() {
    let text = "GRAY8 16x16 25/1";
    let frames = (0..15).map(|k| {
        let ms = if k < 5 { 5_000 + 40 * k } else { 40 * (k - 5) };
        let mut buffer = frame_stamped_at(text, k, Some(ms));
        if k == 5 {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        buffer
    });
    let (warnings, out) = collect_warnings(text, frames);
    assert_eq!(warnings, [""; 0]);
    let expected = (0..10).map(|n| 5 * SECOND + n * SECOND / 50);
    let expected = expected.chain((0..20).map(|n| n * SECOND / 50));
    assert_eq!(times(&out), expected.collect::<Vec<_>>());
    let discont = |b: &gst::Buffer| b.flags().contains(gst::BufferFlags::DISCONT);
    let marked: Vec<_> = (0..out.len()).filter(|n| discont(&out[*n])).collect();
    assert_eq!(marked, [0, 10]);
}
