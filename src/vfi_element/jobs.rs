//! Jobs that are done one at a time, where only the latest counts.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::models::LoadCanceller;
use crate::sync::lock;

/// Jobs of one kind. One is done at a time, however many are wanted, and then the one that is wanted
/// by then; only what came of the latest counts.
pub(super) struct Jobs<J, D> {
    state: Mutex<Progress<J, D>>,
    idle: Condvar,
}

struct Progress<J, D> {
    /// Number of jobs wanted so far.
    count: u64,
    /// The one that is to be done next.
    next: Option<J>,
    /// Canceller of the job in progress, if there is a thread at work.
    busy: Option<LoadCanceller>,
    /// Result of the latest job, for the next pair.
    done: Option<D>,
}

impl<J, D> Default for Jobs<J, D> {
    fn default() -> Self {
        let state = Progress {
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

impl<J, D> Jobs<J, D> {
    /// Replaces whatever job is wanted by this one; returns `true` if that takes a new thread.
    pub(super) fn want(&self, job: J) -> bool {
        self.forget();
        let mut state = lock(&self.state);
        state.next = Some(job);
        let starts = state.busy.is_none();
        state.busy.get_or_insert_default();
        starts
    }

    /// Forgets the jobs that were wanted, and stops the one in progress.
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

    /// Returns the next job, its number and its canceller; `None` ends the thread that asks.
    pub(super) fn next(&self) -> Option<(J, u64, LoadCanceller)> {
        let mut state = lock(&self.state);
        let next = state.next.take();
        state.busy = next.as_ref().map(|_| LoadCanceller::default());
        self.idle.notify_all();
        Some((next?, state.count, state.busy.clone()?))
    }

    /// Notes that there is no thread to do the job.
    pub(super) fn give_up(&self) {
        lock(&self.state).busy = None;
    }

    /// Returns whether it is the job of this number that is wanted.
    pub(super) fn is_wanted(&self, count: u64) -> bool {
        lock(&self.state).count == count
    }

    /// Stores the result of a job, unless another is wanted by now.
    pub(super) fn finish(&self, count: u64, done: D) {
        let mut state = lock(&self.state);
        if state.count == count {
            state.done = Some(done);
        }
    }

    /// Takes the result of the latest job, if there is one.
    pub(super) fn take(&self) -> Option<D> {
        lock(&self.state).done.take()
    }

    /// Waits until nothing is done, but not for ever.
    pub(super) fn wait(&self, patience: Duration) {
        let state = lock(&self.state);
        let busy = |state: &mut Progress<J, D>| state.busy.is_some();
        // what goes on comes to nothing
        drop(self.idle.wait_timeout_while(state, patience, busy));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn one_at_a_time_and_the_latest_counts() {
        let jobs = Jobs::default();
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
        let jobs: &Jobs<_, ()> = &Jobs::default();
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
