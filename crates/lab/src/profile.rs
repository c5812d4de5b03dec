//! `vfi-lab profile`: where the time goes in a pipeline, and what to change.

mod advice;
mod log;
mod measured;
mod report;
mod stack;
#[cfg(test)]
mod tests;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::advice::{Advice, Quantity, advise, words};
use self::log::Log;
use self::measured::{Measured, Timeline, measure};
use crate::table::Table;

/// Tells where the time goes in a pipeline with vfiinterp, and what to change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A pipeline as gst-launch takes it, or the log of one (`--save`, or GStreamer's tracers)
    #[arg(value_name = "PIPELINE|LOG")]
    subject: String,

    /// Seconds to look at, at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Writes a page with everything, which needs nothing from elsewhere
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,

    /// Writes all figures and the advice as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Keeps the log, to be looked at again
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Runs the pipeline once more with the first advice followed, and tells what that brought
    #[arg(long = "try")]
    try_advice: bool,

    /// Runs the pipeline in this very process
    #[arg(long, hide = true)]
    inside: bool,

    /// Changes of the pipeline, as JSON
    #[arg(long = "change", hide = true)]
    changes: Vec<String>,
}

/// Findings of a profile.
#[derive(Debug, Serialize)]
struct Profile {
    subject: String,
    measured: Measured,
    advice: Vec<Advice>,
    /// Factor that following the first advice brought, where that was tried.
    brought: Option<f64>,
    #[serde(skip)]
    timeline: Timeline,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.inside {
        return watch::watch(&args.subject, &args.changes, args.seconds);
    }
    let mut profile = profile(args)?;
    if args.try_advice {
        try_first(args, &mut profile)?;
    }
    print!("{}", text(&profile));
    let written = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| path.display().to_string())
    };
    if let Some(path) = &args.json {
        written(path, serde_json::to_string_pretty(&profile)? + "\n")?;
    }
    if let Some(path) = &args.report {
        written(path, report::page(&profile).into_string())?;
    }
    Ok(())
}

fn profile(args: &Args) -> Result<Profile> {
    let path = Path::new(&args.subject);
    let is_file = path.exists();
    if !is_file && !args.subject.contains('!') {
        bail!(
            "{}: no such file; and a pipeline has elements that are joined by `!`",
            args.subject
        );
    }
    let log = match is_file {
        true if args.try_advice => bail!("--try takes a pipeline, not a log"),
        true => Log::read(path)?,
        false => {
            let folder = tempfile::tempdir()?;
            let file = args.save.clone();
            let file = file.unwrap_or_else(|| folder.path().join("profile.log"));
            watch::record(&args.subject, &[], args.seconds, &file)?
        }
    };
    let (measured, timeline) = measure(&log)?;
    let subject = log
        .facts
        .map_or(args.subject.clone(), |facts| facts.pipeline);
    Ok(Profile {
        subject,
        advice: advise(&measured),
        measured,
        brought: None,
        timeline,
    })
}

/// Follows the first advice, if it can be as it stands, and notes what it brought.
fn try_first(args: &Args, profile: &mut Profile) -> Result<()> {
    let first = profile.advice.first();
    let Some(advice) = first.filter(|advice| !advice.changes.is_empty()) else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("profile.log");
    let log = watch::record(&args.subject, &advice.changes, args.seconds, &file)?;
    let (after, _) = measure(&log)?;
    let value = |measured: &Measured| match advice.of {
        Quantity::Frames => measured.frames.out() / measured.seconds,
        Quantity::RealTime => measured.real_time.unwrap_or(0.0),
    };
    profile.brought = Some(value(&after) / value(&profile.measured).max(1e-9));
    Ok(())
}

/// Returns the figures for a terminal.
fn text(profile: &Profile) -> String {
    let measured = &profile.measured;
    let mut text = format!("{}\n\n", summary(measured));
    let percent = |time: f64| format!("{:.1}", 100.0 * time / measured.seconds.max(1e-9));
    let rows = measured.elements.iter().map(|element| {
        let latency = element
            .latency
            .map(|(mean, _)| format!("{:.2}", mean * 1e3));
        let level = element.level;
        let level = level.map(|(mean, most, room)| format!("{mean:.1}, {most} of {room}"));
        vec![
            element.name.clone(),
            element.thread.clone(),
            percent(element.work),
            percent(element.wait),
            element.waits_for.to_owned(),
            latency.unwrap_or_default(),
            level.unwrap_or_default(),
        ]
    });
    let head = [
        "element",
        "on the thread of",
        "works %",
        "waits %",
        "for",
        "latency ms",
        "buffers",
    ];
    let table = Table {
        title: "Elements:".into(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    text += &table.text();
    if let Some(table) = steps(measured) {
        text += &format!("\n{}", table.text());
    }
    text += &format!("\n{}\n", verdict(&profile.advice));
    for advice in &profile.advice {
        text += &format!("- {}\n", words(advice));
    }
    if let (Some(brought), Some(first)) = (profile.brought, profile.advice.first()) {
        let said = first.gain.unwrap_or(1.0);
        text += &format!(
            "The first advice, followed, brought {brought:.2} times; said were {said:.2}.\n"
        );
    }
    text
}

/// Returns what came of it in a line.
fn summary(measured: &Measured) -> String {
    let frames = &measured.frames;
    let rate = |count: f64| count / measured.seconds.max(1e-9);
    let mut text = format!(
        "{:.1} s: {:.1} frames a second out of {} ({:.1} made), {:.0} late, {:.0} left out, {:.0} dropped",
        measured.seconds,
        rate(frames.out()),
        measured.interpolator,
        rate(frames.synthesised),
        frames.late,
        frames.left_out,
        frames.dropped,
    );
    if let Some(rate) = measured.real_time {
        text += &format!("; shown at {rate:.2} times real time");
    }
    if let Some(cpu) = measured.cpu.filter(|_| measured.cores > 0) {
        let part = cpu / measured.seconds.max(1e-9);
        text += &format!("; {part:.2} of {} processors at work", measured.cores);
    }
    text
}

/// Returns the interpolator's steps and waits.
fn steps(measured: &Measured) -> Option<Table> {
    let steps = measured.steps?;
    let made = measured.frames.synthesised.max(1.0);
    let waits = |name: &str| measured.waits.get(name).copied().unwrap_or(0.0);
    let rows = [
        ("shrink", steps.shrink),
        ("network", steps.network),
        ("warp", steps.warp),
        ("look for cuts", steps.content),
        ("wait for the session", steps.session),
        ("downstream", steps.push),
    ];
    let rows = rows.map(|(name, time)| {
        vec![
            name.to_owned(),
            format!("{:.1}", 100.0 * time / measured.seconds.max(1e-9)),
            format!("{:.2}", time * 1e3 / made),
        ]
    });
    let title = format!(
        "{}: {:.1} frames in its queue (most {:.0}), for {:.1} ms (most {:.1}); the session was waited \
         for {:.0} times:",
        measured.interpolator,
        waits("queue-level"),
        waits("queue-level-max"),
        waits("queue-wait") / 1e6,
        waits("queue-wait-max") / 1e6,
        waits("contentions")
    );
    Some(Table {
        title,
        head: ["step", "% of the time", "ms a made frame"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.to_vec(),
    })
}

fn verdict(advice: &[Advice]) -> &'static str {
    match advice {
        [] => "Nothing holds it up that a change here would help.",
        _ => "What to change, and what it would bring:",
    }
}
