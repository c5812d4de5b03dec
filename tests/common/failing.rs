//! Networks that answer well until something comes that they can't bear.

use onnx_graph::build::{GraphBuilder, int};
use onnx_graph::encode;
use onnx_graph::proto::AttributeProto;

/// ONNX's numbers for types.
const INT64: i64 = 7;
const BOOL: i64 = 9;
const PICTURE: &[i64] = &[1, 3, -1, -1];
/// More than any side.
const WHOLE: i64 = 1 << 40;

/// Content that such a network can't bear.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// A first picture whose mean is above nine tenths; that of noise is not.
    Bright,
    /// Pictures of this width.
    Width(i64),
}

/// Behaviour of such a network then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// An operator fails.
    Fail,
    /// The picture has so many columns.
    Columns(i64),
    /// The picture's shape is computed of what is no number.
    NoShape,
    /// They go on for ever.
    Endless,
}

/// A blend with a timestep, until then.
pub(crate) fn failing(when: When, then: Then) -> Vec<u8> {
    let cast = |to| vec![int("to", to)];
    let model = GraphBuilder::new("failing", 17)
        .input("img0", PICTURE)
        .input("img1", PICTURE)
        .input("timestep", &[1])
        .constant("one", &[1], &[1.0])
        .constant("nought", &[1], &[0.0])
        .node("Sub", &["one", "timestep"], &["rest"])
        .node("Mul", &["img0", "rest"], &["part0"])
        .node("Mul", &["img1", "timestep"], &["part1"])
        .node("Add", &["part0", "part1"], &["blend"])
        .node("Shape", &["blend"], &["shape"]);
    // 1 when it is so, else 0
    let model = match when {
        When::Bright => model
            .constant("bright", &[1], &[0.9])
            .node_with("ReduceMean", &["img0"], &["mean"], vec![int("keepdims", 0)])
            .node("Greater", &["mean", "bright"], &["so"]),
        When::Width(width) => model
            .integers("last", &[3])
            .integers("wanted", &[width])
            .node("Gather", &["shape", "last"], &["width"])
            .node("Equal", &["width", "wanted"], &["so"]),
    };
    let model = model.node_with("Cast", &["so"], &["n"], cast(INT64));
    let model = match then {
        Then::Fail => model
            .integers("beyond", &[9])
            .node("Mul", &["n", "beyond"], &["channel"])
            .node_with(
                "Gather",
                &["blend", "channel"],
                &["one_of_them"],
                vec![int("axis", 1)],
            )
            .node("Mul", &["one_of_them", "nought"], &["nothing"])
            .node("Add", &["blend", "nothing"], &["output"]),
        Then::Columns(columns) => model
            .integers("whole", &[WHOLE])
            .integers("less", &[WHOLE - columns])
            .integers("begin", &[0])
            .integers("across", &[3])
            .node("Mul", &["n", "less"], &["taken"])
            .node("Sub", &["whole", "taken"], &["end"])
            .node("Slice", &["blend", "begin", "end", "across"], &["output"]),
        Then::NoShape => model
            .integers("first", &[1])
            .integers("end", &[4])
            .node_with("Cast", &["n"], &["number"], cast(1))
            .node("Sub", &["one", "number"], &["unless"])
            .node("Div", &["unless", "unless"], &["odd"])
            .node_with("Cast", &["odd"], &["pictures"], cast(INT64))
            .node("Slice", &["shape", "first", "end"], &["others"])
            .node_with(
                "Concat",
                &["pictures", "others"],
                &["odd_shape"],
                vec![int("axis", 0)],
            )
            .node("Reshape", &["blend", "odd_shape"], &["output"]),
        Then::Endless => {
            let body = GraphBuilder::new("body", 17)
                .typed_input("iteration", INT64 as i32, &[])
                .typed_input("go_on", BOOL as i32, &[])
                .input("before", PICTURE)
                .node("Identity", &["go_on"], &["still"])
                .node("Relu", &["before"], &["after"])
                .typed_output("still", BOOL as i32, &[])
                .output("after", PICTURE)
                .finish();
            let body = AttributeProto {
                name: Some("body".into()),
                g: body.graph,
                r#type: Some(5),
                ..AttributeProto::default()
            };
            model
                .integers("often", &[1 << 62])
                .node("Mul", &["n", "often"], &["times_"])
                .integers("scalar", &[])
                .node("Reshape", &["times_", "scalar"], &["times"])
                .node_with("Cast", &["one"], &["true_"], cast(BOOL))
                .node("Reshape", &["true_", "scalar"], &["true"])
                .node_with("Loop", &["times", "true", "blend"], &["output"], vec![body])
        }
    };
    encode(&model.output("output", PICTURE).finish())
}
