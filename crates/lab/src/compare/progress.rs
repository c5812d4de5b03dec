//! Bars on the terminal.

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The progress of the whole, and of one configuration.
#[derive(Debug)]
pub(super) struct Bars {
    both: MultiProgress,
    all: ProgressBar,
    one: ProgressBar,
}

impl Bars {
    pub(super) fn new(frames: u64) -> Result<Self> {
        let both = MultiProgress::new();
        let bar = |frames: u64, template: &str| -> Result<ProgressBar> {
            let style = ProgressStyle::with_template(template)?;
            Ok(both.add(ProgressBar::new(frames).with_style(style)))
        };
        let all = bar(frames, "[{bar:36}] {percent:>3}%, {eta} left")?;
        let one = bar(1, "[{bar:36}] {pos}/{len}  {msg}")?;
        Ok(Self { both, all, one })
    }

    pub(super) fn begin(&self, name: &str, frames: u64) {
        self.one.set_length(frames);
        self.one.set_position(0);
        self.one.set_message(name.to_owned());
    }

    pub(super) fn step(&self) {
        self.all.inc(1);
        self.one.inc(1);
    }

    /// Passes over frames that are there already.
    pub(super) fn skip(&self, frames: u64) {
        self.all.set_position(self.all.position() + frames);
        self.all.reset_eta();
    }

    pub(super) fn say(&self, text: &str) {
        self.both.suspend(|| eprintln!("{text}"));
    }

    pub(super) fn end(&self) {
        self.one.finish_and_clear();
        self.all.finish_and_clear();
    }
}
