//! The threads that push.

use std::sync::Mutex;
use std::thread::{self, ThreadId};

use crate::sync::lock;

/// The task's thread and the output's, while they are at work. An application may seek or flush
/// from there (in a probe, in a sink's signal): nobody can wait for a thread that waits for him.
#[derive(Default)]
pub(super) struct Crew(Mutex<Vec<ThreadId>>);

/// A thread at work, until it is dropped.
pub(super) struct AtWork<'a>(&'a Crew);

impl Crew {
    /// Notes that this thread is at work.
    pub(super) fn set_to_work(&self) -> AtWork<'_> {
        lock(&self.0).push(thread::current().id());
        AtWork(self)
    }

    /// Returns whether this thread is one of them.
    pub(super) fn has_this_thread(&self) -> bool {
        lock(&self.0).contains(&thread::current().id())
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let this = thread::current().id();
        lock(&self.0.0).retain(|id| *id != this);
    }
}
