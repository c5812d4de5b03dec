//! Input frames, and what the network needs of them: made when it is first needed, or before that, beside the
//! network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::HostFrame;
use super::{Engine, Way};
use crate::frames::readable;
use crate::models::device::DeviceFrame;
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::scene::thumbnail::Thumbnail;

/// An input frame and what the network needs of it.
#[derive(Debug)]
pub(in crate::vfi_element) struct Frame {
    /// The original.
    pub buffer: gst::Buffer,
    pub(super) small: Option<NetworkInput>,
}

/// Data that the network needs of a frame.
#[derive(Debug)]
pub(in crate::vfi_element) struct NetworkInput {
    pub(super) made: PreparedPicture,
    pub(super) thumbnail: Thumbnail,
    /// The configuration it was made under.
    pub(super) generation: u64,
}

/// Prepared picture, in the place where frames are made.
#[derive(Debug)]
pub(super) enum PreparedPicture {
    Host(Box<HostFrame>),
    Device(Arc<DeviceFrame>),
}

/// Data that the network needs of a frame whose turn has not come yet.
pub(in crate::vfi_element) struct Ready {
    /// The frame's buffer, held so that no other frame's has the same address.
    buffer: gst::Buffer,
    small: NetworkInput,
    took: Duration,
}

/// Job that makes a frame ready; `None` if that can't be done, which turns out again in the
/// frame's own turn.
pub(in crate::vfi_element) type MakeReady = Box<dyn FnOnce() -> Option<Ready> + Send>;

impl Frame {
    /// A frame of which `small` has been made, if anything.
    pub(in crate::vfi_element) fn new(buffer: gst::Buffer, small: Option<NetworkInput>) -> Self {
        Self { buffer, small }
    }
}

impl Ready {
    /// Returns the data and how long making it took, if it is of this frame; which nobody else
    /// holds after that.
    pub(in crate::vfi_element) fn of(
        self,
        buffer: &gst::Buffer,
    ) -> Option<(NetworkInput, Duration)> {
        (self.buffer.as_ptr() == buffer.as_ptr()).then_some((self.small, self.took))
    }
}

impl Engine {
    /// Returns a job that makes a frame ready that comes next, beside the network. `None` where
    /// nothing is gained: on the host the network takes the processor anyway.
    pub(in crate::vfi_element) fn make_ready(&mut self, buffer: gst::Buffer) -> Option<MakeReady> {
        let Way::Device(_) = self.stage.as_ref()?.way else {
            return None;
        };
        let readier = self.readier(&buffer).ok()?;
        let thumbnail = std::mem::take(&mut self.spare);
        Some(Box::new(move || {
            let start = Instant::now();
            let small = readier.run(&buffer, thumbnail).ok()?;
            let took = start.elapsed();
            Some(Ready {
                buffer,
                small,
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
        match (&a.small, &b.small) {
            (Some(a), Some(b)) => Ok((&a.thumbnail, &b.thumbnail)),
            _ => Err(not_ready()),
        }
    }

    pub(super) fn prepare(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        let Some(stage) = &mut self.stage else {
            return Err(not_ready());
        };
        let generation = stage.generation;
        let small = frame.small.as_ref();
        if small.is_some_and(|small| small.generation == generation) {
            return Ok(());
        }
        // the memory it takes is given back first
        let outdated = frame.small.take().map(|small| small.thumbnail);
        let mut thumbnail = outdated.unwrap_or_else(|| std::mem::take(&mut self.spare));
        let buffer = &frame.buffer;
        frame.small = Some(match &mut stage.way {
            Way::Host(host) => {
                let made = host.prepare(&self.interpolator, &readable(buffer, &stage.info)?)?;
                thumbnail.set(&made.picture);
                NetworkInput {
                    made: PreparedPicture::Host(made),
                    thumbnail,
                    generation,
                }
            }
            Way::Device(_) => self.readier(buffer)?.run(buffer, thumbnail)?,
        });
        Ok(())
    }

    /// Takes back the storage of a frame that is no longer needed.
    pub(in crate::vfi_element) fn recycle(&mut self, frame: Frame) {
        let Some(small) = frame.small else {
            return;
        };
        self.spare = small.thumbnail;
        let way = self.stage.as_mut().map(|stage| &mut stage.way);
        // one on the device is given back by being dropped
        if let (Some(Way::Host(host)), PreparedPicture::Host(made)) = (way, small.made) {
            host.recycle(made);
        }
    }
}
