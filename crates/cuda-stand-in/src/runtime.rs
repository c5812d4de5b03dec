//! The runtime API, `libcudart.so.13`, over the same devices, memory and streams as the driver:
//! what ONNX Runtime's CUDA provider needs of it.
//!
//! Copies to and from pinned memory are as late as the driver's; with other memory of the host the
//! call does not return before they are done. What a stream has to wait for, or calls back, is done
//! at once rather than late, which a fast device might do, too.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::copy::{Copy, Side};
use crate::properties::{self, Properties};
use crate::state::{self, State, state};
use crate::status::Status;
use crate::{answer, status};

/// A version of CUDA that the provider is made for.
const VERSION: c_int = 13_000;

/// `cudaMemcpyKind`, as far as there are sides to it.
const HOST_TO_HOST: c_int = 0;
const HOST_TO_DEVICE: c_int = 1;
const DEVICE_TO_HOST: c_int = 2;
const DEVICE_TO_DEVICE: c_int = 3;
const BY_ADDRESS: c_int = 4;

/// `cudaMemoryType`.
const UNREGISTERED: c_int = 0;
const HOST: c_int = 1;
const DEVICE: c_int = 2;

/// `cudaPointerAttributes`.
#[repr(C)]
pub(crate) struct PointerAttributes {
    kind: c_int,
    device: c_int,
    on_device: usize,
    on_host: usize,
    reserved: [usize; 8],
}

thread_local! {
    /// Status of what failed last on this thread, till somebody asks.
    static LAST: Cell<c_int> = const { Cell::new(0) };
}

pub(crate) fn outcome(result: Result<(), Status>) -> c_int {
    let code = status(result);
    if code != 0 {
        LAST.set(code);
    }
    code
}

/// A device's primary context, which the runtime keeps from the first use on.
fn primary(device: c_int) -> Result<usize, Status> {
    let mut state = state();
    state.init(0)?;
    match state.devices()? {
        0 => Err(Status::NoDevice),
        _ => state.hold_primary(device),
    }
}

/// This thread's context: the first device's if it has none yet.
pub(crate) fn context() -> Result<usize, Status> {
    if let Ok(context) = state::current() {
        return Ok(context);
    }
    let context = primary(0)?;
    state::push(context);
    Ok(context)
}

/// A copy whose sides are told by their addresses, if they are what is said of them: pinned memory
/// is the host's and the device's.
fn copy_of(
    state: &mut State,
    (to, to_pitch): (usize, usize),
    (from, from_pitch): (usize, usize),
    (width, height): (usize, usize),
    kind: c_int,
) -> Result<Copy, Status> {
    let mut side = |address, pitch| Side {
        context: state.context_at(address),
        address,
        pitch,
    };
    let (from, to) = (side(from, from_pitch), side(to, to_pitch));
    let fits = |side: &Side, on_device: bool| match side.context {
        Some(_) => on_device,
        None => !on_device || state.is_pinned(side.address),
    };
    let as_said = match kind {
        HOST_TO_HOST => fits(&from, false) && fits(&to, false),
        HOST_TO_DEVICE => fits(&from, false) && fits(&to, true),
        DEVICE_TO_HOST => fits(&from, true) && fits(&to, false),
        DEVICE_TO_DEVICE => fits(&from, true) && fits(&to, true),
        _ => kind == BY_ADDRESS,
    };
    match as_said {
        true => Ok(Copy {
            computed: from.context.is_some() && to.context.is_none(),
            from,
            to,
            width,
            height,
        }),
        false => Err(Status::InvalidValue),
    }
}

/// # Safety
/// As for [`State::copy`], till the stream was waited for.
unsafe fn enqueue(state: &mut State, copy: Copy, stream: usize) -> Result<(), Status> {
    let late = |side: &Side| side.context.is_some() || state.is_pinned(side.address);
    if [copy.from, copy.to].iter().all(late) {
        return state.enqueue(stream, copy);
    }
    state.wait_for(stream)?;
    // SAFETY: as promised by the caller.
    unsafe { state.copy(&copy) }
}

/// The runtime's functions with their types in `cuda_runtime_api.h`; each is as safe as the
/// pointers it is given.
macro_rules! runtime {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As for the runtime's own: pointers are null or point to what `cuda_runtime_api.h`
            /// says.
            #[allow(non_snake_case)]
            #[allow(clippy::redundant_closure_call)] // `?` ends the body, not the function
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
                $crate::runtime::outcome((|| $body)())
            }
        )*
    };
}
pub(crate) use runtime;

runtime! {
    /// The version that the driver serves.
    fn cudaDriverGetVersion(version: *mut c_int) {
        // SAFETY: as promised by the caller.
        unsafe { answer(version, VERSION) }
    }

    /// The runtime's own.
    fn cudaRuntimeGetVersion(version: *mut c_int) {
        // SAFETY: as promised by the caller.
        unsafe { answer(version, VERSION) }
    }

    /// Gives the number of devices; none is an error.
    fn cudaGetDeviceCount(count: *mut c_int) {
        let mut state = state();
        state.init(0)?;
        let devices = state.devices()?;
        // SAFETY: as promised by the caller.
        unsafe { answer(count, devices)? };
        match devices {
            0 => Err(Status::NoDevice),
            _ => Ok(()),
        }
    }

    /// Makes a device's primary context the current one.
    fn cudaSetDevice(device: c_int) {
        state::replace(primary(device)?);
        Ok(())
    }

    /// The device of the current context.
    fn cudaGetDevice(device: *mut c_int) {
        let found = match state::current() {
            Ok(context) => state().device_of(context)?,
            Err(_) => 0,
        };
        // SAFETY: as promised by the caller.
        unsafe { answer(device, found) }
    }

    /// Gives the properties of a device.
    fn cudaGetDeviceProperties(properties: *mut Properties, device: c_int) {
        primary(device)?;
        let memory = state().total();
        // SAFETY: as promised by the caller.
        unsafe { answer(properties, Properties::new(memory)) }
    }

    /// One number of what a device is.
    fn cudaDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) {
        primary(device)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(value, properties::attribute(attribute)) }
    }

    /// Waits for all streams.
    fn cudaDeviceSynchronize() {
        let context = context()?;
        state().synchronize(|stream| stream.context == context)
    }

    /// Allocates memory of the device; none of no size.
    fn cudaMalloc(pointer: *mut usize, size: usize) {
        context()?;
        let memory = match size {
            0 => 0,
            _ => state().allocate(size)?,
        };
        // SAFETY: as promised by the caller.
        unsafe { answer(pointer, memory) }
    }

    /// Gives it back, once all that is under way is done.
    fn cudaFree(pointer: usize) {
        context()?;
        match pointer {
            0 => Ok(()),
            _ => state().free(pointer),
        }
    }

    /// Allocates pinned memory of the host.
    fn cudaMallocHost(pointer: *mut *mut c_void, size: usize) {
        context()?;
        let memory = state().allocate_pinned(size)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(pointer, memory) }
    }

    /// Allocates pinned memory of the host.
    fn cudaHostAlloc(pointer: *mut *mut c_void, size: usize, _flags: c_uint) {
        context()?;
        let memory = state().allocate_pinned(size)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(pointer, memory) }
    }

    /// Gives it back, once all that is under way is done.
    fn cudaFreeHost(pointer: *mut c_void) {
        match pointer.is_null() {
            true => Ok(()),
            false => state().free_pinned(pointer),
        }
    }

    /// Gives the memory that is free on the device, and what there is in all.
    fn cudaMemGetInfo(free: *mut usize, total: *mut usize) {
        context()?;
        let (left, all) = state().room()?;
        // SAFETY: as promised by the caller.
        unsafe {
            answer(free, left)?;
            answer(total, all)
        }
    }

    /// Tells whose memory an address is.
    fn cudaPointerGetAttributes(attributes: *mut PointerAttributes, pointer: usize) {
        let mut state = state();
        let (kind, device) = match state.context_at(pointer) {
            Some(context) => (DEVICE, state.device_of(context)?),
            None if state.is_pinned(pointer) => (HOST, 0),
            None => (UNREGISTERED, -2),
        };
        let found = PointerAttributes {
            kind,
            device,
            on_device: if kind == UNREGISTERED { 0 } else { pointer },
            on_host: if kind == HOST { pointer } else { 0 },
            reserved: [0; 8],
        };
        // SAFETY: as promised by the caller.
        unsafe { answer(attributes, found) }
    }

    /// Copies at once.
    fn cudaMemcpy(to: usize, from: usize, size: usize, kind: c_int) {
        context()?;
        let mut state = state();
        state.synchronize(|stream| stream.blocking)?;
        let copy = copy_of(&mut state, (to, size), (from, size), (size, 1), kind)?;
        // SAFETY: host addresses are the caller's promise.
        unsafe { state.copy(&copy) }
    }

    /// Copies when the stream is waited for.
    fn cudaMemcpyAsync(to: usize, from: usize, size: usize, kind: c_int, stream: usize) {
        context()?;
        let mut state = state();
        let copy = copy_of(&mut state, (to, size), (from, size), (size, 1), kind)?;
        // SAFETY: host addresses are the caller's promise.
        unsafe { enqueue(&mut state, copy, stream) }
    }

    /// Copies a rectangle when the stream is waited for.
    fn cudaMemcpy2DAsync(
        to: usize,
        to_pitch: usize,
        from: usize,
        from_pitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
        stream: usize,
    ) {
        context()?;
        let mut state = state();
        let sides = ((to, to_pitch), (from, from_pitch));
        let copy = copy_of(&mut state, sides.0, sides.1, (width, height), kind)?;
        // SAFETY: host addresses are the caller's promise.
        unsafe { enqueue(&mut state, copy, stream) }
    }

    /// Sets bytes.
    fn cudaMemset(pointer: usize, value: c_int, size: usize) {
        context()?;
        state().fill(pointer, value as u8, size)
    }

    /// Sets bytes, after what is in the stream.
    fn cudaMemsetAsync(pointer: usize, value: c_int, size: usize, stream: usize) {
        context()?;
        let mut state = state();
        state.wait_for(stream)?;
        state.fill(pointer, value as u8, size)
    }

    /// A new stream.
    fn cudaStreamCreate(stream: *mut usize) {
        context()?;
        let made = state().create_stream(true)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(stream, made) }
    }

    /// A new stream.
    fn cudaStreamCreateWithFlags(stream: *mut usize, flags: c_uint) {
        context()?;
        let made = state().create_stream(flags & 1 == 0)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(stream, made) }
    }

    /// Ends a stream, once all in it is done.
    fn cudaStreamDestroy(stream: usize) {
        state().destroy_stream(stream)
    }

    /// Waits for all in a stream.
    fn cudaStreamSynchronize(stream: usize) {
        state().wait_for(stream)
    }

    /// Makes a stream wait for an event: what the event is about is done now.
    fn cudaStreamWaitEvent(stream: usize, event: usize, _flags: c_uint) {
        let mut state = state();
        state.stream(stream)?;
        state.wait_for_event(event)
    }

    /// Tells that nothing is ever recorded.
    fn cudaStreamIsCapturing(stream: usize, capturing: *mut c_int) {
        state().stream(stream)?;
        // SAFETY: as promised by the caller.
        unsafe { answer(capturing, 0) }
    }

    /// Calls back when all in a stream is done: which it is before this returns.
    fn cudaLaunchHostFunc(
        stream: usize,
        function: Option<unsafe extern "C" fn(*mut c_void)>,
        data: *mut c_void,
    ) {
        let function = function.ok_or(Status::InvalidValue)?;
        state().wait_for(stream)?;
        // SAFETY: the caller's own function and what it wants.
        unsafe { function(data) };
        Ok(())
    }

    /// A new event.
    fn cudaEventCreate(event: *mut usize) {
        context()?;
        let made = state().create_event();
        // SAFETY: as promised by the caller.
        unsafe { answer(event, made) }
    }

    /// A new event.
    fn cudaEventCreateWithFlags(event: *mut usize, _flags: c_uint) {
        context()?;
        let made = state().create_event();
        // SAFETY: as promised by the caller.
        unsafe { answer(event, made) }
    }

    /// Ends an event.
    fn cudaEventDestroy(event: usize) {
        state().destroy_event(event)
    }

    /// Makes an event come after what is in a stream.
    fn cudaEventRecord(event: usize, stream: usize) {
        state().record(event, stream)
    }

    /// Makes an event come after what is in a stream.
    fn cudaEventRecordWithFlags(event: usize, stream: usize, _flags: c_uint) {
        state().record(event, stream)
    }

    /// Waits for an event.
    fn cudaEventSynchronize(event: usize) {
        state().wait_for_event(event)
    }

    /// A millisecond, whatever it was.
    fn cudaEventElapsedTime(milliseconds: *mut f32, _start: usize, _end: usize) {
        // SAFETY: as promised by the caller.
        unsafe { answer(milliseconds, 1.0) }
    }

}

/// Returns the status of what failed last on this thread, which is forgotten then.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudaGetLastError() -> c_int {
    LAST.take()
}

/// The same, and it isn't.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudaPeekAtLastError() -> c_int {
    LAST.get()
}

/// An error's name.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudaGetErrorName(error: c_int) -> *const c_char {
    let name = match error {
        0 => c"cudaSuccess",
        2 => c"cudaErrorMemoryAllocation",
        100 => c"cudaErrorNoDevice",
        101 => c"cudaErrorInvalidDevice",
        _ => c"cudaError",
    };
    name.as_ptr()
}

/// An error in words, which are the driver's own where somebody looks for them.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudaGetErrorString(error: c_int) -> *const c_char {
    let text = match error {
        0 => c"no error",
        2 => c"out of memory",
        100 => c"no CUDA-capable device is detected",
        101 => c"invalid device ordinal",
        _ => c"an error of the stand-in's",
    };
    text.as_ptr()
}
