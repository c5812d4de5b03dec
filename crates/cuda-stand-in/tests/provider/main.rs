//! The element with ONNX Runtime's own CUDA provider, over a stand-in for CUDA: what is placed
//! where, copied and waited for is the provider's and the element's own doing, and nothing is
//! computed. `make provider` has what it takes; without that the tests are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod frames;
mod memory;
mod programs;
mod sessions;

use std::env;
use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstvfiinterp::models::runtime;
use test_support::cuda::{Driver, Loaded};
use test_support::rig::{Rig, blending_model};

/// The stream that most tests have, and the bytes of a frame.
const NAME: &str = "NV12 320x240 30/1";
const FRAME: u64 = 320 * 240 * 3 / 2;
/// Bytes that come back of each frame, for cuts.
const THUMBNAIL: u64 = 64 * 48 * 4;
/// The byte that kernels write.
const BLANK: u8 = 0x3d;
/// More bytes than phases and what sessions for any size reckon on the host come to.
const SMALL: u64 = 1024;

/// The stand-in, where the provider finds it; `None`, and a word about it, where there is no
/// provider.
fn provider() -> Option<Loaded> {
    let folder = env::var_os("ORT_DYLIB_PATH").unwrap_or_default();
    let there = Path::new(&folder).join("libonnxruntime_providers_cuda.so");
    if !there.is_file() {
        println!("skipped: `make provider` runs it");
        return None;
    }
    let driver = Driver::load()?;
    // SAFETY: the stand-in, or a library that does nothing when it is loaded.
    let runtime = unsafe { libloading::Library::new("libcudart.so.13") };
    let runtime = runtime.expect("LD_LIBRARY_PATH leads to it");
    // SAFETY: it is only looked for.
    let own = unsafe { runtime.get::<extern "C" fn()>(c"cuda_stand_in_counts") };
    own.expect("it is the stand-in, and no GPU is used");
    Some(driver)
}

/// The element with a built-in network on the provider, without any caps yet.
fn start(set: impl FnOnce(&gst::Element)) -> Rig {
    Rig::with_model_and(blending_model(), |element| {
        element.set_property("model", "vfi-lite");
        element.set_property_from_str("execution-provider", "cuda");
        set(element);
    })
}

/// Reads a text of `stats`.
fn read_stat(rig: &Rig, name: &str) -> String {
    let stats: gst::Structure = rig.element.property("stats");
    stats.get(name).unwrap()
}

/// Collects what the runtime warns of from now on.
fn collect_warnings() -> Arc<Mutex<Vec<String>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    runtime::set_log_sink(move |_, message| list.lock().unwrap().push(message.into()));
    heard
}

/// Returns the messages that say that something is not on the device, or copied to or from there in
/// the middle of a graph.
fn concerns(heard: &Mutex<Vec<String>>) -> Vec<String> {
    let heard = heard.lock().unwrap();
    let signs = ["not assigned to the preferred", "Memcpy nodes"];
    let meant = heard
        .iter()
        .filter(|message| signs.iter().any(|sign| message.contains(sign)));
    meant.cloned().collect()
}
