//! Counters and timings, as the `stats` property shows them.

use std::time::Duration;

/// What the element has done since it was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stats {
    /// Frames that came in.
    pub frames_in: u64,
    /// Originals that went out.
    pub originals: u64,
    /// Frames made and sent.
    pub synthesised: u64,
    /// Originals sent once more, where there was nothing to interpolate towards.
    pub repeated: u64,
    /// Frames that came in without a place in time.
    pub dropped: u64,
    /// Synthesised frames not made because they would have been late.
    pub late: u64,
    /// Cuts found.
    pub cuts: u64,
    /// Pairs between which the light changes too much to follow motion.
    pub flashes: u64,
    /// Pairs that show the same.
    pub stills: u64,
    /// Originals that repeated the one before and had a frame made in their place.
    pub duplicates: u64,
    /// Comparing frames, and looking for cuts.
    pub content_time: Duration,
    /// Shrinking frames for the network.
    pub shrink_time: Duration,
    /// The network.
    pub estimate_time: Duration,
    /// Making full-size frames.
    pub synthesise_time: Duration,
    /// Where the network runs.
    pub provider: String,
    /// The network's name.
    pub model: String,
}

impl Stats {
    /// Back to zero; what runs where stays known.
    pub(super) fn reset(&mut self) {
        *self = Self {
            provider: std::mem::take(&mut self.provider),
            model: std::mem::take(&mut self.model),
            ..Self::default()
        };
    }

    /// As a structure; times in nanoseconds, summed over all frames.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        gst::Structure::builder("application/x-vfiinterp-stats")
            .field("frames-in", self.frames_in)
            .field("originals", self.originals)
            .field("synthesised", self.synthesised)
            .field("repeated", self.repeated)
            .field("dropped", self.dropped)
            .field("late", self.late)
            .field("cuts", self.cuts)
            .field("flashes", self.flashes)
            .field("stills", self.stills)
            .field("duplicates", self.duplicates)
            .field("content-time", nanoseconds(self.content_time))
            .field("shrink-time", nanoseconds(self.shrink_time))
            .field("estimate-time", nanoseconds(self.estimate_time))
            .field("synthesise-time", nanoseconds(self.synthesise_time))
            .field("provider", &self.provider)
            .field("model", &self.model)
            .build()
    }
}
