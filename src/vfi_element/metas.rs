//! Which of a frame's metas go onto frames that are made, that repeat it, or that stand in for it.
//!
//! A meta either describes the picture (crop, orientation, regions, an overlay to be drawn),
//! belongs to the frame's instant (captions, timecodes, reference times), or tells how the memory
//! lies.

use std::ops::ControlFlow;

use gst::buffer::BufferMetaForeachAction;
use gst::meta::{Meta, MetaAPI, MetaRef, MetaTransformCopy, tags};
use gst_video::{VideoMeta, VideoOverlayCompositionMeta, video_meta};

/// Gives `to` what describes the picture of `from`.
pub(super) fn describe(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    copy(from, to, describes);
}

/// Gives `to`, which shows the very memory of `from`, how that lies and what describes its picture.
pub(super) fn repeat(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    copy(from, to, |meta| {
        meta.api() == VideoMeta::meta_api() || describes(meta)
    });
}

/// Gives `to`, which stands in for `from`, all that `from` carries, in place of what described it
/// before.
pub(super) fn stand_in(from: &gst::BufferRef, to: &mut gst::BufferRef) {
    to.foreach_meta_mut(|meta| {
        ControlFlow::Continue(match describes(&meta.as_meta_ref()) {
            true => BufferMetaForeachAction::Remove,
            false => BufferMetaForeachAction::Keep,
        })
    });
    copy(from, to, |meta| !is_of_memory(meta));
}

/// Returns whether a meta describes the picture. Those that do mostly say so: they depend on its
/// size, orientation or colours.
fn describes(meta: &MetaRef<Meta>) -> bool {
    let depends = meta.has_tag::<video_meta::tags::Size>()
        || meta.has_tag::<video_meta::tags::Orientation>()
        || meta.has_tag::<video_meta::tags::Colorspace>()
        // it says nothing
        || meta.api() == VideoOverlayCompositionMeta::meta_api();
    depends && !is_of_memory(meta)
}

fn is_of_memory(meta: &MetaRef<Meta>) -> bool {
    meta.has_tag::<tags::Memory>() || meta.has_tag::<tags::MemoryReference>()
}

fn copy(from: &gst::BufferRef, to: &mut gst::BufferRef, wanted: impl Fn(&MetaRef<Meta>) -> bool) {
    for meta in from.iter_meta::<Meta>().filter(&wanted) {
        // What can't be copied stays behind, as anywhere in GStreamer.
        let _copied = meta.transform(to, &MetaTransformCopy::new(..));
    }
}
