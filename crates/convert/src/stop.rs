//! When the user wants the end before all is done.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Longest time to encode the frames on their way; then the file is given up.
const PATIENCE: Duration = Duration::from_millis(1800);

/// The user's wish to stop, and what is to be cleared away if the program ends at once.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    asked: AtomicBool,
    /// Frames made of the present file.
    frames: AtomicU64,
    /// Whether the frames are all encoded, and only the file is to be written.
    is_closing: AtomicBool,
    unfinished: Mutex<Unfinished>,
}

/// The parts of the present file that lie on the disk.
#[derive(Debug, Default)]
struct Unfinished {
    draft: Option<PathBuf>,
    work: Option<PathBuf>,
    /// Segments that another run can go on from.
    segments: usize,
}

impl Stop {
    /// Returns whether the user asked for the end.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Counts a frame of the present file.
    pub(crate) fn count(&self) {
        self.frames.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes what is to be cleared away of a file that is begun.
    pub(crate) fn begin(&self, draft: Option<&Path>, work: Option<&Path>) {
        let mut unfinished = self.unfinished();
        unfinished.draft = draft.map(Path::to_owned);
        unfinished.work = work.map(Path::to_owned);
        unfinished.segments = 0;
        self.frames.store(0, Ordering::SeqCst);
        self.is_closing.store(false, Ordering::SeqCst);
    }

    /// Notes that another segment stays whatever happens.
    pub(crate) fn keep_segment(&self) {
        self.unfinished().segments += 1;
    }

    /// Notes that the frames are encoded: writing the file may take its time.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, Unfinished> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the program without a file, unless that has been given its name already.
    fn give_up(&self) -> ! {
        let unfinished = self.unfinished();
        let removed = |path: &PathBuf| fs::remove_file(path).is_ok();
        let begun = unfinished.draft.as_ref().is_some_and(removed);
        let work = unfinished.work.as_ref().filter(|work| work.is_dir());
        // Between two files there is nothing to clear away, and yet not all is written.
        let is_between = unfinished.draft.is_none() && unfinished.work.is_none();
        let mut status = 0;
        match (work, unfinished.segments) {
            (Some(_), segments @ 1..) => {
                eprintln!(
                    "stopped: there is no output; {segments} finished segments stay, the same command goes on from there"
                );
                status = 130;
            }
            (work, _) => {
                // Should it fail, the next run finds it and begins anew.
                let _ = work.map(fs::remove_dir_all);
                if begun || work.is_some() || is_between {
                    eprintln!("stopped: there is no output");
                    status = 130;
                }
            }
        }
        // SAFETY: it takes no pointer. `process::exit` would run the runtime's destructors while its
        // threads work, and crash.
        unsafe { libc::_exit(status) }
    }
}

/// Ends the job when the user interrupts (or terminates) the program.
///
/// At the first time, the file is closed so that it can be played, or there is none if the frames
/// take too long, whatever the rest of the program waits for. At the second, there is none.
pub(crate) fn heed_interrupts(stop: &Arc<Stop>) -> Result<()> {
    let stop = Arc::clone(stop);
    ctrlc::set_handler(move || {
        let again = stop.asked.swap(true, Ordering::SeqCst);
        if again || stop.frames.load(Ordering::SeqCst) == 0 {
            stop.give_up();
        }
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            if !stop.is_closing.load(Ordering::SeqCst) {
                stop.give_up();
            }
        });
    })?;
    Ok(())
}
