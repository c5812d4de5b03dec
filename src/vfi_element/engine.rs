//! The way of a frame: shrunk and prepared once, a new one estimated and made for each phase.

mod apart;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

pub(super) use self::apart::Finish;
use super::content::Thumbnail;
use super::settings::{Look, Settings, Upscale};
use crate::frames::{self, Enlarger, FrameError, FrameLayout, Motion, Picture, Sampling, Shrinker};
use crate::models::memory::{Clears, Reason, Usage};
use crate::models::{
    Canceller, Estimate, Fitted, Fitting, Interpolator, ModelError, ModelInfo, ModelKind, Prepared,
    WarmUp,
};

/// An input frame and what the network needs of it, made when it is first needed.
#[derive(Debug)]
pub(super) struct Frame {
    /// The original.
    pub buffer: gst::Buffer,
    small: Option<Small>,
}

#[derive(Debug)]
struct Small {
    picture: Picture,
    prepared: Prepared,
    thumbnail: Thumbnail,
    /// The configuration it was made under.
    generation: u64,
}

impl Frame {
    /// A frame nothing has been made of yet.
    pub(super) fn new(buffer: gst::Buffer) -> Self {
        Self {
            buffer,
            small: None,
        }
    }
}

/// Why a frame could not be made.
#[derive(Debug)]
pub(super) enum Failure {
    /// The run was cancelled, as a flush or a stop does.
    Cancelled,
    /// Memory could not be had.
    Memory(String),
    /// Anything else; the text says what.
    Failed(anyhow::Error),
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Failure::Cancelled,
            ModelError::Memory { .. } => Failure::Memory(error.to_string()),
            error => Failure::Failed(error.into()),
        }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NoMemory { .. } => Failure::Memory(error.to_string()),
            error => Failure::Failed(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

/// How long the phases of one synthesised frame took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// Shrinking and preparing the pair, as far as that was not done before.
    pub shrink: Duration,
    /// The network.
    pub estimate: Duration,
    /// Making the full-size frame.
    pub synthesise: Duration,
}

/// A network together with all that its frames need at the current size and settings.
pub(super) struct Engine {
    interpolator: Interpolator,
    stage: Option<Stage>,
    /// Storage of a frame that is gone, for the next one.
    spare: Option<Small>,
    /// What is to be run once, now that the size is known.
    warm_up: Option<WarmUp>,
    /// What could be made to make runs faster at this size, and after how many more pairs that begins.
    fitting: Option<(Fitting, u32)>,
}

/// After how many pairs of one size a session for that size is made. By then a change of effort has
/// come to rest; and programs that wait with playing while something is in progress are playing.
const SETTLED: u32 = 30;

/// What depends on caps and settings.
struct Stage {
    info: gst_video::VideoInfo,
    look: Look,
    layout: FrameLayout,
    shrinker: Shrinker,
    /// For what is made as a picture; without it full-size frames are warped.
    enlarger: Option<Enlarger>,
    generation: u64,
}

/// Tells what was prepared under one configuration of one engine from all others.
static GENERATION: AtomicU64 = AtomicU64::new(0);

impl Times {
    /// The element's own work.
    pub(super) fn own(&self) -> Duration {
        self.shrink + self.synthesise
    }
}

impl Engine {
    /// An engine without a stage: [`Engine::configure`] comes before the first frame.
    pub(super) fn new(interpolator: Interpolator) -> Self {
        Self {
            interpolator,
            stage: None,
            spare: None,
            warm_up: None,
            fitting: None,
        }
    }

    /// What the network is and where it runs.
    pub(super) fn info(&self) -> &ModelInfo {
        self.interpolator.info()
    }

    /// Stops a run from another thread.
    pub(super) fn canceller(&self) -> Canceller {
        self.interpolator.canceller()
    }

    /// Fits the engine to the caps and settings, the network seeing pictures of this `size`;
    /// nothing happens if they are the same as before.
    ///
    /// # Errors
    /// What does not go together, and why. Where memory lacks, frames can't be made until this
    /// succeeds.
    pub(super) fn configure(
        &mut self,
        info: &gst_video::VideoInfo,
        settings: &Settings,
        size: (usize, usize),
    ) -> Result<(), Failure> {
        self.interpolator
            .set_bisection_depth(settings.bisection_depth);
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
        let (width, height) = look.size;
        let pictures = look.upscale == Upscale::Image || model.kind != ModelKind::Motion;
        let resized = configured.is_none_or(|stage| stage.look.size != look.size);
        // what the other size needed goes first
        (self.stage, self.spare) = (None, None);
        if resized {
            self.warm_up = self.interpolator.warm_up(look.size);
            let fitting = self.interpolator.fit(look.size);
            self.fitting = fitting.map(|fitting| (fitting, SETTLED));
        }
        self.stage = Some(Stage {
            layout: FrameLayout::new(info)?,
            shrinker: Shrinker::new(info, width, height, look.downscale_method)?,
            enlarger: pictures
                .then(|| Enlarger::new(info, width, height, look.upscale_method))
                .transpose()?,
            info: info.clone(),
            look,
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        });
        Ok(())
    }

    /// What is to be run once on another thread, after a change of size.
    pub(super) fn take_warm_up(&mut self) -> Option<WarmUp> {
        self.warm_up.take()
    }

    /// A pair is done. What is to be made now, on another thread, to make runs faster.
    pub(super) fn settle(&mut self) -> Option<Fitting> {
        let (_, wait) = self.fitting.as_mut()?;
        *wait = wait.saturating_sub(1);
        let (fitting, _) = self.fitting.take_if(|(_, wait)| *wait == 0)?;
        Some(fitting)
    }

    /// Takes what came of it.
    pub(super) fn fit(&mut self, fitted: Option<Fitted>) {
        self.interpolator.adopt(fitted);
    }

    /// Has memory that is kept for later given back, that of the network with its next run.
    pub(super) fn clear(&mut self, reason: Reason) {
        if reason == Reason::Pressure {
            self.spare = None;
        }
        self.interpolator.clear(reason);
    }

    /// How often memory was given back since this was last asked.
    pub(super) fn take_clears(&mut self) -> Clears {
        self.interpolator.take_clears()
    }

    /// What the network's session holds, if the runtime tells.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.interpolator.usage()
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
        let estimate =
            self.interpolator
                .estimate(&small_a.prepared, &small_b.prepared, phase as f32)?;
        let estimated = Instant::now();

        let frame_a = readable(&a.buffer, &stage.info)?;
        let frame_b = readable(&b.buffer, &stage.info)?;
        let mut frame_out = writable(out, &stage.info)?;
        let picture = match (estimate, &mut stage.enlarger) {
            (Estimate::Motion(motion), None) => {
                frames::synthesise(
                    &stage.layout.planes(&frame_a)?,
                    &stage.layout.planes(&frame_b)?,
                    &motion,
                    stage.look.upscale_method.into(),
                    &mut stage.layout.planes_mut(&mut frame_out)?,
                )?;
                None
            }
            (Estimate::Motion(motion), Some(enlarger)) => {
                let (a, b) = (&small_a.picture, &small_b.picture);
                let sampling = stage.look.upscale_method.into();
                let picture = Picture::between(a, b, &motion, sampling)?;
                Some((enlarger, Cow::Owned(picture)))
            }
            (Estimate::Picture(picture), Some(enlarger)) => {
                Some((enlarger, Cow::Borrowed(picture)))
            }
            (Estimate::First, _) => copy(&frame_a, &mut frame_out)?,
            (Estimate::Second, _) => copy(&frame_b, &mut frame_out)?,
            (Estimate::Picture(_), None) => {
                return Err(anyhow!("a picture where motion was expected").into());
            }
        };
        if let Some((enlarger, picture)) = picture {
            enlarger.enlarge(&picture, &mut frame_out)?;
            frames::blend_alpha(&stage.layout, &frame_a, &frame_b, phase, &mut frame_out)?;
        }
        Ok(Times {
            shrink: shrunk - start,
            estimate: estimated - shrunk,
            synthesise: estimated.elapsed(),
        })
    }

    /// By how much two frames differ where they differ most: see [`frames::difference`]. `None` also
    /// where there was no memory to get ready for any.
    pub(super) fn difference(
        &self,
        a: &Frame,
        b: &Frame,
        limit: f64,
    ) -> Result<Option<f64>, Failure> {
        let Some(stage) = &self.stage else {
            return Ok(None);
        };
        let (a, b) = (
            readable(&a.buffer, &stage.info)?,
            readable(&b.buffer, &stage.info)?,
        );
        let (a, b) = (stage.layout.planes(&a)?, stage.layout.planes(&b)?);
        Ok(frames::difference(&a, &b, limit))
    }

    /// Makes what the network needs of two frames, and gives their thumbnails.
    pub(super) fn prepare_pair<'f>(
        &mut self,
        a: &'f mut Frame,
        b: &'f mut Frame,
    ) -> Result<(&'f Thumbnail, &'f Thumbnail), Failure> {
        self.prepare(a)?;
        self.prepare(b)?;
        match (&a.small, &b.small) {
            (Some(a), Some(b)) => Ok((&a.thumbnail, &b.thumbnail)),
            _ => Err(not_ready()),
        }
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

    /// Takes back the storage of a frame that is no longer needed.
    pub(super) fn recycle(&mut self, frame: Frame) {
        self.spare = frame.small.or(self.spare.take());
    }

    fn prepare(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        let Some(stage) = &mut self.stage else {
            return Err(not_ready());
        };
        if frame
            .small
            .as_ref()
            .is_some_and(|small| small.generation == stage.generation)
        {
            return Ok(());
        }
        let mut small = self.spare.take().unwrap_or_else(|| Small {
            picture: Picture::default(),
            prepared: Prepared::default(),
            thumbnail: Thumbnail::default(),
            generation: stage.generation,
        });
        small.generation = stage.generation;
        let mapped = readable(&frame.buffer, &stage.info)?;
        stage.shrinker.shrink(&mapped, &mut small.picture)?;
        self.interpolator
            .prepare(&small.picture, &mut small.prepared)?;
        small.thumbnail.set(&small.picture);
        frame.small = Some(small);
        Ok(())
    }
}

/// There are no caps, or there was no memory to get ready for frames of them.
fn not_ready() -> Failure {
    Failure::Memory("nothing is ready to make frames with".into())
}

/// Copies an original, alpha included, where nothing nearer can be made.
fn copy<T>(
    original: &gst_video::VideoFrameRef<&gst::BufferRef>,
    out: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
) -> anyhow::Result<Option<T>> {
    original.copy(out).context("a frame can't be copied")?;
    Ok(None)
}

fn readable<'a>(
    buffer: &'a gst::Buffer,
    info: &'a gst_video::VideoInfo,
) -> anyhow::Result<gst_video::VideoFrameRef<&'a gst::BufferRef>> {
    gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).with_context(|| {
        format!(
            "a buffer of {} bytes can't be mapped as a {}x{} {} frame of {} bytes",
            buffer.size(),
            info.width(),
            info.height(),
            info.format(),
            info.size()
        )
    })
}

fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &'a gst_video::VideoInfo,
) -> anyhow::Result<gst_video::VideoFrameRef<&'a mut gst::BufferRef>> {
    gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
        .context("the output buffer can't be mapped")
}
