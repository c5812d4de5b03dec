//! The plugin file in a program of its own, which ends as well as it began.

use std::process::{Command, Output};

use test_support::cuda::driver_file;

use crate::provider;

fn launch(element: &str, variable: (&str, &str)) -> Output {
    let pipeline = format!(
        "-q videotestsrc num-buffers=4 ! video/x-raw,width=96,height=64 ! {element} ! fakesink"
    );
    Command::new("gst-launch-1.0")
        .args(pipeline.split_whitespace())
        .env("GST_PLUGIN_PATH", driver_file().parent().unwrap())
        .env(variable.0, variable.1)
        .env_remove("G_DEBUG")
        .output()
        .unwrap()
}

#[test]
fn a_program_ends_well() {
    let Some(_driver) = provider() else {
        return;
    };
    let output = launch(
        "vfiinterp execution-provider=cuda",
        ("CUDA_STAND_IN_DEVICES", "1"),
    );
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_a_device_only_the_one_that_is_named_fails() {
    let Some(_driver) = provider() else {
        return;
    };
    let none = ("CUDA_STAND_IN_DEVICES", "0");
    let output = launch("vfiinterp execution-provider=auto", none);
    assert!(output.status.success(), "{output:?}");
    let output = launch("vfiinterp execution-provider=cuda", none);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no CUDA-capable device"),
        "{said}"
    );
}

#[test]
fn a_device_without_memory_costs_frames_and_not_the_stream() {
    let Some(_driver) = provider() else {
        return;
    };
    for mebibytes in [2, 6, 12, 40] {
        let bytes = (mebibytes << 20).to_string();
        let output = launch(
            "vfiinterp execution-provider=cuda",
            ("CUDA_STAND_IN_MEMORY", &bytes),
        );
        assert!(output.status.success(), "{mebibytes} MiB: {output:?}");
    }
}
