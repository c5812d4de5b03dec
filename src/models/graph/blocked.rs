//! Keeps what the CPU computes in the order it computes fastest in.
//!
//! ONNX Runtime lays out the channels between convolutions in blocks (NCHWc), and adds them so, too; but
//! `LeakyRelu` it knows in blocks only as the end of a convolution. One that follows an addition has
//! everything around it laid out anew, up to the next block's end: an eighth of the built-in network's
//! time. So such a one is given a convolution to be the end of, 1x1, which changes nothing.

use std::collections::HashMap;

use super::FLOAT;
use super::edit::is_onnx;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Gives each `LeakyRelu` of a sum of two convolutions one of its own; returns how many there are.
pub fn keep_blocked(model: &mut ModelProto) -> usize {
    let Some(graph) = &mut model.graph else {
        return 0;
    };
    let found = found(graph);
    let count = found.len();
    // from the end, so that places stay
    for (index, channels) in found.into_iter().rev() {
        let node = &mut graph.node[index];
        let Some((input, output)) = node.input.first_mut().zip(node.output.first()) else {
            continue;
        };
        let name = |part: &str| format!("{output}/same/{part}");
        let same = NodeProto {
            input: vec![std::mem::replace(input, name("sum")), name("weight")],
            output: vec![name("sum")],
            name: Some(name("conv")),
            op_type: Some("Conv".into()),
            ..NodeProto::default()
        };
        let one = |index: usize| f32::from(u8::from(index % (channels + 1) == 0));
        let weights = (0..channels * channels).flat_map(|index| one(index).to_le_bytes());
        graph.initializer.push(TensorProto {
            dims: vec![channels as i64, channels as i64, 1, 1],
            data_type: Some(FLOAT),
            name: Some(name("weight")),
            raw_data: Some(weights.collect()),
            ..TensorProto::default()
        });
        graph.node.insert(index, same);
    }
    count
}

/// Where they are, and how many channels they have.
fn found(graph: &GraphProto) -> Vec<(usize, usize)> {
    let mut makers: HashMap<&str, &NodeProto> = HashMap::new();
    for node in &graph.node {
        makers.extend(node.output.iter().map(|name| (name.as_str(), node)));
    }
    let tensors = graph.initializer.iter();
    let stored: HashMap<&str, &TensorProto> = tensors
        .filter_map(|tensor| Some((tensor.name.as_deref()?, tensor)))
        .collect();
    let is = |node: &NodeProto, op: &str| node.op_type() == op && is_onnx(node.domain.as_deref());
    let made_by = |name: &String, op: &str| {
        let maker = makers.get(name.as_str()).copied();
        maker.filter(|node| is(node, op))
    };
    let channels = |name: &String| {
        let weight = made_by(name, "Conv")?.input.get(1)?;
        let weight = stored.get(weight.as_str())?;
        // weights of [channels, ...]
        let channels = usize::try_from(*weight.dims.first()?).ok()?;
        (weight.data_type == Some(FLOAT) && (1..=MOST).contains(&channels)).then_some(channels)
    };
    let nodes = graph.node.iter().enumerate();
    nodes
        .filter(|(_, node)| is(node, "LeakyRelu"))
        .filter_map(|(index, node)| {
            let [a, b] = made_by(node.input.first()?, "Add")?.input.as_slice() else {
                return None;
            };
            let channels = channels(a).filter(|count| channels(b) == Some(*count))?;
            Some((index, channels))
        })
        .collect()
}

/// With more channels, the convolution would cost more than is won.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::build::{GraphBuilder, float};
    use super::*;

    /// `LeakyRelu` of the sum of two convolutions, of which the second has as many channels as said.
    fn sum(second: i64) -> ModelProto {
        GraphBuilder::new("sum", 17)
            .input("x", &[1, 2, -1, -1])
            .constant("v", &[3, 2, 1, 1], &[0.5; 6])
            .constant("w", &[second, 2, 1, 1], &vec![0.5; 2 * second as usize])
            .node("Conv", &["x", "v"], &["a"])
            .node("Conv", &["x", "w"], &["b"])
            .node("Add", &["a", "b"], &["c"])
            .node_with("LeakyRelu", &["c"], &["y"], vec![float("alpha", 0.1)])
            .output("y", &[1, 3, -1, -1])
            .finish()
    }

    #[test]
    fn a_sum_gets_a_convolution_that_changes_nothing() {
        let mut model = sum(3);
        assert_eq!(keep_blocked(&mut model), 1);
        let graph = model.graph.unwrap_or_default();
        let ops: Vec<_> = graph.node.iter().map(|node| node.op_type()).collect();
        assert_eq!(ops, ["Conv", "Conv", "Add", "Conv", "LeakyRelu"]);
        assert_eq!(graph.node[3].input[0], "c");
        assert_eq!(graph.node[3].output, graph.node[4].input);
        let weight = graph.initializer.last().and_then(|t| t.raw_data.clone());
        let weight = weight.unwrap_or_default();
        let numbers = weight.as_chunks::<4>().0.iter();
        let numbers: Vec<_> = numbers.map(|number| f32::from_le_bytes(*number)).collect();
        assert_eq!(numbers, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn anything_else_is_left_alone() {
        // one channel that is added to all
        let mut broadcast = sum(1);
        let mut lone = sum(3);
        lone.graph.get_or_insert_default().node[3].input[0] = "a".into();
        for model in [&mut broadcast, &mut lone] {
            let before = model.clone();
            assert_eq!(keep_blocked(model), 0);
            assert_eq!(*model, before);
        }
    }
}
