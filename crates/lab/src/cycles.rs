//! `vfi-lab cycles`: up to playing and down again, over and over, and whether anything stays behind.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use gst::prelude::*;

use crate::networks::Networks;
use crate::process::{self, Look};
use crate::watchdog::Watchdog;

/// Starts and stops a pipeline over and over, and sees whether anything stays behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// By way of which states follows from this; without it another one each time
    #[arg(long)]
    seed: Option<u64>,
}

/// How often is looked at what is left.
const LOOKS: u64 = 20;

pub(crate) fn run(args: &Args) -> Result<()> {
    let seed = process::begin(args.seed)?;
    let watchdog = Watchdog::new(format!("seed {seed}"));
    let mut rng = Rng::with_seed(seed);
    let networks = Networks::new()?;
    let text = format!(
        "videotestsrc ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 \
         ! vfiinterp execution-provider=cpu model={} ! fakesink sync=false",
        networks.sound()
    );
    let pipeline = gst::parse::launch(&text)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("no pipeline"))?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let each = args.count.div_ceil(LOOKS).max(1);
    let start = Instant::now();
    let mut looks = Vec::new();
    for cycle in 1..=args.count {
        watchdog.doing(format!("cycle {cycle}"));
        let fault = || format!("seed {seed}, cycle {cycle}");
        let cycled = cycle_once(&pipeline, &bus, &mut rng);
        pipeline.set_state(gst::State::Null)?;
        cycled.with_context(fault)?;
        if cycle % each == 0 {
            looks.push(Look::take(cycle).with_context(fault)?);
        }
    }
    let took = start.elapsed().as_secs_f64();
    print!("{}", process::table("cycles", &looks).text());
    println!("{} cycles within {took:.1} s.", args.count);
    process::judge("cycles", &looks).with_context(|| format!("seed {seed}"))
}

/// Takes the pipeline up, through any states, and down to nothing.
fn cycle_once(pipeline: &gst::Pipeline, bus: &gst::Bus, rng: &mut Rng) -> Result<()> {
    let states = [
        gst::State::Playing,
        gst::State::Paused,
        gst::State::Ready,
        gst::State::Playing,
    ];
    let (mut highest, mut flows) = (gst::State::Ready, false);
    for _ in 0..rng.u8(1..4) {
        let state = rng.choice(states).unwrap_or(gst::State::Playing);
        pipeline.set_state(state)?;
        // Half of the time data flows before the next change. That is told only once, and on the way down, or
        // to the same again, perhaps never, whatever the elements.
        if rng.bool() && state > highest && !flows {
            flows = true;
            let types = [gst::MessageType::AsyncDone, gst::MessageType::Error];
            let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &types);
            let message = message.context("no frame has come")?;
            if let gst::MessageView::Error(error) = message.view() {
                bail!("{}", error.error());
            }
        }
        highest = highest.max(state);
    }
    // Even if it has not arrived anywhere.
    pipeline.set_state(gst::State::Null)?;
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    ensure!(error.is_none(), "{error:?}");
    // Forgets all other messages.
    bus.set_flushing(true);
    bus.set_flushing(false);
    Ok(())
}
