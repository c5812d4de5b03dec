//! Output of the element: sent at once, or on a thread of its own while the network runs on the
//! next pair.
//!
//! Where the network runs on a device and no clock sets the pace, a pair's frames are finished and
//! pushed on a thread behind the task:
//!
//! - At most two pairs are under way: one that leaves, and one that the network runs on.
//! - All leaves in order: a pair is handed over only when the one before has left, and the task waits
//!   for that before it sends anything else.
//! - When a pair has left, the same thread prepares the frame that is next in the queue. One thread
//!   does for both, because no third pair is begun before the first has left.
//!
//! Where a clock sets the pace, frames are finished and pushed on the task's thread.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::sync::lock;
use crate::vfi_element::context::Context;
use crate::vfi_element::engine::{MakeReady, Ready, UnfinishedFrame};
use crate::vfi_element::error::{Failure, Want};
use crate::vfi_element::log::CAT;
use crate::vfi_element::stats::Times;
use crate::vfi_element::timing::grid::Slot;

/// Item that leaves the element.
pub(super) enum OutputItem {
    /// An original.
    Original(gst::Buffer),
    /// An original once more.
    Repeat(gst::Buffer),
    /// A frame that was made.
    Made(gst::Buffer),
    /// A frame that is yet to be finished, and its place in time.
    Unfinished(Box<UnfinishedFrame>, Slot),
}

/// When what is made leaves.
pub(super) enum Delivery {
    /// Each item at once.
    AtOnce,
    /// All items of a pair together, on a thread of its own, while the task deals with the next.
    Together(Vec<OutputItem>),
}

impl Delivery {
    /// Returns whether frames may be handed over unfinished.
    pub(super) fn is_deferred(&self) -> bool {
        matches!(self, Self::Together(_))
    }
}

/// Facts the task learns from what was sent.
#[derive(Default)]
pub(super) struct Report {
    /// Slots of frames that were finished, and the time that took.
    pub(super) made: Vec<(Slot, Times)>,
    /// Reasons why frames could not be finished, and the generation they were begun under.
    pub(super) lacking: Vec<(Want, u64)>,
}

/// Sender of everything that leaves.
pub(super) struct Output {
    context: Arc<Context>,
    /// Round of the queue that everything belongs to.
    round: u64,
    /// Thread the pair is handed to, if one was ever started.
    sender: Option<SenderThread>,
}

impl Output {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            round: 0,
            sender: None,
        }
    }

    /// Returns the round of the queue that everything belongs to.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Begins another round: items handed over before do not leave any more.
    pub(super) fn set_round(&mut self, round: u64) {
        self.round = round;
    }

    /// Sends an item, at once or later with its pair.
    ///
    /// # Errors
    /// Returns the flow error that upstream is to be told.
    pub(super) fn send(
        &self,
        delivery: &mut Delivery,
        item: OutputItem,
    ) -> Result<(), gst::FlowError> {
        match delivery {
            Delivery::AtOnce => push_item(&self.context, self.round, item),
            Delivery::Together(items) => {
                items.push(item);
                Ok(())
            }
        }
    }

    /// Begins to collect a pair. Where there is no thread to hand it to, everything is sent at once,
    /// as elsewhere.
    pub(super) fn collect(&mut self) -> Delivery {
        if self.sender.is_none() {
            self.sender = SenderThread::start(&self.context).ok();
        }
        match self.sender {
            Some(_) => Delivery::Together(Vec::new()),
            None => Delivery::AtOnce,
        }
    }

    /// Hands over what was collected. Whatever was handed over before has to be settled.
    pub(super) fn hand_over(&mut self, delivery: Delivery) {
        if let (Delivery::Together(items), Some(sender)) = (delivery, &mut self.sender) {
            #[cfg(feature = "faults")]
            crate::faults::note_apart();
            sender.pushes = sender.give(SendJob::Push(self.round, items));
        }
    }

    /// Waits until all that was handed over has left. Returns the outcome, unless it was returned
    /// before.
    pub(super) fn settle(&mut self) -> Option<(Report, Result<(), gst::FlowError>)> {
        self.sender.as_mut()?.settle()
    }

    /// Returns whether the thread can make a frame ready: it is there, and has none.
    pub(super) fn can_fetch(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.prepares)
    }

    /// Makes a frame ready on the thread, once what is under way has left.
    pub(super) fn fetch(&mut self, make_ready: MakeReady) {
        if let Some(sender) = &mut self.sender {
            #[cfg(feature = "faults")]
            crate::faults::note_fetched();
            sender.prepares = sender.give(SendJob::Prepare(make_ready));
        }
    }

    /// Waits for the frame that is made ready and takes it, once; `None` if it can't be made.
    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        self.sender.as_mut()?.take_ready()
    }

    /// Waits until nothing leaves or is made ready any more, whatever the outcome: a flush or a
    /// stop is under way.
    pub(super) fn halt(&mut self) {
        if let Some(sender) = &mut self.sender {
            sender.settle();
            sender.take_ready();
        }
    }
}

/// Work for the thread.
enum SendJob {
    /// Pushes items that belong to this round of the queue.
    Push(u64, Vec<OutputItem>),
    /// Makes a frame ready.
    Prepare(MakeReady),
}

/// Thread that sends, which ends with this.
struct SenderThread {
    /// Channel to the thread, there until this is dropped.
    jobs: Option<Sender<SendJob>>,
    reports: Receiver<(Report, Result<(), gst::FlowError>)>,
    frames: Receiver<Option<Ready>>,
    thread: Option<JoinHandle<()>>,
    /// True while something is under way.
    pushes: bool,
    /// True while a frame is being made ready, or is ready.
    prepares: bool,
}

impl SenderThread {
    fn start(context: &Arc<Context>) -> io::Result<Self> {
        let (jobs, incoming) = channel::<SendJob>();
        let (reports_out, reports) = channel();
        let (frames_out, frames) = channel();
        let context = Arc::clone(context);
        let work = move || {
            for load in incoming {
                let heard = match load {
                    SendJob::Push(round, items) => {
                        let mut report = Report::default();
                        let send = || send_all(&context, round, items, &mut report);
                        let at_work = context.crew.set_to_work();
                        let sent = catch_unwind(AssertUnwindSafe(send));
                        drop(at_work);
                        let sent = sent.unwrap_or_else(|panic| {
                            tell_panic(&context, &*panic);
                            Err(gst::FlowError::Error)
                        });
                        reports_out.send((report, sent)).is_ok()
                    }
                    SendJob::Prepare(make_ready) => {
                        let ready = catch_unwind(AssertUnwindSafe(make_ready));
                        let ready = ready.unwrap_or_else(|panic| {
                            tell_panic(&context, &*panic);
                            None
                        });
                        frames_out.send(ready).is_ok()
                    }
                };
                if !heard {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("vfiinterp-send".into());
        Ok(Self {
            jobs: Some(jobs),
            reports,
            frames,
            thread: Some(thread.spawn(work)?),
            pushes: false,
            prepares: false,
        })
    }

    fn give(&self, job: SendJob) -> bool {
        let jobs = self.jobs.as_ref();
        jobs.is_some_and(|jobs| jobs.send(job).is_ok())
    }

    fn settle(&mut self) -> Option<(Report, Result<(), gst::FlowError>)> {
        if !std::mem::take(&mut self.pushes) {
            return None;
        }
        let lost = || (Report::default(), Err(gst::FlowError::Error));
        Some(self.reports.recv().unwrap_or_else(|_| lost()))
    }

    fn take_ready(&mut self) -> Option<Ready> {
        std::mem::take(&mut self.prepares)
            .then(|| self.frames.recv().ok().flatten())
            .flatten()
    }
}

impl Drop for SenderThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // what it panicked of was told
            drop(thread.join());
        }
    }
}

/// Sends all that can be sent, in order.
fn send_all(
    context: &Context,
    round: u64,
    items: Vec<OutputItem>,
    report: &mut Report,
) -> Result<(), gst::FlowError> {
    items.into_iter().try_for_each(|item| match item {
        OutputItem::Unfinished(frame, slot) => {
            let generation = frame.generation();
            match frame.finish() {
                Ok((buffer, times)) => {
                    report.made.push((slot, times));
                    push_item(context, round, OutputItem::Made(buffer))
                }
                Err(Failure::Lacks(want)) => {
                    report.lacking.push((want, generation));
                    Ok(())
                }
                // with a run of the network that was given up
                Err(Failure::Cancelled) if context.queue.flow().is_ok() => {
                    let want = Want::Network("it was cancelled".into());
                    report.lacking.push((want, generation));
                    Ok(())
                }
                Err(failure) => Err(context.flow_of(failure)),
            }
        }
        item => push_item(context, round, item),
    })
}

/// Pushes something that is whole and belongs to this round of the queue, and counts it.
fn push_item(context: &Context, round: u64, item: OutputItem) -> Result<(), gst::FlowError> {
    match item {
        OutputItem::Original(buffer) => {
            let took = push(context, round, buffer)?;
            let mut stats = context.stats();
            stats.originals += 1;
            stats.push_time += took;
        }
        OutputItem::Made(buffer) => {
            let took = push(context, round, buffer)?;
            let mut stats = context.stats();
            stats.synthesised += 1;
            stats.push_time += took;
        }
        OutputItem::Repeat(buffer) => {
            let took = push(context, round, buffer)?;
            let mut stats = context.stats();
            stats.repeated += 1;
            stats.push_time += took;
        }
        OutputItem::Unfinished(..) => return Err(gst::FlowError::Error),
    }
    Ok(())
}

/// Pushes a frame, and returns how long downstream took with it.
fn push(context: &Context, round: u64, buffer: gst::Buffer) -> Result<Duration, gst::FlowError> {
    gst::trace!(CAT, obj = context.srcpad, "pushing {buffer:?}");
    // A flush may have come since the item was taken off the queue.
    context.queue.flow_in(round)?;
    let (due, begin) = (running_time(context, &buffer), context.running_time());
    let start = Instant::now();
    context.srcpad.push(buffer)?;
    let took = start.elapsed();
    if let (Some(due), Some(begin), Some(end)) = (due, begin, context.running_time()) {
        let mut holds = lock(&context.holds);
        holds.add(due.nseconds(), begin.nseconds(), end.nseconds());
    }
    Ok(took)
}

/// Returns the running time of a frame that is about to leave.
fn running_time(context: &Context, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let event = context.srcpad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts())
}

fn tell_panic(context: &Context, panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason");
    context
        .messenger
        .fail(gst::LibraryError::Failed, &format!("Panicked: {text}"));
}
