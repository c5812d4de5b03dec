//! Puts what a network wants otherwise than we have it between its border and itself: element
//! type, order of dimensions, order of channels, range.
//!
//! Outside, every picture is float32, planar, RGB, 0 to 1. Done in the graph, the conversion runs
//! where the network runs, and nothing else has to know of it.

use onnx_graph::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use onnx_graph::{DOUBLE, FLOAT, FLOAT16, INT64, build, widen};

use crate::models::signature::Signature;
use crate::models::signature::types::{ChannelOrder, Inputs, Layout, Outputs, Range, Timestep};

/// Prefix of the names of the values that meet the outside, before their own name.
const PREFIX: &str = "vfiinterp/";

/// Adds the conversions that the signature asks for, and makes the signature name the values that
/// are to be fed and read from then on. A network that wants none stays as it is.
pub(crate) fn normalise(model: &mut ModelProto, signature: &mut Signature) {
    widen::widen(model);
    let Some(graph) = &mut model.graph else {
        return;
    };
    for (name, number) in signature.constants.drain(..) {
        fix_input(graph, &name, number);
    }
    let (range, order) = (signature.range, signature.channel_order);
    let layout = signature.input_layout;
    match &mut signature.inputs {
        Inputs::Pictures(pictures) => {
            for name in pictures {
                convert_input(graph, name, layout, &pictures_of(1, 3, range, order));
            }
        }
        Inputs::PicturesAndTimestep {
            pictures,
            timestep,
            form,
        } => {
            for name in pictures {
                convert_input(graph, name, layout, &pictures_of(1, 3, range, order));
            }
            let layout = match form {
                Timestep::Plane => layout,
                Timestep::Scalar(_) => Layout::Nchw,
            };
            convert_input(graph, timestep, layout, &[]);
        }
        Inputs::Stacked { name, channels } => {
            convert_input(
                graph,
                name,
                layout,
                &pictures_of(2, *channels, range, order),
            );
        }
    }
    let layout = signature.output_layout;
    match &mut signature.outputs {
        Outputs::Motion { flow, mask } => {
            convert_output(graph, flow, layout, &[]);
            convert_output(graph, mask, layout, &[]);
        }
        Outputs::Picture(name) => {
            let mut steps = Vec::new();
            if order == ChannelOrder::Bgr {
                steps.push(Step::Pick(vec![2, 1, 0]));
            }
            if range == Range::Signed {
                steps.push(Step::Scale(vec![0.5; 3], vec![0.5; 3]));
            }
            convert_output(graph, name, layout, &steps);
        }
    }
}

/// One conversion of a tensor `[1, C, H, W]`.
enum Step {
    /// Each channel times a factor, plus an offset.
    Scale(Vec<f32>, Vec<f32>),
    /// Each channel from another one.
    Pick(Vec<i64>),
}

/// The steps for an input of `channels` that begins with `pictures` pictures.
fn pictures_of(pictures: usize, channels: usize, range: Range, order: ChannelOrder) -> Vec<Step> {
    let inside = |c: usize| c < 3 * pictures;
    let mut steps = Vec::new();
    if range == Range::Signed {
        let of = |in_pictures: f32, outside: f32| {
            let value = |c| if inside(c) { in_pictures } else { outside };
            (0..channels).map(value).collect()
        };
        steps.push(Step::Scale(of(2.0, 1.0), of(-1.0, 0.0)));
    }
    if order == ChannelOrder::Bgr {
        let source = |c: usize| if inside(c) { c / 3 * 3 + 2 - c % 3 } else { c };
        steps.push(Step::Pick(
            (0..channels).map(|c| source(c) as i64).collect(),
        ));
    }
    steps
}

/// A row of nodes from one value to another.
struct Chain {
    /// Name of the values between.
    name: String,
    current: String,
    nodes: Vec<NodeProto>,
}

impl Chain {
    fn new(from: &str, name: &str) -> Self {
        Self {
            name: format!("{PREFIX}{name}"),
            current: from.into(),
            nodes: Vec::new(),
        }
    }

    fn add(
        &mut self,
        op_type: &str,
        constant: Option<TensorProto>,
        attributes: Vec<AttributeProto>,
    ) {
        let count = self.nodes.len();
        let mut input = vec![self.current.clone()];
        if let Some(tensor) = constant {
            let output = format!("{}/{count}/constant", self.name);
            input.push(output.clone());
            self.nodes.push(constant_node(output, tensor));
        }
        self.current = format!("{}/{count}", self.name);
        self.nodes.push(NodeProto {
            input,
            output: vec![self.current.clone()],
            op_type: Some(op_type.into()),
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Scale(factors, offsets) => {
                self.add("Mul", Some(per_channel(factors)), vec![]);
                self.add("Add", Some(per_channel(offsets)), vec![]);
            }
            Step::Pick(sources) => {
                let tensor = TensorProto {
                    dims: vec![sources.len() as i64],
                    data_type: Some(INT64),
                    raw_data: Some(sources.iter().flat_map(|v| v.to_le_bytes()).collect()),
                    ..TensorProto::default()
                };
                self.add("Gather", Some(tensor), vec![build::int("axis", 1)]);
            }
        }
    }

    fn transpose(&mut self, order: [i64; 4]) {
        self.add("Transpose", None, vec![build::ints("perm", &order)]);
    }

    fn cast(&mut self, element: i32) {
        self.add("Cast", None, vec![build::int("to", element.into())]);
    }

    /// The nodes, the last of which gives the value `to`.
    fn end_at(mut self, to: &str) -> Vec<NodeProto> {
        if let Some(last) = self.nodes.last_mut() {
            last.output = vec![to.into()];
        }
        self.nodes
    }
}

fn per_channel(values: &[f32]) -> TensorProto {
    TensorProto {
        dims: vec![1, values.len() as i64, 1, 1],
        data_type: Some(FLOAT),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..TensorProto::default()
    }
}

/// Fixes an input at a number, whatever is run.
fn fix_input(graph: &mut GraphProto, name: &str, number: f64) {
    let mut inputs = graph.input.iter();
    let Some(at) = inputs.position(|value| value.name.as_deref() == Some(name)) else {
        return;
    };
    let mut value = graph.input.remove(at);
    let rank = dimensions(&mut value).map_or(0, |dims| dims.len());
    if let Some(tensor) = TensorProto::filled(element(&value), &vec![1; rank], number) {
        graph.node.insert(0, constant_node(name.into(), tensor));
    }
}

fn constant_node(output: String, tensor: TensorProto) -> NodeProto {
    NodeProto {
        output: vec![output],
        op_type: Some("Constant".into()),
        attribute: vec![AttributeProto {
            name: Some("value".into()),
            t: Some(tensor),
            r#type: Some(4),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}

fn convert_input(graph: &mut GraphProto, name: &mut String, layout: Layout, steps: &[Step]) {
    let Some(value) = find(&mut graph.input, name) else {
        return;
    };
    let outside = format!("{PREFIX}{name}");
    let mut chain = Chain::new(&outside, name);
    steps.iter().for_each(|step| chain.step(step));
    if layout == Layout::Nhwc {
        chain.transpose([0, 2, 3, 1]);
    }
    if let element @ (FLOAT16 | DOUBLE) = element(value) {
        chain.cast(element);
    }
    if chain.nodes.is_empty() {
        return;
    }
    redeclare(value, &outside, layout);
    graph.node.splice(0..0, chain.end_at(name));
    *name = outside;
}

fn convert_output(graph: &mut GraphProto, name: &mut String, layout: Layout, steps: &[Step]) {
    let Some(value) = find(&mut graph.output, name) else {
        return;
    };
    let outside = format!("{PREFIX}{name}");
    let mut chain = Chain::new(name, name);
    if matches!(element(value), FLOAT16 | DOUBLE) {
        chain.cast(FLOAT);
    }
    if layout == Layout::Nhwc {
        chain.transpose([0, 3, 1, 2]);
    }
    steps.iter().for_each(|step| chain.step(step));
    if chain.nodes.is_empty() {
        return;
    }
    redeclare(value, &outside, layout);
    graph.node.extend(chain.end_at(&outside));
    *name = outside;
}

fn find<'a>(values: &'a mut [ValueInfoProto], name: &str) -> Option<&'a mut ValueInfoProto> {
    let mut values = values.iter_mut();
    values.find(|value| value.name.as_deref() == Some(name))
}

fn element(value: &ValueInfoProto) -> i32 {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    tensor.and_then(|tensor| tensor.elem_type).unwrap_or(0)
}

fn dimensions(value: &mut ValueInfoProto) -> Option<&mut Vec<DimensionProto>> {
    let tensor = value.r#type.as_mut()?.tensor_type.as_mut()?;
    Some(&mut tensor.shape.as_mut()?.dim)
}

/// Declares a value as what it is outside: float32 and planar.
fn redeclare(value: &mut ValueInfoProto, name: &str, layout: Layout) {
    value.name = Some(name.into());
    if let Some(tensor) = value.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.elem_type = Some(FLOAT);
    }
    if let Some(dims) = dimensions(value)
        && layout == Layout::Nhwc
        && dims.len() == 4
    {
        let channels = dims.remove(3);
        dims.insert(1, channels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::signature::metadata::{Origin, Stated, Statement};
    use onnx_graph::build::GraphBuilder;

    /// Normalises a network with one input `x` and one output `y` under a statement, and gives the
    /// operators from `x` to `y`.
    fn operators(element: i32, dims: [i64; 4], picture: [i64; 4], said: &str) -> Vec<String> {
        let mut model = GraphBuilder::new("test", 17)
            .typed_input("x", element, &dims)
            .node("Relu", &["x"], &["y"])
            .typed_output("y", element, &picture)
            .finish();
        let before = model.clone();
        let said = Stated::default().and(
            Origin::Property("model-info"),
            Statement::parse(said).unwrap(),
        );
        let mut signature = Signature::of(&model, &said).unwrap();
        normalise(&mut model, &mut signature);
        let Inputs::Stacked { name: input, .. } = &signature.inputs else {
            panic!("{:?}", signature.inputs);
        };
        let Outputs::Picture(output) = &signature.outputs else {
            panic!("{:?}", signature.outputs);
        };
        let mut graph = model.graph.clone().unwrap();
        // outside, all is float32 and planar
        for (values, name, channels) in [
            (&mut graph.input, input, dims.into_iter().find(|d| *d > 3)),
            (&mut graph.output, output, Some(3)),
        ] {
            let value = find(values, name).unwrap();
            assert_eq!(super::element(value), FLOAT);
            assert_eq!(dimensions(value).unwrap()[1].dim_value, channels);
        }
        let names = graph.node.iter().map(|node| node.op_type.clone().unwrap());
        let names: Vec<_> = names.filter(|name| name != "Constant").collect();
        if names == ["Relu"] {
            assert_eq!(model, before);
        }
        names
    }

    #[test]
    fn what_is_as_outside_stays_as_it_is() {
        let found = operators(FLOAT, [1, 7, -1, -1], [1, 3, -1, -1], "");
        assert_eq!(found, ["Relu"]);
    }

    #[test]
    fn every_difference_is_converted_on_both_sides() {
        let planar = |said| operators(FLOAT, [1, 7, -1, -1], [1, 3, -1, -1], said);
        assert_eq!(planar("range=-1..1"), ["Mul", "Add", "Relu", "Mul", "Add"]);
        assert_eq!(planar("channel_order=bgr"), ["Gather", "Relu", "Gather"]);
        for element in [FLOAT16, DOUBLE] {
            let other = operators(element, [1, 7, -1, -1], [1, 3, -1, -1], "");
            assert_eq!(other, ["Cast", "Relu", "Cast"]);
        }
        let all = operators(
            FLOAT16,
            [1, -1, -1, 7],
            [1, -1, -1, 3],
            "range=-1..1,channel_order=bgr",
        );
        assert_eq!(
            all,
            [
                "Mul",
                "Add",
                "Gather",
                "Transpose",
                "Cast",
                "Relu",
                "Cast",
                "Transpose",
                "Gather",
                "Mul",
                "Add"
            ]
        );
    }

    #[test]
    fn only_pictures_are_converted_in_a_stacked_input() {
        let steps = pictures_of(2, 8, Range::Signed, ChannelOrder::Bgr);
        let [Step::Scale(factors, offsets), Step::Pick(sources)] = steps.as_slice() else {
            panic!("two steps");
        };
        assert_eq!(factors, &[2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0]);
        assert_eq!(offsets, &[-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 0.0]);
        assert_eq!(sources, &[2, 1, 0, 5, 4, 3, 6, 7]);
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_refused_or_normalised_but_never_panic(
            damage in proptest::collection::vec((0_usize..4096, 0_u8..), 1..8),
        ) {
            let sample = GraphBuilder::new("sample", 17)
                .input("x", &[1, 3, -1, -1])
                .constant("w", &[1], &[2.0])
                .node("Mul", &["x", "w"], &["y"])
                .output("y", &[1, 3, -1, -1])
                .finish();
            let mut bytes = onnx_graph::encode(&sample);
            for (place, value) in damage {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            if let Ok(mut model) = onnx_graph::decode(&bytes)
                && let Ok(mut signature) = Signature::of(&model, &Stated::default())
            {
                normalise(&mut model, &mut signature);
            }
        }
    }
}
