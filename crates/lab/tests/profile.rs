//! `vfi-lab profile` on a pipeline that runs, and its page in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used)] // that is how a test fails

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PIPELINE: &str = "videotestsrc pattern=ball num-buffers=20 ! video/x-raw,width=96,height=64,framerate=30/1 \
    ! queue ! vfiinterp name=vfi threads=1 ! queue name=behind ! fakesink name=sink";

fn profile(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfi-lab"));
    command.arg("profile").args(words).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn names(found: &Value) -> Vec<&str> {
    let elements = found["measured"]["elements"].as_array().unwrap();
    let names = elements
        .iter()
        .map(|element| element["name"].as_str().unwrap());
    names.collect()
}

#[test]
fn a_pipeline_and_its_saved_log_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let run = profile(&[
        PIPELINE,
        "--save",
        &text("run.log"),
        "--json",
        &text("run.json"),
    ]);
    assert!(run.status.success(), "{run:?}");
    let found = json(&path("run.json"));
    for name in ["vfi", "behind", "sink"] {
        assert!(names(&found).contains(&name), "{name}");
    }
    let measured = &found["measured"];
    assert_eq!(measured["interpolator"], "vfi");
    assert!(measured["steps"]["network"].as_f64().unwrap() > 0.0);
    assert!(measured["frames"]["synthesised"].as_f64().unwrap() > 0.0);
    assert!(measured["waits"]["queue-level-max"].as_f64().unwrap() >= 1.0);
    assert_eq!(
        measured["behind"]["same_thread"],
        serde_json::json!(["behind"])
    );

    let again = profile(&[
        &text("run.log"),
        "--json",
        &text("log.json"),
        "--report",
        &text("page.html"),
    ]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(json(&path("log.json"))["measured"], found["measured"]);
    let page = fs::read_to_string(path("page.html")).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"));
    look_at(&path("page.html"), folder.path());
}

/// Looks at the page in a browser, if there is one: all of it is shown, and nothing is complained of.
fn look_at(page: &Path, folder: &Path) {
    let data = format!("--user-data-dir={}", folder.join("browser").display());
    let mut command = Command::new("chromium");
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
    ]);
    command.args([&data, "--dump-dom", &format!("file://{}", page.display())]);
    let Ok(seen) = command.output() else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let (dom, log) = (
        String::from_utf8_lossy(&seen.stdout),
        String::from_utf8_lossy(&seen.stderr),
    );
    for part in [
        "id=\"advice\"",
        "id=\"flame\"",
        "id=\"timeline\"",
        "<rect",
        "network",
    ] {
        assert!(dom.contains(part), "{part} is not in {dom}");
    }
    let complaints = log.lines().filter(|line| line.contains("CONSOLE"));
    assert_eq!(complaints.count(), 0, "{log}");
}

#[test]
fn a_pipeline_that_fails_says_why_once() {
    let run = profile(&["filesrc location=/nowhere.mp4 ! decodebin ! vfiinterp ! fakesink"]);
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("nowhere.mp4"), "{said}");
}
