//! The element's latency: what it follows from, and what the pipeline is told.

use gst::prelude::*;

use super::log::{CAT, clock_time};
use super::scene::duplicates;
use super::timing::grid::Rate;
use super::timing::timeline::OutputRate;
use crate::sync::lock;
use crate::vfi_element::context::{Context, Rates};

impl Context {
    /// Takes new rates, with which the latency may be another.
    pub(super) fn set_rates(&self, input: Option<Rate>, target: OutputRate) {
        let output = match target {
            OutputRate::Fixed(rate) => Some(rate),
            OutputRate::Multiple(_) => None,
        };
        let time = |rate: Option<Rate>| clock_time(rate.map_or(0, |rate| rate.time(1)));
        let before = self.rates();
        let rates = Rates {
            interpolates: input.is_none() || input != output,
            // What was learned of a rate that varies holds on.
            frame: input.map_or(before.frame, |_| time(input)),
            varies: input.is_none(),
            slot: time(output),
        };
        self.replace_rates(rates);
    }

    /// Notes that frames of a varying rate come this far apart.
    pub(super) fn set_frame(&self, frame: gst::ClockTime) {
        self.replace_rates(Rates {
            frame,
            ..self.rates()
        });
    }

    fn replace_rates(&self, rates: Rates) {
        let changed = std::mem::replace(&mut *lock(&self.rates), rates) != rates;
        if changed {
            // What is promised from here on must be known, whether or not the pipeline asks.
            self.ask_latency();
            self.latency_changed();
        }
    }

    pub(super) fn latency_query(&self, query: &mut gst::query::Latency) -> bool {
        let Some((live, min, max)) = self.ask_latency() else {
            return false;
        };
        query.set(live, min, max);
        true
    }

    /// Returns the latency that is promised from now on: upstream's, and the element's own on top
    /// of it where upstream is live. `None` if upstream doesn't know.
    ///
    /// A frame between two can be made when the second is there, and then takes its time.
    fn ask_latency(&self) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
        let mut upstream = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut upstream) {
            return None;
        }
        let (live, mut min, mut max) = upstream.result();
        let rates = self.rates();
        let wait = self.own_latency();
        let delays = !wait.is_zero();
        let known = delays && !rates.frame.is_zero();
        {
            let mut latency_budget = lock(&self.latency_budget);
            latency_budget.live = live;
            latency_budget.upstream = min.nseconds();
            latency_budget.wait = known.then_some(wait.nseconds());
        }
        if live && delays {
            let held = self.held_back();
            let budget = wait.saturating_sub(rates.frame).saturating_sub(held);
            self.queue.fit(budget, rates.frame);
            let queued = rates.frame.saturating_mul(self.queue.capacity() as u64 + 1);
            min = min.saturating_add(wait);
            max = max.map(|max| max.saturating_add(queued).saturating_add(held));
        }
        gst::debug!(
            CAT,
            obj = self.srcpad,
            "latency: live {live}, min {min}, max {max:?}"
        );
        Some((live, min, max))
    }

    /// Returns the time after which a frame that has come in may leave.
    pub(super) fn own_latency(&self) -> gst::ClockTime {
        let rates = self.rates();
        let settings = self.settings();
        if rates.interpolates || settings.dedup {
            let frame = rates.frame.saturating_add(settings.latency);
            frame.saturating_add(self.held_back())
        } else {
            gst::ClockTime::ZERO
        }
    }

    /// Returns the time for which frames are held because they may be duplicates.
    fn held_back(&self) -> gst::ClockTime {
        if !self.settings().dedup {
            return gst::ClockTime::ZERO;
        }
        let rates = self.rates();
        // The longest distance seen says nothing of the shorter ones that may be held, too.
        let frame = if rates.varies {
            0
        } else {
            rates.frame.nseconds()
        };
        clock_time(duplicates::delay(frame))
    }

    /// Returns whether a clock sets the pace: that of a live source, or of a sink that waits for
    /// it, which was found or, where that counts (`qos`), has told so.
    pub(super) fn is_paced(&self, qos: bool) -> bool {
        let latency_budget = self.latency_budget();
        latency_budget.live
            || latency_budget.sink.is_some()
            || (qos && self.downstream().is_paced())
    }

    /// Tells the pipeline that the latency is another.
    pub(super) fn latency_changed(&self) {
        let message = gst::message::Latency::builder()
            .src_if_some(self.element().as_ref())
            .build();
        self.messenger.post(message);
    }
}
