//! The motion in a network that gives a picture.
//!
//! RIFE 4.x ends with `warp(img0, flow0) * mask + warp(img1, flow1) * (1 - mask)`. Where a
//! graph ends like that, however it is written, flow and mask are in it and can be had instead of
//! the picture. The flow is taken from the positions at which the pictures are read, whatever way
//! they came about; so only the last few nodes have to be understood.

use super::algebra::{self, Atom, DEEPEST, Formulas, SAME, Sum};
use super::append::Appender;
use super::build::{int, ints, value};
use super::edit::{integer, text};
use super::proto::{GraphProto, ModelProto, NodeProto};
use super::text::{LONGEST_NAME, abbreviate};
use super::types::FLOAT;

/// Prefix of the names of the values added here.
const PREFIX: &str = "vfiinterp/motion/";

/// A blend of two warped pictures at the end of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend {
    /// The positions at which each of the two pictures is read, `[1, H, W, 2]`.
    grids: [String; 2],
    /// Whether -1 and 1 are the centres of the outermost pixels, else their outer edges.
    align_corners: bool,
    /// The share of the first one.
    share: Sum,
    /// The nodes that crop the blend, in the order they are applied.
    crops: Vec<NodeProto>,
}

impl Blend {
    /// Finds the blend that ends in `output`; the error says what there is instead.
    pub fn find(graph: &GraphProto, output: &str) -> Result<Self, String> {
        let formulas = Formulas::of(graph);
        let mut crops = Vec::new();
        let mut name = output;
        // what only crops, limits or converts the picture is looked through
        for _ in 0..DEEPEST {
            let node = formulas.producer(name);
            let Some((node, op)) = node.map(|node| (node, node.op_type())) else {
                break;
            };
            match op {
                "Slice" => crops.insert(0, node.clone()),
                "Clip" | "Cast" | "Identity" => {}
                _ => break,
            }
            name = node.input.first().map_or("", String::as_str);
        }
        let sum = formulas
            .expand(name)
            .ok_or("its picture is no simple sum")?;
        let warp = |atom: &Atom| match atom {
            Atom::Value(name) => formulas
                .producer(name)
                .filter(|node| node.op_type() == "GridSample"),
            Atom::Sigmoid(_) => None,
        };
        // each warped picture with its share
        let mut parts: Vec<(Atom, Sum)> = Vec::new();
        for (factor, mut atoms) in sum {
            let place = atoms.iter().position(|atom| warp(atom).is_some());
            let place = place.ok_or("its picture is more than a blend of warped ones")?;
            let picture = atoms.remove(place);
            if atoms.iter().any(|atom| warp(atom).is_some()) {
                return Err("it multiplies warped pictures".into());
            }
            match parts.iter_mut().find(|(known, _)| *known == picture) {
                Some((_, share)) => share.push((factor, atoms)),
                None => parts.push((picture, vec![(factor, atoms)])),
            }
        }
        let [(first, share), (second, rest)] = parts.as_slice() else {
            let count = parts.len();
            return Err(format!(
                "its picture is a blend of {count} warped ones, not of two"
            ));
        };
        let whole = algebra::add(share.clone(), rest, 1.0);
        match whole.as_deref() {
            Some([(number, atoms)]) if atoms.is_empty() && (number - 1.0).abs() < SAME => {}
            _ => return Err("the shares of its warped pictures do not add up to one".into()),
        }
        let read = |atom| {
            warp(atom)
                .ok_or("a warp is missing".into())
                .and_then(positions)
        };
        let ((first, aligned), (second, also)) = (read(first)?, read(second)?);
        if aligned != also {
            return Err("it reads its pictures in different ways".into());
        }
        Ok(Self {
            grids: [first, second],
            align_corners: aligned,
            share: share.clone(),
            crops,
        })
    }

    /// Makes flow and mask the outputs of the model the blend was found in, and returns their
    /// names. `swapped`: the second of the blend's pictures is the network's first.
    ///
    /// With `s = (size - 1) / 2` (`size / 2` where edges are aligned), a position `g` is that of
    /// pixel `g * s + (size - 1) / 2`; flow is how far that is from the pixel that is made.
    pub fn cut(&self, model: &mut ModelProto, swapped: bool) -> (String, String) {
        let mut graph = Appender::new(model.graph.get_or_insert_default(), PREFIX);
        let grids = self.grids.clone().map(|name| graph.floats(&name));
        let shape = graph.node("Shape", &[&grids[0]], vec![]);
        // along x, then y: by what a position is multiplied, and what is added to it
        let axes = [2, 1].map(|axis| {
            let vertical = axis == 1;
            let axis = graph.integers(&[], &[axis]);
            let size = graph.node("Gather", &[&shape, &axis], vec![]);
            let (zero, one) = (graph.integers(&[], &[0]), graph.integers(&[], &[1]));
            let pixels = graph.node("Range", &[&zero, &size, &one], vec![]);
            let mut pixels = graph.floats(&pixels);
            if vertical {
                let last = graph.integers(&[1], &[1]);
                pixels = graph.node("Unsqueeze", &[&pixels, &last], vec![]);
            }
            let size = graph.floats(&size);
            let (one, half) = (graph.constant(1.0), graph.constant(0.5));
            let last = graph.node("Sub", &[&size, &one], vec![]);
            let middle = graph.node("Mul", &[&last, &half], vec![]);
            let offset = graph.node("Sub", &[&middle, &pixels], vec![]);
            if self.align_corners {
                (middle, offset)
            } else {
                (graph.node("Mul", &[&size, &half], vec![]), offset)
            }
        });
        let mut flows = Vec::new();
        for grid in &grids {
            let order = vec![ints("perm", &[0, 3, 1, 2])];
            let planes = graph.node("Transpose", &[grid], order);
            let sizes = graph.integers(&[2], &[1, 1]);
            let parts: [_; 2] =
                graph.node_with_outputs("Split", &[&planes, &sizes], vec![int("axis", 1)]);
            for (part, (scale, offset)) in parts.iter().zip(&axes) {
                let place = graph.node("Mul", &[part, scale], vec![]);
                flows.push(graph.node("Add", &[&place, offset], vec![]));
            }
        }
        let mut mask = graph.sum(&self.share);
        if swapped {
            flows.rotate_left(2);
            let one = graph.constant(1.0);
            mask = graph.node("Sub", &[&one, &mask], vec![]);
        }
        let flows: Vec<&str> = flows.iter().map(String::as_str).collect();
        let flow = graph.node("Concat", &flows, vec![int("axis", 1)]);
        // where the picture is cropped, flow and mask are cropped alike
        let [flow, mask] = [flow, mask].map(|name| {
            let again = |name, crop| graph.again(crop, name);
            self.crops.iter().fold(name, again)
        });
        let output = |name: &str, channels| value(name, FLOAT, &[1, channels, -1, -1]);
        let outputs = vec![output(&flow, 4), output(&mask, 1)];
        model.graph.get_or_insert_default().output = outputs;
        (flow, mask)
    }
}

/// The positions at which a `GridSample` reads, and whether it aligns corners.
fn positions(node: &NodeProto) -> Result<(String, bool), String> {
    let (mode, padding) = (
        text(node, "mode", "linear"),
        text(node, "padding_mode", "zeros"),
    );
    if !matches!(&*mode, "linear" | "bilinear") || padding != "border" {
        return Err(format!(
            "it reads its pictures with mode {} and padding {}, not bilinear with border",
            abbreviate(&mode, LONGEST_NAME),
            abbreviate(&padding, LONGEST_NAME)
        ));
    }
    let aligned = integer(node, "align_corners") == Some(1);
    let grid = node.input.get(1).ok_or("a GridSample has no positions")?;
    Ok((grid.clone(), aligned))
}

#[cfg(test)]
mod tests {
    use super::super::build::{self, GraphBuilder, float};
    use super::super::codec::{decode, encode};
    use super::*;

    const PICTURE: &[i64] = &[1, 3, -1, -1];

    /// Two warped pictures `a` and `b`, the logit `x` of a mask, and `s`, its sigmoid.
    fn begun() -> GraphBuilder {
        sampled("border", [1, 1])
    }

    fn sampled(padding: &str, aligned: [i64; 2]) -> GraphBuilder {
        let attributes = |aligned| {
            let modes = [
                build::text("mode", "bilinear"),
                build::text("padding_mode", padding),
            ];
            [modes.as_slice(), &[int("align_corners", aligned)]].concat()
        };
        GraphBuilder::new("blend", 17)
            .input("img0", PICTURE)
            .input("img1", PICTURE)
            .input("grid0", &[1, -1, -1, 2])
            .input("grid1", &[1, -1, -1, 2])
            .input("x", &[1, 1, -1, -1])
            .constant("one", &[], &[1.0])
            .constant("ones", &[1, 1, 1, 1], &[1.0])
            .constant("minus", &[1], &[-1.0])
            .constant("two", &[1], &[2.0])
            .constant("zero", &[], &[0.0])
            .node_with(
                "GridSample",
                &["img0", "grid0"],
                &["a"],
                attributes(aligned[0]),
            )
            .node_with(
                "GridSample",
                &["img1", "grid1"],
                &["b"],
                attributes(aligned[1]),
            )
            .node("Sigmoid", &["x"], &["s"])
    }

    fn found(builder: GraphBuilder) -> Result<Blend, String> {
        let model = builder.output("output", PICTURE).finish();
        Blend::find(&model.graph.unwrap_or_default(), "output")
    }

    /// The share of the picture read at `grid0`.
    #[track_caller]
    fn share_of_first(builder: GraphBuilder) -> Sum {
        let blend = found(builder).unwrap_or_else(|why| panic!("{why}"));
        assert!(blend.align_corners);
        if blend.grids == ["grid0", "grid1"] {
            return blend.share;
        }
        assert_eq!(blend.grids, ["grid1", "grid0"]);
        let whole = vec![(1.0, vec![])];
        algebra::add(whole, &blend.share, -1.0).unwrap_or_default()
    }

    #[test]
    fn a_blend_is_known_however_it_is_written() {
        let sigmoid = vec![(1.0, vec![Atom::Sigmoid("x".into())])];
        let plainly = |rest: &str| {
            begun()
                .node("Mul", &["a", "s"], &["left"])
                .node("Mul", &[rest, "b"], &["right"])
                .node("Add", &["right", "left"], &["output"])
        };
        let forms = [
            // a * s + b * (1 - s)
            plainly("rest").node("Sub", &["one", "s"], &["rest"]),
            plainly("rest").node("Sub", &["ones", "s"], &["rest"]),
            // with -s + 1, and with sigmoid(-x)
            plainly("rest").node("Neg", &["s"], &["opposite"]).node(
                "Add",
                &["opposite", "one"],
                &["rest"],
            ),
            plainly("rest").node("Neg", &["x"], &["opposite"]).node(
                "Sigmoid",
                &["opposite"],
                &["rest"],
            ),
            plainly("rest")
                .node("Mul", &["x", "minus"], &["opposite"])
                .node("Sigmoid", &["opposite"], &["rest"]),
            // b + s * (a - b)
            begun()
                .node("Sub", &["a", "b"], &["difference"])
                .node("Mul", &["difference", "s"], &["part"])
                .node("Add", &["b", "part"], &["output"]),
            // a - (1 - s) * (a - b)
            begun()
                .node("Sub", &["one", "s"], &["rest"])
                .node("Sub", &["a", "b"], &["difference"])
                .node("Mul", &["rest", "difference"], &["part"])
                .node("Sub", &["a", "part"], &["output"]),
            // limited, converted and cropped; the share converted
            begun()
                .integers("from", &[0])
                .node_with("Cast", &["s"], &["half"], vec![int("to", 10)])
                .node("Sub", &["one", "half"], &["rest"])
                .node("Mul", &["a", "half"], &["left"])
                .node("Mul", &["b", "rest"], &["right"])
                .node("Sum", &["left", "right"], &["blend"])
                .node("Clip", &["blend", "zero", "one"], &["limited"])
                .node_with("Cast", &["limited"], &["converted"], vec![int("to", 1)])
                .node("Slice", &["converted", "from", "from"], &["output"]),
            // one as a node, twice as much divided by two
            begun()
                .node_with("Constant", &[], &["unit"], vec![float("value_float", 1.0)])
                .node("Sub", &["unit", "s"], &["rest"])
                .node("Mul", &["a", "s"], &["left"])
                .node("Mul", &["b", "rest"], &["right"])
                .node("Add", &["left", "right"], &["once"])
                .node("Add", &["once", "once"], &["twice"])
                .node("Div", &["twice", "two"], &["output"]),
        ];
        for (form, builder) in forms.into_iter().enumerate() {
            assert_eq!(share_of_first(builder), sigmoid, "form {form}");
        }
    }

    #[test]
    fn a_share_need_not_be_a_sigmoid() {
        let builder = begun()
            .node("Relu", &["x"], &["share"])
            .node("Sub", &["one", "share"], &["rest"])
            .node("Mul", &["a", "share"], &["left"])
            .node("Mul", &["b", "rest"], &["right"])
            .node("Add", &["left", "right"], &["output"]);
        let expected = vec![(1.0, vec![Atom::Value("share".into())])];
        assert_eq!(share_of_first(builder), expected);
    }

    #[test]
    fn what_is_no_blend_is_told_apart() {
        let blend = |builder: GraphBuilder, output: &str| {
            builder
                .node("Sub", &["one", "s"], &["rest"])
                .node("Mul", &["a", "s"], &["left"])
                .node("Mul", &["b", "rest"], &["right"])
                .node("Add", &["left", "right"], &[output])
        };
        let begun_with = |aligned| sampled("border", aligned);
        let cases = [
            // something is added
            (
                blend(begun(), "merged").node("Add", &["merged", "img0"], &["output"]),
                "more than a blend",
            ),
            (
                blend(begun(), "merged").node("Relu", &["merged"], &["output"]),
                "more than a blend",
            ),
            // the shares make two
            (
                begun().node("Add", &["a", "b"], &["output"]),
                "add up to one",
            ),
            // only one is warped
            (
                begun()
                    .node("Mul", &["a", "s"], &["left"])
                    .node("Sub", &["one", "s"], &["rest"])
                    .node("Mul", &["img1", "rest"], &["right"])
                    .node("Add", &["left", "right"], &["output"]),
                "more than a blend",
            ),
            (
                begun().node("Identity", &["a"], &["output"]),
                "1 warped ones",
            ),
            (begun().node("Mul", &["a", "b"], &["output"]), "multiplies"),
            (blend(sampled("zeros", [1, 1]), "output"), "padding zeros"),
            (blend(begun_with([1, 0]), "output"), "different ways"),
        ];
        for (builder, reason) in cases {
            let why = found(builder).expect_err(reason);
            assert!(why.contains(reason), "{why}, not {reason}");
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        // each value is the sum of the one before with itself: 2^60 terms
        let mut builder = begun().node("Add", &["a", "b"], &["v0"]);
        for i in 0..60 {
            let (from, to) = (format!("v{i}"), format!("v{}", i + 1));
            builder = builder.node("Add", &[&from, &from], &[&to]);
        }
        assert!(found(builder.node("Identity", &["v60"], &["output"])).is_err());
        // in a circle
        let circle = begun().node("Identity", &["output"], &["next"]).node(
            "Identity",
            &["next"],
            &["output"],
        );
        assert!(found(circle).is_err());
        let circle = begun()
            .node("Sigmoid", &["y"], &["output"])
            .node("Identity", &["y"], &["y"]);
        assert!(found(circle).is_err());
    }

    #[test]
    fn a_cut_leaves_a_graph_that_can_be_written_and_read() {
        let mut model = begun()
            .node("Sub", &["a", "b"], &["difference"])
            .node("Mul", &["difference", "s"], &["part"])
            .node("Add", &["b", "part"], &["output"])
            .output("output", PICTURE)
            .finish();
        let blend = Blend::find(model.graph.get_or_insert_default(), "output");
        let blend = blend.unwrap_or_else(|why| panic!("{why}"));
        let (flow, mask) = blend.cut(&mut model, false);
        let graph = model.graph.get_or_insert_default();
        super::super::edit::prune(graph);
        let names: Vec<_> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
        assert_eq!(names, [flow, mask]);
        let kept = |op: &str| graph.node.iter().filter(|n| n.op_type() == op).count();
        assert_eq!((kept("GridSample"), kept("Sigmoid")), (0, 1));
        assert_eq!(decode(&encode(&model)), Ok(model));
    }
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_networks_never_panic(
            damage in proptest::collection::vec((0_usize..1 << 17, 0_u8..), 1..64),
        ) {
            let whole = include_bytes!("../../../tests/fixtures/rife46_11_folded.onnx");
            let mut bytes = whole.to_vec();
            for (place, value) in damage {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            if let Ok(mut model) = decode(&bytes) {
                if let Ok(blend) = Blend::find(model.graph.get_or_insert_default(), "output") {
                    blend.cut(&mut model, true);
                }
                let _ = super::super::half::halve(&mut model);
            }
        }
    }
}
