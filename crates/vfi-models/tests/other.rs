//! Listing, explaining and converting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use common::{Home, network};
use onnx_graph::proto::StringStringEntryProto;

fn run(home: &Home, arguments: &[&str]) -> Output {
    home.command().args(arguments).output().unwrap()
}

/// Returns what a command that must succeed prints.
fn read_output(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns what a command that must fail says.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn file(home: &Home, name: &str, bytes: &[u8]) -> String {
    let path = home.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn the_list_says_what_is_here_and_how_to_get_the_rest() {
    let home = Home::new();
    fs::create_dir_all(home.models()).unwrap();
    let here = home.models().join("rife_v4.6.onnx");
    fs::write(&here, network(7)).unwrap();
    let text = read_output(&run(&home, &["list"]));
    let line = |name: &str| text.lines().find(|line| line.trim().starts_with(name));
    assert_parts(
        line("vfi-lite").unwrap(),
        &[" MB  built in, used when nothing is asked for"],
    );
    assert_parts(line("rife-4.6").unwrap(), &[here.to_str().unwrap()]);
    assert_parts(line("rife-4.26").unwrap(), &["vfi-models fetch rife-4.26"]);
    assert_parts(&text, &["MIT", "github.com/AmusementClub/vs-mlrt"]);
}

#[test]
fn a_network_is_explained_without_running_it() {
    let home = Home::new();
    let path = file(&home, "mine.onnx", &network(8));
    let mut command = home.command();
    // no runtime is needed
    command
        .env("ORT_DYLIB_PATH", "/nowhere")
        .args(["info", &path]);
    let text = read_output(&command.output().unwrap());
    let parts = [
        path.as_str(),
        "`input` float32 [1,8,?,?]",
        "`output` float32 [1,3,?,?]",
        "8 channels: two pictures, the phase and the flow's scale",
        "a picture, `output`",
        "RGB, 0 to 1, in planes",
        "onnx 17",
        "4096",
    ];
    assert_parts(&text, &parts);
    let text = read_output(&run(&home, &["info", "vfi-lite"]));
    assert_parts(
        &text,
        &[
            "motion",
            "multiples of 16",
            "rife",
            "own operators",
            "24 convolutions by themselves",
        ],
    );
}

#[test]
fn weights_in_a_file_of_their_own_are_part_of_a_network() {
    let home = Home::new();
    let mut model = onnx_graph::decode(&network(7)).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let mut beside = Vec::new();
    for tensor in &mut graph.initializer {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        tensor.external_data = vec![
            entry("location", "mine.onnx.data".into()),
            entry("offset", beside.len().to_string()),
        ];
        beside.extend(tensor.raw_data.take().unwrap());
        tensor.data_location = Some(1);
    }
    assert!(!beside.is_empty());
    let path = file(&home, "mine.onnx", &onnx_graph::encode(&model));
    let why = refusal(&run(&home, &["info", &path]));
    assert_parts(&why, &["mine.onnx.data", "no such file"]);
    file(&home, "mine.onnx.data", &beside);
    let text = read_output(&run(&home, &["info", &path]));
    assert_parts(&text, &["7 channels", "parameters   4096"]);
}

#[test]
fn what_is_stated_counts_and_is_named_as_the_reason() {
    let home = Home::new();
    let path = file(&home, "mine.onnx", &network(7));
    let stated = ["info", &path, "--model-info", "range=-1..1,align=32"];
    let text = read_output(&run(&home, &stated));
    assert_parts(&text, &["-1 to 1", "multiples of 32", "because", "align"]);
    let wrong = ["info", &path, "--model-info", "range=0..255"];
    assert_parts(&refusal(&run(&home, &wrong)), &["0..255", "-1..1"]);
}

#[test]
fn a_run_tells_what_the_graph_does_not() {
    let home = Home::new();
    let path = file(&home, "mine.onnx", &network(7));
    let text = read_output(&run(&home, &["info", &path, "--run"]));
    // it gives the first picture, whatever the phase
    assert_parts(&text, &["the middle", "no effect", "ONNX Runtime 1."]);
}

#[test]
fn what_is_no_network_is_one_clear_error() {
    let home = Home::new();
    let text = file(&home, "text.onnx", b"Dear network,\n");
    let odd = file(&home, "odd.onnx", &network(5));
    for (model, parts) in [
        (text.as_str(), ["text.onnx", "not an ONNX file"]),
        (
            &odd,
            ["`input` float32 [1,5,?,?]", "6, 7, 8 or 11 channels"],
        ),
        ("/nowhere.onnx", ["/nowhere.onnx", "No such file"]),
        (
            "rife-4.25",
            ["not on this machine", "vfi-models fetch rife-4.25"],
        ),
        ("rife", ["vfi-lite", "rife-4.26"]),
    ] {
        let message = refusal(&run(&home, &["info", model]));
        assert_parts(&message, &parts);
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// A program that stands for Python: it lacks `missing`, and writes `network` as the last but
/// `options` arguments say.
fn python(home: &Home, missing: &str, network: &str) -> PathBuf {
    let path = home.path().join("python");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = -c ]; then echo {missing}; exit; fi\necho \"$@\" > {}\ncp {network} \"$3\"\n",
        home.path().join("arguments").display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn converting_passes_everything_on_and_says_what_came_out() {
    let home = Home::new();
    let made = file(&home, "made.onnx", &network(7));
    let output = home.path().join("out.onnx");
    let mut command = home.command();
    command.env("VFIINTERP_PYTHON", python(&home, "", &made));
    command.args(["convert", "flownet.pkl"]).arg(&output);
    command.args(["--half", "--version", "4.25"]);
    let text = read_output(&command.output().unwrap());
    assert_parts(&text, &["7 channels", "a picture"]);
    let arguments = fs::read_to_string(home.path().join("arguments")).unwrap();
    let expected = format!("flownet.pkl {} --half --version 4.25\n", output.display());
    assert!(arguments.ends_with(&expected), "{arguments}");
    assert!(arguments.contains("convert/convert.py"), "{arguments}");
}

#[test]
fn missing_packages_are_named_with_the_way_to_get_them() {
    let home = Home::new();
    let mut command = home.command();
    command.env("VFIINTERP_PYTHON", python(&home, "torch onnx", "none"));
    let output = command.args(["convert", "in.pkl", "out.onnx"]).output();
    let message = refusal(&output.unwrap());
    let parts = [
        "torch, onnx",
        "venv",
        "requirements.txt",
        "VFIINTERP_PYTHON",
    ];
    assert_parts(&message, &parts);
    let mut command = home.command();
    command.env("VFIINTERP_PYTHON", "/nowhere/python");
    let output = command.args(["convert", "in.pkl", "out.onnx"]).output();
    assert_parts(&refusal(&output.unwrap()), &["/nowhere/python", "Python 3"]);
}
