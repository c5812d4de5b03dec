//! Networks as others export them, with every signature that is met in the wild, and answers that
//! are exactly known: each gives away another way of feeding or reading it wrongly.

use onnx_graph::build::{GraphBuilder, int, ints};
use onnx_graph::proto::AttributeProto;
use onnx_graph::{FLOAT, FLOAT16, encode};

/// How a network takes its inputs and gives its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One input of 6, 7, 8 or 11 channels.
    Stacked(i64),
    /// Two pictures.
    Pictures,
    /// Two pictures and a timestep of this shape.
    Timestep(&'static [i64]),
    /// FILM's SavedModel: `time`, `x0`, `x1`, NHWC, `image` among many outputs.
    Film,
}

/// What a network answers with, of pictures in RGB from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `a + (b - a) * t`, midway where there is no moment: right inputs, right moment.
    Blend,
    /// `a` at the pixel to the right, the last one repeated: no pixel is lost or won.
    Shift,
    /// `a * b` times 1, 1/2 and 1/4: right range, right channels.
    Tint,
    /// `(v + 1) / 3` of a channel of the one input: right timestep, grid and scale.
    Echo(usize),
}

/// A network to be exported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    pub form: Form,
    pub answer: Answer,
    /// Inputs and outputs are float16.
    pub half: bool,
    /// Pictures range from -1 to 1.
    pub signed: bool,
    /// Blue comes first.
    pub bgr: bool,
    /// Pictures are interleaved (as [`Form::Film`] always is).
    pub nhwc: bool,
    /// The only width and height it takes.
    pub size: Option<(i64, i64)>,
}

impl Foreign {
    pub(crate) fn new(form: Form, answer: Answer) -> Self {
        Self {
            form,
            answer,
            half: false,
            signed: false,
            bgr: false,
            nhwc: form == Form::Film,
            size: None,
        }
    }

    /// Whether it can be asked for any moment.
    pub(crate) fn any_phase(&self) -> bool {
        match self.form {
            Form::Stacked(channels) => channels > 6,
            Form::Timestep(_) => true,
            Form::Pictures | Form::Film => false,
        }
    }

    /// What the file does not tell and has to be said.
    pub(crate) fn info(&self) -> String {
        let mut parts = Vec::new();
        if self.signed {
            parts.push("range=-1..1");
        }
        if self.bgr {
            parts.push("channel_order=bgr");
        }
        parts.join(",")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut graph = Graph(GraphBuilder::new("foreign", 17));
        let outputs = if self.nhwc {
            [1, -1, -1, 3]
        } else {
            [1, 3, -1, -1]
        };
        let element = if self.half { FLOAT16 } else { FLOAT };
        match self.form {
            Form::Stacked(channels) => self.stacked(&mut graph, channels),
            Form::Pictures => {
                self.picture(&mut graph, "I0", "a");
                self.picture(&mut graph, "I1", "b");
                graph.constant("t", &[0.5]);
            }
            Form::Timestep(dims) => {
                self.picture(&mut graph, "img0", "a");
                self.picture(&mut graph, "img1", "b");
                // a plane comes as the pictures do
                let plane = dims.len() == 4 && dims != [1, 1, 1, 1];
                let dims = match dims {
                    &[n, c, h, w] if self.nhwc && plane => &[n, h, w, c],
                    dims => dims,
                };
                self.input(&mut graph, "timestep", dims, "moment");
                graph.transposed("moment", "t", self.nhwc && plane, TO_PLANES);
            }
            Form::Film => {
                self.input(&mut graph, "time", &[-1, 1], "unused");
                self.picture(&mut graph, "x0", "a");
                self.picture(&mut graph, "x1", "b");
                // as in FILM: the moment's shape counts, its value does not
                graph.node("Shape", &["unused"], "shape");
                graph.node("ConstantOfShape", &["shape"], "zeros");
                graph.constant("half", &[0.5]);
                graph.node("Add", &["zeros", "half"], "halves");
                graph.integers("flat", &[-1, 1, 1, 1]);
                graph.node("Reshape", &["halves", "flat"], "t");
                for name in ["backward_flow_pyramid", "x0_warped", "x1_warped"] {
                    graph.node("Neg", &["x0"], name);
                }
            }
        }
        self.body(&mut graph);
        if self.bgr {
            graph.integers("backwards_out", &[2, 1, 0]);
            graph.gather("answer", "backwards_out", "ordered");
        } else {
            graph.node("Identity", &["answer"], "ordered");
        }
        graph.scaled("ordered", "ranged", self.signed, [2.0, -1.0]);
        graph.transposed("ranged", "native", self.nhwc, TO_PIXELS);
        let name = if self.form == Form::Film {
            "image"
        } else {
            "output"
        };
        graph.cast("native", name, element);
        let mut builder = graph.0;
        if self.form == Form::Film {
            for name in ["backward_flow_pyramid", "image", "x0_warped", "x1_warped"] {
                builder = builder.typed_output(name, element, &outputs);
            }
        } else {
            builder = builder.typed_output(name, element, &outputs);
        }
        encode(&builder.finish())
    }

    /// Makes `answer` of `a`, `b` and `t`, planes in RGB from 0 to 1.
    fn body(&self, graph: &mut Graph) {
        match self.answer {
            Answer::Blend => {
                graph.node("Sub", &["b", "a"], "difference");
                graph.node("Mul", &["difference", "t"], "part");
                graph.node("Add", &["a", "part"], "answer");
            }
            Answer::Shift => {
                for (name, values) in [("one", 1), ("last", -1), ("end", i64::MAX), ("x", 3)] {
                    graph.integers(name, &[values]);
                }
                graph.node("Slice", &["a", "one", "end", "x"], "rest");
                graph.node("Slice", &["a", "last", "end", "x"], "edge");
                graph.node_with("Concat", &["rest", "edge"], "answer", vec![int("axis", 3)]);
            }
            Answer::Tint => {
                graph.node("Mul", &["a", "b"], "product");
                graph.per_channel("tint", &[1.0, 0.5, 0.25]);
                graph.node("Mul", &["product", "tint"], "answer");
            }
            Answer::Echo(channel) => {
                graph.integers("channels", &[channel as i64; 3]);
                graph.gather("everything", "channels", "echo");
                graph.scaled("echo", "answer", true, [1.0 / 3.0, 1.0 / 3.0]);
            }
        }
    }

    /// The one input, taken apart into `a`, `b` and `t`.
    fn stacked(&self, graph: &mut Graph, channels: i64) {
        let (width, height) = self.size.map_or((-1, -1), |(w, h)| (w, h));
        let dims = match self.nhwc {
            true => [1, height, width, channels],
            false => [1, channels, height, width],
        };
        self.input(graph, "input", &dims, "floats");
        graph.transposed("floats", "everything", self.nhwc, TO_PLANES);
        for (first, name) in [(0, "a"), (3, "b")] {
            let (raw, indices) = (format!("raw_{name}"), format!("indices_{name}"));
            let order = if self.bgr { [2, 1, 0] } else { [0, 1, 2] };
            graph.integers(&indices, &order.map(|c| first + c));
            graph.gather("everything", &indices, &raw);
            graph.scaled(&raw, name, self.signed, [0.5, 0.5]);
        }
        if channels > 6 {
            graph.integers("seventh", &[6]);
            graph.gather("everything", "seventh", "t");
        } else {
            graph.constant("t", &[0.5]);
        }
    }

    /// A picture as input `name`, turned into planes `to` in RGB from 0 to 1.
    fn picture(&self, graph: &mut Graph, name: &str, to: &str) {
        let (width, height) = self.size.unwrap_or((-1, -1));
        let dims = match self.nhwc {
            true => [1, height, width, 3],
            false => [1, 3, height, width],
        };
        let [floats, planes, ranged] = ["floats", "planes", "ranged"].map(|s| format!("{s}_{to}"));
        self.input(graph, name, &dims, &floats);
        graph.transposed(&floats, &planes, self.nhwc, TO_PLANES);
        graph.scaled(&planes, &ranged, self.signed, [0.5, 0.5]);
        if self.bgr {
            let indices = format!("backwards_{to}");
            graph.integers(&indices, &[2, 1, 0]);
            graph.gather(&ranged, &indices, to);
        } else {
            graph.node("Identity", &[&ranged], to);
        }
    }

    /// An input of the network's type, turned into float32.
    fn input(&self, graph: &mut Graph, name: &str, dims: &[i64], to: &str) {
        let element = if self.half { FLOAT16 } else { FLOAT };
        graph.edit(|builder| builder.typed_input(name, element, dims));
        graph.cast(name, to, FLOAT);
    }
}

const TO_PLANES: [i64; 4] = [0, 3, 1, 2];
const TO_PIXELS: [i64; 4] = [0, 2, 3, 1];

/// A graph under construction, one value a node.
pub(crate) struct Graph(pub GraphBuilder);

impl Graph {
    fn edit(&mut self, with: impl FnOnce(GraphBuilder) -> GraphBuilder) {
        let empty = GraphBuilder::new("", 17);
        self.0 = with(std::mem::replace(&mut self.0, empty));
    }

    fn node(&mut self, op_type: &str, inputs: &[&str], to: &str) {
        self.node_with(op_type, inputs, to, vec![]);
    }

    fn node_with(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        to: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.edit(|builder| builder.node_with(op_type, inputs, &[to], attributes));
    }

    fn constant(&mut self, name: &str, values: &[f32]) {
        self.edit(|builder| builder.constant(name, &[values.len() as i64], values));
    }

    fn per_channel(&mut self, name: &str, values: &[f32]) {
        self.edit(|builder| builder.constant(name, &[values.len() as i64, 1, 1], values));
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        self.edit(|builder| builder.integers(name, values));
    }

    fn gather(&mut self, from: &str, channels: &str, to: &str) {
        self.node_with("Gather", &[from, channels], to, vec![int("axis", 1)]);
    }

    fn cast(&mut self, from: &str, to: &str, element: i32) {
        self.node_with("Cast", &[from], to, vec![int("to", element.into())]);
    }

    fn transposed(&mut self, from: &str, to: &str, really: bool, order: [i64; 4]) {
        if really {
            self.node_with("Transpose", &[from], to, vec![ints("perm", &order)]);
        } else {
            self.node("Identity", &[from], to);
        }
    }

    /// Times a factor plus an offset.
    fn scaled(&mut self, from: &str, to: &str, really: bool, [factor, offset]: [f32; 2]) {
        if !really {
            return self.node("Identity", &[from], to);
        }
        let [f, o, product] = ["factor", "offset", "product"].map(|s| format!("{s}_{to}"));
        self.constant(&f, &[factor]);
        self.constant(&o, &[offset]);
        self.node("Mul", &[from, &f], &product);
        self.node("Add", &[&product, &o], to);
    }
}

/// A network of FILM's border and shape with random weights: features at full, half and a quarter
/// of the size, added up again on the way back, so that only multiples of 4 will do.
pub(crate) fn random_film() -> Vec<u8> {
    let film = Foreign::new(Form::Film, Answer::Blend);
    let mut graph = Graph(GraphBuilder::new("random film", 17));
    film.input(&mut graph, "time", &[-1, 1], "unused");
    film.picture(&mut graph, "x0", "a");
    film.picture(&mut graph, "x1", "b");
    let mut state = 1_u32;
    let mut weights = |graph: &mut Graph, name: &str, dims: [i64; 4]| {
        let fan_in = (dims[1] * dims[2] * dims[3]) as f32;
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * (3.0 / fan_in).sqrt()
        })
        .take(dims.iter().product::<i64>() as usize)
        .collect();
        graph.edit(|builder| builder.constant(name, &dims, &values));
    };
    let same = || vec![ints("pads", &[1, 1, 1, 1])];
    graph.node_with("Concat", &["a", "b"], "level0", vec![int("axis", 1)]);
    for level in 1..3 {
        let (from, name) = (format!("level{}", level - 1), format!("down{level}"));
        let channels = if level == 1 { 6 } else { 8 };
        weights(&mut graph, &name, [8, channels, 3, 3]);
        let attributes = vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
        let sum = format!("sum{level}");
        graph.node_with("Conv", &[&from, &name], &sum, attributes);
        graph.node("Relu", &[&sum], &format!("level{level}"));
    }
    graph.edit(|builder| builder.constant("twice", &[4], &[1.0, 1.0, 2.0, 2.0]));
    graph.node("Resize", &["level2", "", "twice"], "up2");
    graph.node("Add", &["up2", "level1"], "joined");
    graph.node("Resize", &["joined", "", "twice"], "up1");
    weights(&mut graph, "last", [3, 8, 3, 3]);
    graph.node_with("Conv", &["up1", "last"], "logits", same());
    graph.node("Sigmoid", &["logits"], "mask");
    graph.node("Sub", &["b", "a"], "difference");
    graph.node("Mul", &["difference", "mask"], "part");
    graph.node("Add", &["a", "part"], "answer");
    graph.transposed("answer", "image", true, TO_PIXELS);
    graph.transposed("mask", "mask_pyramid", true, TO_PIXELS);
    let pixels: &[i64] = &[-1, -1, -1, 3];
    encode(
        &graph
            .0
            .output("image", pixels)
            .output("mask_pyramid", pixels)
            .finish(),
    )
}
