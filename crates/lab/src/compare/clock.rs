//! Times of a configuration's frames, and the memory they take.

use std::time::Duration;

use super::record::Timing;

/// Time and memory, gathered pair by pair.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Time and made frames of the first pair, which is slow as first runs at a size are.
    first: Option<(Duration, usize)>,
    others: (Duration, usize),
    memory: Option<u64>,
}

impl Clock {
    /// Adds a pair between which something moves.
    pub(super) fn add(&mut self, took: Duration, made: usize, memory: Option<u64>) {
        if self.first.is_none() {
            self.first = Some((took, made));
        } else {
            self.others.0 += took;
            self.others.1 += made;
        }
        self.memory = self.memory.max(memory);
    }

    /// Returns the figures, of the first pair where it is the only one; none where nothing moved.
    pub(super) fn timing(&self, rate: gst::Fraction, step: usize) -> Option<Timing> {
        let (time, made) = if self.others.1 > 0 {
            self.others
        } else {
            self.first?
        };
        let each = time.as_secs_f64() / made.max(1) as f64;
        let all = f64::from(rate.numer()) / f64::from(rate.denom());
        let wanted = all * (step - 1) as f64 / step as f64;
        // Nothing takes less than a nanosecond.
        let speed = 1.0 / each.max(1e-9);
        Some(Timing {
            ms_a_frame: each * 1e3,
            frames_a_second: speed,
            times_real_time: speed / wanted,
            memory_mib: self.memory.map(|memory| memory as f64 / 1024.0),
        })
    }
}
