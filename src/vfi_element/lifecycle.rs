//! Starting and stopping: the network is loaded, the task runs, pauses and ends.

use std::sync::atomic::Ordering;

use glib::WeakRef;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::engine::Engine;
use super::imp::VfiInterp;
use super::latency::Rates;
use super::pacing::{Downstream, Promise};
use super::worker::Worker;
use crate::models::{Interpolator, Interrupt, LoadOptions, ModelError};
use crate::sync::lock;

impl VfiInterp {
    pub(super) fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        let interpolator =
            Interpolator::load(&settings.load_options()).map_err(|error| match error {
                ModelError::Memory { .. } => {
                    gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}"))
                }
                error => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
            })?;
        let engine = Engine::new(interpolator);
        self.stats().reset();
        *self.downstream() = Downstream::default();
        self.adopt(&engine);
        *lock(&self.worker) = Some(Box::new(Worker::new(settings, engine)));
        Ok(())
    }

    pub(super) fn stop(&self) {
        // The end of a flush may have started the task again between the pads' deactivations.
        self.interrupt();
        let _stopped = self.srcpad.stop_task();
        self.end_background();
        self.queue.forget();
        *lock(&self.worker) = None;
        *lock(&self.canceller) = None;
        *lock(&self.pool) = None;
        *lock(&self.refused) = None;
        *lock(&self.rates) = Rates::default();
        *lock(&self.promise) = Promise::default();
    }

    /// Loads another network while the current one goes on; a failure is a warning, and the
    /// stream goes on with what it has. One is loaded at a time, however often it is changed, and then
    /// the one that is wanted by then.
    pub(super) fn load_in_background(&self, options: LoadOptions) {
        self.load_failed.store(false, Ordering::Relaxed);
        if !self.loads.want(options) {
            return;
        }
        let load = |_: &WeakRef<_>, options: LoadOptions, interrupt: &Interrupt| {
            Interpolator::load_unless(&options, interrupt)
        };
        if let Err(error) = self.in_background("vfiinterp-load", |i| &i.loads, load, Self::loaded) {
            self.loads.give_up();
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Failed,
                ("The model stays as it is: no thread to load it: {error}")
            );
        }
    }

    /// Takes what was loaded, if nothing else is wanted by now.
    fn loaded(&self, loaded: Result<Interpolator, ModelError>, count: u64) {
        match loaded {
            Ok(interpolator) => {
                let engine = Engine::new(interpolator);
                self.loads.finish(count, engine);
            }
            Err(error) => {
                if self.loads.wants(count) {
                    self.load_failed.store(true, Ordering::Relaxed);
                }
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::OpenRead,
                    ("The model stays as it is: {error}")
                );
            }
        }
    }

    /// Gets the task out of whatever it waits for.
    pub(super) fn interrupt(&self) {
        self.queue.close(gst::FlowError::Flushing);
        if let Some(canceller) = &*lock(&self.canceller) {
            canceller.cancel();
        }
        if let Some(pool) = &*lock(&self.pool) {
            pool.set_flushing(true);
        }
    }

    /// Lets the task work (again).
    pub(super) fn resume(&self) -> Result<(), glib::BoolError> {
        // A pad that has a task keeps its function, and the new one, with all that it holds, would be lost
        // for good. There is none the first time.
        self.interrupt();
        let _stopped = self.srcpad.stop_task();
        self.reopen();
        let element = self.obj().downgrade();
        self.srcpad.start_task(move || {
            if let Some(element) = element.upgrade() {
                element.imp().iterate();
            }
        })
    }

    /// Lets items in, and what is made of them out.
    pub(super) fn reopen(&self) {
        if let Some(canceller) = &*lock(&self.canceller) {
            canceller.rearm();
        }
        if let Some(pool) = &*lock(&self.pool) {
            pool.set_flushing(false);
        }
        self.queue.open();
        // Whoever stops the pad marks it first, and then closes the queue: one of the two sees the other.
        if !self.srcpad.is_active() {
            self.interrupt();
        }
    }

    /// One turn of the task.
    fn iterate(&self) {
        let taken = lock(&self.worker).take();
        let Some(mut worker) = taken else {
            self.pause(gst::FlowError::Flushing);
            return;
        };
        let at_work = self.crew.set_to_work();
        let round = self.queue.round();
        if worker.round != round {
            worker.flush();
            worker.round = round;
        }
        let item = self.queue.pop(round);
        let result = item.and_then(|item| worker.handle(self, item));
        if result.is_err() {
            // Whatever comes next, if anything does, has nothing to do with what was.
            worker.flush();
        }
        *lock(&self.worker) = Some(worker);
        match result {
            // A flush from this very thread, or the courier's, has ended by now: on with the next round.
            Err(flow) if self.queue.round() == round => self.pause(flow),
            _ => self.queue.done(),
        }
        drop(at_work);
    }

    fn pause(&self, flow: gst::FlowError) {
        gst::debug!(CAT, imp = self, "pausing: {flow:?}");
        // Before upstream is told: it may begin anew at once, and that starts the task again. Fails only
        // where there is no task to pause.
        let _paused = self.srcpad.pause_task();
        // A flush or stop has closed the queue already, with a reason that must stay.
        let eos_waits = self.queue.fail(flow);
        if flow == gst::FlowError::Eos || eos_waits {
            self.conclude(flow);
        }
    }

    /// The stream ends with `flow` after upstream's last call, so that upstream won't report it;
    /// and its own end of stream can't get past the closed queue.
    pub(super) fn conclude(&self, flow: gst::FlowError) {
        match flow {
            gst::FlowError::Flushing => return,
            gst::FlowError::Eos => {}
            _ => gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Internal data stream error."),
                ["streaming stopped, reason {flow}"]
            ),
        }
        let _wanted = self.srcpad.push_event(gst::event::Eos::new());
    }
}
