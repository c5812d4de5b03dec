//! From input times and a wanted rate to output slots: when a frame leaves, and what it shows.
//!
//! Pure arithmetic on integers; nothing here knows GStreamer. All times are nanoseconds, all
//! positions are exact fractions, so that nothing adds up over a stream: slot `n` of a rate
//! `num/den` lies at `base + n * den / num` seconds, rounded down once when it is written as
//! nanoseconds (videorate's rule).
//!
//! Positions of input frames count ticks; both one nanosecond and one declared frame are whole
//! numbers of ticks. Where a rate is declared and the frames keep to it, each takes its exact place
//! on that rate's grid, whatever its timestamp was rounded to; else its timestamp is its place. Both
//! cases are then the same arithmetic.

#[cfg(any(test, fuzzing))]
pub(in crate::vfi_element) mod fuzz;
mod holes;
mod position;

use self::position::Placed;
use super::cadence::{self, Cadence, FramePlacement};
use super::grid::{
    Content, FrameStep, Grid, GridOrigin, Rate, SECOND, Slot, Slots, distinct_slots,
};

/// In a variable-rate stream a slot this close to an input frame (as a part of the distance of two
/// slots) shows that frame itself: its timestamp is often rounded to a millisecond anyway, and an
/// original is sharper than anything synthesised beside it.
const SNAP: u128 = 16;

/// A timestamp that goes back by more, in nanoseconds, is no frame out of order: time begins anew.
const LONGEST_STEP_BACK: u64 = 10 * SECOND;

/// Longest time a frame is shown, in nanoseconds, whatever it says and however late the next one
/// comes: an output that is filled with a frame for years would fill disks too.
pub(in crate::vfi_element) const LONGEST_FRAME: u64 = 600 * SECOND;

/// Rate of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) enum OutputRate {
    /// A fixed rate: slots on a grid that starts at the first frame.
    Fixed(Rate),
    /// A variable rate: this many evenly spaced slots from each input frame to the next.
    Multiple(u32),
}

/// Reason why a frame has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) enum TimelineError {
    /// It has no timestamp, and neither a rate nor a duration tells its place.
    NoTimestamp,
    /// Its timestamp is not later than the one of the frame before it, which is this.
    NotLater(u64),
}

/// Use of the newest frame from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// To be a pair with the next one.
    ToInterpolate,
    /// To be shown until the next one comes.
    ToRepeat,
    /// For nothing: it was drained.
    Gone,
}

/// The newest input frame.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// Its position.
    at: u128,
    /// Its own timestamp.
    pts: u64,
    /// How many ticks it lasts; 0 if that is not known.
    lasts: u128,
    /// Set if it began the timeline, or a new one after a gap.
    first: Option<FirstFrame>,
    held: Held,
}

/// A frame that a timeline begins with. A decoder may have cut it to the segment.
#[derive(Clone, Copy, Debug)]
struct FirstFrame {
    /// Its duration in nanoseconds, if it has one.
    duration: Option<u64>,
}

/// Turns input times into output slots.
#[derive(Debug)]
pub(in crate::vfi_element) struct Timeline {
    input: Option<Rate>,
    target: OutputRate,
    max_gap: u64,
    /// True where holes are filled, if the output has a fixed rate.
    fills: bool,
    origin: GridOrigin,
    /// The first slot that has not left yet.
    next: u64,
    /// The segment's start, and its stop.
    segment: (u64, Option<u64>),
    cadence: Cadence,
    /// True where the next frame may lie before those that were.
    may_go_back: bool,
    /// Once a frame has been drained, which may last longer than it says, nothing leaves before
    /// this time.
    floor: u64,
    /// The timestamp of the newest frame of the grid before, until a frame begins the next one.
    last_pts_of_old_grid: Option<u64>,
    newest: Option<Newest>,
}

impl Timeline {
    /// Creates a timeline for frames at `input` (`None`: variable) that leave at `target`; between
    /// frames further apart than `max_gap` nanoseconds nothing is interpolated.
    pub(in crate::vfi_element) fn new(
        input: Option<Rate>,
        target: OutputRate,
        max_gap: u64,
    ) -> Self {
        Self {
            input,
            target,
            max_gap,
            fills: true,
            origin: GridOrigin::default(),
            next: 0,
            segment: (0, None),
            cadence: Cadence::default(),
            may_go_back: false,
            floor: 0,
            last_pts_of_old_grid: None,
            newest: None,
        }
    }

    /// Forgets all that was; the next frame starts anew.
    pub(in crate::vfi_element) fn reset(&mut self) {
        *self = Self {
            fills: self.fills,
            ..Self::new(self.input, self.target, self.max_gap)
        };
    }

    /// Sets the segment that timestamps lie in from now on.
    pub(in crate::vfi_element) fn set_segment(&mut self, start: u64, stop: Option<u64>) {
        self.segment = (start, stop);
    }

    /// Expects that the next frame, marked as one that continues nothing, may lie before the
    /// others: then time begins anew.
    pub(in crate::vfi_element) fn expect_jump(&mut self) {
        self.may_go_back = true;
    }

    /// Changes the longest gap to interpolate across, and whether holes are filled.
    pub(in crate::vfi_element) fn set_limits(&mut self, max_gap: u64, fills: bool) {
        (self.max_gap, self.fills) = (max_gap, fills);
    }

    /// Lets the next frame begin a new grid, behind all slots that have left.
    pub(in crate::vfi_element) fn start_new_grid(&mut self) {
        if let Some(newest) = self.newest {
            let left = self.last_slot().max(newest.pts).saturating_add(1);
            self.floor = self.floor.max(left);
            self.last_pts_of_old_grid = Some(newest.pts);
            self.newest = None;
        }
    }

    /// Changes the rates from the next pair on: the newest frame, whose slot has left already,
    /// becomes the first slot of a new grid; but it is no pair with frames of another input rate.
    pub(in crate::vfi_element) fn retarget(&mut self, input: Option<Rate>, target: OutputRate) {
        if (input, target) == (self.input, self.target) {
            return;
        }
        if input != self.input
            || self
                .newest
                .is_some_and(|newest| newest.held != Held::ToInterpolate)
        {
            self.start_new_grid();
        }
        let Some(newest) = self.newest else {
            (self.input, self.target) = (input, target);
            return;
        };
        let lasts = self.nanoseconds(newest.lasts);
        let (last_slot, ticks_in_ns) = (self.last_slot(), self.ticks_in_ns());
        let mut origin = self.grid(1).origin_at(newest.at, 0);
        self.target = target;
        if last_slot > origin.base {
            // A frame that snapped to a slot a little later than itself has been shown there.
            origin.base = last_slot;
            origin.remainder = 0;
        } else if self.ticks_in_ns() != ticks_in_ns {
            origin.remainder = 0;
        }
        self.begin(origin);
        self.newest = Some(Newest {
            at: 0,
            lasts: self.lasting(Some(lasts), 0),
            first: None,
            ..newest
        });
    }

    /// Gives a frame that arrives its place, and returns the slots that follow from it. A frame
    /// without a timestamp follows the one before at the declared rate, else when that one's duration
    /// is over; the first one lies at the segment's start.
    ///
    /// # Errors
    /// [`TimelineError`] says why a frame has no place; the timeline is then unchanged.
    pub(in crate::vfi_element) fn advance(
        &mut self,
        pts: Option<u64>,
        duration: Option<u64>,
    ) -> Result<FrameStep, TimelineError> {
        let may_go_back = std::mem::take(&mut self.may_go_back);
        let goes_back =
            |last: u64, pts: u64| pts < last && (may_go_back || last - pts > LONGEST_STEP_BACK);
        let Some(previous) = self.newest else {
            let pts = self.resolve_first_pts(pts, duration)?;
            match self.last_pts_of_old_grid {
                Some(last) if goes_back(last, pts) => self.forget_old_grid(),
                Some(last) if pts <= last => return Err(TimelineError::NotLater(last)),
                _ => {}
            }
            return Ok(self.start(pts, duration, None));
        };
        let pts = self.resolve_pts(pts, &previous)?;
        if goes_back(previous.pts, pts) {
            let tail = self.drain(None);
            self.forget_old_grid();
            return Ok(self.start(pts, duration, Some(tail)));
        }
        if pts <= previous.pts {
            return Err(TimelineError::NotLater(previous.pts));
        }
        let placed = self.position(pts, &previous)?;
        let apart = pts - previous.pts;
        let alone = previous.held == Held::ToRepeat || self.is_gap(apart);
        let filled = previous.held != Held::Gone && self.can_fill(apart);
        let is_over = placed.at - previous.at > previous.lasts;
        // a frame that snapped to a slot a little later than itself may have left after this one's
        // time
        if alone && !filled && is_over && pts > self.last_slot() {
            let tail = self.drain(Some(pts));
            let too_long = apart > LONGEST_FRAME && self.can_fill(0);
            return Ok(FrameStep {
                too_long: too_long.then_some(apart),
                ..self.start(pts, duration, Some(tail))
            });
        }
        Ok(self.step_to(placed, pts, duration, &previous, alone))
    }

    /// Forgets up to where slots have left, as time begins anew.
    fn forget_old_grid(&mut self) {
        (self.floor, self.last_pts_of_old_grid) = (0, None);
    }

    /// Makes a frame the newest. Returns the slots from the previous one to it, between the two or
    /// with the previous one once more (`alone`), and its own slot, if it falls on one.
    fn step_to(
        &mut self,
        Placed { at, begins_grid }: Placed,
        pts: u64,
        duration: Option<u64>,
        previous: &Newest,
        alone: bool,
    ) -> FrameStep {
        let length = at - previous.at;
        let grid = self.grid(length);
        let own = grid.slot_of(at, self.tolerance(&grid, at));
        let own = own.filter(|n| *n >= self.next && !begins_grid);
        let end = match begins_grid {
            true => grid.first_slot_around(at),
            false => own.unwrap_or_else(|| grid.first_slot_from(at)),
        };
        let before = Slots {
            grid,
            run: match previous.held {
                Held::Gone => 0..0,
                _ => self.free(&grid)..end,
            },
            pair: (!alone).then_some((previous.at, at)),
        };
        self.next = self.next.max(end);
        self.newest = Some(Newest {
            at,
            pts,
            // how long a hole was says nothing of the frame behind it
            lasts: self.lasting(duration, if alone { 0 } else { length }),
            first: None,
            held: Held::ToInterpolate,
        });
        let original = if begins_grid {
            Some(self.begin_again(&grid, at, pts))
        } else {
            let original = own.map(|n| self.own_slot(&grid, n, pts, duration));
            self.next += u64::from(own.is_some());
            self.rebase_multiple(&grid);
            original
        };
        FrameStep {
            before,
            original,
            too_long: None,
        }
    }

    /// Starts with the first frame, or the first after a gap: it is slot 0 of a new grid, at its
    /// own time; nothing can be made before it.
    fn start(&mut self, pts: u64, duration: Option<u64>, tail: Option<Slots>) -> FrameStep {
        self.cadence = Cadence::default();
        self.begin(GridOrigin {
            base: pts,
            ..GridOrigin::default()
        });
        self.newest = Some(Newest {
            at: 0,
            pts,
            lasts: self.lasting(duration, 0),
            first: Some(FirstFrame { duration }),
            held: Held::ToInterpolate,
        });
        let grid = self.grid(u128::from(duration.unwrap_or(0)));
        let own = self.own_slot(&grid, 0, pts, duration);
        FrameStep {
            before: tail.unwrap_or(Slots {
                grid,
                run: 0..0,
                pair: None,
            }),
            original: Some(Slot {
                discont: true,
                ..own
            }),
            too_long: None,
        }
    }

    /// Returns the time of the slot that has left last.
    fn last_slot(&self) -> u64 {
        self.grid(1).time(self.next.saturating_sub(1))
    }

    /// Begins a new grid, whose first slot has left.
    fn begin(&mut self, origin: GridOrigin) {
        self.origin = origin;
        self.next = 1;
    }

    /// Begins a new grid that goes on after the newest frame, at a position of this grid. Returns
    /// that frame's slot, the new grid's first.
    fn begin_again(&mut self, grid: &Grid, at: u128, pts: u64) -> Slot {
        self.floor = self.floor.max(self.last_slot().saturating_add(1));
        let offset = grid.origin.offset.saturating_add(self.next);
        self.begin(grid.origin_at(at, offset));
        if let Some(newest) = &mut self.newest {
            newest.at = 0;
        }
        let grid = self.grid(1);
        self.own_slot(&grid, 0, pts, None)
    }

    /// Returns the declared rate, where the output has a fixed one too.
    fn declared(&self) -> Option<Rate> {
        match self.target {
            OutputRate::Fixed(_) => self.input,
            OutputRate::Multiple(_) => None,
        }
    }

    /// Positions are counted in ticks so small that a frame of the declared rate is a whole number
    /// of them.
    fn ticks_in_ns(&self) -> u64 {
        self.declared().map_or(1, |rate| rate.num)
    }

    /// Ticks from one frame of the declared rate to the next.
    fn frame(&self) -> Option<u128> {
        let rate = self.declared()?;
        Some(u128::from(rate.den) * u128::from(SECOND))
    }

    fn nanoseconds(&self, ticks: u128) -> u64 {
        u64::try_from(ticks / u128::from(self.ticks_in_ns())).unwrap_or(u64::MAX)
    }

    fn time(&self, position: u128) -> u64 {
        self.grid(1).origin_at(position, 0).base
    }

    /// Returns the grid for a pair that is `length` ticks apart.
    fn grid(&self, length: u128) -> Grid {
        let output = match self.target {
            OutputRate::Fixed(rate) => rate.told_apart(),
            OutputRate::Multiple(m) => {
                let den = self.nanoseconds(length).max(1);
                Rate {
                    num: distinct_slots(m, den) * SECOND,
                    den,
                }
            }
        };
        Grid {
            ticks_in_ns: self.ticks_in_ns(),
            output,
            origin: self.origin,
        }
    }

    /// Returns the first slot that may still leave.
    fn free(&self, grid: &Grid) -> u64 {
        self.next.max(grid.first_slot_at(self.floor))
    }

    /// Returns the slot of an input frame, as soon as it may leave, and within the segment if its
    /// timestamp is. In a stream of variable rate its duration is its share of the frame's own,
    /// because the next frame's time isn't known yet.
    fn own_slot(&mut self, grid: &Grid, n: u64, pts: u64, duration: Option<u64>) -> Slot {
        let mut slot = grid.slot(n, Content::Original);
        if let OutputRate::Multiple(m) = self.target {
            slot.duration = duration.map(|d| d / distinct_slots(m, d));
        }
        let stop = self.segment.1;
        if let Some(stop) = stop.filter(|stop| pts < *stop && *stop <= slot.pts) {
            let before = n
                .checked_sub(1)
                .map_or(0, |n| grid.time(n).saturating_add(1));
            slot.pts = pts.max(before).min(slot.pts);
            slot.duration = Some(stop.saturating_sub(slot.pts));
        }
        let late = self.floor.saturating_sub(slot.pts);
        if late > 0 {
            slot.pts = self.floor;
            slot.duration = slot.duration.map(|d| d.saturating_sub(late));
            self.floor = self.floor.saturating_add(1);
        }
        slot
    }

    /// Begins a grid of its own at an input frame where the output rate is variable.
    fn rebase_multiple(&mut self, grid: &Grid) {
        if let (OutputRate::Multiple(_), Some(newest)) = (self.target, &mut self.newest) {
            newest.at = 0;
            let origin = GridOrigin {
                base: newest.pts,
                remainder: 0,
                offset: grid.origin.offset.saturating_add(grid.output.num / SECOND),
            };
            self.begin(origin);
        }
    }
}

#[cfg(test)]
mod tests;
