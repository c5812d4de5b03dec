//! Nothing stays behind: objects, buffers, memory. A program of its own, because GStreamer's leak
//! tracer looks at the whole process and has to be switched on before GStreamer starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use gst::prelude::*;
use test_support::fixtures;

const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(60);

fn launch(text: &str) -> gst::Pipeline {
    gst::parse::launch(text).unwrap().downcast().unwrap()
}

fn wait(pipeline: &gst::Pipeline, wanted: gst::MessageType) {
    let bus = pipeline.bus().unwrap();
    let types = [wanted, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(TIMEOUT, &types).unwrap();
    assert_eq!(message.type_(), wanted, "{message:?}");
}

fn play(text: &str) {
    let pipeline = launch(text);
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
}

fn stop_in_the_middle(text: &str) {
    let pipeline = launch(text);
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::AsyncDone);
    pipeline.set_state(gst::State::Null).unwrap();
}

fn seek(text: &str) {
    let pipeline = launch(text);
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::AsyncDone);
    for second in [3, 1] {
        let target = gst::ClockTime::from_seconds(second);
        pipeline.seek_simple(gst::SeekFlags::FLUSH, target).unwrap();
        wait(&pipeline, gst::MessageType::AsyncDone);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

fn fail(text: &str) {
    let pipeline = launch(text);
    let _fails = pipeline.set_state(gst::State::Playing);
    wait(&pipeline, gst::MessageType::Error);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Returns the resident memory in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Plays `frames` frames and gives the resident memory after the first quarter and at the end.
fn play_measured(text: &str, frames: u64) -> (u64, u64) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let pipeline = launch(text);
    let (seen, early) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let shared = early.clone();
    let pad = pipeline.by_name("vfi").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if seen.fetch_add(1, Ordering::Relaxed) == frames / 4 {
            shared.store(resident(), Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::Eos);
    let late = resident();
    pipeline.set_state(gst::State::Null).unwrap();
    (early.load(Ordering::Relaxed), late)
}

#[test]
fn nothing_is_left_and_memory_is_flat() {
    // SAFETY: the only test of this program, and no other thread runs yet.
    unsafe {
        std::env::set_var("GST_TRACERS", "leaks");
        std::env::set_var("GST_LEAKS_TRACER_STACK_TRACE", "");
    }
    gst::init().unwrap();
    gstvfiinterp::plugin_register_static().unwrap();
    let still = fixtures::constant_motion([0.0, 0.0], 2, 8);
    let model = fixtures::TemporaryFile::new("still.onnx", &still);
    let vfi = format!(
        "vfiinterp name=vfi execution-provider=cpu model={}",
        model.path()
    );
    let source = |frames: i32, format: &str| {
        format!(
            "videotestsrc num-buffers={frames} ! video/x-raw,format={format},width=64,height=48,framerate=30/1"
        )
    };
    let sink = "fakesink sync=false";

    let scenarios = || {
        for frames in [0, 1, 2, 20] {
            play(&format!("{} ! {vfi} ! {sink}", source(frames, "NV12")));
        }
        play(&format!(
            "{} ! {vfi} upscale=image ! {sink}",
            source(10, "RGBA")
        ));
        play(&format!(
            "{} ! {vfi} ! video/x-raw,framerate=75/1 ! videoconvert ! {sink}",
            source(10, "I420_10LE")
        ));
        play(&format!(
            "concat name=c ! {vfi} ! {sink} {} ! c. {} ! c.",
            source(10, "NV12"),
            source(10, "I420")
        ));
        // With a deadline for each frame, which passes or doesn't.
        let live = source(10, "NV12").replacen("videotestsrc", "videotestsrc is-live=true", 1);
        play(&format!(
            "{live} ! {vfi} latency=0 stats-interval=1 ! fakesink sync=true qos=true"
        ));
        stop_in_the_middle(&format!("{} ! {vfi} ! {sink}", source(-1, "NV12")));
        seek(&format!("{} ! {vfi} ! {sink}", source(-1, "NV12")));
        fail(&format!("{} ! {vfi}", source(-1, "NV12")));
        fail(&format!(
            "{} ! vfiinterp model=/nowhere.onnx ! {sink}",
            source(-1, "NV12")
        ));
    };
    // Once untraced, for what GStreamer loads only once.
    scenarios();
    let tracers = gst::active_tracers();
    let tracer = tracers
        .iter()
        .find(|tracer| tracer.type_().name() == "GstLeaksTracer")
        .unwrap();
    tracer.emit_by_name::<()>("activity-start-tracking", &[]);
    scenarios();
    // a task that was joined is still held by its thread for a moment
    gst::Task::cleanup_all();
    let checkpoint = tracer.emit_by_name::<gst::Structure>("activity-get-checkpoint", &[]);
    let objects = |list: &str| -> Vec<String> {
        let list = checkpoint.get::<gst::List>(list).unwrap();
        let objects = list.iter().map(|object| {
            let object = object.get::<gst::Structure>().unwrap();
            let part = |name: &str| object.get::<String>(name).unwrap();
            format!("{} at {}", part("type-name"), part("address"))
        });
        objects.collect()
    };
    let mut left = objects("objects-created-list");
    assert!(left.len() > 100, "the tracer saw {} objects", left.len());
    for gone in objects("objects-removed-list") {
        if let Some(place) = left.iter().position(|object| *object == gone) {
            left.swap_remove(place);
        }
    }
    assert_eq!(
        left,
        Vec::<String>::new(),
        "what was made and is still there"
    );

    const FRAMES: i32 = 2000;
    let long = format!("{} ! vfiinterp name=vfi ! {sink}", source(FRAMES, "NV12"));
    let (early, late) = play_measured(&long, FRAMES as u64);
    // as if one frame of eight stayed, of the three quarters that are measured
    let frame = 64 * 48 * 3 / 2;
    assert!(
        late < early + FRAMES as u64 / 4 * 3 / 8 * frame,
        "resident memory grew from {early} to {late} bytes"
    );
}
