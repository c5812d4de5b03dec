//! One session for everybody who loads the same network the same way: its weights are in memory
//! once, and the second element starts at once.
//!
//! The runtime's sessions may be run by one thread at a time, so those who share one take [`Turns`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use once_cell::sync::OnceCell;
use ort::session::Session;

use super::arena::Arena;
use super::encoder::Encoder;
use super::library::Digest;
use super::session::Source;
use super::signature::Signature;
use super::statement::Stated;
use super::turns::Turns;
use super::{ExecutionProvider, LoadOptions, ModelError, Precision};

/// A network in the runtime's hands.
pub(super) struct Loaded {
    /// What it was found to be, measured too.
    pub(super) signature: Signature,
    /// CPU, CUDA or TensorRT.
    pub(super) provider: ExecutionProvider,
    /// 32 or 16 bits.
    pub(super) precision: Precision,
    /// Why it is not the faster one, where `Auto` had to fall back.
    pub(super) note: Option<String>,
    /// How many nodes this project's own operator does.
    pub(super) own_nodes: usize,
    pub(super) session: Arc<Turns<Session>>,
    /// Of the session.
    pub(super) arena: Arc<Arena>,
    /// What looks at each picture alone, where that is not left to the session.
    pub(super) encoder: Option<Arc<Encoder>>,
    /// What sessions for one size are made of, where that is worth while.
    pub(super) source: Option<Source>,
}

/// What makes two loads one: the content, what is stated about it, and all options but the name it
/// was found by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    digest: Digest,
    options: LoadOptions,
    stated: Stated,
}

impl Key {
    pub(super) fn new(digest: Digest, options: &LoadOptions, stated: Stated) -> Self {
        Self {
            digest,
            options: LoadOptions {
                model: String::new(),
                // a path, perhaps; `stated` has what it says
                info: String::new(),
                ..options.clone()
            },
            stated,
        }
    }
}

/// Filled by the first who loads; gone with the last who uses it.
type Cell<T> = OnceCell<Arc<T>>;

/// What was made and is in use, by key.
pub(super) struct Registry<K, T>(Mutex<Vec<(K, Weak<Cell<T>>)>>);

/// Something loaded, perhaps in use by others too.
pub(super) struct Shared<T> {
    value: Arc<T>,
    /// Whether somebody else had loaded it.
    pub(super) found: bool,
    /// Keeps its place in the registry.
    _cell: Arc<Cell<T>>,
}

/// What is in use under this key, or what `load` makes. Who comes while it is being made waits for
/// it; if making it fails, the next in line tries.
pub(super) fn loaded(
    key: Key,
    load: impl FnOnce() -> Result<Loaded, ModelError>,
) -> Result<Shared<Loaded>, ModelError> {
    static LOADED: Registry<Key, Loaded> = Registry::new();
    LOADED.get(key, load)
}

impl<K: PartialEq, T> Registry<K, T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// As [`loaded`].
    pub(super) fn get<E>(
        &self,
        key: K,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<Shared<T>, E> {
        let cell = self.cell(key);
        let mut found = true;
        let value = cell.get_or_try_init(|| {
            found = false;
            load().map(Arc::new)
        })?;
        Ok(Shared {
            value: Arc::clone(value),
            found,
            _cell: cell,
        })
    }

    fn cell(&self, key: K) -> Arc<Cell<T>> {
        let mut cells = lock(&self.0);
        cells.retain(|(_, cell)| cell.strong_count() > 0);
        let known = cells.iter().find(|(other, _)| *other == key);
        if let Some(cell) = known.and_then(|(_, cell)| cell.upgrade()) {
            return cell;
        }
        let cell = Arc::new(Cell::new());
        cells.push((key, Arc::downgrade(&cell)));
        cell
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            found: self.found,
            _cell: Arc::clone(&self._cell),
        }
    }
}

impl<T> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Whatever panicked while holding it left a whole value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;

    fn key(content: u8, threads: usize) -> Key {
        let options = LoadOptions {
            threads,
            ..LoadOptions::default()
        };
        Key::new([content; 32], &options, Stated::default())
    }

    fn infallible<T>(result: Result<T, Infallible>) -> T {
        result.unwrap_or_else(|never| match never {})
    }

    #[test]
    fn the_same_is_loaded_once_and_gone_with_its_last_user() {
        let registry = Registry::new();
        let loads = AtomicUsize::new(0);
        let get = |key| infallible(registry.get(key, || Ok(loads.fetch_add(1, SeqCst))));
        let first = get(key(1, 0));
        let second = get(key(1, 0));
        assert_eq!((first.found, second.found, *second), (false, true, 0));
        // another content or other options are another thing
        assert_eq!((*get(key(2, 0)), *get(key(1, 2))), (1, 2));
        let weak = Arc::downgrade(&first.value);
        drop(first);
        assert!(weak.upgrade().is_some());
        assert!(get(key(1, 0)).found);
        drop(second);
        assert!(weak.upgrade().is_none());
        assert!(!get(key(1, 0)).found);
        assert!(registry.cell(key(9, 9)).get().is_none());
        assert_eq!(lock(&registry.0).len(), 1, "what is gone leaves no trace");
    }

    #[test]
    fn who_comes_meanwhile_waits_for_the_first() {
        let registry = Registry::new();
        let (both, loads) = (Barrier::new(2), AtomicUsize::new(0));
        let load = || {
            both.wait();
            infallible(registry.get(key(1, 0), || Ok(loads.fetch_add(1, SeqCst))))
        };
        thread::scope(|scope| {
            let other = scope.spawn(load);
            let shared = load();
            let other = other.join().expect("nothing panics");
            assert_ne!(shared.found, other.found);
        });
        assert_eq!(loads.load(SeqCst), 1);
    }

    #[test]
    fn a_load_that_failed_is_tried_again() {
        let registry = Registry::new();
        assert_eq!(registry.get(key(1, 0), || Err("no")).err(), Some("no"));
        let second: Result<_, &str> = registry.get(key(1, 0), || Ok(5));
        assert!(second.is_ok_and(|shared| *shared == 5 && !shared.found));
    }
}
