//! A limit on what the sessions of a pipeline hold together.
//!
//! The runtime bounds each session's arena by itself, when that is made, and what one takes depends
//! on the machine: on the processor's or the device's kernels, their scratch memory and the layouts
//! they like. So it is not reckoned but tried: each session makes its part of a frame of nothing.
//! In proportion to what they hold then, the limit is divided: that part of an element's
//! `memory-limit` that is left to frames, half of it (`models/memory`).

use std::sync::Arc;

use gst_video::VideoInfo;
use ort::value::Tensor;

use super::budget::MemoryBudget;
use super::pipeline::{DevicePipeline, PipelineOptions};
use super::transfer::{Dense, FrameSink, FrameSource};
use crate::models::error::{ModelError, failed};
use crate::models::interpolator::Interpolator;
use crate::models::network::output::NetworkOutput;
use crate::models::runtime::arena::Arena;
use crate::models::runtime::binding::Input;
use crate::models::signature::types::Outputs;
use crate::sync::lock;

/// Most frames that are there: two pairs are under way, and the frame after them.
const FRAMES: usize = 4;

impl DevicePipeline {
    /// Creates a pipeline for such frames, all sessions together within so many bytes (0: any
    /// number).
    ///
    /// # Errors
    /// As [`DevicePipeline::new`].
    pub(crate) fn within(
        interpolator: &Interpolator,
        info: &VideoInfo,
        look: &PipelineOptions,
        limit: u64,
    ) -> Result<Self, ModelError> {
        if limit == 0 {
            return Self::bounded(interpolator, info, look, MemoryBudget::default());
        }
        let model = || interpolator.network().label().to_owned();
        let outputs = &interpolator.network().signature().outputs;
        // none may take more than all
        let all = MemoryBudget {
            ready: limit,
            join: limit,
            finish: limit,
            differ: limit,
        };
        let tried = Self::bounded(interpolator, info, look, all)
            .and_then(|mut pipeline| pipeline.try_out(limit, outputs));
        let shares = tried.and_then(|tried| {
            tried.of(limit).ok_or_else(|| ModelError::Memory {
                model: model(),
                reason: format!("they hold {}", tried.sum()),
            })
        });
        let shares = shares.map_err(|error| match error {
            ModelError::Memory { model, reason } => ModelError::Picture {
                model,
                reason: format!(
                    "memory-limit leaves {limit} bytes for making them on the device: {reason}"
                ),
            },
            error => error,
        });
        Self::bounded(interpolator, info, look, shares?)
    }

    /// Makes frames of nothing within so many bytes, the network answering with `outputs`; gives
    /// what the sessions hold after that.
    fn try_out(&mut self, limit: u64, outputs: &Outputs) -> Result<MemoryBudget, ModelError> {
        let mut keep = |_: &[Dense]| Ok(());
        let frames = [(); FRAMES].map(|()| {
            let frame = self.prepare().run(FrameSource::Copied(&mut keep));
            frame.map(Arc::new)
        });
        let frames = frames.into_iter().collect::<Result<Vec<_>, _>>()?;
        let [a, b, ..] = frames.as_slice() else {
            return Ok(MemoryBudget::default());
        };
        let pictures = [a, b].map(|frame| Input::Tensor(&frame.picture));
        self.lay_out(pictures, 0.5)?;
        self.differ.limit = self.left(limit)?;
        self.difference(a, b)?;
        lock(&self.postprocessor).setup.limit = self.left(limit)?;
        let answer = self.nothing(outputs);
        let answer = Arc::new(answer.map_err(|error| failed(&self.label, &error))?);
        // to memory of the device, and of the host
        for sink in [FrameSink::Copied(&mut keep), FrameSink::Host(&mut [])] {
            self.job([a, b], &answer).run(sink)?;
        }
        let held = |arena: Option<&Arena>| {
            let usage = arena.and_then(Arena::usage);
            usage.map_or(0, |usage| usage.held)
        };
        let finish = lock(&self.postprocessor).usage();
        Ok(MemoryBudget {
            ready: held(Some(&self.arena)),
            join: held(self.join.as_ref().map(|(beside, _)| &beside.arena)),
            finish: finish.map_or(0, |usage| usage.held),
            differ: held(self.differ.session.as_ref().map(|beside| &beside.arena)),
        })
    }

    /// Returns how many bytes are left for a session that is to be made.
    fn left(&self, limit: u64) -> Result<u64, ModelError> {
        let held = self.usage().unwrap_or_default().held;
        // 0 would be no limit
        let left = limit.checked_sub(held).map(|left| left.max(1));
        left.ok_or_else(|| ModelError::Memory {
            model: self.label.clone(),
            reason: format!("{held} bytes are held of {limit}"),
        })
    }

    /// An answer as large as one can be, its grid as fine as the picture.
    fn nothing(&self, outputs: &Outputs) -> ort::Result<NetworkOutput> {
        let (width, height) = self.geometry.padded;
        let channels: &[usize] = match outputs {
            Outputs::Motion { .. } => &[4, 1],
            Outputs::Picture(_) => &[3],
        };
        let values = channels.iter().map(|channels| {
            let zeros = vec![0.0_f32; channels * width * height];
            let tensor = Tensor::from_array(([1, *channels, height, width], zeros))?;
            Ok(tensor.into_dyn())
        });
        values.collect::<ort::Result<_>>().map(NetworkOutput::new)
    }
}

#[cfg(test)]
mod tests {
    use gst_video::VideoInfo;

    use super::*;
    use crate::frames::{FORMATS, ScaleMethod};
    use crate::models::device::graphs::Geometry;
    use crate::models::options::{ExecutionProvider, LoadOptions};

    const LOOKS: [((usize, usize), ScaleMethod, bool); 4] = [
        ((128, 64), ScaleMethod::Bicubic, false),
        ((256, 128), ScaleMethod::Bicubic, false),
        ((128, 64), ScaleMethod::Lanczos, true),
        ((256, 128), ScaleMethod::Lanczos, true),
    ];

    fn network() -> Interpolator {
        gst::init().unwrap();
        let options = LoadOptions {
            provider: ExecutionProvider::Cpu,
            ..LoadOptions::default()
        };
        Interpolator::load(&options).unwrap()
    }

    fn look((size, upscale, pictures): ((usize, usize), ScaleMethod, bool)) -> PipelineOptions {
        PipelineOptions {
            size,
            cells: (40, 24),
            downscale: ScaleMethod::Lanczos,
            upscale,
            pictures,
        }
    }

    /// Arenas with a limit grow by what they need.
    const PLENTY: MemoryBudget = MemoryBudget {
        ready: 1 << 40,
        join: 1 << 40,
        finish: 1 << 40,
        differ: 1 << 40,
    };
    /// A piece of an arena is at most twice as large as what is in it.
    const PIECE: u64 = 2;

    #[test]
    fn what_is_tried_is_what_sessions_hold_later() {
        let mut network = network();
        let mut keep = |_: &[Dense]| Ok(());
        let mut looks = LOOKS.map(look).into_iter().cycle();
        for format in FORMATS {
            let info = VideoInfo::builder(format, 256, 128).build().unwrap();
            let look = looks.next().unwrap();
            if !Geometry::serves(&info, look.size.0) {
                continue;
            }
            let bounded = || DevicePipeline::bounded(&network, &info, &look, PLENTY).unwrap();
            let outputs = &network.network().signature().outputs;
            let tried = bounded().try_out(1 << 40, outputs).unwrap().sum();
            let mut pipeline = bounded();
            for phase in [0.25, 0.5, 0.75] {
                let frames = [(); FRAMES].map(|()| {
                    let frame = pipeline.prepare().run(FrameSource::Copied(&mut keep));
                    Arc::new(frame.unwrap())
                });
                let [a, b, ..] = &frames;
                pipeline.estimate(&mut network, a, b, phase).unwrap();
                for sink in [FrameSink::Copied(&mut keep), FrameSink::Host(&mut [])] {
                    let job = pipeline.finish(&network, [a, b]).unwrap();
                    job.run(sink).unwrap();
                }
                pipeline.difference(a, b).unwrap();
            }
            let now = pipeline.usage().unwrap().held;
            let bounds = tried / PIECE..=tried * PIECE;
            assert!(bounds.contains(&now), "{format} {look:?}: {now} of {tried}");
        }
    }

    #[test]
    fn twice_what_was_held_is_enough_and_a_third_is_not() {
        let mut network = network();
        let mut keep = |_: &[Dense]| Ok(());
        let format = FORMATS[0];
        let info = VideoInfo::builder(format, 256, 128).build().unwrap();
        for look in LOOKS.map(look) {
            let bounded = DevicePipeline::bounded(&network, &info, &look, PLENTY);
            let outputs = &network.network().signature().outputs;
            let tried = bounded.unwrap().try_out(u64::MAX, outputs).unwrap().sum();
            let within = |limit| DevicePipeline::within(&network, &info, &look, limit);
            let refused = within(tried / 3).map(drop);
            let Err(ModelError::Picture { reason, .. }) = refused else {
                panic!("{look:?}: {refused:?}");
            };
            assert!(reason.contains("memory-limit leaves"), "{reason}");
            let limit = PIECE * tried;
            let mut pipeline = within(limit).unwrap();
            for _ in 0..3 {
                let frames = [(); FRAMES].map(|()| {
                    let frame = pipeline.prepare().run(FrameSource::Copied(&mut keep));
                    Arc::new(frame.unwrap())
                });
                let [a, b, ..] = &frames;
                pipeline.estimate(&mut network, a, b, 0.5).unwrap();
                let job = pipeline.finish(&network, [a, b]).unwrap();
                job.run(FrameSink::Host(&mut [])).unwrap();
                pipeline.difference(a, b).unwrap();
            }
            assert!(pipeline.usage().unwrap().held <= limit);
        }
    }
}
