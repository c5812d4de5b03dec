//! Memory must not grow with the length of the stream. A program of its own, as it measures the
//! whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared};
use test_support::fixtures;

/// Bytes of memory the process has in use.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split(' ').nth(1).expect("it has seven numbers");
    4096 * pages.parse::<usize>().expect("it is a number")
}

/// Sizes of the pictures, in turn.
const SIZES: [(usize, usize); 3] = [(320, 180), (256, 144), (160, 120)];

/// Rounds while things settle, and rounds that are measured.
const ROUNDS: [usize; 2] = [30, 90];

/// Returns how many bytes more are in use after many pairs of several sizes, with some frames each.
fn growth(model: &str) -> usize {
    let options = LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let mut network = Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"));
    let (mut a, mut b) = (Prepared::default(), Prepared::default());
    let mut rounds = |count: usize| {
        for round in 0..count {
            let (width, height) = SIZES[round % SIZES.len()];
            let picture = Picture::new(width, height);
            for prepared in [&mut a, &mut b] {
                network
                    .prepare(&picture, prepared)
                    .expect("the size is fine");
            }
            for phase in [0.25, 0.5, 0.75] {
                network.estimate(&a, &b, phase).expect("it runs");
            }
        }
    };
    rounds(ROUNDS[0]);
    let before = resident();
    rounds(ROUNDS[1]);
    resident().saturating_sub(before)
}

#[test]
fn memory_stays_as_it_is_over_many_runs_and_sizes() {
    // the second halves pairs, and keeps what it makes of one; the others keep what is found in pictures
    let file = fixtures::TemporaryFile::new;
    let files = [
        file("mean.onnx", &fixtures::mean()),
        file("siamese.onnx", &fixtures::siamese(Some(7))),
        file("siamese_midpoint.onnx", &fixtures::siamese(None)),
    ];
    let files = files.iter().map(fixtures::TemporaryFile::path);
    for model in ["vfi-lite"].into_iter().chain(files) {
        let grown = growth(model);
        // as if one of the smallest pictures stayed of every fourth round
        let [.., (width, height)] = SIZES;
        let picture = 3 * size_of::<f32>() * width * height;
        let most = ROUNDS[1] / 4 * picture;
        assert!(grown < most, "{model}: {} KiB more", grown >> 10);
    }
}
