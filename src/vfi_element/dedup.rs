//! `dedup`: frames that only repeat the one before make way for motion.

use super::between::Pair;
use super::courier::Parcel;
use super::engine::Frame;
use super::grid::{Content, Slot, Step};
use super::hold::{self, Next};
use super::imp::VfiInterp;
use super::metas;
use super::worker::Worker;

impl Worker {
    /// Sends a frame, or holds it while it only repeats the one before; see [`hold`].
    pub(super) fn without_duplicates(
        &mut self,
        imp: &VfiInterp,
        step: Step,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let Some(mut held) = self.held.take() else {
            return self.pass(imp, step, new, None);
        };
        let limit = self.hold.limit();
        let difference = self.difference(imp, &mut held, &mut new, limit)?;
        let still = self.settings.still_threshold;
        let next = self.hold.next(&step, difference, still);
        match next {
            Next::Hold => {
                self.held = Some(held);
                self.hold.push(step, new, difference.unwrap_or(0.0));
                return Ok(());
            }
            Next::Bridge(span) if span <= self.settings.max_gap.nseconds() => {
                let pair = self.judge_moving(imp, &mut held, &mut new)?;
                if pair == Pair::Moving {
                    return self.bridge(imp, held, step, new);
                }
                self.held = Some(held);
                self.release(imp)?;
                return self.pass(imp, step, new, Some(pair));
            }
            Next::Bridge(_) | Next::Pass => {}
        }
        self.held = Some(held);
        self.release(imp)?;
        self.pass(imp, step, new, None)
    }

    /// Fills the time from the held frame to the new one, that of the duplicates included.
    fn bridge(
        &mut self,
        imp: &VfiInterp,
        mut held: Frame,
        step: Step,
        mut new: Frame,
    ) -> Result<(), gst::FlowError> {
        let waiting = self.hold.take();
        let parts = hold::parts(waiting.iter().map(|(step, _)| step).chain([&step]));
        let mut parts = parts.into_iter();
        let known = Some(Pair::Moving);
        for ((step, duplicate), part) in waiting.into_iter().zip(&mut parts) {
            let own = step.stand_in().map(|slot| part.place(slot));
            let slots = step.before.map(|slot| part.place(slot));
            self.before(imp, &mut held, &mut new, slots, known)?;
            if let Some(own) = own {
                self.replace(imp, &mut held, &mut new, &own, duplicate.buffer)?;
            }
        }
        for part in parts {
            let slots = step.before.clone().map(|slot| part.place(slot));
            self.before(imp, &mut held, &mut new, slots, known)?;
        }
        self.finish_pair(imp, &held, &new)?;
        self.recycle(held);
        self.arrive(imp, new, step.original.is_some())
    }

    /// Sends duplicates that are held as they came.
    pub(super) fn release(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        for (step, frame) in self.hold.take() {
            self.pass(imp, step, frame, None)?;
        }
        Ok(())
    }

    /// Makes a frame in the place of a duplicate; if it would be late, the duplicate itself is sent.
    fn replace(
        &mut self,
        imp: &VfiInterp,
        held: &mut Frame,
        new: &mut Frame,
        slot: &Slot,
        duplicate: gst::Buffer,
    ) -> Result<(), gst::FlowError> {
        let Content::Between(phase) = slot.content else {
            return self.send(imp, Parcel::Original(duplicate));
        };
        if !self.has_time(imp, slot) {
            return self.send(imp, Parcel::Original(duplicate));
        }
        let made = self.synthesise(imp, held, new, phase, slot)?;
        // duplicates are never dealt with apart
        let Some(Parcel::Made(mut buffer)) = made else {
            return self.send(imp, Parcel::Original(duplicate));
        };
        metas::stand_in(&duplicate, buffer.make_mut());
        self.send(imp, Parcel::Made(buffer))?;
        imp.stats().duplicates += 1;
        Ok(())
    }
}
