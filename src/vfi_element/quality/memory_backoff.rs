//! Response to frames that can't be made. For want of memory: smaller pictures for the network,
//! step by step, and after a while without such a want the way back. For want of a network that
//! works: no frames any more, until another network or other caps come. Pure.

const SECOND: u64 = 1_000_000_000;

/// How much stream time has to pass without a want before a step back is tried at first,
const HOLD: u64 = 30 * SECOND;
/// and at most, after tries that failed.
const LONGEST_HOLD: u64 = 600 * SECOND;

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) struct MemoryBackoff {
    steps: u32,
    /// Stream time since the last want, or since a step back.
    calm: u64,
    hold: u64,
    /// The latest step led back, and has not held yet.
    tried: bool,
    /// The network does not work.
    failed: bool,
    told: bool,
}

impl Default for MemoryBackoff {
    fn default() -> Self {
        Self {
            steps: 0,
            calm: 0,
            hold: HOLD,
            tried: false,
            failed: false,
            told: false,
        }
    }
}

impl MemoryBackoff {
    /// Returns how many steps smaller than wished the network's pictures are.
    pub(in crate::vfi_element) fn steps(&self) -> u32 {
        self.steps
    }

    /// Steps down, because memory lacked. If it lacked because of a step back, the next try waits
    /// twice as long.
    pub(in crate::vfi_element) fn lacked(&mut self) {
        self.steps += 1;
        self.calm = 0;
        if std::mem::take(&mut self.tried) {
            self.hold = (2 * self.hold).min(LONGEST_HOLD);
        }
    }

    /// Notes that the network does not work.
    pub(in crate::vfi_element) fn fail(&mut self) {
        // another reason than memory is another thing to tell
        (self.failed, self.told) = (true, false);
    }

    /// Returns whether the network does not work, and nothing is to be made.
    pub(in crate::vfi_element) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Counts nanoseconds of the stream that went by without a want. Returns `true` if a step back
    /// is taken.
    pub(in crate::vfi_element) fn pass(&mut self, span: u64) -> bool {
        if self.failed || (self.steps == 0 && !self.tried) {
            return false;
        }
        self.calm = self.calm.saturating_add(span);
        if self.calm < self.hold {
            return false;
        }
        self.calm = 0;
        if std::mem::take(&mut self.tried) {
            self.hold = HOLD;
        }
        if self.steps == 0 {
            *self = Self::default();
            return false;
        }
        self.steps -= 1;
        self.tried = true;
        true
    }

    /// Returns whether the application is to be told that only originals go out: once, until all is
    /// well again.
    pub(in crate::vfi_element) fn take_news(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the stream times, in seconds, at which steps back are taken, where memory lacks
    /// whenever there are fewer than `needed`.
    fn tries(needed: u32, seconds: u64) -> Vec<u64> {
        let mut shortage = MemoryBackoff::default();
        let mut tries = Vec::new();
        for second in 0..seconds {
            while shortage.steps() < needed {
                shortage.lacked();
            }
            if shortage.pass(SECOND) {
                tries.push(second + 1);
            }
        }
        tries
    }

    #[test]
    fn a_want_that_stays_is_tried_ever_more_rarely() {
        assert_eq!(tries(2, 1000), [30, 90, 210, 450, 930]);
        let late = tries(1, 100_000);
        let last = &late[late.len() - 2..];
        assert_eq!(last[1] - last[0], 600);
    }

    #[test]
    fn a_want_that_is_gone_leaves_nothing_behind() {
        let mut shortage = MemoryBackoff::default();
        (0..3).for_each(|_| shortage.lacked());
        assert!(shortage.take_news() && !shortage.take_news());
        let back = (0..200).filter(|_| shortage.pass(SECOND)).count();
        assert_eq!((back, shortage), (3, MemoryBackoff::default()));
    }

    #[test]
    fn a_network_that_failed_is_not_tried_again_for_the_time_that_passes() {
        let mut shortage = MemoryBackoff::default();
        shortage.lacked();
        assert!(shortage.take_news());
        shortage.fail();
        assert!(shortage.take_news() && !shortage.take_news());
        assert!((0..10_000).all(|_| !shortage.pass(SECOND)));
        assert!(shortage.has_failed());
    }

    proptest! {
        #[test]
        fn there_is_one_step_a_want_and_one_back_a_while(
            spans in prop::collection::vec((0..20 * SECOND, any::<bool>()), 0..500),
        ) {
            let (mut shortage, mut steps) = (MemoryBackoff::default(), 0);
            let mut calm = 0;
            for (span, lacks) in spans {
                if lacks {
                    shortage.lacked();
                    (steps, calm) = (steps + 1, 0);
                }
                calm += span;
                if shortage.pass(span) {
                    prop_assert!(calm >= HOLD);
                    (steps, calm) = (steps - 1, 0);
                }
                prop_assert_eq!(shortage.steps(), steps);
                prop_assert!(shortage.hold <= LONGEST_HOLD);
            }
        }
    }
}
