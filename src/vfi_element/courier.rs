//! Sends what was made of one pair while the next one is at the network.
//!
//! Where the network runs on a device and no clock sets the pace, a pair's frames are finished and
//! pushed on a thread of their own, behind the task: at most two pairs are under way, and what
//! leaves, leaves in order, because a pair is handed over when the one before has left. Before
//! anything else leaves, that is waited for. Where a clock sets the pace nothing of this happens, and
//! all that is decided by time is decided as ever.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use gst::subclass::prelude::*;

use super::VfiInterp as Element;
use super::engine::{Failure, Finish, Times};
use super::grid::Slot;
use super::imp::VfiInterp;

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
    },
}

/// What is to be learned from what was sent.
#[derive(Default)]
pub(super) struct Report {
    /// Where frames were finished, and what that took.
    pub(super) made: Vec<(Slot, Times)>,
    /// Why frames could not be, for want of memory.
    pub(super) lacking: Vec<String>,
}

/// The thread, which ends with it.
pub(super) struct Courier {
    /// There until it is dropped.
    loads: Option<Sender<(Element, Vec<Parcel>)>>,
    reports: Receiver<(Report, Result<(), gst::FlowError>)>,
    thread: Option<JoinHandle<()>>,
    under_way: bool,
}

impl Courier {
    pub(super) fn start() -> io::Result<Self> {
        let (loads, incoming) = channel::<(Element, Vec<Parcel>)>();
        let (outgoing, reports) = channel();
        let work = move || {
            for (element, parcels) in incoming {
                let mut report = Report::default();
                let send = || send(element.imp(), parcels, &mut report);
                let sent = catch_unwind(AssertUnwindSafe(send));
                let sent = sent.unwrap_or_else(|panic| Err(panicked(&element, &*panic)));
                // whoever waits for the report may drop the last reference but this one
                drop(element);
                if outgoing.send((report, sent)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("vfiinterp-send".into());
        Ok(Self {
            loads: Some(loads),
            reports,
            thread: Some(thread.spawn(work)?),
            under_way: false,
        })
    }

    /// Sends parcels; the ones before have to be settled.
    pub(super) fn send(&mut self, imp: &VfiInterp, parcels: Vec<Parcel>) {
        #[cfg(feature = "faults")]
        crate::faults::note_apart();
        let load = (imp.obj().clone(), parcels);
        let sent = self.loads.as_ref().map(|loads| loads.send(load));
        self.under_way = matches!(sent, Some(Ok(())));
    }

    /// Waits until all has left; what came of it, if that was not told before.
    pub(super) fn settle(&mut self) -> Option<(Report, Result<(), gst::FlowError>)> {
        if !std::mem::take(&mut self.under_way) {
            return None;
        }
        let lost = || (Report::default(), Err(gst::FlowError::Error));
        Some(self.reports.recv().unwrap_or_else(|_| lost()))
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
fn send(imp: &VfiInterp, parcels: Vec<Parcel>, report: &mut Report) -> Result<(), gst::FlowError> {
    parcels.into_iter().try_for_each(|parcel| match parcel {
        Parcel::Unfinished {
            mut buffer,
            finish,
            times,
            slot,
        } => match finish(buffer.make_mut()) {
            Ok(synthesise) => {
                let times = Times {
                    synthesise,
                    ..times
                };
                report.made.push((slot, times));
                imp.push_synthesised(buffer)
            }
            Err(Failure::Memory(reason)) => {
                report.lacking.push(reason);
                Ok(())
            }
            Err(failure) => Err(super::between::failed(imp, failure)),
        },
        parcel => imp.deliver(parcel),
    })
}

fn panicked(element: &Element, panic: &(dyn Any + Send)) -> gst::FlowError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no reason");
    gst::element_error!(element, gst::LibraryError::Failed, ("Panicked: {text}"));
    gst::FlowError::Error
}

impl VfiInterp {
    /// Sends something that is whole.
    pub(super) fn deliver(&self, parcel: Parcel) -> Result<(), gst::FlowError> {
        match parcel {
            Parcel::Original(buffer) => self.push_original(buffer),
            Parcel::Made(buffer) => self.push_synthesised(buffer),
            Parcel::Repeat(buffer) => {
                self.push(buffer)?;
                self.stats().repeated += 1;
                Ok(())
            }
            Parcel::Unfinished { .. } => Err(gst::FlowError::Error),
        }
    }
}
