//! The stand-in driver, and frames in CUDA's memory.

use std::ffi::{c_int, c_uint};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub use cuda_stand_in::Counts;
use glib::translate::{FromGlibPtrFull, ToGlibPtr};
use gst::prelude::*;

/// Feature of caps for frames in CUDA's memory.
pub const FEATURE: &str = "memory:CUDAMemory";
/// GStreamer's library for CUDA.
pub const LIBRARY: &str = "libgstcuda-1.0.so.0";

/// The stand-in, beside the test program.
pub fn driver_file() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.with_file_name("libcuda_stand_in.so")
}

/// The stand-in driver and GStreamer's library, as loaded.
#[derive(Debug)]
pub struct Driver {
    driver: libloading::Library,
    library: libloading::Library,
}

/// The driver, for one test at a time: it counts for the whole process.
#[derive(Debug)]
pub struct Loaded {
    driver: &'static Driver,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Loaded {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        self.driver
    }
}

impl Driver {
    /// The driver, which everybody in this process finds from here on; `None`, and a word about it,
    /// where GStreamer has no libgstcuda.
    pub fn load() -> Option<Loaded> {
        static ALONE: Mutex<()> = Mutex::new(());
        static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let driver = DRIVER.get_or_init(|| {
            // SAFETY: this workspace's own library.
            let driver = unsafe { libloading::Library::new(driver_file()) };
            let driver = driver.expect("cargo builds it for its tests");
            // SAFETY: GStreamer's own library.
            let library = unsafe { libloading::Library::new(LIBRARY) }.ok()?;
            Some(Driver { driver, library })
        });
        if driver.is_none() {
            println!("skipped: there is no {LIBRARY}");
        }
        Some(Loaded {
            driver: driver.as_ref()?,
            _alone: alone,
        })
    }

    /// Asks the stand-in for its counts.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        // SAFETY: the function's type, and a place that can be written.
        unsafe {
            let ask: libloading::Symbol<unsafe extern "C" fn(*mut Counts)> =
                self.driver.get(c"cuda_stand_in_counts").unwrap();
            ask(&raw mut counts);
        }
        counts
    }

    /// Allocates memory in a device's primary context, for good.
    pub fn allocate(&self, device: c_int, size: usize) -> usize {
        let (mut context, mut address) = (0_usize, 0_usize);
        // SAFETY: the functions' types, and places that can be written.
        unsafe {
            let retain: libloading::Symbol<unsafe extern "C" fn(*mut usize, c_int) -> c_int> =
                self.driver.get(c"cuDevicePrimaryCtxRetain").unwrap();
            let push: libloading::Symbol<unsafe extern "C" fn(usize) -> c_int> =
                self.driver.get(c"cuCtxPushCurrent_v2").unwrap();
            let pop: libloading::Symbol<unsafe extern "C" fn(*mut usize) -> c_int> =
                self.driver.get(c"cuCtxPopCurrent_v2").unwrap();
            let allocate: libloading::Symbol<unsafe extern "C" fn(*mut usize, usize) -> c_int> =
                self.driver.get(c"cuMemAlloc_v2").unwrap();
            assert_eq!(retain(&raw mut context, device), 0);
            assert_eq!(push(context), 0);
            assert_eq!(allocate(&raw mut address, size), 0);
            assert_eq!(pop(&raw mut context), 0);
        }
        address
    }

    /// A context that GStreamer has made, as an application or a neighbour gives it.
    pub fn foreign_context(&self, device: c_uint) -> gst::Context {
        // SAFETY: the functions' types, in the order that the library asks for; what comes are references of
        // ours.
        unsafe {
            let load: libloading::Symbol<unsafe extern "C" fn() -> c_int> =
                self.library.get(c"gst_cuda_load_library").unwrap();
            assert_ne!(load(), 0);
            let new: libloading::Symbol<unsafe extern "C" fn(c_uint) -> *mut gst::ffi::GstObject> =
                self.library.get(c"gst_cuda_context_new").unwrap();
            let wrap: libloading::Symbol<
                unsafe extern "C" fn(*mut gst::ffi::GstObject) -> *mut gst::ffi::GstContext,
            > = self.library.get(c"gst_context_new_cuda_context").unwrap();
            let context: gst::Object = gst::Object::from_glib_full(new(device));
            gst::Context::from_glib_full(wrap(context.to_glib_none().0))
        }
    }
}

/// The object that a context carries.
pub fn carried_object(context: &gst::ContextRef) -> gst::Object {
    context.structure().get("gst.cuda.context").unwrap()
}

/// Asks the element for a context, as a neighbour does.
pub fn ask_for_context(element: &gst::Element, pad: &str) -> Option<gst::Object> {
    let mut query = gst::query::Context::new("gst.cuda.context");
    let pad = element.static_pad(pad).unwrap();
    let answered = pad.query(&mut query);
    let context = query.context_owned().filter(|_| answered);
    context.map(|context| carried_object(&context))
}

/// Returns the same caps in CUDA's memory.
pub fn on_device(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    let features = gst::CapsFeatures::new([FEATURE]);
    caps.make_mut().set_features_simple(Some(features));
    caps
}

/// Returns whether a frame lies in CUDA's memory.
pub fn is_on_device(buffer: &gst::BufferRef) -> bool {
    buffer.n_memory() == 1 && buffer.peek_memory(0).is_type("gst.cuda.memory")
}

/// The pool that the element offers its upstream for these caps.
pub fn offered_pool(element: &gst::Element, caps: &gst::Caps) -> gst::BufferPool {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    assert!(element.static_pad("sink").unwrap().query(&mut query));
    let (pool, size, min, max) = query.allocation_pools().next().expect("it offers one");
    let pool = pool.expect("with a pool");
    let mut config = pool.config();
    config.set_params(Some(caps), size, min, max);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    pool
}

/// A frame's contents and times in a buffer of the pool.
pub fn upload(
    pool: &gst::BufferPool,
    frame: &gst::Buffer,
    info: &gst_video::VideoInfo,
) -> gst::Buffer {
    let mut buffer = pool.acquire_buffer(None).unwrap();
    let target = buffer.make_mut();
    {
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(frame, info).unwrap();
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(target, info).unwrap();
        source.copy(&mut target).unwrap();
    }
    target.set_pts(frame.pts());
    target.set_duration(frame.duration());
    buffer
}

/// A frame's contents, without what may lie between its lines.
pub fn download(buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Vec<u8> {
    let mut host = gst::Buffer::from_mut_slice(vec![0; info.size()]);
    let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut target =
        gst_video::VideoFrameRef::from_buffer_ref_writable(host.make_mut(), info).unwrap();
    source.copy(&mut target).unwrap();
    drop(target);
    host.map_readable().unwrap().to_vec()
}
