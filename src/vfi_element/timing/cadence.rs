//! Cadence of the frames that come: if they keep to the declared rate, and how far they lie beside
//! its grid on the whole.
//!
//! Frames that keep to it take their places on its grid, whatever their timestamps were rounded to.
//! A stray (a camera's hiccup) is taken by its timestamp and forgotten if the frames before it have
//! kept to the rate for long enough. Else the rate is no more than an average, and timestamps count
//! until frames have kept to the rate for a while, at its very speed.

/// One stray is made up for by this many frames that keep to the rate.
const STRAY: u32 = 16;

/// More than this many frames are not remembered: four strays close together are forgiven.
const MOST: u32 = 4 * STRAY;

/// Where frames lie on the whole is known after so many.
const SETTLED: u32 = 8;

/// So many frames prove that the rate is kept.
const PROOF: u32 = 32;

/// While it is proved, no more drift than this part of a frame; about what a grid may glide
/// meanwhile.
const DRIFT: i128 = 12;

/// The weight of one frame in where frames lie on the whole while the rate is proved, as a part.
const TRIAL_WEIGHT: i128 = 8;

/// The same where frames keep to it.
const WEIGHT: i64 = 32;

/// How far a grid may lie off the frames' own times on the whole, in nanoseconds, before it is
/// moved: containers round to milliseconds, and that is to leave no trace.
const SLACK: u64 = 1_000_000;

/// The same as a part of a frame, where that is more.
const SLACK_PART: u64 = 16;

/// The most that a grid is moved in a frame's time, as a part of that time: too little to be seen,
/// and half a frame is made up for within a few seconds.
const GLIDE: u64 = 256;

/// Returns how far the frames of a rate may be off their places for reasons of no importance, in
/// nanoseconds.
pub(in crate::vfi_element) fn slack(frame: u64) -> u64 {
    SLACK.max(frame / SLACK_PART)
}

/// Returns whether the first frame was cut to the segment, as decoders do after a seek into the
/// middle of one: the next one comes too soon, and when the duration of the first, if it has one,
/// is over. When that frame began by itself isn't known, so it is no anchor for others. `apart` is
/// how far apart the two are and should be; a first frame without a duration has to be where the
/// segment begins.
pub(in crate::vfi_element) fn is_cut(
    duration: Option<u64>,
    apart: (u64, u64),
    at_start: bool,
) -> bool {
    let (apart, frame) = apart;
    let slack = slack(frame);
    let ends = duration.map_or(at_start, |duration| duration.abs_diff(apart) <= slack);
    ends && apart.saturating_add(slack) < frame
}

/// Place that a frame of a declared rate takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) enum FramePlacement {
    /// The next place on the grid, which was due: at this position.
    Due(u128),
    /// A later place on the grid, as frames are missing: at this position.
    Later(u128),
    /// None on the grid: where its timestamp says.
    Own,
    /// The first place of a new grid: so many ticks before its timestamp (after it if less than 0).
    Anew(i128),
}

/// How well the frames so far have kept to the declared rate.
#[derive(Clone, Copy, Debug)]
pub(in crate::vfi_element) struct Cadence {
    /// True where frames take places on the grid; else their timestamps count.
    steady: bool,
    /// Frames that have kept to the rate lately, less what strays cost.
    kept: u32,
    /// How much later than their places frames come, lately and on the whole, in nanoseconds.
    late: i64,
    /// While timestamps count: how much later than the others before it the latest frame came, in
    /// ticks.
    ahead: i128,
    /// How far the frames have drifted from the rate since it began to be proved, in ticks.
    drifted: i128,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            steady: true,
            kept: 0,
            late: 0,
            ahead: 0,
            drifted: 0,
        }
    }
}

impl Cadence {
    /// Returns where a frame belongs that came at `real`, after one at `previous`; all in ticks of
    /// which `frame` go to a frame of the declared rate.
    pub(in crate::vfi_element) fn place(
        &mut self,
        real: u128,
        previous: u128,
        frame: u128,
    ) -> FramePlacement {
        match self.steady {
            true => self.place_steady(real, previous, frame),
            false => self.place_on_trial(real, previous, frame),
        }
    }

    /// Places a frame at the next place if it is less than half a frame off it (containers round,
    /// sources jitter), or at a later place that it is nearly at (frames are missing).
    fn place_steady(&mut self, real: u128, previous: u128, frame: u128) -> FramePlacement {
        let place = self.expect(real, previous, frame);
        match place {
            FramePlacement::Due(_) => self.kept = (self.kept + 1).min(MOST),
            FramePlacement::Later(_) => {}
            _ => match self.kept.checked_sub(STRAY) {
                Some(kept) => self.kept = kept,
                None => self.doubt(),
            },
        }
        place
    }

    /// Returns where a frame will belong that comes at `real`, by what is known now.
    pub(in crate::vfi_element) fn expect(
        &self,
        real: u128,
        previous: u128,
        frame: u128,
    ) -> FramePlacement {
        if !self.steady {
            return FramePlacement::Own;
        }
        let due = (previous / frame + 1).saturating_mul(frame);
        if real.abs_diff(due) < frame / 2 {
            return FramePlacement::Due(due);
        }
        let nearest = (real + frame / 2) / frame * frame;
        match nearest > due && real.abs_diff(nearest) < frame / 4 {
            true => FramePlacement::Later(nearest),
            false => FramePlacement::Own,
        }
    }

    fn place_on_trial(&mut self, real: u128, previous: u128, frame: u128) -> FramePlacement {
        let signed = |ticks: u128| i128::try_from(ticks).unwrap_or(i128::MAX);
        let frame = signed(frame);
        // from where the frame before should have been
        let passed = signed(real)
            .saturating_sub(signed(previous))
            .saturating_add(self.ahead);
        let frames = passed.saturating_add(frame / 2).div_euclid(frame);
        let off = passed - frames * frame;
        let keeps = frames == 1 || (frames > 1 && off.abs() < frame / 4);
        if !keeps {
            match self.kept.checked_sub(STRAY) {
                Some(kept) if frames > 0 => {
                    self.kept = kept;
                    self.ahead = off;
                }
                _ => self.doubt(),
            }
            return FramePlacement::Own;
        }
        let moved = off / TRIAL_WEIGHT;
        self.ahead = off - moved;
        self.drifted += moved;
        self.kept += 1;
        if self.kept == SETTLED {
            self.drifted = 0;
        }
        if self.kept < PROOF {
            return FramePlacement::Own;
        }
        if self.drifted.abs() > frame / DRIFT {
            // A rate of its own: begin again from here.
            self.kept = SETTLED;
            self.drifted = 0;
            return FramePlacement::Own;
        }
        let behind = self.ahead;
        *self = Self {
            kept: self.kept,
            ..Self::default()
        };
        FramePlacement::Anew(behind)
    }

    /// Timestamps count from this frame on.
    fn doubt(&mut self) {
        *self = Self {
            steady: false,
            ..Self::default()
        };
    }

    /// Returns by how much the grid is to be moved after a frame has taken the place that was due,
    /// `late` nanoseconds later than that. Where frames are off it on the whole (the first one may
    /// have been early or late itself, and clocks differ), it glides there: phases, and which frame
    /// takes which slot, stay as they are. `frame` and `slot` are how long a frame and a slot last.
    pub(in crate::vfi_element) fn glide(&mut self, late: i64, frame: u64, slot: u64) -> i64 {
        self.late += (late - self.late) / WEIGHT;
        let most = (frame / GLIDE).min(slot / 4);
        let by = self.late.unsigned_abs().saturating_sub(slack(frame));
        let by = i64::try_from(by.min(most)).unwrap_or(0) * self.late.signum();
        self.late -= by;
        by
    }
}
