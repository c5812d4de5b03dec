//! Networks for vfiinterp: lists, explains, fetches and converts them.
//!
//! ```text
//! vfi-models list
//! vfi-models fetch rife-4.25
//! vfi-models info mine.onnx
//! vfi-models convert flownet.pkl mine.onnx
//! ```

mod archive;
mod convert;
mod download;
mod fetch;
mod info;
mod list;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Lists, explains, fetches and converts networks for vfiinterp.
#[derive(Debug, Parser)]
#[command(name = "vfi-models", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the networks that have names, and where they are
    List,
    /// Says what a network is taken for, and why
    Info(info::Args),
    /// Fetches a well-known network
    Fetch(fetch::Args),
    /// Makes an ONNX file of published weights, with Python
    Convert(convert::Args),
}

fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::List => list::run(),
        Command::Info(args) => info::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Convert(args) => convert::run(args),
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vfi-models: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{bytes} bytes"),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
