//! Inputs: files, the videos of a folder, numbered pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::file;

/// Endings of what is taken for a video in a folder.
const VIDEOS: [&str; 23] = [
    "3gp", "asf", "avi", "flv", "gif", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts",
    "mxf", "ogg", "ogv", "ts", "vob", "webm", "wmv", "y4m", "h264", "h265",
];

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Pictures(Pictures),
}

/// Numbered pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pictures {
    pub(crate) pattern: Pattern,
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// A path with a place for a number in its last part, such as `out_%04d.png`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    folder: PathBuf,
    before: String,
    digits: usize,
    after: String,
}

impl Pattern {
    /// Reads a pattern, if the path is one.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (before, rest) = name.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = match digits.strip_prefix('0') {
            Some(width) => width.parse().ok().filter(|width| *width <= 9)?,
            None if digits.is_empty() => 0,
            None => return None,
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Some(Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            before: before.to_owned(),
            digits,
            after: after.to_owned(),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the picture of that number.
    pub(crate) fn at(&self, number: u64) -> PathBuf {
        let Self {
            before,
            digits,
            after,
            ..
        } = self;
        self.folder
            .join(format!("{before}{number:0digits$}{after}"))
    }

    /// Returns the pattern as it was typed.
    pub(crate) fn path(&self) -> PathBuf {
        let width = match self.digits {
            0 => String::new(),
            digits => format!("0{digits}"),
        };
        self.folder
            .join(format!("{}%{width}d{}", self.before, self.after))
    }

    /// Returns the pattern's words without its number.
    pub(crate) fn stem(&self) -> String {
        let stem = self.before.trim_end_matches(['_', '-', '.']);
        if stem.is_empty() {
            "pictures".into()
        } else {
            stem.into()
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        let number = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && number.len() >= self.digits.max(1))
            .then(|| number.parse().ok())
            .flatten()
    }

    /// Returns the numbers of the pictures that are there, in order.
    pub(crate) fn numbers(&self) -> Result<Vec<u32>> {
        if !self.folder.is_dir() {
            return Ok(Vec::new());
        }
        let names = names(&self.folder)?;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| self.number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl Input {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Pictures(pictures) => pictures.pattern.path(),
        }
    }

    /// Returns the words an output's name begins with.
    pub(crate) fn stem(&self) -> String {
        match self {
            Self::File(path) => {
                let stem = path.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
            Self::Pictures(pictures) => pictures.pattern.stem(),
        }
    }
}

/// Expands what was named into what is read, in the order of the names.
///
/// # Errors
/// If a folder holds no video, or cannot be listed. A single file is looked at when its turn comes.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<Result<Input, (PathBuf, anyhow::Error)>>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut names = names(path)?;
            names.sort();
            let before = inputs.len();
            let videos = names.iter().map(|name| path.join(name));
            let videos = videos.filter(|path| is_video(path) && path.is_file());
            inputs.extend(videos.map(|path| Ok(Input::File(path))));
            if inputs.len() == before {
                bail!("{}: the folder holds no video", path.display());
            }
        } else if let Some(pattern) = Pattern::of(path).filter(|_| !path.exists()) {
            inputs.push(pictures(pattern).map_err(|error| (path.clone(), error)));
        } else {
            inputs.push(Ok(Input::File(path.clone())));
        }
    }
    Ok(inputs)
}

fn pictures(pattern: Pattern) -> Result<Input> {
    let numbers = pattern.numbers()?;
    let first = *numbers
        .first()
        .with_context(|| format!("{}: no such pictures", pattern.path().display()))?;
    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    if let Some([before, after]) = gap {
        bail!(
            "{} is missing: pictures {before} and {after} are there",
            pattern.at(u64::from(before + 1)).display()
        );
    }
    for number in &numbers {
        file::check_input(&pattern.at(u64::from(*number)))?;
    }
    Ok(Input::Pictures(Pictures {
        pattern,
        first,
        count: numbers.len() as u32,
    }))
}

fn is_video(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    VIDEOS.iter().any(|video| ending == *video)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        names.extend(entry.with_context(cannot)?.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_and_filled_in() {
        let of = |text: &str| Pattern::of(Path::new(text));
        let pattern = of("a/in_%04d.png").unwrap();
        assert_eq!(pattern.at(7), Path::new("a/in_0007.png"));
        assert_eq!(pattern.at(12345), Path::new("a/in_12345.png"));
        assert_eq!(pattern.path(), Path::new("a/in_%04d.png"));
        assert_eq!(pattern.number("in_0012.png"), Some(12));
        assert_eq!(pattern.number("in_12.png"), None);
        assert_eq!(of("%d.png").unwrap().at(3), Path::new("./3.png"));
        for none in [
            "in.png",
            "100%.mp4",
            "in_%s.png",
            "in_%4d.png",
            "in_%0999d.png",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_picture_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for number in [3, 4, 6] {
            fs::write(folder.path().join(format!("in_{number:02}.png")), "x").unwrap();
        }
        let pattern = folder.path().join("in_%02d.png");
        let (_, error) = expand(std::slice::from_ref(&pattern))
            .unwrap()
            .remove(0)
            .unwrap_err();
        assert!(
            error.to_string().contains("in_05.png is missing"),
            "{error}"
        );
        fs::write(folder.path().join("in_05.png"), "x").unwrap();
        let found = expand(&[pattern]).unwrap().remove(0).unwrap();
        let Input::Pictures(pictures) = found else {
            panic!()
        };
        assert_eq!((pictures.first, pictures.count), (3, 4));
    }

    #[test]
    fn a_folders_videos_are_read_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.mkv", "a.MP4", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let found = expand(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = found
            .into_iter()
            .map(|input| input.unwrap().path())
            .collect();
        assert_eq!(
            names,
            ["a.MP4", "b.mkv"].map(|name| folder.path().join(name))
        );
        fs::remove_file(folder.path().join("a.MP4")).unwrap();
        fs::remove_file(folder.path().join("b.mkv")).unwrap();
        assert!(expand(&[folder.path().to_owned()]).is_err());
    }
}
