//! What leaves between two originals: made, repeated or left out, and given its place in time.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::engine::{Failure, Frame};
use super::grid::{Content, Slot, Slots};
use super::imp::VfiInterp;
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
                Content::Between(phase) => {
                    if self.too_late(imp, &slot) {
                        continue;
                    }
                    let buffer = self.synthesise(imp, held, new, phase, &slot)?;
                    imp.push(buffer)?;
                    imp.stats().synthesised += 1;
                }
                Content::Repeat | Content::Original => Self::repeat(imp, held, &slot)?,
            }
        }
        Ok(())
    }

    /// Whether a frame would be too late to be of use; says so if it would.
    fn too_late(&self, imp: &VfiInterp, slot: &Slot) -> bool {
        if !self.settings.qos {
            return false;
        }
        let segment = self.segment.as_ref();
        let Some(segment) = segment.and_then(|s| s.downcast_ref::<gst::ClockTime>()) else {
            return false;
        };
        let pts = gst::ClockTime::from_nseconds(slot.pts);
        let Some(running_time) = segment.to_running_time(pts) else {
            return false;
        };
        let pacing = *imp.pacing();
        let Some(late_by) = pacing.late_by(running_time.nseconds()) else {
            return false;
        };
        let (processed, dropped) = {
            let mut stats = imp.stats();
            stats.late += 1;
            (stats.originals + stats.synthesised, stats.late)
        };
        let message = gst::message::Qos::builder(imp.is_live())
            .running_time(running_time)
            .stream_time(segment.to_stream_time(pts))
            .timestamp(pts)
            .duration(slot.duration.map(gst::ClockTime::from_nseconds))
            .values(
                i64::try_from(late_by).unwrap_or(i64::MAX),
                pacing.proportion(),
                1_000_000,
            )
            .stats(
                gst::format::Buffers::from_u64(processed),
                gst::format::Buffers::from_u64(dropped),
            )
            .src(&*imp.obj())
            .build();
        imp.post(message);
        true
    }

    fn synthesise(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        phase: f64,
        slot: &Slot,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let (Some(stream), Some(engine)) = (&self.stream, &mut self.engine) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let mut buffer = stream.pool.acquire_buffer(None)?;
        let out = buffer.make_mut();
        let times = engine
            .synthesise(held, new, phase, out)
            .map_err(|failure| match failure {
                Failure::Cancelled => gst::FlowError::Flushing,
                Failure::Failed(error) => {
                    gst::element_imp_error!(
                        imp,
                        gst::StreamError::Failed,
                        ("No frame could be made: {error:#}")
                    );
                    gst::FlowError::Error
                }
            })?;
        crop_like(out, &held.buffer);
        stamp(out, slot);
        let mut stats = imp.stats();
        stats.shrink_time += times.shrink;
        stats.estimate_time += times.estimate;
        stats.synthesise_time += times.synthesise;
        drop(stats);
        Ok(buffer)
    }

    /// Sends the held frame once more.
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
