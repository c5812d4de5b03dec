//! The src-pad task: takes items off the queue in order, and pushes what follows from them.
//!
//! The worker owns all that only the task touches, so no lock is held while it shrinks, infers
//! or pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use self::output::{Output, OutputItem};
use self::stream::Stream;
use super::buffers::{self, stamp};
use super::caps;
use super::context::Context;
use super::cuda::is_cuda;
use super::engine::{Engine, Frame, NetworkInput};
use super::error::Failure;
use super::item::Item;
use super::log::{CAT, clock_time};
use super::quality::controller::QualityController;
use super::quality::memory_backoff::MemoryBackoff;
use super::scene::duplicates::DuplicateBuffer;
use super::scene::{Pair, SceneDetector};
use super::settings::{Settings, Upscale};
use super::timing::deadlines::{Arrivals, Spans};
use super::timing::grid::Step;
use super::timing::timeline::{Refusal, Target, Timeline};
use crate::models::memory::Clearing;

mod deadline_timer;
mod dedup;
mod holes;
mod interpolate;
mod memory;
mod output;
mod quality;
mod stream;

/// The task's own state.
pub(super) struct Worker {
    output: Output,
    settings: Settings,
    engine: Option<Engine>,
    /// The network before it, should that fail; given up where memory is short.
    before: Option<Engine>,
    stream: Option<Stream>,
    timeline: Option<Timeline>,
    effort: Option<QualityController>,
    arrivals: Arrivals,
    spans: Spans,
    segment: Option<gst::Segment>,
    /// Whether the application knows that frames of this segment were dropped.
    told_drop: bool,
    /// Whether the application knows that a hole of this segment was left open.
    told_hole: bool,
    held: Option<Frame>,
    /// Duplicates of the held frame.
    hold: DuplicateBuffer<Frame>,
    /// Detector of cuts, with what pairs were like lately.
    scenes: SceneDetector,
    /// Schedule by which memory is given back.
    clearing: Clearing,
    /// Time when the free memory was last asked for.
    looked: Option<Instant>,
    /// Response to a shortage of memory, and whether there was one.
    shortage: MemoryBackoff,
}

impl Worker {
    /// Creates a worker with a loaded network, before the first event.
    pub(super) fn new(settings: Settings, engine: Engine, context: Arc<Context>) -> Self {
        Self {
            output: Output::new(context),
            settings,
            engine: Some(engine),
            before: None,
            stream: None,
            timeline: None,
            effort: None,
            arrivals: Arrivals::default(),
            spans: Spans::default(),
            segment: None,
            told_drop: false,
            told_hole: false,
            held: None,
            hold: DuplicateBuffer::default(),
            scenes: SceneDetector::default(),
            clearing: Clearing::default(),
            looked: None,
            shortage: MemoryBackoff::default(),
        }
    }

    /// Begins a round of the queue and forgets what belongs to another.
    pub(super) fn begin(&mut self, round: u64) {
        if self.output.round() != round {
            self.flush();
            self.output.set_round(round);
        }
    }

    /// Forgets everything that came in, as a flush does; caps stay.
    pub(super) fn flush(&mut self) {
        self.halt();
        self.held = None;
        self.hold = DuplicateBuffer::default();
        self.scenes = SceneDetector::default();
        self.clearing = Clearing::default();
        self.segment = None;
        (self.told_drop, self.told_hole) = (false, false);
        self.pause_pacing();
        if let Some(timeline) = &mut self.timeline {
            timeline.reset();
        }
    }

    /// Deals with one item.
    ///
    /// # Errors
    /// Returns the flow error that upstream is to be told.
    pub(super) fn handle(&mut self, context: &Context, item: Item) -> Result<(), gst::FlowError> {
        match item {
            Item::Buffer(buffer, arrival) => {
                self.note_arrival(&buffer, arrival);
                let small = self.take_ready(context, &buffer);
                self.buffer(context, buffer, small)?;
                self.report(context);
                Ok(())
            }
            Item::Event(event) => self.event(context, event),
            Item::Drain => self.drain(context),
        }
    }

    fn event(&mut self, context: &Context, event: gst::Event) -> Result<(), gst::FlowError> {
        use gst::EventView;

        gst::log!(CAT, obj = context.srcpad, "dealing with {event:?}");
        self.release(context)?;
        self.settle(context)?;
        match event.view() {
            EventView::Caps(caps) => return self.input_caps(context, caps.caps_owned()),
            EventView::Segment(new) if self.segment.as_ref() != Some(new.segment()) => {
                let before = self.segment.as_ref();
                if !before.is_some_and(|before| goes_on(before, new.segment())) {
                    self.finish_stretch(context)?;
                    context.downstream().reset();
                    self.pause_pacing();
                }
                self.segment = Some(new.segment().clone());
                self.tell_segment();
            }
            EventView::StreamStart(_) => self.finish_stretch(context)?,
            EventView::Gap(gap) if self.fill_gap(context, gap)? => return Ok(()),
            EventView::Eos(_) | EventView::SegmentDone(_) => self.end(context)?,
            _ => {}
        }
        context.queue.flow_in(self.output.round())?;
        // False says that nobody wanted it, which is no error of the stream.
        let _wanted = context.srcpad.push_event(event);
        Ok(())
    }

    /// Ends a stretch of the stream: the frames that follow have nothing to do with those before.
    fn finish_stretch(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        self.drain(context)?;
        (self.told_drop, self.told_hole) = (false, false);
        if let Some(timeline) = &mut self.timeline {
            timeline.reset();
        }
        Ok(())
    }

    /// Tells the timeline where the segment begins and stops.
    fn tell_segment(&mut self) {
        let segment = self.time_segment();
        let start = segment.and_then(|segment| segment.start());
        let stop = segment.and_then(|segment| segment.stop());
        if let Some(timeline) = &mut self.timeline {
            let start = start.map_or(0, gst::ClockTime::nseconds);
            timeline.set_segment(start, stop.map(gst::ClockTime::nseconds));
        }
    }

    fn input_caps(&mut self, context: &Context, input: gst::Caps) -> Result<(), gst::FlowError> {
        if self.stream.as_ref().is_some_and(|s| s.input == input) {
            return Ok(());
        }
        let looks_alike = self
            .stream
            .as_ref()
            .is_some_and(|stream| caps::describe_same_frames(&stream.input, &input));
        if !looks_alike {
            self.drain(context)?;
            self.stream = None;
            self.clearing = Clearing::default();
            // frames of these caps may need less
            self.shortage = MemoryBackoff::default();
        }
        self.negotiate(context, input)
    }

    /// Agrees on output caps and memory with downstream.
    fn negotiate(&mut self, context: &Context, input: gst::Caps) -> Result<(), gst::FlowError> {
        self.settle(context)?;
        let info = gst_video::VideoInfo::from_caps(&input).map_err(|error| {
            context.fail(
                gst::StreamError::Format,
                &format!("Unusable caps {input}: {error}"),
            );
            gst::FlowError::NotNegotiated
        })?;
        let pad = &context.srcpad;
        pad.check_reconfigure();
        let downstream = pad.peer_query_caps(Some(&caps::open_rate(&input)));
        let multiplier = self.settings.multiplier;
        let output = caps::choose_output(&input, &downstream, multiplier);
        let out_info = output
            .as_ref()
            .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        let (Some(output), Some(out_info)) = (output, out_info) else {
            context.fail(
                gst::CoreError::Negotiation,
                &format!(
                    "No frame rate suits both sides: input {input}, downstream accepts {downstream}"
                ),
            );
            return Err(gst::FlowError::NotNegotiated);
        };
        let (rate, target) = caps::rates(&info, &out_info, multiplier);
        if self.stream.as_ref().is_none_or(|s| s.output != output) {
            gst::info!(CAT, obj = context.srcpad, "{input} becomes {output}");
            context.queue.flow_in(self.output.round())?;
            if !pad.push_event(gst::event::Caps::new(&output)) {
                if pad.check_reconfigure() {
                    // Downstream has changed its mind between the query and the event.
                    return self.negotiate(context, input);
                }
                if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                    return Err(gst::FlowError::Flushing);
                }
                // The caps go along with the next frame, and what becomes of that tells a refusal from
                // a sink that is being stopped.
            }
        }
        // The pool in use is given back first: downstream may offer the very same again.
        self.stream = None;
        let cuda = is_cuda(&output).then(|| context.cuda_context()).transpose();
        let pool = cuda
            .map_err(|reason| glib::bool_error!("{reason}"))
            .and_then(|cuda| buffers::pool(pad, &output, &out_info, cuda.as_ref()));
        let pool = pool.map_err(|error| {
            context.fail(
                gst::ResourceError::Failed,
                &format!("No memory pool for {output}: {error}"),
            );
            gst::FlowError::Error
        })?;
        context.set_pool(pool.clone());
        match &mut self.timeline {
            Some(timeline) => timeline.retarget(rate, target),
            None => {
                let max_gap = self.settings.max_gap.nseconds();
                self.timeline = Some(Timeline::new(rate, target, max_gap));
                self.tell_segment();
            }
        }
        context.set_rates(rate, target);
        context.look_for_sink();
        let several = match (rate, target) {
            (_, Target::Multiple(m)) => m > 2,
            (Some(from), Target::Fixed(to)) => to.num * from.den > 2 * from.num * to.den,
            (None, Target::Fixed(_)) => true,
        };
        self.stream = Some(Stream {
            input,
            output,
            variable: rate.is_none(),
            several,
            info: out_info,
            pool,
        });
        Ok(())
    }

    fn buffer(
        &mut self,
        context: &Context,
        mut buffer: gst::Buffer,
        small: Option<NetworkInput>,
    ) -> Result<(), gst::FlowError> {
        context.stats().frames_in += 1;
        self.clearing.frame();
        if self.segment.as_ref().is_some_and(|s| s.rate() < 0.0) {
            self.settle(context)?;
            return self.output.send(OutputItem::Original(buffer));
        }
        self.take_changes(context)?;
        let Some(timeline) = &mut self.timeline else {
            context.fail(gst::CoreError::Negotiation, "A frame before caps");
            return Err(gst::FlowError::NotNegotiated);
        };
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            timeline.expect_jump();
        }
        let pts = buffer.pts().or(buffer.dts()).map(gst::ClockTime::nseconds);
        let duration = buffer.duration().map(gst::ClockTime::nseconds);
        let step = match timeline.advance(pts, duration) {
            Ok(step) => step,
            Err(refusal) => {
                self.drop_frame(context, &buffer, refusal);
                return Ok(());
            }
        };
        if let Some(apart) = step.too_long {
            self.tell_hole(context, apart);
        }
        if let Some(slot) = &step.original {
            // Nobody else holds it yet, so this changes the very buffer that came in.
            stamp(buffer.make_mut(), slot);
        }
        let new = Frame::new(buffer, small);
        if self.settings.dedup {
            self.settle(context)?;
            return self.without_duplicates(context, step, new);
        }
        // a hole may be long, and each of its repeats is to leave before the next one is made
        if step.before.pair.is_none() || !self.defers(context) {
            self.settle(context)?;
            return self.pass(context, step, new, None);
        }
        let passed = self.pass(context, step, new, None);
        self.settle(context)?;
        self.output.hand_over();
        passed
    }

    /// Defers what is made now, so that it is sent while the task deals with the next frame, which
    /// is there. Returns `false` where that gains nothing.
    fn defers(&mut self, context: &Context) -> bool {
        let gains = self.engine.as_ref().is_some_and(Engine::gains_by_deferring);
        gains && context.queue.has_frame() && !self.is_paced(context) && self.output.defer()
    }

    /// Waits until everything has left that was handed over, and learns from it.
    ///
    /// # Errors
    /// Returns the flow error that upstream is to be told of it.
    fn settle(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        let Some((report, sent)) = self.output.settle() else {
            return Ok(());
        };
        for (slot, times) in &report.made {
            // no clock sets the pace: nothing is late
            self.note_made(context, slot, times);
        }
        for (want, generation) in &report.lacking {
            context.stats().left_out += 1;
            // what lacked before the engine was changed has been seen to
            if self.engine.as_ref().and_then(Engine::generation) == *generation {
                self.run_short(context, want)?;
            }
        }
        sent
    }

    /// Returns what was made of this frame before its turn.
    fn take_ready(&mut self, context: &Context, buffer: &gst::Buffer) -> Option<NetworkInput> {
        let ready = self.output.take_ready()?;
        let (small, took) = ready.of(buffer)?;
        self.note_content(context, took, Duration::ZERO);
        Some(small)
    }

    /// Waits until nothing leaves or is made ready any more, whatever the outcome: a flush or a
    /// stop is under way.
    pub(super) fn halt(&mut self) {
        self.output.halt();
    }

    /// Counts a frame that has no place, and tells the application of the first one in a segment.
    fn drop_frame(&mut self, context: &Context, buffer: &gst::BufferRef, refusal: Refusal) {
        gst::warning!(
            CAT,
            obj = context.srcpad,
            "dropping {buffer:?}: {refusal:?}"
        );
        let dropped = {
            let mut stats = context.stats();
            stats.dropped += 1;
            stats.dropped
        };
        if std::mem::replace(&mut self.told_drop, true) {
            return;
        }
        let reason = match (refusal, buffer.pts().or(buffer.dts())) {
            (Refusal::NotLater(last), Some(pts)) => format!(
                "its timestamp, {pts}, is not later than that of the frame before it, {}",
                clock_time(last)
            ),
            _ => "it has no timestamp, its caps no frame rate and the frame before it no duration"
                .to_owned(),
        };
        context.warn(gst::StreamError::Failed, &format!("A frame was dropped ({dropped} in all so far): {reason}. Further ones of this segment are \
                 only counted, as dropped in stats"));
    }

    /// Sends the slots before a frame and the frame itself.
    fn pass(
        &mut self,
        context: &Context,
        step: Step,
        mut new: Frame,
        known: Option<Pair>,
    ) -> Result<(), gst::FlowError> {
        if let Some(mut held) = self.held.take() {
            self.before(context, &mut held, &mut new, step.before, known)?;
            self.learn_span(context, &held, &new);
            self.finish_pair(context, &held, &new)?;
            self.recycle(held);
        }
        self.arrive(context, new, step.original.is_some())
    }

    /// Finishes with a frame: sends it, if it has a slot of its own, and holds it.
    fn arrive(
        &mut self,
        _context: &Context,
        new: Frame,
        shown: bool,
    ) -> Result<(), gst::FlowError> {
        if shown {
            self.output.send(OutputItem::Original(new.buffer.clone()))?;
        }
        self.held = Some(new);
        Ok(())
    }

    fn recycle(&mut self, frame: Frame) {
        if let Some(engine) = &mut self.engine {
            engine.recycle(frame);
        }
    }

    /// Applies what was changed from outside: settings, a new network, downstream's wishes.
    fn take_changes(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        let settings = context.settings().clone();
        let multiplied = settings.multiplier != self.settings.multiplier;
        let again = settings.model_set != self.settings.model_set && context.loader.has_failed();
        if settings.wants_other_model(&self.settings) || again {
            context.loader.load(settings.load_options());
        }
        if !settings.dedup {
            self.release(context)?;
        }
        if settings.downscale != self.settings.downscale {
            self.shortage = MemoryBackoff::default();
        }
        self.settings = settings;
        self.limit_holes(context);
        if (multiplied || context.srcpad.check_reconfigure())
            && let Some(stream) = &self.stream
        {
            let input = stream.input.clone();
            self.release(context)?;
            self.negotiate(context, input).inspect_err(|_| {
                // A flush got in between: what downstream wants is still to be found out.
                context.srcpad.mark_reconfigure();
            })?;
        }
        // After all that is held was sent, for which the new one is not configured.
        if let Some(engine) = context.loader.take_loaded() {
            let failed = self.shortage.has_failed();
            let before = self.take_over(context, engine);
            if let Some(mut before) = before.filter(|engine| engine.has_worked() && !failed) {
                before.rest();
                self.before = Some(before);
            }
        }
        self.fit_effort(context);
        self.configure(context)
    }

    /// Puts another network to work; gives back the one before it.
    fn take_over(&mut self, context: &Context, engine: Engine) -> Option<Engine> {
        context.adopt(&engine);
        // What another network costs is to be found out, and what it needs.
        self.effort = None;
        self.shortage = MemoryBackoff::default();
        self.engine.replace(engine)
    }

    /// Configures the engine as the effort asks.
    fn configure(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        let fitted = self.fit_engine();
        if let Some(engine) = &mut self.engine {
            context.loader.attend(engine);
        }
        match fitted {
            Ok(()) | Err(Failure::Cancelled) => Ok(()),
            Err(Failure::Lacks(want)) => self.run_short(context, &want).map(drop),
            Err(Failure::Failed(error)) => {
                if self.settings.upscale == Upscale::Motion && context.stats().originals > 0 {
                    // It went well until the property or the model was changed.
                    context.warn(
                        gst::LibraryError::Settings,
                        &format!("upscale is auto from here on: {error:#}"),
                    );
                    self.settings.upscale = Upscale::Auto;
                    context.settings().upscale = Upscale::Auto;
                    context.notify("upscale");
                    return self.configure(context);
                }
                context.fail(gst::LibraryError::Settings, &format!("{error:#}"));
                Err(gst::FlowError::Error)
            }
        }
    }

    fn fit_engine(&mut self) -> Result<(), Failure> {
        let (Some(stream), Some(engine), Some(effort)) =
            (&self.stream, &mut self.engine, &self.effort)
        else {
            return Ok(());
        };
        engine.configure(&stream.info, &self.settings, effort.size())
    }
}

/// Returns whether timestamps of one segment mean the same time in the other, which may begin or
/// stop elsewhere.
fn goes_on(from: &gst::Segment, to: &gst::Segment) -> bool {
    let times = |segment: &gst::Segment| {
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        Some((
            segment.rate(),
            segment.applied_rate(),
            segment.base(),
            segment.offset(),
        ))
    };
    times(from).is_some_and(|from| times(to) == Some(from))
}
