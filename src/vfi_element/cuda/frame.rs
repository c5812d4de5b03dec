//! Frames in CUDA's memory, as the device sees them.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use cuda::stream::Stream;
use cuda::{Copy, Place};
use glib::translate::ToGlibPtr;

use super::library::{CudaMemory, library};
use crate::frames::mapped;
use crate::models::device::Dense;

/// `GST_MAP_CUDA`: maps for the device rather than for the host.
const MAP_CUDA: u32 = gst::ffi::GST_MAP_FLAG_LAST << 1;

/// Name by which libgstcuda's memory calls itself.
const MEMORY: &str = "gst.cuda.memory";

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
        mapped::agree(buffer, info).map_err(|error| error.to_string())?;
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
        planes: &'p [Dense<'p>],
    ) -> Result<impl Iterator<Item = (Place, &'p Dense<'p>)>, String> {
        let count = self.frame.info.finfo;
        // SAFETY: the description of a mapped frame's format is a constant.
        let count = unsafe { (*count).n_planes } as usize;
        if planes.len() != count {
            return Err(format!("{} planes for a frame of {count}", planes.len()));
        }
        let mut places = Vec::with_capacity(count);
        for (plane, dense) in planes.iter().enumerate() {
            let pitch = usize::try_from(self.frame.info.stride[plane]).unwrap_or(0);
            if pitch < dense.width() {
                return Err(format!(
                    "plane {plane} has rows of {pitch} bytes, and {} are needed",
                    dense.width()
                ));
            }
            let rows = plane_rows(&self.frame, plane);
            if rows < dense.height() {
                return Err(format!(
                    "plane {plane} has {rows} rows, and {} are needed",
                    dense.height()
                ));
            }
            let address = self.frame.data[plane] as usize;
            places.push((Place::device(address, self.context, pitch), dense));
        }
        Ok(places.into_iter())
    }
}

/// Returns how many rows a plane of a mapped frame has.
fn plane_rows(frame: &gst_video::ffi::GstVideoFrame, plane: usize) -> usize {
    // SAFETY: the description of a mapped frame's format is a constant.
    let format = unsafe { &*frame.info.finfo };
    let components = format.plane.iter().take(format.n_components as usize);
    let component = components
        .into_iter()
        .position(|&of| of as usize == plane)
        .unwrap_or(0);
    let shift = format.h_sub[component];
    (frame.info.height as usize).div_ceil(1 << shift)
}

/// Returns whether a frame lies in CUDA's memory.
pub(crate) fn holds(buffer: &gst::BufferRef) -> bool {
    buffer.n_memory() == 1 && buffer.peek_memory(0).is_type(MEMORY)
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
pub(crate) struct Copier(Stream);

impl Copier {
    /// Makes a copier of frames on a device.
    ///
    /// # Errors
    /// The driver's message.
    pub(crate) fn new(device: i32) -> Result<Self, String> {
        Stream::new(device).map(Self)
    }

    fn place(&self, dense: &Dense) -> Place {
        let (address, width) = (dense.address(), dense.width());
        match dense.is_on_device() {
            true => Place::device(address as usize, self.0.context(), width),
            false => Place::host(address, width),
        }
    }

    /// Copies a frame's planes into these; done when it returns.
    ///
    /// # Errors
    /// If the frame isn't one in CUDA's memory, has other planes, or the driver refuses.
    pub(crate) fn fetch(
        &self,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        planes: &[Dense],
    ) -> Result<(), String> {
        let frame = Mapped::new(buffer, info, gst::ffi::GST_MAP_READ)?;
        let copies = frame.beside(planes)?.map(|(place, dense)| {
            Copy::new(place, self.place(dense), dense.width(), dense.height())
        });
        // SAFETY: the frame is mapped for reading until after the copies, its rows and planes are no smaller
        // than the dense ones, and those are as they say.
        unsafe { self.0.copy(copies) }
    }

    /// Copies these planes into a frame; done when it returns.
    ///
    /// # Errors
    /// As [`Copier::fetch`].
    pub(crate) fn store(
        &self,
        planes: &[Dense],
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> Result<(), String> {
        let frame = Mapped::new(buffer, info, gst::ffi::GST_MAP_WRITE)?;
        let copies = frame.beside(planes)?.map(|(place, dense)| {
            Copy::new(self.place(dense), place, dense.width(), dense.height())
        });
        // SAFETY: as in `fetch`, but mapped for writing.
        unsafe { self.0.copy(copies) }
    }
}
