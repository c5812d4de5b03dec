//! Changes before a frame is taken: settings, another network, other wishes of downstream, more or
//! less effort; and what is done when frames can't be made. In reverse playback, where frames only
//! pass, nothing is taken up.

use std::sync::Arc;

use gst::prelude::*;

use super::Worker;
use crate::models::memory::Reason;
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::{Engine, Frame};
use crate::vfi_element::error::{Failure, Want};
use crate::vfi_element::log::{CAT, clock_time};
use crate::vfi_element::quality::controller::QualityTarget;
use crate::vfi_element::settings::{Overload, Upscale};
use crate::vfi_element::timing::deadlines;

impl Worker {
    /// Applies what was changed from outside: settings, a new network, downstream's wishes.
    pub(super) fn take_changes(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        let settings = context.settings();
        let multiplied = settings.multiplier != self.settings.multiplier;
        let retry = settings.model_set != self.settings.model_set && context.loader.has_failed();
        if settings.needs_other_model(&self.settings) || retry {
            context.loader.load(settings.load_options());
        }
        if !settings.dedup {
            self.release(context)?;
        }
        if settings.downscale != self.settings.downscale {
            self.quality.forgive();
        }
        self.settings = settings;
        self.limit_holes(context);
        if (multiplied || context.srcpad.check_reconfigure())
            && let Some(stream) = &self.stream
        {
            let input = stream.input.clone();
            self.release(context)?;
            self.negotiate(context, input).inspect_err(|_| {
                // A flush got in between: what downstream wants is still to be found out.
                context.srcpad.mark_reconfigure();
            })?;
        }
        // After all that is held was sent, for which the new one is not configured.
        if let Some(engine) = context.loader.take_loaded() {
            let failed = self.quality.has_failed();
            let mut before = self.take_over(context, engine);
            if before.has_worked() && !failed {
                before.rest();
                self.before = Some(before);
            }
        }
        self.aim(context);
        self.configure(context)
    }

    /// Puts another network to work; gives back the one before it.
    fn take_over(&mut self, context: &Context, engine: Engine) -> Engine {
        context.adopt(&engine);
        self.quality.begin_network();
        std::mem::replace(&mut self.engine, engine)
    }

    /// Configures the engine as the effort asks.
    fn configure(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        let configured = self.configure_engine();
        context.loader.warm_up(&mut self.engine);
        match configured {
            Ok(()) | Err(Failure::Cancelled) => Ok(()),
            Err(Failure::Lacks(want)) => self.do_without(context, &want).map(drop),
            Err(Failure::Failed(error)) => {
                if self.settings.upscale == Upscale::Motion && context.stats().originals > 0 {
                    // It went well until the property or the model was changed.
                    context.messenger.warn(
                        gst::LibraryError::Settings,
                        &format!("upscale is auto from here on: {error:#}"),
                    );
                    Arc::make_mut(&mut self.settings).upscale = Upscale::Auto;
                    context.change_settings(|settings| settings.upscale = Upscale::Auto);
                    context.messenger.notify("upscale");
                    return self.configure(context);
                }
                let text = format!("{error:#}");
                context.messenger.fail(gst::LibraryError::Settings, &text);
                Err(gst::FlowError::Error)
            }
            Err(failure @ Failure::Flow(_)) => Err(context.flow_of(failure)),
        }
    }

    fn configure_engine(&mut self) -> Result<(), Failure> {
        match (&self.stream, self.quality.network_size()) {
            (Some(stream), Some(size)) => self.engine.configure(&stream.info, &self.settings, size),
            _ => Ok(()),
        }
    }

    /// Keeps the effort for the stream and settings at hand.
    fn aim(&mut self, context: &Context) {
        let Some(stream) = &self.stream else {
            return;
        };
        let target = QualityTarget {
            width: stream.info.width(),
            height: stream.info.height(),
            downscale: self.settings.downscale,
            degrade: self.settings.overload == Overload::Degrade,
            several: stream.several,
            fixed: self.engine.info().fixed_size,
            ..QualityTarget::default()
        };
        if self.quality.aim(target) {
            self.quality.report(context);
        }
    }

    /// Learns from a pair that is done what to do with the next one.
    ///
    /// # Errors
    /// If the engine can't do what the new effort asks for.
    pub(super) fn finish_pair(
        &mut self,
        context: &Context,
        held: &Frame,
        new: &Frame,
    ) -> Result<(), gst::FlowError> {
        let span = (span(held, new) as f64 / self.deadlines.rate().abs()) as u64;
        let is_paced = context.is_paced(self.settings.qos);
        if self.quality.finish_pair(span, is_paced) {
            self.quality.report(context);
            self.configure(context)?;
        }
        self.raise_latency(context);
        self.tend_memory(context, span);
        Ok(())
    }

    /// Learns how far apart frames of a varying rate are.
    pub(super) fn learn_span(&mut self, context: &Context, held: &Frame, new: &Frame) {
        if self.stream.as_ref().is_some_and(|stream| stream.variable) {
            let most = self.settings.max_gap;
            self.deadlines.learn_span(context, span(held, new), most);
        }
    }

    /// Allows more time for a frame if that is what frames take, in a live pipeline; but not as
    /// long as less effort may do.
    fn raise_latency(&mut self, context: &Context) {
        let Some(high) = self.quality.settled_time() else {
            return;
        };
        if !context.latency_budget().live {
            return;
        }
        let before = self.settings.latency;
        // What takes longer than two frames can't be kept up with, however long one waits.
        let most = context.rates().frame.saturating_mul(2);
        let most = before.max(most).nseconds();
        let Some(raised) = deadlines::raised(high, before.nseconds(), most) else {
            return;
        };
        let raised = clock_time(raised);
        let was_raised = context.change_settings(|settings| {
            let unchanged = settings.latency == before;
            if unchanged {
                settings.latency = raised;
            }
            unchanged
        });
        if !was_raised {
            // It has just been set from outside.
            return;
        }
        Arc::make_mut(&mut self.settings).latency = raised;
        let text = format!(
            "Making a frame takes up to {:.1} ms, and latency allowed for {:.1}: it is {:.1} ms now",
            high as f64 / 1e6,
            before.nseconds() as f64 / 1e6,
            raised.nseconds() as f64 / 1e6
        );
        context.messenger.warn(gst::CoreError::Clock, &text);
        context.messenger.notify("latency");
        context.latency_changed();
    }

    /// Gives memory back where it is time, after a pair of `span` nanoseconds of the stream is
    /// done.
    fn tend_memory(&mut self, context: &Context, span: u64) {
        let engine = &mut self.engine;
        let interval = self.settings.cache_clear_interval;
        if let Some(reason) = self.quality.reason_to_clear(interval, engine.info()) {
            engine.clear(reason);
            if reason == Reason::Pressure {
                gst::debug!(CAT, obj = context.srcpad, "little memory is left");
                self.before = None;
            }
        }
        // programs that wait with playing while something is in progress are to be playing
        if context.is_playing()
            && let Some(fitting) = engine.count_pair()
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
        if self.quality.try_more(span) {
            let text = "memory has sufficed for a while: trying more";
            gst::info!(CAT, obj = context.srcpad, "{text}");
            self.aim(context);
        }
    }

    /// Responds to a frame that could not be made, for want of memory although what was kept had
    /// been given back, or of a network that works. The network is to see smaller pictures, or the
    /// one before it takes its place; and where neither can be, only originals go out. Returns
    /// `false` in that case.
    ///
    /// # Errors
    /// If the engine can't do that for another reason.
    pub(super) fn do_without(
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
        if !self.quality.has_given_up() {
            match (want, self.before.take()) {
                (Want::Memory(_), _) => self.quality.note_lack(),
                (Want::Network(reason), Some(before)) => self.go_back(context, before, reason),
                (Want::Network(_), None) => self.quality.note_failure(),
            }
            self.make_do(context)?;
        }
        if self.quality.take_news() {
            match want {
                Want::Memory(reason) => context.messenger.warn(
                    gst::ResourceError::NoSpaceLeft,
                    &format!("Only originals are sent until there is more memory: {reason}"),
                ),
                Want::Network(reason) => context.messenger.warn(
                    gst::LibraryError::Failed,
                    &format!(
                        "Only originals are sent until there is another model, or other caps: {reason}"
                    ),
                ),
            }
        }
        Ok(!self.quality.has_given_up())
    }

    /// Goes back to the network before.
    fn go_back(&mut self, context: &Context, before: Engine, reason: &str) {
        let name = before.info().name.clone();
        self.take_over(context, before);
        // who sets the same model again wants it tried again
        context.loader.note_failure();
        context.messenger.warn(
            gst::LibraryError::Failed,
            &format!("The model before, {name}, is used again: {reason}"),
        );
    }

    /// Fits the engine to what can still be done, with smaller pictures until there is memory for
    /// it.
    fn make_do(&mut self, context: &Context) -> Result<(), gst::FlowError> {
        loop {
            self.aim(context);
            match self.configure_engine() {
                Err(Failure::Lacks(_)) if !self.quality.has_given_up() => self.quality.note_lack(),
                Ok(()) | Err(Failure::Lacks(_)) => return Ok(()),
                Err(failure) => return Err(context.flow_of(failure)),
            }
        }
    }
}

/// Returns the time from one frame to the other, in nanoseconds.
fn span(held: &Frame, new: &Frame) -> u64 {
    let times = new.buffer.pts().zip(held.buffer.pts());
    let span = times.and_then(|(new, held)| new.checked_sub(held));
    span.map_or(0, gst::ClockTime::nseconds)
}
