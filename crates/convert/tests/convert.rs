//! The program on what people bring. `videorate` stands in for the element where
//! frames themselves don't matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use gst::prelude::*;
use support::{Folder, VIDEO, film, kinds, mux, program, sound, streams};

#[test]
fn a_picture_that_stands_still_holds_up_no_sound() {
    for (muxer, input) in [("mp4mux", "in.mp4"), ("matroskamux", "in.mkv")] {
        let folder = Folder::new();
        let launch = mux(muxer, &folder.at(input)) + VIDEO + " " + &sound(50, 0);
        film(&launch, |frame| !(30..135).contains(&frame));
        folder.succeeds(input, "out.mp4");
        assert_eq!(kinds(&folder.at("out.mp4")), ["audio/mpeg", "video/x-h264"]);
    }
}

#[test]
fn sound_that_begins_late_or_ends_early_holds_up_no_picture() {
    for (buffers, offset) in [(10, 4_000_000_000), (15, 0)] {
        let folder = Folder::new();
        let launch =
            mux("matroskamux", &folder.at("in.mkv")) + VIDEO + " " + &sound(buffers, offset);
        film(&launch, |_| true);
        folder.succeeds("in.mkv", "out.mkv");
        assert_eq!(kinds(&folder.at("out.mkv")), ["audio/mpeg", "video/x-h264"]);
    }
}

#[test]
fn every_sound_track_and_the_subtitles_are_kept() {
    let folder = Folder::new();
    let text = "1\n00:00:01,000 --> 00:00:04,000\nTom & Jerry\n";
    fs::write(folder.at("s.srt"), text).unwrap();
    let subtitles = format!(
        "filesrc location={} ! subparse ! mux.",
        folder.at("s.srt").display()
    );
    let tracks = [VIDEO, &sound(50, 0), &sound(50, 0), &subtitles].join(" ");
    film(
        &(mux("matroskamux", &folder.at("in.mkv")) + &tracks),
        |_| true,
    );
    for output in ["out.mkv", "out.mp4"] {
        let said = folder.succeeds("in.mkv", output);
        assert!(!said.contains("left out"), "{said}");
        let found = kinds(&folder.at(output));
        assert_eq!(
            found,
            ["audio/mpeg", "audio/mpeg", "text/x-raw", "video/x-h264"]
        );
    }
}

#[test]
fn a_stream_that_is_not_kept_is_named() {
    let folder = Folder::new();
    film(
        &(mux("matroskamux", &folder.at("in.mkv"))
            + VIDEO
            + " "
            + &VIDEO.replace("! identity name=door", "")),
        |_| true,
    );
    let said = folder.succeeds("in.mkv", "out.mp4");
    assert!(said.contains("left out: video/x-h264"), "{said}");
}

#[test]
fn ten_bits_and_what_is_said_of_hdr_are_kept() {
    let folder = Folder::new();
    let launch = mux("mp4mux", &folder.at("in.mp4"))
        + "videotestsrc num-buffers=10 ! video/x-raw,format=I420_10LE,width=64,height=48,framerate=30/1,\
           colorimetry=bt2100-pq,content-light-level=1000:400,\
           mastering-display-info=34000:16000:13250:34500:7500:3000:15635:16450:10000000:50 \
           ! x265enc ! h265parse ! mux.";
    film(&launch, |_| true);
    let said = folder.succeeds("in.mp4", "out.mp4");
    assert!(!said.contains("bits"), "{said}");
    let (caps, frames) = streams(&folder.at("out.mp4")).remove(0);
    let (input, _) = streams(&folder.at("in.mp4")).remove(0);
    assert!(frames > 15, "{frames}");
    let field = |caps: &gst::Caps, name: &str| {
        caps.structure(0)
            .unwrap()
            .value(name)
            .unwrap()
            .serialize()
            .unwrap()
    };
    for name in [
        "bit-depth-luma",
        "colorimetry",
        "content-light-level",
        "mastering-display-info",
    ] {
        assert_eq!(field(&caps, name), field(&input, name), "{name}");
    }
}

fn record(folder: &Folder, name: &str, format: &str, width: u32, height: u32) {
    let launch = mux("matroskamux", &folder.at(name))
        + &format!(
            "videotestsrc num-buffers=10 ! video/x-raw,format={format},width={width},height={height} ! avenc_ffv1 ! mux."
        );
    film(&launch, |_| true);
}

#[test]
fn odd_sizes_are_made_even_and_it_is_told() {
    let folder = Folder::new();
    record(&folder, "in.mkv", "Y444", 65, 49);
    let said = folder.succeeds("in.mkv", "out.mp4");
    assert!(
        said.contains("65x49 becomes 64x48") && said.contains("4:2:0"),
        "{said}"
    );
}

#[test]
fn a_size_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    record(&folder, "in.mkv", "I420", 8, 8);
    let said = folder.fails("in.mkv", "out.mp4");
    assert!(
        said.contains("8x8 is too small or too large for mp4mux"),
        "{said}"
    );
}

#[test]
fn the_input_may_be_called_like_a_part_of_the_output() {
    let folder = Folder::new();
    film(&(mux("mp4mux", &folder.at("a.mp4.part")) + VIDEO), |_| true);
    let before = fs::read(folder.at("a.mp4.part")).unwrap();
    folder.succeeds("a.mp4.part", "a.mp4");
    let said = folder.fails("a.mp4.part", "a.avi");
    assert!(said.contains("ends in .mp4 or .mkv"), "{said}");
    assert_eq!(folder.names(), ["a.mp4", "a.mp4.part"]);
    assert_eq!(fs::read(folder.at("a.mp4.part")).unwrap(), before);
}

/// Begins a run that gives out a frame every `pause` microseconds, and waits until `begun`.
fn begin(folder: &Folder, pause: u32, begun: impl Fn(&Path) -> bool) -> Child {
    // Frames that fill the sink's buffer, so that the file grows.
    let noise = VIDEO.replace("videotestsrc", "videotestsrc pattern=snow");
    film(
        &(mux("mp4mux", &folder.at("in.mp4")) + &noise + " " + &sound(50, 0)),
        |_| true,
    );
    let mut command = program();
    command
        .arg(folder.at("in.mp4"))
        .arg("-o")
        .arg(folder.at("out.mkv"));
    command.args([
        "--fps",
        "30",
        "--encoder-preset",
        "ultrafast",
        "--crf",
        "0",
        "--element",
        "identity",
        "--set",
    ]);
    let child = command
        .arg(format!("sleep-time={pause}"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let fds = PathBuf::from(format!("/proc/{}/fd", child.id()));
    // Held by the program, and open in the sink as well once the pipeline plays.
    let held = || -> Vec<PathBuf> {
        let links = fs::read_dir(&fds).unwrap();
        let paths = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "part"))
            .collect()
    };
    while !held().get(1).is_some_and(|part| begun(part)) {
        thread::yield_now();
    }
    child
}

fn terminate(child: &mut Child) -> Option<i32> {
    let kill = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(kill.success());
    child.wait().unwrap().code()
}

#[test]
fn a_signal_before_the_first_frame_leaves_nothing() {
    let folder = Folder::new();
    let mut child = begin(&folder, 1_000_000_000, |_| true);
    assert_eq!(terminate(&mut child), Some(130));
    assert_eq!(folder.names(), ["in.mp4"]);
}

#[test]
fn a_signal_leaves_what_was_done_until_then() {
    let folder = Folder::new();
    let mut child = begin(&folder, 100_000, |part| {
        fs::metadata(part).unwrap().len() > 0
    });
    assert_eq!(terminate(&mut child), Some(0));
    assert_eq!(folder.names(), ["in.mp4", "out.mkv"]);
    let frames = streams(&folder.at("out.mkv"))[0].1;
    assert!((1..150).contains(&frames), "{frames}");
    assert_eq!(kinds(&folder.at("out.mkv")), ["audio/mpeg", "video/x-h264"]);
}
