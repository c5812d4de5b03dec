//! Gives up a run of the network when a clock reaches a time.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::models::RunCanceller;
use crate::sync::lock;

/// State that the clock's thread and the task share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimerState {
    Set,
    Stopped,
    Rung,
}

/// Cancels a run when a clock reaches a time, unless it is stopped before. Then the canceller has
/// to be rearmed.
#[derive(Debug)]
pub(super) struct DeadlineTimer {
    id: gst::SingleShotClockId,
    state: Arc<Mutex<TimerState>>,
}

impl DeadlineTimer {
    /// Arms a timer. Returns `None` if the clock can't do that.
    pub(super) fn set(
        clock: &gst::Clock,
        time: gst::ClockTime,
        canceller: RunCanceller,
    ) -> Option<Self> {
        let state = Arc::new(Mutex::new(TimerState::Set));
        let id = clock.new_single_shot_id(time);
        let shared = state.clone();
        id.wait_async(move |_, reached, _| {
            let mut state = lock(&shared);
            // Under the lock, so that once it is stopped it cancels nothing that comes later.
            if reached.is_some() && *state == TimerState::Set {
                *state = TimerState::Rung;
                canceller.cancel();
            }
        })
        .ok()?;
        Some(Self { id, state })
    }

    /// Stops the timer and returns whether it has rung already.
    pub(super) fn stop(self) -> bool {
        let rung = {
            let mut state = lock(&self.state);
            std::mem::replace(&mut *state, TimerState::Stopped) == TimerState::Rung
        };
        self.id.unschedule();
        rung
    }
}
