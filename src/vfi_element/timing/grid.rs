//! Exact places in time: rates, output slots, and the positions of input frames between them.

use std::ops::Range;

/// Nanoseconds in a second.
pub(in crate::vfi_element) const SECOND: u64 = 1_000_000_000;

/// Frames a second as an exact fraction; both parts are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) struct Rate {
    /// Numerator.
    pub num: u64,
    /// Denominator.
    pub den: u64,
}

impl Rate {
    /// Returns the rate in caps; `None` for 0/1 (variable) and for a fraction that is no rate at
    /// all.
    pub(in crate::vfi_element) fn from_caps(num: i32, den: i32) -> Option<Self> {
        match (u64::try_from(num), u64::try_from(den)) {
            (Ok(num @ 1..), Ok(den @ 1..)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// Returns the same rate, but no more than one a nanosecond: others would share their
    /// timestamps.
    pub(in crate::vfi_element) fn told_apart(self) -> Self {
        match self.num > self.den.saturating_mul(SECOND) {
            true => Self {
                num: SECOND,
                den: 1,
            },
            false => self,
        }
    }

    /// Returns the time of tick `n`, rounded down; saturates.
    pub(in crate::vfi_element) fn time(self, n: u64) -> u64 {
        let t = u128::from(n) * u128::from(self.den) * u128::from(SECOND) / u128::from(self.num);
        u64::try_from(t).unwrap_or(u64::MAX)
    }
}

/// Returns how many of the `wanted` slots get timestamps of their own within so many nanoseconds.
pub(in crate::vfi_element) fn distinct_slots(wanted: u32, nanoseconds: u64) -> u64 {
    u64::from(wanted).min(nanoseconds).max(1)
}

/// Content of a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::vfi_element) enum Content {
    /// The frame that has just arrived, untouched.
    Original,
    /// The frame before it once more.
    Repeat,
    /// A frame between the two, at this phase in (0, 1).
    Between(f64),
}

/// One output frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::vfi_element) struct Slot {
    /// Presentation time.
    pub pts: u64,
    /// Time to the next slot; unknown for an original in a stream of variable rate whose buffers
    /// have no duration.
    pub duration: Option<u64>,
    /// Running count since the last reset, gap or change of rate.
    pub offset: u64,
    /// First output after a reset or a gap.
    pub discont: bool,
    /// Content it shows.
    pub content: Content,
}

/// A run of slots, computed as it is walked: a run may be long, its memory is not.
#[derive(Clone, Debug)]
pub(in crate::vfi_element) struct Slots {
    pub grid: Grid,
    pub run: Range<u64>,
    /// Positions of the two frames; `None` repeats the first.
    pub pair: Option<(u128, u128)>,
}

impl Slots {
    /// Ticks from one frame to the other.
    pub(in crate::vfi_element) fn length(&self) -> Option<u128> {
        self.pair.map(|(a, b)| b - a)
    }

    /// Returns where a slot of this grid lies between the two frames; the second frame's own is at
    /// 1, give or take what it was moved by to be on it.
    pub(in crate::vfi_element) fn phase_of(&self, slot: &Slot) -> Option<f64> {
        let (a, b) = self.pair?;
        let n = slot.offset.checked_sub(self.grid.origin.offset)?;
        Some(self.grid.phase(n, a, b))
    }
}

impl Iterator for Slots {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let n = self.run.next()?;
        let content = match self.pair {
            Some((a, b)) => Content::Between(inside(self.grid.phase(n, a, b))),
            None => Content::Repeat,
        };
        Some(self.grid.slot(n, content))
    }
}

/// Step from the frame before to one that arrives: the slots that follow from it.
#[derive(Debug)]
pub(in crate::vfi_element) struct FrameStep {
    /// The slots before the new frame, in order.
    pub before: Slots,
    /// The new frame's own slot, if it falls on one.
    pub original: Option<Slot>,
    /// How far from the frame before, in nanoseconds, where that is too far for a fixed rate to be
    /// kept.
    pub too_long: Option<u64>,
}

impl FrameStep {
    /// Returns the new frame's own slot, for a frame made in its place.
    pub(in crate::vfi_element) fn stand_in(&self) -> Option<Slot> {
        let own = self.original?;
        Some(Slot {
            content: Content::Between(self.before.phase_of(&own)?),
            ..own
        })
    }
}

/// Returns the phase, or the last one before a frame where it is so near to that frame that a
/// 32-bit float, which networks take, would be on it.
pub(in crate::vfi_element) fn inside(phase: f64) -> f64 {
    const LEAST: f64 = f32::EPSILON as f64 / 2.0;
    phase.clamp(LEAST, 1.0 - LEAST)
}

/// Output slots and input positions, one against the other. With `s` ticks in a nanosecond, slot `n`
/// lies at `n * slot_units()` and position `p` at `units(p)`, in units of `1 / (output.num * s)`
/// nanoseconds after the origin.
#[derive(Clone, Copy, Debug)]
pub(in crate::vfi_element) struct Grid {
    pub ticks_in_ns: u64,
    pub output: Rate,
    pub origin: GridOrigin,
}

/// Slot 0 of a grid.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::vfi_element) struct GridOrigin {
    /// Its time.
    pub base: u64,
    /// Ticks that the time was rounded down by.
    pub remainder: u64,
    /// Its count.
    pub offset: u64,
}

impl Grid {
    /// Returns the distance of two slots, in units.
    pub(in crate::vfi_element) fn slot_units(&self) -> u128 {
        u128::from(self.output.den) * u128::from(SECOND) * u128::from(self.ticks_in_ns)
    }

    /// Returns a position in units.
    fn units(&self, position: u128) -> u128 {
        position * u128::from(self.output.num)
    }

    /// Returns the first slot at or after a position.
    pub(in crate::vfi_element) fn first_slot_from(&self, position: u128) -> u64 {
        let n = self.units(position).div_ceil(self.slot_units());
        u64::try_from(n).unwrap_or(u64::MAX)
    }

    /// Returns the first slot at or after a time.
    pub(in crate::vfi_element) fn first_slot_at(&self, time: u64) -> u64 {
        self.first_slot_from(self.position(time))
    }

    /// Returns the first slot that lies more than half a slot before a position, or after it.
    pub(in crate::vfi_element) fn first_slot_around(&self, position: u128) -> u64 {
        let from = self.units(position).saturating_sub(self.slot_units() / 2);
        u64::try_from(from.div_ceil(self.slot_units())).unwrap_or(u64::MAX)
    }

    /// Returns the position of a time; 0 for what lies before the grid.
    pub(in crate::vfi_element) fn position(&self, time: u64) -> u128 {
        let since = u128::from(time.saturating_sub(self.origin.base));
        (since * u128::from(self.ticks_in_ns)).saturating_sub(self.origin.remainder.into())
    }

    /// Returns the slot 0 of a grid that begins at a position, with this count.
    pub(in crate::vfi_element) fn origin_at(&self, position: u128, offset: u64) -> GridOrigin {
        let ticks = position.saturating_add(self.origin.remainder.into());
        let in_ns = u128::from(self.ticks_in_ns);
        let since = u64::try_from(ticks / in_ns).unwrap_or(u64::MAX);
        GridOrigin {
            base: self.origin.base.saturating_add(since),
            remainder: u64::try_from(ticks % in_ns).unwrap_or(0),
            offset,
        }
    }

    /// Returns the slot that a position falls on, if it does, give or take `tolerance` units.
    pub(in crate::vfi_element) fn slot_of(&self, position: u128, tolerance: u128) -> Option<u64> {
        let (position, slot) = (self.units(position), self.slot_units());
        let n = (position + slot / 2) / slot;
        (position.abs_diff(n * slot) <= tolerance)
            .then(|| u64::try_from(n).ok())
            .flatten()
    }

    /// Returns where slot `n` lies between positions `a` and `b`.
    fn phase(&self, n: u64, a: u128, b: u128) -> f64 {
        let after = (u128::from(n) * self.slot_units()).saturating_sub(self.units(a));
        after as f64 / self.units(b - a) as f64
    }

    /// Returns the time of slot `n`, rounded down; saturates.
    pub(in crate::vfi_element) fn time(&self, n: u64) -> u64 {
        let num = u128::from(self.output.num);
        let whole = u128::from(n) * u128::from(self.output.den) * u128::from(SECOND);
        let in_ns = u128::from(self.ticks_in_ns);
        let rest = whole % num * in_ns + u128::from(self.origin.remainder) * num;
        let since = u64::try_from(whole / num + rest / (num * in_ns)).unwrap_or(u64::MAX);
        self.origin.base.saturating_add(since)
    }

    /// Returns slot `n`, with this content.
    pub(in crate::vfi_element) fn slot(&self, n: u64, content: Content) -> Slot {
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
