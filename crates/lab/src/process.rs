//! Resources this process has of the machine: memory, threads, files.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gst::glib;
use gstvfiinterp::models::memory::available;

use crate::table::Table;

/// How long what ends in the background may take to do so.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many there are of something, by name.
pub(crate) type Counts = BTreeMap<String, i64>;

/// Returns this process' resident memory in kilobytes, without files: those come and go as others
/// need memory.
pub(crate) fn resident() -> Result<u64> {
    field("RssAnon:")
}

/// Returns a figure of the process' status in kilobytes.
fn field(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("/proc/self/status: no {name}"))
}

/// Makes the peak of this process' memory what is in use now.
pub(crate) fn reset_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("/proc/self/clear_refs")
}

/// Returns the most memory this process has had since, in kilobytes.
pub(crate) fn peak() -> Result<u64> {
    field("VmHWM:")
}

/// Returns the kilobytes that were allocated and not freed: resident memory without what the
/// allocator keeps for later. `None` where the allocator does not tell.
pub(crate) fn allocated() -> Option<f64> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only reads the allocator's own counters.
        let info = unsafe { libc::mallinfo2() };
        Some((info.uordblks + info.hblkhd) as f64 / 1024.0)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

/// Gets this process ready for a run in which nothing may stay behind and nothing may be complained
/// of. Returns the seed that the run follows from.
pub(crate) fn begin(seed: Option<u64>) -> Result<u64> {
    keep_nothing()?;
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    // What GLib and GStreamer complain of ends the program.
    glib::log_set_always_fatal(glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_WARNING);
    Ok(seed)
}

/// Stops the allocators of the C library and of GLib from keeping anything for later, so that what
/// is resident and allocated tells what is in use. They are told by the environment, before
/// anything else, so the program is begun anew.
fn keep_nothing() -> Result<()> {
    /// No caches of threads, and one heap for all of them; no slices.
    const WANTED: [(&str, &str); 2] = [
        (
            "GLIBC_TUNABLES",
            "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1",
        ),
        ("G_SLICE", "always-malloc"),
    ];
    if env::var_os(WANTED[0].0).is_some() {
        return Ok(());
    }
    let program = env::current_exe().context("this program")?;
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .envs(WANTED)
        .exec();
    Err(error).context("this program cannot be begun anew")
}

/// Returns the threads, by name, and how many there are of each.
pub(crate) fn threads() -> Result<Counts> {
    let tasks = fs::read_dir("/proc/self/task").context("/proc/self/task")?;
    Ok(count(tasks.filter_map(|task| {
        // One that ends meanwhile is none.
        let name = fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    })))
}

/// Returns the open files, by what they lead to, and how many there are of each.
pub(crate) fn files() -> Result<Counts> {
    let files = fs::read_dir("/proc/self/fd").context("/proc/self/fd")?;
    Ok(count(files.filter_map(|file| {
        let target: PathBuf = fs::read_link(file.ok()?.path()).ok()?;
        let name = target.to_string_lossy().into_owned();
        // Sockets and pipes have a number each.
        Some(name.split(":[").next().unwrap_or_default().to_owned())
    })))
}

fn count(names: impl Iterator<Item = String>) -> Counts {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Returns the part of `now` that goes beyond `before`, in words; empty if nothing does.
pub(crate) fn more(now: &Counts, before: &Counts) -> String {
    let grown = now.iter().filter_map(|(name, count)| {
        let known = before.get(name).copied().unwrap_or(0);
        (*count > known).then(|| format!("{name}: {count} instead of {known}"))
    });
    grown.collect::<Vec<_>>().join(", ")
}

/// Resources in use while nothing is going on.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// How many frames, or cycles, there were before.
    at: u64,
    resident: u64,
    allocated: f64,
    /// GStreamer's objects, for who counts them.
    pub(crate) objects: Counts,
    threads: Counts,
    files: Counts,
}

impl Look {
    /// Waits until the threads of an element that was stopped have ended, and looks.
    pub(crate) fn take(at: u64) -> Result<Self> {
        let patience = Instant::now() + PATIENCE;
        loop {
            gst::Task::cleanup_all();
            glib::ThreadPool::stop_unused_threads();
            let threads = threads()?;
            let Some(name) = threads.keys().find(|name| ends(name)) else {
                break;
            };
            ensure!(Instant::now() < patience, "the thread {name} goes on");
            thread::sleep(Duration::from_millis(1));
        }
        available::trim();
        Ok(Self {
            at,
            resident: resident()?,
            allocated: allocated().unwrap_or(0.0),
            objects: Counts::new(),
            threads: threads()?,
            files: files()?,
        })
    }
}

/// Returns whether a thread of this name is to end when a pipeline is stopped: a pad's task
/// ("element:pad"; the pool's thread that ran it keeps the name for the moment it has left), one
/// that loads a network, one of a pool that GStreamer takes its tasks' threads from.
fn ends(name: &str) -> bool {
    name.contains(':') || name.starts_with("vfiinterp") || name.starts_with("pool")
}

/// Returns a table of what was seen, `unit` by unit.
pub(crate) fn table(unit: &str, looks: &[Look]) -> Table {
    let rows = looks.iter().map(|look| {
        let sum = |counts: &Counts| counts.values().sum::<i64>().to_string();
        vec![
            look.at.to_string(),
            look.resident.to_string(),
            format!("{:.1}", look.allocated),
            sum(&look.objects),
            sum(&look.threads),
            sum(&look.files),
        ]
    });
    let head = [
        unit,
        "resident KB",
        "allocated KB",
        "objects",
        "threads",
        "files",
    ];
    Table {
        title: "What there is while the element is stopped:".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// One kind of what a look has seen.
type Kind = fn(&Look) -> &Counts;

/// Kilobytes per 1000 frames that count as a leak.
const LEAK: f64 = 1.0;

/// Number of frames from which on growth is more than what settles: programs that GStreamer's
/// converters compile once for each pair of formats, and the like.
const ENOUGH: u64 = 200_000;

/// Fails if anything stays behind or grows in the second half; what is there only once, such as a
/// thread of a pool, has come before.
pub(crate) fn judge(unit: &str, looks: &[Look]) -> Result<()> {
    let settled = &looks[looks.len() / 2..];
    let Some((last, earlier)) = settled.split_last() else {
        bail!("there was nothing to see");
    };
    let kinds: [(_, Kind); 3] = [
        ("objects", |look| &look.objects),
        ("threads", |look| &look.threads),
        ("files", |look| &look.files),
    ];
    for (what, of) in kinds {
        let mut most = Counts::new();
        for (name, count) in earlier.iter().flat_map(of) {
            let known = most.entry(name.clone()).or_default();
            *known = (*known).max(*count);
        }
        let more = more(of(last), &most);
        ensure!(more.is_empty(), "{what} stay behind: {more}");
    }
    let growth = |value: fn(&Look) -> f64| {
        let point = |look: &Look| (look.at as f64 / 1000.0, value(look));
        typical_slope(&settled.iter().map(point).collect::<Vec<_>>())
    };
    let grows = growth(|look| look.allocated);
    println!(
        "In the second half, resident memory typically grows by {:.2} KB per 1000 {unit}, and what is allocated \
         and not freed by {grows:.2} KB.",
        growth(|look| look.resident as f64)
    );
    ensure!(
        grows < LEAK || last.at < ENOUGH,
        "memory is allocated and not freed"
    );
    Ok(())
}

/// Returns the median of the slopes between any two points (Theil and Sen), which a few odd ones
/// don't change; 0 for fewer than two.
fn typical_slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate();
    let mut slopes: Vec<f64> = pairs
        .flat_map(|(k, a)| points[k + 1..].iter().map(move |b| (a, b)))
        .filter(|(a, b)| b.0 > a.0)
        .map(|(a, b)| (b.1 - a.1) / (b.0 - a.0))
        .collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

/// Returns the slope of a line through points, by least squares; 0 for fewer than two.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len().max(1) as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let across: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let along: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if along > 0.0 { across / along } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(1.0, 3.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }

    #[test]
    fn a_typical_slope_is_not_that_of_odd_points() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 50.0), (3.0, 7.0), (4.0, 9.0)];
        assert_eq!(typical_slope(&points), 2.0);
        assert_eq!(typical_slope(&points[..1]), 0.0);
    }

    #[test]
    fn what_is_opened_and_not_closed_is_seen() {
        let before = files().unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let file = fs::File::open(path).unwrap();
        assert!(more(&files().unwrap(), &before).contains("Cargo.toml"));
        drop(file);
        assert!(!more(&files().unwrap(), &before).contains("Cargo.toml"));
    }

    #[test]
    fn what_is_allocated_and_not_freed_is_seen() {
        let before = allocated().unwrap();
        let block = vec![1u8; 10 << 20];
        assert!(allocated().unwrap() - before > 9_000.0);
        drop(block);
    }
}
