//! The bounded queue between the upstream thread and the src-pad task.
//!
//! Buffers and serialized events wait here in order. The upstream thread is held back while the
//! queue is full; a serialized query waits until everything before it has gone downstream and is
//! then answered on the upstream thread itself. Closing the queue wakes everybody.
//!
//! The queue asks of an item only what kind it is, so that `tests/threads.rs` can try it with every
//! order in which the two threads may come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Treatment of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Waits for room.
    Frame,
    /// Is dropped when the queue is closed, as frames are.
    Passing,
    /// Outlives a closed queue.
    Lasting,
    /// Upstream's last.
    Last,
}

/// Item that can wait in the queue.
pub(super) trait Queued: Clone {
    /// Returns how it is treated.
    fn kind(&self) -> Kind;
}

/// Item that was taken, and figures of the queue at that time.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub item: T,
    /// Time for which it waited.
    pub waited: Duration,
    /// Frames that waited, itself among them.
    pub level: usize,
    /// Time for which upstream was held back since the queue was made or forgotten.
    pub held_back: Duration,
}

#[derive(Debug)]
struct State<T> {
    /// Items, and when they came.
    items: VecDeque<(T, Instant)>,
    /// The lasting item the task is at work on.
    unfinished: Option<T>,
    buffers: usize,
    /// Frames that may wait.
    capacity: usize,
    /// The task is at work on an item it has taken.
    busy: bool,
    /// Upstream has put in its last.
    eos: bool,
    /// Upstream has been told what the queue was closed with.
    told: bool,
    /// Frames come in whether there is room or not.
    lets_all_in: bool,
    /// Counts how often the queue was opened.
    round: u64,
    /// Time for which upstream was held back.
    held_back: Duration,
    flow: Result<(), gst::FlowError>,
}

/// A queue of a few frames.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Signalled on every change; one upstream thread and one task wait, so one condition serves.
    changed: Condvar,
}

impl<T: Queued> Queue<T> {
    /// Frames that may always wait, beside the pair the task holds.
    const LEAST: usize = 2;
    /// Frames that may wait at most.
    const MOST: usize = 64;

    /// A closed queue.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                unfinished: None,
                buffers: 0,
                capacity: Self::LEAST,
                busy: false,
                eos: false,
                told: false,
                lets_all_in: false,
                round: 0,
                held_back: Duration::ZERO,
                flow: Err(gst::FlowError::Flushing),
            }),
            changed: Condvar::new(),
        }
    }

    /// Makes room for the frames that come at this distance within `delay`, so that a frame that
    /// waits for its time does not hold up a live source; without a distance for the least.
    pub(super) fn fit(&self, delay: gst::ClockTime, frame: gst::ClockTime) {
        let frames = delay.nseconds().checked_div(frame.nseconds()).unwrap_or(0);
        // One for the part of a frame, and one for what downstream adds.
        let frames = usize::try_from(frames)
            .unwrap_or(Self::MOST)
            .saturating_add(2);
        self.lock().capacity = frames.clamp(Self::LEAST, Self::MOST);
        self.changed.notify_all();
    }

    /// Returns whether a frame waits.
    pub(super) fn has_frame(&self) -> bool {
        self.lock().buffers > 0
    }

    /// Returns a copy of the item that is to be taken next, if it is there.
    pub(super) fn peek(&self) -> Option<T> {
        let state = self.lock();
        state.items.front().map(|(item, _)| item.clone())
    }

    /// Frames that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Lets frames in whether there is room or not, or not any more: the task itself waits for
    /// upstream.
    pub(super) fn let_all_in(&self, all: bool) {
        self.lock().lets_all_in = all;
        self.changed.notify_all();
    }

    /// Lets items in and begins a new round; of what was left from before, lasting items come
    /// first.
    pub(super) fn open(&self) {
        let mut state = self.lock();
        state.clear();
        if let Some(item) = state.unfinished.take() {
            state.items.push_front((item, Instant::now()));
        }
        state.busy = false;
        state.eos = false;
        state.told = false;
        state.round += 1;
        state.flow = Ok(());
        // The task may still wait in the round before.
        self.changed.notify_all();
    }

    /// Drops all but lasting items, and lets nothing in until it is opened again: whoever waits
    /// gets `flow`.
    pub(super) fn close(&self, flow: gst::FlowError) {
        self.shut(&mut self.lock(), flow);
    }

    /// Goes back to how it was at first: the stream is over, and lasting items with it.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.items.clear();
        state.unfinished = None;
        state.held_back = Duration::ZERO;
        state.capacity = Self::LEAST;
    }

    /// Closes the queue from the task's side; if it is closed already, the reason stays. Tells
    /// whether upstream has put in its last, so that it won't come back to learn the reason.
    pub(super) fn fail(&self, flow: gst::FlowError) -> bool {
        let mut state = self.lock();
        if state.flow.is_ok() {
            self.shut(&mut state, flow);
        }
        state.eos
    }

    /// Adds an item; a frame once there is room. Others are few.
    ///
    /// # Errors
    /// The error that the queue was closed with.
    pub(super) fn push(&self, item: T) -> Result<(), gst::FlowError> {
        let kind = item.kind();
        let mut state = if kind == Kind::Frame {
            self.wait_for_room()
        } else {
            self.lock()
        };
        state.flow?;
        state.items.push_back((item, Instant::now()));
        state.buffers += usize::from(kind == Kind::Frame);
        state.eos |= kind == Kind::Last;
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until a frame may come in, or is refused.
    fn wait_for_room(&self) -> MutexGuard<'_, State<T>> {
        let is_ready = |s: &State<T>| s.flow.is_err() || s.buffers < s.capacity || s.lets_all_in;
        let mut state = self.lock();
        if !is_ready(&state) {
            let start = Instant::now();
            state = self.wait_on(state, is_ready);
            state.held_back += start.elapsed();
        }
        state.told = state.flow.is_err();
        state
    }

    /// Waits until everything that was put in has been dealt with.
    ///
    /// # Errors
    /// The error that the queue was closed with; or `Flushing`, if this can't be waited for, as the
    /// task waits for upstream.
    pub(super) fn wait_idle(&self) -> Result<(), gst::FlowError> {
        let is_idle = |s: &State<T>| s.items.is_empty() && !s.busy;
        let state = self.wait(|s| s.flow.is_err() || is_idle(s) || s.lets_all_in);
        state.flow?;
        is_idle(&state)
            .then_some(())
            .ok_or(gst::FlowError::Flushing)
    }

    /// Takes the next item of this round, waiting for one. The task is busy with it until it calls
    /// [`Queue::done`].
    ///
    /// # Errors
    /// The error that the queue was closed with, or one that says it has been opened anew since.
    pub(super) fn pop(&self, round: u64) -> Result<Taken<T>, gst::FlowError> {
        let mut state = self.wait(|s| s.flow.is_err() || s.round != round || !s.items.is_empty());
        state.flow_in(round)?;
        let level = state.buffers;
        let Some((item, came)) = state.items.pop_front() else {
            return Err(gst::FlowError::Error);
        };
        let kind = item.kind();
        state.buffers -= usize::from(kind == Kind::Frame);
        state.unfinished = (kind == Kind::Lasting).then(|| item.clone());
        state.busy = true;
        self.changed.notify_all();
        Ok(Taken {
            item,
            waited: came.elapsed(),
            level,
            held_back: state.held_back,
        })
    }

    /// Marks the item taken last as dealt with.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.busy = false;
        state.unfinished = None;
        self.changed.notify_all();
    }

    /// Returns whether a frame was refused since the queue was closed, so that upstream knows why.
    pub(super) fn has_told(&self) -> bool {
        self.lock().told
    }

    /// Returns the error that the queue was closed with, if it is closed.
    pub(super) fn flow(&self) -> Result<(), gst::FlowError> {
        self.lock().flow
    }

    /// Returns how often it was opened. What was taken in one round has no place in another.
    pub(super) fn round(&self) -> u64 {
        self.lock().round
    }

    /// Returns whether what was taken in this round may still leave.
    ///
    /// # Errors
    /// The error that the queue was closed with, or one that says it has been opened anew since.
    pub(super) fn flow_in(&self, round: u64) -> Result<(), gst::FlowError> {
        self.lock().flow_in(round)
    }

    fn shut(&self, state: &mut State<T>, flow: gst::FlowError) {
        state.clear();
        state.flow = Err(flow);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code panics while it holds this lock, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, ready: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        self.wait_on(self.lock(), ready)
    }

    fn wait_on<'q>(
        &self,
        mut state: MutexGuard<'q, State<T>>,
        ready: impl Fn(&State<T>) -> bool,
    ) -> MutexGuard<'q, State<T>> {
        while !ready(&state) {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

impl<T: Queued> State<T> {
    fn flow_in(&self, round: u64) -> Result<(), gst::FlowError> {
        self.flow?;
        (self.round == round)
            .then_some(())
            .ok_or(gst::FlowError::Flushing)
    }

    fn clear(&mut self) {
        self.items.retain(|(item, _)| item.kind() == Kind::Lasting);
        self.buffers = 0;
    }
}
