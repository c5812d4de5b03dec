//! The room there is on a disk.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Looks whether `needed` bytes have room in a folder. Returns a warning if that is in doubt.
///
/// # Errors
/// If not even a quarter has: what is needed is an estimate, and may be far too high.
pub(crate) fn check(folder: &Path, needed: u64) -> Result<Option<String>> {
    let room = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot ask for the free space in {}", folder.display()))?;
    judge(folder, room.f_bavail.saturating_mul(room.f_frsize), needed)
}

fn judge(folder: &Path, free: u64, needed: u64) -> Result<Option<String>> {
    let told = format!(
        "{} are free in {}, and it may need {}",
        size(free),
        folder.display(),
        size(needed)
    );
    if free < needed / 4 {
        bail!("no space left on the disk: {told}");
    }
    Ok((free < needed).then_some(told))
}

/// Returns whether an error is that of a full disk.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    format!("{error:#}")
        .to_lowercase()
        .contains("no space left")
}

/// Writes a number of bytes as people do.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_told_and_far_too_little_is_refused() {
        let at = Path::new("/films");
        assert_eq!(judge(at, 1000, 1000).unwrap(), None);
        let told = judge(at, 600_000, 1_000_000).unwrap().unwrap();
        assert!(told.contains("600 kB are free in /films"), "{told}");
        let refused = judge(at, 200_000, 1_000_000).unwrap_err();
        assert!(is_full(&refused), "{refused}");
    }
}
