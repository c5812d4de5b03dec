//! Stopping a run from another thread.

use std::sync::{Arc, Mutex, Weak};

use ort::session::{RunOptions, Session};

use super::fair_lock::FairLock;
use crate::sync::lock;

/// Stops a running [`Interpolator::estimate`](crate::models::interpolator::Interpolator::estimate) from another thread.
#[derive(Clone)]
pub struct RunCanceller(Arc<Cancel>);

struct Cancel {
    cancelled: Mutex<bool>,
    /// Options of this network's own runs: others on the same session are not its business.
    options: RunOptions,
    /// Options of runs after which memory is given back.
    clearing: RunOptions,
    /// Sessions where a run may be waiting for its turn.
    sessions: Mutex<Vec<Weak<FairLock<Session>>>>,
}

impl RunCanceller {
    /// Creates one for runs on `session`; those that give memory back are made with `clearing`.
    pub(crate) fn new(session: &Arc<FairLock<Session>>, clearing: RunOptions) -> ort::Result<Self> {
        Ok(Self(Arc::new(Cancel {
            cancelled: Mutex::new(false),
            options: RunOptions::new()?,
            clearing,
            sessions: Mutex::new(vec![Arc::downgrade(session)]),
        })))
    }

    /// Adds a session whose runs are stopped, too.
    pub(crate) fn watch(&self, session: &Arc<FairLock<Session>>) {
        let mut sessions = lock(&self.0.sessions);
        sessions.retain(|known| known.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    /// Returns the options for a run that can be stopped; with `clears` it gives memory back, too.
    pub(crate) fn options(&self, clears: bool) -> &RunOptions {
        match clears {
            true => &self.0.clearing,
            false => &self.0.options,
        }
    }

    /// Makes the running estimate, and every later one until [`rearm`](Self::rearm), return
    /// [`ModelError::Cancelled`](crate::models::error::ModelError::Cancelled) as soon as the node it is at is
    /// done. Does not wait for it.
    pub fn cancel(&self) {
        self.set(true);
    }

    /// Allows estimates again.
    pub fn rearm(&self) {
        self.set(false);
    }

    fn set(&self, cancelled: bool) {
        let mut state = lock(&self.0.cancelled);
        *state = cancelled;
        for options in [&self.0.options, &self.0.clearing] {
            // these only set a flag, which cannot fail
            let _ = if cancelled {
                options.terminate()
            } else {
                options.unterminate()
            };
        }
        drop(state);
        // not held while the sessions are told: one lock at a time
        let sessions = lock(&self.0.sessions).clone();
        for session in sessions.iter().filter_map(Weak::upgrade) {
            session.recheck();
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *lock(&self.0.cancelled)
    }
}

impl std::fmt::Debug for RunCanceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RunCanceller")
            .field(&self.is_cancelled())
            .finish()
    }
}
