//! Checks before a file is believed: how much memory and time it would take.
//!
//! A file of some megabytes can hold as many empty messages as it has bytes, each of which becomes
//! hundreds of bytes, and functions that call each other can become more nodes than there is memory
//! for. So the encoded bytes are walked first, and nothing is allocated for what is too much.

use std::collections::HashMap;
use std::mem::size_of;

use prost::encoding::decode_varint;

use super::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// Files above this size are refused: four times the largest interpolation network around.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Graphs with more nodes and stored tensors than this are refused, subgraphs and functions where
/// they are used included: some twenty times as many as the largest interpolation network has.
pub const MAX_NODES: usize = 100_000;
/// Files that would take more memory than this beside their stored weights are refused, in bytes.
pub const MAX_STRUCTURE: usize = 128 << 20;
/// Names longer than this are refused, in bytes.
pub const MAX_NAME: usize = 4096;
/// Functions that call each other deeper than this are refused.
const DEEPEST_CALL: usize = 32;
/// Messages nested deeper than this are left to the decoder, which refuses them: its own limit.
const DEEPEST: usize = 100;

/// The messages of the format that become something of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    Function,
    Entry,
}

impl Kind {
    /// The message that field `tag` holds.
    fn nested(self, tag: u64) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Model, 8 | 14)
            | (Self::Graph | Self::Tensor, 16)
            | (Self::Node | Self::Function, 9)
            | (Self::Tensor, 13)
            | (Self::Value, 4)
            | (Self::Function, 14) => Self::Entry,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 11..=13) | (Self::Function, 12) => Self::Value,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Value, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Shape, 1) => Self::Dimension,
            _ => return None,
        })
    }

    /// Bytes that one takes in memory, without what it holds.
    fn size(self) -> usize {
        match self {
            Self::Model => size_of::<ModelProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::Sparse => size_of::<SparseTensorProto>(),
            Self::Value => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::TensorType => size_of::<TensorTypeProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<DimensionProto>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
        }
    }

    /// Bytes in memory for each byte of a field that is text, bytes or packed numbers.
    fn growth(self, tag: u64) -> usize {
        match (self, tag) {
            // weights stay where they are
            (Self::Tensor, 9) => 0,
            (Self::Tensor, 5) => size_of::<i32>(),
            (Self::Tensor, 1 | 7 | 11) | (Self::Attribute, 8) | (Self::Sparse, 3) => {
                size_of::<i64>()
            }
            _ => 1,
        }
    }

    fn is_name(self, tag: u64) -> bool {
        matches!(
            (self, tag),
            (Self::Node, 1..=4 | 7 | 8)
                | (Self::Graph | Self::Dimension, 2)
                | (Self::Tensor, 8)
                | (
                    Self::Value | Self::Attribute | Self::Function | Self::Entry,
                    1
                )
                | (Self::Function, 4..=6 | 10 | 13)
        )
    }
}

/// Walks an encoded model.
///
/// # Errors
/// Says what there is too much of, or that it is no such file.
pub(crate) fn check_encoded(bytes: &[u8]) -> Result<(), String> {
    let mut walk = Walk::default();
    walk.message(Kind::Model, bytes, 0)
}

/// Counts of what was met so far.
#[derive(Default)]
struct Walk {
    nodes: usize,
    memory: usize,
}

impl Walk {
    fn message(&mut self, kind: Kind, mut bytes: &[u8], depth: usize) -> Result<(), String> {
        if matches!(kind, Kind::Node | Kind::Tensor) {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return Err(format!(
                    "its graph has more than {MAX_NODES} nodes and tensors, which is the limit"
                ));
            }
        }
        self.take(kind.size())?;
        if depth == DEEPEST {
            return Ok(());
        }
        while !bytes.is_empty() {
            match field(&mut bytes).ok_or("it is not an ONNX file, or a damaged one")? {
                (_, None) => self.take(size_of::<i64>())?,
                (tag, Some(part)) => match kind.nested(tag) {
                    Some(nested) => self.message(nested, part, depth + 1)?,
                    None if kind.is_name(tag) && part.len() > MAX_NAME => {
                        return Err(format!(
                            "it has a name of {} bytes, and the limit is {MAX_NAME}",
                            part.len()
                        ));
                    }
                    None => {
                        let grown = part.len().saturating_mul(kind.growth(tag));
                        self.take(grown.saturating_add(size_of::<String>()))?;
                    }
                },
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory <= MAX_STRUCTURE {
            return Ok(());
        }
        Err(format!(
            "it would take more than {} MiB of memory beside its weights (those stored as raw_data), which is the limit",
            MAX_STRUCTURE >> 20
        ))
    }
}

/// The next field: its number, and its bytes unless it is one number. `None` where the bytes make
/// no sense: groups, which the decoder would pass over, are none of ONNX's.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = decode_varint(bytes).ok()?;
    let (length, whole) = match key & 7 {
        0 => {
            decode_varint(bytes).ok()?;
            (0, false)
        }
        1 => (8, false),
        5 => (4, false),
        2 => (usize::try_from(decode_varint(bytes).ok()?).ok()?, true),
        _ => return None,
    };
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, whole.then_some(part)))
}

/// Counts the nodes that a model's own functions become where they are used.
///
/// # Errors
/// There would be too many, or a function calls itself.
pub(crate) fn check_functions(model: &ModelProto) -> Result<(), String> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let mut calls = Calls {
        functions: HashMap::new(),
        counted: HashMap::new(),
    };
    for function in &model.functions {
        let name = (domain(function.domain.as_deref()), function.name());
        calls.functions.entry(name).or_default().push(function);
    }
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let count = calls.of(nodes, 0)?;
    for function in &model.functions {
        // those that are not used must not call themselves either
        calls.call((domain(function.domain.as_deref()), function.name()), 0)?;
    }
    if count > MAX_NODES {
        return Err(format!(
            "its functions become {count} nodes where they are used, and the limit is {MAX_NODES}"
        ));
    }
    Ok(())
}

/// A domain's one name: ONNX's own has three.
pub(crate) fn domain(name: Option<&str>) -> &str {
    name.filter(|name| *name != "ai.onnx").unwrap_or_default()
}

type Name<'a> = (&'a str, &'a str);

struct Calls<'a> {
    /// Functions by name, those of one name and different overloads together.
    functions: HashMap<Name<'a>, Vec<&'a FunctionProto>>,
    /// The nodes that a call becomes.
    counted: HashMap<Name<'a>, usize>,
}

impl<'a> Calls<'a> {
    /// Returns how many nodes these become.
    fn of(
        &mut self,
        nodes: impl Iterator<Item = &'a NodeProto>,
        depth: usize,
    ) -> Result<usize, String> {
        let mut count = 0_usize;
        for node in nodes {
            count = count.saturating_add(1);
            for attribute in &node.attribute {
                if attribute.ref_attr_name.is_some() && matches!(attribute.r#type, Some(5 | 10)) {
                    return Err("its functions take graphs, which is not accepted".into());
                }
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    count = count.saturating_add(self.of(graph.node.iter(), depth)?);
                }
            }
            let name = (domain(node.domain.as_deref()), node.op_type());
            count = count.saturating_add(self.call(name, depth)?);
        }
        Ok(count)
    }

    fn call(&mut self, name: Name<'a>, depth: usize) -> Result<usize, String> {
        if let Some(&count) = self.counted.get(&name) {
            return Ok(count);
        }
        let Some(functions) = self.functions.get(&name).cloned() else {
            return Ok(0);
        };
        if depth == DEEPEST_CALL {
            return Err(format!(
                "its functions call each other more than {DEEPEST_CALL} deep, or themselves"
            ));
        }
        let mut most = 0;
        for function in functions {
            most = most.max(self.of(function.node.iter(), depth + 1)?);
        }
        self.counted.insert(name, most);
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::GraphBuilder;
    use super::super::codec::{decode, encode};
    use super::super::proto::{AttributeProto, GraphProto};
    use super::*;

    fn sample() -> ModelProto {
        GraphBuilder::new("sample", 17)
            .input("x", &[1, 3, -1, -1])
            .node("Relu", &["x"], &["y"])
            .output("y", &[1, 3, -1, -1])
            .finish()
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], part: &str) {
        let why = decode(bytes).expect_err("it is too much");
        assert!(why.contains(part), "{why}");
    }

    /// A field that holds bytes.
    fn holding(tag: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(tag << 3 | 2, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn absurd_counts_are_refused_before_decoding() {
        let nodes = [0x0a, 0x00].repeat(MAX_NODES + 1);
        assert_refused(&holding(7, &nodes), "nodes and tensors");
        // also where they hide in a subgraph
        let attribute = holding(5, &holding(6, &nodes));
        assert_refused(&holding(7, &holding(1, &attribute)), "nodes and tensors");
    }

    #[test]
    fn what_would_grow_too_much_is_refused_before_decoding() {
        let mebi = 1 << 20;
        let hidden: [(&str, Vec<u8>); 4] = [
            // attributes of one node, names of another, metadata, packed numbers
            (
                "attributes",
                holding(7, &holding(1, &[0x2a, 0x00].repeat(mebi))),
            ),
            (
                "names",
                holding(7, &holding(1, &[0x0a, 0x00].repeat(6 * mebi))),
            ),
            ("metadata", [0x72, 0x00].repeat(3 * mebi)),
            (
                "numbers",
                holding(7, &holding(5, &holding(7, &vec![0; 17 * mebi]))),
            ),
        ];
        for (what, bytes) in hidden {
            let why = decode(&bytes).expect_err(what);
            assert!(why.contains("MiB of memory"), "{what}: {why}");
        }
    }

    #[test]
    fn weights_may_be_as_large_as_the_file() {
        let mut model = sample();
        let graph = model.graph.get_or_insert_default();
        graph.initializer.push(TensorProto {
            name: Some("w".into()),
            raw_data: Some(vec![0; MAX_STRUCTURE + 1].into()),
            ..TensorProto::default()
        });
        assert!(decode(&encode(&model)).is_ok());
    }

    #[test]
    fn groups_hide_nothing() {
        // a group of field 100, which decoders pass over
        let group = [0xa3, 0x06, 0xa4, 0x06];
        let bytes = [&group[..], &encode(&sample())].concat();
        assert_refused(&bytes, "not an ONNX file");
    }

    #[test]
    fn names_have_an_end() {
        let mut model = sample();
        model.graph.get_or_insert_default().node[0].name = Some("n".repeat(MAX_NAME + 1));
        assert_refused(&encode(&model), "a name of 4097 bytes");
    }

    fn calling(name: &str) -> NodeProto {
        NodeProto {
            op_type: Some(name.into()),
            domain: Some("d".into()),
            ..NodeProto::default()
        }
    }

    fn function(name: &str, node: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: Some(name.into()),
            domain: Some("d".into()),
            node,
            ..FunctionProto::default()
        }
    }

    #[test]
    fn functions_that_double_each_other_are_counted() {
        let mut model = sample();
        let graph = model.graph.get_or_insert_default();
        graph.node.push(calling("f0"));
        for depth in 0..16 {
            let next = calling(&format!("f{}", depth + 1));
            model
                .functions
                .push(function(&format!("f{depth}"), vec![next.clone(), next]));
        }
        assert_refused(&encode(&model), "functions become 131072 nodes");
        model.functions.pop();
        assert!(decode(&encode(&model)).is_ok());
    }

    #[test]
    fn functions_that_call_themselves_are_refused() {
        for called in [0, 1] {
            let mut model = sample();
            let nested = AttributeProto {
                g: Some(GraphProto {
                    node: vec![calling(&format!("f{called}"))],
                    ..GraphProto::default()
                }),
                ..AttributeProto::default()
            };
            let inside = NodeProto {
                attribute: vec![nested],
                ..NodeProto::default()
            };
            model.functions = vec![
                function("f0", vec![inside]),
                function("f1", vec![calling("f0")]),
            ];
            assert_refused(&encode(&model), "or themselves");
        }
    }
}
