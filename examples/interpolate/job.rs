//! Plays the pipeline to its end, or to the user's.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use crate::elements;
use crate::end::End;
use crate::pipeline::Pipeline;
use crate::progress::Progress;

/// The result of a finished job.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Frames written.
    pub(crate) frames: u64,
    /// Length of the video written.
    pub(crate) length: Duration,
    /// How long that took.
    pub(crate) took: Duration,
}

/// Runs the pipeline until all is written.
pub(crate) fn run(pipeline: &Pipeline, end: &End) -> Result<Outcome> {
    let bus = pipeline.whole.bus().context("a pipeline without a bus")?;
    let progress = Progress::new();
    let mut hint = None;
    let mut timed = false;
    let mut stopping = false;
    // A failure says more on the bus than in what set_state returns.
    let _ = pipeline.whole.set_state(gst::State::Playing);
    loop {
        if end.is_asked() && !stopping {
            stopping = true;
            progress.say("finishing the file; Ctrl-C again to give up on it");
        }
        if !timed && let Some(duration) = pipeline.whole.query_duration::<gst::ClockTime>() {
            timed = true;
            progress.set_duration(end.cut(duration.into()));
        }
        progress.update(&end.counter);
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else {
            continue;
        };
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => return Err(failure(error, hint)),
            gst::MessageView::Warning(warning) => {
                progress.say(&format!("warning: {}", warning.error()));
            }
            gst::MessageView::StreamCollection(found) if !has_video(&found.stream_collection()) => {
                return Err(anyhow!(
                    "no video was found in the file; in an .mp4, a track shorter than a fifth of the file is taken for a preview"
                ));
            }
            gst::MessageView::Element(_) => hint = elements::missing(&message).or(hint),
            _ => {}
        }
    }
    Ok(Outcome {
        frames: end.counter.frames(),
        length: end.counter.time(),
        took: progress.elapsed(),
    })
}

fn has_video(streams: &gst::StreamCollection) -> bool {
    streams
        .iter()
        .any(|stream| stream.stream_type().contains(gst::StreamType::VIDEO))
}

/// Returns an error message as one would tell it.
fn failure(error: &gst::message::Error, hint: Option<String>) -> anyhow::Error {
    let from = error
        .src()
        .and_then(|src| src.downcast_ref::<gst::Element>())
        .map(elements::kind);
    let mut text = format!(
        "{}: {}",
        from.as_deref().unwrap_or("pipeline"),
        error.error()
    );
    for detail in error
        .debug()
        .as_deref()
        .and_then(useful)
        .into_iter()
        .map(str::to_owned)
        .chain(hint)
    {
        text.push_str("\n  ");
        text.push_str(&detail);
    }
    anyhow!(text)
}

/// Returns the debug text without the place in the source that GStreamer puts before it.
fn useful(debug: &str) -> Option<&str> {
    let rest = debug.split_once('\n').map_or("", |(_, rest)| rest).trim();
    (!rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_the_source_is_left_out() {
        let debug = "gstfilesrc.c(532): gst_file_src_start (): /GstPipeline:p/GstFileSrc:f:\nNo such file \"x\"";
        assert_eq!(useful(debug), Some("No such file \"x\""));
        assert_eq!(useful("a.c(1): f (): /p"), None);
    }
}
