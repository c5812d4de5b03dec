//! Compares synthesised frames, and plain blending, with the true ones.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_video::prelude::*;

use crate::elements::make;
use crate::stop::Stop;

/// Formats whose first plane is the luma at eight bits.
const EIGHT_BIT: &str = "video/x-raw,format=(string){I420,YV12,NV12,NV21,Y42B,Y444}";

/// Longest wait for the next frame of the truth.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Interval between looks for the wish to stop.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// A measurement that goes along with the pipeline, frame by frame.
#[derive(Debug)]
pub(crate) struct Comparison(Arc<Mutex<State>>);

/// Findings of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Found {
    frames: u32,
    ours: f64,
    blended: f64,
}

#[derive(Debug)]
struct State {
    truth: Truth,
    /// The originals around the next output frame.
    originals: VecDeque<(gst::ClockTime, Luma)>,
    first: Option<gst::ClockTime>,
    found: Found,
    failed: Option<anyhow::Error>,
}

impl Comparison {
    /// Watches what goes into and comes out of the interpolator.
    pub(crate) fn attach(
        interpolator: &gst::Element,
        truth: &Path,
        stop: &Arc<Stop>,
    ) -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            truth: Truth::open(truth, stop)?,
            originals: VecDeque::new(),
            first: None,
            found: Found::default(),
            failed: None,
        }));
        watch(interpolator, "sink", &state, State::original)?;
        watch(interpolator, "src", &state, State::output)?;
        Ok(Self(state))
    }

    /// Returns the result, once the pipeline has stopped.
    pub(crate) fn finish(self) -> Result<Found> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.failed.take() {
            Some(error) => Err(error.context("the comparison with the truth failed")),
            None => Ok(std::mem::take(&mut state.found)),
        }
    }
}

fn video_info(pad: &gst::Pad) -> Result<gst_video::VideoInfo> {
    let caps = pad.current_caps().context("frames before caps")?;
    Ok(gst_video::VideoInfo::from_caps(&caps)?)
}

type Step = fn(&mut State, &gst::Pad, &gst::BufferRef) -> Result<()>;

fn watch(element: &gst::Element, pad: &str, state: &Arc<Mutex<State>>, step: Step) -> Result<()> {
    let pad = element
        .static_pad(pad)
        .context("the interpolator lacks a pad")?;
    let state = Arc::clone(state);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = info.buffer()
            && state.failed.is_none()
            && let Err(error) = step(&mut state, pad, buffer)
        {
            state.failed = Some(error);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

impl State {
    fn original(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<()> {
        let info = video_info(pad)?;
        if let Some(pts) = buffer.pts() {
            self.originals.push_back((pts, Luma::read(&info, buffer)?));
        }
        Ok(())
    }

    fn output(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<()> {
        let info = video_info(pad)?;
        let pts = buffer
            .pts()
            .context("an output frame without a timestamp")?;
        let second = gst::ClockTime::SECOND.nseconds() as f64;
        let frame =
            second * f64::from(info.fps().denom()) / f64::from(info.fps().numer()).max(1e-9);
        let since = pts.saturating_sub(*self.first.get_or_insert(pts));
        while self.originals.get(1).is_some_and(|(next, _)| *next <= pts) {
            self.originals.pop_front();
        }
        let (Some((before, a)), Some((after, b))) = (self.originals.front(), self.originals.get(1))
        else {
            return Ok(());
        };
        // Nearer to an original than an eighth of a frame: it is one.
        let near = |other: gst::ClockTime| {
            (other.nseconds() as f64 - pts.nseconds() as f64).abs() < frame / 8.0
        };
        if near(*before) || near(*after) || *before > pts {
            return Ok(());
        }
        let phase = (pts - *before).nseconds() as f64 / (*after - *before).nseconds() as f64;
        let number = (since.nseconds() as f64 / frame).round() as u64;
        let Some(truth) = self.truth.frame(number, info.fps())? else {
            return Ok(());
        };
        self.found.ours += truth.psnr(&Luma::read(&info, buffer)?)?;
        self.found.blended += truth.psnr(&a.blend(b, phase)?)?;
        self.found.frames += 1;
        Ok(())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frames == 0 {
            return write!(
                f,
                "truth      no synthesised frame had a true one to compare with"
            );
        }
        let [ours, blended] = [self.ours, self.blended].map(|sum| sum / f64::from(self.frames));
        write!(
            f,
            "truth      {ours:.2} dB (mean luma PSNR of {} in-between frames); blending two neighbours {blended:.2} dB; {:+.2} dB",
            self.frames,
            ours - blended
        )
    }
}

/// The clip of true frames, read one after another.
#[derive(Debug)]
struct Truth {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    next: u64,
    stop: Arc<Stop>,
}

impl Truth {
    fn open(path: &Path, stop: &Arc<Stop>) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let source = make("filesrc")?;
        source.set_property("location", path);
        let decoder = make("decodebin")?;
        let convert = make("videoconvert")?;
        let sink = gst_app::AppSink::builder()
            .caps(&EIGHT_BIT.parse::<gst::Caps>()?)
            .max_buffers(2)
            .sync(false)
            .build();
        pipeline.add_many([&source, &decoder, &convert, sink.upcast_ref()])?;
        source.link(&decoder)?;
        convert.link(&sink)?;
        decoder.connect_pad_added(move |_, pad| {
            let sink = convert.static_pad("sink").filter(|sink| !sink.is_linked());
            let is_video = pad
                .query_caps(None)
                .structure(0)
                .is_some_and(|s| s.name().starts_with("video/"));
            if let Some(sink) = sink.filter(|_| is_video) {
                // Should it fail, the sink stays without frames and says so.
                let _ = pad.link(&sink);
            }
        });
        let truth = Self {
            pipeline,
            sink,
            next: 0,
            stop: Arc::clone(stop),
        };
        // Told now rather than when all is done.
        let _ = truth.pipeline.set_state(gst::State::Paused);
        truth
            .pipeline
            .state(PATIENCE)
            .0
            .map_err(|_| truth.silence())?;
        truth.pipeline.set_state(gst::State::Playing)?;
        Ok(truth)
    }

    /// Returns frame `number` at `rate`, which must not lie before the last one asked for; none
    /// after the end.
    fn frame(&mut self, number: u64, rate: gst::Fraction) -> Result<Option<Luma>> {
        while self.next <= number {
            let Some(sample) = self.pull() else {
                return if self.sink.is_eos() || self.stop.is_asked() {
                    Ok(None)
                } else {
                    Err(self.silence())
                };
            };
            self.next += 1;
            if self.next > number {
                let info = gst_video::VideoInfo::from_caps(sample.caps().context("no caps")?)?;
                if info.fps() != rate {
                    let [true_rate, rate] =
                        [info.fps(), rate].map(|r| format!("{}/{}", r.numer(), r.denom()));
                    bail!("its rate is {true_rate}, the output's {rate}");
                }
                return Luma::read(&info, sample.buffer().context("no buffer")?).map(Some);
            }
        }
        bail!("frame {number} of the truth was asked for too late")
    }

    /// Waits for the next frame, as long as there may be one and it is wanted.
    fn pull(&self) -> Option<gst::Sample> {
        let glances = PATIENCE.nseconds() / GLANCE.nseconds();
        (0..glances)
            .take_while(|_| !self.stop.is_asked() && !self.sink.is_eos())
            .find_map(|_| self.sink.try_pull_sample(GLANCE))
    }

    fn silence(&self) -> anyhow::Error {
        let error = self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match error.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => {
                anyhow!("the truth cannot be read: {}", error.error())
            }
            _ => anyhow!("the truth gives no frames"),
        }
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A frame's luma, without padding.
#[derive(Debug, Clone, PartialEq)]
struct Luma {
    width: usize,
    data: Vec<u8>,
}

impl Luma {
    fn read(info: &gst_video::VideoInfo, buffer: &gst::BufferRef) -> Result<Self> {
        if !info.is_yuv() || info.comp_depth(0) != 8 || info.comp_pstride(0) != 1 {
            bail!("{} has no plane of 8-bit luma", info.format());
        }
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = info_stride(&frame)?;
        let plane = frame.comp_data(0)?;
        let data = plane
            .chunks(stride)
            .take(height)
            .flat_map(|row| &row[..width])
            .copied()
            .collect();
        Ok(Self { width, data })
    }

    /// Returns the blend of two frames, `phase` of the way between them.
    fn blend(&self, other: &Self, phase: f64) -> Result<Self> {
        self.same_size(other)?;
        let weight = (phase * 256.0).round() as u32;
        let mix = |(&a, &b): (&u8, &u8)| {
            ((u32::from(a) * (256 - weight) + u32::from(b) * weight + 128) >> 8) as u8
        };
        Ok(Self {
            width: self.width,
            data: self.data.iter().zip(&other.data).map(mix).collect(),
        })
    }

    /// Returns the peak signal to noise ratio in dB; 100 for equal frames.
    fn psnr(&self, other: &Self) -> Result<f64> {
        self.same_size(other)?;
        let square = |(&a, &b): (&u8, &u8)| u64::from(a.abs_diff(b)).pow(2);
        let error: u64 = self.data.iter().zip(&other.data).map(square).sum();
        let mean = error as f64 / self.data.len().max(1) as f64;
        Ok((10.0 * (255.0 * 255.0 / mean).log10()).min(100.0))
    }

    fn same_size(&self, other: &Self) -> Result<()> {
        if (self.width, self.data.len()) != (other.width, other.data.len()) {
            bail!(
                "the frames differ in size: {} and {} wide",
                self.width,
                other.width
            );
        }
        Ok(())
    }
}

fn info_stride(frame: &gst_video::VideoFrameRef<&gst::BufferRef>) -> Result<usize> {
    usize::try_from(frame.comp_stride(0))
        .ok()
        .filter(|stride| *stride > 0)
        .context("upside down")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(data: &[u8]) -> Luma {
        Luma {
            width: data.len(),
            data: data.to_vec(),
        }
    }

    #[test]
    fn blends_by_phase() {
        let (a, b) = (luma(&[0, 100]), luma(&[100, 0]));
        assert_eq!(a.blend(&b, 0.5).unwrap(), luma(&[50, 50]));
        assert_eq!(a.blend(&b, 0.25).unwrap(), luma(&[25, 75]));
    }

    #[test]
    fn psnr_is_the_textbooks() {
        let noise = luma(&[10, 20]).psnr(&luma(&[11, 21])).unwrap();
        assert!((noise - 48.13).abs() < 0.01);
        assert_eq!(luma(&[7]).psnr(&luma(&[7])).unwrap(), 100.0);
        assert!(luma(&[7]).psnr(&luma(&[7, 7])).is_err());
    }
}
