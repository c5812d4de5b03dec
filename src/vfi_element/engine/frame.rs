//! Input frames, and what the network needs of them: made when it is first needed, or before that,
//! beside the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::HostFrame;
use super::{Backend, Engine};
use crate::frames::readable;
use crate::models::device::DeviceFrame;
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::scene::thumbnail::Thumbnail;

/// An input frame and what the network needs of it.
#[derive(Debug)]
pub(in crate::vfi_element) struct Frame {
    /// The original.
    pub buffer: gst::Buffer,
    pub(super) input: Option<NetworkInput>,
}

/// Data that the network needs of a frame.
#[derive(Debug)]
pub(in crate::vfi_element) struct NetworkInput {
    pub(super) picture: PreparedPicture,
    pub(super) thumbnail: Thumbnail,
    /// The configuration it was made under.
    pub(super) generation: u64,
}

/// Prepared picture, in the place where frames are made.
#[derive(Debug)]
pub(super) enum PreparedPicture {
    Host(Arc<HostFrame>),
    Device(Arc<DeviceFrame>),
}

/// Data that the network needs of a frame whose turn has not come yet.
pub(in crate::vfi_element) struct Ready {
    /// The frame's buffer, held so that no other frame's has the same address.
    buffer: gst::Buffer,
    input: NetworkInput,
    took: Duration,
}

/// Job that makes a frame ready; `None` if that can't be done, which turns out again in the
/// frame's own turn.
pub(in crate::vfi_element) type MakeReady = Box<dyn FnOnce() -> Option<Ready> + Send>;

impl Frame {
    /// Creates a frame of which `input` has been made, if anything.
    pub(in crate::vfi_element) fn new(buffer: gst::Buffer, input: Option<NetworkInput>) -> Self {
        Self { buffer, input }
    }
}

impl Ready {
    /// Returns the data and how long making it took, if it is of this frame; which nobody else
    /// holds after that.
    pub(in crate::vfi_element) fn of(
        self,
        buffer: &gst::Buffer,
    ) -> Option<(NetworkInput, Duration)> {
        (self.buffer.as_ptr() == buffer.as_ptr()).then_some((self.input, self.took))
    }
}

impl Engine {
    /// Returns a job that makes a frame ready that comes next, beside the network. `None` where
    /// nothing is gained: on the host the network takes the processor anyway.
    pub(in crate::vfi_element) fn make_ready(&mut self, buffer: gst::Buffer) -> Option<MakeReady> {
        let Backend::Device(_) = self.configured.as_ref()?.backend else {
            return None;
        };
        let preparation = self.preparation(&buffer).ok()?;
        let thumbnail = std::mem::take(&mut self.spare);
        Some(Box::new(move || {
            let start = Instant::now();
            let input = preparation.run(&buffer, thumbnail).ok()?;
            let took = start.elapsed();
            Some(Ready {
                buffer,
                input,
                took,
            })
        }))
    }

    /// Makes the data that the network needs of two frames, and returns their thumbnails.
    pub(in crate::vfi_element) fn prepare_pair<'f>(
        &mut self,
        a: &'f mut Frame,
        b: &'f mut Frame,
    ) -> Result<(&'f Thumbnail, &'f Thumbnail), Failure> {
        self.prepare(a)?;
        self.prepare(b)?;
        match (&a.input, &b.input) {
            (Some(a), Some(b)) => Ok((&a.thumbnail, &b.thumbnail)),
            _ => Err(not_ready()),
        }
    }

    /// Makes the data that the network needs of a frame, unless that was done before.
    pub(super) fn prepare(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        let Some(configured) = &mut self.configured else {
            return Err(not_ready());
        };
        let generation = configured.generation;
        let input = frame.input.as_ref();
        if input.is_some_and(|input| input.generation == generation) {
            return Ok(());
        }
        // the memory it takes is given back first
        let outdated = frame.input.take().map(|input| input.thumbnail);
        let mut thumbnail = outdated.unwrap_or_else(|| std::mem::take(&mut self.spare));
        let buffer = &frame.buffer;
        frame.input = Some(match &mut configured.backend {
            Backend::Host(host) => {
                let mapped = readable(buffer, &configured.format.info)?;
                let made = host.prepare(&self.interpolator, &mapped)?;
                thumbnail.set(&made.picture);
                NetworkInput {
                    picture: PreparedPicture::Host(made),
                    thumbnail,
                    generation,
                }
            }
            Backend::Device(_) => self.preparation(buffer)?.run(buffer, thumbnail)?,
        });
        Ok(())
    }

    /// Takes back the storage of a frame that is no longer needed.
    pub(in crate::vfi_element) fn recycle(&mut self, frame: Frame) {
        let Some(input) = frame.input else {
            return;
        };
        self.spare = input.thumbnail;
        let backend = self.configured.as_mut().map(|c| &mut c.backend);
        // one on the device is given back by being dropped
        if let (Some(Backend::Host(host)), PreparedPicture::Host(made)) = (backend, input.picture) {
            host.recycle(made);
        }
    }
}
