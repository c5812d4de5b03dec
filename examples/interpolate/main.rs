//! Turns a video file into one with more frames, with `vfiinterp`, and says how well and how fast.
//!
//! ```text
//! cargo run --release --example interpolate -- holiday.mkv --fps 60 --output holiday_60.mp4
//! ```
//!
//! Without an input it takes the project's own clip and measures the result against the true
//! frames. `--help` lists the options.

mod args;
mod elements;
mod end;
mod file;
mod job;
mod pipeline;
mod progress;
mod quality;
mod rate;
mod summary;
mod tracks;
mod video;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::args::Args;
use crate::end::End;
use crate::file::Draft;

fn run(args: &Args) -> Result<()> {
    gst::init()?;
    elements::find_plugin(&args.element)?;

    let (input, truth) = args.files();
    let read: Vec<&Path> = [Some(&input), truth.as_ref()]
        .into_iter()
        .flatten()
        .map(AsRef::as_ref)
        .collect();
    for path in &read {
        file::check_input(path)?;
    }
    let output = args.output(&input);
    let container = pipeline::Container::of(&output)?;
    let draft = Draft::begin(&output, &read)?;
    let end = End::new(args.seconds);
    end::heed_interrupts(&end, draft.path().to_owned())?;

    let pipeline = pipeline::build(
        &pipeline::Plan {
            input: &input,
            output: draft.path(),
            container,
            element: &args.element,
            rate: args.fps,
            properties: args.properties(),
            crf: args.crf,
            preset: &args.preset,
            eight_bit: truth.is_some(),
        },
        &end,
    )?;
    let quality = truth
        .map(|truth| quality::Comparison::attach(&pipeline.interpolator, &truth, &end))
        .transpose()?;

    let outcome = job::run(&pipeline, &end)?;
    if outcome.frames == 0 {
        bail!("{}: not one frame came out of it", input.display());
    }
    // The file is whole: whatever becomes of the rest, it stays.
    let output = draft.keep()?;
    let stats = summary::Stats::of(&pipeline.interpolator);
    pipeline.stop();

    summary::print(&output, &outcome, stats.as_ref())?;
    if let Some(quality) = quality {
        println!("{}", quality.finish()?);
    }
    if end.is_asked() {
        println!("stopped early: the file holds what was done until then");
    }
    Ok(())
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
