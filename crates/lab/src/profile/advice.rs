//! What holds a pipeline up, and what to change, with what that brings.
//!
//! Threads work side by side, so a pipeline is as fast as its busiest thread; and no faster than
//! the processors can do all the work together. What a change brings follows from what it takes
//! off either. Frames that a clock waits for gain nothing once they are in time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measured::{Element, Measured, Steps};
use super::watch::Change;

/// Part of the frames that may be missing without anything being wrong.
const FEW: f64 = 0.02;
/// Least factor that a change has to bring to be worth a word.
const WORTH: f64 = 1.08;
/// Part of the window that the busiest thread has to work, if it is what holds the pipeline up.
const BUSY: f64 = 0.6;
/// Divisors of the network's picture that are proposed.
const DIVISORS: [f64; 9] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];
/// Settings that make encoders faster: element, property, value, and the part of the time that is
/// left, which is a guess from their defaults.
const ENCODERS: [(&str, &str, &str, f64); 2] = [
    ("x264enc", "speed-preset", "ultrafast", 0.2),
    ("x265enc", "speed-preset", "ultrafast", 0.2),
];

/// Kind of thing that holds a pipeline up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    /// The network takes most of the time.
    Network,
    /// The interpolator isn't told how late it is.
    NoQos,
    /// The interpolator waits for what is behind it, which could work beside it.
    NoQueue,
    /// Another element takes most of the time.
    Element,
    /// Others use the same session of the network.
    Session,
}

/// Quantity that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Quantity {
    /// Frames that leave the interpolator in a second.
    Frames,
    /// Seconds of video shown in a second.
    RealTime,
}

/// A piece of advice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    pub(super) cause: Cause,
    /// The element that it is about.
    pub(super) element: String,
    pub(super) text: String,
    /// How many times more of the quantity there would be.
    pub(super) gain: Option<f64>,
    pub(super) of: Quantity,
    /// Changes that follow it.
    pub(super) changes: Vec<Change>,
}

/// Returns what to change, what brings most first; nothing if nothing holds the pipeline up.
pub(super) fn advise(measured: &Measured) -> Vec<Advice> {
    let load = Load::of(measured);
    let is_late = measured.real_time.is_some_and(|rate| rate < 1.0 - FEW);
    let wanted = measured.frames.synthesised + measured.frames.missing();
    let misses = measured.frames.missing() > FEW * wanted;
    if measured.is_paced() && !is_late && !misses {
        return Vec::new();
    }
    let found = [
        no_qos(measured, is_late),
        no_queue(measured, &load),
        slow_network(measured, &load),
        slow_element(measured, &load),
        shared_session(measured),
    ];
    let mut found: Vec<Advice> = found.into_iter().flatten().collect();
    let gain = |advice: &Advice| advice.gain.unwrap_or(0.0);
    found.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    // with no report of lateness nothing else is done about it; what can't be followed as it stands
    // is said at the end
    found.sort_by_key(|advice| (advice.cause != Cause::NoQos, advice.changes.is_empty()));
    found
}

/// Seconds of work of each thread, by the element it begins with, and of all processors.
#[derive(Clone, Debug)]
struct Load {
    threads: BTreeMap<String, f64>,
    cpu: f64,
    cores: f64,
    /// Processors that are at work on average where an element works.
    wide: f64,
    window: f64,
}

impl Load {
    fn of(measured: &Measured) -> Self {
        let mut threads = BTreeMap::new();
        for element in &measured.elements {
            *threads.entry(element.thread.clone()).or_default() += element.work;
        }
        // what a clock left no time for would have taken as long as what was made
        let frames = &measured.frames;
        if let Some(steps) = measured.steps.filter(|_| measured.is_paced()) {
            let own: &mut f64 = threads.entry(measured.interpolator.clone()).or_default();
            *own += steps.work() / frames.synthesised.max(1.0) * frames.missing();
        }
        let work: f64 = threads.values().sum();
        let cores = measured.cores.max(1) as f64;
        let cpu = measured.cpu.unwrap_or(0.0);
        Self {
            threads,
            cpu,
            cores,
            wide: (cpu / work.max(1e-9)).clamp(1.0, cores),
            window: measured.seconds,
        }
    }

    /// Returns the time that all of this takes at least.
    fn time(&self) -> f64 {
        let busiest = self.threads.values().copied().fold(0.0, f64::max);
        busiest.max(self.cpu / self.cores)
    }

    /// Returns whether the thread of this element holds up the others.
    fn is_held_up_by(&self, thread: &str) -> bool {
        let own = self.threads.get(thread).copied().unwrap_or(0.0);
        let busiest = self.threads.values().copied().fold(0.0, f64::max);
        own >= busiest && own >= BUSY * self.window
    }

    /// Takes work off a thread, and off the processors.
    fn less(mut self, thread: &str, work: f64) -> Self {
        if let Some(time) = self.threads.get_mut(thread) {
            *time = (*time - work).max(0.0);
        }
        self.cpu = (self.cpu - work * self.wide).max(0.0);
        self
    }

    /// Gives work of one thread to another.
    fn moved(mut self, from: &str, work: f64, to: &str) -> Self {
        if let Some(time) = self.threads.get_mut(from) {
            *time = (*time - work).max(0.0);
        }
        *self.threads.entry(to.to_owned()).or_default() += work;
        self
    }

    /// Returns how many times more frames leave after a change; a clock asks for no more than are
    /// wanted.
    fn gain(&self, after: &Self, measured: &Measured) -> f64 {
        let frames = &measured.frames;
        if !measured.is_paced() || frames.missing() <= 0.0 {
            return self.time() / after.time().max(1e-9);
        }
        let wanted = frames.synthesised + frames.missing();
        let made = wanted * (self.window / after.time().max(1e-9)).min(1.0);
        let others = frames.originals + frames.repeated;
        (others + made) / (others + frames.synthesised).max(1.0)
    }
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", 100.0 * part / whole.max(1e-9))
}

fn no_qos(measured: &Measured, is_late: bool) -> Option<Advice> {
    let rate = measured.real_time.filter(|_| is_late)?;
    let place = measured.behind.divides_at.as_ref()?;
    let silent = measured.behind.paced_sinks.iter().filter(|(_, qos)| !qos);
    let silent: Vec<&String> = silent.map(|(sink, _)| sink).collect();
    let first = (*silent.first()?).clone();
    let names = silent.iter().map(|name| name.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    Some(Advice {
        cause: Cause::NoQos,
        element: first,
        text: format!(
            "{names} sends no QoS, and {place} divides the way there: {} can't know that frames are \
             late, and a second shows {rate:.2} seconds of video. Set qos=true: frames there is no \
             time for are left out then, and the video keeps its pace",
            measured.interpolator
        ),
        gain: Some(1.0 / rate),
        of: Quantity::RealTime,
        changes: silent
            .into_iter()
            .map(|sink| Change::Set {
                element: sink.clone(),
                property: "qos".into(),
                value: "true".into(),
            })
            .collect(),
    })
}

fn no_queue(measured: &Measured, load: &Load) -> Option<Advice> {
    let name = &measured.interpolator;
    let mine = |element: &&Element| element.thread == *name && element.name != *name;
    let others: Vec<&Element> = measured.elements.iter().filter(mine).collect();
    let work: f64 = others.iter().map(|element| element.work).sum();
    let after = load.clone().moved(name, work, "queue");
    let gain = load.gain(&after, measured);
    if gain < WORTH || !load.is_held_up_by(name) {
        return None;
    }
    let first = measured.behind.same_thread.first()?;
    let slowest = others.iter().max_by(|a, b| a.work.total_cmp(&b.work))?;
    Some(Advice {
        cause: Cause::NoQueue,
        element: name.clone(),
        text: format!(
            "No queue is behind {name}: it waits while {} works, {} of the time. Put one in \
             (`vfiinterp ! queue ! {first}`), so that both work at once",
            slowest.name,
            percent(work, measured.seconds)
        ),
        gain: Some(gain),
        of: Quantity::Frames,
        changes: vec![Change::Queue {
            behind: name.clone(),
        }],
    })
}

fn slow_network(measured: &Measured, load: &Load) -> Option<Advice> {
    let (name, steps) = (&measured.interpolator, measured.steps?);
    let now = measured.downscale;
    let share = steps.network / steps.work().max(1e-9);
    if share < 0.4 || now < 1.0 || !load.is_held_up_by(name) {
        return None;
    }
    let frames = &measured.frames;
    let missing = match measured.is_paced() {
        true => frames.missing() / frames.synthesised.max(1.0),
        false => 0.0,
    };
    let network = steps.network * (1.0 + missing);
    let after = |divisor: f64| {
        // its time goes with the pixels it sees
        let part = (now / divisor).powi(2);
        load.clone().less(name, network * (1.0 - part))
    };
    let is_enough = |divisor: &f64| match measured.is_paced() {
        true => after(*divisor).time() <= 0.9 * measured.seconds,
        false => *divisor >= 1.9 * now,
    };
    let mut divisors = DIVISORS.into_iter().filter(|divisor| *divisor > 1.2 * now);
    let largest = DIVISORS.last().copied().filter(|largest| *largest > now)?;
    let divisor = divisors.find(is_enough).unwrap_or(largest);
    let gain = load.gain(&after(divisor), measured);
    let text = format!(
        "The network takes {} of {name}'s time, on pictures of 1/{now} of each side. \
         downscale={divisor} gives it smaller ones",
        percent(steps.network, steps.work()),
    );
    (gain >= WORTH).then(|| Advice {
        cause: Cause::Network,
        element: name.clone(),
        text,
        gain: Some(gain),
        of: Quantity::Frames,
        changes: vec![Change::Set {
            element: name.clone(),
            property: "downscale".into(),
            value: divisor.to_string(),
        }],
    })
}

fn slow_element(measured: &Measured, load: &Load) -> Option<Advice> {
    let others = measured
        .elements
        .iter()
        .filter(|e| e.name != measured.interpolator);
    let slowest = others.max_by(|a, b| a.work.total_cmp(&b.work))?;
    let own = measured.steps.as_ref().map_or(0.0, Steps::work);
    let share = slowest.work / load.threads.get(&slowest.thread)?.max(1e-9);
    if slowest.work < own || share < 0.4 || !load.is_held_up_by(&slowest.thread) {
        return None;
    }
    let known = ENCODERS.iter().find(|(factory, property, value, _)| {
        let set = slowest.properties.get(*property).map(String::as_str);
        slowest.factory == *factory && set != Some(*value)
    });
    let left = known.map_or(0.0, |(.., left)| *left);
    let after = load
        .clone()
        .less(&slowest.thread, slowest.work * (1.0 - left));
    let gain = load.gain(&after, measured);
    let what = match known {
        Some((_, property, value, _)) => {
            format!("{property}={value} takes about {left:.1} of that")
        }
        None => "A faster setting of it, or another element, could bring that much at most".into(),
    };
    let changes = known.map(|(_, property, value, _)| Change::Set {
        element: slowest.name.clone(),
        property: (*property).into(),
        value: (*value).into(),
    });
    (gain >= WORTH).then(|| Advice {
        cause: Cause::Element,
        element: slowest.name.clone(),
        text: format!(
            "{} takes {} of the time, and everything waits for it. {what}",
            slowest.name,
            percent(slowest.work, measured.seconds)
        ),
        gain: Some(gain),
        of: Quantity::Frames,
        changes: changes.into_iter().collect(),
    })
}

fn shared_session(measured: &Measured) -> Option<Advice> {
    let steps = measured.steps?;
    let count = measured.waits.get("contentions").copied().unwrap_or(0.0);
    (steps.session > 0.1 * measured.seconds).then(|| Advice {
        cause: Cause::Session,
        element: measured.interpolator.clone(),
        text: format!(
            "{} waits for others who use the same network, {} of the time, {count:.0} times. Another \
             value of `threads` gives it a session of its own, which takes memory once more",
            measured.interpolator,
            percent(steps.session, measured.seconds)
        ),
        gain: None,
        of: Quantity::Frames,
        changes: Vec::new(),
    })
}

/// Returns advice in a line, with what it brings.
pub(super) fn words(advice: &Advice) -> String {
    let of = match advice.of {
        Quantity::Frames => "the frames a second",
        Quantity::RealTime => "the pace",
    };
    match advice.gain {
        Some(gain) => format!("{}: {gain:.1} times {of}.", advice.text),
        None => format!("{}.", advice.text),
    }
}
