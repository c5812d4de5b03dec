//! The plugin file in GStreamer's own tools, beside GStreamer's own CUDA elements, over the
//! stand-in driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use test_support::cuda::{LIBRARY, driver_file};

/// A folder with the libraries that programs are to find first.
struct Folder(PathBuf);

impl Folder {
    /// The stand-in under these names.
    fn new(test: &str, names: &[&str]) -> Self {
        let name = format!("vfiinterp-cuda-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            symlink(driver_file(), folder.join(name)).unwrap();
        }
        Self(folder)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("LD_LIBRARY_PATH", &self.0)
            .env("GST_REGISTRY", self.0.join("registry"))
            .env("GST_PLUGIN_PATH", driver_file().parent().unwrap())
            .env("LC_ALL", "C")
            .env_remove("G_DEBUG")
            .output()
            .unwrap()
    }

    fn launch(&self, pipeline: &str) -> Output {
        let words: Vec<_> = pipeline.split_whitespace().collect();
        self.run("gst-launch-1.0", &[&["-q"], &words[..]].concat())
    }

    /// Runs a pipeline, and returns what its last element writes into a file.
    #[track_caller]
    fn written(&self, pipeline: &str) -> Vec<u8> {
        let file = self.0.join("written");
        let output = self.launch(&format!(
            "{pipeline} ! filesink location={}",
            file.display()
        ));
        assert!(output.status.success(), "{pipeline}: {output:?}");
        fs::read(file).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

const DRIVER: [&str; 2] = ["libcuda.so.1", "libnvcuvid.so.1"];
const SOURCE: &str =
    "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=72,height=52,framerate=30/1";
const DEVICE: &str = "video/x-raw(memory:CUDAMemory)";

/// Returns whether GStreamer's plugin nvcodec is installed; without a driver it has no elements.
fn has_elements(folder: &Folder) -> bool {
    let found = folder.run("gst-inspect-1.0", &["--exists", "cudaupload"]);
    if !found.status.success() {
        println!("skipped: GStreamer has no cudaupload here");
    }
    found.status.success()
}

#[test]
fn between_gstreamer_s_own_elements_frames_are_those_of_the_host() {
    let folder = Folder::new("elements", &DRIVER);
    if !has_elements(&folder) {
        return;
    }
    let host = folder.written(&format!("{SOURCE} ! vfiinterp"));
    assert_eq!(host.len(), 6 * 72 * 52 * 3 / 2);
    let device = folder.written(&format!(
        "{SOURCE} ! cudaupload ! {DEVICE} ! vfiinterp ! {DEVICE} ! cudadownload ! video/x-raw"
    ));
    assert!(device == host, "{} bytes, {}", device.len(), host.len());
}

#[test]
fn a_library_of_another_kind_is_as_good_as_none() {
    // a libgstcuda that lacks the functions
    let folder = Folder::new("foreign", &["libcuda.so.1", LIBRARY]);
    let plays = folder.launch(&format!("{SOURCE} ! vfiinterp ! fakesink"));
    assert!(plays.status.success(), "{plays:?}");
    let refused = folder.launch(&format!("{SOURCE} ! vfiinterp ! {DEVICE} ! fakesink"));
    assert!(!refused.status.success(), "{refused:?}");
}

#[test]
fn the_plugin_is_linked_to_nothing_of_cuda() {
    let plugin = driver_file().with_file_name("libgstvfiinterp.so");
    let output = Command::new("ldd").arg(&plugin).output().unwrap();
    let linked = String::from_utf8(output.stdout).unwrap();
    assert!(linked.contains("libgstreamer"), "{linked}");
    assert!(!linked.contains("cuda"), "{linked}");
}
