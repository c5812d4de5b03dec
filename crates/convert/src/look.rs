//! A look at the input before the work: what is to be done, and what is lost by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::args::{Args, Sound};
use crate::codec::{Container, Encoding, Wish};
use crate::encoder;
use crate::file;
use crate::inputs::{Input, Pattern};
use crate::join;
use crate::plan::{self, Limits, Plan};
use crate::reader::{self, Glimpse};
use crate::report::Report;
use crate::space;
use crate::stop::Stop;
use crate::survey::{self, Survey};
use crate::tracks::Span;

/// Length of a preview in ns.
const PREVIEW: u64 = 3_000_000_000;

/// Bytes an encoded frame may need for each of its samples, at most: an estimate.
const BYTES_FOR_ENCODED: f64 = 0.15;

/// The same of a picture.
const BYTES_FOR_PICTURE: f64 = 1.5;

/// One input and what it is to become.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) args: &'a Args,
    pub(crate) input: &'a Input,
    pub(crate) output: &'a Path,
    pub(crate) truth: Option<&'a Path>,
}
/// The form that frames are given.
#[derive(Debug)]
pub(crate) enum Form {
    Video(Box<Encoding>, Container),
    Pictures {
        pattern: Pattern,
        first: u64,
        depth: u32,
    },
}

/// A job whose input is known.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) survey: Survey,
    pub(crate) plan: Plan,
    pub(crate) form: Form,
    pub(crate) span: Span,
    pub(crate) properties: Vec<(String, String)>,
    /// Other streams that are kept.
    pub(crate) kept: usize,
}

impl Job<'_> {
    /// Returns the files that are read.
    pub(crate) fn read(&self) -> Vec<PathBuf> {
        let input = match self.input {
            Input::File(path) => Some(path.clone()),
            Input::Pictures(_) => None,
        };
        input
            .into_iter()
            .chain(self.truth.map(Path::to_owned))
            .collect()
    }

    /// Looks at the input, decides all, and says what is lost, before anything is written.
    pub(crate) fn look(&self, report: &mut Report, stop: &Stop) -> Result<Known<'_>> {
        let args = self.args;
        for path in self.read() {
            file::check_input(&path)?;
        }
        let form = Pattern::of(self.output);
        let container = match form {
            Some(_) => Container::Matroska,
            None => Container::of(self.output)?,
        };
        self.check_output(form.as_ref())?;
        let survey = survey::survey(self.input, args.input_fps, stop)?;
        let glimpse = reader::glimpse(self.input, args.input_fps, stop)?;
        for warning in &survey.warnings {
            report.warn(warning);
        }
        let plan = self.plan(&survey, &glimpse)?;
        let span = self.span(&plan)?;
        let mut losses = notes(&glimpse, &survey, &plan);
        let (kept, left_out) = match form {
            None if !args.preview => join::left_out(&survey.others, container, span)?,
            None => (0, Vec::new()),
            Some(_) if survey.others.is_empty() => (0, Vec::new()),
            Some(_) => (0, vec!["left out: all but the pictures".into()]),
        };
        losses.extend(left_out);
        let form = match form {
            None => {
                let (form, lost) = self.encoding(&glimpse, container)?;
                losses.extend(lost);
                form
            }
            Some(pattern) => self.pictures(pattern, &glimpse),
        };
        let known = Known {
            job: self,
            survey,
            plan,
            form,
            span,
            properties: args.properties(),
            kept,
        };
        losses.extend(known.check_space(&glimpse.info)?);
        for loss in losses {
            report.warn(&loss);
        }
        let segments = known.plan.segments.len();
        report.plan(
            self.output,
            known.plan.expected,
            segments,
            &known.form.encoder(),
        );
        Ok(known)
    }

    /// Refuses to replace what is there, unless that was asked for.
    fn check_output(&self, form: Option<&Pattern>) -> Result<()> {
        if self.args.overwrite {
            return Ok(());
        }
        match form {
            Some(pattern) => {
                if let Some(number) = pattern.numbers()?.first() {
                    bail!(
                        "{} is there: name another output, or give --overwrite",
                        pattern.at(u64::from(*number)).display()
                    );
                }
            }
            None if self.output.is_file() && !self.is_read_too() => bail!(
                "{} is there: name another output, or give --overwrite",
                self.output.display()
            ),
            None => {}
        }
        Ok(())
    }

    /// Returns whether the output is read too, which is told more exactly.
    fn is_read_too(&self) -> bool {
        let output = self.output.canonicalize().ok();
        self.read()
            .iter()
            .any(|read| read.canonicalize().ok() == output)
    }

    fn plan(&self, survey: &Survey, glimpse: &Glimpse) -> Result<Plan> {
        let (from, to) = self.args.range()?;
        let to = match self.args.preview {
            true => Some(to.unwrap_or(u64::MAX).min(from.saturating_add(PREVIEW))),
            false => to,
        };
        if from >= survey.end && survey.end > 0 {
            bail!(
                "--from {} s lies behind the end: the video lasts {:.3} s",
                from as f64 / 1e9,
                survey.end as f64 / 1e9
            );
        }
        let whole = self.truth.is_some() || self.args.preview;
        let limits = Limits {
            from,
            to,
            segment: (!whole).then_some(self.args.segment),
            is_interlaced: glimpse.info.is_interlaced(),
            is_fixed: self.args.preview,
        };
        Ok(plan::plan(survey, self.args.wanted(), &limits))
    }

    fn span(&self, plan: &Plan) -> Result<Span> {
        let (from, to) = self.args.range()?;
        Ok(Span {
            from: from.max(plan.origin),
            to: to.unwrap_or(u64::MAX),
            origin: plan.origin,
            slow: plan.slow,
            sound: match self.args.preview {
                true => Sound::Drop,
                false => self.args.sound,
            },
        })
    }

    fn encoding(&self, glimpse: &Glimpse, container: Container) -> Result<(Form, Vec<String>)> {
        let args = self.args;
        let info = &glimpse.info;
        let wish = Wish {
            codec: args.codec,
            encoder: args.encoder.clone(),
            crf: args.crf,
            preset: args.encoder_preset.clone(),
            eight_bit: self.truth.is_some() || args.preview,
        };
        let (depth, hdr) = (encoder::depth(info), encoder::is_hdr(info));
        let encoding = Encoding::choose(&wish, container, depth, hdr)?;
        let losses = encoder::losses(info, &encoding, container)?;
        Ok((Form::Video(Box::new(encoding), container), losses))
    }

    fn pictures(&self, pattern: Pattern, glimpse: &Glimpse) -> Form {
        let asked = self
            .args
            .png_depth
            .as_ref()
            .and_then(|depth| depth.parse().ok());
        Form::Pictures {
            first: match self.input {
                Input::Pictures(pictures) => u64::from(pictures.first),
                Input::File(_) => 1,
            },
            pattern,
            depth: asked.unwrap_or(if encoder::depth(&glimpse.info) > 8 {
                16
            } else {
                8
            }),
        }
    }
}

/// Tells what is done to the frames beside what was asked for.
fn notes(glimpse: &Glimpse, survey: &Survey, plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    if glimpse.info.is_interlaced() {
        notes.push("the video is interlaced: each field becomes a frame (deinterlaced)".into());
    }
    if let Some(orientation) = &glimpse.orientation {
        notes.push(format!(
            "the video is tagged {orientation}: the frames are turned, and the tag is left out"
        ));
    }
    if survey.rate.is_none() && survey.times.len() > 2 {
        notes.push("the video's rate varies: each frame is shown when it was before".into());
    }
    if survey.times.is_empty() && survey.frames > 0 {
        notes.push(
            "the file does not say when each frame is shown: the frames' order is kept".into(),
        );
    }
    if let plan::Target::Times(times) = plan.target
        && plan.slow.denom() == 1
        && plan.slow.numer() > 1
    {
        notes.push(format!(
            "slow motion of a rate that varies: {times} frames for each"
        ));
    }
    notes
}

impl Form {
    fn encoder(&self) -> String {
        match self {
            Self::Video(encoding, _) => encoding.encoder().to_owned(),
            Self::Pictures { depth, .. } => format!("png, {depth} bits"),
        }
    }

    fn identity(&self, args: &Args) -> String {
        match self {
            Self::Video(encoding, container) => format!("{} {container:?}", encoding.identity()),
            Self::Pictures { depth, first, .. } => {
                format!("png {depth} {first} {}", args.png_compression)
            }
        }
    }
}

/// Tells a file, and what is in it, from every other.
fn identity(path: &Path) -> Result<String> {
    let metadata =
        fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    let changed = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let path = path.canonicalize()?;
    Ok(format!(
        "{} {} {}",
        path.display(),
        metadata.len(),
        changed.as_nanos()
    ))
}

impl Known<'_> {
    /// Returns all that decides what the frames of the output are.
    pub(crate) fn identity(&self) -> Result<String> {
        let args = self.job.args;
        let mut lines = vec![format!("vfi-convert {}", env!("CARGO_PKG_VERSION"))];
        match self.job.input {
            Input::File(path) => lines.push(identity(path)?),
            Input::Pictures(pictures) => {
                for number in 0..pictures.count {
                    lines.push(identity(
                        &pictures.pattern.at(u64::from(pictures.first + number)),
                    )?);
                }
            }
        }
        let plugin = gst::ElementFactory::find(&args.element).and_then(|factory| factory.plugin());
        let version = plugin.map_or_else(String::new, |plugin| plugin.version().to_string());
        lines.push(format!("{} {version} {:?}", args.element, self.properties));
        for (_, value) in &self.properties {
            if Path::new(value).is_file() {
                lines.push(identity(Path::new(value))?);
            }
        }
        lines.push(self.form.identity(args));
        lines.push(format!("{:?}", self.plan));
        Ok(lines.join("\n"))
    }

    /// Looks whether what is written may have room.
    fn check_space(&self, info: &gst_video::VideoInfo) -> Result<Option<String>> {
        let samples =
            f64::from(info.width()) * f64::from(info.height()) * self.plan.expected as f64;
        let (bytes, times) = match &self.form {
            // Once as segments, once as the file.
            Form::Video(..) => (BYTES_FOR_ENCODED, 2.0),
            Form::Pictures { depth, .. } => (BYTES_FOR_PICTURE * f64::from(depth / 8), 1.0),
        };
        let folder = self
            .job
            .output
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let there = folder
            .unwrap_or(Path::new("."))
            .ancestors()
            .find(|folder| folder.is_dir())
            .unwrap_or(Path::new("."));
        space::check(there, (samples * bytes * times) as u64)
    }
}
