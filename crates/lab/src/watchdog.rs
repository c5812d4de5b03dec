//! Ends the program with an explanation if it hangs, instead of never.

use std::io;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process;

/// Nothing takes longer than this, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches until it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Watchdog {
    /// Action under way.
    doing: Arc<Mutex<String>>,
    /// Hears of all that is done; closed with the last clone.
    done: Sender<()>,
}

impl Watchdog {
    /// Creates a watchdog that tells `advice` when it ends the program.
    pub(crate) fn new(advice: String) -> Self {
        let (done, heard) = channel();
        let doing = Arc::new(Mutex::new(String::new()));
        let shown = doing.clone();
        let watch = move || {
            loop {
                match heard.recv_timeout(PATIENCE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            let doing = shown.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("vfi-lab: nothing has happened for {PATIENCE:?}, while: {doing}");
            eprintln!("threads: {:?}", process::threads().unwrap_or_default());
            if let Err(error) = tell_stacks() {
                eprintln!("no debugger tells where they wait: {error}");
            }
            eprintln!("{advice}");
            std::process::abort();
        };
        thread::spawn(watch);
        Self { doing, done }
    }

    /// Notes that something has been done.
    pub(crate) fn beat(&self) {
        // Fails only if the watching thread has ended, and that ends everything.
        let _heard = self.done.send(());
    }

    /// Returns the action begun last.
    pub(crate) fn what(&self) -> String {
        self.doing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that something else begins.
    pub(crate) fn doing(&self, what: String) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.beat();
    }
}

/// Tells where each thread of this process waits, where there is a debugger to ask.
fn tell_stacks() -> io::Result<()> {
    let process = std::process::id().to_string();
    let mut debugger = Command::new("gdb");
    debugger.args(["-nx", "-batch", "-p", &process]);
    debugger.args(["-ex", "thread apply all backtrace"]);
    debugger.status().map(drop)
}
