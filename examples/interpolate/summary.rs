//! The closing words.

use std::fs;
use std::path::Path;

use anyhow::Result;
use gst::prelude::*;

use crate::job::Outcome;

/// Counters of the element.
#[derive(Debug)]
pub(crate) struct Stats(gst::Structure);

impl Stats {
    /// Reads the counters while the element still runs; an element without statistics has none.
    pub(crate) fn of(element: &gst::Element) -> Option<Self> {
        element.find_property("stats")?;
        element
            .property::<Option<gst::Structure>>("stats")
            .map(Self)
    }

    fn count(&self, field: &str) -> u64 {
        self.0.get(field).unwrap_or(0)
    }

    fn text(&self, field: &str) -> String {
        self.0.get(field).unwrap_or_else(|_| "?".into())
    }

    /// Returns the mean of a total over the synthesised frames, in ms.
    fn each(&self, field: &str) -> f64 {
        self.count(field) as f64 / 1e6 / self.count("synthesised").max(1) as f64
    }
}

/// Prints what came of it.
pub(crate) fn print(output: &Path, outcome: &Outcome, stats: Option<&Stats>) -> Result<()> {
    if let Some(stats) = stats {
        let [frames_in, originals, synthesised, repeated] =
            ["frames-in", "originals", "synthesised", "repeated"].map(|field| stats.count(field));
        println!(
            "frames     {frames_in} in; out {originals} originals, {synthesised} synthesised, {repeated} repeated"
        );
        let [shrink, estimate, synthesise] =
            ["shrink-time", "estimate-time", "synthesise-time"].map(|field| stats.each(field));
        println!(
            "each       shrink {shrink:.1} ms, estimate {estimate:.1} ms, synthesise {synthesise:.1} ms per synthesised frame"
        );
        println!(
            "network    {} on {}",
            stats.text("model"),
            stats.text("provider")
        );
    }
    let took = outcome.took.as_secs_f64().max(1e-3);
    println!(
        "speed      {} frames in {took:.1} s: {:.1} per second, {:.2} times real time (with decoding and encoding)",
        outcome.frames,
        outcome.frames as f64 / took,
        outcome.length.as_secs_f64() / took,
    );
    println!(
        "written    {} ({})",
        output.display(),
        size(fs::metadata(output)?.len())
    );
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
