//! Programs that `vfi-lab speed` puts beside the element: PyTorch, and ffmpeg's motion
//! compensation.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use gstvfiinterp::models::{ExecutionProvider, ModelInfo, Precision};

use crate::methods::{answer, minterpolate_filter};
use crate::scene::Scene;

/// The script with the networks.
const NETWORKS: &str = include_str!("../networks.py");

/// Where `training/` and `convert/` are, which it takes the networks from.
const CODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// How networks of a published shape are called, whose weights are drawn.
const RANDOM: &str = "random-rife-";

/// Program other than the element that makes frames, or runs networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Beside {
    /// PyTorch, operator by operator, with pictures brought to the device and motion back
    Torch,
    /// The same compiled (torch.compile)
    Compiled,
    /// ffmpeg's motion-compensated filter minterpolate, on the CPU
    Minterpolate,
}

impl Beside {
    /// Returns the name a table's column has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Torch => "PyTorch",
            Self::Compiled => "compiled",
            Self::Minterpolate => "minterpolate",
        }
    }
}

/// A network's file, gone when dropped if it was written for this.
#[derive(Debug)]
pub(crate) struct Network {
    /// Name of PyTorch's network; `None` where there is none.
    torch: Option<String>,
    /// A built-in name or a path.
    pub(crate) model: String,
    written: Option<PathBuf>,
}

impl Network {
    /// Finds it, or has it written.
    pub(crate) fn new(name: &str, python: &Path) -> Result<Self> {
        if !name.starts_with(RANDOM) {
            return Ok(Self {
                torch: (name == "vfi-lite").then(|| name.into()),
                model: name.into(),
                written: None,
            });
        }
        let file = format!("vfi-lab-{}-{name}.onnx", std::process::id());
        let path = std::env::temp_dir().join(file);
        let network = Self {
            torch: Some(name.into()),
            model: path.to_string_lossy().into_owned(),
            written: Some(path),
        };
        answer(script(python).args(["write", name, &network.model]))?;
        Ok(network)
    }

    /// Returns the milliseconds of a run in PyTorch of what the element runs, as it was `loaded`,
    /// on pictures of a size; `None` if there is no such network there.
    pub(crate) fn in_torch(
        &self,
        python: &Path,
        compiled: bool,
        loaded: &ModelInfo,
        (width, height): (usize, usize),
        runs: u32,
    ) -> Result<Option<f64>> {
        let Some(name) = &self.torch else {
            return Ok(None);
        };
        let device = match loaded.provider {
            ExecutionProvider::Cpu | ExecutionProvider::Auto => "cpu".into(),
            ExecutionProvider::Cuda | ExecutionProvider::TensorRt => {
                format!("cuda:{}", loaded.device)
            }
        };
        let precision = match loaded.precision {
            // which is no faster on a CPU, and of which the element's are made for tests alone
            Precision::Fp16 if device != "cpu" => "fp16",
            _ => "fp32",
        };
        let mode = if compiled { "compiled" } else { "eager" };
        let mut command = script(python);
        command.args(["time", name, &device, precision]);
        command.args([runs.to_string(), width.to_string(), height.to_string()]);
        let said = answer(command.arg(mode))?;
        // compilers may have said something before
        let last = said.split_whitespace().last().unwrap_or_default();
        let time = last.parse().with_context(|| format!("python: {said}"))?;
        Ok(Some(time))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(path) = &self.written {
            // what is left is a temporary file
            let _ = std::fs::remove_file(path);
        }
    }
}

fn script(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", NETWORKS, CODE]);
    command
}

/// Milliseconds that ffmpeg takes for a frame between two, with its best motion compensation; its
/// start included.
pub(crate) fn minterpolate((width, height): (u32, u32), rate: u16, frames: u32) -> Result<f64> {
    ensure!(
        width.is_multiple_of(8) && height.is_multiple_of(2),
        "ffmpeg is measured at widths that are multiples of 8, and even heights"
    );
    let size = format!("{width}x{height}");
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
        .args(["-video_size", &size, "-framerate", &rate.to_string()])
        .args(["-i", "-", "-vf", &minterpolate_filter(2 * u32::from(rate))])
        .args(["-f", "null", "-"]);
    let scene = Scene::new(width, height, gst::Fraction::new(rate.into(), 1))?;
    let start = Instant::now();
    let mut child = (command.stdin(Stdio::piped()).stdout(Stdio::null()))
        .spawn()
        .context("ffmpeg cannot be run")?;
    let mut pipe = child.stdin.take().context("ffmpeg takes no frames")?;
    for frame in scene.take(frames as usize + 1) {
        pipe.write_all(&frame.buffer.map_readable()?)
            .context("ffmpeg ended too soon")?;
    }
    drop(pipe);
    ensure!(child.wait()?.success(), "ffmpeg failed");
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_network_is_an_error() {
        assert!(Network::new("random-rife-4.6", Path::new("/nowhere/python")).is_err());
        let network = Network::new("some.onnx", Path::new("/nowhere/python")).unwrap();
        assert_eq!(network.model, "some.onnx");
        assert_eq!(network.torch, None);
    }
}
