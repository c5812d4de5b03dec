//! Whole pipelines: seeks, state changes, other elements on both sides.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;
use gst_base::prelude::*;
use test_support::rig::*;

const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// A pipeline whose `vfiinterp` blends.
fn pipeline(before: &str, after: &str) -> (gst::Pipeline, TemporaryFile) {
    init();
    let model = blending_model();
    let text = format!(
        "{before} ! vfiinterp name=vfi execution-provider=cpu model={} ! {after}",
        model.path()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    (pipeline.downcast().unwrap(), model)
}

#[track_caller]
fn wait(pipeline: &gst::Pipeline, wanted: gst::MessageType) {
    let bus = pipeline.bus().unwrap();
    let message = bus
        .timed_pop_filtered(TIMEOUT, &[wanted, gst::MessageType::Error])
        .expect("the pipeline hangs");
    if let gst::MessageView::Error(error) = message.view() {
        panic!("{} ({:?})", error.error(), error.debug());
    }
}

#[track_caller]
fn play_to_the_end(pipeline: &gst::Pipeline) {
    play_to_the_end_of(pipeline, |_| ());
}

/// Plays, and looks at the pipeline before it is stopped.
#[track_caller]
fn play_to_the_end_of<T>(pipeline: &gst::Pipeline, look: impl FnOnce(&gst::Pipeline) -> T) -> T {
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(pipeline, gst::MessageType::Eos);
    let seen = look(pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    seen
}

const SOURCE: &str = "videotestsrc num-buffers=20 pattern=ball \
     ! video/x-raw,format=I420,width=160,height=120,framerate=30/1";

#[test]
fn a_pipeline_plays_to_its_end() {
    let (pipeline, _model) = pipeline(SOURCE, "fakesink sync=false");
    play_to_the_end(&pipeline);
    let element = pipeline.by_name("vfi").unwrap();
    assert_eq!(stat(&element, "frames-in"), 20);
    assert_eq!(stat(&element, "synthesised"), 19);
}

#[test]
fn what_describes_the_picture_stays_as_it_was() {
    let described = "pixel-aspect-ratio=4/3,colorimetry=bt2020-10,chroma-site=topleft";
    let (pipeline, _model) = pipeline(
        &format!(
            "videotestsrc num-buffers=3 ! video/x-raw,format=P010_10LE,width=64,height=48,framerate=30/1,{described}"
        ),
        "fakesink name=sink sync=false",
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::Eos);
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<gst_base::BaseSink>().unwrap();
    let sample = sink.last_sample().expect("something was shown");
    pipeline.set_state(gst::State::Null).unwrap();
    let expected = format!("video/x-raw,framerate=60/1,{described}");
    let expected = expected.parse::<gst::Caps>().unwrap();
    let caps = sample.caps_owned().unwrap();
    assert!(caps.is_subset(&expected), "{caps}");
}

/// The format that leaves an element, of which all frames are made or passed.
#[track_caller]
fn play_unconverted(source: &str) -> String {
    let (pipeline, _model) = pipeline(source, "fakesink name=sink sync=false");
    play_to_the_end_of(&pipeline, |pipeline| {
        let element = pipeline.by_name("vfi").unwrap();
        assert_eq!(
            (stat(&element, "originals"), stat(&element, "synthesised")),
            (8, 7)
        );
        let pad = element.static_pad("src").unwrap();
        let caps = pad.current_caps().unwrap();
        caps.structure(0).unwrap().get("format").unwrap()
    })
}

#[test]
fn packed_bytes_go_through_unconverted() {
    let format = play_unconverted(
        "videotestsrc num-buffers=8 pattern=ball \
         ! video/x-raw,format=YUY2,width=160,height=120,framerate=30/1",
    );
    assert_eq!(format, "YUY2");
}

#[test]
fn ten_bits_of_a_decoder_go_through_unconverted() {
    let format = play_unconverted(
        "videotestsrc num-buffers=8 pattern=ball \
         ! video/x-raw,format=I422_10LE,width=160,height=120,framerate=30/1 \
         ! avenc_prores ! avdec_prores",
    );
    assert_eq!(format, "I422_10LE");
}

#[test]
fn the_element_may_stand_beside_converters() {
    let (pipeline, _model) = pipeline(
        &format!("{SOURCE} ! videoconvertscale ! video/x-raw,format=NV12,width=90,height=70"),
        "video/x-raw,framerate=75/1 ! videoconvertscale ! video/x-raw,format=RGB ! fakesink sync=false",
    );
    play_to_the_end(&pipeline);
}

#[test]
fn playing_may_stop_at_any_time_a_hundred_times() {
    let (pipeline, _model) = pipeline(
        "videotestsrc ! video/x-raw,format=I420,width=32,height=32,framerate=30/1",
        "fakesink sync=false",
    );
    for round in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        if round % 2 == 0 {
            wait(&pipeline, gst::MessageType::AsyncDone);
        }
        pipeline.set_state(gst::State::Null).unwrap();
        pipeline.bus().unwrap().set_flushing(true);
        pipeline.bus().unwrap().set_flushing(false);
    }
}

#[test]
fn seeks_while_playing_land_where_they_should() {
    let (pipeline, _model) = pipeline(
        "videotestsrc ! video/x-raw,format=I420,width=32,height=32,framerate=30/1",
        "fakesink name=sink sync=false",
    );
    let pad = pipeline
        .by_name("sink")
        .unwrap()
        .static_pad("sink")
        .unwrap();
    let (first_after_flush, landed) = std::sync::mpsc::channel();
    let flushed = AtomicBool::new(true);
    pad.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH,
        move |_, probe| {
            match &probe.data {
                Some(gst::PadProbeData::Event(_)) => flushed.store(true, Ordering::SeqCst),
                Some(gst::PadProbeData::Buffer(buffer))
                    if flushed.swap(false, Ordering::SeqCst) =>
                {
                    first_after_flush.send(buffer.pts()).unwrap();
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        },
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    wait(&pipeline, gst::MessageType::AsyncDone);
    let next = || landed.recv_timeout(TIMEOUT.into()).unwrap();
    assert_eq!(next(), Some(gst::ClockTime::ZERO));
    for target in [5, 1, 30, 2, 100] {
        let target = gst::ClockTime::from_seconds(target);
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, target)
            .unwrap();
        assert_eq!(next(), Some(target));
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn position_and_duration_come_from_upstream() {
    let (pipeline, _model) = pipeline(SOURCE, "fakesink name=sink");
    pipeline.set_state(gst::State::Paused).unwrap();
    wait(&pipeline, gst::MessageType::AsyncDone);
    let element = pipeline.by_name("vfi").unwrap();
    let pad = element.static_pad("src").unwrap();
    assert!(pad.query_position::<gst::ClockTime>().is_some());
    let duration = pad.query_duration::<gst::ClockTime>();
    let expected = pad.peer().unwrap().parent().is_some().then(|| {
        let source = element.static_pad("sink").unwrap();
        source.peer_query_duration::<gst::ClockTime>()
    });
    assert_eq!(Some(duration), expected);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn everything_may_change_while_playing() {
    let (pipeline, model) = pipeline(
        "videotestsrc num-buffers=300 ! video/x-raw,format=I420,width=48,height=32,framerate=30/1",
        "fakesink sync=false",
    );
    let element = pipeline.by_name("vfi").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for round in 0..50u32 {
        element.set_property("multiplier", 1 + round % 4);
        element.set_property("downscale", f64::from(1 + round % 3));
        element.set_property("max-gap", gst::ClockTime::from_mseconds(u64::from(round)));
        element.set_property("latency", gst::ClockTime::from_mseconds(u64::from(round)));
        element.set_property("qos", round % 2 == 0);
        let method = ["bilinear", "bicubic", "lanczos"][round as usize % 3];
        element.set_property_from_str("downscale-method", method);
        element.set_property_from_str("upscale-method", method);
        element.set_property_from_str("upscale", ["auto", "image"][round as usize % 2]);
        element.set_property("model", ["vfi-lite", model.path()][round as usize % 2]);
        let _stats = element.property::<gst::Structure>("stats");
    }
    wait(&pipeline, gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(stat(&element, "frames-in"), 300);
}

#[test]
fn a_decoder_that_keeps_its_frames_is_no_trouble() {
    // A tee keeps a reference to every buffer, so that none may be written to.
    init();
    let model = blending_model();
    let pipeline = gst::parse::launch(&format!(
        "{SOURCE} ! tee name=t ! queue ! vfiinterp name=vfi execution-provider=cpu model={} \
         ! fakesink sync=false t. ! queue ! fakesink sync=false",
        model.path()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    play_to_the_end(&pipeline);
    assert_eq!(stat(&pipeline.by_name("vfi").unwrap(), "originals"), 20);
}

#[test]
fn a_stream_that_downstream_ends_ends() {
    let (pipeline, _model) = pipeline(SOURCE, "identity eos-after=5 ! fakesink sync=false");
    play_to_the_end(&pipeline);
}

#[test]
fn downstream_may_ask_for_another_rate_while_playing() {
    let (pipeline, _model) = pipeline(
        "videotestsrc ! video/x-raw,format=GRAY8,width=16,height=16,framerate=30/1",
        "capsfilter name=rate caps=video/x-raw,framerate=60/1 ! fakesink sync=false",
    );
    let filter = pipeline.by_name("rate").unwrap();
    let (sender, rates) = std::sync::mpsc::channel::<gst::Fraction>();
    let pad = filter.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, probe| {
        if let Some(gst::EventView::Caps(caps)) = probe.event().map(|event| event.view()) {
            let rate = caps.caps().structure(0).unwrap().get("framerate");
            let _nobody_waits = sender.send(rate.unwrap());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let next = || rates.recv_timeout(TIMEOUT.into()).unwrap();
    assert_eq!(next(), gst::Fraction::new(60, 1));
    // The change may come while the first caps are still on their way.
    let faster = "video/x-raw,framerate=120/1".parse::<gst::Caps>().unwrap();
    filter.set_property("caps", &faster);
    while next() != gst::Fraction::new(120, 1) {}
    pipeline.set_state(gst::State::Null).unwrap();
}
