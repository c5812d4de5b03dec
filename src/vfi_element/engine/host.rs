//! Frames made on the host, the network's pictures going to wherever it runs and its answers coming back.

use std::borrow::Cow;

use anyhow::anyhow;
use gst_video::{VideoFrameRef, VideoInfo};

use super::copy;
use crate::frames::{self, Enlarger, FrameError, FrameLayout, Picture, Sampling, Shrinker};
use crate::models::memory::Reason;
use crate::models::{Estimate, Interpolator, Prepared};
use crate::vfi_element::error::Failure;
use crate::vfi_element::settings::Look;

/// Maker of frames of one kind, on the host.
pub(super) struct Host {
    shrinker: Shrinker,
    /// Enlarger of results made as a picture; without it full-size frames are warped.
    enlarger: Option<Enlarger>,
    sampling: Sampling,
    /// Storage of a frame that is gone, for the next one.
    spare: Option<Box<HostFrame>>,
}

/// Data that the network needs of a frame, on the host.
#[derive(Debug, Default)]
pub(super) struct HostFrame {
    pub(super) picture: Picture,
    pub(super) prepared: Prepared,
    /// Its alpha as a picture of its own, where pictures are made and something shows through.
    alpha: Option<Prepared>,
    /// Excess of its colours that is cut off in the picture, where pictures are made.
    excess: Option<Picture>,
}

impl Host {
    /// `pictures` says that frames are made as pictures.
    pub(super) fn new(info: &VideoInfo, look: &Look, pictures: bool) -> Result<Self, FrameError> {
        let (width, height) = look.size;
        Ok(Self {
            shrinker: Shrinker::new(info, width, height, look.downscale_method)?,
            enlarger: pictures
                .then(|| Enlarger::new(info, width, height, look.upscale_method))
                .transpose()?,
            sampling: look.upscale_method.into(),
            spare: None,
        })
    }

    pub(super) fn clear(&mut self, reason: Reason) {
        if reason == Reason::Pressure {
            self.spare = None;
        }
    }

    pub(super) fn recycle(&mut self, frame: Box<HostFrame>) {
        self.spare = Some(frame);
    }

    /// Shrinks a frame and makes it ready.
    pub(super) fn prepare(
        &mut self,
        interpolator: &Interpolator,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Box<HostFrame>, Failure> {
        let mut made = self.spare.take().unwrap_or_default();
        self.shrinker.shrink(frame, &mut made.picture)?;
        interpolator.prepare(&made.picture, &mut made.prepared)?;
        let mut alpha = made.alpha.take().unwrap_or_default();
        let mut shown = Picture::default();
        if self.enlarger.is_some() && self.shrinker.shrink_alpha(frame, &mut shown)? {
            interpolator.prepare(&shown, &mut alpha)?;
            made.alpha = Some(alpha);
        }
        let mut excess = made.excess.take().unwrap_or_default();
        let shrinker = &mut self.shrinker;
        if self.enlarger.is_some() && shrinker.shrink_excess(frame, &made.picture, &mut excess)? {
            made.excess = Some(excess);
        }
        Ok(made)
    }

    /// The alpha of the frame between two, if that is a picture and something shows through: the network is asked
    /// for it as for any picture, so that it moves as the colours do.
    pub(super) fn estimate_alpha(
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

    /// Returns how planes are warped, if frames are made like that.
    pub(super) fn warping(&self) -> Option<Sampling> {
        self.enlarger.is_none().then_some(self.sampling)
    }

    /// Makes the frame that an estimate of two at a `phase` is about, and one of its alpha, if it has any.
    pub(super) fn synthesise(
        &mut self,
        layout: &FrameLayout,
        [(a, frame_a), (b, frame_b)]: [(&HostFrame, &VideoFrameRef<&gst::BufferRef>); 2],
        (estimate, phase): (Estimate, f32),
        alpha: Option<&Picture>,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), Failure> {
        let (enlarger, picture) = match (estimate, &mut self.enlarger) {
            (Estimate::Motion(motion), None) => {
                frames::synthesise(
                    &layout.planes(frame_a)?,
                    &layout.planes(frame_b)?,
                    &motion,
                    self.sampling,
                    &mut layout.planes_mut(out)?,
                )?;
                return Ok(());
            }
            (Estimate::Motion(motion), Some(enlarger)) => {
                let picture = Picture::between(&a.picture, &b.picture, &motion, self.sampling)?;
                (enlarger, Cow::Owned(picture))
            }
            (Estimate::Picture(picture), Some(enlarger)) => (enlarger, Cow::Borrowed(picture)),
            (Estimate::First, _) => return Ok(copy(frame_a, out)?),
            (Estimate::Second, _) => return Ok(copy(frame_b, out)?),
            (Estimate::Picture(_), None) => {
                return Err(anyhow!("a picture where motion was expected").into());
            }
        };
        match alpha {
            Some(alpha) => enlarger.enlarge_both(&picture, alpha, out)?,
            None => enlarger.enlarge(&picture, out)?,
        }
        let excess = [a, b].map(|frame| frame.excess.as_ref());
        if let Some(excess) = frames::excess_between(excess, phase, &picture)? {
            enlarger.give_back(&excess, out)?;
        }
        Ok(())
    }
}
