//! Networks in 16 bits, on the CPU, which computes them in 32 but rounds every value to 16: it
//! shows that they are right, not how fast a GPU is with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelError, Precision, Prepared,
};
use test_support::fixtures;
use test_support::waves::picture;

fn load(model: &str, precision: Precision) -> Result<Interpolator, ModelError> {
    let name = match model {
        "vfi-lite" => model.into(),
        file => fixtures::stored_path(file),
    };
    Interpolator::load(&LoadOptions {
        model: name,
        provider: ExecutionProvider::Cpu,
        precision,
        ..LoadOptions::default()
    })
}

/// Returns all that a network answers for a pair of 192x128: flow and mask, or a picture and
/// nothing.
fn answer(model: &str, precision: Precision) -> (Vec<f32>, Vec<f32>) {
    let mut network = load(model, precision).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(network.info().precision, precision);
    let [a, b] = [0.0, 4.0].map(|shift| {
        let mut prepared = Prepared::default();
        let picture = picture(192, 128, shift);
        network.prepare(&picture, &mut prepared).unwrap();
        prepared
    });
    match network.estimate(&a, &b, 0.5).unwrap() {
        Estimate::Motion(motion) => (motion.flow.to_vec(), motion.mask.to_vec()),
        Estimate::Picture(picture) => (picture.data.clone(), vec![]),
        Estimate::First | Estimate::Second => panic!("no network was asked"),
    }
}

/// Asserts mean differences: of flow in pixels, or of a picture's range; and of the mask.
#[track_caller]
fn assert_close(model: &str, first: f32, second: f32) {
    let (full, half) = (
        answer(model, Precision::Fp32),
        answer(model, Precision::Fp16),
    );
    let difference = |full: &[f32], half: &[f32]| {
        assert_eq!(full.len(), half.len());
        let sum: f32 = full.iter().zip(half).map(|(f, h)| (f - h).abs()).sum();
        sum / full.len().max(1) as f32
    };
    let (a, b) = (difference(&full.0, &half.0), difference(&full.1, &half.1));
    println!("{model}: {a}, {b}");
    assert!(a > 0.0, "nothing was computed in 16 bits");
    assert!(a <= first && b <= second, "{a} and {b}");
}

#[test]
fn the_built_in_network_is_as_good_in_16_bits() {
    assert_close("vfi-lite", 0.02, 0.002);
}

#[test]
fn rife_of_four_blocks_is_as_good_in_16_bits() {
    assert_close("rife46_7", 0.02, 0.002);
}

#[test]
fn rife_of_five_blocks_is_as_good_in_16_bits() {
    assert_close("rife425_7_padded_folded", 0.02, 0.002);
}

#[test]
fn a_picture_is_as_good_in_16_bits() {
    assert_close("rife46_7_refined", 0.5 / 255.0, 0.0);
}

#[test]
fn the_cpu_takes_32_bits_unless_told() {
    let network = load("vfi-lite", Precision::Auto).unwrap();
    assert_eq!(network.info().precision, Precision::Fp32);
}

#[test]
fn a_file_in_16_bits_is_taken_as_it_is() {
    let (full, half) = (Precision::Fp32, Precision::Fp16);
    assert_eq!(
        answer("rife425_3_half", full),
        answer("rife425_3_half", half)
    );
}
