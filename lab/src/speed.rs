//! `vfi-lab speed`: how long a synthesised frame takes, and where the time goes.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::bare;
use crate::element::{self, Chain};
use crate::scene::Scene;
use crate::table::Table;

/// Frames that come in before the clock runs: first runs at a size are slow.
const WARM_UP: u32 = 10;
/// Output frames per input frame.
const MULTIPLIER: usize = 2;

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
    #[arg(long, value_delimiter = ',', default_value = "vfi-lite")]
    models: Vec<String>,

    /// Frames a second that come in
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    rate: u16,

    /// Frames that come in while it is measured
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u32, u32);

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
struct Figures {
    shrink: f64,
    estimate: f64,
    synthesise: f64,
    /// Everything, from one frame to the next, by the wall clock.
    whole: f64,
    /// What frames are divided by for the network.
    downscale: f64,
    /// How many times faster than the frames' own pace.
    real_time: f64,
}

impl Figures {
    /// Of the pictures that the network sees.
    fn size(&self, Size(width, height): Size) -> (usize, usize) {
        let shrink = |side| (f64::from(side) / self.downscale).round() as usize;
        (shrink(width), shrink(height))
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut table = Table {
        title: format!(
            "{} frames a second to twice as many; milliseconds a synthesised frame:",
            args.rate
        ),
        head: [
            "network, size",
            "shrink",
            "network",
            "warp",
            "other",
            "whole",
            "bare session",
            "times real time",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: Vec::new(),
    };
    for model in &args.models {
        for size in &args.sizes {
            let Size(width, height) = size;
            let name = format!("{model}, {width}x{height}");
            let figures = measure(args, model, *size).with_context(|| name.clone())?;
            let parts = figures.shrink + figures.estimate + figures.synthesise;
            let bare = bare::measure(model, figures.size(*size), args.frames)?;
            let times = [
                figures.shrink,
                figures.estimate,
                figures.synthesise,
                figures.whole - parts,
                figures.whole,
                bare.as_secs_f64() * 1e3,
            ];
            let cells = times.map(|time| format!("{time:.1}"));
            let pace = format!("{:.2}", figures.real_time);
            table
                .rows
                .push([name].into_iter().chain(cells).chain([pace]).collect());
        }
    }
    println!("{}", table.text());
    Ok(())
}

/// Sends frames through as fast as they are taken, and reads the element's own counters around it.
fn measure(args: &Args, model: &str, Size(width, height): Size) -> Result<Figures> {
    let mut properties = element::pairs(&args.set)?;
    properties.push(("model".into(), model.into()));
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
            return Counters::read(&chain).since(&before, seconds, args);
        }
    }
    bail!("{came} of {wanted} frames came out")
}

/// What the element has counted, times in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Counters {
    synthesised: u64,
    shrink: u64,
    estimate: u64,
    synthesise: u64,
    downscale: f64,
}

impl Counters {
    fn read(chain: &Chain) -> Self {
        Self {
            synthesised: chain.count("synthesised"),
            shrink: chain.count("shrink-time"),
            estimate: chain.count("estimate-time"),
            synthesise: chain.count("synthesise-time"),
            downscale: chain.figure("downscale"),
        }
    }

    fn since(&self, before: &Self, seconds: f64, args: &Args) -> Result<Figures> {
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
            real_time: f64::from(args.frames) / f64::from(args.rate) / seconds,
        })
    }
}
