//! Command line of the program.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::codec::Codec;
use crate::rate::{self, Rate, Wanted};

/// The demo clip that comes with the project, and the frames that lie between its own.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo/demo_30.mp4");
const CLIP_TRUTH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/demo/truth_60.mp4"
);

const AFTER_HELP: &str = "\
Exit codes:
  0    all is written
  1    nothing is written: the reason is told
  2    the command line is not understood
  3    some files are written and some are not: each reason is told
  4    the disk is full, or has far too little room
  130  stopped by a signal, without output

A first Ctrl-C closes the file with what is done until then; a second one ends at once.
After a kill or a crash the same command goes on from the last finished segment.";

/// Makes smooth or slow video: puts synthesised frames between those of files and picture sequences.
///
/// Sound, subtitles, tags, rotation and HDR metadata are kept; what the output cannot hold is named
/// before the work begins.
#[derive(Debug, Parser)]
#[command(name = "vfi-convert", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Video files, folders of them, or picture sequences such as in_%04d.png; without any, the
    /// project's demo clip
    pub(crate) inputs: Vec<PathBuf>,

    /// The file to write (.mp4, .mov or .mkv), the folder to write to, or pictures such as
    /// out_%04d.png [default: beside the input, with the rate in its name]
    #[arg(long, short)]
    pub(crate) output: Option<PathBuf>,

    /// Frames per second: a number, a fraction such as 60000/1001, or a factor such as 2x
    /// [default: 60]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    fps: Option<Rate>,

    /// So many frames for each of the input's
    #[arg(long, value_name = "N", conflicts_with = "fps", allow_hyphen_values = true,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    multiplier: Option<u32>,

    /// Slow motion: so many times as long, at the input's own rate
    #[arg(long, value_name = "N", conflicts_with_all = ["fps", "multiplier"],
        allow_hyphen_values = true, value_parser = rate::slowness)]
    slow: Option<gst::Fraction>,

    /// Sound in slow motion: stretched at the same pitch, left out, or kept as it is
    #[arg(long, value_enum, default_value_t = Sound::Stretch)]
    pub(crate) sound: Sound,

    /// Begin with the first frame at or after this time: seconds, or 1:02:03.5
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(crate) from: Option<u64>,

    /// End before this time of the input
    #[arg(long, value_name = "TIME", value_parser = time_above_none, allow_hyphen_values = true)]
    pub(crate) to: Option<u64>,

    /// End after so many seconds of the input
    #[arg(long, conflicts_with = "to", value_parser = time_above_none, allow_hyphen_values = true)]
    pub(crate) seconds: Option<u64>,

    /// The rate that pictures are meant for
    #[arg(long, value_name = "RATE", default_value = "24", allow_hyphen_values = true,
        value_parser = rate::fixed)]
    pub(crate) input_fps: gst::Fraction,

    /// The kind of video [default: h264; h265 for more than 8 bits]
    #[arg(long, value_enum)]
    pub(crate) codec: Option<Codec>,

    /// The GStreamer element that encodes; without it a hardware encoder, where there is one for
    /// the codec, else software
    #[arg(long, value_name = "ELEMENT")]
    pub(crate) encoder: Option<String>,

    /// The encoder's quality: lower is better and larger
    #[arg(long, default_value_t = 20, allow_hyphen_values = true,
        value_parser = clap::value_parser!(u32).range(0..=50))]
    pub(crate) crf: u32,

    /// The encoder's speed preset [default: faster, for x264 and x265]
    #[arg(long, value_name = "PRESET")]
    pub(crate) encoder_preset: Option<String>,

    /// Bits of the pictures written [default: the input's]
    #[arg(long, value_name = "BITS", value_parser = ["8", "16"])]
    pub(crate) png_depth: Option<String>,

    /// How hard pictures are compressed
    #[arg(long, value_name = "LEVEL", default_value_t = 4, allow_hyphen_values = true,
        value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) png_compression: u8,

    /// Replace outputs that are there, once the new one is whole
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Write three seconds side by side, the input at the left, to OUTPUT_preview and no more
    #[arg(long)]
    pub(crate) preview: bool,

    /// Write a line of JSON to standard output for all that happens
    #[arg(long)]
    pub(crate) json: bool,

    /// A clip of the true frames at the output's rate, to measure the synthesised ones against
    #[arg(long)]
    truth: Option<PathBuf>,

    /// The network: a built-in name or the path of an .onnx file
    #[arg(long)]
    model: Option<String>,

    /// How much smaller than the frame the network sees it
    #[arg(long, allow_hyphen_values = true)]
    downscale: Option<String>,

    /// auto, cpu, cuda or tensorrt
    #[arg(long)]
    execution_provider: Option<String>,

    /// vfiinterp's preset
    #[arg(long)]
    preset: Option<String>,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE", value_parser = property)]
    set: Vec<(String, String)>,

    /// Print the manual page and end
    #[arg(long, hide = true)]
    pub(crate) man: bool,

    /// How long a segment is that stays when the rest is lost
    #[arg(long, hide = true, value_parser = time_above_none, default_value = "10")]
    pub(crate) segment: u64,

    /// The element to use in place of vfiinterp, to try the rest of the program
    #[arg(
        long,
        hide = true,
        default_value = "vfiinterp",
        env = "VFIINTERP_DEMO_ELEMENT"
    )]
    pub(crate) element: String,
}

/// The treatment of sound in slow motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sound {
    Stretch,
    Drop,
    Keep,
}

impl Args {
    /// Returns the inputs as named, and the truth that goes with them.
    pub(crate) fn files(&self) -> (Vec<PathBuf>, Option<PathBuf>) {
        if self.inputs.is_empty() {
            let doubles = matches!(self.wanted(), Wanted::Rate(rate) if rate.doubles_30());
            let own = doubles.then(|| PathBuf::from(CLIP_TRUTH));
            return (vec![PathBuf::from(CLIP)], self.truth.clone().or(own));
        }
        (self.inputs.clone(), self.truth.clone())
    }

    /// Returns what is to become of the frames.
    pub(crate) fn wanted(&self) -> Wanted {
        match (self.fps, self.multiplier, self.slow) {
            (_, _, Some(slow)) => Wanted::Slow(slow),
            (_, Some(times), _) => Wanted::Rate(Rate::Times(times)),
            (Some(rate), ..) => Wanted::Rate(rate),
            _ => Wanted::Rate(Rate::Fixed(gst::Fraction::new(60, 1))),
        }
    }

    /// Returns the time the input is used from and to.
    pub(crate) fn range(&self) -> Result<(u64, Option<u64>)> {
        let from = self.from.unwrap_or(0);
        let to = match self.seconds {
            Some(seconds) => Some(from.saturating_add(seconds)),
            None => self.to,
        };
        if let Some(to) = to.filter(|to| *to <= from) {
            bail!(
                "--to {} s lies not behind --from {} s",
                to as f64 / 1e9,
                from as f64 / 1e9
            );
        }
        Ok((from, to))
    }

    /// Returns the properties to set on the element, by name and by text.
    pub(crate) fn properties(&self) -> Vec<(String, String)> {
        let named = [
            ("preset", &self.preset),
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

/// Reads a time in seconds, or in minutes and hours before them, as ns.
fn time(text: &str) -> Result<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let seconds = parts.iter().try_fold(0.0, |sum, part| {
        let number: f64 = part.parse().ok()?;
        (number >= 0.0).then_some(sum * 60.0 + number)
    });
    let seconds = seconds.filter(|seconds| parts.len() <= 3 && *seconds < 1e9);
    let seconds = seconds.context("expected seconds from 0 on, or hours:minutes:seconds")?;
    Ok((seconds * 1e9).round() as u64)
}

fn time_above_none(text: &str) -> Result<u64> {
    match time(text) {
        Ok(time @ 1..) => Ok(time),
        _ => bail!("expected a number of seconds above 0"),
    }
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
        let error = Args::try_parse_from(["vfi-convert", option, value]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(value) && text.contains(because), "{text}");
    }

    fn parse(arguments: &[&str]) -> Args {
        Args::try_parse_from([&["vfi-convert"], arguments].concat()).unwrap()
    }

    #[test]
    fn seconds_are_above_none() {
        for value in ["nan", "inf", "-1", "0", "1e-12", "1e30", "soon"] {
            refuses("--seconds", value, "above 0");
        }
        assert_eq!(
            parse(&["--seconds", "1.5"]).range().unwrap(),
            (0, Some(1_500_000_000))
        );
    }

    #[test]
    fn times_are_seconds_or_what_a_clock_shows() {
        assert_eq!(
            parse(&["--from", "1:02:03.5"]).from,
            Some(3_723_500_000_000)
        );
        assert_eq!(parse(&["--from", "0"]).from, Some(0));
        for value in ["-1", "1:2:3:4", "1:-2", "nan", ""] {
            assert!(Args::try_parse_from(["vfi-convert", "--from", value]).is_err());
        }
        assert!(parse(&["--from", "2", "--to", "2"]).range().is_err());
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        refuses("--crf", "9999", "0..=50");
        refuses("--crf", "-1", "0..=50");
        refuses("--multiplier", "65", "1..=64");
        refuses("--slow", "0.5", "1 to 64");
        refuses("--fps", "65x", "1x to 64x");
        refuses("--fps", "-5", "between 0 and 1000");
        refuses("--set", "multiplier", "PROPERTY=VALUE");
    }

    #[test]
    fn one_rate_is_asked_for() {
        for both in [
            ["--slow", "--fps"],
            ["--multiplier", "--fps"],
            ["--slow", "--multiplier"],
        ] {
            let [a, b] = both;
            assert!(Args::try_parse_from(["vfi-convert", a, "2", b, "3"]).is_err());
        }
    }
}
