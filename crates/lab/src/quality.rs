//! `vfi-lab quality`: drop frames, rebuild them, compare.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::clip::Clip;
use crate::element;
use crate::luma::Luma;
use crate::methods::{Method, Tools};
use crate::metrics::{self, MOST_DB, WINDOW};
use crate::table::{self, Table};

/// Drops frames of clips, rebuilds them in several ways, and compares them with the true ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The video files
    #[arg(required = true)]
    clips: Vec<PathBuf>,

    /// The network: a built-in name or the path of an .onnx file
    #[arg(long)]
    model: Option<String>,

    /// How much smaller than the frame the network sees it
    #[arg(long)]
    downscale: Option<String>,

    /// Any other property of vfiinterp
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,

    /// How many frames of each clip to use, at most
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u32).range(3..))]
    frames: u32,

    /// 2 keeps every second frame, 4 every fourth
    #[arg(long, default_value = "2", value_parser = ["2", "4"])]
    rate: String,

    /// Methods to compare, separated by commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "vfi,minterpolate,dis,blend,repeat"
    )]
    methods: Vec<Method>,

    /// Also write the tables as Markdown: into a new file, or between the marks <!-- quality-2 -->
    /// and <!-- /quality-2 --> of one that is there (or quality-4, by the rate)
    #[arg(long, value_name = "FILE.md")]
    table: Option<PathBuf>,

    /// The Python interpreter, with OpenCV, that method dis runs in
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

impl Args {
    /// Returns the properties to set on the element, by name and by text.
    fn properties(&self) -> Result<Vec<(String, String)>> {
        let named = [("model", &self.model), ("downscale", &self.downscale)];
        let mut all: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect();
        all.extend(element::pairs(&self.set)?);
        Ok(all)
    }

    /// Returns the mark where its tables stand in a file.
    fn mark(&self) -> String {
        format!("quality-{}", self.rate)
    }

    /// Returns the command that gives the same figures, without where files lie on this machine.
    fn command(&self) -> String {
        let mut text = format!(
            "vfi-lab quality --rate {} --frames {}",
            self.rate, self.frames
        );
        let model = self.model.as_deref().map(Path::new);
        if let Some(model) = model.and_then(Path::file_name) {
            let _ = write!(text, " --model {}", model.to_string_lossy());
        }
        if let Some(downscale) = &self.downscale {
            let _ = write!(text, " --downscale {downscale}");
        }
        for pair in &self.set {
            let _ = write!(text, " --set {pair}");
        }
        text + " CLIP…"
    }
}

/// How near one way of rebuilding came to a clip's true frames.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Score {
    /// Mean over the frames between neighbours that differ, in dB.
    psnr: f64,
    /// Mean over every rebuilt frame, in dB.
    psnr_of_all: f64,
    /// Mean over the frames between neighbours that differ.
    ssim: f64,
    /// The same frames' mean squared gradient as a part of the true ones'.
    edges: f64,
}

/// A clip's figures, a score for each method.
#[derive(Debug)]
struct Row {
    clip: String,
    rebuilt: usize,
    moving: usize,
    scores: Vec<Score>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let properties = args.properties()?;
    let tools = Tools {
        python: &args.python,
        properties: &properties,
    };
    if let Some(path) = &args.table {
        table::check(path, &args.mark())?;
    }
    let (methods, versions) = available(&args.methods, &tools)?;
    let clips = args
        .clips
        .iter()
        .map(|path| {
            Clip::open(path, args.rate.parse()?, args.frames as usize)
                .with_context(|| path.display().to_string())
        })
        .collect::<Result<Vec<_>>>()?;

    let frames: usize = clips.iter().map(Clip::rebuilt).sum();
    let progress = bar((frames * methods.len()) as u64)?;
    let mut rows = Vec::new();
    for clip in &clips {
        rows.push(row(clip, &methods, &tools, &progress)?);
    }
    progress.finish_and_clear();

    let tables = tables(&methods, &rows);
    for table in &tables {
        println!("{}", table.text());
    }
    let notes = notes(args, &versions);
    println!("{notes}");
    if let Some(path) = &args.table {
        let tables: Vec<_> = tables.iter().map(Table::markdown).collect();
        table::place(
            path,
            &args.mark(),
            &format!("{}\n\n{notes}", tables.join("\n")),
        )?;
    }
    Ok(())
}

/// Returns the methods that can be run here, and the programs they use; the others are named and
/// left out.
fn available(wanted: &[Method], tools: &Tools<'_>) -> Result<(Vec<Method>, Vec<String>)> {
    let (mut methods, mut versions) = (Vec::new(), Vec::new());
    for &method in wanted {
        if methods.contains(&method) {
            continue;
        }
        if method == Method::Vfi {
            element::check(tools.properties)?;
        }
        match method.version(tools) {
            Ok(version) => {
                methods.push(method);
                versions.extend(version);
            }
            Err(error) => {
                eprintln!("{} is left out: {error:#}", method.name());
                versions.push(format!("{} left out", method.name()));
            }
        }
    }
    if methods.is_empty() {
        bail!("there is no method left to run");
    }
    Ok((methods, versions))
}

fn bar(frames: u64) -> Result<ProgressBar> {
    let style = "[{bar:36}] {percent:>3}%  {msg}, {eta} left";
    Ok(ProgressBar::new(frames).with_style(ProgressStyle::with_template(style)?))
}

fn row(clip: &Clip, methods: &[Method], tools: &Tools<'_>, progress: &ProgressBar) -> Result<Row> {
    let scores = methods
        .iter()
        .map(|method| {
            progress.set_message(format!("{}: {}", clip.name(), method.name()));
            score(clip, *method, tools, progress)
                .with_context(|| format!("{}: {}", clip.name(), method.name()))
        })
        .collect::<Result<_>>()?;
    let dropped = |number: &usize| !number.is_multiple_of(clip.step);
    let moving = (0..clip.frames)
        .filter(dropped)
        .filter(|number| clip.moves_at(*number));
    Ok(Row {
        clip: clip.name(),
        rebuilt: clip.rebuilt(),
        moving: moving.count(),
        scores,
    })
}

/// Rebuilds a clip's frames in one way, beside a second reading of the clip for the true ones.
fn score(clip: &Clip, method: Method, tools: &Tools<'_>, progress: &ProgressBar) -> Result<Score> {
    let mut made = method.rebuild(clip, tools)?;
    let mut sums = Sums::default();
    for (number, picture) in clip.all()?.enumerate() {
        let wanted = picture?.luma()?;
        let made = made
            .next()
            .with_context(|| format!("it gave only {number} of {} frames", clip.frames))??;
        if !number.is_multiple_of(clip.step) {
            sums.add(&made, &wanted, clip.moves_at(number))?;
            progress.inc(1);
        } else if made != wanted {
            // Were it shifted by a frame, all figures would be of the wrong ones.
            bail!("the kept frame {number} did not come back as it was");
        }
    }
    Ok(sums.score())
}

/// A clip's figures while they are gathered.
#[derive(Debug, Default)]
struct Sums {
    all: f64,
    psnr_of_all: f64,
    moving: f64,
    psnr: f64,
    ssim: f64,
    edges_made: f64,
    edges_wanted: f64,
}

impl Sums {
    fn add(&mut self, made: &Luma, wanted: &Luma, moving: bool) -> Result<()> {
        let psnr = metrics::psnr(made, wanted)?;
        self.all += 1.0;
        self.psnr_of_all += psnr;
        if moving {
            self.moving += 1.0;
            self.psnr += psnr;
            self.ssim += metrics::ssim(made, wanted)?;
            self.edges_made += metrics::edges(made);
            self.edges_wanted += metrics::edges(wanted);
        }
        Ok(())
    }

    /// Returns the score, which is not a number where nothing was added.
    fn score(&self) -> Score {
        Score {
            psnr: self.psnr / self.moving,
            psnr_of_all: self.psnr_of_all / self.all,
            ssim: self.ssim / self.moving,
            edges: self.edges_made / self.edges_wanted,
        }
    }
}

/// Measure of a score that a table shows: its title, its decimals and its value.
type Measure = (&'static str, usize, fn(&Score) -> f64);

fn tables(methods: &[Method], rows: &[Row]) -> Vec<Table> {
    let measures: [Measure; 3] = [
        ("Luma PSNR in dB:", 2, |score| score.psnr),
        ("Luma SSIM:", 4, |score| score.ssim),
        ("Edges, as a part of the true frames':", 2, |score| {
            score.edges
        }),
    ];
    let mut tables: Vec<_> = measures
        .iter()
        .map(|measure| table(methods, rows, *measure))
        .collect();
    let of_all: Measure = ("", 2, |score| score.psnr_of_all);
    tables[0]
        .rows
        .push(mean(methods, rows, of_all, "mean, still ones too"));
    tables
}

fn table(methods: &[Method], rows: &[Row], measure: Measure) -> Table {
    let (title, digits, value) = measure;
    let names = methods.iter().map(|method| method.name().to_owned());
    let line = |row: &Row| {
        let figures = row.scores.iter().map(|score| figure(value(score), digits));
        let frames = match row.rebuilt - row.moving {
            0 => row.rebuilt.to_string(),
            still => format!("{} + {still}", row.moving),
        };
        [row.clip.clone(), frames]
            .into_iter()
            .chain(figures)
            .collect()
    };
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.push(mean(methods, rows, measure, "mean of clips"));
    Table {
        title: title.into(),
        head: ["clip".to_owned(), "frames".to_owned()]
            .into_iter()
            .chain(names)
            .collect(),
        rows: lines,
    }
}

/// Returns the mean over the clips that have a figure.
fn mean(methods: &[Method], rows: &[Row], measure: Measure, name: &str) -> Vec<String> {
    let (_, digits, value) = measure;
    let figures = (0..methods.len()).map(|method| {
        let all = rows.iter().filter_map(|row| row.scores.get(method));
        let known: Vec<f64> = all.map(value).filter(|value| value.is_finite()).collect();
        figure(known.iter().sum::<f64>() / known.len() as f64, digits)
    });
    [name.to_owned(), String::new()]
        .into_iter()
        .chain(figures)
        .collect()
}

fn figure(value: f64, digits: usize) -> String {
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        "–".into()
    }
}

/// Returns how the figures came about.
fn notes(args: &Args, versions: &[String]) -> String {
    let kept = if args.rate == "2" { "second" } else { "fourth" };
    let mut text = format!(
        "Made with `{}`: every {kept} frame was kept and the others rebuilt between them.\n\
        Figures are means over a clip's rebuilt frames, then over clips. Frames between two equal ones need no\n\
        interpolation: they are counted apart (\"12 + 3\": three) and enter only into the last line on PSNR. A frame\n\
        rebuilt exactly has {MOST_DB} dB. SSIM is of a Gaussian window of {WINDOW}x{WINDOW}, inside the frame. Edges are \
        the\n\
        mean squared gradient (Sobel): less than 1 is blur, more is noise or broken edges. Frames at cuts are not\n\
        left out. GStreamer {}",
        args.command(),
        gst::version_string().trim_start_matches("GStreamer "),
    );
    for version in versions {
        let _ = write!(text, ", {version}");
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::tests::own;

    const METHODS: [Method; 3] = [Method::Vfi, Method::Blend, Method::Repeat];

    #[test]
    fn the_element_beats_blending_on_our_own_clip() {
        let tools = Tools {
            python: Path::new("python3"),
            properties: &[],
        };
        for step in [2, 4] {
            let clip = own(step, 5);
            let row = row(&clip, &METHODS, &tools, &ProgressBar::hidden()).unwrap();
            assert_eq!((row.rebuilt, row.moving), (clip.rebuilt(), clip.rebuilt()));
            let [vfi, blend, repeat] = row.scores[..] else {
                panic!("three methods")
            };
            assert!(
                vfi.psnr > blend.psnr && vfi.ssim > blend.ssim,
                "{vfi:?} {blend:?}"
            );
            assert!(blend.psnr > repeat.psnr, "{blend:?} {repeat:?}");
            assert!(blend.edges < 1.0, "{blend:?}");
        }
    }

    #[test]
    fn still_frames_count_apart() {
        let luma = |value| Luma::new(16, 16, vec![value; 256]).unwrap();
        let mut sums = Sums::default();
        sums.add(&luma(10), &luma(11), true).unwrap();
        sums.add(&luma(10), &luma(10), false).unwrap();
        let score = sums.score();
        assert!((score.psnr - 48.13).abs() < 0.01, "{score:?}");
        assert!((score.psnr_of_all - 74.07).abs() < 0.01, "{score:?}");
    }

    #[test]
    fn a_still_clip_has_no_figure_and_no_part_in_the_mean() {
        let score = |psnr| Score {
            psnr,
            ..Score::default()
        };
        let row = |clip: &str, moving, psnr| Row {
            clip: clip.into(),
            rebuilt: 3,
            moving,
            scores: vec![score(psnr)],
        };
        let rows = [row("still", 0, f64::NAN), row("lively", 3, 30.0)];
        let table = &tables(&[Method::Blend], &rows)[0];
        assert_eq!(table.rows[0], ["still", "0 + 3", "–"]);
        assert_eq!(table.rows[1], ["lively", "3", "30.00"]);
        assert_eq!(table.rows[2], ["mean of clips", "", "30.00"]);
    }
}
