//! The src-pad task: takes items off the queue in order, and pushes what follows from them.
//!
//! The worker owns all that only the task touches, so no lock is held while it shrinks, infers
//! or pushes.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;

use self::deadlines::Deadlines;
use self::output::{Delivery, Output, OutputItem};
use self::quality::QualityControl;
use self::stream::{Stream, goes_on};
use super::buffers::stamp;
use super::context::Context;
use super::engine::{Engine, Frame, NetworkInput};
use super::item::Item;
use super::log::{CAT, clock_time};
use super::queue::Taken;
use super::scene::duplicates::DuplicateBuffer;
use super::scene::{Pair, SceneDetector};
use super::settings::Settings;
use super::timing::grid::FrameStep;
use super::timing::timeline::{Timeline, TimelineError};

mod changes;
mod deadline_timer;
mod deadlines;
mod dedup;
mod holes;
mod interpolate;
mod output;
mod quality;
mod stream;

/// The task's own state.
pub(super) struct Worker {
    output: Output,
    settings: Arc<Settings>,
    engine: Engine,
    /// The network before it, should that fail; given up where memory is short.
    before: Option<Engine>,
    stream: Option<Stream>,
    timeline: Option<Timeline>,
    quality: QualityControl,
    deadlines: Deadlines,
    /// Whether the application knows that frames of this segment were dropped.
    told_drop: bool,
    /// Whether the application knows that a hole of this segment was left open.
    told_hole: bool,
    held: Option<Frame>,
    /// Duplicates of the held frame.
    duplicates: DuplicateBuffer<Frame>,
    /// Detector of cuts, with what pairs were like lately.
    scenes: SceneDetector,
}

impl Worker {
    /// Creates a worker with a loaded network, before the first event.
    pub(super) fn new(settings: Arc<Settings>, engine: Engine, context: Arc<Context>) -> Self {
        Self {
            output: Output::new(context),
            settings,
            engine,
            before: None,
            stream: None,
            timeline: None,
            quality: QualityControl::default(),
            deadlines: Deadlines::default(),
            told_drop: false,
            told_hole: false,
            held: None,
            duplicates: DuplicateBuffer::default(),
            scenes: SceneDetector::default(),
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
        self.duplicates = DuplicateBuffer::default();
        self.scenes = SceneDetector::default();
        self.quality.restart_clearing();
        self.deadlines.set_segment(None);
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
    pub(super) fn handle(
        &mut self,
        context: &Context,
        taken: Taken<Item>,
    ) -> Result<(), gst::FlowError> {
        match taken.item {
            Item::Buffer(buffer, arrival) => {
                let (waited, level) = (taken.waited, taken.level);
                (context.stats()).add_taken(waited, level, taken.held_back);
                self.deadlines.note_arrival(&buffer, arrival);
                let input = self.take_ready(context, &buffer);
                self.take_frame(context, buffer, input)?;
                context.report(self.settings.stats_interval);
                Ok(())
            }
            Item::Event(event) => self.take_event(context, event),
            Item::Drain => self.drain(context),
        }
    }

    fn take_event(&mut self, context: &Context, event: gst::Event) -> Result<(), gst::FlowError> {
        use gst::EventView;

        gst::log!(CAT, obj = context.srcpad, "dealing with {event:?}");
        self.release(context)?;
        self.settle(context)?;
        match event.view() {
            EventView::Caps(caps) => return self.take_caps(context, caps.caps_owned()),
            EventView::Segment(new) if self.deadlines.segment() != Some(new.segment()) => {
                let before = self.deadlines.segment();
                if !before.is_some_and(|before| goes_on(before, new.segment())) {
                    self.finish_stretch(context)?;
                    context.downstream().reset();
                    self.pause_pacing();
                }
                self.deadlines.set_segment(Some(new.segment().clone()));
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

    fn take_frame(
        &mut self,
        context: &Context,
        mut buffer: gst::Buffer,
        input: Option<NetworkInput>,
    ) -> Result<(), gst::FlowError> {
        self.quality.count_frame();
        if self.deadlines.rate() < 0.0 {
            self.settle(context)?;
            let item = OutputItem::Original(buffer);
            return self.output.send(&mut Delivery::AtOnce, item);
        }
        self.take_changes(context)?;
        let Some(timeline) = &mut self.timeline else {
            context.explain_missing_caps(&buffer);
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
        let new = Frame::new(buffer, input);
        if self.settings.dedup {
            self.settle(context)?;
            return self.pass_without_duplicates(context, step, new);
        }
        // a hole may be long, and each of its repeats is to leave before the next one is made
        let mut delivery = match step.before.pair.is_some() && self.defers(context) {
            true => self.output.collect(),
            false => Delivery::AtOnce,
        };
        if !delivery.is_deferred() {
            self.settle(context)?;
            return self.pass(context, step, new, None, &mut delivery);
        }
        let passed = self.pass(context, step, new, None, &mut delivery);
        self.settle(context)?;
        self.output.hand_over(delivery);
        passed
    }

    /// Returns whether something is gained by sending what is made now while the task deals with the
    /// next frame, which is there.
    fn defers(&self, context: &Context) -> bool {
        let gains = self.engine.gains_by_deferring() && context.queue.has_frame();
        gains && !context.is_paced(self.settings.qos)
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
            if self.engine.generation() == Some(*generation) {
                self.do_without(context, want)?;
            }
        }
        sent
    }

    /// Returns what was made of this frame before its turn.
    fn take_ready(&mut self, context: &Context, buffer: &gst::Buffer) -> Option<NetworkInput> {
        let ready = self.output.take_ready()?;
        let (input, took) = ready.of(buffer)?;
        self.note_content(context, took, Duration::ZERO);
        Some(input)
    }

    /// Waits until nothing leaves or is made ready any more, whatever the outcome: a flush or a
    /// stop is under way.
    pub(super) fn halt(&mut self) {
        self.output.halt();
    }

    /// Counts a frame that has no place, and tells the application of the first one in a segment.
    fn drop_frame(&mut self, context: &Context, buffer: &gst::BufferRef, refusal: TimelineError) {
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
            (TimelineError::NotLater(last), Some(pts)) => format!(
                "its timestamp, {pts}, is not later than that of the frame before it, {}",
                clock_time(last)
            ),
            _ => "it has no timestamp, its caps no frame rate and the frame before it no duration"
                .to_owned(),
        };
        let text = format!(
            "A frame was dropped ({dropped} in all so far): {reason}. Further ones of this segment \
             are only counted, as dropped in stats"
        );
        context.messenger.warn(gst::StreamError::Failed, &text);
    }

    /// Sends the slots before a frame and the frame itself.
    fn pass(
        &mut self,
        context: &Context,
        step: FrameStep,
        mut new: Frame,
        known: Option<Pair>,
        delivery: &mut Delivery,
    ) -> Result<(), gst::FlowError> {
        if let Some(mut held) = self.held.take() {
            self.fill_between(context, &mut held, &mut new, step.before, known, delivery)?;
            self.learn_span(context, &held, &new);
            self.finish_pair(context, &held, &new)?;
            self.engine.recycle(held);
        }
        self.hold(new, step.original.is_some(), delivery)
    }

    /// Sends a frame, if it has a slot of its own, and holds it.
    fn hold(
        &mut self,
        new: Frame,
        is_shown: bool,
        delivery: &mut Delivery,
    ) -> Result<(), gst::FlowError> {
        if is_shown {
            let original = OutputItem::Original(new.buffer.clone());
            self.output.send(delivery, original)?;
        }
        self.held = Some(new);
        Ok(())
    }

    /// Pauses what is learned from time: the frames that follow have nothing to do with those
    /// before.
    fn pause_pacing(&mut self) {
        self.deadlines.reset();
        self.quality.pause();
    }
}
