//! The bounded queue between the upstream thread and the src-pad task.
//!
//! Buffers and serialized events wait here in order. The upstream thread is held back while the
//! queue is full; a serialized query waits until everything before it has gone downstream and is
//! then answered on the upstream thread itself. Closing the queue wakes everybody.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What waits for the task.
#[derive(Debug)]
pub(super) enum Item {
    /// A frame, and the running time at which it came in, where there is a clock.
    Buffer(gst::Buffer, Option<gst::ClockTime>),
    /// A serialized event.
    Event(gst::Event),
    /// Upstream wants its memory back: nothing may be held.
    Drain,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    /// The lasting event the task is at work on.
    unfinished: Option<gst::Event>,
    buffers: usize,
    /// Frames that may wait.
    capacity: usize,
    /// The task is at work on an item it has taken.
    busy: bool,
    /// Upstream has put in its last.
    eos: bool,
    /// Upstream has been told what the queue was closed with.
    told: bool,
    flow: Result<(), gst::FlowError>,
}

/// A queue of a few frames.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled on every change; one upstream thread and one task wait, so one condition serves.
    changed: Condvar,
}

impl Queue {
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

    /// Frames that may wait.
    pub(super) fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Lets items in; of what was left from before, lasting events come first.
    pub(super) fn open(&self) {
        let mut state = self.lock();
        state.clear();
        if let Some(event) = state.unfinished.take() {
            state.items.push_front(Item::Event(event));
        }
        state.busy = false;
        state.eos = false;
        state.told = false;
        state.flow = Ok(());
    }

    /// Drops frames and passing events, and lets nothing in until it is opened again: whoever waits
    /// gets `flow`.
    pub(super) fn close(&self, flow: gst::FlowError) {
        self.shut(&mut self.lock(), flow);
    }

    /// Back to how it was at first: the stream is over, and lasting events with it.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.items.clear();
        state.unfinished = None;
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

    /// Adds a frame, once there is room.
    ///
    /// # Errors
    /// What the queue was closed with.
    pub(super) fn push_buffer(
        &self,
        buffer: gst::Buffer,
        arrival: Option<gst::ClockTime>,
    ) -> Result<(), gst::FlowError> {
        let mut state = self.wait(|s| s.flow.is_err() || s.buffers < s.capacity);
        state.told = state.flow.is_err();
        self.put(&mut state, Item::Buffer(buffer, arrival))?;
        state.buffers += 1;
        Ok(())
    }

    /// Adds a serialized event; events are few and never wait for room.
    ///
    /// # Errors
    /// What the queue was closed with.
    pub(super) fn push_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        let mut state = self.lock();
        let ends = event.type_() == gst::EventType::Eos;
        self.put(&mut state, Item::Event(event))?;
        state.eos |= ends;
        Ok(())
    }

    /// Asks for a drain.
    ///
    /// # Errors
    /// What the queue was closed with.
    pub(super) fn push_drain(&self) -> Result<(), gst::FlowError> {
        self.put(&mut self.lock(), Item::Drain)
    }

    /// Waits until everything that was put in has been dealt with.
    ///
    /// # Errors
    /// What the queue was closed with.
    pub(super) fn wait_idle(&self) -> Result<(), gst::FlowError> {
        let state = self.wait(|s| s.flow.is_err() || (s.items.is_empty() && !s.busy));
        state.flow
    }

    /// Takes the next item, waiting for one. The task is busy with it until it calls
    /// [`Queue::done`].
    ///
    /// # Errors
    /// What the queue was closed with.
    pub(super) fn pop(&self) -> Result<Item, gst::FlowError> {
        let mut state = self.wait(|s| s.flow.is_err() || !s.items.is_empty());
        state.flow?;
        let Some(item) = state.items.pop_front() else {
            return Err(gst::FlowError::Error);
        };
        if matches!(item, Item::Buffer(..)) {
            state.buffers -= 1;
        }
        state.unfinished = match &item {
            Item::Event(event) if lasts(event) => Some(event.clone()),
            _ => None,
        };
        state.busy = true;
        self.changed.notify_all();
        Ok(item)
    }

    /// The item taken last has been dealt with.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.busy = false;
        state.unfinished = None;
        self.changed.notify_all();
    }

    /// Whether a frame was refused since the queue was closed, so that upstream knows why.
    pub(super) fn has_told(&self) -> bool {
        self.lock().told
    }

    /// What the queue was closed with, if it is closed.
    pub(super) fn flow(&self) -> Result<(), gst::FlowError> {
        self.lock().flow
    }

    fn put(&self, state: &mut State, item: Item) -> Result<(), gst::FlowError> {
        state.flow?;
        state.items.push_back(item);
        self.changed.notify_all();
        Ok(())
    }

    fn shut(&self, state: &mut State, flow: gst::FlowError) {
        state.clear();
        state.flow = Err(flow);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.lock(), |state| !ready(state))
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        self.items
            .retain(|item| matches!(item, Item::Event(event) if lasts(event)));
        self.buffers = 0;
    }
}

/// Whether an event outlives a flush: upstream sends caps or tags only once (as in gstqueue.c).
fn lasts(event: &gst::Event) -> bool {
    event.is_sticky() && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn open() -> Arc<Queue> {
        gst::init().unwrap();
        let queue = Arc::new(Queue::new());
        queue.open();
        queue
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        gst::init().unwrap();
        let queue = Queue::new();
        let flushing = Err(gst::FlowError::Flushing);
        assert_eq!(queue.push_buffer(gst::Buffer::new(), None), flushing);
        assert_eq!(queue.push_event(gst::event::Eos::new()), flushing);
        assert_eq!(queue.wait_idle(), flushing);
    }

    #[test]
    fn items_leave_in_order() {
        let queue = open();
        queue.push_buffer(gst::Buffer::new(), None).unwrap();
        queue.push_event(gst::event::Eos::new()).unwrap();
        assert!(matches!(queue.pop(), Ok(Item::Buffer(..))));
        assert!(matches!(queue.pop(), Ok(Item::Event(_))));
    }

    #[test]
    fn a_full_queue_holds_the_pusher_until_it_is_closed() {
        let queue = open();
        for _ in 0..Queue::LEAST {
            queue.push_buffer(gst::Buffer::new(), None).unwrap();
        }
        let other = queue.clone();
        let pusher = thread::spawn(move || other.push_buffer(gst::Buffer::new(), None));
        queue.close(gst::FlowError::Eos);
        assert_eq!(pusher.join().unwrap(), Err(gst::FlowError::Eos));
    }

    #[test]
    fn lasting_events_outlive_a_flush() {
        let queue = open();
        let event = || gst::event::Tag::new(gst::TagList::new());
        for _ in 0..2 {
            queue.push_event(event()).unwrap();
        }
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let segment = gst::event::Segment::new(&segment);
        queue.push_event(segment).unwrap();
        queue.push_buffer(gst::Buffer::new(), None).unwrap();
        // The first is being dealt with when the flush comes.
        queue.pop().unwrap();
        queue.close(gst::FlowError::Flushing);
        queue.open();
        queue.push_event(gst::event::Eos::new()).unwrap();
        let types = [(); 3].map(|()| match queue.pop() {
            Ok(Item::Event(event)) => event.type_(),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            types,
            [
                gst::EventType::Tag,
                gst::EventType::Tag,
                gst::EventType::Eos
            ]
        );
    }

    #[test]
    fn idle_means_the_last_item_is_done() {
        let queue = open();
        queue.push_event(gst::event::Eos::new()).unwrap();
        let other = queue.clone();
        let waiter = thread::spawn(move || other.wait_idle());
        queue.pop().unwrap();
        assert!(!waiter.is_finished());
        queue.done();
        assert_eq!(waiter.join().unwrap(), Ok(()));
    }
}
