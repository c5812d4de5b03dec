//! NVIDIA's driver, `libcuda.so.1`: the few calls that GStreamer's library has none for.

use std::error::Error;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

/// The name under which every driver is installed.
pub const NAME: &str = "libcuda.so.1";

/// `CUdevice`, which is the device's number.
type Device = c_int;
/// `CUresult`; 0 is success.
type Status = c_int;

/// The driver's functions, as `cuda.h` declares them.
#[derive(Debug)]
pub struct Driver {
    device_get_count: unsafe extern "C" fn(*mut c_int) -> Status,
    primary_retain: unsafe extern "C" fn(*mut *mut c_void, Device) -> Status,
    primary_release: unsafe extern "C" fn(Device) -> Status,
    push_current: unsafe extern "C" fn(*mut c_void) -> Status,
    pop_current: unsafe extern "C" fn(*mut *mut c_void) -> Status,
    pub(crate) stream_create: unsafe extern "C" fn(*mut *mut c_void, c_uint) -> Status,
    pub(crate) stream_destroy: unsafe extern "C" fn(*mut c_void) -> Status,
    pub(crate) stream_synchronize: unsafe extern "C" fn(*mut c_void) -> Status,
    pub(crate) copy: unsafe extern "C" fn(*const super::copy::Copy, *mut c_void) -> Status,
    _library: libloading::Library,
}

/// The process's driver; it is loaded and initialised by the first call.
///
/// # Errors
/// Why it can't be used, for the life of the process.
pub fn driver() -> Result<&'static Driver, &'static str> {
    static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
    DRIVER
        .get_or_init(|| Driver::open(NAME))
        .as_ref()
        .map_err(String::as_str)
}

impl Driver {
    fn open(name: &str) -> Result<Self, String> {
        let file = dylib::named(name)?;
        // SAFETY: loading runs the driver's own start-up code.
        let library = unsafe { libloading::Library::new(file) }.map_err(reason)?;
        // SAFETY: these are the types that cuda.h gives these names (`_v2` where it maps them so).
        let (init, found) = unsafe {
            let init: unsafe extern "C" fn(c_uint) -> Status = symbol(&library, c"cuInit")?;
            let found = Self {
                device_get_count: symbol(&library, c"cuDeviceGetCount")?,
                primary_retain: symbol(&library, c"cuDevicePrimaryCtxRetain")?,
                primary_release: symbol(&library, c"cuDevicePrimaryCtxRelease_v2")?,
                push_current: symbol(&library, c"cuCtxPushCurrent_v2")?,
                pop_current: symbol(&library, c"cuCtxPopCurrent_v2")?,
                stream_create: symbol(&library, c"cuStreamCreate")?,
                stream_destroy: symbol(&library, c"cuStreamDestroy_v2")?,
                stream_synchronize: symbol(&library, c"cuStreamSynchronize")?,
                copy: symbol(&library, c"cuMemcpy3DPeerAsync")?,
                _library: library,
            };
            (init, found)
        };
        // SAFETY: 0 is the only flag there is.
        check("cuInit", unsafe { init(0) })?;
        Ok(found)
    }

    /// Returns how many devices there are.
    pub fn devices(&self) -> i32 {
        let mut count = 0;
        // SAFETY: the driver is initialised, and the count is there to be written.
        let status = unsafe { (self.device_get_count)(&raw mut count) };
        if status == 0 { count } else { 0 }
    }
}

/// A function of a library, which must not outlive that.
///
/// # Safety
/// `F` is the type of a pointer to the function of this name.
pub unsafe fn symbol<F: Copy>(library: &libloading::Library, name: &CStr) -> Result<F, String> {
    // SAFETY: as promised by the caller.
    let found = unsafe { library.get::<F>(name) };
    found.map(|function| *function).map_err(reason)
}

/// Returns the reason that the system's loader gives.
pub fn reason(error: libloading::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Returns the driver's error for a call, if it failed.
pub fn check(what: &str, status: Status) -> Result<(), String> {
    match status {
        0 => Ok(()),
        status => Err(format!("{what} failed with CUDA error {status}")),
    }
}

/// A device's primary context, the one that ONNX Runtime and all that uses CUDA's runtime work in;
/// kept alive by this.
#[derive(Debug)]
pub struct Primary {
    driver: &'static Driver,
    device: Device,
    handle: *mut c_void,
}

impl Primary {
    /// Retains the context of a device, which comes to life if nobody uses it yet (some 100 ms, and
    /// hundreds of megabytes of the device's memory).
    ///
    /// # Errors
    /// The error that the driver gives.
    pub fn retain(device: i32) -> Result<Self, String> {
        let driver = driver()?;
        let mut handle = ptr::null_mut();
        // SAFETY: the driver is initialised, the handle there to be written, and a wrong device an error.
        check("cuDevicePrimaryCtxRetain", unsafe {
            (driver.primary_retain)(&raw mut handle, device)
        })?;
        Ok(Self {
            driver,
            device,
            handle,
        })
    }

    /// The `CUcontext`.
    pub fn handle(&self) -> *mut c_void {
        self.handle
    }

    /// The `CUdevice`.
    pub fn device(&self) -> c_int {
        self.device
    }

    /// The driver it is of.
    pub fn driver(&self) -> &'static Driver {
        self.driver
    }

    /// Does something with this context as the thread's current one.
    pub fn with<T>(&self, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        // SAFETY: the context is alive.
        check("cuCtxPushCurrent", unsafe {
            (self.driver.push_current)(self.handle)
        })?;
        let result = work();
        let mut popped = ptr::null_mut();
        // SAFETY: pops what was pushed above, into a place that can be written.
        check("cuCtxPopCurrent", unsafe {
            (self.driver.pop_current)(&raw mut popped)
        })?;
        result
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        // SAFETY: retained once by this value. What it says of a driver that is shutting down is of no
        // use to anybody.
        let _status = unsafe { (self.driver.primary_release)(self.device) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_is_named() {
        let reason = Driver::open("libnowhere.so.1").expect_err("there is none");
        assert!(reason.contains("libnowhere.so.1"), "{reason}");
    }
}
