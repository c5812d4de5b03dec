mod holes;
mod places;

use proptest::prelude::*;

use super::*;

pub(in crate::vfi_element) const GAP: u64 = SECOND;

pub(in crate::vfi_element) fn rate(num: u64, den: u64) -> Rate {
    Rate { num, den }
}

pub(in crate::vfi_element) fn fixed(input: (u64, u64), output: (u64, u64)) -> Timeline {
    Timeline::new(
        Some(rate(input.0, input.1)),
        OutputRate::Fixed(rate(output.0, output.1)),
        GAP,
    )
}

/// Feeds `frames` frames of a declared rate and drains: all slots.
fn run(timeline: &mut Timeline, input: (u64, u64), base: u64, frames: u64) -> Vec<Slot> {
    let mut slots = Vec::new();
    for k in 0..frames {
        let pts = base + rate(input.0, input.1).time(k);
        let step = timeline.advance(Some(pts), None).unwrap();
        slots.extend(step.before);
        slots.extend(step.original);
    }
    slots.extend(timeline.drain(None));
    slots
}

fn originals(slots: &[Slot]) -> usize {
    slots
        .iter()
        .filter(|s| s.content == Content::Original)
        .count()
}

#[track_caller]
fn assert_exact(slots: &[Slot], output: (u64, u64), base: u64) {
    for (n, slot) in slots.iter().enumerate() {
        let exact = n as f64 * output.1 as f64 / output.0 as f64;
        let error = (slot.pts - base) as f64 / 1e9 - exact;
        assert!(error.abs() < 1.5e-9, "slot {n} off by {error} s");
        assert_eq!(slot.offset, n as u64);
        let next = base + rate(output.0, output.1).time(n as u64 + 1);
        assert_eq!(slot.pts + slot.duration.unwrap(), next);
    }
}

#[test]
fn doubling_gives_every_frame_one_partner() {
    let slots = run(&mut fixed((30, 1), (60, 1)), (30, 1), 0, 4);
    let contents: Vec<_> = slots.iter().map(|s| s.content).collect();
    let (original, half) = (Content::Original, Content::Between(0.5));
    assert_eq!(
        contents,
        [
            original,
            half,
            original,
            half,
            original,
            half,
            original,
            Content::Repeat
        ]
    );
    assert_exact(&slots, (60, 1), 0);
}

#[test]
fn film_to_sixty_is_exact_over_ten_thousand_frames() {
    let slots = run(&mut fixed((24, 1), (60, 1)), (24, 1), 0, 10_000);
    assert_eq!(slots.len(), 25_000);
    assert_eq!(originals(&slots), 5_000);
    assert_exact(&slots, (60, 1), 0);
    let phases: Vec<_> = slots[..6].iter().map(|s| s.content).collect();
    assert_eq!(
        phases[1..5],
        [0.4, 0.8, 0.2, 0.6].map(Content::Between),
        "the phases of 24 to 60 repeat every two frames"
    );
    assert_eq!(phases[5], Content::Original);
}

#[test]
fn ntsc_doubling_is_exact_from_any_base() {
    let base = 3_600 * SECOND + 7;
    let rates = ((30_000, 1001), (60_000, 1001));
    let slots = run(&mut fixed(rates.0, rates.1), rates.0, base, 10_000);
    assert_eq!(slots.len(), 20_000);
    assert_eq!(originals(&slots), 10_000);
    assert_exact(&slots, rates.1, base);
}

#[test]
fn a_million_frames_do_not_drift() {
    let mut timeline = fixed((24_000, 1001), (60, 1));
    let mut last = None;
    for k in 0..1_000_000 {
        let pts = rate(24_000, 1001).time(k);
        let step = timeline.advance(Some(pts), None).unwrap();
        last = step.before.chain(step.original).last().or(last);
    }
    let last = last.unwrap();
    assert_eq!(last.pts, rate(60, 1).time(last.offset));
    let end = rate(24_000, 1001).time(999_999);
    assert!(last.pts <= end && end - last.pts < SECOND / 60);
}

#[test]
fn ntsc_film_at_sixty_is_exact_for_half_an_hour() {
    // Slot n lies at n/60 s, frame k at k * 1001/24000 s: 400 n - 1001 k of a frame's 1001 parts in.
    let frames = 30 * 60 * 24_000 / 1001;
    let mut timeline = fixed((24_000, 1001), (60, 1));
    let mut n = 0;
    for k in 0..frames {
        let pts = rate(24_000, 1001).time(k);
        let step = timeline.advance(Some(pts), None).unwrap();
        for slot in step.before.chain(step.original) {
            assert_eq!(
                (slot.offset, slot.pts),
                (n, rate(60, 1).time(n)),
                "no drift"
            );
            assert_eq!(slot.pts + slot.duration.unwrap(), rate(60, 1).time(n + 1));
            match slot.content {
                Content::Original => assert_eq!(400 * n, 1001 * k),
                Content::Between(phase) => {
                    let parts = 400 * n - 1001 * (k - 1);
                    // A frame lasts 41.7 ms: a phase this near is off by less than a nanosecond.
                    assert!(
                        (phase - parts as f64 / 1001.0).abs() < 1e-12,
                        "{n}: {phase}"
                    );
                }
                Content::Repeat => panic!("slot {n} repeats"),
            }
            n += 1;
        }
    }
    assert_eq!(n, 1 + (frames - 1) * 1001 / 400);
}

#[test]
fn millisecond_timestamps_do_not_disturb_a_declared_rate() {
    let mut timeline = fixed((30, 1), (60, 1));
    let mut slots = Vec::new();
    for k in 0..100u64 {
        let pts = (k * 1000 + 15) / 30 * 1_000_000;
        let step = timeline.advance(Some(pts), None).unwrap();
        slots.extend(step.before.chain(step.original));
    }
    assert_exact(&slots, (60, 1), 0);
    assert_eq!(originals(&slots), 100);
}

#[test]
fn a_missing_frame_is_bridged_on_the_grid() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.advance(Some(0), None).unwrap();
    let step = timeline.advance(Some(2 * SECOND / 30), None).unwrap();
    let contents: Vec<_> = step.before.map(|s| s.content).collect();
    assert_eq!(contents, [0.25, 0.5, 0.75].map(Content::Between));
    assert_eq!(step.original.unwrap().offset, 4);
}

#[test]
fn timestamps_that_go_back_are_refused() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.advance(Some(SECOND), None).unwrap();
    for pts in [SECOND, 0] {
        let refused = timeline.advance(Some(pts), None).unwrap_err();
        assert_eq!(refused, TimelineError::NotLater(SECOND));
    }
    assert!(timeline.advance(Some(SECOND + SECOND / 30), None).is_ok());
}

#[test]
fn a_missing_timestamp_follows_the_frame_before() {
    let mut timeline = fixed((25, 1), (50, 1));
    timeline.advance(Some(0), None).unwrap();
    let step = timeline.advance(None, None).unwrap();
    assert_eq!(step.original.unwrap().pts, SECOND / 25);
}

#[test]
fn frames_that_do_not_keep_the_declared_rate_are_taken_as_they_come() {
    // A telephone's video: 27.7 a second on the whole, 15 at first and 30 then.
    let mut timeline = fixed((277, 10), (277, 5));
    let slow = (0..8).map(|k| k * 66_700_000);
    let fast = (0..100).map(|k| 600_000_000 + k * 33_300_000);
    let mut last = 0;
    for pts in slow.chain(fast) {
        let step = timeline.advance(Some(pts), None).unwrap();
        for slot in step.before.chain(step.original) {
            last = slot.pts;
        }
        // What has left reaches up to this frame, and no further: nothing drifts.
        assert!(last.abs_diff(pts) <= SECOND / 50, "{last} at {pts}");
    }
}

#[test]
fn drift_against_the_declared_rate_is_noticed() {
    // 29 declared as 30: no clock is that wrong. After half a frame the timestamps count.
    let mut timeline = fixed((30, 1), (60, 1));
    let mut last = 0;
    for k in 0..20_000 {
        let pts = rate(29, 1).time(k);
        let step = timeline.advance(Some(pts), None).unwrap();
        last = step
            .before
            .chain(step.original)
            .last()
            .map_or(last, |s| s.pts);
        assert!(last.abs_diff(pts) <= SECOND / 55, "{last} at {pts}");
    }
}

#[test]
fn variable_rate_takes_phases_from_real_times() {
    let mut timeline = Timeline::new(None, OutputRate::Fixed(rate(50, 1)), GAP);
    timeline.advance(Some(0), None).unwrap();
    let step = timeline.advance(Some(50_000_000), None).unwrap();
    let before: Vec<_> = step.before.map(|s| (s.pts, s.content)).collect();
    assert_eq!(
        before,
        [
            (20_000_000, Content::Between(0.4)),
            (40_000_000, Content::Between(0.8))
        ]
    );
    assert!(step.original.is_none());
}

#[test]
fn variable_rate_frames_near_a_slot_take_it() {
    let mut timeline = Timeline::new(None, OutputRate::Fixed(rate(60, 1)), GAP);
    timeline.advance(Some(0), None).unwrap();
    for ms in [33, 67, 100] {
        let step = timeline.advance(Some(ms * 1_000_000), None).unwrap();
        assert_eq!(step.before.count(), 1);
        assert!(step.original.is_some(), "at {ms} ms");
    }
}

#[test]
fn variable_to_variable_multiplies_each_interval() {
    let mut timeline = Timeline::new(None, OutputRate::Multiple(4), GAP);
    let first = timeline.advance(Some(10), Some(40)).unwrap();
    assert_eq!(first.original.unwrap().duration, Some(10));
    let step = timeline.advance(Some(90), Some(40)).unwrap();
    let before: Vec<_> = step.before.map(|s| (s.pts, s.content, s.offset)).collect();
    assert_eq!(
        before,
        [
            (30, Content::Between(0.25), 1),
            (50, Content::Between(0.5), 2),
            (70, Content::Between(0.75), 3)
        ]
    );
    let own = step.original.unwrap();
    assert_eq!((own.pts, own.offset), (90, 4));
    let tail: Vec<_> = timeline.drain(None).map(|s| s.pts).collect();
    assert_eq!(tail, [100, 110, 120]);
}

#[test]
fn a_drain_stops_at_the_segment_end_and_happens_once() {
    let mut timeline = fixed((1, 1), (4, 1));
    timeline.advance(Some(0), None).unwrap();
    assert_eq!(timeline.drain(Some(SECOND / 2)).count(), 1);
    assert_eq!(timeline.drain(None).count(), 0);
    let step = timeline.advance(Some(SECOND), None).unwrap();
    assert_eq!(step.before.count(), 0, "a drained frame has no partner");
    assert_eq!(step.original.unwrap().pts, SECOND);
}

#[test]
fn a_new_rate_holds_from_the_next_pair_on() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.advance(Some(0), None).unwrap();
    timeline.advance(Some(SECOND / 30), None).unwrap();
    timeline.retarget(Some(rate(30, 1)), OutputRate::Fixed(rate(120, 1)));
    let step = timeline.advance(Some(2 * SECOND / 30), None).unwrap();
    let before: Vec<_> = step.before.map(|s| s.content).collect();
    assert_eq!(before, [0.25, 0.5, 0.75].map(Content::Between));
    let own = step.original.unwrap();
    assert!(own.pts.abs_diff(2 * SECOND / 30) <= 1, "{}", own.pts);
}

#[test]
fn a_frame_that_comes_sooner_than_the_one_before_said_is_not_lost() {
    // The first lasts 40 ms, by its own account, and is shown for as long at the end.
    let shown_twice = |mut timeline: Timeline, change: fn(&mut Timeline)| {
        timeline.advance(Some(0), Some(SECOND / 25)).unwrap();
        let tail: Vec<_> = timeline.drain(None).map(|slot| slot.pts).collect();
        assert_eq!(tail.last(), Some(&(SECOND / 50)));
        change(&mut timeline);
        let step = timeline.advance(Some(SECOND / 60), None).unwrap();
        let own = step.original.unwrap().pts;
        assert_eq!(own, SECOND / 50 + 1, "as soon as there is room");
        let back = timeline.advance(Some(SECOND / 61), None);
        assert_eq!(back.unwrap_err(), TimelineError::NotLater(SECOND / 60));
    };
    let variable = || Timeline::new(None, OutputRate::Multiple(2), SECOND);
    shown_twice(variable(), |_| {});
    shown_twice(variable(), Timeline::start_new_grid);
    shown_twice(variable(), |timeline| {
        timeline.retarget(Some(rate(30, 1)), OutputRate::Fixed(rate(60, 1)));
    });
}

#[test]
fn a_last_frame_of_any_length_fills_ten_minutes_at_most() {
    for (duration, filled) in [(5 * SECOND, 299), (u64::MAX - 1, 600 * 60 - 1)] {
        let mut timeline = Timeline::new(None, OutputRate::Fixed(rate(60, 1)), SECOND);
        timeline.advance(Some(0), Some(duration)).unwrap();
        assert_eq!(timeline.drain(None).count(), filled);
    }
}

#[test]
fn a_clock_that_is_a_little_off_is_followed() {
    // A camera's 29.997 frames a second, declared as 30: every frame keeps a slot of its own.
    let mut timeline = fixed((30, 1), (60, 1));
    for k in 0..3000 {
        let pts = k * 33_336_667;
        let step = timeline.advance(Some(pts), None).unwrap();
        assert!(k == 0 || step.before.count() == 1);
        let own = step.original.expect("every frame has a slot");
        assert!(own.pts.abs_diff(pts) < 3_000_000, "{} at {pts}", own.pts);
    }
}

/// Feeds frames at these times at a declared rate, doubled: the times their slots got. Every frame
/// has a slot of its own, and slots follow each other evenly, give or take what a grid may glide.
fn doubled(declared: (u64, u64), times: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut timeline = fixed(declared, (2 * declared.0, declared.1));
    let frame = rate(declared.0, declared.1).time(1);
    let mut slots: Vec<Slot> = Vec::new();
    let mut own = Vec::new();
    for pts in times {
        let step = timeline.advance(Some(pts), None).unwrap();
        own.push(step.original.expect("a slot of its own").pts);
        slots.extend(step.before.chain(step.original));
    }
    for pair in slots.windows(2) {
        let after = pair[1].pts - pair[0].pts;
        assert!(after.abs_diff(frame / 2) <= frame / 256 + 1, "{pair:?}");
        assert_eq!(pair[1].offset, pair[0].offset + 1);
    }
    own
}

proptest! {
    /// Frames that are rounded, down, up or to the nearest, lie where the rate says to the
    /// nanosecond.
    #[test]
    fn rounded_timestamps_leave_no_trace(
        (num, den) in prop::sample::select(vec![(24, 1), (24_000, 1001), (25, 1), (30_000, 1001), (50, 1), (60_000, 1001), (120, 1)]),
        unit in prop::sample::select(vec![1u64, 11_111, 1_000_000]),
        add in 0u64..1_000_000,
        base in 0u64..1_000_000_000_000,
    ) {
        let round = |t: u64| (t + add % unit) / unit * unit;
        let times = (0..400).map(|k| round(base + rate(num, den).time(k)));
        let first = round(base);
        for (k, own) in doubled((num, den), times).into_iter().enumerate() {
            prop_assert_eq!(own, first + rate(2 * num, den).time(2 * k as u64));
        }
    }

    /// A first frame that is off its place, and jitter, are made up for: frames leave when they
    /// came on the whole.
    #[test]
    fn a_grid_settles_where_the_frames_are(
        num in prop::sample::select(vec![24u64, 30, 60]),
        off in -0.45f64..0.45,
        jitter in prop::collection::vec(-0.04f64..0.04, 900),
    ) {
        let frame = rate(num, 1).time(1);
        let part = |part: f64| (part * frame as f64) as i64;
        let regular = |k: usize| SECOND + rate(num, 1).time(k as u64);
        let times = jitter.iter().enumerate().map(|(k, jitter)| {
            let moved = if k == 0 { part(off) } else { part(*jitter) };
            regular(k).saturating_add_signed(moved)
        });
        let own = doubled((num, 1), times);
        let slack = (frame / 16).max(1_000_000) + frame / 50;
        for (k, own) in own.into_iter().enumerate().skip(600) {
            prop_assert!(own.abs_diff(regular(k)) <= slack, "{k}: {own} for {}", regular(k));
        }
    }

    /// Whatever comes in, what goes out is in order, never overlaps, and is bounded by the time
    /// that passed.
    #[test]
    fn output_is_monotonic_for_any_input(
        input in prop::option::of((1u64..240, 1u64..1002)),
        output in prop::option::of((1u64..240, 1u64..1002)),
        multiple in 1u32..=64,
        times in prop::collection::vec((prop::option::of(0u64..20_000_000), prop::option::of(0u64..100_000), 0u8..20), 1..60),
    ) {
        let target = output.map_or(OutputRate::Multiple(multiple), |(n, d)| OutputRate::Fixed(rate(n, d)));
        let input = input.map(|(n, d)| rate(n, d));
        let mut timeline = Timeline::new(input, target, GAP);
        let mut last: Option<u64> = None;
        for (pts, duration, action) in times {
            // Microseconds: sixty-four slots have room between any two.
            let (pts, duration) = (pts.map(|t| t * 1000), duration.map(|t| t * 1000));
            // Time begins anew where a timestamp goes back by far.
            let latest = timeline.newest.map(|newest| newest.pts).or(timeline.last_pts_of_old_grid);
            let jumps = |pts: u64| latest.is_some_and(|latest| latest > pts + LONGEST_STEP_BACK);
            let anew = pts.is_some_and(jumps);
            let mut slots = Vec::new();
            match action {
                0 => slots.extend(timeline.drain(pts).take(10_000)),
                1 => timeline.retarget(input, OutputRate::Multiple(multiple)),
                2 => timeline.retarget(input, OutputRate::Fixed(rate(60, 1))),
                // New caps.
                3 => {
                    slots.extend(timeline.drain(None).take(10_000));
                    timeline.retarget(Some(rate(25, 1)), OutputRate::Fixed(rate(50, 1)));
                }
                4 => {
                    slots.extend(timeline.drain(None).take(10_000));
                    timeline.retarget(None, target);
                }
                _ => if let Ok(step) = timeline.advance(pts, duration) {
                    slots.extend(step.before.take(100_000));
                    slots.extend(step.original);
                },
            }
            for slot in slots {
                let anew = anew && slot.discont;
                prop_assert!(anew || last.is_none_or(|l| slot.pts > l), "{last:?} then {slot:?}");
                if let Content::Between(phase) = slot.content {
                    prop_assert!(phase > 0.0 && phase < 1.0, "{slot:?}");
                }
                last = Some(slot.pts);
            }
        }
    }
}
