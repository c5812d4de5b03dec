//! Makes smooth or slow video of files, folders and picture sequences with `vfiinterp`, keeps all
//! else that is in them, and says how well and how fast.
//!
//! ```text
//! vfi-convert holiday.mp4 --fps 60
//! ```
//!
//! Arguments become inputs; each is looked at ([`look`], [`survey`]), planned ([`plan`], pure), read
//! through the element ([`reader`]) segment by segment ([`making`]) into packets or pictures
//! ([`encoder`], [`pictures`]), and put together with its other streams ([`join`], [`tracks`]).

mod args;
mod codec;
mod convert;
mod elements;
mod encoder;
mod file;
mod inputs;
mod join;
mod look;
mod making;
mod packets;
mod pictures;
mod plan;
mod quality;
mod rate;
mod reader;
mod report;
mod space;
mod stop;
mod survey;
mod tracks;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser};

use crate::args::Args;
use crate::inputs::{Input, Pattern};
use crate::look::Job;
use crate::report::Report;
use crate::stop::Stop;

/// Some files are written and some are not.
const SOME_FAILED: u8 = 3;

/// The disk is full.
const DISK_FULL: u8 = 4;

/// Converts all inputs, one after another. Returns the exit code.
fn run(args: &Args) -> Result<u8> {
    gst::init()?;
    elements::find_plugin(&args.element)?;
    args.range()?;
    let (paths, truth) = args.files();
    let inputs = inputs::expand(&paths)?;
    let names = Names::of(args, inputs.len())?;
    let stop = Arc::new(Stop::default());
    stop::heed_interrupts(&stop)?;
    let mut report = Report::new(args.json, inputs.len());
    let (mut written, mut frames, mut failed, mut full) = (Vec::new(), 0, Vec::new(), false);
    let mut inputs = inputs.into_iter();
    while let Some(input) = inputs.next() {
        if stop.is_asked() {
            report.say(&format!(
                "stopped: {} more inputs are not begun",
                inputs.len() + 1
            ));
            break;
        }
        let (path, done) = match input {
            Ok(input) => {
                let output = names.output(&input, &written);
                let job = Job {
                    args,
                    input: &input,
                    output: &output,
                    truth: truth.as_deref(),
                };
                (input.path(), job.run(&mut report, &stop))
            }
            Err((path, error)) => (path, Err(error)),
        };
        stop.begin(None, None);
        match done {
            Ok(done) => {
                frames += done.frames;
                report.done(&done);
                written.push(done.output);
            }
            Err(error) => {
                full |= space::is_full(&error);
                report.failed(&path, &error);
                failed.push((path, format!("{error:#}")));
            }
        }
    }
    report.sum_up(written.len(), &failed, frames);
    Ok(match (written.len(), failed.len()) {
        _ if full => DISK_FULL,
        (_, 0) => 0,
        (0, _) => 1,
        _ => SOME_FAILED,
    })
}

/// The naming of outputs.
#[derive(Debug)]
struct Names<'a> {
    args: &'a Args,
    /// The output as named, if it is a folder.
    folder: Option<PathBuf>,
}

impl<'a> Names<'a> {
    fn of(args: &'a Args, inputs: usize) -> Result<Self> {
        let folder = args.output.clone().filter(|output| {
            let text = output.as_os_str().to_string_lossy();
            output.is_dir() || text.ends_with('/')
        });
        let has_folder = args.inputs.iter().any(|input| input.is_dir());
        if let Some(output) = &args.output
            && folder.is_none()
            && (inputs > 1 || has_folder)
        {
            let new_folder = !output.exists() && output.extension().is_none();
            if !new_folder {
                bail!(
                    "{}: several inputs are written to a folder",
                    output.display()
                );
            }
            return Ok(Self {
                args,
                folder: Some(output.clone()),
            });
        }
        Ok(Self { args, folder })
    }

    /// Names the output of an input; of two inputs that would be called alike, the second is told
    /// apart by its ending.
    fn output(&self, input: &Input, taken: &[PathBuf]) -> PathBuf {
        let output = self.named(input, false);
        let output = match taken.contains(&output) {
            true => self.named(input, true),
            false => output,
        };
        if !self.args.preview {
            return output;
        }
        let stem = match Pattern::of(&output) {
            Some(pattern) => pattern.stem(),
            None => output
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        let ending = match output.extension().map(|ending| ending.to_string_lossy()) {
            Some(ending) if Pattern::of(&output).is_none() => ending.into_owned(),
            _ => "mp4".into(),
        };
        output.with_file_name(format!("{stem}_preview.{ending}"))
    }

    fn named(&self, input: &Input, with_ending: bool) -> PathBuf {
        if let (Some(output), None) = (&self.args.output, &self.folder) {
            return output.clone();
        }
        let path = input.path();
        let mut stem = input.stem();
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if with_ending {
            stem = format!("{stem}_{ending}");
        }
        let ending = match (input, &*ending, self.args.codec) {
            (_, _, Some(codec::Codec::Ffv1)) => "mkv",
            (_, _, Some(codec::Codec::Prores)) => "mov",
            (Input::Pictures(_), ..) => "mp4",
            (_, "mov", Some(codec::Codec::Av1)) => "mp4",
            (_, "mp4" | "m4v" | "mov", _) => &ending,
            _ => "mkv",
        };
        let name = format!("{stem}_{}.{ending}", self.args.wanted().for_file_name());
        let beside = path.parent().unwrap_or(Path::new(""));
        let demo = Path::new("target/demo");
        match &self.folder {
            Some(folder) => folder.join(name),
            None if self.args.inputs.is_empty() => demo.join(name),
            None => beside.join(name),
        }
    }
}

/// Prints the manual page.
fn print_man() -> Result<()> {
    clap_mangen::Man::new(Args::command())
        .render(&mut std::io::stdout())
        .context("cannot print the manual page")
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.man {
        true => print_man().map(|()| 0),
        false => run(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
