//! Files made to break what reads them, each with what its refusal has to say (nothing, where it is
//! the runtime that says it).

use onnx_graph::build::{GraphBuilder, ints};
use onnx_graph::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    TensorProto,
};
use onnx_graph::{FLOAT, encode};

const PICTURE: &[i64] = &[1, 3, -1, -1];

/// All of them, with their names.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut files = vec![
        ("cycle", cycle(), ""),
        ("two-of-one-name", two_of_one_name(), ""),
        ("reads-nothing", reads_nothing(), ""),
        ("foreign-operator", foreign_operator(), "Telepathy"),
        ("nul", nul(), ""),
        ("bad-text", bad_text(), "not an ONNX file"),
        ("long-name", long_name(), "a name of 3145728 bytes"),
        ("deep", deep(200), "not an ONNX file"),
        (
            "million-nodes",
            many_nodes(1_000_000),
            "more than 100000 nodes",
        ),
        (
            "million-hidden",
            hidden(1_000_000),
            "more than 100000 nodes",
        ),
        ("inflated", inflated(), "128 MiB of memory"),
        ("calls-itself", calling(0), "or themselves"),
        ("calls-twice", calling(30), "functions become"),
        ("huge-picture", sized(1 << 40), "the limit is 8192 a side"),
        (
            "overflowing-picture",
            sized(i64::MAX),
            "the limit is 8192 a side",
        ),
        ("grid-of-pixels", sized(8193), "the limit is 8192 a side"),
    ];
    for (name, dims, element) in [
        ("claims-2-gb", &[1 << 29][..], FLOAT),
        ("claims-4-tb", &[1 << 40], FLOAT),
        ("claims-overflow", &[1 << 40, 1 << 40], FLOAT),
        ("claims-less", &[-5], FLOAT),
        ("claims-a-type", &[4], 99),
    ] {
        files.push((name, claiming(dims, element), ""));
    }
    for (name, location, reason) in [
        ("beside", "weights", "no such file in the model's folder"),
        (
            "above",
            "../../etc/passwd",
            "`w` is stored in `../../etc/passwd`, which leads out",
        ),
        ("absolute", "/etc/passwd", "leads out of the model's folder"),
        ("device", "/dev/zero", "leads out of the model's folder"),
        // by which the runtime knows addresses in memory
        ("memory", "*/_ORT_MEM_ADDR_/*", "no such file"),
        ("nowhere", "", "none is named"),
    ] {
        files.push((name, external(location), reason));
    }
    for (name, operator, reason) in [
        ("fills", "ConstantOfShape", "not enough memory"),
        ("expands", "Expand", "not enough memory"),
        // for which the runtime has a limit of its own
        ("tiles", "Tile", "does not run"),
    ] {
        files.push((name, giant(operator), reason));
    }
    files
}

fn begun() -> GraphBuilder {
    GraphBuilder::new("hostile", 17)
        .input("a", PICTURE)
        .input("b", PICTURE)
}

/// What would be a network, with something done to it.
fn changed(change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = begun()
        .node("Add", &["a", "b"], &["y"])
        .output("y", PICTURE)
        .finish();
    change(&mut model);
    encode(&model)
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.get_or_insert_default()
}

fn cycle() -> Vec<u8> {
    let model = begun()
        .node("Add", &["a", "second"], &["first"])
        .node("Sin", &["first"], &["second"])
        .node("Add", &["second", "b"], &["y"]);
    encode(&model.output("y", PICTURE).finish())
}

fn two_of_one_name() -> Vec<u8> {
    changed(|model| {
        let mut node = graph(model).node[0].clone();
        node.output[0] = "a".into();
        graph(model).node.push(node);
    })
}

fn reads_nothing() -> Vec<u8> {
    changed(|model| graph(model).node[0].input[1] = "nowhere".into())
}

fn foreign_operator() -> Vec<u8> {
    changed(|model| {
        graph(model).node[0].op_type = Some("Telepathy".into());
        graph(model).node[0].domain = Some("com.example".into());
    })
}

/// A name in which others see an end.
fn nul() -> Vec<u8> {
    changed(|model| {
        graph(model).node[0].input[0] = "a\0b".into();
        graph(model).input[0].name = Some("a\0b".into());
    })
}

fn bad_text() -> Vec<u8> {
    let mut bytes = changed(|model| graph(model).node[0].name = Some("NAME".into()));
    let place = bytes.windows(4).position(|part| part == b"NAME").unwrap();
    bytes[place] = 0xff;
    bytes
}

fn long_name() -> Vec<u8> {
    changed(|model| graph(model).node[0].name = Some("n".repeat(3 << 20)))
}

fn holding(graph: GraphProto) -> NodeProto {
    NodeProto {
        op_type: Some("If".into()),
        attribute: vec![AttributeProto {
            name: Some("then_branch".into()),
            g: Some(graph),
            r#type: Some(5),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}

/// A graph in a graph in a graph.
fn deep(levels: usize) -> Vec<u8> {
    changed(|model| {
        for _ in 0..levels {
            let inner = std::mem::take(graph(model));
            graph(model).node.push(holding(inner));
        }
    })
}

/// A field of an encoded message that holds bytes. (What a file has twice is taken together.)
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// Empty nodes: two bytes each.
fn nodes(count: usize) -> Vec<u8> {
    field(1, &[]).repeat(count)
}

fn with(more: &[u8]) -> Vec<u8> {
    [&changed(|_| {}), more].concat()
}

fn many_nodes(count: usize) -> Vec<u8> {
    with(&field(7, &nodes(count)))
}

/// The same in the body of a node.
fn hidden(count: usize) -> Vec<u8> {
    let body = field(5, &field(6, &nodes(count)));
    with(&field(7, &field(1, &body)))
}

/// Two bytes of a file that become some hundred in memory, often.
fn inflated() -> Vec<u8> {
    let attributes = field(5, &[]).repeat(1 << 20);
    let metadata = field(14, &[]).repeat(1 << 20);
    with(&[field(7, &field(1, &attributes)), metadata].concat())
}

/// Functions each of which calls the next twice; of none, one that calls itself.
fn calling(count: usize) -> Vec<u8> {
    let call = |name: String, from: &str, to: &str| NodeProto {
        input: vec![from.into()],
        output: vec![to.into()],
        op_type: Some(name),
        domain: Some("own".into()),
        ..NodeProto::default()
    };
    changed(|model| {
        graph(model).node.push(call("f0".into(), "a", "z"));
        for index in 0..count.max(1) {
            let next = format!("f{}", if count == 0 { 0 } else { index + 1 });
            model.functions.push(FunctionProto {
                name: Some(format!("f{index}")),
                domain: Some("own".into()),
                input: vec!["x".into()],
                output: vec!["z".into()],
                node: vec![call(next.clone(), "x", "y"), call(next, "y", "z")],
                ..FunctionProto::default()
            });
        }
    })
}

/// A network of one size.
fn sized(side: i64) -> Vec<u8> {
    let dims: &[i64] = &[1, 3, side, side];
    let model = GraphBuilder::new("sized", 17)
        .input("a", dims)
        .input("b", dims)
        .node("Add", &["a", "b"], &["y"])
        .output("y", dims);
    encode(&model.finish())
}

/// A stored tensor that says it is larger, or something else, than what is stored.
fn claiming(dims: &[i64], element: i32) -> Vec<u8> {
    changed(|model| {
        graph(model).initializer.push(TensorProto {
            name: Some("w".into()),
            dims: dims.to_vec(),
            data_type: Some(element),
            raw_data: Some(vec![0; 16].into()),
            ..TensorProto::default()
        });
        graph(model).node[0].input[1] = "w".into();
    })
}

/// A stored tensor whose values are to be read from elsewhere.
pub(crate) fn external(location: &str) -> Vec<u8> {
    changed(|model| {
        graph(model).initializer.push(TensorProto {
            name: Some("w".into()),
            dims: vec![4],
            data_type: Some(FLOAT),
            external_data: vec![StringStringEntryProto {
                key: Some("location".into()),
                value: Some(location.into()),
            }],
            data_location: Some(1),
            ..TensorProto::default()
        });
        graph(model).node[0].input[1] = "w".into();
    })
}

/// Makes a tensor of 2^48 numbers and more: no machine has room for its addresses. The runtime could
/// do so while it loads, as all of it is constant.
fn giant(operator: &str) -> Vec<u8> {
    let sizes: &[i64] = &[1 << 24, 1 << 24];
    let model = begun()
        .integers("sizes", sizes)
        .constant("one", &[1, 1], &[1.0]);
    let model = match operator {
        "ConstantOfShape" => model.node(operator, &["sizes"], &["giant"]),
        _ => model.node(operator, &["one", "sizes"], &["giant"]),
    };
    let model = model
        .node_with(
            "ReduceMax",
            &["giant"],
            &["most"],
            vec![ints("axes", &[0, 1])],
        )
        .node("Add", &["a", "most"], &["y"])
        .output("y", PICTURE)
        .finish();
    encode(&model)
}
