//! Shrinking a frame to the network's picture by GStreamer's own converter.

use gst_video::{VideoConverter, VideoFormat, VideoFrameRef, VideoInfo, prelude::*};

use super::convert::{
    RGB, ScaleMethod, as_rgb, buffer, buffer_mut, converter, depth, info, is_deep, mapping,
    misses_columns, picture_format, sides,
};
use super::excess::Gamut;
use super::{FrameError, FrameLayout, Picture, Plane, PlaneFormat, Sample, alpha};

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
    /// Colour that shows through.
    behind: [f32; 3],
    /// For a frame's premultiplied colours; made with the first one.
    premultiplied: Option<gst::Buffer>,
    /// The levels of black, by plane and channel.
    black: Vec<[f32; 4]>,
    /// For alpha where frames are not scaled in their own format; made with the first frame that
    /// something shows through.
    opacity: Option<Opacity>,
    /// Storage of alpha that nobody asks for.
    alpha: Picture,
    scale: Option<Step>,
    convert: Step,
    method: ScaleMethod,
    /// For what RGB can't show; made when that is first asked for.
    whole: Option<Whole>,
}

/// A conversion, what it results in, and room for that.
type Step = (VideoConverter, VideoInfo, gst::Buffer);

/// A frame's alpha as a grey frame, and at the picture's size.
#[derive(Debug)]
struct Opacity {
    convert: VideoConverter,
    full: (VideoInfo, gst::Buffer),
    small: (VideoInfo, gst::Buffer),
}

impl Opacity {
    fn new(full: &VideoInfo, small: &Picture, method: ScaleMethod) -> Result<Self, FrameError> {
        let (width, height) = sides(small.width, small.height)?;
        let grey = |width, height| {
            let info = info(full, VideoFormat::Gray16Le, width, height, &as_rgb(full))?;
            let buffer = buffer(&info)?;
            Ok((info, buffer))
        };
        let (full, small) = (grey(full.width(), full.height())?, grey(width, height)?);
        Ok(Self {
            convert: converter(&full.0, &small.0, method)?,
            full,
            small,
        })
    }
}

/// A frame at the picture's size with all its colours.
#[derive(Debug)]
struct Whole {
    convert: Step,
    gamut: Gamut,
}

impl Shrinker {
    /// For frames that `info` describes, to pictures of `width` x `height`, in which motion is found.
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
        let source = FrameLayout::new(info)?;
        let misses = misses_columns(info, width as usize);
        let scale = if same || is_deep(info) || misses {
            None
        } else {
            let small = self::info(info, info.format(), width, height, &info.colorimetry())?;
            let buffer = buffer(&small)?;
            Some((converter(info, &small, method)?, small, buffer))
        };
        let target = self::info(info, picture_format(info), width, height, &as_rgb(info))?;
        let from = scale.as_ref().map_or(info, |(_, small, _)| small);
        Ok(Self {
            convert: (
                converter(from, &target, method)?,
                target.clone(),
                buffer(&target)?,
            ),
            black: alpha::black(info, &source),
            source,
            full: info.clone(),
            behind: alpha::BEYOND,
            premultiplied: None,
            opacity: None,
            alpha: Picture::default(),
            scale,
            method,
            whole: None,
        })
    }

    /// The same for pictures that frames are made of, by [`Enlarger`](super::Enlarger).
    #[must_use]
    pub fn for_pictures(self) -> Self {
        Self {
            behind: alpha::WITHIN,
            ..self
        }
    }

    /// Shrinks `frame` into `into`, which takes on the size it needs. Where something shows through, that is the
    /// same colour everywhere, of a picture in which motion is found one beyond `[0, 1]`.
    ///
    /// # Errors
    /// If the frame is not what the shrinker was made for.
    pub fn shrink(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<(), FrameError> {
        let mut alpha = std::mem::take(&mut self.alpha);
        let shrunk = self.shrink_both(frame, into, &mut alpha);
        self.alpha = alpha;
        shrunk.map(drop)
    }

    /// Shrinks `frame` as [`shrink`](Self::shrink) does, and its alpha into a grey picture; false if nothing shows
    /// through, and there is none.
    ///
    /// # Errors
    /// As [`shrink`](Self::shrink).
    pub fn shrink_both(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
        shown: &mut Picture,
    ) -> Result<bool, FrameError> {
        if !self.source.has_alpha() {
            self.shrink_whole(frame, into)?;
            return Ok(false);
        }
        let full = self.full.clone();
        let Some(mut premultiplied) = self.premultiply(frame)? else {
            self.shrink_whole(frame, into)?;
            return Ok(false);
        };
        let whole = writable(&mut premultiplied, &full)?;
        self.shrink_whole(&whole, into)?;
        shown.resize(into.width, into.height)?;
        self.shrink_alpha(&whole, shown)?;
        alpha::add(self.behind, shown, into);
        drop(whole);
        self.premultiplied = Some(premultiplied);
        Ok(true)
    }

    /// Returns the frame with what shows of its colours; `None` if all does.
    fn premultiply(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
    ) -> Result<Option<gst::Buffer>, FrameError> {
        let planes = self.source.planes(frame)?;
        let planes = planes.get();
        if planes.iter().all(Plane::is_opaque) {
            return Ok(None);
        }
        let mut premultiplied = match self.premultiplied.take() {
            Some(buffer) => buffer,
            None => buffer(&self.full)?,
        };
        let mut whole = writable(&mut premultiplied, &self.full)?;
        let mut out = self.source.planes_mut(&mut whole)?;
        alpha::premultiply(&planes, &self.black, &mut out.get());
        drop(out);
        drop(whole);
        Ok(Some(premultiplied))
    }

    /// Shrinks a frame's alpha, after its colours.
    fn shrink_alpha(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<(), FrameError> {
        let read = |small: &VideoFrameRef<&gst::BufferRef>, info, into: &mut Picture| {
            let layout = FrameLayout::new(info)?;
            for plane in layout.planes(small)?.get().iter().take(1) {
                if let Some(alpha) = plane.format.alpha {
                    alpha::read(plane, alpha, into);
                }
            }
            Ok(())
        };
        // the converter scales alpha as it does colours
        if let Some((_, info, buffer)) = &mut self.scale {
            let small = writable(buffer, info)?;
            return read(&small, info, into);
        }
        let opacity = match &mut self.opacity {
            Some(opacity) => opacity,
            none => none.insert(Opacity::new(&self.full, into, self.method)?),
        };
        let Opacity { full, small, .. } = opacity;
        let planes = self.source.planes(frame)?;
        let mut grey = writable(&mut full.1, &full.0)?;
        let layout = FrameLayout::new(&full.0)?;
        let mut out = layout.planes_mut(&mut grey)?;
        for (plane, out) in planes.get().iter().zip(&mut out.get()) {
            alpha::extract(plane, out);
        }
        drop(out);
        let mut shrunk = writable(&mut small.1, &small.0)?;
        opacity.convert.frame_ref(&grey, &mut shrunk);
        for plane in FrameLayout::new(&small.0)?.planes(&shrunk)?.get() {
            alpha::read(&plane, 0, into);
        }
        Ok(())
    }

    /// Finds what is cut off of the colours of `frame` in `picture`, which was shrunk of it; false if nothing is.
    ///
    /// # Errors
    /// As [`shrink`](Self::shrink).
    pub fn shrink_excess(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        picture: &Picture,
        into: &mut Picture,
    ) -> Result<bool, FrameError> {
        if picture.data.iter().all(|&level| level > 0.0 && level < 1.0) {
            return Ok(false);
        }
        if self.whole.is_none() {
            self.whole = Gamut::new(&self.full)
                .map(|gamut| self.whole(gamut))
                .transpose()?;
        }
        let Some(Whole { convert, gamut }) = &mut self.whole else {
            return Ok(false);
        };
        let whole = shrunk(&self.source, &mut self.scale, convert, frame)?;
        let bytes = memory(&whole);
        // what is repeated in the lower bits of bytes is left out again
        let sample = match depth(&self.full) {
            ..=8 => Sample::U16 { depth: 8, shift: 2 },
            depth => Sample::U16 { depth, shift: 0 },
        };
        let mut planes = Vec::new();
        for plane in 0..3 {
            let (data, stride) = bytes(plane)?;
            planes.push(Plane {
                data,
                stride,
                width: whole.width() as usize,
                height: whole.height() as usize,
                format: PlaneFormat {
                    sample,
                    channels: 1,
                    sub_x: 0,
                    sub_y: 0,
                    alpha: None,
                },
            });
        }
        gamut.find(&planes, into)
    }

    fn whole(&self, gamut: Gamut) -> Result<Whole, FrameError> {
        let (_, picture, _) = &self.convert;
        // deep even for bytes: between formats of those the converter only repeats chroma
        let format = match depth(&self.full) {
            13.. => VideoFormat::Y44416le,
            11..=12 => VideoFormat::Y44412le,
            _ => VideoFormat::Y44410le,
        };
        let (width, height) = (picture.width(), picture.height());
        let target = info(&self.full, format, width, height, &self.full.colorimetry())?;
        let from = self
            .scale
            .as_ref()
            .map_or(&self.full, |(_, small, _)| small);
        Ok(Whole {
            convert: (
                converter(from, &target, self.method)?,
                target.clone(),
                buffer(&target)?,
            ),
            gamut,
        })
    }

    fn shrink_whole(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        into: &mut Picture,
    ) -> Result<(), FrameError> {
        let picture = shrunk(&self.source, &mut self.scale, &mut self.convert, frame)?;
        into.resize(picture.width() as usize, picture.height() as usize)?;
        let planes = memory(&picture);
        let unit = 1.0 / ((1_u32 << depth(picture.info())) - 1) as f32;
        let area = into.width * into.height;
        for (part, plane) in into.data.chunks_exact_mut(area.max(1)).zip(RGB) {
            let (data, stride) = planes(plane)?;
            for (out, line) in part
                .chunks_exact_mut(into.width.max(1))
                .zip(data.chunks(stride))
            {
                if picture.format() == VideoFormat::Gbr {
                    for (out, &level) in out.iter_mut().zip(line) {
                        *out = f32::from(level) * unit;
                    }
                } else {
                    for (out, level) in out.iter_mut().zip(line.chunks_exact(2)) {
                        let level = u16::from_le_bytes([level[0], level[1]]);
                        *out = f32::from(level) * unit;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A frame by way of two conversions, or one.
fn shrunk<'a>(
    source: &FrameLayout,
    scale: &mut Option<Step>,
    (convert, info, buffer): &'a mut Step,
    frame: &VideoFrameRef<&gst::BufferRef>,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, FrameError> {
    // The converter checks nothing, neither format and size nor that the planes are there.
    source.check(frame)?;
    let mut result = writable(buffer, info)?;
    match scale {
        Some((scale, info, buffer)) => {
            let mut small = writable(buffer, info)?;
            scale.frame_ref(frame, &mut small);
            convert.frame_ref(&*small, &mut result);
        }
        None => convert.frame_ref(frame, &mut result),
    }
    Ok(result)
}

/// A buffer of this room's own as the frame it is.
fn writable<'a>(
    buffer: &'a mut gst::Buffer,
    info: &VideoInfo,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, FrameError> {
    let memory = buffer_mut(buffer, info)?;
    VideoFrameRef::from_buffer_ref_writable(memory, info).map_err(|_| mapping(info))
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
