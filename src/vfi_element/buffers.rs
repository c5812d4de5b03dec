//! The pools that the memory of synthesised frames comes from.

use gst::prelude::*;

use super::cuda::{self, is_cuda_pool};
use super::error::{Failure, Want};
use super::log::CAT;
use crate::frames::space;
use crate::vfi_element::log::clock_time;
use crate::vfi_element::metas;
use crate::vfi_element::timing::grid::Slot;

/// Asks downstream how it wants its frames, and gives an active pool that makes them so:
/// downstream's own pool if it takes the configuration, else one of GStreamer's; frames in CUDA's memory
/// come from a pool of such.
///
/// # Errors
/// The reason why no pool could be started.
pub(super) fn pool(
    pad: &gst::Pad,
    caps: &gst::Caps,
    info: &gst_video::VideoInfo,
    cuda: Option<&cuda::Context>,
) -> Result<gst::BufferPool, glib::BoolError> {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    // An unlinked pad, or a sink without wishes, leaves the query empty.
    let _answered = pad.peer_query(&mut query);
    let video_meta = query
        .find_allocation_meta::<gst_video::VideoMeta>()
        .is_some();
    let allocator = query.allocation_params().next();
    let offered = query.allocation_pools().next();

    let size = u32::try_from(info.size())
        .map_err(|_| glib::bool_error!("a frame of {} bytes is too large", info.size()))?;
    let start = |pool: gst::BufferPool, size, min, max| {
        let mut config = pool.config();
        config.set_params(Some(caps), size, min, max);
        if cuda.is_none()
            && let Some((allocator, params)) = &allocator
        {
            config.set_allocator(allocator.as_ref(), Some(params));
        }
        if video_meta || cuda.is_some() {
            config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        }
        pool.set_config(config)?;
        pool.set_active(true)?;
        Ok::<_, glib::BoolError>(pool)
    };
    if let Some((Some(pool), offered_size, min, max)) = offered
        && (cuda.is_none() || is_cuda_pool(&pool))
        && let Ok(pool) = start(pool, offered_size.max(size), min, max)
    {
        return Ok(pool);
    }
    let own = match cuda {
        Some(context) => context.pool()?,
        None => gst_video::VideoBufferPool::new().upcast(),
    };
    start(own, size, 0, 0)
}

/// Takes a buffer of the pool for a frame of `info`, with what `like` says of its picture and the
/// place of `slot`.
///
/// A pool that has none takes one from its allocator, and GStreamer's own ends the process where
/// there is no memory: so it is looked for first.
pub(super) fn take(
    pool: &gst::BufferPool,
    info: &gst_video::VideoInfo,
    like: &gst::BufferRef,
    slot: &Slot,
) -> Result<gst::Buffer, Failure> {
    let no_memory =
        |reason: String| Failure::Lacks(Want::Memory(format!("no memory for a frame: {reason}")));
    space::probe(info.size()).map_err(|error| no_memory(error.to_string()))?;
    let mut buffer = pool.acquire_buffer(None).map_err(|flow| match flow {
        gst::FlowError::Error => no_memory("the pool gives none".into()),
        gst::FlowError::Flushing => Failure::Cancelled,
        flow => Failure::Flow(flow),
    })?;
    let described = buffer.make_mut();
    metas::describe(like, described);
    stamp(described, slot);
    Ok(buffer)
}

/// Turns downstream's wishes into this element's own: upstream's pools hold the frames kept here as
/// well, and pictures come cropped, because a synthesised frame has no more than its caps say.
pub(super) fn restate(query: &mut gst::query::Allocation, held: u32) {
    if let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
    let pools: Vec<_> = query.allocation_pools().collect();
    for (index, (pool, size, min, max)) in (0..).zip(pools) {
        let max = if max == 0 {
            0
        } else {
            max.saturating_add(held)
        };
        query.set_nth_allocation_pool(index, pool.as_ref(), size, min.saturating_add(held), max);
    }
}

/// Adds a pool for frames in CUDA's memory, if the query is for such and has none; true if so.
pub(super) fn offer(
    query: &mut gst::query::Allocation,
    held: u32,
    context: impl FnOnce() -> Result<cuda::Context, String>,
) -> bool {
    let (Some(caps), true) = query.get_owned() else {
        return false;
    };
    if !cuda::is_cuda(&caps) || query.allocation_pools().next().is_some() {
        return false;
    }
    let offered = || {
        let info = gst_video::VideoInfo::from_caps(&caps)?;
        let pool = context()
            .map_err(|reason| glib::bool_error!("{reason}"))?
            .pool()?;
        let size = u32::try_from(info.size()).unwrap_or(u32::MAX);
        let mut config = pool.config();
        config.set_params(Some(&caps), size, held, 0);
        pool.set_config(config)?;
        // with what lies between the lines of a device's memory
        let size = pool.config().params().map_or(size, |(_, size, ..)| size);
        query.add_allocation_pool(Some(&pool), size, held, 0);
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        Ok::<_, glib::BoolError>(())
    };
    match offered() {
        Ok(()) => true,
        Err(error) => {
            gst::debug!(CAT, "no pool of CUDA memory for upstream: {error}");
            false
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

/// The same memory once more, with what describes the picture but not what belongs to one time
/// (captions, timecodes).
pub(super) fn again(buffer: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
    let mut copy = buffer
        .copy_region(gst::BufferCopyFlags::MEMORY, ..)
        .map_err(|_| gst::FlowError::Error)?;
    metas::repeat(buffer, copy.make_mut());
    Ok(copy)
}
