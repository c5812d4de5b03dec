//! Sends what was made of one pair while the next one is at the network, and then makes the frame
//! ready that comes after that.
//!
//! Where the network runs on a device and no clock sets the pace, a pair's frames are finished and
//! pushed on a thread of their own, behind the task: at most two pairs are under way, and what
//! leaves, leaves in order, because a pair is handed over when the one before has left. Before
//! anything else leaves, that is waited for. When it has left, the same thread makes the frame ready
//! that is next in the queue, so that the task finds it ready: one thread for both, because a third
//! pair is not begun before the first has left. Where a clock sets the pace nothing of this happens,
//! and all that is decided by time is decided as ever.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gst::subclass::prelude::*;

use super::VfiInterp as Element;
use super::engine::{Engine, Failure, Finish, MakeReady, Ready, Small, Times};
use super::grid::Slot;
use super::imp::VfiInterp;
use super::item::Item;
use super::shortage::Want;
use super::worker::Worker;

/// Something that leaves.
pub(super) enum Parcel {
    Original(gst::Buffer),
    /// An original once more.
    Repeat(gst::Buffer),
    /// A frame that was made.
    Made(gst::Buffer),
    /// One that is to be finished yet, and what it has taken so far.
    Unfinished {
        buffer: gst::Buffer,
        finish: Finish,
        times: Times,
        slot: Slot,
        /// What the engine was configured for.
        generation: Option<u64>,
    },
}

/// What is to be learned from what was sent.
#[derive(Default)]
pub(super) struct Report {
    /// Where frames were finished, and what that took.
    pub(super) made: Vec<(Slot, Times)>,
    /// Why frames could not be, and what the engine was configured for.
    pub(super) lacking: Vec<(Want, Option<u64>)>,
}

/// What the thread is to do.
enum Load {
    /// What belongs to this round of the queue.
    Send(u64, Vec<Parcel>),
    Fetch(MakeReady),
}

/// The thread, which ends with it.
pub(super) struct Courier {
    /// There until it is dropped.
    loads: Option<Sender<(Element, Load)>>,
    reports: Receiver<(Report, Result<(), gst::FlowError>)>,
    frames: Receiver<Option<Ready>>,
    thread: Option<JoinHandle<()>>,
    /// Parcels are under way.
    sends: bool,
    /// A frame is being made ready, or is ready.
    fetches: bool,
}

impl Courier {
    pub(super) fn start() -> io::Result<Self> {
        let (loads, incoming) = channel::<(Element, Load)>();
        let (reports_out, reports) = channel();
        let (frames_out, frames) = channel();
        // whoever waits for what came of a load may drop the last reference to the element but this one
        let work = move || {
            for (element, load) in incoming {
                let heard = match load {
                    Load::Send(round, parcels) => {
                        let mut report = Report::default();
                        let send = || send(element.imp(), round, parcels, &mut report);
                        let at_work = element.imp().crew.set_to_work();
                        let sent = catch_unwind(AssertUnwindSafe(send));
                        drop(at_work);
                        let sent = sent.unwrap_or_else(|panic| {
                            tell_panic(&element, &*panic);
                            Err(gst::FlowError::Error)
                        });
                        drop(element);
                        reports_out.send((report, sent)).is_ok()
                    }
                    Load::Fetch(make_ready) => {
                        let ready = catch_unwind(AssertUnwindSafe(make_ready));
                        let ready = ready.unwrap_or_else(|panic| {
                            tell_panic(&element, &*panic);
                            None
                        });
                        drop(element);
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
            loads: Some(loads),
            reports,
            frames,
            thread: Some(thread.spawn(work)?),
            sends: false,
            fetches: false,
        })
    }

    /// Sends parcels; the ones before have to be settled.
    pub(super) fn send(&mut self, imp: &VfiInterp, round: u64, parcels: Vec<Parcel>) {
        #[cfg(feature = "faults")]
        crate::faults::note_apart();
        self.sends = self.give(imp, Load::Send(round, parcels));
    }

    /// Waits until all has left; what came of it, if that was not told before.
    pub(super) fn settle(&mut self) -> Option<(Report, Result<(), gst::FlowError>)> {
        if !std::mem::take(&mut self.sends) {
            return None;
        }
        let lost = || (Report::default(), Err(gst::FlowError::Error));
        Some(self.reports.recv().unwrap_or_else(|_| lost()))
    }

    /// Whether a frame is being made ready, or is ready.
    pub(super) fn fetches(&self) -> bool {
        self.fetches
    }

    /// Has a frame made ready, when what is under way has left.
    pub(super) fn fetch(&mut self, imp: &VfiInterp, make_ready: MakeReady) {
        #[cfg(feature = "faults")]
        crate::faults::note_fetched();
        self.fetches = self.give(imp, Load::Fetch(make_ready));
    }

    /// Waits until it is ready, if it can be; once.
    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        std::mem::take(&mut self.fetches)
            .then(|| self.frames.recv().ok().flatten())
            .flatten()
    }

    fn give(&self, imp: &VfiInterp, load: Load) -> bool {
        let loads = self.loads.as_ref();
        loads.is_some_and(|loads| loads.send((imp.obj().clone(), load)).is_ok())
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.loads = None;
        if let Some(thread) = self.thread.take() {
            // what it panicked of was told
            drop(thread.join());
        }
    }
}

/// Sends all that can be sent, in order.
fn send(
    imp: &VfiInterp,
    round: u64,
    parcels: Vec<Parcel>,
    report: &mut Report,
) -> Result<(), gst::FlowError> {
    parcels.into_iter().try_for_each(|parcel| match parcel {
        Parcel::Unfinished {
            mut buffer,
            finish,
            times,
            slot,
            generation,
        } => match finish(buffer.make_mut()) {
            Ok(synthesise) => {
                let times = Times {
                    synthesise,
                    ..times
                };
                report.made.push((slot, times));
                imp.deliver(round, Parcel::Made(buffer))
            }
            Err(Failure::Lacks(want)) => {
                report.lacking.push((want, generation));
                Ok(())
            }
            // with a run of the network that was given up
            Err(Failure::Cancelled) if imp.queue.flow().is_ok() => {
                let want = Want::Network("it was cancelled".into());
                report.lacking.push((want, generation));
                Ok(())
            }
            Err(failure) => Err(super::between::failed(imp, failure)),
        },
        parcel => imp.deliver(round, parcel),
    })
}

fn tell_panic(element: &Element, panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason");
    gst::element_error!(element, gst::LibraryError::Failed, ("Panicked: {text}"));
}

impl Worker {
    /// Whether what is made now is sent while the next frame, which is there, is dealt with.
    pub(super) fn goes_apart(&mut self, imp: &VfiInterp) -> bool {
        let wanted = self.engine.as_ref().is_some_and(Engine::is_apart)
            && imp.queue.has_frame()
            && !self.is_paced(imp);
        if wanted && self.courier.is_none() {
            // without a thread all is done by the task, as elsewhere
            self.courier = Courier::start().ok();
        }
        wanted && self.courier.is_some()
    }

    /// Whether what is made now is sent later.
    pub(super) fn is_apart(&self) -> bool {
        self.parcels.is_some()
    }

    /// Sends something, in its turn.
    pub(super) fn send(&mut self, imp: &VfiInterp, parcel: Parcel) -> Result<(), gst::FlowError> {
        match &mut self.parcels {
            Some(parcels) => {
                parcels.push(parcel);
                Ok(())
            }
            None => imp.deliver(self.round, parcel),
        }
    }

    /// Has a pair sent, after the one before has left.
    pub(super) fn hand_over(
        &mut self,
        imp: &VfiInterp,
        parcels: Vec<Parcel>,
    ) -> Result<(), gst::FlowError> {
        self.settle(imp)?;
        if let Some(courier) = &mut self.courier {
            courier.send(imp, self.round, parcels);
        }
        Ok(())
    }

    /// Waits until everything has left that was handed over, and learns from it.
    ///
    /// # Errors
    /// What upstream is to be told of it.
    pub(super) fn settle(&mut self, imp: &VfiInterp) -> Result<(), gst::FlowError> {
        let Some((report, sent)) = self.courier.as_mut().and_then(Courier::settle) else {
            return Ok(());
        };
        for (slot, times) in &report.made {
            // no clock sets the pace: nothing is late
            self.note_made(imp, slot, times);
        }
        for (want, generation) in &report.lacking {
            imp.stats().left_out += 1;
            // what lacked before the engine was changed has been seen to
            if self.engine.as_ref().and_then(Engine::generation) == *generation {
                self.run_short(imp, want)?;
            }
        }
        sent
    }

    /// The network is about to run: has the frame that comes next made ready beside it, if that is there.
    pub(super) fn look_ahead(&mut self, imp: &VfiInterp) {
        let (Some(courier), Some(engine)) = (&mut self.courier, &mut self.engine) else {
            return;
        };
        if courier.fetches() {
            return;
        }
        // behind an event the stream may be another
        if let Some(Item::Buffer(next, _)) = imp.queue.peek()
            && let Some(make_ready) = engine.make_ready(next)
        {
            courier.fetch(imp, make_ready);
        }
    }

    /// What was made of this frame before its turn.
    pub(super) fn take_ready(&mut self, imp: &VfiInterp, buffer: &gst::Buffer) -> Option<Small> {
        let ready = self.courier.as_mut()?.take_ready()?;
        let (small, took) = ready.of(buffer)?;
        self.note_content(imp, took, Duration::ZERO);
        Some(small)
    }

    /// Waits until nothing leaves or is made ready any more, whatever becomes of it: a flush or a stop is under
    /// way.
    pub(super) fn halt(&mut self) {
        if let Some(courier) = &mut self.courier {
            courier.settle();
            courier.take_ready();
        }
    }
}
