//! How long runs wait for others that use the same session.

use std::time::Duration;

/// Waits of runs for sessions that others share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionWaits {
    /// Number of runs that had to wait.
    pub contentions: u64,
    /// Time they waited, together.
    pub time: Duration,
}

impl SessionWaits {
    /// Adds a run, and how long it waited, if it did.
    pub(crate) fn add(&mut self, waited: Option<Duration>) {
        self.contentions += u64::from(waited.is_some());
        self.time += waited.unwrap_or_default();
    }
}
