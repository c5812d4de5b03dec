//! Reading and writing models, and what is looked at when one is read.

use bytes::{Buf, Bytes};
use prost::Message;

use super::bounds::{self, MAX_FILE_BYTES};
use super::external::{self, EXTERNAL, FilesBeside, Resolver};
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, StringStringEntryProto,
    TensorProto,
};

/// The name by which a graph refers to the bytes its weights lie in, after [`encode_beside`].
pub const WEIGHTS: &str = "weights";
/// Tensors below this size are not worth a reference.
const MIN_REFERENCE: usize = 1024;

/// Reads a model and checks that it holds everything itself and stays within bounds.
///
/// # Errors
/// Why the bytes are refused.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, String> {
    decode_from(bytes, bytes, &mut |tensor| external::refuse(tensor))
}

/// Reads a model without copying its weights: its tensors are parts of `file`, and of the files
/// beside it that `beside` gives by the names the model has for them ([`files_beside`]).
///
/// # Errors
/// Why the bytes are refused.
pub fn decode_shared(
    file: &Bytes,
    beside: impl Fn(&str) -> Option<Bytes>,
) -> Result<ModelProto, String> {
    let mut resolver = Resolver::new(beside);
    decode_from(file, file.clone(), &mut |tensor| resolver.resolve(tensor))
}

/// Finds the files beside a model's that its tensors lie in. All of the names stay in its folder.
///
/// # Errors
/// Why the bytes are refused, or which name leads elsewhere.
pub fn files_beside(file: &Bytes) -> Result<FilesBeside, String> {
    let mut found = FilesBeside::new();
    decode_from(file, file.clone(), &mut |tensor| {
        external::collect(tensor, &mut found)
    })?;
    Ok(found)
}

/// Takes a tensor that was read.
type Take<'a> = &'a mut dyn FnMut(&mut TensorProto) -> Result<(), String>;

fn decode_from(bytes: &[u8], buffer: impl Buf, take: Take) -> Result<ModelProto, String> {
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
    let mut model = ModelProto::decode(buffer)
        .map_err(|error| format!("it is not an ONNX file, or a damaged one ({error})"))?;
    let Some(graph) = &mut model.graph else {
        return Err("it is not an ONNX file, or a truncated one: it holds no graph".into());
    };
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err("its graph computes nothing".into());
    }
    take_graph(graph, take)?;
    bounds::check_functions(&model)?;
    for function in &mut model.functions {
        take_nodes(&mut function.node, take)?;
        take_attributes(&mut function.attribute_proto, take)?;
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

fn take_graph(graph: &mut GraphProto, take: Take) -> Result<(), String> {
    take_nodes(&mut graph.node, take)?;
    graph.initializer.iter_mut().try_for_each(&mut *take)?;
    let mut sparse = graph.sparse_initializer.iter_mut();
    sparse.try_for_each(|tensor| take_sparse(tensor, take))
}

fn take_nodes(nodes: &mut [NodeProto], take: Take) -> Result<(), String> {
    for node in nodes {
        // such a node names a file with compiled code, which the runtime would load
        if node.op_type.as_deref() == Some("EPContext") {
            return Err("it holds compiled code (an EPContext node), which is not accepted".into());
        }
        take_attributes(&mut node.attribute, take)?;
    }
    Ok(())
}

fn take_attributes(attributes: &mut [AttributeProto], take: Take) -> Result<(), String> {
    for attribute in attributes {
        let tensors = attribute.t.iter_mut().chain(&mut attribute.tensors);
        tensors.into_iter().try_for_each(&mut *take)?;
        let one = attribute.sparse_tensor.iter_mut();
        for tensor in one.chain(&mut attribute.sparse_tensors) {
            take_sparse(tensor, take)?;
        }
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            take_graph(graph, take)?;
        }
    }
    Ok(())
}

fn take_sparse(tensor: &mut SparseTensorProto, take: Take) -> Result<(), String> {
    let parts = tensor.values.iter_mut().chain(&mut tensor.indices);
    parts.into_iter().try_for_each(take)
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
