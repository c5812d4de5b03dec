//! Frames made on the host, the network's pictures going to wherever it runs and its answers coming
//! back.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, anyhow};
use gst_video::{VideoFrameRef, VideoInfo};

use super::format::FrameFormat;
use crate::frames::{self, Enlarger, FrameError, Picture, Sampling, Shrinker, readable};
use crate::models::memory::Reason;
use crate::models::{Estimate, Inference, Interpolator, KeptOutput, Prepared};
use crate::sync::lock;
use crate::vfi_element::error::Failure;
use crate::vfi_element::settings::Look;

/// Number of frames whose storage is kept: those of the pair that is finished while the network is
/// at the next one.
const SPARES: usize = 2;

/// Maker of frames of one kind, on the host.
pub(super) struct Host {
    shrinker: Shrinker,
    /// Maker of frames out of pictures; without it originals are warped.
    picture_maker: Option<Arc<Mutex<PictureMaker>>>,
    sampling: Sampling,
    /// Storage of a frame's alpha.
    shown: Picture,
    /// Storage of frames that are gone, for the next ones. Where one is finished on another thread
    /// it may still be in use.
    spares: Vec<Arc<HostFrame>>,
}

/// Data that the network needs of a frame, on the host.
#[derive(Clone, Debug, Default)]
pub(super) struct HostFrame {
    pub(super) picture: Picture,
    prepared: Prepared,
    /// Its alpha as a picture of its own, where pictures are made and something shows through.
    alpha: Option<Prepared>,
    /// Excess of its colours that is cut off in the picture, where pictures are made.
    excess: Option<Picture>,
}

impl Host {
    /// Creates a maker of frames; `pictures` says that they are made of pictures.
    pub(super) fn new(info: &VideoInfo, look: &Look, pictures: bool) -> Result<Self, FrameError> {
        let (width, height) = look.size;
        let shrinker = Shrinker::new(info, width, height, look.downscale_method)?;
        Ok(Self {
            shrinker: match pictures {
                true => shrinker.for_pictures(),
                false => shrinker,
            },
            picture_maker: pictures
                .then(|| PictureMaker::new(info, look).map(|maker| Arc::new(Mutex::new(maker))))
                .transpose()?,
            sampling: look.upscale_method.into(),
            shown: Picture::default(),
            spares: Vec::with_capacity(SPARES),
        })
    }

    /// Gives back memory that is kept for later.
    pub(super) fn clear(&mut self, reason: Reason) {
        if reason == Reason::Pressure {
            self.spares.clear();
            self.shown = Picture::default();
        }
        // whoever finishes a frame has it, and needs what it keeps
        let maker = self.picture_maker.as_ref();
        if let Some(mut maker) = maker.and_then(|maker| maker.try_lock().ok()) {
            maker.clear(reason);
        }
    }

    /// Keeps the storage of a frame that is gone.
    pub(super) fn recycle(&mut self, frame: Arc<HostFrame>) {
        if self.spares.len() < SPARES {
            self.spares.push(frame);
        }
    }

    /// Returns storage for a frame: one that is gone and not in use any more, or a new one.
    fn take_spare(&mut self) -> Arc<HostFrame> {
        let mut spares = self.spares.iter_mut();
        let free = spares.position(|spare| Arc::get_mut(spare).is_some());
        free.map_or_else(Arc::default, |index| self.spares.swap_remove(index))
    }

    /// Shrinks a frame and makes it ready.
    pub(super) fn prepare(
        &mut self,
        interpolator: &Interpolator,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Arc<HostFrame>, Failure> {
        let mut storage = self.take_spare();
        let made = Arc::make_mut(&mut storage);
        let makes_pictures = self.picture_maker.is_some();
        let mut alpha = made.alpha.take().unwrap_or_default();
        let shrinker = &mut self.shrinker;
        let shows_through = shrinker.shrink_both(frame, &mut made.picture, &mut self.shown)?;
        interpolator.prepare(&made.picture, &mut made.prepared)?;
        if makes_pictures && shows_through {
            interpolator.prepare(&self.shown, &mut alpha)?;
            made.alpha = Some(alpha);
        }
        let mut excess = made.excess.take().unwrap_or_default();
        if makes_pictures && shrinker.shrink_excess(frame, &made.picture, &mut excess)? {
            made.excess = Some(excess);
        }
        Ok(storage)
    }

    /// Estimates with the network what lies between two frames at `phase`. Returns how their frame
    /// is made of that.
    pub(super) fn estimate(
        &self,
        interpolator: &mut Interpolator,
        pair: [&Arc<HostFrame>; 2],
        originals: [&gst::Buffer; 2],
        phase: f32,
    ) -> Result<HostFinish, Failure> {
        let [a, b] = pair;
        let alpha = estimate_alpha(interpolator, [a, b], phase)?;
        let inference = interpolator.infer(&a.prepared, &b.prepared, phase)?;
        let (output, is_motion) = match inference {
            Inference::First => return Ok(HostFinish::Copy(originals[0].clone())),
            Inference::Second => return Ok(HostFinish::Copy(originals[1].clone())),
            Inference::Motion(output) => (output, true),
            Inference::Picture(output) => (output, false),
        };
        match &self.picture_maker {
            None if is_motion => Ok(HostFinish::Warp(FrameWarp {
                originals: originals.map(gst::Buffer::clone),
                motion: output,
                sampling: self.sampling,
            })),
            None => Err(anyhow!("a picture where motion was expected").into()),
            Some(maker) => Ok(HostFinish::Enlarge(Enlargement {
                maker: Arc::clone(maker),
                pair: pair.map(Arc::clone),
                output,
                is_motion,
                alpha,
                phase,
            })),
        }
    }
}

/// Estimates the alpha of the frame between two, if that is a picture and something shows through:
/// the network is asked for it as for any picture, so that it moves as the colours do.
fn estimate_alpha(
    interpolator: &mut Interpolator,
    [a, b]: [&HostFrame; 2],
    phase: f32,
) -> Result<Option<Picture>, Failure> {
    let known = match [&a.alpha, &b.alpha] {
        [None, None] => return Ok(None),
        [Some(known), _] | [None, Some(known)] => known.size(),
    };
    let mut opaque = Prepared::default();
    if a.alpha.is_none() || b.alpha.is_none() {
        let mut all = Picture::default();
        all.resize(known.0, known.1)?;
        all.data.fill(1.0);
        interpolator.prepare(&all, &mut opaque)?;
    }
    let [a, b] = [a, b].map(|frame| frame.alpha.as_ref().unwrap_or(&opaque));
    let Estimate::Picture(found) = interpolator.estimate(a, b, phase)? else {
        return Ok(None);
    };
    let mut alpha = Picture::default();
    alpha.resize(found.width, found.height)?;
    alpha.data.copy_from_slice(&found.data);
    Ok(Some(alpha))
}

/// Way in which a frame is made of what the network gave.
pub(super) enum HostFinish {
    /// By warping its originals.
    Warp(FrameWarp),
    /// By enlarging a picture.
    Enlarge(Enlargement),
    /// As a copy of an original, alpha included, where nothing nearer can be made.
    Copy(gst::Buffer),
}

impl HostFinish {
    /// Makes the frame.
    pub(super) fn run(
        self,
        format: &FrameFormat,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), Failure> {
        match self {
            Self::Warp(warp) => warp.run(format, out),
            Self::Enlarge(enlargement) => lock(&enlargement.maker).make(&enlargement, out),
            Self::Copy(original) => {
                let copied = readable(&original, &format.info)?.copy(out);
                Ok(copied.context("a frame can't be copied")?)
            }
        }
    }
}

/// A frame that is made by warping its originals.
pub(super) struct FrameWarp {
    originals: [gst::Buffer; 2],
    motion: KeptOutput,
    sampling: Sampling,
}

impl FrameWarp {
    fn run(
        self,
        FrameFormat { info, layout }: &FrameFormat,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), Failure> {
        let [a, b] = &self.originals;
        let (a, b) = (readable(a, info)?, readable(b, info)?);
        frames::synthesise(
            &layout.planes(&a)?.get(),
            &layout.planes(&b)?.get(),
            &self.motion.motion().map_err(|why| anyhow!(why))?,
            self.sampling,
            &mut layout.planes_mut(out)?.get(),
        )?;
        Ok(())
    }
}

/// A frame that is made by enlarging a picture, the network's or one that is warped.
pub(super) struct Enlargement {
    maker: Arc<Mutex<PictureMaker>>,
    pair: [Arc<HostFrame>; 2],
    output: KeptOutput,
    /// Whether the output is motion between the pair's pictures, rather than a picture.
    is_motion: bool,
    alpha: Option<Picture>,
    phase: f32,
}

/// Maker of frames out of pictures.
struct PictureMaker {
    enlarger: Enlarger,
    sampling: Sampling,
    /// Storage of the network's picture.
    picture: Picture,
}

impl PictureMaker {
    fn new(info: &VideoInfo, look: &Look) -> Result<Self, FrameError> {
        let (width, height) = look.size;
        Ok(Self {
            enlarger: Enlarger::new(info, width, height, look.upscale_method)?,
            sampling: look.upscale_method.into(),
            picture: Picture::default(),
        })
    }

    fn clear(&mut self, reason: Reason) {
        match reason {
            Reason::Interval => self.picture.data.shrink_to_fit(),
            Reason::Pressure => self.picture = Picture::default(),
        }
    }

    fn make(
        &mut self,
        frame: &Enlargement,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), Failure> {
        let ([a, b], output, phase) = (&frame.pair, &frame.output, frame.phase);
        let mut warped;
        let picture = if frame.is_motion {
            let motion = output.motion().map_err(|why| anyhow!(why))?;
            warped = Picture::between(&a.picture, &b.picture, &motion, self.sampling)?;
            &mut warped
        } else {
            let (width, height) = output.size();
            self.picture.resize(width, height)?;
            output.crop(&mut self.picture).map_err(|why| anyhow!(why))?;
            &mut self.picture
        };
        let enlarger = &mut self.enlarger;
        match &frame.alpha {
            Some(alpha) => enlarger.enlarge_both(picture, alpha, out)?,
            None => enlarger.enlarge(picture, out)?,
        }
        let excess = [a, b].map(|frame| frame.excess.as_ref());
        if let Some(excess) = frames::excess_between(excess, phase, picture)? {
            enlarger.give_back(&excess, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::ScaleMethod;
    use crate::vfi_element::settings::Upscale;

    #[test]
    fn storage_is_used_again_once_nobody_needs_it() {
        gst::init().unwrap();
        let info = VideoInfo::builder(gst_video::VideoFormat::Nv12, 32, 16);
        let look = Look {
            size: (16, 8),
            downscale_method: ScaleMethod::Bilinear,
            upscale: Upscale::Auto,
            upscale_method: ScaleMethod::Bilinear,
        };
        let mut host = Host::new(&info.build().unwrap(), &look, false).unwrap();
        let (first, second) = (host.take_spare(), host.take_spare());
        let addresses = [&first, &second].map(Arc::as_ptr);
        let in_use = Arc::clone(&first);
        host.recycle(first);
        host.recycle(second);
        let third = host.take_spare();
        assert_eq!(Arc::as_ptr(&third), addresses[1]);
        assert!(
            !addresses.contains(&Arc::as_ptr(&host.take_spare())),
            "all are in use"
        );
        drop(in_use);
        assert_eq!(Arc::as_ptr(&host.take_spare()), addresses[0]);
    }
}
