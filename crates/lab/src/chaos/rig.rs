//! The element between a source and a sink that do as they are told, and look at everything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use fastrand::Rng;
use gst::prelude::*;

use super::ledger::{Alive, Ledger};
use super::lock;
use super::stream::{Outlet, Stream};
use crate::element;
use crate::watchdog::Watchdog;

/// State common to the source's thread, the sink and whoever is in command.
#[derive(Debug)]
pub(super) struct Shared {
    pub element: gst::Element,
    pub source: gst::Pad,
    pub alive: Arc<Alive>,
    pub ledger: Mutex<Ledger>,
    /// State of the source's stream; locked while it pushes, as a source's stream lock is.
    stream: Mutex<Stream>,
    gate: Mutex<Gate>,
    moved: Condvar,
    /// The rates downstream takes.
    rates: Mutex<gst::Caps>,
    /// Downstream says that it has had enough.
    sated: AtomicBool,
    /// The source is live, so that holes stay open and what is late is left out.
    live: AtomicBool,
    /// How many frames were warned of.
    warnings: AtomicU64,
    watchdog: Watchdog,
}

/// Whether the source may go on.
#[derive(Debug, Default)]
struct Gate {
    /// A flush or a change of state is under way.
    closed: bool,
    /// Frames that were taken.
    sent: u64,
    ended: bool,
    /// First fault found, in words.
    wrong: Option<String>,
}

/// The element at work on a stream that never ends, until it is dropped.
#[derive(Debug)]
pub(super) struct Rig {
    pub shared: Arc<Shared>,
    pub sink: gst::Pad,
    bus: gst::Bus,
    source_thread: Option<thread::JoinHandle<()>>,
}

/// The stream stands still, and may be changed.
pub(super) struct Standstill<'a> {
    shared: &'a Shared,
    stream: MutexGuard<'a, Stream>,
}

impl Shared {
    /// Notes what went wrong, if it is the first thing.
    pub(super) fn fail(&self, what: String) {
        lock(&self.gate).wrong.get_or_insert(what);
        self.moved.notify_all();
    }

    pub(super) fn stat(&self, name: &str) -> u64 {
        element::stat(&self.element, name).unwrap_or(0)
    }

    /// Returns whether downstream leaves the rate open, so that every original has a place.
    fn open(&self) -> bool {
        lock(&self.rates).is_any()
    }

    /// Makes the source stand still, as soon as what it is at lets it; frames it has sent may be
    /// lost from here on.
    pub(super) fn stop(&self, interrupt: impl FnOnce()) -> Standstill<'_> {
        lock(&self.gate).closed = true;
        interrupt();
        Standstill {
            shared: self,
            stream: lock(&self.stream),
        }
    }

    /// Begins the account anew: nothing that went in before is accounted for from here on.
    pub(super) fn begin(&self, stream: &Stream) {
        let strict = self.open() && stream.is_regular();
        lock(&self.ledger).begin(strict, self.stat("duplicates"));
    }

    /// Sends what comes next, again and again.
    fn run(&self) {
        loop {
            let mut gate = lock(&self.gate);
            while gate.closed && !gate.ended {
                gate = wait(&self.moved, gate);
            }
            if gate.ended || gate.wrong.is_some() {
                return;
            }
            drop(gate);
            let mut stream = lock(&self.stream);
            if lock(&self.gate).closed {
                continue;
            }
            let sent = stream.next(self);
            let mut gate = lock(&self.gate);
            match sent {
                Ok(frames) => gate.sent += frames,
                Err(gst::FlowError::Flushing) if gate.closed => {}
                Err(gst::FlowError::Eos) if self.sated.load(Ordering::SeqCst) => {
                    drop(gate);
                    self.sated.store(false, Ordering::SeqCst);
                    if stream.begin_anew(self).is_err() && !lock(&self.gate).closed {
                        self.fail("refused to begin anew".into());
                    }
                    self.begin(&stream);
                    continue;
                }
                Err(flow) => {
                    let what = format!("upstream is told {flow} for no reason");
                    gate.wrong.get_or_insert(what);
                }
            }
            drop(gate);
            self.moved.notify_all();
            self.watchdog.beat();
        }
    }

    /// Takes a frame as downstream does.
    fn chain(&self, buffer: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        // One frame that goes in may be hundreds that come out.
        self.watchdog.beat();
        if self.sated.load(Ordering::SeqCst) {
            return Err(gst::FlowError::Eos);
        }
        let found = lock(&self.ledger).frame(&self.alive, buffer);
        if let Err(what) = found {
            self.fail(what);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn message(&self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Error(error) => {
                let details = error.debug().unwrap_or_default();
                self.fail(format!("an error message: {} ({details})", error.error()));
            }
            gst::MessageView::Warning(_) => {
                self.warnings.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Outlet for Shared {
    fn source(&self) -> &gst::Pad {
        &self.source
    }

    fn alive(&self) -> &Arc<Alive> {
        &self.alive
    }

    fn ledger(&self) -> &Mutex<Ledger> {
        &self.ledger
    }

    fn settle(&self, stream: &Stream) {
        let settled = lock(&self.ledger).settle(self.stat("duplicates"));
        // What downstream has had enough for is not lost; upstream may be yet to learn of that.
        if let Err(what) = settled
            && !self.sated.load(Ordering::SeqCst)
        {
            self.fail(what);
        }
        self.begin(stream);
    }

    fn why_refused(&self) -> gst::FlowError {
        if lock(&self.gate).closed {
            gst::FlowError::Flushing
        } else if self.sated.load(Ordering::SeqCst) {
            gst::FlowError::Eos
        } else {
            gst::FlowError::Error
        }
    }
}

impl Rig {
    /// Creates the element, not started, and all around it.
    pub(super) fn new(rng: Rng, watchdog: &Watchdog) -> Result<Self> {
        let element = crate::clip::make("vfiinterp")?;
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| {
            let (asked, timed) = (shared.clone(), shared.clone());
            let source = gst::Pad::builder(gst::PadDirection::Src)
                .name("source")
                .event_function(move |_, _, event| {
                    asked
                        .upgrade()
                        .is_some_and(|shared| shared.upstream_event(&event))
                })
                .query_function(move |pad, parent, query| match query.view_mut() {
                    gst::QueryViewMut::Latency(query) => {
                        let shared = timed.upgrade();
                        let live = shared.is_none_or(|shared| shared.live.load(Ordering::SeqCst));
                        query.set(live, gst::ClockTime::from_mseconds(20), None);
                        true
                    }
                    gst::QueryViewMut::Caps(query) => {
                        query.set_result(&gst::Caps::new_any());
                        true
                    }
                    _ => gst::Pad::query_default(pad, parent, query),
                })
                .build();
            Shared {
                element: element.clone(),
                source,
                alive: Arc::default(),
                ledger: Mutex::default(),
                stream: Mutex::new(Stream::new(rng)),
                gate: Mutex::new(Gate {
                    closed: true,
                    ..Gate::default()
                }),
                moved: Condvar::new(),
                rates: Mutex::new(gst::Caps::new_any()),
                sated: AtomicBool::new(false),
                live: AtomicBool::new(true),
                warnings: AtomicU64::new(0),
                watchdog: watchdog.clone(),
            }
        });
        let sink = sink(&shared);
        let pad = |name| element.static_pad(name).context("a pad of vfiinterp");
        shared.source.link(&pad("sink")?)?;
        pad("src")?.link(&sink)?;
        let bus = gst::Bus::new();
        let heard = Arc::downgrade(&shared);
        bus.set_sync_handler(move |_, message| {
            if let Some(shared) = heard.upgrade() {
                shared.message(message);
            }
            gst::BusSyncReply::Drop
        });
        element.set_bus(Some(&bus));
        let clock = gst::SystemClock::obtain();
        element.set_clock(Some(&clock))?;
        let run = shared.clone();
        let name = thread::Builder::new().name("source".into());
        let source_thread = name.spawn(move || run.run())?;
        Ok(Self {
            shared,
            sink,
            bus,
            source_thread: Some(source_thread),
        })
    }

    /// Waits until so many frames were taken in all. At the latest then everything is known to be
    /// right so far.
    pub(super) fn wait(&self, frames: u64) -> Result<u64> {
        let mut gate = lock(&self.shared.gate);
        while gate.sent < frames && gate.wrong.is_none() {
            gate = wait(&self.shared.moved, gate);
        }
        match &gate.wrong {
            Some(what) => bail!(
                "{what}, after {} frames, during: {}",
                gate.sent,
                self.shared.watchdog.what()
            ),
            None => Ok(gate.sent),
        }
    }

    pub(super) fn sent(&self) -> u64 {
        lock(&self.shared.gate).sent
    }

    pub(super) fn warnings(&self) -> u64 {
        self.shared.warnings.load(Ordering::Relaxed)
    }

    /// Sets the rates downstream takes from here on.
    pub(super) fn set_rates(&self, caps: gst::Caps) {
        // No stretch begins before the element has heard of it.
        let _still = lock(&self.shared.stream);
        // Frames that are under way may find no place.
        lock(&self.shared.ledger).loosen();
        *lock(&self.shared.rates) = caps;
        self.sink.push_event(gst::event::Reconfigure::new());
    }

    /// Sets whether the source is live from the next start on.
    pub(super) fn set_live(&self, live: bool) {
        self.shared.live.store(live, Ordering::SeqCst);
    }

    /// Marks downstream as having had enough, until the stream begins anew.
    pub(super) fn sate(&self) {
        self.shared.sated.store(true, Ordering::SeqCst);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        lock(&self.shared.gate).ended = true;
        self.shared.moved.notify_all();
        let _ = self.sink.set_active(false);
        let _ = self.shared.element.set_state(gst::State::Null);
        if let Some(thread) = self.source_thread.take() {
            let _ = thread.join();
        }
        self.bus.unset_sync_handler();
        self.shared.element.set_bus(None);
    }
}

impl Standstill<'_> {
    /// Sends what a stream begins with.
    pub(super) fn begin_anew(&mut self) -> Result<()> {
        let begun = self.stream.begin_anew(self.shared);
        begun.map_err(|flow| anyhow::anyhow!("the stream can't begin: {flow}"))
    }

    /// Lets the source go on.
    pub(super) fn go(self) {
        self.shared.sated.store(false, Ordering::SeqCst);
        self.shared.begin(&self.stream);
        lock(&self.shared.gate).closed = false;
        drop(self.stream);
        self.shared.moved.notify_all();
    }
}

impl Shared {
    /// Handles an event by which downstream wants something of the source: a seek.
    fn upstream_event(&self, event: &gst::Event) -> bool {
        let gst::EventView::Seek(seek) = event.view() else {
            return true;
        };
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let times = |value: gst::GenericFormattedValue| match value {
            gst::GenericFormattedValue::Time(time) => time,
            _ => None,
        };
        let (start, stop) = ((start_type, times(start)), (stop_type, times(stop)));
        if !flags.contains(gst::SeekFlags::FLUSH) {
            let mut stream = lock(&self.stream);
            stream.seek(rate, flags, start, stop);
            return stream.send_segment(self);
        }
        let mut still = self.stop(|| {
            self.source.push_event(gst::event::FlushStart::new());
        });
        self.source.push_event(gst::event::FlushStop::new(true));
        still.stream.seek(rate, flags, start, stop);
        let sent = still.stream.send_segment(self);
        still.go();
        sent
    }
}

/// Takes everything, if its rate is among those that are wanted.
fn sink(shared: &Arc<Shared>) -> gst::Pad {
    let weak = || Arc::downgrade(shared);
    let (frames, events, queries) = (weak(), weak(), weak());
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("sink")
        .chain_function(move |_, _, buffer| {
            let shared = frames.upgrade().ok_or(gst::FlowError::Flushing)?;
            shared.chain(&buffer)
        })
        .event_function(move |_, _, event| {
            let Some(shared) = events.upgrade() else {
                return false;
            };
            let found = lock(&shared.ledger).event(&event);
            if let Err(what) = found {
                shared.fail(what);
            }
            true
        })
        .query_function(move |pad, parent, query| {
            let Some(shared) = queries.upgrade() else {
                return false;
            };
            let rates = lock(&shared.rates).clone();
            match query.view_mut() {
                gst::QueryViewMut::Caps(query) => {
                    let caps = match query.filter_owned() {
                        Some(filter) => filter.intersect(&rates),
                        None => rates,
                    };
                    query.set_result(&caps);
                    true
                }
                gst::QueryViewMut::AcceptCaps(query) => {
                    // What was negotiated before may still come.
                    query.set_result(true);
                    true
                }
                gst::QueryViewMut::Drain(_) => true,
                _ => gst::Pad::query_default(pad, parent, query),
            }
        })
        .build()
}

fn wait<'a>(moved: &Condvar, gate: MutexGuard<'a, Gate>) -> MutexGuard<'a, Gate> {
    moved.wait(gate).unwrap_or_else(PoisonError::into_inner)
}
