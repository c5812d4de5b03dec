//! Events keep their order, and whatever may happen in a stream may happen at any moment.

use std::sync::Arc;

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

const TEXT: &str = "GRAY8 16x16 30/1";

/// The types of all events that came out, sticky or not, without tags of GStreamer's own.
fn event_types(rig: &mut Rig) -> Vec<gst::EventType> {
    std::iter::from_fn(|| rig.harness.try_pull_event())
        .map(|e| e.type_())
        .collect()
}

#[test]
fn a_stream_begins_in_order() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    rig.finish();
    let events = [(); 4].map(|()| rig.harness.pull_event().unwrap().type_());
    assert_eq!(
        events,
        [
            gst::EventType::StreamStart,
            gst::EventType::Caps,
            gst::EventType::Segment,
            gst::EventType::Eos
        ]
    );
}

#[test]
fn gaps_come_behind_the_frames_before_them() {
    // no fixed rate, so the gap stays one
    let text = "GRAY8 16x16 0/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let timed = |k, ms| {
        let mut buffer = frame_at(&info, k, ms);
        buffer
            .make_mut()
            .set_duration(gst::ClockTime::from_mseconds(40));
        buffer
    };
    rig.harness.push(timed(0, 0)).unwrap();
    let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(40))
        .duration(gst::ClockTime::from_mseconds(40))
        .build();
    assert!(rig.harness.push_event(gap));
    rig.harness.push(timed(2, 80)).unwrap();
    let out: Vec<_> = times(&rig.finish()).iter().map(|t| t / 1_000_000).collect();
    assert_eq!(out, [0, 20, 80, 100]);
    assert_eq!(
        rig.stat("synthesised"),
        0,
        "nothing is made across a gap event"
    );
    assert!(event_types(&mut rig).contains(&gst::EventType::Gap));
}

#[test]
fn segment_done_fills_the_last_frames_time() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    for k in 0..3 {
        rig.push(&info, k);
    }
    assert!(
        rig.harness
            .push_event(gst::event::SegmentDone::new(gst::ClockTime::from_nseconds(
                SECOND / 10
            )))
    );
    let out = rig.finish();
    assert_eq!(out.len(), 6);
}

#[test]
fn a_held_frame_leaves_under_its_own_caps() {
    let (small, large) = (TEXT, "GRAY8 32x24 25/1");
    let mut rig = Rig::new(small, None);
    for k in 0..2 {
        rig.push(&info(small), k);
    }
    rig.harness.set_src_caps(caps(large));
    for k in 2..4 {
        rig.push(&info(large), k);
    }
    let out = rig.finish();
    let sizes: Vec<_> = out.iter().map(|b| b.size()).collect();
    let (a, b) = (info(small).size(), info(large).size());
    assert_eq!(sizes, [a, a, a, a, b, b, b, b]);
    let rates: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull_event())
        .filter_map(|e| match e.view() {
            gst::EventView::Caps(c) => c
                .caps()
                .structure(0)?
                .get::<gst::Fraction>("framerate")
                .ok(),
            _ => None,
        })
        .collect();
    assert_eq!(
        rates,
        [gst::Fraction::new(60, 1), gst::Fraction::new(50, 1)]
    );
}

#[test]
fn an_equal_segment_is_no_reset() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.push(&info, 1);
    rig.finish();
    assert_eq!(rig.stat("synthesised"), 1);
}

#[test]
fn another_segment_ends_the_pair() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(gst::ClockTime::from_nseconds(SECOND / 30));
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.push(&info, 0);
    let out = rig.finish();
    assert_eq!(times(&out), [0, SECOND / 60, 0, SECOND / 60]);
    assert_eq!(rig.stat("synthesised"), 0);
}

#[test]
fn the_last_frame_is_not_shown_beyond_its_segment() {
    let info = info("GRAY8 16x16 1/1");
    let mut rig = Rig::new("GRAY8 16x16 1/1", Some("video/x-raw,framerate=10/1"));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_stop(gst::ClockTime::from_mseconds(250));
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.push(&info, 0);
    assert_eq!(rig.finish().len(), 3);
}

#[test]
fn reverse_playback_passes_originals_through() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::SECOND);
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    for k in [3, 2, 1] {
        rig.push(&info, k);
    }
    let out = rig.finish();
    assert_eq!(times(&out), [SECOND / 10, SECOND / 15, SECOND / 30]);
}

#[test]
fn a_flush_forgets_the_held_frame() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    rig.harness.pull().unwrap();
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(
        rig.harness.push(frame(&info, 1)),
        Err(gst::FlowError::Flushing)
    );
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    for k in 10..12 {
        rig.push(&info, k);
    }
    let out = rig.finish();
    assert_eq!(out.len(), 4);
    assert_eq!(out[0].pts().unwrap().nseconds(), SECOND / 3);
    assert!(out[0].flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn a_flush_does_not_take_caps_with_it() {
    let (small, large) = ("GRAY8 16x16 30/1", "GRAY8 32x24 25/1");
    let mut rig = Rig::new(small, None);
    rig.push(&info(small), 0);
    rig.harness.pull().unwrap();
    let source = rig.element.static_pad("src").unwrap();
    let block = source
        .add_probe(
            gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER,
            |_, _| gst::PadProbeReturn::Ok,
        )
        .unwrap();
    // The task can't get this frame out, and doesn't come to the caps behind it.
    rig.push(&info(small), 1);
    rig.harness.set_src_caps(caps(large));
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    source.remove_probe(block);
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    for k in 0..2 {
        rig.push(&info(large), k);
    }
    let out = rig.finish();
    let sizes: Vec<_> = out.iter().map(|b| b.size()).collect();
    assert_eq!(sizes, [info(large).size(); 4]);
}

#[test]
fn a_flush_does_not_wait_for_the_network() {
    // A network that would run for many seconds.
    let model = TemporaryFile::new("slow.onnx", &fixtures::slow(1000));
    let text = "GRAY8 512x512 30/1";
    let info = info(text);
    let mut rig = Rig::with_model(model);
    rig.harness.set_src_caps(caps(text));
    // The third fits into the queue only when the second has been taken out of it.
    for k in 0..4 {
        rig.push(&info, k);
    }
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert_eq!(rig.stat("estimate-time"), 0, "the run went on to its end");
}

#[test]
fn a_stream_may_begin_anew_after_its_end() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    assert_eq!(rig.finish().len(), 2);
    assert!(
        rig.harness
            .push_event(gst::event::StreamStart::new("again"))
    );
    rig.harness.set_src_caps(caps(TEXT));
    rig.push(&info, 0);
    assert!(rig.harness.push_event(gst::event::Eos::new()));
    // The harness remembers the first end, so the frames are taken one by one.
    let again = [(); 2].map(|()| rig.harness.pull().unwrap());
    assert_eq!(times(&again), [0, SECOND / 60]);
}

#[test]
fn what_lasts_is_refused_for_the_reason_that_the_stream_has_ended() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let pad = rig.element.static_pad("src").unwrap();
    let end = pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        probe.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
    let push = |rig: &mut Rig, k| rig.harness.push(frame(&info, k));
    let told = (0..100).find_map(|k| push(&mut rig, k).err());
    assert_eq!(told, Some(gst::FlowError::Eos));
    // These are sent again with the next frame.
    rig.harness
        .push_event(gst::event::Tag::new(gst::TagList::new()));
    rig.harness
        .push_event(gst::event::Caps::new(&caps("GRAY8 32x32 30/1")));
    assert_eq!(push(&mut rig, 100), Err(gst::FlowError::Eos));
    // Another stream may follow.
    pad.remove_probe(end.unwrap());
    rig.harness
        .push_event(gst::event::StreamStart::new("again"));
    rig.harness.push_event(gst::event::Caps::new(&caps(TEXT)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    rig.harness.push_event(gst::event::Segment::new(&segment));
    for k in 0..4 {
        push(&mut rig, k).unwrap();
    }
}

#[test]
fn an_unlinked_pad_is_told_upstream() {
    let (element, _model) = element();
    let sink = element.static_pad("sink").unwrap();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), None);
    harness.play();
    harness.set_src_caps(caps(TEXT));
    let info = info(TEXT);
    let result = (0..100).find_map(|k| harness.push(frame(&info, k)).err());
    assert_eq!(result, Some(gst::FlowError::NotLinked));
    assert!(sink.is_linked());
}

#[test]
fn what_downstream_returns_reaches_upstream() {
    for flow in [gst::FlowError::Eos, gst::FlowError::Error] {
        let info = info(TEXT);
        let mut rig = Rig::new(TEXT, None);
        let pad = rig.element.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            probe.flow_res = Err(flow);
            gst::PadProbeReturn::Handled
        });
        let result = (0..100).find_map(|k| rig.harness.push(frame(&info, k)).err());
        assert_eq!(result, Some(flow));
    }
}

#[test]
fn late_news_from_downstream_skips_only_synthesised_frames() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.element.set_property_from_str("overload", "skip");
    rig.push(&info, 0);
    rig.harness.pull().unwrap();
    // Half a second late at frame 0: nothing before about a second is worth making.
    let late = gst::event::Qos::new(
        gst::QOSType::Underflow,
        2.0,
        SECOND as i64 / 2,
        gst::ClockTime::ZERO,
    );
    assert!(rig.harness.push_upstream_event(late));
    for k in 1..40 {
        rig.push(&info, k);
    }
    rig.finish();
    assert_eq!(rig.stat("originals"), 40);
    let skipped = rig.stat("late");
    assert_eq!(skipped, 15, "the slots before 0.5 s + one frame");
    assert_eq!(rig.stat("synthesised") + skipped, 39);
}

#[test]
fn an_error_after_upstreams_last_frame_is_reported() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let bus = rig.watch();
    let pad = rig.element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        probe.flow_res = Err(gst::FlowError::Error);
        gst::PadProbeReturn::Handled
    });
    rig.push(&info, 0);
    rig.harness.push_event(gst::event::Eos::new());
    let types = [gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &types);
    assert!(message.is_some(), "nobody would know");
}

/// Memory whose users can be counted.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn a_drain_lets_go_of_the_held_frame() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    let memory = Arc::new(vec![0u8; info.size()]);
    let mut buffer = gst::Buffer::from_slice(Shared(memory.clone()));
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    rig.harness.push(buffer).unwrap();
    let pad = rig.element.static_pad("sink").unwrap();
    pad.query(&mut gst::query::Drain::new());
    let out = [(); 2].map(|()| rig.harness.pull().unwrap());
    assert_eq!(times(&out), [0, SECOND / 60]);
    drop(out);
    assert_eq!(Arc::strong_count(&memory), 1, "somebody holds the frame");
}

#[test]
fn a_flush_does_not_wait_for_memory() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    // Downstream lends two buffers and gives none back: it pulls nothing.
    let pool = gst_video::VideoBufferPool::new();
    rig.answer_allocation(move |query| {
        query.add_allocation_pool(Some(&pool), 256, 0, 2);
    });
    // The third frame that is made waits for memory; these fill the queue behind it.
    for k in 0..6 {
        rig.push(&info, k);
    }
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    assert_eq!(rig.stat("synthesised"), 2);
}

#[test]
fn a_segment_that_only_begins_elsewhere_does_not_end_the_pair() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 30);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::SECOND);
    segment.set_time(gst::ClockTime::SECOND);
    assert!(rig.harness.push_event(gst::event::Segment::new(&segment)));
    rig.push(&info, 31);
    let out = rig.finish();
    assert_eq!(out.len(), 4);
    assert_eq!(rig.stat("synthesised"), 1);
    assert!(!out[2].flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn caps_that_describe_the_same_frames_do_not_end_the_pair() {
    let info = info(TEXT);
    let mut rig = Rig::new(TEXT, None);
    rig.push(&info, 0);
    let mut described = caps(TEXT);
    let light = described.make_mut().structure_mut(0).unwrap();
    light.set("content-light-level", "1000:300");
    rig.harness.push_event(gst::event::Caps::new(&described));
    rig.push(&info, 1);
    let out = rig.finish();
    let expected: Vec<_> = (0..4).map(|n| n * SECOND / 60).collect();
    assert_eq!(times(&out), expected);
    assert_eq!(rig.stat("synthesised"), 1);
    let told = std::iter::from_fn(|| rig.harness.try_pull_event());
    let told = told.filter_map(|event| match event.view() {
        gst::EventView::Caps(caps) => Some(caps.caps_owned()),
        _ => None,
    });
    let last = told.last().unwrap();
    assert!(last.structure(0).unwrap().has_field("content-light-level"));
}

#[test]
fn frames_of_another_size_go_on_where_the_rate_says() {
    // Timestamps that were rounded to milliseconds.
    let mut rig = Rig::new(TEXT, None);
    let push = |rig: &mut Rig, text, k: u64| {
        let ms = (k * 1000 + 15) / 30;
        rig.harness.push(frame_at(&info(text), k, ms)).unwrap();
    };
    push(&mut rig, TEXT, 0);
    let large = "GRAY8 32x24 30/1";
    rig.harness.set_src_caps(caps(large));
    for k in 1..3 {
        push(&mut rig, large, k);
    }
    let expected: Vec<_> = (0..6).map(|n| n * SECOND / 60).collect();
    assert_eq!(times(&rig.finish()), expected);
}
