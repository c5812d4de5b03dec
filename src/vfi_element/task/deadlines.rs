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
use crate::vfi_element::timing::grid::Slot;

/// Knows the segment and when its frames come in, and so when those between them have to be out.
#[derive(Default)]
pub(super) struct Deadlines {
    segment: Option<gst::Segment>,
    arrivals: Arrivals,
    spans: Spans,
}

impl Deadlines {
    /// Takes the segment of the frames that follow; `None` after a flush.
    pub(super) fn set_segment(&mut self, segment: Option<gst::Segment>) {
        self.segment = segment;
    }

    /// Returns the segment, if there is one.
    pub(super) fn segment(&self) -> Option<&gst::Segment> {
        self.segment.as_ref()
    }

    /// Returns the segment, if it is one of time.
    pub(super) fn time_segment(&self) -> Option<&gst::FormattedSegment<gst::ClockTime>> {
        self.segment.as_ref()?.downcast_ref()
    }

    /// Returns how fast the segment is played: less than 0 where it is played backwards.
    pub(super) fn rate(&self) -> f64 {
        self.segment.as_ref().map_or(1.0, |segment| segment.rate())
    }

    /// Notes when a frame came in.
    pub(super) fn note_arrival(
        &mut self,
        buffer: &gst::BufferRef,
        arrival: Option<gst::ClockTime>,
    ) {
        let segment = self.time_segment();
        let due = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        if let Some((due, arrival)) = due.zip(arrival) {
            self.arrivals.add(due.nseconds(), arrival.nseconds());
        }
    }

    /// Forgets arrivals: the frames that follow have nothing to do with those before.
    pub(super) fn reset(&mut self) {
        self.arrivals.reset();
    }

    /// Returns the running time of a slot.
    fn due(&self, slot: &Slot) -> Option<gst::ClockTime> {
        self.time_segment()?.to_running_time(clock_time(slot.pts))
    }

    /// Returns by how much a frame would be too late to be of use that takes another `expected`
    /// nanoseconds, if it would. Reports of downstream count where `qos` says so.
    pub(super) fn lateness(
        &self,
        context: &Context,
        slot: &Slot,
        expected: u64,
        qos: bool,
    ) -> Option<u64> {
        let due = self.due(slot)?.nseconds();
        let reported = match qos {
            true => context.downstream().late_by(due),
            false => None,
        };
        reported.or_else(|| self.overdue(context, slot, expected))
    }

    /// Returns by how much a frame that is ready in `more` nanoseconds is later than its deadline, if
    /// it is.
    pub(super) fn overdue(&self, context: &Context, slot: &Slot, more: u64) -> Option<u64> {
        let deadline = self.deadline(context, slot)?.nseconds();
        let now = context.running_time()?.nseconds();
        let ready = now.saturating_add(more);
        ready.checked_sub(deadline).filter(|late| *late > 0)
    }

    /// Returns the running time at which a frame has to be out, where somebody waits for it.
    fn deadline(&self, context: &Context, slot: &Slot) -> Option<gst::ClockTime> {
        let due = self.due(slot)?.nseconds();
        let (latency_budget, held) = (context.latency_budget(), lock(&context.holds).level());
        let deadline = latency_budget.deadline(due, self.arrivals.delay(), held);
        deadline.map(clock_time)
    }

    /// Arms the timers of a run that makes the frame of a slot: it is cancelled when the frame can't
    /// be in time any more, where that counts (`drops_late`), and after `limit`, if there is one.
    pub(super) fn arm(
        &self,
        context: &Context,
        slot: &Slot,
        drops_late: bool,
        limit: Option<Duration>,
        canceller: RunCanceller,
    ) -> RunTimers {
        let deadline = drops_late.then(|| {
            let deadline = self.deadline(context, slot)?;
            let (clock, time) = context.clock_at(deadline)?;
            DeadlineTimer::set(&clock, time, canceller.clone())
        });
        let limit = limit.and_then(|limit| {
            let clock = gst::SystemClock::obtain();
            let end = clock.time().checked_add(limit.try_into().ok()?)?;
            Some((DeadlineTimer::set(&clock, end, canceller)?, limit))
        });
        RunTimers {
            deadline: deadline.flatten(),
            limit,
        }
    }

    /// Counts a frame that was not sent because it is too late, and tells the application.
    pub(super) fn tell_late(&self, context: &Context, slot: &Slot, late_by: u64) {
        let (processed, dropped) = {
            let mut stats = context.stats();
            stats.late += 1;
            (stats.originals + stats.synthesised, stats.late)
        };
        let Some(segment) = self.time_segment() else {
            return;
        };
        let pts = clock_time(slot.pts);
        let proportion = context.downstream().proportion();
        let message = gst::message::Qos::builder(context.latency_budget().live)
            .running_time(segment.to_running_time(pts))
            .stream_time(segment.to_stream_time(pts))
            .timestamp(pts)
            .duration(slot.duration.map(clock_time))
            .values(
                i64::try_from(late_by).unwrap_or(i64::MAX),
                proportion,
                1_000_000,
            )
            .stats(
                gst::format::Buffers::from_u64(processed),
                gst::format::Buffers::from_u64(dropped),
            )
            .src_if_some(context.element().as_ref())
            .build();
        context.messenger.post(message);
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
