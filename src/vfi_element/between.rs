//! What leaves between two originals: made, repeated or left out, and given its place in time.

use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::alarm::Alarm;
use super::engine::{Failure, Frame};
use super::grid::{Content, Slot, Slots};
use super::imp::VfiInterp;
use super::settings::Overload;
use super::worker::Worker;

impl Worker {
    /// The slots between two frames.
    pub(super) fn before(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        slots: Slots,
    ) -> Result<(), gst::FlowError> {
        for slot in slots {
            match slot.content {
                Content::Between(phase) => self.between(imp, held, new, phase, &slot)?,
                Content::Repeat | Content::Original => Self::repeat(imp, held, &slot)?,
            }
        }
        self.finish_pair(imp, held, new)
    }

    /// A slot that wants a frame made.
    fn between(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<(), gst::FlowError> {
        if !self.asks(imp, slot) {
            return Ok(());
        }
        let made = match self.lateness(imp, slot) {
            None => self.synthesise(imp, held, new, phase, slot)?,
            Some(late_by) => {
                self.note_not_tried();
                Err(late_by)
            }
        };
        match made {
            Ok(buffer) => {
                imp.push(buffer)?;
                imp.stats().synthesised += 1;
            }
            Err(late_by) => {
                self.tell_late(imp, slot, late_by);
                if self.settings.overload == Overload::Repeat {
                    let nearest = if phase < 0.5 { held } else { new };
                    Self::repeat(imp, nearest, slot)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a frame; or tells by how many nanoseconds it is too late.
    fn synthesise(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<Result<gst::Buffer, u64>, gst::FlowError> {
        let alarm = self.alarm(imp, slot);
        let (Some(stream), Some(engine)) = (&self.stream, &mut self.engine) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let mut buffer = stream.pool.acquire_buffer(None)?;
        let out = buffer.make_mut();
        let start = Instant::now();
        let times = engine.synthesise(held, new, phase, out);
        let rang = alarm.is_some_and(Alarm::stop);
        if rang {
            imp.rearm();
        }
        let times = match times {
            Ok(times) => times,
            Err(Failure::Cancelled) if rang && imp.queue.flow().is_ok() => {
                self.note_cut_short(start.elapsed());
                return Ok(Err(0));
            }
            Err(Failure::Cancelled) => return Err(gst::FlowError::Flushing),
            Err(Failure::Failed(error)) => {
                gst::element_imp_error!(
                    imp,
                    gst::StreamError::Failed,
                    ("No frame could be made: {error:#}")
                );
                return Err(gst::FlowError::Error);
            }
        };
        crop_like(out, &held.buffer);
        stamp(out, slot);
        Ok(match self.note_made(imp, slot, &times) {
            None => Ok(buffer),
            Some(late_by) => Err(late_by),
        })
    }

    /// Sends a frame once more.
    pub(super) fn repeat(imp: &VfiInterp, held: &Frame, slot: &Slot) -> Result<(), gst::FlowError> {
        let mut buffer = again(&held.buffer)?;
        stamp(buffer.make_mut(), slot);
        imp.push(buffer)?;
        imp.stats().repeated += 1;
        Ok(())
    }
}

/// Gives a buffer its place.
pub(super) fn stamp(buffer: &mut gst::BufferRef, slot: &Slot) {
    buffer.set_pts(gst::ClockTime::from_nseconds(slot.pts));
    buffer.set_dts(None);
    buffer.set_duration(slot.duration.map(gst::ClockTime::from_nseconds));
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
    let target = copy.make_mut();
    if let Some(meta) = buffer.meta::<gst_video::VideoMeta>() {
        gst_video::VideoMeta::add_full(
            target,
            meta.video_frame_flags(),
            meta.format(),
            meta.width(),
            meta.height(),
            meta.offset(),
            meta.stride(),
        )
        .map_err(|_| gst::FlowError::Error)?;
    }
    crop_like(target, buffer);
    Ok(copy)
}

/// Shows the same part of the frame as `original`.
fn crop_like(buffer: &mut gst::BufferRef, original: &gst::Buffer) {
    if let Some(crop) = original.meta::<gst_video::VideoCropMeta>() {
        gst_video::VideoCropMeta::add(buffer, crop.rect());
    }
}
