//! State that two threads share, under loom, which tries every order in which they may come: nobody waits for ever,
//! nothing is lost or passes another, closing and calling off wake everybody.
//!
//! The very files of the plugin are compiled here, with loom's locks in the place of the standard library's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use loom::thread;

/// Stands for `src/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

// by path, as loom is to be in the place of the locks that they are built with
#[path = "../src/models/runtime/fair_lock.rs"]
mod fair_lock;
#[allow(dead_code)] // not all of it is a matter of order
#[path = "../src/vfi_element/queue.rs"]
mod queue;

use fair_lock::FairLock;
use queue::{Kind, Queue, Queued};

/// Tries every order, but for those that need more than three switches from a thread that could go on:
/// what goes wrong does so with fewer.
fn every_order(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Its kind, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Item(Kind, u32);

impl Queued for Item {
    fn kind(&self) -> Kind {
        self.0
    }
}

fn frame(number: u32) -> Item {
    Item(Kind::Frame, number)
}

fn open() -> Arc<Queue<Item>> {
    let queue = Arc::new(Queue::new());
    queue.open();
    queue
}

/// A task that takes items until the queue is closed, and gives what it was done with.
fn task(queue: &Arc<Queue<Item>>) -> thread::JoinHandle<Vec<Item>> {
    let (queue, round) = (queue.clone(), queue.round());
    thread::spawn(move || {
        let mut done = Vec::new();
        while let Ok(taken) = queue.pop(round) {
            done.push(taken.item);
            queue.done();
        }
        done
    })
}

#[test]
fn items_keep_their_order_and_all_is_done_when_the_queue_is_idle() {
    every_order(|| {
        let queue = open();
        let task = task(&queue);
        // One more than there is room for.
        let items = [frame(0), Item(Kind::Lasting, 1), frame(2), frame(3)];
        for item in items {
            queue.push(item).unwrap();
        }
        queue.wait_idle().unwrap();
        queue.close(gst::FlowError::Flushing);
        assert_eq!(task.join().unwrap(), items);
    });
}

#[test]
fn no_more_frames_wait_than_there_is_room_for() {
    every_order(|| {
        let queue = open();
        let (room, sent) = (queue.capacity(), Arc::new(AtomicUsize::new(0)));
        let (other, count) = (queue.clone(), sent.clone());
        let upstream = thread::spawn(move || {
            for number in 0..4 {
                if other.push(frame(number)).is_err() {
                    return;
                }
                count.fetch_add(1, SeqCst);
            }
        });
        queue.pop(queue.round()).unwrap();
        let sent = sent.load(SeqCst);
        assert!(sent <= room + 1, "{sent}");
        queue.close(gst::FlowError::Flushing);
        upstream.join().unwrap();
    });
}

/// A full queue, and somebody who waits for room in it.
fn full() -> (
    Arc<Queue<Item>>,
    thread::JoinHandle<Result<(), gst::FlowError>>,
) {
    let queue = open();
    for number in 0..queue.capacity() {
        queue.push(frame(number as u32)).unwrap();
    }
    let other = queue.clone();
    (queue, thread::spawn(move || other.push(frame(9))))
}

#[test]
fn there_is_room_as_soon_as_the_task_has_taken_a_frame() {
    every_order(|| {
        let (queue, upstream) = full();
        queue.pop(queue.round()).unwrap();
        // The task is at work on it all the while.
        assert_eq!(upstream.join().unwrap(), Ok(()));
    });
}

#[test]
fn more_room_wakes_whoever_waits_for_it() {
    every_order(|| {
        let (queue, upstream) = full();
        let frame = gst::ClockTime::from_mseconds(10);
        queue.fit(frame * 10, frame);
        assert_eq!(upstream.join().unwrap(), Ok(()));
    });
}

#[test]
fn closing_wakes_whoever_waits_for_room_and_for_a_frame() {
    every_order(|| {
        let queue = open();
        let task = task(&queue);
        let other = queue.clone();
        let upstream =
            thread::spawn(move || (0..4).find_map(|number| other.push(frame(number)).err()));
        queue.close(gst::FlowError::Flushing);
        task.join().unwrap();
        // None if everything was done before.
        let told = upstream.join().unwrap();
        assert!(told.is_none_or(|told| told == gst::FlowError::Flushing));
    });
}

#[test]
fn closing_wakes_whoever_waits_for_an_answer() {
    every_order(|| {
        let queue = open();
        queue.push(frame(0)).unwrap();
        // The task is at work on it, and stays there.
        queue.pop(queue.round()).unwrap();
        let other = queue.clone();
        let upstream = thread::spawn(move || other.wait_idle());
        queue.close(gst::FlowError::Flushing);
        assert_eq!(upstream.join().unwrap(), Err(gst::FlowError::Flushing));
    });
}

#[test]
fn an_answer_waits_for_what_the_task_is_at_work_on() {
    every_order(|| {
        let queue = open();
        queue.push(frame(0)).unwrap();
        let at_work = Arc::new(AtomicBool::new(false));
        let (other, busy) = (queue.clone(), at_work.clone());
        let task = thread::spawn(move || {
            other.pop(other.round()).unwrap();
            busy.store(true, SeqCst);
            busy.store(false, SeqCst);
            other.done();
        });
        queue.wait_idle().unwrap();
        assert!(!at_work.load(SeqCst));
        task.join().unwrap();
        assert!(queue.flow().is_ok());
    });
}

#[test]
fn the_first_reason_for_closing_stays() {
    every_order(|| {
        let queue = open();
        let other = queue.clone();
        // The task fails while a flush comes.
        let task = thread::spawn(move || other.fail(gst::FlowError::Error));
        queue.close(gst::FlowError::Flushing);
        task.join().unwrap();
        assert_eq!(queue.flow(), Err(gst::FlowError::Flushing));
    });
}

#[test]
fn what_lasts_is_dealt_with_after_a_flush_in_order_and_once_or_twice() {
    every_order(|| {
        let queue = open();
        let first = task(&queue);
        for item in [Item(Kind::Lasting, 0), frame(1), Item(Kind::Lasting, 2)] {
            queue.push(item).unwrap();
        }
        queue.close(gst::FlowError::Flushing);
        let before = first.join().unwrap();
        queue.open();
        queue.push(Item(Kind::Last, 3)).unwrap();
        let second = task(&queue);
        queue.wait_idle().unwrap();
        queue.close(gst::FlowError::Flushing);
        let after = second.join().unwrap();
        for number in [0, 2] {
            let times = before.iter().chain(&after).filter(|item| item.1 == number);
            assert!(times.count() > 0, "{number} is lost: {before:?}, {after:?}");
        }
        assert!(after.is_sorted_by_key(|item| item.1), "{after:?}");
        assert_eq!(after.last(), Some(&Item(Kind::Last, 3)));
    });
}

#[test]
fn turns_are_taken_one_at_a_time_and_everybody_has_one() {
    every_order(|| {
        let turns = Arc::new(FairLock::new(0));
        let inside = Arc::new(AtomicBool::new(false));
        let take = move |turns: &FairLock<i32>, inside: &AtomicBool| {
            let work = |value: &mut i32| {
                assert!(!inside.swap(true, SeqCst), "two at a time");
                *value += 1;
                inside.store(false, SeqCst);
            };
            assert!(turns.take(|| false, work).is_some());
        };
        let others = [(); 2].map(|()| {
            let (turns, inside) = (turns.clone(), inside.clone());
            thread::spawn(move || take(&turns, &inside))
        });
        take(&turns, &inside);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(turns.take(|| false, |value| *value), Some(3));
    });
}

#[test]
fn who_is_called_off_leaves_the_line_and_holds_up_nobody() {
    every_order(|| {
        let turns = Arc::new(FairLock::new(()));
        let off = Arc::new(AtomicBool::new(false));
        let (other, flag) = (turns.clone(), off.clone());
        let called_off = thread::spawn(move || other.take(|| flag.load(SeqCst), |()| ()));
        let other = turns.clone();
        let behind = thread::spawn(move || other.take(|| false, |()| ()));
        // This turn lasts until the one who waits behind it was called off, and has gone.
        turns.take(
            || false,
            |()| {
                off.store(true, SeqCst);
                turns.recheck();
            },
        );
        called_off.join().unwrap();
        assert_eq!(behind.join().unwrap(), Some(()));
        assert_eq!(turns.take(|| false, |()| ()), Some(()));
    });
}

#[test]
fn who_is_called_off_while_waiting_does_not_wait_for_the_turn_to_end() {
    every_order(|| {
        let turns = Arc::new(FairLock::new(()));
        let off = Arc::new(AtomicBool::new(false));
        let (other, flag) = (turns.clone(), off.clone());
        turns.take(
            || false,
            |()| {
                let waits = thread::spawn(move || other.take(|| flag.load(SeqCst), |()| ()));
                off.store(true, SeqCst);
                turns.recheck();
                // The turn goes on all the while.
                assert_eq!(waits.join().unwrap(), None);
            },
        );
    });
}
