//! A run that was killed is gone on with, and what comes of it is what would have come without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;

use support::{Folder, clip, done, frames, program, sound};

/// The working folder of a run.
fn work(folder: &Folder) -> PathBuf {
    folder.at("out.mp4.from.in.mp4.vfi-work")
}

fn begin(folder: &Folder, arguments: &[&str]) -> Child {
    let mut command = program();
    command.env("VFIINTERP_DEMO_ELEMENT", "vfiinterp");
    command.current_dir(folder.0.path()).args(arguments);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until `segments` segments are finished and the next one has so many bytes, or the run is
/// at its end.
fn wait_for(folder: &Folder, child: &mut Child, segments: usize, bytes: u64) {
    let file = |number: usize, ending| work(folder).join(format!("{number:06}.{ending}"));
    let finished = |number: usize| file(number, "json").is_file();
    let begun = || fs::metadata(file(segments, "part")).is_ok_and(|part| part.len() >= bytes);
    let is_there = || (0..segments).all(finished) && (begun() || finished(segments));
    while !is_there() && child.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_gives_the_frames_of_an_undisturbed_one() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24000/1001", 120, &sound(50, 0));
    let options = [
        "in.mp4",
        "--segment",
        "1",
        "--fps",
        "59.94",
        "--encoder-preset",
        "ultrafast",
    ];
    done(
        &folder,
        "vfiinterp",
        &[&options[..], &["-o", "whole.mp4"]].concat(),
    );
    let disturbed = [&options[..], &["-o", "out.mp4"]].concat();
    for (segments, bytes) in [(0, 0), (0, 700), (1, 0), (1, 1000), (2, 1), (3, 400)] {
        let mut child = begin(&folder, &disturbed);
        wait_for(&folder, &mut child, segments, bytes);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!folder.at("out.mp4").exists());
    }
    let said = done(&folder, "vfiinterp", &disturbed);
    assert!(said.contains("of an earlier run"), "{said}");
    assert_eq!(folder.names(), ["in.mp4", "out.mp4", "whole.mp4"]);
    let (whole, out) = (
        frames(&folder.at("whole.mp4")),
        frames(&folder.at("out.mp4")),
    );
    assert_eq!(whole.len(), 300);
    assert_eq!(whole, out);
}

#[test]
fn segments_of_other_settings_or_of_another_input_are_not_used() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 72, "");
    let options = ["in.mp4", "-o", "out.mp4", "--segment", "1"];
    let leave = || {
        let mut child = begin(&folder, &options);
        wait_for(&folder, &mut child, 1, 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(work(&folder).join("000000.json").is_file());
    };
    leave();
    let said = done(
        &folder,
        "vfiinterp",
        &[&options[..], &["--crf", "30"]].concat(),
    );
    assert!(!said.contains("of an earlier run"), "{said}");
    fs::remove_file(folder.at("out.mp4")).unwrap();
    leave();
    clip(&folder, "in.mp4", "24/1", 73, "");
    let said = done(&folder, "vfiinterp", &options);
    assert!(!said.contains("of an earlier run"), "{said}");
}
