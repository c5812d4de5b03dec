//! Descriptions of copies, as `cuda.h` lays them out.

use std::ffi::{c_int, c_void};
use std::ptr;

/// `CUDA_MEMCPY3D_PEER`: a rectangle of bytes from one place to another, each in a context of its
/// own.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Copy {
    /// Place that is read.
    pub from: Place,
    /// Place that is written.
    pub to: Place,
    /// Bytes in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    depth: usize,
}

/// One half of a [`Copy`](struct@Copy).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Place {
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
    /// Describes a copy of `height` rows of `width` bytes.
    pub fn new(from: Place, to: Place, width: usize, height: usize) -> Self {
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

    /// Describes a place in the host's memory, rows `pitch` bytes apart.
    pub fn host(address: *mut c_void, pitch: usize) -> Self {
        Self {
            host: address,
            ..Self::new(1, pitch)
        }
    }

    /// Describes a place on a device, in the memory of a context.
    pub fn device(address: usize, context: *mut c_void, pitch: usize) -> Self {
        Self {
            device: address,
            context,
            ..Self::new(2, pitch)
        }
    }
}
