//! `vfi-models convert`: starts the Python program that makes ONNX files of published weights.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::info;

/// Options for converting.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// RIFE's flownet.pkl (or .pth), or FILM as TorchScript
    weights: PathBuf,
    /// The .onnx file to write
    output: PathBuf,
    /// Further options of the program, such as --half, --version 4.25 or --picture
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Names the Python to use, where `python3` is not the one with the packages.
const PYTHON: &str = "VFIINTERP_PYTHON";
/// Packages that the program imports.
const PACKAGES: [&str; 4] = ["torch", "onnx", "onnxruntime", "numpy"];

/// Converts it, and says what came out.
pub(crate) fn run(args: &Args) -> Result<()> {
    let script = script()?;
    let python = env::var(PYTHON).unwrap_or_else(|_| "python3".into());
    require_packages(&python, &script)?;
    let status = Command::new(&python)
        .arg(&script)
        .args([&args.weights, &args.output])
        .args(&args.options)
        .status()
        .with_context(|| format!("cannot start {python}"))?;
    if !status.success() {
        bail!("{} was not converted", args.weights.display());
    }
    info::summarise(&args.output.to_string_lossy())
}

/// Finds the program: where `make install` puts it, else in the source tree.
fn script() -> Result<PathBuf> {
    let installed = env::current_exe().ok().and_then(|exe| {
        Some(
            exe.parent()?
                .parent()?
                .join("share/vfiinterp/convert/convert.py"),
        )
    });
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../convert/convert.py");
    let places: Vec<PathBuf> = installed.into_iter().chain([source]).collect();
    let found = places.iter().find(|place| place.is_file());
    found.cloned().with_context(|| {
        let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        format!(
            "the converter is missing; it was looked for at {}",
            places.join(" and ")
        )
    })
}

fn require_packages(python: &str, script: &Path) -> Result<()> {
    let code = format!(
        "import importlib.util as u; print(*(n for n in {PACKAGES:?} if u.find_spec(n) is None))"
    );
    let output = Command::new(python).args(["-c", &code]).output();
    let output = output.with_context(|| {
        format!("cannot start {python}: converting needs Python 3; {PYTHON} names another one")
    })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{python} does not work: {}", message.trim());
    }
    let missing = String::from_utf8_lossy(&output.stdout);
    let missing = missing.trim();
    if missing.is_empty() {
        return Ok(());
    }
    let requirements = script.with_file_name("requirements.txt");
    bail!(
        "{python} lacks {}. To get them in a place of their own:\n  \
         python3 -m venv ~/.cache/vfiinterp-python\n  \
         ~/.cache/vfiinterp-python/bin/pip install -r {}\n  \
         export {PYTHON}=~/.cache/vfiinterp-python/bin/python",
        missing.replace(' ', ", "),
        requirements.display()
    )
}
