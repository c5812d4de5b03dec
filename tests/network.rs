//! Nothing in the plugin, the runtime it loads included, opens a connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::path::PathBuf;
use std::process::Command;

/// Traces what a program and its children ask of the system: sockets, and files. `None` where that
/// can't be watched.
fn trace(
    name: &str,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Option<String> {
    let folder = std::env::temp_dir().join(format!("vfiinterp-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=network,openat", "-o"])
        .arg(file("trace"))
        .arg(program)
        .args(arguments)
        .env("GST_REGISTRY", file("registry"))
        .env(
            "GST_PLUGIN_PATH",
            std::env::current_exe().unwrap().parent().unwrap(),
        )
        .env("XDG_CACHE_HOME", file("cache"))
        .env("HOME", &folder)
        .env_remove("G_DEBUG")
        .env_remove("ORT_DISABLE_TELEMETRY")
        .envs(environment.iter().copied())
        .output();
    let trace = std::fs::read_to_string(file("trace")).ok();
    let made: Vec<_> = std::fs::read_dir(file("cache"))
        .into_iter()
        .flatten()
        .collect();
    let made = format!("{made:?}");
    std::fs::remove_dir_all(&folder).unwrap();
    let output = output.ok()?;
    if !output.status.success() && trace.as_deref().is_none_or(str::is_empty) {
        return None; // not allowed here
    }
    assert!(output.status.success(), "{output:?}");
    assert!(
        !made.contains("Microsoft"),
        "the runtime keeps records: {made}"
    );
    trace
}

/// The calls that reach for another machine.
fn connections(trace: &str) -> Vec<&str> {
    let inet = |line: &&str| line.contains("AF_INET") || line.contains("AF_PACKET");
    trace.lines().filter(inet).collect()
}

const SKIPPED: &str = "skipped: strace is not there, or may not watch";

#[test]
fn a_connection_would_be_seen() {
    let script = "exec 3<>/dev/udp/127.0.0.1/9";
    match trace("control", "bash", &["-c", script], &[]) {
        Some(trace) => assert!(!connections(&trace).is_empty(), "{trace}"),
        None => println!("{SKIPPED}"),
    }
}

#[test]
fn no_connection_is_opened_and_nothing_is_recorded() {
    let pipeline = [
        "-q",
        "videotestsrc",
        "num-buffers=30",
        "!",
        "video/x-raw,format=NV12,width=64,height=48",
        "!",
        "vfiinterp",
        "execution-provider=cpu",
        "!",
        "fakesink",
    ];
    let Some(trace) = trace("plays", "gst-launch-1.0", &pipeline, &[]) else {
        println!("{SKIPPED}");
        return;
    };
    assert!(trace.contains("libonnxruntime"), "the runtime was loaded");
    assert_eq!(connections(&trace), Vec::<&str>::new());
    // what the runtime would send later lies there first
    for record in ["onnxruntime.db", "Microsoft"] {
        assert!(!trace.contains(record), "{record} was looked for");
    }
}
