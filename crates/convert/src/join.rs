//! Puts the segments together, and the input's other streams beside them, into one file.
//!
//! ```text
//! packets -------------------------------------------------------> \
//! filesrc -> parsebin -> multiqueue -> each sound, as it is or AAC -> mux -> filesink
//!                                   \-> each subtitle -------------> /
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use gst::prelude::*;

use crate::codec::Container;
use crate::elements::{self, kind_of, make};
use crate::encoder::{BEFORE, error_of, feed, source, wait};
use crate::packets::{Packet, Packets};
use crate::survey::is_video;
use crate::tracks::{Span, Tracks};

/// Packets a stream has in store; more only while another one has none.
const IN_STORE: u32 = 128;

/// Interval between looks for linked streams.
const GLANCE: Duration = Duration::from_millis(10);

/// Tags that tell of the input what is no longer so of the output.
const UNTRUE: [&str; 17] = [
    "container-format",
    "video-codec",
    "audio-codec",
    "subtitle-codec",
    "codec",
    "encoder",
    "encoder-version",
    "bitrate",
    "nominal-bitrate",
    "minimum-bitrate",
    "maximum-bitrate",
    "duration",
    "has-crc",
    "image-orientation",
    "language-code",
    "language-name",
    "container-specific-track-id",
];

/// All that goes into the file.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) segments: Vec<PathBuf>,
    /// Caps of the packets.
    pub(crate) caps: gst::Caps,
    /// File whose other streams are kept, and how many those are; none if it has none.
    pub(crate) others: Option<(&'a Path, usize)>,
    pub(crate) tags: Option<gst::TagList>,
    pub(crate) span: Span,
    /// Whether the streams end before the input does.
    pub(crate) is_cut: bool,
    pub(crate) container: Container,
}

/// Writes the file.
pub(crate) fn join(parts: &Parts<'_>, output: &Path) -> Result<()> {
    let pipeline = Playing(gst::Pipeline::new());
    let mux = make(parts.container.muxer())?;
    let sink = make("filesink")?;
    sink.set_property("location", output);
    sink.set_property("async", false);
    let video = source(&named(&parts.caps));
    pipeline.0.add_many([video.upcast_ref(), &mux, &sink])?;
    mux.link(&sink)?;
    // Asked for before sound flows, since the muxer takes no further stream once it has begun.
    let pad = mux
        .request_pad_simple("video_%u")
        .context("the muxer takes no video")?;
    let first = video.static_pad("src").context("no source pad")?;
    first.link(&pad)?;
    if let (Some(tags), Some(setter)) = (&parts.tags, mux.dynamic_cast_ref::<gst::TagSetter>()) {
        setter.merge_tags(&true_tags(tags), gst::TagMergeMode::ReplaceAll);
    }
    let tracks = Arc::new(Tracks::to(&mux, parts.span)?);
    begin_at(&first, BEFORE);
    let linked = parts
        .others
        .map(|(path, _)| connect(&pipeline.0, path, &tracks))
        .transpose()?;
    match (linked, parts.others) {
        (Some((first, linked)), Some((_, kept))) => {
            elements::start(&pipeline.0, &first, gst::State::Playing);
            until(&pipeline.0, &linked, kept)?;
        }
        // A failure says more on the bus than in what set_state returns.
        _ => {
            let _ = pipeline.0.set_state(gst::State::Playing);
        }
    }
    let mut last = i64::MIN;
    for path in &parts.segments {
        for packet in Packets::open(path)? {
            feed(&pipeline.0, &video, timed(packet?, &mut last)?)?;
        }
    }
    // Without success there is an error on the bus.
    let _ = video.end_of_stream();
    if parts.is_cut {
        tracks.close();
    }
    wait(&pipeline.0)
}

/// Lets times be counted from `start`.
fn begin_at(pad: &gst::Pad, start: gst::ClockTime) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let is_segment = |event: &gst::Event| event.type_() == gst::EventType::Segment;
        if info.event().is_some_and(is_segment) {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_start(start);
            info.data = Some(gst::PadProbeData::Event(gst::event::Segment::new(&segment)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// A pipeline that is stopped in any case.
struct Playing(gst::Pipeline);

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Makes a buffer of a packet, decoded after the `last` one.
fn timed(packet: Packet, last: &mut i64) -> Result<gst::Buffer> {
    let dts = packet.dts.max(last.saturating_add(1)).min(packet.pts);
    *last = dts;
    let time = |time: i64| {
        let time = (BEFORE.nseconds() as i64).checked_add(time);
        let time = time.and_then(|time| u64::try_from(time).ok());
        time.map(gst::ClockTime::from_nseconds)
            .context("a packet far before the beginning")
    };
    let (pts, dts) = (time(packet.pts)?, time(dts)?);
    let mut buffer = gst::Buffer::from_mut_slice(packet.data);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(pts);
        buffer.set_dts(dts);
        buffer.set_duration(gst::ClockTime::from_nseconds(packet.duration));
        if !packet.is_key {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
    }
    Ok(buffer)
}

/// Returns caps that muxers know: what libav's encoder calls `ffvversion`, matroskamux calls
/// `ffversion`.
fn named(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    if let Some(s) = caps.make_mut().structure_mut(0)
        && let Ok(version) = s.get::<i32>("ffvversion")
    {
        s.set("ffversion", version);
    }
    caps
}

fn true_tags(tags: &gst::TagList) -> gst::TagList {
    let mut tags = tags.copy();
    if let Some(tags) = tags.get_mut() {
        for name in UNTRUE {
            tags.remove_generic(name);
        }
    }
    tags
}

/// Sends the streams parsebin finds on their ways.
/// Returns the elements they come from, and what tells of each when it is linked.
fn connect(
    pipeline: &gst::Pipeline,
    path: &Path,
    tracks: &Arc<Tracks>,
) -> Result<([gst::Element; 2], Receiver<()>)> {
    let source = make("filesrc")?;
    source.set_property("location", path);
    let parser = make("parsebin")?;
    let queue = make("multiqueue")?;
    // By number alone, a limit that gives way while another stream has nothing. By time or bytes, a
    // picture that stands still for long enough, or a sound that begins late, would block the rest.
    queue.set_property("max-size-buffers", IN_STORE);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    pipeline.add_many([&source, &parser, &queue])?;
    source.link(&parser)?;
    let (bin, tracks) = (pipeline.downgrade(), Arc::clone(tracks));
    let (send, linked) = channel();
    parser.connect_pad_added(move |parser, pad| {
        let Some(bin) = bin.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if is_video(kind_of(&caps)) {
            return;
        }
        // Told before the work began, if there is none. A stream that isn't linked holds up none.
        let Ok(way) = tracks.way(&caps) else { return };
        match through(&queue, pad).and_then(|pad| tracks.link(&bin, &pad, &caps, way)) {
            // Should nobody wait any more, there is nothing to tell.
            Ok(()) => drop(send.send(())),
            Err(error) => {
                gst::element_error!(parser, gst::StreamError::WrongType, ("{error:#}"));
            }
        }
    });
    Ok(([parser, source], linked))
}

/// Waits until all streams are linked: the muxer takes none once the first packets are there.
fn until(pipeline: &gst::Pipeline, linked: &Receiver<()>, kept: usize) -> Result<()> {
    let bus = elements::bus(pipeline)?;
    let mut missing = kept;
    while missing > 0 {
        match linked.recv_timeout(GLANCE) {
            Ok(()) => missing -= 1,
            Err(_) => {
                if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
                    return Err(error_of(&message));
                }
            }
        }
    }
    Ok(())
}

/// Leads a stream through the multiqueue; the pad it comes out at.
fn through(queue: &gst::Element, pad: &gst::Pad) -> Result<gst::Pad> {
    let sink = queue
        .request_pad_simple("sink_%u")
        .context("the multiqueue has no pad left")?;
    pad.link(&sink)?;
    queue
        .static_pad(&sink.name().replace("sink", "src"))
        .context("the multiqueue gave no source pad")
}

/// Returns those of the streams that are not kept, each with the reason.
pub(crate) fn left_out(
    others: &[crate::survey::Other],
    container: Container,
    span: Span,
) -> Result<(usize, Vec<String>)> {
    let tracks = Tracks::to(&make(container.muxer())?, span)?;
    let mut reasons = Vec::new();
    for other in others {
        if let Err(reason) = tracks.way(&other.caps) {
            reasons.push(format!("left out: {}: {reason:#}", other.describe()));
        }
    }
    Ok((others.len() - reasons.len(), reasons))
}
