//! Output of the program: bars and lines on the terminal, or lines of JSON for programs.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use gst::prelude::*;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::space::size;

/// Interval between lines that tell programs the progress.
const EVERY: Duration = Duration::from_millis(500);

/// The voice of the program.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    bars: MultiProgress,
    all: Option<ProgressBar>,
    one: ProgressBar,
    file: String,
    expected: u64,
    started: Instant,
    told: Instant,
}

/// The result for a file.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) output: std::path::PathBuf,
    pub(crate) frames: u64,
    /// Frames that an earlier run had made.
    pub(crate) kept: u64,
    pub(crate) length: Duration,
    pub(crate) took: Duration,
    pub(crate) bytes: u64,
    pub(crate) stats: Stats,
}

/// Counters of the element, summed over the segments.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counts: [u64; 4],
    times: [u64; 3],
    network: Option<(String, String)>,
}

const COUNTS: [&str; 4] = ["frames-in", "originals", "synthesised", "repeated"];
const TIMES: [&str; 3] = ["shrink-time", "estimate-time", "synthesise-time"];

impl Stats {
    /// Adds the counters of an element that still runs; one without statistics adds none.
    pub(crate) fn add(&mut self, element: &gst::Element) {
        if element.find_property("stats").is_none() {
            return;
        }
        let Some(stats) = element.property::<Option<gst::Structure>>("stats") else {
            return;
        };
        let sum = |sums: &mut [u64], fields: &[&str]| {
            for (sum, field) in sums.iter_mut().zip(fields) {
                *sum += stats.get::<u64>(*field).unwrap_or(0);
            }
        };
        sum(&mut self.counts, &COUNTS);
        sum(&mut self.times, &TIMES);
        let text = |field| stats.get::<String>(field).unwrap_or_else(|_| "?".into());
        self.network = Some((text("model"), text("provider")));
    }

    /// Prints them, and how long each part of a synthesised frame took.
    fn print(&self) {
        let Some((model, provider)) = &self.network else {
            return;
        };
        let [frames_in, originals, synthesised, repeated] = self.counts;
        let [shrink, estimate, synthesise] = self
            .times
            .map(|time| time as f64 / 1e6 / synthesised.max(1) as f64);
        println!(
            "frames     {frames_in} in; out {originals} originals, {synthesised} synthesised, {repeated} repeated"
        );
        println!(
            "each       shrink {shrink:.1} ms, estimate {estimate:.1} ms, synthesise {synthesise:.1} ms per synthesised frame"
        );
        println!("network    {model} on {provider}");
    }
}

impl Report {
    /// Begins with that many files.
    pub(crate) fn new(json: bool, files: usize) -> Self {
        let bars = MultiProgress::new();
        let quiet = json || !std::io::stderr().is_terminal();
        if quiet {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let all = (files > 1).then(|| {
            let all = bars.add(ProgressBar::new(files as u64));
            all.set_style(style("[{bar:36}] {pos} of {len} files, {elapsed}"));
            all
        });
        Self {
            json,
            bars,
            all,
            one: ProgressBar::hidden(),
            file: String::new(),
            expected: 0,
            started: Instant::now(),
            told: Instant::now(),
        }
    }

    fn tell(&self, event: &str, mut more: Value) {
        if let Some(fields) = more.as_object_mut() {
            fields.insert("event".into(), event.into());
            fields.insert("file".into(), self.file.clone().into());
        }
        println!("{more}");
    }

    /// Begins with a file.
    pub(crate) fn begin(&mut self, file: &Path) {
        self.file = file.display().to_string();
        self.one = self.bars.add(ProgressBar::new(0));
        self.one.set_style(style("{spinner} {elapsed} {msg}"));
        self.one.set_message(self.file.clone());
        self.started = Instant::now();
        if self.json {
            self.tell("begin", json!({}));
        }
    }

    /// Tells what is about to be done.
    pub(crate) fn plan(&mut self, output: &Path, expected: u64, segments: usize, encoder: &str) {
        self.expected = expected;
        self.one
            .set_style(style("[{bar:36}] {percent:>3}%  {msg}, {eta} left"));
        self.one.set_length(expected);
        if self.json {
            let output = output.display().to_string();
            self.tell(
                "plan",
                json!({"output": output, "frames": expected, "segments": segments, "encoder": encoder}),
            );
        }
    }

    /// Tells how far it is.
    pub(crate) fn progress(&mut self, made: u64, before: u64, length: Duration) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (made - before) as f64 / seconds;
        self.one.set_position(made);
        self.one.set_message(format!(
            "{made} frames, {rate:.1} per second, {:.2}x real time",
            length.as_secs_f64() / seconds
        ));
        if self.json && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let left = self.expected.saturating_sub(made) as f64 / rate.max(1e-3);
            self.tell(
                "progress",
                json!({"frames": made, "of": self.expected, "rate": rate, "left": left}),
            );
        }
    }

    /// Says something that one should know.
    pub(crate) fn say(&self, line: &str) {
        match self.json {
            true => self.tell("note", json!({"text": line})),
            false => self.bars.suspend(|| eprintln!("{line}")),
        }
    }

    pub(crate) fn warn(&self, line: &str) {
        match self.json {
            true => self.tell("warning", json!({"text": line})),
            false => self.bars.suspend(|| eprintln!("warning: {line}")),
        }
    }

    /// Ends a file that was written.
    pub(crate) fn done(&mut self, done: &Done) {
        self.end_file();
        let took = done.took.as_secs_f64().max(1e-3);
        let rate = (done.frames - done.kept) as f64 / took;
        if self.json {
            self.tell(
                "done",
                json!({
                    "output": done.output.display().to_string(), "frames": done.frames,
                    "kept": done.kept, "seconds": took, "rate": rate, "bytes": done.bytes,
                    "length": done.length.as_secs_f64(),
                }),
            );
            return;
        }
        self.bars.suspend(|| {
            done.stats.print();
            println!(
                "speed      {} frames in {took:.1} s: {rate:.1} per second, {:.2} times real time (with decoding and encoding)",
                done.frames - done.kept,
                done.length.as_secs_f64() / took,
            );
            println!("written    {} ({})", done.output.display(), size(done.bytes));
        });
    }

    /// Ends a file that was not.
    pub(crate) fn failed(&mut self, file: &Path, error: &anyhow::Error) {
        self.end_file();
        self.file = file.display().to_string();
        match self.json {
            true => self.tell("failed", json!({"error": format!("{error:#}")})),
            false => self
                .bars
                .suspend(|| eprintln!("error: {}", named(file, error))),
        }
    }

    fn end_file(&self) {
        self.one.finish_and_clear();
        if let Some(all) = &self.all {
            all.inc(1);
        }
    }

    /// Ends with words on all files, if there were several.
    pub(crate) fn sum_up(
        &self,
        written: usize,
        failed: &[(std::path::PathBuf, String)],
        frames: u64,
    ) {
        if let Some(all) = &self.all {
            all.finish_and_clear();
        }
        if self.json {
            let failed: Vec<_> = failed
                .iter()
                .map(|(file, error)| json!({"file": file.display().to_string(), "error": error}))
                .collect();
            println!(
                "{}",
                json!({"event": "summary", "written": written, "failed": failed, "frames": frames})
            );
        } else if written + failed.len() > 1 {
            println!(
                "all        {written} written, {} failed, {frames} frames",
                failed.len()
            );
            for (file, error) in failed {
                println!("failed     {}", line(file, error));
            }
        }
    }
}

fn line(file: &Path, error: &str) -> String {
    let first = error.lines().next().unwrap_or_default();
    let name = file.display().to_string();
    match first.starts_with(&name) {
        true => first.to_owned(),
        false => format!("{name}: {first}"),
    }
}

/// Returns an error with the name of the file it is about.
fn named(file: &Path, error: &anyhow::Error) -> String {
    let (text, name) = (format!("{error:#}"), file.display().to_string());
    match text.contains(&name) {
        true => text,
        false => format!("{name}: {text}"),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
