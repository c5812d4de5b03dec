//! Command line of the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::rate::Rate;

/// The demo clip that comes with the project, and the frames that lie between its own.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/demo_30.mp4");
const CLIP_TRUTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/truth_60.mp4");

/// Puts synthesised frames between those of a video file.
#[derive(Debug, Parser)]
#[command(name = "interpolate", version)]
pub(crate) struct Args {
    /// The video file; without one, the project's demo clip
    input: Option<PathBuf>,

    /// Frames per second: a number, a fraction such as 60000/1001, or a factor such as 2x
    #[arg(long, default_value = "60", allow_hyphen_values = true)]
    pub(crate) fps: Rate,

    /// The file to write, .mp4 or .mkv; one that is there is replaced when the new one is whole
    /// [default: target/demo/<stem>_<fps>fps.mp4]
    #[arg(long, short)]
    output: Option<PathBuf>,

    /// A clip of the true frames at the output's rate, to measure the synthesised ones against
    #[arg(long)]
    truth: Option<PathBuf>,

    /// Stop after so many seconds of the input
    #[arg(long, value_parser = seconds, allow_hyphen_values = true)]
    pub(crate) seconds: Option<Duration>,

    /// The network: a built-in name or the path of an .onnx file
    #[arg(long)]
    model: Option<String>,

    /// How much smaller than the frame the network sees it
    #[arg(long, allow_hyphen_values = true)]
    downscale: Option<String>,

    /// auto, cpu, cuda or tensorrt
    #[arg(long)]
    execution_provider: Option<String>,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE", value_parser = property)]
    set: Vec<(String, String)>,

    /// The encoder's quality: lower is better and larger
    #[arg(long, default_value_t = 20, allow_hyphen_values = true,
        value_parser = clap::value_parser!(u32).range(0..=50))]
    pub(crate) crf: u32,

    /// The encoder's speed preset
    #[arg(long, default_value = "faster")]
    pub(crate) preset: String,

    /// The element to use in place of vfiinterp, to try the rest of the program
    #[arg(
        long,
        hide = true,
        default_value = "vfiinterp",
        env = "VFIINTERP_DEMO_ELEMENT"
    )]
    pub(crate) element: String,
}

impl Args {
    /// Returns the input, and the truth that goes with it.
    pub(crate) fn files(&self) -> (PathBuf, Option<PathBuf>) {
        match &self.input {
            Some(input) => (input.clone(), self.truth.clone()),
            None => {
                let own = self.fps.doubles_30().then(|| PathBuf::from(CLIP_TRUTH));
                (PathBuf::from(CLIP), self.truth.clone().or(own))
            }
        }
    }

    pub(crate) fn output(&self, input: &Path) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let stem = input.file_stem().unwrap_or_default().to_string_lossy();
            PathBuf::from("target/demo").join(format!("{stem}_{}fps.mp4", self.fps.for_file_name()))
        })
    }

    /// Returns the properties to set on the element, by name and by text.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        let named = [
            ("model", &self.model),
            ("downscale", &self.downscale),
            ("execution-provider", &self.execution_provider),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .chain(self.set.iter().cloned())
            .collect()
    }
}

/// Reads a length of time that is more than none.
fn seconds(text: &str) -> Result<Duration> {
    let length = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|length| !length.is_zero() && u64::try_from(length.as_nanos()).is_ok());
    let Some(length) = length else {
        bail!("expected a number of seconds above 0");
    };
    Ok(length)
}

fn property(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected PROPERTY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(option: &str, value: &str, because: &str) {
        let error = Args::try_parse_from(["interpolate", option, value]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(value) && text.contains(because), "{text}");
    }

    #[test]
    fn seconds_are_above_none() {
        for value in ["nan", "inf", "-1", "0", "1e-12", "1e30", "soon"] {
            refuses("--seconds", value, "above 0");
        }
        let args = Args::try_parse_from(["interpolate", "--seconds", "1.5"]).unwrap();
        assert_eq!(args.seconds, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        refuses("--crf", "9999", "0..=50");
        refuses("--crf", "-1", "0..=50");
        refuses("--fps", "65x", "1x to 64x");
        refuses("--fps", "-5", "between 0 and 1000");
        refuses("--set", "multiplier", "PROPERTY=VALUE");
    }
}
