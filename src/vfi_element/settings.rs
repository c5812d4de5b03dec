//! The element's properties: their values, defaults and descriptions.

use std::sync::LazyLock;

use glib::prelude::*;
use gst::prelude::*;

use super::at_start::{AtStart, take};
use crate::frames::ScaleMethod;
use crate::models::{DEFAULT_BISECTION_DEPTH, LoadOptions, ModelFamily};

/// Kind of result that is scaled up to the frame's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpUpscale")]
pub(super) enum Upscale {
    /// Motion where the model gives it, else the picture.
    #[default]
    #[enum_value(
        name = "Motion where the model gives it, else the picture",
        nick = "auto"
    )]
    Auto,
    /// The motion: full-size frames are warped in their own format.
    #[enum_value(
        name = "Motion: full-size frames are warped in their own format",
        nick = "motion"
    )]
    Motion,
    /// The picture, made at the network's size.
    #[enum_value(name = "The picture made at the network's size", nick = "image")]
    Image,
}

/// Treatment of synthesised frames when there is no time for them. Originals go out in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpOverload")]
pub(super) enum Overload {
    /// A frame that would be late isn't made.
    #[enum_value(name = "Leave out frames that would be late", nick = "skip")]
    Skip,
    /// The nearest original goes out in its place.
    #[enum_value(
        name = "Send the nearest original in place of frames that would be late",
        nick = "repeat"
    )]
    Repeat,
    /// Late frames are left out; and while that goes on the network sees smaller pictures, then
    /// fewer frames are made, then none.
    #[default]
    #[enum_value(
        name = "As skip, and put less effort into frames until they are in time: smaller pictures for the network, fewer frames, none",
        nick = "degrade"
    )]
    Degrade,
    /// Everything is made, however late.
    #[enum_value(name = "Make every frame, however late", nick = "none")]
    None,
}

/// Kind of picture shown between two frames that a cut lies between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpSceneAction")]
pub(super) enum SceneAction {
    /// The frame before the cut, until the cut.
    #[default]
    #[enum_value(name = "The frame before the cut, until the cut", nick = "repeat")]
    Repeat,
    /// Both frames laid over each other.
    #[enum_value(name = "Both frames laid over each other", nick = "blend")]
    Blend,
    /// The frame that the network makes of it.
    #[enum_value(name = "What the network makes of it", nick = "interpolate")]
    Interpolate,
}

/// Values of the properties.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub model: String,
    pub model_family: ModelFamily,
    pub model_info: String,
    pub bisection_depth: u32,
    /// Number of times `model` was set: the same again asks for another try, if it could not be
    /// loaded.
    pub model_set: u32,
    pub multiplier: u32,
    pub downscale: f64,
    pub downscale_method: ScaleMethod,
    pub upscale: Upscale,
    pub upscale_method: ScaleMethod,
    pub at_start: AtStart,
    /// The values that hold from the next start on, while the element runs.
    next: Option<AtStart>,
    pub threads: u32,
    pub cache_clear_interval: i32,
    pub memory_limit: u64,
    pub latency: gst::ClockTime,
    pub max_gap: gst::ClockTime,
    pub qos: bool,
    pub overload: Overload,
    pub stats_interval: gst::ClockTime,
    pub scene_threshold: f64,
    pub scene_action: SceneAction,
    pub still_threshold: f64,
    pub dedup: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "vfi-lite".into(),
            model_family: ModelFamily::Auto,
            model_info: String::new(),
            bisection_depth: DEFAULT_BISECTION_DEPTH,
            model_set: 0,
            multiplier: 2,
            downscale: 0.0,
            downscale_method: ScaleMethod::Bilinear,
            upscale: Upscale::Auto,
            upscale_method: ScaleMethod::Bicubic,
            at_start: AtStart::default(),
            next: None,
            threads: 0,
            cache_clear_interval: -1,
            memory_limit: 0,
            latency: gst::ClockTime::from_mseconds(40),
            max_gap: gst::ClockTime::SECOND,
            qos: true,
            overload: Overload::default(),
            stats_interval: gst::ClockTime::ZERO,
            scene_threshold: 0.3,
            scene_action: SceneAction::Repeat,
            still_threshold: 0.0035,
            dedup: false,
        }
    }
}

/// The settings that decide how frames are made, for frames of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Width and height of the network's picture.
    pub size: (usize, usize),
    pub downscale_method: ScaleMethod,
    pub upscale: Upscale,
    pub upscale_method: ScaleMethod,
}

impl Settings {
    /// Returns the options that the model is to be loaded with.
    pub(super) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            model: self.model.clone(),
            family: self.model_family,
            info: self.model_info.clone(),
            provider: self.at_start.execution_provider,
            device: self.at_start.device,
            precision: self.at_start.precision,
            threads: self.threads as usize,
            memory_limit: self.memory_limit,
        }
    }

    /// Keeps what holds from start to stop, until [`end`](Self::end).
    pub(super) fn begin(&mut self) {
        self.next = Some(self.at_start);
    }

    /// Takes over what was set for the next start.
    pub(super) fn end(&mut self) {
        self.at_start = self.next.take().unwrap_or(self.at_start);
    }

    /// Returns whether something was set that does not hold before the next start.
    pub(super) fn has_waiting(&self) -> bool {
        self.next.is_some_and(|next| next != self.at_start)
    }

    /// Returns whether these settings need another network, or the same one taken otherwise.
    pub(super) fn needs_other_model(&self, before: &Self) -> bool {
        self.model != before.model
            || self.model_family != before.model_family
            || self.model_info != before.model_info
            || self.threads != before.threads
            || self.memory_limit != before.memory_limit
    }

    /// Returns how frames look under these settings if the network sees them at this size.
    pub(super) fn look(&self, size: (usize, usize)) -> Look {
        Look {
            size,
            downscale_method: self.downscale_method,
            upscale: self.upscale,
            upscale_method: self.upscale_method,
        }
    }

    /// Takes a property's new value; `false` for a name that is no settable property. GObject has
    /// checked type and range before.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "model" => {
                let model = value.get::<Option<String>>().ok().flatten();
                self.model = model.unwrap_or_else(|| Self::default().model);
                self.model_set = self.model_set.wrapping_add(1);
                true
            }
            "model-family" => take(&mut self.model_family, value),
            "model-info" => {
                let info = value.get::<Option<String>>().ok().flatten();
                self.model_info = info.unwrap_or_default();
                self.model_set = self.model_set.wrapping_add(1);
                true
            }
            "bisection-depth" => take(&mut self.bisection_depth, value),
            "multiplier" => take(&mut self.multiplier, value),
            "downscale" => take(&mut self.downscale, value),
            "downscale-method" => take(&mut self.downscale_method, value),
            "upscale" => take(&mut self.upscale, value),
            "upscale-method" => take(&mut self.upscale_method, value),
            "execution-provider" | "device" | "precision" => {
                let next = self.next.as_mut().unwrap_or(&mut self.at_start);
                next.set(name, value)
            }
            "threads" => take(&mut self.threads, value),
            "cache-clear-interval" => take(&mut self.cache_clear_interval, value),
            "memory-limit" => take(&mut self.memory_limit, value),
            "latency" => take(&mut self.latency, value),
            "max-gap" => take(&mut self.max_gap, value),
            "qos" => take(&mut self.qos, value),
            "overload" => take(&mut self.overload, value),
            "stats-interval" => take(&mut self.stats_interval, value),
            "scene-threshold" => take(&mut self.scene_threshold, value),
            "scene-action" => take(&mut self.scene_action, value),
            "still-threshold" => take(&mut self.still_threshold, value),
            "dedup" => take(&mut self.dedup, value),
            _ => false,
        }
    }

    /// A property's value; `None` for a name that is none of the settings.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => self.model.to_value(),
            "model-family" => self.model_family.to_value(),
            "model-info" => self.model_info.to_value(),
            "bisection-depth" => self.bisection_depth.to_value(),
            "multiplier" => self.multiplier.to_value(),
            "downscale" => self.downscale.to_value(),
            "downscale-method" => self.downscale_method.to_value(),
            "upscale" => self.upscale.to_value(),
            "upscale-method" => self.upscale_method.to_value(),
            "execution-provider" => self.at_start.execution_provider.to_value(),
            "device" => self.at_start.device.to_value(),
            "precision" => self.at_start.precision.to_value(),
            "threads" => self.threads.to_value(),
            "cache-clear-interval" => self.cache_clear_interval.to_value(),
            "memory-limit" => self.memory_limit.to_value(),
            "latency" => self.latency.to_value(),
            "max-gap" => self.max_gap.to_value(),
            "qos" => self.qos.to_value(),
            "overload" => self.overload.to_value(),
            "stats-interval" => self.stats_interval.to_value(),
            "scene-threshold" => self.scene_threshold.to_value(),
            "scene-action" => self.scene_action.to_value(),
            "still-threshold" => self.still_threshold.to_value(),
            "dedup" => self.dedup.to_value(),
            _ => return None,
        })
    }

    /// The properties as GObject is told of them.
    pub(super) fn param_specs() -> &'static [glib::ParamSpec] {
        &PARAM_SPECS
    }
}

static PARAM_SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let default = Settings::default();
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Model")
            .blurb("Name of a built-in network, or path of an ONNX file")
            .default_value(Some(default.model.as_str()))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("model-family", default.model_family)
            .nick("Model family")
            .blurb("How the model is to be taken, whatever its inputs and outputs look like")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("model-info")
            .nick("Model info")
            .blurb("Overrules what is detected of the model: key=value,… with the keys family, range, layout, channel_order, align, pad, timestep, output, flow_unit, light, name and, for further inputs, input.NAME, or the path of a .toml file with them")
            .default_value(Some(default.model_info.as_str()))
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("bisection-depth")
            .nick("Bisection depth")
            .blurb("How often models that know midpoints only halve a pair for frames that lie on no exact half, quarter and so on")
            .minimum(1)
            .maximum(4)
            .default_value(default.bisection_depth)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("multiplier")
            .nick("Multiplier")
            .blurb("Output frames per input frame when the caps downstream fix no frame rate")
            .minimum(1)
            .maximum(64)
            .default_value(default.multiplier)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("downscale")
            .nick("Downscale")
            .blurb("The network sees the frame's width and height divided by this (0 = auto: a long side of 640, or less where a clock sets the pace and that takes too long)")
            .minimum(0.0)
            .maximum(16.0)
            .default_value(default.downscale)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("downscale-method", default.downscale_method)
            .nick("Downscale method")
            .blurb("Filter that shrinks frames for the network")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("upscale", default.upscale)
            .nick("Upscale")
            .blurb("What is scaled up to the frame's size")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("upscale-method", default.upscale_method)
            .nick("Upscale method")
            .blurb("Filter that samples full-size frames along the motion (lanczos: as bicubic), or enlarges the network's picture")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("execution-provider", default.at_start.execution_provider)
            .nick("Execution provider")
            .blurb("Where the network runs; auto takes CUDA if it starts, else the CPU")
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("device")
            .nick("Device")
            .blurb("Which GPU the network runs on, counted from 0")
            .minimum(0)
            .default_value(default.at_start.device)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", default.at_start.precision)
            .nick("Precision")
            .blurb("How many bits the network computes in; auto takes 16 on a GPU, on the CPU 8 for built-in networks, else 32")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads that the network runs on where the CPU runs it (0 = as many as the machine has, up to eight); a change loads the network anew")
            .maximum(64)
            .default_value(default.threads)
            .mutable_playing()
            .build(),
        glib::ParamSpecInt::builder("cache-clear-interval")
            .nick("Cache clear interval")
            .blurb("After how many pairs memory kept for the next run is given back (-1 = adaptive: 10, and 3 from the hundredth frame on; 0 = never); at once where little is left")
            .minimum(-1)
            .default_value(default.cache_clear_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("memory-limit")
            .nick("Memory limit")
            .blurb("Bytes that the element's sessions may hold together, on the CPU beside the network's weights, with CUDA with them (0 = no limit); a change loads the network anew")
            .default_value(default.memory_limit)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("latency")
            .nick("Latency")
            .blurb("Time in nanoseconds to make a frame in, reported beside one input frame in live pipelines; raised, with a warning, when frames take longer")
            .maximum(gst::ClockTime::MAX.nseconds())
            .default_value(default.latency.nseconds())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("max-gap")
            .nick("Maximum gap")
            .blurb("Frames further apart than this many nanoseconds are not interpolated")
            .maximum(gst::ClockTime::MAX.nseconds())
            .default_value(default.max_gap.nseconds())
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("qos")
            .nick("Quality of service")
            .blurb("Heed what downstream reports of late frames, as overload says; originals are never skipped")
            .default_value(default.qos)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("overload", default.overload)
            .nick("Overload")
            .blurb("What happens to synthesised frames there is no time for; originals always go out")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("stats-interval")
            .nick("Statistics interval")
            .blurb("Post an element message vfiinterp-stats each time this many nanoseconds have gone by (0 = never)")
            .maximum(gst::ClockTime::MAX.nseconds())
            .default_value(default.stats_interval.nseconds())
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("scene-threshold")
            .nick("Scene threshold")
            .blurb("A pair is a cut where at least this much of it is explained neither by motion nor by light (0 = never; then flashes are interpolated, too)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.scene_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("scene-action", default.scene_action)
            .nick("Scene action")
            .blurb("What is shown between two frames that a cut lies between")
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("still-threshold")
            .nick("Still threshold")
            .blurb("A pair is repeated, not interpolated, where no block of 8x8 samples changes by more than this part of the full range (root mean square; 0 = only equal frames)")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.still_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("dedup")
            .nick("Replace duplicates")
            .blurb("Interpolate across up to three repeated frames of the source, within 150 ms, and replace them; adds as much latency when live")
            .default_value(default.dedup)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counts of frames, times of each phase in nanoseconds, effort and latency now, provider and model")
            .read_only()
            .build(),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_is_taken_for_is_another_model() {
        let before = Settings::default();
        let changed = |change: fn(&mut Settings)| {
            let mut settings = before.clone();
            change(&mut settings);
            settings.needs_other_model(&before)
        };
        assert!(changed(|s| s.model = "other.onnx".into()));
        assert!(changed(|s| s.model_family = ModelFamily::Midpoint));
        assert!(changed(|s| s.model_info = "align=32".into()));
        assert!(changed(|s| s.memory_limit = 1 << 30));
        assert!(changed(|s| s.threads = 2));
        assert!(!changed(|s| s.multiplier = 3));
        assert!(!changed(|s| s.bisection_depth = 1));
    }

    #[test]
    fn every_setting_can_be_read_under_its_name() {
        gst::init().unwrap();
        let settings = Settings::default();
        for spec in Settings::param_specs() {
            if spec.name() != "stats" {
                let value = settings.get(spec.name()).unwrap();
                assert_eq!(value.type_(), spec.value_type(), "{}", spec.name());
                assert!(Settings::default().set(spec.name(), &value));
            }
        }
    }
}
