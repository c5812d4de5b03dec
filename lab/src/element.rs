//! Frames rebuilt by the element itself: `appsrc ! vfiinterp ! appsink`.

use std::thread;

use anyhow::{Context, Result, bail};
use gst::glib;
use gst::prelude::*;

use crate::clip::{self, Clip, Picture, make};
use crate::luma::Luma;

const ELEMENT: &str = "vfiinterp";

/// The element at work: `appsrc ! vfiinterp ! appsink`.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) element: gst::Element,
    pub(crate) sink: gst_app::AppSink,
}

impl Work {
    /// Starts on frames that follow each other at `rate`, to make `multiplier` of each, with properties by name and text.
    pub(crate) fn start(
        frames: impl Iterator<Item = Result<Picture>> + Send + 'static,
        rate: gst::Fraction,
        multiplier: usize,
        properties: &[(String, String)],
    ) -> Result<Self> {
        let source = gst_app::AppSrc::builder()
            .format(gst::Format::Time)
            .block(true)
            .max_buffers(2)
            .max_bytes(0)
            .build();
        let element = element(multiplier, properties)?;
        let sink = clip::sink(None);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &element, sink.upcast_ref()])?;
        gst::Element::link_many([source.upcast_ref(), &element, sink.upcast_ref()])?;
        // What goes wrong is told when the first frame is asked for.
        let _ = pipeline.set_state(gst::State::Playing);
        feed(source, frames, rate);
        Ok(Self {
            pipeline,
            element,
            sink,
        })
    }

    /// The next frame; none at the end, an error where something has failed.
    pub(crate) fn pull(&self) -> Result<Option<Picture>> {
        clip::pull(&self.pipeline, &self.sink)
    }

    /// What the element has counted.
    pub(crate) fn stats(&self) -> Result<gst::Structure> {
        let stats = self.element.property::<Option<gst::Structure>>("stats");
        stats.context("vfiinterp keeps no statistics")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // This also ends the thread that feeds it.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The element at work on a clip's kept frames; gives all frames, the kept ones among them.
#[derive(Debug)]
pub(crate) struct Interpolated {
    work: Work,
    failed: bool,
}

impl Interpolated {
    /// Starts on a clip, with properties by name and text.
    pub(crate) fn start(clip: &Clip, properties: &[(String, String)]) -> Result<Self> {
        let work = Work::start(clip.kept()?, clip.kept_rate(), clip.step, properties)?;
        Ok(Self {
            work,
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
        let next = self.work.pull().and_then(|picture| {
            let luma = picture.map(|picture| picture.luma()).transpose()?;
            all_made(&self.work)?;
            Ok(luma)
        });
        self.failed = next.is_err();
        next.transpose()
    }
}

/// `--set` arguments as names and texts of properties.
pub(crate) fn properties(pairs: &[String]) -> Result<Vec<(String, String)>> {
    pairs
        .iter()
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("--set {pair}: expected PROPERTY=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The element with everything set that was asked for.
fn element(multiplier: usize, properties: &[(String, String)]) -> Result<gst::Element> {
    let element = make(ELEMENT)?;
    // There is time: no frame is to be left out because a clock has moved on.
    set(&element, "qos", "false")?;
    set(&element, "multiplier", &multiplier.to_string())?;
    for (name, text) in properties {
        set(&element, name, text)?;
    }
    Ok(element)
}

/// An error if the properties or the network they name won't do, before anything long is begun.
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

/// Sets a property from text, as gst-launch would, but with an error instead of an abort.
fn set(element: &gst::Element, name: &str, text: &str) -> Result<()> {
    let pspec = element
        .find_property(name)
        .filter(|pspec| pspec.flags().contains(glib::ParamFlags::WRITABLE))
        .with_context(|| format!("{ELEMENT} has no property {name} to set"))?;
    let value = glib::Value::deserialize_with_pspec(text, &pspec)
        .ok()
        .with_context(|| format!("{name}={text}: not a value of type {}", pspec.value_type()))?;
    element.set_property_from_value(name, &value);
    Ok(())
}

/// Sends frames from a thread of its own, evenly in time.
fn feed(
    source: gst_app::AppSrc,
    frames: impl Iterator<Item = Result<Picture>> + Send + 'static,
    rate: gst::Fraction,
) {
    thread::spawn(move || {
        for (number, picture) in frames.enumerate() {
            let sent = picture.and_then(|picture| {
                let info = gst_video::VideoInfo::builder_from_info(&picture.info)
                    .fps(rate)
                    .build()?;
                source.set_caps(Some(&info.to_caps()?));
                Ok(source.push_buffer(timed(picture.buffer, number as u64, rate)))
            });
            match sent {
                Ok(Ok(_)) => {}
                // Whoever reads has let go.
                Ok(Err(_)) => return,
                Err(error) => {
                    gst::element_error!(source, gst::StreamError::Failed, ("{error:#}"));
                    return;
                }
            }
        }
        let _ = source.end_of_stream();
    });
}

/// The frame at its place in a stream of `rate`.
fn timed(mut buffer: gst::Buffer, number: u64, rate: gst::Fraction) -> gst::Buffer {
    let [numer, denom] = [rate.numer(), rate.denom()].map(|part| part.unsigned_abs().max(1).into());
    let time = |number: u64| gst::ClockTime::SECOND.mul_div_floor(number * denom, numer);
    let start = time(number);
    let frame = buffer.make_mut();
    frame.set_pts(start);
    frame.set_dts(gst::ClockTime::NONE);
    frame.set_duration(time(number + 1).zip(start).map(|(end, start)| end - start));
    buffer
}

/// An error if the element left a frame out: the comparison would be off by one from there.
fn all_made(work: &Work) -> Result<()> {
    let stats = work.stats()?;
    for field in ["dropped", "late"] {
        let count: u64 = stats.get(field).unwrap_or(0);
        if count > 0 {
            bail!("{ELEMENT} counts {count} frames as {field}");
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
    fn frames_stand_evenly_in_time() {
        gst::init().unwrap();
        let rate = gst::Fraction::new(30000, 2002);
        let buffer = timed(gst::Buffer::new(), 3, rate);
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
