//! A network's picture back to a frame, by GStreamer's own converter. (Flow is enlarged where frames
//! are warped along it: `warp::field`.)

use gst_video::{VideoConverter, VideoFormat, VideoFrameRef, VideoInfo, prelude::*};

use super::convert::{
    RGB, as_rgb, buffer, buffer_mut, converter, depth, info, mapping, picture_format, sides,
};
use super::excess::Gamut;
use super::{FrameError, FrameLayout, Picture, ScaleMethod, alpha};

/// Turns a network's pictures into frames, for models that give pictures rather than motion.
#[derive(Debug)]
pub struct Enlarger {
    source: VideoInfo,
    full: VideoInfo,
    method: ScaleMethod,
    /// For a frame's alpha; made with the first one.
    shown: Option<Box<Shown>>,
    buffer: gst::Buffer,
    convert: VideoConverter,
    target: FrameLayout,
    gamut: Option<Gamut>,
}

/// The way to a frame's alpha, as a grey frame of all levels.
#[derive(Debug)]
struct Shown {
    enlarger: Enlarger,
    buffer: gst::Buffer,
    black: Vec<[f32; 4]>,
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
            method,
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
            None => Box::new(self.shown()?),
        };
        alpha::take_off(alpha::WITHIN, alpha, colours);
        self.enlarge(colours, out)?;
        let Shown {
            enlarger,
            buffer,
            black,
        } = &mut *shown;
        let grey = enlarger.full.clone();
        let memory = buffer_mut(buffer, &grey)?;
        let mut frame =
            VideoFrameRef::from_buffer_ref_writable(memory, &grey).map_err(|_| mapping(&grey))?;
        enlarger.enlarge(alpha, &mut frame)?;
        self.target.edit(out, |planes| {
            for plane in enlarger.target.planes(&frame)?.get().iter().take(1) {
                alpha::divide(plane, black, planes);
            }
            Ok(())
        })?;
        drop(frame);
        self.shown = Some(shown);
        Ok(())
    }

    fn shown(&self) -> Result<Shown, FrameError> {
        let full = &self.full;
        // scaled as colours are; of RGB's matrix, so that grey is what red is
        let format = match depth(full) {
            ..=8 => VideoFormat::Gray8,
            _ => VideoFormat::Gray16Le,
        };
        let grey = info(full, format, full.width(), full.height(), &as_rgb(full))?;
        let (width, height) = (self.source.width(), self.source.height());
        let size = (width as usize, height as usize);
        Ok(Shown {
            enlarger: Self::new(&grey, size.0, size.1, self.method)?,
            buffer: buffer(&grey)?,
            black: alpha::black(full, &self.target),
        })
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
        self.target.check_alignment(out)?;
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
        let most = ((1_u32 << depth(&self.source)) - 1) as f32;
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
                        let level = (level.clamp(0.0, 1.0) * most + 0.5) as u16;
                        out.copy_from_slice(&level.to_le_bytes());
                    }
                } else {
                    for (out, &level) in line.iter_mut().zip(levels) {
                        *out = (level.clamp(0.0, 1.0) * most + 0.5) as u8;
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
            Some(gamut) => (self.target).edit(out, |planes| gamut.give_back(excess, planes)),
            None => Ok(()),
        }
    }
}
