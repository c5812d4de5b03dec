//! Storage of frames: pictures, or one lossless video.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use super::planar::{self, Planar};
use crate::clip::{self, make};
use crate::element;

/// Frames on their way into a folder.
#[derive(Debug)]
pub(super) enum Store {
    /// `frame_000.png` and on.
    Pictures(PathBuf),
    /// `frames.mkv`.
    Video(Video),
}

impl Store {
    /// Makes the folder anew.
    pub(super) fn new(folder: &Path, as_video: bool, rate: gst::Fraction) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(match as_video {
            true => Self::Video(Video::new(&folder.join(VIDEO), rate)?),
            false => Self::Pictures(folder.to_owned()),
        })
    }

    /// Adds the next frame.
    pub(super) fn write(&self, number: usize, frame: &Planar) -> Result<()> {
        match self {
            Self::Pictures(folder) => {
                let luma = frame.luma();
                let size = (luma.width, luma.height);
                planar::write_png(&folder.join(file_name(number)), size, &frame.rgb()?)
            }
            Self::Video(video) => video.write(number, frame),
        }
    }

    /// Ends what was begun.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Pictures(_) => Ok(()),
            Self::Video(video) => video.finish(),
        }
    }
}

/// Name of the file with all frames.
pub(super) const VIDEO: &str = "frames.mkv";

/// Returns the name of a frame's file.
pub(super) fn file_name(number: usize) -> String {
    format!("frame_{number:03}.png")
}

/// A lossless video that is being written: FFV1 in Matroska.
#[derive(Debug)]
pub(super) struct Video {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    rate: gst::Fraction,
}

impl Video {
    fn new(path: &Path, rate: gst::Fraction) -> Result<Self> {
        let source = clip::source();
        let names = ["avenc_ffv1", "matroskamux", "filesink"];
        let [encoder, muxer, sink] = names.map(make);
        let [encoder, muxer, sink] = [encoder?, muxer?, sink?];
        sink.set_property("location", path);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &encoder, &muxer, &sink])?;
        gst::Element::link_many([source.upcast_ref(), &encoder, &muxer, &sink])?;
        // What goes wrong is told by the bus.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            source,
            rate,
        })
    }

    fn write(&self, number: usize, frame: &Planar) -> Result<()> {
        if !element::send(&self.source, frame.picture()?, number as u64, self.rate)? {
            self.wait(&[gst::MessageType::Error])?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let _ = self.source.end_of_stream();
        self.wait(&[gst::MessageType::Eos, gst::MessageType::Error])
    }

    fn wait(&self, kinds: &[gst::MessageType]) -> Result<()> {
        let bus = self.pipeline.bus().context("a pipeline without a bus")?;
        let message = bus.timed_pop_filtered(gst::ClockTime::NONE, kinds);
        if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|m| m.view()) {
            bail!("{VIDEO}: {}", error.error());
        }
        Ok(())
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
