//! Networks that first look at each of their two pictures by itself, with the same weights for both: a
//! siamese encoder, as RIFE has from 4.7 on, and FILM.
//!
//! They are split in two graphs, so that this is done once for a picture, though it belongs to two
//! pairs, and a pair may be asked for several phases. Every value that follows from one picture alone
//! has a *term*: what it is of a picture, whichever of the two that is. Values of the first and
//! of the second picture that have the same term are twins. Names and order say nothing, shapes count as
//! what they are taken from, and weights as the numbers that are in them.
//!
//! This is reading, and may be mistaken (nodes that give something else each time, for one): who
//! uses the parts has them run beside the whole first.

mod terms;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use onnx_graph::build::{int, value};
use onnx_graph::edit::{self, names_read};
use onnx_graph::proto::{
    ModelProto, NodeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use onnx_graph::types::{element_types, stored};
use onnx_graph::{FLOAT, INT64};
use terms::{CHANNELS, Names, Terms, is_work};

use crate::models::signature::Signature;
use crate::models::signature::types::Inputs;

/// The encoder's name for its picture, where the network has no input for one alone.
const PICTURE: &str = "vfiinterp/encoder/picture";

/// A network in two parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    /// From one picture, `[1, 3, H, W]`, to its features.
    pub encoder: ModelProto,
    /// From what the network takes, and both pictures' features, to what it gives.
    pub rest: ModelProto,
    /// The encoder's name for its picture.
    pub picture: String,
    /// The rest's names for the features of the first and of the second picture; the encoder calls
    /// them as those of the first.
    pub features: [Vec<String>; 2],
    /// Numbers of nodes that are work: the encoder's, and the network's.
    pub work: (usize, usize),
}

/// Splits a network that has been freed of what its outputs don't need; `None` if there is nothing in
/// it that is worth while.
pub(crate) fn split(model: &ModelProto, signature: &Signature) -> Option<Parts> {
    let graph = model.graph.as_ref()?;
    let features = Terms::of(graph, &signature.inputs).features()?;
    let encoder = encoder(model, signature, &features)?;
    let work = |model: &ModelProto| {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        nodes.filter(|node| is_work(node)).count()
    };
    let first_of = |side: usize| features.iter().map(|names| names[side][0].into()).collect();
    Some(Parts {
        work: (work(&encoder), work(model)),
        encoder,
        rest: rest(model, &features),
        picture: match &signature.inputs {
            Inputs::Stacked { .. } => PICTURE.into(),
            Inputs::Pictures([first, _])
            | Inputs::PicturesAndTimestep {
                pictures: [first, _],
                ..
            } => first.clone(),
        },
        features: [first_of(0), first_of(1)],
    })
}

/// The part from one picture to its features.
fn encoder(model: &ModelProto, signature: &Signature, features: &[Names]) -> Option<ModelProto> {
    let mut model = model.clone();
    let graph = model.graph.as_mut()?;
    let types = element_types(graph);
    let given: HashSet<&str> = stored(graph).map(|(name, _)| name).collect();
    let inputs = graph.input.iter().filter_map(|input| input.name.clone());
    let mut inputs: HashSet<String> = inputs.filter(|name| !given.contains(&**name)).collect();
    // the values that depend on a shape alone may take the second picture's, or that of all in one
    let (picture, stand_in) = match &signature.inputs {
        Inputs::Pictures([first, second])
        | Inputs::PicturesAndTimestep {
            pictures: [first, second],
            ..
        } => (first.as_str(), node("Identity", &[first], second)),
        Inputs::Stacked { name, channels } => {
            let order = (0..*channels as i64).map(|channel| channel % 3);
            let order = TensorProto {
                name: Some(format!("{PICTURE}/order")),
                dims: vec![*channels as i64],
                data_type: Some(INT64),
                raw_data: Some(order.flat_map(i64::to_le_bytes).collect()),
                ..TensorProto::default()
            };
            let mut gather = node("Gather", &[PICTURE, order.name()], name);
            gather.attribute = vec![int("axis", CHANNELS)];
            graph.initializer.push(order);
            (PICTURE, gather)
        }
    };
    inputs.remove(picture);
    stand_in.output.iter().for_each(|name| {
        inputs.remove(name);
    });
    graph.node.insert(0, stand_in);
    let side = |side: Option<usize>| side.map_or(-1, |side| side as i64);
    let (width, height) = signature.fixed.unzip();
    graph.input = vec![value(picture, FLOAT, &[1, 3, side(height), side(width)])];
    let outputs = features.iter().map(|names| untyped(names[0][0], &types));
    graph.output = outputs.collect();
    edit::prune(graph);
    let mut read = Vec::new();
    let nodes = graph.node.iter();
    nodes.for_each(|node| names_read(node, &mut read));
    // such as the shape of a plane of the phase
    let whole = read.iter().all(|name| !inputs.contains(name));
    whole.then_some(model)
}

/// The part that takes the features of both.
fn rest(model: &ModelProto, features: &[Names]) -> ModelProto {
    let mut model = model.clone();
    let graph = model.graph.get_or_insert_default();
    let types = element_types(graph);
    let all: HashSet<&str> = features.iter().flatten().flatten().copied().collect();
    let makes = |node: &NodeProto| node.output.iter().any(|name| all.contains(name.as_str()));
    graph.node.retain(|node| !makes(node));
    let mut again = Vec::new();
    for side in 0..2 {
        for names in features {
            let [first, others @ ..] = names[side].as_slice() else {
                continue;
            };
            graph.input.push(untyped(first, &types));
            again.extend(others.iter().map(|name| node("Identity", &[first], name)));
        }
    }
    graph.node.splice(0..0, again);
    edit::prune(graph);
    model
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        name: Some(format!("{PICTURE}/{output}")),
        op_type: Some(op_type.into()),
        ..NodeProto::default()
    }
}

/// A value of any shape.
fn untyped(name: &str, types: &HashMap<String, i32>) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: types.get(name).copied().or(Some(FLOAT)),
                shape: None,
            }),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
