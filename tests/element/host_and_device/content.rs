//! Frames shown between originals that are no motion: still pictures and cuts.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

/// Large enough for a thumbnail to tell scenes apart.
const TEXT: &str = "NV12 160x96 30/1";
const WIDTH: usize = 160;
const LUMA: usize = WIDTH * 96;

/// Returns frame `k` of a stream, its luma drawn and its chroma grey.
fn drawn(k: u64, luma: impl Fn(usize, usize) -> u8) -> gst::Buffer {
    let mut buffer = frame(&info(TEXT), k);
    let mut map = buffer.make_mut().map_writable().unwrap();
    map.fill(128);
    for (i, value) in map[..LUMA].iter_mut().enumerate() {
        *value = luma(i % WIDTH, i / WIDTH);
    }
    drop(map);
    buffer
}

/// A scene of blocks of all shades; another for each number.
fn scene(number: usize) -> impl Fn(usize, usize) -> u8 {
    move |x, y| {
        let place = [number, x / 5, y / 5];
        let hash = place.iter().fold(2_166_136_261usize, |hash, part| {
            let hash = (hash ^ part).wrapping_mul(2_654_435_761) & 0xffff_ffff;
            hash ^ (hash >> 15)
        });
        (20 + 60 * (number % 3) + hash % 90) as u8
    }
}

/// Sends frames and gives what came out.
fn push_through(rig: &mut Rig, frames: impl IntoIterator<Item = gst::Buffer>) -> Vec<gst::Buffer> {
    for frame in frames {
        rig.harness.push(frame).unwrap();
    }
    rig.finish()
}

#[test]
fn between_equal_frames_is_that_frame() {
    let mut rig = Rig::new(TEXT, None);
    let out = push_through(&mut rig, (0..4).map(|k| drawn(k, scene(1))));
    assert_eq!(out.len(), 8);
    assert!(out.iter().all(|buffer| bytes(buffer) == bytes(&out[0])));
    assert_eq!((rig.stat("stills"), rig.stat("synthesised")), (3, 0));
    assert_eq!(
        rig.stat("estimate-time"),
        0,
        "the network has nothing to do"
    );
}

#[test]
fn noise_below_the_threshold_is_still() {
    let mut rig = Rig::new(TEXT, None);
    rig.element.set_property("still-threshold", 0.01);
    let noisy = |k: u64| {
        drawn(k, move |x, y| {
            scene(1)(x, y) + ((x + y) as u64 * k % 3) as u8
        })
    };
    let out = push_through(&mut rig, (0..3).map(noisy));
    assert_eq!(rig.stat("stills"), 2);
    assert_eq!(
        bytes(&out[1]),
        bytes(&out[0]),
        "the earlier one is repeated"
    );
}

#[test]
fn small_things_that_move_are_not_frozen() {
    // A pointer of 6x9 that goes a pixel on, a cursor that blinks, a faint walker.
    let pointer =
        |k: usize, x: usize, y: usize| (30 + k..36 + k).contains(&x) && (40..49).contains(&y);
    let cursor =
        |k: usize, x: usize, y: usize| k.is_multiple_of(2) && x == 120 && (20..32).contains(&y);
    let walker =
        |k: usize, x: usize, y: usize| (90 + k..92 + k).contains(&x) && (70..75).contains(&y);
    type Thing = fn(usize, usize, usize) -> bool;
    let things: [(Thing, u8); 3] = [(pointer, 255), (cursor, 0), (walker, 112)];
    for (thing, shade) in things {
        let mut rig = Rig::new(TEXT, None);
        let frames =
            (0..4).map(|k| drawn(k, |x, y| if thing(k as usize, x, y) { shade } else { 100 }));
        push_through(&mut rig, frames);
        assert_eq!((rig.stat("stills"), rig.stat("synthesised")), (0, 3));
    }
}

#[test]
fn what_changes_only_in_colour_is_not_still() {
    let mut rig = Rig::new(TEXT, None);
    let frames = (0..2).map(|k| {
        let mut buffer = drawn(k, scene(1));
        let mut map = buffer.make_mut().map_writable().unwrap();
        map[LUMA + 400] = 128 + 60 * k as u8;
        drop(map);
        buffer
    });
    push_through(&mut rig, frames);
    assert_eq!(rig.stat("stills"), 0);
}

/// Returns whether a frame is two others laid over each other.
#[track_caller]
fn assert_mean(made: &gst::Buffer, before: &gst::Buffer, after: &gst::Buffer) {
    let others = bytes(before).into_iter().zip(bytes(after));
    for (made, (before, after)) in bytes(made).into_iter().zip(others) {
        let mean = (u16::from(before) + u16::from(after)).div_ceil(2);
        let off = u16::from(made).abs_diff(mean);
        assert!(off <= 1, "{made} of {before} and {after}");
    }
}

/// Two frames of a scene, two of another; the three frames made between them, the middle one across
/// the cut.
fn across_a_cut(rig: &mut Rig) -> [gst::Buffer; 4] {
    let frames = (0..4).map(|k| {
        let scene = scene(1 + k as usize / 2);
        drawn(k, move |x, y| scene(x + k as usize, y))
    });
    let out = push_through(rig, frames);
    let [_, _, before, made, after, ..] = &out[..] else {
        panic!("{} frames", out.len())
    };
    assert_eq!(made.pts().unwrap().nseconds(), 3 * SECOND / 60);
    [before, made, after, &out[1]].map(|buffer| buffer.clone())
}

#[test]
fn the_frame_before_a_cut_is_held_until_the_cut() {
    let mut rig = Rig::new(TEXT, None);
    let [before, made, after, moving] = across_a_cut(&mut rig);
    assert_eq!(bytes(&made), bytes(&before));
    assert_ne!(bytes(&made), bytes(&after));
    assert_ne!(bytes(&moving), bytes(&before), "motion is interpolated");
    assert_eq!((rig.stat("cuts"), rig.stat("synthesised")), (1, 2));
}

#[test]
fn a_cut_can_be_blended() {
    let mut rig = Rig::new(TEXT, None);
    rig.element.set_property_from_str("scene-action", "blend");
    let [before, made, after, _] = across_a_cut(&mut rig);
    for ((made, before), after) in bytes(&made).iter().zip(bytes(&before)).zip(bytes(&after)) {
        let mean = (u16::from(before) + u16::from(after)).div_ceil(2);
        assert!(
            u16::from(*made).abs_diff(mean) <= 1,
            "{made} of {before} and {after}"
        );
    }
    assert_eq!(rig.stat("cuts"), 1);
}

#[test]
fn a_cut_can_be_left_to_the_network() {
    let mut rig = Rig::with_model(TemporaryFile::new(
        "moving.onnx",
        &fixtures::constant_motion([8.0, 0.0], 2, 8),
    ));
    rig.harness.set_src_caps(caps(TEXT));
    rig.element
        .set_property_from_str("scene-action", "interpolate");
    let [before, made, after, _] = across_a_cut(&mut rig);
    let blends = bytes(&made)
        .iter()
        .zip(bytes(&before))
        .zip(bytes(&after))
        .all(|((made, before), after)| (before.min(after)..=before.max(after)).contains(made));
    assert!(!blends, "the network's motion shows");
    assert_eq!((rig.stat("cuts"), rig.stat("synthesised")), (1, 3));
}

#[test]
fn nothing_is_a_cut_at_a_threshold_of_zero() {
    let mut rig = Rig::new(TEXT, None);
    rig.element.set_property("scene-threshold", 0.0);
    across_a_cut(&mut rig);
    assert_eq!((rig.stat("cuts"), rig.stat("synthesised")), (0, 3));
}

#[test]
fn a_flash_is_faded_into_and_out_of() {
    let mut rig = Rig::with_model(TemporaryFile::new(
        "moving.onnx",
        &fixtures::constant_motion([8.0, 0.0], 2, 8),
    ));
    rig.harness.set_src_caps(caps(TEXT));
    let frames = (0..5).map(|k| {
        let light = if k == 2 { 90 } else { 0 };
        drawn(k, move |x, y| {
            scene(1)(x + k as usize, y).saturating_add(light)
        })
    });
    let out = push_through(&mut rig, frames);
    for made in [3, 5] {
        assert_mean(&out[made], &out[made - 1], &out[made + 1]);
    }
    assert_eq!((rig.stat("flashes"), rig.stat("cuts")), (2, 0));
    assert_eq!(rig.stat("synthesised"), 4);
}

#[test]
fn a_flush_forgets_what_was_usual() {
    let mut rig = Rig::new(TEXT, None);
    for _ in 0..2 {
        let frames = (0..3).map(|k| drawn(k, scene(k as usize + 1)));
        for frame in frames {
            rig.harness.push(frame).unwrap();
        }
        for _ in 0..5 {
            rig.harness.pull().unwrap();
        }
        assert!(rig.harness.push_event(gst::event::FlushStart::new()));
        assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    }
    assert_eq!(rig.stat("cuts"), 4);
}
