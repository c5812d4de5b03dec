//! The element as GStreamer sees it: pads (what comes by them is in [`pads`](super::pads)), properties, state changes.
//!
//! Two threads meet here. Upstream's thread puts frames and serialized events into the
//! [`Queue`]; the src pad's task takes them out and does everything else, in
//! [`Worker`]. Locks are taken one at a time and held for a few lines only; none is held while
//! something is pushed, queried, posted, loaded or inferred.

use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::background::Background;
use super::caps;
use super::courier::Parcel;
use super::crew::Crew;
use super::cuda::{self, Cuda};
use super::engine::Engine;
use super::item::Item;
use super::latency::Rates;
use super::pacing::{Downstream, Promise};
use super::queue::Queue;
use super::settings::Settings;
use super::stats::Stats;
use super::worker::Worker;
use crate::models::{Canceller, Fitted, Fitting, LoadOptions, ModelInfo, WarmUp};

/// The element's private side.
pub struct VfiInterp {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) queue: Queue<Item>,
    pub(super) settings: Mutex<Settings>,
    pub(super) crew: Crew,
    /// Lies here while the task does not run an iteration.
    pub(super) worker: Mutex<Option<Box<Worker>>>,
    pub(super) stats: Mutex<Stats>,
    pub(super) downstream: Mutex<Downstream>,
    pub(super) promise: Mutex<Promise>,
    /// The frame pushed last.
    pub(super) pushed: Mutex<Pushed>,
    pub(super) rates: Mutex<Rates>,
    /// Stops the run of the network in use.
    pub(super) canceller: Mutex<Option<Canceller>>,
    /// Where synthesised frames come from; waiting there ends with a flush, too.
    pub(super) pool: Mutex<Option<gst::BufferPool>>,
    /// The caps of upstream's that were refused last, with an error.
    pub(super) refused: Mutex<Option<gst::Caps>>,
    /// The context of CUDA that the neighbours' frames belong to.
    cuda: Cuda,
    /// Networks to be loaded, and the one that was.
    pub(super) loads: Background<LoadOptions, Engine>,
    /// Sessions for one size to be made; `None` was made where it is no gain.
    pub(super) fits: Background<Fitting, Option<Fitted>>,
    pub(super) warm_ups: Background<WarmUp, ()>,
    /// The latest load has failed.
    pub(super) load_failed: AtomicBool,
}

/// How a frame went downstream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pushed {
    pub pts: Option<gst::ClockTime>,
    /// How long it took.
    pub took: Duration,
    /// The running time at which downstream was done with it.
    pub done: Option<gst::ClockTime>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked while holding it left a whole value: all of them are replaced, not built up.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for VfiInterp {
    const NAME: &'static str = "GstVfiInterp";
    type Type = super::VfiInterp;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name);
        let (Some(sink), Some(src)) = (template("sink"), template("src")) else {
            unreachable!("both templates are in pad_templates()");
        };
        let sinkpad = gst::Pad::builder_from_template(&sink)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.sink_chain(buffer),
                )
            })
            .event_full_function(|pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.sink_event(pad, event),
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .flags(gst::PadFlags::ACCEPT_INTERSECT)
            .build();
        let srcpad = gst::Pad::builder_from_template(&src)
            .activatemode_function(|_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked")),
                    |imp| imp.src_activatemode(mode, active),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .build();
        Self {
            sinkpad,
            srcpad,
            queue: Queue::new(),
            crew: Crew::default(),
            settings: Mutex::default(),
            worker: Mutex::default(),
            stats: Mutex::default(),
            downstream: Mutex::default(),
            promise: Mutex::default(),
            pushed: Mutex::default(),
            rates: Mutex::default(),
            canceller: Mutex::default(),
            pool: Mutex::default(),
            refused: Mutex::default(),
            cuda: Cuda::default(),
            loads: Background::default(),
            fits: Background::default(),
            warm_ups: Background::default(),
            load_failed: AtomicBool::new(false),
        }
    }
}

impl ObjectImpl for VfiInterp {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::param_specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let before = self.settings().clone();
        if !self.settings().set(pspec.name(), value) {
            gst::error!(CAT, imp = self, "{} can't be set", pspec.name());
            return;
        }
        gst::debug!(CAT, imp = self, "{} is now {value:?}", pspec.name());
        let after = self.settings().clone();
        if (after.latency, after.dedup) != (before.latency, before.dedup) {
            self.latency_changed();
        }
        if after.dedup != before.dedup {
            // It takes another number of buffers.
            let _asked = self.sinkpad.push_event(gst::event::Reconfigure::new());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let value = self.settings().get(pspec.name());
        value.unwrap_or_else(|| {
            let latency = self.own_latency().nseconds();
            self.stats().to_structure(latency).to_value()
        })
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            if let Err(error) = element.add_pad(pad) {
                gst::error!(CAT, imp = self, "{error}");
            }
        }
    }
}

impl GstObjectImpl for VfiInterp {}

impl ElementImpl for VfiInterp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Video frame interpolator",
                "Filter/Effect/Video",
                "Puts synthesised frames between a video's own, with a RIFE- or FILM-family network",
                "The vfiinterp developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [
                ("sink", gst::PadDirection::Sink),
                ("src", gst::PadDirection::Src),
            ]
            .into_iter()
            .filter_map(|(name, direction)| {
                let presence = gst::PadPresence::Always;
                gst::PadTemplate::new(name, direction, presence, &caps::TEMPLATE).ok()
            })
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?,
            // The task may sit in a run of the network; pads can only be stopped once it is out.
            gst::StateChange::PausedToReady => self.interrupt(),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.stop(),
            gst::StateChange::ReadyToNull => self.cuda.forget(),
            _ => {}
        }
        Ok(success)
    }

    fn set_context(&self, context: &gst::Context) {
        let device = self.settings().device;
        self.cuda
            .set_context(self.obj().upcast_ref(), context, device);
        self.parent_set_context(context);
    }
}

/// What the worker needs of the element.
impl VfiInterp {
    pub(super) fn srcpad(&self) -> &gst::Pad {
        &self.srcpad
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        lock(&self.stats)
    }

    /// The context of CUDA's memory round this element.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn cuda_context(&self) -> Result<cuda::Context, String> {
        let device = self.settings().device;
        self.cuda.context(self.obj().upcast_ref(), None, device)
    }

    pub(super) fn answer_context(&self, pad: &gst::Pad, query: &mut gst::query::Context) -> bool {
        let device = self.settings().device;
        self.cuda
            .answer(self.obj().upcast_ref(), pad, query, device)
    }

    /// What downstream reports of late frames.
    pub(super) fn downstream(&self) -> MutexGuard<'_, Downstream> {
        lock(&self.downstream)
    }

    /// What was promised of the latency.
    pub(super) fn promise(&self) -> Promise {
        *lock(&self.promise)
    }

    pub(super) fn rates(&self) -> Rates {
        *lock(&self.rates)
    }

    /// The time of the pipeline's clock, or of the system's where there is none.
    pub(super) fn now(&self) -> gst::ClockTime {
        let clock = self.obj().clock();
        clock.map_or_else(gst::get_timestamp, |clock| clock.time())
    }

    pub(super) fn post(&self, message: gst::Message) {
        // Fails where there is no bus, and then nobody wants to know.
        let _posted = self.obj().post_message(message);
    }

    /// Pushes a buffer that belongs to this round of the queue.
    fn push(&self, round: u64, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        gst::trace!(CAT, imp = self, "pushing {buffer:?}");
        // A flush may have come since the item was taken off the queue.
        self.queue.flow_in(round)?;
        let (pts, start) = (buffer.pts(), Instant::now());
        self.srcpad.push(buffer)?;
        *lock(&self.pushed) = Pushed {
            pts,
            took: start.elapsed(),
            done: self.obj().current_running_time(),
        };
        Ok(())
    }

    /// Sends something that is whole and belongs to this round of the queue.
    pub(super) fn deliver(&self, round: u64, parcel: Parcel) -> Result<(), gst::FlowError> {
        match parcel {
            Parcel::Original(buffer) => {
                self.push(round, buffer)?;
                self.stats().originals += 1;
            }
            Parcel::Made(buffer) => {
                self.push(round, buffer)?;
                self.stats().synthesised += 1;
            }
            Parcel::Repeat(buffer) => {
                self.push(round, buffer)?;
                self.stats().repeated += 1;
            }
            Parcel::Unfinished { .. } => return Err(gst::FlowError::Error),
        }
        Ok(())
    }

    /// Synthesised frames come from here now. If a flush is under way, it has missed this pool.
    pub(super) fn set_pool(&self, pool: gst::BufferPool) {
        *lock(&self.pool) = Some(pool.clone());
        if self.queue.flow().is_err() {
            pool.set_flushing(true);
        }
    }

    /// A network that has been loaded since the last pair.
    pub(super) fn take_loaded(&self) -> Option<Engine> {
        self.loads.take()
    }

    /// What came of making a session for one size, since the last pair.
    pub(super) fn take_fitted(&self) -> Option<Option<Fitted>> {
        self.fits.take()
    }

    /// Allows runs again after an [`Alarm`](super::alarm::Alarm).
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

    /// Where the network runs, which may change while it does.
    pub(super) fn tell_place(&self, info: &ModelInfo) {
        let mut stats = self.stats();
        stats.provider = info.provider.nick();
        stats.precision = info.precision.nick();
    }

    /// From now on this network runs.
    pub(super) fn adopt(&self, engine: &Engine) {
        let info = engine.info();
        gst::info!(CAT, imp = self, "running {info:?}");
        self.stats().model = info.name.clone();
        self.tell_place(info);
        // what is being made for the one before
        self.fits.forget();
        let canceller = engine.canceller();
        // it may have been cancelled when it ran before
        canceller.rearm();
        *lock(&self.canceller) = Some(canceller.clone());
        if self.queue.flow().is_err() {
            // A flush or stop is under way and has cancelled the one before.
            canceller.cancel();
        }
    }
}
