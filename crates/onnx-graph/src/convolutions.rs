//! Hands convolutions over to this project's own operator, with what follows them.

use std::collections::{HashMap, HashSet};

use super::build::float;
use super::edit::{OWN_DOMAIN, declare_own_domain, integer, integers, is_onnx, names_read, text};
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::types::FLOAT;

/// Most columns and rows that an output sample may see.
const LARGEST_KERNEL: i64 = 7;

/// Most samples that an output sample may see: so many products of bytes fit 32 bits.
const MOST_PRODUCTS: i64 = 60_000;

/// Hands every convolution that this project's own operator can do over to it, and returns how many there
/// were: those of one group, without gaps, whose weights are stored in the model in 32 bits. A rectifier
/// behind one, the addition of another convolution's result or of its own input, and a rectifier behind that
/// become parts of it.
pub fn use_own_convolutions(model: &mut ModelProto) -> usize {
    let Some(graph) = &mut model.graph else {
        return 0;
    };
    let found = find(graph);
    let count = found.len();
    if count == 0 {
        return 0;
    }
    let mut fused: HashMap<usize, NodeProto> = HashMap::new();
    let mut gone = HashSet::new();
    for convolution in found {
        gone.extend(convolution.nodes.iter().copied());
        if let Some(&last) = convolution.nodes.last() {
            fused.insert(last, convolution.fused);
        }
    }
    let nodes = std::mem::take(&mut graph.node);
    for (index, node) in nodes.into_iter().enumerate() {
        match fused.remove(&index) {
            Some(convolution) => graph.node.push(convolution),
            None if gone.contains(&index) => {}
            None => graph.node.push(node),
        }
    }
    declare_own_domain(model);
    count
}

/// A convolution and what follows it.
struct Convolution {
    /// Their places in the graph, in order.
    nodes: Vec<usize>,
    /// The node that stands for them.
    fused: NodeProto,
}

/// The graph as it is searched.
struct Graph<'a> {
    nodes: &'a [NodeProto],
    /// Dimensions of stored 32-bit tensors that nobody outside can replace.
    stored: HashMap<&'a str, &'a [i64]>,
    /// Node by the name of its output.
    producers: HashMap<&'a str, usize>,
    /// Nodes that read a name; graph outputs count as one more.
    readers: HashMap<String, Vec<usize>>,
}

fn find(graph: &GraphProto) -> Vec<Convolution> {
    let graph = Graph::of(graph);
    let mut taken = HashSet::new();
    let all = 0..graph.nodes.len();
    let own = all.filter(|&index| graph.outputs(index).is_some());
    own.map(|index| graph.fuse(index, &mut taken)).collect()
}

impl<'a> Graph<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let replaceable: HashSet<_> = graph
            .input
            .iter()
            .filter_map(|i| i.name.as_deref())
            .collect();
        let fixed = |tensor: &&TensorProto| {
            tensor.data_type == Some(FLOAT) && !replaceable.contains(tensor.name())
        };
        let stored = graph.initializer.iter().filter(fixed);
        let stored = stored
            .map(|tensor| (tensor.name(), &*tensor.dims))
            .collect();
        let mut producers = HashMap::new();
        let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
        let mut read = Vec::new();
        for (index, node) in graph.node.iter().enumerate() {
            producers.extend(node.output.iter().map(|name| (name.as_str(), index)));
            names_read(node, &mut read);
            for name in read.drain(..) {
                readers.entry(name).or_default().push(index);
            }
        }
        for output in &graph.output {
            readers
                .entry(output.name().into())
                .or_default()
                .push(usize::MAX);
        }
        Self {
            nodes: &graph.node,
            stored,
            producers,
            readers,
        }
    }

    /// Output channels of a convolution that the operator can do; nothing for any other node.
    fn outputs(&self, index: usize) -> Option<i64> {
        let node = &self.nodes[index];
        let plain = is_onnx(node.domain.as_deref()) && node.output.len() == 1;
        if node.op_type() != "Conv" || !plain || node.input.len() < 2 {
            return None;
        }
        let &[outputs, inputs, height, width] = *self.stored.get(node.input[1].as_str())? else {
            return None;
        };
        let bias = match node.input.get(2).map(String::as_str) {
            None | Some("") => true,
            Some(bias) => self.stored.get(bias) == Some(&&[outputs][..]),
        };
        let all = |name, fits: &dyn Fn(i64) -> bool| {
            integers(node, name).is_none_or(|list| list.iter().all(|&number| fits(number)))
        };
        let explicit = text(node, "auto_pad", "NOTSET") == "NOTSET";
        let whole = integer(node, "group").unwrap_or(1) == 1;
        let dense = all("dilations", &|gap| gap == 1);
        let padded = all("pads", &|pad| (0..=LARGEST_KERNEL).contains(&pad));
        let steps = all("strides", &|step| (1..=2).contains(&step));
        let sides = 1..=LARGEST_KERNEL;
        let small = sides.contains(&height) && sides.contains(&width);
        let fits = small && outputs > 0 && (1..=MOST_PRODUCTS / (height * width)).contains(&inputs);
        (bias && explicit && whole && dense && padded && steps && fits).then_some(outputs)
    }

    /// The only node that reads what a node gives, if that gives one thing itself.
    fn only_reader(&self, index: usize) -> Option<(usize, &'a NodeProto)> {
        let [output] = &*self.nodes[index].output else {
            return None;
        };
        match self.readers.get(output).map(Vec::as_slice) {
            Some(&[reader]) => {
                let node = self.nodes.get(reader)?;
                (node.output.len() == 1).then_some((reader, node))
            }
            _ => None,
        }
    }

    /// The rectifier that alone reads what a node gives, and its slope.
    fn rectifier(&self, index: usize) -> Option<(usize, f32)> {
        let (reader, node) = self.only_reader(index)?;
        if !is_onnx(node.domain.as_deref()) {
            return None;
        }
        let alpha = node
            .attribute
            .iter()
            .find(|a| a.name.as_deref() == Some("alpha"));
        match node.op_type() {
            "Relu" => Some((reader, 0.0)),
            "LeakyRelu" => Some((reader, alpha.and_then(|a| a.f).unwrap_or(0.01))),
            _ => None,
        }
    }

    /// The addition that alone reads what node `last` gives, and what it adds: something that is sure to
    /// have the size that convolution `first` gives.
    fn addition(&self, first: usize, last: usize) -> Option<(usize, &'a str)> {
        let (reader, node) = self.only_reader(last)?;
        if node.op_type() != "Add" || !is_onnx(node.domain.as_deref()) {
            return None;
        }
        let output = &self.nodes[last].output[0];
        let addend = node.input.iter().find(|name| *name != output)?;
        let same_size = match self.producers.get(addend.as_str()) {
            _ if *addend == self.nodes[first].input[0] => self.keeps_size(first),
            Some(&other) => self
                .outputs(other)
                .is_some_and(|o| Some(o) == self.outputs(first)),
            None => false,
        };
        same_size.then_some((reader, addend))
    }

    /// Returns whether a convolution gives as many channels, rows and columns as it takes.
    fn keeps_size(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let Some(&&[outputs, inputs, height, width]) = self.stored.get(node.input[1].as_str())
        else {
            return false;
        };
        let strides = integers(node, "strides").unwrap_or(&[1; 2]);
        let steps = strides.iter().all(|&step| step == 1);
        let &[top, left, bottom, right] = integers(node, "pads").unwrap_or(&[0; 4]) else {
            return false;
        };
        outputs == inputs && steps && top + bottom == height - 1 && left + right == width - 1
    }

    /// A convolution with what follows it, as far as that is in no other's place yet.
    fn fuse(&self, index: usize, taken: &mut HashSet<usize>) -> Convolution {
        let mut nodes = vec![index];
        let mut fused = self.nodes[index].clone();
        let last = |nodes: &[usize]| nodes[nodes.len() - 1];
        fused.domain = Some(OWN_DOMAIN.into());
        fused
            .attribute
            .retain(|a| matches!(a.name.as_deref(), Some("pads" | "strides")));
        fused.input.resize(3, String::new());
        let mut slopes = Vec::new();
        if let Some((reader, slope)) = self.rectifier(index) {
            nodes.push(reader);
            slopes.push(float("slope", slope));
        }
        let addition = self.addition(index, last(&nodes));
        if let Some((reader, addend)) = addition.filter(|&(reader, _)| taken.insert(reader)) {
            nodes.push(reader);
            fused.input.push(addend.into());
            if let Some((reader, slope)) = self.rectifier(reader) {
                nodes.push(reader);
                slopes.push(float("last_slope", slope));
            }
        }
        fused.attribute.extend(slopes);
        fused.output = self.nodes[last(&nodes)].output.clone();
        Convolution { nodes, fused }
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{self, GraphBuilder, int, ints};
    use super::*;

    /// A graph with `x` of 4 channels and weights `w` of 4 to 4, 3x3.
    fn graph() -> GraphBuilder {
        GraphBuilder::new("convolutions", 17)
            .input("x", &[1, 4, -1, -1])
            .constant("w", &[4, 4, 3, 3], &[0.5; 144])
            .output("y", &[1, 4, -1, -1])
    }

    fn padded() -> Vec<crate::proto::AttributeProto> {
        vec![ints("pads", &[1; 4]), ints("strides", &[1, 1])]
    }

    fn operators(model: &ModelProto) -> Vec<&str> {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        nodes.map(NodeProto::op_type).collect()
    }

    #[test]
    fn a_residual_block_becomes_one_node() {
        let mut model = graph()
            .node_with("Conv", &["x", "w"], &["c"], padded())
            .node_with("LeakyRelu", &["c"], &["r"], vec![float("alpha", 0.1)])
            .node("Add", &["x", "r"], &["s"])
            .node("Relu", &["s"], &["y"])
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 1);
        assert_eq!(operators(&model), ["Conv"]);
        let node = &model.graph.unwrap_or_default().node[0];
        assert_eq!(node.domain(), OWN_DOMAIN);
        assert_eq!(node.input, ["x", "w", "", "x"]);
        assert_eq!(node.output, ["y"]);
        let slope = |name| {
            node.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some(name))?
                .f
        };
        assert_eq!(
            [slope("slope"), slope("last_slope")],
            [Some(0.1), Some(0.0)]
        );
    }

    #[test]
    fn of_two_convolutions_that_are_added_one_takes_the_others_result() {
        let mut model = graph()
            .node_with("Conv", &["x", "w"], &["a"], padded())
            .node_with("Conv", &["x", "w"], &["b"], padded())
            .node("Add", &["a", "b"], &["y"])
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 2);
        let nodes = model.graph.unwrap_or_default().node;
        let inputs: Vec<_> = nodes.iter().map(|node| node.input.len()).collect();
        assert_eq!(inputs, [3, 4]);
        assert_eq!(nodes[1].input[3], "b");
    }

    #[test]
    fn what_others_read_too_stays() {
        let mut model = graph()
            .node_with("Conv", &["x", "w"], &["c"], padded())
            .node("Relu", &["c"], &["r"])
            .node("Add", &["r", "c"], &["y"])
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 1);
        assert_eq!(operators(&model), ["Conv", "Relu", "Add"]);
    }

    #[test]
    fn an_addend_that_may_have_another_size_stays_outside() {
        let mut model = graph()
            .input("z", &[1, 4, 1, 1])
            .node_with("Conv", &["x", "w"], &["c"], padded())
            .node("Add", &["c", "z"], &["y"])
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 1);
        assert_eq!(operators(&model), ["Conv", "Add"]);
        // without its border, a convolution gives less than it takes
        let mut model = graph()
            .node("Conv", &["x", "w"], &["c"])
            .node("Add", &["c", "x"], &["y"])
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 1);
        assert_eq!(operators(&model), ["Conv", "Add"]);
    }

    #[test]
    fn what_the_operator_can_t_do_is_left_to_the_runtime() {
        for attribute in [
            int("group", 4),
            ints("dilations", &[2, 2]),
            ints("strides", &[3, 3]),
            build::text("auto_pad", "SAME_UPPER"),
        ] {
            let mut model = graph()
                .node_with("Conv", &["x", "w"], &["y"], vec![attribute])
                .finish();
            let before = model.clone();
            assert_eq!(use_own_convolutions(&mut model), 0);
            assert_eq!(model, before);
        }
        // weights that are not known in advance
        let mut model = graph()
            .input("v", &[4, 4, 3, 3])
            .node_with("Conv", &["x", "v"], &["y"], padded())
            .finish();
        assert_eq!(use_own_convolutions(&mut model), 0);
    }
}
