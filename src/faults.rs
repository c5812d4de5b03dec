//! Faults on demand, for tests: memory that can't be had, a device that isn't there. Not in the
//! plugin: the feature `faults` is for `make test`.
//!
//! All of it holds for the whole process, so tests that use it run one at a time ([`reserve`]).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Faults that are asked for.
static RUNS_ABOVE: AtomicUsize = AtomicUsize::new(usize::MAX);
static NEXT_RUNS: AtomicU64 = AtomicU64::new(0);
static LOADS_BEFORE: AtomicU64 = AtomicU64::new(0);
static LOADS: AtomicU64 = AtomicU64::new(0);
static BUFFERS_ABOVE: AtomicUsize = AtomicUsize::new(usize::MAX);
static MEMORY_LEFT: Mutex<Option<(u64, u64)>> = Mutex::new(None);
static DEVICE: AtomicBool = AtomicBool::new(false);
static ENCODED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static APART: AtomicBool = AtomicBool::new(false);
static SENT_APART: AtomicU64 = AtomicU64::new(0);
static FETCHED: AtomicU64 = AtomicU64::new(0);
static FITS: AtomicBool = AtomicBool::new(false);
static PATIENCE: Mutex<Option<Duration>> = Mutex::new(None);
static FITTING: Mutex<Option<Receiver<Result<(), String>>>> = Mutex::new(None);

/// Keeps others that call it waiting until the guard is dropped, and begins without a fault.
pub fn reserve() -> MutexGuard<'static, ()> {
    static RESERVED: Mutex<()> = Mutex::new(());
    let guard = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    clear();
    force_device(false);
    guard
}

/// Ends all faults, and forgets what failed.
pub fn clear() {
    RUNS_ABOVE.store(usize::MAX, SeqCst);
    NEXT_RUNS.store(0, SeqCst);
    fail_next_loads(0);
    BUFFERS_ABOVE.store(usize::MAX, SeqCst);
    set_memory_left(None);
    set_patience(None);
    FAILED.store(0, SeqCst);
    set_fits(false);
    set_apart(false);
}

/// Sets whether frames are finished and sent beside the network, as where that runs on a device.
pub fn set_apart(apart: bool) {
    APART.store(apart, SeqCst);
    SENT_APART.store(0, SeqCst);
    FETCHED.store(0, SeqCst);
}

pub(crate) fn is_apart() -> bool {
    APART.load(SeqCst)
}

/// Returns how often something was sent apart since [`set_apart`] was last called.
pub fn sent_apart() -> u64 {
    SENT_APART.load(SeqCst)
}

pub(crate) fn note_apart() {
    SENT_APART.fetch_add(1, SeqCst);
}

/// Returns how often a frame was made ready before its turn since [`set_apart`] was last called.
pub fn fetched() -> u64 {
    FETCHED.load(SeqCst)
}

pub(crate) fn note_fetched() {
    FETCHED.fetch_add(1, SeqCst);
}

/// Networks that are loaded on the CPU from now on are dealt with as on a GPU: warmed up, and given
/// sessions for one size. What is sent by the sender that is returned decides how each of those
/// ends, and when.
pub fn fit() -> Sender<Result<(), String>> {
    let (sender, receiver) = channel();
    set_fits(true);
    if let Ok(mut fitting) = FITTING.lock() {
        *fitting = Some(receiver);
    }
    sender
}

fn set_fits(fits: bool) {
    FITS.store(fits, SeqCst);
    if let Ok(mut fitting) = FITTING.lock() {
        *fitting = None;
    }
}

pub(crate) fn fits() -> bool {
    FITS.load(SeqCst)
}

/// Waits for how it is to end.
pub(crate) fn made() -> Result<(), String> {
    let receiver = FITTING.lock().ok().and_then(|mut fitting| fitting.take());
    let Some(receiver) = receiver else {
        return Ok(());
    };
    let end = receiver.recv();
    if let Ok(mut fitting) = FITTING.lock() {
        *fitting = Some(receiver);
    }
    // nobody is left who could want it to end otherwise
    end.unwrap_or(Ok(()))
}

/// Makes runs of a network on more pixels than this find no memory.
pub fn fail_runs_above(pixels: usize) {
    RUNS_ABOVE.store(pixels, SeqCst);
}

/// Makes the next `count` runs of a network find no memory.
pub fn fail_next_runs(count: u64) {
    NEXT_RUNS.store(count, SeqCst);
}

/// Makes the next `count` sessions find no memory.
pub fn fail_next_loads(count: u64) {
    fail_loads_after(0, count);
}

/// Lets `before` sessions be made, and makes the next `count` find no memory.
pub fn fail_loads_after(before: u64, count: u64) {
    LOADS_BEFORE.store(before, SeqCst);
    LOADS.store(count, SeqCst);
}

/// Makes buffers of more bytes than this fail.
pub fn fail_buffers_above(bytes: usize) {
    BUFFERS_ABOVE.store(bytes, SeqCst);
}

/// Sets whether frames are made as on a device, whatever the network runs on.
pub fn force_device(forced: bool) {
    DEVICE.store(forced, SeqCst);
}

pub(crate) fn is_device_forced() -> bool {
    DEVICE.load(SeqCst)
}

/// Returns whether sessions are made beside a network's as on a GPU.
pub(crate) fn is_device() -> bool {
    is_device_forced() || fits()
}

/// Sets that runs are given up which take longer than this, if they take 20 times what those before
/// took; after a minute where it is `None`.
pub fn set_patience(patience: Option<Duration>) {
    if let Ok(mut place) = PATIENCE.lock() {
        *place = patience;
    }
}

pub(crate) fn patience() -> Option<Duration> {
    PATIENCE.lock().ok().and_then(|patience| *patience)
}

/// Sets how many bytes are left, and of how many, whatever the machine says.
pub fn set_memory_left(left: Option<(u64, u64)>) {
    if let Ok(mut place) = MEMORY_LEFT.lock() {
        *place = left;
    }
}

/// Returns how often something was made to fail.
pub fn failed() -> u64 {
    FAILED.load(SeqCst)
}

pub(crate) fn memory_left() -> Option<(u64, u64)> {
    MEMORY_LEFT.lock().ok().and_then(|left| *left)
}

/// Returns the error that the runtime gives when its arena is at its end.
fn shortage(bytes: usize) -> ort::Error {
    FAILED.fetch_add(1, SeqCst);
    ort::Error::new(format!(
        "Failed to allocate memory for requested buffer of size {bytes}"
    ))
}

pub(crate) fn run(pixels: usize) -> ort::Result<()> {
    let one_less = |count: u64| count.checked_sub(1);
    let next = NEXT_RUNS.fetch_update(SeqCst, SeqCst, one_less).is_ok();
    if next || pixels > RUNS_ABOVE.load(SeqCst) {
        return Err(shortage(12 * pixels));
    }
    Ok(())
}

/// Returns on how many pictures networks' encoders have run in this process.
pub fn encoded() -> u64 {
    ENCODED.load(SeqCst)
}

pub(crate) fn encode(pixels: usize) -> ort::Result<()> {
    run(pixels)?;
    ENCODED.fetch_add(1, SeqCst);
    Ok(())
}

pub(crate) fn load(bytes: usize) -> ort::Result<()> {
    let one_less = |count: u64| count.checked_sub(1);
    if LOADS_BEFORE.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
        return Ok(());
    }
    match LOADS.fetch_update(SeqCst, SeqCst, one_less) {
        Ok(_) => Err(shortage(bytes)),
        Err(_) => Ok(()),
    }
}

pub(crate) fn buffer(bytes: usize) -> bool {
    let fails = bytes > BUFFERS_ABOVE.load(SeqCst);
    FAILED.fetch_add(u64::from(fails), SeqCst);
    fails
}
