//! Holes: the time for which no new frame comes is filled with the one that is held.

use super::Worker;
use super::output::Delivery;
use crate::vfi_element::context::Context;
use crate::vfi_element::log::clock_time;
use crate::vfi_element::timing::grid::Slots;
use crate::vfi_element::timing::timeline::{LONGEST_FRAME, Timeline};

impl Worker {
    /// Fills what is left of the held frame's time with it, and lets it go.
    pub(super) fn drain(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        self.let_go(context, |timeline| timeline.drain(None))
    }

    /// Fills what is left of the segment, too, because no other frame comes.
    pub(super) fn end(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        self.limit_holes(context);
        self.let_go(context, Timeline::end)
    }

    fn let_go(
        &mut self,
        context: &Context,
        slots: impl FnOnce(&mut Timeline) -> Slots,
    ) -> Result<(), gst::FlowError> {
        self.release(context)?;
        self.settle(context)?;
        if let (Some(timeline), Some(held)) = (&mut self.timeline, self.held.take()) {
            let slots = slots(timeline);
            for slot in slots {
                self.repeat(&held, &slot, &mut Delivery::AtOnce)?;
            }
        }
        Ok(())
    }

    /// Fills the time in which upstream has nothing. Returns whether that was done to its end, so
    /// that there is no gap any more. Where holes stay open, the held frame goes.
    pub(super) fn fill_gap(
        &mut self,
        context: &Context,
        gap: &gst::event::Gap,
    ) -> Result<bool, gst::FlowError> {
        let (start, duration) = gap.get();
        let until = start.saturating_add(duration.unwrap_or_default());
        self.limit_holes(context);
        let timeline = self.timeline.as_mut();
        let slots = timeline.and_then(|timeline| timeline.pause(until.nseconds()));
        let Some(slots) = slots else {
            self.drain(context)?;
            return Ok(false);
        };
        let Some(held) = self.held.take() else {
            return Ok(false);
        };
        for slot in slots {
            self.repeat(&held, &slot, &mut Delivery::AtOnce)?;
        }
        self.held = Some(held);
        Ok(duration.is_some())
    }

    /// Keeps the timeline to the longest gaps. Holes of a live source stay open: once the next
    /// frame has come, what would fill them is late.
    pub(super) fn limit_holes(&mut self, context: &Context) {
        let live = context.latency_budget().live;
        if let Some(timeline) = &mut self.timeline {
            timeline.set_limits(self.settings.max_gap.nseconds(), !live);
        }
    }

    /// Tells the application of the first hole in a segment that is too long to be filled.
    pub(super) fn tell_hole(&mut self, context: &Context, apart: u64) {
        if std::mem::replace(&mut self.told_hole, true) {
            return;
        }
        context.messenger.warn(
            gst::StreamError::Failed,
            &format!(
                "No frame came for {}: a hole of more than {} is not filled, though the output has a \
                 fixed rate",
                clock_time(apart),
                clock_time(LONGEST_FRAME)
            ),
        );
    }
}
