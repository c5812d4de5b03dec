//! GStreamer's own converter, which knows all formats, matrices and ranges.

use gst_video::{
    VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoConverter, VideoConverterConfig,
    VideoDitherMethod, VideoFormat, VideoInfo, VideoResamplerMethod,
};

use super::{FrameError, Sampling, space};

/// Method by which pictures are scaled.
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
pub(super) fn converter(
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
pub(super) fn info(
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
pub(super) fn as_rgb(info: &VideoInfo) -> VideoColorimetry {
    let found = info.colorimetry();
    VideoColorimetry::new(
        VideoColorRange::Range0_255,
        VideoColorMatrix::Rgb,
        found.transfer(),
        found.primaries(),
    )
}

pub(super) fn is_deep(info: &VideoInfo) -> bool {
    info.format_info().depth().iter().any(|&depth| depth > 8)
}

/// Significant bits of a format's colours.
pub(super) fn depth(info: &VideoInfo) -> u32 {
    info.format_info().depth().first().copied().unwrap_or(8)
}

/// Planar RGB that holds what `info` has: 8 bits for RGB of 8 bits, 12 for more than 10, 10 for all
/// else.
///
/// The converter's matrices for 8 bits truncate: there and back loses two to five levels, all
/// downwards, which would flicker against the originals. With 10 bits it calculates in 16.
pub(super) fn picture_format(info: &VideoInfo) -> VideoFormat {
    match depth(info) {
        11.. => VideoFormat::Gbr12le,
        ..=8 if info.format_info().is_rgb() => VideoFormat::Gbr,
        _ => VideoFormat::Gbr10le,
    }
}

pub(super) fn mapping(info: &VideoInfo) -> FrameError {
    FrameError::Frame {
        found: "memory that can't be mapped".into(),
        expected: name(info),
    }
}

/// Red, green and blue as planes of the GBR formats.
pub(super) const RGB: [usize; 3] = [2, 0, 1];

/// Returns whether the converter scales frames of this width wrongly, to that or from that: of luma and
/// chroma that share a plane of bytes it takes the wrong samples where a width is odd (GStreamer 1.22).
pub(crate) fn misses_columns(info: &VideoInfo, small: usize) -> bool {
    let odd = info.width() % 2 == 1 || small % 2 == 1;
    let format = info.format_info();
    let shared = format.n_planes() == 1 && format.w_sub().iter().any(|&sub| sub > 0);
    odd && shared && !is_deep(info)
}

/// Sides as the converter takes them.
pub(super) fn sides(width: usize, height: usize) -> Result<(u32, u32), FrameError> {
    let side = |value| u32::try_from(value).unwrap_or(u32::MAX);
    let (width, height) = (side(width), side(height));
    if !(1..=32768).contains(&width) || !(1..=32768).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    Ok((width, height))
}

pub(super) fn buffer(info: &VideoInfo) -> Result<gst::Buffer, FrameError> {
    space::probe(info.size())?;
    gst::Buffer::with_size(info.size()).map_err(|_| mapping(info))
}

/// The buffer for writing; a new one in its place should someone else hold it.
pub(super) fn buffer_mut<'a>(
    buffer: &'a mut gst::Buffer,
    info: &VideoInfo,
) -> Result<&'a mut gst::BufferRef, FrameError> {
    if buffer.get_mut().is_none() {
        *buffer = self::buffer(info)?;
    }
    buffer.get_mut().ok_or_else(|| mapping(info))
}
