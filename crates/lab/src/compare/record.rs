//! Results of a run, in files that a later run and other programs read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::matrix::Configuration;
use super::measure::{Figures, MEASURES};

const PLAN: &str = "plan.json";
const METRICS: &str = "metrics.json";
const TABLE: &str = "metrics.csv";

/// Settings for a purpose at a multiplier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recommendation {
    pub(super) multiplier: usize,
    pub(super) purpose: String,
    pub(super) configuration: String,
    pub(super) reason: String,
}

/// A clip, as it was planned with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedClip {
    pub(super) name: String,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) frames: usize,
    /// Frames a second, as a fraction.
    pub(super) rate: (i32, i32),
    /// Mark that tells its content from another.
    pub(super) content: Vec<String>,
}

/// The work to do; the same plan continues a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) clips: Vec<PlannedClip>,
    pub(super) configurations: Vec<Configuration>,
    pub(super) video: bool,
}

/// A frame that came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FrameRecord {
    pub(super) number: usize,
    /// Its place among the source's frames.
    pub(super) position: f64,
    pub(super) original: bool,
    /// Whether the originals around it show the same.
    pub(super) still: bool,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// A configuration on a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) clip: String,
    pub(super) configuration: String,
    pub(super) folder: String,
    pub(super) has_truth: bool,
    pub(super) originals_identical: bool,
    /// Over made frames between originals that differ.
    pub(super) mean: Figures,
    pub(super) frames: Vec<FrameRecord>,
}

/// Time and memory that it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Timing {
    pub(super) ms_a_frame: f64,
    pub(super) frames_a_second: f64,
    pub(super) times_real_time: f64,
    pub(super) memory_mib: Option<f64>,
}

/// A cell that is finished, as its folder has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) cell: Cell,
    /// None where nothing moves, so that no frame had to be made.
    pub(super) timing: Option<Timing>,
}

/// An input or configuration left out, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) reason: String,
}

/// Everything that hangs on how fast it went this time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Timings {
    pub(super) cells: BTreeMap<String, Timing>,
    pub(super) recommended: Vec<Recommendation>,
}

/// The whole of `metrics.json`: the same for the same plan but for `timing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Metrics {
    /// Whether all of the plan was done or left out.
    pub(super) finished: bool,
    pub(super) clips: Vec<PlannedClip>,
    pub(super) configurations: Vec<Configuration>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) cells: Vec<Cell>,
    pub(super) timing: Timings,
}

/// A run's folder.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) folder: PathBuf,
}

impl Run {
    /// Returns the folder of a run that had the same plan and didn't come to its end, or a new one:
    /// `out` itself where it is one of a run, or the latest such in `out`.
    pub(super) fn open(out: &Path, plan: &Plan) -> Result<Self> {
        if out.join(PLAN).exists() {
            let run = Self {
                folder: out.to_owned(),
            };
            if run.plan()? != *plan {
                bail!(
                    "{}: this run was of other clips or settings; give a folder beside it",
                    out.display()
                );
            }
            return Ok(run);
        }
        fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        let mut folders = Vec::new();
        for entry in fs::read_dir(out).with_context(|| out.display().to_string())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("run_") {
                folders.push(entry.path());
            }
        }
        folders.sort();
        let known = folders.into_iter().rev().map(|folder| Self { folder });
        for run in known {
            if run.plan().is_ok_and(|other| other == *plan) && !run.is_finished() {
                return Ok(run);
            }
        }
        let now = gst::glib::DateTime::now_local()?.format("run_%Y-%m-%d_%H-%M-%S")?;
        let mut folder = out.join(now.as_str());
        while folder.exists() {
            folder.as_mut_os_string().push("+");
        }
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        write_json(&folder.join(PLAN), plan)?;
        Ok(Self { folder })
    }

    fn plan(&self) -> Result<Plan> {
        read_json(&self.folder.join(PLAN))
    }

    fn is_finished(&self) -> bool {
        let metrics: Result<Metrics> = read_json(&self.folder.join(METRICS));
        metrics.is_ok_and(|metrics| metrics.finished)
    }

    /// Returns what an earlier run found of a cell, if it came to its end.
    pub(super) fn finished(&self, folder: &str) -> Option<Finished> {
        read_json(&self.folder.join(folder).join(METRICS)).ok()
    }

    /// Keeps what was found of a cell.
    pub(super) fn keep(&self, finished: &Finished) -> Result<()> {
        let folder = self.folder.join(&finished.cell.folder);
        write_json(&folder.join(METRICS), finished)
    }

    /// Writes `metrics.json` and `metrics.csv`.
    pub(super) fn write(&self, metrics: &Metrics) -> Result<()> {
        write_json(&self.folder.join(METRICS), metrics)?;
        replace(&self.folder.join(TABLE), &csv(metrics))
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    replace(path, &(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a file so that there is a whole one at any time.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("part");
    fs::write(&draft, text).with_context(|| draft.display().to_string())?;
    fs::rename(&draft, path).with_context(|| path.display().to_string())
}

/// Returns a table of all cells, a line each.
fn csv(metrics: &Metrics) -> String {
    let mut text = String::from("clip,configuration,method,multiplier,properties,truth");
    for measure in &MEASURES {
        let _ = write!(text, ",{}", measure.key);
    }
    text += ",ms_a_frame,frames_a_second,times_real_time,memory_mib,originals_identical\n";
    for cell in &metrics.cells {
        let of = |one: &&Configuration| one.name == cell.configuration;
        let Some(configuration) = metrics.configurations.iter().find(of) else {
            continue;
        };
        let settings = configuration.properties.iter();
        let settings: Vec<_> = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut fields = vec![
            quote(&cell.clip),
            quote(&cell.configuration),
            configuration.method.clone(),
            configuration.multiplier.to_string(),
            quote(&settings.join(" ")),
            cell.has_truth.to_string(),
        ];
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.6}"));
        fields.extend(MEASURES.iter().map(|one| number((one.value)(&cell.mean))));
        let timing = metrics.timing.cells.get(&cell.folder);
        let times: [fn(&Timing) -> Option<f64>; 4] = [
            |timing| Some(timing.ms_a_frame),
            |timing| Some(timing.frames_a_second),
            |timing| Some(timing.times_real_time),
            |timing| timing.memory_mib,
        ];
        fields.extend(times.map(|of| number(timing.and_then(of))));
        fields.push(cell.originals_identical.to_string());
        text += &(fields.join(",") + "\n");
    }
    text
}

fn quote(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(video: bool) -> Plan {
        Plan {
            clips: Vec::new(),
            configurations: Vec::new(),
            video,
        }
    }

    #[test]
    fn a_run_that_is_not_finished_is_continued_by_the_same_plan_alone() {
        gst::init().unwrap();
        let out = tempfile::tempdir().unwrap();
        let first = Run::open(out.path(), &plan(false)).unwrap();
        let again = Run::open(out.path(), &plan(false)).unwrap();
        assert_eq!(first.folder, again.folder);
        let other = Run::open(out.path(), &plan(true)).unwrap();
        assert_ne!(first.folder, other.folder);
        let named = Run::open(&first.folder, &plan(false)).unwrap();
        assert_eq!(first.folder, named.folder);
        assert!(Run::open(&first.folder, &plan(true)).is_err());
        let metrics = Metrics {
            finished: true,
            clips: Vec::new(),
            configurations: Vec::new(),
            left_out: Vec::new(),
            cells: Vec::new(),
            timing: Timings {
                cells: BTreeMap::new(),
                recommended: Vec::new(),
            },
        };
        first.write(&metrics).unwrap();
        let new = Run::open(out.path(), &plan(false)).unwrap();
        assert_ne!(first.folder, new.folder);
    }

    #[test]
    fn fields_with_commas_are_quoted() {
        assert_eq!(quote("a, \"b\""), "\"a, \"\"b\"\"\"");
        assert_eq!(quote("plain"), "plain");
    }
}
