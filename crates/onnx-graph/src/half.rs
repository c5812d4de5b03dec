//! Networks in 16-bit floats, for GPUs: half the memory, and twice the speed or more.
//!
//! Inputs and outputs stay in 32 bits, and so does what loses by less:
//!
//! - the arithmetic between the last convolution or resizing and a position (in 11 bits, a position
//!   in a picture 1920 wide is off by up to half a pixel), and that before an output;
//! - `GridSample`, which CUDA has for 32 bits only, and others that are imprecise or missing
//!   (`FULL`);
//! - sizes and factors of `Resize`;
//! - whatever uses a number that 16 bits can't hold.
//!
//! A value is converted where it goes from one kind of node to the other, and once.

use std::collections::{BTreeSet, HashMap, HashSet};

use half::f16;

use super::edit::{cast, is_onnx, prune};
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use super::types::{DOUBLE, FLOAT, FLOAT16, element_types, stored, target};

/// Operators that stay in 32 bits: vs-mlrt's list (`vsmlrt.py`), but for `Resize`, whose pictures
/// lose nothing; and those that say themselves what they make.
const FULL: [&str; 9] = [
    "GridSample",
    "Range",
    "CumSum",
    "Min",
    "Max",
    "Upsample",
    "ReduceMean",
    "Cast",
    "ConstantOfShape",
];

/// Operators that may lie between a convolution and a position or output, beside [`MOVES`].
const ARITHMETIC: [&str; 9] = [
    "Add", "Sub", "Mul", "Div", "Neg", "Sum", "Sigmoid", "Clip", "Concat",
];

/// Operators that only move the values of their first input, and leave them in as many bits as
/// they have.
const MOVES: [&str; 9] = [
    "Identity",
    "Slice",
    "Split",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Gather",
];

/// In tensors of more numbers, none is so important that it must not become 0.
const FEW: usize = 64;

/// Converts a model, and returns how many of its nodes then work in 16 bits. One that has 16-bit
/// floats in it was converted by its maker, and is left as it is.
///
/// # Errors
/// Why it can't be converted; it is then left as it was.
pub fn halve(model: &mut ModelProto) -> Result<usize, String> {
    check(model)?;
    let graph = model.graph.get_or_insert_default();
    if is_half(graph) {
        return Ok(0);
    }
    separate_outputs(graph);
    store_constants(graph);
    let types = element_types(graph);
    let floats = |name: &String| types.get(name) == Some(&FLOAT);
    for node in &mut graph.node {
        if node.op_type() == "Cast" && target(node) == FLOAT && node.input.iter().all(floats) {
            node.op_type = Some("Identity".into());
            node.attribute.clear();
        }
    }
    let full = kept_full(graph);
    let names = graph.initializer.iter().enumerate();
    let mut rewrite = Rewrite {
        types,
        stored: names
            .filter_map(|(index, tensor)| Some((tensor.name.clone()?, index)))
            .collect(),
        halves: HashSet::new(),
        versions: HashSet::new(),
        nodes: Vec::with_capacity(graph.node.len() * 5 / 4),
        tensors: std::mem::take(&mut graph.initializer),
    };
    let mut count = 0;
    for (node, full) in std::mem::take(&mut graph.node).into_iter().zip(full) {
        count += usize::from(rewrite.take(node, full));
    }
    graph.node = rewrite.nodes;
    graph.initializer = rewrite.tensors;
    // it names types that are no longer true
    graph.value_info.clear();
    prune(graph);
    Ok(count)
}

/// Returns whether a model is one that can be converted.
fn check(model: &ModelProto) -> Result<(), String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    if !model.functions.is_empty() || !graph.sparse_initializer.is_empty() {
        return Err("it has functions of its own, or sparse tensors".into());
    }
    for node in &graph.node {
        let nested = |a: &AttributeProto| a.g.is_some() || !a.graphs.is_empty();
        if !is_onnx(node.domain.as_deref()) || node.attribute.iter().any(nested) {
            let op = node.op_type();
            return Err(format!("it has a node `{op}` whose types are not known"));
        }
    }
    Ok(())
}

/// Returns whether there are 16-bit floats in a graph.
fn is_half(graph: &GraphProto) -> bool {
    let is = |tensor: &TensorProto| tensor.data_type == Some(FLOAT16);
    let makes = |node: &NodeProto| {
        let constant = node.attribute.iter().any(|a| a.t.as_ref().is_some_and(is));
        constant || (node.op_type() == "Cast" && target(node) == FLOAT16)
    };
    graph.initializer.iter().any(is) || graph.node.iter().any(makes)
}

/// Gives each output a node of its own, so that what makes it can have another type.
fn separate_outputs(graph: &mut GraphProto) {
    let outputs: BTreeSet<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
    let inner = |name: &str| format!("{name}/inner");
    for node in &mut graph.node {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if outputs.contains(name) {
                *name = inner(name);
            }
        }
    }
    graph.node.extend(outputs.into_iter().map(|name| NodeProto {
        input: vec![inner(&name)],
        name: Some(format!("{name}/output")),
        output: vec![name],
        op_type: Some("Identity".into()),
        ..NodeProto::default()
    }));
}

/// Puts constants that are nodes with the stored tensors.
fn store_constants(graph: &mut GraphProto) {
    let stored = &mut graph.initializer;
    graph.node.retain_mut(|node| {
        let value = match node.attribute.as_mut_slice() {
            [only] if node.op_type.as_deref() == Some("Constant") => only.t.take(),
            _ => None,
        };
        let Some(mut tensor) = value else {
            return true;
        };
        tensor.name = node.output.first().cloned();
        stored.push(tensor);
        false
    });
}

/// Returns for each node whether it stays in 32 bits. Those of [`MOVES`] go with what they move.
fn kept_full(graph: &GraphProto) -> Vec<bool> {
    // each tensor is looked through once, however many nodes read it
    let large: HashSet<&str> = stored(graph)
        .filter(|(_, tensor)| !fits(tensor))
        .map(|(name, _)| name)
        .collect();
    let mut producers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().map(|name| (name.as_str(), index)));
    }
    let outputs: HashSet<&str> = graph
        .output
        .iter()
        .filter_map(|o| o.name.as_deref())
        .collect();
    let mut open: Vec<&str> = outputs.iter().copied().collect();
    let mut full = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let large = |name: &String| large.contains(name.as_str());
        let ends = node
            .output
            .iter()
            .any(|name| outputs.contains(name.as_str()));
        full.push(ends || FULL.contains(&node.op_type()) || node.input.iter().any(large));
        if node.op_type() == "GridSample" {
            open.extend(node.input.get(1).map(String::as_str));
        }
    }
    let mut seen = HashSet::new();
    while let Some(name) = open.pop() {
        let Some(&index) = producers.get(name).filter(|_| seen.insert(name)) else {
            continue;
        };
        let node = &graph.node[index];
        let op = node.op_type();
        full[index] |= ARITHMETIC.contains(&op);
        if ARITHMETIC.contains(&op) || MOVES.contains(&op) || op == "Cast" {
            open.extend(node.input.iter().map(String::as_str));
        }
    }
    full
}

/// Returns whether 16 bits can hold a stored tensor's numbers.
fn fits(tensor: &TensorProto) -> bool {
    if tensor.data_type != Some(FLOAT) {
        return tensor.data_type != Some(DOUBLE);
    }
    let numbers = floats(tensor);
    let few = numbers.len() <= FEW;
    numbers.iter().all(|&number| {
        let half = f16::from_f32(number);
        half.is_finite() && !(few && number != 0.0 && half == f16::ZERO)
    })
}

/// The numbers of a stored tensor of 32-bit floats.
fn floats(tensor: &TensorProto) -> Vec<f32> {
    match &tensor.raw_data {
        Some(raw) => {
            let (parts, _) = raw.as_chunks();
            parts.iter().map(|part| f32::from_le_bytes(*part)).collect()
        }
        None => tensor.float_data.clone(),
    }
}

/// Nodes on their way into the new graph.
struct Rewrite {
    /// Element type of every value, before.
    types: HashMap<String, i32>,
    /// Places of stored tensors in `tensors`.
    stored: HashMap<String, usize>,
    /// The values that now have 16 bits.
    halves: HashSet<String>,
    /// The values that were made of others by conversion.
    versions: HashSet<String>,
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Rewrite {
    /// Takes a node over; whether it works in 16 bits.
    fn take(&mut self, mut node: NodeProto, full: bool) -> bool {
        let op = node.op_type().to_owned();
        let is_float =
            |types: &HashMap<String, i32>, name: &String| types.get(name) == Some(&FLOAT);
        let half = if MOVES.contains(&op.as_str()) && !full {
            let first = node.input.first();
            first.is_some_and(|name| self.halves.contains(name))
        } else {
            !full && node.output.iter().any(|name| is_float(&self.types, name))
        };
        // these take anything, and tell nothing of its numbers
        if !matches!(op.as_str(), "Shape" | "Size") {
            for (index, name) in node.input.iter_mut().enumerate() {
                if is_float(&self.types, name) {
                    let factor = op == "Resize" && index > 0;
                    *name = self.version(name, half && !factor);
                }
            }
        }
        if half {
            let made = node
                .output
                .iter()
                .filter(|name| is_float(&self.types, name));
            self.halves.extend(made.cloned());
        }
        self.nodes.push(node);
        half
    }

    /// A value in 16 bits or 32.
    fn version(&mut self, name: &str, half: bool) -> String {
        if self.halves.contains(name) == half {
            return name.into();
        }
        let version = format!("{name}/{}", if half { "half" } else { "full" });
        if !self.versions.insert(version.clone()) {
            return version;
        }
        if let Some(&index) = self.stored.get(name) {
            let tensor = &self.tensors[index];
            let numbers = floats(tensor).into_iter();
            let bytes: Vec<u8> = numbers
                .flat_map(|number| f16::from_f32(number).to_le_bytes())
                .collect();
            let half = TensorProto {
                dims: tensor.dims.clone(),
                data_type: Some(FLOAT16),
                name: Some(version.clone()),
                raw_data: Some(bytes.into()),
                ..TensorProto::default()
            };
            self.tensors.push(half);
            return version;
        }
        let element = if half { FLOAT16 } else { FLOAT };
        self.nodes.push(cast(name, &version, element));
        version
    }
}

#[cfg(test)]
mod tests;
