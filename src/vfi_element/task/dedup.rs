//! `dedup`: frames that only repeat the one before make way for motion.

use super::Worker;
use super::output::{Delivery, OutputItem};
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::Frame;
use crate::vfi_element::metas;
use crate::vfi_element::scene::Pair;
use crate::vfi_element::scene::duplicates::{self, Next};
use crate::vfi_element::timing::grid::{Content, FrameStep, Slot};

impl Worker {
    /// Sends a frame, or holds it while it only repeats the one before; see `hold`.
    pub(super) fn pass_without_duplicates(
        &mut self,
        context: &Context,
        step: FrameStep,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let Some(mut held) = self.held.take() else {
            return self.pass(context, step, new, None, &mut Delivery::AtOnce);
        };
        let limit = self.duplicates.limit();
        let difference = self.compare(context, &mut held, &mut new, limit)?;
        let still = self.settings.still_threshold;
        let next = self.duplicates.next(&step, difference, still);
        match next {
            Next::Hold => {
                self.held = Some(held);
                self.duplicates.push(step, new, difference.unwrap_or(0.0));
                return Ok(());
            }
            Next::Bridge(span) if span <= self.settings.max_gap.nseconds() => {
                let pair = self.judge_moving(context, &mut held, &mut new)?;
                if pair == Pair::Moving {
                    return self.bridge(context, held, step, new);
                }
                self.held = Some(held);
                self.release(context)?;
                return self.pass(context, step, new, Some(pair), &mut Delivery::AtOnce);
            }
            Next::Bridge(_) | Next::Pass => {}
        }
        self.held = Some(held);
        self.release(context)?;
        self.pass(context, step, new, None, &mut Delivery::AtOnce)
    }

    /// Fills the time from the held frame to the new one, that of the duplicates included.
    fn bridge(
        &mut self,
        context: &Context,
        mut held: Frame,
        step: FrameStep,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let waiting = self.duplicates.take();
        let spans = duplicates::spans(waiting.iter().map(|(step, _)| step).chain([&step]));
        let mut spans = spans.into_iter();
        let (known, delivery) = (Some(Pair::Moving), &mut Delivery::AtOnce);
        for ((step, duplicate), span) in waiting.into_iter().zip(&mut spans) {
            let own = step.stand_in().map(|slot| span.place(slot));
            let slots = step.before.map(|slot| span.place(slot));
            self.fill_between(context, &mut held, &mut new, slots, known, delivery)?;
            if let Some(own) = own {
                self.replace(context, &mut held, &mut new, &own, duplicate.buffer)?;
            }
        }
        for span in spans {
            let slots = step.before.clone().map(|slot| span.place(slot));
            self.fill_between(context, &mut held, &mut new, slots, known, delivery)?;
        }
        self.finish_pair(context, &held, &new)?;
        self.engine.recycle(held);
        self.hold(new, step.original.is_some(), delivery)
    }

    /// Sends duplicates that are held as they came.
    pub(super) fn release(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        for (step, frame) in self.duplicates.take() {
            self.pass(context, step, frame, None, &mut Delivery::AtOnce)?;
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
        let made = match slot.content {
            Content::Between(phase) if self.admit_or_drop(context, slot) => {
                self.synthesise(context, held, new, phase, slot, false)?
            }
            _ => None,
        };
        let delivery = &mut Delivery::AtOnce;
        let Some(OutputItem::Made(mut buffer)) = made else {
            return self.output.send(delivery, OutputItem::Original(duplicate));
        };
        metas::stand_in(&duplicate, buffer.make_mut());
        self.output.send(delivery, OutputItem::Made(buffer))?;
        context.stats().duplicates += 1;
        Ok(())
    }
}
