//! The pipeline, from a file to a file.
//!
//! ```text
//!                                   /-> decodebin -> deinterlace -> vfiinterp -> x264enc -> \
//! filesrc -> parsebin -> multiqueue                                                          mux -> filesink
//!                                   \-> the first audio stream, as it is or as AAC --------> /
//! ```
//!
//! The branches are made when parsebin finds their streams.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::elements::{self, make, set};
use crate::progress::Counter;
use crate::rate::Rate;

/// What x264 and every player take.
const PLAYABLE: &str = "video/x-raw,format=(string){I420,NV12}";

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
    /// Seconds after which to stop.
    pub(crate) limit: Option<f64>,
}

/// The kinds of file that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Mp4,
    Matroska,
}

impl Container {
    /// By the file's ending.
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
    pub(crate) counter: Arc<Counter>,
    pub(crate) end: Arc<End>,
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

/// When the output ends before the input does: at a given time, or as soon as it may.
///
/// The video stops first; the audio follows up to where the video ends, and then the muxer closes
/// the file in good order.
#[derive(Debug)]
pub(crate) struct End {
    asked: AtomicBool,
    /// Running time in ns from which no frame and no sound is written.
    at: AtomicU64,
}

impl End {
    fn new(limit: Option<f64>) -> Self {
        let at = limit.map_or(u64::MAX, |seconds| (seconds.max(0.0) * 1e9) as u64);
        Self {
            asked: AtomicBool::new(false),
            at: AtomicU64::new(at),
        }
    }

    /// End with the next frame.
    pub(crate) fn now(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// What becomes of an input of that length.
    pub(crate) fn cut(&self, length: Duration) -> Duration {
        length.min(Duration::from_nanos(self.at.load(Ordering::SeqCst)))
    }

    /// Lets video through until the end has come, and says where that is.
    fn video(&self, time: u64) -> bool {
        if self.asked.load(Ordering::SeqCst) {
            self.at.fetch_min(time, Ordering::SeqCst);
        }
        self.audio(time)
    }

    fn audio(&self, time: u64) -> bool {
        time < self.at.load(Ordering::SeqCst)
    }
}

/// Builds the pipeline, ready to play.
pub(crate) fn build(plan: &Plan<'_>) -> Result<Pipeline> {
    let whole = gst::Pipeline::new();
    let counter = Arc::new(Counter::default());
    let end = Arc::new(End::new(plan.limit));

    let source = make("filesrc")?;
    source.set_property("location", plan.input);
    let parser = make("parsebin")?;
    let queue = make("multiqueue")?;
    // By time alone: it stretches by itself when one stream starves while another is full.
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-bytes", 0u32);
    let mux = make(plan.container.muxer())?;
    let sink = make("filesink")?;
    sink.set_property("location", plan.output);
    sink.set_property("async", false);
    whole.add_many([&source, &parser, &queue, &mux, &sink])?;
    source.link(&parser)?;
    mux.link(&sink)?;

    let video = VideoBranch::build(&whole, plan, &counter, &end)?;
    video.last.link(&mux)?;
    let interpolator = video.interpolator.clone();
    // Made in advance so that what is missing shows before a frame is worked on.
    let encoder = make("avenc_aac").or_else(|error| make("voaacenc").map_err(|_| error))?;
    let audio = AudioBranch {
        mux,
        encoder,
        end: Arc::clone(&end),
    };
    connect(&whole, &parser, queue, video.first, audio);
    Ok(Pipeline {
        whole,
        interpolator,
        counter,
        end,
    })
}

/// Sends the streams parsebin finds on their ways.
fn connect(
    whole: &gst::Pipeline,
    parser: &gst::Element,
    queue: gst::Element,
    video: gst::Element,
    audio: AudioBranch,
) {
    let (has_video, has_audio) = (AtomicBool::new(false), AtomicBool::new(false));
    let bin = whole.downgrade();
    parser.connect_pad_added(move |parser, pad| {
        let Some(bin) = bin.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let kind = kind(&caps);
        let linked = if is_video(kind) && !has_video.swap(true, Ordering::SeqCst) {
            through(&queue, pad).and_then(|pad| link_pad(&pad, &video))
        } else if kind.starts_with("audio/") && !has_audio.swap(true, Ordering::SeqCst) {
            through(&queue, pad).and_then(|pad| audio.link(&bin, &pad, &caps))
        } else {
            discard(&bin, pad)
        };
        if let Err(error) = linked {
            gst::element_error!(parser, gst::StreamError::WrongType, ("{error:#}"));
        }
    });
}

fn is_video(kind: &str) -> bool {
    kind.starts_with("video/") || kind.starts_with("image/")
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

fn link_pad(pad: &gst::Pad, element: &gst::Element) -> Result<()> {
    let sink = element.static_pad("sink").context("no sink pad")?;
    pad.link(&sink)?;
    Ok(())
}

/// A stream that isn't kept: subtitles, further languages.
fn discard(bin: &gst::Pipeline, pad: &gst::Pad) -> Result<()> {
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    bin.add(&sink)?;
    link_pad(pad, &sink)?;
    sink.sync_state_with_parent()?;
    Ok(())
}

/// A decoder whose first pad of the right kind is linked to `next`.
fn decoder(next: &gst::Element) -> Result<gst::Element> {
    let decoder = make("decodebin")?;
    let next = next.clone();
    decoder.connect_pad_added(move |decoder, pad| {
        let free = next.static_pad("sink").filter(|sink| !sink.is_linked());
        if let Some(sink) = free
            && let Err(error) = pad.link(&sink)
        {
            gst::element_error!(
                decoder,
                gst::StreamError::Format,
                ("cannot use what was decoded: {error}")
            );
        }
    });
    Ok(decoder)
}

/// Both ends of the video's way and the element it is all about.
struct VideoBranch {
    first: gst::Element,
    interpolator: gst::Element,
    last: gst::Element,
}

impl VideoBranch {
    fn build(
        bin: &gst::Pipeline,
        plan: &Plan<'_>,
        counter: &Arc<Counter>,
        end: &Arc<End>,
    ) -> Result<Self> {
        let interpolator = interpolator(plan)?;
        let rate = make("capsfilter")?;
        if let Rate::Fixed(fraction) = plan.rate {
            let caps = gst::Caps::builder("video/x-raw")
                .field("framerate", fraction)
                .build();
            rate.set_property("caps", caps);
        }
        let before = make("capsfilter")?;
        let playable = PLAYABLE.parse::<gst::Caps>()?;
        if plan.eight_bit {
            before.set_property("caps", &playable);
        }
        let after = make("capsfilter")?;
        after.set_property("caps", playable);
        let encoder = encoder(plan)?;
        watch(&encoder, Arc::clone(counter), Arc::clone(end))?;

        // The muxers write no rotation, so the frames are turned instead.
        let flip = make("videoflip")?;
        set(&flip, "video-direction", "auto")?;
        let deinterlace = make("deinterlace")?;
        set(&deinterlace, "mode", "auto")?;
        let mut chain = vec![make("videoconvert")?, flip, deinterlace];
        chain.extend([make("videoconvert")?, before, short_queue()?]);
        chain.extend([interpolator.clone(), rate, short_queue()?]);
        chain.extend([make("videoconvert")?, after, encoder, make("h264parse")?]);

        let first = decoder(&chain[0])?;
        bin.add(&first)?;
        bin.add_many(&chain)?;
        gst::Element::link_many(&chain)?;
        let last = chain.pop().context("an empty chain")?;
        Ok(Self {
            first,
            interpolator,
            last,
        })
    }
}

/// A thread border that holds few frames.
fn short_queue() -> Result<gst::Element> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 4u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

fn interpolator(plan: &Plan<'_>) -> Result<gst::Element> {
    let element = make(plan.element)?;
    // There is time: nothing is to be left out because a clock has moved on.
    if element.find_property("qos").is_some() {
        set(&element, "qos", "false")?;
    }
    if let Rate::Times(factor) = plan.rate {
        set(&element, "multiplier", &factor.to_string())?;
    }
    for (name, value) in &plan.properties {
        set(&element, name, value)?;
    }
    Ok(element)
}

fn encoder(plan: &Plan<'_>) -> Result<gst::Element> {
    let encoder = make("x264enc")?;
    set(&encoder, "pass", "qual")?;
    set(&encoder, "quantizer", &plan.crf.to_string())?;
    set(&encoder, "speed-preset", plan.preset)?;
    set(&encoder, "key-int-max", "240")?;
    Ok(encoder)
}

/// Counts the frames that reach the encoder, and ends the stream when it is time.
fn watch(encoder: &gst::Element, counter: Arc<Counter>, end: Arc<End>) -> Result<()> {
    let pad = encoder
        .static_pad("sink")
        .context("the encoder has no sink pad")?;
    end_where(&pad, move |time| {
        let go_on = end.video(time);
        if go_on {
            counter.frame(time);
        }
        go_on
    });
    Ok(())
}

/// Ends the stream at a pad with the first buffer whose running time `go_on` refuses.
fn end_where(pad: &gst::Pad, go_on: impl Fn(u64) -> bool + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let time = info.buffer().and_then(|buffer| running_time(pad, buffer));
        if time.is_none_or(&go_on) {
            return gst::PadProbeReturn::Ok;
        }
        pad.send_event(gst::event::Eos::new());
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}

fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<u64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment
        .to_running_time(buffer.pts()?)
        .map(gst::ClockTime::nseconds)
}

/// What it takes to bring an audio stream to the muxer.
struct AudioBranch {
    mux: gst::Element,
    encoder: gst::Element,
    end: Arc<End>,
}

impl AudioBranch {
    /// What the muxer takes but writes wrongly: mp4mux turns the bytes of Opus' pre-skip round, and
    /// players leave out the first third of a second.
    fn garbles(&self, caps: &gst::Caps) -> bool {
        kind(caps) == "audio/x-opus" && elements::kind(&self.mux) == "mp4mux"
    }

    /// Untouched when the container takes it, else as AAC.
    fn link(&self, bin: &gst::Pipeline, pad: &gst::Pad, caps: &gst::Caps) -> Result<()> {
        let sink = self
            .mux
            .request_pad_simple("audio_%u")
            .context("the muxer takes no audio")?;
        let end = Arc::clone(&self.end);
        end_where(&sink, move |time| end.audio(time));
        let chain = if is_aac(caps) {
            // From a transport stream it comes in another packing than files hold.
            vec![make("aacparse")?]
        } else if sink.query_caps(None).can_intersect(caps) && !self.garbles(caps) {
            vec![make("identity")?]
        } else {
            vec![
                make("audioconvert")?,
                make("audioresample")?,
                self.encoder.clone(),
                make("aacparse")?,
            ]
        };
        if chain.len() > 1 {
            sink.set_offset(-priming(caps));
        }
        bin.add_many(&chain)?;
        gst::Element::link_many(&chain)?;
        chain[chain.len() - 1]
            .static_pad("src")
            .context("no source pad")?
            .link(&sink)?;
        let first = if chain.len() > 1 {
            let decoder = decoder(&chain[0])?;
            bin.add(&decoder)?;
            decoder
        } else {
            chain[0].clone()
        };
        link_pad(pad, &first)?;
        for element in chain.iter().rev().chain([&first]) {
            element.sync_state_with_parent()?;
        }
        Ok(())
    }
}

/// The silence an AAC encoder begins with, which nothing downstream takes off: 1024 samples, in ns.
fn priming(caps: &gst::Caps) -> i64 {
    let rate = caps
        .structure(0)
        .and_then(|s| s.get::<i32>("rate").ok())
        .unwrap_or(48000);
    1024 * 1_000_000_000 / i64::from(rate.max(1))
}

/// The kind of the first structure: `audio/x-opus`, say.
fn kind(caps: &gst::Caps) -> &str {
    caps.structure(0).map_or("", |s| s.name().as_str())
}

fn is_aac(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|s| {
        s.name() == "audio/mpeg" && matches!(s.get::<i32>("mpegversion"), Ok(2 | 4))
    })
}
