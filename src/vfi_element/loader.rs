//! Work that takes too long for the stream, on threads of its own: loading a network, warming one
//! up, making a session for one size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use glib::WeakRef;
use gst::prelude::*;

use super::engine::Engine;
use super::jobs::Jobs;
use super::log::CAT;
use crate::models::{
    ExecutionProvider, Interpolator, LoadCanceller, LoadOptions, ModelError, SizedSession,
    Specialise, WarmUp,
};

/// Time for which a stop waits for work that was interrupted. The runtime looks for that between
/// its steps, so this is enough but for TensorRT, which builds an engine in one step.
const PATIENCE: Duration = Duration::from_secs(2);

/// Work that is done beside the stream.
#[derive(Default)]
pub(super) struct Loader {
    /// The element that is told how it goes.
    element: WeakRef<gst::Element>,
    /// Networks to be loaded, and the one that was.
    loads: Jobs<LoadOptions, Engine>,
    /// Sessions for one size to be made; `None` was made where it is no gain.
    fits: Jobs<Specialise, Option<SizedSession>>,
    warm_ups: Jobs<WarmUp, ()>,
    /// The latest load has failed.
    failed: AtomicBool,
}

impl Loader {
    /// Tells this element how it goes.
    pub(super) fn report_to(&self, element: &gst::Element) {
        self.element.set(Some(element));
    }

    /// Does one job of a kind after the other on a thread of this name, as long as there are any.
    fn start<J: 'static, D: 'static, R: 'static>(
        self: &Arc<Self>,
        name: &str,
        jobs: fn(&Self) -> &Jobs<J, D>,
        work: fn(&Self, J, &LoadCanceller) -> R,
        done: fn(&Self, R, u64),
    ) -> io::Result<()> {
        let loader = Arc::clone(self);
        let all = move || {
            while let Some((job, count, interrupt)) = jobs(&loader).next() {
                let result = work(&loader, job, &interrupt);
                done(&loader, result, count);
            }
        };
        thread::Builder::new()
            .name(name.into())
            .spawn(all)
            .map(drop)
    }

    /// Loads another network while the current one goes on; a failure is a warning, and the
    /// stream goes on with what it has. One is loaded at a time, however often it is changed, and then
    /// the one that is wanted by then.
    pub(super) fn load(self: &Arc<Self>, options: LoadOptions) {
        self.failed.store(false, Ordering::Relaxed);
        if !self.loads.want(options) {
            return;
        }
        let load = |_: &Self, options: LoadOptions, interrupt: &LoadCanceller| {
            Interpolator::load_unless(&options, interrupt)
        };
        if let Err(error) = self.start("vfiinterp-load", |all| &all.loads, load, Self::loaded) {
            self.loads.give_up();
            let text = format!("The model stays as it is: no thread to load it: {error}");
            self.warn(gst::ResourceError::Failed, &text);
        }
    }

    /// Takes what was loaded, if nothing else is wanted by now.
    fn loaded(&self, loaded: Result<Interpolator, ModelError>, count: u64) {
        match loaded {
            Ok(interpolator) => self.loads.finish(count, Engine::new(interpolator)),
            Err(error) => {
                if self.loads.wants(count) {
                    self.failed.store(true, Ordering::Relaxed);
                }
                let text = format!("The model stays as it is: {error}");
                self.warn(gst::ResourceError::OpenRead, &text);
            }
        }
    }

    /// A network that has been loaded since this was last asked.
    pub(super) fn take_loaded(&self) -> Option<Engine> {
        self.loads.take()
    }

    /// Whether the model that was set last does not serve.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that the model that was set last does not serve: who sets it again wants it tried again.
    pub(super) fn note_failure(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Runs a network once on nothing, so that the first frame is not late for it. The pair that
    /// needs the session meanwhile waits for its turn, no longer than it has time.
    fn warm_up(self: &Arc<Self>, warm_up: WarmUp) {
        if !self.warm_ups.want(warm_up) {
            return;
        }
        let work = |_: &Self, job: WarmUp, interrupt: &LoadCanceller| job.run(interrupt);
        let done = |_: &Self, result, _| match result {
            Ok(()) => gst::debug!(CAT, "warmed up"),
            // whatever it is, the first frame will tell
            Err(error) => gst::debug!(CAT, "not warmed up: {error}"),
        };
        if let Err(error) = self.start("vfiinterp-warm", |all| &all.warm_ups, work, done) {
            self.warm_ups.give_up();
            gst::debug!(CAT, "no thread to warm up: {error}");
        }
    }

    /// Makes a session for one size while the current one goes on.
    pub(super) fn fit(self: &Arc<Self>, fitting: Specialise) {
        if !self.fits.want(fitting) {
            return;
        }
        let work = |loader: &Self, fitting: Specialise, interrupt: &LoadCanceller| {
            loader.tell_fitting(gst::ProgressType::Start, &fitting);
            (fitting.clone().make(interrupt), fitting)
        };
        if let Err(error) = self.start("vfiinterp-fit", |all| &all.fits, work, Self::fitted) {
            self.fits.give_up();
            gst::debug!(CAT, "no thread to fit the session: {error}");
        }
    }

    fn fitted(
        &self,
        (result, fitting): (Result<Option<SizedSession>, ModelError>, Specialise),
        count: u64,
    ) {
        if !self.fits.wants(count) {
            self.tell_fitting(gst::ProgressType::Canceled, &fitting);
            return;
        }
        gst::info!(CAT, "{fitting:?}: {result:?}");
        match result {
            Ok(made) => {
                // whoever is told may count on it
                self.fits.finish(count, made);
                self.tell_fitting(gst::ProgressType::Complete, &fitting);
            }
            Err(error) => {
                self.fits.finish(count, None);
                self.tell_fitting(gst::ProgressType::Error, &fitting);
                if is_announced(&fitting) {
                    let text = format!("It goes on without: {error}");
                    self.warn(gst::LibraryError::Init, &text);
                }
            }
        }
    }

    /// Takes the result of making a session for one size, if one came since this was last asked.
    pub(super) fn take_fitted(&self) -> Option<Option<SizedSession>> {
        self.fits.take()
    }

    /// Gives up a session for one size that is being made.
    pub(super) fn forget_fitting(&self) {
        self.fits.forget();
    }

    /// Tells the application how far that is.
    fn tell_fitting(&self, progress: gst::ProgressType, fitting: &Specialise) {
        if !is_announced(fitting) {
            return;
        }
        let (width, height) = fitting.size();
        let provider = fitting.provider().nick();
        let text = match progress {
            gst::ProgressType::Start => "is being made",
            gst::ProgressType::Complete => "is ready",
            gst::ProgressType::Canceled => "is not wanted any more",
            _ => "can't be used",
        };
        let text = format!("The network for {provider} at {width}x{height} {text}");
        if let Some(element) = self.element.upgrade() {
            let message = gst::message::Progress::builder(progress, "engine", &text);
            // Fails where there is no bus, and then nobody wants to know.
            let _posted = element.post_message(message.src(&element).build());
        }
    }

    fn warn(&self, code: impl gst::MessageErrorDomain, text: &str) {
        if let Some(element) = self.element.upgrade() {
            gst::element_warning!(element, code, ("{text}"));
        }
    }

    /// Warms up an engine that was just configured, if that is worth while.
    pub(super) fn attend(self: &Arc<Self>, engine: &mut Engine) {
        if let Some(warm_up) = engine.take_warm_up() {
            self.warm_up(warm_up);
        }
    }

    /// Ends what nobody wants any more. A program may end after that, which would pull the runtime out
    /// from under the threads: so it waits for them, for a while.
    pub(super) fn end(&self) {
        self.loads.forget();
        self.fits.forget();
        self.warm_ups.forget();
        let end = Instant::now() + PATIENCE;
        let left = || end.saturating_duration_since(Instant::now());
        self.loads.wait(left());
        self.fits.wait(left());
        self.warm_ups.wait(left());
    }
}

/// Whether it was asked for by name, and takes long enough to be told of.
fn is_announced(fitting: &Specialise) -> bool {
    fitting.provider() != ExecutionProvider::Cuda
}
