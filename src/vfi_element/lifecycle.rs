//! Starting and stopping: the network is loaded, the task runs, pauses and ends.

use std::sync::Arc;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::engine::Engine;
use super::imp::VfiInterp;
use super::log::CAT;
use super::settings::Settings;
use super::task::Worker;
use super::timing::deadlines::Downstream;
use crate::models::{Interpolator, ModelError};
use crate::sync::lock;

impl VfiInterp {
    pub(super) fn start(&self) -> Result<(), gst::ErrorMessage> {
        let context = &self.context;
        context.change_settings(Settings::begin);
        let settings = context.settings();
        let loaded = Interpolator::load(&settings.load_options());
        let interpolator = loaded.map_err(|error| {
            context.change_settings(Settings::end);
            match error {
                ModelError::Memory { .. } => {
                    gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}"))
                }
                error => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
            }
        })?;
        let engine = Engine::new(interpolator);
        context.stats().reset();
        *context.downstream() = Downstream::default();
        context.adopt(&engine);
        let worker = Worker::new(settings, engine, Arc::clone(context));
        *lock(&self.worker) = Some(Box::new(worker));
        Ok(())
    }

    pub(super) fn stop(&self) {
        // The end of a flush may have started the task again between the pads' deactivations.
        self.context.interrupt();
        let _stopped = self.context.srcpad.stop_task();
        self.context.loader.end();
        self.context.forget();
        *lock(&self.worker) = None;
        self.context.change_settings(Settings::end);
    }

    /// Lets the task work (again).
    pub(super) fn resume(&self) -> Result<(), glib::BoolError> {
        // A pad that has a task keeps its function, and the new one, with all that it holds, would be lost
        // for good. There is none the first time.
        self.context.interrupt();
        let _stopped = self.context.srcpad.stop_task();
        self.context.reopen();
        let element = self.obj().downgrade();
        self.context.srcpad.start_task(move || {
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
        let at_work = self.context.crew.set_to_work();
        let round = self.context.queue.round();
        worker.begin(round);
        let taken = self.context.queue.pop(round);
        let result = taken.and_then(|taken| worker.handle(&self.context, taken));
        if result.is_err() {
            // Whatever comes next, if anything does, has nothing to do with what was.
            worker.flush();
        }
        *lock(&self.worker) = Some(worker);
        match result {
            // A flush from this very thread, or the output's, has ended by now: on with the next round.
            Err(flow) if self.context.queue.round() == round => self.pause(flow),
            _ => self.context.queue.done(),
        }
        drop(at_work);
    }

    fn pause(&self, flow: gst::FlowError) {
        gst::debug!(CAT, imp = self, "pausing: {flow:?}");
        // Before upstream is told: it may begin anew at once, and that starts the task again. Fails only
        // where there is no task to pause.
        let _paused = self.context.srcpad.pause_task();
        // A flush or stop has closed the queue already, with a reason that must stay.
        let eos_waits = self.context.queue.fail(flow);
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
        let _wanted = self.context.srcpad.push_event(gst::event::Eos::new());
    }
}
