//! What leaves between two originals: made, repeated or left out, and given its place in time.

use std::time::{Duration, Instant};

use gst::subclass::prelude::*;

use super::alarm::Alarm;
use super::allocation;
use super::content::Change;
use super::courier::Parcel;
use super::engine::{Engine, Failure, Frame, Times};
use super::grid::{Content, Slot};
use super::imp::VfiInterp;
use super::metas;
use super::settings::{Overload, SceneAction};
use super::shortage::Want;
use super::worker::Worker;
use super::{CAT, clock_time};

/// What lies between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// Motion, to be followed.
    Moving,
    /// Nothing: both show the same.
    Still,
    /// Another light: a flash, a quick fade.
    Flash,
    /// A cut.
    Cut,
}

impl Worker {
    /// The slots between two frames. What the pair shows is found out when the first slot needs it,
    /// unless it is known already.
    pub(super) fn before(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        slots: impl Iterator<Item = Slot>,
        mut known: Option<Pair>,
    ) -> Result<(), gst::FlowError> {
        for slot in slots {
            match slot.content {
                Content::Between(phase) => {
                    if !self.has_time(imp, &slot) {
                        self.instead(imp, held, new, phase, &slot)?;
                        continue;
                    }
                    let pair = match known {
                        Some(pair) => pair,
                        None => *known.insert(self.judge(imp, held, new)?),
                    };
                    match (pair, self.settings.scene_action) {
                        (Pair::Still, _) | (Pair::Cut, SceneAction::Repeat) => {
                            self.note_spared();
                            self.repeat(imp, held, &slot)?;
                        }
                        (Pair::Flash, _) | (Pair::Cut, SceneAction::Blend) => {
                            self.note_spared();
                            let fade = |engine: &mut Engine, out: &mut gst::BufferRef| {
                                engine.crossfade(held, new, phase, out)
                            };
                            let like = nearer(held, new, phase).buffer.clone();
                            match self.make(imp, &like, &slot, fade) {
                                Ok(buffer) => self.send(imp, Parcel::Made(buffer))?,
                                Err(Lack::Flow(flow)) => return Err(flow),
                                Err(Lack::Of(want)) => {
                                    self.run_short(imp, &want)?;
                                    imp.stats().left_out += 1;
                                    self.instead(imp, held, new, phase, &slot)?;
                                }
                            }
                        }
                        (Pair::Moving, _) | (Pair::Cut, SceneAction::Interpolate) => {
                            match self.synthesise(imp, held, new, phase, &slot)? {
                                Some(parcel) => self.send(imp, parcel)?,
                                None => self.instead(imp, held, new, phase, &slot)?,
                            }
                        }
                    }
                }
                Content::Repeat | Content::Original => self.repeat(imp, held, &slot)?,
            }
        }
        Ok(())
    }

    /// What a pair shows, and counts it.
    fn judge(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
    ) -> Result<Pair, gst::FlowError> {
        let limit = self.settings.still_threshold;
        if self.difference(imp, held, new, limit)?.is_some() {
            imp.stats().stills += 1;
            return Ok(Pair::Still);
        }
        self.judge_moving(imp, held, new)
    }

    /// By how much two frames differ where they differ most; `None` if that is more than `limit`.
    pub(super) fn difference(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, gst::FlowError> {
        let engine = self.engine.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let start = Instant::now();
        let found = engine.difference(held, new, limit);
        self.note_content(imp, Duration::ZERO, start.elapsed());
        match found {
            // whether they are alike is not known; that nothing can be made turns out soon enough
            Err(Failure::Lacks(_)) => Ok(None),
            found => found.map_err(|failure| failed(imp, failure)),
        }
    }

    /// What a pair shows that is not still, and counts it.
    pub(super) fn judge_moving(
        &mut self,
        imp: &VfiInterp,
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
            Err(failure) => return Err(failed(imp, failure)),
        };
        let change = self.scenes.judge(thumbnails.0, thumbnails.1, threshold);
        gst::trace!(CAT, imp = imp, "changes: {change:?}");
        self.note_content(imp, shrunk - start, shrunk.elapsed());
        Ok(match change {
            Change::None => Pair::Moving,
            Change::Exposure if levelled => Pair::Moving,
            Change::Exposure | Change::Light => {
                imp.stats().flashes += 1;
                Pair::Flash
            }
            Change::Cut => {
                imp.stats().cuts += 1;
                Pair::Cut
            }
        })
    }

    /// What is sent where no frame was made.
    fn instead(
        &mut self,
        imp: &VfiInterp,
        held: &Frame,
        new: &Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<(), gst::FlowError> {
        if self.settings.overload != Overload::Repeat {
            return Ok(());
        }
        self.repeat(imp, nearer(held, new, phase), slot)
    }

    /// Makes a frame; `None` if it is too late, which has then been told, or there is no memory or no
    /// network for any.
    pub(super) fn synthesise(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Option<Parcel>, gst::FlowError> {
        loop {
            match self.try_synthesise(imp, held, new, phase, slot) {
                Ok(made) => return Ok(made),
                Err(Lack::Flow(flow)) => return Err(flow),
                Err(Lack::Of(want)) => {
                    if !self.run_short(imp, &want)? {
                        imp.stats().left_out += 1;
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn try_synthesise(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Option<Parcel>, Lack> {
        let like = nearer(held, new, phase).buffer.clone();
        let (alarm, watch) = (self.alarm(imp, slot), self.watch());
        let start = Instant::now();
        let (mut times, mut rest) = (Times::default(), None);
        let apart = self.is_apart();
        if apart {
            self.look_ahead(imp);
        }
        let made = self.make(imp, &like, slot, |engine, out| {
            (times, rest) = match apart {
                true => engine.begin(held, new, phase, out)?,
                false => (engine.synthesise(held, new, phase, out)?, None),
            };
            Ok(())
        });
        let rang = alarm.is_some_and(Alarm::stop);
        let endless = watch.and_then(|(alarm, limit)| alarm.stop().then_some(limit));
        if rang || endless.is_some() {
            imp.rearm();
        }
        if let (Ok(_), Some(engine)) = (&made, &mut self.engine) {
            engine.note_run(start.elapsed());
        }
        let late_by = match made {
            Ok(buffer) => {
                if let Some(finish) = rest {
                    return Ok(Some(Parcel::Unfinished {
                        generation: self.engine.as_ref().and_then(Engine::generation),
                        buffer,
                        finish,
                        times,
                        slot: *slot,
                    }));
                }
                match self.note_made(imp, slot, &times) {
                    None => return Ok(Some(Parcel::Made(buffer))),
                    Some(late_by) => late_by,
                }
            }
            Err(Lack::Flow(gst::FlowError::Flushing)) if imp.queue.flow_in(self.round).is_ok() => {
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
        self.tell_late(imp, slot, late_by);
        Ok(None)
    }

    /// A new buffer for a slot, described as `like` is, that `fill` fills.
    fn make(
        &mut self,
        imp: &VfiInterp,
        like: &gst::Buffer,
        slot: &Slot,
        fill: impl FnOnce(&mut Engine, &mut gst::BufferRef) -> Result<(), Failure>,
    ) -> Result<gst::Buffer, Lack> {
        let (Some(stream), Some(engine)) = (&self.stream, &mut self.engine) else {
            return Err(Lack::Flow(gst::FlowError::NotNegotiated));
        };
        let mut buffer = allocation::buffer(&stream.pool, &stream.info)?;
        let out = buffer.make_mut();
        fill(engine, out).map_err(|failure| match failure {
            Failure::Lacks(want) => Lack::Of(want),
            failure => Lack::Flow(failed(imp, failure)),
        })?;
        metas::describe(like, out);
        stamp(out, slot);
        Ok(buffer)
    }

    /// Sends a frame once more.
    pub(super) fn repeat(
        &mut self,
        imp: &VfiInterp,
        held: &Frame,
        slot: &Slot,
    ) -> Result<(), gst::FlowError> {
        let mut buffer = again(&held.buffer)?;
        stamp(buffer.make_mut(), slot);
        self.send(imp, Parcel::Repeat(buffer))
    }
}

/// The frame of two that is nearer in time.
fn nearer<'f>(held: &'f Frame, new: &'f Frame, phase: f64) -> &'f Frame {
    if phase < 0.5 { held } else { new }
}

/// Why there is no frame.
pub(super) enum Lack {
    /// Upstream is to be told.
    Flow(gst::FlowError),
    /// The next one may be made in another way.
    Of(Want),
}

/// What upstream is told of a failure; the application is told why.
pub(super) fn failed(imp: &VfiInterp, failure: Failure) -> gst::FlowError {
    match failure {
        Failure::Cancelled => gst::FlowError::Flushing,
        Failure::Lacks(Want::Memory(reason) | Want::Network(reason)) => {
            failed(imp, Failure::Failed(anyhow::anyhow!(reason)))
        }
        Failure::Failed(error) => {
            gst::element_imp_error!(
                imp,
                gst::StreamError::Failed,
                ("No frame could be made: {error:#}")
            );
            gst::FlowError::Error
        }
    }
}

/// Gives a buffer its place.
pub(super) fn stamp(buffer: &mut gst::BufferRef, slot: &Slot) {
    buffer.set_pts(clock_time(slot.pts));
    buffer.set_dts(None);
    buffer.set_duration(slot.duration.map(clock_time));
    buffer.set_offset(slot.offset);
    buffer.set_offset_end(slot.offset.saturating_add(1));
    if slot.discont {
        buffer.set_flags(gst::BufferFlags::DISCONT);
    } else {
        buffer.unset_flags(gst::BufferFlags::DISCONT);
    }
}

/// The same memory once more, with what describes the picture but not what belongs to one moment
/// (captions, timecodes).
fn again(buffer: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
    let mut copy = buffer
        .copy_region(gst::BufferCopyFlags::MEMORY, ..)
        .map_err(|_| gst::FlowError::Error)?;
    metas::repeat(buffer, copy.make_mut());
    Ok(copy)
}
