//! `dedup`: frames that only repeat the one before make way for motion.

use super::Worker;
use super::output::OutputItem;
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::Frame;
use crate::vfi_element::metas;
use crate::vfi_element::scene::Pair;
use crate::vfi_element::scene::duplicates::{self, Next};
use crate::vfi_element::timing::grid::{Content, Slot, Step};

impl Worker {
    /// Sends a frame, or holds it while it only repeats the one before; see `hold`.
    pub(super) fn without_duplicates(
        &mut self,
        context: &Context,
        step: Step,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let Some(mut held) = self.held.take() else {
            return self.pass(context, step, new, None);
        };
        let limit = self.hold.limit();
        let difference = self.difference(context, &mut held, &mut new, limit)?;
        let still = self.settings.still_threshold;
        let next = self.hold.next(&step, difference, still);
        match next {
            Next::Hold => {
                self.held = Some(held);
                self.hold.push(step, new, difference.unwrap_or(0.0));
                return Ok(());
            }
            Next::Bridge(span) if span <= self.settings.max_gap.nseconds() => {
                let pair = self.judge_moving(context, &mut held, &mut new)?;
                if pair == Pair::Moving {
                    return self.bridge(context, held, step, new);
                }
                self.held = Some(held);
                self.release(context)?;
                return self.pass(context, step, new, Some(pair));
            }
            Next::Bridge(_) | Next::Pass => {}
        }
        self.held = Some(held);
        self.release(context)?;
        self.pass(context, step, new, None)
    }

    /// Fills the time from the held frame to the new one, that of the duplicates included.
    fn bridge(
        &mut self,
        context: &Context,
        mut held: Frame,
        step: Step,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let waiting = self.hold.take();
        let parts = duplicates::parts(waiting.iter().map(|(step, _)| step).chain([&step]));
        let mut parts = parts.into_iter();
        let known = Some(Pair::Moving);
        for ((step, duplicate), part) in waiting.into_iter().zip(&mut parts) {
            let own = step.stand_in().map(|slot| part.place(slot));
            let slots = step.before.map(|slot| part.place(slot));
            self.before(context, &mut held, &mut new, slots, known)?;
            if let Some(own) = own {
                self.replace(context, &mut held, &mut new, &own, duplicate.buffer)?;
            }
        }
        for part in parts {
            let slots = step.before.clone().map(|slot| part.place(slot));
            self.before(context, &mut held, &mut new, slots, known)?;
        }
        self.finish_pair(context, &held, &new)?;
        self.recycle(held);
        self.arrive(context, new, step.original.is_some())
    }

    /// Sends duplicates that are held as they came.
    pub(super) fn release(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        for (step, frame) in self.hold.take() {
            self.pass(context, step, frame, None)?;
        }
        Ok(())
    }

    /// Makes a frame in the place of a duplicate; if it would be late, the duplicate itself is
    /// sent.
    fn replace(
        &mut self,
        context: &Context,
        held: &mut Frame,
        new: &mut Frame,
        slot: &Slot,
        duplicate: gst::Buffer,
    ) -> Result<(), gst::FlowError> {
        let Content::Between(phase) = slot.content else {
            return self.output.send(OutputItem::Original(duplicate));
        };
        if !self.has_time(context, slot) {
            return self.output.send(OutputItem::Original(duplicate));
        }
        let made = self.synthesise(context, held, new, phase, slot)?;
        // duplicates are never dealt with apart
        let Some(OutputItem::Made(mut buffer)) = made else {
            return self.output.send(OutputItem::Original(duplicate));
        };
        metas::stand_in(&duplicate, buffer.make_mut());
        self.output.send(OutputItem::Made(buffer))?;
        context.stats().duplicates += 1;
        Ok(())
    }
}
