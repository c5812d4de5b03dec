//! Ledger of what went into the element and what came out, and whether that is as it should be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::lock;

/// A frame's memory, which is counted as long as anybody holds it.
#[derive(Debug)]
struct Tracked {
    bytes: Vec<u8>,
    alive: Arc<Alive>,
}

/// The numbers of the frames whose memory is there, by its address.
#[derive(Debug, Default)]
pub(super) struct Alive(Mutex<HashMap<usize, u64>>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        lock(&self.alive.0).remove(&(self.bytes.as_ptr() as usize));
    }
}

impl Alive {
    /// Returns a frame of these bytes.
    pub(super) fn frame(self: &Arc<Self>, number: u64, bytes: Vec<u8>) -> gst::Buffer {
        lock(&self.0).insert(bytes.as_ptr() as usize, number);
        let mut buffer = gst::Buffer::from_slice(Tracked {
            bytes,
            alive: self.clone(),
        });
        // What is shown once more has the memory without this.
        let caps = gst::Caps::new_empty_simple(TAG);
        let time = gst::ClockTime::from_nseconds(number);
        if let Some(frame) = buffer.get_mut() {
            gst::ReferenceTimestampMeta::add(frame, &caps, time, None);
        }
        buffer
    }

    /// Returns how many frames somebody holds.
    pub(super) fn count(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns the number of an original: the memory that went in, and what was said of it.
    fn number(&self, buffer: &gst::BufferRef) -> Option<u64> {
        let said = buffer.meta::<gst::ReferenceTimestampMeta>()?.timestamp();
        let memory = buffer.peek_memory(0).map_readable().ok()?;
        let address = memory.as_slice().as_ptr() as usize;
        let number = lock(&self.0).get(&address).copied();
        number.filter(|number| *number == said.nseconds())
    }
}

const TAG: &str = "timestamp/x-vfi-lab";

/// Frames that came out, since that was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Out {
    pub originals: u64,
    pub others: u64,
}

/// Keeps account of the stretch since the last time that everything was accounted for.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Originals that went in, after the latest that came out.
    waiting: VecDeque<u64>,
    /// Originals that later ones came out before.
    passed: Vec<u64>,
    /// Frames that may be refused, as their time is none or not later than the one before.
    odd: u64,
    /// Whether every other frame has to come out.
    strict: bool,
    /// Duplicates that were replaced before.
    replaced: u64,
    info: Option<gst_video::VideoInfo>,
    segment: Option<gst::Segment>,
    /// The time of the latest frame in this segment.
    latest: Option<gst::ClockTime>,
    /// Frames with which time may go back.
    jumps: HashSet<u64>,
    /// Set where the latest frame that went in said no time.
    untimed: bool,
    ended: bool,
    pub(super) out: Out,
    /// The latest that went in and came out, in words.
    latest_moves: VecDeque<String>,
}

/// Moves that are told of where an original is lost.
const MOVES: usize = 60;

impl Ledger {
    /// Begins a stretch; `replaced` counts duplicates that the element has replaced so far.
    pub(super) fn begin(&mut self, strict: bool, replaced: u64) {
        self.waiting.clear();
        self.passed.clear();
        self.odd = 0;
        self.strict = strict;
        self.replaced = replaced;
    }

    /// Frames may have no slot of their own in this stretch.
    pub(super) fn loosen(&mut self) {
        self.strict = false;
    }

    /// Notes a frame that goes in, perhaps at an odd time and marked as one that continues nothing:
    /// then time may go back with it.
    pub(super) fn send(
        &mut self,
        number: u64,
        pts: Option<gst::ClockTime>,
        odd: bool,
        discont: bool,
    ) {
        self.note(format!("in {number} at {pts:?}, {odd} {discont}"));
        self.waiting.push_back(number);
        self.odd += u64::from(odd);
        // a frame without a time may have been taken to be later than it was
        let untimed = std::mem::replace(&mut self.untimed, pts.is_none());
        if discont && (odd || untimed) {
            self.jumps.insert(number);
        }
    }

    fn note(&mut self, what: String) {
        if self.latest_moves.len() == MOVES {
            self.latest_moves.pop_front();
        }
        self.latest_moves.push_back(what);
    }

    /// Closes the account: everything that went in has been dealt with.
    ///
    /// # Errors
    /// Returns what is missing, in words.
    pub(super) fn settle(&mut self, replaced: u64) -> Result<(), String> {
        self.passed.extend(self.waiting.drain(..));
        let missing = self.passed.len() as u64;
        let allowed = self.odd + replaced.saturating_sub(self.replaced);
        if self.strict && missing > allowed {
            return Err(format!(
                "lost {missing} originals, among them {:?}, where {} came at odd times and {} were replaced; at last {:#?}",
                self.passed.iter().take(5).collect::<Vec<_>>(),
                self.odd,
                replaced - self.replaced,
                self.latest_moves
            ));
        }
        Ok(())
    }

    /// Checks a serialized event that came out.
    pub(super) fn event(&mut self, event: &gst::EventRef) -> Result<(), String> {
        self.note(format!("out {:?}", event.structure()));
        self.note(match event.view() {
            gst::EventView::Caps(caps) => format!("out {}", caps.caps()),
            gst::EventView::Segment(segment) => format!("out {:?}", segment.segment()),
            _ => format!("out {:?}", event.type_()),
        });
        match event.view() {
            gst::EventView::Caps(caps) => {
                let info = gst_video::VideoInfo::from_caps(caps.caps());
                self.info = Some(info.map_err(|error| error.to_string())?);
            }
            gst::EventView::Segment(segment) => {
                if self.segment.as_ref() != Some(segment.segment()) {
                    self.latest = None;
                }
                self.segment = Some(segment.segment().clone());
            }
            gst::EventView::StreamStart(_) => {
                self.latest = None;
                self.ended = false;
            }
            gst::EventView::Eos(_) => self.ended = true,
            gst::EventView::FlushStop(_) => {
                self.segment = None;
                self.latest = None;
                self.ended = false;
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks a frame that came out.
    ///
    /// # Errors
    /// Returns what is wrong with it, in words.
    pub(super) fn frame(&mut self, alive: &Alive, buffer: &gst::BufferRef) -> Result<(), String> {
        let info = self.info.as_ref().ok_or("a frame before caps")?;
        let segment = self.segment.as_ref().ok_or("a frame before a segment")?;
        if self.ended {
            return Err("a frame after the end of the stream".into());
        }
        if gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).is_err() {
            return Err(format!("{buffer:?} is no frame of {info:?}"));
        }
        let number = alive.number(buffer);
        let rate = segment.rate();
        self.note(format!("out {number:?} at {:?}", buffer.pts()));
        if rate > 0.0 {
            let pts = buffer.pts().ok_or("a frame without a time")?;
            let jumps = number.is_some_and(|number| self.jumps.remove(&number));
            if !jumps && self.latest.is_some_and(|latest| pts <= latest) {
                let what = number.map_or("another frame".into(), |n| format!("original {n}"));
                let latest = self.latest.unwrap_or_default();
                let moves = &self.latest_moves;
                return Err(format!(
                    "{what} at {pts} comes after {latest}; at last {moves:#?}"
                ));
            }
            self.latest = Some(pts);
        }
        let Some(number) = number else {
            self.out.others += 1;
            return Ok(());
        };
        self.out.originals += 1;
        let place = self.waiting.iter().position(|other| *other == number);
        let place = place.ok_or_else(|| format!("original {number} comes out of turn"))?;
        self.passed.extend(self.waiting.drain(..place));
        self.waiting.pop_front();
        Ok(())
    }
}
