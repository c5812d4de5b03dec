//! How long a run of the network may take before it is taken for one that never ends. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// No run is given up sooner, however short those before it were.
pub(in crate::vfi_element) const LEAST: Duration = Duration::from_secs(60);
/// A run that takes so many times what others do is none that a busy machine explains.
const TIMES: u32 = 20;
/// So many of the latest runs say what is usual.
const KEPT: usize = 31;

/// Knows what runs at one size took lately.
#[derive(Clone, Debug, Default)]
pub(in crate::vfi_element) struct RunLimit {
    runs: VecDeque<Duration>,
}

impl RunLimit {
    /// Adds the time of a run that has ended by itself.
    pub(in crate::vfi_element) fn add(&mut self, took: Duration) {
        if self.runs.len() == KEPT {
            self.runs.pop_front();
        }
        self.runs.push_back(took);
    }

    /// Returns how long the next run may take: at least `least`. `None` for the first, which plans
    /// and compiles on some devices.
    pub(in crate::vfi_element) fn limit(&self, least: Duration) -> Option<Duration> {
        let mut sorted: Vec<_> = self.runs.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2)?;
        Some(median.saturating_mul(TIMES).max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(runs: &[u32]) -> Option<Duration> {
        let mut patience = RunLimit::default();
        runs.iter().for_each(|run| patience.add(*run * SECOND));
        patience.limit(LEAST)
    }

    #[test]
    fn a_first_run_takes_as_long_as_it_takes() {
        assert_eq!(limit(&[]), None);
    }

    #[test]
    fn a_run_may_take_a_minute_and_twenty_times_the_median() {
        assert_eq!(limit(&[0]), Some(60 * SECOND));
        assert_eq!(limit(&[3]), Some(60 * SECOND));
        assert_eq!(limit(&[4]), Some(80 * SECOND));
        assert_eq!(limit(&[100, 4, 4]), Some(80 * SECOND), "the first was slow");
        assert_eq!(limit(&[1, 10, 2, 9, 5]), Some(100 * SECOND));
        let mut endless = RunLimit::default();
        endless.add(Duration::MAX);
        assert_eq!(endless.limit(LEAST), Some(Duration::MAX));
    }

    #[test]
    fn what_was_usual_long_ago_does_not_count() {
        let runs: Vec<u32> = [4; 100].into_iter().chain([50; KEPT]).collect();
        assert_eq!(limit(&runs), Some(1000 * SECOND));
        let mut patience = RunLimit::default();
        (0..1000).for_each(|_| patience.add(SECOND));
        assert_eq!(patience.runs.len(), KEPT);
    }
}
