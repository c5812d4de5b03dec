//! Networks through the public interface, with the runtime found as a user's build finds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod answers;
mod files;
mod refusals;
mod sharing;

use std::time::{Duration, Instant};

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelError, ModelFamily, ModelKind,
    Prepared,
};
use onnx_graph::build::{GraphBuilder, int};
use onnx_graph::encode;
use onnx_graph::proto::TensorProto;
use test_support::fixtures::foreign::{Answer, Foreign, Form};
use test_support::fixtures::{self, TemporaryFile};

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

fn estimate_picture(
    interpolator: &mut Interpolator,
    [a, b]: &[Prepared; 2],
    phase: f32,
) -> Picture {
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
fn an_alignment_that_nothing_states_is_measured() {
    let mut network = load("unaligned.onnx", &fixtures::aligned_to(128));
    assert_eq!(network.info().align, 128);
    let notes = network.info().notes.join("\n");
    assert!(notes.contains("alignment 128"), "{notes}");
    let (pictures, prepared) = pair(&network, 64, 64);
    let found = estimate_picture(&mut network, &prepared, 0.5);
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
    assert_blend(
        &estimate_picture(&mut network, &prepared, 0.5),
        &pictures,
        0.5,
    );
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
    let found = std::thread::spawn(move || estimate_picture(&mut network, &prepared, 0.5)).join();
    assert_blend(&found.expect("nothing panics"), &pictures, 0.5);
}
