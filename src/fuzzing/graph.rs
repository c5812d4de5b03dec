//! Graphs: models that look as if they could be one, with something wrong.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;

use super::model::{LONGEST_MESSAGE, edited};
use crate::models::signature::metadata::{Origin, Stated, Statement};
use onnx_graph as onnx;
use onnx_graph::build::{GraphBuilder, float, int, ints, text};
use onnx_graph::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, ModelProto, NodeProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// A model of the bytes' choosing, and what is stated about it: through reading, recognition and
/// every edit.
pub fn graph(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok((model, stated)) = chosen(&mut source) else {
        return; // not bytes enough
    };
    through(&model, &stated);
}

/// A border of the bytes' choosing, without anything behind it: through recognition alone.
pub fn signature(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok((model, stated)) = border(&mut source) else {
        return;
    };
    through(&model, &stated);
}

/// Writes a model, and takes the file.
fn through(model: &ModelProto, stated: &Stated) {
    let file = Bytes::from(onnx::encode(model));
    match onnx::decode_shared(&file, |_| Some(file.clone())) {
        Ok(model) => edited(&model, &file, stated),
        Err(why) => assert!(why.len() <= LONGEST_MESSAGE, "{} bytes", why.len()),
    }
}

/// Names that meet each other, and those that the edits make.
const NAMES: [&str; 28] = [
    "",
    "a",
    "b",
    "c",
    "x",
    "y",
    "s",
    "one",
    "rest",
    "left",
    "right",
    "img0",
    "img1",
    "I0",
    "I1",
    "t",
    "timestep",
    "time",
    "grid0",
    "grid1",
    "flow",
    "mask",
    "output",
    "image:0",
    "vfiinterp/x",
    "vfiinterp/motion/1",
    "y/inner",
    "x/half",
];

/// Operators that the edits know, and some that they don't.
const OPERATORS: [&str; 36] = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Sum",
    "Sigmoid",
    "Clip",
    "Concat",
    "Identity",
    "Cast",
    "Slice",
    "Split",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Gather",
    "Shape",
    "Size",
    "Constant",
    "ConstantOfShape",
    "Where",
    "OneHot",
    "TopK",
    "GridSample",
    "Conv",
    "Resize",
    "Range",
    "If",
    "Loop",
    "Scan",
    "EPContext",
    "Equal",
    "Telepathy",
];

const ATTRIBUTES: [&str; 10] = [
    "to",
    "value",
    "value_float",
    "value_ints",
    "mode",
    "padding_mode",
    "align_corners",
    "axis",
    "perm",
    "body",
];

const TEXTS: [&str; 8] = [
    "bilinear",
    "linear",
    "nearest",
    "bicubic",
    "zeros",
    "border",
    "reflection",
    "",
];

const DIMENSIONS: [i64; 17] = [
    -1,
    0,
    1,
    1,
    2,
    3,
    3,
    4,
    6,
    7,
    8,
    11,
    64,
    720,
    i64::MAX,
    i64::MIN,
    1 << 40,
];

const ELEMENTS: [i32; 10] = [1, 1, 10, 10, 11, 7, 9, 2, 0, i32::MAX];

const STATEMENTS: [(&str, &[&str]); 13] = [
    ("family", &["auto", "rife", "film", "midpoint"]),
    ("range", &["0..1", "-1..1", "0..255"]),
    ("layout", &["nchw", "nhwc"]),
    ("channel_order", &["rgb", "bgr"]),
    (
        "align",
        &[
            "1",
            "2",
            "64",
            "1024",
            "1025",
            "0",
            "-1",
            "99999999999999999999",
        ],
    ),
    ("timestep", &["none", "scalar", "plane"]),
    ("output", &["motion", "picture", "output", "y", "flow", ""]),
    ("flow_unit", &["input_pixels", "cells"]),
    ("light", &["levelled", "dark"]),
    ("name", &["net"]),
    ("pad", &["repeat", "reflect", "zeros"]),
    ("input.x", &["0", "1", "0.5", "-1e300"]),
    ("input.s", &["20"]),
];

/// Deeper subgraphs are made by the target `model`.
const DEEPEST: usize = 3;

type Source<'a> = Unstructured<'a>;

fn chosen(source: &mut Source) -> Result<(ModelProto, Stated)> {
    let mut model = if source.ratio(2, 3)? {
        likely(source)?
    } else {
        border(source)?.0
    };
    let graph = model.graph.get_or_insert_default();
    for _ in 0..source.int_in_range(0..=6)? {
        change(source, graph)?;
    }
    if source.ratio(1, 16)? {
        model.functions.push(FunctionProto {
            name: some(source, name)?,
            node: several(source, 3, |source| node(source, 0))?,
            ..FunctionProto::default()
        });
    }
    let stated = stated(source)?;
    Ok((model, stated))
}

/// A network as RIFE's, whose end is a blend.
fn likely(source: &mut Source) -> Result<ModelProto> {
    let picture: &[i64] = &[1, 3, -1, -1];
    let modes = vec![
        text("mode", TEXTS[source.choose_index(2)?]),
        text("padding_mode", "border"),
        int("align_corners", i64::from(source.arbitrary::<bool>()?)),
    ];
    let element = *source.choose(&[1, 1, 10])?;
    let opset = source.int_in_range(15..=21)?;
    let mut builder = GraphBuilder::new("likely", opset)
        .typed_input("img0", element, picture)
        .typed_input("img1", element, picture)
        .input("grid0", &[1, -1, -1, 2])
        .input("grid1", &[1, -1, -1, 2])
        .input("timestep", &[1]);
    if source.arbitrary()? {
        // two pictures and the phase, as files have them
        builder = GraphBuilder::new("likely", opset)
            .typed_input("img0", element, picture)
            .typed_input("img1", element, picture)
            .input("timestep", &[1, 1, -1, -1])
            .node("Transpose", &["img0"], &["grid0"])
            .node("Transpose", &["img1"], &["grid1"]);
    }
    builder = builder
        .constant("one", &[], &[1.0])
        .node_with("GridSample", &["img0", "grid0"], &["a"], modes.clone())
        .node_with("GridSample", &["img1", "grid1"], &["b"], modes)
        .node("Sigmoid", &["timestep"], &["s"]);
    builder = match source.int_in_range(0..=2)? {
        0 => builder
            .node("Sub", &["one", "s"], &["rest"])
            .node("Mul", &["a", "s"], &["left"])
            .node("Mul", &["b", "rest"], &["right"])
            .node("Add", &["left", "right"], &["x"]),
        1 => builder
            .node("Sub", &["a", "b"], &["left"])
            .node("Mul", &["left", "s"], &["right"])
            .node("Add", &["b", "right"], &["x"]),
        _ => builder
            .node("Neg", &["timestep"], &["c"])
            .node("Sigmoid", &["c"], &["rest"])
            .node("Mul", &["a", "s"], &["left"])
            .node("Mul", &["b", "rest"], &["right"])
            .node("Sum", &["left", "right"], &["x"]),
    };
    let last = *source.choose(&["Identity", "Clip", "Slice", "Cast"])?;
    let attributes = match last {
        "Cast" => vec![int("to", i64::from(element))],
        _ => vec![],
    };
    Ok(builder
        .node_with(last, &["x"], &["output"], attributes)
        .typed_output("output", element, picture)
        .finish())
}

/// Draws inputs, outputs and metadata, and a node for each output.
fn border(source: &mut Source) -> Result<(ModelProto, Stated)> {
    let mut model = GraphBuilder::new("border", 17).finish();
    let graph = model.graph.get_or_insert_default();
    graph.input = several(source, 4, value)?;
    graph.output = several(source, 4, value)?;
    graph.initializer = several(source, 2, tensor)?;
    for output in &graph.output {
        graph.node.push(NodeProto {
            input: graph.input.iter().filter_map(|i| i.name.clone()).collect(),
            output: output.name.iter().cloned().collect(),
            op_type: Some((*source.choose(&OPERATORS)?).into()),
            ..NodeProto::default()
        });
    }
    model.metadata_props = several(source, 4, |source| {
        let (key, values) = *source.choose(&STATEMENTS)?;
        Ok(StringStringEntryProto {
            key: Some(format!("vfiinterp.{key}")),
            value: some(source, |source| Ok((*source.choose(values)?).into()))?,
        })
    })?;
    let stated = stated(source)?;
    Ok((model, stated))
}

fn stated(source: &mut Source) -> Result<Stated> {
    let pairs = several(source, 3, |source| {
        let (key, values) = *source.choose(&STATEMENTS)?;
        Ok(format!("{key}={}", source.choose(values)?))
    })?;
    // what is refused is not stated; the target `statement` is about that
    let statement = Statement::parse(&pairs.join(",")).unwrap_or_default();
    Ok(Stated::default().and(Origin::Property("model-info"), statement))
}

/// One thing in a graph becomes another.
fn change(source: &mut Source, graph: &mut GraphProto) -> Result<()> {
    match source.int_in_range(0..=11)? {
        0 => graph.node.push(node(source, 0)?),
        1 if !graph.node.is_empty() => {
            drop(graph.node.remove(source.choose_index(graph.node.len())?))
        }
        2 if !graph.node.is_empty() => {
            let index = source.choose_index(graph.node.len())?;
            graph.node.push(graph.node[index].clone());
        }
        3 => {
            if let Some(node) = any(source, &mut graph.node)? {
                node.op_type = Some((*source.choose(&OPERATORS)?).into());
            }
        }
        4 => {
            if let Some(node) = any(source, &mut graph.node)?
                && let Some(input) = any(source, &mut node.input)?
            {
                *input = name(source)?;
            }
        }
        5 => {
            if let Some(node) = any(source, &mut graph.node)?
                && let Some(output) = any(source, &mut node.output)?
            {
                *output = name(source)?;
            }
        }
        6 => {
            if let Some(node) = any(source, &mut graph.node)? {
                node.attribute.push(attribute(source, 0)?);
            }
        }
        7 => graph.initializer.push(tensor(source)?),
        8 => {
            if let Some(input) = any(source, &mut graph.input)? {
                *input = value(source)?;
            }
        }
        9 => {
            if let Some(output) = any(source, &mut graph.output)? {
                *output = value(source)?;
            }
        }
        10 => graph.value_info.push(value(source)?),
        _ => graph.sparse_initializer.push(SparseTensorProto {
            values: some(source, tensor)?,
            indices: some(source, tensor)?,
            dims: dims(source)?,
        }),
    }
    Ok(())
}

fn any<'a, T>(source: &mut Source, values: &'a mut [T]) -> Result<Option<&'a mut T>> {
    if values.is_empty() {
        return Ok(None);
    }
    let index = source.choose_index(values.len())?;
    Ok(values.get_mut(index))
}

fn some<T>(source: &mut Source, make: impl FnOnce(&mut Source) -> Result<T>) -> Result<Option<T>> {
    if source.ratio(7, 8)? {
        make(source).map(Some)
    } else {
        Ok(None)
    }
}

fn several<T>(
    source: &mut Source,
    most: usize,
    mut make: impl FnMut(&mut Source) -> Result<T>,
) -> Result<Vec<T>> {
    let count = source.int_in_range(0..=most)?;
    (0..count).map(|_| make(source)).collect()
}

fn name(source: &mut Source) -> Result<String> {
    Ok((*source.choose(&NAMES)?).into())
}

fn dims(source: &mut Source) -> Result<Vec<i64>> {
    several(source, 5, |source| Ok(*source.choose(&DIMENSIONS)?))
}

fn value(source: &mut Source) -> Result<ValueInfoProto> {
    let shape = |source: &mut Source| {
        let sizes = if source.arbitrary()? {
            // as pictures and phases are
            let usual: [&[i64]; 6] = [
                &[1, 3, -1, -1],
                &[1, -1, -1, 3],
                &[1, 7, -1, -1],
                &[1, 1, -1, -1],
                &[1],
                &[1, 3, 720, 1280],
            ];
            (*source.choose(&usual)?).to_vec()
        } else {
            dims(source)?
        };
        let dim = sizes.into_iter().map(|dim| DimensionProto {
            dim_value: (dim != -1).then_some(dim),
            ..DimensionProto::default()
        });
        Ok(TensorShapeProto { dim: dim.collect() })
    };
    let tensor = |source: &mut Source| {
        Ok(TensorTypeProto {
            elem_type: some(source, |source| Ok(*source.choose(&ELEMENTS)?))?,
            shape: some(source, shape)?,
        })
    };
    Ok(ValueInfoProto {
        name: some(source, name)?,
        r#type: some(source, |source| {
            Ok(TypeProto {
                tensor_type: some(source, tensor)?,
                ..TypeProto::default()
            })
        })?,
        ..ValueInfoProto::default()
    })
}

fn tensor(source: &mut Source) -> Result<TensorProto> {
    Ok(TensorProto {
        dims: dims(source)?,
        data_type: some(source, |source| Ok(*source.choose(&ELEMENTS)?))?,
        name: some(source, name)?,
        raw_data: match source.int_in_range(0..=3)? {
            0 => None,
            1 => Some(1.0_f32.to_le_bytes().to_vec().into()),
            // more than is worth a reference
            2 => Some(vec![source.arbitrary()?; 1500].into()),
            _ => Some(several(source, 17, |source| source.arbitrary::<u8>())?.into()),
        },
        float_data: several(source, 2, |source| source.arbitrary())?,
        int64_data: several(source, 2, |source| source.arbitrary())?,
        data_location: source.ratio(1, 16)?.then_some(1),
        ..TensorProto::default()
    })
}

fn attribute(source: &mut Source, depth: usize) -> Result<AttributeProto> {
    let name = *source.choose(&ATTRIBUTES)?;
    Ok(match source.int_in_range(0..=5)? {
        0 => int(
            name,
            *source.choose(&[0, 1, 2, 7, 10, 11, i64::MAX, i64::MIN])?,
        ),
        1 => float(name, source.arbitrary()?),
        2 => text(name, source.choose(&TEXTS)?),
        3 => ints(name, &dims(source)?),
        4 => AttributeProto {
            name: Some(name.into()),
            t: Some(tensor(source)?),
            ..AttributeProto::default()
        },
        _ if depth < DEEPEST => AttributeProto {
            name: Some(name.into()),
            g: Some(GraphProto {
                node: several(source, 2, |source| node(source, depth + 1))?,
                initializer: several(source, 1, tensor)?,
                output: several(source, 1, value)?,
                ..GraphProto::default()
            }),
            ..AttributeProto::default()
        },
        _ => AttributeProto::default(),
    })
}

fn node(source: &mut Source, depth: usize) -> Result<NodeProto> {
    Ok(NodeProto {
        input: several(source, 4, name)?,
        output: several(source, 2, name)?,
        name: some(source, name)?,
        op_type: some(source, |source| Ok((*source.choose(&OPERATORS)?).into()))?,
        attribute: several(source, 2, |source| attribute(source, depth))?,
        domain: source.ratio(1, 8)?.then(|| "com.example".into()),
        ..NodeProto::default()
    })
}
