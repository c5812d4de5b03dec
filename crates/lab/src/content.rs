//! `vfi-lab content`: which cuts and still pairs the element finds in clips, beside labels.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use crate::clip::Clip;
use crate::element::{self, Verdict};
use crate::table::{self, Table};

/// Name of the marks around the table in a file.
const MARK: &str = "content";

/// Looks for cuts and still pictures in clips, through the element, and compares with labels.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The video files
    #[arg(required = true)]
    clips: Vec<PathBuf>,

    /// Labels of the clips: see crates/lab/content.txt
    #[arg(long, value_name = "FILE.txt")]
    labels: PathBuf,

    /// Properties of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,

    /// How many frames of each clip to use, at most
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..))]
    frames: u32,

    /// Also write the table as Markdown: into a new file, or between the marks <!-- content --> and
    /// <!-- /content --> of one that is there
    #[arg(long, value_name = "FILE.md")]
    table: Option<PathBuf>,
}

/// Facts known of a clip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Label {
    /// The first frames after cuts.
    cuts: Vec<usize>,
    /// Runs of frames that show the same; `None` if nobody has looked.
    stills: Option<Vec<RangeInclusive<usize>>>,
}

impl Label {
    /// Returns whether frame `number` and the one before it show the same; `None` if nobody has
    /// looked.
    fn is_still(&self, number: usize) -> Option<bool> {
        let runs = self.stills.as_ref()?;
        let within = |run: &RangeInclusive<usize>| run.contains(&number) && *run.start() < number;
        Some(runs.iter().any(within))
    }
}

/// Reads labels: a clip a line, `NAME cuts 12 70 stills 0-5 30-44`; `stills ?` leaves them
/// unlabelled.
fn parse(text: &str) -> Result<BTreeMap<String, Label>> {
    let mut labels = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let label = label(words).with_context(|| format!("line {}", number + 1))?;
        if labels.insert(name.to_owned(), label).is_some() {
            bail!("line {}: {name} is there twice", number + 1);
        }
    }
    Ok(labels)
}

fn label<'a>(words: impl Iterator<Item = &'a str>) -> Result<Label> {
    let mut label = Label {
        stills: Some(Vec::new()),
        ..Label::default()
    };
    let mut stills = false;
    for word in words {
        match (word, stills) {
            ("cuts", _) => stills = false,
            ("stills", _) => stills = true,
            ("?", true) => label.stills = None,
            (run, true) => {
                let (from, to) = run.split_once('-').with_context(|| {
                    format!("{run}: expected the first and last of some frames, such as 3-9")
                })?;
                let runs = label.stills.get_or_insert_default();
                runs.push(from.parse()?..=to.parse()?);
            }
            (cut, false) => {
                let cut = cut.parse();
                label
                    .cuts
                    .push(cut.with_context(|| format!("{word}: expected a frame's number"))?);
            }
        }
    }
    Ok(label)
}

/// How often something was there, and was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    there: usize,
    found: usize,
    wrong: usize,
}

impl Tally {
    fn add(&mut self, there: bool, found: bool) {
        self.there += usize::from(there);
        self.found += usize::from(there && found);
        self.wrong += usize::from(found && !there);
    }

    fn sum(self, other: Self) -> Self {
        Self {
            there: self.there + other.there,
            found: self.found + other.found,
            wrong: self.wrong + other.wrong,
        }
    }

    /// Returns precision (the part of all that was found which was there) and recall (the part of all
    /// that was there which was found), as text.
    fn text(self) -> String {
        let part = |of: usize| match of {
            0 => "–".into(),
            _ => format!("{:.3}", self.found as f64 / of as f64),
        };
        let precision = part(self.found + self.wrong);
        format!("precision {precision}, recall {}", part(self.there))
    }

    fn cells(self) -> [String; 3] {
        [self.there, self.found, self.wrong].map(|count| count.to_string())
    }
}

/// A clip's tallies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    clip: String,
    pairs: usize,
    cuts: Tally,
    /// None where nobody has labelled them.
    stills: Option<Tally>,
    /// Pairs taken for flashes or quick fades.
    flashes: usize,
    /// Time that looking at all pairs took.
    time: Duration,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let properties = element::pairs(&args.set)?;
    element::check(&properties)?;
    if let Some(path) = &args.table {
        table::check(path, MARK)?;
    }
    let name = args.labels.display();
    let text = fs::read_to_string(&args.labels).with_context(|| name.to_string())?;
    let labels = parse(&text).with_context(|| name.to_string())?;
    let mut clips = Vec::new();
    for path in &args.clips {
        let clip = Clip::open(path, 1, args.frames as usize);
        let clip = clip.with_context(|| path.display().to_string())?;
        let label = labels.get(&clip.name());
        let label = label.with_context(|| format!("{name} says nothing of {}", clip.name()))?;
        clips.push((clip, label));
    }
    let progress = ProgressBar::new(clips.iter().map(|(clip, _)| clip.frames as u64).sum());
    let mut rows = Vec::new();
    for (clip, label) in &clips {
        let row = row(clip, label, &properties, &progress);
        rows.push(row.with_context(|| clip.name())?);
    }
    progress.finish_and_clear();
    let table = table(&rows);
    println!("{}", table.text());
    let notes = notes(args, &rows);
    println!("{notes}");
    if let Some(path) = &args.table {
        table::place(path, MARK, &format!("{}\n{notes}", table.markdown()))?;
    }
    Ok(())
}

fn row(
    clip: &Clip,
    label: &Label,
    properties: &[(String, String)],
    progress: &ProgressBar,
) -> Result<Row> {
    let mut row = Row {
        clip: clip.name(),
        pairs: 0,
        cuts: Tally::default(),
        stills: label.stills.as_ref().map(|_| Tally::default()),
        flashes: 0,
        time: Duration::ZERO,
    };
    progress.inc(1);
    for (index, verdict) in element::verdicts(clip, properties)?.enumerate() {
        let (number, (verdict, time)) = (index + 1, verdict?);
        progress.inc(1);
        row.pairs += 1;
        row.time += time;
        row.flashes += usize::from(verdict == Verdict::Flash);
        let cut = label.cuts.contains(&number);
        if cut != (verdict == Verdict::Cut) {
            let wrong = if cut { "missed" } else { "false" };
            progress.suspend(|| eprintln!("{}: {wrong} cut at {number}", row.clip));
        }
        row.cuts.add(cut, verdict == Verdict::Cut);
        if let (Some(tally), Some(still)) = (&mut row.stills, label.is_still(number)) {
            if still != (verdict == Verdict::Still) {
                let wrong = if still { "missed" } else { "false" };
                progress.suspend(|| eprintln!("{}: {wrong} still at {number}", row.clip));
            }
            tally.add(still, verdict == Verdict::Still);
        }
    }
    Ok(row)
}

fn total(rows: &[Row]) -> Row {
    let stills = rows.iter().filter_map(|row| row.stills);
    Row {
        clip: "all".into(),
        pairs: rows.iter().map(|row| row.pairs).sum(),
        cuts: rows
            .iter()
            .map(|row| row.cuts)
            .fold(Tally::default(), Tally::sum),
        stills: stills.reduce(Tally::sum),
        flashes: rows.iter().map(|row| row.flashes).sum(),
        time: rows.iter().map(|row| row.time).sum(),
    }
}

fn table(rows: &[Row]) -> Table {
    let line = |row: &Row| {
        let stills = row
            .stills
            .map_or_else(|| ["–"; 3].map(str::to_owned), Tally::cells);
        [row.clip.clone(), row.pairs.to_string()]
            .into_iter()
            .chain(row.cuts.cells())
            .chain(stills)
            .chain([row.flashes.to_string()])
            .collect()
    };
    let head = [
        "clip", "pairs", "cuts", "found", "false", "stills", "found", "false", "lit",
    ];
    Table {
        title: "Cuts and still pairs:".into(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.iter().chain([&total(rows)]).map(line).collect(),
    }
}

/// Returns the totals, and how the figures came about.
fn notes(args: &Args, rows: &[Row]) -> String {
    let all = total(rows);
    let stills = all.stills.unwrap_or_default();
    let settings: String = args
        .set
        .iter()
        .map(|pair| format!(" --set {pair}"))
        .collect();
    let labels = Path::file_name(&args.labels).unwrap_or_default();
    format!(
        "Cuts: {}. Stills: {}. \"Lit\" counts pairs whose light changes too much to follow motion.\n\
        Looking at a pair takes {:.2} ms in the mean of all, beside shrinking it.\n\nMade with `vfi-lab content --labels {} --frames {}{settings} CLIP…`: \
        the element is given one frame\nafter another, and its counters tell what it took each pair for.",
        all.cuts.text(),
        stills.text(),
        all.time.as_secs_f64() * 1e3 / all.pairs.max(1) as f64,
        labels.to_string_lossy(),
        args.frames,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::own;

    #[test]
    fn labels_are_read() {
        let text = "# comment\na cuts 3 9 stills 0-2 4-5\n\nb # nothing in it\nc cuts 1 stills ?\n";
        let labels = parse(text).unwrap();
        assert_eq!(labels["a"].cuts, [3, 9]);
        let still: Vec<_> = (0..7)
            .filter(|n| labels["a"].is_still(*n) == Some(true))
            .collect();
        assert_eq!(still, [1, 2, 5]);
        assert_eq!(labels["b"].is_still(1), Some(false));
        assert_eq!(labels["c"].is_still(1), None);
    }

    #[test]
    fn labels_that_cannot_be_are_refused() {
        for text in ["a cuts x", "a stills 3", "a stills 3-x", "a\na"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_clip_only_moves() {
        let row = row(
            &own(1, 6),
            &Label {
                cuts: vec![],
                stills: Some(vec![]),
            },
            &[],
            &ProgressBar::hidden(),
        );
        let row = row.unwrap();
        assert_eq!(row.pairs, 5);
        assert_eq!(
            (row.cuts, row.stills),
            (Tally::default(), Some(Tally::default()))
        );
    }

    #[test]
    fn precision_and_recall_are_of_what_was_found_and_there() {
        let mut tally = Tally::default();
        for (there, found) in [(true, true), (true, false), (false, true), (true, true)] {
            tally.add(there, found);
        }
        assert_eq!(tally.text(), "precision 0.667, recall 0.667");
        assert_eq!(Tally::default().text(), "precision –, recall –");
    }
}
