//! The way of a frame: shrunk and prepared once, a new one estimated and made for each phase.

mod format;
mod frame;
mod host;
mod synthesis;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;

use self::format::FrameFormat;
use self::frame::PreparedPicture;
use self::host::Host;
use super::cuda::{self, Copier};
use super::log::CAT;
use super::quality::run_limit::{self, RunLimit};
use super::scene::thumbnail::Thumbnail;
use super::settings::{Look, Settings, Upscale};
use crate::frames::{self, FrameLayout, readable};
use crate::models::device::{DevicePipeline, PipelineOptions};
use crate::models::memory::{Clears, Reason, Usage};
use crate::models::{
    Interpolator, ModelError, ModelInfo, ModelKind, RunCanceller, SizedSession, Specialise, WarmUp,
};
use crate::vfi_element::error::Failure;

pub(super) use self::frame::{Frame, MakeReady, NetworkInput, Ready};
pub(super) use self::synthesis::UnfinishedFrame;

/// A network together with all that its frames need at the current size and settings.
pub(super) struct Engine {
    interpolator: Interpolator,
    configured: Option<Configured>,
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
struct Configured {
    format: Arc<FrameFormat>,
    look: Look,
    backend: Backend,
    generation: u64,
}

/// Place where frames are made ready and made.
enum Backend {
    /// On the host, the network wherever it is.
    Host(Box<Host>),
    /// Where the network is.
    Device(Box<DevicePipeline>),
}

/// Number of the next configuration, which tells frames prepared under one configuration of one
/// engine from all others.
static GENERATION: AtomicU64 = AtomicU64::new(0);

impl Engine {
    /// Creates an engine that is not configured: [`Engine::configure`] comes before the first frame.
    pub(super) fn new(interpolator: Interpolator) -> Self {
        Self {
            interpolator,
            configured: None,
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
        let configured = self.configured.as_ref();
        if configured.is_some_and(|before| before.format.info == *info && before.look == look) {
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
        let resized = configured.is_none_or(|before| before.look.size != look.size);
        // what the other size needed goes first
        self.configured = None;
        self.runs = RunLimit::default();
        if resized {
            let fitting = self.interpolator.fit(look.size);
            self.fitting = fitting.map(|fitting| (fitting, SETTLED));
        }
        let has_alpha_picture = pictures && layout.has_alpha();
        let backend = self.start_backend(info, &look, pictures, has_alpha_picture)?;
        self.warm_up = match &backend {
            Backend::Host(_) if !resized => None,
            _ => self.interpolator.warm_up(look.size),
        };
        if let (Some(warm_up), Backend::Device(device)) = (&mut self.warm_up, &backend) {
            device.join_warm_up(warm_up);
        }
        let info = info.clone();
        self.configured = Some(Configured {
            format: Arc::new(FrameFormat { info, layout }),
            look,
            backend,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        });
        Ok(())
    }

    /// Starts what makes frames like these: where the network is, if that is not the host. Pictures
    /// whose alpha is another picture are made on the host.
    fn start_backend(
        &self,
        info: &gst_video::VideoInfo,
        look: &Look,
        pictures: bool,
        has_alpha_picture: bool,
    ) -> Result<Backend, Failure> {
        if self.is_on_device() && !has_alpha_picture {
            let options = PipelineOptions {
                size: look.size,
                cells: Thumbnail::cells(look.size),
                downscale: look.downscale_method,
                upscale: look.upscale_method,
                pictures,
            };
            match DevicePipeline::new(&self.interpolator, info, &options) {
                Ok(pipeline) => return Ok(Backend::Device(Box::new(pipeline))),
                Err(error @ (ModelError::Memory { .. } | ModelError::Cancelled)) => {
                    return Err(error.into());
                }
                Err(error) => gst::warning!(CAT, "frames are made on the host: {error}"),
            }
        }
        Ok(Backend::Host(Box::new(Host::new(info, look, pictures)?)))
    }

    /// Returns whether the network's values lie where the host does not reach them.
    fn is_on_device(&self) -> bool {
        #[cfg(feature = "faults")]
        if crate::faults::is_device_forced() {
            return true;
        }
        self.info().provider.is_gpu()
    }

    /// Returns where frames are made: `host` or `device`, or an empty string if it isn't known yet.
    pub(super) fn place(&self) -> &'static str {
        match self.configured.as_ref().map(|c| &c.backend) {
            Some(Backend::Host(_)) => "host",
            Some(Backend::Device(_)) => "device",
            None => "",
        }
    }

    /// Takes the warm-up that is to be run once on another thread, after a change of size.
    pub(super) fn take_warm_up(&mut self) -> Option<WarmUp> {
        self.warm_up.take()
    }

    /// Counts a pair that is done, and returns the session that is to be made now, on another
    /// thread, for faster runs.
    pub(super) fn count_pair(&mut self) -> Option<Specialise> {
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

    /// Returns whether it has ever made a frame.
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
        (self.configured, self.warm_up, self.fitting) = (None, None, None);
        self.spare = Thumbnail::default();
        self.interpolator.clear(Reason::Pressure);
    }

    /// Returns the number of the current configuration, which no earlier one had, if there is one.
    pub(super) fn generation(&self) -> Option<u64> {
        self.configured.as_ref().map(|c| c.generation)
    }

    /// Gives memory that is kept for later back, that of the network with its next run.
    pub(super) fn clear(&mut self, reason: Reason) {
        match self.configured.as_mut().map(|c| &mut c.backend) {
            Some(Backend::Host(host)) => host.clear(reason),
            Some(Backend::Device(pipeline)) => pipeline.clear(reason),
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
        let beside = match &self.configured.as_ref()?.backend {
            Backend::Host(_) => None,
            Backend::Device(device) => device.usage(),
        };
        let usages = [self.interpolator.usage(), beside];
        usages.into_iter().flatten().reduce(std::ops::Add::add)
    }

    /// Returns by how much two frames differ where they differ most: see [`frames::difference`].
    /// `None` also where there was no memory to get ready for any.
    pub(super) fn difference(
        &mut self,
        a: &mut Frame,
        b: &mut Frame,
        limit: f64,
    ) -> Result<Option<f64>, Failure> {
        let Some(Configured {
            format, backend, ..
        }) = &self.configured
        else {
            return Ok(None);
        };
        if matches!(backend, Backend::Device(_)) && cuda::holds(&a.buffer) && cuda::holds(&b.buffer)
        {
            return self.device_difference(a, b, limit);
        }
        let FrameFormat { info, layout } = &**format;
        let (a, b) = (readable(&a.buffer, info)?, readable(&b.buffer, info)?);
        let (a, b) = (layout.planes(&a)?, layout.planes(&b)?);
        Ok(frames::difference(&a.get(), &b.get(), limit))
    }
}
