//! Films to convert, and a look at what came of them.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test takes what it needs

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gst::prelude::*;

/// Makes a file by a pipeline, without the frames whose number `keep` refuses.
pub fn film(launch: &str, keep: impl Fn(u64) -> bool + Send + Sync + 'static) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    if let Some(door) = pipeline.by_name("door") {
        let pad = door.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            match keep(info.buffer().unwrap().offset()) {
                true => gst::PadProbeReturn::Ok,
                false => gst::PadProbeReturn::Drop,
            }
        });
    }
    play(&pipeline);
}

pub fn play(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);
}

/// The caps of the streams in a file, and how many buffers each has.
pub fn streams(path: &Path) -> Vec<(gst::Caps, usize)> {
    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path);
    let (source, parser) = (source.build().unwrap(), make("parsebin"));
    pipeline.add_many([&source, &parser]).unwrap();
    source.link(&parser).unwrap();
    let (bin, (found, all)) = (pipeline.downgrade(), std::sync::mpsc::channel());
    parser.connect_pad_added(move |_, pad| {
        let sink = make("fakesink");
        sink.set_property("async", false);
        bin.upgrade().unwrap().add(&sink).unwrap();
        let found = found.clone();
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = pad.name();
        found.send((name.clone(), caps, 0)).unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            let caps = pad.current_caps().unwrap();
            found.send((name.clone(), caps, 1)).unwrap();
            gst::PadProbeReturn::Ok
        });
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        sink.sync_state_with_parent().unwrap();
    });
    play(&pipeline);
    let mut streams = std::collections::BTreeMap::new();
    for (name, caps, buffers) in all.try_iter() {
        let stream = streams.entry(name).or_insert((caps.clone(), 0));
        *stream = (caps, stream.1 + buffers);
    }
    streams.into_values().collect()
}

pub fn make(factory: &str) -> gst::Element {
    gst::ElementFactory::make(factory).build().unwrap()
}

pub fn kinds(path: &Path) -> Vec<String> {
    let name = |(caps, _): &(gst::Caps, usize)| caps.structure(0).unwrap().name().to_string();
    let mut kinds: Vec<_> = streams(path).iter().map(name).collect();
    kinds.sort();
    kinds
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfi-convert"));
    command.env("VFIINTERP_DEMO_ELEMENT", "videorate");
    command
}

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn run(&self, input: &str, output: &str) -> Output {
        let mut command = program();
        command.arg(self.at(input)).arg("-o").arg(self.at(output));
        command.output().unwrap()
    }

    #[track_caller]
    pub fn succeeds(&self, input: &str, output: &str) -> String {
        let done = self.run(input, output);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        said
    }

    #[track_caller]
    pub fn fails(&self, input: &str, output: &str) -> String {
        let before = self.names();
        let done = self.run(input, output);
        assert_eq!(done.status.code(), Some(1));
        assert_eq!(self.names(), before);
        String::from_utf8(done.stderr).unwrap()
    }
}

pub const VIDEO: &str = "videotestsrc num-buffers=150 ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 \
     ! identity name=door ! x264enc speed-preset=ultrafast ! h264parse ! mux.";

pub fn sound(buffers: u32, offset: u64) -> String {
    format!(
        "audiotestsrc num-buffers={buffers} samplesperbuffer=4800 timestamp-offset={offset} \
         ! audio/x-raw,rate=48000,channels=1 ! avenc_aac ! aacparse ! mux."
    )
}

pub fn mux(muxer: &str, to: &Path) -> String {
    format!("{muxer} name=mux ! filesink location={} ", to.display())
}

/// Decodes the frames of a video: when each is shown in ns, and a sum over its samples.
pub fn frames(path: &Path) -> Vec<(u64, u64)> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    gst::init().unwrap();
    let launch = format!(
        "filesrc location={} ! decodebin name=d d. ! queue ! videoconvert ! video/x-raw,format=I420 \
         ! appsink name=sink sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().unwrap();
        let mut hasher = DefaultHasher::new();
        buffer.map_readable().unwrap().hash(&mut hasher);
        let segment = sample.segment().unwrap();
        let segment = segment.downcast_ref::<gst::ClockTime>().unwrap();
        let time = segment.to_running_time(buffer.pts().unwrap()).unwrap();
        frames.push((time.nseconds(), hasher.finish()));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    frames
}

/// Checks that a video has so many frames, at a rate; containers may round to a millisecond.
#[track_caller]
pub fn has_rate(path: &Path, count: usize, rate: f64) {
    let found = frames(path);
    assert_eq!(found.len(), count);
    for (number, (time, _)) in found.iter().enumerate() {
        let due = number as f64 * 1e9 / rate;
        assert!(
            (*time as f64 - due).abs() < 1e6,
            "frame {number} at {time} ns, not {due}"
        );
    }
}

/// Runs the program in a folder.
#[track_caller]
pub fn run(folder: &Folder, element: &str, arguments: &[&str]) -> Output {
    let mut command = program();
    command.env("VFIINTERP_DEMO_ELEMENT", element);
    command.current_dir(folder.0.path()).args(arguments);
    command.output().unwrap()
}

/// Runs the program, which is to succeed; returns what it said.
#[track_caller]
pub fn done(folder: &Folder, element: &str, arguments: &[&str]) -> String {
    let done = run(folder, element, arguments);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    said
}

/// Runs the program, which is to fail with that code; returns what it said.
#[track_caller]
pub fn refused(folder: &Folder, arguments: &[&str], code: i32) -> String {
    let done = run(folder, "videorate", arguments);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(code), "{said}");
    said
}

/// Makes a film with a moving picture and, if asked for, sound; `rate` such as `24/1`.
pub fn clip(folder: &Folder, name: &str, rate: &str, frames: u32, more: &str) {
    let muxer = match name.rsplit_once('.').unwrap().1 {
        "mp4" => "mp4mux",
        "mov" => "qtmux",
        _ => "matroskamux",
    };
    let video = format!(
        "videotestsrc pattern=ball num-buffers={frames} ! video/x-raw,format=I420,width=96,height=64,framerate={rate} \
         ! identity name=door ! x264enc speed-preset=ultrafast key-int-max=24 ! h264parse ! mux. "
    );
    film(&(mux(muxer, &folder.at(name)) + &video + more), |_| true);
}
