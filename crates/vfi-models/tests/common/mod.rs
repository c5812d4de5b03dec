//! Helpers that the tests of the program have in common.
#![allow(dead_code)] // no test program uses all of it

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use onnx_graph::build::GraphBuilder;
use onnx_graph::encode;
use sha2::{Digest as _, Sha256};

/// A user's data folder of a test's own.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vfi-models-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.0.join("vfiinterp/models")
    }

    /// The files among the models, but for hidden ones.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.models()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// The program with this data folder, and without the machine's proxy.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfi-models"));
        command.env("XDG_DATA_HOME", &self.0);
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A network of one input with so many channels, with enough in it to be cut.
pub(crate) fn network(channels: i64) -> Vec<u8> {
    let mut state = 1_u32;
    let noise: Vec<f32> = (0..4096)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32
        })
        .collect();
    let model = GraphBuilder::new("stacked", 17)
        .input("input", &[1, channels, -1, -1])
        .integers("start", &[0])
        .integers("end", &[3])
        .integers("axis", &[1])
        .constant("noise", &[4096], &noise)
        .node("Slice", &["input", "start", "end", "axis"], &["output"])
        .output("output", &[1, 3, -1, -1]);
    encode(&model.finish())
}

/// The sum in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
