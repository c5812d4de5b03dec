//! The frames of an output, made segment by segment.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::encoder::Encoder;
use crate::look::{Form, Known};
use crate::pictures::PngWriter;
use crate::plan::Segment;
use crate::quality::Comparison;
use crate::reader::{Reader, Reading};
use crate::report::{Report, Stats};
use crate::stop::Stop;
use crate::work::{Note, Work};

/// The frames that were made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) frames: u64,
    /// Frames that an earlier run had made.
    pub(crate) before: u64,
    /// Notes of the segments there are.
    pub(crate) notes: Vec<Note>,
    /// End of the last frame in the input, if there was a stop.
    pub(crate) stopped: Option<u64>,
    pub(crate) stats: Stats,
    pub(crate) quality: Option<String>,
}

impl Known<'_> {
    fn reading(&self) -> Reading<'_> {
        let args = self.job.args;
        Reading {
            input: self.job.input,
            input_fps: args.input_fps,
            element: &args.element,
            properties: &self.properties,
            target: self.plan.target,
            declared: self.plan.declared,
            clock: self.survey.clock,
            eight_bit: self.job.truth.is_some(),
            beside: args.preview,
            is_damaged: !self.survey.warnings.is_empty(),
        }
    }

    /// Makes all segments that are not finished.
    pub(crate) fn make(&self, work: &Work, report: &mut Report, stop: &Arc<Stop>) -> Result<Made> {
        let mut made = Made::default();
        // Kept until the next one gives frames, so that the network stays loaded.
        let mut last: Option<Reader> = None;
        for (number, segment) in self.plan.segments.iter().enumerate() {
            if let Some(note) = work.finished(number) {
                made.frames += note.frames;
                made.before += note.frames;
                made.notes.push(note);
                stop.keep_segment();
                continue;
            }
            if made.before > 0 && made.before == made.frames {
                report.say(&format!(
                    "going on after {} frames of an earlier run",
                    made.before
                ));
            }
            let mut making = Making::begin(self, work, number, segment)?;
            let mut reader = Reader::build(&self.reading(), segment.entry)?;
            let quality = match self.job.truth {
                Some(truth) => Some(Comparison::attach(&reader.interpolator, truth, stop)?),
                None => None,
            };
            reader.start(segment.entry, stop)?;
            let before = made.frames;
            while let Some(sample) = reader.next(stop, &mut |line| report.warn(line))? {
                drop(last.take());
                if !making.take(&sample)? {
                    break;
                }
                stop.count();
                let length = Duration::from_nanos(making.end);
                report.progress(before + making.frames, made.before, length);
            }
            made.stats.add(&reader.interpolator);
            if stop.is_asked() {
                made.stopped = Some(making.reached);
            }
            let note = making.finish()?;
            made.frames += note.frames;
            made.notes.push(note);
            if let Some(quality) = quality {
                drop(reader);
                made.quality = Some(quality.finish()?.to_string());
            } else {
                last = Some(reader);
            }
            if made.stopped.is_some() {
                break;
            }
            stop.keep_segment();
        }
        if made.stopped.is_none() {
            self.check(made.frames, report)?;
        }
        Ok(made)
    }

    /// Compares how many frames there are with how many were to be: some decoders lose frames, or
    /// the times of them, and say nothing.
    fn check(&self, frames: u64, report: &Report) -> Result<()> {
        let expected = self.plan.expected;
        let told = format!("{frames} frames came out where {expected} were to be");
        if frames > 0 && frames < expected / 2 {
            bail!("{told}: the decoder loses frames, or when they are shown");
        }
        if frames + expected / 20 + 2 < expected {
            report.warn(&told);
        }
        Ok(())
    }
}

/// A segment that is being made.
struct Making<'a> {
    known: &'a Known<'a>,
    work: &'a Work,
    number: usize,
    segment: &'a Segment,
    /// The file for its packets, until the encoder has it.
    file: Option<File>,
    encoder: Option<Encoder>,
    png: Option<PngWriter>,
    frames: u64,
    /// End of its last frame, in the output and in the input.
    end: u64,
    reached: u64,
    /// Time of its last frame in the output.
    last: Option<u64>,
}

impl<'a> Making<'a> {
    fn begin(
        known: &'a Known<'a>,
        work: &'a Work,
        number: usize,
        segment: &'a Segment,
    ) -> Result<Self> {
        let file = match &known.form {
            Form::Video(..) => {
                let path = work.unfinished(number);
                let cannot = || format!("cannot write {}", path.display());
                Some(File::create(&path).with_context(cannot)?)
            }
            Form::Pictures { .. } => None,
        };
        Ok(Self {
            known,
            work,
            number,
            segment,
            file,
            encoder: None,
            png: None,
            frames: 0,
            end: 0,
            reached: 0,
            last: None,
        })
    }

    /// Takes a frame. Returns whether further ones are wanted.
    fn take(&mut self, sample: &gst::Sample) -> Result<bool> {
        let plan = &self.known.plan;
        let buffer = sample.buffer().context("a frame without data")?;
        let pts = buffer.pts().context("a frame without a timestamp")?;
        let time = plan.exact(pts.nseconds());
        if time < self.segment.range.start {
            return Ok(true);
        }
        if time >= self.segment.range.end {
            return Ok(false);
        }
        let shown = plan.shown_at(time);
        if self.last.is_some_and(|last| shown <= last) {
            return Ok(true);
        }
        let lasts = buffer.duration().map(gst::ClockTime::nseconds);
        let duration = lasts.map(|lasts| plan.stretched(lasts));
        let caps = sample.caps().context("frames without caps")?;
        self.write(buffer, caps, shown, duration)?;
        self.last = Some(shown);
        self.frames += 1;
        self.end = shown + duration.unwrap_or(0);
        self.reached = time + lasts.unwrap_or(1);
        Ok(true)
    }

    fn write(
        &mut self,
        buffer: &gst::BufferRef,
        caps: &gst::CapsRef,
        shown: u64,
        duration: Option<u64>,
    ) -> Result<()> {
        match &self.known.form {
            Form::Video(encoding, _) => {
                let encoder = match &mut self.encoder {
                    Some(encoder) => encoder,
                    none => {
                        let mut caps = caps.to_owned();
                        if let Some(rate) = self.known.plan.shown {
                            caps.make_mut().set("framerate", rate);
                        }
                        let file = self.file.take().context("the encoder has its file")?;
                        none.insert(Encoder::begin(&caps, encoding, file)?)
                    }
                };
                encoder.push(buffer, shown, duration)
            }
            Form::Pictures { depth, .. } => {
                let png = match &mut self.png {
                    Some(png) => png,
                    none => {
                        let info = gst_video::VideoInfo::from_caps(caps)?;
                        let level = self.known.job.args.png_compression;
                        none.insert(PngWriter::new(&info, *depth, level)?)
                    }
                };
                png.write(buffer, &self.work.picture(self.number, self.frames))
            }
        }
    }

    /// Ends the segment, and notes that it is finished.
    fn finish(self) -> Result<Note> {
        let caps = match self.encoder {
            Some(encoder) => {
                let caps = encoder.finish()?.to_string();
                let (from, to) = (
                    self.work.unfinished(self.number),
                    self.work.packets(self.number),
                );
                fs::rename(&from, &to)
                    .with_context(|| format!("cannot name it {}", to.display()))?;
                Some(caps)
            }
            None => None,
        };
        let note = Note {
            frames: self.frames,
            caps,
            end: self.end,
        };
        self.work.finish(self.number, &note)?;
        Ok(note)
    }
}
