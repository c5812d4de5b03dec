//! Memory must not grow with the length of the stream. A program of its own, as it measures the
//! whole process.
#![allow(clippy::expect_used, clippy::panic)] // that is how a test fails

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared};

/// Bytes of memory the process has in use.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm.split(' ').nth(1).expect("it has seven numbers");
    4096 * pages.parse::<usize>().expect("it is a number")
}

#[test]
fn memory_stays_as_it_is_over_many_runs_and_sizes() {
    let options = LoadOptions {
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let mut network = Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"));
    let (mut a, mut b) = (Prepared::default(), Prepared::default());
    let mut rounds = |count: usize| {
        for round in 0..count {
            let (width, height) = [(320, 180), (256, 144), (160, 120)][round % 3];
            let picture = Picture::new(width, height);
            for prepared in [&mut a, &mut b] {
                network
                    .prepare(&picture, prepared)
                    .expect("the size is fine");
            }
            network.estimate(&a, &b, 0.5).expect("it runs");
        }
    };
    rounds(60);
    let before = resident();
    rounds(240);
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB more after 240 runs", grown >> 10);
}
