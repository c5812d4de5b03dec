//! FairLock with real threads; `tests/threads.rs` tries every order in which they may come.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::thread;

use super::fair_lock::FairLock;

#[test]
fn turns_are_taken_one_at_a_time() {
    let turns = FairLock::new(0);
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
    let turns = FairLock::new(());
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
                turns.recheck();
                // this turn goes on all the while
                waiting.join().expect("nothing panics")
            },
        );
        assert_eq!(finished, Some(None));
    });
    assert_eq!(turns.take(|| false, |()| ()), Some(()));
}

#[test]
fn who_waits_for_others_is_told_how_long() {
    let turns = FairLock::new(());
    assert_eq!(turns.take_timed(|| false, |(), waited| waited), Some(None));
    let (asked, wait_asked) = channel();
    thread::scope(|scope| {
        let waiting = turns.take(
            || false,
            |()| {
                let waiting = scope.spawn(|| {
                    let called_off = || {
                        let _received = asked.send(());
                        false
                    };
                    turns.take_timed(called_off, |(), waited| waited)
                });
                wait_asked.recv().expect("it asks before it waits");
                waiting
            },
        );
        let waited = waiting.expect("nobody calls it off").join();
        assert!(waited.expect("nothing panics").flatten().is_some());
    });
}
