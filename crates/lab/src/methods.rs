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
            // Only luma is sent, as motion is searched in luma alone.
            Self::Minterpolate => {
                as_luma(minterpolate(&Shape::of(clip), luma_of(clip.kept()?))?, clip)
            }
            Self::Dis => {
                let given = luma_of(clip.kept()?);
                as_luma(dis(&Shape::of(clip), tools.python, given, false)?, clip)
            }
            Self::Even => {
                let given = luma_of(clip.all()?);
                as_luma(dis(&Shape::of(clip), tools.python, given, true)?, clip)
            }
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

/// Size and number of the frames that a program is to give, as planes of 8 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Width and height of each plane of chroma; none where luma is all there is.
    pub(crate) chroma: Option<(usize, usize)>,
    /// Output frames per input frame.
    pub(crate) step: usize,
    pub(crate) frames: usize,
}

impl Shape {
    fn of(clip: &Clip) -> Self {
        Self {
            width: clip.width,
            height: clip.height,
            chroma: None,
            step: clip.step,
            frames: clip.frames,
        }
    }

    fn bytes(&self) -> usize {
        let chroma = self.chroma.map_or(0, |(width, height)| 2 * width * height);
        self.width * self.height + chroma
    }

    /// Returns ffmpeg's name of the format.
    fn format(&self) -> &'static str {
        match self.chroma {
            None => "gray",
            Some((width, _)) if width == self.width => "yuv444p",
            Some(_) => "yuv420p",
        }
    }
}

/// Frames as bytes that a program is given.
pub(crate) type Bytes = Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>;

/// Starts ffmpeg's filter, which takes any rate.
pub(crate) fn minterpolate(shape: &Shape, given: Bytes) -> Result<Piped> {
    let filter = minterpolate_filter(30 * shape.step as u32);
    let size = format!("{}x{}", shape.width, shape.height);
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-f", "rawvideo"])
        .args(["-pix_fmt", shape.format(), "-video_size", &size])
        .args(["-framerate", "30", "-i", "-"])
        .args(["-vf", &filter, "-fps_mode", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", shape.format(), "-"]);
    let size = (shape.frames, shape.bytes());
    Piped::start("ffmpeg", &mut command, size, given, HELD_BY_MINTERPOLATE)
}

/// Starts the script, on the kept frames, or on all of them where it is told `even`.
pub(crate) fn dis(shape: &Shape, python: &Path, given: Bytes, even: bool) -> Result<Piped> {
    let mut command = Command::new(python);
    command.args(["-c", DIS]);
    command.args([shape.width, shape.height, shape.step].map(|number| number.to_string()));
    command.args(even.then_some("even"));
    command.args(
        shape
            .chroma
            .map(|(width, height)| format!("{width}x{height}")),
    );
    let size = (shape.frames, shape.bytes());
    Piped::start("python", &mut command, size, given, 0)
}

/// Returns the luma of frames, for a program that is given nothing else.
fn luma_of(pictures: impl Iterator<Item = Result<Picture>> + Send + 'static) -> Bytes {
    Box::new(pictures.map(|picture| Ok(picture?.luma()?.data)))
}

/// Returns a program's frames, which are luma alone.
fn as_luma(piped: Piped, clip: &Clip) -> Frames {
    let (width, height) = (clip.width, clip.height);
    Box::new(piped.map(move |data| Luma::new(width, height, data?)))
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
