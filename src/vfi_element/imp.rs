//! The element as GStreamer sees it: pads (what comes by them is in [`pads`](super::pads)), properties, state changes.
//!
//! Two threads meet here. Upstream's thread puts frames and serialized events into the
//! [queue](super::queue); the src pad's task takes them out and does everything else, in
//! [`Worker`]. What both need lies in the [`Context`].

use std::sync::{Arc, LazyLock, Mutex};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::caps;
use super::context::Context;
use super::log::CAT;
use super::settings::{Preset, Settings, params};
use super::task::Worker;

/// The element's private side.
pub struct VfiInterp {
    pub(super) context: Arc<Context>,
    /// The task's state, which lies here while the task does not run an iteration.
    pub(super) worker: Mutex<Option<Box<Worker>>>,
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
            context: Arc::new(Context::new(sinkpad, srcpad)),
            worker: Mutex::default(),
        }
    }
}

impl ObjectImpl for VfiInterp {
    fn properties() -> &'static [glib::ParamSpec] {
        params::specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let before = self.context.settings();
        let set = |settings: &mut Settings| settings.set(pspec.name(), value);
        if !self.context.change_settings(set) {
            gst::error!(CAT, imp = self, "{} can't be set", pspec.name());
            return;
        }
        gst::debug!(CAT, imp = self, "{} is now {value:?}", pspec.name());
        let after = self.context.settings();
        if pspec.name() == "preset" {
            for name in Preset::PROPERTIES {
                self.obj().notify(name);
            }
        }
        if after.has_waiting() && !before.has_waiting() {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                (
                    "{} stays as it is while the element runs: what was set holds from the next start on",
                    pspec.name()
                )
            );
        }
        if (after.latency, after.dedup) != (before.latency, before.dedup) {
            self.context.latency_changed();
        }
        if after.dedup != before.dedup {
            // It takes another number of buffers.
            let _asked = self
                .context
                .sinkpad
                .push_event(gst::event::Reconfigure::new());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let value = self.context.settings().get(pspec.name());
        value.unwrap_or_else(|| {
            let latency = self.context.own_latency().nseconds();
            self.context.stats().to_structure(latency).to_value()
        })
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        self.context.messenger.belong_to(element.upcast_ref());
        for pad in [&self.context.sinkpad, &self.context.srcpad] {
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
            gst::StateChange::PausedToReady => self.context.interrupt(),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.stop(),
            gst::StateChange::PausedToPlaying => self.context.look_for_sink(),
            gst::StateChange::ReadyToNull => self.context.forget_context(),
            _ => {}
        }
        Ok(success)
    }

    fn set_context(&self, context: &gst::Context) {
        self.context.take_context(context);
        self.parent_set_context(context);
    }
}
