//! Times and positions of frames that arrive.

use super::{FramePlacement, Grid, Newest, SNAP, Timeline, TimelineError, cadence};

/// Position of a frame that arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Ticks since slot 0 of the grid.
    pub(super) at: u128,
    /// True where a new grid is to begin at the frame.
    pub(super) begins_grid: bool,
}

impl Timeline {
    /// Returns the timestamp of a frame that no other one is before, at the segment's start if it
    /// has none.
    pub(super) fn resolve_first_pts(
        &self,
        pts: Option<u64>,
        duration: Option<u64>,
    ) -> Result<u64, TimelineError> {
        let is_known = self.input.is_some() || duration.is_some();
        let start = self.segment.0.max(self.floor);
        pts.or(is_known.then_some(start))
            .ok_or(TimelineError::NoTimestamp)
    }

    /// Returns the timestamp of a frame, which follows the one before at the declared rate if it has
    /// none, else when that one's duration is over.
    pub(super) fn resolve_pts(
        &self,
        pts: Option<u64>,
        previous: &Newest,
    ) -> Result<u64, TimelineError> {
        let due = self.frame().map(|frame| previous.at.saturating_add(frame));
        match (pts, due, self.lasts(previous)) {
            (Some(pts), ..) => Ok(pts),
            (None, Some(due), _) => Ok(self.time(due).max(previous.pts.saturating_add(1))),
            (None, None, Some(lasts)) => Ok(previous.pts.saturating_add(lasts)),
            (None, None, None) => Err(TimelineError::NoTimestamp),
        }
    }

    /// Returns how near a slot a frame has to be to be taken to lie on it, where frames have no
    /// exact place; see [`SNAP`].
    pub(super) fn tolerance(&self, grid: &Grid, at: u128) -> u128 {
        match self.frame() {
            Some(frame) if at.is_multiple_of(frame) => 0,
            _ => grid.slot_units() / SNAP,
        }
    }

    /// Returns where a frame with this timestamp lies, which comes after the previous one.
    pub(super) fn position(
        &mut self,
        pts: u64,
        previous: &Newest,
    ) -> Result<Placed, TimelineError> {
        let on_grid = |at| Placed {
            at,
            begins_grid: false,
        };
        let on_new_grid = |at| Placed {
            at,
            begins_grid: true,
        };
        let real = self.grid(1).position(pts);
        let Some(frame) = self.frame() else {
            let at = (real > previous.at).then_some(on_grid(real));
            return at.ok_or(TimelineError::NotLater(previous.pts));
        };
        // The frame before may have been placed a little late on the grid.
        let own = |real: u128| real.max(previous.at.saturating_add(1));
        let apart = (pts - previous.pts, self.nanoseconds(frame));
        let at_start = previous.pts > 0 && previous.pts == self.segment.0;
        if (previous.first).is_some_and(|first| cadence::is_cut(first.duration, apart, at_start)) {
            return Ok(on_new_grid(own(real)));
        }
        Ok(match self.cadence.place(real, previous.at, frame) {
            FramePlacement::Due(at) => {
                self.glide(pts, at, frame);
                on_grid(at)
            }
            FramePlacement::Later(at) => on_grid(at),
            FramePlacement::Own => on_grid(own(real)),
            FramePlacement::Anew(behind) => {
                let place = real.saturating_add_signed(behind.saturating_neg());
                on_new_grid(own(place))
            }
        })
    }

    /// Moves the declared grid a little where frames are off it on the whole; see
    /// [`Cadence::glide`](cadence::Cadence::glide).
    fn glide(&mut self, pts: u64, place: u128, frame: u128) {
        let time = self.time(place);
        let late = i64::try_from(pts.abs_diff(time)).unwrap_or(i64::MAX);
        let late = if pts < time { -late } else { late };
        let frame = self.nanoseconds(frame);
        let slot = self.grid(frame.into()).output.time(1);
        let by = self.cadence.glide(late, frame, slot);
        self.origin.base = self.origin.base.saturating_add_signed(by);
    }
}
