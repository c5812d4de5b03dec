//! `vfi-lab speed`: how long a synthesised frame takes, and where the time goes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gst::glib;
use gst::glib::prelude::*;
use gst::glib::value::FromValue;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, Precision};

use crate::bare;
use crate::beside::{self, Beside, Network};
use crate::element::{self, Chain};
use crate::scene::Scene;
use crate::table::Table;

/// Frames that come in before the clock runs: first runs at a size are slow.
const WARM_UP: u32 = 10;
/// Frames that ffmpeg makes at most: it takes its time, and the same for each.
const MOST_OF_MINTERPOLATE: u32 = 10;
/// Output frames per input frame.
pub(crate) const MULTIPLIER: usize = 2;

/// Measures how long synthesised frames take at several sizes, on a scene that never rests.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Frame sizes
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "640x360,1280x720,1920x1080"
    )]
    sizes: Vec<Size>,

    /// Networks: built-in names or paths of .onnx files
    ///
    /// `random-rife-4.6`, `random-rife-4.25`: of that shape, with random weights
    #[arg(long, value_delimiter = ',', default_value = "vfi-lite")]
    models: Vec<String>,

    /// Frames a second that come in
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    rate: u16,

    /// Frames that come in while it is measured
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,

    /// Execution provider that runs networks: auto, cpu, cuda or tensorrt
    #[arg(long, default_value = "auto", value_parser = nick::<ExecutionProvider>)]
    provider: ExecutionProvider,

    /// How many bits they compute in: auto, fp32, fp16 or int8
    #[arg(long, default_value = "auto", value_parser = nick::<Precision>)]
    precision: Precision,

    /// Programs to measure beside, separated by commas
    #[arg(long, value_delimiter = ',')]
    beside: Vec<Beside>,

    /// Python with PyTorch, and onnx and onnxruntime for networks of random weights
    #[arg(long, default_value = "python3")]
    python: PathBuf,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
}

impl Args {
    /// Returns the properties the element is set to.
    fn properties(&self, model: &str) -> Result<Vec<(String, String)>> {
        let own = [
            ("model", model),
            ("execution-provider", self.provider.nick()),
            ("precision", self.precision.nick()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(own.into_iter().chain(element::pairs(&self.set)?).collect())
    }

    /// Returns the options of what the element then loads.
    fn options(&self, model: &str) -> Result<LoadOptions> {
        let mut options = LoadOptions {
            model: model.into(),
            provider: self.provider,
            precision: self.precision,
            ..LoadOptions::default()
        };
        for (name, value) in element::pairs(&self.set)? {
            match name.as_str() {
                "model-family" => options.family = nick(&value).map_err(anyhow::Error::msg)?,
                "model-info" => options.info = value,
                "device" => options.device = value.parse().context("device")?,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Returns a value of one of the element's enumerations by its nick.
fn nick<T: for<'a> FromValue<'a> + StaticType>(text: &str) -> Result<T, String> {
    let class = glib::EnumClass::with_type(T::static_type());
    let value = class
        .as_ref()
        .and_then(|class| class.to_value_by_nick(text));
    let value = value.and_then(|value| value.get().ok());
    value.ok_or_else(|| format!("`{text}` is none of them"))
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u32, pub(crate) u32);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text
            .split_once('x')
            .and_then(|(width, height)| Some(Self(width.parse().ok()?, height.parse().ok()?)));
        sides.ok_or_else(|| format!("`{text}` is no size; a size is 1280x720, for example"))
    }
}

/// Milliseconds a synthesised frame, and what came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    pub(crate) shrink: f64,
    pub(crate) estimate: f64,
    pub(crate) synthesise: f64,
    /// Everything, from one frame to the next, by the wall clock.
    pub(crate) whole: f64,
    /// Divisor of frames for the network.
    pub(crate) downscale: f64,
    /// How many times faster than the frames' own pace.
    pub(crate) real_time: f64,
}

impl Figures {
    /// Returns the size of the pictures that the network sees, made up to multiples of `align`.
    fn padded(&self, Size(width, height): Size, align: usize) -> (usize, usize) {
        let shrink = |side| (f64::from(side) / self.downscale).round() as usize;
        (
            shrink(width).next_multiple_of(align),
            shrink(height).next_multiple_of(align),
        )
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let beside = args.beside.as_slice();
    let names = |suffix: &'static str| {
        let names = beside.iter().map(|other| other.name());
        names.map(move |name| format!("{suffix}{name}"))
    };
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let head = words(&["network, size", "whole/bare"])
        .into_iter()
        .chain(names("whole/"))
        .chain(words(&[
            "shrink",
            "network",
            "warp",
            "other",
            "whole",
            "bare session",
        ]))
        .chain(names(""))
        .chain(words(&["frames/s", "times real time"]))
        .collect();
    let mut table = Table {
        title: String::new(),
        head,
        rows: Vec::new(),
    };
    let mut ran_on = BTreeSet::new();
    for model in &args.models {
        let network = Network::new(model, &args.python)?;
        let options = args.options(&network.model)?;
        for size in &args.sizes {
            let Size(width, height) = *size;
            let name = format!("{model}, {width}x{height}");
            eprintln!("{name} ...");
            let figures = measure(args, &network.model, *size).with_context(|| name.clone())?;
            let info = Interpolator::load(&options)?.info().clone();
            ran_on.insert(format!(
                "{} in {} bits",
                info.provider.nick(),
                match info.precision {
                    Precision::Int8 => 8,
                    Precision::Fp16 => 16,
                    Precision::Auto | Precision::Fp32 => 32,
                }
            ));
            let seen = figures.padded(*size, info.align);
            let bare = bare::measure(&options, &info, seen, args.frames)?.as_secs_f64() * 1e3;
            let others = beside.iter().map(|other| -> Result<Option<f64>> {
                let in_torch =
                    |compiled| network.in_torch(&args.python, compiled, &info, seen, args.frames);
                match other {
                    Beside::Torch => in_torch(false),
                    // which not every machine can
                    Beside::Compiled => Ok(in_torch(true).unwrap_or_else(|why| {
                        eprintln!("{name}: {why:#}");
                        None
                    })),
                    Beside::Minterpolate => {
                        let few = args.frames.min(MOST_OF_MINTERPOLATE);
                        beside::minterpolate((width, height), args.rate, few).map(Some)
                    }
                }
            });
            let others = others.collect::<Result<Vec<_>>>()?;
            table.rows.push(row(name, &figures, bare, &others));
        }
    }
    let ran_on = Vec::from_iter(ran_on).join(", ");
    table.title = format!(
        "{} frames a second to twice as many, networks on {ran_on}; milliseconds a synthesised frame:",
        args.rate
    );
    println!("{}", table.text());
    Ok(())
}

/// Returns a row of the table: ratios first.
fn row(name: String, figures: &Figures, bare: f64, others: &[Option<f64>]) -> Vec<String> {
    let parts = figures.shrink + figures.estimate + figures.synthesise;
    let cell = |time: f64| format!("{time:.1}");
    let or_none = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".into(),
    };
    let times = [
        figures.shrink,
        figures.estimate,
        figures.synthesise,
        figures.whole - parts,
        figures.whole,
        bare,
    ];
    let ratio = |time: f64| figures.whole / time;
    [name, or_none(Some(ratio(bare)), 2)]
        .into_iter()
        .chain(others.iter().map(|time| or_none(time.map(ratio), 2)))
        .chain(times.map(cell))
        .chain(others.iter().map(|time| or_none(*time, 1)))
        .chain([
            cell(1e3 / figures.whole),
            or_none(Some(figures.real_time), 2),
        ])
        .collect()
}

/// Sends frames through as fast as they are taken, and reads the element's own counters around it.
fn measure(args: &Args, model: &str, Size(width, height): Size) -> Result<Figures> {
    let properties = args.properties(model)?;
    let rate = gst::Fraction::new(args.rate.into(), 1);
    let wanted = WARM_UP + args.frames;
    let frames = Scene::new(width, height, rate)?.take(wanted as usize + 1);
    let chain = Chain::new(MULTIPLIER, &properties)?;
    chain.feed(frames.map(Ok), rate);

    let mut begun = None;
    let mut came = 0;
    while let Some(picture) = chain.pull()? {
        if picture.buffer.offset() % MULTIPLIER as u64 != 0 {
            continue;
        }
        came += 1;
        if came == WARM_UP {
            begun = Some((Instant::now(), Counters::read(&chain)));
        } else if came == wanted {
            let (start, before) = begun.context("nothing was measured")?;
            let seconds = start.elapsed().as_secs_f64();
            let frames = (args.frames, args.rate);
            return Counters::read(&chain).since(&before, seconds, frames);
        }
    }
    bail!("{came} of {wanted} frames came out")
}

/// Counters of the element, times in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    synthesised: u64,
    shrink: u64,
    estimate: u64,
    synthesise: u64,
    downscale: f64,
}

impl Counters {
    /// Reads them now.
    pub(crate) fn read(chain: &Chain) -> Self {
        Self {
            synthesised: chain.count("synthesised"),
            shrink: chain.count("shrink-time"),
            estimate: chain.count("estimate-time"),
            synthesise: chain.count("synthesise-time"),
            downscale: chain.figure("downscale"),
        }
    }

    /// Returns what became of so many frames, of a rate, in the seconds since `before`.
    pub(crate) fn since(
        &self,
        before: &Self,
        seconds: f64,
        (frames, rate): (u32, u16),
    ) -> Result<Figures> {
        let made = self.synthesised - before.synthesised;
        if made == 0 {
            bail!("no frame was synthesised");
        }
        let each = |after: u64, before: u64| (after - before) as f64 / 1e6 / made as f64;
        Ok(Figures {
            shrink: each(self.shrink, before.shrink),
            estimate: each(self.estimate, before.estimate),
            synthesise: each(self.synthesise, before.synthesise),
            whole: seconds * 1e3 / made as f64,
            downscale: self.downscale,
            real_time: f64::from(frames) / f64::from(rate) / seconds,
        })
    }
}
