//! Output between two originals: frames made, repeated or left out, and given their place in time.

use std::time::{Duration, Instant};

use super::Worker;
use super::deadlines::CutShort;
use super::output::{Delivery, OutputItem};
use crate::vfi_element::buffers::{self, again, stamp};
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::Frame;
use crate::vfi_element::error::{Failure, Want};
use crate::vfi_element::item::Item;
use crate::vfi_element::log::CAT;
use crate::vfi_element::scene::Pair;
use crate::vfi_element::settings::{Overload, SceneAction};
use crate::vfi_element::stats::Times;
use crate::vfi_element::timing::grid::{Content, Slot};

impl Worker {
    /// Fills the slots between two frames. Finds out what the pair shows when the first slot needs
    /// it, unless it is known already.
    pub(super) fn fill_between(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        slots: impl Iterator<Item = Slot>,
        mut known: Option<Pair>,
        delivery: &mut Delivery,
    ) -> Result<(), gst::FlowError> {
        for slot in slots {
            let Content::Between(phase) = slot.content else {
                self.repeat(held, &slot, delivery)?;
                continue;
            };
            if !self.admit_or_drop(context, &slot) {
                self.send_nearer(held, new, phase, &slot, delivery)?;
                continue;
            }
            let pair = match known {
                Some(pair) => pair,
                None => *known.insert(self.judge(context, held, new)?),
            };
            let made = match (pair, self.settings.scene_action) {
                (Pair::Still, _) | (Pair::Cut, SceneAction::Repeat) => {
                    self.quality.note_spared();
                    self.repeat(held, &slot, delivery)?;
                    continue;
                }
                (Pair::Flash, _) | (Pair::Cut, SceneAction::Blend) => {
                    self.quality.note_spared();
                    self.crossfade(context, held, new, phase, &slot)?
                }
                (Pair::Moving, _) | (Pair::Cut, SceneAction::Interpolate) => {
                    let defers = delivery.is_deferred();
                    self.synthesise(context, held, new, phase, &slot, defers)?
                }
            };
            match made {
                Some(made) => self.output.send(delivery, made)?,
                None => self.send_nearer(held, new, phase, &slot, delivery)?,
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
        if self.compare(context, held, new, limit)?.is_some() {
            context.stats().stills += 1;
            return Ok(Pair::Still);
        }
        self.judge_moving(context, held, new)
    }

    /// Returns by how much two frames differ where they differ most; `None` if that is more than
    /// `limit`.
    pub(super) fn compare(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, gst::FlowError> {
        let start = Instant::now();
        let found = self.engine.difference(held, new, limit);
        self.note_content(context, Duration::ZERO, start.elapsed());
        match found {
            // they count as different; making frames of them fails, too, and deals with it
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
        let start = Instant::now();
        let prepared = self.engine.prepare_pair(held, new);
        let shrunk = Instant::now();
        let thumbnails = match prepared {
            Ok(thumbnails) => thumbnails,
            // it counts as moving; making frames of it fails, too, and deals with that
            Err(Failure::Lacks(_)) => return Ok(Pair::Moving),
            Err(failure) => return Err(context.flow_of(failure)),
        };
        let change = self.scenes.judge(thumbnails.0, thumbnails.1, threshold);
        gst::trace!(CAT, obj = context.srcpad, "changes: {change:?}");
        self.note_content(context, shrunk - start, shrunk.elapsed());
        let pair = Pair::of(change, self.engine.info().levels_light);
        match pair {
            Pair::Flash => context.stats().flashes += 1,
            Pair::Cut => context.stats().cuts += 1,
            Pair::Moving | Pair::Still => {}
        }
        Ok(pair)
    }

    /// Notes how long a pair was shrunk, and looked at, to find out what it shows.
    pub(super) fn note_content(&mut self, context: &Context, shrink: Duration, content: Duration) {
        self.quality.note_work(shrink + content);
        context.stats().add_content(shrink, content);
    }

    /// Returns whether a frame is to be made at this slot: it is worth the effort and can be in time.
    /// If it can't, it is dropped here: it counts as late, and the application is told.
    pub(super) fn admit_or_drop(&mut self, context: &Context, slot: &Slot) -> bool {
        if !self.quality.admit(slot.offset) {
            context.stats().left_out += 1;
            return false;
        }
        let (expected, qos) = (self.quality.expected(), self.settings.qos);
        let late_by = match self.settings.overload {
            Overload::None => None,
            _ => self.deadlines.lateness(context, slot, expected, qos),
        };
        let Some(late_by) = late_by else {
            return true;
        };
        self.quality.note_untried();
        self.deadlines.tell_late(context, slot, late_by);
        false
    }

    /// Sends the nearer of two frames in the place of one that was not made, where the settings ask
    /// for it.
    fn send_nearer(
        &mut self,
        held: &Frame,
        new: &Frame,
        phase: f64,
        slot: &Slot,
        delivery: &mut Delivery,
    ) -> Result<(), gst::FlowError> {
        if self.settings.overload != Overload::Repeat {
            return Ok(());
        }
        self.repeat(nearer(held, new, phase), slot, delivery)
    }

    /// Lays one frame over the other. Returns `None` if there is no memory for it.
    fn crossfade(
        &mut self,
        context: &Context,
        held: &Frame,
        new: &Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Option<OutputItem>, gst::FlowError> {
        let faded = self.take_buffer(held, new, phase, slot);
        let faded = faded.and_then(|mut buffer| {
            let out = buffer.make_mut();
            self.engine.crossfade(held, new, phase, out)?;
            Ok(buffer)
        });
        match faded {
            Ok(buffer) => Ok(Some(OutputItem::Made(buffer))),
            Err(Failure::Lacks(want)) => {
                self.do_without(context, &want)?;
                context.stats().left_out += 1;
                Ok(None)
            }
            Err(failure) => Err(context.flow_of(failure)),
        }
    }

    /// Makes a frame, or begins it if it is finished later. Returns `None` if it is too late, which
    /// has then been told, or there is no memory or no network for any.
    pub(super) fn synthesise(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
        defers: bool,
    ) -> Result<Option<OutputItem>, gst::FlowError> {
        loop {
            match self.try_synthesise(context, held, new, phase, slot, defers) {
                Ok(made) => return Ok(made),
                Err(Failure::Lacks(want)) => {
                    if !self.do_without(context, &want)? {
                        context.stats().left_out += 1;
                        return Ok(None);
                    }
                }
                Err(failure) => return Err(context.flow_of(failure)),
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
        defers: bool,
    ) -> Result<Option<OutputItem>, Failure> {
        let drops_late = self.settings.overload != Overload::None;
        let (limit, canceller) = (self.engine.patience(), self.engine.canceller());
        let timers = (self.deadlines).arm(context, slot, drops_late, limit, canceller);
        let start = Instant::now();
        if defers {
            self.look_ahead(context);
        }
        let begun = self.take_buffer(held, new, phase, slot);
        let begun = begun.and_then(|buffer| self.engine.begin(held, new, phase, buffer));
        let made = begun.and_then(|frame| match defers {
            true => Ok((OutputItem::Unfinished(Box::new(frame), *slot), None)),
            false => {
                let (buffer, times) = frame.finish()?;
                Ok((OutputItem::Made(buffer), Some(times)))
            }
        });
        let cut_short = timers.stop(context);
        let late_by = match made {
            Ok((item, times)) => {
                self.engine.note_run(start.elapsed());
                let late_by = times.and_then(|times| self.note_made(context, slot, &times));
                match late_by {
                    None => return Ok(Some(item)),
                    Some(late_by) => late_by,
                }
            }
            Err(Failure::Cancelled) if context.queue.flow_in(self.output.round()).is_ok() => {
                match cut_short {
                    Some(CutShort::Endless(limit)) => {
                        return Err(Failure::Lacks(Want::Network(format!(
                            "it did not answer within {} s, 20 times what it takes and more",
                            limit.as_secs_f64()
                        ))));
                    }
                    Some(CutShort::Late) => self.quality.note_cut_short(start.elapsed()),
                    None => return Err(Failure::Cancelled),
                }
                0
            }
            Err(failure) => return Err(failure),
        };
        self.deadlines.tell_late(context, slot, late_by);
        Ok(None)
    }

    /// Returns a new buffer for a slot between two frames, described as the nearer one is.
    fn take_buffer(
        &self,
        held: &Frame,
        new: &Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<gst::Buffer, Failure> {
        let Some(stream) = &self.stream else {
            return Err(Failure::Flow(gst::FlowError::NotNegotiated));
        };
        let like = &nearer(held, new, phase).buffer;
        buffers::take(&stream.pool, &stream.info, like, slot)
    }

    /// Notes a frame that was made. Returns by how much it is too late to be sent, if it is.
    pub(super) fn note_made(
        &mut self,
        context: &Context,
        slot: &Slot,
        times: &Times,
    ) -> Option<u64> {
        let is_sent = matches!(self.settings.overload, Overload::None | Overload::Repeat);
        let late_by = match is_sent {
            true => None,
            false => self.deadlines.overdue(context, slot, 0),
        };
        self.quality.note_made(times, late_by.is_some());
        context.stats().add(times);
        late_by
    }

    /// Makes the next frame ready, if it is there, beside the run of the network that is about to
    /// begin.
    fn look_ahead(&mut self, context: &Context) {
        if !self.output.can_fetch() {
            return;
        }
        // behind an event the stream may be another
        if let Some(Item::Buffer(next, _)) = context.queue.peek()
            && let Some(make_ready) = self.engine.make_ready(next)
        {
            self.output.fetch(make_ready);
        }
    }

    /// Sends a frame once more.
    pub(super) fn repeat(
        &mut self,
        held: &Frame,
        slot: &Slot,
        delivery: &mut Delivery,
    ) -> Result<(), gst::FlowError> {
        let mut buffer = again(&held.buffer)?;
        stamp(buffer.make_mut(), slot);
        self.output.send(delivery, OutputItem::Repeat(buffer))
    }
}

/// Returns the frame of two that is nearer in time.
fn nearer<'f>(held: &'f Frame, new: &'f Frame, phase: f64) -> &'f Frame {
    if phase < 0.5 { held } else { new }
}
