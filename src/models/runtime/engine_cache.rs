//! TensorRT's engines, kept on disk: building one takes minutes, reading it less than a second.
//!
//! They lie in `vfiinterp/engines` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`),
//! a folder for each [`Key`]. What is there is never written to: a session works in a folder of its
//! own, a copy, which takes the other's place when the session has been made. So a file is there
//! whole or not at all, whoever else does the same and whenever a process ends.
//!
//! An engine is code that the GPU runs, so the folder has to belong to the user, and to be closed
//! to others. Where there is no such folder, engines are built and not kept.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cuda::loaded::Kind;
use sha2::{Digest as _, Sha256};

use crate::models::options::Precision;

/// Bytes that engines take on disk in all, at most; a large network's takes some 50 MB.
const MOST_BYTES: u64 = 2 << 30;
/// Longest time that an engine is kept without being used.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Time that a folder that a session works in is left alone: no build takes as long.
const LONGEST_BUILD: Duration = Duration::from_secs(24 * 60 * 60);
/// Prefix of the names of such folders.
const WORK: &str = "work-";

/// Everything that an engine is built for; where any of it differs, it is another engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// The network as the runtime gets it, with the sizes in it.
    pub(crate) graph: &'a [u8],
    /// The file that its weights are parts of.
    pub(crate) weights: &'a [u8],
    /// Precision it computes in.
    pub(crate) precision: Precision,
    /// Width and height of its pictures.
    pub(crate) size: (usize, usize),
    /// ONNX Runtime's version. TensorRT's own is part of the names that the provider gives.
    pub(crate) runtime: &'a str,
    /// Kind of device it runs on.
    pub(crate) device: &'a Kind,
}

impl Key<'_> {
    /// The name of its folder: what can be read of it, and a sum of all of it.
    pub(crate) fn name(&self) -> String {
        let (width, height) = self.size;
        let precision = self.precision.nick();
        let size = format!("{width}x{height}");
        let sum = sum(&[
            self.graph,
            self.weights,
            precision.as_bytes(),
            size.as_bytes(),
            self.timings().as_bytes(),
        ]);
        format!("{size}-{precision}-{}-{sum}", self.architecture())
    }

    /// The name of the folder of what serves for all engines of the device.
    fn timings(&self) -> String {
        let architecture = self.architecture();
        let parts = [self.runtime, &self.device.name, &architecture];
        format!("timings-{architecture}-{}", sum(&parts.map(str::as_bytes)))
    }

    fn architecture(&self) -> String {
        let (major, minor) = self.device.capability;
        format!("sm{major}{minor}")
    }
}

/// A sum of all parts, each with its length, so that none runs into the next.
fn sum(parts: &[&[u8]]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    let bytes = sum.finalize();
    bytes
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Folder where engines are kept.
#[derive(Clone, Debug)]
pub(crate) struct Store(PathBuf);

impl Store {
    /// Returns the user's store, made if it is not there, or why there is none.
    pub(crate) fn of_user() -> Result<Self, String> {
        Self::at(glib::user_cache_dir().join("vfiinterp/engines"))
    }

    fn at(folder: PathBuf) -> Result<Self, String> {
        let why = |error: io::Error| format!("{}: {error}", folder.display());
        // as the base directory specification has it
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(why)?;
        let about = fs::metadata(&folder).map_err(why)?;
        // SAFETY: asks for a number only.
        if about.uid() != unsafe { libc::geteuid() } || about.mode() & 0o022 != 0 {
            let folder = folder.display();
            return Err(format!(
                "{folder}: it is somebody else's, or others can write to it"
            ));
        }
        Ok(Self(folder))
    }

    /// A folder to make a session in, with what is kept for it.
    pub(crate) fn work(&self, key: &Key<'_>) -> io::Result<Work> {
        self.work_on(&key.name(), &key.timings())
    }

    fn work_on(&self, name: &str, timings: &str) -> io::Result<Work> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut work = Work {
            folder: self
                .0
                .join(format!("{WORK}{}-{number}", std::process::id())),
            kept: self.0.join(name),
            timings: self.0.join(timings),
            had: Vec::new(),
        };
        // of a process of the same number that has ended long ago
        work.clear()?;
        copy(&work.timings, &work.folder)?;
        copy(&work.kept, &work.folder)?;
        work.had = engines(&work.folder)?;
        Ok(work)
    }

    /// Removes what was not used for long, and of the rest what was used least lately until it
    /// takes little enough room.
    pub(crate) fn tidy(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let age = entry.metadata()?.modified().map_or(Duration::ZERO, |then| {
                now.duration_since(then).unwrap_or_default()
            });
            if entry.file_name().to_string_lossy().starts_with(WORK) {
                if age > LONGEST_BUILD {
                    remove(&entry.path())?;
                }
                continue;
            }
            // a file put there by hand is nobody's engine
            let bytes = files(&entry.path()).map_or(0, |files| files.iter().map(|f| f.1).sum());
            kept.push((entry.path(), bytes, age));
        }
        for path in superfluous(kept) {
            remove(&path)?;
        }
        Ok(())
    }
}

/// Returns which of these folders, of so many bytes, last used so long ago, are to go.
fn superfluous(mut kept: Vec<(PathBuf, u64, Duration)>) -> Vec<PathBuf> {
    kept.sort_by_key(|(_, _, age)| *age);
    let mut taken = 0_u64;
    let goes = kept.into_iter().filter(|(_, bytes, age)| {
        taken = taken.saturating_add(*bytes);
        taken > MOST_BYTES || *age > LONGEST
    });
    goes.map(|(path, _, _)| path).collect()
}

/// A folder that one session works in; gone when dropped.
#[derive(Debug)]
pub(crate) struct Work {
    folder: PathBuf,
    /// Folder where engines come from and go to.
    kept: PathBuf,
    /// Folder of what was timed while they were built.
    timings: PathBuf,
    /// The engines that were there.
    had: Files,
}

impl Work {
    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether there was an engine to begin with.
    pub(crate) fn found(&self) -> bool {
        !self.had.is_empty()
    }

    /// Keeps what is new, once the session was made.
    pub(crate) fn keep(self) -> io::Result<()> {
        if engines(&self.folder)? == self.had {
            // it counts as used now
            return match File::open(&self.kept) {
                Ok(folder) => folder.set_modified(SystemTime::now()),
                // somebody has tidied up meanwhile
                Err(_) => Ok(()),
            };
        }
        for (path, _, _) in files(&self.folder)? {
            File::open(&path)?.sync_all()?;
            if is_timings(&path)
                && let Some(name) = path.file_name()
            {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&self.timings)?;
                fs::rename(&path, self.timings.join(name))?;
            }
        }
        File::open(&self.folder)?.sync_all()?;
        // A folder is not renamed onto one that holds something. If somebody else puts theirs there
        // between the two, it is as good.
        let old = self.folder.with_extension("old");
        absent(fs::rename(&self.kept, &old))?;
        let put = fs::rename(&self.folder, &self.kept);
        remove(&old)?;
        match put.map_err(|error| (error.kind(), error)) {
            Ok(()) | Err((ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists, _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }

    /// Removes what there was, as it does not serve, here and where it is kept.
    pub(crate) fn discard(&mut self) -> io::Result<()> {
        self.had.clear();
        remove(&self.kept)?;
        remove(&self.timings)?;
        self.clear()
    }

    fn clear(&self) -> io::Result<()> {
        remove(&self.folder)?;
        DirBuilder::new().mode(0o700).create(&self.folder)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // if that fails, it is removed when it has become old
        drop(remove(&self.folder));
    }
}

/// Paths, lengths and times of files.
type Files = Vec<(PathBuf, u64, SystemTime)>;

/// The files in a folder, with their lengths and times.
fn files(folder: &Path) -> io::Result<Files> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_file() {
            found.push((entry.path(), about.len(), about.modified()?));
        }
    }
    Ok(found)
}

/// Returns the files in a folder that are no timings, in order.
fn engines(folder: &Path) -> io::Result<Files> {
    let mut found = files(folder)?;
    found.retain(|(path, _, _)| !is_timings(path));
    found.sort();
    Ok(found)
}

/// Returns whether a file holds what the provider has timed, for any engine it builds for this
/// device.
fn is_timings(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "timing")
}

/// Copies the files of a folder, if it is there; as they are when somebody replaces them meanwhile.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for (path, _, _) in absent(files(from))?.unwrap_or_default() {
        if let Some(name) = path.file_name() {
            absent(fs::copy(&path, to.join(name)))?;
        }
    }
    Ok(())
}

/// Turns the error for a file that is not there into `None`.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Removes a folder, or a file in its place, if it is there.
fn remove(folder: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(folder),
        result => result,
    };
    absent(removed).map(drop)
}

#[cfg(test)]
mod tests;
