//! By how much two frames differ, as [`crate::frames::difference`] has it.

use onnx_graph::FLOAT;
use onnx_graph::build::ints;
use onnx_graph::proto::ModelProto;

use super::{Appender, Geometry, begin, value};
use crate::frames::{FrameError, Sample};

/// Samples of a row, and rows, that are compared as one place.
const BLOCK: usize = 8;

/// The graph that compares planes `a0`, … with `b0`, …: `difference`, `[1]`.
pub(crate) fn graph(geometry: &Geometry) -> Result<ModelProto, FrameError> {
    let shapes = geometry.shapes()?;
    let mut builder = begin("difference");
    for (index, shape) in shapes.iter().enumerate() {
        builder = shape.input(builder, &format!("a{index}"));
        builder = shape.input(builder, &format!("b{index}"));
    }
    let mut model = builder.finish();
    let mut graph = Appender::new(model.graph.get_or_insert_default(), "v");
    let mut largest = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let (samples, rows) = (shape.width * shape.format.channels, shape.height);
        let full = match shape.format.sample {
            Sample::U8 => 255.0,
            Sample::U16 { depth, shift } => (((1_u32 << depth) - 1) << shift) as f32,
        };
        let a = graph.floats(&format!("a{index}"));
        let b = graph.floats(&format!("b{index}"));
        let apart = graph.node("Sub", &[&a, &b], vec![]);
        let squares = graph.node("Mul", &[&apart, &apart], vec![]);
        let dims = graph.integers(&[4], &[1, 1, rows as i64, samples as i64]);
        let squares = graph.node("Reshape", &[&squares, &dims], vec![]);
        // whole blocks, those at the edge filled up with what does not differ
        let missing = |side: usize| (side.next_multiple_of(BLOCK) - side) as i64;
        let pads = [0, 0, 0, 0, 0, 0, missing(rows), missing(samples)];
        let pads = graph.integers(&[8], &pads);
        let whole = graph.node("Pad", &[&squares, &pads], vec![]);
        let size = BLOCK as i64;
        let sides = vec![
            ints("kernel_shape", &[size, size]),
            ints("strides", &[size, size]),
        ];
        let means = graph.node("AveragePool", &[&whole], sides);
        // so that a block at the edge is the mean of what is really there
        let (down, across) = (rows.div_ceil(BLOCK), samples.div_ceil(BLOCK));
        let filled = |side: usize, at: usize| BLOCK.min(side - at * BLOCK);
        let scales: Vec<f32> = (0..down * across)
            .map(|at| filled(rows, at / across) * filled(samples, at % across))
            .map(|count| (BLOCK * BLOCK) as f32 / count as f32)
            .collect();
        let scales = graph.tensor(&[1, 1, down as i64, across as i64], &scales);
        let means = graph.node("Mul", &[&means, &scales], vec![]);
        let most = graph.node("ReduceMax", &[&means], vec![]);
        let root = graph.node("Sqrt", &[&most], vec![]);
        let unit = graph.constant(1.0 / full);
        largest.push(graph.node("Mul", &[&root, &unit], vec![]));
    }
    let largest: Vec<&str> = largest.iter().map(String::as_str).collect();
    let most = graph.node("Max", &largest, vec![]);
    let dims = graph.integers(&[1], &[1]);
    graph.node_as("difference", "Reshape", &[&most, &dims], vec![]);
    graph.output(value("difference", FLOAT, &[1]));
    Ok(model)
}
