//! Frames rebuilt by the element itself: `appsrc ! vfiinterp ! appsink`.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gst::glib;
use gst::prelude::*;

use crate::clip::{self, Clip, Picture, make};
use crate::luma::Luma;

const ELEMENT: &str = "vfiinterp";

/// `appsrc ! vfiinterp ! appsink`, at work until it is dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    element: gst::Element,
    sink: gst_app::AppSink,
}

impl Chain {
    /// Starts it, with properties by name and text.
    pub(crate) fn new(step: usize, properties: &[(String, String)]) -> Result<Self> {
        let source = clip::source();
        let element = element(step, properties)?;
        let sink = clip::sink(None);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &element, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &element, sink.upcast_ref()])?;
        // What goes wrong is told when the first frame is asked for.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            source,
            element,
            sink,
        })
    }

    /// Sends a frame as one of a stream of `rate`.
    pub(crate) fn push(&self, picture: Picture, number: u64, rate: gst::Fraction) -> Result<()> {
        send(&self.source, picture, number, rate)?;
        Ok(())
    }

    /// Sends frames from a thread of its own, evenly in time, and then the end of the stream.
    pub(crate) fn feed(
        &self,
        frames: impl Iterator<Item = Result<Picture>> + Send + 'static,
        rate: gst::Fraction,
    ) {
        let source = self.source.clone();
        thread::spawn(move || {
            for (number, picture) in frames.enumerate() {
                let sent = picture.and_then(|picture| send(&source, picture, number as u64, rate));
                match sent {
                    Ok(true) => {}
                    // Whoever reads has let go.
                    Ok(false) => return,
                    Err(error) => {
                        gst::element_error!(source, gst::StreamError::Failed, ("{error:#}"));
                        return;
                    }
                }
            }
            let _ = source.end_of_stream();
        });
    }

    /// Returns the next frame; none at the end, an error where something has failed.
    pub(crate) fn pull(&self) -> Result<Option<Picture>> {
        clip::pull(&self.pipeline, &self.sink)
    }

    /// Returns a counter of the element's.
    pub(crate) fn count(&self, name: &str) -> u64 {
        stat(&self.element, name).unwrap_or(0)
    }

    /// Returns a figure of the element's that is no counter.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        stat(&self.element, name).unwrap_or(0.0)
    }
}

/// Returns one of the element's `stats`.
pub(crate) fn stat<T: for<'a> glib::value::FromValue<'a>>(
    element: &gst::Element,
    name: &str,
) -> Option<T> {
    let stats = element.property::<Option<gst::Structure>>("stats");
    stats?.get(name).ok()
}

impl Drop for Chain {
    fn drop(&mut self) {
        // This also ends the thread that feeds it.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The element at work on a clip's kept frames; gives all frames, the kept ones among them.
#[derive(Debug)]
pub(crate) struct Interpolated {
    chain: Chain,
    failed: bool,
}

impl Interpolated {
    /// Starts on a clip, with properties by name and text.
    pub(crate) fn start(clip: &Clip, properties: &[(String, String)]) -> Result<Self> {
        let chain = Chain::new(clip.step, properties)?;
        chain.feed(clip.kept()?, clip.kept_rate());
        Ok(Self {
            chain,
            failed: false,
        })
    }
}

impl Iterator for Interpolated {
    type Item = Result<Luma>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.chain.pull().and_then(|picture| {
            let luma = picture.map(|picture| picture.luma()).transpose()?;
            all_made(&self.chain)?;
            Ok(luma)
        });
        self.failed = next.is_err();
        next.transpose()
    }
}

/// Kind of pair that the element took two frames for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Motion.
    Moving,
    /// The same twice.
    Still,
    /// Another light.
    Flash,
    /// A cut.
    Cut,
}

/// Returns what the element takes each pair of a clip's frames for, and how long it looks at them.
/// It gets the next frame only when it is through with the one before, so that its counters tell of
/// one pair.
pub(crate) fn verdicts(
    clip: &Clip,
    properties: &[(String, String)],
) -> Result<impl Iterator<Item = Result<(Verdict, Duration)>> + use<>> {
    let (frames, rate) = (clip.all()?, clip.kept_rate());
    let chain = Chain::new(2, properties)?;
    let mut before = [0; 4];
    let verdicts = frames.enumerate().map(move |(number, picture)| {
        chain.push(picture?, number as u64, rate)?;
        // The frame itself, and for all but the first the one made before it.
        for _ in 0..=usize::from(number > 0) {
            chain.pull()?.context("vfiinterp keeps a frame back")?;
        }
        let names = ["cuts", "flashes", "stills", "content-time"];
        let now = names.map(|name| chain.count(name));
        let [cuts, flashes, stills, time] = std::array::from_fn(|i| now[i] - before[i]);
        before = now;
        let verdict = match (cuts, flashes, stills) {
            (1.., _, _) => Verdict::Cut,
            (_, 1.., _) => Verdict::Flash,
            (_, _, 1..) => Verdict::Still,
            _ => Verdict::Moving,
        };
        Ok((verdict, Duration::from_nanos(time)))
    });
    Ok(verdicts.skip(1))
}

/// Properties from `NAME=VALUE`.
pub(crate) fn pairs(texts: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        let pair = text.split_once('=');
        let (name, value) =
            pair.with_context(|| format!("--set {text}: expected PROPERTY=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

/// Returns the element with everything set that was asked for.
fn element(step: usize, properties: &[(String, String)]) -> Result<gst::Element> {
    let element = make(ELEMENT)?;
    // There is time: no frame is to be left out because a clock has moved on.
    set_property::set(&element, "qos", "false")?;
    set_property::set(&element, "multiplier", &step.to_string())?;
    for (name, text) in properties {
        set_property::set(&element, name, text)?;
    }
    Ok(element)
}

/// Fails if the properties or the network they name won't do, before anything long is begun.
pub(crate) fn check(properties: &[(String, String)]) -> Result<()> {
    let element = element(2, properties)?;
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let ready = element.set_state(gst::State::Paused);
    let _ = element.set_state(gst::State::Null);
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
        bail!("{ELEMENT}: {}", error.error());
    }
    ready.context("vfiinterp does not start")?;
    Ok(())
}

/// Sends a frame at its place in a stream of `rate`; false if nobody takes it any more.
pub(crate) fn send(
    source: &gst_app::AppSrc,
    picture: Picture,
    number: u64,
    rate: gst::Fraction,
) -> Result<bool> {
    let info = gst_video::VideoInfo::builder_from_info(&picture.info)
        .fps(rate)
        .build()?;
    source.set_caps(Some(&info.to_caps()?));
    let buffer = set_times(picture.buffer, number, rate);
    Ok(source.push_buffer(buffer).is_ok())
}

/// Returns the frame at its place in a stream of `rate`.
fn set_times(mut buffer: gst::Buffer, number: u64, rate: gst::Fraction) -> gst::Buffer {
    let [numer, denom] = [rate.numer(), rate.denom()].map(|part| part.unsigned_abs().max(1).into());
    let time = |number: u64| gst::ClockTime::SECOND.mul_div_floor(number * denom, numer);
    let start = time(number);
    let frame = buffer.make_mut();
    frame.set_pts(start);
    frame.set_dts(gst::ClockTime::NONE);
    frame.set_duration(time(number + 1).zip(start).map(|(end, start)| end - start));
    buffer
}

/// Fails if the element left a frame out: the comparison would be off by one from there.
pub(crate) fn all_made(chain: &Chain) -> Result<()> {
    for field in ["dropped", "late"] {
        let count = chain.count(field);
        if count > 0 {
            bail!("vfiinterp counts {count} frames as {field}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_checked_before_work_begins() {
        crate::init().unwrap();
        let check = |name: &str, text: &str| check(&[(name.to_owned(), text.to_owned())]);
        check("downscale", "2").unwrap();
        for (name, text) in [
            ("colour", "red"),
            ("stats", "none"),
            ("downscale", "half"),
            ("model", "nowhere.onnx"),
        ] {
            assert!(check(name, text).is_err(), "{name}={text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        crate::init().unwrap();
        let said = |name: &str, text: &str| {
            let refused = check(&[(name.to_owned(), text.to_owned())]);
            refused.unwrap_err().to_string()
        };
        assert!(said("multiplier", "65").contains("multiplier=65: it takes a number from 1 to 64"));
        assert!(said("downscale", "99").contains("from 0 to 16"));
    }

    #[test]
    fn frames_stand_evenly_in_time() {
        gst::init().unwrap();
        let rate = gst::Fraction::new(30000, 2002);
        let buffer = set_times(gst::Buffer::new(), 3, rate);
        assert_eq!(
            buffer.pts(),
            Some(gst::ClockTime::from_nseconds(200_200_000))
        );
        assert_eq!(
            buffer.duration(),
            Some(gst::ClockTime::from_nseconds(66_733_333))
        );
    }
}
