//! The pads' functions: they take frames, events and queries, from upstream's thread and from
//! downstream.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::VfiInterp;
use super::item::Item;
use super::log::CAT;
use super::scene::duplicates;
use super::{buffers, caps, cuda};
use crate::sync::lock;

impl VfiInterp {
    pub(super) fn src_activatemode(
        &self,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode is there"));
        }
        if active {
            self.resume()
                .map_err(|error| gst::loggable_error!(CAT, "no task: {error}"))
        } else {
            self.context.interrupt();
            self.context
                .srcpad
                .stop_task()
                .map_err(|error| gst::loggable_error!(CAT, "the task goes on: {error}"))
        }
    }

    pub(super) fn sink_chain(
        &self,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::trace!(CAT, imp = self, "got {buffer:?}");
        let arrival = self.obj().current_running_time();
        self.context.queue.push(Item::Buffer(buffer, arrival))?;
        Ok(gst::FlowSuccess::Ok)
    }

    pub(super) fn sink_event(
        &self,
        pad: &gst::Pad,
        event: gst::Event,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::log!(CAT, imp = self, "got {event:?}");
        let wanted = match event.type_() {
            gst::EventType::FlushStart => {
                let wanted = self.context.srcpad.push_event(event);
                self.context.interrupt();
                if !self.context.crew.has_this_thread() {
                    // Waits until the task is out of its iteration; fails only where there is none.
                    let _paused = self.context.srcpad.pause_task();
                    if let Some(worker) = &mut *lock(&self.worker) {
                        worker.halt();
                    }
                }
                wanted
            }
            gst::EventType::FlushStop => {
                if let gst::EventView::FlushStop(stop) = event.view()
                    && stop.resets_time()
                {
                    self.context.restart_time();
                }
                let wanted = self.context.srcpad.push_event(event);
                self.context.downstream().reset();
                if self.context.crew.has_this_thread() {
                    // The task goes on, and flushes the worker before it takes anything.
                    self.context.interrupt();
                    self.context.reopen();
                } else {
                    if let Some(worker) = &mut *lock(&self.worker) {
                        worker.flush();
                    }
                    self.restart();
                }
                wanted
            }
            _ if event.is_serialized() => {
                // A lasting event that was refused is sent again with the next frame, which is then
                // refused for the same reason.
                self.sink_serialized(event)?;
                true
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        };
        match wanted {
            true => Ok(gst::FlowSuccess::Ok),
            false => Err(gst::FlowError::Error),
        }
    }

    fn sink_serialized(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        let begins = matches!(
            event.type_(),
            gst::EventType::StreamStart | gst::EventType::Segment
        );
        if begins
            && matches!(
                self.context.queue.flow(),
                Err(gst::FlowError::Eos | gst::FlowError::NotLinked)
            )
        {
            // As in gstqueue.c: what ended or was unlinked may begin again.
            self.restart();
        }
        let ends = event.type_() == gst::EventType::Eos;
        let result = self.context.queue.push(Item::Event(event));
        if let Err(flow) = result
            && ends
            && flow != gst::FlowError::Eos
            && !self.context.queue.has_told()
        {
            self.conclude(flow);
        }
        result
    }

    fn restart(&self) {
        if let Err(error) = self.resume() {
            gst::element_imp_error!(
                self,
                gst::CoreError::Thread,
                ("The task can't be started: {error}")
            );
        }
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;

        if let QueryViewMut::Caps(q) = query.view_mut() {
            self.caps_query(q, &self.context.srcpad);
            if q.result().is_some_and(gst::CapsRef::is_empty) {
                self.context.explain_refusal();
            }
            return true;
        }
        if let QueryViewMut::AcceptCaps(_) = query.view_mut() {
            let answered = gst::Pad::query_default(pad, Some(&*self.obj()), query);
            if let QueryViewMut::AcceptCaps(q) = query.view_mut()
                && !q.result()
            {
                self.context.explain_refusal();
            }
            return answered;
        }
        if let QueryViewMut::Context(q) = query.view_mut()
            && self.context.answer_context(pad, q)
        {
            return true;
        }
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        if query.type_() == gst::QueryType::Drain && self.context.queue.push(Item::Drain).is_err() {
            return false;
        }
        // What came before it must be known downstream first.
        if self.context.queue.wait_idle().is_err() {
            return false;
        }
        let answered = self.context.srcpad.peer_query(query);
        if let QueryViewMut::Allocation(q) = query.view_mut() {
            let held = if self.context.settings().dedup {
                duplicates::most()
            } else {
                0
            };
            let held = (self.context.queue.capacity() + held) as u32 + 2;
            buffers::restate(q, held);
            return buffers::offer(q, held, || self.context.cuda_context()) || answered;
        }
        answered
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, imp = self, "got {event:?}");
        let rates = self.context.rates();
        if let gst::EventView::Latency(latency) = event.view() {
            lock(&self.context.latency_budget).configured = latency.latency().nseconds();
        }
        let settings = self.context.settings();
        if let gst::EventView::Qos(qos) = event.view()
            && (rates.interpolates || settings.dedup)
            && settings.qos
        {
            let (_, proportion, diff, timestamp) = qos.get();
            if let Some(timestamp) = timestamp {
                let (timestamp, slot) = (timestamp.nseconds(), rates.slot.nseconds());
                let latency_budget = self.context.latency_budget();
                let lateness = latency_budget.sink.map_or(0, |sink| sink.lateness);
                let diff = diff.saturating_sub_unsigned(lateness);
                let mut downstream = self.context.downstream();
                downstream.observe(proportion, diff, timestamp, slot, latency_budget.allowed());
            }
            // Upstream would drop originals; what can be left out is left out here.
            return true;
        }
        if !self.context.crew.has_this_thread() {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        }
        // A seek that flushes nothing waits for upstream's thread, which may wait for room here.
        self.context.queue.let_all_in(true);
        let wanted = gst::Pad::event_default(pad, Some(&*self.obj()), event);
        self.context.queue.let_all_in(false);
        wanted
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;

        if let QueryViewMut::Context(q) = query.view_mut()
            && self.context.answer_context(pad, q)
        {
            return true;
        }
        match query.view_mut() {
            QueryViewMut::Caps(q) => {
                self.caps_query(q, &self.context.sinkpad);
                true
            }
            QueryViewMut::Latency(q) => self.context.latency_query(q),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn caps_query(&self, query: &mut gst::query::Caps, other: &gst::Pad) {
        let filter = query.filter_owned();
        let asked = filter.as_ref().map(|filter| caps::with_any_rate(filter));
        let peer = other.peer_query_caps(asked.as_ref());
        let both = caps::with_any_rate(&peer).intersect(&caps::TEMPLATE);
        let device = self.context.settings().at_start.device;
        let mut result = caps::servable(&both, || cuda::can_serve(device));
        if let Some(filter) = filter {
            result = filter.intersect_with_mode(&result, gst::CapsIntersectMode::First);
        }
        query.set_result(&result);
    }
}
