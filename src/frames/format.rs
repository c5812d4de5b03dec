//! The video formats that frames can have, and what GStreamer says of their planes.

use gst_video::{VideoFormat, VideoFormatInfo, VideoInfo, VideoInterlaceMode, VideoMultiviewMode};

use super::{FrameError, PlaneFormat, Sample};

/// The formats that frames can have.
pub const FORMATS: [VideoFormat; 38] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Gray8,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::P01010le,
    VideoFormat::I42010le,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Nv21,
    VideoFormat::Nv16,
    VideoFormat::Ayuv,
    VideoFormat::A420,
    VideoFormat::Gbr,
    VideoFormat::I42210le,
    VideoFormat::Y44410le,
    VideoFormat::I42012le,
    VideoFormat::I42212le,
    VideoFormat::P012Le,
    VideoFormat::P016Le,
    VideoFormat::Gray16Le,
    VideoFormat::Gbr10le,
    VideoFormat::Y210,
    VideoFormat::V210,
    VideoFormat::Y410,
    VideoFormat::Rgb10a2Le,
    VideoFormat::Argb64,
];

/// Width and height above which frames are refused.
const LARGEST: u32 = 32768;

/// Refuses video that has no layout.
pub(super) fn check(info: &VideoInfo) -> Result<(), FrameError> {
    let (format, found) = (info.format_info(), info.format());
    let deep = format.depth().iter().any(|&depth| depth > 8);
    // ARGB64 and the like are of the machine's byte order
    let foreign = deep && format.is_le() && cfg!(target_endian = "big");
    if !FORMATS.contains(&found) || foreign {
        return Err(FrameError::Format { found });
    }
    if info.interlace_mode() != VideoInterlaceMode::Progressive {
        return Err(FrameError::Interlaced {
            found: info.interlace_mode(),
        });
    }
    let views = info.multiview_mode();
    if matches!(
        views,
        VideoMultiviewMode::FrameByFrame
            | VideoMultiviewMode::MultiviewFrameByFrame
            | VideoMultiviewMode::Separated
    ) {
        return Err(FrameError::Views {
            found: views.to_caps_string().unwrap_or_default().into(),
        });
    }
    let (width, height) = (info.width(), info.height());
    if !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    Ok(())
}

/// The format of a plane that the kernels take as it lies in memory: its components are alike but
/// for their place in the pixel.
pub(super) fn as_it_lies(format: &VideoFormatInfo, plane: u32) -> Option<PlaneFormat> {
    let component = format.plane().iter().position(|&other| other == plane)?;
    let depth = *format.depth().get(component)?;
    let sample = match depth {
        ..=8 => Sample::U8,
        _ => Sample::U16 {
            depth,
            shift: *format.shift().get(component)?,
        },
    };
    let samples = |bytes: usize| bytes / sample.bytes();
    let alpha = format.has_alpha() && format.plane().get(3) == Some(&plane);
    let alpha = alpha.then(|| format.poffset().get(3)).flatten();
    Some(PlaneFormat {
        sample,
        channels: samples(usize::try_from(*format.pixel_stride().get(component)?).ok()?),
        sub_x: *format.w_sub().get(component)?,
        sub_y: *format.h_sub().get(component)?,
        alpha: alpha.map(|&offset| samples(offset as usize)),
    })
}

/// Plane and channel of components that lie in memory as the kernels take them.
pub(super) fn places(format: &VideoFormatInfo) -> Vec<(usize, usize)> {
    let at = format.plane().iter().zip(format.poffset());
    let at: Vec<_> = at.take(format.n_components() as usize).collect();
    let place = |&(plane, offset): &(&u32, &u32)| {
        let channel = match format.is_rgb() {
            true => {
                let bytes = if format.depth()[0] > 8 { 2 } else { 1 };
                *offset as usize / bytes
            }
            // how many come before: offsets in GStreamer's table for P010 are none of bytes
            false => {
                let before = at.iter().filter(|(p, o)| *p == plane && *o < offset);
                before.count()
            }
        };
        (*plane as usize, channel)
    };
    at.iter().map(place).collect()
}
