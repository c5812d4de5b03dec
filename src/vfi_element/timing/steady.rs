//! A level that measurements keep to, in nanoseconds: when downstream lets frames be shown, as far as
//! that can only be seen from outside.

use std::collections::VecDeque;

/// The latest of many measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Steady(VecDeque<i64>);

impl Steady {
    /// How many are remembered.
    const LENGTH: usize = 16;
    /// How many there must be before they say anything.
    const LEAST: usize = 4;
    /// How far measurements of one level lie apart: what a thread takes to wake up.
    const APART: i64 = 4_000_000;

    pub(in crate::vfi_element) fn add(&mut self, sample: i64) {
        if self.0.len() == Self::LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Drops the oldest measurement, because nothing could be measured.
    pub(in crate::vfi_element) fn miss(&mut self) {
        self.0.pop_front();
    }

    /// Returns the lowest measurement, if three of four are hardly above it.
    pub(in crate::vfi_element) fn level(&self) -> Option<i64> {
        let lowest = *self.0.iter().min()?;
        let near = |sample: &&i64| sample.saturating_sub(lowest) <= Self::APART;
        let agree = self.0.iter().filter(near).count();
        (agree >= Self::LEAST && agree * 4 >= self.0.len() * 3).then_some(lowest)
    }
}

/// Level of how much later than their running time frames are taken downstream, where that waits
/// for an instant: a sink for its clock, and whatever offset its pads and properties have. It is seen
/// from pushes, which last until then.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Holds(Steady);

impl Holds {
    /// A push that takes less waits for nothing.
    const AT_ONCE: u64 = 1_000_000;

    /// Notes that a frame of running time `due` was pushed from one running time to another.
    pub(in crate::vfi_element) fn add(&mut self, due: u64, begin: u64, end: u64) {
        match end.saturating_sub(begin) > Self::AT_ONCE {
            true => self.0.add(signed(end).saturating_sub(signed(due))),
            false => self.0.miss(),
        }
    }

    /// Returns how long after its running time a frame is early enough. `None` while that is
    /// unknown.
    pub(in crate::vfi_element) fn level(&self) -> Option<i64> {
        self.0.level()
    }
}

fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Pushes of frames that are 20 ms apart, each begun and ended so many milliseconds after its
    /// time.
    fn holds(pushes: impl IntoIterator<Item = (u64, u64)>) -> Holds {
        let mut holds = Holds::default();
        for (n, (begin, end)) in (0..).zip(pushes) {
            let due = 20 * MS * n;
            holds.add(due, due + begin * MS, due + end * MS);
        }
        holds
    }

    #[test]
    fn a_sink_that_waits_tells_when_it_shows_frames() {
        let begins = [5, 40, 0, 35, 10, 480];
        let found = holds(begins.map(|begin| (begin, 500)));
        assert_eq!(found.level(), Some(500 * MS as i64));
        assert_eq!(holds([(5, 500); 3]).level(), None, "a few say nothing");
    }

    #[test]
    fn one_that_wakes_up_late_is_left_out() {
        let found = holds([(5, 500), (5, 503), (5, 530), (5, 501), (5, 500)]);
        assert_eq!(found.level(), Some(500 * MS as i64));
    }

    #[test]
    fn a_full_queue_before_the_sink_takes_frames_sooner() {
        let mut holds = Holds::default();
        for n in 10..20 {
            let due = 20 * MS * n;
            holds.add(due, due - 120 * MS, due - 100 * MS);
        }
        assert_eq!(holds.level(), Some(-100 * MS as i64));
    }

    #[test]
    fn what_only_takes_long_is_no_level() {
        // each is later than the one before, as behind an encoder that is too slow
        let found = holds((0..16).map(|n| (10 * n, 10 * n + 30)));
        assert_eq!(found.level(), None);
    }

    #[test]
    fn what_is_not_held_any_more_is_forgotten() {
        let held = (0..16).map(|_| (5, 500));
        let mut found = holds(held.chain((0..12).map(|_| (500, 500))));
        assert_eq!(found.level(), Some(500 * MS as i64), "four are left");
        found.add(0, 0, 0);
        assert_eq!(found.level(), None);
    }
}
