//! Duplicates of the source make way for motion.

use gst::prelude::*;
use test_support::rig::*;

const TEXT: &str = "GRAY8 32x32 24/1";

/// A flat frame of a shade, as frame `k` of a stream: a blend's shade tells its phase.
fn flat(text: &str, k: u64, shade: u8) -> gst::Buffer {
    let mut buffer = frame(&info(text), k);
    buffer.make_mut().map_writable().unwrap().fill(shade);
    buffer
}

/// A rig that replaces duplicates and takes nothing for a cut.
fn rig(text: &str, downstream: Option<&str>) -> Rig {
    let rig = Rig::bare(downstream);
    rig.element.set_property("dedup", true);
    rig.element.set_property("scene-threshold", 0.0);
    let mut rig = rig;
    rig.harness.set_src_caps(caps(text));
    rig
}

fn shade(buffer: &gst::Buffer) -> u8 {
    let bytes = bytes(buffer);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "not flat");
    bytes[0]
}

/// Sends flat frames of these shades and gives the shades that come out, with their times.
fn push_through(rig: &mut Rig, text: &str, shades: &[u8]) -> Vec<(u64, u8)> {
    for (k, value) in shades.iter().enumerate() {
        rig.harness.push(flat(text, k as u64, *value)).unwrap();
    }
    let out = rig.finish();
    let times = times(&out);
    times.into_iter().zip(out.iter().map(shade)).collect()
}

fn shades(out: &[(u64, u8)]) -> Vec<u8> {
    out.iter().map(|(_, shade)| *shade).collect()
}

/// Asserts that both are equal but for what rounding does.
#[track_caller]
fn assert_near(found: &[u8], expected: &[u8]) {
    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
    assert!(
        near && found.len() == expected.len(),
        "{found:?} is not {expected:?}"
    );
}

#[test]
fn animation_on_twos_moves_smoothly() {
    let mut rig = rig(TEXT, None);
    let out = push_through(&mut rig, TEXT, &[40, 40, 80, 80, 120, 120, 160]);
    let smooth: Vec<_> = (0..=12).map(|n| 40 + 10 * n).chain([160]).collect();
    assert_near(&shades(&out), &smooth);
    for (n, (time, _)) in out.iter().enumerate() {
        assert_eq!(*time, SECOND * n as u64 / 48, "slot {n}");
    }
    assert_eq!((rig.stat("duplicates"), rig.stat("originals")), (3, 4));
}

#[test]
fn threes_and_fours_move_smoothly_too() {
    for repeats in [3usize, 4] {
        let mut rig = rig(TEXT, None);
        let mut source: Vec<u8> = [40, 88, 136]
            .iter()
            .flat_map(|shade| std::iter::repeat_n(*shade, repeats))
            .collect();
        source.push(184);
        let out = shades(&push_through(&mut rig, TEXT, &source));
        let steps = (6 * repeats) as u32;
        let smooth: Vec<_> = (0..=steps)
            .map(|n| (40 + 144 * n / steps) as u8)
            .chain([184])
            .collect();
        assert_near(&out, &smooth);
    }
}

#[test]
fn thirty_in_sixty_becomes_sixty() {
    // Nothing is to be made but in the duplicates' place.
    let text = "GRAY8 32x32 60/1";
    let mut rig = rig(text, Some("video/x-raw,framerate=60/1"));
    let out = push_through(&mut rig, text, &[20, 20, 60, 60, 100, 100, 140]);
    assert_near(&shades(&out), &[20, 40, 60, 80, 100, 120, 140]);
}

#[test]
fn film_in_sixty_moves_evenly() {
    let text = "GRAY8 32x32 60/1";
    let mut rig = rig(text, Some("video/x-raw,framerate=60/1"));
    let out = push_through(&mut rig, text, &[0, 0, 60, 60, 60, 120, 120, 180]);
    assert_near(&shades(&out), &[0, 30, 60, 80, 100, 120, 150, 180]);
}

#[test]
fn frames_that_are_none_stay_untouched() {
    let mut rig = rig(TEXT, None);
    let source: Vec<_> = [40, 40, 80, 80, 81, 120]
        .iter()
        .zip(0..)
        .map(|(value, k)| flat(TEXT, k, *value))
        .collect();
    for buffer in &source {
        rig.harness.push(buffer.clone()).unwrap();
    }
    let out = rig.finish();
    for k in [0, 2, 5] {
        let original = &source[k];
        let found = out
            .iter()
            .find(|b| b.memory(0).map(|m| m.as_ptr()) == original.memory(0).map(|m| m.as_ptr()));
        assert!(found.is_some(), "frame {k} is not there as it came");
    }
}

#[test]
fn a_still_scene_stays_as_it_is() {
    let mut rig = rig(TEXT, None);
    let out = push_through(&mut rig, TEXT, &[50; 20]);
    assert_eq!(shades(&out), [50; 40]);
    assert_eq!((rig.stat("originals"), rig.stat("duplicates")), (20, 0));
}

#[test]
fn no_more_than_three_frames_are_held_back() {
    let mut rig = rig(TEXT, None);
    rig.harness.push(flat(TEXT, 0, 50)).unwrap();
    rig.harness.pull().unwrap();
    for k in 1..4 {
        rig.harness.push(flat(TEXT, k, 50)).unwrap();
    }
    // The fourth duplicate shows that the scene is still: all come out, and the next at once.
    rig.harness.push(flat(TEXT, 4, 50)).unwrap();
    for _ in 0..8 {
        rig.harness.pull().unwrap();
    }
    for k in 5..9 {
        rig.harness.push(flat(TEXT, k, 50)).unwrap();
        for _ in 0..2 {
            rig.harness.pull().unwrap();
        }
    }
    // Motion begins with the very next frame, and duplicates are held again.
    for (k, shade) in [(9, 90), (10, 90), (11, 130)] {
        rig.harness.push(flat(TEXT, k, shade)).unwrap();
    }
    let out: Vec<_> = rig.finish().iter().map(shade).collect();
    assert_near(&out, &[70, 90, 100, 110, 120, 130, 130]);
}

#[test]
fn slow_pictures_are_not_held_for_long() {
    let text = "GRAY8 32x32 5/1";
    let mut rig = rig(text, None);
    rig.harness.push(flat(text, 0, 50)).unwrap();
    rig.harness.push(flat(text, 1, 50)).unwrap();
    // A fifth of a second is too long to wait for what comes next.
    for _ in 0..3 {
        rig.harness.pull().unwrap();
    }
}

#[test]
fn slow_motion_is_no_cadence() {
    let mut rig = rig(TEXT, None);
    let slow: Vec<u8> = (0..12).map(|k| 100 + 2 * k).collect();
    let out = shades(&push_through(&mut rig, TEXT, &slow));
    let smooth: Vec<_> = (0..23).map(|n| 100 + n).chain([122]).collect();
    assert_near(&out, &smooth);
    assert_eq!((rig.stat("originals"), rig.stat("duplicates")), (12, 0));
}

#[test]
fn compression_hides_no_duplicate() {
    // The repeated frame is a little off, as a lossy codec leaves it.
    let mut rig = rig(TEXT, None);
    let out = shades(&push_through(&mut rig, TEXT, &[40, 44, 100, 97, 160]));
    assert_near(&out, &[40, 55, 70, 85, 100, 115, 130, 145, 160, 160]);
}

#[test]
fn a_variable_stream_is_smoothed_by_its_times() {
    let text = "GRAY8 32x32 0/1";
    let mut rig = rig(text, None);
    for (ms, shade) in [(0, 0), (40, 0), (100, 200), (140, 200)] {
        let mut buffer = flat(text, 0, shade);
        buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(ms));
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    let ms: Vec<_> = times(&out).iter().map(|t| t / 1_000_000).collect();
    assert_eq!(ms, [0, 20, 40, 70, 100, 120, 140, 160]);
    let out: Vec<_> = out.iter().map(shade).collect();
    assert_near(&out, &[0, 40, 80, 140, 200, 200, 200, 200]);
}

#[test]
fn duplicates_before_a_cut_stay_there() {
    let mut rig = rig(TEXT, None);
    rig.element.set_property("scene-threshold", 0.3);
    // From black to white it is a cut.
    let out = shades(&push_through(&mut rig, TEXT, &[10, 10, 10, 200, 200]));
    assert!(out.iter().all(|shade| [10, 200].contains(shade)), "{out:?}");
    assert_eq!(out.iter().filter(|shade| **shade == 10).count(), 6);
    assert_eq!((rig.stat("cuts"), rig.stat("duplicates")), (1, 0));
}

#[test]
fn what_is_held_leaves_before_what_follows() {
    let text = "GRAY8 32x32 24/1";
    let events: [fn() -> gst::Event; 4] = [
        || gst::event::Tag::new(gst::TagList::new()),
        || gst::event::Gap::builder(gst::ClockTime::from_mseconds(83)).build(),
        || gst::event::CustomDownstream::new(gst::Structure::new_empty("mark")),
        || {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_base(gst::ClockTime::SECOND);
            gst::event::Segment::new(&segment)
        },
    ];
    for event in events {
        let mut rig = rig(text, None);
        let pad = rig.harness.sinkpad().unwrap();
        let (sender, order) = std::sync::mpsc::channel();
        let mark = event().type_();
        let probes = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        rig.harness.push(flat(text, 0, 50)).unwrap();
        rig.harness.pull().unwrap();
        pad.add_probe(probes, move |_, probe| {
            let marks = probe.event().map(|event| event.type_() == mark);
            if marks != Some(false) {
                let _nobody_waits = sender.send(marks.is_some());
            }
            gst::PadProbeReturn::Ok
        });
        rig.harness.push(flat(text, 1, 50)).unwrap();
        assert!(rig.harness.push_event(event()));
        rig.finish();
        let order: Vec<_> = order.try_iter().collect();
        let marked = order.iter().position(|marks| *marks);
        assert!(marked.is_some_and(|at| at >= 2), "{mark:?}: {order:?}");
    }
}

#[test]
fn new_caps_come_after_what_is_held() {
    let (small, large) = ("GRAY8 32x32 24/1", "GRAY8 64x64 24/1");
    let mut rig = rig(small, None);
    for k in 0..3 {
        rig.harness.push(flat(small, k, 50)).unwrap();
    }
    rig.harness.set_src_caps(caps(large));
    rig.harness.push(flat(large, 3, 50)).unwrap();
    let sizes: Vec<_> = rig.finish().iter().map(|b| b.size()).collect();
    assert_eq!(sizes, [[32 * 32; 6].as_slice(), &[64 * 64; 2]].concat());
}

#[test]
fn a_flush_drops_what_is_held() {
    let mut rig = rig(TEXT, None);
    for k in 0..3 {
        rig.harness.push(flat(TEXT, k, 50)).unwrap();
    }
    rig.harness.pull().unwrap();
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.harness.push(flat(TEXT, 30, 90)).unwrap();
    let out = rig.finish();
    assert!(out.iter().all(|buffer| shade(buffer) == 90));
}

#[test]
fn it_may_be_turned_on_and_off_at_any_time() {
    let mut rig = rig(TEXT, None);
    for k in 0..12u64 {
        rig.element.set_property("dedup", k / 3 % 2 == 0);
        rig.harness
            .push(flat(TEXT, k, 50 + 20 * (k as u8 / 2)))
            .unwrap();
        rig.element.set_property("multiplier", 2 + (k as u32 / 5));
    }
    let out = rig.finish();
    let shades: Vec<_> = out.iter().map(shade).collect();
    assert!(shades.is_sorted(), "{shades:?}");
    assert!(times(&out).is_sorted());
    assert_eq!(shades.last(), Some(&150));
}

#[test]
fn captions_of_a_duplicate_are_kept() {
    let mut rig = rig(TEXT, None);
    for (k, shade) in [(0, 40), (1, 40), (2, 80)] {
        let mut buffer = flat(TEXT, k, shade);
        let kind = gst_video::VideoCaptionType::Cea708Raw;
        gst_video::VideoCaptionMeta::add(buffer.make_mut(), kind, &[k as u8]);
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    let captions: Vec<_> = out
        .iter()
        .map(|b| {
            b.meta::<gst_video::VideoCaptionMeta>()
                .map(|meta| meta.data()[0])
        })
        .collect();
    assert_eq!(captions, [Some(0), None, Some(1), None, Some(2), None]);
    assert_eq!(
        shade(&out[2]),
        60,
        "a frame made in the place of the second"
    );
}

#[test]
fn a_live_pipeline_is_told_of_the_wait() {
    for (text, wait) in [
        ("GRAY8 32x32 25/1", 120),
        ("GRAY8 32x32 10/1", 100),
        ("GRAY8 32x32 5/1", 0),
    ] {
        let mut rig = Rig::bare(None);
        rig.harness.set_live(true);
        rig.harness.set_src_caps(caps(text));
        rig.harness.push(flat(text, 0, 50)).unwrap();
        rig.harness.pull().unwrap();
        let pad = rig.element.static_pad("src").unwrap();
        let latency = || {
            let mut query = gst::query::Latency::new();
            assert!(pad.query(&mut query));
            query.result().1
        };
        let before = latency();
        rig.element.set_property("dedup", true);
        let after = latency();
        assert_eq!(
            after - before,
            gst::ClockTime::from_mseconds(wait),
            "{text}"
        );
    }
}
