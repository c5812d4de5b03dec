//! How long a frame lasts, and how much of the time for which no new one comes is filled with it.

use super::{
    FramePlacement, Grid, Held, LONGEST_FRAME, Newest, OutputRate, SECOND, Slots, Timeline,
};

/// Longest time, in nanoseconds, a frame is shown at the end of a segment whose stop is known, as
/// videorate does: a container's may be that of its sound.
const LONGEST_END: u64 = SECOND;

impl Timeline {
    /// Ends the newest frame's time, because it is the last for now (end of stream, gap, change of
    /// caps). Returns the slots that are left of that time, before `stop`. The next frame has no
    /// partner.
    pub(in crate::vfi_element) fn drain(&mut self, stop: Option<u64>) -> Slots {
        self.let_go(0, stop)
    }

    /// Ends the stream. Returns the slots that are left, as in [`Self::drain`], and where a fixed
    /// rate is kept, those that are left up to the segment's stop.
    pub(in crate::vfi_element) fn end(&mut self) -> Slots {
        let stop = self.segment.1.filter(|_| self.can_fill(0));
        let newest = self.newest.map_or(0, |newest| newest.pts);
        let until = stop.map_or(0, |stop| stop.min(newest.saturating_add(LONGEST_END)));
        self.let_go(until, None)
    }

    /// Lets the newest frame go. Returns the slots that are left of its own time, and those before
    /// `until`.
    fn let_go(&mut self, until: u64, stop: Option<u64>) -> Slots {
        let Some(newest) = self.hold_for(Held::Gone) else {
            let grid = self.grid(0);
            return self.repeats(grid, 0, None);
        };
        let grid = self.grid(newest.lasts);
        let own = grid.first_slot_from(newest.at.saturating_add(newest.lasts));
        self.repeats(grid, own.max(grid.first_slot_at(until)), stop)
    }

    /// Fills the time up to `until`, in which upstream says that nothing comes. Returns the slots
    /// before the place of a frame that comes then, as its timestamp may be rounded where `until`
    /// is not; they show the newest frame, which is no pair with the next one. `None` where holes
    /// stay open, or this one is too long.
    pub(in crate::vfi_element) fn pause(&mut self, until: u64) -> Option<Slots> {
        let newest = self.newest.filter(|newest| newest.held != Held::Gone)?;
        if !self.can_fill(until.saturating_sub(newest.pts)) {
            return None;
        }
        self.hold_for(Held::ToRepeat);
        let grid = self.grid(1);
        let at = self.expected(&grid, until, &newest);
        let own = grid.slot_of(at, self.tolerance(&grid, at));
        let end = own.unwrap_or_else(|| grid.first_slot_from(at));
        Some(self.repeats(grid, end, None))
    }

    /// Returns the position of a frame that will come at a time.
    fn expected(&self, grid: &Grid, time: u64, newest: &Newest) -> u128 {
        let real = grid.position(time);
        let place = (self.frame()).map(|frame| self.cadence.expect(real, newest.at, frame));
        match place {
            Some(FramePlacement::Due(at) | FramePlacement::Later(at)) => at,
            _ => real,
        }
    }

    /// Changes for what the newest frame is there, if it is; gives it as it was.
    fn hold_for(&mut self, held: Held) -> Option<Newest> {
        let newest = self.newest.as_mut().filter(|n| n.held != Held::Gone)?;
        let was = *newest;
        newest.held = held;
        Some(was)
    }

    /// Returns all free slots up to `end`, before the segment's stop and `stop`, with the newest
    /// frame once more.
    fn repeats(&mut self, grid: Grid, end: u64, stop: Option<u64>) -> Slots {
        let stop = stop.into_iter().chain(self.segment.1).min();
        let stop = stop.map_or(u64::MAX, |stop| grid.first_slot_at(stop));
        let run = self.free(&grid)..end.min(stop);
        if !run.is_empty() {
            self.next = run.end;
            self.floor = grid.time(run.end - 1).saturating_add(1);
        }
        Slots {
            grid,
            run,
            pair: None,
        }
    }

    /// Returns whether frames so far apart are no pair. Those that are as far apart as their rate
    /// says are always one.
    pub(super) fn is_gap(&self, apart: u64) -> bool {
        let frame = self.input.map_or(0, |rate| rate.time(1));
        apart > self.max_gap.max(frame.saturating_add(frame / 2))
    }

    /// Returns whether a hole of this length is filled with the frame before it.
    pub(super) fn can_fill(&self, apart: u64) -> bool {
        self.fills && matches!(self.target, OutputRate::Fixed(_)) && apart <= LONGEST_FRAME
    }

    /// Returns how long a frame that has no rate lasts, in nanoseconds, if that is known.
    pub(super) fn lasts(&self, newest: &Newest) -> Option<u64> {
        let known = Some(self.nanoseconds(newest.lasts)).filter(|lasts| *lasts > 0);
        known.or(self.input.map(|rate| rate.time(1)))
    }

    /// Returns how many ticks a frame lasts: a frame of the declared rate, else its duration, or as
    /// long as the one before.
    pub(super) fn lasting(&self, duration: Option<u64>, previous: u128) -> u128 {
        let own = duration.filter(|d| *d > 0);
        let own = own.map(|d| u128::from(d.min(LONGEST_FRAME)));
        self.frame().unwrap_or_else(|| own.unwrap_or(previous))
    }
}
