//! Building small graphs, for tests and for stages put before or behind a network.

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use super::types::{FLOAT, INT64};

/// The version of the file format written.
const IR_VERSION: i64 = 8;

/// Puts a model together piece by piece.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    model: ModelProto,
    graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph that uses version `opset` of ONNX's own operators.
    pub fn new(name: &str, opset: i64) -> Self {
        Self {
            model: ModelProto {
                ir_version: Some(IR_VERSION),
                producer_name: Some("vfiinterp".into()),
                ..ModelProto::default()
            },
            graph: GraphProto {
                name: Some(name.into()),
                ..GraphProto::default()
            },
        }
        .opset("", opset)
    }

    /// Declares a further operator domain.
    pub fn opset(mut self, domain: &str, version: i64) -> Self {
        self.model.opset_import.push(OperatorSetIdProto {
            domain: Some(domain.into()),
            version: Some(version),
        });
        self
    }

    /// A float input; a negative dimension is unknown.
    pub fn input(self, name: &str, dims: &[i64]) -> Self {
        self.typed_input(name, FLOAT, dims)
    }

    /// An input of any element type.
    pub fn typed_input(mut self, name: &str, element: i32, dims: &[i64]) -> Self {
        self.graph.input.push(value(name, element, dims));
        self
    }

    /// A float output; a negative dimension is unknown.
    pub fn output(self, name: &str, dims: &[i64]) -> Self {
        self.typed_output(name, FLOAT, dims)
    }

    /// An output of any element type.
    pub fn typed_output(mut self, name: &str, element: i32, dims: &[i64]) -> Self {
        self.graph.output.push(value(name, element, dims));
        self
    }

    /// A stored tensor of floats.
    pub fn constant(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Some(FLOAT),
            name: Some(name.into()),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..TensorProto::default()
        });
        self
    }

    /// A stored list of integers, as shapes and axes are.
    pub fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            dims: vec![values.len() as i64],
            data_type: Some(INT64),
            name: Some(name.into()),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..TensorProto::default()
        });
        self
    }

    /// A node without attributes.
    pub fn node(self, op_type: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(op_type, inputs, outputs, vec![])
    }

    /// A node.
    pub fn node_with(
        mut self,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Self {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: outputs.iter().map(|&name| name.into()).collect(),
            name: Some(format!("{op_type}_{}", self.graph.node.len())),
            op_type: Some(op_type.into()),
            attribute: attributes,
            ..NodeProto::default()
        });
        self
    }

    /// An entry of the file's metadata.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.model.metadata_props.push(StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        });
        self
    }

    /// The model.
    pub fn finish(mut self) -> ModelProto {
        self.model.graph = Some(self.graph);
        self.model
    }
}

/// An input, output or value between; a negative dimension is unknown.
pub fn value(name: &str, element: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&dim| DimensionProto {
            dim_value: (dim >= 0).then_some(dim),
            ..DimensionProto::default()
        })
        .collect();
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(element),
                shape: Some(TensorShapeProto { dim }),
            }),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(2),
        ..AttributeProto::default()
    }
}

/// A float attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        f: Some(value),
        r#type: Some(1),
        ..AttributeProto::default()
    }
}

/// A text attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..AttributeProto::default()
    }
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(7),
        ..AttributeProto::default()
    }
}
