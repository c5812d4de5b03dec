//! The frames of an input: decoded, turned upright, deinterlaced, interpolated, one after another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use set_property::set;

use crate::elements::{self, kind_of, make};
use crate::inputs::Input;
use crate::plan::{Entry, Target};
use crate::stop::Stop;
use crate::survey::{Clock, is_video, place};

/// Formats whose first plane is the luma at eight bits.
pub(crate) const EIGHT_BIT: &str = "video/x-raw,format=(string){I420,NV12}";

/// Interval between looks for the wish to stop.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// Glances without a frame after which a damaged file is taken to be at its end.
const SILENCE: u32 = 60;

/// The way frames are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading<'a> {
    pub(crate) input: &'a Input,
    pub(crate) input_fps: gst::Fraction,
    pub(crate) element: &'a str,
    pub(crate) properties: &'a [(String, String)],
    pub(crate) target: Target,
    /// See [`crate::plan::Plan::declared`].
    pub(crate) declared: Option<gst::Fraction>,
    pub(crate) clock: Clock,
    pub(crate) eight_bit: bool,
    /// Show the input's frames at the left.
    pub(crate) beside: bool,
    /// The file is known to end with an error.
    pub(crate) is_damaged: bool,
}

/// A glimpse of the input's first frame, decoded.
#[derive(Debug)]
pub(crate) struct Glimpse {
    pub(crate) info: gst_video::VideoInfo,
    /// Turn of the picture.
    pub(crate) orientation: Option<String>,
}

/// Looks at the first frame.
pub(crate) fn glimpse(input: &Input, input_fps: gst::Fraction, stop: &Stop) -> Result<Glimpse> {
    let pipeline = gst::Pipeline::new();
    let sink = make("fakesink")?;
    pipeline.add(&sink)?;
    let gate = Gate::build(&pipeline, input, input_fps, &sink, Head::default())?;
    let found = gate.wait(&pipeline, stop).and_then(|pad| {
        let caps = pad.current_caps().context("frames without caps")?;
        let info = gst_video::VideoInfo::from_caps(&caps);
        let tags = (0..).map_while(|index| pad.sticky_event::<gst::event::Tag>(index));
        let orientation = tags
            .filter_map(|event| {
                let tag = event.tag().get::<gst::tags::ImageOrientation>()?;
                Some(tag.get().to_owned())
            })
            .find(|orientation| orientation != "rotate-0");
        Ok(Glimpse {
            info: info.with_context(|| format!("the video is not made of plain frames: {caps}"))?,
            orientation,
        })
    });
    let _ = pipeline.set_state(gst::State::Null);
    found
}

/// A running pipeline that gives frames.
#[derive(Debug)]
pub(crate) struct Reader {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    pub(crate) interpolator: gst::Element,
    is_damaged: bool,
    failed: bool,
    gate: Gate,
}

impl Reader {
    /// Builds the pipeline, which gives nothing yet.
    pub(crate) fn build(reading: &Reading<'_>, entry: Option<Entry>) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let interpolator = interpolator(reading)?;
        // The muxers write no rotation, so the frames are turned instead.
        let flip = make("videoflip")?;
        set(&flip, "video-direction", "auto")?;
        let deinterlace = make("deinterlace")?;
        set(&deinterlace, "mode", "auto")?;
        let before = make("capsfilter")?;
        if reading.eight_bit || reading.beside {
            before.set_property("caps", EIGHT_BIT.parse::<gst::Caps>()?);
        }
        let rate = rate_filter(reading.target)?;
        let sink = gst_app::AppSink::builder()
            .max_buffers(4)
            .sync(false)
            .build();
        let mut chain = vec![
            make("videoconvert")?,
            flip,
            deinterlace,
            make("videoconvert")?,
            before,
        ];
        let made = [short_queue()?, interpolator.clone(), rate, short_queue()?];
        if reading.beside {
            pipeline.add_many(&made)?;
            gst::Element::link_many(&made)?;
            let (tee, last) = beside(&pipeline, reading.target, &made)?;
            chain.push(tee);
            pipeline.add(&sink)?;
            last.link(&sink)?;
        } else {
            chain.extend(made);
            chain.push(sink.clone().upcast());
        }
        pipeline.add_many(chain.iter().filter(|element| element.parent().is_none()))?;
        gst::Element::link_many(&chain)?;
        let head = Head {
            entry,
            declared: reading.declared,
            clock: reading.clock,
        };
        let gate = Gate::build(&pipeline, reading.input, reading.input_fps, &chain[0], head)?;
        Ok(Self {
            pipeline,
            sink,
            interpolator,
            is_damaged: reading.is_damaged,
            failed: false,
            gate,
        })
    }

    /// Lets the frames flow, from the entry on.
    pub(crate) fn start(&self, entry: Option<Entry>, stop: &Stop) -> Result<()> {
        let pad = self.gate.wait(&self.pipeline, stop)?;
        self.gate.is_open.store(true, Ordering::SeqCst);
        if let Some(entry) = entry.filter(|entry| entry.key > 0 && !self.gate.is_pictures) {
            let to = gst::ClockTime::from_nseconds(entry.key);
            let flags =
                gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
            let seek = gst::event::Seek::new(
                1.0,
                flags,
                gst::SeekType::Set,
                to,
                gst::SeekType::None,
                gst::ClockTime::NONE,
            );
            if !pad.send_event(seek) {
                bail!("the file cannot be entered at {} s", entry.key as f64 / 1e9);
            }
        }
        self.gate.open(&pad);
        self.pipeline.set_state(gst::State::Playing)?;
        Ok(())
    }

    /// Returns the next frame; none at the end, or when the user wants no more.
    pub(crate) fn next(
        &mut self,
        stop: &Stop,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<gst::Sample>> {
        let bus = elements::bus(&self.pipeline)?;
        let mut silent = 0;
        loop {
            if stop.is_asked() {
                return Ok(None);
            }
            let sample = self.sink.try_pull_sample(GLANCE);
            while let Some(message) = bus.pop() {
                match message.view() {
                    gst::MessageView::Error(_) if self.is_damaged => self.failed = true,
                    gst::MessageView::Error(error) => return Err(elements::failure(error, None)),
                    gst::MessageView::Warning(warning) if !self.is_damaged => {
                        say(&warning.error().to_string());
                    }
                    _ => {}
                }
            }
            if sample.is_some() {
                return Ok(sample);
            }
            silent = if self.failed { silent + 1 } else { 0 };
            if self.sink.is_eos() || silent > SILENCE {
                return Ok(None);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// First treatment of decoded frames.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    entry: Option<Entry>,
    declared: Option<gst::Fraction>,
    clock: Clock,
}

/// The source and the decoder, which wait with their first frame until the gate is opened.
#[derive(Debug)]
struct Gate {
    waiting: Mutex<Receiver<gst::Pad>>,
    is_open: Arc<AtomicBool>,
    probe: Arc<Mutex<Option<gst::PadProbeId>>>,
    /// The elements that begin the stream, the very first one last.
    first: Vec<gst::Element>,
    is_pictures: bool,
}

impl Gate {
    fn build(
        pipeline: &gst::Pipeline,
        input: &Input,
        input_fps: gst::Fraction,
        next: &gst::Element,
        head: Head,
    ) -> Result<Self> {
        let decoder = make("decodebin")?;
        pipeline.add(&decoder)?;
        let mut shift = 0;
        let first = match input {
            Input::File(path) => {
                let source = make("filesrc")?;
                source.set_property("location", path);
                let parser = make("parsebin")?;
                pipeline.add_many([&source, &parser])?;
                source.link(&parser)?;
                let (decoder, taken) = (decoder.clone(), AtomicBool::new(false));
                parser.connect_pad_added(move |parser, pad| {
                    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
                    if is_video(kind_of(&caps))
                        && !taken.swap(true, Ordering::SeqCst)
                        && let Err(error) = elements::link_pad(pad, &decoder)
                    {
                        gst::element_error!(parser, gst::StreamError::WrongType, ("{error:#}"));
                    }
                });
                vec![parser, source]
            }
            Input::Pictures(pictures) => {
                let source = make("imagesequencesrc")?;
                let skipped = head.entry.map_or(0, |entry| {
                    (0..u64::from(pictures.count))
                        .take_while(|number| place(*number, input_fps) < entry.key)
                        .count() as u32
                });
                shift = place(u64::from(skipped), input_fps);
                let location = pictures.pattern.path();
                source.set_property("location", location.to_string_lossy().as_ref());
                source.set_property("start-index", (pictures.first + skipped) as i32);
                source.set_property("stop-index", (pictures.first + pictures.count - 1) as i32);
                source.set_property("framerate", input_fps);
                pipeline.add(&source)?;
                source.link(&decoder)?;
                vec![source]
            }
        };
        let (send, waiting) = sync_channel(1);
        let is_open = Arc::new(AtomicBool::new(false));
        let probe = Arc::new(Mutex::new(None));
        let gate = Self {
            waiting: Mutex::new(waiting),
            is_open: Arc::clone(&is_open),
            probe: Arc::clone(&probe),
            first,
            is_pictures: matches!(input, Input::Pictures(_)),
        };
        let next = next.clone();
        decoder.connect_pad_added(move |decoder, pad| {
            let sink = next.static_pad("sink").filter(|sink| !sink.is_linked());
            let Some(sink) = sink else { return };
            let (is_open, send) = (Arc::clone(&is_open), send.clone());
            let mask = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
            let id = pad.add_probe(mask, move |pad, _| {
                if is_open.load(Ordering::SeqCst) {
                    return gst::PadProbeReturn::Pass;
                }
                let _ = send.try_send(pad.clone());
                gst::PadProbeReturn::Ok
            });
            *probe.lock().unwrap_or_else(PoisonError::into_inner) = id;
            lead(pad, head, shift);
            if let Err(error) = pad.link(&sink) {
                gst::element_error!(
                    decoder,
                    gst::StreamError::Format,
                    ("cannot use what was decoded: {error:#}")
                );
            }
        });
        Ok(gate)
    }

    /// Waits until the first frame is there.
    fn wait(&self, pipeline: &gst::Pipeline, stop: &Stop) -> Result<gst::Pad> {
        let bus = elements::bus(pipeline)?;
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hint = None;
        elements::start(pipeline, &self.first, gst::State::Paused);
        loop {
            match waiting.recv_timeout(Duration::from_millis(20)) {
                Ok(pad) => return Ok(pad),
                Err(RecvTimeoutError::Disconnected) => bail!("the decoder has gone"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop.is_asked() {
                bail!("stopped");
            }
            while let Some(message) = bus.pop() {
                match message.view() {
                    gst::MessageView::Error(error) => {
                        return Err(elements::failure(error, hint));
                    }
                    gst::MessageView::Element(_) => hint = elements::missing(&message).or(hint),
                    gst::MessageView::Eos(_) => bail!("not one frame came out of it"),
                    _ => {}
                }
            }
        }
    }

    fn open(&self, pad: &gst::Pad) {
        let probe = self
            .probe
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(probe) = probe {
            pad.remove_probe(probe);
        }
    }
}

/// Puts every frame on one time line, the input's own, and leaves those before the entry out.
fn lead(pad: &gst::Pad, head: Head, shift: u64) {
    let entered = AtomicBool::new(head.entry.is_none());
    let is_sought = shift == 0 && head.entry.is_some_and(|entry| entry.key > 0);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |pad, info| {
        if let Some(buffer) = info.buffer_mut() {
            // What has no time is shown after the one before it, as the element has it.
            let time = head.clock.time(pad, buffer, is_sought);
            let Some(time) = time.map(|time| time + shift) else {
                return match buffer.pts() {
                    Some(_) => gst::PadProbeReturn::Drop,
                    None => gst::PadProbeReturn::Ok,
                };
            };
            if head.entry.is_some_and(|entry| time < entry.frame) {
                return gst::PadProbeReturn::Drop;
            }
            let is_first = !entered.swap(true, Ordering::SeqCst);
            let anchor = head.entry.filter(|_| is_first).map(|entry| entry.anchor);
            let pts = gst::ClockTime::from_nseconds(anchor.unwrap_or(time));
            buffer.make_mut().set_pts(pts);
            return gst::PadProbeReturn::Ok;
        }
        let replaced = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Segment(_)) => {
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                Some(gst::event::Segment::new(&segment))
            }
            Some(gst::EventView::Caps(event)) => head.declared.map(|rate| {
                let mut caps = event.caps_owned();
                caps.make_mut().set("framerate", rate);
                gst::event::Caps::new(&caps)
            }),
            _ => None,
        };
        if let Some(event) = replaced {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Returns a thread border that holds few frames.
fn short_queue() -> Result<gst::Element> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 4u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

fn rate_filter(target: Target) -> Result<gst::Element> {
    let filter = make("capsfilter")?;
    if let Target::Fixed(rate) = target {
        let caps = gst::Caps::builder("video/x-raw").field("framerate", rate);
        filter.set_property("caps", caps.build());
    }
    Ok(filter)
}

/// Puts the input's frames, repeated, to the left of those made. Returns where frames come in and
/// where pictures of both come out.
fn beside(
    pipeline: &gst::Pipeline,
    target: Target,
    made: &[gst::Element; 4],
) -> Result<(gst::Element, gst::Element)> {
    let tee = make("tee")?;
    let repeat = make("videorate")?;
    repeat.set_property("skip-to-first", true);
    let left = [short_queue()?, repeat, rate_filter(target)?, short_queue()?];
    let compositor = make("compositor")?;
    let last = rate_filter(target)?;
    pipeline.add_many([&tee, &compositor, &last])?;
    pipeline.add_many(&left)?;
    gst::Element::link_many(&left)?;
    compositor.link(&last)?;
    for (number, branch) in [&left, made].into_iter().enumerate() {
        tee.link(&branch[0])?;
        let sink = compositor
            .request_pad_simple("sink_%u")
            .context("the compositor has no pad left")?;
        branch[3].link_pads(Some("src"), &compositor, Some(&sink.name()))?;
        if number == 1 {
            place_right(&sink);
        }
    }
    Ok((tee, last))
}

/// Moves the right picture by the width of the left one, once that is known.
fn place_right(sink: &gst::Pad) {
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Some(width) = event
                .caps()
                .structure(0)
                .and_then(|s| s.get::<i32>("width").ok())
        {
            pad.set_property("xpos", width);
        }
        gst::PadProbeReturn::Ok
    });
}

fn interpolator(reading: &Reading<'_>) -> Result<gst::Element> {
    let element = make(reading.element)?;
    // There is time: nothing is to be left out because a clock has moved on.
    if element.find_property("qos").is_some() {
        set(&element, "qos", "false")?;
    }
    if let Target::Times(factor) = reading.target {
        set(&element, "multiplier", &factor.to_string())?;
    }
    for (name, value) in reading.properties {
        set(&element, name, value)?;
    }
    Ok(element)
}
