//! `vfi-lab overload` and `vfi-lab soak`: what happens to frames, latency and memory under load, and
//! over a long time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::clip::make;
use crate::element;
use crate::process::{resident, slope};
use crate::slow;
use crate::table::Table;

/// Lets a live stream ask for more than the machine can do, and tells what became of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Overload {
    /// How many times as long as there is time for the network takes, at full effort
    #[arg(long, default_value_t = 3.0, value_parser = times)]
    times: f64,

    /// How long the stream lasts
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    #[command(flatten)]
    stream: Stream,
}

/// Runs a long stream, and tells whether anything grows.
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// How long the stream lasts, by its own time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,

    /// As a live stream, at its own pace, instead of as fast as the machine can
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    stream: Stream,
}

#[derive(Debug, Clone, clap::Args)]
struct Stream {
    /// Width of the frames
    #[arg(long, default_value_t = 640, value_parser = clap::value_parser!(u32).range(16..=8192))]
    width: u32,

    /// Height of the frames
    #[arg(long, default_value_t = 360, value_parser = clap::value_parser!(u32).range(16..=8192))]
    height: u32,

    /// Frames a second that come in; twice as many are to go out
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,

    /// Any property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
}

/// Reads how many times something takes as long as there is time.
fn times(text: &str) -> Result<f64, String> {
    const MOST: f64 = 1000.0;
    let number = text.parse().ok();
    let number = number.filter(|times| (0.0..=MOST).contains(times));
    number.ok_or_else(|| format!("it takes a number from 0 to {MOST}"))
}

/// Figures of a part of the stream.
#[derive(Debug, Clone, Default)]
struct Period {
    /// When it ended, in seconds since the start.
    end: f64,
    counts: [u64; COUNTS.len()],
    /// The rung of the ladder at its end.
    step: u64,
    /// The largest time from a frame's own to its leaving the element, in milliseconds: of
    /// originals, and of frames made.
    latency: [f64; 2],
    /// Resident memory at its end, in kilobytes.
    resident: u64,
}

/// Counters of a period, as `stats` names them.
const COUNTS: [&str; 5] = ["frames-in", "originals", "synthesised", "late", "left-out"];

/// Observations of the pads.
#[derive(Debug, Default)]
struct Seen {
    /// Originals that have not gone out yet, by timestamp.
    waiting: HashSet<u64>,
    /// As in [`Period`], since it was last taken.
    latency: [f64; 2],
}

/// All that was found out.
#[derive(Debug, Default)]
struct Record {
    periods: Vec<Period>,
    /// Changes of effort: when, and what it was then.
    steps: Vec<(f64, String)>,
    /// Originals that came in and did not go out.
    lost: usize,
    /// The latency that the element reports, upstream's included, in milliseconds; 0 if not live.
    promised: f64,
}

pub(crate) fn overload(args: &Overload) -> Result<()> {
    let stream = &args.stream;
    let pair = Duration::from_secs(1) / stream.rate.max(1);
    let path = std::env::temp_dir().join(format!("vfi-lab-slow-{}.onnx", std::process::id()));
    let path = path.to_str().context("no folder for a file")?.to_owned();
    let (width, height) = (stream.width as usize, stream.height as usize);
    let long = width.max(height).max(1);
    let seen = 640.min(long);
    let (width, height) = (width * seen / long, height * seen / long);
    let result = slow::write(&path, pair.mul_f64(args.times), width, height).and_then(|cost| {
        println!(
            "The network takes {:.1} ms for {width}x{height}; a pair lasts {:.1} ms.",
            cost.as_secs_f64() * 1e3,
            pair.as_secs_f64() * 1e3
        );
        let mut stream = stream.clone();
        stream.set.insert(0, format!("model={path}"));
        run(
            &stream,
            args.seconds,
            true,
            args.seconds.div_ceil(12).max(1),
        )
    });
    let _ = std::fs::remove_file(&path);
    print(&result?, true);
    Ok(())
}

pub(crate) fn soak(args: &Soak) -> Result<()> {
    let seconds = args.minutes * 60;
    let period = if args.live { seconds.div_ceil(12) } else { 10 };
    let record = run(&args.stream, seconds, args.live, period)?;
    print(&record, args.live);
    // What is still growing into its size at first says nothing about what comes after.
    let settled = &record.periods[record.periods.len() / 4..];
    let frames = |period: &Period| period.counts[1] + period.counts[2];
    let mut total: u64 = record.periods[..record.periods.len() / 4]
        .iter()
        .map(frames)
        .sum();
    let points: Vec<_> = settled
        .iter()
        .map(|period| {
            total += frames(period);
            (total as f64 / 1000.0, period.resident as f64)
        })
        .collect();
    println!(
        "Resident memory grows by {:.2} KB per 1000 frames sent (least squares over the last three quarters).",
        slope(&points)
    );
    if args.live {
        let drift: Vec<_> = settled
            .iter()
            .map(|period| (period.end / 60.0, period.latency[0]))
            .collect();
        println!(
            "The largest latency of originals drifts by {:.3} ms a minute.",
            slope(&drift)
        );
    }
    Ok(())
}

/// Runs a stream through the element, looked at every `period` seconds.
fn run(stream: &Stream, seconds: u64, live: bool, period: u64) -> Result<Record> {
    let frames = i32::try_from(seconds * u64::from(stream.rate)).context("too long a stream")?;
    let source = make("videotestsrc")?;
    source.set_property("is-live", live);
    source.set_property("num-buffers", frames);
    source.set_property_from_str("pattern", "ball");
    source.set_property_from_str("motion", "sweep");
    let filter = make("capsfilter")?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "NV12")
        .field("width", i32::try_from(stream.width)?)
        .field("height", i32::try_from(stream.height)?)
        .field(
            "framerate",
            gst::Fraction::new(i32::try_from(stream.rate)?, 1),
        )
        .build();
    filter.set_property("caps", &caps);
    let vfi = make("vfiinterp")?;
    for (name, value) in element::pairs(&stream.set)? {
        set_property::set(&vfi, &name, &value)?;
    }
    let queue = make("queue")?;
    // By default it may take in 10 MB while the sink has no turn, and what it took in stays in the pools.
    queue.set_property("max-size-buffers", 4u32);
    let sink = make("fakesink")?;
    sink.set_property("sync", live);
    sink.set_property("qos", live);
    let pipeline = gst::Pipeline::new();
    let elements = [&source, &filter, &vfi, &queue, &sink];
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    watch(&vfi, &seen)?;

    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let result = pipeline
        .set_state(gst::State::Playing)
        .context("the pipeline does not start")
        .and_then(|_| follow(&pipeline, &bus, &vfi, &seen, period));
    let _ = pipeline.set_state(gst::State::Null);
    result
}

/// Notes what goes in and out of the element.
fn watch(vfi: &gst::Element, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let pad = |name| vfi.static_pad(name).context("a pad of vfiinterp");
    let noted = seen.clone();
    pad("sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(pts) = probe.buffer().and_then(|buffer| buffer.pts()) {
            lock(&noted).waiting.insert(pts.nseconds());
        }
        gst::PadProbeReturn::Ok
    });
    let noted = seen.clone();
    let element = vfi.downgrade();
    pad("src")?.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let now = element
            .upgrade()
            .and_then(|element| element.current_running_time());
        if let Some(pts) = probe.buffer().and_then(|buffer| buffer.pts()) {
            let mut seen = lock(&noted);
            let kind = usize::from(!seen.waiting.remove(&pts.nseconds()));
            let latency = now.map_or(0, |now| now.nseconds().saturating_sub(pts.nseconds()));
            seen.latency[kind] = seen.latency[kind].max(latency as f64 / 1e6);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks on until the stream has ended.
fn follow(
    pipeline: &gst::Pipeline,
    bus: &gst::Bus,
    vfi: &gst::Element,
    seen: &Mutex<Seen>,
    period: u64,
) -> Result<Record> {
    let start = Instant::now();
    let mut record = Record::default();
    let mut before = [0; COUNTS.len()];
    let mut end = Duration::from_secs(period);
    let mut ended = false;
    while !ended {
        let left = end.saturating_sub(start.elapsed());
        let wait = gst::ClockTime::from_nseconds(u64::try_from(left.as_nanos())?);
        let message = bus.timed_pop(wait);
        if let Some(message) = message {
            use gst::MessageView;
            match message.view() {
                MessageView::Eos(_) => ended = true,
                MessageView::Error(error) => bail!("{}", error.error()),
                MessageView::Warning(warning) => println!("warning: {}", warning.error()),
                // Whoever makes a pipeline has to do this.
                MessageView::Latency(_) => {
                    let _ = pipeline.recalculate_latency();
                }
                MessageView::Element(message) => {
                    let told = message.structure().and_then(effort);
                    let now = start.elapsed().as_secs_f64();
                    record.steps.extend(told.map(|told| (now, told)));
                }
                _ => {}
            }
            if !ended {
                continue;
            }
        }
        end += Duration::from_secs(period);
        let stats = vfi
            .property::<Option<gst::Structure>>("stats")
            .context("vfiinterp keeps no statistics")?;
        let now = COUNTS.map(|name| stats.get::<u64>(name).unwrap_or(0));
        record.periods.push(Period {
            end: start.elapsed().as_secs_f64(),
            counts: std::array::from_fn(|i| now[i] - before[i]),
            step: stats.get("step").unwrap_or(0),
            latency: std::mem::take(&mut lock(seen).latency),
            resident: resident()?,
        });
        before = now;
    }
    record.lost = lock(seen).waiting.len();
    record.promised = query_latency(vfi);
    Ok(record)
}

/// Returns the latency the element reports, in milliseconds.
fn query_latency(vfi: &gst::Element) -> f64 {
    let mut query = gst::query::Latency::new();
    let pad = vfi.static_pad("src");
    if !pad.is_some_and(|pad| pad.query(&mut query)) {
        return 0.0;
    }
    let (live, least, _) = query.result();
    if live {
        least.nseconds() as f64 / 1e6
    } else {
        0.0
    }
}

/// Returns the words of a message about effort.
fn effort(structure: &gst::StructureRef) -> Option<String> {
    if structure.name() != "vfiinterp-overload" {
        return None;
    }
    let number = |name| structure.get::<u64>(name).unwrap_or(0);
    Some(format!(
        "step {}, {}: the network sees {}x{}, {} % of the frames are made",
        number("step"),
        structure.get::<&str>("name").unwrap_or(""),
        number("width"),
        number("height"),
        structure.get::<f64>("share").unwrap_or(0.0) * 100.0,
    ))
}

fn print(record: &Record, live: bool) {
    let mut head = vec!["until s".to_owned()];
    head.extend(COUNTS.map(str::to_owned));
    head.push("step".to_owned());
    if live {
        head.extend(["original ms", "made ms"].map(str::to_owned));
    }
    head.push("resident KB".to_owned());
    let row = |period: &Period| {
        let mut row = vec![format!("{:.0}", period.end)];
        row.extend(period.counts.map(|count| count.to_string()));
        row.push(period.step.to_string());
        if live {
            row.extend(period.latency.map(|ms| format!("{ms:.1}")));
        }
        row.push(period.resident.to_string());
        row
    };
    let table = Table {
        title: "Frames, the ladder's step, the largest time from a frame's own to its leaving the element, memory:".to_owned(),
        head,
        rows: record.periods.iter().map(row).collect(),
    };
    print!("{}", table.text());
    for (time, told) in &record.steps {
        println!("{time:7.1} s  {told}");
    }
    println!("Originals lost: {}.", record.lost);
    if live {
        println!(
            "Latency that the pipeline was told: {:.1} ms.",
            record.promised
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_loses_no_original() {
        crate::init().unwrap();
        let path = std::env::temp_dir().join(format!("vfi-lab-test-{}.onnx", std::process::id()));
        let path = path.to_str().unwrap().to_owned();
        slow::write(&path, Duration::from_millis(1), 64, 64).unwrap();
        let stream = Stream {
            width: 64,
            height: 64,
            rate: 30,
            set: vec![format!("model={path}")],
        };
        let record = run(&stream, 2, false, 10).unwrap();
        let _ = std::fs::remove_file(&path);
        assert_eq!(record.lost, 0);
        let counts = &record.periods.last().unwrap().counts;
        assert_eq!(counts[..2], [60, 60]);
        assert!(counts[2] > 0, "{counts:?}");
    }
}
