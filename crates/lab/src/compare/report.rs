//! `report.html`: everything a run found, to look at, in one page without network.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use gst::glib;
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::measure::MEASURES;
use super::recommend::{self, Summary};
use super::record::{self, Metrics};
use super::store;
use super::truth;
use crate::page;

/// The page's name.
pub(super) const FILE: &str = "report.html";

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Nothing but what is in the page and beside it is loaded, whatever is in the page.
const POLICY: &str = "default-src 'none'; img-src 'self' data: file:; \
    style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The filter that shows differences in colours: black, violet, red, yellow, white.
const HEAT: &str = r#"<svg class="defs" aria-hidden="true"><filter id="heat" color-interpolation-filters="sRGB">
<feColorMatrix values="1.2 1.2 1.2 0 0  1.2 1.2 1.2 0 0  1.2 1.2 1.2 0 0  0 0 0 1 0"/>
<feComponentTransfer>
<feFuncR type="table" tableValues="0 0.3 0.8 1 1 1"/>
<feFuncG type="table" tableValues="0 0 0.1 0.4 0.8 1"/>
<feFuncB type="table" tableValues="0 0.5 0.4 0 0.1 1"/>
</feComponentTransfer></filter></svg>"#;

/// Bytes of pictures that are put into the page itself; more are read from the folders beside it.
const MOST_INSIDE: u64 = 24 << 20;

/// The data that the script works on.
#[derive(Debug, Serialize)]
struct Data<'a> {
    measures: Vec<Title>,
    clips: Vec<Clip<'a>>,
}

#[derive(Debug, Serialize)]
struct Title {
    key: &'static str,
    title: &'static str,
    digits: usize,
}

#[derive(Debug, Serialize)]
struct Clip<'a> {
    name: &'a str,
    width: usize,
    height: usize,
    rate: f64,
    views: Vec<View<'a>>,
}

/// The frames of a configuration, or the true ones.
#[derive(Debug, Serialize)]
struct View<'a> {
    name: &'a str,
    /// Places among the source's frames, and pictures, where there are.
    positions: Vec<f64>,
    pictures: Vec<String>,
    frames: Option<&'a [record::FrameRecord]>,
    multiplier: usize,
    ms_a_frame: Option<f64>,
    quality: Option<f64>,
    ours: bool,
    best: bool,
}

/// Writes the page.
pub(super) fn write(folder: &Path, metrics: &Metrics, as_video: bool) -> Result<()> {
    let inside = !as_video && size_of_pictures(folder, metrics) <= MOST_INSIDE;
    let data = data(folder, metrics, as_video, inside)?;
    let page = page(metrics, &data, as_video, inside)?;
    record::replace(&folder.join(FILE), &page.into_string())
}

fn page(metrics: &Metrics, data: &Data<'_>, as_video: bool, inside: bool) -> Result<Markup> {
    // A script ends at the first `</script`, wherever it stands.
    let json = serde_json::to_string(data)?.replace("</", "<\\/");
    let summaries = recommend::summarise(metrics);
    let pictures = match (as_video, inside) {
        (true, _) => {
            "Frames are in the folders beside this page, as lossless video; no pictures here."
        }
        (_, true) => "All pictures are in this page.",
        (_, false) => "Pictures are read from the folders beside this page: move them together.",
    };
    let body = html! {
        @if !metrics.finished {
            p.warning { "This run was interrupted; the same command continues it." }
        }
        (recommended(metrics))
        (table(&summaries))
        p.controls { label { "clip " select id="clip" {} } }
        @if !as_video { (viewer()) }
        (plots())
        (left_out(metrics))
        p.note { (pictures) }
        (legend())
        script type="application/json" id="data" { (PreEscaped(json)) }
        script { (PreEscaped(SCRIPT)) }
    };
    Ok(page::page("vfi-lab compare", POLICY, STYLE, body))
}

fn recommended(metrics: &Metrics) -> Markup {
    html! {
        section id="recommended" {
            h2 { "Recommended" }
            @if metrics.timing.recommended.is_empty() {
                p { "There are no true frames to compare with, so pictures and speed are all there is." }
            }
            dl {
                @for one in &metrics.timing.recommended {
                    dt { "×" (one.multiplier) ", " (one.purpose) ": " code { (one.configuration) } }
                    dd { (one.reason) }
                }
            }
        }
    }
}

fn table(summaries: &[Summary]) -> Markup {
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "–".to_owned(),
    };
    html! {
        section id="grid" {
            h2 { "Configurations, means over clips" }
            div.scroll {
                table {
                    thead {
                        tr {
                            th { "configuration" }
                            th { "ms a frame" }
                            th { "frames/s" }
                            th { "× real time" }
                            th { "memory, MiB" }
                            @for measure in &MEASURES { th { (measure.title) } }
                            th { "originals" }
                        }
                    }
                    tbody {
                        @for one in summaries {
                            tr.other[!one.is_ours] {
                                th { (one.configuration) }
                                td { (number(Some(one.timing.ms_a_frame), 2)) }
                                td { (number(Some(one.timing.frames_a_second), 1)) }
                                td { (number(Some(one.timing.times_real_time), 2)) }
                                td { (number(one.timing.memory_mib, 0)) }
                                @for measure in &MEASURES {
                                    td { (number((measure.value)(&one.mean), measure.digits)) }
                                }
                                @if one.originals_identical {
                                    td { "identical" }
                                } @else {
                                    td.warning { "changed" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn viewer() -> Markup {
    html! {
        section id="viewer" {
            h2 { "Pictures" }
            div.controls {
                label { "A " select id="a" {} }
                label { "B " select id="b" {} }
                span.modes {
                    button id="mode-grid" type="button" { "grid" }
                    button id="mode-slider" type="button" { "slider" }
                    button id="mode-heat" type="button" { "difference" }
                }
                button id="play" type="button" { "play" }
                label { "frame " input id="frame" type="range" min="0" value="0"; }
                output id="place" {}
            }
            p.note {
                "Wheel: zoom under the pointer. Drag: move. Keys: ← → frame, space play, 1 2 3 view, 0 whole picture."
            }
            div id="stage" {}
            (PreEscaped(HEAT))
        }
    }
}

fn plots() -> Markup {
    html! {
        section id="plots" {
            h2 { "Frame by frame" }
            label { "measure " select id="measure" {} }
            div id="curves" {}
            h2 { "Quality against speed" }
            div id="scatter" {}
        }
    }
}

fn left_out(metrics: &Metrics) -> Markup {
    html! {
        @if !metrics.left_out.is_empty() {
            section id="left-out" {
                h2 { "Left out" }
                ul {
                    @for one in &metrics.left_out { li { code { (one.name) } ": " (one.reason) } }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.note {
            "Higher is better but for flicker, where 0 is best, and edges, where 1 is. Means leave out frames \
             between originals that show the same. A frame rebuilt exactly has 100 dB. What each measure is: \
             docs/lab.md."
        }
    }
}

fn data<'a>(folder: &Path, metrics: &'a Metrics, as_video: bool, inside: bool) -> Result<Data<'a>> {
    let pictures = |name: &str, count: usize| -> Result<Vec<String>> {
        if as_video {
            return Ok(Vec::new());
        }
        let files = (0..count).map(|number| format!("{name}/{}", store::file_name(number)));
        files.map(|file| picture(folder, &file, inside)).collect()
    };
    let clips = metrics.clips.iter().map(|clip| {
        let cells: Vec<_> = metrics
            .cells
            .iter()
            .filter(|cell| cell.clip == clip.name)
            .collect();
        let of = |cell: &record::Cell| {
            let all = &metrics.configurations;
            all.iter().find(|one| one.name == cell.configuration)
        };
        let points = cells.iter().map(|cell| {
            let timing = metrics.timing.cells.get(&cell.folder);
            Some((timing?.ms_a_frame, cell.mean.ssimulacra2?))
        });
        let points: Vec<_> = points.collect();
        let known: Vec<_> = points.iter().flatten().copied().collect();
        let mut line = recommend::best_line(&known).into_iter();
        let mut views = vec![View {
            name: "truth",
            positions: (0..clip.frames).map(|number| number as f64).collect(),
            pictures: pictures(&truth(&clip.name), clip.frames)?,
            frames: None,
            multiplier: 1,
            ms_a_frame: None,
            quality: None,
            ours: false,
            best: false,
        }];
        for (cell, point) in cells.into_iter().zip(&points) {
            views.push(View {
                name: &cell.configuration,
                positions: cell.frames.iter().map(|frame| frame.position).collect(),
                pictures: pictures(&cell.folder, cell.frames.len())?,
                frames: Some(&cell.frames),
                multiplier: of(cell).map_or(1, |one| one.multiplier),
                ms_a_frame: metrics.timing.cells.get(&cell.folder).map(|t| t.ms_a_frame),
                quality: point.map(|point| point.1),
                ours: of(cell).is_some_and(super::Configuration::is_ours),
                best: point.is_some() && line.next().unwrap_or(false),
            });
        }
        Ok(Clip {
            name: &clip.name,
            width: clip.width,
            height: clip.height,
            rate: f64::from(clip.rate.0) / f64::from(clip.rate.1.max(1)),
            views,
        })
    });
    let titles = MEASURES.iter().map(|measure| Title {
        key: measure.key,
        title: measure.title,
        digits: measure.digits,
    });
    Ok(Data {
        measures: titles.collect(),
        clips: clips.collect::<Result<_>>()?,
    })
}

/// Returns where a picture is: in the page, or beside it.
fn picture(folder: &Path, file: &str, inside: bool) -> Result<String> {
    if inside {
        let bytes = fs::read(folder.join(file)).with_context(|| file.to_owned())?;
        return Ok(format!(
            "data:image/png;base64,{}",
            glib::base64_encode(&bytes)
        ));
    }
    // Names of folders were made safe.
    Ok(file.to_owned())
}

fn size_of_pictures(folder: &Path, metrics: &Metrics) -> u64 {
    let cells = metrics.cells.iter().map(|cell| cell.folder.clone());
    let truths = metrics.clips.iter().map(|clip| truth(&clip.name));
    let files = cells
        .chain(truths)
        .filter_map(|name| fs::read_dir(folder.join(name)).ok())
        .flatten();
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .sum()
}
