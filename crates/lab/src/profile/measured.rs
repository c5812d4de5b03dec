//! Figures of a pipeline, out of its log: what takes the time, what waits for what.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Serialize;

use super::log::{Log, Moment, Sample};
use super::stack::{self, Spent};

/// Frames that are made before it counts: first runs are slow.
const WARM_UP: f64 = 3.0;
/// Letters of a thread's name that Linux keeps.
const NAME: usize = 15;

/// Figures of a pipeline within a window of time; times in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Measured {
    /// Length of the window.
    pub(super) seconds: f64,
    /// Where it begins, since GStreamer was started.
    pub(super) begin: f64,
    /// Processors of the machine; 0 where that is unknown.
    pub(super) cores: usize,
    /// Processor time of the process, where that is known.
    pub(super) cpu: Option<f64>,
    /// Name of the interpolator.
    pub(super) interpolator: String,
    /// Work of the interpolator, where its `stats` are known.
    pub(super) steps: Option<Steps>,
    pub(super) frames: Frames,
    /// Divisor of frames for the network.
    pub(super) downscale: f64,
    pub(super) elements: Vec<Element>,
    /// Way from the interpolator to what shows or stores its frames.
    pub(super) behind: Behind,
    /// Seconds of video that a second shows, where a sink waits for the clock.
    pub(super) real_time: Option<f64>,
    /// Frames in the interpolator's queue and how long they wait there, as `stats` has it.
    pub(super) waits: BTreeMap<String, f64>,
    /// Messages on the bus.
    pub(super) messages: Vec<String>,
}

impl Measured {
    /// Returns whether a sink waits for the clock.
    pub(super) fn is_paced(&self) -> bool {
        !self.behind.paced_sinks.is_empty()
    }
}

/// Time of the interpolator's steps in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Steps {
    /// Comparing frames, and looking for cuts.
    pub(super) content: f64,
    /// Shrinking frames for the network.
    pub(super) shrink: f64,
    /// The network, without waits for its session.
    pub(super) network: f64,
    /// Making full-size frames.
    pub(super) warp: f64,
    /// Waiting for others who use the same session.
    pub(super) session: f64,
    /// Downstream takes frames.
    pub(super) push: f64,
}

impl Steps {
    /// Returns the time in which it works.
    pub(super) fn work(&self) -> f64 {
        self.content + self.shrink + self.network + self.warp
    }
}

/// Frames of the interpolator in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Frames {
    pub(super) taken: f64,
    pub(super) originals: f64,
    pub(super) synthesised: f64,
    pub(super) repeated: f64,
    pub(super) late: f64,
    pub(super) left_out: f64,
    pub(super) dropped: f64,
}

impl Frames {
    /// Returns the frames that went out.
    pub(super) fn out(&self) -> f64 {
        self.originals + self.synthesised + self.repeated
    }

    /// Returns those that were to be made, and were not.
    pub(super) fn missing(&self) -> f64 {
        self.late + self.left_out
    }
}

/// An element and its time in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) factory: String,
    /// The element whose thread it works on.
    pub(super) thread: String,
    /// Time in which it works.
    pub(super) work: f64,
    /// Time in which it waits: for its input, for room behind it, or for the clock.
    pub(super) wait: f64,
    /// Cause of its waits.
    pub(super) waits_for: &'static str,
    /// Buffers that it has pushed.
    pub(super) buffers: u64,
    /// Mean and longest time of a buffer through it, as the tracer `latency` has it.
    pub(super) latency: Option<(f64, f64)>,
    /// Mean and largest number of buffers in it, and its room, if it is a queue.
    pub(super) level: Option<(f64, u64, u64)>,
    /// Properties that matter.
    pub(super) properties: BTreeMap<String, String>,
}

/// Elements behind the interpolator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Behind {
    /// Elements that work on its own thread, in order.
    pub(super) same_thread: Vec<String>,
    /// Where the way divides.
    pub(super) divides_at: Option<String>,
    /// Sinks that wait for the clock, and whether they report lateness.
    pub(super) paced_sinks: Vec<(String, bool)>,
}

/// Series that are drawn over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timeline {
    /// Threads by their first elements, and what each element takes of each part of the window.
    pub(super) lanes: Vec<(String, Vec<BTreeMap<String, f64>>)>,
    /// Values over time by name: seconds since the window began, and the value.
    pub(super) curves: Vec<(String, Vec<(f64, f64)>)>,
    /// Chains of calls and their seconds.
    pub(super) paths: Vec<(Vec<String>, f64)>,
}

/// Measures what a log tells of.
///
/// # Errors
/// If there is no interpolator, or it has not made anything to measure.
pub(super) fn measure(log: &Log) -> Result<(Measured, Timeline)> {
    let ours = log.interpolator()?;
    let (samples, window) = window(log, ours)?;
    let (first, last) = (samples.first(), samples.last());
    let delta = |name: &str| {
        let of = |sample: Option<&Sample>| sample?.stats.get(name).copied();
        Some(of(last)? - of(first)?)
    };
    let count = |name| delta(name).unwrap_or(0.0);
    let pushes_of_ours = pushes(log, window, ours) as f64;
    let stats = last.map(|sample| sample.stats.clone()).unwrap_or_default();
    let boundaries = stack::boundaries(&log.moments);
    let spent = stack::spend(&log.moments, window, &boundaries);
    let mut measured = Measured {
        seconds: (window.1 - window.0) as f64 / 1e9,
        begin: window.0 as f64 / 1e9,
        cores: log.facts.as_ref().map_or(0, |facts| facts.cores),
        cpu: cpu(first, last),
        interpolator: log.name(ours).to_owned(),
        steps: steps(delta, first, last),
        frames: Frames {
            taken: count("frames-in"),
            originals: delta("originals").unwrap_or(pushes_of_ours),
            synthesised: count("synthesised"),
            repeated: count("repeated"),
            late: count("late"),
            left_out: count("left-out"),
            dropped: count("dropped"),
        },
        downscale: stats.get("downscale").copied().unwrap_or(0.0),
        behind: behind(log, ours, &spent),
        ..Measured::default()
    };
    let waits = ["queue-", "session-", "contentions", "held-back"];
    let waits = stats
        .iter()
        .filter(|(name, _)| waits.iter().any(|start| name.starts_with(start)));
    measured.waits = waits.map(|(name, value)| (name.clone(), *value)).collect();
    measured.elements = elements(log, &measured, &spent, &boundaries, &samples, window);
    measured.real_time = real_time(log, &measured, window);
    measured.messages = log
        .messages
        .iter()
        .map(|note| {
            let at = note.at as f64 / 1e9 - measured.begin;
            format!("{at:.2} s, {}: {}", note.element, note.text)
        })
        .collect();
    let timeline = timeline(log, &measured, &spent, &samples);
    Ok((measured, timeline))
}

/// Returns the samples that count, and the nanoseconds from the first to the last of them; without
/// samples, those of the interpolator's own frames but for the first tenth.
fn window(log: &Log, ours: usize) -> Result<(Vec<Sample>, (u64, u64))> {
    let warm = |sample: &&Sample| {
        let count = |name| sample.stats.get(name).copied().unwrap_or(0.0);
        count("synthesised") + count("late") + count("left-out") >= WARM_UP
    };
    let samples: Vec<_> = log
        .samples
        .iter()
        .skip_while(|s| !warm(s))
        .cloned()
        .collect();
    if let [first, .., last] = samples.as_slice() {
        let window = (first.at, last.at);
        return Ok((samples, window));
    }
    if !log.samples.is_empty() {
        anyhow::bail!("fewer than {WARM_UP} frames were made: it takes longer (--seconds)");
    }
    let times = log.moments.iter().filter_map(|(at, _, moment)| {
        matches!(moment, Moment::Push { from, .. } if *from == ours).then_some(*at)
    });
    let times: Vec<_> = times.collect();
    let begin = times.get(times.len() / 10).copied();
    let window = begin
        .zip(times.last().copied())
        .filter(|(begin, end)| begin < end);
    let window = window.context("no frames of vfiinterp's are in the log")?;
    Ok((Vec::new(), window))
}

fn cpu(first: Option<&Sample>, last: Option<&Sample>) -> Option<f64> {
    let (first, last) = (first?, last?);
    let grown = last.threads.iter().map(|(name, time)| {
        let before = first.threads.get(name).copied().unwrap_or(0);
        time.saturating_sub(before)
    });
    Some(grown.sum::<u64>() as f64 / 1e9)
}

fn steps(
    delta: impl Fn(&str) -> Option<f64>,
    first: Option<&Sample>,
    last: Option<&Sample>,
) -> Option<Steps> {
    let seconds = |name| Some(delta(name)? / 1e9);
    // the mean is over all frames made
    let waited = |sample: Option<&Sample>| {
        let stats = &sample?.stats;
        Some(stats.get("session-wait")? * stats.get("synthesised")? / 1e9)
    };
    let session = (waited(last)? - waited(first)?).max(0.0);
    Some(Steps {
        content: seconds("content-time")?,
        shrink: seconds("shrink-time")?,
        network: (seconds("estimate-time")? - session).max(0.0),
        warp: seconds("synthesise-time")?,
        session,
        push: seconds("push-time")?,
    })
}

fn pushes(log: &Log, (begin, end): (u64, u64), element: usize) -> u64 {
    let inside = log.moments.iter().filter(|(at, _, moment)| {
        let ours = matches!(moment, Moment::Push { from, .. } if *from == element);
        ours && (begin..=end).contains(at)
    });
    inside.count() as u64
}

/// Follows the way behind the interpolator.
fn behind(log: &Log, ours: usize, spent: &[Spent]) -> Behind {
    let mut same_thread = Vec::new();
    for thread in spent.iter().filter(|thread| thread.root == ours) {
        let called = thread.paths.keys().flat_map(|path| path.iter().skip(1));
        for element in called {
            let name = log.name(*element).to_owned();
            if !same_thread.contains(&name) {
                same_thread.push(name);
            }
        }
    }
    let mut behind = Behind {
        same_thread,
        ..Behind::default()
    };
    let mut to_do = vec![log.name(ours).to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(name) = to_do.pop() {
        let Some(facts) = log.facts_of(&name).filter(|_| seen.insert(name.clone())) else {
            continue;
        };
        if facts.behind.len() > 1 && behind.divides_at.is_none() {
            behind.divides_at = Some(name.clone());
        }
        let is =
            |property: &str| facts.properties.get(property).map(String::as_str) == Some("true");
        if facts.behind.is_empty() && is("sync") {
            behind.paced_sinks.push((name.clone(), is("qos")));
        }
        to_do.extend(facts.behind.iter().cloned());
    }
    behind
}

/// Returns the elements with their times.
fn elements(
    log: &Log,
    measured: &Measured,
    spent: &[Spent],
    boundaries: &BTreeSet<usize>,
    samples: &[Sample],
    window: (u64, u64),
) -> Vec<Element> {
    let seen = spent
        .iter()
        .flat_map(|thread| thread.paths.keys().flatten());
    let seen: BTreeSet<usize> = seen.copied().collect();
    let is_paced = |name: &str| {
        let sinks = &measured.behind.paced_sinks;
        sinks.iter().any(|(sink, _)| sink == name)
    };
    let elements = seen.into_iter().map(|number| {
        let name = log.name(number).to_owned();
        let facts = log.facts_of(&name);
        let mut element = Element {
            factory: facts.map(|facts| facts.factory.clone()).unwrap_or_default(),
            buffers: pushes(log, window, number),
            latency: latency(log, &name),
            level: level(
                samples,
                &name,
                facts.and_then(|f| f.properties.get("max-size-buffers")),
            ),
            properties: facts
                .map(|facts| facts.properties.clone())
                .unwrap_or_default(),
            ..Element::default()
        };
        for thread in spent {
            let own = thread
                .paths
                .iter()
                .filter(|(path, _)| path.last() == Some(&number));
            for (path, time) in own {
                let time = *time as f64 / 1e9;
                let is_root = path.len() == 1;
                let root = log.name(thread.root).to_owned();
                match (is_root, boundaries.contains(&number)) {
                    (true, true) => {
                        element.thread.clone_from(&root);
                        element.wait += time;
                        element.waits_for = "its input";
                    }
                    // upstream waits for room in it
                    (false, true) => {}
                    (true, false) => {
                        let work = root_work(log, samples, thread, boundaries, time);
                        element.thread.clone_from(&root);
                        element.work += work;
                        element.wait += time - work;
                        element.waits_for = "its time";
                    }
                    (false, false) if is_paced(&name) => {
                        element.thread.clone_from(&root);
                        element.wait += time;
                        element.waits_for = "the clock";
                    }
                    (false, false) => {
                        element.thread.clone_from(&root);
                        element.work += time;
                    }
                }
            }
        }
        if let Some(steps) = measured.steps.filter(|_| name == measured.interpolator) {
            element.work = steps.work();
            element.wait = (element.wait - element.work).max(0.0);
            element.thread.clone_from(&name);
        }
        Element { name, ..element }
    });
    elements.collect()
}

/// Returns how long the element that a thread begins with works: what processor time its thread has
/// beyond that of the elements it calls.
fn root_work(
    log: &Log,
    samples: &[Sample],
    thread: &Spent,
    boundaries: &BTreeSet<usize>,
    time: f64,
) -> f64 {
    let root = log.name(thread.root);
    let known = samples
        .first()
        .zip(samples.last())
        .and_then(|(first, last)| {
            let is_its = |name: &&String| {
                let start: String = format!("{root}:").chars().take(NAME).collect();
                name.starts_with(&start)
            };
            let name = last.threads.keys().find(is_its)?;
            let before = first.threads.get(name).copied().unwrap_or(0);
            Some(last.threads[name].saturating_sub(before) as f64 / 1e9)
        });
    let Some(cpu) = known else {
        return time;
    };
    let calls = |path: &&Vec<usize>| {
        let last = path.last().filter(|_| path.len() > 1);
        last.is_some_and(|last| !boundaries.contains(last))
    };
    let called = thread.paths.iter().filter(|(path, _)| calls(path));
    let called = called.map(|(_, time)| *time as f64 / 1e9).sum::<f64>();
    (cpu - called).clamp(0.0, time)
}

fn latency(log: &Log, name: &str) -> Option<(f64, f64)> {
    let times = log.latencies.get(name).filter(|times| !times.is_empty())?;
    let sum: u64 = times.iter().sum();
    let longest = times.iter().max().copied().unwrap_or(0);
    Some((sum as f64 / times.len() as f64 / 1e9, longest as f64 / 1e9))
}

fn level(samples: &[Sample], name: &str, room: Option<&String>) -> Option<(f64, u64, u64)> {
    let levels = samples.iter().filter_map(|sample| sample.queues.get(name));
    let levels: Vec<u64> = levels.copied().collect();
    let largest = levels.iter().max().copied()?;
    let mean = levels.iter().sum::<u64>() as f64 / levels.len() as f64;
    let room = room.and_then(|room| room.parse().ok()).unwrap_or(0);
    Some((mean, largest, room))
}

/// Returns how many seconds of video a second brings to the sinks that wait for the clock; the
/// slowest of them counts.
fn real_time(log: &Log, measured: &Measured, (begin, end): (u64, u64)) -> Option<f64> {
    let of = |sink: &String| {
        let pushed = log
            .moments
            .iter()
            .filter_map(|(at, _, moment)| match moment {
                Moment::Push {
                    to, pts: Some(pts), ..
                } if log.name(*to) == sink => Some((*at, *pts)),
                _ => None,
            });
        let inside: Vec<_> = pushed
            .filter(|(at, _)| (begin..=end).contains(at))
            .collect();
        let points = inside.iter().map(|(at, pts)| (*at as f64, *pts as f64));
        (inside.len() > 2).then(|| crate::process::slope(&points.collect::<Vec<_>>()))
    };
    let sinks = measured.behind.paced_sinks.iter();
    sinks.filter_map(|(sink, _)| of(sink)).reduce(f64::min)
}

fn timeline(log: &Log, measured: &Measured, spent: &[Spent], samples: &[Sample]) -> Timeline {
    let name = |number: &usize| log.name(*number).to_owned();
    let lanes = spent.iter().map(|thread| {
        let columns = thread.columns.iter().map(|column| {
            let width = measured.seconds / stack::COLUMNS as f64;
            let parts = column
                .iter()
                .map(|(element, time)| (name(element), *time as f64 / 1e9 / width));
            parts.collect()
        });
        (name(&thread.root), columns.collect())
    });
    let paths = spent.iter().flat_map(|thread| &thread.paths);
    let paths = paths.map(|(path, time)| (path.iter().map(name).collect(), *time as f64 / 1e9));
    let at = |sample: &Sample| sample.at as f64 / 1e9 - measured.begin;
    let of = |value: &dyn Fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = samples
            .iter()
            .filter_map(|sample| Some((at(sample), value(sample)?)));
        points.collect()
    };
    let queues: BTreeSet<&String> = samples.iter().flat_map(|s| s.queues.keys()).collect();
    let mut curves: Vec<_> = queues
        .into_iter()
        .map(|queue| {
            let level = |sample: &Sample| sample.queues.get(queue).map(|level| *level as f64);
            (format!("buffers in {queue}"), of(&level))
        })
        .collect();
    for (title, field) in [
        ("frames late or left out, in all", "late"),
        ("step below full effort", "step"),
        ("divisor of the network's picture", "downscale"),
    ] {
        let value = |sample: &Sample| {
            let value = sample.stats.get(field).copied()?;
            let more = if field == "late" { "left-out" } else { "" };
            Some(value + sample.stats.get(more).copied().unwrap_or(0.0))
        };
        curves.push((title.to_owned(), of(&value)));
    }
    curves.retain(|(_, points)| points.iter().any(|(_, value)| *value != 0.0));
    Timeline {
        lanes: lanes.collect(),
        curves,
        paths: paths.collect(),
    }
}
