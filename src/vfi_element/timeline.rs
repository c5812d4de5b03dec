//! From input times and a wanted rate to output slots: when a frame leaves, and what it shows.
//!
//! Pure arithmetic on integers; nothing here knows GStreamer. All times are nanoseconds, all
//! positions are exact fractions, so that nothing adds up over a stream: slot `n` of a rate
//! `num/den` lies at `base + n * den / num` seconds, rounded down once when it is written as
//! nanoseconds (videorate's rule).
//!
//! An input frame has an integer position, in ticks of which a nanosecond holds a whole number, and
//! so does a frame of the declared rate. Where a rate is declared and the frames keep to it, each
//! takes its exact place on that rate's grid, whatever its timestamp was rounded to; else its
//! timestamp is its place. Both cases are then the same arithmetic.

use super::grid::{Content, Grid, Origin, Rate, SECOND, Slot, Slots};

/// In a variable-rate stream a slot this close to an input frame (as a part of the distance of two
/// slots) shows that frame itself: its timestamp is often rounded to a millisecond anyway, and an
/// original is sharper than anything synthesised beside it.
const SNAP: u128 = 16;

/// How far a declared grid may lie off the frames' own times on the whole, in nanoseconds, before it is
/// moved: containers round to milliseconds, and that is to leave no trace.
const SLACK: u64 = 1_000_000;

/// The same as a part of a frame, where that is more.
const SLACK_PART: u64 = 16;

/// The weight of one frame in where frames lie on the whole, as a part.
const WEIGHT: i64 = 32;

/// The most that a grid is moved in a frame's time, as a part of that time: too little to be seen, and
/// half a frame is made up for within a few seconds.
const GLIDE: u64 = 256;

/// What rate the output has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A fixed rate: slots on a grid that starts at the first frame.
    Fixed(Rate),
    /// A variable rate: this many evenly spaced slots from each input frame to the next.
    Multiple(u32),
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The first frame has no timestamp, so it has no place.
    NoTimestamp,
    /// Its timestamp is not later than the frame's before it.
    NotLater,
}

/// What follows from the arrival of a frame.
#[derive(Debug)]
pub(super) struct Step {
    /// The slots before the new frame, in order.
    pub before: Slots,
    /// The new frame's own slot, if it falls on one.
    pub original: Option<Slot>,
}

impl Step {
    /// The new frame's own slot, for a frame made in its place.
    pub(super) fn stand_in(&self) -> Option<Slot> {
        let own = self.original?;
        Some(Slot {
            content: Content::Between(self.before.phase_of(&own)?),
            ..own
        })
    }
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
    /// Whether it is there to interpolate from (after a drain it is not).
    held: bool,
}

/// Turns input times into output slots.
#[derive(Debug)]
pub(super) struct Timeline {
    input: Option<Rate>,
    target: Target,
    max_gap: u64,
    origin: Origin,
    /// The first slot that has not left yet.
    next: u64,
    /// The frames keep to the declared rate, so far.
    steady: bool,
    /// How much later than their places on the declared grid frames come, lately and on the whole, in
    /// nanoseconds.
    late: i64,
    /// Once a frame has been drained, nothing off its grid may go before this time.
    floor: u64,
    newest: Option<Newest>,
}

impl Timeline {
    /// A timeline for frames at `input` (`None`: variable) that leave at `target`; between frames
    /// further apart than `max_gap` nanoseconds nothing is interpolated.
    pub(super) fn new(input: Option<Rate>, target: Target, max_gap: u64) -> Self {
        Self {
            input,
            target,
            max_gap,
            origin: Origin::default(),
            next: 0,
            steady: true,
            late: 0,
            floor: 0,
            newest: None,
        }
    }

    /// Forgets all that was; the next frame starts anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.input, self.target, self.max_gap);
    }

    /// Changes the longest gap to interpolate across.
    pub(super) fn set_max_gap(&mut self, max_gap: u64) {
        self.max_gap = max_gap;
    }

    /// Changes the output rate from the next pair on: the newest frame, whose slot has left
    /// already, becomes the first slot of a new grid.
    pub(super) fn retarget(&mut self, target: Target) {
        if target == self.target {
            return;
        }
        let Some(newest) = self.newest else {
            self.target = target;
            return;
        };
        let last_slot = self.left_at();
        let (own, lasts) = (self.time(newest.at), self.nanoseconds(newest.lasts));
        self.target = target;
        if !newest.held {
            let left = last_slot.max(newest.pts).saturating_add(1);
            self.floor = self.floor.max(left);
            self.newest = None;
            return;
        }
        // A frame that snapped to a slot a little later than itself has been shown there.
        self.begin_at(own.max(last_slot));
        self.newest = Some(Newest {
            at: 0,
            lasts: self.lasting(Some(lasts), 0),
            ..newest
        });
    }

    /// A frame arrives. A missing timestamp is taken as the previous one plus the previous
    /// frame's duration.
    ///
    /// # Errors
    /// [`Refusal`] says why a frame has no place; the timeline is then unchanged.
    pub(super) fn advance(
        &mut self,
        pts: Option<u64>,
        duration: Option<u64>,
    ) -> Result<Step, Refusal> {
        let Some(a) = self.newest else {
            let pts = pts.ok_or(Refusal::NoTimestamp)?;
            if pts < self.floor {
                return Err(Refusal::NotLater);
            }
            return Ok(self.start(pts, duration, None));
        };
        let pts = match (pts, a.lasts) {
            (Some(pts), _) => pts,
            (None, 0) => return Err(Refusal::NoTimestamp),
            (None, lasts) => a.pts.saturating_add(self.nanoseconds(lasts)),
        };
        if pts <= a.pts || (pts < self.floor && self.frame().is_none()) {
            return Err(Refusal::NotLater);
        }
        let at = self.position(pts, a.at)?;
        let length = at - a.at;
        let far = pts - a.pts > self.max_gap;
        // a frame that snapped to a slot a little later than itself may have left after this one's time
        if far && length > a.lasts && pts > self.left_at() {
            let tail = self.drain(Some(pts));
            return Ok(self.start(pts, duration, Some(tail)));
        }

        let grid = self.grid(length);
        let own = grid.slot_of(at, self.tolerance(&grid));
        let own = own.filter(|n| *n >= self.next);
        let end = own.unwrap_or_else(|| grid.first_slot_from(at));
        let before = Slots {
            grid,
            run: if a.held { self.next..end } else { 0..0 },
            pair: (!far).then_some((a.at, at)),
        };
        let original = own.map(|n| self.own_slot(&grid, n, duration));
        self.next = self.next.max(end) + u64::from(own.is_some());
        self.newest = Some(Newest {
            at,
            pts,
            lasts: self.lasting(duration, length),
            held: true,
        });
        self.rebase_multiple(&grid);
        Ok(Step { before, original })
    }

    /// The newest frame is the last for now (end of stream, gap, change of caps): the slots that
    /// are left of its own time, before `stop`. The next frame has no partner.
    pub(super) fn drain(&mut self, stop: Option<u64>) -> Slots {
        let held = self.newest.as_mut().filter(|newest| newest.held);
        let lasting = held.map(|newest| {
            newest.held = false;
            *newest
        });
        let (at, lasts) = lasting.map_or((0, 0), |newest| (newest.at, newest.lasts));
        let grid = self.grid(lasts);
        let mut run = 0..0;
        if lasts > 0 {
            let end = grid.first_slot_from(at.saturating_add(lasts));
            let stop = stop.map_or(u64::MAX, |stop| grid.first_slot_at(stop));
            run = self.next..end.min(stop);
        }
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

    /// The first frame, or the first after a gap: it is slot 0 of a new grid, at its own time;
    /// nothing can be made before it.
    fn start(&mut self, pts: u64, duration: Option<u64>, tail: Option<Slots>) -> Step {
        self.steady = true;
        self.late = 0;
        self.begin_at(pts);
        self.newest = Some(Newest {
            at: 0,
            pts,
            lasts: self.lasting(duration, 0),
            held: true,
        });
        let grid = self.grid(u128::from(duration.unwrap_or(0)));
        Step {
            before: tail.unwrap_or(Slots {
                grid,
                run: 0..0,
                pair: None,
            }),
            original: Some(Slot {
                discont: true,
                ..self.own_slot(&grid, 0, duration)
            }),
        }
    }

    /// A new grid, whose first slot has left.
    fn begin_at(&mut self, base: u64) {
        self.origin = Origin { base, offset: 0 };
        self.next = 1;
    }

    /// The time of the last slot that has left this grid.
    fn left_at(&self) -> u64 {
        self.grid(1).time(self.next.saturating_sub(1))
    }

    /// The declared rate, where the output has a fixed one too.
    fn declared(&self) -> Option<Rate> {
        match self.target {
            Target::Fixed(_) => self.input,
            Target::Multiple(_) => None,
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
        self.origin.base.saturating_add(self.nanoseconds(position))
    }

    /// The grid for a pair that is `length` ticks apart.
    fn grid(&self, length: u128) -> Grid {
        let output = match self.target {
            Target::Fixed(rate) => rate,
            Target::Multiple(m) => Rate {
                num: u64::from(m) * SECOND,
                den: self.nanoseconds(length).max(1),
            },
        };
        Grid {
            ticks_in_ns: self.ticks_in_ns(),
            output,
            origin: self.origin,
        }
    }

    /// A frame near a slot is taken to lie on it where frames have no exact place; see [`SNAP`].
    fn tolerance(&self, grid: &Grid) -> u128 {
        if self.frame().is_some() && self.steady {
            0
        } else {
            grid.slot_units() / SNAP
        }
    }

    /// Where a frame with this timestamp lies, after the frame at `previous`.
    ///
    /// At a declared rate it is the next place on that rate's grid if the timestamp is less than
    /// half a frame off it (containers round, sources jitter), or a later place that it is nearly
    /// at (frames are missing). A frame that is at neither shows that the rate is no more than an
    /// average: from then on, timestamps count.
    fn position(&mut self, pts: u64, previous: u128) -> Result<u128, Refusal> {
        let since = u128::from(pts.saturating_sub(self.origin.base));
        let real = since * u128::from(self.ticks_in_ns());
        if let Some(frame) = self.frame()
            && self.steady
        {
            let expected = previous.saturating_add(frame);
            if real.abs_diff(expected) < frame / 2 {
                self.centre(pts, expected, frame);
                return Ok(expected);
            }
            let nearest = (real + frame / 2) / frame * frame;
            if nearest > expected && real.abs_diff(nearest) < frame / 4 {
                return Ok(nearest);
            }
            self.steady = false;
        }
        if real > previous || self.frame().is_some() {
            // The frame before may have been placed a little late on the grid.
            Ok(real.max(previous + 1))
        } else {
            Err(Refusal::NotLater)
        }
    }

    /// Moves the declared grid a little where frames are off it on the whole: the first one may have
    /// been early or late itself (a camera's often is), and clocks differ. Phases, and which frame takes which slot,
    /// stay as they are; only when they leave glides.
    fn centre(&mut self, pts: u64, place: u128, frame: u128) {
        let time = self.time(place);
        let late = i64::try_from(pts.abs_diff(time)).unwrap_or(i64::MAX);
        let late = if pts < time { -late } else { late };
        self.late += (late - self.late) / WEIGHT;
        let frame = self.nanoseconds(frame);
        let slot = self.grid(frame.into()).output.time(1);
        let slack = SLACK.max(frame / SLACK_PART);
        let most = (frame / GLIDE).min(slot / 4);
        let move_by = self.late.unsigned_abs().saturating_sub(slack).min(most);
        let base = &mut self.origin.base;
        if self.late < 0 {
            *base = base.saturating_sub(move_by);
            self.late = self.late.saturating_add_unsigned(move_by);
        } else {
            *base = base.saturating_add(move_by);
            self.late = self.late.saturating_sub_unsigned(move_by);
        }
    }

    /// How many ticks a frame lasts: a frame of the declared rate, else its duration, or as long as
    /// the one before.
    fn lasting(&self, duration: Option<u64>, previous: u128) -> u128 {
        let own = duration.filter(|d| *d > 0).map(u128::from);
        self.frame().unwrap_or_else(|| own.unwrap_or(previous))
    }

    /// The slot of an input frame. In a stream of variable rate its duration is its share of the
    /// frame's own, because the next frame's time isn't known yet.
    fn own_slot(&self, grid: &Grid, n: u64, duration: Option<u64>) -> Slot {
        let slot = grid.slot(n, Content::Original);
        match self.target {
            Target::Fixed(_) => slot,
            Target::Multiple(m) => Slot {
                duration: duration.map(|d| d / u64::from(m)),
                ..slot
            },
        }
    }

    /// With a variable output rate every input frame begins a grid of its own.
    fn rebase_multiple(&mut self, grid: &Grid) {
        if let (Target::Multiple(m), Some(newest)) = (self.target, &mut self.newest) {
            self.origin = Origin {
                base: newest.pts,
                offset: grid.origin.offset.saturating_add(u64::from(m)),
            };
            self.next = 1;
            newest.at = 0;
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
