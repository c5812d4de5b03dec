//! Memory in the task: when what is kept is given back, and what is done when frames can't be made,
//! for want of memory or of a network that works.

use std::time::{Duration, Instant};

use super::Worker;
use crate::models::memory::{MemoryStatus, Reason, available};
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::Engine;
use crate::vfi_element::error::{Failure, Want};
use crate::vfi_element::log::CAT;
use crate::vfi_element::quality::ladder::FrameShare;

/// Time for which the free memory is not asked for again: asking takes some 50 us.
const LOOK: Duration = Duration::from_secs(1);

impl Worker {
    /// Gives memory back where it is time, after a pair of `span` nanoseconds of the stream is
    /// done.
    pub(super) fn tend_memory(&mut self, context: &Context, span: u64) {
        let is_short = self.is_short();
        let due = self
            .clearing
            .pair(self.settings.cache_clear_interval.into());
        let Some(engine) = &mut self.engine else {
            return;
        };
        if is_short {
            gst::debug!(CAT, obj = context.srcpad, "little memory is left");
            self.clearing.cleared();
            engine.clear(Reason::Pressure);
            self.before = None;
        } else if due {
            engine.clear(Reason::Interval);
        }
        // programs that wait with playing while something is in progress are to be playing
        if context.is_playing()
            && let Some(fitting) = engine.settle()
        {
            context.loader.fit(fitting);
        }
        if let Some(fitted) = context.loader.take_fitted() {
            engine.fit(fitted);
        }
        context.tell_place(engine.info());
        let (clears, usage) = (engine.take_clears(), engine.usage());
        {
            let mut stats = context.stats();
            stats.clears.interval += clears.interval;
            stats.clears.pressure += clears.pressure;
            stats.memory = usage.unwrap_or_default();
            stats.place = engine.place();
        }
        if self.shortage.pass(span) {
            gst::info!(
                CAT,
                obj = context.srcpad,
                "memory has sufficed for a while: trying more"
            );
            self.fit_effort(context);
        }
    }

    /// Returns whether little memory is left, asking only now and then.
    fn is_short(&mut self) -> bool {
        if self.looked.is_some_and(|last| last.elapsed() < LOOK) {
            return false;
        }
        self.looked = Some(Instant::now());
        let info = self.engine.as_ref().map(Engine::info);
        let room = info.and_then(|info| available::least(info.provider, info.device));
        room.is_some_and(MemoryStatus::is_short)
    }

    /// Responds to a frame that could not be made, for want of memory although what was kept had
    /// been given back, or of a network that works. The network is to see smaller pictures, or the
    /// one before it takes its place; and where neither can be, only originals go out. Returns
    /// `false` in that case.
    ///
    /// # Errors
    /// If the engine can't do that for another reason.
    pub(super) fn run_short(
        &mut self,
        context: &Context,
        want: &Want,
    ) -> Result<bool, gst::FlowError> {
        gst::warning!(CAT, obj = context.srcpad, "a frame can't be made: {want:?}");
        if let Want::Memory(_) = want {
            context.stats().shortages += 1;
            // what is not needed goes first
            self.before = None;
        }
        if !self.sends_originals_only() {
            match (want, self.before.take()) {
                (Want::Memory(_), _) => self.shortage.lacked(),
                (Want::Network(reason), Some(before)) => self.go_back(context, before, reason),
                (Want::Network(_), None) => self.shortage.fail(),
            }
            self.make_do(context)?;
        }
        let only_originals = self.sends_originals_only();
        if only_originals && self.shortage.tells() {
            match want {
                Want::Memory(reason) => context.warn(gst::ResourceError::NoSpaceLeft, &format!("Only originals are sent until there is more memory: {reason}")),
                Want::Network(reason) => context.warn(gst::LibraryError::Failed, &format!("Only originals are sent until there is another model, or other caps: {reason}")),
            }
        }
        Ok(!only_originals)
    }

    /// Goes back to the network before.
    fn go_back(&mut self, context: &Context, before: Engine, reason: &str) {
        let name = before.info().name.clone();
        self.take_over(context, before);
        // who sets the same model again wants it tried again
        context.loader.note_failure();
        context.warn(
            gst::LibraryError::Failed,
            &format!("The model before, {name}, is used again: {reason}"),
        );
    }

    /// Fits the engine to what can still be done, with smaller pictures until there is memory for
    /// it.
    fn make_do(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        loop {
            self.fit_effort(context);
            match self.fit_engine() {
                Err(Failure::Lacks(_)) if !self.sends_originals_only() => self.shortage.lacked(),
                Ok(()) | Err(Failure::Lacks(_)) => return Ok(()),
                Err(failure) => return Err(context.flow_of(failure)),
            }
        }
    }

    /// Returns whether for want of memory or of a network nothing is made.
    fn sends_originals_only(&self) -> bool {
        self.effort.as_ref().is_none_or(|effort| {
            let wish = effort.wish();
            (wish.short > 0 || wish.fails) && effort.rung().share == FrameShare::None
        })
    }
}
