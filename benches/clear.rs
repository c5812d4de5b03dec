//! Cost of giving memory back: the run it comes with, and the run after it, which has to take its
//! memory anew, beside a run that is neither.
//!
//! `cargo bench --bench clear` prints medians of runs taken in turns, three a round as the
//! adaptive rule has it in the long run, so that their ratios hold on a busy machine.
//!
//! Predicted, at some 50 ms for 100 MB of fresh memory: a run of the built-in network at 640x360
//! holds 34 MB, so the one after a clear should take 16 ms more, a quarter or more of what it takes
//! on two cores. Found, in three runs on a busy machine: 3 to 10 % more, at 960x540 5 to 9 and at
//! 1280x720 4 to 8; the run with the clear between 3 % less and 10 % more. What the arena gives back the C
//! library keeps, up to pieces of 32 MB, as it learns their size from the first, so that only larger
//! ones come from the kernel page by page, from 1280x720 on. So the rule needs no exception on the CPU.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::memory::Reason;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Prepared};

const ROUNDS: usize = 25;
/// Every so many runs give memory back.
const INTERVAL: usize = 3;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds of the run that gives back, the one after it, and another.
fn measure((width, height): (usize, usize)) -> [f64; INTERVAL] {
    let mut network = Interpolator::load(&LoadOptions {
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    })
    .expect("the built-in network loads");
    let picture = Picture::new(width, height);
    let (mut a, mut b) = (Prepared::default(), Prepared::default());
    network.prepare(&picture, &mut a).unwrap();
    network.prepare(&picture, &mut b).unwrap();
    let mut times: [Vec<f64>; INTERVAL] = Default::default();
    for round in 0..=ROUNDS {
        for (place, times) in times.iter_mut().enumerate() {
            if place == 0 {
                network.clear(Reason::Interval);
            }
            let start = Instant::now();
            network.estimate(&a, &b, 0.5).unwrap();
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    times.map(median)
}

fn main() {
    println!("          |  plain |  with a clear |    after one");
    for size in [(640, 360), (960, 540), (1280, 720)] {
        let [with, after, plain] = measure(size);
        println!(
            "{:>4}x{:<4} | {plain:6.1} | {with:6.1} ({:.2}) | {after:6.1} ({:.2})",
            size.0,
            size.1,
            with / plain,
            after / plain
        );
    }
}
