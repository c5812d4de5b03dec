//! Seeks of every kind, from the application's thread and from the one that pushes: the originals are those
//! that leave a `queue` in the element's place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gst::prelude::*;
use test_support::rig::*;

const TIMEOUT: Duration = Duration::from_secs(60);
const RATE: u64 = 30;

/// One seek, and how far is played after it.
#[derive(Clone, Copy, Debug)]
struct Leg {
    rate: f64,
    flags: gst::SeekFlags,
    /// In milliseconds.
    start: u64,
    stop: Option<u64>,
    /// So many originals, or to the end of the segment.
    plays: Option<u64>,
    /// The next seek comes from the thread that pushes.
    next_from_within: bool,
}

/// The numbers of a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

fn legs(seed: u64, count: usize) -> Vec<Leg> {
    let mut random = Random(seed);
    let mut after_a_segment = false;
    let legs = (0..count).map(|_| {
        let start = random.below(9000);
        let rate = [1.0, 1.0, 0.5, 2.0, -1.0][random.below(5) as usize];
        let stop = (rate < 0.0 || random.below(2) == 0).then(|| start + 20 + random.below(400));
        let aim = [
            gst::SeekFlags::ACCURATE,
            gst::SeekFlags::KEY_UNIT,
            gst::SeekFlags::empty(),
        ];
        let mut flags = aim[random.below(3) as usize];
        let to_the_end = stop.is_some() && random.below(2) == 0;
        if to_the_end && random.below(2) == 0 {
            flags |= gst::SeekFlags::SEGMENT;
        }
        // Elsewhere it is a matter of chance how much has left before it.
        if !(after_a_segment && random.below(2) == 0) {
            flags |= gst::SeekFlags::FLUSH;
        }
        after_a_segment = flags.contains(gst::SeekFlags::SEGMENT);
        let shortest = stop.map_or(13, |stop| (stop - start) * RATE / 1000);
        let plays = (!to_the_end).then(|| 1 + random.below(shortest.clamp(1, 12)));
        let plays = plays.filter(|plays| *plays < shortest);
        Leg {
            rate,
            flags,
            start,
            stop,
            plays,
            // GStreamer itself doesn't stand a flush while it sends the end of a stream.
            next_from_within: (plays.is_some() || after_a_segment) && random.below(3) > 0,
        }
    });
    legs.collect()
}

fn seek(pipeline: &gst::Element, leg: &Leg) {
    let stop = leg.stop.map(gst::ClockTime::from_mseconds);
    let set = gst::SeekType::Set;
    let start = gst::ClockTime::from_mseconds(leg.start);
    let sought = pipeline.seek(leg.rate, leg.flags, set, start, set, stop);
    sought.unwrap_or_else(|error| panic!("{leg:?}: {error}"));
}

/// An original, by its number and content, or an event.
type Tracked = Result<(u64, Vec<u8>), gst::EventType>;

/// Returns the number of the original nearest to a frame, and whether it lies there.
fn place(buffer: &gst::Buffer) -> (u64, bool) {
    let pts = buffer.pts().unwrap().nseconds();
    let place = (pts * RATE + SECOND / 2) / SECOND;
    (place, pts.abs_diff(place * SECOND / RATE) <= 1)
}

struct Player {
    pipeline: glib::WeakRef<gst::Element>,
    legs: Vec<Leg>,
    /// Which leg it is, and how many originals have come of it.
    at: Mutex<(usize, u64)>,
    came: Mutex<Vec<Tracked>>,
    seen: Mutex<Vec<Tracked>>,
    /// A flush has begun since the application was asked to seek.
    flushed: Mutex<bool>,
    changed: Condvar,
    /// The legs that the application is to begin; `None` at the end.
    application: Mutex<Sender<Option<usize>>>,
    over: AtomicBool,
}

impl Player {
    /// Takes note of what leaves; whether it is to go on its way, as what a flush has overtaken may not.
    fn see(&self, seen: Tracked) -> bool {
        if self.over.load(Ordering::SeqCst) {
            return true;
        }
        let ends = seen.is_err();
        self.seen.lock().unwrap().push(seen);
        let next = {
            let mut at = self.at.lock().unwrap();
            at.1 += u64::from(!ends);
            let played = at.1;
            if !ends && self.legs[at.0].plays.is_none_or(|plays| played < plays) {
                return true;
            }
            *at = (at.0 + 1, 0);
            at.0
        };
        let Some(leg) = self.legs.get(next) else {
            self.over.store(true, Ordering::SeqCst);
            self.application.lock().unwrap().send(None).unwrap();
            return true;
        };
        if self.legs[next - 1].next_from_within {
            seek(&self.pipeline.upgrade().unwrap(), leg);
            return !leg.flags.contains(gst::SeekFlags::FLUSH);
        }
        *self.flushed.lock().unwrap() = false;
        self.application.lock().unwrap().send(Some(next)).unwrap();
        if leg.flags.contains(gst::SeekFlags::FLUSH) {
            let flushed = self.flushed.lock().unwrap();
            let waited = self
                .changed
                .wait_timeout_while(flushed, TIMEOUT, |flushed| !*flushed);
            assert!(!waited.unwrap().1.timed_out(), "no flush came");
        }
        true
    }

    fn probe(&self, probe: &gst::PadProbeInfo) -> gst::PadProbeReturn {
        let goes_on = match &probe.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let (place, is_original) = place(buffer);
                !is_original || self.see(Ok((place, bytes(buffer))))
            }
            Some(gst::PadProbeData::Event(event)) => match event.type_() {
                gst::EventType::FlushStart => {
                    *self.flushed.lock().unwrap() = true;
                    self.changed.notify_all();
                    true
                }
                end @ (gst::EventType::Eos | gst::EventType::SegmentDone) => {
                    self.see(Err(end));
                    true
                }
                _ => true,
            },
            _ => true,
        };
        match goes_on {
            true => gst::PadProbeReturn::Ok,
            false => gst::PadProbeReturn::Drop,
        }
    }
}

fn start(text: &str, legs: &[Leg]) -> (gst::Element, Arc<Player>, Receiver<Option<usize>>) {
    let caps = format!("video/x-raw,format=GRAY8,width=32,height=32,framerate={RATE}/1");
    let text =
        format!("videotestsrc pattern=ball ! {caps} ! {text} name=tried ! fakesink sync=false");
    let pipeline = gst::parse::launch(&text).unwrap();
    let (sender, receiver) = channel();
    let player = Arc::new(Player {
        pipeline: pipeline.downgrade(),
        legs: legs.to_vec(),
        at: Mutex::default(),
        came: Mutex::default(),
        seen: Mutex::default(),
        flushed: Mutex::default(),
        changed: Condvar::new(),
        application: Mutex::new(sender),
        over: AtomicBool::new(false),
    });
    let element = pipeline
        .downcast_ref::<gst::Bin>()
        .unwrap()
        .by_name("tried")
        .unwrap();
    let kinds = gst::PadProbeType::BUFFER
        | gst::PadProbeType::EVENT_DOWNSTREAM
        | gst::PadProbeType::EVENT_FLUSH;
    let watcher = Arc::clone(&player);
    element
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            let buffer = probe.buffer().unwrap();
            let came = Ok((place(buffer).0, bytes(buffer)));
            watcher.came.lock().unwrap().push(came);
            gst::PadProbeReturn::Ok
        });
    let watcher = Arc::clone(&player);
    element
        .static_pad("src")
        .unwrap()
        .add_probe(kinds, move |_, probe| watcher.probe(probe));
    (pipeline, player, receiver)
}

/// Returns the frames that go into an element while all these seeks are made, and everything that leaves.
fn play(text: &str, legs: &[Leg]) -> (Vec<Tracked>, Vec<Tracked>) {
    let (pipeline, player, wanted) = start(text, legs);
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let next = || {
        let hangs = |_| panic!("{text} hangs in leg {:?}", player.at.lock().unwrap());
        wanted.recv_timeout(TIMEOUT).unwrap_or_else(hangs)
    };
    while let Some(next) = next() {
        seek(&pipeline, &legs[next]);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let (came, seen) = (player.came.lock().unwrap(), player.seen.lock().unwrap());
    (came.clone(), seen.clone())
}

#[test]
fn sixty_seeks_of_every_kind_lose_no_original() {
    init();
    let model = blending_model();
    let element = format!("vfiinterp execution-provider=cpu model={}", model.path());
    let begin = Leg {
        rate: 1.0,
        flags: gst::SeekFlags::FLUSH,
        start: 0,
        stop: None,
        plays: Some(3),
        next_from_within: true,
    };
    let legs: Vec<_> = [begin].into_iter().chain(legs(7, 60)).collect();
    let from_within = legs.iter().filter(|leg| leg.next_from_within).count();
    assert!((20..=40).contains(&from_within), "both threads seek");
    let (_, expected) = play("queue", &legs);
    let (_, found) = play(&element, &legs);
    let number = |seen: &Tracked| seen.as_ref().map(|(number, _)| *number).ok();
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let numbers = (number(found), number(expected));
        assert!(found == expected, "{at}: {numbers:?}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Seeks sixty times without a flush. How far is played when such a seek takes effect is a matter of chance;
/// that what went in leaves is not.
fn what_went_in_leaves(from_within: bool) {
    init();
    let model = blending_model();
    let element = format!("vfiinterp execution-provider=cpu model={}", model.path());
    let mut random = Random(11);
    let mut legs: Vec<_> = std::iter::repeat_with(|| {
        let start = random.below(9000);
        let rate = [1.0, 1.0, 0.5, 2.0, -1.0][random.below(5) as usize];
        Leg {
            rate,
            flags: gst::SeekFlags::empty(),
            start,
            // An hour, so that no end is reached before the next seek.
            stop: (rate < 0.0).then_some(start + 3_600_000),
            plays: Some(1 + random.below(12)),
            next_from_within: from_within,
        }
    })
    .take(60)
    .collect();
    legs.push(Leg {
        rate: 1.0,
        flags: gst::SeekFlags::empty(),
        start: 500,
        stop: Some(900),
        plays: None,
        next_from_within: false,
    });
    let (came, left) = play(&element, &legs);
    assert_eq!(left.last(), Some(&Err(gst::EventType::Eos)));
    let number = |tracked: &Tracked| tracked.as_ref().map(|(number, _)| *number).ok();
    let left = &left[..left.len() - 1];
    for (at, (came, left)) in came.iter().zip(left).enumerate() {
        let numbers = (number(came), number(left));
        assert!(came == left, "{at}: {numbers:?}");
    }
    assert_eq!(came.len(), left.len());
}

#[test]
fn the_application_s_seeks_that_flush_nothing_lose_no_original() {
    what_went_in_leaves(false);
}

#[test]
fn seeks_from_within_that_flush_nothing_lose_no_original() {
    what_went_in_leaves(true);
}

#[test]
fn a_flush_from_a_probe_lets_nothing_old_out_and_goes_on() {
    let text = "GRAY8 16x16 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let sink = rig.element.static_pad("sink").unwrap();
    let (sender, flushes) = channel();
    let flushed = AtomicBool::new(false);
    rig.element
        .static_pad("src")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
            let pts = probe.buffer().and_then(|buffer| buffer.pts());
            // A frame that was made, with an original behind it.
            if pts > Some(gst::ClockTime::from_mseconds(80))
                && !flushed.swap(true, Ordering::SeqCst)
            {
                assert!(sink.send_event(gst::event::FlushStart::new()));
                assert!(sink.send_event(gst::event::FlushStop::new(true)));
                sender.send(()).unwrap();
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
    for k in 0..4 {
        rig.harness.push(frame(&info, k)).unwrap();
    }
    flushes.recv_timeout(TIMEOUT).unwrap();
    let before: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull()).collect();
    assert_eq!(times(&before).last(), Some(&(SECOND / 15)));
    rig.harness
        .push_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()));
    for k in 0..2 {
        rig.push(&info, k);
    }
    let out = rig.finish();
    assert_eq!(times(&out), [0, SECOND / 60, SECOND / 30, SECOND / 20]);
}
