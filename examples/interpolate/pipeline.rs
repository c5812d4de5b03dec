//! The pipeline, from a file to a file.
//!
//! ```text
//!                                   /-> decodebin -> deinterlace -> vfiinterp -> x26?enc -> \
//! filesrc -> parsebin -> multiqueue --> each audio stream, as it is or as AAC -------------> mux -> filesink
//!                                   \-> each subtitle stream that the container takes -----> /
//! ```
//!
//! The branches are made when parsebin finds their streams, the encoder when the depth is known.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::elements::{kind_of, make};
use crate::end::End;
use crate::rate::Rate;
use crate::tracks::Tracks;
use crate::video;

/// Frames and packets a stream has in store; more only while another one has none.
const IN_STORE: u32 = 128;

/// All that decides how the pipeline looks.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) container: Container,
    pub(crate) element: &'a str,
    pub(crate) rate: Rate,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) crf: u32,
    pub(crate) preset: &'a str,
    /// Interpolate at eight bits, which is what the comparison with the truth reads.
    pub(crate) eight_bit: bool,
}

/// The kinds of file that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Mp4,
    Matroska,
}

impl Container {
    /// Chooses by the file's ending.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        match ending.as_str() {
            "mp4" | "m4v" => Ok(Self::Mp4),
            "mkv" => Ok(Self::Matroska),
            _ => bail!("{}: the output ends in .mp4 or .mkv", path.display()),
        }
    }

    fn muxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4mux",
            Self::Matroska => "matroskamux",
        }
    }
}

/// The running pipeline and what the rest of the program wants of it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) whole: gst::Pipeline,
    pub(crate) interpolator: gst::Element,
}

impl Pipeline {
    /// Stops it; what was not written by now is lost.
    pub(crate) fn stop(&self) {
        let _ = self.whole.set_state(gst::State::Null);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Builds the pipeline, ready to play.
pub(crate) fn build(plan: &Plan<'_>, end: &Arc<End>) -> Result<Pipeline> {
    let whole = gst::Pipeline::new();
    let source = make("filesrc")?;
    source.set_property("location", plan.input);
    let parser = make("parsebin")?;
    let queue = make("multiqueue")?;
    // By number alone, a limit that gives way while another stream has nothing. By time or bytes, a
    // picture that stands still for long enough, or a sound that begins late, would block the rest.
    queue.set_property("max-size-buffers", IN_STORE);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    let mux = make(plan.container.muxer())?;
    let sink = make("filesink")?;
    sink.set_property("location", plan.output);
    sink.set_property("async", false);
    whole.add_many([&source, &parser, &queue, &mux, &sink])?;
    source.link(&parser)?;
    mux.link(&sink)?;

    // Asked for before sound flows, since the muxer takes no further stream once it has begun.
    let video = mux
        .request_pad_simple("video_%u")
        .context("the muxer takes no video")?;
    let (decoder, interpolator) = video::build(&whole, plan, &video, end)?;
    connect(&whole, &parser, queue, decoder, Tracks::to(&mux, end)?);
    Ok(Pipeline {
        whole,
        interpolator,
    })
}

/// Sends the streams parsebin finds on their ways.
fn connect(
    whole: &gst::Pipeline,
    parser: &gst::Element,
    queue: gst::Element,
    video: gst::Element,
    tracks: Tracks,
) {
    let has_video = AtomicBool::new(false);
    let bin = whole.downgrade();
    parser.connect_pad_added(move |parser, pad| {
        let Some(bin) = bin.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if is_video(kind_of(&caps)) && !has_video.swap(true, Ordering::SeqCst) {
            if let Err(error) = through(&queue, pad).and_then(|pad| link_pad(&pad, &video)) {
                gst::element_error!(parser, gst::StreamError::WrongType, ("{error:#}"));
            }
            return;
        }
        let kept = if is_video(kind_of(&caps)) {
            Err(anyhow::anyhow!("one video is interpolated"))
        } else {
            // The way first: a stream that isn't linked holds up none.
            tracks
                .way(&caps)
                .and_then(|way| tracks.link(&bin, &through(&queue, pad)?, &caps, way))
        };
        if let Err(reason) = kept {
            let stream = describe(pad, &caps);
            gst::element_warning!(
                parser,
                gst::StreamError::WrongType,
                ("left out: {stream}: {reason:#}")
            );
        }
    });
}

fn is_video(kind: &str) -> bool {
    kind.starts_with("video/") || kind.starts_with("image/")
}

/// Names a stream by its kind and its language.
fn describe(pad: &gst::Pad, caps: &gst::Caps) -> String {
    let tags = pad.sticky_event::<gst::event::Tag>(0);
    let language = tags
        .as_ref()
        .and_then(|event| event.tag().get::<gst::tags::LanguageCode>())
        .map_or(String::new(), |code| format!(" ({})", code.get()));
    format!("{}{language}", kind_of(caps))
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

pub(crate) fn link_pad(pad: &gst::Pad, element: &gst::Element) -> Result<()> {
    let sink = element.static_pad("sink").context("no sink pad")?;
    pad.link(&sink)?;
    Ok(())
}

/// Creates a decoder whose first pad of the right kind is linked to `next`, when all is `ready` for
/// what it brings.
pub(crate) fn decoder(
    next: &gst::Element,
    ready: impl Fn(&gst::Element, &gst::Pad) -> Result<()> + Send + Sync + 'static,
) -> Result<gst::Element> {
    let decoder = make("decodebin")?;
    let next = next.clone();
    decoder.connect_pad_added(move |decoder, pad| {
        let free = next
            .static_pad("sink")
            .is_some_and(|sink| !sink.is_linked());
        if free && let Err(error) = ready(decoder, pad).and_then(|()| link_pad(pad, &next)) {
            gst::element_error!(
                decoder,
                gst::StreamError::Format,
                ("cannot use what was decoded: {error:#}")
            );
        }
    });
    Ok(decoder)
}
