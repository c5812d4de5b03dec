//! The plugin file in a program of its own, which ends as well as it began.

use std::process::{Command, Output};

use crate::device::driver_file;
use crate::provider;

fn launch(element: &str, devices: &str) -> Output {
    let pipeline = format!(
        "-q videotestsrc num-buffers=4 ! video/x-raw,width=96,height=64 ! {element} ! fakesink"
    );
    Command::new("gst-launch-1.0")
        .args(pipeline.split_whitespace())
        .env("GST_PLUGIN_PATH", driver_file().parent().unwrap())
        .env("CUDA_STAND_IN_DEVICES", devices)
        .env_remove("G_DEBUG")
        .output()
        .unwrap()
}

#[test]
fn a_program_ends_well() {
    let Some(_driver) = provider() else {
        return;
    };
    let output = launch("vfiinterp execution-provider=cuda", "1");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_a_device_only_the_one_that_is_named_fails() {
    let Some(_driver) = provider() else {
        return;
    };
    let output = launch("vfiinterp execution-provider=auto", "0");
    assert!(output.status.success(), "{output:?}");
    let output = launch("vfiinterp execution-provider=cuda", "0");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no CUDA-capable device"),
        "{said}"
    );
}
