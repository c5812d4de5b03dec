use super::super::build::{GraphBuilder, float, int, ints, text};
use super::super::codec::{decode, encode};
use super::*;

const PICTURE: &[i64] = &[1, 3, -1, -1];

/// The operators, each with `16` or `32` for the bits of what it gives.
fn described(model: &ModelProto) -> Vec<String> {
    let graph = model.graph.clone().unwrap_or_default();
    let types = element_types(&graph);
    let nodes = graph.node.iter();
    let described = nodes.map(|node| {
        let element = node.output.first().and_then(|name| types.get(name));
        let bits = match element {
            Some(&FLOAT) => "32",
            Some(&FLOAT16) => "16",
            _ => "",
        };
        format!("{}{bits}", node.op_type())
    });
    described.collect()
}

fn halved(builder: GraphBuilder) -> ModelProto {
    let mut model = builder.finish();
    let before = model.clone();
    let count = halve(&mut model).unwrap_or_else(|why| panic!("{why}"));
    assert!(count > 0);
    assert_eq!(decode(&encode(&model)).as_ref(), Ok(&model));
    let io = |model: &ModelProto| model.graph.clone().map(|g| (g.input, g.output));
    assert_eq!(
        io(&model),
        io(&before),
        "inputs and outputs stay as they are"
    );
    model
}

#[test]
fn convolutions_work_in_16_bits_between_conversions() {
    let model = halved(
        GraphBuilder::new("net", 17)
            .input("x", PICTURE)
            .constant("w", &[3, 3, 1, 1], &[0.5; 9])
            .constant("slope", &[1], &[0.1])
            .node("Conv", &["x", "w"], &["a"])
            .node("PRelu", &["a", "slope"], &["b"])
            .node("Conv", &["b", "w"], &["y"])
            .output("y", PICTURE),
    );
    let expected = [
        "Cast16",
        "Conv16",
        "PRelu16",
        "Conv16",
        "Cast32",
        "Identity32",
    ];
    assert_eq!(described(&model), expected);
    let graph = model.graph.unwrap_or_default();
    let stored: Vec<_> = stored(&graph)
        .map(|(name, t)| (name, t.data_type))
        .collect();
    assert_eq!(
        stored,
        [("w/half", Some(FLOAT16)), ("slope/half", Some(FLOAT16))]
    );
    assert_eq!(
        graph.initializer[0].raw_data.as_deref().map(<[u8]>::len),
        Some(18)
    );
}

#[test]
fn positions_and_sampling_stay_in_32_bits() {
    let model = halved(
        GraphBuilder::new("warp", 17)
            .input("x", PICTURE)
            .input("base", &[1, -1, -1, 2])
            .constant("w", &[2, 3, 1, 1], &[0.5; 6])
            .constant("unit", &[1], &[0.01])
            .node("Conv", &["x", "w"], &["flow"])
            .node("Mul", &["flow", "unit"], &["scaled"])
            .node_with(
                "Transpose",
                &["scaled"],
                &["moved"],
                vec![ints("perm", &[0, 2, 3, 1])],
            )
            .node("Add", &["moved", "base"], &["grid"])
            .node_with(
                "GridSample",
                &["x", "grid"],
                &["warped"],
                vec![text("mode", "bilinear")],
            )
            .node("Relu", &["warped"], &["y"])
            .output("y", PICTURE),
    );
    let expected = [
        "Cast16",
        "Conv16",
        "Cast32",
        "Mul32",
        "Transpose32",
        "Add32",
        "GridSample32",
        "Cast16",
        "Relu16",
        "Cast32",
        "Identity32",
    ];
    assert_eq!(described(&model), expected);
}

#[test]
fn factors_and_sizes_of_resizing_stay_as_they_are() {
    let model = halved(
        GraphBuilder::new("resize", 17)
            .input("x", PICTURE)
            .constant("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
            .node("Relu", &["x"], &["a"])
            .node("Resize", &["a", "", "scales"], &["b"])
            .node("Relu", &["b"], &["y"])
            .output("y", PICTURE),
    );
    let graph = model.graph.unwrap_or_default();
    let resize = graph.node.iter().find(|node| node.op_type() == "Resize");
    let inputs = resize.map(|node| node.input.clone()).unwrap_or_default();
    assert_eq!(inputs, ["a", "", "scales"]);
    assert_eq!(graph.initializer[0].data_type, Some(FLOAT));
}

#[test]
fn numbers_that_16_bits_cannot_hold_keep_their_node() {
    for number in [1e6, 1e-9] {
        let model = halved(
            GraphBuilder::new("numbers", 17)
                .input("x", PICTURE)
                .node_with("Constant", &[], &["n"], vec![float("value_float", 2.0)])
                .constant("number", &[1], &[number])
                .node("Relu", &["x"], &["a"])
                .node("Pow", &["a", "number"], &["b"])
                .node("Pow", &["b", "n"], &["y"])
                .output("y", PICTURE),
        );
        let description = described(&model);
        assert!(description.contains(&"Pow32".into()), "{description:?}");
        assert!(description.contains(&"Pow16".into()), "{description:?}");
    }
}

#[test]
fn integers_are_left_alone() {
    let model = halved(
        GraphBuilder::new("shapes", 17)
            .input("x", PICTURE)
            .integers("zero", &[0])
            .node("Relu", &["x"], &["a"])
            .node("Shape", &["a"], &["shape"])
            .node("Gather", &["shape", "zero"], &["batch"])
            .node_with("Cast", &["batch"], &["count"], vec![int("to", 1)])
            .node("Mul", &["a", "count"], &["b"])
            .node("Relu", &["b"], &["y"])
            .output("y", PICTURE),
    );
    let expected = [
        "Cast16",
        "Relu16",
        "Shape",
        "Gather",
        "Cast32",
        "Cast16",
        "Mul16",
        "Relu16",
        "Cast32",
        "Identity32",
    ];
    assert_eq!(described(&model), expected);
}

#[test]
fn what_is_in_16_bits_is_left_as_it_is() {
    let cast = vec![int("to", i64::from(FLOAT16))];
    let builder = GraphBuilder::new("net", 17).input("x", PICTURE);
    let mut model = builder
        .node_with("Cast", &["x"], &["y"], cast)
        .output("y", PICTURE)
        .finish();
    let before = model.clone();
    assert_eq!(halve(&mut model), Ok(0));
    assert_eq!(model, before);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let builder = GraphBuilder::new("net", 17).input("x", PICTURE);
    let mut model = builder
        .node("Relu", &["x"], &["y"])
        .output("y", PICTURE)
        .finish();
    model.graph.get_or_insert_default().node[0].domain = Some("elsewhere".into());
    let before = model.clone();
    assert!(halve(&mut model).is_err_and(|why| why.contains("`Relu`")));
    assert_eq!(model, before);
}
