//! Work that takes too long for the stream, on threads of its own: loading a network, warming one
//! up, making a session for one size.

use std::io;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use glib::WeakRef;
use gst::subclass::prelude::*;

use super::CAT;
use super::VfiInterp as Element;
use super::engine::Engine;
use super::imp::VfiInterp;
use crate::models::{ExecutionProvider, Fitted, Fitting, Interrupt, ModelError, WarmUp};
use crate::sync::lock;

/// How long a stop waits for work that was interrupted. The runtime looks for that between its steps,
/// so this is enough but for TensorRT, which builds an engine in one step.
const PATIENCE: Duration = Duration::from_secs(2);

/// Jobs of one kind. One is done at a time, however many are wanted, and then the one that is wanted
/// by then; only what came of the latest counts.
pub(super) struct Background<J, D> {
    state: Mutex<State<J, D>>,
    idle: Condvar,
}

struct State<J, D> {
    /// How many were wanted.
    count: u64,
    /// The one that is to be done next.
    next: Option<J>,
    /// There is a thread that sees to it, and this stops what it does.
    busy: Option<Interrupt>,
    /// What came of the latest, for the next pair.
    done: Option<D>,
}

impl<J, D> Default for Background<J, D> {
    fn default() -> Self {
        let state = State {
            count: 0,
            next: None,
            busy: None,
            done: None,
        };
        Self {
            state: Mutex::new(state),
            idle: Condvar::new(),
        }
    }
}

impl<J, D> Background<J, D> {
    /// A job is wanted, and no other any more; `true` if that takes a new thread.
    pub(super) fn want(&self, job: J) -> bool {
        self.forget();
        let mut state = lock(&self.state);
        state.next = Some(job);
        let starts = state.busy.is_none();
        state.busy.get_or_insert_default();
        starts
    }

    /// None is wanted any more.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.state);
        state.count += 1;
        (state.next, state.done) = (None, None);
        let busy = state.busy.clone();
        drop(state);
        if let Some(interrupt) = busy {
            interrupt.stop();
        }
    }

    /// What is to be done, its number, and what stops it; `None` ends the thread that asks.
    fn next(&self) -> Option<(J, u64, Interrupt)> {
        let mut state = lock(&self.state);
        let next = state.next.take();
        state.busy = next.as_ref().map(|_| Interrupt::default());
        self.idle.notify_all();
        Some((next?, state.count, state.busy.clone()?))
    }

    /// There is no thread to do it.
    pub(super) fn give_up(&self) {
        lock(&self.state).busy = None;
    }

    /// Whether it is the job of this number that is wanted.
    pub(super) fn wants(&self, count: u64) -> bool {
        lock(&self.state).count == count
    }

    /// A job was done.
    pub(super) fn finish(&self, count: u64, done: D) {
        let mut state = lock(&self.state);
        if state.count == count {
            state.done = Some(done);
        }
    }

    /// What came of it.
    pub(super) fn take(&self) -> Option<D> {
        lock(&self.state).done.take()
    }

    /// Waits until nothing is done, but not for ever.
    fn wait(&self, patience: Duration) {
        let state = lock(&self.state);
        let busy = |state: &mut State<J, D>| state.busy.is_some();
        // what goes on comes to nothing
        drop(self.idle.wait_timeout_while(state, patience, busy));
    }
}

impl VfiInterp {
    /// Does one job of a kind after the other on a thread of this name, as long as there are any.
    pub(super) fn in_background<J: 'static, D: 'static, R: 'static>(
        &self,
        name: &str,
        jobs: fn(&Self) -> &Background<J, D>,
        work: fn(&WeakRef<Element>, J, &Interrupt) -> R,
        done: fn(&Self, R, u64),
    ) -> io::Result<()> {
        let element = self.obj().downgrade();
        let all = move || {
            // The element is not kept while a job is done.
            let next = || jobs(element.upgrade()?.imp()).next();
            while let Some((job, count, interrupt)) = next() {
                let result = work(&element, job, &interrupt);
                if let Some(element) = element.upgrade() {
                    done(element.imp(), result, count);
                }
            }
        };
        thread::Builder::new()
            .name(name.into())
            .spawn(all)
            .map(drop)
    }

    /// Runs a network once on nothing, so that the first frame is not late for it. The pair that
    /// needs the session meanwhile waits for its turn, no longer than it has time.
    pub(super) fn warm_up(&self, warm_up: WarmUp) {
        if !self.warm_ups.want(warm_up) {
            return;
        }
        let work = |_: &WeakRef<_>, job: WarmUp, interrupt: &Interrupt| job.run(interrupt);
        let done = |imp: &Self, result, _| match result {
            Ok(()) => gst::debug!(CAT, imp = imp, "warmed up"),
            // whatever it is, the first frame will tell
            Err(error) => gst::debug!(CAT, imp = imp, "not warmed up: {error}"),
        };
        if let Err(error) = self.in_background("vfiinterp-warm", |imp| &imp.warm_ups, work, done) {
            self.warm_ups.give_up();
            gst::debug!(CAT, imp = self, "no thread to warm up: {error}");
        }
    }

    /// Makes a session for one size while the current one goes on.
    pub(super) fn fit_in_background(&self, fitting: Fitting) {
        if !self.fits.want(fitting) {
            return;
        }
        let work = |element: &WeakRef<_>, fitting: Fitting, interrupt: &Interrupt| {
            if let Some(element) = element.upgrade() {
                Self::from_obj(&element).tell_fitting(gst::ProgressType::Start, &fitting);
            }
            (fitting.clone().make(interrupt), fitting)
        };
        if let Err(error) = self.in_background("vfiinterp-fit", |imp| &imp.fits, work, Self::fitted)
        {
            self.fits.give_up();
            gst::debug!(CAT, imp = self, "no thread to fit the session: {error}");
        }
    }

    fn fitted(&self, (result, fitting): (Result<Option<Fitted>, ModelError>, Fitting), count: u64) {
        if !self.fits.wants(count) {
            self.tell_fitting(gst::ProgressType::Canceled, &fitting);
            return;
        }
        gst::info!(CAT, imp = self, "{fitting:?}: {result:?}");
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
                    gst::element_imp_warning!(
                        self,
                        gst::LibraryError::Init,
                        ("It goes on without: {error}")
                    );
                }
            }
        }
    }

    /// Tells the application how far that is.
    fn tell_fitting(&self, progress: gst::ProgressType, fitting: &Fitting) {
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
        self.post(message.src(&*self.obj()).build());
    }

    /// Sees to what an engine that was just configured can have done beside the stream.
    pub(super) fn attend(&self, engine: &mut Engine) {
        if let Some(warm_up) = engine.take_warm_up() {
            self.warm_up(warm_up);
        }
    }

    /// Ends what nobody wants any more. A program may end after that, which would pull the runtime out
    /// from under the threads: so it waits for them, for a while.
    pub(super) fn end_background(&self) {
        self.loads.forget();
        self.fits.forget();
        self.warm_ups.forget();
        let end = Instant::now() + PATIENCE;
        self.loads.wait(end - Instant::now());
        self.fits
            .wait(end.saturating_duration_since(Instant::now()));
        self.warm_ups
            .wait(end.saturating_duration_since(Instant::now()));
    }
}

/// Whether it was asked for by name, and takes long enough to be told of.
fn is_announced(fitting: &Fitting) -> bool {
    fitting.provider() != ExecutionProvider::Cuda
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_the_latest_counts() {
        let jobs = Background::default();
        assert!(jobs.want("a"));
        let (job, first, _) = jobs.next().unwrap();
        assert_eq!(job, "a");
        // while that is done
        assert!(!jobs.want("b") && !jobs.want("c"));
        jobs.finish(first, 1);
        assert_eq!(jobs.take(), None, "nobody wants that any more");
        let (job, last, _) = jobs.next().unwrap();
        assert_eq!(job, "c");
        jobs.finish(last, 3);
        assert_eq!((jobs.take(), jobs.take()), (Some(3), None));
        assert!(jobs.next().is_none());
        assert!(jobs.want("d"), "the thread has ended");
        jobs.forget();
        assert!(jobs.next().is_none());
    }

    #[test]
    fn what_is_forgotten_is_stopped_and_waited_for() {
        let jobs: &Background<_, ()> = &Background::default();
        jobs.want("a");
        let (_, _, interrupt) = jobs.next().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel();
        interrupt.add(move || stop.send(()).unwrap());
        thread::scope(|scope| {
            scope.spawn(move || {
                stopped.recv().unwrap();
                assert!(jobs.next().is_none());
            });
            jobs.forget();
            jobs.wait(Duration::from_secs(60));
            assert!(lock(&jobs.state).busy.is_none());
        });
        // what can't be stopped is not waited for for ever
        jobs.want("b");
        jobs.wait(Duration::ZERO);
    }
}
