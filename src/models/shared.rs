//! One session for everybody who loads the same network the same way: its weights are in memory
//! once, and the second element starts at once.
//!
//! The runtime's sessions may be run by one thread at a time, so those who share one take turns.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use once_cell::sync::OnceCell;
use ort::session::Session;

use super::arena::Arena;
use super::library::Digest;
use super::signature::Signature;
use super::statement::Stated;
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
}

/// What makes two loads one: the content, what is stated about it, and all options but the name it
/// was found by.
#[derive(Debug, PartialEq)]
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

/// What was loaded and is in use.
struct Registry<T>(Mutex<Vec<(Key, Weak<Cell<T>>)>>);

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
    static LOADED: Registry<Loaded> = Registry(Mutex::new(Vec::new()));
    LOADED.get(key, load)
}

impl<T> Registry<T> {
    fn get<E>(&self, key: Key, load: impl FnOnce() -> Result<T, E>) -> Result<Shared<T>, E> {
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

    fn cell(&self, key: Key) -> Arc<Cell<T>> {
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

impl<T> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Something that one thread at a time may use, in the order they come; and who waits can be
/// called off, which a mutex cannot do.
pub(super) struct Turns<T> {
    /// Locked by whoever has the turn, so nobody ever waits for it.
    value: Mutex<T>,
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Default)]
struct Line {
    /// Who has the turn, and then who waits, first come first.
    tickets: VecDeque<u64>,
    next: u64,
}

/// A place in the line, given up when dropped.
struct Ticket<'a> {
    line: &'a Mutex<Line>,
    moved: &'a Condvar,
    number: u64,
}

impl<T> Turns<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            line: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Waits for a turn and does the work; `None` if `called_off` says so before it begins.
    pub(super) fn take<R>(
        &self,
        called_off: impl Fn() -> bool,
        work: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let _ticket = self.line_up(called_off)?;
        Some(work(&mut lock(&self.value)))
    }

    fn line_up(&self, called_off: impl Fn() -> bool) -> Option<Ticket<'_>> {
        let mut line = lock(&self.line);
        let number = line.next;
        line.next += 1;
        line.tickets.push_back(number);
        let ticket = Ticket {
            line: &self.line,
            moved: &self.moved,
            number,
        };
        // before the ticket is dropped, which wants the lock, `line` is
        while !called_off() {
            if line.tickets.front() == Some(&number) {
                drop(line);
                return Some(ticket);
            }
            line = self
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(line);
        None
    }

    /// Has all who wait ask again whether they were called off.
    pub(super) fn look_again(&self) {
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

/// Whatever panicked while holding it left a whole value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::channel;
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
        let registry = Registry(Mutex::default());
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
        let registry = Registry(Mutex::default());
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
        let registry = Registry(Mutex::default());
        assert_eq!(registry.get(key(1, 0), || Err("no")).err(), Some("no"));
        let second: Result<_, &str> = registry.get(key(1, 0), || Ok(5));
        assert!(second.is_ok_and(|shared| *shared == 5 && !shared.found));
    }

    #[test]
    fn turns_are_taken_one_at_a_time() {
        let turns = Turns::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        turns.take(|| false, |value| *value += 1);
                    }
                });
            }
        });
        assert_eq!(turns.take(|| false, |value| *value), Some(4000));
    }

    #[test]
    fn who_waits_can_be_called_off_and_who_has_the_turn_is_left_alone() {
        let turns = Turns::new(());
        let off = AtomicBool::new(false);
        let (asked, wait_asked) = channel();
        thread::scope(|scope| {
            let finished = turns.take(
                || false,
                |()| {
                    let waiting = scope.spawn(|| {
                        let called_off = || {
                            let _received = asked.send(());
                            off.load(SeqCst)
                        };
                        turns.take(called_off, |()| ())
                    });
                    wait_asked.recv().expect("it asks before it waits");
                    off.store(true, SeqCst);
                    turns.look_again();
                    // this turn goes on all the while
                    waiting.join().expect("nothing panics")
                },
            );
            assert_eq!(finished, Some(None));
        });
        assert_eq!(turns.take(|| false, |()| ()), Some(()));
    }
}
