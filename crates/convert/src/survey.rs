//! A look at the whole input before the work begins: its streams, tags, and when each frame is
//! shown. Nothing is decoded for it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail};
use gst::prelude::*;

use crate::elements::{self, kind_of, make};
use crate::inputs::{Input, Pictures};
use crate::stop::Stop;

/// Interval between looks for the wish to stop.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Farthest that a frame may lie from its place on a regular grid, in ns: containers round to a
/// millisecond.
const ROUNDING: u64 = 1_100_000;

/// The place where the time of a frame is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Its running time, from the beginning on.
    #[default]
    Running,
    /// Its timestamp: matroskademux moves its segments about.
    Timestamp,
}

impl Clock {
    /// Returns when a buffer is shown, from the beginning of the input, also after a seek.
    pub(crate) fn time(
        self,
        pad: &gst::Pad,
        buffer: &gst::BufferRef,
        is_sought: bool,
    ) -> Option<u64> {
        let pts = buffer.pts()?;
        let time = match self {
            Self::Timestamp => Some(pts),
            Self::Running => {
                let event = pad.sticky_event::<gst::event::Segment>(0)?;
                let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
                match is_sought {
                    true => segment.to_stream_time(pts),
                    false => segment.to_running_time(pts),
                }
            }
        };
        time.map(gst::ClockTime::nseconds)
    }
}

/// All that is known of an input in advance.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// When each frame is shown, in order; empty if the container does not say so of all.
    pub(crate) times: Vec<u64>,
    /// When those frames are shown that decoding can begin with, in order.
    pub(crate) keys: Vec<u64>,
    /// Frames there are.
    pub(crate) frames: u64,
    /// Time at which the last frame ends.
    pub(crate) end: u64,
    /// The rate that all frames keep to.
    pub(crate) rate: Option<gst::Fraction>,
    /// Streams beside the one that is interpolated.
    pub(crate) others: Vec<Other>,
    pub(crate) tags: Option<gst::TagList>,
    pub(crate) clock: Clock,
    /// Whether a demuxer goes exactly where it is sent.
    pub(crate) is_seekable: bool,
    /// Faults met on the way.
    pub(crate) warnings: Vec<String>,
}

/// A stream beside the video.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    pub(crate) caps: gst::Caps,
    pub(crate) language: Option<String>,
}

impl Other {
    /// Names it by its kind and its language.
    pub(crate) fn describe(&self) -> String {
        let language = self.language.as_ref();
        let language = language.map_or(String::new(), |code| format!(" ({code})"));
        format!("{}{language}", kind_of(&self.caps))
    }
}

/// Facts heard of a stream.
#[derive(Debug)]
struct Heard {
    pad: gst::Pad,
    times: Vec<Packet>,
    lasts: u64,
    segments: u32,
}

/// Facts heard of a frame: its time by either clock, and whether decoding can begin with it.
#[derive(Debug, Clone, Copy)]
struct Packet {
    running: Option<u64>,
    timestamp: Option<u64>,
    is_key: bool,
}

/// Looks at an input.
pub(crate) fn survey(input: &Input, input_fps: gst::Fraction, stop: &Stop) -> Result<Survey> {
    match input {
        Input::File(path) => of_file(path, stop),
        Input::Pictures(pictures) => Ok(of_pictures(pictures, input_fps)),
    }
}

fn of_pictures(pictures: &Pictures, rate: gst::Fraction) -> Survey {
    let times: Vec<u64> = (0..=u64::from(pictures.count))
        .map(|number| place(number, rate))
        .collect();
    let (end, times) = times
        .split_last()
        .map_or((0, &[][..]), |(end, rest)| (*end, rest));
    Survey {
        keys: times.to_vec(),
        frames: times.len() as u64,
        end,
        rate: Some(rate),
        is_seekable: true,
        times: times.to_vec(),
        ..Survey::default()
    }
}

/// Returns when frame `number` of a rate is shown, in ns.
pub(crate) fn place(number: u64, rate: gst::Fraction) -> u64 {
    let (numer, denom) = (rate.numer() as u128, rate.denom() as u128);
    (u128::from(number) * denom * 1_000_000_000 / numer) as u64
}

fn of_file(path: &Path, stop: &Stop) -> Result<Survey> {
    let pipeline = gst::Pipeline::new();
    let source = make("filesrc")?;
    source.set_property("location", path);
    let parser = make("parsebin")?;
    pipeline.add_many([&source, &parser])?;
    source.link(&parser)?;
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let (bin, streams) = (pipeline.downgrade(), Arc::clone(&heard));
    parser.connect_pad_added(move |parser, pad| {
        let Some(bin) = bin.upgrade() else { return };
        if let Err(error) = listen(&bin, pad, &streams) {
            gst::element_error!(parser, gst::StreamError::Failed, ("{error:#}"));
        }
    });
    let watched = watch(&pipeline, &[parser, source], stop);
    let has = |demuxer: &str| {
        let mut elements = pipeline.iterate_recurse().into_iter().flatten();
        elements.any(|element| set_property::kind(&element) == demuxer)
    };
    let clock = match has("matroskademux") {
        true => Clock::Timestamp,
        false => Clock::Running,
    };
    let is_seekable = clock == Clock::Timestamp || has("qtdemux");
    let mut streams = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    let mut survey = Survey {
        clock,
        is_seekable,
        ..Survey::default()
    };
    let first = streams
        .iter()
        .position(|heard| is_video(kind_of(&caps(&heard.pad))));
    let video = first.map(|first| streams.remove(first));
    survey.others = streams.iter().map(|heard| other(&heard.pad)).collect();
    let failed = match watched {
        Ok((tags, failed)) => {
            survey.tags = tags;
            failed
        }
        Err(error) => {
            let _ = pipeline.set_state(gst::State::Null);
            return Err(error);
        }
    };
    let video = video.map(|video| (declared(&video.pad), video));
    let _ = pipeline.set_state(gst::State::Null);
    match video {
        Some((declared, video)) if !video.times.is_empty() => {
            let segments = video.segments;
            survey.take(video, declared);
            survey.is_seekable &= clock == Clock::Timestamp || segments == 1;
            if let Some(error) = failed {
                survey.warnings.push(format!(
                    "the file is damaged after {:.1} s, {} frames: {error:#}",
                    survey.end as f64 / 1e9,
                    survey.frames
                ));
                survey.is_seekable = false;
            }
            Ok(survey)
        }
        Some(_) => Err(failed.unwrap_or_else(|| anyhow!("not one frame is in it"))),
        None => Err(failed.unwrap_or_else(|| {
            anyhow!(
                "no video was found in the file; in an .mp4, a track shorter than a fifth of the file is taken for a preview"
            )
        })),
    }
}

/// Plays until the end. Returns the tags, and the error that it may have ended with.
fn watch(
    pipeline: &gst::Pipeline,
    first: &[gst::Element],
    stop: &Stop,
) -> Result<(Option<gst::TagList>, Option<anyhow::Error>)> {
    let bus = elements::bus(pipeline)?;
    let mut tags: Option<gst::TagList> = None;
    let mut hint = None;
    elements::start(pipeline, first, gst::State::Playing);
    loop {
        if stop.is_asked() {
            bail!("stopped");
        }
        let Some(message) = bus.timed_pop(GLANCE) else {
            continue;
        };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok((tags, None)),
            gst::MessageView::Error(error) => {
                return Ok((tags, Some(elements::failure(error, hint))));
            }
            gst::MessageView::Tag(tag) if tag.tags().scope() == gst::TagScope::Global => {
                let new = tag.tags();
                tags = Some(tags.map_or_else(
                    || new.clone(),
                    |old| old.merge(&new, gst::TagMergeMode::Keep),
                ));
            }
            gst::MessageView::Element(_) => hint = elements::missing(&message).or(hint),
            gst::MessageView::StreamCollection(found) => {
                let found = found.stream_collection();
                let has_video = found
                    .iter()
                    .any(|stream| stream.stream_type().contains(gst::StreamType::VIDEO));
                if !has_video && !found.is_empty() {
                    bail!(
                        "no video was found in the file; in an .mp4, a track shorter than a fifth of the file is taken for a preview"
                    );
                }
            }
            _ => {}
        }
    }
}

/// Counts a stream's frames, and throws them away.
fn listen(bin: &gst::Pipeline, pad: &gst::Pad, streams: &Arc<Mutex<Vec<Heard>>>) -> Result<()> {
    let sink = make("fakesink")?;
    sink.set_property("async", false);
    bin.add(&sink)?;
    let index = {
        let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.push(Heard {
            pad: pad.clone(),
            times: Vec::new(),
            lasts: 0,
            segments: 0,
        });
        streams.len() - 1
    };
    let streams = Arc::clone(streams);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |pad, info| {
        let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(heard) = streams.get_mut(index) else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(buffer) = info.buffer() {
            let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let shown = !buffer.flags().contains(gst::BufferFlags::DECODE_ONLY);
            if shown {
                heard.times.push(Packet {
                    running: Clock::Running.time(pad, buffer, false),
                    timestamp: Clock::Timestamp.time(pad, buffer, false),
                    is_key,
                });
            }
            heard.lasts = buffer
                .duration()
                .map_or(heard.lasts, gst::ClockTime::nseconds);
        } else if info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Segment)
        {
            heard.segments += 1;
        }
        gst::PadProbeReturn::Ok
    });
    elements::link_pad(pad, &sink)?;
    sink.sync_state_with_parent()?;
    Ok(())
}

fn caps(pad: &gst::Pad) -> gst::Caps {
    pad.current_caps().unwrap_or_else(|| pad.query_caps(None))
}

pub(crate) fn is_video(kind: &str) -> bool {
    kind.starts_with("video/") || kind.starts_with("image/")
}

/// Describes the stream of a pad.
pub(crate) fn other(pad: &gst::Pad) -> Other {
    let tags = pad.sticky_event::<gst::event::Tag>(0);
    let language = tags
        .as_ref()
        .and_then(|event| event.tag().get::<gst::tags::LanguageCode>())
        .map(|code| code.get().to_owned());
    Other {
        caps: caps(pad),
        language,
    }
}

/// Returns the rate that a stream says it has.
fn declared(pad: &gst::Pad) -> Option<gst::Fraction> {
    let caps = caps(pad);
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0).then_some(rate)
}

impl Survey {
    fn take(&mut self, video: Heard, declared: Option<gst::Fraction>) {
        self.frames = video.times.len() as u64;
        let time = |packet: &Packet| match self.clock {
            Clock::Running => packet.running,
            Clock::Timestamp => packet.timestamp,
        };
        let mut times: Vec<u64> = video.times.iter().filter_map(time).collect();
        times.sort_unstable();
        let distinct = times.windows(2).all(|pair| pair[0] < pair[1]);
        let last = times.last().copied().unwrap_or(0);
        if times.len() == video.times.len() && distinct {
            self.rate = regular(&times, declared);
            let keys = video.times.iter().filter(|packet| packet.is_key);
            self.keys = keys.filter_map(time).collect();
            self.keys.sort_unstable();
            self.times = times;
        }
        let lasts = self.rate.map_or(video.lasts, |rate| place(1, rate));
        self.end = last.saturating_add(lasts);
    }
}

/// Returns the rate that all those times keep to, if there is one.
fn regular(times: &[u64], declared: Option<gst::Fraction>) -> Option<gst::Fraction> {
    let (first, last) = (*times.first()?, *times.last()?);
    let steps = times.len() as u64 - 1;
    let mean = last.checked_sub(first)?.checked_div(steps)?;
    let guessed = gst_video::guess_framerate(gst::ClockTime::from_nseconds(mean));
    declared.into_iter().chain(guessed).find(|rate| {
        rate.numer() > 0
            && (0..).zip(times).all(|(number, time)| {
                time.abs_diff(first.saturating_add(place(number, *rate))) <= ROUNDING
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rate: gst::Fraction, unit: u64) -> Vec<u64> {
        let rounded = |number| (place(number, rate) + unit / 2) / unit * unit;
        (0..300).map(rounded).collect()
    }

    #[test]
    fn a_rate_is_found_though_times_are_rounded() {
        let film = gst::Fraction::new(24000, 1001);
        assert_eq!(regular(&grid(film, 1_000_000), None), Some(film));
        assert_eq!(
            regular(&grid(film, 1), Some(gst::Fraction::new(30, 1))),
            Some(film)
        );
    }

    #[test]
    fn a_stream_that_keeps_to_no_rate_has_none() {
        let mut times = grid(gst::Fraction::new(30, 1), 1);
        times.remove(100);
        assert_eq!(regular(&times, Some(gst::Fraction::new(30, 1))), None);
        assert_eq!(regular(&[0], None), None);
    }
}
