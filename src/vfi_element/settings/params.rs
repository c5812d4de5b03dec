//! The properties' descriptions.

use std::sync::LazyLock;

use gst::prelude::*;

use super::{Preset, Settings};

/// Returns the properties as GObject is told of them.
pub(in crate::vfi_element) fn specs() -> &'static [glib::ParamSpec] {
    &SPECS
}

static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let default = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("preset", Preset::None)
            .nick("Preset")
            .blurb("Sets model, downscale, downscale-method, upscale, upscale-method and overload together, but for those that are set themselves")
            .mutable_playing()
            .build(),
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
    fn every_setting_can_be_read_under_its_name() {
        gst::init().unwrap();
        let settings = Settings::default();
        for spec in specs() {
            if spec.name() != "stats" {
                let value = settings.get(spec.name()).unwrap();
                assert_eq!(value.type_(), spec.value_type(), "{}", spec.name());
                assert!(Settings::default().set(spec.name(), &value));
            }
        }
    }
}
