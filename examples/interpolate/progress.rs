//! How far it is, on the terminal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Frames that reached the encoder and the time they stand for.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    frames: AtomicU64,
    time: AtomicU64,
}

impl Counter {
    /// Counts a frame at `time`, in ns from the beginning.
    pub(crate) fn frame(&self, time: u64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.time.fetch_max(time, Ordering::Relaxed);
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.time.load(Ordering::Relaxed))
    }
}

/// The bar.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        bar.set_style(style("{spinner} {elapsed} {msg}"));
        Self {
            bar,
            started: Instant::now(),
        }
    }

    /// Sets the input's length, once it has become known.
    pub(crate) fn set_duration(&self, duration: Duration) {
        self.bar
            .set_style(style("[{bar:36}] {percent:>3}%  {msg}, {eta} left"));
        self.bar.set_length(duration.as_millis() as u64);
    }

    pub(crate) fn update(&self, counter: &Counter) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let time = counter.time();
        let (frames, speed) = (counter.frames(), time.as_secs_f64() / seconds);
        self.bar.set_position(time.as_millis() as u64);
        let rate = frames as f64 / seconds;
        self.bar.set_message(format!(
            "{frames} frames, {rate:.1} per second, {speed:.2}x real time"
        ));
        self.bar.tick();
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
