//! `vfi-models fetch`: a well-known network from its archive into the user's data folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use gstvfiinterp::models::catalog::{self, RELEASE, Source, WELL_KNOWN, WellKnown};
use gstvfiinterp::models::signature::metadata::Stated;
use onnx_graph::MAX_FILE_BYTES;
use sha2::{Digest as _, Sha256};

use crate::{archive, download, info, size};

/// Options for fetching: what, and from where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The network's name, as `vfi-models list` gives it
    name: String,
    /// Where the archives are, instead of vs-mlrt's release: a mirror's address
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The archive's SHA-256 sum, where a mirror has packed it anew
    #[arg(long, value_name = "SUM", value_parser = sum)]
    sha256: Option<String>,
    /// Fetch it even if it is here
    #[arg(long)]
    force: bool,
}

/// Reads a sum of 64 hexadecimal digits.
fn sum(text: &str) -> Result<String, String> {
    let is_sum = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum
        .then(|| text.to_ascii_lowercase())
        .ok_or("a SHA-256 sum has 64 hexadecimal digits".into())
}

/// Fetches it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known = find_known(&args.name)?;
    let place = known.path();
    let folder = catalog::folder();
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let _lock = lock(&folder)?;
    // perhaps whoever had the lock fetched it
    if !args.force && Source::WellKnown(known).read().is_ok() {
        println!("{} is here already: {}", known.name, place.display());
        return Ok(());
    }

    let url = address(args.from.as_deref().unwrap_or(RELEASE), known.archive);
    let partial = folder.join(format!("{}.partial", known.archive));
    let expected = args.sha256.as_deref().unwrap_or(known.archive_sha256);
    println!("{} from {url}", known.name);
    fetch_checked(&url, &partial, expected)?;

    // an archive with the right sum is either used now, or never will be
    let partial = Temporary(partial);
    let fresh = Temporary(with_ending(&place, ".new"));
    unpack(known, &partial.0, &fresh.0)
        .with_context(|| format!("the archive {url} cannot be used"))?;
    install(known, &fresh.0, &place)
        .with_context(|| format!("cannot write {}", place.display()))?;
    println!("{} is in {}", known.name, place.display());
    info::summarise(known.name)?;
    println!("Use it as model={}", known.name);
    Ok(())
}

fn find_known(name: &str) -> Result<&'static WellKnown> {
    if catalog::names().any(|own| own == name) {
        bail!("{name} comes with the plugin: there is nothing to fetch");
    }
    WellKnown::find(name).with_context(|| {
        let names = WELL_KNOWN.map(|known| known.name).join(", ");
        format!("there is no well-known network {name}: there are {names}")
    })
}

/// One process at a time writes to the folder. The lock goes with the process, however that ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("Another vfi-models is fetching; waiting for it.");
            file.lock().context("cannot wait for it")?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    Ok(file)
}

fn address(folder: &str, file: &str) -> String {
    format!("{}/{file}", folder.trim_end_matches('/'))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Fetches the archive until its sum is right: what was left by an earlier attempt may be of
/// another file, so a wrong sum after going on is no verdict yet.
fn fetch_checked(url: &str, partial: &Path, expected: &str) -> Result<()> {
    loop {
        let resumed = download::download(url, partial).inspect_err(|_| {
            // nothing came, so there is nothing to go on from
            if fs::metadata(partial).is_ok_and(|metadata| metadata.len() == 0) {
                let _removed = fs::remove_file(partial);
            }
        })?;
        let mut digest = Sha256::new();
        let length = io::copy(&mut File::open(partial)?, &mut DigestWriter(&mut digest))?;
        let found = hex(&digest.finalize());
        if found == expected {
            return Ok(());
        }
        fs::remove_file(partial).with_context(|| format!("cannot remove {}", partial.display()))?;
        if !resumed {
            bail!(
                "what {url} gave is not the archive that is known: its sha256 is {found} ({}), and {expected} was \
                 expected; nothing of it was kept",
                size(length)
            );
        }
        eprintln!("What was left from before does not fit; fetching it anew.");
    }
}

struct DigestWriter<'a>(&'a mut Sha256);

impl io::Write for DigestWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that goes away with its value, if it is still there.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

/// Writes the network to `fresh`, and sees that it is one.
fn unpack(known: &WellKnown, archive: &Path, fresh: &Path) -> Result<()> {
    let member = format!("{}/{}", known.member_folder, known.file);
    let mut file = File::create(fresh)?;
    archive::extract(archive, &member, MAX_FILE_BYTES, &mut file)?;
    file.sync_all()?;
    info::detect(onnx_graph::decode(&fs::read(fresh)?), &Stated::default())
        .with_context(|| format!("{member} is not a network"))?;
    Ok(())
}

/// Puts the network and its sum in place, the network last: without it the sum means nothing.
fn install(known: &WellKnown, fresh: &Path, place: &Path) -> Result<()> {
    let sum = catalog::sha256(&fs::read(fresh)?);
    let sum_place = catalog::sum_file(place);
    let fresh_sum = Temporary(with_ending(&sum_place, ".new"));
    let mut file = File::create(&fresh_sum.0)?;
    writeln!(file, "{sum}  {}", known.file)?;
    file.sync_all()?;
    fs::rename(&fresh_sum.0, &sum_place)?;
    fs::rename(fresh, place)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_slash() {
        for folder in ["http://mirror/a", "http://mirror/a/"] {
            assert_eq!(address(folder, "b.7z"), "http://mirror/a/b.7z");
        }
    }
}
