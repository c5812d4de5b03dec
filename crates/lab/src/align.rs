//! Matches each frame of a file with a place in another: does it drift, stutter or repeat?
#![allow(clippy::single_range_in_vec_init)] // lists of ranges of frames are what is meant

mod blocks;
mod coarse;
mod course;
mod decode;
mod matching;
mod pictures;
mod place;
mod ranges;
mod report;
mod size;
mod summary;
#[cfg(test)]
mod tests;
mod tone;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};

use matching::{Alignment, Match, Quality};
use pictures::Pictures;
use place::Place;
use size::Size;
use summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File whose frames are the measure
    reference: PathBuf,
    /// File whose frames are looked for in the reference
    other: PathBuf,
    /// Write each frame's match as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write figures, events and each frame's match as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with drift over time and all events
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// How much work is done
    #[arg(long, value_enum, default_value = "balanced")]
    quality: Quality,
    /// Print a coarse result first
    #[arg(long)]
    progressive: bool,
    /// Exit with 1 where a frame is further off an even course, in milliseconds
    #[arg(long, value_name = "MS", value_parser = tolerance)]
    drift_tolerance: Option<f64>,
    /// Leave a rectangle out, in pixels of the reference; may be given several times
    #[arg(long = "mask", value_name = "X,Y,W,H")]
    masks: Vec<Mask>,
    /// Keep small pictures here, by what files hold [default: in the XDG cache folder]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mask([u32; 4]);

impl FromStr for Mask {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Result<Vec<u32>, _> = text.split(',').map(|n| n.trim().parse()).collect();
        let numbers = numbers.ok().and_then(|n| <[u32; 4]>::try_from(n).ok());
        numbers
            .filter(|[_, _, width, height]| *width > 0 && *height > 0)
            .map(Self)
            .ok_or_else(|| anyhow!("expected X,Y,W,H in pixels, such as 1700,40,180,90"))
    }
}

fn tolerance(text: &str) -> Result<f64> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|ms| ms.is_finite() && *ms >= 0.0)
        .context("expected milliseconds, such as 20")
}

/// Results of a run, and its costs.
#[derive(Debug)]
struct Outcome {
    reference: PathBuf,
    other: PathBuf,
    /// Seconds since its first frame, of each of the other file's.
    times: Vec<f64>,
    matches: Vec<Option<Match>>,
    place: Place,
    summary: Summary,
    work: Work,
}

/// Costs of the work.
#[derive(Debug, Clone, Copy, serde::Serialize)]
struct Work {
    /// Seconds until all pictures were there.
    decoding_s: f64,
    /// Seconds that matching took.
    matching_s: f64,
    /// Frames of both files in a second of all that.
    frames_per_s: f64,
    peak_memory_mb: Option<f64>,
}

/// Runs the command; fails with 1 beyond the tolerance.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let outcome = measure(args)?;
    print!("{}", report::text(&outcome));
    let write = |path: &Option<PathBuf>, content: &dyn Fn() -> Result<String>| match path {
        Some(path) => {
            fs::write(path, content()?).with_context(|| format!("cannot write {}", path.display()))
        }
        None => Ok(()),
    };
    write(&args.csv, &|| Ok(report::csv(&outcome)))?;
    write(&args.json, &|| report::json(&outcome))?;
    write(&args.report, &|| Ok(report::html(&outcome)))?;
    let Some(tolerance) = args.drift_tolerance else {
        return Ok(ExitCode::SUCCESS);
    };
    let largest = outcome.summary.largest_drift_ms;
    if outcome.summary.matched == 0 {
        bail!("no frame has a match: there is no drift to compare with {tolerance} ms");
    }
    if largest > tolerance {
        println!("Drift: {largest:.1} ms, beyond the tolerance of {tolerance} ms");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args) -> Result<Outcome> {
    let begun = Instant::now();
    let (reference, other) = open(args)?;
    let decoding_s = begun.elapsed().as_secs_f64();
    let shown = reference.shown;
    let masks: Vec<Place> = args.masks.iter().map(|mask| part(*mask, shown)).collect();
    let summed = |alignment: &Alignment| {
        let mut matches = alignment.matches.clone();
        let summary = summary::sum_up(&mut matches, &other.times, reference.interval());
        (matches, summary)
    };
    let alignment = matching::align(&reference, &other, &masks, args.quality, |coarse| {
        if args.progressive {
            println!("{} (coarse)", report::brief(&summed(coarse).1));
        }
    })?;
    let (matches, summary) = summed(&alignment);
    let all = begun.elapsed().as_secs_f64();
    Ok(Outcome {
        reference: args.reference.clone(),
        other: args.other.clone(),
        matches,
        place: alignment.place,
        summary,
        work: Work {
            decoding_s,
            matching_s: all - decoding_s,
            frames_per_s: (reference.len() + other.len()) as f64 / all,
            peak_memory_mb: peak_memory(),
        },
        times: other.times,
    })
}

/// Decodes both files, at the same time.
fn open(args: &Args) -> Result<(Pictures, Pictures)> {
    let size = match args.quality {
        Quality::Fast => (64, 40),
        Quality::Balanced => (128, 72),
        Quality::Precise => (256, 144),
    };
    let size = Size {
        width: size.0,
        height: size.1,
    };
    let cache = args.cache_dir.clone().or_else(pictures::default_cache);
    let style = ProgressStyle::with_template("{spinner} {pos} frames read, {per_sec}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let read = |path: &Path, which: usize| {
        let pictures = Pictures::open(path, size, cache.as_deref(), |frames| {
            counts[which].store(frames, Ordering::Relaxed);
            let all = counts.iter().map(|count| count.load(Ordering::Relaxed));
            bar.set_position(all.sum::<usize>() as u64);
        });
        pictures.with_context(|| path.display().to_string())
    };
    let both = rayon::join(|| read(&args.reference, 0), || read(&args.other, 1));
    bar.finish_and_clear();
    Ok((both.0?, both.1?))
}

fn part(Mask([x, y, width, height]): Mask, (across, down): (u32, u32)) -> Place {
    let (across, down) = (f64::from(across), f64::from(down));
    Place {
        x: f64::from(x) / across,
        y: f64::from(y) / down,
        width: f64::from(width) / across,
        height: f64::from(height) / down,
    }
}

/// Returns the most memory that was resident, in megabytes.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
