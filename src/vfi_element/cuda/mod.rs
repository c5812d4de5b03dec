//! CUDA's memory in GStreamer, `video/x-raw(memory:CUDAMemory)`: what the element needs to take
//! frames that lie on a device and send such.
//!
//! ```text
//! Cuda          one for an element: asks for, answers with and keeps a context
//! └─ context    GStreamer's object round a CUDA context; its pools
//!    ├─ library libgstcuda, loaded at run time
//!    └─ the crate `cuda`: libcuda, with the primary context
//! frame         a frame's planes out of GStreamer's memory and back
//! └─ the crate `cuda`: a stream of copies within the device
//! ```
//!
//! Nothing is loaded before somebody offers or asks for CUDA's memory, and where one of the two libraries
//! is missing the element is as if there were no such thing.
//!
//! # Whose context
//!
//! GStreamer's elements make a context of their own, ONNX Runtime works in the device's primary one.
//! Kernels of two contexts in one process take turns on the device instead of running side by side, each
//! context takes some hundred megabytes of it, and one's streams and pointers are of no use in the
//! other. So this element offers its neighbours the primary context, wrapped, as soon as one of them asks
//! (GStreamer's elements ask before they make their own). Where a neighbour or the application had
//! one before, that one is used.

use std::sync::Mutex;

use cuda::driver;
use gst::prelude::*;

use super::log::CAT;
use crate::sync::lock;

mod context;
mod frame;
mod library;

pub(super) use context::{Context, is_cuda_pool};
pub(super) use frame::{Copier, holds};

/// Caps feature of frames in CUDA's memory.
pub(super) const FEATURE: &str = "memory:CUDAMemory";

/// The element's formats that libgstcuda has memory for in all its versions; asked for another, version
/// 1.22 ends the process.
pub(super) const FORMATS: [gst_video::VideoFormat; 15] = [
    gst_video::VideoFormat::Nv12,
    gst_video::VideoFormat::I420,
    gst_video::VideoFormat::Yv12,
    gst_video::VideoFormat::Y42b,
    gst_video::VideoFormat::Y444,
    gst_video::VideoFormat::Rgb,
    gst_video::VideoFormat::Bgr,
    gst_video::VideoFormat::Rgbx,
    gst_video::VideoFormat::Bgrx,
    gst_video::VideoFormat::Rgba,
    gst_video::VideoFormat::Bgra,
    gst_video::VideoFormat::Argb,
    gst_video::VideoFormat::Abgr,
    gst_video::VideoFormat::P01010le,
    gst_video::VideoFormat::I42010le,
];

/// Returns whether frames of these caps lie in CUDA's memory.
pub(super) fn is_cuda(caps: &gst::CapsRef) -> bool {
    caps.features(0)
        .is_some_and(|features| features.contains(FEATURE))
}

/// Returns whether frames on this device can be dealt with: library and driver are there, and so is the
/// device. The first call loads both.
pub(super) fn can_serve(device: i32) -> bool {
    let devices = library::library().and(driver::driver().map(driver::Driver::devices));
    match devices {
        Ok(devices) => (0..devices).contains(&device),
        Err(reason) => {
            gst::debug!(CAT, "no CUDA memory: {reason}");
            false
        }
    }
}

/// An element's dealings with contexts.
#[derive(Debug, Default)]
pub(super) struct Cuda {
    context: Mutex<Option<Context>>,
}

impl Cuda {
    /// Keeps a context that the pipeline, the application or a neighbour gives, if it is of `device` and
    /// there was none of it before.
    pub(super) fn set_context(&self, element: &gst::Element, given: &gst::Context, device: i32) {
        if let Some(context) = Context::carried(element, given, device) {
            self.keep(context, device);
        }
    }

    fn keep(&self, context: Context, device: i32) -> Context {
        let mut kept = lock(&self.context);
        match &*kept {
            Some(kept) if kept.device() == device => kept.clone(),
            _ => kept.insert(context).clone(),
        }
    }

    fn kept(&self, device: i32) -> Option<Context> {
        let kept = lock(&self.context).clone();
        kept.filter(|context| context.device() == device)
    }

    /// The context of `device` that is in use round this element: one that neighbours have, else one
    /// that the application gives, else the primary one, which all of them are then told of. `asker` is
    /// the pad whose neighbour wants to know, and so has none.
    ///
    /// Calls out; no lock may be held.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn context(
        &self,
        element: &gst::Element,
        asker: Option<&gst::Pad>,
        device: i32,
    ) -> Result<Context, String> {
        if let Some(context) = self.kept(device) {
            return Ok(context);
        }
        library::library()?;
        for pad in element.src_pads().into_iter().chain(element.sink_pads()) {
            let mut query = gst::query::Context::new(context::TYPE);
            if Some(&pad) != asker
                && pad.peer_query(&mut query)
                && let Some(found) = query.context_owned()
            {
                element.set_context(&found);
                if let Some(context) = self.kept(device) {
                    return Ok(context);
                }
            }
        }
        // Whoever wants to answers while this is being posted. Fails where there is no bus.
        let need = gst::message::NeedContext::builder(context::TYPE).src(element);
        let _posted = element.post_message(need.build());
        if let Some(context) = self.kept(device) {
            return Ok(context);
        }
        let context = self.keep(Context::primary(device)?, device);
        if let Some(carrier) = context.carrier() {
            element.set_context(&carrier);
            let have = gst::message::HaveContext::builder(carrier).src(element);
            let _posted = element.post_message(have.build());
        }
        Ok(context)
    }

    /// Answers a neighbour's question for a context, if it is for one of these and there can be one.
    pub(super) fn answer(
        &self,
        element: &gst::Element,
        pad: &gst::Pad,
        query: &mut gst::query::Context,
        device: i32,
    ) -> bool {
        if query.context_type() != context::TYPE || !can_serve(device) {
            return false;
        }
        match self.context(element, Some(pad), device) {
            Ok(context) => context.carrier().is_some_and(|carrier| {
                query.set_context(&carrier);
                true
            }),
            Err(reason) => {
                gst::warning!(CAT, obj = element, "no CUDA context: {reason}");
                false
            }
        }
    }

    /// Lets go of the context.
    pub(super) fn forget(&self) {
        *lock(&self.context) = None;
    }
}
