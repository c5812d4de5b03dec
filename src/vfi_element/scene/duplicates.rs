//! Duplicates in the source: how long they are held, and what is shown in their time. Pure.
//!
//! Of A A B B, the second A says nothing but that A lasts. It is held until it is known where A
//! leads to, and then the time of both is filled with motion from A to B, the second A's own slot
//! included. A run that does not move on within the bounds is no cadence but a still scene or slow
//! motion: all that is held leaves as it came, and in a still scene the frames that follow leave at
//! once.

use crate::vfi_element::timing::grid::{Content, FrameStep, Slot, inside};

/// The most duplicates of one frame that are held: enough for animation on fours, for film in 60 or
/// 50 fields a second, and for 15 frames in 60.
const MOST: usize = 3;

/// How long after the frame itself its last duplicate may come, in nanoseconds: three at 24 frames
/// a second, one at 10.
const LONGEST: u64 = 150_000_000;

/// Returns how much longer a frame may take, in nanoseconds, because duplicates are held; `frame`
/// is the distance of two input frames, 0 where that varies.
pub(in crate::vfi_element) fn delay(frame: u64) -> u64 {
    match LONGEST.checked_div(frame) {
        Some(frames) => frames.min(MOST as u64) * frame,
        None => LONGEST,
    }
}

/// Returns the most frames that are held beside the pair.
pub(in crate::vfi_element) const fn most() -> usize {
    MOST
}

/// The largest local difference of what may be a duplicate. Compression alone makes a repeated
/// frame differ by up to a twenty-fifth (x264 at crf 28), motion makes it several times as much.
const LIMIT: f64 = 0.04;

/// How many times a duplicate's difference a frame differs by that is none.
const MOVES: f64 = 3.0;

/// Decision on a frame that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) enum Next {
    /// Hold it: it may be a duplicate.
    Hold,
    /// Let it leave as it came, after all that is held: it belongs to no cadence.
    Pass,
    /// Bridge the time to this frame, in nanoseconds: the held frames were duplicates, and it moves
    /// on.
    Bridge(u64),
}

/// Duplicates of one frame that wait to be replaced, with the steps they came with.
#[derive(Debug)]
pub(in crate::vfi_element) struct DuplicateBuffer<F> {
    waiting: Vec<(FrameStep, F)>,
    /// The largest difference of one that waits from the frame it repeats.
    difference: f64,
    /// More came than can be held: nothing is held until something moves.
    still: bool,
}

impl<F> Default for DuplicateBuffer<F> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            difference: 0.0,
            still: false,
        }
    }
}

impl<F> DuplicateBuffer<F> {
    /// Returns up to where the next frame's difference has to be known.
    pub(in crate::vfi_element) fn limit(&self) -> f64 {
        LIMIT.max(MOVES * self.difference)
    }

    /// Decides on a frame by its difference from the frame that is held for: `None` above the
    /// limit. A difference of no more than `still` is no motion.
    pub(in crate::vfi_element) fn next(
        &mut self,
        step: &FrameStep,
        difference: Option<f64>,
        still: f64,
    ) -> Next {
        let moves = difference.is_none_or(|d| d > still.max(MOVES * self.difference));
        let Some(span) = self.nanoseconds(step) else {
            self.still = false;
            return Next::Pass;
        };
        if moves && !self.waiting.is_empty() {
            return Next::Bridge(span);
        }
        let alike = difference.is_some_and(|d| d <= LIMIT);
        let fits = self.waiting.len() < MOST && span <= LONGEST;
        if alike && fits && !self.still {
            return Next::Hold;
        }
        self.still = !moves;
        Next::Pass
    }

    /// Holds a frame of this difference.
    pub(in crate::vfi_element) fn push(&mut self, step: FrameStep, frame: F, difference: f64) {
        self.waiting.push((step, frame));
        self.difference = self.difference.max(difference);
    }

    /// Returns everything that waits, in order.
    pub(in crate::vfi_element) fn take(&mut self) -> Vec<(FrameStep, F)> {
        self.difference = 0.0;
        std::mem::take(&mut self.waiting)
    }

    /// Returns the time from the frame that is held for to the one that comes with `step`, in
    /// nanoseconds; `None` if there is no way from one to the other.
    fn nanoseconds(&self, step: &FrameStep) -> Option<u64> {
        let steps = self.waiting.iter().map(|(step, _)| step).chain([step]);
        let lengths = steps.map(|step| {
            let ticks = step.before.length()?;
            Some(ticks / u128::from(step.before.grid.ticks_in_ns))
        });
        let sum = lengths.sum::<Option<u128>>()?;
        u64::try_from(sum).ok()
    }
}

/// The span of one step, in ticks, of the way from the first frame to the last, when several steps
/// are made one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::vfi_element) struct StepSpan {
    passed: f64,
    length: f64,
    total: f64,
}

/// Returns the spans of steps that are made one, in order.
pub(in crate::vfi_element) fn spans<'a>(
    steps: impl Iterator<Item = &'a FrameStep>,
) -> Vec<StepSpan> {
    let lengths: Vec<_> = steps
        .map(|step| step.before.length().unwrap_or(0))
        .collect();
    let total = lengths.iter().sum::<u128>().max(1) as f64;
    let mut passed = 0;
    let span = |length| {
        let span = StepSpan {
            passed: passed as f64,
            length: length as f64,
            total,
        };
        passed += length;
        span
    };
    lengths.into_iter().map(span).collect()
}

impl StepSpan {
    /// Returns a slot of the step, at its phase of the whole way.
    pub(in crate::vfi_element) fn place(&self, slot: Slot) -> Slot {
        let content = match slot.content {
            Content::Between(phase) => {
                let whole = (self.passed + phase * self.length) / self.total;
                Content::Between(inside(whole))
            }
            other => other,
        };
        Slot { content, ..slot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfi_element::timing::grid::Rate;
    use crate::vfi_element::timing::timeline::{OutputRate, Timeline};
    use proptest::prelude::*;

    const STILL: f64 = 0.0035;

    fn timeline(input: u64, output: u64) -> Timeline {
        let rate = |num| Rate { num, den: 1 };
        let target = OutputRate::Fixed(rate(output));
        Timeline::new(Some(rate(input)), target, 1_000_000_000)
    }

    /// Returns the steps of frames of a rate after the first.
    fn steps(input: u64, output: u64, frames: u64) -> Vec<FrameStep> {
        let mut timeline = timeline(input, output);
        let rate = Rate { num: input, den: 1 };
        let all = (0..=frames).map(|k| timeline.advance(Some(rate.time(k)), None).unwrap());
        all.skip(1).collect()
    }

    #[test]
    fn the_wait_is_what_can_be_held() {
        let at = |rate: u64| delay(1_000_000_000 / rate) / 1_000_000;
        assert_eq!([60, 25, 24, 10, 5].map(at), [49, 120, 124, 100, 0]);
        assert_eq!(delay(0), 150_000_000, "where the rate varies");
    }

    /// Returns the decisions on frames of these differences from the one held for.
    fn decisions(rate: u64, differences: &[f64]) -> Vec<Next> {
        let mut hold = DuplicateBuffer::default();
        let mut found = Vec::new();
        for (step, difference) in steps(rate, 2 * rate, differences.len() as u64)
            .into_iter()
            .zip(differences)
        {
            let known = Some(*difference).filter(|d| *d <= hold.limit());
            let next = hold.next(&step, known, STILL);
            match next {
                Next::Hold => hold.push(step, (), *difference),
                _ => drop(hold.take()),
            }
            found.push(next);
        }
        found
    }

    #[test]
    fn what_differs_much_more_than_a_duplicate_moves() {
        let bridge = |frames: u64| Next::Bridge(frames * 1_000_000_000 / 25);
        assert_eq!(decisions(25, &[0.0, 0.2]), [Next::Hold, bridge(2)]);
        assert_eq!(
            decisions(25, &[0.02, 0.02, 0.08]),
            [Next::Hold, Next::Hold, bridge(3)]
        );
        assert_eq!(decisions(25, &[0.03, 0.05]), [Next::Hold, Next::Pass]);
        assert_eq!(decisions(25, &[0.2, 0.2]), [Next::Pass, Next::Pass]);
    }

    #[test]
    fn a_still_scene_is_held_once() {
        let still = decisions(25, &[0.0; 8]);
        assert_eq!(still[..3], [Next::Hold; 3]);
        assert_eq!(still[3..], [Next::Pass; 5]);
        let moving = decisions(25, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0]);
        assert_eq!(moving[5..], [Next::Pass, Next::Hold]);
    }

    proptest! {
        /// Slots keep their order and places, and their phases rise evenly from one end to the
        /// other.
        #[test]
        fn phases_of_one_way_rise_evenly(
            input in 10u64..61,
            output in 24u64..241,
            frames in 1u64..5,
        ) {
            let steps = steps(input, output, frames);
            let spans = spans(steps.iter());
            let slots = steps.iter().zip(&spans).flat_map(|(step, span)| {
                let own = step.stand_in();
                step.before.clone().chain(own).map(|slot| span.place(slot))
            });
            for slot in slots {
                let Content::Between(phase) = slot.content else {
                    return Err(TestCaseError::fail("nothing between"));
                };
                let exact = slot.pts as f64 * input as f64 / (1e9 * frames as f64);
                prop_assert!((phase - exact).abs() < 1e-7, "{phase} at {}", slot.pts);
            }
        }
    }
}
