//! Frames between GStreamer's buffers and a device's pipeline: through the host, or within the
//! device where they lie in CUDA's memory.

use std::sync::Arc;

use anyhow::anyhow;

use super::format::FrameFormat;
use super::frame::NetworkInput;
use super::{Backend, Engine, Frame, PreparedPicture};
use crate::frames::{readable, writable};
use crate::models::device::{Dense, FrameSink, FrameSource, PostprocessJob, PreprocessJob};
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
pub(super) struct FramePreparation {
    job: PreprocessJob,
    /// Copier, if the frame lies in CUDA's memory.
    copier: Option<Arc<Copier>>,
    format: Arc<FrameFormat>,
    /// Size of the network's picture.
    size: (usize, usize),
    generation: u64,
}

impl FramePreparation {
    /// Makes the frame in `buffer` ready, its thumbnail in the place of another.
    pub(super) fn run(
        self,
        buffer: &gst::Buffer,
        mut thumbnail: Thumbnail,
    ) -> Result<NetworkInput, Failure> {
        let FrameFormat { info, layout } = &*self.format;
        let made = if let Some(copier) = self.copier {
            let mut fetch = |planes: &[Dense]| copier.fetch(buffer, info, planes);
            self.job.run(FrameSource::Copied(&mut fetch))?
        } else {
            let mapped = readable(buffer, info)?;
            self.job
                .run(FrameSource::Host(&layout.planes(&mapped)?.get()))?
        };
        thumbnail.set_cells(self.size, made.thumbnail());
        Ok(NetworkInput {
            picture: PreparedPicture::Device(Arc::new(made)),
            thumbnail,
            generation: self.generation,
        })
    }
}

/// Makes a frame in a buffer.
pub(super) fn finish_on_device(
    job: PostprocessJob,
    copier: Option<&Copier>,
    FrameFormat { info, layout }: &FrameFormat,
    out: &mut gst::BufferRef,
) -> Result<(), Failure> {
    if let Some(copier) = copier {
        let mut store = |planes: &[Dense]| copier.store(planes, out, info);
        return Ok(job.run(FrameSink::Copied(&mut store))?);
    }
    let mut out = writable(out, info)?;
    let mut planes = layout.planes_mut(&mut out)?;
    Ok(job.run(FrameSink::Host(&mut planes.get()))?)
}

impl Engine {
    /// Returns the preparation of a frame where the network is.
    pub(super) fn preparation(
        &mut self,
        buffer: &gst::BufferRef,
    ) -> Result<FramePreparation, Failure> {
        let Some(configured) = &self.configured else {
            return Err(not_ready());
        };
        let Backend::Device(device) = &configured.backend else {
            return Err(not_ready());
        };
        Ok(FramePreparation {
            job: device.prepare(),
            copier: copier(&mut self.copier, self.device, buffer)?,
            format: Arc::clone(&configured.format),
            size: configured.look.size,
            generation: configured.generation,
        })
    }

    /// Compares frames as [`Engine::difference`] does, where they lie on the device, as the network
    /// does.
    pub(super) fn device_difference(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, Failure> {
        self.prepare(a)?;
        self.prepare(b)?;
        let backend = self.configured.as_mut().map(|c| &mut c.backend);
        let (Some(Backend::Device(device)), Some(a), Some(b)) = (backend, &a.input, &b.input)
        else {
            return Err(not_ready());
        };
        let (PreparedPicture::Device(a), PreparedPicture::Device(b)) = (&a.picture, &b.picture)
        else {
            return Err(not_ready());
        };
        let found = device.difference(a, b)?;
        Ok((found <= limit).then_some(found))
    }
}
