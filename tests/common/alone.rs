//! One test at a time, where tests set what holds for the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gstvfiinterp::faults;

/// No other test runs until this is dropped, and no fault is set.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    faults::clear();
    faults::force_device(false);
    guard
}
