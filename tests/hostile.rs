//! Files made to break what reads them: each is one clear error, in bounded memory, and the process
//! goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions};
use test_support::fixtures::{self, TemporaryFile, hostile};

fn options(model: &str) -> LoadOptions {
    LoadOptions {
        model: model.into(),
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    }
}

/// Tries to load a model, and returns the error.
#[track_caller]
fn refusal(model: &str) -> String {
    match Interpolator::load(&options(model)) {
        Ok(_) => panic!("{model} was loaded"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_said(said: &str, parts: &[&str]) {
    assert!(said.len() < 6000, "{} bytes", said.len());
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

/// The most memory this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn each_is_refused_and_the_next_one_works() {
    for (name, bytes, reason) in hostile::files() {
        let file = TemporaryFile::new(&format!("{name}.onnx"), &bytes);
        assert_said(&refusal(file.path()), &[file.path(), reason]);
    }
    let file = TemporaryFile::new("mean.onnx", &fixtures::mean());
    assert!(Interpolator::load(&options(file.path())).is_ok());
    assert!(peak() < 1 << 30, "{} MiB were in use", peak() >> 20);
}

/// A folder of its own, gone with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vfiinterp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_of_gigabytes_is_not_read() {
    let folder = Folder::new("sparse");
    let path = folder.path("sparse.onnx");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(5 << 30)
        .unwrap();
    assert_said(
        &refusal(&path),
        &[&path, "5120 MiB large", "the limit is 512 MiB"],
    );
    assert!(peak() < 256 << 20, "{} MiB were in use", peak() >> 20);
}

#[test]
fn pipes_and_devices_are_not_opened() {
    let folder = Folder::new("pipe");
    let pipe = folder.path("pipe.onnx");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let link = folder.path("link.onnx");
    symlink("/dev/zero", &link).unwrap();
    for path in [pipe.as_str(), &link, "/dev/zero", "/dev/stdin"] {
        if Path::new(path).is_file() {
            continue; // what a test is given as its input may be one
        }
        let said = refusal(path);
        assert!(
            said.contains("not a regular file") || said.contains("No such"),
            "{said}"
        );
    }
    assert_said(&refusal("/proc/self/mem"), &["it is empty"]);
}

#[test]
fn a_link_to_a_model_is_that_model() {
    let folder = Folder::new("link");
    let file = TemporaryFile::new("mean.onnx", &fixtures::mean());
    let link = folder.path("net.onnx");
    symlink(file.path(), &link).unwrap();
    assert!(Interpolator::load(&options(&link)).is_ok());
    // what lies beside either of the two is the model's
    let beside = Path::new(file.path()).with_extension("toml");
    for place in [PathBuf::from(folder.path("net.toml")), beside] {
        std::fs::write(place, "align = 32\n").unwrap();
        let network = Interpolator::load(&options(&link)).unwrap();
        assert_eq!(network.info().align, 32);
    }
    // and a link to a link that never ends is none
    let circle = folder.path("circle.onnx");
    symlink(&circle, &circle).unwrap();
    assert_said(&refusal(&circle), &[&circle]);
}

#[test]
fn weights_are_read_from_plain_files_in_the_model_s_folder_only() {
    let (folder, outside) = (Folder::new("weights"), Folder::new("elsewhere"));
    let model = folder.path("net.onnx");
    let weights = [0; 16];
    std::fs::write(outside.path("far"), weights).unwrap();
    let said = |location: &str| {
        std::fs::write(&model, hostile::external(location)).unwrap();
        let said = refusal(&model);
        assert_said(&said, &[&model, "its tensor `w`", location]);
        said
    };
    symlink(outside.path("far"), folder.path("link")).unwrap();
    assert_said(
        &said("link"),
        &["out of the model's folder", "a copy of it"],
    );
    symlink(&outside.0, folder.path("inner")).unwrap();
    assert_said(&said("inner/far"), &["out of the model's folder"]);
    symlink("/dev/zero", folder.path("device")).unwrap();
    assert_said(&said("device"), &["out of the model's folder"]);
    symlink(folder.path("circle"), folder.path("circle")).unwrap();
    said("circle");
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status();
    assert!(made.unwrap().success());
    assert_said(&said("pipe"), &["not a regular file"]);
    std::fs::create_dir(folder.path("folder")).unwrap();
    assert_said(&said("folder"), &["it is a folder"]);
    std::fs::write(folder.path("cut"), &weights[1..]).unwrap();
    assert_said(&said("cut"), &["0 to 16", "which has 15", "cut off"]);
    let huge = std::fs::File::create(folder.path("huge")).unwrap();
    huge.set_len(512 << 20).unwrap();
    std::fs::write(&model, hostile::external("huge")).unwrap();
    let together = ["512 MiB large with the files beside", "limit is 512"];
    assert_said(&refusal(&model), &together);
    // and a link to a file in the folder is that file
    let (bytes, weights) = fixtures::moved_beside(&fixtures::add_stored(64, 64).0, "./link_inside");
    std::fs::write(&model, bytes).unwrap();
    std::fs::write(folder.path("near"), weights).unwrap();
    symlink("near", folder.path("link_inside")).unwrap();
    Interpolator::load(&options(&model)).unwrap();
    assert!(peak() < 1 << 30, "{} MiB were in use", peak() >> 20);
}

#[test]
fn what_lies_beside_a_model_does_not_lead_elsewhere() {
    let (folder, outside) = (Folder::new("inside"), Folder::new("outside"));
    let model = folder.path("net.onnx");
    std::fs::write(&model, fixtures::mean()).unwrap();
    std::fs::write(outside.path("secret"), "password = \"swordfish\"\n").unwrap();
    symlink(outside.path("secret"), folder.path("net.toml")).unwrap();
    let said = refusal(&model);
    assert_said(&said, &["net.toml", "out of the model's folder"]);
    assert!(
        !said.contains("password") && !said.contains("swordfish"),
        "{said}"
    );
    // who names it means it
    std::fs::write(outside.path("net.toml"), "align = 32\n").unwrap();
    let named = LoadOptions {
        info: outside.path("net.toml"),
        ..options(&model)
    };
    assert!(Interpolator::load(&named).is_ok());
}

#[test]
fn what_is_stated_is_of_bounded_length() {
    let file = TemporaryFile::new("mean.onnx", &fixtures::mean());
    let long = "x".repeat(1 << 20);
    for info in [
        long.clone(),
        format!("range={long}"),
        format!("{long}=1"),
        format!("name={long}"),
        format!("output={long}"),
    ] {
        let stated = LoadOptions {
            info,
            ..options(file.path())
        };
        let said = Interpolator::load(&stated)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert_said(&said, &[]);
    }
    assert_said(&refusal(&long), &["there is no model"]);
}
