//! Networks that look at each picture alone first: the same answers as the whole gives, and that part is
//! run once for a picture.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use gstvfiinterp::faults;
use gstvfiinterp::models::memory::Reason;
use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelError, Prepared,
};
use test_support::fixtures;
use test_support::rig::*;
use test_support::waves::picture;

/// A bound that leaves a network whole, and bounds nothing here.
const WHOLE: u64 = 1 << 40;

/// Counts the pictures on which an encoder runs meanwhile.
fn count_encoded<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = faults::encoded();
    let result = work();
    (faults::encoded() - before, result)
}

/// A file of `tests/fixtures`.
fn file(name: &str) -> TemporaryFile {
    let bytes = std::fs::read(fixtures::stored_path(name)).unwrap();
    TemporaryFile::new(&format!("{name}.onnx"), &bytes)
}

/// Networks of the shape of RIFE 4.25, and others, with random weights.
fn files() -> Vec<TemporaryFile> {
    let siamese = |channels| {
        let name = format!("siamese{channels:?}.onnx");
        TemporaryFile::new(&name, &fixtures::siamese(channels))
    };
    vec![
        file("rife425_3_half"),
        file("rife425_7_padded_folded"),
        siamese(None),
        siamese(Some(6)),
        siamese(Some(7)),
        siamese(Some(11)),
    ]
}

fn load(file: &TemporaryFile, memory_limit: u64) -> Interpolator {
    let options = LoadOptions {
        model: file.path().into(),
        provider: ExecutionProvider::Cpu,
        memory_limit,
        ..LoadOptions::default()
    };
    Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn assert_note(network: &Interpolator, text: &str) {
    let notes = network.info().notes.join("; ");
    assert!(notes.contains(text), "{notes}");
}

/// A picture of waves, made ready.
fn prepare(network: &Interpolator, (width, height): (usize, usize), shift: f32) -> Prepared {
    let mut prepared = Prepared::default();
    network
        .prepare(&picture(width, height, shift), &mut prepared)
        .unwrap();
    prepared
}

/// All numbers of what lies between two pictures.
fn between(network: &mut Interpolator, a: &Prepared, b: &Prepared, phase: f32) -> Vec<f32> {
    match network.estimate(a, b, phase).unwrap() {
        Estimate::Motion(motion) => [motion.flow, motion.mask].concat(),
        Estimate::Picture(picture) => picture.data.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_parts_give_what_the_whole_gives_at_every_size() {
    let _alone = faults::reserve();
    for file in files() {
        let (mut parts, mut whole) = (load(&file, 0), load(&file, WHOLE));
        // of 16 bits, the runtime's CPU makes 32 and back, and not at the same places
        let in_16_bits = file.path().contains("half");
        let met = if in_16_bits { "met to " } else { "met exactly" };
        assert_note(&parts, &format!("done once a picture, {met}"));
        assert_note(
            &whole,
            "encoder: found, and not used: its memory is limited",
        );
        for size in [(64, 64), (200, 130), (97, 33)] {
            let answers = [&mut parts, &mut whole].map(|network| {
                let [a, b, c] = [0.0, 3.0, 5.0].map(|shift| prepare(network, size, shift));
                [(&a, &b), (&b, &c), (&c, &a)].map(|(a, b)| between(network, a, b, 0.5))
            });
            let [parts, whole] = answers.map(|answers| answers.concat());
            let apart = parts.iter().zip(&whole).map(|(a, b)| (a - b).abs());
            let most = apart.fold(0.0, f32::max);
            let bound = if in_16_bits { 5e-3 } else { 0.0 };
            assert!(most <= bound, "{} {size:?}: {most}", file.path());
            assert_eq!(parts.len(), whole.len());
        }
    }
}

#[test]
fn a_picture_is_encoded_once_whatever_is_asked_between_which() {
    let _alone = faults::reserve();
    for file in files() {
        let mut network = load(&file, 0);
        let pictures = [0.0, 3.0, 5.0].map(|shift| prepare(&network, (64, 64), shift));
        let [a, b, c] = &pictures;
        let mut ask = |a, b, phase| count_encoded(|| between(&mut network, a, b, phase)).0;
        assert_eq!((ask(a, b, 0.5), ask(a, b, 0.5)), (2, 0));
        assert_eq!((ask(b, c, 0.5), ask(b, c, 0.5)), (1, 0));
        // it was dropped with its pair
        assert_eq!(ask(a, b, 0.5), 1);
    }
}

#[test]
fn what_is_made_on_the_way_to_a_phase_is_encoded_once() {
    let _alone = faults::reserve();
    let file = TemporaryFile::new("midpoint.onnx", &fixtures::siamese(None));
    let (mut parts, mut whole) = (load(&file, 0), load(&file, WHOLE));
    let eighths = |network: &mut Interpolator| {
        let [a, b] = [0.0, 3.0].map(|shift| prepare(network, (64, 64), shift));
        (1..8_u8)
            .map(|k| between(network, &a, &b, f32::from(k) / 8.0))
            .collect::<Vec<_>>()
    };
    let (count, found) = count_encoded(|| eighths(&mut parts));
    // the two, the half and the quarters: the last eighths are not asked for more
    assert_eq!(count, 2 + 1 + 2);
    assert!(found == eighths(&mut whole));
}

#[test]
fn where_memory_lacks_it_is_found_anew() {
    let _alone = faults::reserve();
    let file = TemporaryFile::new("lacking.onnx", &fixtures::siamese(Some(7)));
    let mut network = load(&file, 0);
    let [a, b] = [0.0, 3.0].map(|shift| prepare(&network, (64, 64), shift));
    let expected = between(&mut network, &a, &b, 0.25);
    let mut ask = || count_encoded(|| between(&mut network, &a, &b, 0.25));
    assert_eq!(ask(), (0, expected.clone()));
    // the network's run fails once, and all is given back
    faults::fail_next_runs(1);
    assert_eq!(ask(), (2, expected.clone()));
    network.clear(Reason::Interval);
    let mut ask = || count_encoded(|| between(&mut network, &a, &b, 0.25));
    assert_eq!(ask(), (0, expected.clone()));
    network.clear(Reason::Pressure);
    // the encoder's run fails once
    faults::fail_next_runs(1);
    let mut ask = || count_encoded(|| between(&mut network, &a, &b, 0.25));
    assert_eq!(ask(), (2, expected));
    let cancelled = network.canceller();
    cancelled.cancel();
    let refused = network.estimate(&a, &b, 0.25).map(drop);
    assert!(matches!(refused, Err(ModelError::Cancelled)), "{refused:?}");
}

#[test]
fn elements_with_the_same_network_share_its_parts_and_not_what_they_find() {
    let _alone = faults::reserve();
    let file = file("rife425_7_padded_folded");
    let mut networks = [load(&file, 0), load(&file, 0)];
    assert!(networks[1].info().shared);
    for (network, shift) in networks.iter_mut().zip([3.0, 5.0]) {
        let [a, b] = [0.0, shift].map(|shift| prepare(network, (64, 64), shift));
        let (count, _) = count_encoded(|| between(network, &a, &b, 0.5));
        assert_eq!(count, 2);
    }
}

#[test]
fn what_could_not_be_started_is_left_in_the_network() {
    let _alone = faults::reserve();
    let file = TemporaryFile::new("unlucky.onnx", &fixtures::siamese(Some(6)));
    // the whole is started first, then one part and the other
    for before in [1, 2] {
        faults::fail_loads_after(before, 1);
        let mut network = load(&file, 0);
        assert_note(&network, "encoder: found, and not used: ");
        let [a, b] = [0.0, 3.0].map(|shift| prepare(&network, (64, 64), shift));
        assert_eq!(count_encoded(|| between(&mut network, &a, &b, 0.5)).0, 0);
    }
    assert_note(&load(&file, 0), "done once a picture");
}

/// Frames that come out of the element where `count` come in, and how many pictures were encoded for them.
fn play(model: TemporaryFile, count: u64, set: impl FnOnce(&gst::Element)) -> (u64, Vec<Vec<u8>>) {
    const TEXT: &str = "RGB 100x75 30/1";
    let mut rig = Rig::with_model_and(model, |element| {
        element.set_property("scene-threshold", 0.0);
        element.set_property("downscale", 1.0);
        element.set_property("multiplier", 4_u32);
        set(element);
    });
    rig.harness.set_src_caps(caps(TEXT));
    let info = info(TEXT);
    count_encoded(|| {
        (0..count).for_each(|k| drop(rig.push(&info, k)));
        let out = rig.finish();
        assert_eq!(rig.stat("synthesised"), 3 * (count - 1));
        out.iter().map(bytes).collect()
    })
}

#[test]
fn the_element_encodes_each_frame_once_on_the_host_and_on_a_device() {
    let _alone = faults::reserve();
    for name in ["rife425_3_half", "rife425_7_padded_folded"] {
        for forced in [false, true] {
            faults::force_device(forced);
            // loading it runs them, too
            let file = file(name);
            let network = load(&file, 0);
            let (count, parts) = play(file, 6, |_| {});
            assert_eq!(count, 6, "{name} {forced}");
            drop(network);
            let limit = |element: &gst::Element| element.set_property("memory-limit", WHOLE);
            let (count, whole) = play(self::file(name), 6, limit);
            assert_eq!(count, 0, "{name} {forced}");
            let levels = parts.concat().into_iter().zip(whole.concat());
            let most = levels.map(|(a, b)| a.abs_diff(b)).max();
            let bound = u8::from(name.contains("half"));
            assert!(most <= Some(bound), "{name} {forced}: {most:?}");
            assert_eq!(parts.len(), whole.len());
        }
    }
    faults::force_device(false);
}

#[test]
fn a_session_for_one_size_takes_features_too() {
    let _alone = faults::reserve();
    for forced in [false, true] {
        faults::force_device(forced);
        let maker = faults::fit();
        maker.send(Ok(())).unwrap();
        let file = file("rife425_7_padded_folded");
        let network = load(&file, 0);
        let mut rig = Rig::with_model_and(file, |element| {
            element.set_property("scene-threshold", 0.0);
            element.set_property("downscale", 1.0);
        });
        let text = "RGB 100x75 30/1";
        let (info, bus) = (info(text), rig.watch());
        rig.harness.set_src_caps(caps(text));
        (0..40).for_each(|k| drop(rig.push(&info, k)));
        rig.settle();
        let made = |message: &gst::Message| match message.view() {
            gst::MessageView::Progress(progress) => progress.get().0,
            _ => unreachable!(),
        };
        let wait = || {
            let timeout = gst::ClockTime::from_seconds(60);
            bus.timed_pop_filtered(timeout, &[gst::MessageType::Progress])
        };
        assert_eq!(wait().as_ref().map(made), Some(gst::ProgressType::Start));
        assert_eq!(wait().as_ref().map(made), Some(gst::ProgressType::Complete));
        // as it takes over, and then with it
        let (count, ()) = count_encoded(|| {
            (40..46).for_each(|k| drop(rig.push(&info, k)));
            rig.settle();
        });
        assert_eq!(count, 6, "{forced}");
        let stats = rig.element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<&str>("provider"), Ok("tensorrt"));
        assert_eq!(rig.stat("synthesised"), 45);
        drop(network);
    }
    faults::clear();
    faults::force_device(false);
}
