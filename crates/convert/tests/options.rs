//! Each option, on real files; what is written is counted and timed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod support;

use std::fs;

use gst::prelude::*;
use support::{
    Folder, clip, done, film, frames, has_rate, kinds, mux, refused, run, sound, streams,
};

/// The element itself, at its smallest.
const VFI: &str = "vfiinterp";

#[test]
fn a_fixed_rate_a_factor_and_a_multiplier_give_so_many_frames() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 12, "");
    for (option, frames, rate) in [
        (["--fps", "60"], 30, 60.0),
        (["--fps", "2x"], 24, 48.0),
        (["--multiplier", "3"], 36, 72.0),
        (["--fps", "59.94"], 30, 60000.0 / 1001.0),
    ] {
        done(
            &folder,
            VFI,
            &[
                "in.mp4",
                "-o",
                "out.mp4",
                option[0],
                option[1],
                "--overwrite",
            ],
        );
        has_rate(&folder.at("out.mp4"), frames, rate);
    }
}

#[test]
fn slow_motion_keeps_the_rate_that_was_found_and_stretches_the_sound() {
    let folder = Folder::new();
    clip(&folder, "in.mkv", "24000/1001", 24, &sound(10, 0));
    let before = streams(&folder.at("in.mkv"));
    done(&folder, VFI, &["in.mkv", "-o", "out.mp4", "--slow", "2"]);
    let out = folder.at("out.mp4");
    has_rate(&out, 48, 24000.0 / 1001.0);
    let packets = |streams: &[(gst::Caps, usize)]| {
        let sound = |(caps, _): &&(gst::Caps, usize)| caps.to_string().contains("audio");
        streams.iter().find(sound).map(|(_, packets)| *packets)
    };
    let (short, long) = (packets(&before).unwrap(), packets(&streams(&out)).unwrap());
    assert!(
        long.abs_diff(2 * short) <= 4,
        "{short} packets became {long}"
    );
    done(
        &folder,
        VFI,
        &["in.mkv", "-o", "mute.mp4", "--slow", "2", "--sound", "drop"],
    );
    assert_eq!(kinds(&folder.at("mute.mp4")), ["video/x-h264"]);
    done(
        &folder,
        VFI,
        &["in.mkv", "-o", "kept.mp4", "--slow", "2", "--sound", "keep"],
    );
    assert_eq!(packets(&streams(&folder.at("kept.mp4"))), Some(short));
}

#[test]
fn a_range_is_exact_to_the_frame() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "30/1", 90, &sound(30, 0));
    let lossless = ["--crf", "0", "--fps", "30", "--codec", "ffv1"];
    done(
        &folder,
        "videorate",
        &[&["in.mp4", "-o", "all.mkv"], &lossless[..]].concat(),
    );
    let range = ["in.mp4", "-o", "part.mkv", "--from", "1.1", "--to", "0:02"];
    done(&folder, "videorate", &[&range, &lossless[..]].concat());
    let (all, part) = (
        frames(&folder.at("all.mkv")),
        frames(&folder.at("part.mkv")),
    );
    let sums = |frames: &[(u64, u64)]| frames.iter().map(|(_, sum)| *sum).collect::<Vec<_>>();
    assert_eq!(sums(&part), sums(&all[33..60]));
    assert_eq!(part[0].0, 0);
    // 0.9 s of sound, in packets of 1024 samples
    let sound = streams(&folder.at("part.mkv"))
        .into_iter()
        .map(|(_, n)| n)
        .max()
        .unwrap();
    assert!((41..=44).contains(&sound), "{sound} packets of sound");
    let said = refused(&folder, &["in.mp4", "-o", "x.mp4", "--from", "9"], 1);
    assert!(said.contains("lasts 3.000 s"), "{said}");
}

/// The level of sound in each 10 ms, in dB.
fn loudness(path: &std::path::Path) -> Vec<f64> {
    let launch = format!(
        "filesrc location={} ! decodebin ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,channels=1,rate=48000 \
         ! appsink name=sink sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = pipeline
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut samples: Vec<i16> = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().unwrap();
        let segment = sample
            .segment()
            .unwrap()
            .downcast_ref::<gst::ClockTime>()
            .unwrap();
        let time = segment.to_running_time(buffer.pts().unwrap()).unwrap();
        samples.resize((time.nseconds() * 48 / 1_000_000) as usize, 0);
        let data = buffer.map_readable().unwrap();
        samples.extend(
            data.chunks_exact(2)
                .map(|s| i16::from_le_bytes([s[0], s[1]])),
        );
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
        .chunks(480)
        .map(|part| part.iter().map(|s| f64::from(*s).abs()).sum::<f64>() / 480.0)
        .collect()
}

#[test]
fn sound_stays_with_the_picture_when_both_are_cut_or_slowed() {
    let folder = Folder::new();
    // silence for 2 s, then a tone
    let tone = "audiotestsrc wave=silence num-buffers=20 samplesperbuffer=4800 ! audio/x-raw,rate=48000,channels=1 ! c. \
        audiotestsrc num-buffers=10 samplesperbuffer=4800 ! audio/x-raw,rate=48000,channels=1 ! c. \
        concat name=c ! avenc_aac ! aacparse ! mux.";
    clip(&folder, "in.mp4", "30/1", 90, tone);
    let begins = |name: &str| {
        let loud = loudness(&folder.at(name));
        loud.iter().position(|level| *level > 1000.0).unwrap() as f64 / 100.0
    };
    let was = begins("in.mp4");
    done(
        &folder,
        "videorate",
        &["in.mp4", "-o", "cut.mp4", "--from", "1"],
    );
    assert!(
        (begins("cut.mp4") - (was - 1.0)).abs() < 0.015,
        "{} {was}",
        begins("cut.mp4")
    );
    done(
        &folder,
        VFI,
        &[
            "in.mp4", "-o", "slow.mp4", "--slow", "2", "--from", "1.8", "--to", "2.4",
        ],
    );
    let slow = begins("slow.mp4");
    assert!((slow - 2.0 * (was - 1.8)).abs() < 0.06, "{slow} {was}");
}

#[test]
fn pictures_become_pictures_and_those_that_were_there_are_the_same() {
    let folder = Folder::new();
    let launch = format!(
        "videotestsrc pattern=ball num-buffers=6 ! video/x-raw,format=RGB,width=64,height=48,framerate=24/1 \
         ! pngenc ! multifilesink index=5 location={}",
        folder.at("in_%04d.png").display()
    );
    film(&launch, |_| true);
    done(
        &folder,
        VFI,
        &["in_%04d.png", "-o", "out_%04d.png", "--fps", "2x"],
    );
    let number = |name: &String| name.starts_with("out_");
    let names: Vec<_> = folder.names().into_iter().filter(number).collect();
    assert_eq!(names.len(), 12);
    assert_eq!((&*names[0], &*names[11]), ("out_0005.png", "out_0016.png"));
    let sum = |name: &str| frames(&folder.at(name))[0].1;
    for number in 0..6 {
        let (old, new) = (
            format!("in_{:04}.png", 5 + number),
            format!("out_{:04}.png", 5 + 2 * number),
        );
        assert_eq!(sum(&old), sum(&new), "{old}");
    }
    let said = refused(&folder, &["in_%04d.png", "-o", "out_%04d.png"], 1);
    assert!(said.contains("out_0005.png is there"), "{said}");
    done(
        &folder,
        "videorate",
        &[
            "in_%04d.png",
            "-o",
            "film.mkv",
            "--fps",
            "24",
            "--input-fps",
            "12",
        ],
    );
    assert_eq!(frames(&folder.at("film.mkv")).len(), 11);
}

#[test]
fn pictures_have_sixteen_bits_where_the_frames_have_more_than_eight() {
    let folder = Folder::new();
    let launch = mux("matroskamux", &folder.at("in.mkv"))
        + "videotestsrc num-buffers=3 ! video/x-raw,format=I420_10LE,width=64,height=48,framerate=24/1 ! avenc_ffv1 ! mux.";
    film(&launch, |_| true);
    let depth = |name: &str| {
        let bytes = fs::read(folder.at(name)).unwrap();
        (bytes[24], bytes[25])
    };
    done(
        &folder,
        "videorate",
        &["in.mkv", "-o", "a%d.png", "--fps", "24"],
    );
    assert_eq!(depth("a1.png"), (16, 2));
    done(
        &folder,
        "videorate",
        &["in.mkv", "-o", "b%d.png", "--fps", "24", "--png-depth", "8"],
    );
    assert_eq!(depth("b1.png"), (8, 2));
}

#[test]
fn each_codec_goes_into_a_container_that_has_it_and_another_is_refused_in_advance() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 12, &sound(5, 0));
    for (codec, output, kind) in [
        ("h264", "a.mov", "video/x-h264"),
        ("h265", "b.mp4", "video/x-h265"),
        ("av1", "c.mp4", "video/x-av1"),
        ("av1", "d.mkv", "video/x-av1"),
        ("ffv1", "e.mkv", "video/x-ffv"),
        ("prores", "f.mov", "video/x-prores"),
        ("prores", "g.mkv", "video/x-prores"),
    ] {
        done(
            &folder,
            "videorate",
            &["in.mp4", "-o", output, "--codec", codec, "--fps", "24"],
        );
        assert_eq!(kinds(&folder.at(output)), ["audio/mpeg", kind]);
        assert_eq!(frames(&folder.at(output)).len(), 12, "{output}");
    }
    for (codec, output) in [("ffv1", "x.mp4"), ("prores", "x.mp4"), ("av1", "x.mov")] {
        let said = refused(&folder, &["in.mp4", "-o", output, "--codec", codec], 1);
        assert!(said.contains(&format!("takes no {codec}")), "{said}");
    }
}

#[test]
fn nothing_is_replaced_unless_that_is_asked_for() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 6, "");
    fs::write(folder.at("out.mp4"), "precious").unwrap();
    let said = refused(&folder, &["in.mp4", "-o", "out.mp4"], 1);
    assert!(
        said.contains("out.mp4 is there") && said.contains("--overwrite"),
        "{said}"
    );
    assert_eq!(fs::read(folder.at("out.mp4")).unwrap(), b"precious");
    done(
        &folder,
        "videorate",
        &["in.mp4", "-o", "out.mp4", "--overwrite"],
    );
    assert!(frames(&folder.at("out.mp4")).len() > 6);
    done(&folder, "videorate", &["in.mp4"]);
    assert_eq!(folder.names(), ["in.mp4", "in_60fps.mp4", "out.mp4"]);
}

#[test]
fn a_folder_is_done_to_its_end_though_two_of_its_twelve_files_are_broken() {
    let folder = Folder::new();
    fs::create_dir(folder.at("in")).unwrap();
    let of = |name: &str| format!("in/{name}");
    for (name, rate) in [
        ("a.mp4", "24/1"),
        ("b.mkv", "25/1"),
        ("c.mov", "30/1"),
        ("d.mkv", "24000/1001"),
    ] {
        clip(&folder, &of(name), rate, 6, "");
    }
    clip(&folder, &of("e.mp4"), "24/1", 6, &sound(3, 0));
    let source =
        "videotestsrc num-buffers=6 ! video/x-raw,format=I420,width=64,height=48,framerate=24/1";
    for (name, rest) in [
        ("f.avi", "avenc_mpeg4 ! mpeg4videoparse ! avimux"),
        ("g.ts", "x264enc ! h264parse ! mpegtsmux"),
        ("h.webm", "vp8enc ! webmmux"),
        ("i.mpg", "mpeg2enc ! mpegvideoparse ! mpegpsmux"),
        ("j.mkv", "avenc_ffv1 ! matroskamux"),
    ] {
        film(
            &format!(
                "{source} ! {rest} ! filesink location={}",
                folder.at(&of(name)).display()
            ),
            |_| true,
        );
    }
    fs::write(
        folder.at("in/k.mp4"),
        "no video at all, but long enough to be looked at",
    )
    .unwrap();
    fs::write(folder.at("in/l.mkv"), "").unwrap();
    let done = run(&folder, "videorate", &["in", "-o", "out", "--json"]);
    assert_eq!(
        done.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let lines = String::from_utf8(done.stdout).unwrap();
    let events: Vec<serde_json::Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!(
        (count("done"), count("failed"), count("summary")),
        (10, 2, 1)
    );
    assert_eq!(fs::read_dir(folder.at("out")).unwrap().count(), 10);
    let errors: Vec<_> = events
        .iter()
        .filter_map(|event| event["error"].as_str())
        .collect();
    assert!(errors[1].contains("the file is empty"), "{errors:?}");
    assert!(frames(&folder.at("out/g_60fps.mkv")).len() > 6);
}

#[test]
fn a_preview_is_three_seconds_side_by_side() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 120, "");
    done(
        &folder,
        "videorate",
        &[
            "in.mp4",
            "-o",
            "out.mp4",
            "--preview",
            "--fps",
            "48",
            "--from",
            "1",
        ],
    );
    assert_eq!(folder.names(), ["in.mp4", "out_preview.mp4"]);
    let (caps, frames) = streams(&folder.at("out_preview.mp4")).remove(0);
    let s = caps.structure(0).unwrap();
    assert_eq!(
        (
            s.get::<i32>("width").unwrap(),
            s.get::<i32>("height").unwrap()
        ),
        (192, 64)
    );
    assert!((143..=145).contains(&frames), "{frames}");
}

#[test]
fn the_manual_page_and_the_help_name_the_exit_codes() {
    let folder = Folder::new();
    for option in ["--man", "--help"] {
        let done = run(&folder, "videorate", &[option]);
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.contains("130") && text.contains("some files are written and some are not"));
    }
}

#[test]
fn the_truth_is_laid_beside_the_frames_it_is_of() {
    let folder = Folder::new();
    clip(&folder, "in.mkv", "30/1", 15, "");
    done(
        &folder,
        VFI,
        &["in.mkv", "-o", "truth.mkv", "--codec", "ffv1", "--crf", "0"],
    );
    let said = done(
        &folder,
        VFI,
        &["in.mkv", "-o", "out.mkv", "--truth", "truth.mkv"],
    );
    let level = said
        .split("truth      ")
        .nth(1)
        .unwrap()
        .split(" dB")
        .next()
        .unwrap();
    assert!(level.parse::<f64>().unwrap() > 60.0, "{said}");
}

#[test]
fn frames_that_a_decoder_loses_are_an_error() {
    let folder = Folder::new();
    clip(&folder, "in.mkv", "24/1", 24, "");
    let drops = [
        "in.mkv",
        "-o",
        "out.mkv",
        "--fps",
        "24",
        "--set",
        "drop-probability=0.9",
    ];
    let lost = run(&folder, "identity", &drops);
    let said = String::from_utf8(lost.stderr).unwrap();
    assert_eq!(lost.status.code(), Some(1), "{said}");
    assert!(said.contains("24 were to be"), "{said}");
}
