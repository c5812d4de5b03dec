//! Frames whose making ends on another thread, while the network is at the next one.

use std::time::{Duration, Instant};

use super::{Engine, Failure, Frame, Times, not_ready, readable, writable};
use crate::frames::{self, Motion};
use crate::models::{Estimate, ExecutionProvider};

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
        matches!(
            self.info().provider,
            ExecutionProvider::Cuda | ExecutionProvider::TensorRt
        )
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
        if stage.enlarger.is_some() {
            return Ok((self.synthesise(a, b, phase, out)?, None));
        }
        let shrunk = Instant::now();
        let estimate =
            self.interpolator
                .estimate(&small_a.prepared, &small_b.prepared, phase as f32)?;
        let Estimate::Motion(motion) = estimate else {
            // the nearer original
            return Ok((self.synthesise(a, b, phase, out)?, None));
        };
        let times = Times {
            shrink: shrunk - start,
            estimate: shrunk.elapsed(),
            synthesise: Duration::ZERO,
        };
        // the answer's memory is the network's, and gone with its next run
        let (flow, mask) = (copied(motion.flow)?, copied(motion.mask)?);
        let motion = Motion {
            flow: &[],
            mask: &[],
            ..motion
        };
        let (info, layout) = (stage.info.clone(), stage.layout.clone());
        let sampling = stage.look.upscale_method.into();
        let (a, b) = (a.buffer.clone(), b.buffer.clone());
        let finish = move |out: &mut gst::BufferRef| {
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
        };
        Ok((times, Some(Box::new(finish))))
    }
}

fn copied(values: &[f32]) -> Result<Vec<f32>, Failure> {
    let mut copy = Vec::new();
    frames::space::reserve(&mut copy, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}
