//! The latest of many measurements, so that one spike says nothing and what was long ago is forgotten.

use std::collections::VecDeque;

/// The latest durations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct SlidingPercentile {
    samples: VecDeque<u64>,
}

impl SlidingPercentile {
    /// How many are remembered.
    pub(in crate::vfi_element) const LENGTH: usize = 64;
    /// How many there must be before they say anything.
    pub(in crate::vfi_element) const LEAST: usize = 8;

    pub(in crate::vfi_element) fn add(&mut self, sample: u64) {
        if self.samples.len() == Self::LENGTH {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    pub(in crate::vfi_element) fn clear(&mut self) {
        self.samples.clear();
    }

    /// Returns the value all but one in ten stay within; at least one outlier is always left out.
    /// `None` while there are too few to tell.
    pub(in crate::vfi_element) fn high(&self) -> Option<u64> {
        self.rank(|last| last * 9 / 10)
    }

    /// Returns the middle value. `None` while there are too few to tell.
    pub(in crate::vfi_element) fn median(&self) -> Option<u64> {
        self.rank(|last| last / 2)
    }

    fn rank(&self, place: impl Fn(usize) -> usize) -> Option<u64> {
        if self.samples.len() < Self::LEAST {
            return None;
        }
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        let place = place(sorted.len() - 1);
        Some(*sorted.select_nth_unstable(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(samples: impl IntoIterator<Item = u64>) -> SlidingPercentile {
        let mut window = SlidingPercentile::default();
        samples.into_iter().for_each(|sample| window.add(sample));
        window
    }

    #[test]
    fn a_few_samples_say_nothing() {
        assert_eq!(window(0..7).high(), None);
        assert_eq!(window(0..8).high(), Some(6));
    }

    #[test]
    fn a_spike_is_left_out() {
        let spike = std::iter::once(1000).chain(std::iter::repeat_n(10, 7));
        assert_eq!(window(spike).high(), Some(10));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let samples = std::iter::repeat_n(1000, 100)
            .chain(std::iter::repeat_n(10, SlidingPercentile::LENGTH));
        let window = window(samples);
        assert_eq!(window.high(), Some(10));
        assert_eq!(window.median(), Some(10));
    }
}
