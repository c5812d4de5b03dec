//! Small networks with exact answers, built on the spot.
#![allow(dead_code)] // no test program uses them all

pub(crate) mod failing;
pub(crate) mod foreign;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use onnx_graph::build::{GraphBuilder, int, ints};
use onnx_graph::proto::StringStringEntryProto;
use onnx_graph::{decode, encode};

use foreign::{Answer, Foreign, Form};

const PICTURE: &[i64] = &[1, 3, -1, -1];

/// A file that goes away with its value.
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("vfiinterp-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// Every phase's answer is `img0 * (1 - t) + img1 * t`; `timestep` is the shape of the moment.
pub(crate) fn blend_with_timestep(timestep: &'static [i64]) -> Vec<u8> {
    Foreign::new(Form::Timestep(timestep), Answer::Blend).bytes()
}

/// Half of `I0` plus what the file stores: a network of one size, and what it stores.
pub(crate) fn add_stored(width: i64, height: i64) -> (Vec<u8>, Vec<f32>) {
    let dims: &[i64] = &[1, 3, height, width];
    let stored: Vec<f32> = (0..3 * width * height)
        .map(|i| (i * 37 % 1024) as f32 / 4096.0)
        .collect();
    let model = GraphBuilder::new("stored", 17)
        .input("I0", dims)
        .input("I1", dims)
        .constant("half", &[1], &[0.5])
        .constant("stored", dims, &stored)
        .node("Mul", &["I0", "half"], &["halved"])
        .node("Add", &["halved", "stored"], &["output"])
        .output("output", dims);
    (encode(&model.finish()), stored)
}

/// A model whose stored tensors are moved into a file beside it, as exporters do, and that file.
pub(crate) fn moved_beside(bytes: &[u8], location: &str) -> (Vec<u8>, Vec<u8>) {
    let mut model = decode(bytes).unwrap();
    let mut beside = Vec::new();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        let raw = tensor.raw_data.take().unwrap();
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        tensor.external_data = vec![
            entry("location", location.into()),
            entry("offset", beside.len().to_string()),
            entry("length", raw.len().to_string()),
        ];
        tensor.data_location = Some(1);
        beside.extend(&raw);
    }
    (encode(&model), beside)
}

/// The mean of two pictures: midway is all it knows.
pub(crate) fn mean() -> Vec<u8> {
    Foreign::new(Form::Pictures, Answer::Blend).bytes()
}

/// Answers with the same motion everywhere, on a grid `stride` times coarser than the input: flow
/// `velocity * t` to picture 0 and `-velocity * (1 - t)` to picture 1 (in input pixels), and the
/// mask `1 - t`.
pub(crate) fn constant_motion(velocity: [f32; 2], stride: i64, align: usize) -> Vec<u8> {
    let [x, y] = velocity;
    let pool = vec![
        ints("kernel_shape", &[stride, stride]),
        ints("strides", &[stride, stride]),
    ];
    let grid = |channels| [1, channels, -1, -1];
    let model = GraphBuilder::new("constant motion", 17)
        .input("img0", PICTURE)
        .input("img1", PICTURE)
        .input("timestep", &[1])
        .integers("first", &[0])
        .integers("second", &[1])
        .integers("axis", &[1])
        .constant("zero", &[1], &[0.0])
        .constant("one", &[1], &[1.0])
        .constant("to0", &[1, 4, 1, 1], &[x, y, 0.0, 0.0])
        .constant("to1", &[1, 4, 1, 1], &[0.0, 0.0, -x, -y])
        .node("Slice", &["img0", "first", "second", "axis"], &["red"])
        .node_with("AveragePool", &["red"], &["pooled"], pool)
        .node("Mul", &["pooled", "zero"], &["empty"])
        .node("Sub", &["one", "timestep"], &["rest"])
        .node("Add", &["empty", "rest"], &["mask"])
        .node("Mul", &["to0", "timestep"], &["flow0"])
        .node("Mul", &["to1", "rest"], &["flow1"])
        .node("Add", &["flow0", "flow1"], &["both"])
        .node("Add", &["empty", "both"], &["flow"])
        // needed by no output: pruned before it can run
        .node("Relu", &["img1"], &["unused"])
        .output("flow", &grid(4))
        .output("mask", &grid(1))
        .metadata("vfiinterp.name", "constant-motion")
        .metadata("vfiinterp.family", "test")
        .metadata("vfiinterp.output", "motion")
        .metadata("vfiinterp.range", "0..1")
        .metadata("vfiinterp.align", &align.to_string())
        .metadata("vfiinterp.flow_unit", "input_pixels")
        .metadata("vfiinterp.timestep", "scalar");
    encode(&model.finish())
}

/// Runs only at multiples of `align`, as it shrinks pictures by that and enlarges them again. Its
/// metadata does not say so.
pub(crate) fn aligned_to(align: i64) -> Vec<u8> {
    let pool = vec![
        ints("kernel_shape", &[align, align]),
        ints("strides", &[align, align]),
    ];
    let scales = [1.0, 1.0, align as f32, align as f32];
    let model = GraphBuilder::new("aligned", 17)
        .input("img0", PICTURE)
        .input("img1", PICTURE)
        .constant("scales", &[4], &scales)
        .node_with("AveragePool", &["img0"], &["small"], pool)
        .node("Resize", &["small", "", "scales"], &["large"])
        .node("Add", &["large", "img1"], &["output"])
        .output("output", PICTURE);
    encode(&model.finish())
}

/// A network whose border is declared so, and which computes nothing of interest.
pub(crate) fn declared(inputs: &[(&str, i32, &[i64])], outputs: &[(&str, &[i64])]) -> Vec<u8> {
    let mut model = GraphBuilder::new("declared", 17);
    for (name, element, dims) in inputs {
        model = model.typed_input(name, *element, dims);
    }
    for (name, dims) in outputs {
        model = model
            .node("Neg", &[inputs[0].0], &[name])
            .output(name, dims);
    }
    encode(&model.finish())
}

/// A network that classifies pictures: of no use here.
pub(crate) fn classifier() -> Vec<u8> {
    let model = GraphBuilder::new("classifier", 17)
        .input("data", &[1, 3, 224, 224])
        .node("GlobalAveragePool", &["data"], &["pooled"])
        .node("Flatten", &["pooled"], &["scores"])
        .output("scores", &[1, 3]);
    encode(&model.finish())
}

/// Blends, after convolving a picture `rounds` times with itself: as slow as one likes.
pub(crate) fn slow(rounds: usize) -> Vec<u8> {
    let taps = vec![1.0 / 48.0; 3 * 3 * 16];
    let mut model = GraphBuilder::new("slow", 17)
        .input("img0", PICTURE)
        .input("img1", PICTURE)
        .input("timestep", &[1])
        .constant("taps", &[3, 3, 4, 4], &taps)
        .node("Mul", &["img0", "timestep"], &["x0"]);
    for round in 0..rounds {
        let (from, to) = (format!("x{round}"), format!("x{}", round + 1));
        let pads = vec![ints("pads", &[2, 2, 1, 1])];
        model = model.node_with("Conv", &[&from, "taps"], &[&to], pads);
    }
    let last = format!("x{rounds}");
    let model = model
        .node("Add", &[&last, "img1"], &["output"])
        .output("output", PICTURE);
    encode(&model.finish())
}

/// Looks for four things in each picture alone, the same in both, and answers with a mixture of that and
/// the pictures; one input of as many `channels`, or two pictures.
pub(crate) fn siamese(channels: Option<i64>) -> Vec<u8> {
    let weights = |count: i64, seed: i64| -> Vec<f32> {
        let value = |i: i64| ((i * 37 + seed * 101) % 64 - 32) as f32 / 160.0;
        (0..count).map(value).collect()
    };
    let pads = || vec![ints("pads", &[1, 1, 1, 1])];
    let mut model = GraphBuilder::new("siamese", 17)
        .constant("look", &[16, 3, 3, 3], &weights(432, 1))
        .constant("again", &[4, 16, 3, 3], &weights(576, 2))
        .constant("mix", &[16, 14, 3, 3], &weights(2016, 3))
        .constant("paint", &[3, 16, 3, 3], &weights(432, 4))
        .constant("slope", &[1], &[0.2]);
    model = match channels {
        Some(channels) => model
            .input("input", &[1, channels, -1, -1])
            .integers("sizes", &[3, 3, channels - 6])
            .node_with(
                "Split",
                &["input", "sizes"],
                &["img0", "img1", "moment"],
                vec![int("axis", 1)],
            ),
        None => model.input("img0", PICTURE).input("img1", PICTURE),
    };
    for side in ["0", "1"] {
        let name = |text: &str| format!("{text}{side}");
        let [img, a, b, c] = ["img", "a", "b", "c"].map(name);
        model = model
            .node_with("Conv", &[&img, "look"], &[&a], pads())
            .node("PRelu", &[&a, "slope"], &[&b])
            .node_with("Conv", &[&b, "again"], &[&c], pads());
    }
    let all = ["img0", "img1", "c0", "c1"];
    let model = model
        .node_with("Concat", &all, &["all"], vec![int("axis", 1)])
        .node_with("Conv", &["all", "mix"], &["mixed"], pads())
        .node_with("Conv", &["mixed", "paint"], &["painted"], pads());
    let model = match channels {
        Some(7) => model.node("Mul", &["painted", "moment"], &["moved"]),
        _ => model.node("Identity", &["painted"], &["moved"]),
    };
    let model = model
        .node("Add", &["moved", "img0"], &["output"])
        .output("output", PICTURE);
    encode(&model.finish())
}
