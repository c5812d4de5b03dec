//! CUDA's driver, if something has loaded it: what a device is, and how much memory it has left.
//!
//! The driver belongs to NVIDIA's kernel module and lies on the system's library path. It is never
//! loaded from here: where a session runs on a GPU it is there already, and elsewhere nobody needs it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` of cuda.h.
const CAPABILITY_MAJOR: c_int = 75;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR`.
const CAPABILITY_MINOR: c_int = 76;

/// Kind of a device: an engine that was built for one kind serves on no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// As NVIDIA calls it.
    pub name: String,
    /// Compute capability, such as (9, 0).
    pub capability: (i32, i32),
}

/// The memory of a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Memory that nobody holds.
    pub free: u64,
    /// All memory there is.
    pub total: u64,
}

/// The loaded driver.
pub struct LoadedDriver(NonNull<c_void>);

/// `CUdevice`.
type Device = c_int;
/// `CUcontext`.
type Context = *mut c_void;

type GetDevice = unsafe extern "C" fn(*mut Device, c_int) -> c_int;
type GetName = unsafe extern "C" fn(*mut c_char, c_int, Device) -> c_int;
type GetAttribute = unsafe extern "C" fn(*mut c_int, c_int, Device) -> c_int;
type GetMemory = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
type RetainContext = unsafe extern "C" fn(*mut Context, Device) -> c_int;
type ReleaseContext = unsafe extern "C" fn(Device) -> c_int;
type PushContext = unsafe extern "C" fn(Context) -> c_int;
type PopContext = unsafe extern "C" fn(*mut Context) -> c_int;

impl LoadedDriver {
    /// The driver, if this process has loaded it.
    pub fn loaded() -> Option<Self> {
        Self::open(c"libcuda.so.1", libc::RTLD_NOLOAD)
    }

    fn open(name: &CStr, flags: c_int) -> Option<Self> {
        // SAFETY: the name ends in a nul. With NOLOAD nothing is run; tests load a library of theirs.
        NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | flags) }).map(Self)
    }

    /// A function of the driver.
    ///
    /// # Safety
    /// `F` is the type of a pointer to the function of this name.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open and the name ends in a nul.
        let symbol = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        // SAFETY: the caller says what it points to, and the sizes are the same.
        (!symbol.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&symbol) })
    }

    fn device(&self, number: i32) -> Option<Device> {
        // SAFETY: cuda.h declares it so.
        let get: GetDevice = unsafe { self.function(c"cuDeviceGet") }?;
        let mut device = 0;
        // SAFETY: there is a place to write to.
        (unsafe { get(&raw mut device, number) } == 0).then_some(device)
    }

    /// Returns the kind of the device of this number.
    pub fn kind(&self, number: i32) -> Option<Kind> {
        let device = self.device(number)?;
        // SAFETY: cuda.h declares both so.
        let (name, attribute): (GetName, GetAttribute) = unsafe {
            (
                self.function(c"cuDeviceGetName")?,
                self.function(c"cuDeviceGetAttribute")?,
            )
        };
        let mut text = [0 as c_char; 256];
        // SAFETY: the text is as long as is said.
        if unsafe { name(text.as_mut_ptr(), text.len() as c_int, device) } != 0 {
            return None;
        }
        let last = text.len() - 1;
        text[last] = 0;
        let capability = |which| {
            let mut value = 0;
            // SAFETY: there is a place to write to.
            (unsafe { attribute(&raw mut value, which, device) } == 0).then_some(value)
        };
        Some(Kind {
            // SAFETY: it ends in a nul.
            name: unsafe { CStr::from_ptr(text.as_ptr()) }
                .to_string_lossy()
                .into_owned(),
            capability: (capability(CAPABILITY_MAJOR)?, capability(CAPABILITY_MINOR)?),
        })
    }

    /// Returns how much memory the device of this number has left.
    ///
    /// The driver tells it of the calling thread's current device only, so that one is made current
    /// meanwhile, by its primary context: the one that the runtime works in.
    pub fn memory(&self, number: i32) -> Option<Memory> {
        let device = self.device(number)?;
        // SAFETY: cuda.h declares them so.
        let (retain, release, push, pop, ask): (
            RetainContext,
            ReleaseContext,
            PushContext,
            PopContext,
            GetMemory,
        ) = unsafe {
            (
                self.function(c"cuDevicePrimaryCtxRetain")?,
                self.function(c"cuDevicePrimaryCtxRelease_v2")?,
                self.function(c"cuCtxPushCurrent_v2")?,
                self.function(c"cuCtxPopCurrent_v2")?,
                self.function(c"cuMemGetInfo_v2")?,
            )
        };
        let mut context = null_mut();
        // SAFETY: there is a place to write to; what is retained is released below.
        if unsafe { retain(&raw mut context, device) } != 0 {
            return None;
        }
        let mut room = None;
        // SAFETY: the context lives until it is released; what is pushed is popped again.
        unsafe {
            if push(context) == 0 {
                let (mut free, mut total) = (0, 0);
                if ask(&raw mut free, &raw mut total) == 0 {
                    room = Some(Memory {
                        free: free as u64,
                        total: total as u64,
                    });
                }
                // who would be told that it failed could do nothing about it
                let _ = pop(&raw mut context);
            }
            let _ = release(device);
        }
        room
    }
}

impl Drop for LoadedDriver {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once; whoever loaded the driver still holds it.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    /// Two devices, told apart by what is current, and counts of what was not given back.
    const STAND_IN: &str = r#"
        #include <stddef.h>
        #include <stdio.h>
        typedef void *ctx;
        static ctx stack[8];
        static int depth, held[2];
        static char devices[2];
        int cuDeviceGet(int *d, int n) { *d = n; return n < 0 || n > 1 ? 101 : 0; }
        int cuDeviceGetName(char *t, int len, int d) { snprintf(t, len, "Stand-in %d", d); return 0; }
        int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 + d : a == 76 ? 6 : -1; return 0; }
        int cuDevicePrimaryCtxRetain(ctx *c, int d) { held[d]++; *c = &devices[d]; return 0; }
        int cuDevicePrimaryCtxRelease_v2(int d) { held[d]--; return 0; }
        int cuCtxPushCurrent_v2(ctx c) { stack[depth++] = c; return 0; }
        int cuCtxPopCurrent_v2(ctx *c) { *c = stack[--depth]; return 0; }
        int cuMemGetInfo_v2(size_t *f, size_t *t) {
            if (!depth) return 201;
            int d = (char *)stack[depth - 1] - devices;
            *f = (100 + d) << 20; *t = (200 + d) << 20;
            return 0;
        }
        int left_behind(void) { return depth + held[0] + held[1]; }
    "#;

    fn stand_in(code: &str, name: &str) -> LoadedDriver {
        let folder = std::env::temp_dir().join(format!("vfiinterp-cuda-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let source = folder.join(format!("{name}.c"));
        let library = folder.join(format!("{name}.so"));
        std::fs::write(&source, code).unwrap();
        let compiled = std::process::Command::new("cc")
            .args(["-w", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "cc failed");
        let path = CString::new(library.as_os_str().as_bytes()).unwrap();
        let driver = LoadedDriver::open(&path, libc::RTLD_LOCAL).unwrap();
        std::fs::remove_file(&source).unwrap();
        std::fs::remove_file(&library).unwrap();
        drop(std::fs::remove_dir(&folder));
        driver
    }

    #[test]
    fn every_device_tells_of_itself() {
        let driver = stand_in(STAND_IN, "two");
        for number in [1, 0, 1] {
            let kind = driver.kind(number).unwrap();
            assert_eq!(kind.name, format!("Stand-in {number}"));
            assert_eq!(kind.capability, (8 + number, 6));
            let room = driver.memory(number).unwrap();
            let mebibytes = number as u64 + 100;
            assert_eq!(
                (room.free >> 20, room.total >> 20),
                (mebibytes, mebibytes + 100)
            );
        }
        assert_eq!((driver.kind(2), driver.memory(-1)), (None, None));
        // SAFETY: the stand-in defines it so.
        let left: unsafe extern "C" fn() -> c_int =
            unsafe { driver.function(c"left_behind") }.unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { left() }, 0);
    }

    #[test]
    fn a_driver_without_a_function_tells_nothing() {
        let driver = stand_in(
            "int cuDeviceGet(int *d, int n) { *d = n; return 0; }",
            "old",
        );
        assert_eq!((driver.kind(0), driver.memory(0)), (None, None));
    }
}
