//! When frames have to be out, and the timers that give up a run of the network which can't be in
//! time.

use std::time::Duration;

use gst::prelude::*;

use super::deadline_timer::DeadlineTimer;
use crate::models::RunCanceller;
use crate::sync::lock;
use crate::vfi_element::context::Context;
use crate::vfi_element::log::{CAT, clock_time};
use crate::vfi_element::timing::deadlines::{Arrivals, Spans};

/// Knows when frames come in, and so when those between them have to be out.
#[derive(Default)]
pub(super) struct Deadlines {
    arrivals: Arrivals,
    spans: Spans,
}

impl Deadlines {
    /// Notes when a frame came in that is due at a running time.
    pub(super) fn note_arrival(&mut self, due: gst::ClockTime, arrival: gst::ClockTime) {
        self.arrivals.add(due.nseconds(), arrival.nseconds());
    }

    /// Forgets arrivals: the frames that follow have nothing to do with those before.
    pub(super) fn reset(&mut self) {
        self.arrivals.reset();
    }

    /// Returns by how much a frame would be too late to be of use that takes another `expected`
    /// nanoseconds, if it would. Reports of downstream count where `qos` says so.
    pub(super) fn lateness(
        &self,
        context: &Context,
        due: gst::ClockTime,
        expected: u64,
        qos: bool,
    ) -> Option<u64> {
        let reported = match qos {
            true => context.downstream().late_by(due.nseconds()),
            false => None,
        };
        reported.or_else(|| self.overdue(context, due, expected))
    }

    /// Returns by how much a frame that is ready in `more` nanoseconds breaks the promise, if it
    /// does.
    pub(super) fn overdue(&self, context: &Context, due: gst::ClockTime, more: u64) -> Option<u64> {
        let deadline = self.deadline(context, due)?.nseconds();
        let now = context.running_time()?.nseconds();
        let ready = now.saturating_add(more);
        ready.checked_sub(deadline).filter(|late| *late > 0)
    }

    /// Returns the running time at which a frame has to be out, where somebody waits for it.
    fn deadline(&self, context: &Context, due: gst::ClockTime) -> Option<gst::ClockTime> {
        let (promise, held) = (context.promise(), lock(&context.holds).level());
        let deadline = promise.deadline(due.nseconds(), self.arrivals.delay(), held);
        deadline.map(clock_time)
    }

    /// Arms a timer that cancels the run when its frame can't be in time any more.
    pub(super) fn arm(
        &self,
        context: &Context,
        due: gst::ClockTime,
        canceller: RunCanceller,
    ) -> Option<DeadlineTimer> {
        let deadline = self.deadline(context, due)?;
        let (clock, time) = context.clock_at(deadline)?;
        DeadlineTimer::set(&clock, time, canceller)
    }

    /// Learns how far apart frames of a varying rate are, at most so far, because the latency
    /// follows from it.
    pub(super) fn learn_span(&mut self, context: &Context, span: u64, most: gst::ClockTime) {
        let known = context.rates().frame.nseconds();
        if let Some(grown) = self.spans.add(span, known, most.nseconds()) {
            let grown = clock_time(grown);
            gst::info!(CAT, obj = context.srcpad, "frames come up to {grown} apart");
            context.set_frame(grown);
        }
    }
}

/// Timers of one run of the network.
pub(super) struct RunTimers {
    /// Rings when the frame can't be in time any more.
    deadline: Option<DeadlineTimer>,
    /// Rings when the run seems never to end, whether a clock sets the pace or not.
    limit: Option<(DeadlineTimer, Duration)>,
}

/// Reason why a run was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutShort {
    /// Its frame could not be in time any more.
    Late,
    /// It has taken so long that it seems never to end.
    Endless(Duration),
}

impl RunTimers {
    /// Arms the timer of a run that may take so long, beside that of its deadline.
    pub(super) fn arm(
        deadline: Option<DeadlineTimer>,
        limit: Option<Duration>,
        canceller: RunCanceller,
    ) -> Self {
        let limit = limit.and_then(|limit| {
            let clock = gst::SystemClock::obtain();
            let end = clock.time().checked_add(limit.try_into().ok()?)?;
            Some((DeadlineTimer::set(&clock, end, canceller)?, limit))
        });
        Self { deadline, limit }
    }

    /// Stops the timers. If one has rung already, runs are allowed again; returns why the run was
    /// cancelled.
    pub(super) fn stop(self, context: &Context) -> Option<CutShort> {
        let is_late = self.deadline.is_some_and(DeadlineTimer::stop);
        let is_late = is_late.then_some(CutShort::Late);
        let endless = self.limit.and_then(|(timer, limit)| {
            let rang = timer.stop();
            rang.then_some(CutShort::Endless(limit))
        });
        let cut_short = endless.or(is_late);
        if cut_short.is_some() {
            context.rearm();
        }
        cut_short
    }
}
