//! A clip's frames as a configuration makes them, and how long each takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::matrix::Configuration;
use super::planar::Planar;
use super::source::{Frames, Source};
use crate::child::Piped;
use crate::element::{self, Chain};
use crate::methods::{self, Bytes, Method, Shape, Tools};
use crate::process;

/// A frame that came out.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) frame: Planar,
    /// The time it took, and the other frames of its pair with it.
    pub(super) took: Duration,
    /// The most memory this process had meanwhile, in kilobytes, where the work is done in it.
    pub(super) memory: Option<u64>,
}

/// Frames in order, the originals among them.
pub(super) type Outputs = Box<dyn Iterator<Item = Result<Output>>>;

/// The frames that a configuration is given, and what it is to make of them.
#[derive(Debug, Clone)]
pub(super) struct Task<'a> {
    pub(super) source: &'a Source,
    pub(super) configuration: &'a Configuration,
    /// Whether frames are dropped, so that there are true ones to compare with.
    pub(super) has_truth: bool,
}

impl Task<'_> {
    pub(super) fn new<'a>(source: &'a Source, configuration: &'a Configuration) -> Task<'a> {
        Task {
            source,
            configuration,
            has_truth: source.has_truth(configuration.multiplier),
        }
    }

    fn step(&self) -> usize {
        self.configuration.multiplier
    }

    /// Returns how many frames the pipeline is given.
    fn given(&self) -> usize {
        match self.has_truth {
            true => (self.source.frames - 1) / self.step() + 1,
            false => self.source.frames,
        }
    }

    /// Returns how many frames come out.
    pub(super) fn frames(&self) -> usize {
        (self.given() - 1) * self.step() + 1
    }

    /// Returns at which frame of the source an output frame stands, to a fraction.
    pub(super) fn position(&self, number: usize) -> f64 {
        match self.has_truth {
            true => number as f64,
            false => number as f64 / self.step() as f64,
        }
    }

    /// Returns the frames that are given.
    fn kept(&self) -> Result<Frames> {
        let step = if self.has_truth { self.step() } else { 1 };
        Ok(Box::new(
            self.source.frames()?.step_by(step).take(self.given()),
        ))
    }

    /// Returns the frame that belongs at each place, as far as there is one.
    pub(super) fn wanted(&self) -> Result<impl Iterator<Item = Result<Option<Planar>>>> {
        let between = if self.has_truth { 0 } else { self.step() - 1 };
        let frames = self.source.frames()?.take(self.source.frames);
        let spread = frames.flat_map(move |frame| {
            std::iter::once(frame.map(Some)).chain((0..between).map(|_| Ok(None)))
        });
        Ok(spread.take(self.frames()))
    }

    /// Returns the rate of the frames that are given.
    fn rate(&self) -> gst::Fraction {
        let rate = self.source.rate;
        let step = i32::try_from(self.step()).unwrap_or(1);
        let denom = rate.denom().checked_mul(step);
        match denom.filter(|_| self.has_truth) {
            Some(denom) => gst::Fraction::new(rate.numer(), denom),
            None => rate,
        }
    }

    /// Returns the rate of the frames that come out.
    pub(super) fn output_rate(&self) -> gst::Fraction {
        let rate = self.source.rate;
        let step = i32::try_from(self.step()).unwrap_or(1);
        match rate.numer().checked_mul(step).filter(|_| !self.has_truth) {
            Some(numer) => gst::Fraction::new(numer, rate.denom()),
            None => rate,
        }
    }

    /// Starts it.
    pub(super) fn start(&self, tools: &Tools<'_>) -> Result<Outputs> {
        let method = self
            .configuration
            .method()
            .with_context(|| format!("no method {}", self.configuration.method))?;
        Ok(match method {
            Method::Vfi => Box::new(Interpolated::start(self)?),
            Method::Blend => Box::new(self.mix(Planar::blend)?),
            Method::Repeat => Box::new(self.mix(|before, _, _| Ok(before.clone()))?),
            Method::Minterpolate => {
                let (shape, given, like) = self.raw()?;
                timed(methods::minterpolate(&shape, given)?, like)
            }
            Method::Dis => {
                let (shape, given, like) = self.raw()?;
                timed(methods::dis(&shape, tools.python, given, false)?, like)
            }
            Method::Even => bail!("`even` needs the true frames, and is for `quality` alone"),
        })
    }

    /// Returns frames for another program, and one of them.
    fn raw(&self) -> Result<(Shape, Bytes, Planar)> {
        let first = self.kept()?.next().context("no frames")??;
        let shape = Shape {
            width: self.source.width,
            height: self.source.height,
            chroma: Some(first.chroma()),
            step: self.step(),
            frames: self.frames(),
        };
        let given = self.kept()?.map(|frame| Ok(frame?.bytes()));
        Ok((shape, Box::new(given), first))
    }

    /// Runs a method that needs only the neighbours and the phase between them.
    fn mix(
        &self,
        mix: fn(&Planar, &Planar, f64) -> Result<Planar>,
    ) -> Result<impl Iterator<Item = Result<Output>> + use<>> {
        let step = self.step();
        let mut before: Option<Planar> = None;
        Ok(self.kept()?.flat_map(move |frame| {
            let after = match frame {
                Ok(after) => after,
                Err(error) => return vec![Err(error)],
            };
            let parts = 1..if before.is_some() { step } else { 1 };
            let mut frames: Vec<_> = parts
                .zip(before.iter().cycle())
                .map(|(part, before)| {
                    let start = Instant::now();
                    let frame = mix(before, &after, part as f64 / step as f64)?;
                    Ok(Output {
                        frame,
                        took: start.elapsed(),
                        memory: None,
                    })
                })
                .collect();
            before = Some(after.clone());
            frames.push(Ok(Output {
                frame: after,
                took: Duration::ZERO,
                memory: None,
            }));
            frames
        }))
    }
}

/// Returns a program's frames, with how long it was waited for each.
fn timed(mut piped: Piped, like: Planar) -> Outputs {
    Box::new(std::iter::from_fn(move || {
        let start = Instant::now();
        let data = piped.next()?;
        let took = start.elapsed();
        Some(data.and_then(|data| {
            Ok(Output {
                frame: like.with(&data)?,
                took,
                memory: None,
            })
        }))
    }))
}

/// The element at work. It gets the next frame only when the frames before it were taken and
/// measured, so that measuring takes no time from it.
struct Interpolated {
    chain: Chain,
    kept: std::iter::Enumerate<Frames>,
    rate: gst::Fraction,
    step: usize,
    waiting: VecDeque<Output>,
    failed: bool,
}

impl Interpolated {
    fn start(task: &Task<'_>) -> Result<Self> {
        Ok(Self {
            chain: Chain::new(task.step(), &task.configuration.properties)?,
            kept: task.kept()?.enumerate(),
            rate: task.rate(),
            step: task.step(),
            waiting: VecDeque::new(),
            failed: false,
        })
    }

    /// Sends a frame, and takes what comes of it.
    fn pair(&mut self, number: usize, frame: &Planar) -> Result<()> {
        let picture = frame.picture()?;
        process::reset_peak()?;
        let start = Instant::now();
        self.chain.push(picture, number as u64, self.rate)?;
        let mut pictures = Vec::new();
        for _ in 0..if number > 0 { self.step } else { 1 } {
            let next = self.chain.pull()?;
            pictures.push(next.context("vfiinterp keeps a frame back")?);
        }
        let took = start.elapsed();
        let memory = Some(process::peak()?);
        element::all_made(&self.chain)?;
        for picture in &pictures {
            self.waiting.push_back(Output {
                frame: Planar::read(picture)?,
                took: took / u32::try_from(pictures.len())?,
                memory,
            });
        }
        Ok(())
    }
}

impl Iterator for Interpolated {
    type Item = Result<Output>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.waiting.is_empty() && !self.failed {
            let (number, frame) = self.kept.next()?;
            if let Err(error) = frame.and_then(|frame| self.pair(number, &frame)) {
                self.failed = true;
                return Some(Err(error));
            }
        }
        self.waiting.pop_front().map(Ok)
    }
}
