//! Sessions on devices: where they are made, with how much memory, and what is placed where.

use gst::prelude::*;
use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{
    ExecutionProvider, Interpolator, LoadCanceller, LoadOptions, ModelError, Precision, Prepared,
};
use test_support::rig::{self, Rig};

use crate::{NAME, collect_warnings, concerns, provider, read_stat, start};

fn options(model: &str) -> LoadOptions {
    LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cuda,
        ..LoadOptions::default()
    }
}

/// Plays four frames, which become twice as many.
fn play(rig: &mut Rig) {
    rig.harness.set_src_caps(rig::caps(NAME));
    for k in 0..4 {
        rig.push(&rig::info(NAME), k);
    }
    assert_eq!(rig.finish().len(), 8);
}

#[test]
fn all_of_a_network_of_one_size_is_on_the_device() {
    let Some(_driver) = provider() else {
        return;
    };
    rig::init();
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/vfi-base.onnx");
    for model in ["vfi-lite", base] {
        for precision in [Precision::Fp32, Precision::Fp16] {
            let options = LoadOptions {
                precision,
                ..options(model)
            };
            let mut network = Interpolator::load(&options).unwrap();
            assert_eq!(network.info().precision, precision);
            let fitting = network.fit((320, 240)).expect("it is on a GPU");
            let heard = collect_warnings();
            // whether it is faster, nobody can tell here
            let made = fitting.make(&LoadCanceller::default());
            assert!(made.is_ok(), "{model} {precision:?}: {made:?}");
            assert_eq!(concerns(&heard), [""; 0], "{model} {precision:?}");
        }
    }
}

#[test]
fn the_device_is_the_property_s() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rig = start(|element| element.set_property("device", 1));
    play(&mut rig);
    let [first, second] = driver.counts().held;
    assert_eq!(first, 0);
    assert!(second > 0);
}

#[test]
fn two_elements_on_two_devices_are_two_of_everything() {
    let Some(driver) = provider() else {
        return;
    };
    let mut rigs = [0, 1].map(|device| start(|element| element.set_property("device", device)));
    for rig in &mut rigs {
        play(rig);
    }
    let [first, second] = driver.counts().held;
    assert_eq!(first, second);
}

#[test]
fn a_device_that_is_not_there_is_an_error_or_the_cpu() {
    let Some(_driver) = provider() else {
        return;
    };
    rig::init();
    let missing = LoadOptions {
        device: 7,
        ..options("vfi-lite")
    };
    let refused = Interpolator::load(&missing).unwrap_err();
    assert!(matches!(refused, ModelError::Provider { .. }), "{refused}");
    assert!(refused.to_string().contains("device"), "{refused}");
    let mut rig = start(|element| {
        element.set_property_from_str("execution-provider", "auto");
        element.set_property("device", 7);
    });
    play(&mut rig);
    assert_eq!(read_stat(&rig, "provider"), "cpu");
}

#[test]
fn auto_takes_the_device() {
    let Some(_driver) = provider() else {
        return;
    };
    let mut rig = start(|element| element.set_property_from_str("execution-provider", "auto"));
    play(&mut rig);
    assert_eq!(read_stat(&rig, "provider"), "cuda");
}

#[test]
fn memory_is_limited() {
    let Some(driver) = provider() else {
        return;
    };
    rig::init();
    let limit = 16 << 20;
    let options = LoadOptions {
        memory_limit: limit,
        ..options("vfi-lite")
    };
    let mut network = Interpolator::load(&options).unwrap();
    let sizes = (1..100).map(|k| (64 * k, 48 * k));
    let failed = sizes.map_while(|(width, height)| {
        let mut pair = [Prepared::default(), Prepared::default()];
        for prepared in &mut pair {
            let picture = Picture::new(width, height);
            network.prepare(&picture, prepared).unwrap();
        }
        let failed = network.estimate(&pair[0], &pair[1], 0.5).err();
        assert!(network.usage().unwrap().held <= limit);
        assert!(driver.counts().held[0] <= limit);
        Some(failed)
    });
    let failed = failed.flatten().next().expect("some size is too much");
    assert!(matches!(failed, ModelError::Memory { .. }), "{failed}");
}
