//! Runs a pipeline in a process of its own, and writes what it does into GStreamer's debug log,
//! beside the tracers' records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gst::glib;
use gst::glib::subclass::prelude::*;
use gst::prelude::*;
use gst::subclass::prelude::*;
use serde::{Deserialize, Serialize};

use super::log::{CATEGORIES, CATEGORY, ElementFacts, Facts, Line, Log, Note, Sample, TRACERS};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(CATEGORY, gst::DebugColorFlags::empty(), Some("vfi-lab"))
});

/// Time from one sample to the next.
const STEP: Duration = Duration::from_millis(50);
/// Most time until the first frame comes out: networks are loaded, files opened.
const PATIENCE: Duration = Duration::from_secs(60);
/// Properties of elements that are written down.
const PROPERTIES: [&str; 12] = [
    "sync",
    "qos",
    "max-lateness",
    "max-size-buffers",
    "speed-preset",
    "cpu-used",
    "preset",
    "overload",
    "downscale",
    "model",
    "execution-provider",
    "multiplier",
];

/// A change of a pipeline.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// Sets a property of an element.
    Set {
        element: String,
        property: String,
        value: String,
    },
    /// Puts a queue behind an element.
    Queue { behind: String },
}

/// Runs a pipeline with changes for so many seconds, at most, and returns the log of it, which is
/// written to `file`.
pub(super) fn record(line: &str, changes: &[Change], seconds: u32, file: &Path) -> Result<Log> {
    parse(line, &[])?;
    let program = std::env::current_exe().context("this program")?;
    let mut command = Command::new(program);
    command.args(["profile", "--inside", "--seconds", &seconds.to_string()]);
    for change in changes {
        command.args(["--change", &serde_json::to_string(change)?]);
    }
    let run = command
        .args(["--", line])
        .env("GST_TRACERS", TRACERS)
        .env("GST_DEBUG", CATEGORIES)
        .env("GST_DEBUG_FILE", file)
        .env("GST_DEBUG_NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("cannot start this program once more")?;
    if !run.status.success() {
        let words = String::from_utf8_lossy(&run.stderr);
        let words = words.lines().rfind(|line| line.starts_with("vfi-lab: "));
        match words.and_then(|line| line.strip_prefix("vfi-lab: ")) {
            Some(words) => bail!("{words}"),
            None => bail!("the pipeline's process ended with {}", run.status),
        }
    }
    Log::read(file)
}

/// Makes a pipeline, with changes, and finds the interpolator in it.
///
/// # Errors
/// If the line is none, or there is no interpolator.
fn parse(line: &str, changes: &[Change]) -> Result<(gst::Pipeline, gst::Element)> {
    let parsed = gst::parse::launch(line)
        .map_err(|error| anyhow::anyhow!("no pipeline: {}", error.message()))?;
    let pipeline = match parsed.downcast::<gst::Pipeline>() {
        Ok(pipeline) => pipeline,
        Err(element) => bail!(
            "no pipeline: {} alone; elements are joined by `!`",
            set_property::kind(&element)
        ),
    };
    let elements = elements(&pipeline);
    let ours = |element: &&gst::Element| set_property::kind(element) == "vfiinterp";
    let interpolator = elements.iter().find(ours).cloned();
    let interpolator = interpolator.context("no vfiinterp is in the pipeline")?;
    for change in changes {
        apply(&pipeline, change)?;
    }
    Ok((pipeline, interpolator))
}

fn apply(pipeline: &gst::Pipeline, change: &Change) -> Result<()> {
    let find = |name: &str| {
        let element = pipeline.by_name(name);
        element.with_context(|| format!("no element is named {name}"))
    };
    match change {
        Change::Set {
            element,
            property,
            value,
        } => set_property::set(&find(element)?, property, value),
        Change::Queue { behind } => {
            let source = find(behind)?.static_pad("src");
            let source = source.with_context(|| format!("{behind} has no pad src"))?;
            let sink = source.peer();
            let sink = sink.with_context(|| format!("nothing is behind {behind}"))?;
            let queue = gst::ElementFactory::make("queue").build()?;
            let parent = source.parent_element().and_then(|element| element.parent());
            let bin = parent.and_then(|parent| parent.downcast::<gst::Bin>().ok());
            bin.context("it is in no bin")?.add(&queue)?;
            source.unlink(&sink)?;
            let pad = |name| queue.static_pad(name).context("a queue without pads");
            source.link(&pad("sink")?)?;
            pad("src")?.link(&sink)?;
            Ok(())
        }
    }
}

/// Returns all elements of a pipeline that are no bins.
fn elements(pipeline: &gst::Pipeline) -> Vec<gst::Element> {
    let all = pipeline.iterate_recurse().into_iter().flatten();
    let mut all: Vec<_> = all.filter(|element| !element.is::<gst::Bin>()).collect();
    all.reverse();
    all
}

/// Runs a pipeline in this process, and writes what it does into the log.
pub(super) fn watch(line: &str, changes: &[String], seconds: u32) -> Result<()> {
    let changes = changes.iter().map(|text| Ok(serde_json::from_str(text)?));
    let changes = changes.collect::<Result<Vec<Change>>>()?;
    let _tracer: Returns = glib::Object::new();
    let (pipeline, interpolator) = parse(line, &changes)?;
    let watched = Watched {
        line,
        pipeline: &pipeline,
        interpolator: &interpolator,
    };
    let outcome = watched.run(Duration::from_secs(seconds.into()));
    let _ = pipeline.set_state(gst::State::Null);
    outcome
}

struct Watched<'a> {
    line: &'a str,
    pipeline: &'a gst::Pipeline,
    interpolator: &'a gst::Element,
}

impl Watched<'_> {
    fn run(&self, length: Duration) -> Result<()> {
        let bus = self.pipeline.bus().context("a pipeline without a bus")?;
        // What goes wrong is told on the bus.
        let _ = self.pipeline.set_state(gst::State::Playing);
        let start = Instant::now();
        let mut begun = None;
        let mut next = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let wait = gst::ClockTime::try_from(wait).unwrap_or(gst::ClockTime::ZERO);
            if let Some(message) = bus.timed_pop(wait) {
                if self.take(&message)? {
                    break;
                }
                if next > Instant::now() {
                    continue;
                }
            }
            next = Instant::now() + STEP;
            let sample = self.sample();
            let came_out = sample.stats.get("originals").is_some_and(|out| *out > 0.0);
            write(&Line::Sample(sample))?;
            if came_out && begun.is_none() {
                begun = Some(Instant::now());
                write(&Line::Facts(self.facts()))?;
            }
            match begun {
                Some(begun) if begun.elapsed() >= length => break,
                None => ensure!(
                    start.elapsed() < PATIENCE,
                    "no frame has come out within {} s",
                    PATIENCE.as_secs()
                ),
                _ => {}
            }
        }
        write(&Line::Sample(self.sample()))?;
        write(&Line::Facts(self.facts()))
    }

    /// Deals with a message; returns whether it is the last.
    fn take(&self, message: &gst::Message) -> Result<bool> {
        let name = message.src().map(|source| source.name().to_string());
        let name = name.unwrap_or_default();
        let text = match message.view() {
            gst::MessageView::Eos(_) => return Ok(true),
            gst::MessageView::Error(error) => {
                // what is behind the first line, which is a place in a source, says more
                let more = error.debug().unwrap_or_default();
                let more: Vec<&str> = more.lines().skip(1).map(str::trim).collect();
                let error = error.error();
                bail!("the pipeline failed: {name}: {error} {}", more.join(" "))
            }
            gst::MessageView::Latency(_) => {
                // It stays as it is where it can't be redistributed.
                let _ = self.pipeline.recalculate_latency();
                return Ok(false);
            }
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            gst::MessageView::Element(_) => match message.structure() {
                Some(structure) => structure.to_string(),
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        write(&Line::Message(Note {
            at: 0,
            element: name,
            text,
        }))?;
        Ok(false)
    }

    fn sample(&self) -> Sample {
        let stats = self
            .interpolator
            .property::<Option<gst::Structure>>("stats");
        let numbers = stats.iter().flat_map(|stats| stats.iter());
        let numbers = numbers.filter_map(|(name, value)| {
            let whole = value.get::<u64>().map(|number| number as f64);
            let number = whole.or_else(|_| value.get::<f64>()).ok()?;
            Some((name.to_string(), number))
        });
        let numbers = numbers.collect();
        let all = elements(self.pipeline);
        let queues = all.iter().filter_map(|element| {
            element.find_property("current-level-buffers")?;
            let level = element.property_value("current-level-buffers");
            let level = level.get::<u32>().map(u64::from);
            Some((element.name().to_string(), level.ok()?))
        });
        Sample {
            at: 0,
            stats: numbers,
            queues: queues.collect(),
            threads: threads(),
        }
    }

    fn facts(&self) -> Facts {
        let element = |element: &gst::Element| {
            let known = PROPERTIES.iter().filter_map(|name| {
                element.find_property(name)?;
                let value = element.property_value(name).serialize().ok()?;
                Some(((*name).to_owned(), value.to_string()))
            });
            let pads = element.src_pads();
            let behind = pads.iter().filter_map(following);
            ElementFacts {
                name: element.name().to_string(),
                factory: set_property::kind(element),
                properties: known.collect(),
                behind: behind.map(|element| element.name().to_string()).collect(),
            }
        };
        Facts {
            pipeline: self.line.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            elements: elements(self.pipeline).iter().map(element).collect(),
        }
    }
}

/// Returns the element that a pad leads to, into bins and out of them.
fn following(pad: &gst::Pad) -> Option<gst::Element> {
    let mut pad = pad.peer()?;
    // deeper than that no bins are nested
    for _ in 0..32 {
        pad = match pad.downcast::<gst::GhostPad>() {
            Ok(ghost) if ghost.direction() == gst::PadDirection::Sink => ghost.target()?,
            Ok(ghost) => ghost.peer()?,
            Err(pad) => match pad
                .parent()
                .and_then(|p| p.downcast::<gst::GhostPad>().ok())
            {
                Some(ghost) => ghost.peer()?,
                None => return pad.parent_element(),
            },
        };
    }
    None
}

/// Returns the processor time of this process' threads by name.
fn threads() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten() {
        let read = || {
            let folder = task.ok()?.path();
            let name = fs::read_to_string(folder.join("comm")).ok()?;
            let times = fs::read_to_string(folder.join("schedstat")).ok()?;
            let time: u64 = times.split_whitespace().next()?.parse().ok()?;
            Some((name.trim().to_owned(), time))
        };
        // one that ends meanwhile is none
        if let Some((name, time)) = read() {
            *times.entry(name).or_default() += time;
        }
    }
    times
}

fn write(line: &Line) -> Result<()> {
    log(&serde_json::to_string(line)?);
    Ok(())
}

/// Writes a line into the log.
fn log(text: &str) {
    gst::log!(CAT, "{text}");
}

glib::wrapper! {
    /// A tracer of what GStreamer's own don't tell: when a push is done.
    pub struct Returns(ObjectSubclass<imp::Returns>) @extends gst::Tracer, gst::Object;
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Returns;

    #[glib::object_subclass]
    impl ObjectSubclass for Returns {
        const NAME: &'static str = "VfiLabReturns";
        type Type = super::Returns;
        type ParentType = gst::Tracer;
    }

    impl ObjectImpl for Returns {
        fn constructed(&self) {
            self.parent_constructed();
            self.register_hook(TracerHook::PadPushPost);
            self.register_hook(TracerHook::PadPushListPost);
        }
    }

    impl GstObjectImpl for Returns {}

    impl TracerImpl for Returns {
        fn pad_push_post(
            &self,
            ts: u64,
            pad: &gst::Pad,
            _result: Result<gst::FlowSuccess, gst::FlowError>,
        ) {
            tell(ts, pad);
        }

        fn pad_push_list_post(
            &self,
            ts: u64,
            pad: &gst::Pad,
            _result: Result<gst::FlowSuccess, gst::FlowError>,
        ) {
            tell(ts, pad);
        }
    }

    fn tell(ts: u64, pad: &gst::Pad) {
        if let Some(element) = pad.parent_element() {
            let name = element.name();
            log(&format!(
                "return, element=(string){name}, ts=(guint64){ts};"
            ));
        }
    }
}
