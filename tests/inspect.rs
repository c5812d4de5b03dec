//! What users see of the element changes only on purpose: `gst-inspect-1.0` of the plugin file
//! against a dump that is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::path::Path;
use std::process::Command;

/// The version of GStreamer whose way of printing the dump has.
const PRINTED_BY: &str = "1.22.";

fn inspect(plugin: &Path, arguments: &[&str]) -> String {
    let folder = std::env::temp_dir().join(format!("vfiinterp-inspect-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new("gst-inspect-1.0")
        .args(arguments)
        .env("GST_REGISTRY", folder.join("registry.bin"))
        .env("GST_PLUGIN_SYSTEM_PATH", "")
        .env("GST_PLUGIN_PATH", plugin.parent().unwrap())
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_element_looks_as_it_did() {
    let program = std::env::current_exe().unwrap();
    let plugin = program.with_file_name("libgstvfiinterp.so");
    if !inspect(&plugin, &["--version"]).contains(PRINTED_BY) {
        println!("skipped: the dump was printed by GStreamer {PRINTED_BY}x");
        return;
    }
    let changes_with_every_build = ["  Filename ", "  Version ", "  Source release date "];
    let dump: String = inspect(&plugin, &["vfiinterp"])
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
