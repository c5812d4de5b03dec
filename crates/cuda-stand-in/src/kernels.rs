//! Kernels: they are launched and compute nothing.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use crate::answer;
use crate::properties::FunctionAttributes;
use crate::runtime::{context, runtime};
use crate::state::state;
use crate::status::Status;

/// `dim3`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Dim([c_uint; 3]);

/// `cudaLaunchConfig_t`, as far as it is read.
#[repr(C)]
pub(crate) struct LaunchConfig {
    grid: Dim,
    block: Dim,
    shared: usize,
    stream: usize,
}

/// Configuration that a kernel is to be launched with.
type Configuration = (Dim, Dim, usize, usize);

thread_local! {
    /// Configuration that was pushed for the launch that follows.
    static CONFIGURATION: Cell<Option<Configuration>> = const { Cell::new(None) };
}

fn launch(stream: usize) -> Result<(), Status> {
    let context = context()?;
    state().launch(context, stream)
}

runtime! {
    /// Gives the attributes of a kernel.
    fn cudaFuncGetAttributes(attributes: *mut FunctionAttributes, _function: *const c_void) {
        // SAFETY: as promised by the caller.
        unsafe { answer(attributes, FunctionAttributes::new()) }
    }

    /// Takes note of nothing.
    fn cudaFuncSetAttribute(_function: *const c_void, _attribute: c_int, _value: c_int) {
        Ok(())
    }

    /// One block at a time.
    fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut c_int,
        _function: *const c_void,
        _size: c_int,
        _shared: usize,
        _flags: c_uint,
    ) {
        // SAFETY: as promised by the caller.
        unsafe { answer(blocks, 1) }
    }

    /// A kernel's handle, which is its function's address.
    fn __cudaGetKernel(kernel: *mut usize, function: usize) {
        // SAFETY: as promised by the caller.
        unsafe { answer(kernel, function) }
    }

    /// Keeps how the kernel that is launched next is to be.
    fn __cudaPushCallConfiguration(grid: Dim, block: Dim, shared: usize, stream: usize) {
        CONFIGURATION.set(Some((grid, block, shared, stream)));
        Ok(())
    }

    /// Tells it.
    fn __cudaPopCallConfiguration(
        grid: *mut Dim,
        block: *mut Dim,
        shared: *mut usize,
        stream: *mut usize,
    ) {
        let pushed = CONFIGURATION.take().ok_or(Status::InvalidValue)?;
        // SAFETY: as promised by the caller.
        unsafe {
            answer(grid, pushed.0)?;
            answer(block, pushed.1)?;
            answer(shared, pushed.2)?;
            answer(stream, pushed.3)
        }
    }

    /// Launches a kernel.
    fn __cudaLaunchKernel(
        _kernel: usize,
        _grid: Dim,
        _block: Dim,
        _arguments: *const *const c_void,
        _shared: usize,
        stream: usize,
    ) {
        launch(stream)
    }

    /// Launches a kernel.
    fn cudaLaunchKernel(
        _function: *const c_void,
        _grid: Dim,
        _block: Dim,
        _arguments: *const *const c_void,
        _shared: usize,
        stream: usize,
    ) {
        launch(stream)
    }

    /// Launches a kernel.
    fn cudaLaunchCooperativeKernel(
        _function: *const c_void,
        _grid: Dim,
        _block: Dim,
        _arguments: *const *const c_void,
        _shared: usize,
        stream: usize,
    ) {
        launch(stream)
    }

    /// Launches a kernel.
    fn cudaLaunchKernelExC(
        config: *const LaunchConfig,
        _function: *const c_void,
        _arguments: *const *const c_void,
    ) {
        // SAFETY: as promised by the caller.
        let config = unsafe { config.as_ref() }.ok_or(Status::InvalidValue)?;
        launch(config.stream)
    }
}

/// Takes code for the device, and keeps nothing of it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn __cudaRegisterFatBinary(_code: *const c_void) -> *mut *mut c_void {
    ptr::dangling_mut()
}

/// Functions that have nothing to do.
macro_rules! idle {
    ($($name:ident)*) => {
        $(
            /// Takes note of nothing.
            #[allow(non_snake_case)]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name() {}
        )*
    };
}

idle! {
    __cudaRegisterFatBinaryEnd
    __cudaRegisterFunction
    __cudaRegisterVar
    __cudaUnregisterFatBinary
}
