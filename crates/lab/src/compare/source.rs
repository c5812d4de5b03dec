//! Inputs that are compared: videos, sequences of pictures, and pictures one by one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::planar::{FORMATS, Planar};
use crate::clip::{Decoder, SMALLEST};

/// Endings of files that hold one picture.
const PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// Frames to be had from files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// A video.
    Video(PathBuf),
    /// A picture each, in order.
    Pictures(String, Vec<PathBuf>),
}

impl Input {
    /// Sorts what was asked for: pictures that are named one by one are frames of one sequence, and
    /// so are those of a pattern such as `in_%04d.png`. What can't be taken is in the other list,
    /// with the reason.
    pub(super) fn gather(paths: &[PathBuf]) -> (Vec<Self>, Vec<(String, anyhow::Error)>) {
        let (mut inputs, mut left_out) = (Vec::new(), Vec::new());
        let is_single = |path: &&PathBuf| is_picture(path) && !is_pattern(path);
        let single: Vec<_> = paths.iter().filter(is_single).cloned().collect();
        let mut placed = false;
        for path in paths {
            let input = if is_pattern(path) {
                sequence(path)
            } else if !is_picture(path) {
                Ok(Self::Video(path.clone()))
            } else if std::mem::replace(&mut placed, true) {
                continue;
            } else if single.len() < 2 {
                Err(anyhow::anyhow!("one picture: it takes two"))
            } else {
                Ok(Self::Pictures(stem(path), single.clone()))
            };
            match input {
                Ok(input) => inputs.push(input),
                Err(error) => left_out.push((path.display().to_string(), error)),
            }
        }
        (inputs, left_out)
    }

    /// Returns the name for folders and tables.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Video(path) => stem(path),
            Self::Pictures(name, _) => name.clone(),
        }
    }

    /// Returns the name on the command line, or the first.
    pub(super) fn path(&self) -> String {
        let path = match self {
            Self::Video(path) => Some(path),
            Self::Pictures(_, paths) => paths.first(),
        };
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    /// Returns what tells this content from another: names, sizes, and when they were changed.
    pub(super) fn fingerprint(&self) -> Vec<String> {
        let paths = match self {
            Self::Video(path) => std::slice::from_ref(path),
            Self::Pictures(_, paths) => paths,
        };
        let of = |path: &PathBuf| {
            let data = fs::metadata(path).ok();
            let changed = data.as_ref().and_then(|data| {
                let since = data.modified().ok()?.duration_since(std::time::UNIX_EPOCH);
                Some(since.ok()?.as_secs())
            });
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let size = data.map_or(0, |data| data.len());
            format!("{} {size} {}", path.display(), changed.unwrap_or(0))
        };
        paths.iter().map(of).collect()
    }

    /// Returns at most so many frames.
    pub(super) fn frames(&self, most: usize) -> Result<Frames> {
        Ok(match self {
            Self::Video(path) => Box::new(
                Decoder::open_as(path, most, FORMATS)?.map(|picture| Planar::read(&picture?)),
            ),
            Self::Pictures(_, paths) => {
                Box::new(paths.clone().into_iter().take(most).map(|path| {
                    let read = || {
                        let mut decoder = Decoder::open_as(&path, 1, FORMATS)?;
                        Planar::read(&decoder.next().context("there is no picture in it")??)
                    };
                    read().with_context(|| path.display().to_string())
                }))
            }
        })
    }
}

/// Frames in order.
pub(super) type Frames = Box<dyn Iterator<Item = Result<Planar>> + Send>;

/// A clip and what was found out about it; none of its frames are held.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) frames: usize,
    /// Frames a second; 30 where none are declared.
    pub(super) rate: gst::Fraction,
}

impl Source {
    /// Reads the first `most` frames once, to see what there is.
    pub(super) fn open(input: Input, most: usize) -> Result<Self> {
        let mut frames = input.frames(most)?;
        let first = frames.next().context("there is no video in it")??;
        let (width, height) = (first.luma().width, first.luma().height);
        if width < SMALLEST || height < SMALLEST {
            bail!("frames of {width}x{height}: the least is {SMALLEST}x{SMALLEST}");
        }
        let mut count = 1;
        for frame in frames {
            frame?.luma().same_size(first.luma())?;
            count += 1;
        }
        if count < 2 {
            bail!("one frame: it takes at least 2");
        }
        let declared = first.info().fps();
        Ok(Self {
            name: input.name(),
            input,
            width,
            height,
            frames: count,
            rate: if declared.numer() > 0 {
                declared
            } else {
                gst::Fraction::new(30, 1)
            },
        })
    }

    /// Returns the frames.
    pub(super) fn frames(&self) -> Result<Frames> {
        self.input.frames(self.frames)
    }

    /// Returns whether so many frames for one leave true ones to compare with, when as many are
    /// dropped.
    pub(super) fn has_truth(&self, multiplier: usize) -> bool {
        self.frames > multiplier
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    PICTURES
        .iter()
        .any(|known| ending.as_deref() == Some(known.as_ref()))
}

fn is_pattern(path: &Path) -> bool {
    parts(path).is_some() && !path.exists()
}

/// Returns what a name has before and behind its number, `%d` or `%04d`.
fn parts(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let (before, rest) = name.split_once('%')?;
    let (_, behind) = rest.split_once('d').filter(|(width, _)| {
        let mut digits = width.chars();
        digits.all(|digit| digit.is_ascii_digit())
    })?;
    Some((before.to_owned(), behind.to_owned()))
}

/// Returns the pictures of a pattern, from its least number on; none may be missing.
fn sequence(pattern: &Path) -> Result<Input> {
    let (before, behind) = parts(pattern).context("no pattern such as in_%04d.png")?;
    let folder = match pattern.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix(before.as_str())
            .and_then(|rest| rest.strip_suffix(behind.as_str()))
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u64>().ok());
        if let Some(number) = number {
            found.push((number, path.clone()));
        }
    }
    found.sort();
    for pair in found.windows(2) {
        if pair[1].0 != pair[0].0 + 1 {
            bail!("picture {} is missing", pair[0].0 + 1);
        }
    }
    if found.len() < 2 {
        bail!("{} pictures of that name: it takes two", found.len());
    }
    let name = before.trim_end_matches(['_', '-', '.', ' ']);
    let name = if name.is_empty() { "pictures" } else { name };
    Ok(Input::Pictures(
        name.to_owned(),
        found.into_iter().map(|(_, path)| path).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_frames_of_one_sequence() {
        let paths = ["a.png", "film.mkv", "b.PNG"].map(PathBuf::from);
        let (inputs, left_out) = Input::gather(&paths);
        assert_eq!(inputs.len(), 2);
        assert!(
            matches!(&inputs[0], Input::Pictures(name, files) if name == "a" && files.len() == 2)
        );
        assert_eq!(inputs[1], Input::Video("film.mkv".into()));
        assert!(left_out.is_empty());
        let (inputs, left_out) = Input::gather(&paths[..1]);
        assert!(inputs.is_empty() && left_out[0].1.to_string().contains("it takes two"));
    }

    #[test]
    fn a_pattern_stands_for_its_pictures_in_order_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = folder.path().join("in_%04d.png");
        for number in [9, 10, 11] {
            fs::write(folder.path().join(format!("in_{number:04}.png")), "").unwrap();
        }
        fs::write(folder.path().join("in_x.png"), "").unwrap();
        let Input::Pictures(name, files) = sequence(&pattern).unwrap() else {
            panic!("a video");
        };
        assert_eq!(name, "in");
        assert_eq!(files.len(), 3);
        assert!(files[0].ends_with("in_0009.png") && files[2].ends_with("in_0011.png"));
        fs::remove_file(&files[1]).unwrap();
        let error = sequence(&pattern).unwrap_err().to_string();
        assert_eq!(error, "picture 10 is missing");
    }
}
