//! `vfi-lab bench`: what this machine does, in a table to be pasted into an issue.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gstvfiinterp::models::runtime::runtime;
use serde::Serialize;

use crate::element::{self, Chain};
use crate::scene::Scene;
use crate::speed::{Counters, Figures, MULTIPLIER, Size};
use crate::table::Table;

/// Frames a second that come in; twice as many go out.
const RATE: u16 = 30;
/// Pairs before the clock runs: first runs at a size are slow.
const WARM_UP: u32 = 3;
/// Frames that are enough for a figure.
const ENOUGH: u32 = 60;

/// Measures this machine at a fixed set of sizes and networks, in two minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Frame sizes
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1280x720,1920x1080,3840x2160"
    )]
    sizes: Vec<Size>,

    /// Networks: names or paths of .onnx files; those that aren't there are named and left out
    #[arg(long, value_delimiter = ',', default_value = "vfi-lite,vfi-base")]
    models: Vec<String>,

    /// Execution providers; those that don't start are named and left out
    #[arg(long, value_delimiter = ',', default_value = "cpu,cuda")]
    providers: Vec<String>,

    /// Seconds that all of it may take
    #[arg(long, default_value_t = 110, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Writes the JSON to a file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Facts about the machine, and what it does.
#[derive(Debug, Serialize)]
struct Bench {
    machine: BTreeMap<&'static str, String>,
    rows: Vec<Row>,
    left_out: Vec<String>,
}

/// Figures of one network at one size.
#[derive(Debug, Serialize)]
struct Row {
    size: String,
    network: String,
    provider: String,
    shrink_ms: f64,
    network_ms: f64,
    warp_ms: f64,
    whole_ms: f64,
    downscale: f64,
    times_real_time: f64,
    real_time: bool,
}

impl Row {
    fn new(Size(width, height): Size, (network, provider): (&str, &str), found: &Figures) -> Self {
        Self {
            size: format!("{width}x{height}"),
            network: network.to_owned(),
            provider: provider.to_owned(),
            shrink_ms: found.shrink,
            network_ms: found.estimate,
            warp_ms: found.synthesise,
            whole_ms: found.whole,
            downscale: found.downscale,
            times_real_time: found.real_time,
            real_time: found.real_time >= 1.0,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(args.seconds.into());
    let mut bench = Bench {
        machine: machine()?,
        rows: Vec::new(),
        left_out: Vec::new(),
    };
    let mut kinds = Vec::new();
    for provider in &args.providers {
        for model in &args.models {
            match element::check(&properties(model, provider)) {
                Ok(()) => kinds.push((model.as_str(), provider.as_str())),
                Err(why) => bench
                    .left_out
                    .push(format!("{model} on {provider}: {why:#}")),
            }
        }
    }
    if kinds.is_empty() {
        bail!("nothing can be measured: {}", bench.left_out.join("; "));
    }
    for (number, size) in args.sizes.iter().enumerate() {
        let frames = Scene::new(size.0, size.1, gst::Fraction::new(RATE.into(), 1))?;
        for (kind, (model, provider)) in kinds.iter().enumerate() {
            let left = (args.sizes.len() - number) * kinds.len() - kind;
            let share = end.saturating_duration_since(Instant::now()) / left as u32;
            let name = format!("{model} on {provider}, {}x{}", size.0, size.1);
            eprintln!("{name} ...");
            match measure(&frames, &properties(model, provider), share) {
                Ok(found) => bench
                    .rows
                    .push(Row::new(*size, (*model, *provider), &found)),
                Err(why) => bench.left_out.push(format!("{name}: {why:#}")),
            }
        }
    }
    let json = serde_json::to_string_pretty(&bench)?;
    print!("{}", markdown(&bench, &json));
    if let Some(path) = &args.json {
        fs::write(path, json + "\n").with_context(|| path.display().to_string())?;
    }
    ensure!(!bench.rows.is_empty(), "nothing could be measured");
    Ok(())
}

fn properties(model: &str, provider: &str) -> Vec<(String, String)> {
    [("model", model), ("execution-provider", provider)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Sends frames through as fast as they are taken, for so long at most.
fn measure(frames: &Scene, properties: &[(String, String)], share: Duration) -> Result<Figures> {
    let end = Instant::now() + share;
    let rate = gst::Fraction::new(RATE.into(), 1);
    let chain = Chain::new(MULTIPLIER, properties)?;
    chain.feed(frames.clone().map(Ok), rate);
    let (mut begun, mut came) = (None, 0);
    while let Some(picture) = chain.pull()? {
        if picture.buffer.offset() % MULTIPLIER as u64 != 0 {
            continue;
        }
        came += 1;
        let Some((start, before)) = &begun else {
            if came > WARM_UP {
                begun = Some((Instant::now(), Counters::read(&chain)));
                came = 0;
            }
            continue;
        };
        if came >= ENOUGH || Instant::now() >= end {
            let seconds = start.elapsed().as_secs_f64();
            let found = Counters::read(&chain).since(before, seconds, (came, RATE));
            // the element may have been a frame ahead when it began
            if found.is_ok() || came >= ENOUGH {
                return found;
            }
        }
    }
    bail!("the stream ended before it was measured")
}

/// Returns facts about the machine that speed depends on.
fn machine() -> Result<BTreeMap<&'static str, String>> {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = field(&file("/proc/cpuinfo"), "model name");
    let gpus = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten();
    let gpus = gpus.filter_map(|gpu| {
        let text = fs::read_to_string(gpu.ok()?.path().join("information")).ok()?;
        field(&text, "Model")
    });
    let gpus = gpus.collect::<Vec<_>>().join(", ");
    Ok(BTreeMap::from([
        ("vfiinterp", env!("CARGO_PKG_VERSION").to_owned()),
        ("onnxruntime", runtime()?.version.clone()),
        ("gstreamer", gst::version_string().to_string()),
        (
            "system",
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        (
            "processor",
            format!(
                "{}, {cores} threads",
                processor.unwrap_or_else(|| "unknown".into())
            ),
        ),
        (
            "memory",
            field(&file("/proc/meminfo"), "MemTotal").unwrap_or_default(),
        ),
        ("gpu", if gpus.is_empty() { "none".into() } else { gpus }),
        (
            "build",
            if cfg!(debug_assertions) {
                "debug: slower"
            } else {
                "release"
            }
            .to_owned(),
        ),
    ]))
}

/// Returns the table and the JSON as they are pasted.
fn markdown(bench: &Bench, json: &str) -> String {
    let head = [
        "size",
        "network",
        "provider",
        "divisor",
        "shrink ms",
        "network ms",
        "warp ms",
        "whole ms",
        "times real time",
        "real time",
    ];
    let rows = bench.rows.iter().map(|row| {
        let ms = |time: f64| format!("{time:.1}");
        vec![
            row.size.clone(),
            row.network.clone(),
            row.provider.clone(),
            format!("{:.2}", row.downscale),
            ms(row.shrink_ms),
            ms(row.network_ms),
            ms(row.warp_ms),
            ms(row.whole_ms),
            format!("{:.2}", row.times_real_time),
            if row.real_time { "yes" } else { "no" }.to_owned(),
        ]
    });
    let facts = bench
        .machine
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let facts = facts.collect::<Vec<_>>().join("; ");
    let table = Table {
        title: format!("{RATE} frames a second to twice as many, times of a made frame. {facts}."),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let mut text = table.markdown();
    for name in &bench.left_out {
        text += &format!("\nLeft out: {name}\n");
    }
    text + &format!("\n<details><summary>JSON</summary>\n\n```json\n{json}\n```\n\n</details>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_set_is_measured_within_its_time() {
        crate::init().unwrap();
        let frames = Scene::new(64, 48, gst::Fraction::new(RATE.into(), 1)).unwrap();
        let found = measure(&frames, &properties("vfi-lite", "cpu"), Duration::ZERO).unwrap();
        assert!(found.estimate > 0.0 && found.whole >= found.estimate);
        // one frame was enough, as there was no time
        assert!(found.real_time > 0.0);
    }

    #[test]
    fn what_is_pasted_holds_table_and_json() {
        let figures = Figures {
            shrink: 1.0,
            estimate: 20.0,
            synthesise: 5.0,
            whole: 30.0,
            downscale: 2.0,
            real_time: 1.11,
        };
        let bench = Bench {
            machine: BTreeMap::from([("processor", "Some, 2 threads".to_owned())]),
            rows: vec![Row::new(Size(1280, 720), ("vfi-lite", "cpu"), &figures)],
            left_out: vec!["vfi-base on cuda: no CUDA".into()],
        };
        let json = serde_json::to_string(&bench).unwrap();
        let text = markdown(&bench, &json);
        for part in [
            "| 1280x720 |",
            "processor Some, 2 threads",
            "yes",
            "Left out: vfi-base on cuda",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let pasted = text
            .split("```json")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let pasted: serde_json::Value = serde_json::from_str(pasted).unwrap();
        assert_eq!(pasted["rows"][0]["real_time"], true);
    }

    #[test]
    fn nothing_to_measure_is_one_error() {
        crate::init().unwrap();
        let args = Args {
            sizes: vec![Size(64, 48)],
            models: vec!["nowhere.onnx".into()],
            providers: vec!["cpu".into()],
            seconds: 1,
            json: None,
        };
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("nowhere.onnx on cpu"), "{error}");
    }
}
