//! Reading and writing models, and what is looked at when one is read.

use bytes::{Buf, Bytes};
use prost::Message;

use super::bounds::{self, MAX_FILE_BYTES};
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, StringStringEntryProto,
    TensorProto,
};
use super::text::{LONGEST_NAME, abbreviate};

/// ONNX's number for tensors stored elsewhere.
const EXTERNAL: i32 = 1;
/// The name by which a graph refers to the bytes its weights lie in, after [`encode_beside`].
pub const WEIGHTS: &str = "weights";
/// Tensors below this size are not worth a reference.
const MIN_REFERENCE: usize = 1024;

/// Reads a model and checks that it holds everything itself and stays within bounds.
///
/// The error says why the bytes are refused.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, String> {
    decode_from(bytes, bytes)
}

/// Does the same without copying the weights: the model's tensors are parts of `file`.
pub fn decode_shared(file: &Bytes) -> Result<ModelProto, String> {
    decode_from(file, file.clone())
}

fn decode_from(bytes: &[u8], buffer: impl Buf) -> Result<ModelProto, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "it is {} MiB large, and the limit is {} MiB",
            bytes.len() >> 20,
            MAX_FILE_BYTES >> 20
        ));
    }
    bounds::check_encoded(bytes)?;
    let model = ModelProto::decode(buffer)
        .map_err(|error| format!("it is not an ONNX file, or a damaged one ({error})"))?;
    let Some(graph) = &model.graph else {
        return Err("it is not an ONNX file, or a truncated one: it holds no graph".into());
    };
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err("its graph computes nothing".into());
    }
    check_graph(graph)?;
    bounds::check_functions(&model)?;
    for function in &model.functions {
        check_nodes(&function.node)?;
        check_attributes(&function.attribute_proto)?;
    }
    Ok(model)
}

/// The bytes of a model.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// The bytes of a model without the weights that [`decode_shared`] left in `file`: these are
/// referred to as parts of the external data [`WEIGHTS`], which is `file` itself.
pub fn encode_beside(mut model: ModelProto, file: &[u8]) -> Vec<u8> {
    let tensors = model.graph.iter_mut().flat_map(|g| &mut g.initializer);
    for tensor in tensors {
        let Some(raw) = &tensor.raw_data else {
            continue;
        };
        let offset = (raw.as_ptr() as usize).checked_sub(file.as_ptr() as usize);
        let Some(offset) = offset.filter(|at| at + raw.len() <= file.len()) else {
            continue; // made by an edit
        };
        if raw.len() < MIN_REFERENCE {
            continue;
        }
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        tensor.external_data = vec![
            entry("location", WEIGHTS.into()),
            entry("offset", offset.to_string()),
            entry("length", raw.len().to_string()),
        ];
        tensor.data_location = Some(EXTERNAL);
        tensor.raw_data = None;
    }
    encode(&model)
}

fn check_graph(graph: &GraphProto) -> Result<(), String> {
    check_nodes(&graph.node)?;
    graph.initializer.iter().try_for_each(check_tensor)?;
    graph.sparse_initializer.iter().try_for_each(check_sparse)
}

fn check_nodes(nodes: &[NodeProto]) -> Result<(), String> {
    for node in nodes {
        // such a node names a file with compiled code, which the runtime would load
        if node.op_type.as_deref() == Some("EPContext") {
            return Err("it holds compiled code (an EPContext node), which is not accepted".into());
        }
        check_attributes(&node.attribute)?;
    }
    Ok(())
}

fn check_attributes(attributes: &[AttributeProto]) -> Result<(), String> {
    for attribute in attributes {
        attribute.t.iter().try_for_each(check_tensor)?;
        attribute.tensors.iter().try_for_each(check_tensor)?;
        attribute.sparse_tensor.iter().try_for_each(check_sparse)?;
        attribute.sparse_tensors.iter().try_for_each(check_sparse)?;
        attribute.g.iter().try_for_each(check_graph)?;
        attribute.graphs.iter().try_for_each(check_graph)?;
    }
    Ok(())
}

fn check_sparse(tensor: &SparseTensorProto) -> Result<(), String> {
    tensor.values.iter().try_for_each(check_tensor)?;
    tensor.indices.iter().try_for_each(check_tensor)
}

fn check_tensor(tensor: &TensorProto) -> Result<(), String> {
    if tensor.data_location.unwrap_or(0) == 0 && tensor.external_data.is_empty() {
        return Ok(());
    }
    Err(format!(
        "its tensor `{}` is stored in another file, and only files that hold their own weights are accepted; \
         onnx.save(onnx.load(\"in.onnx\"), \"out.onnx\") in Python joins them",
        abbreviate(tensor.name.as_deref().unwrap_or_default(), LONGEST_NAME)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::build::GraphBuilder;
    use super::super::edit;
    use super::*;

    fn sample() -> ModelProto {
        GraphBuilder::new("sample", 17)
            .input("x", &[1, 3, -1, -1])
            .constant("w", &[1], &[2.0])
            .node("Mul", &["x", "w"], &["y"])
            .output("y", &[1, 3, -1, -1])
            .metadata("vfiinterp.name", "sample")
            .finish()
    }

    #[test]
    fn a_model_survives_encoding() {
        let model = sample();
        assert_eq!(decode(&encode(&model)), Ok(model));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let reason = |bytes: &[u8]| decode(bytes).err().unwrap_or_default();
        assert_eq!(reason(b""), "it is empty");
        assert!(reason(b"This is a text file, not a network.\n").contains("not an ONNX file"));
        assert!(reason(b"\x08\x08").contains("no graph"));
        let bytes = encode(&sample());
        for length in 1..bytes.len() {
            // every cut is refused or leaves a model that is whole (only its trailing fields are gone)
            if let Ok(model) = decode(&bytes[..length]) {
                assert_eq!(model.graph, sample().graph);
            }
        }
    }

    #[test]
    fn external_data_is_refused_wherever_it_hides() {
        let outside = TensorProto {
            name: Some("w".into()),
            data_location: Some(1),
            ..TensorProto::default()
        };
        let mut model = sample();
        let graph = model.graph.get_or_insert_default();
        graph.initializer.push(outside.clone());
        assert!(decode(&encode(&model)).is_err_and(|reason| reason.contains("`w`")));

        let mut model = sample();
        let attribute = AttributeProto {
            g: Some(GraphProto {
                initializer: vec![outside],
                ..GraphProto::default()
            }),
            ..AttributeProto::default()
        };
        let graph = model.graph.get_or_insert_default();
        graph.node[0].attribute.push(attribute);
        assert!(decode(&encode(&model)).is_err_and(|reason| reason.contains("another file")));
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_refused_or_read_but_never_panic(
            damage in proptest::collection::vec((0_usize..4096, 0_u8..), 1..8),
            length in 0_usize..4096,
        ) {
            let mut bytes = encode(&sample());
            for (place, value) in damage {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            bytes.truncate(length.max(1));
            if let Ok(mut model) = decode(&bytes) {
                edit::use_own_grid_sample(&mut model);
                edit::prune(model.graph.get_or_insert_default());
            }
        }
    }
}
