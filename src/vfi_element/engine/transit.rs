//! Frames between GStreamer's buffers and a device's stage: through the host, or within the device where they
//! lie in CUDA's memory.

use std::sync::Arc;

use anyhow::anyhow;

use super::{Engine, Failure, Frame, Made, Way, not_ready, readable, writable};
use crate::frames::FrameLayout;
use crate::models::device::{Dense, DeviceFrame, Preparation, Sink, Source, Task};
use crate::vfi_element::cuda::{self, Copier};

/// What copies a frame, if it lies in CUDA's memory on `device`; made in `place` with the first one.
pub(super) fn copier(
    place: &mut Option<Arc<Copier>>,
    device: i32,
    buffer: &gst::BufferRef,
) -> Result<Option<Arc<Copier>>, Failure> {
    if !cuda::holds(buffer) {
        return Ok(None);
    }
    let copier = match place {
        Some(copier) => copier,
        none => none.insert(Arc::new(Copier::new(device).map_err(|e| anyhow!(e))?)),
    };
    Ok(Some(Arc::clone(copier)))
}

/// Makes a frame ready where the network is.
pub(super) fn prepare(
    preparation: Preparation,
    copier: Option<&Copier>,
    layout: &FrameLayout,
    info: &gst_video::VideoInfo,
    buffer: &gst::Buffer,
) -> Result<DeviceFrame, Failure> {
    if let Some(copier) = copier {
        let mut fetch = |planes: &[Dense]| copier.fetch(buffer, info, planes);
        return Ok(preparation.run(Source::Copied(&mut fetch))?);
    }
    let mapped = readable(buffer, info)?;
    Ok(preparation.run(Source::Host(&layout.planes(&mapped)?))?)
}

/// Has a frame made in a buffer.
pub(super) fn finish(
    task: Task,
    copier: Option<&Copier>,
    layout: &FrameLayout,
    info: &gst_video::VideoInfo,
    out: &mut gst::BufferRef,
) -> Result<(), Failure> {
    if let Some(copier) = copier {
        let mut store = |planes: &[Dense]| copier.store(planes, out, info);
        return Ok(task.run(Sink::Copied(&mut store))?);
    }
    let mut out = writable(out, info)?;
    Ok(task.run(Sink::Host(&mut layout.planes_mut(&mut out)?))?)
}

impl Engine {
    /// [`Engine::difference`] of frames that lie on the device, as the network does.
    pub(super) fn device_difference(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, Failure> {
        self.prepare(a)?;
        self.prepare(b)?;
        let way = self.stage.as_mut().map(|stage| &mut stage.way);
        let (Some(Way::Device(device)), Some(small_a), Some(small_b)) = (way, &a.small, &b.small)
        else {
            return Err(not_ready());
        };
        let (Made::Device(a), Made::Device(b)) = (&small_a.made, &small_b.made) else {
            return Err(not_ready());
        };
        let found = device.difference(a, b)?;
        Ok((found <= limit).then_some(found))
    }
}
