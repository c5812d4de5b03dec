use onnx_graph::build::GraphBuilder;

use super::metadata::Statement;
use super::*;
use crate::models::loading::catalog;
use crate::models::signature::types::{Padding, Timestep};

const PICTURE: &[i64] = &[1, 3, -1, -1];
const NHWC: &[i64] = &[-1, -1, -1, 3];
const OPEN: &[i64] = &[-1, -1, -1, -1];

type Declared<'a> = [(&'a str, &'a [i64])];

fn model(inputs: &Declared, outputs: &Declared) -> GraphBuilder {
    let mut builder = GraphBuilder::new("test", 17);
    for (name, dims) in inputs {
        builder = builder.input(name, dims);
    }
    for (name, dims) in outputs {
        builder = builder.output(name, dims);
    }
    builder
}

fn stated(text: &str) -> Stated {
    Stated::default().and(
        Origin::Property("model-info"),
        Statement::parse(text).unwrap(),
    )
}

fn of(inputs: &Declared, outputs: &Declared, said: &str) -> Result<Signature, String> {
    Signature::of(&model(inputs, outputs).finish(), &stated(said))
}

fn inputs_of(inputs: &Declared) -> Result<Inputs, String> {
    of(inputs, &[("y", PICTURE)], "").map(|s| s.inputs)
}

fn with_timestep(form: Timestep) -> Inputs {
    Inputs::PicturesAndTimestep {
        pictures: ["a".into(), "b".into()],
        timestep: "t".into(),
        form,
    }
}

#[test]
fn the_builtin_network_is_read() {
    let model = onnx_graph::decode(catalog::VFI_LITE).unwrap_or_default();
    let found = Signature::of(&model, &Stated::default()).unwrap();
    let expected = Signature {
        name: Some("vfi-lite".into()),
        family: Some("rife".into()),
        inputs: Inputs::PicturesAndTimestep {
            pictures: ["img0".into(), "img1".into()],
            timestep: "timestep".into(),
            form: Timestep::Scalar(1),
        },
        outputs: Outputs::Motion {
            flow: "flow".into(),
            mask: "mask".into(),
        },
        seek_motion: false,
        any_phase: true,
        phase_stated: true,
        range: Range::Unit,
        channel_order: ChannelOrder::Rgb,
        input_layout: Layout::Nchw,
        output_layout: Layout::Nchw,
        align: 16,
        align_stated: true,
        constants: vec![],
        padding: Padding::Repeat,
        levels_light: true,
        fixed: None,
        notes: found.notes.clone(),
    };
    assert_eq!(found, expected);
}

#[test]
fn timesteps_are_known_by_shape_wherever_they_stand() {
    let cases: [(&[i64], Timestep); 7] = [
        (&[], Timestep::Scalar(0)),
        (&[1], Timestep::Scalar(1)),
        (&[-1, 1], Timestep::Scalar(2)),
        (&[1, 1, 1, 1], Timestep::Scalar(4)),
        (&[-1, 1, -1, -1], Timestep::Plane),
        (OPEN, Timestep::Plane),
        (&[1, 1, 64, 64], Timestep::Plane),
    ];
    for (dims, form) in cases {
        let expected = Ok(with_timestep(form));
        let (a, b, t) = (("a", PICTURE), ("b", PICTURE), ("t", dims));
        assert_eq!(inputs_of(&[a, b, t]), expected);
        assert_eq!(inputs_of(&[t, a, b]), expected);
    }
    let no_timestep = inputs_of(&[("a", PICTURE), ("b", PICTURE), ("t", &[1, 4, -1, -1])]);
    let why = no_timestep.unwrap_err();
    assert!(
        why.contains("`t` float32 [1,4,?,?] is no timestep"),
        "{why}"
    );
}

#[test]
fn a_stated_form_of_the_timestep_counts() {
    let inputs: &Declared = &[("a", PICTURE), ("b", PICTURE), ("t", &[-1, 1, -1, -1])];
    let form = |said: &str| of(inputs, &[("y", PICTURE)], said).map(|s| (s.inputs, s.any_phase));
    let scalar = with_timestep(Timestep::Scalar(4));
    let plane = with_timestep(Timestep::Plane);
    assert_eq!(form("timestep=scalar"), Ok((scalar, true)));
    assert_eq!(form("timestep=plane"), Ok((plane.clone(), true)));
    assert_eq!(form("timestep=none"), Ok((plane, false)));
    let why = of(
        &[("x", &[1, 6, -1, -1])],
        &[("y", PICTURE)],
        "timestep=plane",
    )
    .unwrap_err();
    assert!(why.contains("no input for one"), "{why}");
}

#[test]
fn stacked_inputs_are_known_by_their_channels() {
    for channels in [6, 7, 8, 11] {
        let expected = Inputs::Stacked {
            name: "input".into(),
            channels: channels as usize,
        };
        let planar = inputs_of(&[("input", &[1, channels, -1, -1])]);
        assert_eq!(planar, Ok(expected.clone()));
        let interleaved = inputs_of(&[("input", &[1, -1, -1, channels])]);
        assert_eq!(interleaved, Ok(expected));
    }
    for channels in [1, 3, 4, 5, 9, 10, 12, -1] {
        assert!(inputs_of(&[("input", &[1, channels, -1, -1])]).is_err());
    }
}

#[test]
fn pictures_stand_in_the_order_of_their_numbers() {
    for (names, expected) in [
        (["I0", "I1"], ["I0", "I1"]),
        (["img1", "img0"], ["img0", "img1"]),
        (["frame_9", "frame_10"], ["frame_9", "frame_10"]),
        (["prev", "next"], ["prev", "next"]),
        (["b1", "a0"], ["b1", "a0"]),
    ] {
        let [first, second] = names;
        let expected = Inputs::Pictures(expected.map(Into::into));
        assert_eq!(
            inputs_of(&[(first, PICTURE), (second, PICTURE)]),
            Ok(expected)
        );
    }
}

#[test]
fn what_an_exporter_left_open_may_be_a_picture() {
    let expected = Inputs::Pictures(["a".into(), "b".into()]);
    assert_eq!(inputs_of(&[("a", OPEN), ("b", OPEN)]), Ok(expected));
    let form = with_timestep(Timestep::Scalar(1));
    assert_eq!(
        inputs_of(&[("a", OPEN), ("b", OPEN), ("t", &[-1])]),
        Ok(form)
    );
    let pictures: &Declared = &[("a", PICTURE), ("b", PICTURE)];
    assert!(of(pictures, &[("y", OPEN)], "").is_ok());
    let found = of(&[("a", OPEN), ("b", OPEN)], &[("y", OPEN)], "layout=nhwc").unwrap();
    assert_eq!(found.input_layout, Layout::Nhwc);
    assert_eq!(found.output_layout, Layout::Nhwc);
}

/// Returns the signature of FILM's SavedModel through tf2onnx, as far as its border goes.
fn film(said: &str) -> Signature {
    let pyramid: &[i64] = &[-1, -1, -1, 2];
    of(
        &[("time", &[-1, 1]), ("x0", NHWC), ("x1", NHWC)],
        &[
            ("backward_flow_pyramid", pyramid),
            ("forward_flow_pyramid", pyramid),
            ("image", NHWC),
            ("x0_warped", NHWC),
            ("x1_warped", NHWC),
        ],
        said,
    )
    .unwrap()
}

#[test]
fn films_saved_model_knows_the_middle_only() {
    let found = film("");
    assert_eq!(found.outputs, Outputs::Picture("image".into()));
    assert_eq!(
        (found.input_layout, found.output_layout),
        (Layout::Nhwc, Layout::Nhwc)
    );
    assert_eq!((found.any_phase, found.align), (false, 64));
    assert!(film("timestep=scalar").any_phase);
    assert!(film("family=rife").any_phase);
}

#[test]
fn films_torch_export_takes_any_phase() {
    let inputs: &Declared = &[("x0", PICTURE), ("x1", PICTURE), ("batch_dt", &[-1, 1])];
    let found = of(inputs, &[("output", PICTURE)], "").unwrap();
    assert!(found.any_phase);
    let midpoint = of(inputs, &[("output", PICTURE)], "family=midpoint").unwrap();
    assert!(!midpoint.any_phase);
}

#[test]
fn the_output_is_chosen_by_statement_then_kind_then_name() {
    let pictures: &Declared = &[("a", PICTURE), ("b", PICTURE)];
    let output = |outputs: &Declared, said: &str| {
        of(pictures, outputs, said).map(|s| match s.outputs {
            Outputs::Picture(name) => name,
            Outputs::Motion { .. } => "motion".into(),
        })
    };
    let two: &Declared = &[("merged", PICTURE), ("teacher", PICTURE)];
    assert_eq!(output(two, "output=teacher").as_deref(), Ok("teacher"));
    let one: &Declared = &[("flow", &[1, 4, -1, -1]), ("y", PICTURE)];
    assert_eq!(output(one, "").as_deref(), Ok("y"));
    let named: &Declared = &[("warped", PICTURE), ("image:0", PICTURE)];
    assert_eq!(output(named, "").as_deref(), Ok("image:0"));
    let why = output(two, "").unwrap_err();
    for part in [
        "more than one picture",
        "`merged`, `teacher`",
        "output=NAME",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let why = output(two, "output=merge").unwrap_err();
    assert!(
        why.contains("`merge`") && why.contains("`merged` float32"),
        "{why}"
    );
    let why = output(one, "output=flow").unwrap_err();
    assert!(
        why.contains("`flow` float32 [1,4,?,?] is no picture"),
        "{why}"
    );
}

#[test]
fn what_is_refused_is_described() {
    let classifier = of(&[("data", &[1, 3, 224, 224])], &[("prob", &[1, 1000])], "");
    let why = classifier.unwrap_err();
    for part in [
        "`data` float32 [1,3,224,224]",
        "`prob` float32 [1,1000]",
        "accepted are",
        "model-info",
    ] {
        assert!(why.contains(part), "`{part}` is not in: {why}");
    }
    for (inputs, reason) in [
        (
            [("a", &[4, 3, -1, -1]), ("b", &[4, 3, -1, -1])],
            "several pictures",
        ),
        (
            [("a", &[1, 3, -1, 640]), ("b", &[1, 3, -1, 640])],
            "one of width and height",
        ),
    ] {
        let inputs: Vec<(&str, &[i64])> = inputs.map(|(n, d)| (n, d.as_slice())).into();
        let why = inputs_of(&inputs).unwrap_err();
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn floats_are_taken_and_other_numbers_are_refused() {
    let typed = |element| {
        let model = GraphBuilder::new("typed", 17)
            .typed_input("x", element, &[1, 7, -1, -1])
            .typed_output("y", element, PICTURE);
        Signature::of(&model.finish(), &Stated::default())
    };
    for (element, name) in [(10, "float16"), (11, "float64"), (16, "bfloat16")] {
        let notes = typed(element).unwrap().notes;
        assert!(notes.iter().any(|note| note.starts_with(name)), "{notes:?}");
    }
    for (element, name) in [(2, "uint8"), (6, "int32"), (7, "int64")] {
        let why = typed(element).unwrap_err();
        assert!(why.contains(&format!("`x` {name} [1,7,?,?]")), "{why}");
        assert!(why.contains("does not hold floats"), "{why}");
    }
}

#[test]
fn further_inputs_hold_what_is_stated() {
    let of = |said: &str| {
        let model = GraphBuilder::new("diffusion", 17)
            .input("a", PICTURE)
            .input("b", PICTURE)
            .typed_input("steps", 7, &[])
            .typed_input("strength", 1, &[1])
            .output("y", PICTURE)
            .finish();
        let said = Statement::parse(said).unwrap();
        let stated = Stated::default().and(Origin::Property("model-info"), said);
        Signature::of(&model, &stated)
    };
    let why = of("input.strength=1").unwrap_err();
    assert!(
        why.contains("`steps` int64 []") && why.contains("input.steps=NUMBER"),
        "{why}"
    );
    let why = of("input.steps=0.5").unwrap_err();
    assert!(why.contains("0.5") && why.contains("can't hold"), "{why}");
    let why = of("input.step=20").unwrap_err();
    assert!(
        why.contains("`step`") && why.contains("none of that name"),
        "{why}"
    );
    let why = of("input.a=1").unwrap_err();
    assert!(
        why.contains("`a` float32 [1,3,?,?]") && why.contains("can't hold"),
        "{why}"
    );
    let found = of("input.steps=20,input.strength=0.5").unwrap();
    assert!(matches!(found.inputs, Inputs::Pictures(_)));
    assert_eq!(
        found.constants,
        [("steps".into(), 20.0), ("strength".into(), 0.5)]
    );
    // and what is left may be the phase
    assert!(of("input.steps=20").unwrap().any_phase);
}

#[test]
fn metadata_is_checked() {
    let pictures: &Declared = &[("a", PICTURE), ("b", PICTURE)];
    let of = |key: &str, value: &str| {
        let model = model(pictures, &[("y", PICTURE)]).metadata(key, value);
        Signature::of(&model.finish(), &Stated::default())
    };
    assert!(of("vfiinterp.range", "-1..1").is_ok_and(|s| s.range == Range::Signed));
    assert!(of("vfiinterp.align", "8").is_ok_and(|s| s.align == 8 && s.align_stated));
    assert!(of("other.align", "8").is_ok_and(|s| s.align == DEFAULT_ALIGN && !s.align_stated));
    assert!(of("vfiinterp.output", "picture").is_ok());
    assert!(of("vfiinterp.family", "a family of its own").is_ok_and(|s| s.family.is_some()));
    for (key, value) in [
        ("align", "0"),
        ("align", "many"),
        ("range", "0..255"),
        ("output", "sound"),
    ] {
        let why = of(&format!("vfiinterp.{key}"), value).unwrap_err();
        assert!(why.contains(value), "{why}");
    }
    assert!(of("vfiinterp.output", "motion").is_err_and(|why| why.contains("`flow`")));
}

#[test]
fn statements_overrule_metadata() {
    let pictures: &Declared = &[("a", PICTURE), ("b", PICTURE)];
    let model = model(pictures, &[("y", PICTURE)])
        .metadata("vfiinterp.range", "-1..1")
        .metadata("vfiinterp.align", "8");
    let found = Signature::of(&model.finish(), &stated("align=16,channel_order=bgr")).unwrap();
    assert_eq!((found.align, found.range), (16, Range::Signed));
    assert_eq!(found.channel_order, ChannelOrder::Bgr);
}

#[test]
fn sizes_written_into_the_file_are_read() {
    let planar: &[i64] = &[1, 3, 256, 448];
    let interleaved: &[i64] = &[1, 256, 448, 3];
    for dims in [planar, interleaved] {
        let found = of(&[("a", dims), ("b", dims)], &[("y", dims)], "").unwrap();
        assert_eq!(found.fixed, Some((448, 256)));
    }
    let (a, b) = (("a", PICTURE), ("b", PICTURE));
    let sized = |t: &[i64]| of(&[a, b, ("t", t)], &[("y", PICTURE)], "").map(|s| s.fixed);
    assert_eq!(sized(&[1, 1, 256, 448]), Ok(Some((448, 256))));
    assert_eq!(sized(&[1, 1, 1, 1]), Ok(None));
}
