//! The element's properties: their values and defaults.

pub(super) mod params;

use glib::prelude::*;

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

/// Settings that go well together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpPreset")]
pub(super) enum Preset {
    /// Each property's own default.
    #[default]
    #[enum_value(name = "Each property's own default", nick = "none")]
    None,
    /// Little time for each frame.
    #[enum_value(
        name = "As little time for each frame as still looks well",
        nick = "fast"
    )]
    Fast,
    /// Time where it is seen.
    #[enum_value(name = "Time for each frame where that is seen", nick = "balanced")]
    Balanced,
    /// All that can be made of a frame.
    #[enum_value(name = "The best frames, whatever time they take", nick = "quality")]
    Quality,
}

impl Preset {
    /// The properties that follow it, unless they are set themselves.
    pub(super) const PROPERTIES: [&str; 6] = [
        "model",
        "downscale",
        "downscale-method",
        "upscale",
        "upscale-method",
        "overload",
    ];
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
    preset: Preset,
    /// Which of the preset's properties were set themselves.
    is_own: [bool; Preset::PROPERTIES.len()],
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
            preset: Preset::None,
            is_own: [false; Preset::PROPERTIES.len()],
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
        if let Some(place) = Preset::PROPERTIES.iter().position(|own| *own == name) {
            self.is_own[place] = true;
        }
        match name {
            "preset" => take(&mut self.preset, value) && self.follow_preset(),
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

    /// Gives the properties that were not set themselves the preset's values.
    fn follow_preset(&mut self) -> bool {
        let wanted = Self::of(self.preset);
        let [
            model,
            downscale,
            downscale_method,
            upscale,
            upscale_method,
            overload,
        ] = self.is_own;
        if !model {
            self.model = wanted.model;
        }
        if !downscale {
            self.downscale = wanted.downscale;
        }
        if !downscale_method {
            self.downscale_method = wanted.downscale_method;
        }
        if !upscale {
            self.upscale = wanted.upscale;
        }
        if !upscale_method {
            self.upscale_method = wanted.upscale_method;
        }
        if !overload {
            self.overload = wanted.overload;
        }
        true
    }

    /// Returns the settings of a preset, which were measured (docs/properties.md).
    fn of(preset: Preset) -> Self {
        let default = Self::default();
        match preset {
            Preset::None | Preset::Balanced => default,
            Preset::Fast => Self {
                downscale: 4.0,
                ..default
            },
            Preset::Quality => Self {
                overload: Overload::Skip,
                ..default
            },
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
            "preset" => self.preset.to_value(),
            _ => return None,
        })
    }
}

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

    /// Settings after properties were set in this order, by their nicks and numbers.
    fn after(changes: &[(&str, glib::Value)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in changes {
            assert!(settings.set(name, value), "{name}");
        }
        settings
    }

    #[test]
    fn what_is_set_itself_wins_over_a_preset_in_any_order() {
        let fast = ("preset", Preset::Fast.to_value());
        assert_eq!(after(std::slice::from_ref(&fast)).downscale, 4.0);
        let own = ("downscale", 3.0.to_value());
        for changes in [[fast.clone(), own.clone()], [own, fast]] {
            let settings = after(&changes);
            assert_eq!(settings.downscale, 3.0);
        }
    }

    #[test]
    fn what_is_set_to_its_default_counts_as_set() {
        let settings = after(&[
            ("overload", Overload::Degrade.to_value()),
            ("preset", Preset::Quality.to_value()),
        ]);
        assert_eq!(settings.overload, Overload::Degrade);
    }

    #[test]
    fn without_a_preset_all_is_as_it_was() {
        let settings = after(&[
            ("preset", Preset::Quality.to_value()),
            ("preset", Preset::None.to_value()),
        ]);
        assert_eq!(settings, Settings::default());
    }
}
