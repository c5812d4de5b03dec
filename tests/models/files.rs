//! Contents of files: stored weights, types of numbers, further inputs.

use super::*;

#[test]
fn stored_weights_arrive_bit_by_bit() {
    let (mut network, weights) = {
        let (bytes, weights) = fixtures::add_stored(64, 64);
        (load("stored.onnx", &bytes), weights)
    };
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimate_picture(&mut network, &prepared, 0.5);
    for ((found, a), stored) in found.data.iter().zip(&pictures[0].data).zip(&weights) {
        assert_eq!(*found, a / 2.0 + stored);
    }
}

#[test]
fn weights_in_a_file_beside_the_model_s_give_what_the_joined_file_gives() {
    let (joined, weights) = fixtures::add_stored(64, 64);
    let (bytes, beside) = fixtures::moved_beside(&joined, "stored.onnx.data");
    let file = TemporaryFile::new("stored.onnx", &bytes);
    std::fs::write(format!("{}.data", file.path()), &beside).unwrap();
    let mut network = Interpolator::load(&options(file.path())).unwrap();
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimate_picture(&mut network, &prepared, 0.5);
    for ((found, a), stored) in found.data.iter().zip(&pictures[0].data).zip(&weights) {
        assert_eq!(*found, a / 2.0 + stored);
    }
    // other weights under the same model are another network
    std::fs::write(format!("{}.data", file.path()), vec![0; beside.len()]).unwrap();
    let other = Interpolator::load(&options(file.path())).unwrap();
    assert!(!other.info().shared);
}

#[test]
fn networks_in_bfloat16_run_in_32_bits() {
    const BFLOAT16: i32 = onnx_graph::BFLOAT16;
    let dims: &[i64] = &[1, 3, -1, -1];
    let mut model = GraphBuilder::new("brain", 17)
        .typed_input("a", BFLOAT16, dims)
        .typed_input("b", BFLOAT16, dims)
        .node("Add", &["a", "b"], &["sum"])
        .node("Mul", &["sum", "half"], &["y"])
        .typed_output("y", BFLOAT16, dims)
        .finish();
    let half = TensorProto::filled(BFLOAT16, &[1], 0.5).unwrap();
    model.graph.as_mut().unwrap().initializer.push(TensorProto {
        name: Some("half".into()),
        ..half
    });
    let mut network = load("brain.onnx", &encode(&model));
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimate_picture(&mut network, &prepared, 0.5);
    assert_blend(&found, &pictures, 0.5);
}

/// Blends at a timestep of this type; `more` is declared as well, and what is read from it is added.
fn blend_of(element: i32, more: Option<&str>) -> Vec<u8> {
    let dims: &[i64] = &[1, 3, -1, -1];
    let to_float = || vec![int("to", onnx_graph::FLOAT.into())];
    let mut builder = GraphBuilder::new("blend", 17)
        .input("img0", dims)
        .input("img1", dims)
        .typed_input("t", element, &[1])
        .constant("one", &[1], &[1.0])
        .node_with("Cast", &["t"], &["second"], to_float())
        .node("Sub", &["one", "second"], &["first"])
        .node("Mul", &["img0", "first"], &["a"])
        .node("Mul", &["img1", "second"], &["b"])
        .node("Add", &["a", "b"], &["both"]);
    builder = match more {
        Some(name) => builder
            .typed_input(name, onnx_graph::INT64, &[])
            .node_with("Cast", &[name], &["more"], to_float())
            .node("Add", &["both", "more"], &["y"]),
        None => builder.node("Identity", &["both"], &["y"]),
    };
    encode(&builder.output("y", dims).finish())
}

#[test]
fn moments_of_64_bits_are_fed() {
    let mut network = load("double.onnx", &blend_of(onnx_graph::DOUBLE, None));
    let (pictures, prepared) = pair(&network, 64, 64);
    assert!(network.info().any_phase);
    let found = estimate_picture(&mut network, &prepared, 0.25);
    assert_blend(&found, &pictures, 0.25);
    let whole = TemporaryFile::new("whole.onnx", &blend_of(onnx_graph::INT64, None));
    let said = refusal(whole.path()).to_string();
    assert!(said.contains("`t` int64 [1] takes whole numbers"), "{said}");
}

#[test]
fn a_further_input_holds_what_is_stated() {
    let file = TemporaryFile::new("more.onnx", &blend_of(onnx_graph::FLOAT, Some("steps")));
    let said = refusal(file.path()).to_string();
    assert!(
        said.contains("`steps` int64 []") && said.contains("input.steps="),
        "{said}"
    );
    for steps in [0, 1] {
        let stated = LoadOptions {
            info: format!("input.steps={steps}"),
            ..options(file.path())
        };
        let mut network = Interpolator::load(&stated).unwrap();
        let (pictures, prepared) = pair(&network, 64, 64);
        let found = estimate_picture(&mut network, &prepared, 0.25);
        match steps {
            0 => assert_blend(&found, &pictures, 0.25),
            _ => assert!(found.data.iter().all(|value| *value == 1.0)),
        }
    }
}
