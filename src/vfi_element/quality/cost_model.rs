//! Cost of a frame at each size of the network's picture, learned from the stream's own frames.
//!
//! Pure arithmetic on measured times. Shrinking and making a full-size frame cost the same whatever
//! the network's size; the network's time is taken as affine in its pixels. A second size shows how
//! large the fixed part is; until one was tried it is taken as none, so that a larger picture is
//! never thought cheaper than it is.

use crate::vfi_element::timing::percentile::SlidingPercentile;

/// The runs of the network at a new size that are not counted: the runtime makes room in them.
const WARM_UP: u32 = 2;

/// Times of the frames made so far, all in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct CostModel {
    /// Pixels the network sees now.
    pixels: u64,
    runs: u32,
    /// The network, at the present size.
    network: SlidingPercentile,
    /// Shrinking, and making the full-size frame.
    own: SlidingPercentile,
    /// All of it, at the present size.
    frame: SlidingPercentile,
    /// The latest size at which the network's time was known, and that time.
    known: Option<(u64, u64)>,
    /// Part of the network's time at `known` that doesn't depend on the size, times its pixels.
    shape: Affine,
}

/// `fixed + pixels * slope`, in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Affine {
    fixed: f64,
    slope: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            fixed: 0.0,
            slope: 1.0,
        }
    }
}

impl Affine {
    /// Returns the line through two points; `None` if a larger picture was no dearer, which says
    /// that the machine's speed has changed in between.
    fn through((p, a): (u64, u64), (q, b): (u64, u64)) -> Option<Self> {
        let slope = (b as f64 - a as f64) / (q as f64 - p as f64);
        let fixed = (a as f64 - slope * p as f64).max(0.0);
        (slope.is_finite() && slope > 0.0).then_some(Self { fixed, slope })
    }

    fn at(self, pixels: u64) -> f64 {
        self.fixed + self.slope * pixels as f64
    }
}

impl CostModel {
    /// Sets the pixels of the pictures the network sees from now on.
    pub(in crate::vfi_element) fn resize(&mut self, pixels: u64) {
        if pixels != self.pixels {
            self.pixels = pixels;
            self.runs = 0;
            self.network.clear();
            self.frame.clear();
        }
    }

    /// Adds a frame that was made: the element's own work on it, and the network's.
    pub(in crate::vfi_element) fn add(&mut self, own: u64, network: u64) {
        self.runs = self.runs.saturating_add(1);
        if self.runs <= WARM_UP {
            return;
        }
        self.own.add(own);
        self.network.add(network);
        self.frame.add(own.saturating_add(network));
        let Some(now) = self.network.median() else {
            return;
        };
        let now = (self.pixels, now);
        if let Some(before) = self.known
            && before.0 != self.pixels
            && let Some(shape) = Affine::through(before, now)
        {
            self.shape = shape;
        }
        self.known = Some(now);
    }

    /// Adds a frame that was given up; it is taken to have cost this much.
    pub(in crate::vfi_element) fn add_cut_short(&mut self, spent: u64) {
        self.runs = self.runs.saturating_add(1);
        if self.runs > WARM_UP {
            self.frame.add(spent);
        }
    }

    /// Returns the time all but one in ten frames stay within at the present size. `None` until
    /// that is known.
    pub(in crate::vfi_element) fn frame(&self) -> Option<u64> {
        self.frame.high()
    }

    /// Returns the time a frame would cost if the network saw this many pixels. `None` until
    /// anything is known.
    pub(in crate::vfi_element) fn predict(&self, pixels: u64) -> Option<u64> {
        let (known, network) = self.known?;
        let ratio = self.shape.at(pixels) / self.shape.at(known);
        let network = (network as f64 * ratio) as u64;
        Some(self.own.median()?.saturating_add(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: u64 = 640 * 360;
    const SMALL: u64 = 320 * 180;

    fn run(costs: &mut CostModel, pixels: u64, network: u64) {
        costs.resize(pixels);
        for _ in 0..20 {
            costs.add(5, network);
        }
    }

    #[test]
    fn warm_up_counts_for_nothing() {
        let mut costs = CostModel::default();
        costs.resize(BIG);
        for time in [9000, 9000].into_iter().chain([20; 8]) {
            costs.add(5, time);
        }
        assert_eq!(costs.frame(), Some(25));
        assert_eq!(costs.predict(BIG), Some(25));
    }

    #[test]
    fn one_size_tells_another_in_proportion() {
        let mut costs = CostModel::default();
        run(&mut costs, BIG, 400);
        assert_eq!(costs.predict(SMALL), Some(105));
    }

    #[test]
    fn a_second_size_shows_the_fixed_part() {
        let mut costs = CostModel::default();
        run(&mut costs, BIG, 400);
        run(&mut costs, SMALL, 160);
        // 80 + 80 * (1/4 | 1)
        assert_eq!(costs.predict(BIG), Some(405));
        assert_eq!(costs.predict(BIG * 2), Some(725));
    }

    #[test]
    fn a_faster_machine_is_faster_at_every_size() {
        let mut costs = CostModel::default();
        run(&mut costs, BIG, 400);
        run(&mut costs, SMALL, 160);
        for _ in 0..SlidingPercentile::LENGTH {
            costs.add(5, 80);
        }
        assert_eq!(costs.predict(BIG), Some(205));
    }

    #[test]
    fn a_smaller_picture_that_took_longer_teaches_nothing() {
        let mut costs = CostModel::default();
        run(&mut costs, BIG, 400);
        run(&mut costs, SMALL, 500);
        assert_eq!(costs.predict(BIG), Some(2005));
    }
}
