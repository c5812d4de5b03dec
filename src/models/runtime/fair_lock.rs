//! One thing for many threads, one at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Something that one thread at a time may use, in the order they come; and who waits can be
/// called off, which a mutex cannot do.
pub(crate) struct FairLock<T> {
    /// Locked by whoever has the turn, so nobody ever waits for it.
    value: Mutex<T>,
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    /// Tickets of who has the turn, and then of who waits, first come first.
    tickets: VecDeque<u64>,
    next: u64,
}

/// A place in the line, given up when dropped.
struct Ticket<'a> {
    line: &'a Mutex<Line>,
    moved: &'a Condvar,
    number: u64,
    /// Time spent waiting for others; none where nobody had the turn.
    waited: Option<Duration>,
}

impl<T> FairLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            line: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Waits for a turn and does the work; `None` if `called_off` says so before it begins.
    pub(crate) fn take<R>(
        &self,
        called_off: impl Fn() -> bool,
        work: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        self.take_timed(called_off, |value, _| work(value))
    }

    /// Takes a turn likewise; the work is told how long others were waited for, if anybody had the
    /// turn.
    pub(crate) fn take_timed<R>(
        &self,
        called_off: impl Fn() -> bool,
        work: impl FnOnce(&mut T, Option<Duration>) -> R,
    ) -> Option<R> {
        let ticket = self.line_up(called_off)?;
        Some(work(&mut lock(&self.value), ticket.waited))
    }

    fn line_up(&self, called_off: impl Fn() -> bool) -> Option<Ticket<'_>> {
        let mut line = lock(&self.line);
        let number = line.next;
        line.next += 1;
        line.tickets.push_back(number);
        let mut ticket = Ticket {
            line: &self.line,
            moved: &self.moved,
            number,
            waited: None,
        };
        let mut start = None;
        // before the ticket is dropped, which wants the lock, `line` is
        while !called_off() {
            if line.tickets.front() == Some(&number) {
                drop(line);
                ticket.waited = start.map(|start: Instant| start.elapsed());
                return Some(ticket);
            }
            start.get_or_insert_with(Instant::now);
            line = self
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(line);
        None
    }

    /// Makes all who wait ask again whether they were called off.
    pub(crate) fn recheck(&self) {
        // with the line free, who waits has either not asked yet or is there to be told
        drop(lock(&self.line));
        self.moved.notify_all();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(self.line)
            .tickets
            .retain(|&other| other != self.number);
        self.moved.notify_all();
    }
}

/// Locks: whatever panicked while holding it left a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
