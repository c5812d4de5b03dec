//! How long a network of 100 MiB takes to load, beside bare sessions of the same file, and what
//! two networks cost that share a session.
//!
//! `cargo bench --bench load` prints tables of medians, taken in turns so that their ratios hold
//! on a busy machine. Every load is made in a fresh process, as a pipeline's is: fresh memory is
//! what costs the time, and a process that has had it once is several times faster.
//!
//! Predicted: a copy of 100 MiB into fresh memory takes some 50 ms here (25 600 page faults at
//! 1.6 us, and 6 ms of copying). A bare session of bytes in memory makes three (read, parsed, laid
//! out for the processor), a plain load three more. So a load without copies of its own should
//! take what the bare one takes and the two small runs that measure a foreign file; a second load
//! the reading alone, in which two threads share page faults and sums.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::runtime::runtime;
use gstvfiinterp::models::signature::Signature;
use gstvfiinterp::models::signature::metadata::Stated;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared, catalog};
use onnx_graph::build::{GraphBuilder, int, ints};
use ort::session::builder::SessionBuilder;

const MEBIBYTES: usize = 100;
const ROUNDS: usize = 9;

/// A network that sees an eighth of the size, in 256 channels, through 3x3 convolutions with
/// made-up weights.
fn network() -> Vec<u8> {
    const CHANNELS: i64 = 256;
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 16_777_216.0 - 0.5) * 0.05
    };
    let mut conv = |builder: GraphBuilder, index: usize, dims: [i64; 4], attributes| {
        let weights: Vec<f32> = (0..dims.iter().product()).map(|_| next()).collect();
        let weight = format!("conv{index}.weight");
        let (input, output) = (format!("x{index}"), format!("x{}", index + 1));
        builder.constant(&weight, &dims, &weights).node_with(
            "Conv",
            &[&input, &weight],
            &[&output],
            attributes,
        )
    };
    let picture: &[i64] = &[1, 3, -1, -1];
    let mut builder = GraphBuilder::new("large", 17)
        .input("img0", picture)
        .input("img1", picture)
        .node("Sub", &["img1", "img0"], &["x0"]);
    builder = conv(
        builder,
        0,
        [CHANNELS, 3, 8, 8],
        vec![ints("strides", &[8; 2])],
    );
    let layers = (MEBIBYTES << 20) / (CHANNELS * CHANNELS * 36) as usize + 1;
    for layer in 1..layers {
        let pads = vec![ints("pads", &[1; 4])];
        builder = conv(builder, layer, [CHANNELS, CHANNELS, 3, 3], pads);
    }
    builder = conv(builder, layers, [192, CHANNELS, 1, 1], vec![]);
    let last = format!("x{}", layers + 1);
    let model = builder
        .node_with(
            "DepthToSpace",
            &[&last],
            &["part"],
            vec![int("blocksize", 8)],
        )
        .node("Add", &["img0", "part"], &["output"])
        .output("output", picture);
    onnx_graph::encode(&model.finish())
}

fn options(model: &str, threads: usize) -> LoadOptions {
    LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cpu,
        threads,
        ..LoadOptions::default()
    }
}

/// Name of a way to load, and a function that measures its time for the file of a path.
type Way = (&'static str, fn(&str) -> Duration);

const WAYS: [Way; 7] = [
    ("bare session of the file", |path| {
        let mut bare = bare();
        time(|| bare.commit_from_file(path).unwrap())
    }),
    ("read, bare session of the bytes", |path| {
        let mut bare = bare();
        time(|| {
            bare.commit_from_memory(&std::fs::read(path).unwrap())
                .unwrap()
        })
    }),
    ("plainly: with copies", |path| {
        let mut bare = bare();
        time(|| {
            let model = onnx_graph::decode(&std::fs::read(path).unwrap()).unwrap();
            // one to fall back on if the operators of our own are not wanted
            let _original = onnx_graph::encode(&model);
            bare.commit_from_memory(&onnx_graph::encode(&model))
                .unwrap()
        })
    }),
    ("load", |path| {
        time(|| Interpolator::load(&options(path, 0)).unwrap())
    }),
    ("load of what is loaded already", |path| {
        let _first = Interpolator::load(&options(path, 0)).unwrap();
        time(|| Interpolator::load(&options(path, 0)).unwrap())
    }),
    ("sum of a well-known network", |path| {
        let bytes = std::fs::read(path).unwrap();
        time(|| catalog::sha256(&bytes))
    }),
    ("read, decode, detect, encode", |path| {
        time(|| {
            let contents = catalog::find(path).unwrap().read().unwrap();
            let model = contents.decode().unwrap();
            Signature::of(&model, &Stated::default()).unwrap();
            onnx_graph::encode_beside(model, &contents.bytes)
        })
    }),
];

/// A session with the settings that the project's have.
fn bare() -> SessionBuilder {
    runtime().unwrap().session().unwrap()
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    runtime().unwrap();
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

/// Milliseconds and the most memory it took, in MiB, from a process of its own.
fn in_fresh_process(way: usize, path: &str) -> [f64; 2] {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&way.to_string(), path])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap());
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

fn report(way: usize, path: &str) {
    let milliseconds = WAYS[way].1(path).as_secs_f64() * 1e3;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: f64 = most
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    println!("{milliseconds} {}", kibibytes / 1024.0);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn loading() {
    let folder = std::env::temp_dir().join(format!("vfiinterp-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("large.onnx");
    std::fs::write(&path, network()).unwrap();
    let path = path.to_str().unwrap();
    let rounds: Vec<Vec<[f64; 2]>> = (0..ROUNDS)
        .map(|_| {
            (0..WAYS.len())
                .map(|way| in_fresh_process(way, path))
                .collect()
        })
        .collect();
    println!("loading {MEBIBYTES} MiB                     ms   ratio  peak MiB");
    for (way, (name, _)) in WAYS.iter().enumerate() {
        let milliseconds = median(rounds.iter().map(|round| round[way][0]));
        let ratio = median(rounds.iter().map(|round| round[way][0] / round[1][0]));
        let most = median(rounds.iter().map(|round| round[way][1]));
        println!("{name:32} {milliseconds:7.1} {ratio:7.2} {most:9.0}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Milliseconds per estimate when each of the networks makes some at the same time.
fn together(networks: &mut [Interpolator]) -> f64 {
    const ESTIMATES: usize = 20;
    let barrier = Barrier::new(networks.len());
    let count = ESTIMATES * networks.len();
    let elapsed = time(|| {
        thread::scope(|scope| {
            for network in networks {
                scope.spawn(|| {
                    let mut pictures = [Prepared::default(), Prepared::default()];
                    for prepared in &mut pictures {
                        network.prepare(&Picture::new(640, 360), prepared).unwrap();
                    }
                    barrier.wait();
                    for _ in 0..ESTIMATES {
                        network.estimate(&pictures[0], &pictures[1], 0.5).unwrap();
                    }
                });
            }
        });
    });
    elapsed.as_secs_f64() * 1e3 / count as f64
}

fn sharing() {
    let cores = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let load = |threads| {
        Interpolator::load(&options(LoadOptions::default().model.as_str(), threads)).unwrap()
    };
    // naming the number of threads makes it another session, with as many threads
    let mut cases = [
        ("one network", vec![load(0)]),
        ("two that share a session", vec![load(0), load(0)]),
        ("two with a session each", vec![load(0), load(cores)]),
    ];
    assert!(cases[1].1[1].info().shared && !cases[2].1[1].info().shared);
    let rounds: Vec<Vec<f64>> = (0..ROUNDS)
        .map(|_| {
            cases
                .iter_mut()
                .map(|(_, networks)| together(networks))
                .collect()
        })
        .collect();
    println!("\nvfi-lite at 640x360         ms per estimate   ratio");
    for (case, (name, _)) in cases.iter().enumerate() {
        let milliseconds = median(rounds.iter().map(|round| round[case]));
        let ratio = median(rounds.iter().map(|round| round[case] / round[0]));
        println!("{name:32} {milliseconds:10.1} {ratio:7.2}");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [way, path] = arguments.as_slice() {
        return report(way.parse().unwrap(), path);
    }
    loading();
    sharing();
}
