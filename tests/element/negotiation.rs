//! Caps that the pads say they accept.

use gst::prelude::*;
use test_support::rig::*;

fn accepts(pad: &str, text: &str) -> bool {
    let (element, _model) = element();
    let pad = element.static_pad(pad).unwrap();
    pad.query_accept_caps(&text.parse().unwrap())
}

const BASE: &str = "video/x-raw,format=NV12,width=640,height=360,framerate=30/1";

#[test]
fn progressive_video_is_accepted() {
    assert!(accepts(
        "sink",
        &format!("{BASE},interlace-mode=progressive")
    ));
    assert!(accepts("sink", BASE), "also where nothing is said of it");
}

#[test]
fn interlaced_video_is_refused() {
    for mode in ["interleaved", "mixed", "fields", "alternate"] {
        assert!(
            !accepts("sink", &format!("{BASE},interlace-mode={mode}")),
            "{mode}"
        );
    }
}

#[test]
fn views_that_take_turns_are_one_error_that_says_so() {
    for mode in ["frame-by-frame", "multiview-frame-by-frame", "separated"] {
        let text = "NV12 64x48 30/1";
        let mut rig = Rig::bare(None);
        let bus = rig.watch();
        let mut views = caps(text);
        views.make_mut().set("multiview-mode", mode);
        rig.harness.set_src_caps(views);
        let info = info(text);
        let refused = (0..10).find_map(|k| rig.harness.push(frame(&info, k)).err());
        assert!(refused.is_some(), "{mode}");
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let error = error.error().to_string();
        assert!(error.contains(&format!("multiview-mode={mode}")), "{error}");
    }
}

/// The first error or end of a stream of `caps` that comes by `between`.
fn first_word(caps: &str, between: &str) -> gst::Message {
    init();
    let model = blending_model();
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=src format=time {between} ! vfiinterp execution-provider=cpu model={} ! fakesink",
        model.path()
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("src").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    let caps: gst::Caps = caps.parse().unwrap();
    let size = gst_video::VideoInfo::from_caps(&caps).map_or(1, |info| info.size());
    source.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut buffer = gst::Buffer::from_slice(vec![0_u8; size]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    // Refused ones come back as errors on the bus.
    let _flow = source.push_buffer(buffer);
    let _flow = source.end_of_stream();
    let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
    let message = pipeline.bus().unwrap();
    let message = message.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    message.unwrap()
}

const RAW: &str = "video/x-raw,width=64,height=48,framerate=25/1,";

#[track_caller]
fn assert_says(caps: &str, between: &str, wanted: [&str; 2]) {
    let message = first_word(caps, between);
    let gst::MessageView::Error(error) = message.view() else {
        panic!("{caps} by {between:?}: {message:?}");
    };
    let text = error.error().to_string();
    let by = message.src().unwrap().name();
    assert!(
        by.starts_with("vfiinterp"),
        "{caps} by {between:?}: {by} says {text}"
    );
    for wanted in wanted {
        assert!(text.contains(wanted), "{caps} by {between:?}: {text}");
    }
}

#[test]
fn what_upstream_sends_is_refused_with_what_it_is_and_what_helps() {
    let interlaced = ["interleaved", "mixed", "fields"];
    for mode in interlaced {
        let caps = format!("{RAW}format=I420,interlace-mode={mode}");
        assert_says(
            &caps,
            "",
            [&format!("interlace-mode={mode}"), "Put deinterlace before"],
        );
    }
    for format in ["VYUY", "I422_10BE", "RGB16", "NV24", "GRAY16_BE"] {
        let caps = format!("{RAW}format={format}");
        assert_says(
            &caps,
            "",
            [&format!("format={format}"), "Put videoconvert before"],
        );
    }
    assert_says(
        &format!("{RAW}format=VYUY,interlace-mode=interleaved"),
        "",
        ["VYUY", "Put deinterlace ! videoconvert before"],
    );
    assert_says(
        &format!("{RAW}format=NV12,width=8").replace("width=64,", ""),
        "",
        ["8x48", "Put videoscale before"],
    );
    let memory = |kind| RAW.replacen("video/x-raw", &format!("video/x-raw({kind})"), 1);
    for (kind, cure) in [
        ("memory:DMABuf", "vapostproc"),
        ("memory:GLMemory", "gldownload"),
    ] {
        assert_says(&format!("{}format=NV12", memory(kind)), "", [kind, cure]);
    }
    assert_says(
        "video/x-h264,width=64,height=48",
        "",
        ["video/x-h264", "Put decodebin before"],
    );
}

#[test]
fn data_without_caps_is_refused_with_what_it_looks_like_and_what_helps() {
    init();
    let model = blending_model();
    let file = TemporaryFile::new(
        "clip.mp4",
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x08moov",
    );
    for between in ["", "! queue"] {
        let pipeline = gst::parse::launch(&format!(
            "filesrc location={} {between} ! vfiinterp name=v execution-provider=cpu model={} ! fakesink",
            file.path(),
            model.path()
        ));
        let pipeline = pipeline.unwrap();
        let bus = pipeline.bus().unwrap();
        // It fails while it starts, or afterwards.
        let _state = pipeline.set_state(gst::State::Playing);
        let message =
            bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
        pipeline.set_state(gst::State::Null).unwrap();
        let message = message.unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let text = error.error().to_string();
        assert_eq!(message.src().unwrap().name(), "v", "{text}");
        for wanted in ["without caps", "video/quicktime", "Put decodebin before"] {
            assert!(text.contains(wanted), "{between}: {text}");
        }
    }
}

#[test]
fn a_refusal_is_explained_through_what_leaves_caps_to_others() {
    let caps = format!("{RAW}format=I420,interlace-mode=mixed");
    for between in [
        "! queue",
        "! identity",
        "! ( queue )",
        "! videoconvert",
        "! queue ! videoconvert ! queue",
    ] {
        assert_says(&caps, between, ["interlace-mode=mixed", "deinterlace"]);
    }
}

#[test]
fn what_is_cured_upstream_is_no_error() {
    for (caps, between) in [
        ("format=VYUY", "! videoconvert"),
        ("format=I422_10BE", "! queue ! videoconvert ! queue"),
        ("format=I420,interlace-mode=interleaved", "! deinterlace"),
        (
            "format=UYVY,interlace-mode=mixed",
            "! deinterlace ! videoconvert",
        ),
    ] {
        let message = first_word(&format!("{RAW}{caps}"), between);
        assert_eq!(
            message.type_(),
            gst::MessageType::Eos,
            "{between}: {message:?}"
        );
    }
}

#[test]
fn sizes_have_limits() {
    for (size, fits) in [
        ("width=16,height=16", true),
        ("width=8192,height=8192", true),
        ("width=15,height=16", false),
        ("width=8193,height=16", false),
    ] {
        let text = format!("video/x-raw,format=NV12,{size},framerate=30/1");
        assert_eq!(accepts("sink", &text), fits, "{size}");
    }
}

#[test]
fn other_formats_are_refused() {
    assert!(!accepts("sink", &BASE.replace("NV12", "v216")));
}

#[test]
fn size_and_format_pass_through_the_element_but_not_the_rate() {
    let (element, _model) = element();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_sink_caps(caps("I420 320x240 60/1"));
    let sink = element.static_pad("sink").unwrap();
    let allowed = sink.query_caps(None);
    let with_rate = |rate: &str| caps(&format!("I420 320x240 {rate}"));
    assert!(allowed.can_intersect(&with_rate("24/1")));
    assert!(allowed.can_intersect(&with_rate("0/1")));
    assert!(!allowed.can_intersect(&caps("I420 320x242 24/1")));
    assert!(!allowed.can_intersect(&caps("NV12 320x240 24/1")));
    let first = allowed
        .structure(0)
        .unwrap()
        .get::<gst::Fraction>("framerate");
    assert_eq!(
        first,
        Ok(gst::Fraction::new(60, 1)),
        "true frames come first"
    );
}

#[test]
fn a_filter_bounds_the_answer() {
    let (element, _model) = element();
    let filter = caps("RGB 64x64 25/1");
    let answer = element.static_pad("src").unwrap().query_caps(Some(&filter));
    assert!(answer.is_subset(&filter));
    assert!(!answer.is_empty());
}

#[test]
fn no_common_rate_is_an_error_that_names_both_sides() {
    let (element, _model) = element();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_sink_caps(caps("GRAY8 16x16 60/1"));
    harness.play();
    // The harness checks no caps of its own source, so the size gets this far.
    harness.set_src_caps(caps("GRAY8 32x32 30/1"));
    let info = info("GRAY8 32x32 30/1");
    let result = (0..10).find_map(|k| harness.push(frame(&info, k)).err());
    assert_eq!(result, Some(gst::FlowError::NotNegotiated));
}

#[test]
fn buffers_that_are_held_are_asked_for() {
    let text = "GRAY8 16x16 30/1";
    let rig = Rig::new(text, None);
    rig.answer_allocation(|query| {
        query.add_allocation_pool(None::<&gst::BufferPool>, 256, 1, 6);
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
    });
    let mut query = gst::query::Allocation::new(Some(&caps(text)), true);
    assert!(rig.element.static_pad("sink").unwrap().query(&mut query));
    let held = 4; // the pair, and two in the queue
    let pools: Vec<_> = query
        .allocation_pools()
        .map(|(_, _, min, max)| (min, max))
        .collect();
    assert_eq!(pools, [(1 + held, 6 + held)]);
    assert!(
        query
            .find_allocation_meta::<gst_video::VideoMeta>()
            .is_some()
    );
    assert!(
        query
            .find_allocation_meta::<gst_video::VideoCropMeta>()
            .is_none(),
        "frames are to come as large as their caps say"
    );
}

#[test]
fn downstream_may_offer_one_pool_again_and_again() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::bare(None);
    let pool = gst_video::VideoBufferPool::new();
    rig.answer_allocation(move |query| {
        query.add_allocation_pool(Some(&pool), 256, 0, 0);
    });
    rig.harness.set_src_caps(caps(text));
    for k in 0..6 {
        rig.harness
            .push_upstream_event(gst::event::Reconfigure::new());
        rig.push(&info, k);
    }
    assert_eq!(rig.finish().len(), 12);
}

#[test]
fn a_flush_does_not_take_a_new_rate_with_it() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    rig.push(&info, 0);
    rig.harness.pull().unwrap();
    let source = rig.element.static_pad("src").unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    let probe = source.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |pad, _| {
        let _nobody_waits = sender.send(());
        while !pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
            std::thread::yield_now();
        }
        gst::PadProbeReturn::Ok
    });
    rig.element.set_property("multiplier", 4u32);
    rig.push(&info, 1);
    // The flush comes while downstream is asked what it takes.
    asked.recv().unwrap();
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    source.remove_probe(probe.unwrap());
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    for k in 0..2 {
        rig.push(&info, k);
    }
    assert_eq!(rig.finish().len(), 8);
}
