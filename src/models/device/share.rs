//! What the sessions of a stage need of memory, and what they may hold where that is limited.

use crate::models::graph::frame::Geometry;

/// Bytes for each session of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// For making frames ready, and for all values that are kept between runs.
    pub(super) ready: u64,
    /// For laying out the network's input.
    pub(super) join: u64,
    /// For making new frames.
    pub(super) finish: u64,
    /// For comparing frames.
    pub(super) differ: u64,
}

impl Shares {
    /// What the sessions for such frames need at most, weights included, whatever format and scaling; for a
    /// network of which so many channels are laid out.
    pub(super) fn needed(geometry: &Geometry, channels: usize) -> Self {
        let frame = u64::from(geometry.info.width()) * u64::from(geometry.info.height());
        let picture = (geometry.padded.0 * geometry.padded.1) as u64;
        let joined = 4 * channels as u64 * picture;
        // bytes for a pixel, which a test finds to be enough
        Self {
            ready: 70 * frame + 125 * picture + joined,
            join: joined,
            finish: 180 * frame + 25 * picture,
            differ: 55 * frame,
        }
    }

    /// So many bytes (0: any number) divided in proportion to these.
    ///
    /// # Errors
    /// With the reason, if they are too few.
    pub(super) fn of(self, limit: u64) -> Result<Self, String> {
        if limit == 0 {
            return Ok(Self::default());
        }
        let needed = self.ready + self.join + self.finish + self.differ;
        if limit < needed {
            return Err(format!(
                "memory-limit leaves {limit} bytes for making them on the device, which may take {needed}"
            ));
        }
        let part = |need: u64| {
            let part = u128::from(limit) * u128::from(need) / u128::from(needed.max(1));
            // 0 would be no limit
            u64::try_from(part).unwrap_or(u64::MAX).max(1)
        };
        Ok(Self {
            ready: part(self.ready),
            join: part(self.join),
            finish: part(self.finish),
            differ: part(self.differ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gst_video::VideoInfo;
    use prost::Message as _;

    use super::*;
    use crate::frames::{FORMATS, ScaleMethod};
    use crate::models::device::{Dense, Look, Sink, Source, Stage};
    use crate::models::{ExecutionProvider, Interpolator, LoadOptions};

    const FRAME: (u32, u32) = (256, 128);

    /// Frames of this kind, for a network that sees pictures of a size.
    fn geometry(info: VideoInfo, size: (usize, usize)) -> Geometry {
        Geometry {
            info,
            small: size,
            padded: size,
            downscale: ScaleMethod::Lanczos,
            upscale: ScaleMethod::Bicubic,
        }
    }

    #[test]
    fn what_is_needed_is_what_sessions_take_at_most() {
        gst::init().unwrap();
        let options = LoadOptions {
            provider: ExecutionProvider::Cpu,
            // arenas then grow by what they need
            memory_limit: 1 << 40,
            ..LoadOptions::default()
        };
        let mut network = Interpolator::load(&options).unwrap();
        let mut keep = |_: &[Dense]| Ok(());
        let looks = [
            ((128, 64), ScaleMethod::Bicubic, false),
            ((256, 128), ScaleMethod::Bicubic, false),
            ((128, 64), ScaleMethod::Lanczos, true),
            ((256, 128), ScaleMethod::Lanczos, true),
        ];
        for format in FORMATS {
            for (size, upscale, pictures) in looks {
                let info = VideoInfo::builder(format, FRAME.0, FRAME.1).build();
                let info = info.unwrap();
                let look = Look {
                    size,
                    cells: (40, 24),
                    downscale: ScaleMethod::Lanczos,
                    upscale,
                    pictures,
                };
                let mut stage = Stage::new(&network, &info, &look).unwrap();
                // two pairs are under way, and the frame after them
                let frames = [(); 4].map(|()| {
                    let frame = stage.prepare().run(Source::Copied(&mut keep));
                    Arc::new(frame.unwrap())
                });
                let [a, b, ..] = &frames;
                stage.estimate(&mut network, a, b, 0.5).unwrap();
                let task = stage.finish(&network, [a, b]).unwrap();
                task.run(Sink::Copied(&mut keep)).unwrap();
                stage.difference(a, b).unwrap();
                let needed = Shares::needed(&geometry(info, size), 0);
                let needed = [needed.ready, needed.finish, needed.differ];
                for ((held, graph), needed) in stage.held(look.cells).into_iter().zip(needed) {
                    let taken = held + graph.encoded_len() as u64;
                    assert!(taken <= needed, "{format} {look:?}: {taken} of {needed}");
                    assert!(
                        taken > needed / 20,
                        "{format} {look:?}: {taken} of {needed}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_limit_is_divided_and_one_that_is_too_small_refused() {
        gst::init().unwrap();
        let info = VideoInfo::builder(FORMATS[0], FRAME.0, FRAME.1).build();
        let needed = Shares::needed(&geometry(info.unwrap(), (128, 64)), 11);
        assert_eq!(needed.of(0), Ok(Shares::default()));
        let sum = |shares: Shares| shares.ready + shares.join + shares.finish + shares.differ;
        let all = sum(needed);
        assert_eq!(needed.of(all), Ok(needed));
        assert!(needed.of(all - 1).is_err());
        for limit in [all + 1, 3 * all, u64::MAX] {
            let shares = needed.of(limit).unwrap();
            assert!(sum(shares) <= limit && sum(shares) > limit - 4, "{limit}");
            assert!(shares.ready >= needed.ready && shares.differ >= needed.differ);
        }
    }
}
