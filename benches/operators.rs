//! This project's own operators on the CPU beside ONNX Runtime's: sampling, the stages of the built-in network
//! beside their definitions, and the whole of it; then what loading and running it takes.
//!
//! `cargo bench --bench operators` prints criterion's figures, ours after the runtime's in each group.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, SamplingMode};
use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::ops;
use gstvfiinterp::models::runtime::runtime;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared, catalog};
use onnx_graph::build::{GraphBuilder, int, text};
use onnx_graph::convolutions::use_own_convolutions;
use onnx_graph::functions::{hand_over_stages, inline};
use onnx_graph::proto::{ModelProto, NodeProto};
use onnx_graph::{decode, edit, encode};
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

/// Names of the two of a group.
const NAMES: [&str; 2] = ["runtime's", "ours"];

/// A tensor's shape and numbers.
type Tensor = (Vec<usize>, Vec<f32>);

fn start(model: &ModelProto, own: bool) -> Session {
    let mut builder = runtime().unwrap().session().unwrap();
    if own {
        builder = builder.with_operators(ops::domain().unwrap()).unwrap();
    }
    builder.commit_from_memory(&encode(model)).unwrap()
}

/// Numbers that look random and are the same every time.
fn noise(shape: &[usize], least: f32, most: f32) -> Tensor {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        least + (most - least) * (state >> 8) as f32 / (1 << 24) as f32
    };
    let count = shape.iter().product();
    (shape.to_vec(), (0..count).map(next).collect())
}

/// Waves `shift` pixels to the right, as high as wanted.
fn waves(shape: [usize; 4], shift: f32, height: f32) -> Tensor {
    let [_, _, rows, columns] = shape;
    let at = |i: usize| {
        let (x, y) = ((i % columns) as f32 - shift, (i / columns % rows) as f32);
        let channel = (i / columns / rows) as f32;
        height * (0.5 + 0.2 * (0.31 * x + channel).sin() + 0.2 * (0.11 * x - 0.4 * y).cos())
    };
    let count = shape.iter().product();
    (shape.to_vec(), (0..count).map(at).collect())
}

fn run(session: &mut Session, inputs: &[(String, Tensor)]) {
    let inputs = inputs.iter().map(|(name, (shape, data))| {
        let tensor = TensorRef::from_array_view((shape.clone(), data.as_slice())).unwrap();
        (name.clone(), SessionInputValue::from(tensor))
    });
    drop(session.run(inputs.collect::<Vec<_>>()).unwrap());
}

/// Measures the runtime's session and ours on the same inputs.
fn compare(
    criterion: &mut Criterion,
    group: &str,
    sessions: [Session; 2],
    inputs: &[(&str, Tensor)],
) {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(name, tensor)| ((*name).to_owned(), tensor.clone()))
        .collect();
    let mut group = criterion.benchmark_group(group);
    for (name, mut session) in NAMES.into_iter().zip(sessions) {
        group.bench_function(name, |bencher| bencher.iter(|| run(&mut session, &inputs)));
    }
    group.finish();
}

fn grid_sample(criterion: &mut Criterion) {
    // positions as a network makes them: near where they are
    let (shape, mut grid) = noise(&[1, 384, 640, 2], -0.02, 0.02);
    for (i, value) in grid.iter_mut().enumerate() {
        let (x, y) = ((i / 2 % 640) as f32, (i / 2 / 640) as f32);
        *value += if i % 2 == 0 { x / 320.0 } else { y / 192.0 } - 1.0;
    }
    let inputs = [
        ("x", noise(&[1, 3, 384, 640], 0.0, 1.0)),
        ("grid", (shape, grid)),
    ];
    for (padding, align_corners) in [("zeros", 0), ("zeros", 1), ("border", 0), ("border", 1)] {
        let attributes = vec![
            text("mode", "bilinear"),
            text("padding_mode", padding),
            int("align_corners", align_corners),
        ];
        let theirs = GraphBuilder::new("sampler", 17)
            .input("x", &[-1, -1, -1, -1])
            .input("grid", &[-1, -1, -1, 2])
            .node_with("GridSample", &["x", "grid"], &["y"], attributes)
            .output("y", &[-1, -1, -1, -1])
            .finish();
        let mut ours = theirs.clone();
        assert!(edit::use_own_grid_sample(&mut ours) > 0);
        let sessions = [start(&theirs, false), start(&ours, true)];
        let name = format!("GridSample 3x384x640, {padding}, align_corners {align_corners}");
        compare(criterion, &name, sessions, &inputs);
    }
}

/// The built-in network reduced to one stage, by its definition and by our operator.
fn stage(name: &str, ranks: &[usize]) -> [Session; 2] {
    let mut model = decode(catalog::VFI_LITE).unwrap();
    let graph = model.graph.take().unwrap();
    let call = graph
        .node
        .into_iter()
        .find(|node| node.op_type() == name)
        .unwrap();
    let names = |letter: char, count| (0..count).map(move |i| format!("{letter}{i}"));
    let node = NodeProto {
        input: names('i', call.input.len()).collect(),
        output: names('o', call.output.len()).collect(),
        ..call
    };
    let mut builder = GraphBuilder::new(name, 17);
    for (name, rank) in node.input.iter().zip(ranks) {
        builder = builder.input(name, &[-1; 4][..*rank]);
    }
    for name in &node.output {
        builder = builder.output(name, &[-1; 4]);
    }
    let mut graph = builder.finish().graph.unwrap();
    graph.node.push(node);
    model.graph = Some(graph);
    let mut ours = model.clone();
    assert_eq!(hand_over_stages(&mut ours), 1);
    inline(&mut model).unwrap();
    [start(&model, false), start(&ours, true)]
}

fn stages(criterion: &mut Criterion) {
    let picture = |shift| waves([1, 3, 368, 640], shift, 1.0);
    let pair = || {
        (
            vec![1, 6, 368, 640],
            [picture(0.0).1, picture(9.0).1].concat(),
        )
    };
    // as smooth as motion is
    let motion = |rows, columns| waves([1, 5, rows, columns], 0.0, 9.0);
    let heads = || noise(&[1, 29, 92, 160], -1.0, 1.0);
    let prior = || noise(&[1, 8, 92, 160], -1.0, 1.0);
    let phase = || (vec![1, 1, 1, 1], vec![0.5]);
    let rest = (vec![3], vec![0.0; 3]);
    let apart = waves([1, 2, 46, 80], 0.0, 9.0);
    let cases = [
        ("Start", vec![picture(0.0), picture(9.0), phase()]),
        ("Look4", vec![pair(), motion(92, 160), phase()]),
        ("Improve4", vec![motion(92, 160), prior(), heads()]),
        (
            "Finish",
            vec![pair(), motion(184, 320), heads(), rest, phase(), apart],
        ),
    ];
    for (name, inputs) in cases {
        let ranks: Vec<usize> = inputs.iter().map(|(shape, _)| shape.len()).collect();
        let inputs: Vec<_> = ["i0", "i1", "i2", "i3", "i4", "i5"]
            .into_iter()
            .zip(inputs)
            .collect();
        compare(criterion, name, stage(name, &ranks), &inputs);
    }
}

fn networks(criterion: &mut Criterion) {
    let theirs = decode(catalog::VFI_LITE).unwrap();
    let mut ours = theirs.clone();
    assert!(hand_over_stages(&mut ours) > 0);
    let mut in_8_bits = ours.clone();
    assert!(use_own_convolutions(&mut in_8_bits) > 0);
    for (width, height) in [(320, 192), (640, 368), (1280, 720)] {
        let inputs = [
            ("img0", noise(&[1, 3, height, width], 0.0, 1.0)),
            ("img1", noise(&[1, 3, height, width], 0.2, 0.9)),
            ("timestep", (vec![1], vec![0.5])),
        ];
        let sessions = [start(&theirs, false), start(&ours, true)];
        compare(
            criterion,
            &format!("vfi-lite {width}x{height}"),
            sessions,
            &inputs,
        );
        let sessions = [start(&ours, true), start(&in_8_bits, true)];
        let group = format!("vfi-lite {width}x{height}, stages ours, convolutions");
        compare(criterion, &group, sessions, &inputs);
    }
    let options = LoadOptions {
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let mut group = criterion.benchmark_group("vfi-lite, loaded and run at 640x360");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("a bare session", |bencher| {
        bencher.iter(|| start(&theirs, false))
    });
    group.bench_function("load", |bencher| {
        bencher.iter(|| Interpolator::load(&options).unwrap())
    });
    let mut network = Interpolator::load(&options).unwrap();
    let picture = Picture::new(640, 360);
    let mut pair = [Prepared::default(), Prepared::default()];
    group.bench_function("prepare two pictures", |bencher| {
        bencher.iter(|| {
            for prepared in &mut pair {
                network.prepare(&picture, prepared).unwrap();
            }
        });
    });
    for prepared in &mut pair {
        network.prepare(&picture, prepared).unwrap();
    }
    group.bench_function("estimate", |bencher| {
        bencher.iter(|| black_box(network.estimate(&pair[0], &pair[1], 0.5).is_ok()));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    grid_sample(&mut criterion);
    stages(&mut criterion);
    networks(&mut criterion);
    criterion.final_summary();
}
