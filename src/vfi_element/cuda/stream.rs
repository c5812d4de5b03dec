//! Copies within a device, and between it and the host.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use super::driver::{Primary, check};

/// `CUDA_MEMCPY3D_PEER`: a rectangle of bytes from one place to another, each in a context of its own.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Copy {
    pub(super) from: Place,
    pub(super) to: Place,
    /// Bytes in a row.
    pub(super) width: usize,
    pub(super) height: usize,
    depth: usize,
}

/// One half of a [`Copy`](struct@Copy).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Place {
    x: usize,
    y: usize,
    z: usize,
    level: usize,
    kind: c_int,
    host: *mut c_void,
    device: usize,
    array: *mut c_void,
    context: *mut c_void,
    pitch: usize,
    height: usize,
}

impl Copy {
    /// `height` rows of `width` bytes.
    pub(super) fn new(from: Place, to: Place, width: usize, height: usize) -> Self {
        Self {
            from,
            to,
            width,
            height,
            depth: 1,
        }
    }
}

impl Place {
    const fn new(kind: c_int, pitch: usize) -> Self {
        Self {
            x: 0,
            y: 0,
            z: 0,
            level: 0,
            kind,
            host: ptr::null_mut(),
            device: 0,
            array: ptr::null_mut(),
            context: ptr::null_mut(),
            pitch,
            height: 0,
        }
    }

    /// In the host's memory, rows `pitch` bytes apart.
    pub(super) fn host(address: *mut c_void, pitch: usize) -> Self {
        Self {
            host: address,
            ..Self::new(1, pitch)
        }
    }

    /// On a device, in the memory of a context.
    pub(super) fn device(address: usize, context: *mut c_void, pitch: usize) -> Self {
        Self {
            device: address,
            context,
            ..Self::new(2, pitch)
        }
    }
}

/// A stream of a primary context's, for copies.
#[derive(Debug)]
pub(super) struct Stream {
    primary: Primary,
    handle: *mut c_void,
}

// SAFETY: a stream may be used from any thread, in which its context is made the current one.
unsafe impl Send for Stream {}
// SAFETY: and from several at a time, each of which then waits for the others' copies, too.
unsafe impl Sync for Stream {}

impl Stream {
    /// A new one on a device, which waits for no other.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn new(device: i32) -> Result<Self, String> {
        const NON_BLOCKING: c_uint = 1;
        let primary = Primary::retain(device)?;
        let mut handle = ptr::null_mut();
        primary.with(|| {
            // SAFETY: the context is current, and the handle there to be written.
            check("cuStreamCreate", unsafe {
                (primary.driver().stream_create)(&raw mut handle, NON_BLOCKING)
            })
        })?;
        Ok(Self { primary, handle })
    }

    /// The `CUcontext` it belongs to.
    pub(super) fn context(&self) -> *mut c_void {
        self.primary.handle()
    }

    /// Copies, one after the other; they are done when this returns.
    ///
    /// # Errors
    /// What the driver says; then nothing is known of the targets.
    ///
    /// # Safety
    /// The sources can be read and the targets written by the bytes, rows and pitches that are stated,
    /// and nobody else writes either meanwhile.
    pub(super) unsafe fn copy(&self, copies: impl Iterator<Item = Copy>) -> Result<(), String> {
        let driver = self.primary.driver();
        self.primary.with(|| {
            let mut result = Ok(());
            for copy in copies {
                // SAFETY: as promised by the caller; the context is current and the stream its own.
                let status = unsafe { (driver.copy)(&raw const copy, self.handle) };
                result = result.and(check("cuMemcpy3DPeerAsync", status));
            }
            // also after a failure: nothing may be under way once the caller goes on
            // SAFETY: the stream is alive.
            let status = unsafe { (driver.stream_synchronize)(self.handle) };
            result.and(check("cuStreamSynchronize", status))
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let driver = self.primary.driver();
        let _status = self.primary.with(|| {
            // SAFETY: made by `new`, and used no more.
            check("cuStreamDestroy", unsafe {
                (driver.stream_destroy)(self.handle)
            })
        });
    }
}
