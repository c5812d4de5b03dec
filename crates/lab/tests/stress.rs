//! Short runs of `vfi-lab chaos` and `vfi-lab cycles`, each a process of its own, so that threads, files and
//! memory are the element's alone.
#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

use std::process::Command;

#[track_caller]
fn run(args: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_vfi-lab"))
        .args(args.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "vfi-lab {args}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn everything_at_random_is_stood() {
    for seed in [1, 2, 3] {
        run(&format!("chaos --frames 3000 --seed {seed}"));
    }
}

#[test]
fn properties_may_be_read_and_written_by_four_threads_meanwhile() {
    run("chaos --frames 300 --seed 4 --threads 4");
}

#[test]
fn playing_may_stop_at_any_time_a_thousand_times() {
    run("cycles --count 1000 --seed 1");
}
