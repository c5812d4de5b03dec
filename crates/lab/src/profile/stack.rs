//! Where threads spend their time, from when buffers are pushed and when pushes are done.
//!
//! What is pushed on one thread is a call into the next element, so pushes and returns are a stack
//! of calls, and the time between two moments belongs to the element on its top.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Moment;

/// Columns of the timeline.
pub(super) const COLUMNS: usize = 240;

/// Time that a thread has spent, in nanoseconds; elements by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// The element whose loop the thread runs.
    pub(super) root: usize,
    /// Time of each chain of calls, from the root on; the time is that of its last element.
    pub(super) paths: BTreeMap<Vec<usize>, u64>,
    /// Time of elements in each part of the window.
    pub(super) columns: Vec<BTreeMap<usize, u64>>,
}

/// Returns the elements that hand buffers over to another thread.
pub(super) fn boundaries(moments: &[(u64, u64, Moment)]) -> BTreeSet<usize> {
    let (mut into, mut out) = (BTreeMap::new(), BTreeMap::new());
    for (_, thread, moment) in moments {
        if let Moment::Push { from, to, .. } = moment {
            let threads: &mut BTreeSet<u64> = out.entry(*from).or_default();
            threads.insert(*thread);
            let threads: &mut BTreeSet<u64> = into.entry(*to).or_default();
            threads.insert(*thread);
        }
    }
    let apart = |(element, threads): (&usize, &BTreeSet<u64>)| {
        let other = out.get(element)?;
        other.is_disjoint(threads).then_some(*element)
    };
    into.iter().filter_map(apart).collect()
}

/// Returns what each thread has done within a window of time, in the order of their first moments.
///
/// Where a log has no returns, a push is taken to be done at once if it leads to another thread,
/// and with the next push of the same thread if not.
pub(super) fn spend(
    moments: &[(u64, u64, Moment)],
    (begin, end): (u64, u64),
    boundaries: &BTreeSet<usize>,
) -> Vec<Spent> {
    let mut order = Vec::new();
    let mut threads: BTreeMap<u64, Thread> = BTreeMap::new();
    let returns = |moment: &(u64, u64, Moment)| matches!(moment.2, Moment::Return { .. });
    let is_exact = moments.iter().any(returns);
    for (at, thread, moment) in moments {
        let entry = threads.entry(*thread).or_insert_with(|| {
            order.push(*thread);
            Thread::new(begin, end)
        });
        entry.take(*at, moment, |element| {
            !is_exact && !boundaries.contains(&element)
        });
    }
    let spent = order.iter().filter_map(|thread| threads.remove(thread));
    spent.filter_map(Thread::finish).collect()
}

struct Thread {
    window: (u64, u64),
    /// Callers and callees.
    stack: Vec<(usize, usize)>,
    last: Option<u64>,
    roots: BTreeMap<usize, u64>,
    spent: Spent,
}

impl Thread {
    fn new(begin: u64, end: u64) -> Self {
        Self {
            window: (begin, end),
            stack: Vec::new(),
            last: None,
            roots: BTreeMap::new(),
            spent: Spent {
                columns: vec![BTreeMap::new(); COLUMNS],
                ..Spent::default()
            },
        }
    }

    /// Takes a moment; `lasts` says of a callee whether it is at work until the next one.
    fn take(&mut self, at: u64, moment: &Moment, lasts: impl Fn(usize) -> bool) {
        match *moment {
            Moment::Push { from, to, .. } => {
                let lasting = self.stack.last().is_some_and(|(_, callee)| lasts(*callee));
                if lasting {
                    self.note(at, from);
                }
                while self.stack.last().is_some_and(|(_, callee)| *callee != from) {
                    self.stack.pop();
                }
                self.note(at, from);
                if self.stack.is_empty() {
                    *self.roots.entry(from).or_default() += 1;
                }
                self.stack.push((from, to));
            }
            Moment::Return { from } => {
                self.note(at, from);
                while let Some((caller, _)) = self.stack.pop() {
                    if caller == from {
                        break;
                    }
                }
            }
        }
        self.last = Some(at);
    }

    /// Gives the time up to now to what is at work: the top of the stack, or `root`.
    fn note(&mut self, now: u64, root: usize) {
        let (begin, end) = self.window;
        let from = self.last.replace(now).unwrap_or(now).max(begin);
        let to = now.min(end);
        if from >= to {
            return;
        }
        let base = self.stack.first().map_or(root, |(caller, _)| *caller);
        let callees = self.stack.iter().map(|(_, callee)| *callee);
        let path: Vec<usize> = std::iter::once(base).chain(callees).collect();
        let element = path.last().copied().unwrap_or(root);
        *self.spent.paths.entry(path).or_default() += to - from;
        let width = ((end - begin) / COLUMNS as u64).max(1);
        let column = |time: u64| (((time - begin) / width) as usize).min(COLUMNS - 1);
        for number in column(from)..=column(to - 1) {
            let start = begin + number as u64 * width;
            let stop = if number == COLUMNS - 1 {
                end
            } else {
                start + width
            };
            let part = to.min(stop).saturating_sub(from.max(start));
            *self.spent.columns[number].entry(element).or_default() += part;
        }
    }

    fn finish(self) -> Option<Spent> {
        let root = self.roots.iter().max_by_key(|(_, count)| **count)?;
        (!self.spent.paths.is_empty()).then_some(Spent {
            root: *root.0,
            ..self.spent
        })
    }
}
