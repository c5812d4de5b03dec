//! Files of the RIFE family as others export them: one picture for an output, from which motion is
//! taken. `convert/fixtures.py` makes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gstvfiinterp::frames::{Picture, Sampling};
use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelKind, Prepared,
};
use test_support::fixtures;
use test_support::waves::picture;

fn load(name: &str, info: &str) -> Interpolator {
    let options = LoadOptions {
        model: fixtures::stored_path(name),
        info: info.into(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"))
}

fn prepare(network: &Interpolator, pictures: &[Picture; 2]) -> [Prepared; 2] {
    pictures.each_ref().map(|picture| {
        let mut prepared = Prepared::default();
        network.prepare(picture, &mut prepared).unwrap();
        prepared
    })
}

/// Makes the file's own picture, and that of its motion.
fn make_both(name: &str, pictures: &[Picture; 2], phase: f32) -> (Picture, Picture) {
    let mut whole = load(name, "output=picture");
    assert_eq!(whole.info().kind, ModelKind::Picture);
    let [a, b] = prepare(&whole, pictures);
    let Ok(Estimate::Picture(expected)) = whole.estimate(&a, &b, phase) else {
        panic!("no picture");
    };
    let mut cut = load(name, "");
    assert_eq!(cut.info().kind, ModelKind::Motion, "{:?}", cut.info().notes);
    let [a, b] = prepare(&cut, pictures);
    let Ok(Estimate::Motion(motion)) = cut.estimate(&a, &b, phase) else {
        panic!("no motion");
    };
    let still = motion.flow.iter().map(|v| v.abs()).sum::<f32>() / motion.flow.len() as f32;
    assert!(still > 0.3, "nothing moves, so nothing is compared");
    let [a, b] = pictures;
    let made = Picture::between(a, b, &motion, Sampling::Bilinear).unwrap();
    (expected.clone(), made)
}

#[track_caller]
fn assert_same(name: &str, size: (usize, usize), tolerance: f32) {
    let pictures = [0.0, 4.0].map(|shift| picture(size.0, size.1, shift));
    for phase in [0.25, 0.5] {
        let (expected, made) = make_both(name, &pictures, phase);
        let differences = expected.data.iter().zip(&made.data);
        let differences: Vec<f32> = differences.map(|(a, b)| (a - b).abs()).collect();
        let largest = differences.iter().fold(0.0_f32, |most, d| most.max(*d));
        let mean = differences.iter().sum::<f32>() / differences.len() as f32;
        eprintln!(
            "{name} {size:?} {phase}: mean {} largest {}",
            mean * 255.0,
            largest * 255.0
        );
        assert!(largest <= tolerance / 255.0, "{} of 255", largest * 255.0);
    }
}

#[test]
fn motion_of_7_channels_makes_the_same_picture() {
    assert_same("rife46_7", (101, 75), 1.0);
    assert_same("rife46_7", (128, 64), 1.0);
}

#[test]
fn motion_of_7_channels_padded_inside_makes_the_same_picture() {
    assert_same("rife425_7_padded_folded", (128, 64), 1.0);
}

#[test]
fn motion_of_8_channels_makes_the_same_picture() {
    assert_same("rife46_8_lerp", (128, 64), 1.0);
}

#[test]
fn motion_of_11_channels_makes_the_same_picture() {
    assert_same("rife46_11_folded", (128, 64), 1.0);
}

#[test]
fn motion_of_three_inputs_makes_the_same_picture() {
    assert_same("rife425_3_half", (128, 64), 1.0);
}

#[test]
fn motion_of_a_file_in_16_bits_makes_the_same_picture() {
    // whose picture is rounded to 11 bits
    assert_same("rife46_7_fp16", (128, 64), 1.0);
    let whole = load("rife46_7_fp16", "output=picture");
    assert_eq!(
        whole.info().own_nodes,
        8,
        "16 bits are converted for our GridSample"
    );
}

#[test]
fn a_converted_file_gives_the_motion_that_is_taken_from_another() {
    let pictures = [0.0, 4.0].map(|shift| picture(100, 75, shift));
    let motion = |name| {
        let mut network = load(name, "");
        let [a, b] = prepare(&network, &pictures);
        let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, 0.25) else {
            panic!("no motion");
        };
        let size = (motion.width, motion.height);
        (size, motion.flow.to_vec(), motion.mask.to_vec())
    };
    let (converted, taken) = (motion("rife46_motion"), motion("rife46_7"));
    assert_eq!(converted.0, taken.0);
    let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(same(&converted.1, &taken.1) && same(&converted.2, &taken.2));
}

#[test]
fn a_picture_that_is_more_than_a_blend_stays_one() {
    let network = load("rife46_7_refined", "");
    assert_eq!(network.info().kind, ModelKind::Picture);
    let why = network.info().notes.join("; ");
    assert!(why.contains("more than a blend"), "{why}");
}
