//! Networks that share a session.

use super::*;

#[test]
fn the_same_content_is_one_session_while_it_is_used() {
    let bytes = fixtures::blend_with_timestep(&[1]);
    let files = ["here.onnx", "there.onnx"].map(|name| TemporaryFile::new(name, &bytes));
    let load = |file: &TemporaryFile, threads| {
        let options = LoadOptions {
            threads,
            ..options(file.path())
        };
        Interpolator::load(&options).unwrap_or_else(|error| panic!("{error}"))
    };
    let [first, second] = files.each_ref().map(|file| load(file, 1));
    assert_eq!((first.info().shared, second.info().shared), (false, true));
    // what is theirs alone stays theirs
    assert_eq!(first.info().name, "here");
    assert_eq!(second.info().name, "there");
    assert!(!load(&files[0], 2).info().shared, "other options");
    drop((first, second));
    assert!(!load(&files[0], 1).info().shared, "nobody uses it any more");
}

#[test]
fn networks_that_share_a_session_run_at_the_same_time() {
    let file = TemporaryFile::new("both.onnx", &fixtures::blend_with_timestep(&[1]));
    let run = |size: usize, phase: f32| {
        let mut network = Interpolator::load(&options(file.path())).unwrap();
        let (pictures, prepared) = pair(&network, size, size);
        for _ in 0..50 {
            let found = estimate_picture(&mut network, &prepared, phase);
            assert_blend(&found, &pictures, phase);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(48, 0.25));
        scope.spawn(|| run(64, 0.5));
        run(33, 0.75);
    });
}

#[test]
fn cancelling_one_leaves_the_others_of_its_session_alone() {
    let file = TemporaryFile::new("shared-slow.onnx", &fixtures::slow(100));
    let [mut runs, mut waits] = [0, 1].map(|_| Interpolator::load(&options(file.path())).unwrap());
    assert!(waits.info().shared);
    let (_, [a, b]) = pair(&runs, 640, 384);
    let canceller = waits.canceller();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| runs.estimate(&a, &b, 0.5).map(|_| ()));
        let waiting = scope.spawn(|| waits.estimate(&a, &b, 0.5).map(|_| ()));
        canceller.cancel();
        let cancelled = waiting.join().expect("nothing panics");
        assert!(matches!(cancelled, Err(ModelError::Cancelled)));
        running.join().expect("nothing panics")
    });
    assert!(result.is_ok(), "{result:?}");
}
