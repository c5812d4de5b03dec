//! A network that takes as long as one likes: no motion anywhere, found at great length.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared};
use onnx_graph::build::{GraphBuilder, ints};
use onnx_graph::encode;

/// How many times as coarse as the picture the motion is.
const STRIDE: i64 = 8;

/// Returns the file of a network that convolves its picture `rounds` times before it answers with
/// no motion, and with a blend.
pub(crate) fn network(rounds: usize) -> Vec<u8> {
    let picture: &[i64] = &[1, 3, -1, -1];
    let taps = vec![1.0 / 48.0; 3 * 3 * 16];
    let pool = vec![
        ints("kernel_shape", &[STRIDE, STRIDE]),
        ints("strides", &[STRIDE, STRIDE]),
    ];
    let mut model = GraphBuilder::new("slow", 17)
        .input("img0", picture)
        .input("img1", picture)
        .input("timestep", &[1])
        .integers("first", &[0])
        .integers("second", &[1])
        .integers("axis", &[1])
        .constant("zero", &[1], &[0.0])
        .constant("zeros", &[1, 4, 1, 1], &[0.0; 4])
        .constant("one", &[1], &[1.0])
        .constant("taps", &[3, 3, 4, 4], &taps)
        .node("Add", &["img0", "img1"], &["x0"]);
    for round in 0..rounds {
        let (from, to) = (format!("x{round}"), format!("x{}", round + 1));
        let pads = vec![ints("pads", &[2, 2, 1, 1])];
        model = model.node_with("Conv", &[&from, "taps"], &[&to], pads);
    }
    let last = format!("x{rounds}");
    let model = model
        .node("Slice", &[&last, "first", "second", "axis"], &["red"])
        .node_with("AveragePool", &["red"], &["pooled"], pool)
        .node("Mul", &["pooled", "zero"], &["empty"])
        .node("Sub", &["one", "timestep"], &["rest"])
        .node("Add", &["empty", "rest"], &["mask"])
        .node("Add", &["empty", "zeros"], &["flow"])
        .output("flow", &[1, 4, -1, -1])
        .output("mask", &[1, 1, -1, -1])
        .metadata("vfiinterp.name", "slow")
        .metadata("vfiinterp.output", "motion")
        .metadata("vfiinterp.range", "0..1")
        .metadata("vfiinterp.align", &STRIDE.to_string())
        .metadata("vfiinterp.flow_unit", "input_pixels")
        .metadata("vfiinterp.timestep", "scalar");
    encode(&model.finish())
}

/// Returns how long the network in a file takes for a pair of pictures at best, so that what else
/// the machine does counts little.
fn time(path: &str, width: usize, height: usize) -> Result<Duration> {
    let options = LoadOptions {
        model: path.to_owned(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let mut interpolator = Interpolator::load(&options)?;
    let picture = Picture::new(width, height);
    let mut prepared = Prepared::default();
    interpolator.prepare(&picture, &mut prepared)?;
    let mut best = Duration::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        interpolator.estimate(&prepared, &prepared, 0.5)?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Writes to `path` a network that takes about `wanted` for pictures of this size. Returns how long
/// it really takes.
pub(crate) fn write(path: &str, wanted: Duration, width: usize, height: usize) -> Result<Duration> {
    let save = |rounds| std::fs::write(path, network(rounds)).with_context(|| path.to_owned());
    let mut rounds = 8;
    let mut took = Duration::ZERO;
    // The first guess is from a short run, the next from runs about as long as wanted; the machine's
    // speed may change in between.
    for _ in 0..6 {
        save(rounds)?;
        took = time(path, width, height)?;
        let ratio = wanted.as_secs_f64() / took.as_secs_f64();
        if (0.93..1.07).contains(&ratio) {
            break;
        }
        rounds = ((rounds as f64 * ratio).round() as usize).clamp(1, 10_000);
    }
    Ok(took)
}
