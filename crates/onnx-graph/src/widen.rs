//! From bfloat16 to 32 bits, which hold each of its numbers: few operators of a CPU work in it.

use half::bf16;

use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    TensorProto, ValueInfoProto,
};
use super::types::{BFLOAT16, FLOAT};

/// The attributes in which nodes name the type of what they give.
const NAMES_A_TYPE: [&str; 3] = ["to", "dtype", "output_dtype"];

/// Makes everything that is in bfloat16 32 bits wide: stored numbers, values, conversions.
pub fn widen(model: &mut ModelProto) {
    model.graph.iter_mut().for_each(graph);
    model.functions.iter_mut().for_each(function);
}

fn function(function: &mut FunctionProto) {
    nodes(&mut function.node);
    function.attribute_proto.iter_mut().for_each(attribute);
    function.value_info.iter_mut().for_each(value);
}

fn graph(graph: &mut GraphProto) {
    nodes(&mut graph.node);
    graph.initializer.iter_mut().for_each(tensor);
    graph.sparse_initializer.iter_mut().for_each(sparse);
    let values = graph.input.iter_mut().chain(&mut graph.output);
    values.chain(&mut graph.value_info).for_each(value);
}

fn nodes(nodes: &mut [NodeProto]) {
    nodes
        .iter_mut()
        .for_each(|node| node.attribute.iter_mut().for_each(attribute));
}

fn attribute(attribute: &mut AttributeProto) {
    if NAMES_A_TYPE.contains(&attribute.name()) && attribute.i == Some(BFLOAT16.into()) {
        attribute.i = Some(FLOAT.into());
    }
    let tensors = attribute.t.iter_mut().chain(&mut attribute.tensors);
    tensors.for_each(tensor);
    let sparse_ones = attribute.sparse_tensor.iter_mut();
    sparse_ones
        .chain(&mut attribute.sparse_tensors)
        .for_each(sparse);
    let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
    graphs.for_each(graph);
}

fn sparse(sparse: &mut SparseTensorProto) {
    sparse.values.iter_mut().for_each(tensor);
}

fn tensor(tensor: &mut TensorProto) {
    if tensor.data_type != Some(BFLOAT16) {
        return;
    }
    tensor.data_type = Some(FLOAT);
    let widened = |bits: u16| bf16::from_bits(bits).to_f32();
    match tensor.raw_data.take() {
        Some(raw) => {
            // a last odd byte is kept, so that the runtime refuses it as it is
            let (pairs, rest) = raw.as_chunks();
            let numbers = pairs.iter().map(|pair| widened(u16::from_le_bytes(*pair)));
            let bytes = numbers.flat_map(f32::to_le_bytes);
            tensor.raw_data = Some(bytes.chain(rest.iter().copied()).collect());
        }
        None => {
            let numbers = std::mem::take(&mut tensor.int32_data);
            tensor.float_data = numbers
                .into_iter()
                .map(|bits| widened(bits as u16))
                .collect();
        }
    }
}

fn value(value: &mut ValueInfoProto) {
    let tensor = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut());
    if let Some(tensor) = tensor.filter(|tensor| tensor.elem_type == Some(BFLOAT16)) {
        tensor.elem_type = Some(FLOAT);
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{GraphBuilder, int};
    use super::*;

    #[test]
    fn everything_in_bfloat16_becomes_32_bits_of_the_same_value() {
        let dims: &[i64] = &[1, 3, -1, -1];
        let bits = |number: f32| bf16::from_f32(number).to_bits();
        let mut model = GraphBuilder::new("brain", 17)
            .typed_input("x", BFLOAT16, dims)
            .node_with("Cast", &["x"], &["c"], vec![int("to", BFLOAT16.into())])
            .node("Mul", &["c", "w"], &["y"])
            .typed_output("y", BFLOAT16, dims)
            .finish();
        let stored = TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(BFLOAT16),
            ..TensorProto::default()
        };
        let numbers = [1.5, -0.03125];
        let raw = numbers
            .iter()
            .flat_map(|n| bits(*n).to_le_bytes())
            .collect();
        let graph = model.graph.get_or_insert_default();
        graph.initializer = vec![
            TensorProto {
                raw_data: Some(raw),
                ..stored.clone()
            },
            TensorProto {
                int32_data: numbers.iter().map(|n| bits(*n).into()).collect(),
                ..stored
            },
        ];
        widen(&mut model);
        let graph = model.graph.unwrap();
        for tensor in &graph.initializer {
            assert_eq!(tensor.data_type, Some(FLOAT));
            let found = tensor.numbers().unwrap();
            assert_eq!(found, numbers.map(f64::from));
        }
        assert_eq!(graph.node[0].attribute[0].i, Some(FLOAT.into()));
        for value in graph.input.iter().chain(&graph.output) {
            let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
            assert_eq!(tensor.elem_type, Some(FLOAT));
        }
    }
}
