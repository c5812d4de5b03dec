//! Frames whose making ends on another thread, while the network is at the next one.

use std::time::{Duration, Instant};

use super::transfer::{self, copier};
use super::{Engine, Frame, Outcome, PreparedPicture, Way};
use crate::frames::{self, Motion, readable, writable};
use crate::models::Estimate;
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::stats::Times;

/// Work left to make a frame, in the buffer that was begun with; returns how long it took.
pub(in crate::vfi_element) type Finish =
    Box<dyn FnOnce(&mut gst::BufferRef) -> Result<Duration, Failure> + Send>;

impl Engine {
    /// Whether there is something to gain: a network on a device leaves the processor to others.
    pub(in crate::vfi_element) fn gains_by_deferring(&self) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::is_apart() {
            return true;
        }
        self.info().provider.is_gpu()
    }

    /// Begins with the frame at `phase` between `a` and `b`; nothing is left to be done where that
    /// can't be parted from what comes next.
    pub(in crate::vfi_element) fn begin(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        phase: f64,
        out: &mut gst::BufferRef,
    ) -> Result<(Times, Option<Finish>), Failure> {
        let start = Instant::now();
        self.prepare(a)?;
        self.prepare(b)?;
        let (Some(stage), Some(small_a), Some(small_b)) = (&mut self.stage, &a.small, &b.small)
        else {
            return Err(not_ready());
        };
        let shrunk = Instant::now();
        let times = || Times {
            shrink: shrunk - start,
            estimate: shrunk.elapsed(),
            synthesise: Duration::ZERO,
        };
        let (info, layout) = (stage.info.clone(), stage.layout.clone());
        match (&mut stage.way, &small_a.made, &small_b.made) {
            (
                Way::Device(device),
                PreparedPicture::Device(first),
                PreparedPicture::Device(second),
            ) => {
                let interpolator = &mut self.interpolator;
                if device.estimate(interpolator, first, second, phase as f32)? == Outcome::Found {
                    let task = device.finish(interpolator, [first, second])?;
                    let copier = copier(&mut self.copier, self.device, out)?;
                    let finish = move |out: &mut gst::BufferRef| {
                        let start = Instant::now();
                        transfer::finish(task, copier.as_deref(), &layout, &info, out)?;
                        Ok(start.elapsed())
                    };
                    return Ok((times(), Some(Box::new(finish))));
                }
            }
            (Way::Host(host), PreparedPicture::Host(first), PreparedPicture::Host(second)) => {
                if let Some(sampling) = host.warping()
                    && let Estimate::Motion(motion) = (self.interpolator).estimate(
                        &first.prepared,
                        &second.prepared,
                        phase as f32,
                    )?
                {
                    let (times, a, b) = (times(), a.buffer.clone(), b.buffer.clone());
                    let motion = Kept::of(&motion)?;
                    let finish = move |out: &mut gst::BufferRef| {
                        let start = Instant::now();
                        let (a, b) = (readable(&a, &info)?, readable(&b, &info)?);
                        let mut out = writable(out, &info)?;
                        frames::synthesise(
                            &layout.planes(&a)?,
                            &layout.planes(&b)?,
                            &motion.as_motion(),
                            sampling,
                            &mut layout.planes_mut(&mut out)?,
                        )?;
                        Ok(start.elapsed())
                    };
                    return Ok((times, Some(Box::new(finish))));
                }
            }
            _ => return Err(not_ready()),
        }
        // a picture, or the nearer original
        Ok((self.synthesise(a, b, phase, out)?, None))
    }
}

/// Motion that was copied: the answer's memory is the network's, and gone with its next run.
struct Kept {
    motion: Motion<'static>,
    flow: Vec<f32>,
    mask: Vec<f32>,
}

impl Kept {
    fn of(motion: &Motion) -> Result<Self, Failure> {
        Ok(Self {
            flow: copied(motion.flow)?,
            mask: copied(motion.mask)?,
            motion: Motion {
                flow: &[],
                mask: &[],
                ..*motion
            },
        })
    }

    fn as_motion(&self) -> Motion<'_> {
        Motion {
            flow: &self.flow,
            mask: &self.mask,
            ..self.motion
        }
    }
}

fn copied(values: &[f32]) -> Result<Vec<f32>, Failure> {
    let mut copy = Vec::new();
    frames::space::reserve(&mut copy, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}
