//! `vfi-models list`.

use std::io::Write as _;

use anyhow::Result;
use gstvfiinterp::models::library::{self, Source, WELL_KNOWN};

use crate::size;

/// Prints the networks with names.
pub(crate) fn run() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Built in (MIT OR Apache-2.0, this project):")?;
    for name in library::names() {
        let bytes = match library::find(name)? {
            Source::BuiltIn { bytes, .. } => bytes.len() as u64,
            _ => 0,
        };
        let default = if name == library::DEFAULT {
            ", used when nothing is asked for"
        } else {
            ""
        };
        writeln!(out, "  {name:15} {:>8}{default}", size(bytes))?;
    }
    writeln!(
        out,
        "\nWell-known ({}), from {}:",
        library::RELEASE_LICENCE,
        library::RELEASE
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
