//! The way of a frame: shrunk and prepared once, a new one estimated and made for each phase.

mod deferred;
mod frame;
mod host;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use gst_video::VideoFrameRef;
use host::Host;
use transfer::copier;

use self::frame::PreparedPicture;
use super::cuda::{self, Copier};
use super::log::CAT;
use super::quality::run_limit::{self, RunLimit};
use super::scene::thumbnail::Thumbnail;
use super::settings::{Look, Settings, Upscale};
use crate::frames::{self, FrameLayout, Motion, Sampling, readable, writable};
use crate::models::device::{self, Outcome};
use crate::models::memory::{Clears, Reason, Usage};
use crate::models::{
    Interpolator, ModelError, ModelInfo, ModelKind, RunCanceller, SizedSession, Specialise, WarmUp,
};
use crate::vfi_element::error::{Failure, not_ready};
use crate::vfi_element::stats::Times;

pub(super) use self::deferred::Finish;
pub(super) use self::frame::{Frame, MakeReady, NetworkInput, Ready};

/// A network together with all that its frames need at the current size and settings.
pub(super) struct Engine {
    interpolator: Interpolator,
    stage: Option<Stage>,
    /// Storage of a frame that is gone, for the next one.
    spare: Thumbnail,
    /// Which GPU is meant.
    device: i32,
    /// Copier of frames in CUDA's memory; made with the first one.
    copier: Option<Arc<Copier>>,
    /// Warm-up that is to be run once, now that the size is known.
    warm_up: Option<WarmUp>,
    /// Session that could be made for faster runs at this size, and the number of pairs until that
    /// begins.
    fitting: Option<(Specialise, u32)>,
    /// Durations of runs under the current configuration.
    runs: RunLimit,
    /// Whether it has made a frame.
    works: bool,
}

/// Number of pairs of one size after which a session for that size is made. By then a change of
/// effort has come to rest.
const SETTLED: u32 = 30;

/// Parts of the engine that depend on caps and settings.
struct Stage {
    info: gst_video::VideoInfo,
    look: Look,
    layout: FrameLayout,
    way: Way,
    generation: u64,
}

/// Place where frames are made ready and made.
enum Way {
    /// On the host, the network wherever it is.
    Host(Box<Host>),
    /// Where the network is.
    Device(Box<device::DevicePipeline>),
}

/// Number of the next configuration, which tells frames prepared under one configuration of one
/// engine from all others.
static GENERATION: AtomicU64 = AtomicU64::new(0);

impl Engine {
    /// An engine without a stage: [`Engine::configure`] comes before the first frame.
    pub(super) fn new(interpolator: Interpolator) -> Self {
        Self {
            interpolator,
            stage: None,
            spare: Thumbnail::default(),
            device: 0,
            copier: None,
            warm_up: None,
            fitting: None,
            runs: RunLimit::default(),
            works: false,
        }
    }

    /// Returns facts about the network: its kind, and where it runs.
    pub(super) fn info(&self) -> &ModelInfo {
        self.interpolator.info()
    }

    /// Stops a run from another thread.
    pub(super) fn canceller(&self) -> RunCanceller {
        self.interpolator.canceller()
    }

    /// Fits the engine to the caps and settings, the network seeing pictures of this `size`;
    /// nothing happens if they are the same as before.
    ///
    /// # Errors
    /// An error that says what does not go together, and why. Where memory lacks, frames can't be
    /// made until this succeeds.
    pub(super) fn configure(
        &mut self,
        info: &gst_video::VideoInfo,
        settings: &Settings,
        size: (usize, usize),
    ) -> Result<(), Failure> {
        self.interpolator
            .set_bisection_depth(settings.bisection_depth);
        self.device = settings.at_start.device;
        let look = settings.look(size);
        let configured = self.stage.as_ref();
        if configured.is_some_and(|stage| stage.info == *info && stage.look == look) {
            return Ok(());
        }
        let model = self.interpolator.info();
        if look.upscale == Upscale::Motion && model.kind != ModelKind::Motion {
            let why = model
                .notes
                .iter()
                .find_map(|n| n.strip_prefix("no motion: "));
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            let name = &model.name;
            return Err(Failure::Failed(anyhow!(
                "upscale=motion needs a model that gives motion, {name} gives only a picture{why}: use upscale=auto or image"
            )));
        }
        let layout = FrameLayout::new(info)?;
        // motion is what keeps colours and alpha together, so it is taken where there is any
        let pictures = match model.kind {
            ModelKind::Motion => look.upscale == Upscale::Image && !layout.has_alpha(),
            ModelKind::Picture => true,
        };
        let resized = configured.is_none_or(|stage| stage.look.size != look.size);
        // what the other size needed goes first
        self.stage = None;
        self.runs = RunLimit::default();
        if resized {
            let fitting = self.interpolator.fit(look.size);
            self.fitting = fitting.map(|fitting| (fitting, SETTLED));
        }
        let apart = pictures && layout.has_alpha();
        let way = self.way(info, &look, pictures, apart)?;
        self.warm_up = match &way {
            Way::Host(_) if !resized => None,
            _ => self.interpolator.warm_up(look.size),
        };
        if let (Some(warm_up), Way::Device(device)) = (&mut self.warm_up, &way) {
            device.attend(warm_up);
        }
        self.stage = Some(Stage {
            layout,
            way,
            info: info.clone(),
            look,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        });
        Ok(())
    }

    /// Returns where frames like these are to be made: where the network is, if that is not the
    /// host. Pictures whose alpha is another picture, `apart`, are made on the host.
    fn way(
        &self,
        info: &gst_video::VideoInfo,
        look: &Look,
        pictures: bool,
        apart: bool,
    ) -> Result<Way, Failure> {
        if self.is_on_device() && !apart {
            let stage = device::Look {
                size: look.size,
                cells: Thumbnail::cells(look.size),
                downscale: look.downscale_method,
                upscale: look.upscale_method,
                pictures,
            };
            match device::DevicePipeline::new(&self.interpolator, info, &stage) {
                Ok(stage) => return Ok(Way::Device(Box::new(stage))),
                Err(error @ (ModelError::Memory { .. } | ModelError::Cancelled)) => {
                    return Err(error.into());
                }
                Err(error) => gst::warning!(CAT, "frames are made on the host: {error}"),
            }
        }
        Ok(Way::Host(Box::new(Host::new(info, look, pictures)?)))
    }

    /// Whether the network's values lie where the host does not reach them.
    fn is_on_device(&self) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::is_device_forced() {
            return true;
        }
        self.info().provider.is_gpu()
    }

    /// Returns where frames are made: `host` or `device`, or an empty string if it isn't known yet.
    pub(super) fn place(&self) -> &'static str {
        match self.stage.as_ref().map(|stage| &stage.way) {
            Some(Way::Host(_)) => "host",
            Some(Way::Device(_)) => "device",
            None => "",
        }
    }

    /// Takes the warm-up that is to be run once on another thread, after a change of size.
    pub(super) fn take_warm_up(&mut self) -> Option<WarmUp> {
        self.warm_up.take()
    }

    /// Counts a pair that is done, and returns the session that is to be made now, on another
    /// thread, for faster runs.
    pub(super) fn settle(&mut self) -> Option<Specialise> {
        let (_, wait) = self.fitting.as_mut()?;
        *wait = wait.saturating_sub(1);
        let (fitting, _) = self.fitting.take_if(|(_, wait)| *wait == 0)?;
        Some(fitting)
    }

    /// Adopts the session that was made for faster runs, if any came of it.
    pub(super) fn fit(&mut self, fitted: Option<SizedSession>) {
        self.interpolator.adopt(fitted);
        self.runs = RunLimit::default();
    }

    /// Records a run that has gone well, and how long it took.
    pub(super) fn note_run(&mut self, took: Duration) {
        self.works = true;
        self.runs.add(took);
    }

    /// Whether it has ever made a frame.
    pub(super) fn has_worked(&self) -> bool {
        self.works
    }

    /// Returns how long the next run may take; `None` for the first one under a configuration.
    pub(super) fn patience(&self) -> Option<Duration> {
        #[cfg(feature = "faults")]
        if let Some(least) = crate::faults::patience() {
            return self.runs.limit(least);
        }
        self.runs.limit(run_limit::LEAST)
    }

    /// Gives up what frames are made with, as none is made for a while.
    pub(super) fn rest(&mut self) {
        (self.stage, self.warm_up, self.fitting) = (None, None, None);
        self.spare = Thumbnail::default();
        self.interpolator.clear(Reason::Pressure);
    }

    /// Returns the number of the current configuration, which no earlier one had, if there is one.
    pub(super) fn generation(&self) -> Option<u64> {
        self.stage.as_ref().map(|stage| stage.generation)
    }

    /// Gives memory that is kept for later back, that of the network with its next run.
    pub(super) fn clear(&mut self, reason: Reason) {
        match self.stage.as_mut().map(|stage| &mut stage.way) {
            Some(Way::Host(host)) => host.clear(reason),
            Some(Way::Device(stage)) => stage.clear(reason),
            None => {}
        }
        self.interpolator.clear(reason);
    }

    /// Returns how often memory was given back since this was last asked.
    pub(super) fn take_clears(&mut self) -> Clears {
        self.interpolator.take_clears()
    }

    /// Returns the memory that the network's session holds, if the runtime tells.
    pub(super) fn usage(&self) -> Option<Usage> {
        let beside = match &self.stage.as_ref()?.way {
            Way::Host(_) => None,
            Way::Device(device) => device.usage(),
        };
        let usages = [self.interpolator.usage(), beside];
        usages.into_iter().flatten().reduce(std::ops::Add::add)
    }

    /// Makes the frame at `phase` between `a` and `b` in `out`, a buffer of the configured caps.
    pub(super) fn synthesise(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        phase: f64,
        out: &mut gst::BufferRef,
    ) -> Result<Times, Failure> {
        let start = Instant::now();
        self.prepare(a)?;
        self.prepare(b)?;
        let (Some(stage), Some(small_a), Some(small_b)) = (&mut self.stage, &a.small, &b.small)
        else {
            return Err(not_ready());
        };
        let shrunk = Instant::now();
        let (from_a, from_b, info) = (&a.buffer, &b.buffer, &stage.info);
        let interpolator = &mut self.interpolator;
        let estimated = match (&mut stage.way, &small_a.made, &small_b.made) {
            (Way::Host(host), PreparedPicture::Host(a), PreparedPicture::Host(b)) => {
                let alpha = Host::estimate_alpha(interpolator, [a, b], phase as f32)?;
                let estimate = interpolator.estimate(&a.prepared, &b.prepared, phase as f32)?;
                let estimated = Instant::now();
                let (from_a, from_b) = (readable(from_a, info)?, readable(from_b, info)?);
                let frames = [(&**a, &from_a), (&**b, &from_b)];
                let mut out = writable(out, info)?;
                let estimate = (estimate, phase as f32);
                host.synthesise(&stage.layout, frames, estimate, alpha.as_ref(), &mut out)?;
                estimated
            }
            (Way::Device(device), PreparedPicture::Device(a), PreparedPicture::Device(b)) => {
                let outcome = device.estimate(interpolator, a, b, phase as f32)?;
                let estimated = Instant::now();
                match outcome {
                    Outcome::Found => {
                        let task = device.finish(interpolator, [a, b])?;
                        let copier = copier(&mut self.copier, self.device, out)?;
                        transfer::finish(task, copier.as_deref(), &stage.layout, info, out)?;
                    }
                    Outcome::First => copy(&readable(from_a, info)?, &mut writable(out, info)?)?,
                    Outcome::Second => copy(&readable(from_b, info)?, &mut writable(out, info)?)?,
                }
                estimated
            }
            _ => return Err(not_ready()),
        };
        Ok(Times {
            shrink: shrunk - start,
            estimate: estimated - shrunk,
            synthesise: estimated.elapsed(),
        })
    }

    /// Returns by how much two frames differ where they differ most: see [`frames::difference`].
    /// `None` also where there was no memory to get ready for any.
    pub(super) fn difference(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, Failure> {
        let Some(stage) = &self.stage else {
            return Ok(None);
        };
        if matches!(stage.way, Way::Device(_)) && cuda::holds(&a.buffer) && cuda::holds(&b.buffer) {
            return self.device_difference(a, b, limit);
        }
        let (a, b) = (
            readable(&a.buffer, &stage.info)?,
            readable(&b.buffer, &stage.info)?,
        );
        let (a, b) = (stage.layout.planes(&a)?, stage.layout.planes(&b)?);
        Ok(frames::difference(&a, &b, limit))
    }

    /// Lays `b` over `a` in `out`, as much as `phase` says, in the frames' own format.
    pub(super) fn crossfade(
        &self,
        a: &Frame,
        b: &Frame,
        phase: f64,
        out: &mut gst::BufferRef,
    ) -> Result<(), Failure> {
        let Some(stage) = &self.stage else {
            return Err(not_ready());
        };
        let (a, b) = (
            readable(&a.buffer, &stage.info)?,
            readable(&b.buffer, &stage.info)?,
        );
        let mut out = writable(out, &stage.info)?;
        let standing = Motion {
            width: 1,
            height: 1,
            cover_x: 1.0,
            cover_y: 1.0,
            unit: 1.0,
            flow: &[0.0; 4],
            mask: &[1.0 - phase as f32],
        };
        frames::synthesise(
            &stage.layout.planes(&a)?,
            &stage.layout.planes(&b)?,
            &standing,
            Sampling::Bilinear,
            &mut stage.layout.planes_mut(&mut out)?,
        )?;
        Ok(())
    }
}

/// Copies an original, alpha included, where nothing nearer can be made.
fn copy(
    original: &VideoFrameRef<&gst::BufferRef>,
    out: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> anyhow::Result<()> {
    original.copy(out).context("a frame can't be copied")
}
