//! Values that several users share: one for a key, made by the first and gone with the last.

use std::sync::{Arc, Mutex, Weak};

use once_cell::sync::OnceCell;

use crate::sync::lock;

/// Cell that the first who loads fills; gone with the last who uses it.
type Cell<T> = OnceCell<Arc<T>>;

/// Values that were made and are in use, by key.
pub(crate) struct Registry<K, T>(Mutex<Vec<(K, Weak<Cell<T>>)>>);

/// Something loaded, perhaps in use by others too.
pub(crate) struct Shared<T> {
    value: Arc<T>,
    /// Whether somebody else had loaded it.
    pub(crate) found: bool,
    /// Keeps its place in the registry.
    _cell: Arc<Cell<T>>,
}

impl<K: PartialEq, T> Registry<K, T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Returns what is in use under this key, or what `load` makes. Who comes while it is being
    /// made waits for it; if making it fails, the next in line tries.
    pub(crate) fn get<E>(
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;

    /// A content, and the options it is loaded with.
    fn key(content: u8, threads: usize) -> (u8, usize) {
        (content, threads)
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
