//! Turns a video file into one with more frames, with `vfiinterp`, and says how well and how fast.
//!
//! ```text
//! cargo run --release --example interpolate -- holiday.mkv --fps 60 --output holiday_60.mp4
//! ```
//!
//! Without an input it takes the project's own clip and measures the result against the true
//! frames. `--help` lists the options.

mod elements;
mod job;
mod pipeline;
mod progress;
mod quality;
mod rate;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::job::{Outcome, Partial};
use crate::rate::Rate;

/// The demo clip that comes with the project, and the frames that lie between its own.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/demo_30.mp4");
const CLIP_TRUTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/truth_60.mp4");

/// Puts synthesised frames between those of a video file.
#[derive(Debug, Parser)]
#[command(name = "interpolate", version)]
struct Args {
    /// The video file; without one, the project's demo clip
    input: Option<PathBuf>,

    /// Frames per second: a number, a fraction such as 60000/1001, or a factor such as 2x
    #[arg(long, default_value = "60")]
    fps: Rate,

    /// The file to write, .mp4 or .mkv [default: target/demo/<stem>_<fps>fps.mp4]
    #[arg(long, short)]
    output: Option<PathBuf>,

    /// A clip of the true frames at the output's rate, to measure the synthesised ones against
    #[arg(long)]
    truth: Option<PathBuf>,

    /// Stop after so many seconds of the input
    #[arg(long)]
    seconds: Option<f64>,

    /// The network: a built-in name or the path of an .onnx file
    #[arg(long)]
    model: Option<String>,

    /// How much smaller than the frame the network sees it
    #[arg(long)]
    downscale: Option<String>,

    /// auto, cpu, cuda or tensorrt
    #[arg(long)]
    execution_provider: Option<String>,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,

    /// x264's quality: lower is better and larger
    #[arg(long, default_value_t = 20)]
    crf: u32,

    /// x264's speed preset
    #[arg(long, default_value = "faster")]
    preset: String,

    /// The element to use in place of vfiinterp, to try the rest of the program
    #[arg(
        long,
        hide = true,
        default_value = "vfiinterp",
        env = "VFIINTERP_DEMO_ELEMENT"
    )]
    element: String,
}

impl Args {
    /// The input, and the truth that goes with it.
    fn files(&self) -> (PathBuf, Option<PathBuf>) {
        match &self.input {
            Some(input) => (input.clone(), self.truth.clone()),
            None => {
                let own = self.fps.doubles_30().then(|| PathBuf::from(CLIP_TRUTH));
                (PathBuf::from(CLIP), self.truth.clone().or(own))
            }
        }
    }

    fn output(&self, input: &Path) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let stem = input.file_stem().unwrap_or_default().to_string_lossy();
            PathBuf::from("target/demo").join(format!("{stem}_{}fps.mp4", self.fps.for_file_name()))
        })
    }

    /// What to set on the element, by name and by text.
    fn properties(&self) -> Result<Vec<(String, String)>> {
        let named = [
            ("model", &self.model),
            ("downscale", &self.downscale),
            ("execution-provider", &self.execution_provider),
        ];
        let mut all: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect();
        for pair in &self.set {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("--set {pair}: expected PROPERTY=VALUE"))?;
            all.push((name.to_owned(), value.to_owned()));
        }
        Ok(all)
    }
}

fn run(args: &Args) -> Result<()> {
    gst::init()?;
    elements::find_plugin(&args.element)?;

    let (input, truth) = args.files();
    if !input.is_file() {
        bail!("{}: no such file", input.display());
    }
    let output = args.output(&input);
    if same_file(&input, &output) {
        bail!("{} is the input: name another output", output.display());
    }
    let partial = Partial::new(output)?;

    let pipeline = pipeline::build(&pipeline::Plan {
        input: &input,
        output: partial.path(),
        container: pipeline::Container::of(partial.target())?,
        element: &args.element,
        rate: args.fps,
        properties: args.properties()?,
        crf: args.crf,
        preset: &args.preset,
        eight_bit: truth.is_some(),
        limit: args.seconds,
    })?;
    let quality = truth
        .map(|truth| quality::Comparison::attach(&pipeline.interpolator, &truth))
        .transpose()?;

    let outcome = job::run(&pipeline, &partial)?;
    let stats = summary::Stats::of(&pipeline.interpolator);
    pipeline.stop();
    if outcome.frames == 0 {
        bail!("{}: not one frame came out of it", input.display());
    }
    let output = partial.keep()?;

    summary::print(&output, &outcome, stats.as_ref())?;
    if let Some(quality) = quality {
        println!("{}", quality.finish()?);
    }
    if let Outcome { stopped: true, .. } = outcome {
        println!("stopped early: the file holds what was done until then");
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
