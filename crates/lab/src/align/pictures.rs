//! Small pictures of all frames of a file, kept in a file of their own: memory holds times alone.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::decode::Decoder;
use super::size::Size;

/// Most that the cache holds, in bytes; the oldest files beyond it are removed.
const CACHE: u64 = 4 << 30;
const MAGIC: &[u8; 8] = b"vfialgn1";
/// Magic, then the number of frames, the frames' own width and height.
const HEADER: usize = 8 + 8 + 4 + 4;

/// Small pictures of all frames of a file.
#[derive(Debug)]
pub(super) struct Pictures {
    file: File,
    pub(super) size: Size,
    /// Seconds since the first frame.
    pub(super) times: Vec<f64>,
    /// The frames' own width, as they are shown, and height.
    pub(super) shown: (u32, u32),
}

impl Pictures {
    /// Reads a file's pictures from the cache, or decodes them into it. `decoded` is called with
    /// the number of frames so far.
    pub(super) fn open(
        path: &Path,
        size: Size,
        cache: Option<&Path>,
        decoded: impl Fn(usize),
    ) -> Result<Self> {
        if !path.is_file() {
            bail!("no such file");
        }
        let Some(folder) = cache.filter(|folder| can_hold(folder)) else {
            return Self::decode(path, size, tempfile::tempfile()?, &decoded);
        };
        let name = format!("{}-{}x{}.luma", digest(path)?, size.width, size.height);
        let kept = folder.join(name);
        if let Some(pictures) = Self::read(&kept, size) {
            decoded(pictures.len());
            return Ok(pictures);
        }
        let made = tempfile::NamedTempFile::new_in(folder)?;
        let pictures = Self::decode(path, size, made.reopen()?, &decoded)?;
        made.persist(&kept)
            .with_context(|| format!("cannot keep {}", kept.display()))?;
        tidy(folder, CACHE)?;
        Ok(pictures)
    }

    fn decode(path: &Path, size: Size, file: File, decoded: &impl Fn(usize)) -> Result<Self> {
        let mut decoder = Decoder::open(path, size)?;
        let mut output = BufWriter::with_capacity(1 << 18, file);
        output.write_all(&[0; HEADER])?;
        let (mut times, mut shown) = (Vec::new(), (0, 0));
        while let Some(frame) = decoder.next()? {
            output.write_all(&frame.luma)?;
            times.push(frame.time);
            shown = frame.shown;
            decoded(times.len());
        }
        match times.len() {
            0 => bail!("there is no video in it"),
            1 => bail!("1 frame: it takes at least 2"),
            _ => {}
        }
        for time in &times {
            output.write_all(&time.to_le_bytes())?;
        }
        let file = output.into_inner().map_err(|error| error.into_error())?;
        let mut header = MAGIC.to_vec();
        header.extend((times.len() as u64).to_le_bytes());
        header.extend(shown.0.to_le_bytes());
        header.extend(shown.1.to_le_bytes());
        file.write_all_at(&header, 0)?;
        Ok(Self {
            file,
            size,
            times,
            shown,
        })
    }

    /// Reads what was kept; none where there is nothing, or not all of it.
    fn read(path: &Path, size: Size) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).ok()?;
        let long = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let count = usize::try_from(long(8)?).ok()?;
        let times_at = (HEADER as u64).checked_add(long(8)?.checked_mul(size.pixels() as u64)?)?;
        let whole = times_at.checked_add(long(8)?.checked_mul(8)?)?;
        if !header.starts_with(MAGIC) || count < 2 || file.metadata().ok()?.len() != whole {
            return None;
        }
        let mut times = vec![0; count * 8];
        file.read_exact_at(&mut times, times_at).ok()?;
        // The newest are kept.
        let _ = file.set_modified(SystemTime::now());
        Some(Self {
            size,
            times: times
                .as_chunks::<8>()
                .0
                .iter()
                .map(|time| f64::from_le_bytes(*time))
                .collect(),
            shown: (short(16)?, short(20)?),
            file,
        })
    }

    /// Returns how many frames there are.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Returns the pictures of some frames, one behind the other.
    pub(super) fn load(&self, frames: Range<usize>) -> Result<Vec<u8>> {
        let pixels = self.size.pixels();
        let mut luma = vec![0; frames.len() * pixels];
        let at = HEADER + frames.start * pixels;
        self.file
            .read_exact_at(&mut luma, at as u64)
            .context("cannot read small pictures")?;
        Ok(luma)
    }

    /// Returns the usual time between two frames.
    pub(super) fn interval(&self) -> f64 {
        let mut steps: Vec<f64> = self
            .times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        let middle = steps.len() / 2;
        let (_, step, _) = steps.select_nth_unstable_by(middle, f64::total_cmp);
        step.max(1e-6)
    }
}

/// Returns the folder for what is kept: in `$XDG_CACHE_HOME`, or in `~/.cache`.
pub(super) fn default_cache() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("vfi-lab"))
}

/// Makes the folder; says so where nothing can be kept.
fn can_hold(folder: &Path) -> bool {
    let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    if let Err(error) = &made {
        eprintln!("vfi-lab: nothing is kept in {}: {error}", folder.display());
    }
    made.is_ok()
}

/// Returns a name for what a file holds.
fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 1 << 20];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => hash.update(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes the oldest pictures beyond so many bytes.
fn tidy(folder: &Path, most: u64) -> Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == "luma") {
            // Another run may have removed it meanwhile.
            let Ok(data) = entry.metadata() else { continue };
            kept.push((data.modified()?, data.len(), entry.path()));
        }
    }
    kept.sort();
    let mut sum = 0;
    for (_, bytes, path) in kept.into_iter().rev() {
        sum += bytes;
        if sum > most {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
