//! A model's own functions: put in the place of their calls, or handed over to operators.

use std::collections::HashMap;

use super::bounds::{MAX_NODES, domain};
use super::edit::OWN_DOMAIN;
use super::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto};

/// The stages of this project's networks (`training/model.py`), which there are operators for.
pub const STAGES: [&str; 8] = [
    "Start",
    "Look16",
    "Look8",
    "Look4",
    "Improve16",
    "Improve8",
    "Improve4",
    "Finish",
];

/// Version of what the stages compute, as those operators do it: `STAGES_VERSION` in
/// `training/model.py`.
const STAGES_VERSION: i64 = 3;

/// Hands the calls of [`STAGES`] over to this project's own operators, by taking away what the
/// model itself says of them, and returns how many there are. Stages of another version are left to
/// their definition.
pub fn hand_over_stages(model: &mut ModelProto) -> usize {
    let own = |name: &Option<String>| name.as_deref() == Some(OWN_DOMAIN);
    let known = |version: &Option<i64>| *version == Some(STAGES_VERSION);
    let mut versions = model.opset_import.iter().filter(|set| own(&set.domain));
    if !versions.next().is_some_and(|set| known(&set.version)) {
        return 0;
    }
    let stage = |domain: &Option<String>, name: &str| own(domain) && STAGES.contains(&name);
    model
        .functions
        .retain(|function| !stage(&function.domain, function.name()));
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes
        .filter(|node| stage(&node.domain, node.op_type()))
        .count()
}

/// Puts the nodes of a model's own functions in the place of their calls.
///
/// # Errors
/// Why that can't be done; the model is then left as it was.
pub fn inline(model: &mut ModelProto) -> Result<(), String> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let mut functions = HashMap::new();
    for function in &model.functions {
        check(function, model)?;
        let name = (domain(function.domain.as_deref()), function.name());
        if functions.insert(name, function).is_some() {
            return Err(format!("it has two functions `{}`", function.name()));
        }
    }
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let mut open: Vec<NodeProto> = nodes.rev().cloned().collect();
    let mut inlined = Vec::with_capacity(open.len());
    let mut calls = 0;
    while let Some(node) = open.pop() {
        let name = (domain(node.domain.as_deref()), node.op_type());
        match functions.get(&name) {
            Some(function) => {
                calls += 1;
                let mut body = body(&node, function, &format!("call{calls}"))?;
                body.reverse();
                open.append(&mut body);
            }
            None => inlined.push(node),
        }
        if inlined.len() + open.len() + calls > MAX_NODES {
            return Err(format!("its functions become more than {MAX_NODES} nodes"));
        }
    }
    model.graph.get_or_insert_default().node = inlined;
    model.functions.clear();
    Ok(())
}

/// Returns whether a function's nodes can stand among the model's.
fn check(function: &FunctionProto, model: &ModelProto) -> Result<(), String> {
    let version = |name: &str| {
        let mut sets = model.opset_import.iter();
        sets.find(|set| domain(set.domain.as_deref()) == name)
            .and_then(|set| set.version)
    };
    for set in &function.opset_import {
        if version(domain(set.domain.as_deref())) != set.version {
            let name = function.name();
            return Err(format!("its function `{name}` is of another opset"));
        }
    }
    let nested = |a: &AttributeProto| a.g.is_some() || !a.graphs.is_empty();
    let mut attributes = function.node.iter().flat_map(|node| &node.attribute);
    match attributes.any(nested) {
        true => Err(format!("its function `{}` holds graphs", function.name())),
        false => Ok(()),
    }
}

/// The nodes that a call stands for; what is the function's own is called `prefix` and its name.
fn body(
    call: &NodeProto,
    function: &FunctionProto,
    prefix: &str,
) -> Result<Vec<NodeProto>, String> {
    if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
        let name = function.name();
        return Err(format!("its function `{name}` is called with too much"));
    }
    let given = call
        .input
        .iter()
        .cloned()
        .chain(std::iter::repeat(String::new()));
    let mut names: HashMap<&str, String> = HashMap::new();
    names.extend(function.input.iter().map(String::as_str).zip(given));
    let mut passed = Vec::new();
    for (inner, outer) in function.output.iter().zip(&call.output) {
        // an input that is handed through, or an output that goes by two names
        if let Some(name) = names.get(inner.as_str()) {
            passed.push(NodeProto {
                input: vec![name.clone()],
                output: vec![outer.clone()],
                op_type: Some("Identity".into()),
                ..NodeProto::default()
            });
        } else if !outer.is_empty() {
            names.insert(inner, outer.clone());
        }
    }
    let outer = |name: &mut String| {
        if !name.is_empty() {
            *name = match names.get(name.as_str()) {
                Some(known) => known.clone(),
                None => format!("{prefix}/{name}"),
            };
        }
    };
    let nodes = function.node.iter().map(|node| {
        let mut node = node.clone();
        node.input.iter_mut().for_each(outer);
        node.output.iter_mut().for_each(outer);
        node.name = Some(format!("{prefix}/{}", node.name.unwrap_or_default()));
        let attributes = std::mem::take(&mut node.attribute).into_iter();
        node.attribute = attributes
            .filter_map(|attribute| given_attribute(attribute, call, function))
            .collect();
        node
    });
    Ok(nodes.chain(passed).collect())
}

/// An attribute within a function, whose value may be an attribute of the call.
fn given_attribute(
    attribute: AttributeProto,
    call: &NodeProto,
    function: &FunctionProto,
) -> Option<AttributeProto> {
    let Some(name) = &attribute.ref_attr_name else {
        return Some(attribute);
    };
    let mut known = call.attribute.iter().chain(&function.attribute_proto);
    let value = known.find(|known| known.name.as_ref() == Some(name))?;
    Some(AttributeProto {
        name: attribute.name,
        ..value.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::super::build::{GraphBuilder, float};
    use super::super::codec::{decode, encode};
    use super::super::proto::OperatorSetIdProto;
    use super::*;

    fn node(op_type: &str, input: &[&str], output: &[&str]) -> NodeProto {
        NodeProto {
            op_type: Some(op_type.into()),
            input: input.iter().map(|&name| name.into()).collect(),
            output: output.iter().map(|&name| name.into()).collect(),
            ..NodeProto::default()
        }
    }

    fn call(name: &str, input: &[&str], output: &[&str]) -> NodeProto {
        NodeProto {
            domain: Some("d".into()),
            ..node(name, input, output)
        }
    }

    fn function(name: &str, input: &[&str], output: &[&str], nodes: &[NodeProto]) -> FunctionProto {
        FunctionProto {
            name: Some(name.into()),
            domain: Some("d".into()),
            input: input.iter().map(|&name| name.into()).collect(),
            output: output.iter().map(|&name| name.into()).collect(),
            node: nodes.to_vec(),
            opset_import: vec![OperatorSetIdProto {
                domain: None,
                version: Some(17),
            }],
            ..FunctionProto::default()
        }
    }

    /// Returns the model `y = f(f(x))` with these functions.
    fn model(functions: Vec<FunctionProto>) -> ModelProto {
        let mut model = GraphBuilder::new("calls", 17)
            .opset("d", 1)
            .input("x", &[1])
            .output("y", &[1])
            .finish();
        let graph = model.graph.get_or_insert_default();
        graph.node = vec![call("f", &["x"], &["m"]), call("f", &["m"], &["y"])];
        model.functions = functions;
        model
    }

    /// Returns each node as `output = operator(inputs)`.
    fn described(model: &ModelProto) -> Vec<String> {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        nodes
            .map(|node| {
                let (output, input) = (node.output.join(","), node.input.join(","));
                format!("{output} = {}({input})", node.op_type())
            })
            .collect()
    }

    #[test]
    fn calls_become_nodes_with_names_of_their_own() {
        let inner = function("g", &["v"], &["w"], &[node("Neg", &["v"], &["w"])]);
        let body = [call("g", &["a"], &["t"]), node("Add", &["a", "t"], &["b"])];
        let mut model = model(vec![function("f", &["a"], &["b"], &body), inner]);
        inline(&mut model).unwrap();
        let expected = [
            "call1/t = Neg(x)",
            "m = Add(x,call1/t)",
            "call3/t = Neg(m)",
            "y = Add(m,call3/t)",
        ];
        assert_eq!(described(&model), expected);
        assert!(model.functions.is_empty());
        assert_eq!(decode(&encode(&model)), Ok(model));
    }

    #[test]
    fn attributes_come_from_the_call_or_the_function() {
        let mut leaky = node("LeakyRelu", &["a"], &["b"]);
        let reference = AttributeProto {
            ref_attr_name: Some("slope".into()),
            ..float("alpha", 0.0)
        };
        leaky.attribute.push(reference);
        let mut definition = function("f", &["a"], &["b"], &[leaky]);
        definition.attribute_proto.push(float("slope", 0.25));
        let mut model = model(vec![definition]);
        let graph = model.graph.get_or_insert_default();
        graph.node[1].attribute.push(float("slope", 0.5));
        inline(&mut model).unwrap();
        let graph = model.graph.unwrap_or_default();
        assert_eq!(graph.node[0].attribute, [float("alpha", 0.25)]);
        assert_eq!(graph.node[1].attribute, [float("alpha", 0.5)]);
    }

    #[test]
    fn what_is_handed_through_keeps_both_names() {
        let mut model = model(vec![function("f", &["a"], &["a"], &[])]);
        inline(&mut model).unwrap();
        assert_eq!(described(&model), ["m = Identity(x)", "y = Identity(m)"]);
    }

    #[test]
    fn what_can_t_be_put_in_place_is_refused_and_left() {
        let twice = function("f", &["a"], &["b"], &[]);
        let mut newer = twice.clone();
        newer.opset_import[0].version = Some(18);
        let endless = function("f", &["a"], &["b"], &[call("f", &["a"], &["b"])]);
        for (functions, why) in [
            (vec![twice.clone(), twice], "two functions"),
            (vec![newer], "another opset"),
            (vec![endless], "more than"),
            (vec![function("f", &[], &["b"], &[])], "too much"),
        ] {
            let mut model = model(functions);
            let before = model.clone();
            assert!(inline(&mut model).is_err_and(|error| error.contains(why)));
            assert_eq!(model, before);
        }
    }

    #[test]
    fn stages_of_a_version_that_is_known_are_handed_over() {
        for (version, handed) in [(STAGES_VERSION, 2), (STAGES_VERSION + 1, 0)] {
            let mut model = model(Vec::new());
            model.opset_import[1] = OperatorSetIdProto {
                domain: Some(OWN_DOMAIN.into()),
                version: Some(version),
            };
            let graph = model.graph.get_or_insert_default();
            for node in &mut graph.node {
                (node.domain, node.op_type) = (Some(OWN_DOMAIN.into()), Some("Look4".into()));
            }
            let mut definition = function("Look4", &["a"], &["a"], &[]);
            definition.domain = Some(OWN_DOMAIN.into());
            model.functions = vec![definition, function("f", &["a"], &["a"], &[])];
            assert_eq!(hand_over_stages(&mut model), handed);
            assert_eq!(model.functions.len(), 2 - handed.min(1));
        }
    }
}
