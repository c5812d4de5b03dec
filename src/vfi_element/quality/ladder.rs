//! How much effort is put into synthesised frames, from all there is to none, in rungs.
//!
//! Pure decisions on numbers. Going down follows what was measured: work that takes nearly as long
//! as the stream it is for, or frames that come too late. Going up follows what [`CostModel`] predicts,
//! after a while that doubles each time a rung did not hold, so that a load that stays finds its
//! rung and keeps it.

use super::cost_model::CostModel;

/// Which of the synthesised frames are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfi_element) enum FrameShare {
    /// All of them.
    All,
    /// Every second one.
    Half,
    /// None: originals only.
    None,
}

impl FrameShare {
    /// Returns the share as a part of one.
    pub(in crate::vfi_element) fn part(self) -> f64 {
        match self {
            FrameShare::All => 1.0,
            FrameShare::Half => 0.5,
            FrameShare::None => 0.0,
        }
    }
}

/// One way to go about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::vfi_element) struct QualityLevel {
    /// Divisor of the frame's width and height for the network.
    pub divisor: f64,
    /// The pixels the network then sees.
    pub pixels: u64,
    /// Which frames are made.
    pub share: FrameShare,
}

/// A pair of frames and what was done between them; times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vfi_element) struct PairEffort {
    /// How long it is shown.
    pub span: u64,
    /// How long all work on it took.
    pub work: u64,
    /// Frames that the wanted rate asks for between the two.
    pub wanted: u32,
    /// Frames of those that this rung is to make.
    pub asked: u32,
    /// Frames of those that were made, or given up on the way.
    pub tried: u32,
    /// Frames of those asked for that were or would have been too late.
    pub late: u32,
}

/// Stands on one of some rungs, and moves.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::vfi_element) struct Ladder {
    /// From most effort to least.
    rungs: Vec<QualityLevel>,
    at: usize,
    sum: PairEffort,
    /// Stream time on this rung.
    stood: u64,
    /// Stream time on this rung without strain.
    calm: u64,
    /// Whether this rung was reached from below.
    climbed: bool,
    /// For each rung: how long to stay calm below it before it is tried.
    hold: Vec<u64>,
}

const SECOND: u64 = 1_000_000_000;

/// Pairs are judged together over this much stream time,
const WINDOW: u64 = SECOND / 2;
/// and over at least so many frames asked for, unless
const ENOUGH: u32 = 4;
/// that would take longer than this.
const LONGEST: u64 = 2 * SECOND;

/// Work that takes more of a window than this leaves too little to the rest of the pipeline.
const STRAINED: f64 = 0.9;
/// A rung is taken on the way down if it is predicted to need no more than this,
const FITS: f64 = 0.8;
/// and on the way up if no more than this: the band between is what keeps it from swinging.
const EASY: f64 = 0.65;

/// How long to stay calm before a higher rung is tried at first,
const HOLD: u64 = 4 * SECOND;
/// and at most.
const LONGEST_HOLD: u64 = 120 * SECOND;
/// Time for which a rung has to hold after a climb, and as long as had been waited for it, to have
/// been worth it. The wait is forgotten slowly, by half for each of the longest waits it held: all
/// at once would be followed by a row of quick tries where a rung can only just be held.
const HELD: u64 = 60 * SECOND;

impl Ladder {
    /// Creates a ladder of these rungs, from most effort to least, at the top. There must be one.
    pub(in crate::vfi_element) fn new(rungs: Vec<QualityLevel>) -> Self {
        Self {
            hold: vec![HOLD; rungs.len()],
            rungs,
            at: 0,
            sum: PairEffort::default(),
            stood: 0,
            calm: 0,
            climbed: false,
        }
    }

    /// Returns the rung where it stands; 0 is full effort.
    pub(in crate::vfi_element) fn at(&self) -> usize {
        self.at
    }

    /// Returns the level of the rung at hand.
    pub(in crate::vfi_element) fn rung(&self) -> QualityLevel {
        self.rungs[self.at]
    }

    /// Returns whether this rung has held for a while, or is the lowest.
    pub(in crate::vfi_element) fn is_settled(&self) -> bool {
        self.calm >= HOLD || self.at + 1 == self.rungs.len()
    }

    /// Forgets a window that was begun: what follows is another stretch of the stream.
    pub(in crate::vfi_element) fn pause(&mut self) {
        self.sum = PairEffort::default();
    }

    /// Takes in a pair; `true` if it stands on another rung now.
    pub(in crate::vfi_element) fn observe(&mut self, pair: PairEffort, costs: &CostModel) -> bool {
        if pair.wanted == 0 {
            // Nothing to make here says nothing about what making costs.
            return false;
        }
        let sum = &mut self.sum;
        sum.span = sum.span.saturating_add(pair.span);
        sum.work = sum.work.saturating_add(pair.work);
        sum.wanted = sum.wanted.saturating_add(pair.wanted);
        sum.asked = sum.asked.saturating_add(pair.asked);
        sum.tried = sum.tried.saturating_add(pair.tried);
        sum.late = sum.late.saturating_add(pair.late);
        let enough = sum.asked >= ENOUGH || self.rungs[self.at].share == FrameShare::None;
        if sum.span < WINDOW || (!enough && sum.span < LONGEST) {
            return false;
        }
        let window = std::mem::take(sum);
        self.judge(window, costs)
    }

    fn judge(&mut self, window: PairEffort, costs: &CostModel) -> bool {
        let strained = self.is_strained(window);
        let to = if strained {
            self.down(window, costs)
        } else {
            self.up(window, costs)
        };
        self.stood = self.stood.saturating_add(window.span);
        self.calm = match strained || window.late > 0 {
            true => 0,
            false => self.calm.saturating_add(window.span),
        };
        let Some(to) = to else {
            return false;
        };
        let falls = to > self.at;
        if falls {
            let hold = &mut self.hold[self.at];
            *hold = match self.climbed && self.stood < HELD.max(*hold) {
                true => hold.saturating_mul(2).min(LONGEST_HOLD),
                false => (*hold >> (self.stood / LONGEST_HOLD).min(63)).max(HOLD),
            };
        }
        self.climbed = !falls;
        self.at = to;
        self.stood = 0;
        self.calm = 0;
        true
    }

    /// Returns whether the work left no room, or more than one in eight frames was late.
    ///
    /// Lateness says something of this rung only where frames were made on it; and at first, at the
    /// start and after a fall, it comes of what was before.
    fn is_strained(&self, window: PairEffort) -> bool {
        let own = window.tried > 0 && (self.stood > 0 || self.climbed);
        let late = window.late > 1 && window.late * 8 > window.asked;
        (own && late) || window.work as f64 > window.span as f64 * STRAINED
    }

    /// Returns the next rung below that is predicted to hold, else the lowest; `None` at the
    /// bottom.
    fn down(&self, window: PairEffort, costs: &CostModel) -> Option<usize> {
        let below = self.at + 1..self.rungs.len();
        let lowest = below.clone().last();
        below
            .into_iter()
            .find(|rung| {
                let load = self.load(*rung, window, costs);
                load.is_none_or(|load| load <= FITS)
            })
            .or(lowest)
    }

    /// Returns the next rung above, if it is time and predicted to be easy.
    fn up(&self, window: PairEffort, costs: &CostModel) -> Option<usize> {
        let above = self.at.checked_sub(1)?;
        if self.calm.saturating_add(window.span) < self.hold[above] {
            return None;
        }
        // Where nothing is made nothing is measured: only trying tells.
        let blind = self.rung().share == FrameShare::None;
        let load = self.load(above, window, costs);
        (blind || load.is_none_or(|load| load <= EASY)).then_some(above)
    }

    /// Returns the part of its time that a stream like this window's would take on a rung.
    fn load(&self, rung: usize, window: PairEffort, costs: &CostModel) -> Option<f64> {
        let rung = self.rungs[rung];
        if rung.share == FrameShare::None {
            return Some(0.0);
        }
        let frames = f64::from(window.wanted) * rung.share.part();
        let cost = costs.predict(rung.pixels)?;
        Some(frames * cost as f64 / window.span as f64)
    }
}

#[cfg(test)]
mod tests;
