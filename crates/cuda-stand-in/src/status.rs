//! Status that calls end with, and counts.

/// Counts of what goes on, for tests to ask after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Copies from the host to a device, so far.
    pub uploads: u64,
    /// Copies from a device to the host, so far.
    pub downloads: u64,
    /// Bytes that were copied from the host to a device.
    pub uploaded: u64,
    /// Bytes that were copied from a device to the host.
    pub downloaded: u64,
    /// Copies that stayed on the device, so far.
    pub within: u64,
    /// Kernels that were launched, and computations that libraries were asked for, so far.
    pub launches: u64,
    /// Device memories that are allocated.
    pub memories: u64,
    /// Bytes of them on the first device, and on all others.
    pub held: [u64; 2],
    /// Pinned host memories that are allocated.
    pub pinned: u64,
    /// Contexts that are alive, primary ones included.
    pub contexts: u64,
    /// Streams that exist.
    pub streams: u64,
}

/// The driver's `CUresult`, as far as it comes up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    InvalidValue = 1,
    OutOfMemory = 2,
    NotInitialized = 3,
    NoDevice = 100,
    InvalidDevice = 101,
    InvalidContext = 201,
    InvalidHandle = 400,
    IllegalAddress = 700,
    NotSupported = 801,
}
