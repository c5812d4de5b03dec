//! How much effort frames are worth: what the clock leaves time for, memory suffices for and the
//! network is good for.

use std::time::{Duration, Instant};

use crate::models::ModelInfo;
use crate::models::memory::{Clearing, MemoryStatus, Reason, available};
use crate::vfi_element::context::Context;
use crate::vfi_element::log::CAT;
use crate::vfi_element::quality::controller::{QualityController, QualityTarget};
use crate::vfi_element::quality::ladder::FrameShare;
use crate::vfi_element::quality::memory_backoff::MemoryBackoff;
use crate::vfi_element::stats::Times;

/// Time for which the free memory is not asked for again: asking takes some 50 us.
const LOOK: Duration = Duration::from_secs(1);

/// Decides how much effort frames are worth.
#[derive(Default)]
pub(super) struct QualityControl {
    /// Controller for the stream and network at hand, once they are known.
    controller: Option<QualityController>,
    /// Response to frames that could not be made.
    backoff: MemoryBackoff,
    /// Schedule by which memory is given back.
    clearing: Clearing,
    /// Time when the free memory was last asked for.
    looked: Option<Instant>,
}

impl QualityControl {
    /// Keeps the effort for a target, to which what can't be made is added here. Returns `true` if
    /// it is another than before.
    pub(super) fn aim(&mut self, target: QualityTarget) -> bool {
        let target = QualityTarget {
            short: self.backoff.steps(),
            fails: self.backoff.has_failed(),
            ..target
        };
        let same = self.controller.as_ref().map(QualityController::target) == Some(target);
        if !same {
            self.controller = Some(QualityController::new(target));
        }
        !same
    }

    /// Begins anew, with another network: what it costs is to be found out, and what it needs.
    pub(super) fn begin_network(&mut self) {
        self.controller = None;
        self.forgive();
    }

    /// Begins anew, with other frames: they may need less.
    pub(super) fn begin_stream(&mut self) {
        self.clearing = Clearing::default();
        self.forgive();
    }

    /// Forgets that frames could not be made: they are tried again.
    pub(super) fn forgive(&mut self) {
        self.backoff = MemoryBackoff::default();
    }

    /// Pauses what is learned from time: the frames that follow have nothing to do with those
    /// before.
    pub(super) fn pause(&mut self) {
        if let Some(controller) = &mut self.controller {
            controller.pause();
        }
    }

    /// Begins the schedule of giving memory back anew.
    pub(super) fn restart_clearing(&mut self) {
        self.clearing = Clearing::default();
    }

    /// Returns width and height of the network's picture, once they are known.
    pub(super) fn network_size(&self) -> Option<(usize, usize)> {
        self.controller.as_ref().map(QualityController::size)
    }

    /// Counts a frame that is wanted, by its number among those that leave, and returns whether it
    /// is worth being made.
    pub(super) fn admit(&mut self, offset: u64) -> bool {
        let controller = self.controller.as_mut();
        controller.is_none_or(|controller| controller.admit(offset))
    }

    /// Returns how long the next frame is expected to take, in nanoseconds; 0 if that is unknown.
    pub(super) fn expected(&self) -> u64 {
        let controller = self.controller.as_ref();
        controller.map_or(0, QualityController::expected)
    }

    /// Notes that a frame that is worth being made wasn't tried, for want of time.
    pub(super) fn note_untried(&mut self) {
        if let Some(controller) = &mut self.controller {
            controller.not_tried();
        }
    }

    /// Notes a frame that was made, perhaps too late.
    pub(super) fn note_made(&mut self, times: &Times, is_late: bool) {
        if let Some(controller) = &mut self.controller {
            let (own, network) = (nanoseconds(times.own()), nanoseconds(times.estimate));
            controller.made(own, network, is_late);
        }
    }

    /// Notes a frame that was admitted but needs no effort: there is nothing to make.
    pub(super) fn note_spared(&mut self) {
        if let Some(controller) = &mut self.controller {
            controller.spare();
        }
    }

    /// Notes work that went ahead of a frame.
    pub(super) fn note_work(&mut self, work: Duration) {
        if let Some(controller) = &mut self.controller {
            controller.spend(nanoseconds(work));
        }
    }

    /// Notes a frame that was given up at its deadline.
    pub(super) fn note_cut_short(&mut self, spent: Duration) {
        if let Some(controller) = &mut self.controller {
            controller.cut_short(nanoseconds(spent));
        }
    }

    /// Finishes a pair that is shown for `span` nanoseconds. Where a clock sets the pace, returns
    /// whether the effort is another from here on.
    pub(super) fn finish_pair(&mut self, span: u64, is_paced: bool) -> bool {
        let controller = self.controller.as_mut();
        controller.is_some_and(|controller| controller.finish(span, is_paced))
    }

    /// Returns how long frames take, in nanoseconds, where no less effort will change that.
    pub(super) fn settled_time(&self) -> Option<u64> {
        let settled = self.controller.as_ref().filter(|c| c.is_settled());
        settled.and_then(QualityController::frame)
    }

    /// Counts a frame that has come.
    pub(super) fn count_frame(&mut self) {
        self.clearing.frame();
    }

    /// Counts a pair that is done, and returns why memory is to be given back, if it is. Asks for
    /// the free memory only now and then.
    pub(super) fn reason_to_clear(&mut self, interval: i32, network: &ModelInfo) -> Option<Reason> {
        let is_short = self.is_short(network);
        let is_due = self.clearing.pair(interval.into());
        if is_short {
            self.clearing.cleared();
            return Some(Reason::Pressure);
        }
        is_due.then_some(Reason::Interval)
    }

    fn is_short(&mut self, network: &ModelInfo) -> bool {
        if self.looked.is_some_and(|last| last.elapsed() < LOOK) {
            return false;
        }
        self.looked = Some(Instant::now());
        let status = available::least(network.provider, network.device);
        status.is_some_and(MemoryStatus::is_short)
    }

    /// Counts nanoseconds of the stream that went by without a want. Returns `true` if more is to be
    /// tried again.
    pub(super) fn try_more(&mut self, span: u64) -> bool {
        self.backoff.pass(span)
    }

    /// Notes that memory lacked: the network is to see smaller pictures, or none.
    pub(super) fn note_lack(&mut self) {
        self.backoff.lacked();
    }

    /// Notes that the network does not work: nothing is made with it.
    pub(super) fn note_failure(&mut self) {
        self.backoff.fail();
    }

    /// Returns whether the network does not work.
    pub(super) fn has_failed(&self) -> bool {
        self.backoff.has_failed()
    }

    /// Returns whether for want of memory or of a network nothing is made.
    pub(super) fn has_given_up(&self) -> bool {
        self.controller.as_ref().is_none_or(|controller| {
            let target = controller.target();
            (target.short > 0 || target.fails) && controller.level().share == FrameShare::None
        })
    }

    /// Returns whether the application is to be told that nothing is made: once, until all is well
    /// again.
    pub(super) fn take_news(&mut self) -> bool {
        self.has_given_up() && self.backoff.take_news()
    }

    /// Reports where the effort stands now; to the application, if that is another step than
    /// before.
    pub(super) fn report(&self, context: &Context) {
        let Some(controller) = &self.controller else {
            return;
        };
        let (level, step) = (controller.level(), controller.step());
        let (width, height) = controller.size();
        let name = match level.share {
            FrameShare::All if step == 0 => "full",
            FrameShare::All => "smaller",
            FrameShare::Half => "fewer",
            FrameShare::None => "originals",
        };
        let structure = gst::Structure::builder("vfiinterp-overload")
            .field("step", step as u64)
            .field("name", name)
            .field("downscale", level.divisor)
            .field("width", width as u64)
            .field("height", height as u64)
            .field("share", level.share.part())
            .build();
        gst::info!(CAT, obj = context.srcpad, "{structure}");
        let before = {
            let mut stats = context.stats();
            stats.downscale = level.divisor;
            std::mem::replace(&mut stats.step, step as u64)
        };
        if before != step as u64 {
            context.stats().steps += 1;
            context.messenger.tell(structure);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
