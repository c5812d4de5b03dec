//! Edits to a network before a session is made of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::build::{int, value};
use super::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};
use super::types::{FLOAT, FLOAT16, element_types};

/// The operator domain of this project's own operators.
pub const OWN_DOMAIN: &str = "vfiinterp";

/// Takes away the nodes and stored tensors that none of the graph's outputs needs (the runtime
/// runs them all the same), and returns how many nodes went.
pub fn prune(graph: &mut GraphProto) -> usize {
    let mut producer = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for output in &node.output {
            producer.insert(output.as_str(), index);
        }
    }
    let mut needed = vec![false; graph.node.len()];
    let mut used: HashSet<String> = HashSet::new();
    let mut open: Vec<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
    while let Some(name) = open.pop() {
        if let Some(&index) = producer.get(name.as_str())
            && !std::mem::replace(&mut needed[index], true)
        {
            names_read(&graph.node[index], &mut open);
        }
        used.insert(name);
    }
    let before = graph.node.len();
    let mut keep = needed.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(true));
    let wanted = |name: &Option<String>| name.as_ref().is_none_or(|name| used.contains(name));
    graph.initializer.retain(|tensor| wanted(&tensor.name));
    before - graph.node.len()
}

/// Fixes the shapes of the graph's inputs that are named here; what follows from them is for the
/// runtime to find out.
pub fn fix_inputs(graph: &mut GraphProto, shapes: &[(&str, Vec<i64>)]) {
    for (name, dims) in shapes {
        let named = |input: &&mut ValueInfoProto| input.name.as_deref() == Some(name);
        if let Some(input) = graph.input.iter_mut().find(named) {
            let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            let element = tensor.and_then(|tensor| tensor.elem_type);
            *input = value(name, element.unwrap_or(FLOAT), dims);
        }
    }
}

/// Adds the names that a node reads, also inside its subgraphs, to `names`.
pub fn names_read(node: &NodeProto, names: &mut Vec<String>) {
    names.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            names.extend(graph.output.iter().filter_map(|o| o.name.clone()));
            for inner in &graph.node {
                names_read(inner, names);
            }
        }
    }
}

/// Hands every `GridSample` that this project's own operator can do over to it, and
/// returns how many there were. The operator takes 32-bit floats: 16 bits are converted round it,
/// as the runtime's own would be on the CPU.
///
/// Where a type can't be told, 32 bits are assumed; if that is wrong, making a session fails, and
/// the caller falls back to the network as it was.
pub fn use_own_grid_sample(model: &mut ModelProto) -> usize {
    let opset = model
        .opset_import
        .iter()
        .find(|set| is_onnx(set.domain.as_deref()))
        .and_then(|set| set.version)
        .unwrap_or(0);
    let Some(graph) = &mut model.graph else {
        return 0;
    };
    let known: HashMap<&str, &ValueInfoProto> = graph
        .input
        .iter()
        .chain(&graph.value_info)
        .filter_map(|value| Some((value.name.as_deref()?, value)))
        .collect();
    let types = element_types(graph);
    let eligible: Vec<bool> = graph
        .node
        .iter()
        .map(|node| is_eligible(node, opset, &known, &types))
        .collect();
    let count = eligible.iter().filter(|eligible| **eligible).count();
    if count == 0 {
        return 0;
    }
    let nodes = std::mem::take(&mut graph.node).into_iter().zip(eligible);
    for (mut node, eligible) in nodes {
        if !eligible {
            graph.node.push(node);
            continue;
        }
        node.domain = Some(OWN_DOMAIN.into());
        let half = |name: &String| types.get(name) == Some(&FLOAT16);
        let gives_half = node.input.first().is_some_and(half);
        for (name, inner) in node.input.iter_mut().zip(["picture", "positions"]) {
            if half(name) {
                let output = node.output.first().map_or("", String::as_str);
                let full = format!("{OWN_DOMAIN}/{output}/{inner}");
                graph.node.push(cast(name, &full, FLOAT));
                *name = full;
            }
        }
        let back = node.output.first_mut().filter(|_| gives_half).map(|name| {
            let full = format!("{OWN_DOMAIN}/{name}/full");
            let back = cast(&full, name, FLOAT16);
            *name = full;
            back
        });
        graph.node.push(node);
        graph.node.extend(back);
    }
    declare_own_domain(model);
    count
}

/// Declares the domain of this project's own operators, if it is not declared yet.
pub(crate) fn declare_own_domain(model: &mut ModelProto) {
    let own = |set: &OperatorSetIdProto| set.domain.as_deref() == Some(OWN_DOMAIN);
    if !model.opset_import.iter().any(own) {
        model.opset_import.push(OperatorSetIdProto {
            domain: Some(OWN_DOMAIN.into()),
            version: Some(1),
        });
    }
}

/// A conversion of `from` to another element type.
pub fn cast(from: &str, to: &str, element: i32) -> NodeProto {
    NodeProto {
        input: vec![from.into()],
        output: vec![to.into()],
        name: Some(to.into()),
        op_type: Some("Cast".into()),
        attribute: vec![int("to", i64::from(element))],
        ..NodeProto::default()
    }
}

/// Returns whether a domain is that of the standard operators.
pub fn is_onnx(domain: Option<&str>) -> bool {
    matches!(domain, None | Some("" | "ai.onnx"))
}

/// A node's text attribute, or its default.
pub fn text<'a>(node: &'a NodeProto, name: &str, default: &'static str) -> Cow<'a, str> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name.as_deref() == Some(name))
        .and_then(|attribute| attribute.s.as_deref())
        .map_or(default.into(), String::from_utf8_lossy)
}

/// A node's attribute that is a list of integers, if it is there.
pub(crate) fn integers<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    let mut attributes = node.attribute.iter();
    let found = attributes.find(|attribute| attribute.name.as_deref() == Some(name))?;
    Some(&found.ints)
}

/// A node's integer attribute, if it is there.
pub fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    let mut attributes = node.attribute.iter();
    attributes
        .find(|attribute| attribute.name.as_deref() == Some(name))?
        .i
}

fn is_eligible(
    node: &NodeProto,
    opset: i64,
    known: &HashMap<&str, &ValueInfoProto>,
    types: &HashMap<String, i32>,
) -> bool {
    if node.op_type.as_deref() != Some("GridSample")
        || !is_onnx(node.domain.as_deref())
        || node.input.len() != 2
    {
        return false;
    }
    let mode = text(node, "mode", "linear");
    let padding = text(node, "padding_mode", "zeros");
    if !matches!(&*mode, "linear" | "bilinear") || !matches!(&*padding, "zeros" | "border") {
        return false;
    }
    let tensor = known
        .get(node.input[0].as_str())
        .and_then(|value| value.r#type.as_ref()?.tensor_type.as_ref());
    let is_float = |name| matches!(types.get(name), None | Some(&(FLOAT | FLOAT16)));
    // before version 20 there are only pictures, from then on volumes too
    let assumed = if opset < 20 { 4 } else { 0 };
    let rank = tensor
        .and_then(|t| t.shape.as_ref())
        .map_or(assumed, |shape| shape.dim.len());
    node.input.iter().all(is_float) && rank == 4
}

#[cfg(test)]
mod tests {
    use super::super::build::{GraphBuilder, text};
    use super::*;

    fn sampler(mode: &str, padding: &str, opset: i64, image: &[i64]) -> ModelProto {
        let attributes = vec![
            text("mode", mode),
            text("padding_mode", padding),
            int("align_corners", 1),
        ];
        GraphBuilder::new("sampler", opset)
            .input("x", image)
            .input("grid", &[1, -1, -1, 2])
            .node_with("GridSample", &["x", "grid"], &["y"], attributes)
            .output("y", &[1, 3, -1, -1])
            .finish()
    }

    #[test]
    fn only_what_the_operator_does_is_handed_over() {
        let picture = [1, 3, -1, -1];
        let count = |mode, padding, opset, image: &[i64]| {
            use_own_grid_sample(&mut sampler(mode, padding, opset, image))
        };
        assert_eq!(count("bilinear", "border", 16, &picture), 1);
        assert_eq!(count("linear", "zeros", 20, &picture), 1);
        assert_eq!(count("linear", "reflection", 20, &picture), 0);
        assert_eq!(count("nearest", "zeros", 16, &picture), 0);
        assert_eq!(count("bicubic", "zeros", 16, &picture), 0);
        assert_eq!(count("linear", "zeros", 20, &[1, 3, -1, -1, -1]), 0);
    }

    #[test]
    fn handing_over_changes_only_the_domain() {
        let mut model = sampler("bilinear", "border", 17, &[1, 3, -1, -1]);
        let mut expected = model.clone();
        use_own_grid_sample(&mut model);
        expected.graph.get_or_insert_default().node[0].domain = Some(OWN_DOMAIN.into());
        expected.opset_import.push(OperatorSetIdProto {
            domain: Some(OWN_DOMAIN.into()),
            version: Some(1),
        });
        assert_eq!(model, expected);
    }

    #[test]
    fn pictures_in_16_bits_are_converted_round_the_operator() {
        let cast = |element| vec![int("to", i64::from(element))];
        let mut model = GraphBuilder::new("half", 17)
            .input("x", &[1, 3, -1, -1])
            .input("grid", &[1, -1, -1, 2])
            .node_with("Cast", &["x"], &["half"], cast(FLOAT16))
            .node("GridSample", &["half", "grid"], &["warped"])
            .node("Relu", &["warped"], &["limited"])
            .node_with("Cast", &["limited"], &["y"], cast(FLOAT))
            .output("y", &[1, 3, -1, -1])
            .finish();
        assert_eq!(use_own_grid_sample(&mut model), 1);
        let graph = model.graph.unwrap_or_default();
        let types = element_types(&graph);
        let described: Vec<_> = graph
            .node
            .iter()
            .map(|node| (node.op_type(), types[&node.output[0]]))
            .collect();
        let expected = [
            ("Cast", FLOAT16),
            ("Cast", FLOAT),
            ("GridSample", FLOAT),
            ("Cast", FLOAT16),
            ("Relu", FLOAT16),
            ("Cast", FLOAT),
        ];
        assert_eq!(described, expected);
    }

    #[test]
    fn pruning_keeps_what_the_outputs_need() {
        let model = GraphBuilder::new("branches", 17)
            .input("x", &[1])
            .constant("kept", &[1], &[1.0])
            .constant("dropped", &[1], &[2.0])
            .node("Add", &["x", "kept"], &["a"])
            .node("Mul", &["a", "dropped"], &["b"])
            .node("Neg", &["b"], &["c"])
            .node("Abs", &["a"], &["y"])
            .output("y", &[1])
            .finish();
        let mut graph = model.graph.unwrap_or_default();
        assert_eq!(prune(&mut graph), 2);
        let left: Vec<_> = graph
            .node
            .iter()
            .filter_map(|n| n.op_type.as_deref())
            .collect();
        assert_eq!(left, ["Add", "Abs"]);
        assert_eq!(graph.initializer.len(), 1);
        assert_eq!(prune(&mut graph), 0);
    }
}
