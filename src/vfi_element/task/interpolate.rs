//! Output between two originals: frames made, repeated or left out, and given their place in time.

use std::time::{Duration, Instant};

use super::Worker;
use super::deadline_timer::DeadlineTimer;
use super::output::OutputItem;
use crate::vfi_element::buffers::{self, again};
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::{Engine, Frame};
use crate::vfi_element::error::{Failure, Lack, Want};
use crate::vfi_element::log::CAT;
use crate::vfi_element::metas;
use crate::vfi_element::scene::{Change, Pair};
use crate::vfi_element::settings::{Overload, SceneAction};
use crate::vfi_element::stats::Times;
use crate::vfi_element::task::{Item, stamp};
use crate::vfi_element::timing::grid::{Content, Slot};

impl Worker {
    /// Fills the slots between two frames. Finds out what the pair shows when the first slot needs
    /// it, unless it is known already.
    pub(super) fn before(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        slots: impl Iterator<Item = Slot>,
        mut known: Option<Pair>,
    ) -> Result<(), gst::FlowError> {
        for slot in slots {
            match slot.content {
                Content::Between(phase) => {
                    if !self.has_time(context, &slot) {
                        self.instead(context, held, new, phase, &slot)?;
                        continue;
                    }
                    let pair = match known {
                        Some(pair) => pair,
                        None => *known.insert(self.judge(context, held, new)?),
                    };
                    match (pair, self.settings.scene_action) {
                        (Pair::Still, _) | (Pair::Cut, SceneAction::Repeat) => {
                            self.note_spared();
                            self.repeat(context, held, &slot)?;
                        }
                        (Pair::Flash, _) | (Pair::Cut, SceneAction::Blend) => {
                            self.note_spared();
                            let fade = |engine: &mut Engine, out: &mut gst::BufferRef| {
                                engine.crossfade(held, new, phase, out)
                            };
                            let like = nearer(held, new, phase).buffer.clone();
                            match self.make(context, &like, &slot, fade) {
                                Ok(buffer) => self.output.send(OutputItem::Made(buffer))?,
                                Err(Lack::Flow(flow)) => return Err(flow),
                                Err(Lack::Of(want)) => {
                                    self.run_short(context, &want)?;
                                    context.stats().left_out += 1;
                                    self.instead(context, held, new, phase, &slot)?;
                                }
                            }
                        }
                        (Pair::Moving, _) | (Pair::Cut, SceneAction::Interpolate) => {
                            match self.synthesise(context, held, new, phase, &slot)? {
                                Some(parcel) => self.output.send(parcel)?,
                                None => self.instead(context, held, new, phase, &slot)?,
                            }
                        }
                    }
                }
                Content::Repeat | Content::Original => self.repeat(context, held, &slot)?,
            }
        }
        Ok(())
    }

    /// Returns what a pair shows, and counts it.
    fn judge(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
    ) -> Result<Pair, gst::FlowError> {
        let limit = self.settings.still_threshold;
        if self.difference(context, held, new, limit)?.is_some() {
            context.stats().stills += 1;
            return Ok(Pair::Still);
        }
        self.judge_moving(context, held, new)
    }

    /// Returns by how much two frames differ where they differ most; `None` if that is more than
    /// `limit`.
    pub(super) fn difference(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, gst::FlowError> {
        let engine = self.engine.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let start = Instant::now();
        let found = engine.difference(held, new, limit);
        self.note_content(context, Duration::ZERO, start.elapsed());
        match found {
            // whether they are alike is not known; that nothing can be made turns out soon enough
            Err(Failure::Lacks(_)) => Ok(None),
            found => found.map_err(|failure| context.flow_of(failure)),
        }
    }

    /// Returns what a pair shows that is not still, and counts it.
    pub(super) fn judge_moving(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
    ) -> Result<Pair, gst::FlowError> {
        let threshold = self.settings.scene_threshold;
        if threshold <= 0.0 {
            return Ok(Pair::Moving);
        }
        let engine = self.engine.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let levelled = engine.info().levels_light;
        let start = Instant::now();
        let prepared = engine.prepare_pair(held, new);
        let shrunk = Instant::now();
        let thumbnails = match prepared {
            Ok(thumbnails) => thumbnails,
            // what it shows is not known; that nothing can be made of it turns out soon enough
            Err(Failure::Lacks(_)) => return Ok(Pair::Moving),
            Err(failure) => return Err(context.flow_of(failure)),
        };
        let change = self.scenes.judge(thumbnails.0, thumbnails.1, threshold);
        gst::trace!(CAT, obj = context.srcpad, "changes: {change:?}");
        self.note_content(context, shrunk - start, shrunk.elapsed());
        Ok(match change {
            Change::None => Pair::Moving,
            Change::Exposure if levelled => Pair::Moving,
            Change::Exposure | Change::Light => {
                context.stats().flashes += 1;
                Pair::Flash
            }
            Change::Cut => {
                context.stats().cuts += 1;
                Pair::Cut
            }
        })
    }

    /// Sends a frame in the place of one that was not made, where the settings ask for it.
    fn instead(
        &mut self,
        context: &Context,
        held: &Frame,
        new: &Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<(), gst::FlowError> {
        if self.settings.overload != Overload::Repeat {
            return Ok(());
        }
        self.repeat(context, nearer(held, new, phase), slot)
    }

    /// Makes a frame. Returns `None` if it is too late, which has then been told, or there is no
    /// memory or no network for any.
    pub(super) fn synthesise(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Option<OutputItem>, gst::FlowError> {
        loop {
            match self.try_synthesise(context, held, new, phase, slot) {
                Ok(made) => return Ok(made),
                Err(Lack::Flow(flow)) => return Err(flow),
                Err(Lack::Of(want)) => {
                    if !self.run_short(context, &want)? {
                        context.stats().left_out += 1;
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn try_synthesise(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Option<OutputItem>, Lack> {
        let like = nearer(held, new, phase).buffer.clone();
        let (alarm, watch) = (self.alarm(context, slot), self.watch());
        let start = Instant::now();
        let (mut times, mut rest) = (Times::default(), None);
        let apart = self.output.is_deferring();
        if apart {
            self.look_ahead(context);
        }
        let made = self.make(context, &like, slot, |engine, out| {
            (times, rest) = match apart {
                true => engine.begin(held, new, phase, out)?,
                false => (engine.synthesise(held, new, phase, out)?, None),
            };
            Ok(())
        });
        let rang = alarm.is_some_and(DeadlineTimer::stop);
        let endless = watch.and_then(|(alarm, limit)| alarm.stop().then_some(limit));
        if rang || endless.is_some() {
            context.rearm();
        }
        if let (Ok(_), Some(engine)) = (&made, &mut self.engine) {
            engine.note_run(start.elapsed());
        }
        let late_by = match made {
            Ok(buffer) => {
                if let Some(finish) = rest {
                    return Ok(Some(OutputItem::Unfinished {
                        generation: self.engine.as_ref().and_then(Engine::generation),
                        buffer,
                        finish,
                        times,
                        slot: *slot,
                    }));
                }
                match self.note_made(context, slot, &times) {
                    None => return Ok(Some(OutputItem::Made(buffer))),
                    Some(late_by) => late_by,
                }
            }
            Err(Lack::Flow(gst::FlowError::Flushing))
                if context.queue.flow_in(self.output.round()).is_ok() =>
            {
                if let Some(limit) = endless {
                    return Err(Lack::Of(Want::Network(format!(
                        "it did not answer within {} s, 20 times what it takes and more",
                        limit.as_secs_f64()
                    ))));
                }
                if !rang {
                    return Err(Lack::Flow(gst::FlowError::Flushing));
                }
                self.note_cut_short(start.elapsed());
                0
            }
            Err(lack) => return Err(lack),
        };
        self.tell_late(context, slot, late_by);
        Ok(None)
    }

    /// Returns a new buffer for a slot, described as `like` is, that `fill` fills.
    fn make(
        &mut self,
        context: &Context,
        like: &gst::Buffer,
        slot: &Slot,
        fill: impl FnOnce(&mut Engine, &mut gst::BufferRef) -> Result<(), Failure>,
    ) -> Result<gst::Buffer, Lack> {
        let (Some(stream), Some(engine)) = (&self.stream, &mut self.engine) else {
            return Err(Lack::Flow(gst::FlowError::NotNegotiated));
        };
        let mut buffer = buffers::buffer(&stream.pool, &stream.info)?;
        let out = buffer.make_mut();
        fill(engine, out).map_err(|failure| match failure {
            Failure::Lacks(want) => Lack::Of(want),
            failure => Lack::Flow(context.flow_of(failure)),
        })?;
        metas::describe(like, out);
        stamp(out, slot);
        Ok(buffer)
    }

    /// Makes the next frame ready, if it is there, beside the run of the network that is about to
    /// begin.
    fn look_ahead(&mut self, context: &Context) {
        let Some(engine) = self.engine.as_mut().filter(|_| self.output.can_fetch()) else {
            return;
        };
        // behind an event the stream may be another
        if let Some(Item::Buffer(next, _)) = context.queue.peek()
            && let Some(make_ready) = engine.make_ready(next)
        {
            self.output.fetch(make_ready);
        }
    }

    /// Sends a frame once more.
    pub(super) fn repeat(
        &mut self,
        _context: &Context,
        held: &Frame,
        slot: &Slot,
    ) -> Result<(), gst::FlowError> {
        let mut buffer = again(&held.buffer)?;
        stamp(buffer.make_mut(), slot);
        self.output.send(OutputItem::Repeat(buffer))
    }
}

/// Returns the frame of two that is nearer in time.
fn nearer<'f>(held: &'f Frame, new: &'f Frame, phase: f64) -> &'f Frame {
    if phase < 0.5 { held } else { new }
}
