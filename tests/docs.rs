//! The documents are right about this repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

use std::fs;
use std::path::Path;

/// All of the Rust in a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_proves_something_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut code = String::new();
    for folder in ["src", "tests", "examples", "crates"] {
        sources(&root.join(folder), &mut code);
    }
    // every second part stands between backticks
    let names = text.split('`').skip(1).step_by(2);
    let names: Vec<_> = names
        .filter_map(|name| Some(name.rsplit_once("::")?.1))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "b") {
        let target = code.contains(&format!("pub fn {name}(bytes: &[u8])"));
        assert!(
            target || code.contains(&format!("fn {name}(")),
            "there is no test `{name}`"
        );
    }
}
