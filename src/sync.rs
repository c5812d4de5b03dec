//! The locks of what two threads share. `tests/threads.rs` compiles that with a model of them in their place.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
