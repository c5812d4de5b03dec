//! The log of GStreamer's tracers `latency` and `stats`, and what [`watch`](super::watch) writes
//! into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The debug category of lines that are not the tracers' own.
pub(super) const CATEGORY: &str = "vfi-lab";
/// The tracers that are read, as `GST_TRACERS` names them.
pub(super) const TRACERS: &str = "latency(flags=pipeline+element);stats";
/// The categories that are logged, as `GST_DEBUG` names them.
pub(super) const CATEGORIES: &str = "GST_TRACER:7,vfi-lab:6";

/// A line that is not the tracers' own, as JSON.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The pipeline, as it is by then.
    Facts(Facts),
    /// Figures at one time.
    Sample(Sample),
    /// A message on the pipeline's bus.
    Message(Note),
}

/// Facts about a pipeline.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Facts {
    /// The line it was made of.
    pub(super) pipeline: String,
    /// Processors of the machine.
    pub(super) cores: usize,
    /// Its elements, bins left out.
    pub(super) elements: Vec<ElementFacts>,
}

/// Facts about an element.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct ElementFacts {
    pub(super) name: String,
    pub(super) factory: String,
    /// Properties that matter, as text, where it has them.
    pub(super) properties: BTreeMap<String, String>,
    /// Names of the elements behind it.
    pub(super) behind: Vec<String>,
}

/// Figures at one time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Sample {
    /// Nanoseconds since GStreamer was started.
    #[serde(skip)]
    pub(super) at: u64,
    /// Numbers of the interpolator's `stats`.
    pub(super) stats: BTreeMap<String, f64>,
    /// Buffers in each queue.
    pub(super) queues: BTreeMap<String, u64>,
    /// Processor time of threads by name, in nanoseconds.
    pub(super) threads: BTreeMap<String, u64>,
}

/// A message on the bus.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Note {
    #[serde(skip)]
    pub(super) at: u64,
    pub(super) element: String,
    pub(super) text: String,
}

/// A moment on a thread; elements by their numbers, times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// A buffer is pushed from one element to the next.
    Push {
        from: usize,
        to: usize,
        pts: Option<u64>,
    },
    /// The element's push is done.
    Return { from: usize },
}

/// Contents of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    /// Names of elements by number.
    pub(super) names: BTreeMap<usize, String>,
    /// Numbers of the elements that are interpolators.
    pub(super) interpolators: Vec<usize>,
    /// Times, threads and what was there.
    pub(super) moments: Vec<(u64, u64, Moment)>,
    /// Times that buffers took through elements by name, in nanoseconds.
    pub(super) latencies: BTreeMap<String, Vec<u64>>,
    /// Elements that have sent reports of lateness, and how many.
    pub(super) qos: BTreeMap<usize, u64>,
    pub(super) facts: Option<Facts>,
    pub(super) samples: Vec<Sample>,
    pub(super) messages: Vec<Note>,
    numbers: BTreeMap<String, usize>,
}

impl Log {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no such log, or a line of it is cut off.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        ensure!(path.is_file(), "{name}: it is no file");
        let file = File::open(path).with_context(|| name.to_string())?;
        let mut log = Self::default();
        let mut reader = BufReader::new(file);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let read = reader.read_until(b'\n', &mut bytes);
            if read.with_context(|| name.to_string())? == 0 {
                break;
            }
            let line = plain(&String::from_utf8_lossy(&bytes));
            log.add(&line).with_context(|| format!("{name}:{number}"))?;
        }
        ensure!(
            !log.moments.is_empty(),
            "{name}: it holds no frames that GStreamer's tracers have seen; such a log is written with \
             GST_TRACERS=\"{TRACERS}\" GST_DEBUG=GST_TRACER:7 GST_DEBUG_FILE=FILE"
        );
        Ok(log)
    }

    /// Adds a line; most tell nothing that is needed.
    ///
    /// # Errors
    /// If it is one that does, and is not whole.
    fn add(&mut self, line: &str) -> Result<()> {
        let mut rest = line.trim();
        let mut columns = [""; 6];
        for column in &mut columns {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (*column, rest) = (word, after.trim_start());
        }
        let [time, _, thread, _, category, _] = columns;
        match category {
            "GST_TRACER" => self.add_record(rest, thread),
            CATEGORY if rest.starts_with('{') => {
                let parsed = serde_json::from_str(rest);
                let line = parsed.with_context(|| broken(rest))?;
                self.add_line(line, nanoseconds(time)?);
                Ok(())
            }
            CATEGORY => self.add_record(rest, thread),
            _ => Ok(()),
        }
    }

    fn add_line(&mut self, line: Line, at: u64) {
        match line {
            Line::Facts(facts) => self.facts = Some(facts),
            Line::Sample(sample) => self.samples.push(Sample { at, ..sample }),
            Line::Message(note) => self.messages.push(Note { at, ..note }),
        }
    }

    fn add_record(&mut self, text: &str, thread: &str) -> Result<()> {
        let Some((kind, fields)) = text.split_once(", ") else {
            return Ok(());
        };
        let record = Record { text, fields };
        match kind {
            "new-element" => {
                let number = record.number("ix")? as usize;
                let name = record.text("name")?.to_owned();
                if record.text("type")? == "GstVfiInterp" {
                    self.interpolators.push(number);
                }
                self.numbers.insert(name.clone(), number);
                self.names.insert(number, name);
            }
            "buffer" => {
                let has_pts = record.number("have-buffer-pts")? == 1;
                let pts = has_pts.then(|| record.number("buffer-pts")).transpose()?;
                let (from, to) = (
                    record.number("element-ix")?,
                    record.number("peer-element-ix")?,
                );
                self.add_moment(
                    record.number("ts")?,
                    thread,
                    Moment::Push {
                        from: from as usize,
                        to: to as usize,
                        pts,
                    },
                )?;
            }
            "return" => {
                if let Some(&from) = self.numbers.get(record.text("element")?) {
                    self.add_moment(record.number("ts")?, thread, Moment::Return { from })?;
                }
            }
            "event" if record.text("name")? == "qos" => {
                let element = record.number("element-ix")? as usize;
                *self.qos.entry(element).or_default() += 1;
            }
            "element-latency" => {
                let (element, time) = (record.text("element")?, record.number("time")?);
                let times = self.latencies.entry(element.to_owned()).or_default();
                times.push(time);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_moment(&mut self, at: u64, thread: &str, moment: Moment) -> Result<()> {
        let digits = thread.strip_prefix("0x").unwrap_or(thread);
        let thread = u64::from_str_radix(digits, 16)
            .with_context(|| format!("`{thread}` is no thread's address"))?;
        self.moments.push((at, thread, moment));
        Ok(())
    }

    /// Returns the number of the interpolator, the first one if there are several.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn interpolator(&self) -> Result<usize> {
        match self.interpolators.first() {
            Some(number) => Ok(*number),
            None => {
                let names: BTreeSet<_> = self.names.values().map(String::as_str).collect();
                let names = Vec::from_iter(names).join(", ");
                bail!("no vfiinterp is among the elements: {names}")
            }
        }
    }

    /// Returns an element's name.
    pub(super) fn name(&self, number: usize) -> &str {
        self.names.get(&number).map_or("?", String::as_str)
    }

    /// Returns the facts about an element, where they are known.
    pub(super) fn facts_of(&self, name: &str) -> Option<&ElementFacts> {
        let elements = &self.facts.as_ref()?.elements;
        elements.iter().find(|element| element.name == name)
    }
}

/// A record of a tracer: `name, field=(type)value, …;`.
struct Record<'a> {
    text: &'a str,
    fields: &'a str,
}

impl<'a> Record<'a> {
    fn text(&self, name: &str) -> Result<&'a str> {
        let ended = self.fields.strip_suffix(';');
        let fields = ended.with_context(|| broken(self.text))?.split(", ");
        let values = fields.filter_map(|field| field.split_once('='));
        let mut values = values.filter(|(key, _)| *key == name);
        let value = values
            .next()
            .and_then(|(_, value)| value.split_once(')'))
            .map(|(_, value)| value.trim_matches('"'));
        value.with_context(|| format!("{}: it has no {name}", broken(self.text)))
    }

    fn number(&self, name: &str) -> Result<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok();
        number.with_context(|| format!("{}: {name}={text} is no number", broken(self.text)))
    }
}

fn broken(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("`{short}` is no whole record")
}

/// Reads the time at the beginning of a line: hours, minutes and seconds.
fn nanoseconds(time: &str) -> Result<u64> {
    let parse = || {
        let mut parts = time.split([':', '.']).map(|part| part.parse::<u64>().ok());
        let mut next = || parts.next().flatten();
        let (hours, minutes, seconds, rest) = (next()?, next()?, next()?, next()?);
        Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + rest)
    };
    parse().with_context(|| format!("`{time}` is no time"))
}

/// Returns a line without the colours of a terminal.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    text
}
