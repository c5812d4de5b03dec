//! The locks of what two threads share. `tests/threads.rs` compiles that with a model of them in their place.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also one whose holder panicked: what these mutexes hold is replaced whole, never built up
/// step by step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
