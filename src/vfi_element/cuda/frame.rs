//! Frames in CUDA's memory, as the device sees them.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use glib::translate::ToGlibPtr;

use super::library::{CudaMemory, library};
use super::stream::{Copy, Place, Stream};

/// `GST_MAP_CUDA`: maps for the device rather than for the host.
const MAP_CUDA: u32 = gst::ffi::GST_MAP_FLAG_LAST << 1;

/// Rows that follow one another without anything in between, outside of GStreamer's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    /// Where the first byte lies.
    pub(super) address: usize,
    /// Whether that is on the device, in its primary context, rather than on the host.
    pub(super) on_device: bool,
    /// Bytes in a row.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

/// A mapped frame; its planes are addresses of the device.
struct Mapped<'a> {
    frame: gst_video::ffi::GstVideoFrame,
    /// The `CUcontext` of its memory.
    context: *mut std::ffi::c_void,
    buffer: PhantomData<&'a gst::BufferRef>,
}

impl<'a> Mapped<'a> {
    fn new(
        buffer: &'a gst::BufferRef,
        info: &gst_video::VideoInfo,
        flag: u32,
    ) -> Result<Self, String> {
        let library = library()?;
        if buffer.n_memory() != 1 {
            return Err(format!(
                "a frame in CUDA's memory is one memory, and here are {}",
                buffer.n_memory()
            ));
        }
        let memory = buffer.peek_memory(0).as_ptr().cast_mut();
        // SAFETY: the memory belongs to the buffer, which is borrowed.
        if unsafe { (library.is_cuda_memory)(memory) } == glib::ffi::GFALSE {
            return Err("a frame said to be in CUDA's memory is not".into());
        }
        // SAFETY: it is a GstCudaMemory, whose context lives as long as it does.
        let context =
            unsafe { (library.context_get_handle)((*memory.cast::<CudaMemory>()).context) };
        let mut frame = MaybeUninit::zeroed();
        // SAFETY: buffer and info are borrowed, and the frame is there to be written.
        let mapped = unsafe {
            gst_video::ffi::gst_video_frame_map(
                frame.as_mut_ptr(),
                info.to_glib_none().0.cast_mut(),
                buffer.as_ptr().cast_mut(),
                flag | MAP_CUDA,
            )
        };
        if mapped == glib::ffi::GFALSE {
            return Err("a frame can't be mapped for the device".into());
        }
        if let Some(sync) = library.memory_sync {
            // SAFETY: it is a GstCudaMemory.
            unsafe { sync(memory) };
        }
        Ok(Self {
            // SAFETY: it was mapped.
            frame: unsafe { frame.assume_init() },
            context,
            buffer: PhantomData,
        })
    }

    /// The planes, each beside the dense one that it belongs to.
    fn beside<'p>(
        &self,
        planes: &'p [Dense],
    ) -> Result<impl Iterator<Item = (Place, &'p Dense)>, String> {
        let count = self.frame.info.finfo;
        // SAFETY: the description of a mapped frame's format is a constant.
        let count = unsafe { (*count).n_planes } as usize;
        if planes.len() != count {
            return Err(format!("{} planes for a frame of {count}", planes.len()));
        }
        let mut places = Vec::with_capacity(count);
        for (plane, dense) in planes.iter().enumerate() {
            let pitch = usize::try_from(self.frame.info.stride[plane]).unwrap_or(0);
            if pitch < dense.width {
                return Err(format!(
                    "plane {plane} has rows of {pitch} bytes, and {} are needed",
                    dense.width
                ));
            }
            let address = self.frame.data[plane] as usize;
            places.push((Place::device(address, self.context, pitch), dense));
        }
        Ok(places.into_iter())
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { gst_video::ffi::gst_video_frame_unmap(&raw mut self.frame) };
    }
}

/// Copies frames out of GStreamer's CUDA memory and back, whatever context that belongs to, without
/// what lies between their rows.
#[derive(Debug)]
pub(super) struct Copier(Stream);

impl Copier {
    /// For frames on a device.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn new(device: i32) -> Result<Self, String> {
        Stream::new(device).map(Self)
    }

    fn place(&self, dense: &Dense) -> Place {
        match dense.on_device {
            true => Place::device(dense.address, self.0.context(), dense.width),
            false => Place::host(dense.address as *mut _, dense.width),
        }
    }

    /// Copies a frame's planes into these; done when it returns.
    ///
    /// # Errors
    /// If the frame isn't one in CUDA's memory, has other planes, or the driver refuses.
    ///
    /// # Safety
    /// The planes can be written as they say, are no larger than the frame's, and nobody else uses them
    /// meanwhile.
    pub(super) unsafe fn fetch(
        &self,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        planes: &[Dense],
    ) -> Result<(), String> {
        let frame = Mapped::new(buffer, info, gst::ffi::GST_MAP_READ)?;
        let copies = frame
            .beside(planes)?
            .map(|(place, dense)| Copy::new(place, self.place(dense), dense.width, dense.height));
        // SAFETY: the frame is mapped for reading until after the copies; the rest is the caller's promise.
        unsafe { self.0.copy(copies) }
    }

    /// Copies these planes into a frame; done when it returns.
    ///
    /// # Errors
    /// As [`Copier::fetch`].
    ///
    /// # Safety
    /// The planes can be read as they say, are no larger than the frame's, and nobody writes them
    /// meanwhile.
    pub(super) unsafe fn store(
        &self,
        planes: &[Dense],
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> Result<(), String> {
        let frame = Mapped::new(buffer, info, gst::ffi::GST_MAP_WRITE)?;
        let copies = frame
            .beside(planes)?
            .map(|(place, dense)| Copy::new(self.place(dense), place, dense.width, dense.height));
        // SAFETY: the frame is mapped for writing until after the copies; the rest is the caller's promise.
        unsafe { self.0.copy(copies) }
    }
}
