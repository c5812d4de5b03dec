//! One file out of a 7z archive, with bounds.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use sevenz_rust2::{Archive, BlockDecoder, Password};

/// Writes the archive's file `member` to `out`, and nothing else: no name in the archive is ever
/// a place on this machine. More than `limit` bytes are refused.
pub(crate) fn extract(
    archive: &Path,
    member: &str,
    limit: u64,
    out: &mut impl Write,
) -> Result<()> {
    let mut file = File::open(archive).context("cannot open the archive")?;
    let password = Password::empty();
    let index = Archive::read(&mut file, &password).context("it is no 7z archive")?;
    let is_wanted = |name: &str| name == member;
    let found = index
        .files
        .iter()
        .position(|entry| entry.has_stream && is_wanted(&entry.name));
    let Some(found) = found else {
        let names: Vec<&str> = index
            .files
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        bail!(
            "there is no {member} in it, only {}",
            names
                .get(..16)
                .map_or(names.join(", "), |some| some.join(", ") + ", …")
        );
    };
    let size = index.files[found].size;
    if size > limit {
        bail!("{member} has {size} bytes, and the limit is {limit}");
    }
    let block = index
        .stream_map
        .file_block_index
        .get(found)
        .copied()
        .flatten();
    let Some(block) = block else {
        bail!("{member} is empty");
    };
    let mut result = Err(anyhow!("it ends before {member}"));
    BlockDecoder::new(1, block, &index, &password, &mut file)
        .for_each_entries(&mut |entry, data| {
            if !is_wanted(&entry.name) {
                // what comes before is needed to decode what comes after
                io::copy(data, &mut io::sink())?;
                return Ok(true);
            }
            result = match io::copy(&mut data.take(limit), out) {
                Ok(written) if written == size => Ok(()),
                Ok(written) => Err(anyhow!("{member} ends after {written} of {size} bytes")),
                Err(error) => Err(anyhow!(error).context(format!("cannot unpack {member}"))),
            };
            Ok(false)
        })
        .with_context(|| format!("cannot unpack {member}"))?;
    result
}
