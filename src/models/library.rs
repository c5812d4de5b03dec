//! The networks that come with the element, and what a model's name stands for.

use std::path::{Path, PathBuf};

/// The network used when nothing else is asked for.
pub const DEFAULT: &str = "vfi-lite";

/// The bytes of `vfi-lite`, this project's own network.
pub const VFI_LITE: &[u8] = include_bytes!("../../models/vfi-lite.onnx");

/// The names of the built-in networks with their bytes.
const BUILT_IN: [(&str, &[u8]); 1] = [(DEFAULT, VFI_LITE)];

/// Where a model's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Inside the plugin.
    BuiltIn {
        /// Its name.
        name: &'static str,
        /// Its bytes.
        bytes: &'static [u8],
    },
    /// In a file, which may not exist.
    File(PathBuf),
}

/// The names of the built-in networks.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|&(name, _)| name)
}

/// What a model's name stands for: a built-in network, else a file; `None` when it is neither, nor
/// looks like a path.
pub fn resolve(model: &str) -> Option<Source> {
    if let Some(&(name, bytes)) = BUILT_IN.iter().find(|(name, _)| *name == model) {
        return Some(Source::BuiltIn { name, bytes });
    }
    let path = Path::new(model);
    let is_path = model.contains('/') || path.extension().is_some_and(|e| e == "onnx");
    (is_path || path.exists()).then(|| Source::File(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_names_come_before_files() {
        assert_eq!(names().collect::<Vec<_>>(), ["vfi-lite"]);
        let expected = Source::BuiltIn {
            name: DEFAULT,
            bytes: VFI_LITE,
        };
        assert_eq!(resolve("vfi-lite"), Some(expected));
    }

    #[test]
    fn what_looks_like_a_path_is_one() {
        for path in ["./vfi-lite", "missing.onnx", "/tmp/none", "Cargo.toml"] {
            assert_eq!(resolve(path), Some(Source::File(path.into())));
        }
        assert_eq!(resolve("rife"), None);
        assert_eq!(resolve(""), None);
    }
}
