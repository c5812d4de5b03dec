//! Tables, for the terminal and as Markdown, and their place in a file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Rows of text below a head; the first column is words, the others are figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns the table aligned with spaces.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for line in self.lines() {
            let _ = writeln!(text, "  {}", self.align(line).join("  ").trim_end());
        }
        text
    }

    /// Returns the table in Markdown, aligned too.
    pub(crate) fn markdown(&self) -> String {
        let rule = self
            .widths()
            .into_iter()
            .enumerate()
            .map(|(column, width)| {
                let dashes = "-".repeat(width.max(4) - 1);
                dashes + if column == 0 { "-" } else { ":" }
            });
        let mut text = format!("{}\n\n", self.title);
        for (number, line) in self.lines().enumerate() {
            let _ = writeln!(text, "| {} |", self.align(line).join(" | "));
            if number == 0 {
                let _ = writeln!(text, "| {} |", rule.clone().collect::<Vec<_>>().join(" | "));
            }
        }
        text
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.rows)
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.lines().filter_map(move |line| line.get(column));
            cells.map(|cell| cell.chars().count()).max()
        };
        (0..self.head.len())
            .map(|column| width(column).unwrap_or(0).max(4))
            .collect()
    }

    fn align(&self, line: &[String]) -> Vec<String> {
        let cells = line.iter().zip(self.widths()).enumerate();
        cells
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect()
    }
}

/// Returns the file's text with `block` in it: between the markers `<!-- mark -->` and
/// `<!-- /mark -->`, or alone in a file that is new.
fn insert_block(file: Option<&str>, mark: &str, block: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let block = format!("{begin}\n\n{}\n\n{end}", block.trim());
    let Some(text) = file else {
        return Ok(block + "\n");
    };
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{block}{after}"))
    });
    parts.with_context(|| format!("it has no place for tables, {begin} and {end}"))
}

/// Puts Markdown into a file, which is made if it isn't there.
pub(crate) fn place(path: &Path, mark: &str, block: &str) -> Result<()> {
    let write = || {
        let file = path
            .exists()
            .then(|| fs::read_to_string(path))
            .transpose()?;
        Ok(fs::write(
            path,
            insert_block(file.as_deref(), mark, block)?,
        )?)
    };
    write().map_err(|error: anyhow::Error| error.context(path.display().to_string()))
}

/// Fails if [`place`] would fail, before the minutes that lead up to it.
pub(crate) fn check(path: &Path, mark: &str) -> Result<()> {
    let name = path.display();
    if path.exists() {
        let text = fs::read_to_string(path).with_context(|| name.to_string())?;
        insert_block(Some(&text), mark, "").with_context(|| name.to_string())?;
        return Ok(());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            bail!("{name}: there is no folder {}", folder.display())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        Table {
            title: "Noise".into(),
            head: row(["clip", "blend"]),
            rows: vec![row(["a longer name", "30.10"]), row(["b", "–"])],
        }
    }

    #[test]
    fn aligns_text() {
        let wanted =
            "Noise\n  clip           blend\n  a longer name  30.10\n  b                  –\n";
        assert_eq!(table().text(), wanted);
    }

    #[test]
    fn writes_markdown() {
        let wanted = "Noise\n\n\
            | clip          | blend |\n\
            | ------------- | ----: |\n\
            | a longer name | 30.10 |\n\
            | b             |     – |\n";
        assert_eq!(table().markdown(), wanted);
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let first = insert_block(None, "quality", "one\n").unwrap();
        assert_eq!(first, "<!-- quality -->\n\none\n\n<!-- /quality -->\n");
        let around = format!("before\n{first}after\n");
        assert_eq!(
            insert_block(Some(&around), "quality", "two").unwrap(),
            around.replace("one", "two")
        );
        assert!(insert_block(Some("no markers"), "quality", "two").is_err());
    }
}
