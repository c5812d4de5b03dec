//! The files that are read and written: nothing is lost but what the user said may go.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{process, thread};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// Ending of a working file's name.
const PART: &str = ".part";

/// Refuses what can't be read as a video file, and says what it is instead.
pub(crate) fn check_input(path: &Path) -> Result<()> {
    let name = path.display();
    let Some(metadata) = look(path)? else {
        bail!("{name}: no such file");
    };
    if metadata.len() == 0 {
        bail!("{name}: the file is empty");
    }
    File::open(path).with_context(|| format!("cannot read {name}"))?;
    Ok(())
}

/// Looks at a plain file, or a link to one; finds none if there is nothing of that name.
fn look(path: &Path) -> Result<Option<Metadata>> {
    let name = path.display();
    match fs::metadata(path) {
        Ok(metadata) => match not_plain(metadata.file_type()) {
            Some(kind) => bail!("{name} is {kind}: a plain file is needed"),
            None => Ok(Some(metadata)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => bail!(
                "{name} is a link to {}, which is not there",
                target.display()
            ),
            Err(_) => Ok(None),
        },
        Err(error) => Err(error).with_context(|| format!("cannot look at {name}")),
    }
}

/// Names what is no plain file.
fn not_plain(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_fifo() => Some("a fifo (a named pipe)"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Tells a file, and what is in it, from every other.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    content: (u64, i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            content: (metadata.len(), metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The video while it is being written: a file of its own beside the wanted one, which stays as it
/// is until the end. Removed unless it is kept.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    target: PathBuf,
    /// The wanted file as it was at the beginning.
    replaced: Option<Identity>,
}

impl Draft {
    /// Begins a video that is to become `output`, which must be none of the files that are `read`.
    pub(crate) fn begin(output: &Path, read: &[&Path]) -> Result<Self> {
        let replaced = look(output)?.as_ref().map(Identity::of);
        for read in read {
            let same = |there: &Identity| {
                fs::metadata(read).is_ok_and(|read| Identity::of(&read).file == there.file)
            };
            if replaced.as_ref().is_some_and(same) {
                bail!(
                    "{} is read too, as {}: name another output",
                    output.display(),
                    read.display()
                );
            }
        }
        // A link stays one, and leads to the new video.
        let target = match replaced {
            Some(_) => output.canonicalize()?,
            None => output.to_owned(),
        };
        let name = target
            .file_name()
            .with_context(|| format!("{} names no file", output.display()))?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = claim(folder, name)?;
        Ok(Self {
            file,
            target,
            replaced,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the video its name, unless something else has come to bear it since the beginning.
    pub(crate) fn keep(self) -> Result<PathBuf> {
        let now = look(&self.target)?.as_ref().map(Identity::of);
        let kept = match self.replaced {
            None => self.file.persist_noclobber(&self.target),
            was if was == now => self.file.persist(&self.target),
            _ => return Err(changed(&self.target, self.file)),
        };
        match kept {
            Ok(_) => Ok(self.target),
            Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
                Err(changed(&self.target, failed.file))
            }
            Err(failed) => Err(failed.error)
                .with_context(|| format!("cannot name it {}", self.target.display())),
        }
    }
}

/// Leaves both files where they are, and says so.
fn changed(target: &Path, file: NamedTempFile) -> anyhow::Error {
    let text = format!(
        "{} was written by somebody else meanwhile and stays as it is",
        target.display()
    );
    match file.keep() {
        Ok((_, path)) => anyhow::anyhow!("{text}; the finished video is {}", path.display()),
        Err(failed) => anyhow::Error::new(failed.error).context(text),
    }
}

/// Makes a working file for the video of that name, locked as long as it is held, so that another
/// run to the same name sees it.
fn claim(folder: &Path, name: &OsStr) -> Result<NamedTempFile> {
    let mut start = name.to_owned();
    start.push(".");
    for _ in 0..3 {
        let file = tempfile::Builder::new()
            .prefix(&start)
            .suffix(PART)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .with_context(|| format!("cannot write in {}", folder.display()))?;
        // Where there are no locks, `keep` still finds out what another run wrote.
        let _ = file.as_file().try_lock();
        // Looked for once ours is locked: of two runs that begin together, one at least sees the other.
        if !has_rival(folder, &start, file.path())? {
            return Ok(file);
        }
        drop(file);
        // Both may have seen the other; they don't wait for equally long.
        thread::sleep(Duration::from_millis(5 + u64::from(process::id() % 64)));
    }
    bail!("another run is writing {}", folder.join(name).display())
}

/// Returns whether another run holds a working file for the same video.
fn has_rival(folder: &Path, start: &OsStr, ours: &Path) -> Result<bool> {
    let cannot = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name();
        let alike = name.as_bytes().starts_with(start.as_bytes())
            && name.as_bytes().ends_with(PART.as_bytes());
        // A pipe of that name must not be opened: that would wait for a writer.
        let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        if alike
            && plain
            && Some(name.as_os_str()) != ours.file_name()
            && let Ok(file) = File::open(entry.path())
            && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T>, because: &str) {
        let text = format!("{:#}", result.unwrap_err());
        assert!(text.contains(because), "{text}");
    }

    #[test]
    fn somebody_elses_part_file_stays() {
        let folder = folder();
        let (part, output) = (
            folder.path().join("a.mp4.part"),
            folder.path().join("a.mp4"),
        );
        fs::write(&part, "theirs").unwrap();
        let draft = Draft::begin(&output, &[&part]).unwrap();
        fs::write(draft.path(), "ours").unwrap();
        assert_eq!(draft.keep().unwrap(), output);
        drop(Draft::begin(&output, &[&part]).unwrap());
        assert_eq!(names(folder.path()), ["a.mp4", "a.mp4.part"]);
        assert_eq!(fs::read(&part).unwrap(), b"theirs");
        assert_eq!(fs::read(&output).unwrap(), b"ours");
    }

    #[test]
    fn what_is_read_is_not_written_by_whatever_name() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("in.mp4"), "film").unwrap();
        fs::hard_link(at("in.mp4"), at("hard.mp4")).unwrap();
        symlink("in.mp4", at("soft.mp4")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        for output in ["in.mp4", "hard.mp4", "soft.mp4", "sub/../in.mp4"] {
            refused(
                Draft::begin(&at(output), &[&at("in.mp4")]),
                "name another output",
            );
            refused(
                Draft::begin(&at(output), &[Path::new("/dev/null"), &at("soft.mp4")]),
                "read too",
            );
        }
        assert_eq!(
            names(folder.path()),
            ["hard.mp4", "in.mp4", "soft.mp4", "sub"]
        );
    }

    #[test]
    fn a_second_run_to_one_output_is_refused_and_a_dead_ones_file_is_not_in_the_way() {
        let folder = folder();
        let output = folder.path().join("a.mp4");
        fs::write(folder.path().join("a.mp4.Xx1234.part"), "left behind").unwrap();
        let first = Draft::begin(&output, &[]).unwrap();
        refused(Draft::begin(&output, &[]), "another run is writing");
        Draft::begin(&folder.path().join("b.mp4"), &[]).unwrap();
        drop(first);
        Draft::begin(&output, &[]).unwrap();
        assert_eq!(names(folder.path()), ["a.mp4.Xx1234.part"]);
    }

    #[test]
    fn what_appears_or_changes_meanwhile_stays() {
        for there in [None, Some("old")] {
            let folder = folder();
            let output = folder.path().join("a.mp4");
            if let Some(there) = there {
                fs::write(&output, there).unwrap();
            }
            let draft = Draft::begin(&output, &[]).unwrap();
            let part = draft.path().to_owned();
            fs::write(&part, "ours").unwrap();
            fs::write(&output, "theirs").unwrap();
            refused(draft.keep(), &part.display().to_string());
            assert_eq!(fs::read(&output).unwrap(), b"theirs");
            assert_eq!(fs::read(&part).unwrap(), b"ours");
        }
    }

    #[test]
    fn what_is_there_from_the_beginning_is_replaced_at_the_end() {
        let folder = folder();
        let (output, link) = (folder.path().join("a.mp4"), folder.path().join("link.mp4"));
        fs::write(&output, "old").unwrap();
        symlink("a.mp4", &link).unwrap();
        let draft = Draft::begin(&link, &[]).unwrap();
        fs::write(draft.path(), "new").unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"old");
        draft.keep().unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"new");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_new_video_may_be_read_by_those_who_may_read_new_files() {
        let folder = folder();
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        let video = Draft::begin(&folder.path().join("a.mp4"), &[])
            .unwrap()
            .keep()
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&video), mode(&usual));
    }

    #[test]
    fn what_is_no_plain_file_is_named() {
        let folder = folder();
        symlink("nowhere", folder.path().join("dangling.mp4")).unwrap();
        fs::write(folder.path().join("empty.mp4"), "").unwrap();
        fs::create_dir(folder.path().join("folder.mp4")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.mp4")).unwrap();
        for (name, kind) in [
            ("folder.mp4", "a folder"),
            ("dangling.mp4", "a link to nowhere"),
            ("s.mp4", "a socket"),
        ] {
            refused(check_input(&folder.path().join(name)), kind);
            refused(Draft::begin(&folder.path().join(name), &[]), kind);
        }
        refused(check_input(Path::new("/dev/null")), "a device");
        refused(check_input(&folder.path().join("empty.mp4")), "empty");
        refused(check_input(&folder.path().join("none.mp4")), "no such file");
        refused(Draft::begin(&folder.path().join(".."), &[]), "a folder");
        refused(
            Draft::begin(&folder.path().join("empty.mp4/a.mp4"), &[]),
            "empty.mp4",
        );
    }
}
