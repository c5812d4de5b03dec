//! libgstcuda: GStreamer's own CUDA contexts, memory and pools, loaded when they are first needed.
//!
//! The library has no stable interface by its own account, and no bindings. What is used here has had
//! the same types from its first version (1.22) to the current one (1.29); `gst_cuda_allocator_alloc`,
//! which gained an argument in 1.24 under the same soname, is not. A library that lacks one of
//! these is as good as none.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use cuda::driver::{self, reason, symbol};
use glib::ffi::{GType, gboolean};
use gst::ffi::{GstBufferPool, GstContext, GstElement, GstMemory, GstObject};

/// The name it has had since 1.22.
const NAME: &str = "libgstcuda-1.0.so.0";

/// libgstcuda's functions, as its headers declare them; a `GstCudaContext` is a `GstObject`.
#[derive(Debug)]
pub(super) struct Library {
    /// A `GstCudaContext` round somebody else's `CUcontext`, which must outlive it.
    pub(super) context_new_wrapped: unsafe extern "C" fn(*mut c_void, c_int) -> *mut GstObject,
    /// A `GstContext` that carries a `GstCudaContext`.
    pub(super) context_new_cuda_context: unsafe extern "C" fn(*mut GstObject) -> *mut GstContext,
    /// Takes the `GstCudaContext` of a device out of a `GstContext`, if there was none before.
    pub(super) handle_set_context: unsafe extern "C" fn(
        *mut GstElement,
        *mut GstContext,
        c_int,
        *mut *mut GstObject,
    ) -> gboolean,
    /// A pool of frames in a `GstCudaContext`.
    pub(super) buffer_pool_new: unsafe extern "C" fn(*mut GstObject) -> *mut GstBufferPool,
    /// The type of such pools.
    pub(super) buffer_pool_get_type: unsafe extern "C" fn() -> GType,
    /// The `CUcontext` of a `GstCudaContext`.
    pub(super) context_get_handle: unsafe extern "C" fn(*mut GstObject) -> *mut c_void,
    /// Whether memory is a [`CudaMemory`].
    pub(super) is_cuda_memory: unsafe extern "C" fn(*mut GstMemory) -> gboolean,
    /// Waits until what was last done to a memory on its own stream is done. From 1.24 on; before,
    /// memories had no streams.
    pub(super) memory_sync: Option<unsafe extern "C" fn(*mut GstMemory)>,
    _library: libloading::Library,
}

/// The beginning of `GstCudaMemory`, which is the same in all versions.
#[repr(C)]
pub(super) struct CudaMemory {
    memory: GstMemory,
    /// The `GstCudaContext` it belongs to.
    pub(super) context: *mut GstObject,
}

/// The process's libgstcuda, over the driver; both are loaded by the first call.
///
/// # Errors
/// Why it can't be used, for the life of the process.
pub(super) fn library() -> Result<&'static Library, &'static str> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            // where there is no driver, the library is not even looked for
            driver::driver()?;
            Library::open(NAME)
        })
        .as_ref()
        .map_err(String::as_str)
}

impl Library {
    fn open(name: &str) -> Result<Self, String> {
        let file = dylib::named(name)?;
        // SAFETY: loading runs the library's own start-up code, and that of what it is linked to.
        let library = unsafe { libloading::Library::new(file) }.map_err(reason)?;
        // SAFETY: these are the types that the library's headers give these names.
        let (load, init, found) = unsafe {
            let load: unsafe extern "C" fn() -> gboolean =
                symbol(&library, c"gst_cuda_load_library")?;
            let init: unsafe extern "C" fn() = symbol(&library, c"gst_cuda_memory_init_once")?;
            let found = Self {
                context_new_wrapped: symbol(&library, c"gst_cuda_context_new_wrapped")?,
                context_new_cuda_context: symbol(&library, c"gst_context_new_cuda_context")?,
                handle_set_context: symbol(&library, c"gst_cuda_handle_set_context")?,
                buffer_pool_new: symbol(&library, c"gst_cuda_buffer_pool_new")?,
                buffer_pool_get_type: symbol(&library, c"gst_cuda_buffer_pool_get_type")?,
                context_get_handle: symbol(&library, c"gst_cuda_context_get_handle")?,
                is_cuda_memory: symbol(&library, c"gst_is_cuda_memory")?,
                memory_sync: symbol(&library, c"gst_cuda_memory_sync").ok(),
                _library: library,
            };
            (load, init, found)
        };
        // It calls the driver through pointers that this sets.
        // SAFETY: it takes nothing and may be called at any time.
        if unsafe { load() } == glib::ffi::GFALSE {
            return Err(format!("{name} lacks functions in {}", driver::NAME));
        }
        // SAFETY: it takes nothing and does its work, an allocator without which there are no pools, once.
        unsafe { init() };
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let reason = Library::open("libgstnowhere-1.0.so.0").expect_err("there is none");
        assert!(reason.contains("libgstnowhere-1.0.so.0"), "{reason}");
    }

    #[test]
    fn a_library_without_the_functions_is_none() {
        let reason = Library::open("libc.so.6").expect_err("it knows no CUDA");
        assert!(reason.contains("gst_cuda_load_library"), "{reason}");
    }
}
