//! Shrinking a frame to the network's picture, and a picture back to a frame, by GStreamer's own
//! converter, which knows all formats, matrices and ranges.

use gst_video::{
    VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoConverter, VideoConverterConfig,
    VideoDitherMethod, VideoFormat, VideoFrameRef, VideoInfo, VideoResamplerMethod, prelude::*,
};

use super::{FrameError, FrameLayout, Picture, Plane, PlaneMut, Sampling, alpha, space};

/// How pictures are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpScaleMethod")]
#[repr(i32)]
pub enum ScaleMethod {
    /// Linear interpolation: fastest, softest.
    #[default]
    #[enum_value(name = "Bilinear: fastest, softest", nick = "bilinear")]
    Bilinear = 0,
    /// Cubic interpolation.
    #[enum_value(name = "Bicubic: sharper", nick = "bicubic")]
    Bicubic = 1,
    /// Windowed sinc.
    #[enum_value(name = "Lanczos: sharpest, slowest", nick = "lanczos")]
    Lanczos = 2,
}

impl From<ScaleMethod> for VideoResamplerMethod {
    fn from(method: ScaleMethod) -> Self {
        match method {
            ScaleMethod::Bilinear => Self::Linear,
            ScaleMethod::Bicubic => Self::Cubic,
            ScaleMethod::Lanczos => Self::Lanczos,
        }
    }
}

impl From<ScaleMethod> for Sampling {
    /// Lanczos has no kernel of its own along motion; bicubic is the sharp one there.
    fn from(method: ScaleMethod) -> Self {
        match method {
            ScaleMethod::Bilinear => Sampling::Bilinear,
            ScaleMethod::Bicubic | ScaleMethod::Lanczos => Sampling::Bicubic,
        }
    }
}

/// A converter, with what it says about itself.
fn converter(
    from: &VideoInfo,
    to: &VideoInfo,
    method: ScaleMethod,
) -> Result<VideoConverter, FrameError> {
    let mut config = VideoConverterConfig::new();
    config.set_resampler_method(method.into());
    config.set_chroma_resampler_method(method.into());
    config.set_dither_method(VideoDitherMethod::None);
    // GLib would start threads whenever it likes, and wait for ever for one the system refuses; a
    // second one saves 0.4 ms of 1.1 where 1280x720 is shrunk
    config.set_threads(1);
    VideoConverter::new(from, to, Some(config)).map_err(|error| FrameError::Converter {
        from: name(from),
        to: name(to),
        reason: error.to_string(),
    })
}

fn name(info: &VideoInfo) -> String {
    format!("{} {}x{}", info.name(), info.width(), info.height())
}

/// `like` in another format and size.
fn info(
    like: &VideoInfo,
    format: VideoFormat,
    width: u32,
    height: u32,
    colorimetry: &VideoColorimetry,
) -> Result<VideoInfo, FrameError> {
    if !(1..=32768).contains(&width) || !(1..=32768).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    // Small frames would get another default, and a plain resize become a conversion.
    VideoInfo::builder(format, width, height)
        .fps(like.fps())
        .colorimetry(colorimetry)
        .chroma_site(like.chroma_site())
        .build()
        .map_err(|error| FrameError::Converter {
            from: name(like),
            to: format!("{format:?} {width}x{height}"),
            reason: error.to_string(),
        })
}

/// Full-range RGB with the transfer function and primaries that `info` has.
fn as_rgb(info: &VideoInfo) -> VideoColorimetry {
    let found = info.colorimetry();
    VideoColorimetry::new(
        VideoColorRange::Range0_255,
        VideoColorMatrix::Rgb,
        found.transfer(),
        found.primaries(),
    )
}

fn is_deep(info: &VideoInfo) -> bool {
    info.format_info().depth().iter().any(|&depth| depth > 8)
}

/// Planar RGB that holds what `info` has: 8 bits for RGB of 8 bits, 10 for all else.
///
/// The converter's matrices for 8 bits truncate: there and back loses two to five levels, all
/// downwards, which would flicker against the originals. With 10 bits it calculates in 16.
fn picture_format(info: &VideoInfo) -> VideoFormat {
    if is_deep(info) || !info.format_info().is_rgb() {
        VideoFormat::Gbr10le
    } else {
        VideoFormat::Gbr
    }
}

fn mapping(info: &VideoInfo) -> FrameError {
    FrameError::Frame {
        found: "memory that can't be mapped".into(),
        expected: name(info),
    }
}

/// Red, green and blue as planes of the GBR formats.
const RGB: [usize; 3] = [2, 0, 1];

/// Makes a network's small pictures of frames.
///
/// Formats of 8 bits take two steps: the frame is scaled in its own format and colorimetry, which
/// the converter does plane by plane (by halving, where that is what is asked for), and only the
/// small frame is turned to RGB. 1280x720 to 640x360 takes 1.2 ms so, and 2.3 in one step (NV12,
/// one thread). For deeper formats the converter has no such path, and one step is
/// faster.
#[derive(Debug)]
pub struct Shrinker {
    source: FrameLayout,
    full: VideoInfo,
    /// For a frame that is to be seen otherwise; made with the first one.
    seen: Option<gst::Buffer>,
    scale: Option<(VideoConverter, VideoInfo, gst::Buffer)>,
    convert: VideoConverter,
    target: VideoInfo,
    buffer: gst::Buffer,
}

impl Shrinker {
    /// For frames that `info` describes, to pictures of `width` x `height`.
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
        let same = (info.width(), info.height()) == (width, height);
        let scale = if same || is_deep(info) {
            None
        } else {
            let small = self::info(info, info.format(), width, height, &info.colorimetry())?;
            let buffer = buffer(&small)?;
            Some((converter(info, &small, method)?, small, buffer))
        };
        let target = self::info(info, picture_format(info), width, height, &as_rgb(info))?;
        let from = scale.as_ref().map_or(info, |(_, small, _)| small);
        Ok(Self {
            convert: converter(from, &target, method)?,
            source: FrameLayout::new(info)?,
            full: info.clone(),
            seen: None,
            scale,
            buffer: buffer(&target)?,
            target,
        })
    }

    /// Shrinks `frame` into `into`, which takes on the size it needs. Where something shows through, that is the
    /// same colour everywhere.
    ///
    /// # Errors
    /// If the frame is not what the shrinker was made for.
    pub fn shrink(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<(), FrameError> {
        if self.see(frame, alpha::cover, into)? {
            return Ok(());
        }
        self.shrink_whole(frame, into)
    }

    /// Shrinks the alpha of `frame` into `into`, as a grey picture; false if nothing shows through.
    ///
    /// # Errors
    /// As [`shrink`](Self::shrink).
    pub fn shrink_alpha(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<bool, FrameError> {
        self.see(frame, alpha::show, into)
    }

    /// Shrinks what a frame is seen as, if something shows through; tells whether it does.
    fn see(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        how: fn(&Plane, usize, &mut PlaneMut),
        into: &mut Picture,
    ) -> Result<bool, FrameError> {
        let planes = self.source.planes(frame)?;
        let [plane] = planes.as_slice() else {
            return Ok(false);
        };
        let Some(alpha) = plane.format.alpha.filter(|_| !plane.is_opaque()) else {
            return Ok(false);
        };
        let mut seen = match self.seen.take() {
            Some(seen) => seen,
            None => buffer(&self.full)?,
        };
        let memory = buffer_mut(&mut seen, &self.full)?;
        let mut whole = VideoFrameRef::from_buffer_ref_writable(memory, &self.full)
            .map_err(|_| mapping(&self.full))?;
        for out in &mut self.source.planes_mut(&mut whole)? {
            how(plane, alpha, out);
        }
        self.shrink_whole(&whole, into)?;
        drop(whole);
        self.seen = Some(seen);
        Ok(true)
    }

    fn shrink_whole(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<(), FrameError> {
        // The converter checks nothing, neither format and size nor that the planes are there.
        self.source.planes(frame)?;
        let target = buffer_mut(&mut self.buffer, &self.target)?;
        let mut picture = VideoFrameRef::from_buffer_ref_writable(target, &self.target)
            .map_err(|_| mapping(&self.target))?;
        match &mut self.scale {
            Some((scale, info, buffer)) => {
                let buffer = buffer_mut(buffer, info)?;
                let mut small = VideoFrameRef::from_buffer_ref_writable(buffer, info)
                    .map_err(|_| mapping(info))?;
                scale.frame_ref(frame, &mut small);
                self.convert.frame_ref(&*small, &mut picture);
            }
            None => self.convert.frame_ref(frame, &mut picture),
        }
        into.resize(picture.width() as usize, picture.height() as usize)?;
        let planes = memory(&picture);
        let area = into.width * into.height;
        for (part, plane) in into.data.chunks_exact_mut(area.max(1)).zip(RGB) {
            let (data, stride) = planes(plane)?;
            for (out, line) in part
                .chunks_exact_mut(into.width.max(1))
                .zip(data.chunks(stride))
            {
                if self.target.format() == VideoFormat::Gbr {
                    for (out, &level) in out.iter_mut().zip(line) {
                        *out = f32::from(level) * (1.0 / 255.0);
                    }
                } else {
                    for (out, level) in out.iter_mut().zip(line.chunks_exact(2)) {
                        let level = u16::from_le_bytes([level[0], level[1]]);
                        *out = f32::from(level) * (1.0 / 1023.0);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Bytes and stride of a plane of a frame that this room has made itself.
fn memory<'a>(
    frame: &'a VideoFrameRef<&mut gst::BufferRef>,
) -> impl Fn(usize) -> Result<(&'a [u8], usize), FrameError> {
    move |plane| {
        let stride = usize::try_from(frame.plane_stride()[plane]).unwrap_or(0);
        let data = frame.plane_data(plane as u32);
        data.map(|data| (data, stride.max(1)))
            .map_err(|_| FrameError::Memory {
                plane,
                found: 0,
                expected: stride,
            })
    }
}

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
}

impl Enlarger {
    /// For pictures of `width` x `height`, to frames that `info` describes.
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
        })
    }

    /// Enlarges two pictures into `out`: one as [`Shrinker::shrink`] makes them where something shows through,
    /// and one of alpha, as [`Shrinker::shrink_alpha`] does.
    ///
    /// # Errors
    /// As [`enlarge`](Self::enlarge).
    pub fn enlarge_both(
        &mut self,
        picture: &Picture,
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
        self.enlarge(picture, out)?;
        self.enlarge(alpha, &mut frame)?;
        let shown_planes = self.target.planes(&frame)?;
        for (shown, out) in shown_planes.iter().zip(&mut self.target.planes_mut(out)?) {
            if let Some(alpha) = shown.format.alpha {
                alpha::uncover(shown, alpha, out);
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
}

/// Whether the converter can write these planes: its kernels take pixels of two and four bytes for
/// words that lie at multiples of their size, and crash where they don't.
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

/// Sides as the converter takes them.
fn sides(width: usize, height: usize) -> Result<(u32, u32), FrameError> {
    let side = |value| u32::try_from(value).unwrap_or(u32::MAX);
    let (width, height) = (side(width), side(height));
    if !(1..=32768).contains(&width) || !(1..=32768).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    Ok((width, height))
}

fn buffer(info: &VideoInfo) -> Result<gst::Buffer, FrameError> {
    space::probe(info.size())?;
    gst::Buffer::with_size(info.size()).map_err(|_| mapping(info))
}

/// The buffer for writing; a new one in its place should someone else hold it.
fn buffer_mut<'a>(
    buffer: &'a mut gst::Buffer,
    info: &VideoInfo,
) -> Result<&'a mut gst::BufferRef, FrameError> {
    if buffer.get_mut().is_none() {
        *buffer = self::buffer(info)?;
    }
    buffer.get_mut().ok_or_else(|| mapping(info))
}
