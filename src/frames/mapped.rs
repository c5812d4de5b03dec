//! Mapping a buffer as a frame, whatever its `GstVideoMeta` says.

use std::mem::ManuallyDrop;

use gst_video::{VideoFrameRef, VideoInfo, VideoMeta, prelude::*};

use super::FrameError;

/// Maps a buffer as a frame that `info` describes, to be read.
///
/// A `GstVideoMeta` may say that the frame is larger (decoders pad theirs): its top left part is
/// meant.
///
/// # Errors
/// [`FrameError::Frame`] if the meta is of another format or smaller, [`FrameError::Buffer`] if the
/// buffer can't be mapped.
pub fn readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, FrameError> {
    agree(buffer, info)?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| refusal(buffer.size(), info))?;
    let frame = ManuallyDrop::new(frame);
    // SAFETY: the mapped structure moves on to what is made of it, which alone unmaps it.
    let mut raw = unsafe { std::ptr::read(frame.as_ptr()) };
    trim(&mut raw, info);
    // SAFETY: as above; its size is no larger than what is mapped.
    Ok(unsafe { VideoFrameRef::<&gst::BufferRef>::from_glib_full(raw) })
}

/// The same, to be written.
///
/// # Errors
/// As [`readable`].
pub fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, FrameError> {
    agree(buffer, info)?;
    let bytes = buffer.size();
    let mut frame =
        VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| refusal(bytes, info))?;
    // SAFETY: the structure is the frame's own; its size becomes no larger than what is mapped.
    trim(unsafe { &mut *frame.as_mut_ptr() }, info);
    Ok(frame)
}

/// Returns whether a buffer's `GstVideoMeta`, if it has one, goes with `info`. (GStreamer's own map
/// prints a critical message where it doesn't.)
///
/// # Errors
/// [`FrameError::Frame`] if not.
pub fn agree(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), FrameError> {
    // of several the one that is mapped
    let metas = buffer.iter_meta::<VideoMeta>();
    let Some(meta) = metas.min_by_key(|meta| meta.id()) else {
        return Ok(());
    };
    let same = meta.format() == info.format();
    if same && meta.width() >= info.width() && meta.height() >= info.height() {
        return Ok(());
    }
    let frame = |format: gst_video::VideoFormat, width, height| {
        format!("{} {width}x{height}", format.to_str())
    };
    let found = frame(meta.format(), meta.width(), meta.height());
    let expected = frame(info.format(), info.width(), info.height());
    Err(FrameError::Frame {
        found: format!("{found} by its GstVideoMeta"),
        expected: format!("{expected} by its caps, or larger"),
    })
}

fn trim(frame: &mut gst_video::ffi::GstVideoFrame, info: &VideoInfo) {
    (frame.info.width, frame.info.height) = (info.width() as i32, info.height() as i32);
}

fn refusal(bytes: usize, info: &VideoInfo) -> FrameError {
    FrameError::Buffer {
        found: bytes,
        expected: info.size(),
        frame: format!("{}x{} {}", info.width(), info.height(), info.format()),
    }
}
