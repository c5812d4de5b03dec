//! A clip: what it is, and its frames, decoded anew for everyone who wants them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;

use crate::luma::Luma;

/// The formats in which frames go through the element and are measured. A decoder that gives
/// another one is converted.
const FORMATS: &str =
    "video/x-raw,format=(string){NV12,I420,YV12,Y42B,Y444,GRAY8,P010_10LE,I420_10LE}";

/// The least a metric can work on.
pub(crate) const SMALLEST: usize = 16;

/// A clip and what was found out about it; none of its frames are held.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    path: PathBuf,
    /// Width in pixels.
    pub(crate) width: usize,
    /// Height in pixels.
    pub(crate) height: usize,
    /// The rate declared, of all frames.
    fps: gst::Fraction,
    /// One frame out of so many is kept.
    pub(crate) step: usize,
    /// Frames used: the last of them is kept.
    pub(crate) frames: usize,
    /// For each pair of kept frames whether they differ.
    moves: Vec<bool>,
}

impl Clip {
    /// Reads a clip's first `most` frames once, to see what there is.
    pub(crate) fn open(path: &Path, step: usize, most: usize) -> Result<Self> {
        let mut moves = Vec::new();
        let mut kept: Option<Luma> = None;
        let mut shape = None;
        let mut frames = 0;
        for (number, picture) in Decoder::open(path, most)?.enumerate() {
            let picture = picture?;
            let info = &picture.info;
            frames = number + 1;
            shape.get_or_insert((info.width() as usize, info.height() as usize, info.fps()));
            if number % step == 0 {
                let luma = picture.luma()?;
                if let Some(before) = kept.replace(luma.clone()) {
                    before.same_size(&luma)?;
                    moves.push(before != luma);
                }
            }
        }
        let (width, height, fps) = shape.context("there is no video in it")?;
        if width < SMALLEST || height < SMALLEST {
            bail!("frames of {width}x{height}: the least is {SMALLEST}x{SMALLEST}");
        }
        if moves.is_empty() {
            bail!("{frames} frames: it takes at least {}", step + 1);
        }
        Ok(Self {
            path: path.to_owned(),
            width,
            height,
            fps,
            step,
            frames: moves.len() * step + 1,
            moves,
        })
    }

    /// Returns the file's name without its ending.
    pub(crate) fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Returns all frames used, in order.
    pub(crate) fn all(&self) -> Result<Decoder> {
        Decoder::open(&self.path, self.frames)
    }

    /// Returns the frames that are kept.
    pub(crate) fn kept(&self) -> Result<impl Iterator<Item = Result<Picture>> + use<>> {
        Ok(self.all()?.step_by(self.step))
    }

    /// Returns whether the two kept frames around frame `number` differ.
    pub(crate) fn moves_at(&self, number: usize) -> bool {
        self.moves
            .get(number / self.step)
            .is_some_and(|moves| *moves)
    }

    /// Returns how many frames are dropped and rebuilt.
    pub(crate) fn rebuilt(&self) -> usize {
        self.frames - 1 - self.moves.len()
    }

    /// Returns the rate of the kept frames; a clip that declares none has 30 a second in all.
    pub(crate) fn kept_rate(&self) -> gst::Fraction {
        let declared = Some(self.fps).filter(|fps| fps.numer() > 0);
        let fps = declared.unwrap_or_else(|| gst::Fraction::new(30, 1));
        let denom = i32::try_from(self.step).ok();
        match denom.and_then(|step| fps.denom().checked_mul(step)) {
            Some(denom) => gst::Fraction::new(fps.numer(), denom),
            None => gst::Fraction::new(15, 1),
        }
    }
}

/// A decoded frame in the decoder's own format.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) info: gst_video::VideoInfo,
    pub(crate) buffer: gst::Buffer,
}

impl Picture {
    pub(crate) fn luma(&self) -> Result<Luma> {
        Luma::read(&self.info, &self.buffer)
    }
}

/// Decodes a file's video, a frame at a time.
#[derive(Debug)]
pub(crate) struct Decoder {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    left: usize,
}

impl Decoder {
    /// Opens a file at its beginning, for at most so many frames.
    fn open(path: &Path, frames: usize) -> Result<Self> {
        Self::open_as(path, frames, FORMATS)
    }

    /// Opens a file likewise, for frames in one of the formats that the caps name.
    pub(crate) fn open_as(path: &Path, frames: usize, formats: &str) -> Result<Self> {
        if !path.is_file() {
            bail!("no such file");
        }
        let pipeline = gst::Pipeline::new();
        let source = make("filesrc")?;
        source.set_property("location", path);
        let decoder = make("decodebin")?;
        let convert = make("videoconvert")?;
        let sink = sink(Some(&formats.parse::<gst::Caps>()?));
        pipeline.add_many([&source, &decoder, &convert, sink.upcast_ref()])?;
        source.link(&decoder)?;
        convert.link(&sink)?;
        decoder.connect_pad_added(move |_, pad| {
            let sink = convert.static_pad("sink").filter(|sink| !sink.is_linked());
            let caps = pad.query_caps(None);
            let is_video = caps
                .structure(0)
                .is_some_and(|s| s.name().starts_with("video/"));
            if let Some(sink) = sink.filter(|_| is_video) {
                // Should it fail, the pipeline ends with an error of its own.
                let _ = pad.link(&sink);
            }
        });
        // What goes wrong is told when the first frame is asked for.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            sink,
            left: frames,
        })
    }
}

impl Iterator for Decoder {
    type Item = Result<Picture>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = pull(&self.pipeline, &self.sink).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.left = 0;
        }
        next
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Makes an element.
pub(crate) fn make(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| anyhow!("no element {factory}: is GStreamer's base set of plugins installed?"))
}

/// Returns a source that holds few frames, and blocks whoever gives it more.
pub(crate) fn source() -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .format(gst::Format::Time)
        .block(true)
        .max_buffers(2)
        .max_bytes(0)
        .build()
}

/// Returns a sink that holds few frames and waits for no clock.
pub(crate) fn sink(caps: Option<&gst::Caps>) -> gst_app::AppSink {
    let sink = gst_app::AppSink::builder().max_buffers(2).sync(false);
    match caps {
        Some(caps) => sink.caps(caps).build(),
        None => sink.build(),
    }
}

/// Returns the next frame; none at the end, an error where the pipeline has failed.
pub(crate) fn pull(pipeline: &gst::Pipeline, sink: &gst_app::AppSink) -> Result<Option<Picture>> {
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    loop {
        let sample = sink.try_pull_sample(gst::ClockTime::from_mseconds(200));
        if let Some(sample) = sample {
            let info = gst_video::VideoInfo::from_caps(sample.caps().context("no caps")?)?;
            let buffer = sample.buffer_owned().context("no buffer")?;
            return Ok(Some(Picture { info, buffer }));
        }
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            bail!("{}", error.error());
        }
        if sink.is_eos() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the project's own clip: 640x360, 60 frames a second.
    pub(crate) fn own(step: usize, frames: usize) -> Clip {
        crate::init().unwrap();
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../assets/demo/truth_60.mp4"
        );
        Clip::open(Path::new(path), step, frames).unwrap()
    }

    #[test]
    fn ends_with_a_kept_frame() {
        let clip = own(2, 6);
        assert_eq!((clip.frames, clip.rebuilt()), (5, 2));
        assert_eq!(clip.kept().unwrap().count(), 3);
        let clip = own(4, 12);
        assert_eq!((clip.frames, clip.rebuilt()), (9, 6));
        assert_eq!(clip.kept_rate(), gst::Fraction::new(15, 1));
    }

    #[test]
    fn what_is_no_clip_is_an_error() {
        crate::init().unwrap();
        for path in [
            "nowhere.mp4",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ] {
            assert!(Clip::open(Path::new(path), 2, 5).is_err(), "{path}");
        }
    }
}
