//! From when the input's frames are shown to what is made of them, and in which segments.
//!
//! Pure arithmetic. A segment is made by a run of its own, so that one made after a kill is the one
//! that would have been made without. Each begins with a run-in, frames that are looked at and not
//! kept, at a frame that lies on the output's grid: the frames behind it are then those of a run
//! without a border.

use std::ops::Range;

use crate::rate::{Rate, Wanted};
use crate::survey::{Survey, place};

/// Frames of the input that are looked at before a segment begins.
const RUN_IN: usize = 8;

/// A slot's share that a frame may lie beside it and still be the slot's.
const SNAP: u64 = 8;

/// Most that a time is off by because it was rounded down to ns, with room.
const ROUNDED: u64 = 1000;

/// The element's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Fixed(gst::Fraction),
    Times(u32),
}

/// Beginning of a run that does not begin with the input's first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The frame that decoding begins with.
    pub(crate) key: u64,
    /// The first frame that is looked at.
    pub(crate) frame: u64,
    /// The time that frame is given, for the output's grid to begin there.
    pub(crate) anchor: u64,
}

/// A part of the output, made by a run of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) entry: Option<Entry>,
    /// Times of the input whose frames are kept.
    pub(crate) range: Range<u64>,
}

/// All that is to be done with the frames of an input.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// The rate the frames are said to have before they reach the element, if another than theirs.
    pub(crate) declared: Option<gst::Fraction>,
    /// The rate the frames are said to have behind it, if another than the element's.
    pub(crate) shown: Option<gst::Fraction>,
    /// Length of the output, as a multiple.
    pub(crate) slow: gst::Fraction,
    /// First frame's time, where the output's grid begins.
    base: Option<u64>,
    /// Time of the input that is the output's beginning.
    pub(crate) origin: u64,
    pub(crate) segments: Vec<Segment>,
    /// Frames the output will have, nearly.
    pub(crate) expected: u64,
}

/// Limits on what is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    /// Length of a segment in ns; none for a single one.
    pub(crate) segment: Option<u64>,
    /// Each frame that comes is two fields, shown one after another.
    pub(crate) is_interlaced: bool,
    /// A rate that is fixed even if the input's is not.
    pub(crate) is_fixed: bool,
}

/// Plans what becomes of an input.
pub(crate) fn plan(survey: &Survey, wanted: Wanted, limits: &Limits) -> Plan {
    let shown_twice = if limits.is_interlaced { 2 } else { 1 };
    let rate = survey.rate.map(|rate| rate * shown_twice);
    let (target, shown, slow) = target(wanted, rate, mean(survey), limits.is_fixed);
    let limits = &Limits {
        from: limits.from.saturating_sub(ROUNDED),
        to: limits.to.map(|to| to.saturating_sub(ROUNDED)),
        ..*limits
    };
    let to = limits.to.unwrap_or(u64::MAX);
    let first = survey.times.partition_point(|time| *time < limits.from);
    let base = survey.times.get(first).copied();
    let range = limits.from..to;
    let declared = match survey.rate {
        Some(rate) => Some(rate),
        None if limits.is_interlaced || survey.times.is_empty() => None,
        None => Some(gst::Fraction::new(0, 1)),
    };
    let grid = Grid { target, base };
    let segments = segments(survey, limits, &grid, range, first);
    let used = to
        .min(survey.end)
        .saturating_sub(base.unwrap_or(limits.from));
    let expected = match target {
        Target::Fixed(rate) => slots(used, rate),
        Target::Times(times) => {
            let last = survey.times.partition_point(|time| *time < to);
            let frames = match survey.times.is_empty() {
                true => survey.frames,
                false => last.saturating_sub(first) as u64,
            };
            frames * u64::from(times) * shown_twice as u64
        }
    };
    Plan {
        target,
        declared,
        shown,
        slow,
        base,
        origin: if limits.from > 0 {
            base.unwrap_or(limits.from)
        } else {
            0
        },
        segments,
        expected,
    }
}

/// Returns the mean rate of frames that keep to none.
fn mean(survey: &Survey) -> Option<gst::Fraction> {
    let (first, last) = (survey.times.first()?, survey.times.last()?);
    let mean = (last - first).checked_div(survey.times.len() as u64 - 1)?;
    let thousandths = 1_000_000_000_000u64.checked_div(mean)?;
    i32::try_from(thousandths)
        .ok()
        .filter(|t| *t > 0)
        .map(|t| gst::Fraction::new(t, 1000))
}

fn target(
    wanted: Wanted,
    rate: Option<gst::Fraction>,
    mean: Option<gst::Fraction>,
    is_fixed: bool,
) -> (Target, Option<gst::Fraction>, gst::Fraction) {
    let once = gst::Fraction::new(1, 1);
    let any = rate.or(mean);
    match wanted {
        Wanted::Rate(Rate::Fixed(rate)) => (Target::Fixed(rate), None, once),
        Wanted::Rate(Rate::Times(times)) => match any.filter(|_| is_fixed) {
            Some(rate) => (Target::Fixed(rate * times as i32), None, once),
            None => (Target::Times(times), None, once),
        },
        Wanted::Slow(slow) => match (rate, any) {
            (Some(rate), _) => (Target::Fixed(rate * slow), Some(rate), slow),
            (None, _) if slow.denom() == 1 && !is_fixed => {
                (Target::Times(slow.numer() as u32), None, slow)
            }
            (None, Some(mean)) => (Target::Fixed(mean * slow), Some(mean), slow),
            (None, None) => (
                Target::Times((slow.numer() as u32).div_ceil(slow.denom() as u32)),
                None,
                slow,
            ),
        },
    }
}

/// Returns how many slots of a rate begin within `length` ns.
fn slots(length: u64, rate: gst::Fraction) -> u64 {
    let unit = u128::from(rate.denom() as u32) * 1_000_000_000;
    (u128::from(length) * u128::from(rate.numer() as u32)).div_ceil(unit) as u64
}

/// Places of frames of the output.
#[derive(Debug, Clone, Copy)]
struct Grid {
    target: Target,
    base: Option<u64>,
}

impl Grid {
    /// Returns the number and the time of the slot nearest to a time.
    fn nearest(&self, time: u64) -> Option<(u64, u64)> {
        let (Target::Fixed(rate), Some(base)) = (self.target, self.base) else {
            return None;
        };
        let since = time.checked_sub(base)?;
        let after = slots(since, rate);
        let at = |slot: u64| place(slot, rate);
        let slot = match after.checked_sub(1) {
            Some(before) if since - at(before) < at(after).abs_diff(since) => before,
            _ => after,
        };
        Some((slot, base + at(slot)))
    }

    /// Returns the first time from which frames leave, at or after `time`.
    fn begin(&self, time: u64) -> u64 {
        match (self.target, self.base) {
            (Target::Fixed(rate), Some(base)) => {
                base + place(slots(time.saturating_sub(base), rate), rate)
            }
            _ => time,
        }
    }

    /// Returns the time of the last slot at or before `time`.
    fn anchor(&self, time: u64) -> u64 {
        match (self.target, self.base) {
            (Target::Fixed(rate), Some(base)) => {
                let after = slots(time.saturating_sub(base).saturating_add(1), rate);
                base + place(after.saturating_sub(1), rate)
            }
            _ => time,
        }
    }
}

/// Returns after how many frames one lies on a slot again.
fn period(survey: &Survey, target: Target) -> Option<usize> {
    let (Some(rate), Target::Fixed(target)) = (survey.rate, target) else {
        return Some(1);
    };
    let wide = |n: i32| u64::from(n.unsigned_abs());
    let frames = wide(rate.numer()) * wide(target.denom());
    let slots = wide(rate.denom()) * wide(target.numer());
    let (mut a, mut b) = (frames, slots);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    usize::try_from(frames.checked_div(a)?).ok()
}

fn segments(
    survey: &Survey,
    limits: &Limits,
    grid: &Grid,
    range: Range<u64>,
    first: usize,
) -> Vec<Segment> {
    let times = &survey.times;
    let entry = |frame: usize, anchor: u64| {
        let frame = times.get(frame).copied()?;
        let before = survey.keys.partition_point(|key| *key <= frame);
        let key = before.checked_sub(1).and_then(|last| survey.keys.get(last));
        Some(Entry {
            key: key.copied().filter(|_| survey.is_seekable).unwrap_or(0),
            frame,
            anchor,
        })
    };
    let opening = match (limits.from, grid.base) {
        (0, _) => None,
        (_, Some(base)) => entry(first, base),
        (from, None) => Some(Entry {
            key: 0,
            frame: from,
            anchor: from,
        }),
    };
    let mut segments = vec![Segment {
        entry: opening,
        range: range.clone(),
    }];
    let last = times.partition_point(|time| *time < range.end);
    let can_split = survey.is_seekable && (survey.rate.is_some() || !limits.is_interlaced);
    let length = limits.segment.filter(|_| can_split).and_then(|length| {
        let period = period(survey, grid.target)?;
        let span = times.last()?.checked_sub(*times.first()?)?;
        let mean = span.checked_div(times.len() as u64 - 1)?.max(1);
        let frames = usize::try_from(length.div_ceil(mean)).ok()?.max(RUN_IN);
        Some(frames.next_multiple_of(period))
    });
    let Some(length) = length else {
        return segments;
    };
    let mut frame = first + length;
    while frame + RUN_IN + length / 2 < last {
        let on_grid = grid.nearest(times[frame]).filter(|_| survey.rate.is_some());
        let anchor = on_grid.map_or_else(|| grid.anchor(times[frame]), |(_, time)| time);
        let begin = grid.begin(times[frame + RUN_IN]);
        if let Some(before) = segments
            .last_mut()
            .filter(|before| before.range.start < begin)
        {
            before.range.end = begin;
            segments.push(Segment {
                entry: entry(frame, anchor),
                range: begin..range.end,
            });
        }
        frame += length;
    }
    segments
}

impl Plan {
    /// Returns the exact time of a frame that the element gave, on the input's time line.
    pub(crate) fn exact(&self, pts: u64) -> u64 {
        let grid = Grid {
            target: self.target,
            base: self.base,
        };
        let Target::Fixed(rate) = self.target else {
            return pts;
        };
        match grid.nearest(pts) {
            Some((_, time)) if time.abs_diff(pts) <= place(1, rate) / SNAP => time,
            _ => pts,
        }
    }

    /// Returns when a frame is shown in the output.
    pub(crate) fn shown_at(&self, time: u64) -> u64 {
        self.stretched(time.saturating_sub(self.origin))
    }

    /// Returns how long the output takes for a time of the input.
    pub(crate) fn stretched(&self, time: u64) -> u64 {
        let (numer, denom) = (self.slow.numer() as u128, self.slow.denom() as u128);
        (u128::from(time) * numer / denom) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn fraction(numer: i32, denom: i32) -> gst::Fraction {
        gst::Fraction::new(numer, denom)
    }

    fn regular(rate: gst::Fraction, frames: u64) -> Survey {
        let times: Vec<u64> = (0..frames).map(|n| place(n, rate)).collect();
        Survey {
            keys: times.iter().copied().step_by(12).collect(),
            frames,
            end: place(frames, rate),
            rate: Some(rate),
            is_seekable: true,
            times,
            ..Survey::default()
        }
    }

    fn limits(segment: u64) -> Limits {
        Limits {
            from: 0,
            to: None,
            segment: Some(segment),
            is_interlaced: false,
            is_fixed: false,
        }
    }

    fn fps(numer: i32, denom: i32) -> Wanted {
        Wanted::Rate(Rate::Fixed(fraction(numer, denom)))
    }

    #[test]
    fn segments_touch_and_each_is_entered_on_the_outputs_grid() {
        for (input, output) in [
            (fraction(24, 1), fraction(60, 1)),
            (fraction(24000, 1001), fraction(60, 1)),
            (fraction(25, 1), fraction(60, 1)),
            (fraction(30000, 1001), fraction(60000, 1001)),
        ] {
            let survey = regular(input, 2000);
            let plan = plan(
                &survey,
                fps(output.numer(), output.denom()),
                &limits(2 * SECOND),
            );
            assert!(plan.segments.len() > 3, "{input:?}");
            for pair in plan.segments.windows(2) {
                let [before, after] = pair else { panic!() };
                assert_eq!(before.range.end, after.range.start);
                let entry = after.entry.unwrap();
                assert!(entry.anchor.abs_diff(entry.frame) <= 1, "{entry:?}");
                assert!(entry.key <= entry.frame && entry.frame < after.range.start);
                assert_eq!(plan.exact(after.range.start), after.range.start);
            }
            assert_eq!(plan.segments.last().unwrap().range.end, u64::MAX);
        }
    }

    #[test]
    fn a_frame_off_the_grid_is_given_a_time_on_it() {
        let mut survey = regular(fraction(30, 1), 600);
        survey.rate = None;
        for time in &mut survey.times[1..] {
            *time += *time % 7_000_000;
        }
        survey.keys = survey.times.clone();
        let plan = plan(&survey, fps(60, 1), &limits(2 * SECOND));
        assert!(plan.segments.len() > 3);
        for segment in &plan.segments[1..] {
            let entry = segment.entry.unwrap();
            assert_eq!(plan.exact(entry.anchor), entry.anchor);
            assert!(entry.anchor <= entry.frame && entry.frame - entry.anchor < SECOND / 60);
        }
    }

    #[test]
    fn slow_motion_keeps_the_rate_and_stretches_time() {
        let survey = regular(fraction(24000, 1001), 48);
        let plan = plan(&survey, Wanted::Slow(fraction(5, 2)), &limits(SECOND * 10));
        assert_eq!(plan.target, Target::Fixed(fraction(60000, 1001)));
        assert_eq!(plan.shown, Some(fraction(24000, 1001)));
        assert_eq!(plan.expected, 120);
        assert_eq!(plan.shown_at(SECOND), 2_500_000_000);
    }

    #[test]
    fn slow_motion_of_fields_goes_by_the_rate_of_fields() {
        let survey = regular(fraction(25, 1), 50);
        let limits = Limits {
            is_interlaced: true,
            ..limits(SECOND * 10)
        };
        let plan = plan(&survey, Wanted::Slow(fraction(2, 1)), &limits);
        assert_eq!(
            (plan.target, plan.shown),
            (Target::Fixed(fraction(100, 1)), Some(fraction(50, 1)))
        );
    }

    #[test]
    fn a_range_is_cut_to_the_frame() {
        let survey = regular(fraction(30, 1), 300);
        let limits = Limits {
            from: 2_010_000_000,
            to: Some(4 * SECOND),
            ..limits(60 * SECOND)
        };
        let plan = plan(&survey, fps(60, 1), &limits);
        let entry = plan.segments[0].entry.unwrap();
        assert_eq!(entry.frame, place(61, fraction(30, 1)));
        assert_eq!((entry.anchor, plan.origin), (entry.frame, entry.frame));
        assert_eq!(plan.expected, 118);
        assert_eq!(plan.segments[0].range.end, 4 * SECOND - ROUNDED);
    }

    #[test]
    fn what_cannot_be_entered_midway_is_one_segment() {
        let mut survey = regular(fraction(30, 1), 900);
        survey.is_seekable = false;
        assert_eq!(plan(&survey, fps(60, 1), &limits(SECOND)).segments.len(), 1);
    }
}
