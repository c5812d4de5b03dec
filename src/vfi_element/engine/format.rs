//! Format of frames.

use crate::frames::FrameLayout;

/// Format of frames, and how they lie in memory.
pub(super) struct FrameFormat {
    pub(super) info: gst_video::VideoInfo,
    pub(super) layout: FrameLayout,
}
