//! Frames rebuilt by another program: raw frames of 8 bits go in and come out through pipes.

use std::io::{BufWriter, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// A program at work on frames of a clip; gives the bytes of all frames, the kept ones among them.
#[derive(Debug)]
pub(crate) struct Piped {
    name: &'static str,
    child: Child,
    output: ChildStdout,
    bytes: usize,
    left: usize,
}

impl Piped {
    /// Starts a program that gives so many `frames` of so many `bytes`. After the frames it is
    /// `given` it is sent the last one `again` so many times.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        (frames, bytes): (usize, usize),
        given: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static,
        again: usize,
    ) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let piped = Self {
            name,
            child,
            output: output.context("no pipe")?,
            bytes,
            left: frames,
        };
        let input = input.context("no pipe")?;
        // Should it fail, the program ends early, and that is told.
        thread::spawn(move || feed(input, given, again));
        Ok(piped)
    }

    fn read(&mut self) -> Result<Vec<u8>> {
        let mut data = vec![0; self.bytes];
        match self.output.read_exact(&mut data) {
            Ok(()) => Ok(data),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let mut words = String::new();
                if let Some(errors) = &mut self.child.stderr {
                    let _ = errors.read_to_string(&mut words);
                }
                bail!("{} ended too early: {}", self.name, words.trim())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read from {}", self.name)),
        }
    }
}

impl Iterator for Piped {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = self.read();
        if next.is_err() {
            self.left = 0;
        }
        Some(next)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may still be at work on frames nobody wants.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn feed(
    input: ChildStdin,
    frames: impl Iterator<Item = Result<Vec<u8>>>,
    again: usize,
) -> Result<()> {
    let mut input = BufWriter::new(input);
    let mut last = None;
    for frame in frames {
        let frame = frame?;
        input.write_all(&frame)?;
        last = Some(frame);
    }
    for frame in last.iter().cycle().take(again) {
        input.write_all(frame)?;
    }
    input.flush()?;
    Ok(())
}
