//! How much is put into what lies between two frames: the size the network sees, and which frames
//! are made at all.
//!
//! Pure: numbers in, decisions out. [`Ladder`] decides, [`CostModel`] knows what things cost.

use super::cost_model::CostModel;
use super::ladder::{FrameShare, Ladder, PairEffort, QualityLevel};

/// The network's long side that an automatic `downscale` begins at, in pixels. Larger gains little:
/// on 1280x720 clips 0.2 dB for 1.8 times the work (`vfi-lab quality --downscale 1.5`).
const AUTO_LONG_SIDE: f64 = 640.0;

/// How much smaller the network's picture is made, one after the other, when it is too dear. On the
/// same clips the smallest still rebuilds frames 2 dB better than a blend, at a ninth of the work.
const SMALLER: [f64; 4] = [1.0, 1.5, 2.0, 3.0];

/// How much smaller the network's picture is made when memory lacks: it then needs less than half.
const LESS_MEMORY: f64 = 1.5;

/// The largest divisor there is.
const LARGEST_DIVISOR: f64 = 16.0;

/// The smallest side a network is given, in pixels.
const SMALLEST_SIDE: f64 = 16.0;

/// Below this side, in pixels, a picture isn't made smaller to save work: there is none to save.
const WORTH_SHRINKING: usize = 64;

/// Quality that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::vfi_element) struct QualityTarget {
    /// The frame's width in pixels.
    pub width: u32,
    /// The frame's height in pixels.
    pub height: u32,
    /// The property: a divisor of width and height, 0 for an automatic one.
    pub downscale: f64,
    /// Whether less than everything may be made.
    pub degrade: bool,
    /// Whether the output has more than two frames to one of the input.
    pub several: bool,
    /// The size of the only pictures the network takes, if it is so.
    pub fixed: Option<(usize, usize)>,
    /// How many steps smaller the network's picture has to be for want of memory.
    pub short: u32,
    /// Whether the network fails, so that nothing can be made.
    pub fails: bool,
}

impl QualityTarget {
    /// Returns the rungs of the ladder, from most effort to least.
    fn rungs(self) -> Vec<QualityLevel> {
        let auto = self.downscale == 0.0;
        let first = match auto {
            true => automatic_divisor(self.width, self.height),
            false => self.downscale.max(1.0),
        };
        let Some(first) = self.possible(first) else {
            // nothing is made; what is looked at of frames is as small as can be
            let divisor = LARGEST_DIVISOR.max(first);
            let (width, height) = self.network_size(divisor);
            return vec![QualityLevel {
                divisor,
                pixels: width as u64 * height as u64,
                share: FrameShare::None,
            }];
        };
        let mut rungs: Vec<QualityLevel> = Vec::new();
        for factor in SMALLER {
            let divisor = first * factor;
            let (width, height) = self.network_size(divisor);
            let may_shrink = self.is_useful(divisor) && self.fixed.is_none();
            if rungs.is_empty() || (may_shrink && (auto || self.degrade)) {
                rungs.push(QualityLevel {
                    divisor,
                    pixels: width as u64 * height as u64,
                    share: FrameShare::All,
                });
            }
        }
        if self.degrade
            && let Some(last) = rungs.last().copied()
        {
            let fewer = [FrameShare::Half, FrameShare::None];
            rungs.extend(fewer.map(|share| QualityLevel { share, ..last }));
        }
        rungs
    }

    /// Returns a divisor that is larger by as many steps as memory was lacking, if there is one and
    /// a network.
    fn possible(self, divisor: f64) -> Option<f64> {
        if self.fails {
            return None;
        }
        if self.short == 0 {
            return Some(divisor);
        }
        let steps = i32::try_from(self.short).unwrap_or(i32::MAX);
        let divisor = divisor * LESS_MEMORY.powi(steps);
        (self.fixed.is_none() && self.is_useful(divisor)).then_some(divisor)
    }

    /// Returns whether a network can make something of pictures divided by this.
    fn is_useful(self, divisor: f64) -> bool {
        let (width, height) = self.network_size(divisor);
        divisor <= LARGEST_DIVISOR && width.min(height) >= WORTH_SHRINKING
    }

    /// Returns the size of the picture that the network sees. One of a single size is given that,
    /// whatever the frame's shape: the way back restores it.
    fn network_size(self, divisor: f64) -> (usize, usize) {
        self.fixed
            .unwrap_or_else(|| network_size(self.width, self.height, divisor))
    }
}

/// Returns the divisor that brings the long side near [`AUTO_LONG_SIDE`].
fn automatic_divisor(width: u32, height: u32) -> f64 {
    (f64::from(width.max(height)) / AUTO_LONG_SIDE).max(1.0)
}

/// Returns the size of the network's picture for a frame of `width` x `height` pixels.
fn network_size(width: u32, height: u32, divisor: f64) -> (usize, usize) {
    let shrink = |side: u32| {
        let side = f64::from(side);
        (side / divisor).round().max(SMALLEST_SIDE.min(side)) as usize
    };
    (shrink(width), shrink(height))
}

/// Keeps the ladder for the stream at hand.
#[derive(Clone, Debug)]
pub(in crate::vfi_element) struct QualityController {
    target: QualityTarget,
    ladder: Ladder,
    costs: CostModel,
    /// The pair at hand, as far as it has come.
    pair: PairEffort,
    /// Frames not tried since one was last made, because they were expected to be late.
    untried: i32,
    /// Nanoseconds spent on the next frame before it was clear that it is to be made.
    ahead: u64,
}

impl QualityController {
    /// Creates a controller at full effort.
    pub(in crate::vfi_element) fn new(target: QualityTarget) -> Self {
        let ladder = Ladder::new(target.rungs());
        let mut costs = CostModel::default();
        costs.resize(ladder.rung().pixels);
        Self {
            target,
            ladder,
            costs,
            pair: PairEffort::default(),
            untried: 0,
            ahead: 0,
        }
    }

    /// Returns the target it was made for.
    pub(in crate::vfi_element) fn target(&self) -> QualityTarget {
        self.target
    }

    /// Returns the level to work at now.
    pub(in crate::vfi_element) fn level(&self) -> QualityLevel {
        self.ladder.rung()
    }

    /// Returns width and height of the network's picture.
    pub(in crate::vfi_element) fn size(&self) -> (usize, usize) {
        self.target.network_size(self.level().divisor)
    }

    /// Returns how many rungs below full effort that is, steps for want of memory or of a network
    /// among them.
    pub(in crate::vfi_element) fn step(&self) -> usize {
        self.ladder.at() + self.target.short as usize + usize::from(self.target.fails)
    }

    /// Pauses learning, because the frames that follow have nothing to do with those before: a
    /// flush, a gap, another segment.
    pub(in crate::vfi_element) fn pause(&mut self) {
        self.ladder.pause();
        self.pair = PairEffort::default();
    }

    /// Counts a frame that is wanted at this place in the count of output frames, and returns
    /// whether to make it.
    pub(in crate::vfi_element) fn admit(&mut self, offset: u64) -> bool {
        self.pair.wanted += 1;
        // Half of the frames is half the rate where the originals leave several between them, so
        // that motion stays even; else it is every second pair.
        let number = if self.target.several {
            offset
        } else {
            offset / 2
        };
        let admitted = match self.ladder.rung().share {
            FrameShare::All => true,
            FrameShare::Half => number.is_multiple_of(2),
            FrameShare::None => false,
        };
        self.pair.asked += u32::from(admitted);
        admitted
    }

    /// Notes that the frame asked for last needs no effort: the pair shows nothing that moves.
    pub(in crate::vfi_element) fn spare(&mut self) {
        self.pair.wanted = self.pair.wanted.saturating_sub(1);
        self.pair.asked = self.pair.asked.saturating_sub(1);
        self.ahead = 0;
    }

    /// Counts work, in nanoseconds, that went ahead of a frame.
    pub(in crate::vfi_element) fn spend(&mut self, work: u64) {
        self.pair.work = self.pair.work.saturating_add(work);
        self.ahead = self.ahead.saturating_add(work);
    }

    /// Returns how long the next frame is expected to take, in nanoseconds; 0 until that is known.
    ///
    /// As long as nothing is made nothing is measured, so with each frame that isn't tried hope
    /// grows, and in the end one is.
    pub(in crate::vfi_element) fn expected(&self) -> u64 {
        let hope = 0.95f64.powi(self.untried);
        self.costs
            .frame()
            .map_or(0, |time| (time as f64 * hope) as u64)
    }

    /// Notes that a frame asked for wasn't tried.
    pub(in crate::vfi_element) fn not_tried(&mut self) {
        self.pair.late += 1;
        self.untried = self.untried.saturating_add(1);
    }

    /// Notes a frame that was made, in nanoseconds of the element's own work and of the network;
    /// perhaps too late.
    pub(in crate::vfi_element) fn made(&mut self, own: u64, network: u64, late: bool) {
        self.pair.work = self.pair.work.saturating_add(own).saturating_add(network);
        self.pair.tried += 1;
        self.pair.late += u32::from(late);
        let ahead = std::mem::take(&mut self.ahead);
        self.costs.add(own.saturating_add(ahead), network);
        self.untried = 0;
    }

    /// Notes a frame that was given up after `spent` nanoseconds. Nobody knows how long it would
    /// have taken; twice as long is assumed, so that the next try is a while off.
    pub(in crate::vfi_element) fn cut_short(&mut self, spent: u64) {
        self.pair.work = self.pair.work.saturating_add(spent);
        self.pair.tried += 1;
        self.pair.late += 1;
        self.costs.add_cut_short(spent.saturating_mul(2));
        self.untried = 0;
    }

    /// Finishes the pair, which is shown for `span` nanoseconds. Where the stream is `paced` by a
    /// clock, returns whether the effort has changed.
    pub(in crate::vfi_element) fn finish(&mut self, span: u64, paced: bool) -> bool {
        let pair = PairEffort {
            span,
            ..std::mem::take(&mut self.pair)
        };
        let changed = paced && self.ladder.observe(pair, &self.costs);
        if changed {
            self.costs.resize(self.ladder.rung().pixels);
            self.untried = 0;
        }
        changed
    }

    /// Returns whether the present effort has held for a while, or there is no less.
    pub(in crate::vfi_element) fn is_settled(&self) -> bool {
        self.ladder.is_settled()
    }

    /// Returns the time all but one in ten frames take at the present size. `None` until that is
    /// known.
    pub(in crate::vfi_element) fn frame(&self) -> Option<u64> {
        self.costs.frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: QualityTarget = QualityTarget {
        width: 1280,
        height: 720,
        downscale: 0.0,
        degrade: false,
        several: false,
        fixed: None,
        short: 0,
        fails: false,
    };

    fn divisors(wish: QualityTarget) -> Vec<f64> {
        let rungs = wish.rungs();
        rungs.iter().map(|rung| rung.divisor).collect()
    }

    #[test]
    fn auto_begins_with_a_long_side_of_640() {
        let size = |width, height| {
            let effort = QualityController::new(QualityTarget {
                width,
                height,
                ..WISH
            });
            effort.size()
        };
        assert_eq!(size(1280, 720), (640, 360));
        assert_eq!(size(1080, 1920), (360, 640));
        assert_eq!(size(320, 240), (320, 240));
    }

    #[test]
    fn a_divisor_never_shrinks_below_what_a_network_can_use() {
        assert_eq!(network_size(3840, 2160, 16.0), (240, 135));
        assert_eq!(network_size(160, 32, 16.0), (16, 16));
    }

    #[test]
    fn auto_may_shrink_and_a_given_divisor_may_not() {
        assert_eq!(divisors(WISH), [2.0, 3.0, 4.0, 6.0]);
        let given = QualityTarget {
            downscale: 2.0,
            ..WISH
        };
        assert_eq!(divisors(given), [2.0]);
    }

    #[test]
    fn degrading_ends_with_originals_only() {
        let rungs = QualityTarget {
            downscale: 2.0,
            degrade: true,
            ..WISH
        }
        .rungs();
        let shares: Vec<_> = rungs.iter().map(|rung| rung.share).collect();
        use FrameShare::{All, Half, None};
        assert_eq!(shares, [All, All, All, All, Half, None]);
    }

    #[test]
    fn a_network_of_one_size_is_given_no_other() {
        let rungs = QualityTarget {
            fixed: Some((448, 256)),
            degrade: true,
            ..WISH
        }
        .rungs();
        let pixels: Vec<_> = rungs.iter().map(|rung| rung.pixels).collect();
        assert_eq!(pixels, [448 * 256; 3], "all, half, none");
    }

    #[test]
    fn small_pictures_are_not_made_smaller() {
        let small = QualityTarget {
            width: 96,
            height: 64,
            ..WISH
        };
        assert_eq!(divisors(small), [1.0]);
        let tiny = QualityTarget {
            width: 16,
            height: 16,
            ..WISH
        };
        assert_eq!(divisors(tiny), [1.0]);
    }

    #[test]
    fn want_of_memory_makes_pictures_smaller_though_a_divisor_is_given_and_in_the_end_none() {
        let wish = |short| QualityTarget {
            downscale: 2.0,
            short,
            ..WISH
        };
        // down to 94 x 53 pixels, which is not worth it
        assert_eq!((1..5).flat_map(|n| divisors(wish(n))).count(), 4);
        assert_eq!(divisors(wish(1)), [3.0]);
        let least = QualityController::new(wish(5));
        assert_eq!((least.level().share, least.step()), (FrameShare::None, 5));
        // a network of one size can be given no smaller one
        let failing = QualityTarget {
            fails: true,
            ..wish(0)
        };
        let shares: Vec<_> = failing.rungs().iter().map(|rung| rung.share).collect();
        assert_eq!(shares, [FrameShare::None]);
        assert_eq!(QualityController::new(failing).step(), 1);
        let fixed = QualityTarget {
            fixed: Some((640, 360)),
            ..wish(1)
        };
        assert_eq!(
            QualityController::new(fixed).level().share,
            FrameShare::None
        );
        // what the clock may ask for lies below
        let degraded = QualityTarget {
            degrade: true,
            ..wish(1)
        };
        assert_eq!(divisors(degraded)[..3], [3.0, 4.5, 6.0]);
    }

    /// Returns the offsets of frames made of those wanted, of which originals are left out.
    fn made(several: bool, originals_every: u64) -> Vec<u64> {
        let mut effort = QualityController::new(QualityTarget {
            degrade: true,
            downscale: 1.0,
            width: 64,
            height: 64,
            several,
            fixed: None,
            short: 0,
            fails: false,
        });
        while effort.level().share != FrameShare::Half {
            effort.admit(1);
            effort.cut_short(10_000_000_000);
            effort.not_tried();
            effort.finish(1_000_000_000, true);
        }
        let wanted = (0..16).filter(|n| n % originals_every != 0);
        wanted.filter(|n| effort.admit(*n)).collect()
    }

    #[test]
    fn half_of_the_frames_keeps_motion_even() {
        assert_eq!(made(true, 4), [2, 6, 10, 14]);
        assert_eq!(made(false, 2), [1, 5, 9, 13]);
    }

    #[test]
    fn hope_grows_until_a_frame_is_tried() {
        let mut effort = QualityController::new(WISH);
        (0..20).for_each(|_| effort.made(1_000, 9_000, false));
        assert_eq!(effort.expected(), 10_000);
        (0..100).for_each(|_| effort.not_tried());
        assert!(effort.expected() < 100);
        effort.made(1_000, 9_000, false);
        assert_eq!(effort.expected(), 10_000);
    }

    #[test]
    fn without_a_clock_nothing_changes() {
        let mut effort = QualityController::new(WISH);
        for _ in 0..1000 {
            effort.admit(1);
            effort.made(0, 10_000_000_000, false);
            assert!(!effort.finish(33_000_000, false));
        }
    }
}
