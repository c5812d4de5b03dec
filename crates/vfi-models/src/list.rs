//! `vfi-models list`.

use std::io::Write as _;

use anyhow::Result;
use gstvfiinterp::models::catalog::{self, Source, WELL_KNOWN};

use crate::size;

/// Prints the networks with names.
pub(crate) fn run() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Of this project (MIT OR Apache-2.0):")?;
    for name in catalog::names() {
        match catalog::find(name) {
            Ok(Source::BuiltIn { bytes, .. }) => {
                let bytes = size(bytes.len() as u64);
                writeln!(
                    out,
                    "  {name:15} {bytes:>8}  built in, used when nothing is asked for"
                )?;
            }
            Ok(source) => {
                let file = source.file().unwrap_or_default();
                let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
                writeln!(out, "  {name:15} {:>8}  {}", size(bytes), file.display())?;
            }
            Err(_) => writeln!(out, "  {name:15} {:>8}  did not come with this plugin", "-")?,
        }
    }
    writeln!(
        out,
        "\nWell-known ({}), from {}:",
        catalog::RELEASE_LICENCE,
        catalog::RELEASE
    )?;
    for known in &WELL_KNOWN {
        let path = known.path();
        let place = match std::fs::metadata(&path) {
            Ok(metadata) => format!("{:>8}  {}", size(metadata.len()), path.display()),
            Err(_) => format!("{:>8}  vfi-models fetch {}", "-", known.name),
        };
        let (whole, tenths) = (known.parameters / 10, known.parameters % 10);
        writeln!(
            out,
            "  {:15} {place}  ({whole}.{tenths} M parameters)",
            known.name
        )?;
    }
    writeln!(
        out,
        "\nAny name or path serves as the element's `model`; `vfi-models info` tells more."
    )?;
    Ok(())
}
