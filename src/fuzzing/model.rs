//! Files: bytes become a model, which is recognised, edited and written again.

use bytes::Bytes;
use prost::Message;

use crate::models::loading::{normalise, siamese};
use crate::models::signature::Signature;
use crate::models::signature::metadata::{MAX_ALIGN, Stated};
use crate::models::signature::types::{Inputs, Outputs};
use onnx_graph::blend::Blend;
use onnx_graph::proto::{ModelProto, TensorProto};
use onnx_graph::{convolutions, edit, functions, half};

/// Messages are read by people.
pub(super) const LONGEST_MESSAGE: usize = 8 << 10;

/// Takes any bytes as a file, which stands for all files beside it, too.
pub fn model(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    match onnx_graph::decode_shared(&file, |_| Some(file.clone())) {
        Ok(model) => edited(&model, &file, &Stated::default()),
        Err(why) => assert!(why.len() <= LONGEST_MESSAGE, "{} bytes", why.len()),
    }
}

/// Takes a model that was accepted the way it takes to a session.
pub(super) fn edited(model: &ModelProto, file: &Bytes, stated: &Stated) {
    let encoded = onnx_graph::encode(model);
    let again = onnx_graph::decode(&encoded).map(|again| onnx_graph::encode(&again));
    assert_eq!(
        again.as_ref(),
        Ok(&encoded),
        "writing and reading it changes nothing"
    );
    referred(model, file);

    let mut model = model.clone();
    edit::use_own_grid_sample(&mut model.clone());
    functions::hand_over_stages(&mut model.clone());
    convolutions::use_own_convolutions(&mut model.clone());
    let mut inlined = model.clone();
    match functions::inline(&mut inlined) {
        Ok(()) => halved(&inlined),
        Err(_) => assert_eq!(inlined, model),
    }
    halved(&model);
    let mut signature = match Signature::of(&model, stated) {
        Ok(signature) => signature,
        Err(why) => {
            assert!(why.len() <= LONGEST_MESSAGE, "{} bytes", why.len());
            return;
        }
    };
    consistent(&model, &signature);
    normalise::normalise(&mut model, &mut signature);
    consistent(&model, &signature);
    if let (Some(graph), Outputs::Picture(output)) = (&model.graph, &signature.outputs)
        && let Ok(blend) = Blend::find(graph, output)
    {
        for swapped in [false, true] {
            let mut cut = model.clone();
            let (flow, mask) = blend.cut(&mut cut, swapped);
            let names = outputs(&cut);
            assert!(names == [flow.as_str(), mask.as_str()], "{names:?}");
            edit::prune(cut.graph.get_or_insert_default());
            halved(&cut);
        }
    }
    parted(&model, &signature);
    edit::prune(model.graph.get_or_insert_default());
    parted(&model, &signature);
    let left = model.clone();
    assert_eq!(edit::prune(model.graph.get_or_insert_default()), 0);
    assert_eq!(
        onnx_graph::encode(&model),
        onnx_graph::encode(&left),
        "pruning once is enough"
    );
    edit::use_own_grid_sample(&mut model);
    halved(&model);
    referred(&model, file);
}

/// Splits a copy, if there is an encoder in it: what one part gives the other takes, for either
/// picture.
fn parted(model: &ModelProto, signature: &Signature) {
    let Some(parts) = siamese::split(model, signature) else {
        return;
    };
    let graph = parts.rest.graph.as_ref();
    let inputs: Vec<_> = graph.iter().flat_map(|graph| &graph.input).collect();
    let takes = |name: &String| inputs.iter().any(|input| input.name.as_ref() == Some(name));
    assert!(parts.features.iter().flatten().all(takes));
    assert_eq!(outputs(&parts.encoder), parts.features[0]);
    assert_eq!(parts.features[0].len(), parts.features[1].len());
    halved(&parts.encoder);
    halved(&parts.rest);
}

/// Converts a copy to 16 bits; a refusal leaves it as it was.
fn halved(model: &ModelProto) {
    let mut copy = model.clone();
    if half::halve(&mut copy).is_err() {
        assert_eq!(onnx_graph::encode(&copy), onnx_graph::encode(model));
    }
}

/// Leaves the weights where they are: what refers to them says where they really are.
fn referred(model: &ModelProto, file: &Bytes) {
    let encoded = onnx_graph::encode_beside(model.clone(), file);
    let decoded = ModelProto::decode(encoded.as_slice());
    let tensors = |model: &ModelProto| {
        let graph = model.graph.as_ref();
        graph.map(|g| g.initializer.clone()).unwrap_or_default()
    };
    let after = decoded.map(|model| tensors(&model)).unwrap_or_default();
    let before = tensors(model);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        let entry = |key: &str| {
            let mut entries = after.external_data.iter();
            let entry = entries.find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.as_deref())
        };
        if let Some(offset) = entry("offset") {
            assert_eq!(entry("location"), Some(onnx_graph::WEIGHTS));
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
            let (offset, length) = (number(Some(offset)), number(entry("length")));
            let found = offset
                .zip(length)
                .map(|(at, length)| file.slice(at..at + length));
            assert_eq!(found, before.raw_data);
        } else {
            assert_eq!(TensorProto::encode_to_vec(before), after.encode_to_vec());
        }
    }
}

fn outputs(model: &ModelProto) -> Vec<&str> {
    let values = model.graph.iter().flat_map(|graph| &graph.output);
    values.filter_map(|value| value.name.as_deref()).collect()
}

/// A signature speaks of what is there, in numbers that can be used.
fn consistent(model: &ModelProto, signature: &Signature) {
    let graph = model.graph.as_ref();
    let values = graph.iter().flat_map(|graph| &graph.input);
    // what has no name is called by an empty one, which no session knows
    let named = |name: &str| {
        values
            .clone()
            .any(|value| value.name.as_deref().unwrap_or_default() == name)
    };
    match &signature.inputs {
        Inputs::Pictures([a, b]) => assert!(named(a) && named(b)),
        Inputs::PicturesAndTimestep {
            pictures: [a, b],
            timestep,
            ..
        } => assert!(named(a) && named(b) && named(timestep)),
        Inputs::Stacked { name, channels } => {
            assert!(named(name) && matches!(channels, 6 | 7 | 8 | 11));
        }
    }
    let given = graph.iter().flat_map(|graph| &graph.output);
    let given = |name: &str| {
        given
            .clone()
            .any(|value| value.name.as_deref().unwrap_or_default() == name)
    };
    match &signature.outputs {
        Outputs::Motion { flow, mask } => assert!(given(flow) && given(mask)),
        Outputs::Picture(picture) => assert!(given(picture)),
    }
    assert!((1..=MAX_ALIGN).contains(&signature.align));
    assert!(signature.fixed.is_none_or(|(w, h)| w > 0 && h > 0));
    let notes: usize = signature.notes.iter().map(String::len).sum();
    assert!(notes <= 4 * LONGEST_MESSAGE, "{notes} bytes of notes");
}
