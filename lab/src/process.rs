//! What this process has of the machine: memory, threads, files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// How many there are of something, by name.
pub(crate) type Counts = BTreeMap<String, i64>;

/// This process' resident memory in kilobytes, without files: those come and go as others need memory.
pub(crate) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("RssAnon:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .context("/proc/self/status: no RssAnon")
}

/// Kilobytes that were allocated and not freed: resident memory without what the allocator keeps for
/// later. `None` where the allocator does not tell.
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

/// Has the allocator give back what it keeps for later.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: what is given back is in nobody's use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The threads, by name, and how many there are of each.
pub(crate) fn threads() -> Result<Counts> {
    let tasks = fs::read_dir("/proc/self/task").context("/proc/self/task")?;
    Ok(count(tasks.filter_map(|task| {
        // One that ends meanwhile is none.
        let name = fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    })))
}

/// The open files, by what they lead to, and how many there are of each.
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

/// What of `now` goes beyond `before`, in words; empty if nothing does.
pub(crate) fn more(now: &Counts, before: &Counts) -> String {
    let grown = now.iter().filter_map(|(name, count)| {
        let known = before.get(name).copied().unwrap_or(0);
        (*count > known).then(|| format!("{name}: {count} instead of {known}"))
    });
    grown.collect::<Vec<_>>().join(", ")
}

/// The slope of a line through points, by least squares; 0 for fewer than two.
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
