//! The timeline, whatever comes in and is asked of it.

use arbitrary::{Arbitrary, Unstructured};

use super::{LONGEST_STEP_BACK, OutputRate, Timeline};
use crate::vfi_element::timing::grid::{Content, Rate, SECOND, Slot, Slots};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wanted {
    Fixed(u16, u16),
    Odd(u32, u32),
    Multiple(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Time {
    /// So many nanoseconds, thousands or millions after the last one.
    Later(u16, u8),
    Earlier(u16),
    Anything(u64),
    Missing,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Frame(Time, Time),
    Drain(Option<u64>),
    Reset,
    Retarget(Wanted),
    Limits(u64, bool),
    Pause(u64),
    End,
    /// The next frame is marked as one that continues nothing.
    Jump,
    Segment(u64, Option<u64>),
}

#[derive(Arbitrary, Debug)]
struct Case {
    input: Option<Wanted>,
    output: Wanted,
    max_gap: u64,
    actions: Vec<Action>,
}

/// More slots of a run are not walked.
const WALKED: u64 = 300;

fn rate(num: u64, den: u64) -> Option<Rate> {
    let part = |value: u64| i32::try_from(value % (1 << 31)).unwrap_or(0);
    Rate::from_caps(part(num), part(den))
}

impl Wanted {
    fn rate(self) -> Option<Rate> {
        match self {
            Self::Fixed(num, den) => rate(num.into(), den.into()),
            Self::Odd(num, den) => rate(num.into(), den.into()),
            Self::Multiple(_) => None,
        }
    }

    fn target(self) -> Option<OutputRate> {
        match self {
            Self::Multiple(m) => Some(OutputRate::Multiple(u32::from(m % 16) + 1)),
            other => other.rate().map(OutputRate::Fixed),
        }
    }
}

impl Time {
    fn after(self, last: u64) -> Option<u64> {
        match self {
            Self::Later(count, unit) => {
                let unit = 1000_u64.pow(u32::from(unit % 3));
                Some(last.saturating_add(u64::from(count) * unit))
            }
            Self::Earlier(count) => Some(last.saturating_sub(count.into())),
            Self::Anything(time) => Some(time),
            Self::Missing => None,
        }
        // what GStreamer calls "none" never comes in as a time
        .filter(|time| *time < u64::MAX)
    }
}

/// State of the rules that have to hold from one slot to the next.
struct Watch {
    /// Its count and its time.
    last: Option<(u64, u64)>,
    /// Where slot 0 of an exact grid lies: one that follows no declared rate.
    exact: Option<u64>,
    /// True after a frame was drained, perhaps for longer than until the next one: originals that have
    /// no room yet leave later than their slots say, until one leaves in time.
    drained: bool,
}

impl Watch {
    fn slot(&mut self, slot: &Slot, target: OutputRate) {
        if let Some((_, last)) = self.last {
            let saturated = last == u64::MAX && slot.pts == u64::MAX;
            assert!(slot.pts > last || saturated, "{last} and then {slot:?}");
        }
        if slot.discont {
            self.exact = Some(slot.pts);
        }
        if let (Some(base), OutputRate::Fixed(rate)) = (self.exact, target) {
            let place = base.saturating_add(rate.told_apart().time(slot.offset));
            let is_original = matches!(slot.content, Content::Original);
            if !(is_original && self.drained && slot.pts > place) {
                assert_eq!(slot.pts, place, "{slot:?}");
                self.drained &= !is_original || slot.discont;
            }
        }
        if let Content::Between(phase) = slot.content {
            assert!(phase > 0.0 && phase < 1.0, "{slot:?}");
        }
        self.last = Some((slot.offset, slot.pts));
    }

    /// Checks the first and last slots of a run, which may be long where gaps may be.
    fn slots(&mut self, slots: &Slots, target: OutputRate) {
        let run = slots.run.clone();
        let late = run.end.saturating_sub(WALKED).max(run.start);
        let early = Slots {
            run: run.start..late.min(run.start.saturating_add(WALKED)),
            ..slots.clone()
        };
        let late = Slots {
            run: late..run.end,
            ..slots.clone()
        };
        early.chain(late).for_each(|slot| self.slot(&slot, target));
    }
}

/// Slots that there may be within a time, at the least a part of the first and the last.
fn most(target: OutputRate, time: u64) -> u64 {
    match target {
        OutputRate::Fixed(rate) => {
            let slots = u128::from(time) * u128::from(rate.num)
                / (u128::from(rate.den) * u128::from(SECOND));
            u64::try_from(slots).unwrap_or(u64::MAX).saturating_add(2)
        }
        OutputRate::Multiple(m) => u64::from(m),
    }
}

/// Runs a timeline on events made of any bytes. Slots come in order and where the rate says, phases
/// lie between the two frames, and there are no more slots than the time that passed has room for.
pub fn fuzz_timeline(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let input = case.input.and_then(Wanted::rate);
    let Some(mut target) = case.output.target() else {
        return;
    };
    let mut timeline = Timeline::new(input, target, case.max_gap);
    let mut watch = Watch {
        last: None,
        exact: None,
        drained: false,
    };
    let mut last = 0;
    // originals that are clipped to a segment's stop leave before their slots
    let mut clips = false;
    let mut jump = false;
    for action in case.actions {
        match action {
            Action::Frame(pts, duration) => {
                let pts = pts.after(last);
                let duration = duration.after(0);
                let before = watch.last.map(|(_, time)| time);
                let latest = timeline
                    .newest
                    .map(|newest| newest.pts)
                    .or(timeline.last_pts_of_old_grid);
                let back = latest
                    .zip(pts)
                    .map_or(0, |(latest, pts)| latest.saturating_sub(pts));
                let jumps = std::mem::take(&mut jump);
                let Ok(step) = timeline.advance(pts, duration) else {
                    continue;
                };
                if input.is_some() || clips {
                    // such a grid may glide after its frames
                    watch.exact = None;
                }
                let count = step.before.run.end.saturating_sub(step.before.run.start);
                watch.slots(&step.before, target);
                if let Some(original) = &step.original {
                    if original.discont && (jumps || back > LONGEST_STEP_BACK) {
                        // time has begun anew, at the frame's own
                        watch.last = None;
                    }
                    watch.slot(original, target);
                    if original.discont {
                        // its own time begins the grid, also where it leaves later than that
                        watch.exact = pts;
                    }
                }
                if input.is_some() || clips {
                    watch.exact = None;
                }
                if let (Some(pts), Some(before)) =
                    (pts.filter(|pts| *pts >= latest.unwrap_or(last)), before)
                {
                    // a declared rate may place a frame half a frame later than its timestamp
                    let frame = input.map_or(0, |rate| rate.time(1));
                    let passed = pts.saturating_sub(before).saturating_add(frame);
                    let room = most(target, passed);
                    assert!(count <= room, "{count} slots in {passed} ns");
                }
                last = pts.unwrap_or(last);
            }
            Action::Drain(stop) => {
                watch.slots(&timeline.drain(stop), target);
                watch.drained = true;
            }
            Action::End => {
                watch.slots(&timeline.end(), target);
                watch.drained = true;
            }
            Action::Reset => {
                timeline.reset();
                watch.last = None;
                watch.exact = None;
            }
            Action::Retarget(wanted) => {
                if let Some(wanted) = wanted.target() {
                    timeline.retarget(input, wanted);
                    target = wanted;
                    watch.exact = None;
                    watch.drained = true;
                }
            }
            Action::Limits(gap, fills) => timeline.set_limits(gap, fills),
            Action::Pause(until) => {
                if let Some(slots) = timeline.pause(until) {
                    watch.slots(&slots, target);
                    watch.drained = true;
                }
            }
            Action::Jump => {
                timeline.expect_jump();
                jump = true;
            }
            Action::Segment(start, stop) => {
                timeline.set_segment(start, stop);
                clips = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn promises_hold_for_any_sequence(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            super::fuzz_timeline(&bytes);
        }
    }
}
