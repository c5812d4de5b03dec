//! The page: advice, bars of where the time goes, and what happened when, without network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::Profile;
use super::advice::words;
use super::measured::{Measured, Timeline};
use super::{steps, summary, verdict};
use crate::page;
use crate::table::Table;

const STYLE: &str = include_str!("report.css");
/// Nothing is loaded, whatever is in the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
/// Colours of elements, which are told apart by those who see few, too.
const COLOURS: [&str; 8] = [
    "#8ecae6", "#ffb703", "#90be6d", "#f28482", "#cdb4db", "#e9c46a", "#a3b18a", "#bde0fe",
];
/// Width and height of a lane of the timeline, and of a curve.
const WIDTH: f64 = 960.0;
const LANE: f64 = 34.0;
const CURVE: f64 = 90.0;
/// Place left for words.
const LEFT: f64 = 130.0;
/// Messages that are listed.
const LISTED: usize = 100;

/// Returns the page.
pub(super) fn page(profile: &Profile) -> Markup {
    let (measured, timeline) = (&profile.measured, &profile.timeline);
    let colours = Colours::of(measured, timeline);
    let body = html! {
        p { code { (profile.subject) } }
        p { (summary(measured)) "." }
        section id="advice" {
            h2 { (verdict(&profile.advice)) }
            ul { @for advice in &profile.advice { li { (words(advice)) } } }
            @if let Some(brought) = profile.brought {
                p { "The first advice, followed, brought " (format!("{brought:.2}")) " times." }
            }
        }
        section id="flame" {
            h2 { "Where the time goes, thread by thread" }
            @for (root, _) in &timeline.lanes { (flame(measured, timeline, &colours, root)) }
            p.note { "Bars are parts of the time looked at; below a bar is what it calls. Dashed ones wait." }
        }
        section id="steps" {
            h2 { "Steps of " (measured.interpolator) }
            @match steps(measured) {
                Some(table) => { (figures(&table)) }
                None => p { "This log has no figures of the element's own." }
            }
        }
        section id="elements" { h2 { "Elements" } (elements(measured)) }
        section id="timeline" {
            h2 { "What happened when" }
            (lanes(measured, timeline, &colours))
            (colours.key())
            @for (name, points) in &timeline.curves { (curve(measured, name, points)) }
        }
        @if !measured.messages.is_empty() {
            section id="messages" {
                h2 { "Messages" }
                ul { @for message in measured.messages.iter().take(LISTED) { li { (message) } } }
                @if measured.messages.len() > LISTED {
                    p { (measured.messages.len() - LISTED) " more" }
                }
            }
        }
    };
    page::page("vfi-lab profile", POLICY, STYLE, body)
}

/// The colour of each element.
struct Colours(BTreeMap<String, &'static str>);

impl Colours {
    fn of(measured: &Measured, timeline: &Timeline) -> Self {
        let named = measured.elements.iter().map(|element| element.name.clone());
        let called = timeline.paths.iter().flat_map(|(path, _)| path.clone());
        let names: BTreeSet<String> = named.chain(called).collect();
        let colours = COLOURS.into_iter().cycle();
        Self(names.into_iter().zip(colours).collect())
    }

    fn get(&self, name: &str) -> &'static str {
        self.0.get(name).copied().unwrap_or("#999")
    }

    fn key(&self) -> Markup {
        html! {
            p.key { @for (name, colour) in &self.0 { i style=(format!("background:{colour}")) {} (name) } }
        }
    }
}

/// Draws the calls of a thread as bars below each other, as wide as their time.
fn flame(measured: &Measured, timeline: &Timeline, colours: &Colours, root: &str) -> Markup {
    let paths: Vec<(&[String], f64)> = timeline
        .paths
        .iter()
        .filter(|(path, _)| path.first().is_some_and(|first| first == root))
        .map(|(path, time)| (path.as_slice(), *time))
        .collect();
    html! { div.flame { (bar(measured, colours, &paths, 0, measured.seconds)) } }
}

/// Draws the elements at one depth of some chains of calls, within `whole` seconds.
fn bar(
    measured: &Measured,
    colours: &Colours,
    paths: &[(&[String], f64)],
    depth: usize,
    whole: f64,
) -> Markup {
    let names: BTreeSet<&String> = paths
        .iter()
        .filter_map(|(path, _)| path.get(depth))
        .collect();
    html! {
        @for name in names {
            @let below: Vec<(&[String], f64)> = paths.iter().copied()
                .filter(|(path, _)| path.get(depth) == Some(name)).collect();
            @let time: f64 = below.iter().map(|(_, time)| time).sum();
            @let part = 100.0 * time / whole.max(1e-9);
            @if part >= 0.2 {
                div style=(format!("width:{part:.2}%")) {
                    div.bar style=(format!("background:{}", colours.get(name)))
                        title=(format!("{name}: {:.1} % of the time", 100.0 * time / measured.seconds)) {
                        (name) " " (format!("{:.1} %", 100.0 * time / measured.seconds))
                    }
                    div.flame {
                        @if depth == 0 { (own(measured, name, time)) }
                        (bar(measured, colours, &below, depth + 1, time))
                    }
                }
            }
        }
    }
}

/// Draws what the first element of a thread does itself: its steps, or its work and its waits.
fn own(measured: &Measured, name: &str, whole: f64) -> Markup {
    let element = measured
        .elements
        .iter()
        .find(|element| element.name == name);
    let steps = measured.steps.filter(|_| name == measured.interpolator);
    let mut parts = Vec::new();
    match (steps, element) {
        (Some(steps), _) => {
            parts.extend([
                ("look for cuts", steps.content, false),
                ("shrink", steps.shrink, false),
                ("network", steps.network, false),
                ("warp", steps.warp, false),
                ("session", steps.session, true),
            ]);
        }
        (None, Some(element)) => parts.push(("works", element.work, false)),
        (None, None) => {}
    }
    if let Some(element) = element {
        parts.push(("waits", element.wait, true));
    }
    html! {
        @for (what, time, waits) in parts {
            @let part = 100.0 * time / whole.max(1e-9);
            @if part >= 0.2 {
                div style=(format!("width:{part:.2}%")) {
                    div.bar.waits[waits] style="background:#e5e5e5"
                        title=(format!("{what}: {:.1} % of the time", 100.0 * time / measured.seconds)) { (what) }
                }
            }
        }
    }
}

fn figures(table: &Table) -> Markup {
    html! {
        p { (table.title) }
        (grid(&table.head, &table.rows))
    }
}

fn grid(head: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for name in head { th { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn elements(measured: &Measured) -> Markup {
    let percent = |time: f64| format!("{:.1} %", 100.0 * time / measured.seconds.max(1e-9));
    let ms = |time: f64| format!("{:.2} ms", time * 1e3);
    let rows = measured.elements.iter().map(|element| {
        let latency = element.latency;
        let level = element.level;
        vec![
            element.name.clone(),
            element.thread.clone(),
            percent(element.work),
            percent(element.wait),
            element.waits_for.to_owned(),
            latency.map(|(mean, _)| ms(mean)).unwrap_or_default(),
            latency.map(|(_, most)| ms(most)).unwrap_or_default(),
            level
                .map(|(mean, ..)| format!("{mean:.1}"))
                .unwrap_or_default(),
            level
                .map(|(_, most, room)| format!("{most} of {room}"))
                .unwrap_or_default(),
            element.buffers.to_string(),
        ]
    });
    let head = [
        "element",
        "on the thread of",
        "works",
        "waits",
        "for",
        "latency",
        "longest",
        "buffers in it",
        "most",
        "buffers out",
    ];
    grid(&head.map(str::to_owned), &rows.collect::<Vec<_>>())
}

/// Draws what each thread is at over time.
fn lanes(measured: &Measured, timeline: &Timeline, colours: &Colours) -> Markup {
    let height = LANE * timeline.lanes.len() as f64 + 20.0;
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img">"#);
    for (number, (root, columns)) in timeline.lanes.iter().enumerate() {
        let top = LANE * number as f64;
        let _ = write!(
            svg,
            r#"<text x="0" y="{}">{}</text>"#,
            top + 20.0,
            escape(root)
        );
        let width = (WIDTH - LEFT) / columns.len().max(1) as f64;
        for (column, parts) in columns.iter().enumerate() {
            let mut y = top + LANE - 4.0;
            for (name, part) in parts {
                let tall = part.min(1.0) * (LANE - 8.0);
                y -= tall;
                let (x, wide) = (LEFT + column as f64 * width, width + 0.2);
                let _ = write!(
                    svg,
                    r#"<rect x="{x:.1}" y="{y:.1}" width="{wide:.1}" height="{tall:.1}" fill="{}"/>"#,
                    colours.get(name)
                );
            }
        }
    }
    for part in 0..=4 {
        let part = f64::from(part) / 4.0;
        let x = (LEFT + part * (WIDTH - LEFT)).min(WIDTH - 34.0);
        let time = part * measured.seconds;
        let _ = write!(
            svg,
            r#"<text x="{x:.0}" y="{}">{time:.1} s</text>"#,
            height - 4.0
        );
    }
    PreEscaped(svg + "</svg>")
}

/// Draws a value over time.
fn curve(measured: &Measured, name: &str, points: &[(f64, f64)]) -> Markup {
    let most = points.iter().map(|(_, value)| *value).fold(1e-9, f64::max);
    let x = |time: f64| LEFT + time / measured.seconds.max(1e-9) * (WIDTH - LEFT);
    let y = |value: f64| CURVE - 6.0 - value / most * (CURVE - 16.0);
    let path = points
        .iter()
        .map(|(time, value)| format!("{:.1},{:.1}", x(*time), y(*value)));
    let path = path.collect::<Vec<_>>().join(" ");
    let svg = format!(
        r##"<svg viewBox="0 0 {WIDTH} {CURVE}" role="img"><text x="0" y="14">{}</text><text x="{}" y="28">{most:.1}</text><line x1="{LEFT}" x2="{WIDTH}" y1="{}" y2="{}" stroke="#8886"/><polyline points="{path}" fill="none" stroke="#2a78c2" stroke-width="1.5"/></svg>"##,
        escape(name),
        LEFT - 40.0,
        y(0.0),
        y(0.0),
    );
    PreEscaped(svg)
}

fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}
