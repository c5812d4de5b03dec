//! A stand-in for NVIDIA's driver, `libcuda.so.1`, over the host's memory: for tests of what deals
//! with CUDA's memory, where there is no GPU.
//!
//! It proves logic, not speed, and nothing about a GPU. It is stricter than the driver, so that
//! mistakes show: a device pointer can't be read or written by the host; memory of one context
//! can't be used in another, but by the calls made for that; an asynchronous copy takes place when
//! its stream is waited for, and not before.
//!
//! Contexts, memory, streams and copies work. All else that libgstcuda (1.22 to 1.29) and
//! GStreamer's plugin nvcodec look up is there and says that it is not supported.
//!
//! Under other names the same file is the libraries that ONNX Runtime's CUDA provider is linked to:
//! the runtime API (`runtime`, `kernels`), and cuBLAS and cuDNN (`compute`), with which that
//! provider starts, places nodes, copies and runs whole graphs. Kernels compute nothing, and what
//! the runtime API brings to the host is one byte all over.
//!
//! `CUDA_STAND_IN_DEVICES` is how many devices there are (2), `CUDA_STAND_IN_MEMORY` how many bytes
//! each process may take of them (no limit).

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

mod compute;
mod copy;
mod kernels;
mod properties;
mod runtime;
mod state;
mod status;
mod unsupported;

use copy::{Copy2d, PeerCopy};
use state::state;
pub use status::Counts;
use status::Status;

/// Tells what goes on.
///
/// # Safety
/// `counts` is there to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuda_stand_in_counts(counts: *mut Counts) {
    // SAFETY: as promised by the caller.
    unsafe { counts.write(state().counts()) };
}

/// Runs what may fail, and turns it into the driver's status.
fn status(result: Result<(), Status>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(status) => status as c_int,
    }
}

/// Writes an answer where the caller wants it.
///
/// # Safety
/// `place` is null or there to be written.
unsafe fn answer<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::InvalidValue);
    }
    // SAFETY: as promised by the caller, and not null.
    unsafe { place.write(value) };
    Ok(())
}

/// The driver's functions with their types in `cuda.h`; each is as safe as the pointers it is
/// given.
macro_rules! driver {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As for the driver's own: pointers are null or point to what `cuda.h` says.
            #[allow(non_snake_case)]
            #[allow(clippy::redundant_closure_call)] // `?` ends the body, not the function
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
                status((|| $body)())
            }
        )*
    };
}

driver! {
    /// Must be called first.
    fn cuInit(flags: c_uint) {
        state().init(flags)
    }

    /// A version that GStreamer takes for a recent one.
    fn cuDriverGetVersion(version: *mut c_int) {
        // SAFETY: as promised by the caller.
        unsafe { answer(version, 13_000) }
    }

    /// Gives the number of devices.
    fn cuDeviceGetCount(count: *mut c_int) {
        let devices = state().devices()?;
        // SAFETY: as promised by the caller.
        unsafe { answer(count, devices) }
    }

    /// A device's handle, which is its number.
    fn cuDeviceGet(device: *mut c_int, number: c_int) {
        state().device(number)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(device, number) }
    }

    /// A device's name.
    fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) {
        const NAME: &CStr = c"stand-in";
        state().device(device)?;
        if name.is_null() || (length as usize) < NAME.to_bytes_with_nul().len() {
            return Err(Status::InvalidValue);
        }
        // SAFETY: there is room for it, as promised by the caller.
        unsafe { ptr::copy_nonoverlapping(NAME.as_ptr(), name, NAME.to_bytes_with_nul().len()) };
        Ok(())
    }

    /// Gives an attribute of a device: alignment of textures, compute capability 9.0, nothing else.
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) {
        state().device(device)?;
        let found = match attribute {
            14 => 512,
            75 => 9,
            _ => 0,
        };
        // SAFETY: as promised by the caller.
        unsafe { answer(value, found) }
    }

    /// A device's number as its unique name.
    fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) {
        state().device(device)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(uuid, [device as u8; 16]) }
    }

    /// No device reaches into another.
    fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) {
        state().device(device)?;
        state().device(peer)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(can, 0) }
    }

    /// Adds a use of a device's primary context.
    fn cuDevicePrimaryCtxRetain(context: *mut usize, device: c_int) {
        let primary = state().retain_primary(device)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(context, primary) }
    }

    /// Ends a use of a device's primary context; the last one ends the context.
    fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        state().release_primary(device)
    }

    /// A new context, which is then current.
    fn cuCtxCreate_v2(context: *mut usize, _flags: c_uint, device: c_int) {
        let made = state().create_context(device)?;
        state::push(made);
        // SAFETY: as promised by the caller.
        unsafe { answer(context, made) }
    }

    /// Ends a context, with all that is in it.
    fn cuCtxDestroy_v2(context: usize) {
        state().destroy_context(context)
    }

    /// Makes a context the current one.
    fn cuCtxPushCurrent_v2(context: usize) {
        state().alive(context)?;
        state::push(context);
        Ok(())
    }

    /// Makes the one before it the current one; `context` may be null.
    fn cuCtxPopCurrent_v2(context: *mut usize) {
        let popped = state::pop()?;
        if context.is_null() {
            return Ok(());
        }
        // SAFETY: as promised by the caller.
        unsafe { answer(context, popped) }
    }

    /// Waits for all streams.
    fn cuCtxSynchronize() {
        let context = state::current()?;
        state().synchronize(|stream| stream.context == context)
    }

    /// Some limit.
    fn cuCtxGetLimit(value: *mut usize, _limit: c_int) {
        state::current()?;
        // SAFETY: as promised by the caller.
        unsafe { answer(value, 1024) }
    }

    /// Allocates memory without lines.
    fn cuMemAlloc_v2(pointer: *mut usize, size: usize) {
        let memory = state().allocate(size)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(pointer, memory) }
    }

    /// Allocates memory whose lines begin at multiples of 512 bytes, as on a device.
    fn cuMemAllocPitch_v2(
        pointer: *mut usize,
        pitch: *mut usize,
        width: usize,
        height: usize,
        _element: c_uint,
    ) {
        let line = width.checked_next_multiple_of(512).ok_or(Status::InvalidValue)?;
        let size = line.checked_mul(height).ok_or(Status::InvalidValue)?;
        let memory = state().allocate(size)?;
        // SAFETY: as promised by the caller.
        unsafe {
            answer(pitch, line)?;
            answer(pointer, memory)
        }
    }

    /// Gives device memory back, once all that is under way is done.
    fn cuMemFree_v2(pointer: usize) {
        state().free(pointer)
    }

    /// Allocates pinned memory on the host.
    fn cuMemAllocHost_v2(pointer: *mut *mut c_void, size: usize) {
        let memory = state().allocate_pinned(size)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(pointer, memory) }
    }

    /// Gives pinned memory back, once all that is under way is done.
    fn cuMemFreeHost(pointer: *mut c_void) {
        state().free_pinned(pointer)
    }

    /// Gives the memory that is free on the device, and what there is in all.
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let (left, all) = state().room()?;
        // SAFETY: as promised by the caller.
        unsafe {
            answer(free, left)?;
            answer(total, all)
        }
    }

    /// Copies a rectangle at once.
    fn cuMemcpy2D_v2(copy: *const Copy2d) {
        // SAFETY: as promised by the caller.
        let copy = unsafe { copy.as_ref() }.ok_or(Status::InvalidValue)?;
        let context = state::current()?;
        let mut state = state();
        state.synchronize(|stream| stream.blocking)?;
        // SAFETY: host addresses are the caller's promise.
        unsafe { state.copy(&copy.within(context)?) }
    }

    /// Copies a rectangle when the stream is waited for.
    fn cuMemcpy2DAsync_v2(copy: *const Copy2d, stream: usize) {
        // SAFETY: as promised by the caller.
        let copy = unsafe { copy.as_ref() }.ok_or(Status::InvalidValue)?;
        let context = state::current()?;
        state().enqueue(stream, copy.within(context)?)
    }

    /// Copies a rectangle from one context to another when the stream is waited for.
    fn cuMemcpy3DPeerAsync(copy: *const PeerCopy, stream: usize) {
        // SAFETY: as promised by the caller.
        let copy = unsafe { copy.as_ref() }.ok_or(Status::InvalidValue)?;
        state().enqueue(stream, copy.flat()?)
    }

    /// A new stream in the current context.
    fn cuStreamCreate(stream: *mut usize, flags: c_uint) {
        let made = state().create_stream(flags & 1 == 0)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(stream, made) }
    }

    /// Ends a stream, once all in it is done.
    fn cuStreamDestroy_v2(stream: usize) {
        state().destroy_stream(stream)
    }

    /// Ends a stream, once all in it is done.
    fn cuStreamDestroy(stream: usize) {
        state().destroy_stream(stream)
    }

    /// Waits for all in a stream.
    fn cuStreamSynchronize(stream: usize) {
        state().wait_for(stream)
    }

    /// An error's name.
    fn cuGetErrorName(_error: c_int, name: *mut *const c_char) {
        // SAFETY: as promised by the caller.
        unsafe { answer(name, c"CUDA_ERROR".as_ptr()) }
    }

    /// An error in words.
    fn cuGetErrorString(_error: c_int, text: *mut *const c_char) {
        // SAFETY: as promised by the caller.
        unsafe { answer(text, c"an error of the stand-in's".as_ptr()) }
    }
}
