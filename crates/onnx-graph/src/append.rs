//! Nodes added behind those of a graph.

use super::algebra::{Atom, Sum};
use super::build::int;
use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use super::types::{FLOAT, INT64};

/// Adds nodes, and names what they give.
pub struct Appender<'a> {
    graph: &'a mut GraphProto,
    /// Beginning of the names.
    prefix: &'static str,
    count: usize,
}

impl<'a> Appender<'a> {
    /// Begins to append. Nothing in the graph may have a name that begins with `prefix`.
    pub fn new(graph: &'a mut GraphProto, prefix: &'static str) -> Self {
        Self {
            graph,
            prefix,
            count: 0,
        }
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("{}{}", self.prefix, self.count)
    }

    /// A node with one output, whose name is returned.
    pub fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let [output] = self.node_with_outputs(op_type, inputs, attributes);
        output
    }

    /// A node with several outputs.
    pub fn node_with_outputs<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> [String; N] {
        let outputs = [(); N].map(|()| self.name());
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: outputs.to_vec(),
            name: outputs.first().cloned(),
            op_type: Some(op_type.into()),
            attribute: attributes,
            ..NodeProto::default()
        });
        outputs
    }

    /// A node whose one output is called `output`.
    pub fn node_as(
        &mut self,
        output: &str,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        let given = self.node(op_type, inputs, attributes);
        self.name_as(output, given);
    }

    /// Gives the output of the node added last another name. Nothing may read it yet.
    pub fn name_as(&mut self, output: &str, given: String) {
        let last = self.graph.node.last_mut();
        match last.and_then(|node| node.output.iter_mut().find(|name| **name == given)) {
            Some(name) => *name = output.into(),
            // something older, or an input
            None => self.graph.node.push(NodeProto {
                input: vec![given],
                output: vec![output.into()],
                op_type: Some("Identity".into()),
                ..NodeProto::default()
            }),
        }
    }

    /// Makes a value an output of the graph.
    pub fn output(&mut self, value: ValueInfoProto) {
        self.graph.output.push(value);
    }

    /// Appends the same node once more, with another value as its first input.
    pub fn again(&mut self, node: &NodeProto, input: String) -> String {
        let name = self.name();
        let mut node = node.clone();
        if let Some(first) = node.input.first_mut() {
            *first = input;
        }
        node.output = vec![name.clone()];
        node.name = Some(name.clone());
        self.graph.node.push(node);
        name
    }

    /// A value as 32-bit floats.
    pub fn floats(&mut self, name: &str) -> String {
        self.node("Cast", &[name], vec![int("to", i64::from(FLOAT))])
    }

    /// A stored number.
    pub fn constant(&mut self, number: f32) -> String {
        self.store(FLOAT, &[], number.to_le_bytes().to_vec())
    }

    /// Stores numbers.
    pub fn tensor(&mut self, dims: &[i64], numbers: &[f32]) -> String {
        let bytes = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.store(FLOAT, dims, bytes)
    }

    /// Stores integers; no dimensions for one as such.
    pub fn integers(&mut self, dims: &[i64], values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.store(INT64, dims, bytes)
    }

    fn store(&mut self, element: i32, dims: &[i64], bytes: Vec<u8>) -> String {
        let name = self.name();
        self.graph.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Some(element),
            name: Some(name.clone()),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        name
    }

    /// The value of a sum, in 32-bit floats.
    pub(crate) fn sum(&mut self, sum: &Sum) -> String {
        let mut terms = Vec::new();
        for (factor, atoms) in sum {
            let mut factors: Vec<String> = atoms.iter().map(|atom| self.atom(atom)).collect();
            if *factor != 1.0 || factors.is_empty() {
                factors.push(self.constant(*factor as f32));
            }
            terms.push(self.chain("Mul", factors));
        }
        self.chain("Add", terms)
    }

    fn atom(&mut self, atom: &Atom) -> String {
        match atom {
            Atom::Value(name) => self.floats(name),
            Atom::Sigmoid(of) => {
                let of = self.floats(of);
                self.node("Sigmoid", &[&of], vec![])
            }
        }
    }

    /// Values joined by an operator of two.
    fn chain(&mut self, op_type: &str, names: Vec<String>) -> String {
        let joined = names
            .into_iter()
            .reduce(|all, name| self.node(op_type, &[&all, &name], vec![]));
        joined.unwrap_or_else(|| self.constant(0.0))
    }
}
