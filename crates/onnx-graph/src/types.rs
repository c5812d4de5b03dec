//! The element types of a graph's values, which files seldom write down.

use std::collections::HashMap;

use super::proto::{GraphProto, NodeProto, TensorProto};

/// ONNX's number for 32-bit floats.
pub const FLOAT: i32 = 1;
/// ONNX's number for 16-bit floats.
pub const FLOAT16: i32 = 10;
/// ONNX's number for bytes.
pub const UINT8: i32 = 2;
/// ONNX's number for 16-bit words.
pub const UINT16: i32 = 4;
/// ONNX's number for 64-bit floats.
pub const DOUBLE: i32 = 11;
/// ONNX's number for 16-bit floats with the exponents of 32 bits.
pub const BFLOAT16: i32 = 16;
/// ONNX's number for 64-bit integers.
pub const INT64: i32 = 7;
/// ONNX's number for truth values.
pub(crate) const BOOL: i32 = 9;

/// The element type of every value, as far as operators tell: most give what they take.
pub fn element_types(graph: &GraphProto) -> HashMap<String, i32> {
    let inputs = graph.input.iter().filter_map(|value| {
        let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
        Some((value.name.clone()?, tensor.elem_type?))
    });
    let tensors = stored(graph).filter_map(|(name, t)| Some((name.into(), t.data_type?)));
    let mut types: HashMap<String, i32> = inputs.chain(tensors).collect();
    for node in &graph.node {
        let input = |index: usize| {
            let name = node.input.get(index)?;
            types.get(name).copied()
        };
        let named = |name: &str| {
            node.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some(name))
        };
        let element = match node.op_type() {
            "Cast" => Some(target(node)),
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => Some(INT64),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or"
            | "Not" | "Xor" | "IsNaN" | "IsInf" => Some(BOOL),
            "Constant" | "ConstantOfShape" if named("value").is_some() => {
                let tensor = named("value").and_then(|a| a.t.as_ref());
                tensor.and_then(|tensor| tensor.data_type)
            }
            "Constant" if named("value_ints").or(named("value_int")).is_some() => Some(INT64),
            "Constant" | "ConstantOfShape" => Some(FLOAT),
            "Where" => input(1),
            "OneHot" => input(2),
            _ => input(0),
        };
        // of several outputs, these give the others another type
        let several = !matches!(node.op_type(), "TopK" | "MaxPool" | "Dropout" | "Unique");
        let outputs = node
            .output
            .iter()
            .take(if several { usize::MAX } else { 1 });
        if let Some(element) = element {
            types.extend(outputs.map(|name| (name.clone(), element)));
        }
    }
    types
}

/// The stored tensors with their names.
pub fn stored(graph: &GraphProto) -> impl Iterator<Item = (&str, &TensorProto)> {
    let named = graph.initializer.iter();
    named.filter_map(|tensor| Some((tensor.name.as_deref()?, tensor)))
}

/// The type a `Cast` makes.
pub fn target(node: &NodeProto) -> i32 {
    let to = node
        .attribute
        .iter()
        .find(|a| a.name.as_deref() == Some("to"));
    to.and_then(|a| a.i).unwrap_or(0) as i32
}
