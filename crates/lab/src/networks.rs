//! Small networks of every kind, and files that are none.

use std::path::PathBuf;

use anyhow::{Context, Result};
use onnx_graph::build::GraphBuilder;
use onnx_graph::encode;

use crate::slow;

/// A folder with networks, gone when dropped.
#[derive(Debug)]
pub(crate) struct Networks {
    folder: PathBuf,
    files: Vec<String>,
}

impl Networks {
    /// Writes the networks: one that gives motion, one that gives pictures at any phase, one that
    /// knows the middle only; and half of one.
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("vfi-lab-networks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let motion = slow::network(1);
        let half = motion[..motion.len() / 2].to_vec();
        let mut networks = Self {
            folder,
            files: Vec::new(),
        };
        for (name, bytes) in [
            ("motion.onnx", motion),
            ("picture.onnx", picture(true)),
            ("midpoint.onnx", picture(false)),
            ("half.onnx", half),
        ] {
            let path = networks.folder.join(name);
            std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
            networks.files.push(path.to_string_lossy().into_owned());
        }
        Ok(networks)
    }

    /// Returns a network that can be relied on, and costs next to nothing.
    pub(crate) fn sound(&self) -> &str {
        &self.files[0]
    }

    /// Returns all of them by name, the built-in one and nonsense among them; the sound one more
    /// often.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.files.clone();
        names.extend([self.sound().to_owned(), self.sound().to_owned()]);
        names.extend(["vfi-lite", "", "no such model", "/nowhere/model.onnx"].map(String::from));
        names
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns a network that answers with a blend, at any phase or at the middle.
fn picture(any: bool) -> Vec<u8> {
    let dims: &[i64] = &[1, 3, -1, -1];
    let model = GraphBuilder::new("picture", 17)
        .input("img0", dims)
        .input("img1", dims);
    let model = if any {
        model.input("timestep", &[1])
    } else {
        model.constant("timestep", &[1], &[0.5])
    };
    let model = model
        .node("Sub", &["img1", "img0"], &["difference"])
        .node("Mul", &["difference", "timestep"], &["part"])
        .node("Add", &["img0", "part"], &["output"])
        .output("output", dims);
    encode(&model.finish())
}
