//! The frames that come and leave, as caps fix them.

use gst::prelude::*;

/// Facts that the caps fix.
pub(super) struct Stream {
    pub(super) input: gst::Caps,
    pub(super) output: gst::Caps,
    pub(super) info: gst_video::VideoInfo,
    /// Whether frames come at no fixed rate.
    pub(super) variable: bool,
    /// Whether more than two frames leave for one that comes.
    pub(super) several: bool,
    pub(super) pool: gst::BufferPool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Fails only for a pool that was never active.
        let _stopped = self.pool.set_active(false);
    }
}
