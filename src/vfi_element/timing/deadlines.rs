//! Pure decisions on time: which synthesised frames are too late to be worth making, and how long
//! making one may take. All times are nanoseconds; running time where instants are meant.

use std::collections::VecDeque;

use super::percentile::SlidingPercentile;
use super::steady::Steady;

/// Lateness that downstream's QoS events tell, by the rule of GStreamer's filters
/// (gstdeinterlace.c, `gst_deinterlace_src_event`). When downstream is late by `diff`, the next
/// frame worth making is the one that is due after twice that delay.
///
/// A delay that stays the same whatever is made comes from an offset between the clock and the
/// frames; it is learnt, and only lateness beyond it counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Downstream {
    earliest: Option<u64>,
    proportion: f64,
    paced: bool,
    /// The latest delays.
    diffs: Steady,
    /// The one that stays.
    constant: i64,
}

/// A delay beyond this is not doubled: one stall must not silence the element for long.
const LONGEST: i64 = 500_000_000;

impl Downstream {
    /// Forgets how late frames were (flush, new segment).
    pub(in crate::vfi_element) fn reset(&mut self) {
        self.earliest = None;
    }

    /// Learns from downstream how late (`diff > 0`) or early the frame of running time `timestamp`
    /// was; `frame` is the distance of two output frames. Where a delay stays, frames may be later
    /// than it by what is `allowed` for making them.
    pub(in crate::vfi_element) fn observe(
        &mut self,
        proportion: f64,
        diff: i64,
        timestamp: u64,
        frame: u64,
        allowed: u64,
    ) {
        self.proportion = proportion;
        // A sink that doesn't wait for its clock reports every frame as just in time.
        self.paced |= diff != 0;
        self.diffs.add(diff);
        let constant = self.diffs.level().unwrap_or(self.constant);
        self.constant = constant.min(diff).max(0);
        let diff = match self.constant {
            0 => diff,
            constant => diff
                .saturating_sub(constant)
                .saturating_sub_unsigned(allowed),
        };
        let earliest = if diff > 0 {
            let ahead = diff.saturating_mul(2).min(diff.max(LONGEST));
            timestamp.saturating_add_signed(ahead).saturating_add(frame)
        } else {
            timestamp.saturating_add_signed(diff)
        };
        self.earliest = Some(earliest);
    }

    /// Returns how far behind its time a frame of this running time would be: `None` if it is in
    /// time.
    pub(in crate::vfi_element) fn late_by(&self, running_time: u64) -> Option<u64> {
        self.earliest?
            .checked_sub(running_time)
            .filter(|late| *late > 0)
    }

    /// Returns the proportion of the last event, for QoS messages.
    pub(in crate::vfi_element) fn proportion(&self) -> f64 {
        self.proportion
    }

    /// Returns whether downstream shows frames by a clock.
    pub(in crate::vfi_element) fn is_paced(&self) -> bool {
        self.paced
    }
}

/// When something downstream that waits for the clock lets frames be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vfi_element) struct Sink {
    /// How much later than the pipeline has agreed on, in nanoseconds.
    pub later: i64,
    /// How much later than that they are still shown.
    pub lateness: u64,
}

/// Latency a pipeline relies on: a live one was told of the element's latency, another has a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vfi_element) struct LatencyBudget {
    /// True where upstream is live.
    pub live: bool,
    /// How long after its time a frame comes in.
    pub upstream: u64,
    /// How long it may take from there until it goes out; unknown for a rate that varies.
    pub wait: Option<u64>,
    /// Latency the pipeline has made of it: how long after its time a frame is shown. 0 while
    /// unknown.
    pub configured: u64,
    /// Sink that shows frames by the clock, if it could be found.
    pub sink: Option<Sink>,
}

impl LatencyBudget {
    /// Returns when a frame of this running time has to be out, if frames come in `delay` after
    /// their time, and downstream holds them until so long after it. `None` where nobody waits for
    /// it.
    ///
    /// A live pipeline was promised an instant. It may show the frame later, but only where downstream
    /// is seen to wait for that by itself is it known that nobody there needs the time in between.
    /// Elsewhere the sink's own time counts.
    pub(in crate::vfi_element) fn deadline(
        &self,
        running_time: u64,
        delay: u64,
        held: Option<i64>,
    ) -> Option<u64> {
        let own = match self.live {
            true => self.upstream.max(delay).saturating_add(self.wait?),
            false => {
                let Sink { later, lateness } = self.sink?;
                self.configured
                    .saturating_add_signed(later)
                    .saturating_add(lateness)
            }
        };
        let held = held.and_then(|held| u64::try_from(held).ok()).unwrap_or(0);
        Some(running_time.saturating_add(own.max(held)))
    }

    /// Returns how much longer a frame may take that is made than one that passes.
    pub(in crate::vfi_element) fn allowed(&self) -> u64 {
        self.wait.filter(|_| self.live).unwrap_or(0)
    }
}

/// How long after their time frames come in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Arrivals(VecDeque<u64>);

impl Arrivals {
    /// How many are remembered.
    const LENGTH: usize = 16;

    /// Notes that a frame of running time `due` came in at `now`.
    pub(in crate::vfi_element) fn add(&mut self, due: u64, now: u64) {
        if self.0.len() == Self::LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(now.saturating_sub(due));
    }

    /// Returns the shortest of the latest delays: what upstream always takes, without what comes of
    /// waiting for this element.
    pub(in crate::vfi_element) fn delay(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or(0)
    }

    /// Forgets them (flush, new segment).
    pub(in crate::vfi_element) fn reset(&mut self) {
        self.0.clear();
    }
}

const MILLISECOND: u64 = 1_000_000;

/// Returns the time to allow instead of `allowed` when something takes the time of `high` (the high
/// percentile of a [`SlidingPercentile`]): a quarter more than that, in whole milliseconds. `None`
/// where it is enough as it is, and where no more than `most` may be allowed: that is no matter of
/// patience.
///
/// Each step is by a quarter at least and none leads back, so there are few of them.
pub(in crate::vfi_element) fn raised(high: u64, allowed: u64, most: u64) -> Option<u64> {
    let ample = high
        .saturating_add(high / 4)
        .div_ceil(MILLISECOND)
        .saturating_mul(MILLISECOND);
    (high > allowed && high <= most).then(|| ample.min(most))
}

/// How far apart frames of a varying rate are, as far as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct Spans(SlidingPercentile);

impl Spans {
    /// Notes how far apart a pair is. Returns the distance to reckon with if it, `known` so far, is
    /// to grow; it never does beyond `most`.
    pub(in crate::vfi_element) fn add(&mut self, span: u64, known: u64, most: u64) -> Option<u64> {
        self.0.add(span);
        let grown = raised(self.0.high()?, known, most)?;
        self.0.clear();
        Some(grown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = MILLISECOND;

    #[test]
    fn nothing_is_late_before_the_first_event() {
        assert_eq!(Downstream::default().late_by(0), None);
    }

    #[test]
    fn lateness_is_doubled_once() {
        let mut downstream = Downstream::default();
        downstream.observe(1.5, 10 * MS as i64, 100 * MS, 16 * MS, 0);
        assert_eq!(downstream.late_by(130 * MS), Some(6 * MS));
        assert_eq!(downstream.late_by(136 * MS), None);
    }

    #[test]
    fn a_long_stall_is_not_doubled() {
        let mut downstream = Downstream::default();
        downstream.observe(2.0, 3_000 * MS as i64, 0, 0, 0);
        assert_eq!(downstream.late_by(0), Some(3_000 * MS));
    }

    #[test]
    fn early_frames_make_nothing_late() {
        let mut downstream = Downstream::default();
        downstream.observe(0.5, -20 * MS as i64, 100 * MS, 16 * MS, 0);
        assert_eq!(downstream.late_by(100 * MS), None);
    }

    #[test]
    fn a_reset_forgets() {
        let mut downstream = Downstream::default();
        downstream.observe(2.0, 50 * MS as i64, 100 * MS, 16 * MS, 0);
        downstream.reset();
        assert_eq!(downstream.late_by(0), None);
        assert!(downstream.is_paced(), "downstream is still the same");
    }

    #[test]
    fn a_sink_without_a_clock_sets_no_pace() {
        let mut downstream = Downstream::default();
        downstream.observe(1.0, 0, 100 * MS, 16 * MS, 0);
        assert!(!downstream.is_paced());
        downstream.observe(1.0, -1, 100 * MS, 16 * MS, 0);
        assert!(downstream.is_paced());
    }

    #[test]
    fn a_promise_is_counted_from_when_upstream_delivers() {
        let latency_budget = LatencyBudget {
            live: true,
            upstream: 5,
            wait: Some(70),
            configured: 90,
            sink: None,
        };
        let deadline = |delay, held| latency_budget.deadline(1000, delay, held);
        assert_eq!(deadline(0, None), Some(1075));
        assert_eq!(deadline(25, None), Some(1095), "upstream is late");
        assert_eq!(deadline(0, Some(90)), Some(1090), "downstream waits longer");
        assert_eq!(deadline(0, Some(-90)), Some(1075), "behind a queue");
        let offline = LatencyBudget {
            live: false,
            ..latency_budget
        };
        assert_eq!(offline.deadline(1000, 0, Some(90)), None);
    }

    #[test]
    fn where_nothing_is_live_the_sink_s_time_counts() {
        let sink = |later, lateness| LatencyBudget {
            configured: 90,
            sink: Some(Sink { later, lateness }),
            ..LatencyBudget::default()
        };
        let deadline = |later, lateness| sink(later, lateness).deadline(1000, 50, None);
        assert_eq!(deadline(0, 0), Some(1090));
        assert_eq!(deadline(500, 20), Some(1610));
        assert_eq!(deadline(-500, 0), Some(1000));
        assert_eq!(sink(0, 0).deadline(1000, 0, Some(400)), Some(1400));
    }

    #[test]
    fn a_delay_that_stays_is_no_lateness() {
        let mut downstream = Downstream::default();
        let ms = |ms: u64| (ms * MS) as i64;
        for n in 1..5 {
            downstream.observe(1.0, ms(500 + n % 2), 100 * n * MS, 16 * MS, 60 * MS);
        }
        assert_eq!(downstream.late_by(400 * MS), None);
        downstream.observe(1.0, ms(540), 500 * MS, 16 * MS, 60 * MS);
        assert_eq!(downstream.late_by(500 * MS), None, "one that was made");
        downstream.observe(1.0, ms(600), 600 * MS, 16 * MS, 60 * MS);
        assert_eq!(downstream.late_by(600 * MS), Some(2 * 40 * MS + 16 * MS));
    }

    #[test]
    fn a_delay_that_stays_is_gone_once_a_frame_is_in_time() {
        let mut downstream = Downstream::default();
        let observe = |downstream: &mut Downstream, n: u64, diff: i64| {
            downstream.observe(1.0, diff, 100 * n * MS, 0, 0);
        };
        (1..9).for_each(|n| observe(&mut downstream, n, 500 * MS as i64));
        assert_eq!(downstream.late_by(800 * MS), None);
        observe(&mut downstream, 9, -1);
        observe(&mut downstream, 10, 30 * MS as i64);
        assert_eq!(downstream.late_by(1000 * MS), Some(60 * MS));
    }

    #[test]
    fn a_delay_that_grows_or_shrinks_is_lateness() {
        for step in [-10, 10] {
            let mut downstream = Downstream::default();
            for n in 1..30 {
                let diff = (500 + step * n) * MS as i64;
                downstream.observe(1.0, diff, 100 * n as u64 * MS, 0, 0);
                assert!(downstream.late_by(100 * n as u64 * MS).is_some());
            }
        }
    }

    #[test]
    fn what_upstream_always_takes_is_its_shortest_delay() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.delay(), 0);
        for (due, now) in [(0, 300), (100, 120), (200, 230)] {
            arrivals.add(due, now);
        }
        assert_eq!(arrivals.delay(), 20);
        (0..16).for_each(|n| arrivals.add(n, n + 50));
        assert_eq!(arrivals.delay(), 50, "the early one is long ago");
    }

    #[test]
    fn what_fits_is_not_raised() {
        assert_eq!(raised(40 * MS, 40 * MS, 66 * MS), None);
        assert_eq!(raised(41 * MS, 40 * MS, 66 * MS), Some(52 * MS));
    }

    #[test]
    fn what_is_beyond_all_patience_is_not_waited_for() {
        assert_eq!(raised(60 * MS, 40 * MS, 66 * MS), Some(66 * MS));
        assert_eq!(raised(67 * MS, 40 * MS, 66 * MS), None);
    }

    #[test]
    fn the_distance_of_frames_is_learned() {
        let mut spans = Spans::default();
        let grown: Vec<_> = (0..20)
            .filter_map(|_| spans.add(33 * MS, 0, 1000 * MS))
            .collect();
        assert_eq!(grown.first(), Some(&(42 * MS)));
    }

    proptest! {
        /// Whatever is measured: few steps, all upwards, none beyond the most.
        #[test]
        fn allowances_do_not_creep(
            times in prop::collection::vec(0u64..200 * MS, 1..2000),
            first in 0u64..100 * MS,
            most in 0u64..150 * MS,
        ) {
            let (mut allowed, mut steps) = (first, 0);
            let mut window = SlidingPercentile::default();
            for time in times {
                window.add(time);
                if let Some(new) = window.high().and_then(|high| raised(high, allowed, most)) {
                    prop_assert!(new > allowed && new <= most);
                    allowed = new;
                    steps += 1;
                    window.clear();
                }
            }
            // From one millisecond by quarters to 150 of them.
            prop_assert!(steps <= 26, "{} steps", steps);
        }
    }
}
