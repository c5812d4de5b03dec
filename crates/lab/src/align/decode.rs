//! A file's video as small luma pictures, a frame at a time.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_video::prelude::*;

use super::size::Size;
use crate::clip::{make, sink};
use crate::luma::Luma;

/// Formats with a plane of luma of their own, read without converting the frame.
const FORMATS: &str =
    "video/x-raw,format=(string){I420,NV12,YV12,Y42B,Y444,GRAY8,P010_10LE,I420_10LE}";

/// A file that is being decoded.
#[derive(Debug)]
pub(super) struct Decoder {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    size: Size,
    /// Time of the first frame, from which all times count.
    start: Option<gst::ClockTime>,
    frames: u32,
}

/// A frame made small.
#[derive(Debug)]
pub(super) struct Small {
    /// Seconds since the first frame.
    pub(super) time: f64,
    /// Luma, row by row.
    pub(super) luma: Vec<u8>,
    /// The frame's own width, as it is shown, and height.
    pub(super) shown: (u32, u32),
}

impl Decoder {
    /// Opens a file; pictures will be of this size.
    pub(super) fn open(path: &Path, size: Size) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let source = make("filesrc")?;
        source.set_property("location", path);
        let decoder = make("decodebin")?;
        let convert = make("videoconvert")?;
        let sink = sink(Some(&FORMATS.parse::<gst::Caps>()?));
        sink.set_max_buffers(8);
        pipeline.add_many([&source, &decoder, &convert, sink.upcast_ref()])?;
        source.link(&decoder)?;
        convert.link(&sink)?;
        let input = convert.static_pad("sink").context("no sink pad")?;
        let first = input.clone();
        decoder.connect_pad_added(move |_, pad| {
            let caps = pad.query_caps(None);
            let is_video = caps
                .structure(0)
                .is_some_and(|s| s.name().starts_with("video/"));
            if is_video && !first.is_linked() {
                // Should it fail, the pipeline ends with an error of its own.
                let _ = pad.link(&first);
            }
        });
        decoder.connect_no_more_pads(move |decoder| {
            if !input.is_linked() {
                gst::element_error!(
                    decoder,
                    gst::StreamError::WrongType,
                    ("there is no video in it")
                );
            }
        });
        // What goes wrong is told when the first frame is asked for.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            sink,
            size,
            start: None,
            frames: 0,
        })
    }

    /// Returns the next frame; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Small>> {
        let bus = self.pipeline.bus().context("a pipeline without a bus")?;
        loop {
            if let Some(sample) = self
                .sink
                .try_pull_sample(gst::ClockTime::from_mseconds(100))
            {
                return self.shrink(&sample).map(Some);
            }
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
                && let gst::MessageView::Error(error) = message.view()
            {
                bail!("{}", error.error());
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
        }
    }

    fn shrink(&mut self, sample: &gst::Sample) -> Result<Small> {
        let info = gst_video::VideoInfo::from_caps(sample.caps().context("no caps")?)?;
        let buffer = sample.buffer().context("no buffer")?;
        let time = self.time(sample, buffer, &info);
        self.frames += 1;
        let par = info.par();
        let shown =
            f64::from(info.width()) * f64::from(par.numer()) / f64::from(par.denom()).max(1.0);
        Ok(Small {
            time,
            luma: luma(&info, buffer, self.size)?,
            shown: (shown.round().max(1.0) as u32, info.height()),
        })
    }

    /// Returns seconds since the first frame; frames without timestamps keep to the declared rate.
    fn time(
        &mut self,
        sample: &gst::Sample,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> f64 {
        let segment = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let pts = buffer.pts();
        let stream = segment
            .and_then(|segment| segment.to_stream_time(pts))
            .or(pts);
        if let Some(stream) = stream {
            let start = *self.start.get_or_insert(stream);
            return stream.saturating_sub(start).nseconds() as f64 / 1e9;
        }
        let fps = info.fps();
        let fps = if fps.numer() > 0 {
            f64::from(fps.numer()) / f64::from(fps.denom())
        } else {
            30.0
        };
        f64::from(self.frames) / fps
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Reads a frame's luma as a small picture.
fn luma(info: &gst_video::VideoInfo, buffer: &gst::BufferRef, size: Size) -> Result<Vec<u8>> {
    let (width, height) = (info.width() as usize, info.height() as usize);
    if info.comp_depth(0) != 8 || info.comp_pstride(0) != 1 {
        let luma = Luma::read(info, buffer)?;
        return Ok(shrink(
            &luma.data,
            luma.width,
            luma.width,
            luma.height,
            size,
        ));
    }
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| anyhow!("a frame that cannot be mapped"))?;
    let stride = usize::try_from(frame.comp_stride(0)).context("a frame that is upside down")?;
    Ok(shrink(frame.comp_data(0)?, stride, width, height, size))
}

/// Makes a plane small: each value is the mean of the pixels it stands for.
fn shrink(plane: &[u8], stride: usize, width: usize, height: usize, size: Size) -> Vec<u8> {
    let edge = |at: usize, of: usize, pixels: usize| {
        let from = at * pixels / of;
        (from, ((at + 1) * pixels / of).max(from + 1))
    };
    let mut small = Vec::with_capacity(size.pixels());
    let mut column = vec![0u32; width];
    for y in 0..size.height {
        let (top, bottom) = edge(y, size.height, height);
        column.fill(0);
        for row in plane.chunks(stride).take(bottom).skip(top) {
            for (sum, &value) in column.iter_mut().zip(row) {
                *sum += u32::from(value);
            }
        }
        for x in 0..size.width {
            let (left, right) = edge(x, size.width, width);
            let sum: u32 = column[left..right].iter().sum();
            let count = ((right - left) * (bottom - top)) as u32;
            small.push(((sum + count / 2) / count) as u8);
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_picture_holds_means_and_leaves_the_padding_out() {
        let size = Size {
            width: 2,
            height: 1,
        };
        let plane = [10, 20, 30, 40, 99, 20, 30, 40, 50, 99];
        assert_eq!(shrink(&plane, 5, 4, 2, size), [20, 40]);
    }

    #[test]
    fn a_plane_smaller_than_the_picture_is_repeated() {
        let size = Size {
            width: 4,
            height: 2,
        };
        assert_eq!(shrink(&[1, 9], 2, 2, 1, size), [1, 1, 9, 9, 1, 1, 9, 9]);
    }
}
