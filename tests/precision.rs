//! Networks in fewer bits, on the CPU. It computes those in 16 bits in 32 but rounds every value to 16:
//! that shows that they are right, not how fast a GPU is with them.
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

/// Asserts mean differences between a precision and 32 bits: of flow in pixels, or of a picture's range; and
/// of the mask.
#[track_caller]
fn assert_close(model: &str, precision: Precision, first: f32, second: f32) {
    let (full, fewer) = (answer(model, Precision::Fp32), answer(model, precision));
    let difference = |full: &[f32], fewer: &[f32]| {
        assert_eq!(full.len(), fewer.len());
        let sum: f32 = full.iter().zip(fewer).map(|(a, b)| (a - b).abs()).sum();
        sum / full.len().max(1) as f32
    };
    let (a, b) = (difference(&full.0, &fewer.0), difference(&full.1, &fewer.1));
    println!("{model}: {a}, {b}");
    assert!(a > 0.0, "nothing was computed in fewer bits");
    assert!(a <= first && b <= second, "{a} and {b}");
}

#[test]
fn the_built_in_network_is_as_good_in_16_bits() {
    assert_close("vfi-lite", Precision::Fp16, 0.02, 0.002);
}

#[test]
fn rife_of_four_blocks_is_as_good_in_16_bits() {
    assert_close("rife46_7", Precision::Fp16, 0.02, 0.002);
}

#[test]
fn rife_of_five_blocks_is_as_good_in_16_bits() {
    assert_close("rife425_7_padded_folded", Precision::Fp16, 0.02, 0.002);
}

#[test]
fn a_picture_is_as_good_in_16_bits() {
    assert_close("rife46_7_refined", Precision::Fp16, 0.5 / 255.0, 0.0);
}

/// Returns whether this processor has what 8 bits need.
fn has_8_bits() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    if !has {
        eprintln!("SKIPPED: this processor computes nothing in 8 bits");
    }
    has
}

#[test]
fn the_built_in_network_is_as_good_in_8_bits() {
    if has_8_bits() {
        assert_close("vfi-lite", Precision::Int8, 0.1, 0.02);
    }
}

#[test]
fn rife_of_four_blocks_runs_in_8_bits_if_told() {
    if has_8_bits() {
        assert_close("rife46_7", Precision::Int8, 0.1, 0.02);
    }
}

#[test]
fn a_network_without_convolutions_for_8_bits_says_so() {
    if !has_8_bits() {
        return;
    }
    let error = load("rife425_3_half", Precision::Int8)
        .err()
        .map(|error| error.to_string());
    let error = error.unwrap_or_default();
    assert!(
        error.contains("it cannot be run in 8 bits: none of its convolutions"),
        "{error}"
    );
}

#[test]
fn the_cpu_takes_8_bits_for_the_built_in_network_and_32_for_files() {
    let expected = match has_8_bits() {
        true => Precision::Int8,
        false => Precision::Fp32,
    };
    for (model, expected) in [("vfi-lite", expected), ("rife46_7", Precision::Fp32)] {
        let network = load(model, Precision::Auto).unwrap();
        assert_eq!(network.info().precision, expected, "{model}");
    }
}

#[test]
fn a_file_in_16_bits_is_taken_as_it_is() {
    let (full, half) = (Precision::Fp32, Precision::Fp16);
    assert_eq!(
        answer("rife425_3_half", full),
        answer("rife425_3_half", half)
    );
}
