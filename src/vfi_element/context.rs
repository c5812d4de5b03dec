//! State that the element's two threads share, and the task may ask for.
//!
//! Locks are taken one at a time and held for a few lines only; none is held while something is
//! pushed, queried, posted, loaded or inferred.

use std::sync::{Arc, Mutex, MutexGuard};

use gst::prelude::*;

use super::crew::Crew;
use super::cuda::{self, Cuda};
use super::engine::Engine;
use super::error::{Failure, Want};
use super::item::Item;
use super::loader::Loader;
use super::log::CAT;
use super::messenger::Messenger;
use super::queue::Queue;
use super::settings::Settings;
use super::stats::Stats;
use super::timing::deadlines::{Downstream, LatencyBudget};
use super::timing::steady::Holds;
use crate::models::{ModelInfo, RunCanceller};
use crate::sync::lock;

/// The element as its task sees it.
pub(super) struct Context {
    pub(super) messenger: Arc<Messenger>,
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) queue: Queue<Item>,
    pub(super) crew: Crew,
    pub(super) loader: Arc<Loader>,
    settings: Mutex<Arc<Settings>>,
    stats: Mutex<Stats>,
    downstream: Mutex<Downstream>,
    pub(super) latency_budget: Mutex<LatencyBudget>,
    /// Times for which downstream holds frames.
    pub(super) holds: Mutex<Holds>,
    /// The base time that counts no more: after a flush there will be another.
    past_base: Mutex<Option<gst::ClockTime>>,
    pub(super) rates: Mutex<Rates>,
    /// Stops the run of the network in use.
    canceller: Mutex<Option<RunCanceller>>,
    /// Pool that synthesised frames come from; waiting there ends with a flush, too.
    pool: Mutex<Option<gst::BufferPool>>,
    /// The caps of upstream's that were refused last, with an error.
    pub(super) refused: Mutex<Option<gst::Caps>>,
    /// The context of CUDA that the neighbours' frames belong to.
    cuda: Cuda,
}

/// Frame times from which latency and QoS are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Whether there is anything to make between originals.
    pub interpolates: bool,
    /// Time from one input frame to the next; where that varies the longest seen, 0 before that.
    pub frame: gst::ClockTime,
    /// Whether it varies.
    pub varies: bool,
    /// Time from one output frame to the next; 0 where that varies.
    pub slot: gst::ClockTime,
}

impl Context {
    pub(super) fn new(sinkpad: gst::Pad, srcpad: gst::Pad) -> Self {
        let messenger = Arc::<Messenger>::default();
        Self {
            loader: Arc::new(Loader::new(Arc::clone(&messenger))),
            messenger,
            sinkpad,
            srcpad,
            queue: Queue::new(),
            crew: Crew::default(),
            settings: Mutex::default(),
            stats: Mutex::default(),
            downstream: Mutex::default(),
            latency_budget: Mutex::default(),
            holds: Mutex::default(),
            past_base: Mutex::default(),
            rates: Mutex::default(),
            canceller: Mutex::default(),
            pool: Mutex::default(),
            refused: Mutex::default(),
            cuda: Cuda::default(),
        }
    }

    /// Returns the element, as long as it is there.
    pub(super) fn element(&self) -> Option<gst::Element> {
        self.messenger.element()
    }

    /// Returns the settings as they are now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    /// Changes the settings; whoever has asked for them before keeps what was.
    pub(super) fn change_settings<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(Arc::make_mut(&mut lock(&self.settings)))
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        lock(&self.stats)
    }

    /// Returns what downstream reports of late frames, locked.
    pub(super) fn downstream(&self) -> MutexGuard<'_, Downstream> {
        lock(&self.downstream)
    }

    /// Returns the latency that was promised.
    pub(super) fn latency_budget(&self) -> LatencyBudget {
        *lock(&self.latency_budget)
    }

    pub(super) fn rates(&self) -> Rates {
        *lock(&self.rates)
    }

    /// The context of CUDA's memory round this element.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn cuda_context(&self) -> Result<cuda::Context, String> {
        let device = self.settings().at_start.device;
        let element = self.element().ok_or("the element is gone")?;
        self.cuda.context(&element, None, device)
    }

    /// Answers a query for a context of CUDA, if it is one.
    pub(super) fn answer_context(&self, pad: &gst::Pad, query: &mut gst::query::Context) -> bool {
        let device = self.settings().at_start.device;
        let answer = |element| self.cuda.answer(&element, pad, query, device);
        self.element().is_some_and(answer)
    }

    /// Keeps a context of CUDA that the pipeline, the application or a neighbour gives.
    pub(super) fn take_context(&self, given: &gst::Context) {
        let device = self.settings().at_start.device;
        if let Some(element) = self.element() {
            self.cuda.set_context(&element, given, device);
        }
    }

    /// Drops the CUDA context.
    pub(super) fn forget_context(&self) {
        self.cuda.forget();
    }

    /// The time of the pipeline's clock, or of the system's where there is none.
    pub(super) fn now(&self) -> gst::ClockTime {
        let clock = self.element().and_then(|element| element.clock());
        clock.map_or_else(gst::get_timestamp, |clock| clock.time())
    }

    /// The running time of the pipeline, while it runs.
    pub(super) fn running_time(&self) -> Option<gst::ClockTime> {
        let (clock, base) = self.clock()?;
        clock.time().checked_sub(base)
    }

    /// The pipeline's clock, and its time when the running time was 0; while it runs.
    fn clock(&self) -> Option<(gst::Clock, gst::ClockTime)> {
        let element = self.element()?;
        let base = element.base_time().filter(|_| self.is_playing())?;
        let counts = lock(&self.past_base).is_none_or(|past| past != base);
        Some((element.clock()?, base)).filter(|_| counts)
    }

    /// A flush lets the running time begin anew, which the pipeline tells of only when frames have
    /// arrived at its sinks.
    pub(super) fn restart_time(&self) {
        *lock(&self.past_base) = self.element().and_then(|element| element.base_time());
    }

    /// The pipeline's clock, and its time when the running time is `time`.
    pub(super) fn clock_at(&self, time: gst::ClockTime) -> Option<(gst::Clock, gst::ClockTime)> {
        let (clock, base) = self.clock()?;
        Some((clock, base.checked_add(time)?))
    }

    /// Returns whether the element plays.
    pub(super) fn is_playing(&self) -> bool {
        let state = self.element().map(|element| element.current_state());
        state == Some(gst::State::Playing)
    }

    /// Returns the flow error that upstream gets for a failure, and tells the application why.
    pub(super) fn flow_of(&self, failure: Failure) -> gst::FlowError {
        let reason = match failure {
            Failure::Cancelled => return gst::FlowError::Flushing,
            Failure::Flow(flow) => return flow,
            Failure::Lacks(Want::Memory(reason) | Want::Network(reason)) => reason,
            Failure::Failed(error) => format!("{error:#}"),
        };
        let text = format!("No frame could be made: {reason}");
        self.messenger.fail(gst::StreamError::Failed, &text);
        gst::FlowError::Error
    }

    /// Posts a report of what happened lately, if the last one was so long ago.
    pub(super) fn report(&self, interval: gst::ClockTime) {
        if interval.is_zero() {
            self.stats().stop_reporting();
            return;
        }
        let (now, latency) = (self.now().nseconds(), self.own_latency().nseconds());
        let report = self.stats().report(now, interval.nseconds(), latency);
        if let Some(report) = report {
            self.messenger.tell(report);
        }
    }

    /// Sets the pool that synthesised frames come from. A flush that is under way has missed it, so
    /// that it is told here.
    pub(super) fn set_pool(&self, pool: gst::BufferPool) {
        *lock(&self.pool) = Some(pool.clone());
        if self.queue.flow().is_err() {
            pool.set_flushing(true);
        }
    }

    /// Allows runs again after a deadline timer.
    pub(super) fn rearm(&self) {
        let Some(canceller) = lock(&self.canceller).clone() else {
            return;
        };
        canceller.rearm();
        if self.queue.flow().is_err() {
            // A flush or stop is under way, and has cancelled it too.
            canceller.cancel();
        }
    }

    /// Tells where the network runs, which may change while it does.
    pub(super) fn tell_place(&self, info: &ModelInfo) {
        let mut stats = self.stats();
        stats.provider = info.provider.nick();
        stats.precision = info.precision.nick();
    }

    /// Notes that this network runs from now on.
    pub(super) fn adopt(&self, engine: &Engine) {
        let info = engine.info();
        gst::info!(CAT, obj = self.srcpad, "running {info:?}");
        self.stats().model = info.name.clone();
        self.tell_place(info);
        // what is being made for the one before
        self.loader.forget_fitting();
        let canceller = engine.canceller();
        // it may have been cancelled when it ran before
        canceller.rearm();
        *lock(&self.canceller) = Some(canceller.clone());
        if self.queue.flow().is_err() {
            // A flush or stop is under way and has cancelled the one before.
            canceller.cancel();
        }
    }

    /// Interrupts whatever the task waits for.
    pub(super) fn interrupt(&self) {
        self.queue.close(gst::FlowError::Flushing);
        if let Some(canceller) = &*lock(&self.canceller) {
            canceller.cancel();
        }
        if let Some(pool) = &*lock(&self.pool) {
            pool.set_flushing(true);
        }
    }

    /// Lets items in, and what is made of them out.
    pub(super) fn reopen(&self) {
        if let Some(canceller) = &*lock(&self.canceller) {
            canceller.rearm();
        }
        if let Some(pool) = &*lock(&self.pool) {
            pool.set_flushing(false);
        }
        self.queue.open();
        // Whoever stops the pad marks it first, and then closes the queue: one of the two sees the other.
        if !self.srcpad.is_active() {
            self.interrupt();
        }
    }

    /// Forgets the stream and the network, as a stop does.
    pub(super) fn forget(&self) {
        self.queue.forget();
        *lock(&self.canceller) = None;
        *lock(&self.pool) = None;
        *lock(&self.refused) = None;
        *lock(&self.rates) = Rates::default();
        *lock(&self.latency_budget) = LatencyBudget::default();
        *lock(&self.holds) = Holds::default();
        *lock(&self.past_base) = None;
    }
}
