//! Networks through the public interface, with the runtime found as a user's build finds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

#[path = "common/fixtures.rs"]
mod fixtures;

use std::time::{Duration, Instant};

use fixtures::TemporaryFile;
use fixtures::foreign::{Answer, Foreign, Form};
use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelError, ModelFamily, ModelKind,
    Prepared,
};
use onnx_graph::build::{GraphBuilder, int};
use onnx_graph::encode;
use onnx_graph::proto::TensorProto;

fn options(model: &str) -> LoadOptions {
    LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    }
}

fn load(name: &str, bytes: &[u8]) -> Interpolator {
    let file = TemporaryFile::new(name, bytes);
    Interpolator::load(&options(file.path())).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(model: &str) -> ModelError {
    match Interpolator::load(&options(model)) {
        Ok(_) => panic!("{model} was loaded"),
        Err(error) => error,
    }
}

/// A picture whose samples all differ; `seed` tells pictures apart.
fn picture(width: usize, height: usize, seed: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    for (i, value) in picture.data.iter_mut().enumerate() {
        *value = ((i * 37 + seed * 101) % 256) as f32 / 255.0;
    }
    picture
}

fn pair(interpolator: &Interpolator, width: usize, height: usize) -> ([Picture; 2], [Prepared; 2]) {
    let pictures = [0, 1].map(|seed| picture(width, height, seed));
    let mut prepared = [Prepared::default(), Prepared::default()];
    for (picture, prepared) in pictures.iter().zip(&mut prepared) {
        interpolator
            .prepare(picture, prepared)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    (pictures, prepared)
}

fn estimated(interpolator: &mut Interpolator, [a, b]: &[Prepared; 2], phase: f32) -> Picture {
    match interpolator.estimate(a, b, phase) {
        Ok(Estimate::Picture(picture)) => picture.clone(),
        Ok(other) => panic!("it gave {other:?}"),
        Err(error) => panic!("{error}"),
    }
}

fn assert_blend(found: &Picture, [a, b]: &[Picture; 2], phase: f32) {
    assert_eq!((found.width, found.height), (a.width, a.height));
    for ((found, a), b) in found.data.iter().zip(&a.data).zip(&b.data) {
        let expected = a + (b - a) * phase;
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}

#[test]
fn the_builtin_network_gives_motion_at_every_size() {
    let mut network = Interpolator::load(&options("vfi-lite")).unwrap_or_else(|e| panic!("{e}"));
    let info = network.info();
    assert_eq!(
        (info.name.as_str(), info.kind, info.any_phase, info.provider),
        ("vfi-lite", ModelKind::Motion, true, ExecutionProvider::Cpu)
    );
    assert!(
        info.own_nodes > 0,
        "its GridSamples run on our own operator"
    );
    let align = info.align;
    for (width, height) in [(64, 48), (100, 75), (17, 33), (64, 48)] {
        let (_, [a, b]) = pair(&network, width, height);
        let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, 0.25) else {
            panic!("no motion at {width}x{height}");
        };
        assert_eq!(motion.width, width.next_multiple_of(align) / 2);
        assert_eq!(motion.height, height.next_multiple_of(align) / 2);
        let cover = (width as f32 / 2.0, height as f32 / 2.0);
        assert_eq!(
            (motion.cover_x, motion.cover_y, motion.unit),
            (cover.0, cover.1, 0.5)
        );
        assert_eq!(motion.flow.len(), 4 * motion.width * motion.height);
        assert_eq!(motion.mask.len(), motion.width * motion.height);
        assert!(motion.flow.iter().all(|v| v.is_finite()));
        assert!(motion.mask.iter().all(|v| (0.0..=1.0).contains(v)));
    }
}

#[test]
fn auto_takes_the_cpu_where_there_is_no_gpu_and_says_so() {
    let auto = LoadOptions::default();
    let network = Interpolator::load(&auto).unwrap_or_else(|error| panic!("{error}"));
    let info = network.info();
    match info.provider {
        ExecutionProvider::Cpu => assert!(info.fallback.is_some()),
        ExecutionProvider::Cuda => assert_eq!(info.fallback, None),
        other => panic!("auto took {}", other.nick()),
    }
}

#[test]
fn a_named_provider_that_is_not_there_is_an_error() {
    for provider in [ExecutionProvider::Cuda, ExecutionProvider::TensorRt] {
        let wanted = LoadOptions {
            provider,
            device: -1,
            ..LoadOptions::default()
        };
        let error = Interpolator::load(&wanted).err();
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            message.contains(provider.nick()) && message.contains("-1 is no device"),
            "{message}"
        );
    }
}

#[test]
fn motion_is_described_exactly() {
    for (stride, align) in [(1, 1), (2, 16), (4, 32)] {
        let mut network = load(
            &format!("motion{stride}.onnx"),
            &fixtures::constant_motion([8.0, -4.0], stride, align),
        );
        assert_eq!(network.info().name, "constant-motion");
        assert_eq!(network.info().align, align);
        let (_, [a, b]) = pair(&network, 50, 30);
        for phase in [0.25, 0.5, 0.75] {
            let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, phase) else {
                panic!("no motion");
            };
            let stride = stride as usize;
            assert_eq!(motion.width, 50_usize.next_multiple_of(align) / stride);
            assert_eq!(motion.height, 30_usize.next_multiple_of(align) / stride);
            assert_eq!(motion.unit, 1.0 / stride as f32);
            assert_eq!(motion.cover_x, 50.0 / stride as f32);
            assert_eq!(motion.cover_y, 30.0 / stride as f32);
            let expected = [
                8.0 * phase,
                -4.0 * phase,
                -8.0 * (1.0 - phase),
                4.0 * (1.0 - phase),
            ];
            let planes = motion.flow.chunks_exact(motion.width * motion.height);
            for (plane, expected) in planes.zip(expected) {
                assert!(plane.iter().all(|value| *value == expected));
            }
            assert!(motion.mask.iter().all(|value| *value == 1.0 - phase));
        }
    }
}

#[test]
fn every_form_of_timestep_is_fed() {
    let forms: [&[i64]; 5] = [&[], &[1], &[-1, 1], &[1, 1, 1, 1], &[1, 1, -1, -1]];
    for (i, form) in forms.into_iter().enumerate() {
        let mut network = load(
            &format!("blend{i}.onnx"),
            &fixtures::blend_with_timestep(form),
        );
        assert!(network.info().any_phase);
        let (pictures, prepared) = pair(&network, 61, 45);
        for phase in [0.1, 0.5, 0.9] {
            let found = estimated(&mut network, &prepared, phase);
            assert_blend(&found, &pictures, phase);
        }
    }
}

#[test]
fn a_midpoint_only_network_halves_the_pair_and_its_halves() {
    let mut network = load("mean.onnx", &fixtures::mean());
    assert!(!network.info().any_phase);
    let (pictures, prepared) = pair(&network, 20, 10);
    // in any order
    for phase in [0.25, 0.5, 0.75, 0.125, 1.0 / 64.0] {
        let found = estimated(&mut network, &prepared, phase);
        assert_blend(&found, &pictures, phase);
    }
    network.set_bisection_depth(2);
    assert_blend(&estimated(&mut network, &prepared, 0.4), &pictures, 0.5);
    let [a, b] = &prepared;
    assert!(matches!(network.estimate(a, b, 0.1), Ok(Estimate::First)));
    assert!(matches!(network.estimate(a, b, 0.9), Ok(Estimate::Second)));
}

#[test]
fn what_was_made_of_one_pair_is_not_taken_for_another() {
    let mut network = load("mean5.onnx", &fixtures::mean());
    let (pictures, [a, mut b]) = pair(&network, 20, 10);
    let found = estimated(&mut network, &[a.clone(), b.clone()], 0.25);
    assert_blend(&found, &pictures, 0.25);
    // the same storage, another picture
    let other = picture(20, 10, 7);
    network.prepare(&other, &mut b).expect("it fits");
    let [first, _] = pictures;
    let found = estimated(&mut network, &[a, b], 0.25);
    assert_blend(&found, &[first, other], 0.25);
}

#[test]
fn a_midpoint_only_network_of_motion_gives_its_middle_or_an_original() {
    let bytes = fixtures::constant_motion([8.0, -4.0], 2, 16);
    let file = TemporaryFile::new("motion.onnx", &bytes);
    let midpoint = LoadOptions {
        info: "timestep=none".into(),
        ..options(file.path())
    };
    let mut network = Interpolator::load(&midpoint).expect("it loads");
    assert_eq!(network.info().kind, ModelKind::Motion);
    assert!(!network.info().any_phase);
    let (_, [a, b]) = pair(&network, 32, 32);
    for phase in [0.3, 0.5, 0.7] {
        let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, phase) else {
            panic!("no motion at {phase}");
        };
        assert_eq!((motion.flow[0], motion.mask[0]), (4.0, 0.5));
    }
    assert!(matches!(network.estimate(&a, &b, 0.2), Ok(Estimate::First)));
    assert!(matches!(
        network.estimate(&a, &b, 0.8),
        Ok(Estimate::Second)
    ));
}

#[test]
fn a_network_of_one_input_gets_the_coordinates_of_the_padded_picture() {
    for channel in 7..11 {
        let foreign = Foreign::new(Form::Stacked(11), Answer::Echo(channel));
        let mut network = load(&format!("echo{channel}.onnx"), &foreign.bytes());
        for (width, height) in [(40, 24), (100, 20)] {
            let (_, prepared) = pair(&network, width, height);
            let (w, h) = prepared[0].padded();
            let (sx, sy) = (2.0 / (w - 1) as f32, 2.0 / (h - 1) as f32);
            let found = estimated(&mut network, &prepared, 0.5);
            for (i, found) in found.data.iter().enumerate() {
                let (x, y) = (i % width, i / width % height);
                let values = [x as f32 * sx - 1.0, y as f32 * sy - 1.0, sx, sy];
                let expected = (values[channel - 7] + 1.0) / 3.0;
                assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            }
        }
    }
}

#[test]
fn a_timestep_without_effect_is_found_out() {
    let shift = Foreign::new(Form::Stacked(7), Answer::Shift).bytes();
    let file = TemporaryFile::new("shift.onnx", &shift);
    let measured = Interpolator::load(&options(file.path())).expect("it loads");
    assert!(!measured.info().any_phase);
    let notes = measured.info().notes.join("\n");
    assert!(notes.contains("no effect"), "{notes}");
    let stated = LoadOptions {
        family: ModelFamily::Rife,
        ..options(file.path())
    };
    let believed = Interpolator::load(&stated).expect("it loads");
    assert!(believed.info().any_phase);
}

#[test]
fn what_is_stated_wrongly_is_one_clear_error() {
    let file = TemporaryFile::new("mean.onnx", &fixtures::mean());
    for (info, parts) in [
        (
            "colour=bgr",
            ["model-info: `colour` is no key", "channel_order"],
        ),
        ("range=0..255", ["range is `0..255`", "0..1 and -1..1"]),
        ("align=0", ["align is `0`", "1 to 1024"]),
        ("bgr", ["`bgr` is neither key=value", "layout"]),
        ("/nowhere/info.toml", ["/nowhere/info.toml", "No such file"]),
        (
            "timestep=plane",
            ["no input for one", "`I0` float32 [1,3,?,?]"],
        ),
        ("output=picture2", ["`picture2`", "`output` float32"]),
        ("output=motion", ["no output `flow`", "`output` float32"]),
        (
            "layout=nhwc",
            [
                "layout NHWC is stated by model-info",
                "`I0` float32 [1,3,?,?]",
            ],
        ),
    ] {
        let stated = LoadOptions {
            info: info.into(),
            ..options(file.path())
        };
        let message = Interpolator::load(&stated).expect_err(info).to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in: {message}");
        }
    }
}

#[test]
fn a_stated_alignment_that_does_not_run_is_an_error_at_load() {
    let file = TemporaryFile::new("aligned.onnx", &fixtures::aligned_to(128));
    let stated = LoadOptions {
        info: "align=32".into(),
        ..options(file.path())
    };
    let message = Interpolator::load(&stated)
        .expect_err("it cannot run")
        .to_string();
    for part in ["aligned.onnx", "it does not run", "multiples of 32"] {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn what_is_no_interpolation_network_is_one_clear_error() {
    let whole = fixtures::mean();
    let cases: [(&str, &[u8], &str); 5] = [
        ("classifier.onnx", &fixtures::classifier(), "accepted are"),
        (
            "truncated.onnx",
            &whole[..whole.len() / 2],
            "not an ONNX file",
        ),
        ("empty.onnx", b"", "it is empty"),
        (
            "text.onnx",
            b"Dear network,\nplease interpolate.\n",
            "not an ONNX file",
        ),
        ("zeros.onnx", &[0; 4096], "not an ONNX file"),
    ];
    for (name, bytes, reason) in cases {
        let file = TemporaryFile::new(name, bytes);
        let error = refusal(file.path());
        assert!(matches!(error, ModelError::Unusable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains(reason),
            "{message}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_one_clear_error() {
    let folder = std::env::temp_dir();
    for (path, reason) in [
        ("/nowhere/model.onnx", "No such file"),
        (&*folder.to_string_lossy(), "it is a folder"),
        ("/dev/zero", "not a regular file"),
    ] {
        let error = refusal(path);
        assert!(matches!(error, ModelError::Unreadable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(path) && message.contains(reason),
            "{message}"
        );
    }
    let message = refusal("rife").to_string();
    for part in [
        "`rife`",
        "vfi-lite",
        "`vfi-models fetch`",
        "rife-4.25",
        "path",
    ] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_network_the_runtime_refuses_is_an_error() {
    use onnx_graph::build::GraphBuilder;
    let dims: &[i64] = &[1, 3, -1, -1];
    let model = GraphBuilder::new("unknown", 17)
        .input("a", dims)
        .input("b", dims)
        .node("Telepathy", &["a", "b"], &["y"])
        .output("y", dims)
        .finish();
    let file = TemporaryFile::new("unknown.onnx", &onnx_graph::encode(&model));
    let message = refusal(file.path()).to_string();
    assert!(
        message.contains("unknown.onnx") && message.contains("Telepathy"),
        "{message}"
    );
}

#[test]
fn an_alignment_that_nothing_states_is_measured() {
    let mut network = load("unaligned.onnx", &fixtures::aligned_to(128));
    assert_eq!(network.info().align, 128);
    let notes = network.info().notes.join("\n");
    assert!(notes.contains("alignment 128"), "{notes}");
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimated(&mut network, &prepared, 0.5);
    assert_eq!(found.data.len(), pictures[0].data.len());
}

#[test]
fn a_network_of_one_size_takes_no_other() {
    let foreign = Foreign {
        size: Some((96, 80)),
        ..Foreign::new(Form::Pictures, Answer::Blend)
    };
    let mut network = load("fixed.onnx", &foreign.bytes());
    assert_eq!(network.info().fixed_size, Some((96, 80)));
    let (pictures, prepared) = pair(&network, 96, 80);
    assert_blend(&estimated(&mut network, &prepared, 0.5), &pictures, 0.5);
    for (width, height) in [(97, 80), (90, 61)] {
        let refused = network.prepare(&picture(width, height, 0), &mut Prepared::default());
        let message = refused.expect_err("it is of another size").to_string();
        assert!(message.contains("96x80 only"), "{message}");
    }
}

#[test]
fn pictures_must_belong_together() {
    let mut network = load("mean2.onnx", &fixtures::mean());
    let (_, [a, b]) = pair(&network, 16, 16);
    let (_, [other, _]) = pair(&network, 16, 8);
    let mismatch =
        |result: Result<Estimate<'_>, ModelError>| matches!(result, Err(ModelError::Mismatch(_)));
    assert!(mismatch(network.estimate(&a, &other, 0.5)));
    assert!(mismatch(network.estimate(&a, &Prepared::default(), 0.5)));
    for phase in [0.0, 1.0, -1.0, f32::NAN] {
        assert!(mismatch(network.estimate(&a, &b, phase)));
    }
    let lite = Interpolator::load(&options("vfi-lite")).unwrap_or_else(|e| panic!("{e}"));
    assert!(network.accepts(&a) && !lite.accepts(&a));
    let mut short = Picture::new(4, 4);
    short.data.pop();
    let refused = network.prepare(&short, &mut Prepared::default());
    assert!(matches!(refused, Err(ModelError::Picture { .. })));
    assert!(network.estimate(&a, &b, 0.5).is_ok());
}

#[test]
fn a_running_estimate_is_cancelled() {
    let mut network = load("slow.onnx", &fixtures::slow(300));
    let (_, [a, b]) = pair(&network, 640, 384);
    let canceller = network.canceller();
    let started = Instant::now();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        canceller.cancel();
        Instant::now()
    });
    let result = network.estimate(&a, &b, 0.5).map(|_| ());
    let ended = Instant::now();
    let cancelled = thread.join().expect("the thread only sleeps");
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
    assert!(ended > started + Duration::from_millis(50));
    let delay = ended.saturating_duration_since(cancelled);
    assert!(delay < Duration::from_secs(1), "it took {delay:?}");
    // it stays cancelled until it is rearmed
    assert!(matches!(
        network.estimate(&a, &b, 0.5),
        Err(ModelError::Cancelled)
    ));
    network.rearm();
    let (_, [a, b]) = pair(&network, 16, 16);
    assert!(network.estimate(&a, &b, 0.5).is_ok());
}

#[test]
fn networks_move_between_threads() {
    let mut network = load("mean3.onnx", &fixtures::mean());
    let (pictures, prepared) = pair(&network, 12, 12);
    let found = std::thread::spawn(move || estimated(&mut network, &prepared, 0.5)).join();
    assert_blend(&found.expect("nothing panics"), &pictures, 0.5);
}

#[test]
fn stored_weights_arrive_bit_by_bit() {
    let (mut network, weights) = {
        let (bytes, weights) = fixtures::add_stored(64, 64);
        (load("stored.onnx", &bytes), weights)
    };
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimated(&mut network, &prepared, 0.5);
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
    let found = estimated(&mut network, &prepared, 0.5);
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
    let found = estimated(&mut network, &prepared, 0.5);
    assert_blend(&found, &pictures, 0.5);
}

/// Blends at a moment of this type; `more` is declared as well, and what is read from it is added.
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
    let found = estimated(&mut network, &prepared, 0.25);
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
        let found = estimated(&mut network, &prepared, 0.25);
        match steps {
            0 => assert_blend(&found, &pictures, 0.25),
            _ => assert!(found.data.iter().all(|value| *value == 1.0)),
        }
    }
}

#[test]
fn the_same_content_is_one_session_while_it_is_used() {
    let bytes = fixtures::blend_with_timestep(&[1]);
    let files = ["here.onnx", "there.onnx"].map(|name| TemporaryFile::new(name, &bytes));
    let load = |file: &TemporaryFile, threads| {
        let options = LoadOptions {
            threads,
            ..options(file.path())
        };
        Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"))
    };
    let [first, second] = files.each_ref().map(|file| load(file, 1));
    assert_eq!((first.info().shared, second.info().shared), (false, true));
    // what is theirs alone stays theirs
    assert_eq!(first.info().name, "here");
    assert_eq!(second.info().name, "there");
    assert!(!load(&files[0], 2).info().shared, "other options");
    drop((first, second));
    assert!(!load(&files[0], 1).info().shared, "nobody uses it any more");
}

#[test]
fn networks_that_share_a_session_run_at_the_same_time() {
    let file = TemporaryFile::new("both.onnx", &fixtures::blend_with_timestep(&[1]));
    let run = |size: usize, phase: f32| {
        let mut network = Interpolator::load(&options(file.path())).unwrap();
        let (pictures, prepared) = pair(&network, size, size);
        for _ in 0..50 {
            let found = estimated(&mut network, &prepared, phase);
            assert_blend(&found, &pictures, phase);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(48, 0.25));
        scope.spawn(|| run(64, 0.5));
        run(33, 0.75);
    });
}

#[test]
fn cancelling_one_leaves_the_others_of_its_session_alone() {
    let file = TemporaryFile::new("shared-slow.onnx", &fixtures::slow(100));
    let [mut runs, mut waits] = [0, 1].map(|_| Interpolator::load(&options(file.path())).unwrap());
    assert!(waits.info().shared);
    let (_, [a, b]) = pair(&runs, 640, 384);
    let canceller = waits.canceller();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| runs.estimate(&a, &b, 0.5).map(|_| ()));
        let waiting = scope.spawn(|| waits.estimate(&a, &b, 0.5).map(|_| ()));
        canceller.cancel();
        let cancelled = waiting.join().expect("nothing panics");
        assert!(matches!(cancelled, Err(ModelError::Cancelled)));
        running.join().expect("nothing panics")
    });
    assert!(result.is_ok(), "{result:?}");
}
