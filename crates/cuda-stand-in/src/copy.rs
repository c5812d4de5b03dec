//! Descriptions of copies: the driver's, and the one they all become.

use std::ffi::{c_int, c_void};

use crate::status::Status;

const HOST: c_int = 1;
const DEVICE: c_int = 2;

/// One side of a copy: an address, the bytes from a line to the next, and the context whose memory it is
/// (`None`: the host's).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) context: Option<usize>,
    pub(crate) address: usize,
    pub(crate) pitch: usize,
}

/// A rectangle of `width` bytes and `height` lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Whether it brings what kernels should have computed.
    pub(crate) computed: bool,
}

/// `CUDA_MEMCPY2D`'s half for one side.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Side2d {
    x: usize,
    y: usize,
    kind: c_int,
    host: *const c_void,
    device: usize,
    array: *const c_void,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Copy2d {
    from: Side2d,
    to: Side2d,
    width: usize,
    height: usize,
}

/// `CUDA_MEMCPY3D_PEER`'s half for one side.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct PeerSide {
    x: usize,
    y: usize,
    z: usize,
    level: usize,
    kind: c_int,
    host: *const c_void,
    device: usize,
    array: *const c_void,
    context: usize,
    pitch: usize,
    height: usize,
}

/// `CUDA_MEMCPY3D_PEER`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct PeerCopy {
    from: PeerSide,
    to: PeerSide,
    width: usize,
    height: usize,
    depth: usize,
}

impl Side2d {
    fn side(&self, context: usize) -> Result<Side, Status> {
        let (context, base) = match self.kind {
            HOST => (None, self.host as usize),
            DEVICE => (Some(context), self.device),
            _ => return Err(Status::NotSupported),
        };
        Ok(Side {
            context,
            address: base + self.y * self.pitch + self.x,
            pitch: self.pitch,
        })
    }
}

impl Copy2d {
    /// The copy, whose device addresses belong to `context`.
    pub(crate) fn within(&self, context: usize) -> Result<Copy, Status> {
        Ok(Copy {
            from: self.from.side(context)?,
            to: self.to.side(context)?,
            width: self.width,
            height: self.height,
            computed: false,
        })
    }
}

impl PeerCopy {
    /// The copy, if it has but one layer.
    pub(crate) fn flat(&self) -> Result<Copy, Status> {
        if self.depth != 1 {
            return Err(Status::NotSupported);
        }
        let side = |side: &PeerSide| {
            let plain = Side2d {
                x: side.x,
                y: side.y,
                kind: side.kind,
                host: side.host,
                device: side.device,
                array: side.array,
                pitch: side.pitch,
            };
            plain.side(side.context)
        };
        Ok(Copy {
            from: side(&self.from)?,
            to: side(&self.to)?,
            width: self.width,
            height: self.height,
            computed: false,
        })
    }
}
