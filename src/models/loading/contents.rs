//! A model's bytes: its file's, and those of the files beside it that its weights lie in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use onnx_graph::proto::ModelProto;
use onnx_graph::{FilesBeside, LONGEST_NAME, MAX_FILE_BYTES, abbreviate, files_beside};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::frames::space;
use crate::models::error::ModelError;
use crate::models::files::{find_beside, open_regular};

/// No more of a file that holds sums is read, in bytes.
const MAX_SUM: u64 = 64 << 10;

/// Endings of files that hold weights without a network.
pub(super) const WEIGHTS_ENDINGS: [&str; 5] = ["pkl", "pth", "pt", "ckpt", "safetensors"];

/// Digest that tells one content from all others.
pub type Digest = [u8; 32];

/// A model's bytes.
#[derive(Clone, Debug)]
pub struct Contents {
    /// All of them: those of its file, then those of the files beside it, so that every weight is
    /// a part of one buffer.
    pub bytes: Arc<[u8]>,
    /// End of the bytes of its file.
    own: usize,
    /// Ranges of the bytes of the files beside it, by the names that the model has for them.
    beside: BTreeMap<String, Range<usize>>,
    /// Tells contents apart; no sum that other programs know.
    pub digest: Digest,
}

impl Contents {
    /// The bytes of a network inside the plugin.
    pub(super) fn built_in(bytes: &[u8]) -> Self {
        Self::whole(Arc::from(bytes), Sha256::digest(bytes).into())
    }

    /// Returns the contents of a file that holds everything itself.
    fn whole(bytes: Arc<[u8]>, digest: Digest) -> Self {
        Self {
            own: bytes.len(),
            bytes,
            beside: BTreeMap::new(),
            digest,
        }
    }

    /// Reads the model, whose weights stay where they are.
    ///
    /// # Errors
    /// Why the bytes are refused.
    pub fn decode(&self) -> Result<ModelProto, String> {
        let all = Bytes::from_owner(Arc::clone(&self.bytes));
        onnx_graph::decode_shared(&all.slice(..self.own), |name| {
            let range = self.beside.get(name)?;
            Some(all.slice(range.clone()))
        })
    }

    /// Returns each file's bytes: the model's, and those beside it with their names.
    fn files(&self) -> impl Iterator<Item = (Option<&str>, &[u8])> {
        let beside = self.beside.iter();
        let beside = beside.map(|(name, range)| (Some(name.as_str()), &self.bytes[range.clone()]));
        std::iter::once((None, &self.bytes[..self.own])).chain(beside)
    }
}

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file can't be read; holds the reason.
    Unreadable(String),
    /// The file was read, and is not what is taken; holds the reason.
    Unusable(String),
}

impl Refusal {
    /// Returns the refusal as an error of the model with this label.
    pub(super) fn of(self, model: String) -> ModelError {
        match self {
            Self::Unreadable(reason) => ModelError::Unreadable { model, reason },
            Self::Unusable(reason) => ModelError::Unusable { model, reason },
        }
    }
}

/// Reads a whole model that is not too large to be a network.
pub(super) fn read_file(path: &Path) -> Result<Contents, Refusal> {
    let (file, length) = open(path).map_err(Refusal::Unreadable)?;
    within_bounds(length, "").map_err(Refusal::Unreadable)?;
    let unreadable = |error: io::Error| Refusal::Unreadable(error.to_string());
    let (bytes, digest) =
        read_buffer(length, |bytes| read_into(&file, bytes)).map_err(unreadable)?;
    let names = files_beside(&Bytes::from_owner(Arc::clone(&bytes)));
    let names =
        names.map_err(|why| Refusal::Unusable(weights_only(path, &bytes).unwrap_or(why)))?;
    match names.is_empty() {
        true => Ok(Contents::whole(bytes, digest)),
        false => join(path, &bytes, digest, &names).map_err(Refusal::Unusable),
    }
}

/// Says what is to be done with a file that is no model, if it is weights as PyTorch saves them: a
/// ZIP archive, or a pickle.
fn weights_only(path: &Path, bytes: &[u8]) -> Option<String> {
    let ending = path.extension().unwrap_or_default();
    let is_called_so = WEIGHTS_ENDINGS
        .iter()
        .any(|e| ending.eq_ignore_ascii_case(e));
    let begins_so = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02");
    (is_called_so || begins_so).then(|| {
        let (path, made) = (path.display(), path.with_extension("onnx"));
        format!(
            "it seems to hold weights for PyTorch, and no network: `vfi-models convert {path} {}` \
             makes one of those of RIFE and FILM",
            made.display()
        )
    })
}

/// Lays the files beside a model's behind its own bytes.
fn join(path: &Path, own: &[u8], digest: Digest, names: &FilesBeside) -> Result<Contents, String> {
    let failed = |name: &str, why: String| {
        let tensor = names.get(name).map(String::as_str).unwrap_or_default();
        format!(
            "its tensor `{}` is stored in `{}`, which cannot be read: {why}",
            abbreviate(tensor, LONGEST_NAME),
            abbreviate(name, LONGEST_NAME)
        )
    };
    // all are looked at before any is read
    let mut end = own.len();
    let mut places = BTreeMap::new();
    for name in names.keys() {
        let looked_at = find_beside(path, Path::new(name)).and_then(|place| {
            let (_, length) = open(&place)?;
            Ok((place, length))
        });
        let (place, length) = looked_at.map_err(|why| failed(name, why))?;
        let begin = end;
        end = end.saturating_add(length);
        within_bounds(end, " with the files beside it that its weights lie in")?;
        places.insert(name.clone(), (place, begin..end));
    }
    let (bytes, digests) = read_buffer(end, |bytes| {
        bytes[..own.len()].copy_from_slice(own);
        let mut digests = Sha256::new_with_prefix(digest);
        for (name, (place, range)) in &places {
            let read = open(place).and_then(|(file, _)| {
                read_into(&file, &mut bytes[range.clone()]).map_err(|error| error.to_string())
            });
            digests.update(read.map_err(|why| io::Error::other(failed(name, why)))?);
        }
        Ok(digests)
    })
    .map_err(|error| error.to_string())?;
    let places = places.into_iter();
    Ok(Contents {
        bytes,
        own: own.len(),
        beside: places.map(|(name, (_, range))| (name, range)).collect(),
        digest: digests.finalize().into(),
    })
}

fn within_bounds(length: usize, of: &str) -> Result<(), String> {
    if length as u64 <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(format!(
        "it is {} MiB large{of}, and the limit is {} MiB",
        length >> 20,
        MAX_FILE_BYTES >> 20
    ))
}

/// Opens a file, and tells how long it is.
fn open(path: &Path) -> Result<(File, usize), String> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    Ok((file, usize::try_from(length).unwrap_or(usize::MAX)))
}

/// Allocates `length` bytes, and fills them with `fill`.
fn read_buffer<T>(
    length: usize,
    fill: impl FnOnce(&mut [u8]) -> io::Result<T>,
) -> io::Result<(Arc<[u8]>, T)> {
    space::probe(length).map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
    // SAFETY: zero is a valid byte.
    let mut bytes = unsafe { Arc::<[u8]>::new_zeroed_slice(length).assume_init() };
    // nobody else has it yet, so nothing is cloned
    let made = fill(Arc::make_mut(&mut bytes))?;
    Ok((bytes, made))
}

/// Fills `bytes` from a file, and digests them on the way, on several threads: fresh memory costs
/// more than reading, so one thread would take twice the time for the two.
fn read_into(file: &File, bytes: &mut [u8]) -> io::Result<Digest> {
    const PART: usize = 1 << 20;
    let parts = bytes.par_chunks_mut(PART).enumerate();
    let digests: io::Result<Vec<Digest>> = parts
        .map(|(index, part)| {
            file.read_exact_at(part, (index * PART) as u64)?;
            Ok(Sha256::digest(&*part).into())
        })
        .collect();
    let mut digest = Sha256::new();
    digests?.iter().for_each(|part| digest.update(part));
    Ok(digest.finalize().into())
}

/// The file beside a model's that holds the SHA-256 sum it had when it was fetched, in the manner
/// of `sha256sum`; and those of the files that its weights lie in, a line each.
pub fn sum_file(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

/// Compares fetched files' bytes with the sums written down beside the model, if there are any.
pub(super) fn check_sums(path: &Path, contents: &Contents) -> Result<(), String> {
    let Ok(file) = open_regular(&sum_file(path)) else {
        return Ok(()); // put there by hand
    };
    let mut text = String::new();
    file.take(MAX_SUM)
        .read_to_string(&mut text)
        .map_err(|error| format!("the sum it was fetched with cannot be read: {error}"))?;
    let lines: Vec<(&str, &str)> = (text.lines())
        .filter_map(|line| line.split_once(char::is_whitespace))
        // `*` before a name stands for bytes as they are
        .map(|(sum, name)| (sum, name.trim().trim_start_matches('*')))
        .collect();
    for (name, bytes) in contents.files() {
        let expected = match name {
            // its own sum is the first, whatever its name is now
            None => text.split_whitespace().next(),
            Some(name) => (lines.iter()).find_map(|(sum, of)| (*of == name).then_some(*sum)),
        };
        let called = name.map_or_else(|| "it".into(), |name| format!("`{name}`"));
        let Some(expected) = expected else {
            return Err(format!(
                "there is no sum of {called}, and there is one of others"
            ));
        };
        let found = sha256(bytes);
        if !found.eq_ignore_ascii_case(expected) {
            return Err(format!(
                "the sha256 of {called} is {found}, and it was {expected} when it was fetched"
            ));
        }
    }
    Ok(())
}

/// The SHA-256 sum in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use onnx_graph::build::GraphBuilder;
    use onnx_graph::proto::{StringStringEntryProto, TensorProto};

    use super::*;

    /// A folder of its own, gone with its value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("vfiinterp-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("the temporary folder takes folders");
            Self(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).expect("the folder takes files");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A model with a tensor of four bytes in each of these files.
    fn storing(locations: &[&str]) -> Vec<u8> {
        let mut model = GraphBuilder::new("sample", 17)
            .input("x", &[1, 3, -1, -1])
            .node("Relu", &["x"], &["y"])
            .output("y", &[1, 3, -1, -1])
            .finish();
        let tensor = |location: &&str| TensorProto {
            name: Some("w".into()),
            dims: vec![1],
            data_type: Some(onnx_graph::FLOAT),
            external_data: vec![StringStringEntryProto {
                key: Some("location".into()),
                value: Some((*location).into()),
            }],
            data_location: Some(1),
            ..TensorProto::default()
        };
        let graph = model.graph.get_or_insert_default();
        graph.initializer = locations.iter().map(tensor).collect();
        onnx_graph::encode(&model)
    }

    #[test]
    fn weights_of_several_files_are_parts_of_one_buffer() {
        let folder = Folder::new("several");
        let path = folder.write("net.onnx", &storing(&["b.data", "a.data", "b.data"]));
        folder.write("a.data", b"aaaa");
        folder.write("b.data", b"bbbbb");
        let contents = read_file(&path).expect("all of it is there");
        let graph = contents.decode().expect("it is one").graph;
        let stored = graph.iter().flat_map(|graph| &graph.initializer);
        let stored: Vec<_> = stored.flat_map(|t| t.raw_data.clone()).collect();
        assert_eq!(stored, ["bbbb", "aaaa", "bbbb"]);
        for part in stored {
            assert!(contents.bytes.as_ptr_range().contains(&part.as_ptr()));
        }
    }

    #[test]
    fn of_weights_for_pytorch_it_is_said_how_they_become_a_network() {
        let folder = Folder::new("pytorch");
        for (name, bytes) in [
            ("flownet.pkl", &b"PK\x03\x04 and more"[..]),
            ("flownet.pth", b"anything"),
            ("wrongly-named.onnx", b"\x80\x02 a pickle"),
        ] {
            let path = folder.write(name, bytes);
            let Err(Refusal::Unusable(why)) = read_file(&path) else {
                panic!("{name} was read");
            };
            let command = format!("vfi-models convert {}", path.display());
            assert!(why.contains(&command), "{why}");
        }
        // and a network is one under any name
        let path = folder.write("net.pt", &storing(&[]));
        assert!(read_file(&path).is_ok());
    }

    #[test]
    fn sums_are_those_of_other_programs() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn sums_cover_the_files_beside_a_model_too() {
        let folder = Folder::new("sums");
        let model = storing(&["w.data"]);
        let path = folder.write("net.onnx", &model);
        folder.write("w.data", b"1234");
        let check = || check_sums(&path, &read_file(&path).expect("it was just written"));
        assert_eq!(check(), Ok(()), "put there by hand");
        let own = format!("{}  net.onnx\n", sha256(&model));
        folder.write("net.onnx.sha256", own.as_bytes());
        assert!(check().is_err_and(|why| why.contains("no sum of `w.data`")));
        let both = format!("{own}{}  w.data\n", sha256(b"1234"));
        folder.write("net.onnx.sha256", both.as_bytes());
        assert_eq!(check(), Ok(()));
        folder.write("w.data", b"1235");
        assert!(check().is_err_and(|why| why.contains("the sha256 of `w.data`")));
    }

    #[test]
    fn contents_are_told_apart_wherever_they_differ() {
        let folder = Folder::new("parts");
        let digest = |bytes: &[u8]| {
            let path = folder.write("w.data", bytes);
            let (file, length) = open(&path).expect("it was just written");
            let mut read = vec![0; length];
            let digest = read_into(&file, &mut read).expect("it was just written");
            assert!(read == bytes);
            digest
        };
        let mut bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
        let first = digest(&bytes);
        assert_eq!(digest(&bytes), first);
        for place in [0, (1 << 20) - 1, 1 << 20, 2_999_999] {
            bytes[place] ^= 1;
            assert_ne!(digest(&bytes), first);
            bytes[place] ^= 1;
        }
        assert_ne!(digest(&bytes[..2_999_999]), first);
        digest(b"");
    }

    #[test]
    fn other_weights_make_another_content() {
        let folder = Folder::new("weights");
        let path = folder.write("net.onnx", &storing(&["w.data"]));
        let digest = |weights: &[u8]| {
            folder.write("w.data", weights);
            read_file(&path).expect("it was just written").digest
        };
        assert_ne!(digest(b"1234"), digest(b"1235"));
        assert_eq!(digest(b"1234"), digest(b"1234"));
    }
}
