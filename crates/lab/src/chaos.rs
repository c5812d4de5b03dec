//! `vfi-lab chaos`: everything that can happen to the element, at random and at once, and whether it stands
//! it: no original is lost, time goes forward, nothing fails, hangs or stays behind.

mod ledger;
mod rig;
mod stream;
mod values;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use gst::glib;
use gst::prelude::*;

use crate::networks::Networks;
use crate::process::{self, Counts, Look};
use crate::watchdog::Watchdog;
use rig::Rig;
use values::Values;

/// Does everything to the element that can be done, at random and at once, and sees whether it
/// stands it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Frames that go in
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,

    /// Seed that decides what is done, and to which frames; without it another one each time
    #[arg(long)]
    seed: Option<u64>,

    /// Threads that read and write properties all the while; with none, they are written between
    /// other things
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=64))]
    threads: u64,
}

/// How often everything is stopped, and what is left is looked at.
const LOOKS: u64 = 40;

/// All that takes part.
struct Chaos {
    rig: Rig,
    networks: Networks,
    values: Values,
    rng: Rng,
    watchdog: Watchdog,
    tracer: gst::Tracer,
    /// GStreamer's objects that are there, by type.
    objects: Counts,
    /// Actions done, and how often.
    done: BTreeMap<&'static str, u64>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let seed = process::begin(args.seed)?;
    let watchdog = Watchdog::new(format!("seed {seed}"));
    let mut chaos = Chaos::new(seed, &watchdog)?;
    let start = Instant::now();
    let looks = chaos
        .go(args)
        .with_context(|| format!("seed {seed} has shown a fault"))?;
    chaos.print(&looks, start.elapsed());
    process::judge("frames", &looks).with_context(|| format!("seed {seed} has shown a fault"))
}

impl Chaos {
    fn new(seed: u64, watchdog: &Watchdog) -> Result<Self> {
        let tracer = tracer()?;
        let mut rng = Rng::with_seed(seed);
        let networks = Networks::new()?;
        let rig = Rig::new(rng.fork(), watchdog)?;
        let values = Values::new(&rig.shared.element, &networks);
        Ok(Self {
            rig,
            networks,
            values,
            rng,
            watchdog: watchdog.clone(),
            tracer,
            objects: BTreeMap::new(),
            done: BTreeMap::new(),
        })
    }

    /// Lets so many frames through.
    fn go(&mut self, args: &Args) -> Result<Vec<Look>> {
        let ended = AtomicBool::new(false);
        let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
        // What threads need can't be borrowed from what this one changes.
        let element = self.rig.shared.element.clone();
        let values = Values::new(&element, &self.networks);
        // So that no property becomes nonsense while the element starts.
        let settings = RwLock::new(());
        let looks = thread::scope(|scope| {
            for _ in 0..args.threads {
                let mut rng = self.rng.fork();
                let (element, values, settings) = (&element, &values, &settings);
                let (ended, reads, writes) = (&ended, &reads, &writes);
                scope.spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        let Ok(property) = values.property(&mut rng) else {
                            return;
                        };
                        let value = values.value(property, &mut rng).filter(|_| rng.bool());
                        if let Some(value) = value {
                            let _turn = settings.read();
                            element.set_property_from_value(property.name(), &value);
                            writes.fetch_add(1, Ordering::Relaxed);
                        } else {
                            let _value = element.property_value(property.name());
                            reads.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let looks = self.steps(args, &settings);
            ended.store(true, Ordering::Relaxed);
            looks
        })?;
        if args.threads > 0 {
            println!("properties were read {reads:?} times and written {writes:?} times");
        }
        Ok(looks)
    }

    fn steps(&mut self, args: &Args, settings: &RwLock<()>) -> Result<Vec<Look>> {
        let mut looks = Vec::new();
        let each = (args.frames / LOOKS).max(1);
        self.up(settings)?;
        while self.rig.sent() < args.frames {
            let next = self.rig.sent() + self.rng.u64(1..30);
            self.watchdog.doing("waiting for frames".into());
            let sent = self.rig.wait(next)?;
            if sent >= each * (looks.len() as u64 + 1) {
                looks.push(self.look(settings)?);
            }
            self.step(args.threads == 0, settings)?;
        }
        looks.push(self.look(settings)?);
        Ok(looks)
    }

    /// Does one thing.
    fn step(&mut self, properties: bool, settings: &RwLock<()>) -> Result<()> {
        let sink = self.rig.sink.clone();
        let what = match self.rng.u32(..100) {
            0..50 if properties => {
                let property = self.values.property(&mut self.rng)?;
                let (name, value) = (property.name(), self.values.value(property, &mut self.rng));
                self.watchdog.doing(format!("setting {name} to {value:?}"));
                let element = &self.rig.shared.element;
                match value {
                    Some(value) => element.set_property_from_value(name, &value),
                    None => drop(element.property_value(name)),
                }
                "properties"
            }
            0..60 => {
                let late = self.rng.i64(-100_000_000..500_000_000);
                let time = gst::ClockTime::from_mseconds(self.rng.u64(..100_000));
                let (kind, proportion) = (gst::QOSType::Underflow, self.rng.f64() * 4.0);
                self.watchdog.doing("telling of late frames".into());
                sink.push_event(gst::event::Qos::new(kind, proportion, late, time));
                "reports of late frames"
            }
            60..72 => {
                self.seek();
                "seeks"
            }
            72..78 => {
                self.watchdog.doing("flushing".into());
                let source = &self.rig.shared.source;
                let mut still = self.rig.shared.stop(|| {
                    source.push_event(gst::event::FlushStart::new());
                });
                source.push_event(gst::event::FlushStop::new(self.rng.bool()));
                still.begin_anew()?;
                still.go();
                "flushes"
            }
            78..86 => {
                let rates = self.rng.choice([
                    "ANY",
                    "ANY",
                    "ANY",
                    "video/x-raw,framerate=60/1",
                    "video/x-raw,framerate=50/1",
                    "video/x-raw,framerate=24/1",
                    "video/x-raw,framerate={30/1,60/1}",
                    "video/x-raw,framerate=[1/1,100/1]",
                ]);
                let rates = rates.unwrap_or("ANY");
                self.watchdog.doing(format!("downstream wants {rates}"));
                self.rig.set_rates(rates.parse()?);
                "rates downstream"
            }
            86..95 => {
                self.watchdog.doing("asking".into());
                self.ask(&sink);
                "queries"
            }
            95..97 => {
                self.watchdog.doing("downstream has had enough".into());
                self.rig.sate();
                "ends downstream"
            }
            _ => {
                self.take_down()?;
                self.up(settings)?;
                "changes of state"
            }
        };
        *self.done.entry(what).or_default() += 1;
        Ok(())
    }

    /// Seeks, as downstream does that wants another part of the stream.
    fn seek(&mut self) {
        let rng = &mut self.rng;
        let mut flags = gst::SeekFlags::empty();
        flags.set(gst::SeekFlags::FLUSH, rng.u8(..3) > 0);
        flags.set(gst::SeekFlags::SEGMENT, rng.u8(..3) == 0);
        let rate = rng
            .choice([1.0, 1.0, 1.0, 2.0, 0.5, -1.0, -2.0])
            .unwrap_or(1.0);
        let start = gst::ClockTime::from_mseconds(rng.u64(..20_000));
        let length = gst::ClockTime::from_mseconds(rng.u64(..5_000));
        // Backwards it has to begin somewhere.
        let stop = Some(start + length).filter(|_| rate < 0.0 || rng.bool());
        let set = gst::SeekType::Set;
        let seek = gst::event::Seek::new(rate, flags, set, start, set, stop);
        self.watchdog.doing(format!("seeking: {seek:?}"));
        self.rig.sink.push_event(seek);
    }

    fn ask(&mut self, sink: &gst::Pad) {
        match self.rng.u8(..5) {
            0 => drop(sink.peer_query(&mut gst::query::Latency::new())),
            1 => drop(sink.peer_query_caps(None)),
            2 => drop(sink.peer_query_position::<gst::ClockTime>()),
            3 => drop(self.rig.shared.source.peer_query_caps(None)),
            _ => drop(self.rig.shared.stat("frames-in")),
        }
        if self.rng.bool() {
            let time = gst::ClockTime::from_mseconds(self.rng.u64(..200));
            sink.push_event(gst::event::Latency::new(time));
        }
    }

    /// Takes the element down to nothing, or to something between, and perhaps up and down a
    /// little.
    fn take_down(&mut self) -> Result<()> {
        let (element, sink) = (self.rig.shared.element.clone(), self.rig.sink.clone());
        let mut states = vec![self.rng.choice([gst::State::Null, gst::State::Ready])];
        if self.rng.bool() {
            states.insert(0, Some(gst::State::Paused));
        }
        let first = self.rng.bool();
        self.watchdog.doing(format!("to {states:?}"));
        let mut result = Ok(());
        let still = self.rig.shared.stop(|| {
            if first {
                // As in a pipeline; else the element is stopped while downstream is at work.
                let _ = sink.set_active(false);
            }
            for state in states.into_iter().flatten() {
                result = result.and(element.set_state(state).map(drop));
            }
        });
        // Nobody lets the source go on, until everything is up again.
        drop(still);
        sink.set_active(false)?;
        result.context("a state can't be left")
    }

    /// Takes the element up again, with properties that it can start with.
    fn up(&mut self, settings: &RwLock<()>) -> Result<()> {
        self.watchdog.doing("to playing".into());
        let _alone = settings.write();
        let element = &self.rig.shared.element;
        for (name, value) in [
            ("model", self.networks.sound()),
            ("model-info", ""),
            ("model-family", "auto"),
            ("upscale", "auto"),
            ("execution-provider", "cpu"),
            ("device", "0"),
            ("precision", "auto"),
            ("memory-limit", "0"),
        ] {
            element.set_property_from_str(name, value);
        }
        self.rig.set_live(self.rng.u8(..4) > 0);
        // Everything may be far too late, or early.
        let now = element
            .clock()
            .map_or(gst::ClockTime::ZERO, |clock| clock.time());
        let base = gst::ClockTime::from_mseconds(self.rng.u64(..100_000));
        element.set_base_time(now.saturating_sub(base));
        let mut still = self.rig.shared.stop(|| {});
        self.rig.sink.set_active(true)?;
        let playing = element.set_state(gst::State::Playing);
        playing.context("it does not start")?;
        // The source's pad has sent all this to nobody.
        self.rig.shared.source.set_active(false)?;
        self.rig.shared.source.set_active(true)?;
        still.begin_anew()?;
        still.go();
        Ok(())
    }

    /// Stops everything, and looks at what is left; goes on afterwards.
    fn look(&mut self, settings: &RwLock<()>) -> Result<Look> {
        self.take_down()?;
        let _alone = settings.write();
        self.watchdog.doing("looking at what is left".into());
        let (element, source) = (&self.rig.shared.element, &self.rig.shared.source);
        element.set_state(gst::State::Null)?;
        source.set_active(false)?;
        let left = self.rig.shared.alive.count();
        ensure!(left == 0, "{left} frames are still held by somebody");
        let mut look = Look::take(self.rig.sent())?;
        // only now: a task's thread holds the task for a moment after whoever stopped it has gone on
        account(&self.tracer, &mut self.objects)?;
        look.objects = self.objects.clone();
        drop(_alone);
        self.up(settings)?;
        Ok(look)
    }

    fn print(&self, looks: &[Look], took: Duration) {
        print!("{}", process::table("frames", looks).text());
        let out = lock(&self.rig.shared.ledger).out;
        println!(
            "{} frames went in, {} originals and {} others came out, within {:.0} s; {} warnings.",
            self.rig.sent(),
            out.originals,
            out.others,
            took.as_secs_f64(),
            self.rig.warnings()
        );
        println!("What was done: {:?}", self.done);
    }
}

/// Returns GStreamer's own tracer of what is made and not freed. It sees what is made from here on.
fn tracer() -> Result<gst::Tracer> {
    let factories = gst::TracerFactory::factories();
    let factory = factories.iter().find(|factory| factory.name() == "leaks");
    let factory = factory.context("GStreamer has no tracer of leaks")?.clone();
    let factory = factory.load()?.downcast::<gst::TracerFactory>();
    let factory = factory.map_err(|_| anyhow::anyhow!("no factory of tracers"))?;
    let tracer = glib::Object::with_type(factory.tracer_type());
    let tracer = tracer
        .downcast::<gst::Tracer>()
        .map_err(|other| anyhow::anyhow!("{other:?} is no tracer"))?;
    tracer.emit_by_name::<()>("activity-start-tracking", &[]);
    Ok(tracer)
}

/// Adds GStreamer's objects that were made since the last time, by type, and takes off those that
/// are gone.
fn account(tracer: &gst::Tracer, counts: &mut Counts) -> Result<()> {
    let checkpoint = tracer.emit_by_name::<gst::Structure>("activity-get-checkpoint", &[]);
    for (list, each) in [("objects-created-list", 1), ("objects-removed-list", -1)] {
        for object in checkpoint.get::<gst::List>(list)?.iter() {
            let object = object.get::<gst::Structure>()?;
            *counts.entry(object.get("type-name")?).or_default() += each;
        }
    }
    Ok(())
}
