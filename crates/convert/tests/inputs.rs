//! Files as people have them: fields, turned pictures, variable rates, cut ends, several streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod support;

use std::fs;

use gst::prelude::*;
use support::{
    Folder, clip, done, film, frames, has_rate, kinds, mux, play, refused, sound, streams,
};

#[test]
fn each_field_of_interlaced_video_becomes_a_frame_and_it_is_told() {
    let folder = Folder::new();
    let launch = mux("matroskamux", &folder.at("in.mkv"))
        + "videotestsrc pattern=ball num-buffers=48 ! video/x-raw,format=I420,width=96,height=64,framerate=50/1 \
           ! interlace field-pattern=1:1 ! x264enc interlaced=true speed-preset=ultrafast ! h264parse ! mux.";
    film(&launch, |_| true);
    let said = done(
        &folder,
        "vfiinterp",
        &["in.mkv", "-o", "out.mkv", "--fps", "100"],
    );
    assert!(said.contains("interlaced"), "{said}");
    let count = frames(&folder.at("out.mkv")).len();
    assert!((92..=96).contains(&count), "{count}");
}

#[test]
fn a_turned_picture_is_turned_upright_and_it_is_told() {
    let folder = Folder::new();
    clip(&folder, "in.mp4", "24/1", 12, "");
    turn(&folder.at("in.mp4"));
    let said = done(
        &folder,
        "videorate",
        &["in.mp4", "-o", "out.mp4", "--fps", "24"],
    );
    assert!(said.contains("rotate-90"), "{said}");
    let (caps, _) = streams(&folder.at("out.mp4")).remove(0);
    let s = caps.structure(0).unwrap();
    let size = (
        s.get::<i32>("width").unwrap(),
        s.get::<i32>("height").unwrap(),
    );
    assert_eq!(size, (64, 96));
}

/// Tags a film as a telephone held upright does: by the matrix of its track.
fn turn(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let tkhd = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    let quarter: [u32; 5] = [0, 0x1_0000, 0, 0xffff_0000, 0];
    for (number, value) in quarter.into_iter().enumerate() {
        let at = tkhd + 44 + 4 * number;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_variable_rate_becomes_a_fixed_one_and_lasts_as_long() {
    let folder = Folder::new();
    let launch = mux("mp4mux", &folder.at("in.mp4")) + support::VIDEO;
    film(&launch, |frame| frame % 5 != 3 && frame < 60);
    let said = done(
        &folder,
        "vfiinterp",
        &["in.mp4", "-o", "out.mp4", "--fps", "50"],
    );
    assert!(said.contains("rate varies"), "{said}");
    has_rate(&folder.at("out.mp4"), 100, 50.0);
}

#[test]
fn a_file_that_ends_too_early_is_used_as_far_as_it_goes() {
    let folder = Folder::new();
    clip(&folder, "whole.mkv", "24/1", 96, &sound(40, 0));
    let bytes = fs::read(folder.at("whole.mkv")).unwrap();
    fs::write(folder.at("in.mkv"), &bytes[..bytes.len() * 6 / 10]).unwrap();
    done(
        &folder,
        "vfiinterp",
        &["in.mkv", "-o", "out.mkv", "--fps", "24"],
    );
    let count = frames(&folder.at("out.mkv")).len();
    assert!((40..70).contains(&count), "{count}");
    assert_eq!(kinds(&folder.at("out.mkv")), ["audio/mpeg", "video/x-h264"]);
    clip(&folder, "whole.mp4", "24/1", 96, "");
    let bytes = fs::read(folder.at("whole.mp4")).unwrap();
    fs::write(folder.at("in.mp4"), &bytes[..bytes.len() * 6 / 10]).unwrap();
    let said = refused(&folder, &["in.mp4", "-o", "none.mp4"], 1);
    assert!(
        said.contains("in.mp4") && !folder.at("none.mp4").exists(),
        "{said}"
    );
}

#[test]
fn titles_and_languages_are_kept_and_untrue_tags_are_not() {
    let folder = Folder::new();
    let spoken = "audiotestsrc num-buffers=10 samplesperbuffer=4800 ! audio/x-raw,rate=48000,channels=1 ! avenc_aac \
                  ! aacparse ! taginject tags=\"language-code=de\" ! mux.";
    let launch = mux("matroskamux", &folder.at("in.mkv"))
        + "videotestsrc num-buffers=24 ! video/x-raw,format=I420,width=96,height=64,framerate=24/1 \
           ! x264enc ! h264parse ! mux. "
        + spoken;
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let setter = pipeline.by_name("mux").unwrap();
    let setter = setter.dynamic_cast::<gst::TagSetter>().unwrap();
    setter.add_tag::<gst::tags::Title>(&"Holiday", gst::TagMergeMode::Append);
    setter.add_tag::<gst::tags::Artist>(&"Ada", gst::TagMergeMode::Append);
    play(&pipeline);
    for output in ["out.mp4", "out.mkv"] {
        done(&folder, "videorate", &["in.mkv", "-o", output]);
        let tags = tags(&folder.at(output));
        for kept in [
            "title=(string)Holiday",
            "artist=(string)Ada",
            "language-code=(string)de",
        ] {
            assert!(tags.contains(kept), "{output}: {kept} not in {tags}");
        }
    }
}

/// All tags of a file, as text.
fn tags(path: &std::path::Path) -> String {
    let launch = format!("filesrc location={} ! parsebin name=p", path.display());
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let bin = pipeline.downgrade();
    pipeline
        .by_name("p")
        .unwrap()
        .connect_pad_added(move |_, pad| {
            let sink = gst::ElementFactory::make("fakesink")
                .property("async", false)
                .build()
                .unwrap();
            bin.upgrade().unwrap().add(&sink).unwrap();
            pad.link(&sink.static_pad("sink").unwrap()).unwrap();
            sink.sync_state_with_parent().unwrap();
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let mut tags = String::new();
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Tag(tag) => tags += &tag.tags().to_string(),
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    tags
}
