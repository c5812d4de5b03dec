//! A session's arena takes memory and gives it back, by the runtime's own figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::sync::{Mutex, MutexGuard, PoisonError};

use gstvfiinterp::frames::Picture;
use gstvfiinterp::models::memory::{Reason, Usage};
use gstvfiinterp::models::{
    Estimate, ExecutionProvider, Interpolator, LoadOptions, ModelError, Prepared,
};
use test_support::fixtures;

/// Networks loaded alike share a session and its arena, in which one test at a time is to look.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(model: &str, memory_limit: u64) -> Interpolator {
    let options = LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cpu,
        memory_limit,
        ..LoadOptions::default()
    };
    Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Estimates `count` phases of a pair of pictures of this size.
fn estimate(
    network: &mut Interpolator,
    (width, height): (usize, usize),
    count: usize,
) -> Result<(), ModelError> {
    let picture = Picture::new(width, height);
    let (mut a, mut b) = (Prepared::default(), Prepared::default());
    network.prepare(&picture, &mut a)?;
    network.prepare(&picture, &mut b)?;
    for phase in 1..=count {
        network.estimate(&a, &b, phase as f32 / (count + 1) as f32)?;
    }
    Ok(())
}

fn usage(network: &Interpolator) -> Usage {
    network.usage().expect("this runtime tells")
}

/// Returns a limit between what the two sizes take here, which differs by processor.
fn limit_between(small: (usize, usize), large: (usize, usize)) -> u64 {
    let [small, large] = [small, large].map(|size| {
        // by what is asked for, as under a limit that counts
        let mut network = load("vfi-lite", u64::MAX);
        estimate(&mut network, size, 3).unwrap();
        usage(&network).held
    });
    assert!(large > 4 * small, "{large} {small}");
    2 * small
}

const SMALL: (usize, usize) = (160, 96);
const LARGE: (usize, usize) = (640, 384);

#[test]
fn a_clear_gives_back_what_a_larger_size_needed() {
    let _alone = alone();
    let mut network = load("vfi-lite", 0);
    estimate(&mut network, SMALL, 1).unwrap();
    let small = usage(&network);
    estimate(&mut network, LARGE, 1).unwrap();
    estimate(&mut network, SMALL, 1).unwrap();
    let kept = usage(&network);
    assert!(kept.held > 4 * small.held, "{kept:?} after {small:?}");
    network.clear(Reason::Interval);
    assert_eq!(usage(&network), kept, "it is done with the next run");
    estimate(&mut network, SMALL, 1).unwrap();
    // the run itself had what it needed from what is kept; the next takes it anew
    estimate(&mut network, SMALL, 1).unwrap();
    let cleared = usage(&network);
    assert!(cleared.held < kept.held / 2, "{cleared:?} of {kept:?}");
    let clears = network.take_clears();
    assert_eq!((clears.interval, clears.pressure), (1, 0));
    assert_eq!(network.take_clears().interval, 0, "they are told once");
}

#[test]
fn a_limit_bounds_what_a_session_takes_and_a_smaller_size_goes_on() {
    let _alone = alone();
    let limit = limit_between(SMALL, LARGE);
    let mut network = load("vfi-lite", limit);
    for _ in 0..2 {
        let error = estimate(&mut network, LARGE, 1).expect_err("it needs more");
        assert!(matches!(error, ModelError::Memory { .. }), "{error}");
        estimate(&mut network, SMALL, 3).unwrap();
        assert!(usage(&network).held <= limit, "{:?}", usage(&network));
    }
    assert!(
        network.take_clears().pressure >= 2,
        "what is kept was let go"
    );
    // another session with the same network has a limit of its own, or none
    estimate(&mut load("vfi-lite", 0), LARGE, 1).unwrap();
    let mut other = load("vfi-lite", limit / 4);
    estimate(&mut other, LARGE, 1).expect_err("it needs more");
    estimate(&mut network, SMALL, 1).unwrap();
}

#[test]
fn what_fills_a_limit_makes_way_for_what_fits() {
    let _alone = alone();
    let small = {
        let mut network = load("vfi-lite", u64::MAX);
        estimate(&mut network, (320, 192), 1).unwrap();
        usage(&network).held
    };
    // the arena grows by what is asked for, so a size that alternates leaves gaps of the other's
    let mut network = load("vfi-lite", small);
    for size in [(256, 160), (320, 192), (288, 160), (320, 192)] {
        estimate(&mut network, size, 1).unwrap();
    }
}

#[test]
fn sixteen_frames_a_pair_need_no_more_than_two() {
    const SIZE: (usize, usize) = (320, 192);
    let _alone = alone();
    let midpoint = fixtures::TemporaryFile::new("mean.onnx", &fixtures::mean());
    let picture = (3 * 4 * SIZE.0 * SIZE.1) as u64;
    // what is made of a pair by halving is kept, three pictures for sixteenths, and one is asked for
    for (model, constant) in [("vfi-lite", 0), (midpoint.path(), 4 * picture)] {
        let peak = |count: usize| {
            let mut network = load(model, 0);
            (0..2).for_each(|_| estimate(&mut network, SIZE, count).unwrap());
            usage(&network)
        };
        let (two, sixteen) = (peak(1), peak(15));
        let most = two.peak + constant;
        assert!(sixteen.peak <= most, "{model}: {sixteen:?} after {two:?}");
        assert!(two.peak >= picture, "{model}: {two:?}");
    }
}

#[test]
fn who_shares_a_session_keeps_its_answer_when_another_clears() {
    let _alone = alone();
    let (mut mine, mut other) = (load("vfi-lite", 0), load("vfi-lite", 0));
    assert!(other.info().shared);
    let prepared = [37, 41].map(|step| {
        let mut picture = Picture::new(LARGE.0, LARGE.1);
        let values = picture.data.iter_mut().enumerate();
        values.for_each(|(i, value)| *value = (i * step % 251) as f32 / 251.0);
        let mut prepared = Prepared::default();
        mine.prepare(&picture, &mut prepared).unwrap();
        prepared
    });
    let [a, b] = &prepared;
    let Estimate::Motion(motion) = mine.estimate(a, b, 0.5).unwrap() else {
        panic!("the built-in network gives motion");
    };
    let before = motion.flow.to_vec();
    for size in [SMALL, LARGE, LARGE] {
        other.clear(Reason::Pressure);
        estimate(&mut other, size, 1).unwrap();
    }
    assert!(
        motion
            .flow
            .iter()
            .zip(&before)
            .all(|(now, then)| now == then)
    );
}

#[test]
fn networks_that_are_loaded_at_the_same_time_have_a_limit_each() {
    let _alone = alone();
    let least = limit_between(SMALL, LARGE);
    std::thread::scope(|scope| {
        for limit in [0, least, least * 5 / 4, least * 3 / 2] {
            scope.spawn(move || {
                let mut network = load("vfi-lite", limit);
                let fits = estimate(&mut network, LARGE, 1).is_ok();
                assert_eq!(fits, limit == 0, "{limit}");
                estimate(&mut network, SMALL, 1).unwrap();
                assert!(limit == 0 || usage(&network).held <= limit);
            });
        }
    });
}
