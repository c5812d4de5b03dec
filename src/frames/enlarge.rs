//! A network's picture back to a frame, by GStreamer's own converter. (Flow is enlarged where frames
//! are warped along it: `warp::field`.)

use gst_video::{VideoConverter, VideoFormat, VideoFrameRef, VideoInfo, prelude::*};

use super::convert::{
    RGB, as_rgb, buffer, buffer_mut, converter, info, mapping, picture_format, sides,
};
use super::excess::Gamut;
use super::{FrameError, FrameLayout, Picture, Plane, ScaleMethod, alpha};

/// Turns a network's pictures into frames, for models that give pictures rather than motion.
#[derive(Debug)]
pub struct Enlarger {
    source: VideoInfo,
    full: VideoInfo,
    /// For a frame's alpha; made with the first one.
    shown: Option<gst::Buffer>,
    buffer: gst::Buffer,
    convert: VideoConverter,
    target: FrameLayout,
    gamut: Option<Gamut>,
}

impl Enlarger {
    /// Creates an enlarger of pictures of `width` x `height`, to frames that `info` describes.
    ///
    /// # Errors
    /// If a size is out of range or the converter refuses the format.
    pub fn new(
        info: &VideoInfo,
        width: usize,
        height: usize,
        method: ScaleMethod,
    ) -> Result<Self, FrameError> {
        let (width, height) = sides(width, height)?;
        let source = self::info(info, picture_format(info), width, height, &as_rgb(info))?;
        Ok(Self {
            convert: converter(&source, info, method)?,
            buffer: buffer(&source)?,
            source,
            full: info.clone(),
            shown: None,
            target: FrameLayout::new(info)?,
            gamut: Gamut::new(info),
        })
    }

    /// Enlarges two pictures into `out`: one of colours and one of their alpha, as
    /// [`shrink_both`](super::Shrinker::shrink_both) makes them of frames that others are made of. What shows
    /// through is taken off the colours.
    ///
    /// # Errors
    /// As [`enlarge`](Self::enlarge).
    pub fn enlarge_both(
        &mut self,
        colours: &mut Picture,
        alpha: &Picture,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), FrameError> {
        let mut shown = match self.shown.take() {
            Some(shown) => shown,
            None => buffer(&self.full)?,
        };
        let full = self.full.clone();
        let memory = buffer_mut(&mut shown, &full)?;
        let mut frame =
            VideoFrameRef::from_buffer_ref_writable(memory, &full).map_err(|_| mapping(&full))?;
        alpha::take_off(alpha::WITHIN, alpha, colours);
        self.enlarge(colours, out)?;
        self.enlarge(alpha, &mut frame)?;
        let shown_planes = self.target.planes(&frame)?;
        for (shown, out) in shown_planes.iter().zip(&mut self.target.planes_mut(out)?) {
            if let Some(alpha) = shown.format.alpha {
                alpha::divide(shown, alpha, out);
            }
        }
        drop(shown_planes);
        drop(frame);
        self.shown = Some(shown);
        Ok(())
    }

    /// Enlarges `picture` into `out`; samples outside `[0, 1]` are clamped. Alpha becomes opaque.
    ///
    /// # Errors
    /// If picture or frame are not what the enlarger was made for, or the frame's pixels lie at odd
    /// addresses.
    pub fn enlarge(
        &mut self,
        picture: &Picture,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), FrameError> {
        aligned(&self.target.planes(out)?)?;
        let (width, height) = (self.source.width() as usize, self.source.height() as usize);
        let samples = 3 * width * height;
        if (picture.width, picture.height, picture.data.len()) != (width, height, samples) {
            let (width_found, height_found) = (picture.width, picture.height);
            return Err(FrameError::Picture {
                found: format!("{width_found}x{height_found}, {}", picture.data.len()),
                expected: format!("{width}x{height}, {samples} samples"),
            });
        }
        let deep = self.source.format() != VideoFormat::Gbr;
        let buffer = buffer_mut(&mut self.buffer, &self.source)?;
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &self.source)
            .map_err(|_| mapping(&self.source))?;
        for (part, plane) in picture.data.chunks_exact(width * height).zip(RGB) {
            let stride = usize::try_from(frame.plane_stride()[plane]).unwrap_or(0);
            let data = frame
                .plane_data_mut(plane as u32)
                .map_err(|_| mapping(&self.source))?;
            let lines = data.chunks_mut(stride.max(1));
            for (line, levels) in lines.zip(part.chunks_exact(width)) {
                if deep {
                    for (out, &level) in line.chunks_exact_mut(2).zip(levels) {
                        let level = (level.clamp(0.0, 1.0) * 1023.0 + 0.5) as u16;
                        out.copy_from_slice(&level.to_le_bytes());
                    }
                } else {
                    for (out, &level) in line.iter_mut().zip(levels) {
                        *out = (level.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
                    }
                }
            }
        }
        self.convert.frame_ref(&*frame, out);
        Ok(())
    }

    /// Gives an excess, of [`excess_between`](super::excess_between), back to what was enlarged
    /// into `out`.
    ///
    /// # Errors
    /// As [`enlarge`](Self::enlarge), or if memory lacks.
    pub fn give_back(
        &mut self,
        excess: &Picture,
        out: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<(), FrameError> {
        match &self.gamut {
            Some(gamut) => gamut.give_back(excess, &mut self.target.planes_mut(out)?),
            None => Ok(()),
        }
    }
}

/// Returns whether the converter can write these planes: its kernels take pixels of two and four
/// bytes for words that lie at multiples of their size, and crash where they don't.
fn aligned(planes: &[Plane]) -> Result<(), FrameError> {
    for (plane, part) in planes.iter().enumerate() {
        let unit = 1 << part.format.pixel_bytes().trailing_zeros();
        if !(part.data.as_ptr() as usize | part.stride).is_multiple_of(unit) {
            return Err(FrameError::Alignment {
                plane,
                expected: unit,
            });
        }
    }
    Ok(())
}
