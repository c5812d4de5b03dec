//! Ways in which a frame comes to a pipeline and leaves it.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::frames::{Plane, PlaneMut};
use crate::models::runtime::tensor_pool::Buffer;

/// A plane as a pipeline has it: rows that follow one another without anything in between.
#[derive(Debug)]
pub struct Dense<'a> {
    address: *mut c_void,
    on_device: bool,
    width: usize,
    height: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl Dense<'_> {
    /// Describes `height` rows of `width` bytes each from `address` on; `on_device` if that is an
    /// address of the device's, in CUDA's primary context.
    ///
    /// # Safety
    /// As long as the value lives, that much can be read and written there, and nobody else does.
    pub unsafe fn new(
        address: *mut c_void,
        on_device: bool,
        (width, height): (usize, usize),
    ) -> Self {
        Self {
            address,
            on_device,
            width,
            height,
            borrowed: PhantomData,
        }
    }

    /// Returns the address of the first byte.
    pub fn address(&self) -> *mut c_void {
        self.address
    }

    /// Returns whether that is on the device, in CUDA's primary context, rather than on the host.
    pub fn is_on_device(&self) -> bool {
        self.on_device
    }

    /// Bytes in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.height
    }
}

/// Copies planes to or from these, which nobody else uses meanwhile, before it returns.
pub type Transfer<'a> = dyn FnMut(&[Dense]) -> Result<(), String> + 'a;

/// Place that a frame's planes come from.
pub enum FrameSource<'a> {
    /// From the host's memory.
    Host(&'a [Plane<'a>]),
    /// From wherever this copies them, without the host where both are on a device.
    Copied(&'a mut Transfer<'a>),
}

/// Place that a frame's planes go to.
pub enum FrameSink<'a, 'p> {
    /// To the host's memory.
    Host(&'a mut [PlaneMut<'p>]),
    /// To wherever this copies them.
    Copied(&'a mut Transfer<'a>),
}

/// Copies planes to or from values of a pipeline, with `copy`.
pub(crate) fn transfer(values: &mut [Buffer], copy: &mut Transfer) -> ort::Result<()> {
    let planes = values.iter_mut().map(|value| {
        let size = value.size();
        let on_device = !value.memory_info().is_cpu_accessible();
        // SAFETY: the value was made with this size, is borrowed, and no run is under way.
        unsafe { Dense::new(value.data_ptr_mut(), on_device, size) }
    });
    copy(&planes.collect::<Vec<_>>())
        .map_err(|reason| ort::Error::new(format!("a frame can't be copied: {reason}")))
}
