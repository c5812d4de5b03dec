use onnx_graph::build::{GraphBuilder, ints};
use onnx_graph::{decode, encode};

use super::*;
use crate::models::loading::catalog::VFI_LITE;
use crate::models::signature::metadata::Stated;

const PICTURE: &[i64] = &[1, 3, -1, -1];

/// Weights of many names, of which `look` and `same` hold the same numbers.
fn begun() -> GraphBuilder {
    let numbers: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let others: Vec<f32> = numbers.iter().map(|i| i + 1.0).collect();
    GraphBuilder::new("siamese", 17)
        .constant("look", &[4, 3, 1, 1], &numbers)
        .constant("same", &[4, 3, 1, 1], &numbers)
        .constant("other", &[4, 3, 1, 1], &others)
        .constant("shaped", &[4, 3, 2, 2], &[0.5; 48])
        .constant("slope", &[1], &[0.1])
        .constant("half", &[1], &[0.5])
        .integers("zero", &[0])
        .integers("one", &[1])
        .integers("three", &[3])
        .integers("six", &[6])
        .integers("last", &[i64::MAX])
}

fn two() -> GraphBuilder {
    begun().input("img0", PICTURE).input("img1", PICTURE)
}

/// The end of a network: a picture of all of these.
fn ended(builder: GraphBuilder, all: &[&str]) -> ModelProto {
    builder
        .node_with("Concat", all, &["all"], vec![int("axis", 1)])
        .node("ReduceMax", &["all"], &["output"])
        .output("output", PICTURE)
        .finish()
}

fn split_checked(mut model: ModelProto) -> Option<Parts> {
    let signature = Signature::of(&model, &Stated::default()).unwrap_or_else(|why| panic!("{why}"));
    edit::prune(model.graph.get_or_insert_default());
    let before = model.clone();
    let parts = split(&model, &signature);
    assert_eq!(model, before);
    for part in parts.iter().flat_map(|parts| [&parts.encoder, &parts.rest]) {
        assert_eq!(decode(&encode(part)).as_ref(), Ok(part));
    }
    parts
}

fn operators(model: &ModelProto) -> Vec<&str> {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes.map(|node| node.op_type()).collect()
}

fn inputs(model: &ModelProto) -> Vec<&str> {
    let inputs = model.graph.iter().flat_map(|graph| &graph.input);
    inputs.map(|input| input.name()).collect()
}

/// The parts of a network that there is an encoder in, with these features for either picture.
#[track_caller]
fn found(model: ModelProto, features: [&[&str]; 2]) -> Parts {
    let parts = split_checked(model).expect("there is an encoder");
    assert_eq!(parts.features, features.map(|names| names.to_vec()));
    let graph = parts.encoder.graph.as_ref();
    let outputs = graph.map(|graph| graph.output.iter().map(|o| o.name()).collect::<Vec<_>>());
    assert_eq!(outputs.as_deref(), Some(features[0]));
    assert_eq!(inputs(&parts.encoder), [parts.picture.as_str()]);
    parts
}

#[test]
fn twins_are_found_and_the_rest_takes_what_they_give() {
    let model = two()
        .node("Conv", &["img0", "look"], &["a0"])
        .node("PRelu", &["a0", "slope"], &["b0"])
        .node("Conv", &["img1", "look"], &["a1"])
        .node("PRelu", &["a1", "slope"], &["b1"]);
    let model = ended(model, &["img0", "b0", "img1", "b1"]);
    let parts = found(model, [&["b0"], &["b1"]]);
    assert_eq!(parts.picture, "img0");
    assert_eq!(operators(&parts.encoder), ["Conv", "PRelu"]);
    assert_eq!(operators(&parts.rest), ["Concat", "ReduceMax"]);
    assert_eq!(inputs(&parts.rest), ["img0", "img1", "b0", "b1"]);
    assert_eq!(parts.work, (1, 2));
    let rest = parts.rest.graph.unwrap_or_default();
    assert!(rest.initializer.is_empty(), "its weights went, too");
}

#[test]
fn weights_are_the_numbers_in_them() {
    let with = |weights: &str, more: Vec<_>| {
        let model = two().node("Conv", &["img0", "look"], &["a0"]).node_with(
            "Conv",
            &["img1", weights],
            &["a1"],
            more,
        );
        split_checked(ended(model, &["a0", "a1"]))
    };
    assert!(with("look", vec![]).is_some());
    assert!(with("same", vec![]).is_some());
    assert_eq!(with("other", vec![]), None);
    assert_eq!(with("shaped", vec![]), None);
    assert_eq!(with("look", vec![ints("pads", &[1, 1, 1, 1])]), None);
}

#[test]
fn what_is_not_alike_is_left_where_it_is() {
    // the second is looked at once more: up to there they are twins
    let model = two()
        .node("Conv", &["img0", "look"], &["a0"])
        .node("Conv", &["img1", "look"], &["a1"])
        .node("Relu", &["a0"], &["b0"])
        .node("Abs", &["a1"], &["b1"]);
    let parts = found(ended(model, &["b0", "b1"]), [&["a0"], &["a1"]]);
    assert_eq!(
        operators(&parts.rest),
        ["Relu", "Abs", "Concat", "ReduceMax"]
    );
    // only one of them is looked at
    let model = two().node("Conv", &["img0", "look"], &["a0"]);
    assert_eq!(split_checked(ended(model, &["a0", "img1"])), None);
    // what is found is of both
    let model =
        two()
            .node("Add", &["img0", "img1"], &["sum"])
            .node("Conv", &["sum", "look"], &["a0"]);
    assert_eq!(split_checked(ended(model, &["a0"])), None);
}

#[test]
fn what_takes_no_time_is_no_encoder() {
    let model =
        two()
            .node("Mul", &["img0", "half"], &["a0"])
            .node("Mul", &["img1", "half"], &["a1"]);
    assert_eq!(split_checked(ended(model, &["a0", "a1"])), None);
    let builtin = decode(VFI_LITE).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(split_checked(builtin), None);
}

#[test]
fn the_phase_is_no_part_of_a_picture() {
    let model = two()
        .input("timestep", &[1])
        .node("Conv", &["img0", "look"], &["a0"])
        .node("Conv", &["img1", "look"], &["a1"])
        .node("Mul", &["a0", "timestep"], &["b0"])
        .node("Mul", &["a1", "timestep"], &["b1"]);
    let parts = found(ended(model, &["b0", "b1"]), [&["a0"], &["a1"]]);
    assert_eq!(
        inputs(&parts.rest),
        ["img0", "img1", "timestep", "a0", "a1"]
    );
}

/// As RIFE has it: what is found is joined to the picture, and both are read together and apart.
#[test]
fn pictures_are_not_kept_with_what_is_found_in_them() {
    let mut model = two();
    for side in ["0", "1"] {
        let [img, a, seen, colours, rest] =
            ["img", "a", "seen", "colours", "rest"].map(|name| format!("{name}{side}"));
        model = model
            .node("Conv", &[&img, "look"], &[&a])
            .node_with("Concat", &[&img, &a], &[&seen], vec![int("axis", 1)])
            .node("Slice", &[&seen, "zero", "three", "one"], &[&colours])
            .node("Slice", &[&seen, "three", "last", "one"], &[&rest]);
    }
    let all = ["seen0", "colours0", "rest0", "seen1", "colours1", "rest1"];
    let parts = found(ended(model, &all), [&["a0"], &["a1"]]);
    assert_eq!(operators(&parts.encoder), ["Conv"]);
}

#[test]
fn what_is_computed_twice_is_one_feature() {
    let mut model = two();
    for (img, a) in [
        ("img0", "a0"),
        ("img1", "a1"),
        ("img0", "again"),
        ("img1", "anew"),
    ] {
        model = model.node("Conv", &[img, "look"], &[a]);
    }
    let parts = found(
        ended(model, &["a0", "a1", "again", "anew"]),
        [&["a0"], &["a1"]],
    );
    assert_eq!(
        operators(&parts.rest),
        ["Identity", "Identity", "Concat", "ReduceMax"]
    );
    assert_eq!(operators(&parts.encoder), ["Conv"]);
}

#[test]
fn pictures_are_taken_out_of_one_input_in_any_way() {
    for channels in [6, 7, 8, 11] {
        let stacked = || begun().input("x", &[1, channels, -1, -1]);
        let sliced = |builder: GraphBuilder, from: &str| {
            builder
                .node("Slice", &[from, "zero", "three", "one"], &["img0"])
                .node("Slice", &[from, "three", "six", "one", "one"], &["img1"])
        };
        let conversion = vec![int("to", 1)];
        let ways = [
            sliced(stacked(), "x"),
            // by parts
            stacked()
                .integers("sizes", &[3, 3, channels - 6])
                .node_with(
                    "Split",
                    &["x", "sizes"],
                    &["img0", "img1", "others"],
                    vec![int("axis", 1)],
                ),
            // by numbers
            stacked()
                .integers("first", &[0, 1, 2])
                .integers("second", &[3, 4, 5])
                .node_with("Gather", &["x", "first"], &["img0"], vec![int("axis", 1)])
                .node_with("Gather", &["x", "second"], &["img1"], vec![int("axis", 1)]),
            // from what was padded to a size that is computed, converted and scaled
            sliced(
                stacked()
                    .node("Shape", &["x"], &["shape"])
                    .node("Pad", &["x", "shape"], &["padded"])
                    .node_with("Cast", &["padded"], &["converted"], conversion)
                    .node("Mul", &["half", "converted"], &["scaled"]),
                "scaled",
            ),
        ];
        for (way, builder) in ways.into_iter().enumerate() {
            let model = builder.node("Conv", &["img0", "look"], &["a0"]).node(
                "Conv",
                &["img1", "look"],
                &["a1"],
            );
            let model = ended(model, &["img0", "img1", "a0", "a1"]);
            let parts = found(model, [&["a0"], &["a1"]]);
            assert_eq!(parts.picture, super::PICTURE, "{channels} {way}");
            // in place of all comes one picture again and again
            let encoder = operators(&parts.encoder);
            assert_eq!(encoder.first(), Some(&"Gather"));
            assert_eq!(inputs(&parts.rest), ["x", "a0", "a1"]);
        }
    }
}

#[test]
fn pictures_that_are_joined_and_parted_are_still_told_apart() {
    let both = vec![int("axis", 1)];
    let joined = |first: &str, second: &str| {
        let model = two()
            .node_with("Concat", &["img0", "img1"], &["both"], both.clone())
            .node("Slice", &["both", "zero", first, "one"], &["x0"])
            .node("Slice", &["both", second, "last", "one"], &["x1"])
            .node("Conv", &["x0", "look"], &["a0"])
            .node("Conv", &["x1", "look"], &["a1"]);
        split_checked(ended(model, &["a0", "a1"]))
    };
    assert!(joined("three", "three").is_some());
    // something of the other one is in it
    assert_eq!(joined("six", "zero"), None);
}

#[test]
fn shapes_go_on_working() {
    let mut model = two();
    // each is scaled to the first one's size, and to that of what was found in it
    for side in ["0", "1"] {
        let [img, a, b, c, inner] =
            ["img", "a", "b", "c", "inner"].map(|name| format!("{name}{side}"));
        model = model
            .node("Shape", &["img1"], &[&format!("shape{side}")])
            .node("Conv", &[&img, "look"], &[&a])
            .node("Resize", &[&a, "", "", &format!("shape{side}")], &[&b])
            .node("Shape", &[&a], &[&inner])
            .node("Resize", &[&b, "", "", &inner], &[&c]);
    }
    let model =
        model
            .node("Shape", &["img0"], &["shape"])
            .node("ConstantOfShape", &["shape"], &["zeros"]);
    let parts = found(ended(model, &["zeros", "c0", "c1"]), [&["c0"], &["c1"]]);
    // the other picture's shape is the picture's own
    let encoder = ["Identity", "Shape", "Conv", "Resize", "Shape", "Resize"];
    assert_eq!(operators(&parts.encoder), encoder);
    let rest = ["Shape", "ConstantOfShape", "Concat", "ReduceMax"];
    assert_eq!(operators(&parts.rest), rest);
}

#[test]
fn a_shape_that_takes_work_on_both_is_not_waited_for() {
    let mut model = two()
        .node("Add", &["img0", "img1"], &["sum"])
        .node("Conv", &["sum", "look"], &["far"])
        .node("Shape", &["far"], &["shape"]);
    for side in ["0", "1"] {
        let [img, a, b] = ["img", "a", "b"].map(|name| format!("{name}{side}"));
        model = model.node("Conv", &[&img, "look"], &[&a]).node(
            "Resize",
            &[&a, "", "", "shape"],
            &[&b],
        );
    }
    let parts = found(ended(model, &["b0", "b1"]), [&["a0"], &["a1"]]);
    assert_eq!(operators(&parts.encoder), ["Conv"]);
}

#[test]
fn what_needs_more_than_a_picture_to_run_is_left() {
    let model = two()
        .input("timestep", &[1, 1, -1, -1])
        .node("Shape", &["timestep"], &["shape"])
        .node("Conv", &["img0", "look"], &["a0"])
        .node("Conv", &["img1", "look"], &["a1"])
        .node("Expand", &["a0", "shape"], &["b0"])
        .node("Expand", &["a1", "shape"], &["b1"])
        .node("Relu", &["b0"], &["c0"])
        .node("Relu", &["b1"], &["c1"]);
    assert_eq!(split_checked(ended(model, &["c0", "c1"])), None);
    // nor what is an answer itself
    let model = two()
        .node("Conv", &["img0", "look"], &["a0"])
        .node("Conv", &["img1", "look"], &["a1"])
        .node("Add", &["a0", "a1"], &["sum"])
        .output("a0", PICTURE)
        .output("sum", &[1, 4, -1, -1])
        .finish();
    let given = ["a0", "sum"];
    let mut signed = model.clone();
    signed.graph.get_or_insert_default().output.pop();
    let signature =
        Signature::of(&signed, &Stated::default()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        model.graph.as_ref().map(|graph| graph.output.len()),
        Some(given.len())
    );
    assert_eq!(split(&model, &signature), None);
}
