//! Synthesised frames: begun with the network's run, and finished at full size in their buffers, at
//! once or on another thread while the network is at the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::format::FrameFormat;
use super::frame::PreparedPicture;
use super::host::HostFinish;
use super::transfer::{copier, finish_on_device};
use super::{Backend, Engine, Frame};
use crate::frames::{self, Motion, Sampling, readable, writable};
use crate::models::device::{Outcome, PostprocessJob};
use crate::vfi_element::cuda::Copier;
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::stats::Times;

/// A frame that the network has been asked for, and that is yet to be made in its buffer. It holds
/// all that takes.
pub(in crate::vfi_element) struct UnfinishedFrame {
    buffer: gst::Buffer,
    format: Arc<FrameFormat>,
    finish: FinishStep,
    times: Times,
    generation: u64,
}

/// Way in which a frame is made in its buffer.
enum FinishStep {
    /// On the host.
    Host(HostFinish),
    /// Where the network is; with a copier, if the frame lies in CUDA's memory.
    Device(PostprocessJob, Option<Arc<Copier>>),
}

impl UnfinishedFrame {
    /// Makes the frame, and returns it with the times it took.
    pub(in crate::vfi_element) fn finish(mut self) -> Result<(gst::Buffer, Times), Failure> {
        let (start, format) = (Instant::now(), &*self.format);
        let out = self.buffer.make_mut();
        match self.finish {
            FinishStep::Host(finish) => finish.run(format, &mut writable(out, &format.info)?)?,
            FinishStep::Device(job, copier) => {
                finish_on_device(job, copier.as_deref(), format, out)?;
            }
        }
        self.times.synthesise = start.elapsed();
        Ok((self.buffer, self.times))
    }

    /// Returns the configuration of the engine under which it was begun.
    pub(in crate::vfi_element) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Engine {
    /// Returns whether there is something to gain from finishing frames on another thread: a network
    /// on a device leaves the processor to others.
    pub(in crate::vfi_element) fn gains_by_deferring(&self) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::is_apart() {
            return true;
        }
        self.info().provider.is_gpu()
    }

    /// Begins the frame at `phase` between `a` and `b`: prepares both and runs the network. The
    /// frame is to be made in `buffer`, which is of the configured caps.
    pub(in crate::vfi_element) fn begin(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        phase: f64,
        buffer: gst::Buffer,
    ) -> Result<UnfinishedFrame, Failure> {
        let start = Instant::now();
        self.prepare(a)?;
        self.prepare(b)?;
        let (Some(configured), Some(input_a), Some(input_b)) =
            (&mut self.configured, &a.input, &b.input)
        else {
            return Err(not_ready());
        };
        let prepared = Instant::now();
        let (interpolator, originals) = (&mut self.interpolator, [&a.buffer, &b.buffer]);
        let pictures = (&input_a.picture, &input_b.picture);
        let finish = match (&mut configured.backend, pictures) {
            (Backend::Host(host), (PreparedPicture::Host(a), PreparedPicture::Host(b))) => {
                FinishStep::Host(host.estimate(interpolator, [a, b], originals, phase as f32)?)
            }
            (Backend::Device(device), (PreparedPicture::Device(a), PreparedPicture::Device(b))) => {
                match device.estimate(interpolator, a, b, phase as f32)? {
                    Outcome::Found => {
                        let job = device.finish(interpolator, [a, b])?;
                        let copier = copier(&mut self.copier, self.device, &buffer)?;
                        FinishStep::Device(job, copier)
                    }
                    Outcome::First => FinishStep::Host(HostFinish::Copy(originals[0].clone())),
                    Outcome::Second => FinishStep::Host(HostFinish::Copy(originals[1].clone())),
                }
            }
            _ => return Err(not_ready()),
        };
        Ok(UnfinishedFrame {
            buffer,
            format: Arc::clone(&configured.format),
            finish,
            times: Times {
                shrink: prepared - start,
                estimate: prepared.elapsed(),
                synthesise: Duration::ZERO,
                waits: self.interpolator.take_waits(),
            },
            generation: configured.generation,
        })
    }

    /// Lays `b` over `a` in `out`, as much as `phase` says, in the frames' own format.
    pub(in crate::vfi_element) fn crossfade(
        &self,
        a: &Frame,
        b: &Frame,
        phase: f64,
        out: &mut gst::BufferRef,
    ) -> Result<(), Failure> {
        let Some(configured) = &self.configured else {
            return Err(not_ready());
        };
        let FrameFormat { info, layout } = &*configured.format;
        let (a, b) = (readable(&a.buffer, info)?, readable(&b.buffer, info)?);
        let mut out = writable(out, info)?;
        let standing = Motion {
            width: 1,
            height: 1,
            cover_x: 1.0,
            cover_y: 1.0,
            unit: 1.0,
            flow: &[0.0; 4],
            mask: &[1.0 - phase as f32],
        };
        frames::synthesise(
            &layout.planes(&a)?.get(),
            &layout.planes(&b)?.get(),
            &standing,
            Sampling::Bilinear,
            &mut layout.planes_mut(&mut out)?.get(),
        )?;
        Ok(())
    }
}
