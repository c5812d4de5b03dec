//! Sound and picture stay together through a file: made, interpolated and muxed again, read back.

use std::path::Path;

use gst::prelude::*;
use test_support::rig::*;

const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(60);
const SAMPLES: u64 = 48_000;
/// A flash and a click every second, at times that are frames of every rate here.
const BEATS: u64 = 3;

#[track_caller]
fn play(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(TIMEOUT, &wanted);
    if let gst::MessageView::Error(error) = message.expect("the pipeline hangs").view() {
        panic!("{} ({:?})", error.error(), error.debug());
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

fn launch(text: &str) -> gst::Pipeline {
    gst::parse::launch(text).unwrap().downcast().unwrap()
}

/// The samples: a faint sound, and a click at every beat but the first.
fn clicks() -> Vec<u8> {
    let sample = |n: u64| match n % (SAMPLES) {
        0 if n > 0 => 30_000i16,
        at => (at % 100) as i16,
    };
    let samples = (0..SAMPLES * BEATS).map(sample);
    samples.flat_map(i16::to_le_bytes).collect()
}

/// A file of `rate` frames a second with a white frame and a click at every beat.
fn flashes_and_clicks(path: &Path, rate: u64) {
    let pipeline = launch(&format!(
        "appsrc name=video format=time caps=video/x-raw,format=GRAY8,width=64,height=48,framerate={rate}/1 \
         ! videoconvert ! jpegenc quality=95 ! queue ! qtmux name=mux ! filesink location={} \
         appsrc name=audio format=time \
         caps=audio/x-raw,format=S16LE,rate={SAMPLES},channels=1,layout=interleaved ! queue ! mux.",
        path.display()
    ));
    let source = |name| {
        let element = pipeline.by_name(name).unwrap();
        element.downcast::<gst_app::AppSrc>().unwrap()
    };
    let (video, audio) = (source("video"), source("audio"));
    for k in 0..rate * BEATS {
        let white = k > 0 && k.is_multiple_of(rate);
        let mut buffer = frame(&info(&format!("GRAY8 64x48 {rate}/1")), k);
        let shade = if white { 255 } else { 0 };
        buffer.make_mut().map_writable().unwrap().fill(shade);
        video.push_buffer(buffer).unwrap();
    }
    for (n, bytes) in (0..).zip(clicks().chunks(4800 * 2)) {
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        let target = buffer.get_mut().unwrap();
        target.set_pts(gst::ClockTime::from_mseconds(100 * n));
        target.set_duration(gst::ClockTime::from_mseconds(100));
        audio.push_buffer(buffer).unwrap();
    }
    video.end_of_stream().unwrap();
    audio.end_of_stream().unwrap();
    play(&pipeline);
}

/// The times of a file's frames with their brightness, and its sound with the time it begins at.
struct Contents {
    frames: Vec<(u64, u8)>,
    sound: Vec<u8>,
    sound_begins: u64,
}

fn read(path: &Path) -> Contents {
    let pipeline = launch(&format!(
        "filesrc location={} ! qtdemux name=demux \
         demux.video_0 ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! jpegdec ! videoconvert \
         ! video/x-raw,format=GRAY8 ! appsink name=video sync=false \
         demux.audio_0 ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 \
         ! appsink name=audio sync=false",
        path.display()
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let buffers = |name| {
        let element = pipeline.by_name(name).unwrap();
        let sink = element.downcast::<gst_app::AppSink>().unwrap();
        let next = move || sink.pull_sample().ok()?.buffer_owned();
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    let (video, audio) = (buffers("video"), buffers("audio"));
    pipeline.set_state(gst::State::Null).unwrap();
    let brightness = |buffer: &gst::Buffer| bytes(buffer)[64 * 24 + 32];
    Contents {
        frames: times(&video)
            .into_iter()
            .zip(video.iter().map(brightness))
            .collect(),
        sound: audio.iter().flat_map(bytes).collect(),
        sound_begins: times(&audio)[0],
    }
}

/// Returns when something begins to be loud or bright.
fn onsets(levels: impl Iterator<Item = (u64, bool)>) -> Vec<u64> {
    let mut was_on = false;
    levels
        .filter(|(_, on)| {
            let begins = *on && !was_on;
            was_on = *on;
            begins
        })
        .map(|(time, _)| time)
        .collect()
}

#[test]
fn flashes_stay_on_their_clicks() {
    init();
    let model = blending_model();
    let folder = Path::new(model.path()).parent().unwrap();
    for (rate, target) in [(24, 60), (25, 50), (30, 60), (30, 144)] {
        let (before, after) = (folder.join("before.mov"), folder.join("after.mov"));
        flashes_and_clicks(&before, rate);
        let pipeline = launch(&format!(
            "filesrc location={} ! qtdemux name=demux \
             demux.video_0 ! queue ! jpegdec ! vfiinterp name=vfi execution-provider=cpu model={} \
             ! video/x-raw,framerate={target}/1 ! jpegenc quality=95 ! queue ! qtmux name=mux \
             ! filesink location={} demux.audio_0 ! queue ! mux.",
            before.display(),
            model.path(),
            after.display()
        ));
        play(&pipeline);
        let element = pipeline.by_name("vfi").unwrap();
        assert_eq!(stat(&element, "frames-in"), rate * BEATS);
        let (source, result) = (read(&before), read(&after));

        assert_eq!(result.frames.len() as u64, target * BEATS);
        assert_eq!(source.sound, clicks(), "the file holds what was put in");
        assert_eq!(result.sound, source.sound, "not a sample is another");
        assert_eq!(result.sound_begins, source.sound_begins);

        let samples = source.sound.as_chunks::<2>().0.iter().enumerate();
        let clicks = onsets(samples.map(|(n, sample)| {
            let time = source.sound_begins + n as u64 * SECOND / SAMPLES;
            (time, i16::from_le_bytes(*sample) > 20_000)
        }));
        let flashes = onsets(
            result
                .frames
                .iter()
                .map(|(time, shade)| (*time, *shade > 250)),
        );
        assert_eq!(clicks.len() as u64, BEATS - 1);
        assert_eq!(flashes, clicks, "{rate} to {target}");
    }
}
