//! The task's dealings with memory: when what is kept is given back, and what is done when some
//! can't be had.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::engine::{Engine, Failure};
use super::imp::VfiInterp;
use super::ladder::Share;
use super::worker::Worker;
use crate::models::memory::{Reason, Room};
use crate::models::room;

/// How long what is left is not asked again: it takes some 50 us.
const LOOK: Duration = Duration::from_secs(1);

impl Worker {
    /// A pair is done, after `span` nanoseconds of the stream.
    pub(super) fn tend_memory(&mut self, imp: &VfiInterp, span: u64) {
        let is_short = self.is_short();
        let due = self
            .clearing
            .pair(self.settings.cache_clear_interval.into());
        let Some(engine) = &mut self.engine else {
            return;
        };
        if is_short {
            gst::debug!(CAT, imp = imp, "little memory is left");
            self.clearing.cleared();
            engine.clear(Reason::Pressure);
        } else if due {
            engine.clear(Reason::Interval);
        }
        // programs that wait with playing while something is in progress are to be playing
        if imp.obj().current_state() == gst::State::Playing
            && let Some(fitting) = engine.settle()
        {
            imp.fit_in_background(fitting);
        }
        if let Some(fitted) = imp.take_fitted() {
            engine.fit(fitted);
        }
        imp.tell_place(engine.info());
        let (clears, usage) = (engine.take_clears(), engine.usage());
        {
            let mut stats = imp.stats();
            stats.clears.interval += clears.interval;
            stats.clears.pressure += clears.pressure;
            stats.memory = usage.unwrap_or_default();
            stats.place = engine.place();
        }
        if self.shortage.pass(span) {
            gst::info!(
                CAT,
                imp = imp,
                "memory has sufficed for a while: trying more"
            );
            self.fit_effort(imp);
        }
    }

    /// Whether little memory is left, asked now and then.
    fn is_short(&mut self) -> bool {
        if self.looked.is_some_and(|last| last.elapsed() < LOOK) {
            return false;
        }
        self.looked = Some(Instant::now());
        let info = self.engine.as_ref().map(Engine::info);
        let room = info.and_then(|info| room::least(info.provider, info.device));
        room.is_some_and(Room::is_short)
    }

    /// Memory lacked although what was kept had been given back: the network is to see smaller
    /// pictures, and where they can't be smaller, only originals go out. `false` in that case.
    ///
    /// # Errors
    /// If the engine can't do that for another reason.
    pub(super) fn run_short(
        &mut self,
        imp: &VfiInterp,
        reason: &str,
    ) -> Result<bool, gst::FlowError> {
        imp.stats().shortages += 1;
        gst::warning!(CAT, imp = imp, "out of memory: {reason}");
        let mut fits = false;
        while !fits && !self.sends_originals_only() {
            self.shortage.lacked();
            self.fit_effort(imp);
            fits = match self.fit_engine() {
                Ok(()) => true,
                Err(Failure::Memory(_)) => false,
                Err(failure) => return Err(super::between::failed(imp, failure)),
            };
        }
        let only_originals = self.sends_originals_only();
        if only_originals && self.shortage.tells() {
            gst::element_imp_warning!(
                imp,
                gst::ResourceError::NoSpaceLeft,
                ("Only originals are sent until there is more memory: {reason}")
            );
        }
        Ok(!only_originals)
    }

    /// Whether for want of memory nothing is made.
    fn sends_originals_only(&self) -> bool {
        self.effort
            .as_ref()
            .is_none_or(|effort| effort.wish().short > 0 && effort.rung().share == Share::None)
    }
}
