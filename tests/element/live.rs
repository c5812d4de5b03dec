//! Latency and lateness that a live pipeline is told of.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

fn latency(rig: &mut Rig) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
    let mut query = gst::query::Latency::new();
    let pad = rig.element.static_pad("src").unwrap();
    assert!(pad.query(&mut query));
    query.result()
}

/// Makes upstream live, with a latency of 5 ms.
fn live(input: &str, downstream: Option<&str>) -> Rig {
    let mut rig = Rig::bare(downstream);
    rig.make_live(5);
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
    let bus = rig.watch();
    rig.element
        .set_property("latency", gst::ClockTime::from_mseconds(80));
    assert!(
        bus.pop_filtered(&[gst::MessageType::Latency]).is_some(),
        "the pipeline asks again"
    );
}

#[test]
fn frames_of_a_varying_rate_show_what_latency_they_need() {
    let text = "GRAY8 16x16 0/1";
    let info = info(text);
    let mut rig = Rig::bare(None);
    rig.make_live(5);
    rig.element
        .set_property("latency", gst::ClockTime::from_mseconds(15));
    rig.harness.set_src_caps(caps(text));
    for k in 0..20 {
        rig.harness.push(frame_at(&info, k, 40 * k)).unwrap();
        rig.pull_until_ms(40 * k);
        if k == 0 {
            let (_, min, _) = latency(&mut rig);
            assert_eq!(min, gst::ClockTime::from_mseconds(5 + 15), "none is known");
        }
    }
    rig.settle();
    let (_, min, _) = latency(&mut rig);
    assert_eq!(
        min,
        gst::ClockTime::from_mseconds(5 + 50 + 15),
        "a quarter more than the 40 ms seen"
    );
}

#[test]
fn a_branch_that_is_not_live_promises_nothing() {
    // In a live pipeline, too: its clock runs, and a file's frames come when they like.
    let text = "GRAY8 16x16 25/1";
    let info = info(text);
    let mut rig = Rig::bare(None);
    let clock = rig.use_test_clock();
    rig.harness.set_src_caps(caps(text));
    for k in 0..10 {
        clock.set_time(gst::ClockTime::from_seconds(10 + k));
        rig.push(&info, k);
        rig.pull_until_ms(40 * k);
    }
    rig.settle();
    assert_eq!(rig.stat("synthesised"), 9);
    assert_eq!(rig.stat("late"), 0);
}

/// A pool each of whose buffers costs some time of a clock, as if it took that long to fill it.
mod slow_pool {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use gst::prelude::ClockExt;
    use gst::subclass::prelude::*;

    #[derive(Default)]
    pub(super) struct Imp {
        pub(super) clock: Mutex<Option<gst_check::TestClock>>,
        /// In milliseconds, for each buffer in turn; none after the last.
        pub(super) costs: Mutex<VecDeque<u64>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "VfiTestSlowPool";
        type Type = SlowPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for Imp {}
    impl GstObjectImpl for Imp {}

    impl BufferPoolImpl for Imp {
        fn acquire_buffer(
            &self,
            params: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            let cost = self.costs.lock().unwrap().pop_front().unwrap_or(0);
            if let Some(clock) = &*self.clock.lock().unwrap() {
                let ready = clock.time() + gst::ClockTime::from_mseconds(cost);
                // Whoever waits for an earlier time is woken then, and gives the work up.
                match clock.peek_next_pending_id() {
                    Some(id) if id.time() <= ready => {
                        clock.set_time(id.time());
                        clock.process_next_clock_id();
                    }
                    _ => clock.set_time(ready),
                }
            }
            self.parent_acquire_buffer(params)
        }
    }

    glib::wrapper! {
        pub(super) struct SlowPool(ObjectSubclass<Imp>) @extends gst::BufferPool, gst::Object;
    }
}

/// The clock's time and the frame's own, of each frame that goes out, in milliseconds.
type Sent = std::sync::Arc<std::sync::Mutex<Vec<(u64, u64)>>>;

/// A live source on time, 25 frames a second, each given to the element when it is due plus 5 ms;
/// making frames takes `costs` milliseconds of the clock.
fn run_by_the_clock(rig: &mut Rig, frames: u64, costs: &[u64]) -> Sent {
    let text = "GRAY8 16x16 25/1";
    let info = info(text);
    rig.make_live(5);
    let clock = rig.use_test_clock();
    let pool: slow_pool::SlowPool = glib::Object::new();
    {
        let imp = gst::subclass::prelude::ObjectSubclassIsExt::imp(&pool);
        *imp.clock.lock().unwrap() = Some(clock.clone());
        imp.costs.lock().unwrap().extend(costs);
    }
    rig.answer_allocation(move |query| {
        query.add_allocation_pool(Some(&pool), 256, 0, 0);
    });
    let sent = Sent::default();
    let (log, watch) = (sent.clone(), clock.clone());
    let pad = rig.element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let pts = probe.buffer().and_then(|buffer| buffer.pts()).unwrap();
        let times = (watch.time().mseconds(), pts.mseconds());
        log.lock().unwrap().push(times);
        gst::PadProbeReturn::Ok
    });
    rig.harness.set_src_caps(caps(text));
    for k in 0..frames {
        let due = gst::ClockTime::from_mseconds(40 * k + 5);
        clock.set_time(due.max(clock.time()));
        rig.push(&info, k);
        rig.pull_until_ms(40 * k);
    }
    rig.settle();
    sent
}

#[test]
fn no_frame_is_later_than_promised() {
    let mut rig = Rig::bare(None);
    rig.element.set_property_from_str("overload", "skip");
    // Some take longer than there is: 40 ms beside the 20 until the second frame of a pair is due.
    let costs = [5, 10, 70, 59, 30, 61, 1, 60, 66, 2, 75, 40, 55, 62, 3];
    let sent = run_by_the_clock(&mut rig, 20, &costs);
    let (_, promised, _) = latency(&mut rig);
    assert_eq!(promised.mseconds(), 5 + 40 + 40);
    let sent = sent.lock().unwrap();
    for (now, pts) in &*sent {
        assert!(now - pts <= promised.mseconds(), "{pts} at {now}: {sent:?}");
    }
    assert_eq!(rig.stat("originals"), 20);
    assert_eq!(rig.stat("synthesised") + rig.stat("late"), 19);
    assert!(rig.stat("late") >= 5, "{sent:?}");
    assert!(rig.stat("synthesised") >= 8, "{sent:?}");
}

#[test]
fn everything_is_made_if_so_wished() {
    let mut rig = Rig::bare(None);
    rig.element.set_property_from_str("overload", "none");
    run_by_the_clock(&mut rig, 10, &[200; 9]);
    assert_eq!(rig.stat("synthesised"), 9);
    assert_eq!(rig.stat("late"), 0);
}

#[test]
fn an_original_does_not_wait_for_a_network_that_is_too_slow() {
    // A network that would run for many seconds.
    let model = TemporaryFile::new("slow.onnx", &fixtures::slow(1000));
    let text = "GRAY8 512x512 25/1";
    let info = info(text);
    let mut rig = Rig::with_model(model);
    rig.make_live(5);
    let clock = rig.use_test_clock();
    rig.harness.set_src_caps(caps(text));
    for k in 0..2 {
        clock.set_time(gst::ClockTime::from_mseconds(40 * k + 5));
        rig.push(&info, k);
    }
    // The clock stands still until somebody waits for the deadline.
    let deadline = clock.wait_for_next_pending_id().time();
    assert_eq!(deadline.mseconds(), 20 + 5 + 40 + 40);
    clock.set_time(deadline);
    clock.process_next_clock_id();
    rig.pull_until_ms(40);
    rig.settle();
    assert_eq!(rig.stat("late"), 1);
    assert_eq!(rig.stat("estimate-time"), 0, "the run went on to its end");
}

#[test]
fn latency_grows_to_what_frames_take_and_says_so() {
    let text = "GRAY8 64x64 25/1";
    let info = info(text);
    let mut rig = Rig::bare(None);
    rig.make_live(5);
    rig.element.set_property("latency", 1000u64);
    let bus = rig.watch();
    let (notify, notified) = std::sync::mpsc::channel();
    rig.element
        .connect_notify(Some("latency"), move |_, _| notify.send(()).unwrap());
    rig.harness.set_src_caps(caps(text));
    for k in 0..130 {
        rig.push(&info, k);
        rig.pull_until_ms(40 * k);
    }
    rig.settle();
    let raised = rig.element.property::<u64>("latency");
    assert!(
        (1_000_000..=80_000_000).contains(&raised) && raised % 1_000_000 == 0,
        "{raised}"
    );
    notified.try_recv().expect("a notification");
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]);
    let warning = warning.expect("a warning");
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!()
    };
    let text = warning.error().to_string();
    assert!(text.contains("latency"), "{text}");
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some());
    let (_, min, _) = latency(&mut rig);
    assert_eq!(min.nseconds(), 45_000_000 + raised);
}

#[test]
fn latency_stays_where_nobody_waits_for_it() {
    let text = "GRAY8 64x64 25/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    rig.element.set_property("latency", 1000u64);
    for k in 0..30 {
        rig.push(&info, k);
    }
    rig.finish();
    assert_eq!(rig.element.property::<u64>("latency"), 1000);
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
