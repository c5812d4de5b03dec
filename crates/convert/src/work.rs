//! The working folder: finished segments stay in it, beside the output, until all is written.
//!
//! A segment is finished once its note is there, which is written last and at once. The folder is
//! used again only by the same job: the same input, unchanged, and the same settings.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Ending of a working folder's name.
const ENDING: &str = ".vfi-work";

/// Notes on a finished segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Frames in it.
    pub(crate) frames: u64,
    /// Caps of its packets; none if it has none, or is made of pictures.
    pub(crate) caps: Option<String>,
    /// Time in ns at which its last frame ends in the output.
    pub(crate) end: u64,
}

/// A working folder, locked as long as it is held.
#[derive(Debug)]
pub(crate) struct Work {
    folder: PathBuf,
    _lock: File,
    /// Draft of the run before, which was killed.
    left: Option<PathBuf>,
}

impl Work {
    /// Opens the folder for an output made of an input. What another job left there is removed.
    pub(crate) fn open(output: &Path, input: &Path, job: &str) -> Result<Self> {
        let folder = place(output, input)?;
        let cannot = || format!("cannot write in {}", folder.display());
        fs::create_dir_all(&folder).with_context(cannot)?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(cannot)?;
        // Where there are no locks, the output's working file still keeps runs apart.
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            bail!("another run is writing {}", output.display());
        }
        let left = fs::read_to_string(folder.join("draft"))
            .ok()
            .map(PathBuf::from);
        let known = fs::read_to_string(folder.join("job"));
        if known.ok().as_deref() != Some(job) {
            for entry in fs::read_dir(&folder).with_context(cannot)? {
                let entry = entry.with_context(cannot)?.path();
                if entry != path {
                    remove(&entry).with_context(cannot)?;
                }
            }
            write_at_once(&folder.join("job"), job.as_bytes()).with_context(cannot)?;
        }
        Ok(Self {
            folder,
            _lock: lock,
            left,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes where the output is drafted, and removes the draft of a run that was killed.
    pub(crate) fn note_draft(&mut self, draft: &Path) -> Result<()> {
        if let Some(left) = self.left.take() {
            let is_dead = File::open(&left)
                .is_ok_and(|file| !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
            let is_beside = left.parent() == draft.parent() && left != draft;
            if is_dead && is_beside && left.extension().is_some_and(|e| e == "part") {
                // Should it fail, it is an empty file that stays.
                let _ = fs::remove_file(left);
            }
        }
        let name = draft.to_string_lossy();
        write_at_once(&self.folder.join("draft"), name.as_bytes())
            .with_context(|| format!("cannot write in {}", self.folder.display()))
    }

    /// Returns the note of a segment, if it is finished.
    pub(crate) fn finished(&self, segment: usize) -> Option<Note> {
        let note = fs::read(self.folder.join(format!("{segment:06}.json"))).ok()?;
        serde_json::from_slice(&note).ok()
    }

    /// Notes that a segment is finished.
    pub(crate) fn finish(&self, segment: usize, note: &Note) -> Result<()> {
        let text = serde_json::to_vec(note)?;
        write_at_once(&self.folder.join(format!("{segment:06}.json")), &text)
            .context("cannot write a segment")
    }

    /// Returns where the packets of a segment lie.
    pub(crate) fn packets(&self, segment: usize) -> PathBuf {
        self.folder.join(format!("{segment:06}.packets"))
    }

    /// Returns where the packets of a segment are written until it is finished.
    pub(crate) fn unfinished(&self, segment: usize) -> PathBuf {
        self.folder.join(format!("{segment:06}.part"))
    }

    /// Returns where a picture of a segment lies.
    pub(crate) fn picture(&self, segment: usize, number: u64) -> PathBuf {
        self.folder.join(format!("{segment:06}-{number:08}.png"))
    }

    /// Removes the folder with all that is in it.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

/// Returns the working folder's path, named after output and input.
fn place(output: &Path, input: &Path) -> Result<PathBuf> {
    let name = |path: &Path| {
        path.file_name()
            .map(OsString::from)
            .with_context(|| format!("{} names no file", path.display()))
    };
    let mut folder = name(output)?;
    folder.push(".from.");
    folder.push(name(input)?);
    folder.push(ENDING);
    Ok(output.with_file_name(folder))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => fs::remove_dir_all(path),
        done => done,
    }
}

/// Writes a file that is there wholly or not at all.
fn write_at_once(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push("~");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            frames: 3,
            caps: Some("video/x-h264".into()),
            end: 7,
        }
    }

    #[test]
    fn finished_segments_stay_for_the_same_job_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (output, input) = (folder.path().join("out.mp4"), Path::new("/films/in.mkv"));
        let open = |job| Work::open(&output, input, job);
        let work = open("first").unwrap();
        assert_eq!(work.finished(0), None);
        work.finish(0, &note()).unwrap();
        drop(work);
        assert_eq!(open("first").unwrap().finished(0), Some(note()));
        let other = open("second").unwrap();
        assert_eq!(other.finished(0), None);
        other.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_is_used_by_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let open = |input| Work::open(&output, Path::new(input), "job");
        let held = open("in.mkv").unwrap();
        let text = open("in.mkv").unwrap_err().to_string();
        assert!(text.contains("another run is writing"), "{text}");
        open("other.mkv").unwrap();
        drop(held);
        open("in.mkv").unwrap();
    }

    #[test]
    fn a_killed_runs_draft_is_removed_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let open = || Work::open(&at("out.mp4"), Path::new("in.mkv"), "job").unwrap();
        for name in ["out.mp4.a.part", "out.mp4.b.part", "theirs.part"] {
            fs::write(at(name), "").unwrap();
        }
        open().note_draft(&at("out.mp4.a.part")).unwrap();
        open().note_draft(&at("out.mp4.b.part")).unwrap();
        assert!(!at("out.mp4.a.part").exists());
        assert!(at("out.mp4.b.part").exists() && at("theirs.part").exists());
    }
}
