//! What a live pipeline is told.

use gst::prelude::*;

use crate::common::*;

fn latency(rig: &mut Rig) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
    let mut query = gst::query::Latency::new();
    let pad = rig.element.static_pad("src").unwrap();
    assert!(pad.query(&mut query));
    query.result()
}

fn live(input: &str, downstream: Option<&str>) -> Rig {
    let mut rig = Rig::bare(downstream);
    rig.harness.set_live(true);
    rig.harness
        .set_upstream_latency(gst::ClockTime::from_mseconds(5));
    rig.harness.set_src_caps(caps(input));
    let info = info(input);
    rig.push(&info, 0);
    rig.harness.pull().unwrap();
    rig
}

#[test]
fn one_frame_and_the_budget_are_reported() {
    let mut rig = live("GRAY8 16x16 25/1", None);
    rig.element
        .set_property("latency", gst::ClockTime::from_mseconds(15));
    let (is_live, min, _) = latency(&mut rig);
    assert!(is_live);
    assert_eq!(min, gst::ClockTime::from_mseconds(5 + 40 + 15));
}

#[test]
fn a_source_need_not_wait_while_a_frame_waits_for_its_time() {
    for rate in ["30/1", "60/1", "120/1", "240/1"] {
        let mut rig = live(&format!("GRAY8 16x16 {rate}"), None);
        let pad = rig.harness.srcpad().unwrap();
        let least = gst::ClockTime::from_mseconds(5);
        pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, move |_, probe| {
            let Some(gst::QueryViewMut::Latency(query)) =
                probe.query_mut().map(|query| query.view_mut())
            else {
                return gst::PadProbeReturn::Ok;
            };
            query.set(true, least, least);
            gst::PadProbeReturn::Handled
        });
        let (_, min, max) = latency(&mut rig);
        assert!(max.unwrap() >= min, "{rate}: {max:?} is less than {min}");
    }
}

#[test]
fn nothing_is_added_where_nothing_is_made() {
    let mut rig = live("GRAY8 16x16 25/1", Some("video/x-raw,framerate=25/1"));
    let (_, min, _) = latency(&mut rig);
    assert_eq!(min, gst::ClockTime::from_mseconds(5));
}

#[test]
fn what_is_not_live_has_no_latency() {
    let mut rig = Rig::new("GRAY8 16x16 25/1", None);
    rig.harness.set_live(false);
    let (is_live, min, _) = latency(&mut rig);
    assert!(!is_live);
    assert_eq!(min, gst::ClockTime::ZERO);
}

#[test]
fn a_new_latency_is_announced() {
    let rig = live("GRAY8 16x16 25/1", None);
    let bus = gst::Bus::new();
    rig.element.set_bus(Some(&bus));
    rig.element
        .set_property("latency", gst::ClockTime::from_mseconds(80));
    assert!(
        bus.pop_filtered(&[gst::MessageType::Latency]).is_some(),
        "the pipeline asks again"
    );
}

#[test]
fn an_original_leaves_before_the_next_one_comes() {
    let info = info("GRAY8 16x16 25/1");
    let mut rig = Rig::new("GRAY8 16x16 25/1", None);
    for k in 0..3 {
        rig.push(&info, k);
        let outputs = if k == 0 { 1 } else { 2 };
        for _ in 0..outputs {
            rig.harness.pull().unwrap();
        }
    }
}
