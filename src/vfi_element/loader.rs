//! Work that takes too long for the stream, on threads of its own: loading a network, warming one
//! up, making a session for one size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::engine::Engine;
use super::jobs::Jobs;
use super::log::CAT;
use super::messenger::Messenger;
use crate::models::{
    ExecutionProvider, Interpolator, LoadCanceller, LoadOptions, SizedSession, Specialise, WarmUp,
};

/// Time for which a stop waits for work that was interrupted. The runtime looks for that between
/// its steps, so this is enough but for TensorRT, which builds an engine in one step.
const PATIENCE: Duration = Duration::from_secs(2);

/// Work that is done beside the stream.
pub(super) struct Loader {
    messenger: Arc<Messenger>,
    /// Networks to be loaded, and the one that was.
    loads: Jobs<LoadOptions, Engine>,
    /// Sessions for one size to be made; `None` was made where it is no gain.
    fits: Jobs<Specialise, Option<SizedSession>>,
    warm_ups: Jobs<WarmUp, ()>,
    /// The latest load has failed.
    failed: AtomicBool,
}

/// A kind of work: one job of it is done at a time.
trait BackgroundWork: Sized + Send + 'static {
    /// Result of a job.
    type Made: Send + 'static;
    /// Name of the thread that does the jobs.
    const THREAD: &'static str;

    /// Returns the jobs of this kind.
    fn jobs(loader: &Loader) -> &Jobs<Self, Self::Made>;

    /// Does a job, which has this number, and keeps what came of it or tells why nothing did.
    fn run(self, loader: &Loader, number: u64, interrupt: &LoadCanceller);
}

/// Loads a network while the current one goes on.
impl BackgroundWork for LoadOptions {
    type Made = Engine;
    const THREAD: &'static str = "vfiinterp-load";

    fn jobs(loader: &Loader) -> &Jobs<Self, Engine> {
        &loader.loads
    }

    fn run(self, loader: &Loader, number: u64, interrupt: &LoadCanceller) {
        match Interpolator::load_unless(&self, interrupt) {
            Ok(interpolator) => loader.loads.finish(number, Engine::new(interpolator)),
            Err(error) => {
                if loader.loads.is_wanted(number) {
                    loader.note_failure();
                }
                let text = format!("The model stays as it is: {error}");
                loader.messenger.warn(gst::ResourceError::OpenRead, &text);
            }
        }
    }
}

/// Runs a network once on nothing, so that the first frame is not late for it. The pair that needs
/// the session meanwhile waits for its turn, no longer than it has time.
impl BackgroundWork for WarmUp {
    type Made = ();
    const THREAD: &'static str = "vfiinterp-warm";

    fn jobs(loader: &Loader) -> &Jobs<Self, ()> {
        &loader.warm_ups
    }

    fn run(self, _loader: &Loader, _number: u64, interrupt: &LoadCanceller) {
        match WarmUp::run(self, interrupt) {
            Ok(()) => gst::debug!(CAT, "warmed up"),
            // whatever it is, the first frame will tell
            Err(error) => gst::debug!(CAT, "not warmed up: {error}"),
        }
    }
}

/// Makes a session for one size while the current one goes on.
impl BackgroundWork for Specialise {
    type Made = Option<SizedSession>;
    const THREAD: &'static str = "vfiinterp-fit";

    fn jobs(loader: &Loader) -> &Jobs<Self, Self::Made> {
        &loader.fits
    }

    fn run(self, loader: &Loader, number: u64, interrupt: &LoadCanceller) {
        loader.tell_fitting(gst::ProgressType::Start, &self);
        let result = self.clone().make(interrupt);
        if !loader.fits.is_wanted(number) {
            loader.tell_fitting(gst::ProgressType::Canceled, &self);
            return;
        }
        gst::info!(CAT, "{self:?}: {result:?}");
        match result {
            Ok(made) => {
                // whoever is told may count on it
                loader.fits.finish(number, made);
                loader.tell_fitting(gst::ProgressType::Complete, &self);
            }
            Err(error) => {
                loader.fits.finish(number, None);
                loader.tell_fitting(gst::ProgressType::Error, &self);
                if is_announced(&self) {
                    let text = format!("It goes on without: {error}");
                    loader.messenger.warn(gst::LibraryError::Init, &text);
                }
            }
        }
    }
}

impl Loader {
    /// Creates a loader that tells by this messenger how it goes.
    pub(super) fn new(messenger: Arc<Messenger>) -> Self {
        Self {
            messenger,
            loads: Jobs::default(),
            fits: Jobs::default(),
            warm_ups: Jobs::default(),
            failed: AtomicBool::default(),
        }
    }

    /// Does a job on a thread, in place of others of its kind that were wanted; the one under way
    /// comes to its end first.
    fn start<W: BackgroundWork>(self: &Arc<Self>, job: W) -> io::Result<()> {
        if !W::jobs(self).want(job) {
            return Ok(());
        }
        let loader = Arc::clone(self);
        let work = move || {
            while let Some((job, number, interrupt)) = W::jobs(&loader).next() {
                job.run(&loader, number, &interrupt);
            }
        };
        let thread = thread::Builder::new().name(W::THREAD.into()).spawn(work);
        thread.map(drop).inspect_err(|_| W::jobs(self).give_up())
    }

    /// Loads another network while the current one goes on; a failure is a warning, and the
    /// stream goes on with what it has.
    pub(super) fn load(self: &Arc<Self>, options: LoadOptions) {
        self.failed.store(false, Ordering::Relaxed);
        if let Err(error) = self.start(options) {
            let text = format!("The model stays as it is: no thread to load it: {error}");
            self.messenger.warn(gst::ResourceError::Failed, &text);
        }
    }

    /// Takes a network that has been loaded since this was last asked.
    pub(super) fn take_loaded(&self) -> Option<Engine> {
        self.loads.take()
    }

    /// Returns whether the model that was set last does not serve.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that the model that was set last does not serve: who sets it again wants it tried
    /// again.
    pub(super) fn note_failure(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Warms up an engine that was just configured, if that is worth while.
    pub(super) fn warm_up(self: &Arc<Self>, engine: &mut Engine) {
        if let Some(warm_up) = engine.take_warm_up()
            && let Err(error) = self.start(warm_up)
        {
            gst::debug!(CAT, "no thread to warm up: {error}");
        }
    }

    /// Makes a session for one size while the current one goes on.
    pub(super) fn fit(self: &Arc<Self>, fitting: Specialise) {
        if let Err(error) = self.start(fitting) {
            gst::debug!(CAT, "no thread to fit the session: {error}");
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
        let message = gst::message::Progress::builder(progress, "engine", &text);
        let element = self.messenger.element();
        (self.messenger).post(message.src_if_some(element.as_ref()).build());
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

/// Returns whether it was asked for by name, and takes long enough to be told of.
fn is_announced(fitting: &Specialise) -> bool {
    fitting.provider() != ExecutionProvider::Cuda
}
