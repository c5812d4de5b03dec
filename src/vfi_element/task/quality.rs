//! Time in the task: which frames are too late, how much effort frames are worth, what the latency
//! has to be, and when to report.

use std::time::Duration;

use gst::prelude::*;

use super::Worker;
use super::deadline_timer::DeadlineTimer;
use crate::sync::lock;
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::Frame;
use crate::vfi_element::log::{CAT, clock_time};
use crate::vfi_element::quality::controller::{QualityController, QualityTarget};
use crate::vfi_element::quality::ladder::FrameShare;
use crate::vfi_element::settings::Overload;
use crate::vfi_element::stats::Times;
use crate::vfi_element::timing::deadlines;
use crate::vfi_element::timing::grid::Slot;

impl Worker {
    /// Returns whether a frame is to be made at this slot. If it would be too late, tells so.
    pub(super) fn has_time(&mut self, context: &Context, slot: &Slot) -> bool {
        let asks = self
            .effort
            .as_mut()
            .is_none_or(|effort| effort.asks(slot.offset));
        if !asks {
            context.stats().left_out += 1;
            return false;
        }
        let Some(late_by) = self.lateness(context, slot) else {
            return true;
        };
        if let Some(effort) = &mut self.effort {
            effort.not_tried();
        }
        self.tell_late(context, slot, late_by);
        false
    }

    /// Returns by how much a frame would be too late to be of use, if it would.
    fn lateness(&self, context: &Context, slot: &Slot) -> Option<u64> {
        if self.settings.overload == Overload::None {
            return None;
        }
        let due = self.running_time(Some(clock_time(slot.pts)))?;
        let reported = match self.settings.qos {
            true => context.downstream().late_by(due.nseconds()),
            false => None,
        };
        let expected = self.effort.as_ref().map_or(0, QualityController::expected);
        reported.or_else(|| self.overdue(context, slot, expected))
    }

    /// Returns by how much a frame that is ready in `more` nanoseconds breaks the promise, if it
    /// does.
    fn overdue(&self, context: &Context, slot: &Slot, more: u64) -> Option<u64> {
        let deadline = self.deadline(context, slot)?.nseconds();
        let now = context.running_time()?.nseconds();
        let ready = now.saturating_add(more);
        ready.checked_sub(deadline).filter(|late| *late > 0)
    }

    /// Returns the running time at which a frame has to be out, where somebody waits for it.
    fn deadline(&self, context: &Context, slot: &Slot) -> Option<gst::ClockTime> {
        let due = self.running_time(Some(clock_time(slot.pts)))?;
        let (promise, held) = (context.promise(), lock(&context.holds).level());
        let deadline = promise.deadline(due.nseconds(), self.arrivals.delay(), held);
        deadline.map(clock_time)
    }

    /// Arms a timer that cancels the run when its frame can't be in time any more.
    pub(super) fn alarm(&self, context: &Context, slot: &Slot) -> Option<DeadlineTimer> {
        if self.settings.overload == Overload::None {
            return None;
        }
        let deadline = self.deadline(context, slot)?;
        let (clock, time) = context.clock_at(deadline)?;
        let canceller = self.engine.as_ref()?.canceller();
        DeadlineTimer::set(&clock, time, canceller)
    }

    /// Arms a timer that cancels a run that seems never to end, whether a clock sets the pace or
    /// not. Returns it with the time limit.
    pub(super) fn watch(&self) -> Option<(DeadlineTimer, Duration)> {
        let engine = self.engine.as_ref()?;
        let limit = engine.patience()?;
        let clock = gst::SystemClock::obtain();
        let end = clock.time().checked_add(limit.try_into().ok()?)?;
        Some((DeadlineTimer::set(&clock, end, engine.canceller())?, limit))
    }

    /// Notes a frame that was made. Returns by how much it is too late to be sent, if it is.
    pub(super) fn note_made(
        &mut self,
        context: &Context,
        slot: &Slot,
        times: &Times,
    ) -> Option<u64> {
        let sent = matches!(self.settings.overload, Overload::None | Overload::Repeat);
        let late = match sent {
            true => None,
            false => self.overdue(context, slot, 0),
        };
        if let Some(effort) = &mut self.effort {
            effort.made(
                nanoseconds(times.own()),
                nanoseconds(times.estimate),
                late.is_some(),
            );
        }
        context.stats().add(times);
        late
    }

    /// Notes a frame that was asked for but needs no effort: there is nothing to make.
    pub(super) fn note_spared(&mut self) {
        if let Some(effort) = &mut self.effort {
            effort.spare();
        }
    }

    /// Notes a pair that was shrunk, and looked at, to find out what it shows.
    pub(super) fn note_content(&mut self, context: &Context, shrink: Duration, content: Duration) {
        if let Some(effort) = &mut self.effort {
            effort.spend(nanoseconds(shrink + content));
        }
        context.stats().add_content(shrink, content);
    }

    /// Notes a frame that was given up because of the alarm.
    pub(super) fn note_cut_short(&mut self, spent: Duration) {
        if let Some(effort) = &mut self.effort {
            effort.cut_short(nanoseconds(spent));
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
        let message = gst::message::Qos::builder(context.promise().live)
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
        context.post(message);
    }

    /// Learns from a pair that is done what to do with the next one.
    ///
    /// # Errors
    /// If the engine can't do what the new effort asks for.
    pub(super) fn finish_pair(
        &mut self,
        context: &Context,
        held: &Frame,
        new: &Frame,
    ) -> Result<(), gst::FlowError> {
        let speed = self
            .segment
            .as_ref()
            .map_or(1.0, |segment| segment.rate().abs());
        let span = (apart(held, new) as f64 / speed) as u64;
        let paced = self.is_paced(context);
        let changed = self
            .effort
            .as_mut()
            .is_some_and(|effort| effort.finish(span, paced));
        if changed {
            self.tell_effort(context);
            self.configure(context)?;
        }
        self.raise_latency(context);
        self.tend_memory(context, span);
        Ok(())
    }

    /// Returns whether a clock sets the pace: that of a live source, or of a sink that waits for
    /// it, which was found or has told so.
    pub(super) fn is_paced(&self, context: &Context) -> bool {
        let promise = context.promise();
        let found = promise.live || promise.sink.is_some();
        found || (self.settings.qos && context.downstream().paced())
    }

    /// Allows more time for a frame if that is what frames take, in a live pipeline; but not as
    /// long as less effort may do.
    fn raise_latency(&mut self, context: &Context) {
        let frame = context.rates().frame;
        let Some(effort) = self.effort.as_ref().filter(|effort| effort.is_settled()) else {
            return;
        };
        let Some(high) = effort.frame().filter(|_| context.promise().live) else {
            return;
        };
        let before = self.settings.latency;
        // What takes longer than two frames can't be kept up with, however long one waits.
        let most = before.max(frame.saturating_mul(2)).nseconds();
        let Some(raised) = deadlines::raised(high, before.nseconds(), most) else {
            return;
        };
        let raised = clock_time(raised);
        {
            let mut settings = context.settings();
            if settings.latency != before {
                // It has just been set from outside.
                return;
            }
            settings.latency = raised;
        }
        self.settings.latency = raised;
        context.warn(gst::CoreError::Clock, &format!("Making a frame takes up to {:.1} ms, and latency allowed for {:.1}: it is {:.1} ms now",
                high as f64 / 1e6,
                before.nseconds() as f64 / 1e6,
                raised.nseconds() as f64 / 1e6));
        context.notify("latency");
        context.latency_changed();
    }

    /// Keeps the effort for the stream and settings at hand.
    pub(super) fn fit_effort(&mut self, context: &Context) {
        let Some(stream) = &self.stream else {
            return;
        };
        let wish = QualityTarget {
            width: stream.info.width(),
            height: stream.info.height(),
            downscale: self.settings.downscale,
            degrade: self.settings.overload == Overload::Degrade,
            several: stream.several,
            fixed: self
                .engine
                .as_ref()
                .and_then(|engine| engine.info().fixed_size),
            short: self.shortage.steps(),
            fails: self.shortage.has_failed(),
        };
        if self
            .effort
            .as_ref()
            .is_none_or(|effort| effort.wish() != wish)
        {
            self.effort = Some(QualityController::new(wish));
            self.tell_effort(context);
        }
    }

    /// Pauses what is learned from time: the frames that follow have nothing to do with those
    /// before.
    pub(super) fn pause_pacing(&mut self) {
        self.arrivals.reset();
        if let Some(effort) = &mut self.effort {
            effort.pause();
        }
    }

    pub(super) fn note_arrival(
        &mut self,
        buffer: &gst::BufferRef,
        arrival: Option<gst::ClockTime>,
    ) {
        if let Some((due, arrival)) = self.running_time(buffer.pts()).zip(arrival) {
            self.arrivals.add(due.nseconds(), arrival.nseconds());
        }
    }

    /// Returns the running time of a timestamp, in a segment that has one for it.
    fn running_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        self.time_segment()?.to_running_time(pts)
    }

    pub(super) fn time_segment(&self) -> Option<&gst::FormattedSegment<gst::ClockTime>> {
        self.segment.as_ref()?.downcast_ref()
    }

    /// Learns how far apart frames of a varying rate are, because the latency follows from it.
    pub(super) fn learn_span(&mut self, context: &Context, held: &Frame, new: &Frame) {
        if !self.stream.as_ref().is_some_and(|stream| stream.variable) {
            return;
        }
        let known = context.rates().frame.nseconds();
        let most = self.settings.max_gap.nseconds();
        if let Some(grown) = self.spans.add(apart(held, new), known, most) {
            let grown = clock_time(grown);
            gst::info!(CAT, obj = context.srcpad, "frames come up to {grown} apart");
            context.set_frame(grown);
        }
    }

    /// Posts a report of what happened lately, if it is time.
    pub(super) fn report(&self, context: &Context) {
        let interval = self.settings.stats_interval.nseconds();
        if interval == 0 {
            context.stats().stop_reporting();
            return;
        }
        let (now, latency) = (context.now().nseconds(), context.own_latency().nseconds());
        let report = context.stats().report(now, interval, latency);
        if let Some(report) = report {
            context.post(
                gst::message::Element::builder(report)
                    .src_if_some(context.element().as_ref())
                    .build(),
            );
        }
    }

    /// Reports where the effort stands now; to the application, if that is another step than
    /// before.
    fn tell_effort(&self, context: &Context) {
        let Some(effort) = &self.effort else {
            return;
        };
        let (rung, step) = (effort.rung(), effort.step());
        let (width, height) = effort.size();
        let name = match rung.share {
            FrameShare::All if step == 0 => "full",
            FrameShare::All => "smaller",
            FrameShare::Half => "fewer",
            FrameShare::None => "originals",
        };
        let structure = gst::Structure::builder("vfiinterp-overload")
            .field("step", step as u64)
            .field("name", name)
            .field("downscale", rung.divisor)
            .field("width", width as u64)
            .field("height", height as u64)
            .field("share", rung.share.part())
            .build();
        gst::info!(CAT, obj = context.srcpad, "{structure}");
        let before = {
            let mut stats = context.stats();
            stats.downscale = rung.divisor;
            std::mem::replace(&mut stats.step, step as u64)
        };
        if before != step as u64 {
            context.stats().steps += 1;
            let message =
                gst::message::Element::builder(structure).src_if_some(context.element().as_ref());
            context.post(message.build());
        }
    }
}

/// Returns the time from one frame to the other, in nanoseconds.
fn apart(held: &Frame, new: &Frame) -> u64 {
    let times = new.buffer.pts().zip(held.buffer.pts());
    let apart = times.and_then(|(new, held)| new.checked_sub(held));
    apart.map_or(0, gst::ClockTime::nseconds)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
