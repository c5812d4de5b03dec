use proptest::prelude::*;

use super::super::*;
use super::{GAP, fixed, rate};

/// Frames at these times: what leaves, and what was said of holes.
fn walk(timeline: &mut Timeline, times: &[u64]) -> (Vec<Slot>, Vec<Option<u64>>) {
    let (mut slots, mut holes) = (Vec::new(), Vec::new());
    for pts in times {
        let step = timeline.advance(Some(*pts), None).unwrap();
        holes.push(step.too_long);
        slots.extend(step.before);
        slots.extend(step.original);
    }
    (slots, holes)
}

/// Returns whether slots are those of a rate from the first one on, without a hole.
fn is_whole(slots: &[Slot], output: Rate) -> bool {
    let expected = (0..).map(|n| slots[0].pts + output.time(n));
    slots
        .iter()
        .map(|slot| slot.pts)
        .zip(expected)
        .all(|(pts, exact)| pts == exact)
}

fn disconts(slots: &[Slot]) -> usize {
    slots.iter().filter(|slot| slot.discont).count()
}

#[test]
fn a_hole_of_a_fixed_rate_is_filled_with_the_frame_before_it() {
    let mut timeline = fixed((30, 1), (60, 1));
    let (slots, holes) = walk(&mut timeline, &[0, 5 * SECOND]);
    assert_eq!(slots.len(), 301);
    assert!(is_whole(&slots, rate(60, 1)));
    let between = &slots[1..300];
    assert!(between.iter().all(|slot| slot.content == Content::Repeat));
    assert_eq!((disconts(&slots), holes), (1, vec![None, None]));
}

#[test]
fn a_hole_of_a_varying_source_is_filled_where_the_output_is_fixed() {
    let mut timeline = Timeline::new(None, OutputRate::Fixed(rate(50, 1)), SECOND / 10);
    let (slots, _) = walk(&mut timeline, &[0, SECOND]);
    assert_eq!((slots.len(), disconts(&slots)), (51, 1));
    assert_eq!(slots[49].content, Content::Repeat);
}

#[test]
fn a_frame_behind_a_hole_does_not_last_as_long_as_that() {
    let mut timeline = Timeline::new(None, OutputRate::Fixed(rate(50, 1)), SECOND / 10);
    walk(&mut timeline, &[0, SECOND / 25, 3 * SECOND]);
    assert_eq!(timeline.drain(None).count(), 0);
}

#[test]
fn a_hole_of_a_varying_rate_stays_one() {
    let mut timeline = Timeline::new(None, OutputRate::Multiple(2), SECOND / 10);
    timeline.advance(Some(0), Some(SECOND / 25)).unwrap();
    let step = timeline.advance(Some(SECOND), Some(SECOND / 25)).unwrap();
    let before: Vec<_> = step.before.map(|slot| (slot.pts, slot.content)).collect();
    assert_eq!(before, [(SECOND / 50, Content::Repeat)], "its own time");
    assert!(step.original.unwrap().discont);
    assert_eq!(step.too_long, None);
}

#[test]
fn a_live_source_s_hole_stays_one() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.set_limits(GAP, false);
    let (slots, holes) = walk(&mut timeline, &[0, 5 * SECOND]);
    let times: Vec<_> = slots.iter().map(|slot| slot.pts).collect();
    assert_eq!(times, [0, SECOND / 60, 5 * SECOND]);
    assert_eq!((disconts(&slots), holes), (2, vec![None, None]));
    assert!(timeline.pause(6 * SECOND).is_none());
}

#[test]
fn a_hole_of_more_than_ten_minutes_is_told_and_left() {
    let mut timeline = fixed((30, 1), (60, 1));
    let (slots, holes) = walk(&mut timeline, &[0, LONGEST_FRAME]);
    assert_eq!((slots.len(), disconts(&slots)), (36_001, 1));
    assert_eq!(holes, [None, None]);
    let end = 2 * LONGEST_FRAME + 1;
    let (slots, holes) = walk(&mut timeline, &[end]);
    assert_eq!((slots.len(), disconts(&slots)), (2, 1));
    assert_eq!(holes, [Some(LONGEST_FRAME + 1)]);
}

#[test]
fn frames_as_far_apart_as_their_rate_says_are_a_pair() {
    let mut timeline = fixed((1, 2), (2, 1));
    // a container rounds, and a camera is not exact
    let (slots, _) = walk(&mut timeline, &[0, 2 * SECOND + 1_000_000, 4 * SECOND]);
    let made = |slot: &&Slot| matches!(slot.content, Content::Between(_));
    assert_eq!(slots.iter().filter(made).count(), 6);
    let (slots, _) = walk(&mut timeline, &[8 * SECOND]);
    assert!(
        slots[..7]
            .iter()
            .all(|slot| slot.content == Content::Repeat),
        "one is missing"
    );
}

#[test]
fn a_gap_is_filled_as_soon_as_it_is_told_and_what_follows_is_no_pair() {
    let mut timeline = fixed((30, 1), (60, 1));
    walk(&mut timeline, &[0]);
    let told: Vec<_> = timeline.pause(SECOND / 2).unwrap().collect();
    assert_eq!(told.len(), 29);
    let again: Vec<_> = timeline.pause(SECOND).unwrap().collect();
    assert_eq!(again.len(), 30);
    let (slots, _) = walk(&mut timeline, &[SECOND + SECOND / 30]);
    let contents: Vec<_> = slots.iter().map(|slot| slot.content).collect();
    let repeat = Content::Repeat;
    assert_eq!(contents, [repeat, repeat, Content::Original]);
    assert_eq!(disconts(&slots), 0);
}

#[test]
fn the_end_is_filled_up_to_the_segment_s_stop_or_for_a_second() {
    for (stop, frames) in [(SECOND / 2, 30), (SECOND, 60), (5 * SECOND, 63)] {
        let mut timeline = fixed((30, 1), (60, 1));
        timeline.set_segment(0, Some(stop));
        let (mut slots, _) = walk(&mut timeline, &[0, SECOND / 20]);
        slots.extend(timeline.end());
        assert_eq!(slots.len(), frames);
        assert_eq!(timeline.end().count(), 0);
    }
}

#[test]
fn the_end_of_a_varying_rate_is_what_its_last_frame_says() {
    let mut timeline = Timeline::new(None, OutputRate::Multiple(2), SECOND / 10);
    timeline.set_segment(0, Some(SECOND));
    timeline.advance(Some(0), Some(SECOND / 25)).unwrap();
    assert_eq!(timeline.end().count(), 1);
}

#[test]
fn a_gap_is_filled_up_to_the_segment_s_stop() {
    let mut timeline = fixed((30, 1), (60, 1));
    timeline.set_segment(0, Some(SECOND));
    walk(&mut timeline, &[0]);
    assert_eq!(timeline.pause(5 * SECOND).unwrap().count(), 59);
}

/// Returns whether a frame has a slot of its own that follows a gap after this one.
fn leaves_behind_a_gap(mut timeline: Timeline, first: u64, until: u64, next: u64) -> bool {
    timeline.advance(Some(first), None).unwrap();
    assert!(timeline.pause(until).unwrap().count() > 0);
    timeline
        .advance(Some(next), None)
        .unwrap()
        .original
        .is_some()
}

#[test]
fn a_gap_leaves_its_place_to_a_frame_whose_timestamp_is_rounded() {
    let timeline = || fixed((24, 1), (120, 1));
    let at = |frame: u64| 700_000 + rate(24, 1).time(frame);
    let rounded = |time: u64| time / 1_000_000 * 1_000_000;
    let (first, until) = (rounded(at(1)), at(4));
    assert!(leaves_behind_a_gap(
        timeline(),
        first,
        until,
        rounded(until)
    ));
    let varying = || Timeline::new(None, OutputRate::Fixed(rate(50, 1)), GAP);
    assert!(leaves_behind_a_gap(varying(), 0, 100_900_000, 100_000_000));
}

proptest! {
    /// Containers round timestamps to milliseconds, and not always what gaps say.
    #[test]
    fn frames_that_keep_to_their_rate_leave_behind_any_gap(
        input in prop::sample::select(&[(5, 1), (24_000, 1001), (24, 1), (25, 1), (60, 1), (120, 1)]),
        multiplier in 1u64..65,
        start in 0u64..1_000_000_000,
        frames in prop::collection::vec(1u64..4, 1..200),
    ) {
        let mut timeline = fixed(input, (input.0 * multiplier, input.1));
        let mut count = 0;
        for gap in frames {
            let at = |frame: u64| start + rate(input.0, input.1).time(frame);
            let rounded = at(count) / 1_000_000 * 1_000_000;
            let step = timeline.advance(Some(rounded), None).unwrap();
            prop_assert!(step.original.is_some(), "frame {count}");
            count += gap;
            if gap > 1 {
                let _filled = timeline.pause(at(count)).unwrap();
            }
        }
    }

    /// As many frames as videorate makes: one for each slot up to the last frame's.
    #[test]
    fn a_fixed_rate_is_whole_whatever_comes(
        apart in prop::collection::vec(1u64..20 * SECOND, 1..20),
        input in prop::option::of(1u64..60),
        output in 1u64..120,
        gaps in prop::collection::vec(any::<bool>(), 20),
    ) {
        let output = rate(output, 1);
        let input = input.map(|num| rate(num, 1));
        let mut timeline = Timeline::new(input, OutputRate::Fixed(output), GAP);
        let (mut slots, mut pts) = (Vec::new(), 0);
        for (apart, gap) in apart.into_iter().zip(gaps) {
            let (new, _) = walk(&mut timeline, &[pts]);
            slots.extend(new);
            if gap {
                slots.extend(timeline.pause(pts + apart / 2).unwrap());
            }
            pts += apart;
        }
        slots.extend(timeline.drain(None));
        // a grid that glides after its frames, or begins anew at them, moves its slots
        let frame = output.time(1);
        for pair in slots.windows(2) {
            prop_assert!(pair[1].pts - pair[0].pts <= frame + frame / 2, "{pair:?}");
        }
        prop_assert_eq!(disconts(&slots), 1);
    }
}
