//! Frames between GStreamer's buffers and a device's stage: through the host, or within the device where they
//! lie in CUDA's memory.

use std::sync::Arc;

use anyhow::anyhow;

use super::frame::NetworkInput;
use super::{Engine, Frame, PreparedPicture, Way};
use crate::frames::{FrameLayout, readable, writable};
use crate::models::device::{Dense, Preparation, Sink, Source, Task};
use crate::vfi_element::cuda::{self, Copier};
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::scene::thumbnail::Thumbnail;

/// Returns the copier of a frame, if that lies in CUDA's memory on `device`; made in `place` with
/// the first one.
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

/// Preparation of a frame where the network is, on whatever thread.
pub(super) struct Preprocessor {
    preparation: Preparation,
    /// Copier, if the frame lies in CUDA's memory.
    copier: Option<Arc<Copier>>,
    layout: FrameLayout,
    info: gst_video::VideoInfo,
    /// Size of the network's picture.
    size: (usize, usize),
    generation: u64,
}

impl Preprocessor {
    /// Makes the frame in `buffer` ready, its thumbnail in the place of another.
    pub(super) fn run(
        self,
        buffer: &gst::Buffer,
        mut thumbnail: Thumbnail,
    ) -> Result<NetworkInput, Failure> {
        let (preparation, info) = (self.preparation, &self.info);
        let made = if let Some(copier) = self.copier {
            let mut fetch = |planes: &[Dense]| copier.fetch(buffer, info, planes);
            preparation.run(Source::Copied(&mut fetch))?
        } else {
            let mapped = readable(buffer, info)?;
            preparation.run(Source::Host(&self.layout.planes(&mapped)?))?
        };
        thumbnail.set_cells(self.size, made.thumbnail());
        Ok(NetworkInput {
            made: PreparedPicture::Device(Arc::new(made)),
            thumbnail,
            generation: self.generation,
        })
    }
}

/// Makes a frame in a buffer.
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
    /// Returns the job that makes a frame ready where the network is.
    pub(super) fn readier(&mut self, buffer: &gst::BufferRef) -> Result<Preprocessor, Failure> {
        let Some(stage) = &self.stage else {
            return Err(not_ready());
        };
        let Way::Device(device) = &stage.way else {
            return Err(not_ready());
        };
        Ok(Preprocessor {
            preparation: device.prepare(),
            copier: copier(&mut self.copier, self.device, buffer)?,
            layout: stage.layout.clone(),
            info: stage.info.clone(),
            size: stage.look.size,
            generation: stage.generation,
        })
    }

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
        let (PreparedPicture::Device(a), PreparedPicture::Device(b)) =
            (&small_a.made, &small_b.made)
        else {
            return Err(not_ready());
        };
        let found = device.difference(a, b)?;
        Ok((found <= limit).then_some(found))
    }
}
