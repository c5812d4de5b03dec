//! Starting and stopping: the network is loaded, the task runs, pauses and ends.

use std::sync::atomic::Ordering;
use std::thread;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::engine::Engine;
use super::imp::{VfiInterp, lock};
use super::latency::Rates;
use super::pacing::{Downstream, Promise};
use super::worker::Worker;
use crate::models::{Interpolator, LoadOptions, ModelError};

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
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.queue.forget();
        *lock(&self.loaded) = None;
        *lock(&self.worker) = None;
        *lock(&self.canceller) = None;
        *lock(&self.pool) = None;
        *lock(&self.rates) = Rates::default();
        *lock(&self.promise) = Promise::default();
    }

    /// Loads another network while the current one goes on; a failure is a warning, and the
    /// stream goes on with what it has.
    pub(super) fn load_in_background(&self, options: LoadOptions) {
        let load = self.loads.fetch_add(1, Ordering::Relaxed) + 1;
        self.load_failed.store(false, Ordering::Relaxed);
        let element = self.obj().downgrade();
        let work = move || {
            let loaded = Interpolator::load(&options);
            let Some(element) = element.upgrade() else {
                return;
            };
            let imp = element.imp();
            match loaded {
                Ok(interpolator) => {
                    let mut place = lock(&imp.loaded);
                    if imp.loads.load(Ordering::Relaxed) == load {
                        *place = Some(Engine::new(interpolator));
                    }
                }
                Err(error) => {
                    if imp.loads.load(Ordering::Relaxed) == load {
                        imp.load_failed.store(true, Ordering::Relaxed);
                    }
                    gst::element_imp_warning!(
                        imp,
                        gst::ResourceError::OpenRead,
                        ("The model stays as it is: {error}")
                    );
                }
            }
        };
        let thread = thread::Builder::new().name("vfiinterp-load".into());
        if let Err(error) = thread.spawn(work) {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Failed,
                ("The model stays as it is: no thread to load it: {error}")
            );
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
        if let Some(canceller) = &*lock(&self.canceller) {
            canceller.rearm();
        }
        if let Some(pool) = &*lock(&self.pool) {
            pool.set_flushing(false);
        }
        self.queue.open();
        let element = self.obj().downgrade();
        self.srcpad.start_task(move || {
            if let Some(element) = element.upgrade() {
                element.imp().iterate();
            }
        })
    }

    /// One turn of the task.
    fn iterate(&self) {
        let taken = lock(&self.worker).take();
        let Some(mut worker) = taken else {
            self.pause(gst::FlowError::Flushing);
            return;
        };
        let result = self.queue.pop().and_then(|item| worker.handle(self, item));
        *lock(&self.worker) = Some(worker);
        match result {
            Ok(()) => self.queue.done(),
            Err(flow) => self.pause(flow),
        }
    }

    fn pause(&self, flow: gst::FlowError) {
        gst::debug!(CAT, imp = self, "pausing: {flow:?}");
        // A flush or stop has closed the queue already, with a reason that must stay.
        let eos_waits = self.queue.fail(flow);
        if flow == gst::FlowError::Eos || eos_waits {
            self.conclude(flow);
        }
        // Fails only where there is no task to pause.
        let _paused = self.srcpad.pause_task();
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
