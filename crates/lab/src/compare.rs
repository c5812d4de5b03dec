//! `vfi-lab compare`: a matrix of settings, side by side, in figures and in pictures.

mod clock;
mod matrix;
mod measure;
mod motion;
mod planar;
mod progress;
mod rebuild;
mod recommend;
mod record;
mod report;
mod source;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gstvfiinterp::models::memory::available;

use crate::element;
use crate::methods::{Method, Tools};
use clock::Clock;
use matrix::{Configuration, safe};
use measure::{Figures, Place};
use planar::Planar;
use progress::Bars;
use rebuild::Task;
use record::{Cell, Finished, FrameRecord, LeftOut, Metrics, Plan, PlannedClip, Run};
use source::{Input, Source};
use store::Store;

/// Runs every combination of settings on clips, and shows and measures what comes of it.
///
/// INPUT is a video, a sequence of pictures (`in_%04d.png`), or pictures named one by one. Where
/// there are frames enough, frames are dropped and rebuilt, and compared with the true ones. The
/// same command once more continues a run that was interrupted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Videos, sequences of pictures, or two pictures
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Output frames per input frame
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "2",
        value_parser = clap::value_parser!(u16).range(2..=64)
    )]
    multiplier: Vec<u16>,

    /// Networks: built-in names or paths of .onnx files
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,

    /// How much smaller than the frame the network sees it
    #[arg(long, value_delimiter = ',')]
    downscale: Vec<String>,

    /// Filters that shrink frames for the network
    #[arg(long, value_delimiter = ',')]
    downscale_method: Vec<String>,

    /// Whether the network's motion or its picture is brought to full size
    #[arg(long, value_delimiter = ',')]
    upscale: Vec<String>,

    /// Filters that sample full-size frames
    #[arg(long, value_delimiter = ',')]
    upscale_method: Vec<String>,

    /// Any other property of vfiinterp, the same in all
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,

    /// Ways to compare with, besides the element
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "repeat,blend,minterpolate,dis"
    )]
    beside: Vec<Method>,

    /// How many frames of each clip to use, at most
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,

    /// The folder that gets a folder for the run
    #[arg(long, value_name = "DIR", default_value = "compare")]
    out: PathBuf,

    /// Keep frames as one lossless video a configuration, not as pictures
    #[arg(long)]
    video: bool,

    /// The Python interpreter, with OpenCV, that method dis runs in
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

impl Args {
    /// Returns every configuration, of the methods that can be run here.
    fn configurations(&self, left_out: &mut Vec<LeftOut>) -> Result<Vec<Configuration>> {
        let tools = Tools {
            python: &self.python,
            properties: &[],
        };
        let mut methods = vec![Method::Vfi];
        for &method in &self.beside {
            match method {
                Method::Vfi => {}
                Method::Even => bail!("`even` needs the true frames, and is for `quality` alone"),
                method => match method.version(&tools) {
                    Ok(_) => methods.push(method),
                    Err(error) => left_out.push(LeftOut {
                        name: method.name().to_owned(),
                        reason: format!("{error:#}"),
                    }),
                },
            }
        }
        let multipliers: Vec<_> = self.multiplier.iter().copied().map(usize::from).collect();
        let axes: [matrix::Axis<'_>; 5] = [
            ("model", &self.model),
            ("downscale", &self.downscale),
            ("downscale-method", &self.downscale_method),
            ("upscale", &self.upscale),
            ("upscale-method", &self.upscale_method),
        ];
        let fixed = element::pairs(&self.set)?;
        let all = matrix::expand(&multipliers, &axes, &fixed, &methods);
        let mut checked: Vec<&[(String, String)]> = Vec::new();
        for one in all.iter().filter(|one| one.is_ours()) {
            if !checked.contains(&one.properties.as_slice()) {
                element::check(&one.properties).with_context(|| one.name.clone())?;
                checked.push(&one.properties);
            }
        }
        Ok(all)
    }

    /// Returns the clips that can be read.
    fn sources(&self, left_out: &mut Vec<LeftOut>) -> Result<Vec<Source>> {
        let (inputs, unfit) = Input::gather(&self.inputs);
        let mut leave = |name: String, error: &anyhow::Error| {
            left_out.push(LeftOut {
                name,
                reason: format!("{error:#}"),
            });
        };
        for (name, error) in &unfit {
            leave(name.clone(), error);
        }
        let mut sources: Vec<Source> = Vec::new();
        for input in inputs {
            let path = input.path();
            match Source::open(input, self.frames as usize) {
                Ok(mut source) => {
                    source.name = safe(&source.name);
                    while sources.iter().any(|other| other.name == source.name) {
                        source.name.push('+');
                    }
                    sources.push(source);
                }
                Err(error) => leave(path, &error),
            }
        }
        if sources.is_empty() {
            let reasons: Vec<_> = left_out
                .iter()
                .map(|one| format!("{}: {}", one.name, one.reason))
                .collect();
            bail!("there is nothing to compare: {}", reasons.join("; "));
        }
        Ok(sources)
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        eprintln!("stopping after this pair of frames; once more stops at once");
    })?;
    let (folder, finished) = compare(args, &|| stop.load(Ordering::SeqCst))?;
    if !finished {
        eprintln!("interrupted: the same command continues it");
    }
    println!("{}", folder.join(report::FILE).display());
    if finished { Ok(()) } else { process::exit(130) }
}

/// Runs the matrix until it is done or is to stop; returns the run's folder, and whether it is done.
fn compare(args: &Args, stop: &dyn Fn() -> bool) -> Result<(PathBuf, bool)> {
    let mut left_out = Vec::new();
    let sources = args.sources(&mut left_out)?;
    let configurations = args.configurations(&mut left_out)?;
    let plan = plan(args, &sources, &configurations);
    let run = Run::open(&args.out, &plan)?;
    let tools = Tools {
        python: &args.python,
        properties: &[],
    };
    let tasks: Vec<_> = sources
        .iter()
        .flat_map(|source| configurations.iter().map(move |one| Task::new(source, one)))
        .collect();
    let bars = Bars::new(tasks.iter().map(Task::frames).sum::<usize>() as u64)?;
    for source in &sources {
        keep_truth(args, &run, source)?;
    }
    let mut metrics = Metrics {
        finished: false,
        clips: plan.clips,
        configurations: plan.configurations,
        left_out,
        cells: Vec::new(),
        timing: record::Timings {
            cells: BTreeMap::new(),
            recommended: Vec::new(),
        },
    };
    for task in &tasks {
        let folder = folder(task);
        bars.begin(&folder, task.frames() as u64);
        let finished = match run.finished(&folder) {
            Some(finished) => {
                bars.skip(task.frames() as u64);
                finished
            }
            None => match cell(
                task,
                &run.folder.join(&folder),
                args.video,
                &tools,
                stop,
                &bars,
            ) {
                Ok(Some(finished)) => {
                    run.keep(&finished)?;
                    bars.say(&line(&finished));
                    finished
                }
                Ok(None) => {
                    // Half of it is of no use to anyone.
                    let _ = std::fs::remove_dir_all(run.folder.join(&folder));
                    break;
                }
                Err(error) => {
                    let _ = std::fs::remove_dir_all(run.folder.join(&folder));
                    metrics.left_out.push(LeftOut {
                        name: folder,
                        reason: format!("{error:#}"),
                    });
                    continue;
                }
            },
        };
        if let Some(timing) = finished.timing {
            metrics.timing.cells.insert(folder, timing);
        }
        metrics.cells.push(finished.cell);
        metrics.timing.recommended = recommend::recommend(&recommend::summarise(&metrics));
        run.write(&metrics)?;
    }
    bars.end();
    metrics.finished = metrics.cells.len() + left_out_cells(&metrics, &tasks) == tasks.len();
    run.write(&metrics)?;
    report::write(&run.folder, &metrics, args.video)?;
    tell(&metrics);
    if metrics.cells.is_empty() && metrics.finished {
        bail!("no configuration could be run");
    }
    Ok((run.folder, metrics.finished))
}

fn left_out_cells(metrics: &Metrics, tasks: &[Task<'_>]) -> usize {
    let is_left_out = |task: &&Task<'_>| {
        let folder = folder(task);
        metrics.left_out.iter().any(|one| one.name == folder)
    };
    tasks.iter().filter(is_left_out).count()
}

fn plan(args: &Args, sources: &[Source], configurations: &[Configuration]) -> Plan {
    let clip = |source: &Source| PlannedClip {
        name: source.name.clone(),
        width: source.width,
        height: source.height,
        frames: source.frames,
        rate: (source.rate.numer(), source.rate.denom()),
        content: source.input.fingerprint(),
    };
    Plan {
        clips: sources.iter().map(clip).collect(),
        configurations: configurations.to_vec(),
        video: args.video,
    }
}

/// Returns the name of the folder of a configuration on a clip.
fn folder(task: &Task<'_>) -> String {
    format!("{}__{}", task.source.name, task.configuration.name)
}

/// Returns the name of the folder of a clip's own frames.
fn truth(clip: &str) -> String {
    format!("{clip}__truth")
}

/// Keeps a clip's own frames beside the made ones, unless an earlier run did.
fn keep_truth(args: &Args, run: &Run, source: &Source) -> Result<()> {
    let folder = run.folder.join(truth(&source.name));
    let whole = folder.join("whole");
    if whole.exists() {
        return Ok(());
    }
    let store = Store::new(&folder, args.video, source.rate)?;
    for (number, frame) in source.frames()?.enumerate() {
        store.write(number, &frame?)?;
    }
    store.finish()?;
    record::replace(&whole, "")
}

/// Runs a configuration on a clip; none if it is to stop.
fn cell(
    task: &Task<'_>,
    folder: &Path,
    as_video: bool,
    tools: &Tools<'_>,
    stop: &dyn Fn() -> bool,
    bars: &Bars,
) -> Result<Option<Finished>> {
    available::trim();
    let store = Store::new(folder, as_video, task.output_rate())?;
    let mut outputs = task.start(tools)?;
    let mut wanted = task.wanted()?;
    let mut clock = Clock::default();
    let (mut took, mut memory) = (Duration::ZERO, None);
    let mut frames: Vec<FrameRecord> = Vec::new();
    let mut originals_identical = true;
    let mut between: Vec<(Planar, Option<Planar>)> = Vec::new();
    let mut before: Option<Planar> = None;
    let step = task.configuration.multiplier;
    for number in 0..task.frames() {
        if stop() {
            return Ok(None);
        }
        let output = outputs
            .next()
            .with_context(|| format!("it gave only {number} of {} frames", task.frames()))??;
        let wanted = wanted.next().context("the clip has become shorter")??;
        store.write(number, &output.frame)?;
        took += output.took;
        memory = memory.max(output.memory);
        bars.step();
        if !number.is_multiple_of(step) {
            between.push((output.frame, wanted));
            continue;
        }
        let after = wanted.context("no original")?;
        originals_identical &= after.is_same(&output.frame);
        if let Some(before) = before.replace(after.clone()) {
            if !before.is_same(&after) {
                clock.add(took, between.len(), memory);
            }
            let first = number - between.len();
            frames.extend(pair(task, first, &before, &after, &between)?);
            between.clear();
        }
        took = Duration::ZERO;
        frames.push(FrameRecord {
            number,
            position: task.position(number),
            original: true,
            still: false,
            figures: Figures::default(),
        });
    }
    store.finish()?;
    let made = frames
        .iter()
        .filter(|frame| !frame.original && !frame.still);
    Ok(Some(Finished {
        cell: Cell {
            clip: task.source.name.clone(),
            configuration: task.configuration.name.clone(),
            folder: self::folder(task),
            has_truth: task.has_truth,
            originals_identical,
            mean: Figures::mean(made.map(|frame| &frame.figures)),
            frames,
        },
        timing: clock.timing(task.output_rate(), step),
    }))
}

/// Measures the frames between two originals, of which the first has a number.
fn pair(
    task: &Task<'_>,
    first: usize,
    before: &Planar,
    after: &Planar,
    between: &[(Planar, Option<Planar>)],
) -> Result<Vec<FrameRecord>> {
    let still = before.is_same(after);
    let measure = |(part, (made, wanted)): (usize, &(Planar, Option<Planar>))| {
        let place = Place {
            before,
            after,
            phase: (part + 1) as f64 / (between.len() + 1) as f64,
        };
        let next = between.get(part + 1).map_or(after, |(next, _)| next);
        Ok(FrameRecord {
            number: first + part,
            position: task.position(first + part),
            original: false,
            still,
            figures: measure::measure(made, next, wanted.as_ref(), &place)?,
        })
    };
    between.iter().enumerate().map(measure).collect()
}

fn line(finished: &Finished) -> String {
    let Finished { cell, timing } = finished;
    let time = match timing {
        Some(timing) => format!("{:.1} ms a frame", timing.ms_a_frame),
        None => "nothing moves".to_owned(),
    };
    let quality = match cell.mean.ssimulacra2.zip(cell.mean.psnr) {
        Some((ssimulacra2, psnr)) => format!(", {psnr:.2} dB, SSIMULACRA2 {ssimulacra2:.2}"),
        None => String::new(),
    };
    format!("{}: {time}{quality}", cell.folder)
}

/// Tells at the end what to take, and what is missing.
fn tell(metrics: &Metrics) {
    for one in &metrics.timing.recommended {
        println!(
            "x{} {}: {}. {}",
            one.multiplier, one.purpose, one.configuration, one.reason
        );
    }
    for cell in metrics
        .cells
        .iter()
        .filter(|cell| !cell.originals_identical)
    {
        eprintln!("{}: originals did not come out as they were", cell.folder);
    }
    for one in &metrics.left_out {
        eprintln!("left out: {}: {}", one.name, one.reason);
    }
}

#[cfg(test)]
mod tests;
