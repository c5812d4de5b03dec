//! Frames whose making ends on another thread, while the network is at the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Engine, Failure, Frame, Made, Times, Way, not_ready, readable, writable};
use crate::frames::{self, Motion};
use crate::models::Estimate;
use crate::models::device::Outcome;

/// What is left to be done to make a frame, in the buffer that was begun with; gives how long it took.
pub(in crate::vfi_element) type Finish =
    Box<dyn FnOnce(&mut gst::BufferRef) -> Result<Duration, Failure> + Send>;

impl Engine {
    /// Whether there is something to gain: a network on a device leaves the processor to others.
    pub(in crate::vfi_element) fn is_apart(&self) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::is_apart() {
            return true;
        }
        self.is_on_device()
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
        let shrunk = Instant::now();
        let finish = self.parted(a, b, phase)?;
        let times = Times {
            shrink: shrunk - start,
            estimate: shrunk.elapsed(),
            synthesise: Duration::ZERO,
        };
        match finish {
            Some(finish) => Ok((times, Some(finish))),
            None => Ok((self.synthesise(a, b, phase, out)?, None)),
        }
    }

    /// What is left to be done behind the network, if that can be parted from it.
    fn parted(&mut self, a: &Frame, b: &Frame, phase: f64) -> Result<Option<Finish>, Failure> {
        let (Some(stage), Some(small_a), Some(small_b)) = (&mut self.stage, &a.small, &b.small)
        else {
            return Err(not_ready());
        };
        let interpolator = &mut self.interpolator;
        let (info, layout) = (stage.info.clone(), stage.layout.clone());
        match (&mut stage.way, &small_a.made, &small_b.made) {
            (Way::Host(host), Made::Host(small_a), Made::Host(small_b)) => {
                let Some(sampling) = host.warps() else {
                    return Ok(None);
                };
                let phase = phase as f32;
                let estimate =
                    interpolator.estimate(&small_a.prepared, &small_b.prepared, phase)?;
                let Estimate::Motion(motion) = estimate else {
                    return Ok(None);
                };
                // the answer's memory is gone with the network's next run
                let (flow, mask) = (copied(motion.flow)?, copied(motion.mask)?);
                let motion = Motion {
                    flow: &[],
                    mask: &[],
                    ..motion
                };
                let (a, b) = (a.buffer.clone(), b.buffer.clone());
                Ok(Some(Box::new(move |out| {
                    let start = Instant::now();
                    let (a, b) = (readable(&a, &info)?, readable(&b, &info)?);
                    let mut out = writable(out, &info)?;
                    let motion = Motion {
                        flow: &flow,
                        mask: &mask,
                        ..motion
                    };
                    frames::synthesise(
                        &layout.planes(&a)?,
                        &layout.planes(&b)?,
                        &motion,
                        sampling,
                        &mut layout.planes_mut(&mut out)?,
                    )?;
                    Ok(start.elapsed())
                })))
            }
            (Way::Device(device), Made::Device(a), Made::Device(b)) => {
                let (a, b) = (Arc::clone(a), Arc::clone(b));
                match device.estimate(interpolator, &a, &b, phase as f32)? {
                    Outcome::Found => {}
                    Outcome::First | Outcome::Second => return Ok(None),
                }
                let Some(unfinished) = device.part(interpolator, [&a, &b], phase) else {
                    return Ok(None);
                };
                Ok(Some(Box::new(move |out| {
                    let start = Instant::now();
                    let mut out = writable(out, &info)?;
                    unfinished.finish(&mut layout.planes_mut(&mut out)?)?;
                    Ok(start.elapsed())
                })))
            }
            _ => Err(not_ready()),
        }
    }
}

fn copied(values: &[f32]) -> Result<Vec<f32>, Failure> {
    let mut copy = Vec::new();
    frames::space::reserve(&mut copy, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}
