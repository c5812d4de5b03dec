//! When the output ends before the input does: at a given time, or as soon as it may.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use anyhow::Result;
use gst::prelude::*;

use crate::progress::Counter;

/// How long the encoder may take to give out what it holds; then the file is closed without that.
const DRAIN: Duration = Duration::from_millis(1400);

/// How long the muxer may take to close the file; then there is none.
const CLOSE: Duration = Duration::from_millis(400);

/// Where streams are ended.
///
/// At a given time, the video stops first, at its encoder; the sound follows up to where the video
/// ends, and then the muxer closes the file in good order.
#[derive(Debug)]
pub(crate) struct End {
    /// Frames that reached the encoder.
    pub(crate) counter: Counter,
    asked: AtomicBool,
    /// Running time in ns from which nothing is written.
    at: AtomicU64,
    doors: Mutex<Vec<(Door, gst::Pad)>>,
}

/// The kinds of pads at which streams end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The encoder's sink pad.
    Frames,
    /// A pad of the muxer whose stream never pauses for long.
    Steady,
    /// A pad of the muxer whose next buffer may be hours away.
    Sparse,
}

impl End {
    pub(crate) fn new(limit: Option<Duration>) -> Arc<Self> {
        let at = limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64);
        Arc::new(Self {
            counter: Counter::default(),
            asked: AtomicBool::new(false),
            at: AtomicU64::new(at),
            doors: Mutex::new(Vec::new()),
        })
    }

    /// Returns whether the user asked for the end.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Returns how much of an input of that length is used.
    pub(crate) fn cut(&self, length: Duration) -> Duration {
        length.min(Duration::from_nanos(self.at.load(Ordering::SeqCst)))
    }

    /// Lets a stream through the pad until the end has come.
    pub(crate) fn guard(self: &Arc<Self>, door: Door, pad: &gst::Pad) {
        self.doors().push((door, pad.clone()));
        let end = Arc::clone(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
            let at = end.at.load(Ordering::SeqCst);
            // What has no time goes with the rest until all is to be closed.
            if time.unwrap_or(0) < at {
                if let (Door::Frames, Some(time)) = (door, time) {
                    end.counter.frame(time);
                }
                return gst::PadProbeReturn::Ok;
            }
            pad.send_event(gst::event::Eos::new());
            if door == Door::Frames {
                end.close(|door| door == Door::Sparse);
            }
            info.flow_res = Err(gst::FlowError::Eos);
            gst::PadProbeReturn::Handled
        });
    }

    /// Ends the video with the frames that have reached the encoder.
    fn stop(&self) {
        let after = self.counter.time().as_nanos() as u64 + 1;
        self.at.fetch_min(after, Ordering::SeqCst);
        self.close(|door| door != Door::Steady);
    }

    /// Ends all with what has reached the muxer.
    fn stop_here(&self) {
        self.at.store(0, Ordering::SeqCst);
        self.close(|door| door != Door::Frames);
    }

    /// Ends streams even if nothing comes in them any more.
    fn close(&self, which: impl Fn(Door) -> bool) {
        for (_, pad) in self.doors().iter().filter(|(door, _)| which(*door)) {
            let pad = pad.clone();
            // Each on a thread of its own: a pad is busy as long as its muxer waits for another one.
            thread::spawn(move || {
                if pad.sticky_event::<gst::event::StreamStart>(0).is_none() {
                    pad.send_event(gst::event::StreamStart::new("none"));
                }
                pad.send_event(gst::event::Eos::new());
            });
        }
    }

    fn doors(&self) -> std::sync::MutexGuard<'_, Vec<(Door, gst::Pad)>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<u64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment
        .to_running_time(buffer.pts()?)
        .map(gst::ClockTime::nseconds)
}

/// Ends the job when the user interrupts (or terminates) the program.
///
/// At the first time, the file is closed so that it can be played, or there is none if that takes
/// too long, whatever the rest of the program waits for. At the second, there is none.
pub(crate) fn heed_interrupts(end: &Arc<End>, draft: PathBuf) -> Result<()> {
    let end = Arc::clone(end);
    ctrlc::set_handler(move || {
        let again = end.asked.swap(true, Ordering::SeqCst);
        if again || end.counter.frames() == 0 {
            give_up(&draft);
        }
        let (end, draft) = (Arc::clone(&end), draft.clone());
        thread::spawn(move || {
            end.stop();
            thread::sleep(DRAIN);
            end.stop_here();
            thread::sleep(CLOSE);
            give_up(&draft);
        });
    })?;
    Ok(())
}

/// Ends the program without a file, unless that has been given its name already.
fn give_up(draft: &PathBuf) -> ! {
    let mut status = 0;
    if fs::remove_file(draft).is_ok() {
        eprintln!("stopped: there is no output");
        status = 130;
    }
    // SAFETY: it takes no pointer. `process::exit` would run the runtime's destructors while its
    // threads work, and crash.
    unsafe { libc::_exit(status) }
}
