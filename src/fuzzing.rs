//! Targets that the fuzzers in `fuzz/` call, and that `make test` calls with every input they have
//! found worth keeping (`fuzz/corpus`).
//!
//! Each target takes any bytes at all, hands what it makes of them to a part of the crate that sees
//! what others have made, and asserts what that part promises. What it makes is structured: bytes
//! choose among operators, names and sizes, so that few of them reach deep.

mod frames;
mod graph;
mod model;
mod statement;
mod warp;

pub use self::frames::frames;
pub use graph::{graph, signature};
pub use model::model;
pub use statement::statement;
pub use warp::{sample, warp};

pub use crate::vfi_element::fuzz_timeline as timeline;

/// A target: it panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All targets with their names, which are those of their corpora.
pub const TARGETS: [(&str, Target); 8] = [
    ("frames", frames),
    ("graph", graph),
    ("model", model),
    ("sample", sample),
    ("signature", signature),
    ("statement", statement),
    ("timeline", timeline),
    ("warp", warp),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Runs a target on all of its corpus.
    fn replay(name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let (_, target) = TARGETS
            .into_iter()
            .find(|(other, _)| *other == name)
            .unwrap();
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            // so that what fails is named
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "no file in {}", folder.display());
    }

    macro_rules! corpora {
        ($($name:ident)*) => {
            $(
                #[test]
                fn $name() {
                    replay(stringify!($name));
                }
            )*

            #[test]
            fn every_target_has_a_corpus_and_a_program() {
                assert_eq!([$(stringify!($name)),*], TARGETS.map(|(name, _)| name));
                let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
                let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
                for (name, _) in TARGETS {
                    assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
                }
            }
        };
    }

    corpora!(frames graph model sample signature statement timeline warp);
}
