//! Stream of a source: frames, and whatever else may come between them.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use gst::ClockTime;
use gst::prelude::*;
use gstvfiinterp::frames::FORMATS;

use super::ledger::{Alive, Ledger};
use super::lock;

/// Frame rates as sources declare them; several times none.
const RATES: [(i32, i32); 12] = [
    (0, 1),
    (0, 1),
    (0, 1),
    (5, 1),
    (15, 1),
    (24000, 1001),
    (24, 1),
    (25, 1),
    (30, 1),
    (30000, 1001),
    (60, 1),
    (120, 1),
];

/// How well timestamps keep to the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Exact,
    /// To whole milliseconds, as containers have them.
    Rounded,
    /// Off by a tenth of a frame.
    Jittery,
    /// As if no rate had been declared.
    Wild,
}

/// Content of frames.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Moving,
    Still,
    /// Something else each time.
    Flicker,
}

/// A stream that never ends.
#[derive(Debug)]
pub(super) struct Stream {
    rng: Rng,
    caps: Option<gst::Caps>,
    info: Option<gst_video::VideoInfo>,
    segment: gst::FormattedSegment<ClockTime>,
    /// The segment was asked for in pieces.
    pieces: bool,
    pace: Pace,
    scene: Scene,
    /// Where frames of this pace are counted from, and how many there were.
    base: ClockTime,
    count: u64,
    /// The latest time since the last reset.
    latest: Option<ClockTime>,
    /// No frame was sent since that.
    begins: bool,
    /// Since then, each frame has a place of its own in what comes out, where the rate there is open.
    regular: bool,
    /// Frames in all.
    number: u64,
    /// Texture that pictures are cut from, and where.
    texture: Vec<u8>,
    place: usize,
}

/// The place where a stream comes out.
pub(super) trait Outlet {
    /// Returns the pad it is pushed by.
    fn source(&self) -> &gst::Pad;
    /// Returns the account of frames whose memory is counted.
    fn alive(&self) -> &Arc<Alive>;
    /// Returns the ledger, which notes what went in.
    fn ledger(&self) -> &Mutex<Ledger>;
    /// Settles the account of all that went in, and begins it anew.
    fn settle(&self, stream: &Stream);
    /// Returns the reason why something was refused.
    fn why_refused(&self) -> gst::FlowError;
}

impl Stream {
    pub(super) fn new(mut rng: Rng) -> Self {
        let texture = std::iter::repeat_with(|| rng.u8(..))
            .take(1 << 17)
            .collect();
        Self {
            rng,
            caps: None,
            info: None,
            segment: gst::FormattedSegment::new(),
            pieces: false,
            pace: Pace::Exact,
            scene: Scene::Moving,
            base: ClockTime::ZERO,
            count: 0,
            latest: None,
            begins: true,
            regular: true,
            number: 0,
            texture,
            place: 0,
        }
    }

    /// Returns whether each frame has a place of its own in what comes out, where the rate there is
    /// open. One that has none makes others lose theirs until time begins anew.
    pub(super) fn is_regular(&self) -> bool {
        self.regular
    }

    /// Returns whether frames keep to the rate, if they declare one.
    fn keeps_rate(&self) -> bool {
        self.pace != Pace::Wild || !self.is_declared()
    }

    fn is_declared(&self) -> bool {
        self.info
            .as_ref()
            .is_some_and(|info| info.fps().numer() > 0)
    }

    /// Sends something; gives how many frames that was.
    pub(super) fn next(&mut self, outlet: &impl Outlet) -> Result<u64, gst::FlowError> {
        match self.rng.u32(..400) {
            0..6 => self.change_caps(outlet)?,
            6..12 => self.gap(outlet)?,
            12..16 => {
                let mut tags = gst::TagList::new();
                if let Some(tags) = tags.get_mut() {
                    tags.add::<gst::tags::Bitrate>(&self.rng.u32(..), gst::TagMergeMode::Replace);
                }
                send(outlet, gst::event::Tag::new(tags))?;
            }
            16..18 => {
                let structure = gst::Structure::new_empty("vfi-lab");
                send(outlet, gst::event::CustomDownstream::new(structure))?;
            }
            18..20 => self.begin_anew(outlet)?,
            20..22 => send(outlet, gst::event::Segment::new(&self.segment))?,
            22..25 => {
                // Later, as else it is the same segment; and it begins where the next frame does.
                let step = ClockTime::from_mseconds(self.rng.u64(1..200));
                self.segment
                    .set_base(self.segment.base().unwrap_or_default() + step);
                let now = self.time(0);
                let is_within = self.segment.stop().is_none_or(|stop| now < stop);
                if self.segment.rate() > 0.0 && is_within {
                    self.segment.set_start(now);
                    self.segment.set_time(now);
                }
                self.start_stretch(now);
                self.send_segment(outlet);
            }
            25..26 => self.end(outlet)?,
            26..36 => {
                // Whether or not it is dealt with, all that came before was, if it says so.
                if outlet.source().peer_query(&mut gst::query::Drain::new()) {
                    outlet.settle(self);
                }
            }
            36..39 => {
                let mut query = gst::query::Allocation::new(self.caps.as_ref(), true);
                outlet.source().peer_query(&mut query);
            }
            _ => return self.frame(outlet),
        }
        Ok(0)
    }

    /// Sends the stream's beginning, with a time of its own.
    pub(super) fn begin_anew(&mut self, outlet: &impl Outlet) -> Result<(), gst::FlowError> {
        let id = format!("stream {}", self.rng.u32(..));
        send(outlet, gst::event::StreamStart::new(&id))?;
        self.change_caps(outlet)?;
        self.segment = gst::FormattedSegment::new();
        self.pieces = false;
        // A day, and half of what a clock can tell, among others.
        let starts = [0, 0, 1_000_000_007, 86_400_000_000_000, 1 << 62];
        let start = ClockTime::from_nseconds(self.rng.choice(starts).unwrap_or(0));
        self.segment.set_start(start);
        self.segment.set_time(start);
        self.start_stretch(start);
        self.send_segment(outlet);
        Ok(())
    }

    /// Goes on as a seek demands; what can't be done is not done.
    pub(super) fn seek(
        &mut self,
        rate: f64,
        flags: gst::SeekFlags,
        start: (gst::SeekType, Option<ClockTime>),
        stop: (gst::SeekType, Option<ClockTime>),
    ) {
        let mut segment = self.segment.clone();
        segment.set_position(self.time(0));
        let sought = segment.do_seek(rate, flags, start.0, start.1, stop.0, stop.1);
        if sought.is_none() {
            return;
        }
        let place = segment.position().unwrap_or_default();
        self.segment = segment;
        self.pieces = flags.contains(gst::SeekFlags::SEGMENT);
        self.start_stretch(place);
    }

    /// Tells downstream of the segment.
    pub(super) fn send_segment(&mut self, outlet: &impl Outlet) -> bool {
        outlet
            .source()
            .push_event(gst::event::Segment::new(&self.segment))
    }

    fn start_stretch(&mut self, at: ClockTime) {
        (self.base, self.count, self.latest) = (at, 0, None);
        (self.begins, self.regular) = (true, self.keeps_rate());
    }

    /// Notes that frames may have no place of their own from here on.
    fn loosen(&mut self, outlet: &impl Outlet) {
        self.regular = false;
        lock(outlet.ledger()).loosen();
    }

    /// Sends a format, size and rate other than before.
    fn change_caps(&mut self, outlet: &impl Outlet) -> Result<(), gst::FlowError> {
        let rng = &mut self.rng;
        let (num, den) = rng.choice(RATES).unwrap_or((30, 1));
        let format = rng.choice(FORMATS).unwrap_or(FORMATS[0]);
        // Often the same size again: memory may be used again, too.
        let (width, height) = match rng.bool() {
            true => (64, 48),
            false => (rng.u32(16..160), rng.u32(16..120)),
        };
        let info = gst_video::VideoInfo::builder(format, width, height)
            .fps(gst::Fraction::new(num, den))
            .build();
        let caps = info.as_ref().ok().and_then(|info| info.to_caps().ok());
        let (Ok(info), Some(caps)) = (info, caps) else {
            return Err(gst::FlowError::NotSupported);
        };
        if self.caps.as_ref() == Some(&caps) {
            return send(outlet, gst::event::Caps::new(&caps));
        }
        self.base = self.time(0);
        self.count = 0;
        self.pace = match self.rng.u8(..8) {
            0 => Pace::Wild,
            1 | 2 => Pace::Jittery,
            3 | 4 => Pace::Rounded,
            _ => Pace::Exact,
        };
        (self.info, self.caps) = (Some(info), Some(caps.clone()));
        if !self.keeps_rate() {
            self.loosen(outlet);
        }
        send(outlet, gst::event::Caps::new(&caps))
    }

    fn gap(&mut self, outlet: &impl Outlet) -> Result<(), gst::FlowError> {
        let from = self.time(0);
        self.count += self.rng.u64(1..4);
        let until = self.time(0);
        let (start, end) = (from.min(until), from.max(until));
        let gap = gst::event::Gap::builder(start).duration(end - start);
        send(outlet, gap.build())
    }

    /// Sends the end of the stream, and another stream behind it.
    fn end(&mut self, outlet: &impl Outlet) -> Result<(), gst::FlowError> {
        send(outlet, gst::event::Eos::new())?;
        self.begin_anew(outlet)
    }

    /// Returns the time of a frame that comes so many frames from now.
    fn time(&self, ahead: u64) -> ClockTime {
        let rate = self.info.as_ref().map(gst_video::VideoInfo::fps);
        let rate = rate.filter(|rate| rate.numer() > 0);
        let (num, den) = rate.map_or((25, 1), |rate| (rate.numer(), rate.denom()));
        let (num, den) = (u64::from(num.unsigned_abs()), u64::from(den.unsigned_abs()));
        let after = ClockTime::SECOND.mul_div_floor((self.count + ahead) * den, num);
        let after = after.unwrap_or(ClockTime::ZERO);
        match self.segment.rate() < 0.0 {
            true => self.base.saturating_sub(after),
            false => self.base.saturating_add(after),
        }
    }

    /// Sends the next frame, or the end of the segment in its place.
    fn frame(&mut self, outlet: &impl Outlet) -> Result<u64, gst::FlowError> {
        let (now, next) = (self.time(0), self.time(1));
        let over = match self.segment.rate() < 0.0 {
            true => now <= self.segment.start().unwrap_or_default(),
            false => self.segment.stop().is_some_and(|stop| now >= stop),
        };
        if over {
            if !self.pieces {
                self.end(outlet)?;
            } else {
                send(outlet, gst::event::SegmentDone::new(now))?;
                self.begin_anew(outlet)?;
            }
            return Ok(0);
        }
        let length = now.max(next) - now.min(next);
        let (pts, odd) = self.timestamp(now, length);
        let begins = std::mem::take(&mut self.begins);
        if pts.is_none() && (begins || !self.is_declared()) {
            // It is taken to be where time begins, or as long after the one before as that was after its own,
            // and that may have been long: what comes sooner is refused, and may be off the rate.
            self.loosen(outlet);
        }
        // Some frames are missing, and sometimes many.
        self.count += match self.rng.u8(..100) {
            0 => self.rng.u64(2..12),
            1..4 => 2,
            _ => 1,
        };
        let duration = match self.rng.u8(..12) {
            0 => Some(ClockTime::ZERO),
            1..4 => None,
            4 if self.rng.u8(..8) == 0 => {
                // It is shown for so long where nothing follows at once; the next ones may be too late then.
                self.loosen(outlet);
                Some(ClockTime::from_mseconds(self.rng.u64(..400)))
            }
            _ => Some(length),
        };
        self.number += 1;
        let mut buffer = outlet.alive().frame(self.number, self.picture());
        let discont = self.rng.u8(..50) == 0;
        if let Some(frame) = buffer.get_mut() {
            frame.set_pts(pts);
            frame.set_duration(duration);
            if discont {
                frame.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        if odd && discont {
            // Time may begin anew with it, beside the rate of those that follow.
            self.loosen(outlet);
        }
        lock(outlet.ledger()).send(self.number, pts, odd, discont);
        outlet.source().push(buffer)?;
        Ok(1)
    }

    /// Returns the time a frame says that it is at, and whether that is odd, so that it may be
    /// refused.
    fn timestamp(&mut self, now: ClockTime, length: ClockTime) -> (Option<ClockTime>, bool) {
        match self.rng.u8(..200) {
            0 => return (None, true),
            1 => return (self.latest, true),
            2 => {
                return (
                    self.latest.map(|latest| latest.saturating_sub(length)),
                    true,
                );
            }
            _ => {}
        }
        let length = length.nseconds();
        let late = |part: u64| ClockTime::from_nseconds(length * part / 100);
        let pts = match self.pace {
            Pace::Exact => now,
            Pace::Rounded => ClockTime::from_mseconds(now.mseconds()),
            Pace::Jittery => now + late(self.rng.u64(..10)),
            Pace::Wild => now + late(self.rng.u64(..90)),
        };
        let odd = self.latest.is_some_and(|latest| pts <= latest);
        self.latest = Some(self.latest.unwrap_or_default().max(pts));
        (Some(pts), odd)
    }

    fn picture(&mut self) -> Vec<u8> {
        if self.rng.u8(..60) == 0 {
            let scenes = [Scene::Moving, Scene::Moving, Scene::Still, Scene::Flicker];
            self.scene = self.rng.choice(scenes).unwrap_or(Scene::Moving);
        }
        match self.scene {
            Scene::Moving => self.place += 1,
            // Of some sources every other frame is the same.
            Scene::Still => {}
            Scene::Flicker => self.place = self.rng.usize(..),
        }
        let size = self.info.as_ref().map_or(0, gst_video::VideoInfo::size);
        let length = size.min(self.texture.len());
        let start = self.place % (self.texture.len() - length).max(1);
        let mut bytes = self.texture[start..start + length].to_vec();
        bytes.resize(size, 0);
        bytes
    }
}

/// Sends an event; says why, if it is refused.
fn send(outlet: &impl Outlet, event: gst::Event) -> Result<(), gst::FlowError> {
    if outlet.source().push_event(event) {
        return Ok(());
    }
    Err(outlet.why_refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything, and keeps no account.
    struct Nowhere {
        source: gst::Pad,
        alive: Arc<Alive>,
        ledger: Mutex<Ledger>,
    }

    impl Outlet for Nowhere {
        fn source(&self) -> &gst::Pad {
            &self.source
        }
        fn alive(&self) -> &Arc<Alive> {
            &self.alive
        }
        fn ledger(&self) -> &Mutex<Ledger> {
            &self.ledger
        }
        fn settle(&self, _: &Stream) {}
        fn why_refused(&self) -> gst::FlowError {
            gst::FlowError::Error
        }
    }

    #[test]
    fn frames_off_the_rate_count_until_time_begins_anew() {
        gst::init().unwrap();
        let outlet = Nowhere {
            source: gst::Pad::builder(gst::PadDirection::Src).build(),
            alive: Arc::default(),
            ledger: Mutex::default(),
        };
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
            .event_function(|_, _, _| true)
            .build();
        outlet.source.link(&sink).unwrap();
        for pad in [&outlet.source, &sink] {
            pad.set_active(true).unwrap();
        }
        let mut stream = Stream::new(Rng::with_seed(1));
        stream.begin_anew(&outlet).unwrap();
        let is_off = |stream: &Stream| stream.pace == Pace::Wild && stream.is_declared();
        while !is_off(&stream) {
            stream.change_caps(&outlet).unwrap();
        }
        while is_off(&stream) {
            assert!(!stream.is_regular());
            stream.change_caps(&outlet).unwrap();
        }
        assert!(!stream.is_regular(), "the element has seen the others");
        stream.start_stretch(ClockTime::ZERO);
        assert!(stream.is_regular());
    }
}
