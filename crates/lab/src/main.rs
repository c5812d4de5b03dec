//! The project's laboratory: measures what the element does, through the element.
//!
//! ```text
//! cargo run --release -p vfi-lab -- quality holiday.mp4 match.mkv --table quality.md
//! ```

mod align;
mod bare;
mod bench;
mod beside;
mod chaos;
mod child;
mod clip;
mod compare;
mod content;
mod cycles;
mod element;
mod luma;
mod methods;
mod metrics;
mod networks;
mod pace;
mod page;
mod process;
mod profile;
mod quality;
mod scene;
mod slow;
mod speed;
mod table;
mod watchdog;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures what vfiinterp's synthesised frames are worth.
#[derive(Debug, Parser)]
#[command(name = "vfi-lab", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drops frames of clips, rebuilds them, and compares them with the true ones
    /// Drops frames of clips, rebuilds them, and compares them with the true ones
    Quality(quality::Args),
    /// Runs a matrix of settings on clips, and shows and measures what comes of it
    Compare(compare::Args),
    /// Asks for more than the machine can do, and tells what becomes of frames, latency and memory
    Overload(pace::Overload),
    /// Runs a long stream, and tells whether memory or latency grow
    Soak(pace::Soak),
    /// Does everything to the element that can be done, at random, and sees whether it stands it
    Chaos(chaos::Args),
    /// Starts and stops a pipeline over and over, and sees whether anything stays behind
    Cycles(cycles::Args),
    /// Looks for cuts and still pictures in clips, and compares with labels
    Content(content::Args),
    /// Measures how long a synthesised frame takes, and where the time goes
    Speed(speed::Args),
    /// Measures this machine at a fixed set of sizes and networks, for an issue
    Bench(bench::Args),
    /// Tells where the time goes in a pipeline, and what to change
    Profile(profile::Args),
    /// Matches each frame of a file with a place in another, and tells drift, stutters and repeats
    Align(align::Args),
}

/// Makes GStreamer ready, with this very tree's element in it.
fn init() -> Result<()> {
    gst::init()?;
    gstvfiinterp::plugin_register_static()?;
    Ok(())
}

fn run(args: &Args) -> Result<ExitCode> {
    init()?;
    match &args.command {
        Command::Align(args) => return align::run(args),
        Command::Quality(args) => quality::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Overload(args) => pace::overload(args),
        Command::Soak(args) => pace::soak(args),
        Command::Chaos(args) => chaos::run(args),
        Command::Cycles(args) => cycles::run(args),
        Command::Content(args) => content::run(args),
        Command::Speed(args) => speed::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Bench(args) => bench::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vfi-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
