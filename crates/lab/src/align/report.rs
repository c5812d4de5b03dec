//! The outcome as text, CSV, JSON and a page.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::Outcome;
use super::place::Place;
use super::summary::{Passage, Summary};

/// Points of a plot.
const POINTS: usize = 2_000;
/// Events of a kind that are listed on a page.
const LISTED: usize = 200;

/// Returns the summary in a line.
pub(super) fn brief(summary: &Summary) -> String {
    format!(
        "{} of {} frames matched, speed {:.4}, offset {:.3} s, drift {:.1} ms at most",
        summary.matched, summary.frames, summary.speed, summary.offset_s, summary.largest_drift_ms
    )
}

/// Returns the outcome for the terminal.
pub(super) fn text(outcome: &Outcome) -> String {
    let summary = &outcome.summary;
    let mut text = format!("{}\n", brief(summary));
    for (name, value) in facts(outcome) {
        let _ = writeln!(text, "  {name:<20} {value}");
    }
    for (name, passages) in passages(summary) {
        for passage in passages.iter().take(20) {
            let _ = writeln!(text, "  {name:<20} {}", words(passage));
        }
        if passages.len() > 20 {
            let _ = writeln!(text, "  {name:<20} {} more", passages.len() - 20);
        }
    }
    text
}

fn facts(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let (summary, work) = (&outcome.summary, &outcome.work);
    let mut facts = vec![
        (
            "largest drift",
            format!("{:.1} ms", summary.largest_drift_ms),
        ),
        (
            "standard deviation",
            format!("{:.2} ms", summary.drift_deviation_ms),
        ),
        ("stutters", summary.stutters.len().to_string()),
        ("repeats", summary.repeats.len().to_string()),
    ];
    if outcome.place != Place::WHOLE {
        let Place {
            x,
            y,
            width,
            height,
        } = outcome.place;
        let percent = [x, y, width, height].map(|part| format!("{:.1}", part * 100.0));
        let [x, y, width, height] = percent;
        facts.push((
            "place in reference",
            format!("{x} %, {y} %; size {width} % x {height} %"),
        ));
    }
    let speed = format!(
        "{:.0} frames/s (reading {:.2} s, matching {:.2} s)",
        work.frames_per_s, work.decoding_s, work.matching_s
    );
    facts.push(("work", speed));
    if let Some(peak) = work.peak_memory_mb {
        facts.push(("peak memory", format!("{peak:.0} MB")));
    }
    facts
}

fn passages(summary: &Summary) -> [(&'static str, &[Passage]); 3] {
    [
        ("left out", &summary.missing),
        ("shown again", &summary.again),
        ("not in reference", &summary.unmatched),
    ]
}

fn words(passage: &Passage) -> String {
    let time = |time: Option<f64>| time.map_or_else(|| "?".into(), |time| format!("{time:.3} s"));
    format!(
        "{:.3} s to {:.3} s (reference {} to {})",
        passage.other_from_s,
        passage.other_to_s,
        time(passage.reference_from_s),
        time(passage.reference_to_s)
    )
}

/// Returns each frame's match, a line each; what is not known is empty.
pub(super) fn csv(outcome: &Outcome) -> String {
    let mut csv = String::from("other_frame,other_time_s,reference_time_s,confidence\n");
    for (frame, (time, found)) in outcome.times.iter().zip(&outcome.matches).enumerate() {
        let _ = match found {
            Some(found) => {
                writeln!(
                    csv,
                    "{frame},{time:.6},{:.6},{:.3}",
                    found.time, found.confidence
                )
            }
            None => writeln!(csv, "{frame},{time:.6},,"),
        };
    }
    csv
}

/// Returns everything as JSON.
pub(super) fn json(outcome: &Outcome) -> Result<String> {
    let frames = outcome.times.iter().zip(&outcome.matches).enumerate();
    let frames = frames.map(|(frame, (time, found))| {
        json!({
            "other_frame": frame,
            "other_time_s": time,
            "reference_time_s": found.map(|found| found.time),
            "confidence": found.map(|found| found.confidence),
        })
    });
    let Place {
        x,
        y,
        width,
        height,
    } = outcome.place;
    let value = json!({
        "reference": outcome.reference.to_string_lossy(),
        "other": outcome.other.to_string_lossy(),
        "place": { "x": x, "y": y, "width": width, "height": height },
        "summary": serde_json::to_value(&outcome.summary)?,
        "work": serde_json::to_value(outcome.work)?,
        "frames": frames.collect::<Vec<Value>>(),
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;\
padding:0 1rem;color:#222;background:#fff}svg{width:100%;height:auto;background:#f7f7f5}\
table{border-collapse:collapse}td,th{padding:.15rem 1rem .15rem 0;text-align:left;\
vertical-align:top}text{font:11px system-ui,sans-serif;fill:#555}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1c1c1c}svg{background:#262626}\
text{fill:#aaa}}";

/// Returns a page that needs nothing from elsewhere.
pub(super) fn html(outcome: &Outcome) -> String {
    let name = |path: &Path| escape(&path.file_name().unwrap_or_default().to_string_lossy());
    let title = format!(
        "{} against {}",
        name(&outcome.other),
        name(&outcome.reference)
    );
    let mut rows = String::new();
    for (name, value) in facts(outcome) {
        let _ = write!(rows, "<tr><th>{name}<td>{}", escape(&value));
    }
    let points = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<(f64, Option<f64>)> {
        let step = outcome.times.len().div_ceil(POINTS).max(1);
        let frames = (0..outcome.times.len()).step_by(step);
        frames
            .map(|frame| (outcome.times[frame], value(frame)))
            .collect()
    };
    let summary = &outcome.summary;
    let drift = plot(&points(&|frame| summary.drift_ms[frame]), "drift, ms");
    let course = plot(
        &points(&|frame| outcome.matches[frame].map(|found| found.time)),
        "reference time, s",
    );
    let sure = plot(
        &points(&|frame| outcome.matches[frame].map(|found| f64::from(found.confidence))),
        "confidence",
    );
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
        <style>{STYLE}</style><h1>{title}</h1><p>{}.<table>{rows}</table>\
        <h2>Drift</h2>{drift}<h2>Course</h2>{course}<h2>Confidence</h2>{sure}{}</html>\n",
        brief(summary),
        events(outcome)
    )
}

fn events(outcome: &Outcome) -> String {
    let summary = &outcome.summary;
    let mut text = String::new();
    for (name, passages) in passages(summary) {
        let items = passages.iter().map(words).collect::<Vec<_>>();
        text += &list(name, &items);
    }
    for (name, frames) in [
        ("stutters", &summary.stutters),
        ("repeats", &summary.repeats),
    ] {
        let frame = |&frame: &usize| format!("frame {frame}, {:.3} s", outcome.times[frame]);
        text += &list(name, &frames.iter().map(frame).collect::<Vec<_>>());
    }
    text
}

fn list(name: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<h2>{}{} ({})</h2><ul>",
        name[..1].to_uppercase(),
        &name[1..],
        items.len()
    );
    for item in items.iter().take(LISTED) {
        let _ = write!(text, "<li>{}", escape(item));
    }
    if items.len() > LISTED {
        let _ = write!(text, "<li>{} more", items.len() - LISTED);
    }
    text + "</ul>"
}

/// Draws values over time, with gaps where there are none.
fn plot(points: &[(f64, Option<f64>)], unit: &str) -> String {
    const SIZE: (f64, f64) = (960.0, 260.0);
    const EDGE: (f64, f64) = (60.0, 24.0);
    let known = points.iter().filter_map(|(_, value)| *value);
    let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if !low.is_finite() {
        return "<p>No frame has a match.".into();
    }
    // what is flat is drawn in the middle
    let (low, high) = if high - low < 1e-3 {
        (low - 1.0, high + 1.0)
    } else {
        (low, high)
    };
    let end = points.last().map_or(1.0, |(time, _)| time.max(1e-6));
    let x = |time: f64| EDGE.0 + time / end * (SIZE.0 - EDGE.0 - 10.0);
    let y = |value: f64| SIZE.1 - EDGE.1 - (value - low) / (high - low) * (SIZE.1 - 2.0 * EDGE.1);
    let mut svg = format!("<svg viewBox=\"0 0 {} {}\" role=\"img\">", SIZE.0, SIZE.1);
    for part in 0..=4 {
        let value = low + (high - low) * f64::from(part) / 4.0;
        let time = end * f64::from(part) / 4.0;
        let _ = write!(
            svg,
            "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#8884\"/>\
            <text x=\"4\" y=\"{:.1}\">{value:.2}</text><text x=\"{:.1}\" y=\"{}\">{time:.2} s</text>",
            EDGE.0,
            SIZE.0 - 10.0,
            y(value),
            y(value),
            y(value) + 4.0,
            (x(time) - 20.0).min(SIZE.0 - 50.0),
            SIZE.1 - 6.0
        );
    }
    let mut path = String::new();
    let mut pen = 'M';
    for (time, value) in points {
        match value {
            Some(value) => {
                let _ = write!(path, "{pen}{:.1} {:.1}", x(*time), y(*value));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    let _ = write!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"#2a78c2\" stroke-width=\"1.5\" \
        stroke-linecap=\"round\"/><text x=\"4\" y=\"14\">{unit}</text></svg>"
    );
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
