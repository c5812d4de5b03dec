//! From input times and a wanted rate to output slots: when a frame leaves, and what it shows.
//!
//! Pure arithmetic on integers; nothing here knows GStreamer. All times are nanoseconds, all
//! positions are exact fractions, so that nothing adds up over a stream: slot `n` of a rate
//! `num/den` lies at `base + n * den / num` seconds, rounded down once when it is written as
//! nanoseconds (videorate's rule).
//!
//! An input frame has an integer position `k` in units of one input frame where the rate is
//! declared, and of one nanosecond where it is variable. Both cases are then the same arithmetic.

use std::ops::Range;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// In a variable-rate stream a slot this close to an input frame (as a part of the distance of two
/// slots) shows that frame itself: its timestamp is often rounded to a millisecond anyway, and an
/// original is sharper than anything synthesised beside it.
const SNAP: u128 = 16;

/// Frames a second as an exact fraction; both parts are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Numerator.
    pub num: u64,
    /// Denominator.
    pub den: u64,
}

impl Rate {
    /// One tick a nanosecond: the "rate" of positions in a stream of variable rate.
    const NANOSECOND: Rate = Rate {
        num: SECOND,
        den: 1,
    };

    /// The fraction in caps; `None` for 0/1 (variable) and for what is no rate at all.
    pub(super) fn from_caps(num: i32, den: i32) -> Option<Self> {
        match (u64::try_from(num), u64::try_from(den)) {
            (Ok(num @ 1..), Ok(den @ 1..)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// Time of tick `n`, rounded down; saturates.
    pub(super) fn time(self, n: u64) -> u64 {
        let t = u128::from(n) * u128::from(self.den) * u128::from(SECOND) / u128::from(self.num);
        u64::try_from(t).unwrap_or(u64::MAX)
    }
}

/// What rate the output has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A fixed rate: slots on a grid that starts at the first frame.
    Fixed(Rate),
    /// A variable rate: this many evenly spaced slots from each input frame to the next.
    Multiple(u32),
}

/// What a slot shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content {
    /// The frame that has just arrived, untouched.
    Original,
    /// The frame before it once more.
    Repeat,
    /// A frame between the two, at this phase in (0, 1).
    Between(f64),
}

/// One output frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    /// Presentation time.
    pub pts: u64,
    /// Time to the next slot; unknown for an original in a stream of variable rate whose buffers
    /// have no duration.
    pub duration: Option<u64>,
    /// Running count since the last reset, gap or change of rate.
    pub offset: u64,
    /// First output after a reset or a gap.
    pub discont: bool,
    /// What it shows.
    pub content: Content,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The first frame has no timestamp, so it has no place.
    NoTimestamp,
    /// Its timestamp is not later than the frame's before it.
    NotLater,
    /// More frames come than the declared rate allows.
    TooFast,
}

/// What follows from the arrival of a frame.
#[derive(Debug)]
pub(super) struct Step {
    /// The slots before the new frame, in order.
    pub before: Slots,
    /// The new frame's own slot, if it falls on one.
    pub original: Option<Slot>,
}

/// A run of slots, computed as it is walked: a run may be long, its memory is not.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    grid: Grid,
    run: Range<u64>,
    /// Input positions of the two frames; `None` repeats the first.
    pair: Option<(u64, u64)>,
}

impl Iterator for Slots {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let n = self.run.next()?;
        let content = match self.pair {
            Some((a, b)) => Content::Between(self.grid.phase(n, a, b)),
            None => Content::Repeat,
        };
        Some(self.grid.slot(n, content))
    }
}

/// Where output slots and input positions lie against each other: slot `n` at `n * slot_ticks()`,
/// position `k` at `k * input_ticks()`, in ticks of `1 / (input.num * output.num)` seconds after
/// `base`.
#[derive(Clone, Copy, Debug)]
struct Grid {
    input: Rate,
    output: Rate,
    origin: Origin,
}

/// Slot 0 of a grid.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    /// Its time.
    base: u64,
    /// Its count.
    offset: u64,
}

impl Grid {
    fn slot_ticks(&self) -> u128 {
        u128::from(self.output.den) * u128::from(self.input.num)
    }

    fn input_ticks(&self) -> u128 {
        u128::from(self.input.den) * u128::from(self.output.num)
    }

    /// The first slot at or after input position `k`.
    fn first_slot_from(&self, k: u64) -> u64 {
        let n = (u128::from(k) * self.input_ticks()).div_ceil(self.slot_ticks());
        u64::try_from(n).unwrap_or(u64::MAX)
    }

    /// The first slot at or after a time.
    fn first_slot_at(&self, time: u64) -> u64 {
        let nanoseconds = Grid {
            input: Rate::NANOSECOND,
            ..*self
        };
        nanoseconds.first_slot_from(time.saturating_sub(self.origin.base))
    }

    /// The slot that input position `k` falls on, if it does, give or take `tolerance` ticks.
    fn slot_of(&self, k: u64, tolerance: u128) -> Option<u64> {
        let position = u128::from(k) * self.input_ticks();
        let slot = self.slot_ticks();
        let n = (position + slot / 2) / slot;
        (position.abs_diff(n * slot) <= tolerance)
            .then(|| u64::try_from(n).ok())
            .flatten()
    }

    /// Where slot `n` lies between input positions `a` and `b`.
    fn phase(&self, n: u64, a: u64, b: u64) -> f64 {
        let after =
            (u128::from(n) * self.slot_ticks()).saturating_sub(u128::from(a) * self.input_ticks());
        after as f64 / (u128::from(b - a) * self.input_ticks()) as f64
    }

    fn time(&self, n: u64) -> u64 {
        self.origin.base.saturating_add(self.output.time(n))
    }

    fn slot(&self, n: u64, content: Content) -> Slot {
        let pts = self.time(n);
        Slot {
            pts,
            duration: Some(self.time(n.saturating_add(1)) - pts),
            offset: self.origin.offset.saturating_add(n),
            discont: false,
            content,
        }
    }
}

/// The newest input frame.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// Its position on the grid.
    k: u64,
    /// Its own timestamp.
    pts: u64,
    /// How many positions it lasts; 0 if that is not known.
    lasts: u64,
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
        let before = self.positions();
        let last_slot = self.grid(1).time(self.next.saturating_sub(1));
        self.target = target;
        let Some(newest) = self.newest else {
            return;
        };
        if !newest.held {
            let left = last_slot.max(newest.pts).saturating_add(1);
            self.floor = self.floor.max(left);
            self.newest = None;
            return;
        }
        // A frame that snapped to a slot a little later than itself has been shown there.
        let own = self.origin.base.saturating_add(before.time(newest.k));
        self.origin = Origin {
            base: own.max(last_slot),
            offset: 0,
        };
        self.next = 1;
        self.newest = Some(Newest {
            k: 0,
            lasts: self.lasting(Some(before.time(newest.lasts)), 0),
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
            (None, lasts) => a.pts.saturating_add(self.positions().time(lasts)),
        };
        if pts <= a.pts || (pts < self.floor && !self.counts_frames()) {
            return Err(Refusal::NotLater);
        }
        let k = self.position(pts, a.k)?;
        let far = pts - a.pts > self.max_gap;
        if far && k - a.k > a.lasts {
            let tail = self.drain(Some(pts));
            return Ok(self.start(pts, duration, Some(tail)));
        }

        let grid = self.grid(k - a.k);
        let own = grid.slot_of(k, self.tolerance(&grid));
        let own = own.filter(|n| *n >= self.next);
        let end = own.unwrap_or_else(|| grid.first_slot_from(k));
        let before = Slots {
            grid,
            run: if a.held { self.next..end } else { 0..0 },
            pair: (!far).then_some((a.k, k)),
        };
        let original = own.map(|n| self.own_slot(&grid, n, duration));
        self.next = self.next.max(end) + u64::from(own.is_some());
        self.newest = Some(Newest {
            k,
            pts,
            lasts: self.lasting(duration, k - a.k),
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
        let (k, lasts) = lasting.map_or((0, 0), |newest| (newest.k, newest.lasts));
        let grid = self.grid(lasts);
        let mut run = 0..0;
        if lasts > 0 {
            let end = grid.first_slot_from(k.saturating_add(lasts));
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
        self.origin = Origin {
            base: pts,
            offset: 0,
        };
        self.next = 1;
        self.newest = Some(Newest {
            k: 0,
            pts,
            lasts: self.lasting(duration, 0),
            held: true,
        });
        let grid = self.grid(duration.unwrap_or(0));
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

    /// What one input position is: a frame where the rate is declared, else a nanosecond.
    fn positions(&self) -> Rate {
        match (self.target, self.input) {
            (Target::Fixed(_), Some(rate)) => rate,
            _ => Rate::NANOSECOND,
        }
    }

    /// Whether positions count frames of a declared rate.
    fn counts_frames(&self) -> bool {
        self.positions() != Rate::NANOSECOND
    }

    /// The grid for a pair that is `length` positions apart.
    fn grid(&self, length: u64) -> Grid {
        let output = match self.target {
            Target::Fixed(rate) => rate,
            Target::Multiple(m) => Rate {
                num: u64::from(m) * SECOND,
                den: length.max(1),
            },
        };
        Grid {
            input: self.positions(),
            output,
            origin: self.origin,
        }
    }

    /// A variable-rate frame near a slot is taken to lie on it; see [`SNAP`].
    fn tolerance(&self, grid: &Grid) -> u128 {
        if self.counts_frames() {
            0
        } else {
            grid.slot_ticks() / SNAP
        }
    }

    /// Where a frame with this timestamp lies. At a declared rate a timestamp may be off by almost
    /// a frame (containers round, sources jitter) before it is taken for another position.
    fn position(&self, pts: u64, previous: u64) -> Result<u64, Refusal> {
        let since = u128::from(pts.saturating_sub(self.origin.base));
        if !self.counts_frames() {
            let k = u64::try_from(since).ok().filter(|k| *k > previous);
            return k.ok_or(Refusal::NotLater);
        }
        let rate = self.positions();
        let ticks = since * u128::from(rate.num);
        let frame = u128::from(rate.den) * u128::from(SECOND);
        let expected = previous.saturating_add(1);
        if ticks.abs_diff(u128::from(expected) * frame) < frame / 10 * 9 {
            return Ok(expected);
        }
        let nearest = u64::try_from((ticks + frame / 2) / frame).unwrap_or(u64::MAX);
        if nearest > previous {
            Ok(nearest)
        } else {
            Err(Refusal::TooFast)
        }
    }

    /// How many positions a frame lasts: one at a declared rate, else its duration, or as long as
    /// the one before.
    fn lasting(&self, duration: Option<u64>, previous: u64) -> u64 {
        if self.counts_frames() {
            1
        } else {
            duration.filter(|d| *d > 0).unwrap_or(previous)
        }
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
            newest.k = 0;
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
