//! Which places frames take: those that stray, that begin late, that have no timestamps.

use proptest::prelude::*;

use super::super::*;
use super::{GAP, fixed, rate};

/// Returns noise with a standard deviation of about 1, from a seed.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    // A sum of twelve even ones.
    move || (0..12).map(|_| next()).sum::<f64>() - 6.0
}

/// Returns how many of these frames have a slot of their own, from frame `from` on.
fn shown(mut timeline: Timeline, times: &[u64], from: usize) -> usize {
    let steps = times.iter().map(|pts| timeline.advance(Some(*pts), None));
    let shown = steps.map(|step| step.is_ok_and(|step| step.original.is_some()));
    shown.skip(from).filter(|shown| *shown).count()
}

/// Returns frames of a camera whose timestamps are off by `jitter` milliseconds, and some of which
/// come late or early by so many parts of a frame.
fn camera(declared: (u64, u64), speed: f64, jitter: f64, late: &[(usize, f64)]) -> Vec<u64> {
    let frame = 1e9 * declared.1 as f64 / declared.0 as f64;
    let mut noise = noise(5);
    let place = |k: usize| 1e9 + k as f64 * frame / speed;
    let mut times: Vec<f64> = (0..400)
        .map(|k| place(k) + noise() * jitter * 1e6)
        .collect();
    for (k, by) in late {
        times[*k] += by * frame;
    }
    times.into_iter().map(|time| time as u64).collect()
}

#[test]
fn one_late_frame_costs_no_more_than_itself() {
    for declared in [
        (24_000, 1001),
        (25, 1),
        (30_000, 1001),
        (30, 1),
        (50, 1),
        (60, 1),
    ] {
        for multiplier in 2..=4 {
            for jitter in [0.0, 0.5, 1.0] {
                let times = camera(
                    declared,
                    1.0,
                    jitter,
                    &[(100, 0.6), (180, -0.6), (250, 0.7)],
                );
                let timeline = fixed(declared, (multiplier * declared.0, declared.1));
                let shown = shown(timeline, &times, 0);
                assert!(
                    shown >= 397,
                    "{declared:?} x{multiplier}, {jitter} ms: {shown} of 400"
                );
            }
        }
    }
}

#[test]
fn a_first_frame_that_is_early_is_made_up_for() {
    for by in [-0.7, -0.54, 0.6] {
        for jitter in [0.0, 1.0, 2.0] {
            for speed in [0.999, 1.0, 1.001] {
                let times = camera((30, 1), speed, jitter, &[(0, by)]);
                let shown = shown(fixed((30, 1), (60, 1)), &times, 60);
                assert!(shown >= 338, "{by}, {jitter} ms, {speed}: {shown} of 340");
            }
        }
    }
}

#[test]
fn a_camera_that_jitters_by_an_eighth_of_a_frame_stays_steady() {
    for (declared, jitter) in [
        ((24, 1), 4.0),
        ((25, 1), 4.0),
        ((30, 1), 4.0),
        ((60, 1), 2.0),
    ] {
        for late in [&[][..], &[(40, 0.6)], &[(40, 0.6), (41, 0.8), (120, -0.6)]] {
            let times = camera(declared, 1.0, jitter, late);
            let shown = shown(fixed(declared, (2 * declared.0, declared.1)), &times, 100);
            assert!(
                shown >= 290,
                "{declared:?}, {jitter} ms, {late:?}: {shown} of 300"
            );
        }
    }
}

#[test]
fn a_dropped_frame_beside_a_late_one_is_no_trouble() {
    let mut times = camera((30, 1), 1.0, 1.0, &[(100, 0.6)]);
    times.remove(103);
    times.remove(150);
    let shown = shown(fixed((30, 1), (60, 1)), &times, 0);
    assert!(shown >= 397, "{shown} of 398");
}

#[test]
fn a_rate_that_is_only_an_average_is_never_taken_for_the_frames() {
    // A telephone's: 30 a second with one frame of two missing now and then, 29.6 on the whole.
    let mut timeline = fixed((296, 10), (592, 10));
    let mut pts = 0;
    for k in 0..3000u64 {
        pts += if k % 74 == 73 { 66_666_667 } else { 33_333_333 };
        let step = timeline.advance(Some(pts), None).unwrap();
        let last = step.before.chain(step.original).last();
        let off = last.map_or(0, |slot| slot.pts.abs_diff(pts));
        assert!(off <= SECOND / 55, "{k}: {off}");
    }
}

#[test]
fn a_frame_that_was_cut_to_the_segment_is_no_anchor() {
    for (num, cut) in [(5u64, 450), (24, 450), (25, 100), (30, 700), (60, 450)] {
        let frame = SECOND / num;
        let start = 2 * SECOND + frame * cut / 1000;
        let stop = start + 50 * frame / 2;
        let mut timeline = fixed((num, 1), (2 * num, 1));
        timeline.set_segment(start, Some(stop));
        let mut last = None;
        for k in 0..25 {
            let (own, end) = (
                2 * SECOND + k * SECOND / num,
                2 * SECOND + (k + 1) * SECOND / num,
            );
            let (pts, end) = (own.max(start), end.min(stop));
            let step = timeline.advance(Some(pts), Some(end - pts)).unwrap();
            let original = step.original.expect("it has a slot");
            for slot in step.before.chain([original]) {
                assert!(last < Some(slot.pts), "{last:?}, {slot:?}");
                assert!(slot.pts < stop);
                last = Some(slot.pts);
            }
            assert!(
                original.pts.abs_diff(pts) <= 1,
                "{num}: {k}: {original:?} at {pts}"
            );
        }
    }
}

#[test]
fn an_original_within_the_segment_leaves_within_it() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.set_segment(0, Some(66_500_000));
    // Rounded to milliseconds: its place is behind the stop.
    for pts in [0, 33_000_000, 66_000_000] {
        let own = timeline.advance(Some(pts), None).unwrap().original.unwrap();
        assert!(own.pts < 66_500_000, "{own:?}");
        assert!(own.pts + own.duration.unwrap() <= 66_500_000 || pts < 66_000_000);
    }
}

#[test]
fn frames_without_timestamps_follow_from_where_the_segment_begins() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.set_segment(5 * SECOND, None);
    for k in 0..100 {
        let own = timeline.advance(None, None).unwrap().original.unwrap();
        assert_eq!(own.pts, 5 * SECOND + rate(30, 1).time(k));
    }
    let mut unknown = Timeline::new(None, OutputRate::Fixed(rate(60, 1)), GAP);
    assert_eq!(
        unknown.advance(None, None).unwrap_err(),
        TimelineError::NoTimestamp
    );
    unknown.advance(Some(SECOND), None).unwrap();
    assert_eq!(
        unknown.advance(None, None).unwrap_err(),
        TimelineError::NoTimestamp
    );
}

#[test]
fn time_begins_anew_where_a_frame_says_so_or_goes_back_by_far() {
    for (says_so, last, next) in [(true, SECOND, 0), (false, 3600 * SECOND, 3 * SECOND)] {
        let mut timeline = fixed((25, 1), (50, 1));
        timeline.advance(Some(last), None).unwrap();
        if says_so {
            timeline.expect_jump();
        }
        let step = timeline.advance(Some(next), None).unwrap();
        let before: Vec<_> = step.before.map(|slot| (slot.pts, slot.content)).collect();
        assert_eq!(before, [(last + SECOND / 50, Content::Repeat)]);
        let own = step.original.unwrap();
        assert_eq!((own.pts, own.discont), (next, true));
        let step = timeline.advance(Some(next + SECOND / 25), None).unwrap();
        assert_eq!(step.before.count(), 1);
    }
}

#[test]
fn time_begins_anew_behind_what_was_ended_too() {
    for (says_so, next) in [(true, 3590 * SECOND), (false, 3 * SECOND)] {
        let mut timeline = fixed((25, 1), (50, 1));
        timeline.advance(Some(3600 * SECOND), None).unwrap();
        timeline.start_new_grid();
        if says_so {
            timeline.expect_jump();
        }
        let own = timeline.advance(Some(next), None).unwrap().original;
        let own = own.unwrap();
        assert_eq!((own.pts, own.discont), (next, true));
    }
}

#[test]
fn slots_that_would_share_a_nanosecond_are_one() {
    let mut timeline = Timeline::new(None, OutputRate::Multiple(16), GAP);
    let mut times = Vec::new();
    for pts in [0, 3, 4, 24] {
        let step = timeline.advance(Some(pts), None).unwrap();
        times.extend(step.before.chain(step.original).map(|slot| slot.pts));
    }
    let expected: Vec<_> = (0..4).chain((0..=16).map(|n| 4 + n * 20 / 16)).collect();
    assert_eq!(times, expected);
    let mut timeline = fixed((100_000_000, 1), (2_000_000_000, 1));
    timeline.advance(Some(0), None).unwrap();
    let step = timeline.advance(Some(10), None).unwrap();
    assert_eq!(
        step.before.map(|slot| slot.pts).collect::<Vec<_>>(),
        (1..10).collect::<Vec<_>>()
    );
    assert_eq!(step.original.unwrap().pts, 10);
}

proptest! {
    /// However often the multiplier changes, originals leave when the rate says, to the nanosecond.
    #[test]
    fn another_multiplier_moves_no_original(
        (num, den) in prop::sample::select(vec![(24u64, 1u64), (24_000, 1001), (30, 1), (30_000, 1001), (60, 1), (7, 3)]),
        base in 0u64..1_000_000_000_000,
        multipliers in prop::collection::vec(prop::option::of(1u64..=64), 2..80),
    ) {
        let mut timeline = fixed((num, den), (2 * num, den));
        for (k, multiplier) in multipliers.into_iter().enumerate() {
            let pts = base + rate(num, den).time(k as u64);
            let step = timeline.advance(Some(pts), None).unwrap();
            prop_assert_eq!(step.original.map(|slot| slot.pts), Some(pts));
            if let Some(multiplier) = multiplier {
                timeline.retarget(Some(rate(num, den)), OutputRate::Fixed(rate(multiplier * num, den)));
            }
        }
    }
}
