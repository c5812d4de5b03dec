//! GStreamer's object round a CUDA context.

use std::ptr;

use cuda::driver::Primary;
use glib::translate::{FromGlib, FromGlibPtrFull, IntoGlib, ToGlibPtr};
use gst::prelude::*;

use super::library::library;

/// The type of the `GstContext` in which elements hand one another their CUDA contexts.
pub(super) const TYPE: &str = "gst.cuda.context";

/// A `GstCudaContext`: what CUDA's memory in GStreamer belongs to.
#[derive(Clone, Debug)]
pub(in crate::vfi_element) struct Context(gst::Object);

impl Context {
    /// Wraps the primary context of `device`, the one ONNX Runtime works in.
    ///
    /// # Errors
    /// A text that says what is missing.
    pub(super) fn primary(device: i32) -> Result<Self, String> {
        let library = library()?;
        let primary = Primary::retain(device)?;
        // SAFETY: the handle and the device belong together, and stay alive while the object does: see
        // below.
        let context = unsafe { (library.context_new_wrapped)(primary.handle(), primary.device()) };
        if context.is_null() {
            return Err(format!(
                "GStreamer takes no CUDA context of device {device}"
            ));
        }
        // SAFETY: it is a GstObject, and its only reference is ours.
        let context: gst::Object = unsafe { gst::Object::from_glib_full(context) };
        // SAFETY: nobody else uses this name on the object. What is stored under it is dropped after
        // the object's own finalizer has run.
        unsafe {
            context.set_qdata(glib::Quark::from_str("vfiinterp-primary-context"), primary);
        }
        Ok(Self(context))
    }

    /// The one that `context` carries, if it is of `device`; `element` is who was given it.
    pub(super) fn carried(
        element: &gst::Element,
        context: &gst::Context,
        device: i32,
    ) -> Option<Self> {
        if context.context_type() != TYPE {
            return None;
        }
        let library = library().ok()?;
        let mut found = ptr::null_mut();
        // SAFETY: element and context are alive, and the place for what is found is empty.
        let taken = unsafe {
            (library.handle_set_context)(
                element.to_glib_none().0,
                context.to_glib_none().0,
                device,
                &raw mut found,
            )
        };
        if taken == glib::ffi::GFALSE || found.is_null() {
            return None;
        }
        // SAFETY: what is found is a GstObject, whose reference is ours.
        Some(Self(unsafe { gst::Object::from_glib_full(found) }))
    }

    /// The number of its device.
    pub(super) fn device(&self) -> i32 {
        let device = self.0.property::<u32>("cuda-device-id");
        i32::try_from(device).unwrap_or(-1)
    }

    /// A `GstContext` that carries it to other elements. `None` only without a library.
    pub(super) fn carrier(&self) -> Option<gst::Context> {
        let library = library().ok()?;
        // SAFETY: this is a GstCudaContext, and what comes is a reference of ours.
        Some(unsafe {
            gst::Context::from_glib_full((library.context_new_cuda_context)(
                self.0.to_glib_none().0,
            ))
        })
    }

    /// A new pool of frames in this context.
    ///
    /// # Errors
    /// If there is no library to make one.
    pub(in crate::vfi_element) fn pool(&self) -> Result<gst::BufferPool, glib::BoolError> {
        let library = library().map_err(|reason| glib::bool_error!("{reason}"))?;
        // SAFETY: this is a GstCudaContext, and what comes is a reference of ours.
        Ok(unsafe {
            gst::BufferPool::from_glib_full((library.buffer_pool_new)(self.0.to_glib_none().0))
        })
    }
}

/// Returns whether the frames of a pool lie in CUDA's memory.
pub(in crate::vfi_element) fn is_cuda_pool(pool: &gst::BufferPool) -> bool {
    library().is_ok_and(|library| {
        // SAFETY: it takes nothing and gives a registered type.
        let kind = unsafe { glib::Type::from_glib((library.buffer_pool_get_type)()) };
        debug_assert_ne!(kind.into_glib(), glib::Type::INVALID.into_glib());
        pool.type_().is_a(kind)
    })
}
