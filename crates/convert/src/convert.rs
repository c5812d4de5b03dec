//! One input, from the first look at it to the finished output.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::file::Draft;
use crate::inputs::Input;
use crate::join::{self, Parts};
use crate::look::{Form, Job, Known};
use crate::making::Made;
use crate::report::{Done, Report};
use crate::stop::Stop;
use crate::tracks::Span;
use crate::work::Work;

impl Job<'_> {
    /// Does it all.
    pub(crate) fn run(&self, report: &mut Report, stop: &Arc<Stop>) -> Result<Done> {
        let started = Instant::now();
        report.begin(&self.input.path());
        let known = self.look(report, stop)?;
        let read = self.read();
        let read: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
        let draft = match &known.form {
            Form::Video(..) => Some(Draft::begin(self.output, &read)?),
            Form::Pictures { .. } => None,
        };
        let mut work = Work::open(self.output, &self.input.path(), &known.identity()?)?;
        if let Some(draft) = &draft {
            work.note_draft(draft.path())?;
        }
        stop.begin(draft.as_ref().map(Draft::path), Some(work.folder()));
        let written = known.make(&work, report, stop).and_then(|made| {
            stop.close();
            if made.stopped.is_some() {
                report.say("writing what is done; Ctrl-C again to give up on it");
            }
            let output = known.write(&work, &made, draft)?;
            Ok((made, output))
        });
        let (made, output) = match written {
            Err(error) if work.finished(0).is_some() => {
                let folder = work.folder().display();
                return Err(error.context(format!(
                    "finished segments stay in {folder}, and the same command goes on from there"
                )));
            }
            written => {
                work.remove()?;
                written?
            }
        };
        if let Some(quality) = &made.quality {
            report.say(quality);
        }
        if made.stopped.is_some() {
            report.say("stopped early: the file holds what was done until then");
        }
        let end = made.notes.iter().map(|note| note.end).max().unwrap_or(0);
        Ok(Done {
            bytes: known.bytes(&output, made.frames),
            output,
            frames: made.frames,
            kept: made.before,
            length: Duration::from_nanos(end),
            took: started.elapsed(),
            stats: made.stats,
        })
    }
}

impl Known<'_> {
    /// Gives what was made its name.
    fn write(&self, work: &Work, made: &Made, draft: Option<Draft>) -> Result<PathBuf> {
        match (&self.form, draft) {
            (Form::Video(_, container), Some(draft)) => {
                let mut caps = made.notes.iter().filter_map(|note| note.caps.as_deref());
                let first = caps.next().context("not one frame came out of it")?;
                if let Some(other) = caps.find(|caps| *caps != first) {
                    bail!("the segments do not fit together: {first}; {other}");
                }
                let with_frames = made.notes.iter().enumerate();
                let with_frames = with_frames.filter(|(_, note)| note.frames > 0);
                let others = match self.job.input {
                    Input::File(path) if self.kept > 0 => Some((path.as_path(), self.kept)),
                    _ => None,
                };
                let span = Span {
                    to: self.span.to.min(made.stopped.unwrap_or(u64::MAX)),
                    ..self.span
                };
                let parts = Parts {
                    segments: with_frames
                        .map(|(number, _)| work.packets(number))
                        .collect(),
                    caps: first.parse()?,
                    others,
                    tags: self.survey.tags.clone(),
                    is_cut: span.to < u64::MAX,
                    span,
                    container: *container,
                };
                join::join(&parts, draft.path())?;
                draft.keep()
            }
            (Form::Pictures { pattern, first, .. }, _) => {
                let folder = pattern.folder();
                if made.frames == 0 {
                    bail!("not one frame came out of it");
                }
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                let mut next = *first;
                for (segment, note) in made.notes.iter().enumerate() {
                    for number in 0..note.frames {
                        let path = pattern.at(next);
                        fs::rename(work.picture(segment, number), &path)
                            .with_context(|| format!("cannot name it {}", path.display()))?;
                        next += 1;
                    }
                }
                Ok(pattern.path())
            }
            (Form::Video(..), None) => bail!("a video without a draft"),
        }
    }

    fn bytes(&self, output: &Path, frames: u64) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        match &self.form {
            Form::Video(..) => size(output),
            Form::Pictures { pattern, first, .. } => (*first..first + frames)
                .map(|number| size(&pattern.at(number)))
                .sum(),
        }
    }
}
