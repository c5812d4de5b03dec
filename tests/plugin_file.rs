//! The plugin file as GStreamer's own tools load it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The version of GStreamer whose way of printing the dump has.
const PRINTED_BY: &str = "1.22.";

/// A tool of GStreamer's that sees this build's plugin and GStreamer's own.
fn tool(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    let registry = TemporaryRegistry::new();
    Command::new(name)
        .args(arguments)
        .env("GST_REGISTRY", &registry.0)
        .env("GST_PLUGIN_PATH", program.parent().unwrap())
        .env("LC_ALL", "C")
        .env_remove("G_DEBUG")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// A registry file of this test's own, so that nothing stale is found in the user's.
struct TemporaryRegistry(PathBuf);

impl TemporaryRegistry {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vfiinterp-registry-{}-{count}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TemporaryRegistry {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

fn inspect(arguments: &[&str]) -> String {
    let output = tool("gst-inspect-1.0", arguments, &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_element_looks_as_it_did() {
    if !inspect(&["--version"]).contains(PRINTED_BY) {
        println!("skipped: the dump was printed by GStreamer {PRINTED_BY}x");
        return;
    }
    let changes_with_every_build = ["  Filename ", "  Version ", "  Source release date "];
    let dump: String = inspect(&["vfiinterp"])
        .lines()
        .filter(|line| {
            !changes_with_every_build
                .iter()
                .any(|part| line.starts_with(part))
        })
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gst-inspect.txt");
    if std::env::var_os("VFIINTERP_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &dump).unwrap();
    }
    let kept = std::fs::read_to_string(&golden).unwrap();
    assert!(
        dump == kept,
        "the element's interface changed; if that is meant, run this test with \
         VFIINTERP_UPDATE_GOLDEN=1 and commit {}:\n{dump}",
        golden.display()
    );
}

const PLAY: [&str; 6] = [
    "videotestsrc",
    "num-buffers=3",
    "!",
    "vfiinterp",
    "!",
    "fakesink",
];

#[test]
fn it_plays() {
    let output = tool("gst-launch-1.0", &PLAY, &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_a_runtime_it_says_what_it_tried_and_how_to_get_one() {
    let nowhere = "/nowhere/libonnxruntime.so";
    let output = tool("gst-launch-1.0", &PLAY, &[("ORT_DYLIB_PATH", nowhere)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(said.matches("ERROR: from element").count(), 1, "{said}");
    for part in [nowhere, "make runtime", "pip download onnxruntime"] {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

#[test]
fn nothing_that_opens_connections_is_in_the_plugin() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build"])
        .args(["--package", "gst-plugin-vfiinterp", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(crates.contains(&"ort"), "{tree}");
    for client in [
        "ureq",
        "reqwest",
        "hyper",
        "curl",
        "attohttpc",
        "rustls",
        "native-tls",
        "openssl",
    ] {
        assert!(!crates.contains(&client), "{client} is among the plugin's");
    }
}
