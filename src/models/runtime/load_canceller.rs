//! Stopping what takes long from another thread.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Stops work, such as loading a network, at the next place where that can be done. Once it has
/// been stopped, all that is begun with it is, too.
#[derive(Clone, Default)]
pub struct LoadCanceller(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    stopped: bool,
    /// Ways to stop what is under way, or was.
    ways: Vec<Box<dyn Fn() + Send>>,
}

impl LoadCanceller {
    /// Stops it. Does not wait for it.
    pub fn stop(&self) {
        let mut state = lock(&self.0);
        state.stopped = true;
        state.ways.drain(..).for_each(|way| way());
    }

    /// Adds a way to stop work that begins; it does nothing any more when the work is done.
    pub fn add(&self, way: impl Fn() + Send + 'static) {
        let mut state = lock(&self.0);
        match state.stopped {
            true => way(),
            false => state.ways.push(Box::new(way)),
        }
    }
}

impl std::fmt::Debug for LoadCanceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LoadCanceller")
            .field(&lock(&self.0).stopped)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;
    use crate::models::error::ModelError;
    use crate::models::interpolator::Interpolator;
    use crate::models::options::{ExecutionProvider, LoadOptions};

    #[test]
    fn what_is_under_way_and_what_comes_later_is_stopped() {
        let stopped = Arc::new(AtomicU32::new(0));
        let way = || {
            let stopped = Arc::clone(&stopped);
            move || {
                stopped.fetch_add(1, SeqCst);
            }
        };
        let interrupt = LoadCanceller::default();
        interrupt.add(way());
        interrupt.add(way());
        assert_eq!(stopped.load(SeqCst), 0);
        interrupt.clone().stop();
        assert_eq!(stopped.load(SeqCst), 2);
        interrupt.add(way());
        assert_eq!(stopped.load(SeqCst), 3);
        interrupt.stop();
        assert_eq!(stopped.load(SeqCst), 3, "each once");
    }

    #[test]
    fn a_load_that_is_interrupted_gives_up_and_harms_no_other() {
        // no other test has these threads
        let options = LoadOptions {
            provider: ExecutionProvider::Cpu,
            threads: 3,
            ..LoadOptions::default()
        };
        let interrupt = LoadCanceller::default();
        interrupt.stop();
        let refused = Interpolator::load_unless(&options, &interrupt);
        assert!(
            matches!(refused, Err(ModelError::Unusable { .. })),
            "{refused:?}"
        );
        assert!(Interpolator::load(&options).is_ok());
    }
}
