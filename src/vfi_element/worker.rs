//! The src-pad task: takes items off the queue in order, and pushes what follows from them.
//!
//! The worker owns all that only the task touches, so no lock is held while it shrinks, infers
//! or pushes.

use std::sync::atomic::Ordering;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::allocation;
use super::between::{Pair, stamp};
use super::caps;
use super::content::Scenes;
use super::courier::{Courier, Parcel};
use super::cuda::is_cuda;
use super::effort::Effort;
use super::engine::{Engine, Failure, Frame, Small};
use super::grid::Step;
use super::hold::Hold;
use super::imp::VfiInterp;
use super::item::Item;
use super::pacing::{Arrivals, Spans};
use super::settings::{Settings, Upscale};
use super::shortage::Shortage;
use super::timeline::{Refusal, Target, Timeline};
use super::{CAT, clock_time};
use crate::models::memory::Clearing;

/// What the caps fix.
pub(super) struct Stream {
    input: gst::Caps,
    output: gst::Caps,
    pub(super) info: gst_video::VideoInfo,
    /// Whether frames come at no fixed rate.
    pub(super) variable: bool,
    /// Whether more than two frames leave for one that comes.
    pub(super) several: bool,
    pub(super) pool: gst::BufferPool,
}

/// The task's own state.
#[derive(Default)]
pub(super) struct Worker {
    /// Which round of the queue it is at work in.
    pub(super) round: u64,
    pub(super) settings: Settings,
    pub(super) engine: Option<Engine>,
    /// The network before it, should that fail; given up where memory is short.
    pub(super) before: Option<Engine>,
    pub(super) stream: Option<Stream>,
    timeline: Option<Timeline>,
    pub(super) effort: Option<Effort>,
    pub(super) arrivals: Arrivals,
    pub(super) spans: Spans,
    pub(super) segment: Option<gst::Segment>,
    /// The application knows that frames of this segment were dropped.
    told_drop: bool,
    pub(super) held: Option<Frame>,
    /// Duplicates of the held frame.
    pub(super) hold: Hold<Frame>,
    /// What pairs were like lately.
    pub(super) scenes: Scenes,
    /// When memory is given back.
    pub(super) clearing: Clearing,
    /// When it was last asked how much is left.
    pub(super) looked: Option<Instant>,
    /// Whether it has lacked.
    pub(super) shortage: Shortage,
    /// What leaves with the pair at hand, where that is not sent at once.
    pub(super) parcels: Option<Vec<Parcel>>,
    /// Sends it, if that was ever so.
    pub(super) courier: Option<Courier>,
}

impl Worker {
    /// A worker with a loaded network, before the first event.
    pub(super) fn new(settings: Settings, engine: Engine) -> Self {
        Self {
            settings,
            engine: Some(engine),
            ..Self::default()
        }
    }

    /// Forgets what came in, as a flush does; caps stay.
    pub(super) fn flush(&mut self) {
        self.halt();
        self.held = None;
        self.hold = Hold::default();
        self.scenes = Scenes::default();
        self.clearing = Clearing::default();
        self.segment = None;
        self.told_drop = false;
        self.pause_pacing();
        if let Some(timeline) = &mut self.timeline {
            timeline.reset();
        }
    }

    /// Deals with one item.
    ///
    /// # Errors
    /// What upstream is to be told.
    pub(super) fn handle(&mut self, imp: &VfiInterp, item: Item) -> Result<(), gst::FlowError> {
        match item {
            Item::Buffer(buffer, arrival) => {
                self.note_arrival(&buffer, arrival);
                let small = self.take_ready(imp, &buffer);
                self.buffer(imp, buffer, small)?;
                self.report(imp);
                Ok(())
            }
            Item::Event(event) => self.event(imp, event),
            Item::Drain => self.drain(imp),
        }
    }

    fn event(&mut self, imp: &VfiInterp, event: gst::Event) -> Result<(), gst::FlowError> {
        use gst::EventView;

        gst::log!(CAT, imp = imp, "dealing with {event:?}");
        self.release(imp)?;
        self.settle(imp)?;
        match event.view() {
            EventView::Caps(caps) => return self.input_caps(imp, caps.caps_owned()),
            EventView::Segment(new) if self.segment.as_ref() != Some(new.segment()) => {
                let before = self.segment.as_ref();
                if !before.is_some_and(|before| goes_on(before, new.segment())) {
                    self.finish_stretch(imp)?;
                    imp.downstream().reset();
                    self.pause_pacing();
                }
                self.segment = Some(new.segment().clone());
                self.tell_segment();
            }
            EventView::StreamStart(_) => self.finish_stretch(imp)?,
            EventView::Eos(_) | EventView::SegmentDone(_) | EventView::Gap(_) => self.drain(imp)?,
            _ => {}
        }
        imp.queue.flow_in(self.round)?;
        // False says that nobody wanted it, which is no error of the stream.
        let _wanted = imp.srcpad().push_event(event);
        Ok(())
    }

    /// What follows has nothing to do with what was.
    fn finish_stretch(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        self.drain(imp)?;
        self.told_drop = false;
        if let Some(timeline) = &mut self.timeline {
            timeline.reset();
        }
        Ok(())
    }

    /// Fills what is left of the held frame's time with it, and lets it go.
    fn drain(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        self.release(imp)?;
        self.settle(imp)?;
        if let (Some(timeline), Some(held)) = (&mut self.timeline, self.held.take()) {
            let slots = timeline.drain(None);
            for slot in slots {
                self.repeat(imp, &held, &slot)?;
            }
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

    fn input_caps(&mut self, imp: &VfiInterp, input: gst::Caps) -> Result<(), gst::FlowError> {
        if self.stream.as_ref().is_some_and(|s| s.input == input) {
            return Ok(());
        }
        let looks_alike = self
            .stream
            .as_ref()
            .is_some_and(|stream| caps::describe_same_frames(&stream.input, &input));
        if !looks_alike {
            self.drain(imp)?;
            self.stream = None;
            self.clearing = Clearing::default();
            // frames of these caps may need less
            self.shortage = Shortage::default();
        }
        self.negotiate(imp, input)
    }

    /// Agrees on output caps and memory with downstream.
    fn negotiate(&mut self, imp: &VfiInterp, input: gst::Caps) -> Result<(), gst::FlowError> {
        self.settle(imp)?;
        let info = gst_video::VideoInfo::from_caps(&input).map_err(|error| {
            gst::element_imp_error!(
                imp,
                gst::StreamError::Format,
                ("Unusable caps {input}: {error}")
            );
            gst::FlowError::NotNegotiated
        })?;
        let pad = imp.srcpad();
        pad.check_reconfigure();
        let downstream = pad.peer_query_caps(Some(&caps::open_rate(&input)));
        let multiplier = self.settings.multiplier;
        let output = caps::choose_output(&input, &downstream, multiplier);
        let out_info = output
            .as_ref()
            .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        let (Some(output), Some(out_info)) = (output, out_info) else {
            gst::element_imp_error!(
                imp,
                gst::CoreError::Negotiation,
                ("No frame rate suits both sides"),
                ["input {input}, downstream accepts {downstream}"]
            );
            return Err(gst::FlowError::NotNegotiated);
        };
        let (rate, target) = caps::rates(&info, &out_info, multiplier);
        if self.stream.as_ref().is_none_or(|s| s.output != output) {
            gst::info!(CAT, imp = imp, "{input} becomes {output}");
            imp.queue.flow_in(self.round)?;
            if !pad.push_event(gst::event::Caps::new(&output)) {
                if pad.check_reconfigure() {
                    // Downstream has changed its mind between the query and the event.
                    return self.negotiate(imp, input);
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
        let cuda = is_cuda(&output).then(|| imp.cuda_context()).transpose();
        let pool = cuda
            .map_err(|reason| glib::bool_error!("{reason}"))
            .and_then(|cuda| allocation::pool(pad, &output, &out_info, cuda.as_ref()));
        let pool = pool.map_err(|error| {
            gst::element_imp_error!(
                imp,
                gst::ResourceError::Failed,
                ("No memory pool for {output}: {error}")
            );
            gst::FlowError::Error
        })?;
        imp.set_pool(pool.clone());
        match &mut self.timeline {
            Some(timeline) => timeline.retarget(rate, target),
            None => {
                let max_gap = self.settings.max_gap.nseconds();
                self.timeline = Some(Timeline::new(rate, target, max_gap));
                self.tell_segment();
            }
        }
        imp.set_rates(rate, target);
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
        imp: &VfiInterp,
        mut buffer: gst::Buffer,
        small: Option<Small>,
    ) -> Result<(), gst::FlowError> {
        imp.stats().frames_in += 1;
        self.clearing.frame();
        if self.segment.as_ref().is_some_and(|s| s.rate() < 0.0) {
            self.settle(imp)?;
            return self.send(imp, Parcel::Original(buffer));
        }
        self.take_changes(imp)?;
        let Some(timeline) = &mut self.timeline else {
            gst::element_imp_error!(imp, gst::CoreError::Negotiation, ("A frame before caps"));
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
                self.drop_frame(imp, &buffer, refusal);
                return Ok(());
            }
        };
        if let Some(slot) = &step.original {
            // Nobody else holds it yet, so this changes the very buffer that came in.
            stamp(buffer.make_mut(), slot);
        }
        let new = Frame::new(buffer, small);
        if self.settings.dedup {
            self.settle(imp)?;
            return self.without_duplicates(imp, step, new);
        }
        if !self.goes_apart(imp) {
            self.settle(imp)?;
            return self.pass(imp, step, new, None);
        }
        self.parcels = Some(Vec::new());
        let passed = self.pass(imp, step, new, None);
        let parcels = self.parcels.take().unwrap_or_default();
        self.hand_over(imp, parcels)?;
        passed
    }

    /// A frame has no place: counts it, and tells the application of the first one in a segment.
    fn drop_frame(&mut self, imp: &VfiInterp, buffer: &gst::BufferRef, refusal: Refusal) {
        gst::warning!(CAT, imp = imp, "dropping {buffer:?}: {refusal:?}");
        let dropped = {
            let mut stats = imp.stats();
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
        gst::element_imp_warning!(
            imp,
            gst::StreamError::Failed,
            ("A frame was dropped ({dropped} in all so far): {reason}. Further ones of this segment are \
                 only counted, as dropped in stats")
        );
    }

    /// Sends the slots before a frame and the frame itself.
    pub(super) fn pass(
        &mut self,
        imp: &VfiInterp,
        step: Step,
        mut new: Frame,
        known: Option<Pair>,
    ) -> Result<(), gst::FlowError> {
        if let Some(mut held) = self.held.take() {
            self.before(imp, &mut held, &mut new, step.before, known)?;
            self.learn_span(imp, &held, &new);
            self.finish_pair(imp, &held, &new)?;
            self.recycle(held);
        }
        self.arrive(imp, new, step.original.is_some())
    }

    /// A frame is through: it is sent, if it has a slot of its own, and held.
    pub(super) fn arrive(
        &mut self,
        imp: &VfiInterp,
        new: Frame,
        shown: bool,
    ) -> Result<(), gst::FlowError> {
        if shown {
            self.send(imp, Parcel::Original(new.buffer.clone()))?;
        }
        self.held = Some(new);
        Ok(())
    }

    pub(super) fn recycle(&mut self, frame: Frame) {
        if let Some(engine) = &mut self.engine {
            engine.recycle(frame);
        }
    }

    /// Takes over what was changed from outside: settings, a new network, downstream's wishes.
    fn take_changes(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        let settings = imp.settings().clone();
        let multiplied = settings.multiplier != self.settings.multiplier;
        let again = settings.model_set != self.settings.model_set
            && imp.load_failed.load(Ordering::Relaxed);
        if settings.wants_other_model(&self.settings) || again {
            imp.load_in_background(settings.load_options());
        }
        if !settings.dedup {
            self.release(imp)?;
        }
        if settings.downscale != self.settings.downscale {
            self.shortage = Shortage::default();
        }
        self.settings = settings;
        if let Some(timeline) = &mut self.timeline {
            timeline.set_max_gap(self.settings.max_gap.nseconds());
        }
        if (multiplied || imp.srcpad().check_reconfigure())
            && let Some(stream) = &self.stream
        {
            let input = stream.input.clone();
            self.release(imp)?;
            self.negotiate(imp, input).inspect_err(|_| {
                // A flush got in between: what downstream wants is still to be found out.
                imp.srcpad().mark_reconfigure();
            })?;
        }
        // After all that is held was sent, for which the new one is not configured.
        if let Some(engine) = imp.take_loaded() {
            let failed = self.shortage.has_failed();
            let before = self.take_over(imp, engine);
            if let Some(mut before) = before.filter(|engine| engine.has_worked() && !failed) {
                before.rest();
                self.before = Some(before);
            }
        }
        self.fit_effort(imp);
        self.configure(imp)
    }

    /// Another network runs from now on; gives back the one that did.
    pub(super) fn take_over(&mut self, imp: &VfiInterp, engine: Engine) -> Option<Engine> {
        imp.adopt(&engine);
        // What another network costs is to be found out, and what it needs.
        self.effort = None;
        self.shortage = Shortage::default();
        self.engine.replace(engine)
    }

    /// Makes the engine do what the effort asks for.
    pub(super) fn configure(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        let fitted = self.fit_engine();
        if let Some(engine) = &mut self.engine {
            imp.attend(engine);
        }
        match fitted {
            Ok(()) | Err(Failure::Cancelled) => Ok(()),
            Err(Failure::Lacks(want)) => self.run_short(imp, &want).map(drop),
            Err(Failure::Failed(error)) => {
                if self.settings.upscale == Upscale::Motion && imp.stats().originals > 0 {
                    // It went well until the property or the model was changed.
                    gst::element_imp_warning!(
                        imp,
                        gst::LibraryError::Settings,
                        ("upscale is auto from here on: {error:#}")
                    );
                    self.settings.upscale = Upscale::Auto;
                    imp.settings().upscale = Upscale::Auto;
                    imp.obj().notify("upscale");
                    return self.configure(imp);
                }
                gst::element_imp_error!(imp, gst::LibraryError::Settings, ("{error:#}"));
                Err(gst::FlowError::Error)
            }
        }
    }

    pub(super) fn fit_engine(&mut self) -> Result<(), Failure> {
        let (Some(stream), Some(engine), Some(effort)) =
            (&self.stream, &mut self.engine, &self.effort)
        else {
            return Ok(());
        };
        engine.configure(&stream.info, &self.settings, effort.size())
    }
}

/// Whether timestamps of one segment mean the same time in the other: that may begin or stop elsewhere.
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

impl Drop for Stream {
    fn drop(&mut self) {
        // Fails only for a pool that was never active.
        let _stopped = self.pool.set_active(false);
    }
}
