//! Counters and timings, as the `stats` property and the message `vfiinterp-stats` show them.

use std::time::Duration;

use super::timing::percentile::SlidingPercentile;
use crate::models::SessionWaits;
use crate::models::memory::{Clears, Usage};

/// Statistics of the element since it was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stats {
    /// Frames that came in.
    pub frames_in: u64,
    /// Originals that went out.
    pub originals: u64,
    /// Frames made and sent.
    pub synthesised: u64,
    /// Originals sent once more, where nothing was made.
    pub repeated: u64,
    /// Frames that came in without a place in time.
    pub dropped: u64,
    /// Synthesised frames not made or not sent because they would have been late.
    pub late: u64,
    /// Synthesised frames not made to save effort.
    pub left_out: u64,
    /// Cuts found.
    pub cuts: u64,
    /// Pairs between which the light changes too much to follow motion.
    pub flashes: u64,
    /// Pairs that show the same.
    pub stills: u64,
    /// Originals that repeated the one before and had a frame made in their place.
    pub duplicates: u64,
    /// Comparing frames, and looking for cuts.
    content_time: Duration,
    /// Shrinking frames for the network.
    shrink: Phase,
    /// The network.
    estimate: Phase,
    /// Making full-size frames.
    synthesise: Phase,
    /// Pushing frames: what is downstream works, or waits for the clock.
    pub push_time: Duration,
    /// Time for which upstream waited for room in the queue.
    held_back: Duration,
    /// Frames in the queue when one was taken, that one among them.
    queue_level: Gauge,
    /// Time in nanoseconds for which a frame was in the queue.
    queue_wait: Gauge,
    /// Time in nanoseconds for which a frame waited for others who use the same session.
    session_wait: Gauge,
    /// Runs of the network that had to wait for others.
    contentions: u64,
    /// Number of times that memory was given back.
    pub clears: Clears,
    /// Memory that the network's session holds.
    pub memory: Usage,
    /// Number of times that memory could not be had.
    pub shortages: u64,
    /// Number of rungs below full effort at which it works.
    pub step: u64,
    /// Number of times that has changed.
    pub steps: u64,
    /// Factor the frame is divided by for the network; 0 before the first frame.
    pub downscale: f64,
    /// Execution provider that the network runs on.
    pub provider: &'static str,
    /// Place where frames are made: `host` or `device`.
    pub place: &'static str,
    /// Number of bits it computes in.
    pub precision: &'static str,
    /// The network's name.
    pub model: String,
    /// Time at which the latest message was posted, and the counts of then.
    reported: Option<(u64, Counts)>,
}

/// Time that one phase takes for each frame made.
#[derive(Clone, Debug, Default, PartialEq)]
struct Phase {
    total: Duration,
    latest: SlidingPercentile,
}

impl Phase {
    fn add(&mut self, time: Duration) {
        self.total += time;
        self.latest.add(nanoseconds(time));
    }
}

/// Values of something that is looked at again and again.
#[derive(Clone, Debug, Default, PartialEq)]
struct Gauge {
    total: u64,
    count: u64,
    largest: u64,
    latest: SlidingPercentile,
}

impl Gauge {
    fn add(&mut self, value: u64) {
        self.total = self.total.saturating_add(value);
        self.count += 1;
        self.largest = self.largest.max(value);
        self.latest.add(value);
    }

    fn mean(&self) -> u64 {
        self.total.checked_div(self.count).unwrap_or(0)
    }

    /// Returns the mean of what was added since it was like `before`.
    fn mean_since(&self, before: &(u64, u64)) -> f64 {
        let (total, count) = (self.total - before.0, self.count - before.1);
        total as f64 / count.max(1) as f64
    }

    /// Returns sum and number of its values.
    fn sums(&self) -> (u64, u64) {
        (self.total, self.count)
    }

    fn high(&self) -> u64 {
        self.latest.high().unwrap_or(0)
    }
}

/// Counters that rates are computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    frames_in: u64,
    out: u64,
    synthesised: u64,
    dropped: u64,
    late: u64,
    left_out: u64,
    clears: u64,
    shortages: u64,
    /// Shrinking, estimating, synthesising.
    times: [Duration; 3],
    contentions: u64,
    /// Sums and numbers of the queue's levels, of waits there, and of waits for a session.
    gauges: [(u64, u64); 3],
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Stats {
    /// Goes back to zero; what runs where stays known.
    pub(super) fn reset(&mut self) {
        *self = Self {
            provider: self.provider,
            place: self.place,
            precision: self.precision,
            model: std::mem::take(&mut self.model),
            ..Self::default()
        };
    }

    /// Frames were shrunk, and looked at, before it was clear whether one is to be made of them.
    pub(super) fn add_content(&mut self, shrink: Duration, content: Duration) {
        self.shrink.total += shrink;
        self.content_time += content;
    }

    /// A frame was taken off the queue, where it `waited` among `level` frames; upstream was held
    /// back for so long in all.
    pub(super) fn add_taken(&mut self, waited: Duration, level: usize, held_back: Duration) {
        self.frames_in += 1;
        self.queue_level.add(level as u64);
        self.queue_wait.add(nanoseconds(waited));
        self.held_back = held_back;
    }

    /// A frame was made.
    pub(super) fn add(&mut self, times: &Times) {
        self.session_wait.add(nanoseconds(times.waits.time));
        self.contentions += times.waits.contentions;
        self.shrink.add(times.shrink);
        self.estimate.add(times.estimate);
        self.synthesise.add(times.synthesise);
    }

    /// Converts to a structure; times in nanoseconds, summed over all frames; `latency` is the
    /// element's own in nanoseconds.
    pub(super) fn to_structure(&self, latency: u64) -> gst::Structure {
        gst::Structure::builder("application/x-vfiinterp-stats")
            .field("frames-in", self.frames_in)
            .field("originals", self.originals)
            .field("synthesised", self.synthesised)
            .field("repeated", self.repeated)
            .field("dropped", self.dropped)
            .field("late", self.late)
            .field("left-out", self.left_out)
            .field("cuts", self.cuts)
            .field("flashes", self.flashes)
            .field("stills", self.stills)
            .field("duplicates", self.duplicates)
            .field("content-time", nanoseconds(self.content_time))
            .field("shrink-time", nanoseconds(self.shrink.total))
            .field("estimate-time", nanoseconds(self.estimate.total))
            .field("synthesise-time", nanoseconds(self.synthesise.total))
            .field("shrink-time-high", self.shrink.latest.high().unwrap_or(0))
            .field(
                "estimate-time-high",
                self.estimate.latest.high().unwrap_or(0),
            )
            .field(
                "synthesise-time-high",
                self.synthesise.latest.high().unwrap_or(0),
            )
            .field("push-time", nanoseconds(self.push_time))
            .field("held-back-time", nanoseconds(self.held_back))
            .field("queue-level", self.queue_level.mean_since(&(0, 0)))
            .field("queue-level-high", self.queue_level.high())
            .field("queue-level-max", self.queue_level.largest)
            .field("queue-wait", self.queue_wait.mean())
            .field("queue-wait-high", self.queue_wait.high())
            .field("queue-wait-max", self.queue_wait.largest)
            .field("session-wait", self.session_wait.mean())
            .field("session-wait-high", self.session_wait.high())
            .field("session-wait-max", self.session_wait.largest)
            .field("contentions", self.contentions)
            .field("clears", self.clears.interval + self.clears.pressure)
            .field("clears-pressure", self.clears.pressure)
            .field("memory-held", self.memory.held)
            .field("memory-used", self.memory.used)
            .field("memory-peak", self.memory.peak)
            .field("shortages", self.shortages)
            .field("step", self.step)
            .field("steps", self.steps)
            .field("downscale", self.downscale)
            .field("latency", latency)
            .field("provider", self.provider)
            .field("frames-made-on", self.place)
            .field("precision", self.precision)
            .field("model", &self.model)
            .build()
    }

    /// Returns a message on what happened since the one before, if that was at least `interval`
    /// nanoseconds ago; `now` is the time of any clock that only goes on, in nanoseconds. The first
    /// call only begins to count.
    pub(super) fn report(
        &mut self,
        now: u64,
        interval: u64,
        latency: u64,
    ) -> Option<gst::Structure> {
        let counts = self.counts();
        let Some((then, before)) = self.reported else {
            self.reported = Some((now, counts));
            return None;
        };
        let passed = now.checked_sub(then).filter(|passed| *passed >= interval)?;
        self.reported = Some((now, counts));
        let seconds = passed as f64 / 1e9;
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let made = counts.synthesised.saturating_sub(before.synthesised);
        let [shrink, estimate, synthesise] = std::array::from_fn(|phase| {
            let spent = counts.times[phase].saturating_sub(before.times[phase]);
            nanoseconds(spent).checked_div(made).unwrap_or(0)
        });
        let gauges = [&self.queue_level, &self.queue_wait, &self.session_wait];
        let [level, wait, session_wait] =
            std::array::from_fn(|kind| gauges[kind].mean_since(&before.gauges[kind]));
        Some(
            gst::Structure::builder("vfiinterp-stats")
                .field("interval", passed)
                .field("rate-in", rate(counts.frames_in, before.frames_in))
                .field("rate-out", rate(counts.out, before.out))
                .field(
                    "rate-synthesised",
                    rate(counts.synthesised, before.synthesised),
                )
                .field("dropped", counts.dropped - before.dropped)
                .field("late", counts.late - before.late)
                .field("left-out", counts.left_out - before.left_out)
                .field("shrink-time", shrink)
                .field("shrink-time-high", self.shrink.latest.high().unwrap_or(0))
                .field("estimate-time", estimate)
                .field(
                    "estimate-time-high",
                    self.estimate.latest.high().unwrap_or(0),
                )
                .field("synthesise-time", synthesise)
                .field(
                    "synthesise-time-high",
                    self.synthesise.latest.high().unwrap_or(0),
                )
                .field("queue-level", level)
                .field("queue-wait", wait as u64)
                .field("session-wait", session_wait as u64)
                .field("contentions", counts.contentions - before.contentions)
                .field("clears", counts.clears - before.clears)
                .field("memory-held", self.memory.held)
                .field("shortages", counts.shortages - before.shortages)
                .field("step", self.step)
                .field("downscale", self.downscale)
                .field("latency", latency)
                .build(),
        )
    }

    /// The next message counts from the next call of [`Stats::report`] on.
    pub(super) fn stop_reporting(&mut self) {
        self.reported = None;
    }

    fn counts(&self) -> Counts {
        Counts {
            frames_in: self.frames_in,
            out: self.originals + self.synthesised + self.repeated,
            synthesised: self.synthesised,
            dropped: self.dropped,
            late: self.late,
            left_out: self.left_out,
            clears: self.clears.interval + self.clears.pressure,
            shortages: self.shortages,
            times: [
                self.shrink.total,
                self.estimate.total,
                self.synthesise.total,
            ],
            contentions: self.contentions,
            gauges: [
                self.queue_level.sums(),
                self.queue_wait.sums(),
                self.session_wait.sums(),
            ],
        }
    }
}

/// Times that the phases of one synthesised frame took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// Shrinking and preparing the pair, as far as that was not done before.
    pub shrink: Duration,
    /// The network.
    pub estimate: Duration,
    /// Making the full-size frame.
    pub synthesise: Duration,
    /// Waits for others who use the same session, which are part of `estimate`.
    pub waits: SessionWaits,
}

impl Times {
    /// The element's own work.
    pub(super) fn own(&self) -> Duration {
        self.shrink + self.synthesise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::memory::Reason;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_report_counts_its_interval_only() {
        gst::init().unwrap();
        let mut stats = Stats {
            frames_in: 100,
            originals: 100,
            ..Stats::default()
        };
        assert_eq!(stats.report(5 * SECOND, SECOND, 0), None, "it begins here");
        stats.frames_in += 60;
        stats.originals += 60;
        stats.synthesised += 40;
        stats.late += 20;
        stats.clears.add(Reason::Interval);
        stats.clears.add(Reason::Pressure);
        stats.memory.held = 5;
        for _ in 0..40 {
            stats.add(&Times {
                estimate: Duration::from_millis(3),
                ..Times::default()
            });
        }
        assert_eq!(stats.report(6 * SECOND - 1, SECOND, 0), None, "too early");
        let report = stats.report(7 * SECOND, SECOND, 44).unwrap();
        assert_eq!(report.get("rate-in"), Ok(30.0));
        assert_eq!(report.get("rate-out"), Ok(50.0));
        assert_eq!(report.get("rate-synthesised"), Ok(20.0));
        assert_eq!(report.get("late"), Ok(20u64));
        assert_eq!(report.get("clears"), Ok(2u64));
        assert_eq!(report.get("memory-held"), Ok(5u64));
        assert_eq!(report.get("estimate-time"), Ok(3_000_000u64));
        assert_eq!(report.get("estimate-time-high"), Ok(3_000_000u64));
        assert_eq!(report.get("latency"), Ok(44u64));
        let report = stats.report(8 * SECOND, SECOND, 0).unwrap();
        assert_eq!(report.get("rate-in"), Ok(0.0));
    }

    /// Takes a frame that waited so many milliseconds among so many.
    fn take(stats: &mut Stats, waited: u64, level: usize) {
        let waited = Duration::from_millis(waited);
        stats.add_taken(waited, level, Duration::from_millis(7));
    }

    #[test]
    fn levels_and_waits_have_mean_high_and_largest() {
        gst::init().unwrap();
        let mut stats = Stats::default();
        for _ in 0..9 {
            take(&mut stats, 10, 1);
        }
        take(&mut stats, 110, 3);
        stats.add(&Times {
            waits: SessionWaits {
                contentions: 1,
                time: Duration::from_millis(4),
            },
            ..Times::default()
        });
        stats.add(&Times::default());
        let now = stats.to_structure(0);
        assert_eq!(now.get("frames-in"), Ok(10u64));
        assert_eq!(now.get("queue-level"), Ok(1.2));
        assert_eq!(now.get("queue-level-high"), Ok(1u64));
        assert_eq!(now.get("queue-level-max"), Ok(3u64));
        assert_eq!(now.get("queue-wait"), Ok(20_000_000u64));
        assert_eq!(now.get("queue-wait-high"), Ok(10_000_000u64));
        assert_eq!(now.get("queue-wait-max"), Ok(110_000_000u64));
        assert_eq!(now.get("session-wait"), Ok(2_000_000u64));
        assert_eq!(now.get("session-wait-max"), Ok(4_000_000u64));
        assert_eq!(now.get("contentions"), Ok(1u64));
        assert_eq!(now.get("held-back-time"), Ok(7_000_000u64));
    }

    #[test]
    fn a_report_has_the_queue_s_levels_of_its_interval() {
        gst::init().unwrap();
        let mut stats = Stats::default();
        take(&mut stats, 50, 2);
        stats.report(0, SECOND, 0);
        take(&mut stats, 30, 1);
        let report = stats.report(SECOND, SECOND, 0).unwrap();
        assert_eq!(report.get("queue-level"), Ok(1.0));
        assert_eq!(report.get("queue-wait"), Ok(30_000_000u64));
        assert_eq!(report.get("contentions"), Ok(0u64));
    }
}
