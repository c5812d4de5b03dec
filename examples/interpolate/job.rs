//! Plays the pipeline to its end, or to the user's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;

use crate::elements;
use crate::pipeline::Pipeline;
use crate::progress::Progress;

/// What a finished job came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Frames written.
    pub(crate) frames: u64,
    /// Length of the video written.
    pub(crate) length: Duration,
    /// How long that took.
    pub(crate) took: Duration,
    /// Whether the user ended it.
    pub(crate) stopped: bool,
}

/// The file while it is being written: beside the wanted one, which stays as it is until the end.
#[derive(Debug)]
pub(crate) struct Partial {
    target: PathBuf,
    path: PathBuf,
}

impl Partial {
    pub(crate) fn new(target: PathBuf) -> Result<Self> {
        if let Some(folder) = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let mut path = target.clone().into_os_string();
        path.push(".part");
        Ok(Self {
            target,
            path: path.into(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name.
    pub(crate) fn keep(self) -> Result<PathBuf> {
        fs::rename(&self.path, &self.target)
            .with_context(|| format!("cannot name it {}", self.target.display()))?;
        Ok(self.target.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

/// Runs the pipeline until all is written.
///
/// The first Ctrl-C (or termination) ends the stream, so that the file can be played; the second ends the program
/// and leaves nothing behind.
pub(crate) fn run(pipeline: &Pipeline, partial: &Partial) -> Result<Outcome> {
    let interrupts = on_interrupt(partial.path())?;
    let bus = pipeline.whole.bus().context("a pipeline without a bus")?;
    let progress = Progress::new();
    let mut hint = None;
    let mut timed = false;
    let mut stopped = false;
    // A failure says more on the bus than in what set_state returns.
    let _ = pipeline.whole.set_state(gst::State::Playing);
    loop {
        if interrupts.load(Ordering::SeqCst) > 0 && !stopped {
            stopped = true;
            progress.say("finishing the file; Ctrl-C again to give up on it");
            pipeline.end.now();
        }
        if !timed && let Some(duration) = pipeline.whole.query_duration::<gst::ClockTime>() {
            timed = true;
            progress.set_duration(pipeline.end.cut(duration.into()));
        }
        progress.update(&pipeline.counter);
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
                return Err(anyhow!("there is no video in the file"));
            }
            gst::MessageView::Element(_) => hint = elements::missing(&message).or(hint),
            _ => {}
        }
    }
    Ok(Outcome {
        frames: pipeline.counter.frames(),
        length: pipeline.counter.time(),
        took: progress.elapsed(),
        stopped,
    })
}

fn has_video(streams: &gst::StreamCollection) -> bool {
    streams
        .iter()
        .any(|stream| stream.stream_type().contains(gst::StreamType::VIDEO))
}

fn on_interrupt(partial: &Path) -> Result<Arc<AtomicU32>> {
    let count = Arc::new(AtomicU32::new(0));
    let (seen, partial) = (Arc::clone(&count), partial.to_owned());
    ctrlc::set_handler(move || {
        if seen.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = fs::remove_file(&partial);
            std::process::exit(130);
        }
    })?;
    Ok(count)
}

/// An error message as one would tell it.
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

/// The debug text without the place in the source that GStreamer puts before it.
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
