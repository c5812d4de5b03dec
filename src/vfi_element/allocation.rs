//! Where the memory of synthesised frames comes from.

use gst::prelude::*;

use super::between::Lack;
use crate::frames::space;

/// Asks downstream how it wants its frames, and gives an active pool that makes them so:
/// downstream's own pool if it takes the configuration, else one of GStreamer's.
///
/// # Errors
/// The reason why no pool could be started.
pub(super) fn pool(
    pad: &gst::Pad,
    caps: &gst::Caps,
    info: &gst_video::VideoInfo,
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
        if let Some((allocator, params)) = &allocator {
            config.set_allocator(allocator.as_ref(), Some(params));
        }
        if video_meta {
            config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        }
        pool.set_config(config)?;
        pool.set_active(true)?;
        Ok::<_, glib::BoolError>(pool)
    };
    if let Some((Some(pool), offered_size, min, max)) = offered
        && let Ok(pool) = start(pool, offered_size.max(size), min, max)
    {
        return Ok(pool);
    }
    start(gst_video::VideoBufferPool::new().upcast(), size, 0, 0)
}

/// A buffer of the pool for a frame of `info`.
///
/// A pool that has none takes one from its allocator, and GStreamer's own ends the process where
/// there is no memory: so it is looked for first.
pub(super) fn buffer(
    pool: &gst::BufferPool,
    info: &gst_video::VideoInfo,
) -> Result<gst::Buffer, Lack> {
    let no_memory = |reason: String| Lack::Memory(format!("no memory for a frame: {reason}"));
    space::probe(info.size()).map_err(|error| no_memory(error.to_string()))?;
    pool.acquire_buffer(None).map_err(|flow| match flow {
        gst::FlowError::Error => no_memory("the pool gives none".into()),
        flow => Lack::Flow(flow),
    })
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
