//! `vfi-lab align` as a process: what it says of files it can't use, and how it exits.
#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

use std::path::Path;
use std::process::{Command, Output};

const OWN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/demo/truth_60.mp4"
);

fn align(cache: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vfi-lab"))
        .arg("align")
        .args(arguments)
        .arg("--cache-dir")
        .arg(cache)
        .output()
        .unwrap()
}

/// Runs a pipeline that makes a file.
fn make(line: &str) {
    let mut command = Command::new("gst-launch-1.0");
    let output = command.arg("-q").args(line.split_whitespace()).output();
    let output = output.unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {words}");
}

#[test]
fn what_is_no_video_is_one_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    make(&format!(
        "audiotestsrc num-buffers=20 ! wavenc ! filesink location={}",
        file("sound.wav")
    ));
    make(&format!(
        "videotestsrc num-buffers=1 ! jpegenc ! matroskamux ! filesink location={}",
        file("one.mkv")
    ));
    std::fs::write(
        file("words.txt"),
        "these are words, and no video\n".repeat(50),
    )
    .unwrap();
    for (name, reason) in [
        ("nowhere.mp4", "no such file"),
        ("sound.wav", "there is no video in it"),
        ("one.mkv", "1 frame: it takes at least 2"),
        ("words.txt", "text file"),
    ] {
        for arguments in [[OWN, &file(name)], [&file(name), OWN]] {
            let output = align(&folder.path().join("cache"), &arguments);
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{name}");
            assert_eq!(words.lines().count(), 1, "{name}: {words}");
            assert!(
                words.contains(name) && words.contains(reason),
                "{name}: {words}"
            );
        }
    }
}

#[test]
fn it_exits_with_1_beyond_the_tolerance_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for (name, slower) in [("even.mkv", ""), ("slow.mkv", "videorate rate=0.985 !")] {
        make(&format!(
            "videotestsrc pattern=ball num-buffers=120 ! video/x-raw,width=320,height=180,framerate=30/1 \
            ! {slower} jpegenc ! matroskamux ! filesink location={}",
            file(name)
        ));
    }
    let code = |other: &str, more: &[&str]| {
        let (even, other) = (file("even.mkv"), file(other));
        let arguments = [&[even.as_str(), other.as_str()], more].concat();
        align(&folder.path().join("cache"), &arguments)
            .status
            .code()
    };
    assert_eq!(code("even.mkv", &["--drift-tolerance", "10"]), Some(0));
    assert_eq!(code("slow.mkv", &["--drift-tolerance", "10"]), Some(1));
    assert_eq!(code("slow.mkv", &["--drift-tolerance", "500"]), Some(0));
    assert_eq!(code("slow.mkv", &[]), Some(0));
}
