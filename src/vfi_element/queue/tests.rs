//! Tests of the queue on one thread, and where it is of no importance which comes first.

use std::sync::Arc;
use std::thread;

use super::item::Item;
use super::queue::Queue;

fn open() -> Arc<Queue<Item>> {
    gst::init().unwrap();
    let queue = Arc::new(Queue::new());
    queue.open();
    queue
}

fn frame() -> Item {
    Item::Buffer(gst::Buffer::new(), None)
}

fn eos() -> Item {
    Item::Event(gst::event::Eos::new())
}

#[test]
fn a_closed_queue_takes_nothing() {
    gst::init().unwrap();
    let queue = Queue::new();
    let flushing = Err(gst::FlowError::Flushing);
    assert_eq!(queue.push(frame()), flushing);
    assert_eq!(queue.push(eos()), flushing);
    assert_eq!(queue.wait_idle(), flushing);
}

#[test]
fn items_leave_in_order() {
    let queue = open();
    queue.push(frame()).unwrap();
    queue.push(eos()).unwrap();
    let next = || queue.pop(queue.round()).unwrap().item;
    assert!(matches!(next(), Item::Buffer(..)));
    assert!(matches!(next(), Item::Event(_)));
}

#[test]
fn a_look_at_what_is_next_takes_nothing() {
    let queue = open();
    assert!(queue.peek().is_none());
    queue.push(eos()).unwrap();
    queue.push(frame()).unwrap();
    for _ in 0..2 {
        assert!(matches!(queue.peek(), Some(Item::Event(_))));
    }
    queue.pop(queue.round()).unwrap();
    assert!(matches!(queue.peek(), Some(Item::Buffer(..))));
}

#[test]
fn a_full_queue_holds_the_pusher_until_it_is_closed() {
    let queue = open();
    for _ in 0..queue.capacity() {
        queue.push(frame()).unwrap();
    }
    let other = queue.clone();
    let pusher = thread::spawn(move || other.push(frame()));
    queue.close(gst::FlowError::Eos);
    assert_eq!(pusher.join().unwrap(), Err(gst::FlowError::Eos));
}

#[test]
fn lasting_events_outlive_a_flush() {
    let queue = open();
    let event = || Item::Event(gst::event::Tag::new(gst::TagList::new()));
    for _ in 0..2 {
        queue.push(event()).unwrap();
    }
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let segment = gst::event::Segment::new(&segment);
    queue.push(Item::Event(segment)).unwrap();
    queue.push(frame()).unwrap();
    // The first is being dealt with when the flush comes.
    queue.pop(queue.round()).unwrap();
    queue.close(gst::FlowError::Flushing);
    queue.open();
    queue.push(eos()).unwrap();
    let types = [(); 3].map(
        |()| match queue.pop(queue.round()).map(|taken| taken.item) {
            Ok(Item::Event(event)) => event.type_(),
            other => panic!("{other:?}"),
        },
    );
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
    queue.push(eos()).unwrap();
    let other = queue.clone();
    let waiter = thread::spawn(move || other.wait_idle());
    queue.pop(queue.round()).unwrap();
    assert!(!waiter.is_finished());
    queue.done();
    assert_eq!(waiter.join().unwrap(), Ok(()));
}

#[test]
fn what_was_taken_before_the_queue_was_opened_anew_may_not_leave() {
    let queue = open();
    let round = queue.round();
    queue.push(frame()).unwrap();
    queue.pop(round).unwrap();
    assert_eq!(queue.flow_in(round), Ok(()));
    queue.close(gst::FlowError::Flushing);
    queue.open();
    queue.push(frame()).unwrap();
    let flushing = Err(gst::FlowError::Flushing);
    assert_eq!(queue.flow_in(round), flushing);
    assert!(
        queue.pop(round).is_err(),
        "that one belongs to the next round"
    );
    assert!(queue.pop(queue.round()).is_ok());
}

#[test]
fn nobody_waits_for_a_task_that_waits_for_upstream() {
    let queue = open();
    queue.let_all_in(true);
    for _ in 0..=queue.capacity() {
        queue.push(frame()).unwrap();
    }
    assert_eq!(queue.wait_idle(), Err(gst::FlowError::Flushing));
    assert_eq!(queue.flow(), Ok(()));
}

#[test]
fn who_takes_a_frame_is_told_how_many_waited() {
    let queue = open();
    for item in [frame(), eos(), frame()] {
        queue.push(item).unwrap();
    }
    let levels = [(); 3].map(|()| queue.pop(queue.round()).unwrap().level);
    assert_eq!(levels, [2, 1, 1]);
}
