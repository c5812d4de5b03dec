//! The ways to rebuild frames that are compared.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::child::Piped;
use crate::clip::{Clip, Picture};
use crate::element::Interpolated;
use crate::luma::Luma;

/// The script that rebuilds frames with OpenCV.
const DIS: &str = include_str!("../dis_flow.py");

/// The filter holds frames back, and does not give them out at the end.
const HELD_BY_MINTERPOLATE: usize = 3;

/// A clip's frames in order, rebuilt where they were dropped.
pub(crate) type Frames = Box<dyn Iterator<Item = Result<Luma>>>;

/// A way to rebuild the frames between those that were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Method {
    /// The element
    Vfi,
    /// ffmpeg's motion-compensated filter minterpolate
    Minterpolate,
    /// OpenCV's DIS optical flow, and a warp
    Dis,
    /// The same flow, but seen with the true frame: as good as motion taken for even can be
    Even,
    /// The neighbours laid over each other
    Blend,
    /// The earlier neighbour once more
    Repeat,
}

/// Tools the methods need besides a clip.
#[derive(Debug)]
pub(crate) struct Tools<'a> {
    pub(crate) python: &'a Path,
    pub(crate) properties: &'a [(String, String)],
}

impl Method {
    /// Returns the name a table's column has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vfi => "vfiinterp",
            Self::Minterpolate => "minterpolate",
            Self::Dis => "DIS flow",
            Self::Even => "even, known",
            Self::Blend => "blend",
            Self::Repeat => "repeat",
        }
    }

    /// Returns the program it takes, with its version; an error where there is none.
    pub(crate) fn version(self, tools: &Tools<'_>) -> Result<Option<String>> {
        match self {
            Self::Minterpolate => {
                let words = answer(Command::new("ffmpeg").arg("-version"))?;
                let version = words.split_whitespace().nth(2).unwrap_or_default();
                Ok(Some(format!("ffmpeg {version}")))
            }
            Self::Dis | Self::Even => {
                let ask = "import cv2, numpy; cv2.DISOpticalFlow_create; print(cv2.__version__)";
                let words = answer(Command::new(tools.python).args(["-c", ask]))?;
                Ok(Some(format!("OpenCV {}", words.trim())))
            }
            Self::Vfi | Self::Blend | Self::Repeat => Ok(None),
        }
    }

    /// Starts on a clip.
    pub(crate) fn rebuild(self, clip: &Clip, tools: &Tools<'_>) -> Result<Frames> {
        Ok(match self {
            Self::Vfi => Box::new(Interpolated::start(clip, tools.properties)?),
            Self::Minterpolate => Box::new(minterpolate(clip)?),
            Self::Dis => Box::new(dis(clip, tools.python, clip.kept()?, &[])?),
            Self::Even => Box::new(dis(clip, tools.python, clip.all()?, &["even"])?),
            Self::Blend => Box::new(mix_neighbours(clip, Luma::blend)?),
            Self::Repeat => Box::new(mix_neighbours(clip, |before, _, _| Ok(before.clone()))?),
        })
    }
}

/// Returns what a program prints; if it fails, an error made of its last words.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.trim().lines().last().unwrap_or("it failed");
        anyhow::bail!("{program}: {last}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns ffmpeg's best motion compensation, to so many frames a second.
pub(crate) fn minterpolate_filter(rate: u32) -> String {
    format!("minterpolate=fps={rate}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1")
}

/// Frames rebuilt by it. Only luma is sent, as motion is searched in luma alone; the rate is any.
fn minterpolate(clip: &Clip) -> Result<Piped> {
    let filter = minterpolate_filter(30 * clip.step as u32);
    let size = format!("{}x{}", clip.width, clip.height);
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray"])
        .args(["-video_size", &size, "-framerate", "30", "-i", "-"])
        .args(["-vf", &filter, "-fps_mode", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    Piped::start(
        "ffmpeg",
        &mut command,
        clip,
        clip.kept()?,
        HELD_BY_MINTERPOLATE,
    )
}

/// Frames rebuilt by the script, out of those it is `given`.
fn dis(
    clip: &Clip,
    python: &Path,
    given: impl Iterator<Item = Result<Picture>> + Send + 'static,
    how: &[&str],
) -> Result<Piped> {
    let mut command = Command::new(python);
    command.args(["-c", DIS]);
    command.args([clip.width, clip.height, clip.step].map(|number| number.to_string()));
    command.args(how);
    Piped::start("python", &mut command, clip, given, 0)
}

/// Runs a method that needs only the neighbours and the phase between them.
fn mix_neighbours(
    clip: &Clip,
    mix: fn(&Luma, &Luma, f64) -> Result<Luma>,
) -> Result<impl Iterator<Item = Result<Luma>> + use<>> {
    let step = clip.step;
    let mut before: Option<Luma> = None;
    Ok(clip.kept()?.flat_map(move |picture| {
        let after = match picture.and_then(|picture| picture.luma()) {
            Ok(after) => after,
            Err(error) => return vec![Err(error)],
        };
        let parts = 1..if before.is_some() { step } else { 1 };
        let mut frames: Vec<_> = parts
            .zip(before.iter().cycle())
            .map(|(part, before)| mix(before, &after, part as f64 / step as f64))
            .collect();
        before = Some(after.clone());
        frames.push(Ok(after));
        frames
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::own;

    fn tools(python: &str) -> Tools<'_> {
        Tools {
            python: Path::new(python),
            properties: &[],
        }
    }

    #[test]
    fn blending_keeps_what_was_kept() {
        let clip = own(4, 9);
        let truth: Vec<_> = clip
            .all()
            .unwrap()
            .map(|p| p.unwrap().luma().unwrap())
            .collect();
        let rebuilt = Method::Blend.rebuild(&clip, &tools("python3")).unwrap();
        let rebuilt: Vec<_> = rebuilt.map(Result::unwrap).collect();
        assert_eq!(rebuilt.len(), truth.len());
        assert_eq!(rebuilt[4], truth[4]);
        assert_eq!(rebuilt[5], truth[4].blend(&truth[8], 0.25).unwrap());
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(Method::Dis.version(&tools("/nowhere/python")).is_err());
    }
}
