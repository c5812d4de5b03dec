//! Copies within a device, and between it and the host.

use std::ffi::{c_uint, c_void};
use std::ptr;

use super::copy::Copy;
use super::driver::{Primary, check};

/// A stream of a primary context's, for copies.
#[derive(Debug)]
pub struct Stream {
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
    /// The error that the driver gives.
    pub fn new(device: i32) -> Result<Self, String> {
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
    pub fn context(&self) -> *mut c_void {
        self.primary.handle()
    }

    /// Makes copies, one after the other; they are done when this returns.
    ///
    /// # Errors
    /// The error that the driver gives; then nothing is known of the targets.
    ///
    /// # Safety
    /// The sources can be read and the targets written by the bytes, rows and pitches that are
    /// stated, and nobody else writes either meanwhile.
    pub unsafe fn copy(&self, copies: impl Iterator<Item = Copy>) -> Result<(), String> {
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
