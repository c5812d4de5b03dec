//! Frames: buffers whose memory, metas and caps say different things.

use arbitrary::{Arbitrary, Unstructured};
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoInterlaceMode, VideoMeta};

use crate::frames::alpha::BEYOND;
use crate::frames::{
    Enlarger, FORMATS, FrameError, FrameLayout, Picture, ScaleMethod, Shrinker, difference,
    readable, writable,
};

/// A buffer, and what is said of it.
#[derive(Arbitrary, Debug)]
struct Case {
    format: u8,
    width: u16,
    height: u16,
    interlaced: bool,
    /// Difference of the buffer's size from what the caps ask for.
    size: i16,
    /// After how many bytes its memory is split.
    split: Option<u16>,
    meta: Option<Meta>,
    /// The size of the picture it is shrunk to.
    small: (u8, u8),
}

#[derive(Arbitrary, Debug)]
struct Meta {
    offsets: [u16; 4],
    strides: [i16; 4],
    /// A plane's offset that is out of all bounds.
    far: Option<(u8, u64)>,
    /// Offsets and strides as usual, but for these.
    usual: bool,
    wider: Option<u16>,
}

/// Sides above this take too long to be tried often.
const LARGEST: u16 = 96;

/// Takes any bytes as a frame that came from upstream, and as one to be written.
pub fn frames(bytes: &[u8]) {
    start();
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    // what can't be described needn't be read
    let _described: Option<()> = tried(&case);
}

fn start() {
    // all that is needed of GStreamer is in its libraries
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(|| gst::init().unwrap_or_else(|error| unreachable!("{error}")));
}

fn format(index: u8) -> VideoFormat {
    // and one that is none of them
    let formats = FORMATS.iter().copied().chain([VideoFormat::P01010be]);
    formats
        .cycle()
        .nth(index.into())
        .unwrap_or(VideoFormat::Nv12)
}

fn tried(case: &Case) -> Option<()> {
    let (width, height) = (case.width % LARGEST + 1, case.height % LARGEST + 1);
    let mode = if case.interlaced {
        VideoInterlaceMode::Interleaved
    } else {
        VideoInterlaceMode::Progressive
    };
    let info = VideoInfo::builder(format(case.format), width.into(), height.into())
        .interlace_mode(mode)
        .build()
        .ok()?;
    let layout = FrameLayout::new(&info).ok()?;
    let usual = buffer(
        &info,
        &Case {
            size: 0,
            split: None,
            meta: None,
            ..*case
        },
    )?;
    let mut odd = buffer(&info, case)?;

    // read
    let frame = readable(&odd, &info).ok()?;
    let good = readable(&usual, &info).ok()?;
    let read = layout.planes(&frame).is_ok();
    if let (Ok(planes), Ok(others)) = (layout.planes(&frame), layout.planes(&good)) {
        let (planes, others) = (planes.get(), others.get());
        for plane in &planes {
            // each byte is there to be read
            let sum: u64 = plane.data.iter().map(|&byte| u64::from(byte)).sum();
            assert!(sum <= 255 * plane.data.len() as u64);
            assert!(plane.data.len() >= (plane.height - 1) * plane.stride + plane.row_bytes());
        }
        let alike = difference(&planes, &others, 1.0);
        assert!(
            alike.is_none_or(|part| (0.0..=1.0).contains(&part)),
            "{alike:?}"
        );
    }
    let (small_width, small_height) = (
        usize::from(case.small.0 % 40),
        usize::from(case.small.1 % 40),
    );
    let method = [
        ScaleMethod::Bilinear,
        ScaleMethod::Bicubic,
        ScaleMethod::Lanczos,
    ][usize::from(case.small.0) % 3];
    let mut picture = Picture::new(small_width, small_height);
    if let Ok(mut shrinker) = Shrinker::new(&info, small_width, small_height, method) {
        let shrunk = shrinker.shrink(&frame, &mut picture);
        assert_eq!(shrunk.is_ok(), read, "{shrunk:?}");
        // what shows through is brighter than white; sharp kernels let a colour show beside it
        let levels = 0.0..=1.0 + BEYOND[0];
        assert!(picture.data.iter().all(|level| levels.contains(level)));
    }
    drop(frame);

    // write
    let mut frame = writable(odd.get_mut()?, &info).ok()?;
    let written = layout.planes_mut(&mut frame).map(|mut planes| {
        for plane in planes.get() {
            plane.data.fill(1);
        }
    });
    if written.is_ok() {
        // where planes were apart, all of them can be filled from a picture
        if let Ok(mut enlarger) = Enlarger::new(&info, small_width, small_height, method) {
            let alpha = Picture::new(picture.width, picture.height);
            let enlarged = enlarger.enlarge_both(&mut picture, &alpha, &mut frame);
            assert!(
                matches!(enlarged, Ok(()) | Err(FrameError::Alignment { .. })),
                "{enlarged:?}"
            );
        }
    }
    Some(())
}

/// A buffer as described.
fn buffer(info: &VideoInfo, case: &Case) -> Option<gst::Buffer> {
    let size = info.size().saturating_add_signed(isize::from(case.size));
    let bytes: Vec<u8> = (0..size).map(|index| (index * 37) as u8).collect();
    let mut buffer = gst::Buffer::new();
    let parts = match case.split {
        Some(split) => {
            let (first, second) = bytes.split_at(usize::from(split).min(size));
            vec![first.to_vec(), second.to_vec()]
        }
        None => vec![bytes],
    };
    for part in parts {
        buffer
            .get_mut()?
            .append_memory(gst::Memory::from_mut_slice(part));
    }
    if let Some(meta) = &case.meta {
        let planes = info.n_planes() as usize;
        let mut offsets = meta.offsets.map(usize::from);
        let mut strides = meta.strides.map(i32::from);
        if meta.usual {
            offsets[..planes].copy_from_slice(info.offset());
            strides[..planes].copy_from_slice(info.stride());
        }
        if let Some((plane, far)) = meta.far {
            offsets[usize::from(plane) % 4] = far as usize;
        }
        // refused where GStreamer itself sees that it can't be; another format, or a smaller
        // size, it takes for a fault of the program
        let _refused = VideoMeta::add_full(
            buffer.get_mut()?,
            VideoFrameFlags::empty(),
            info.format(),
            info.width() + meta.wider.map_or(0, u32::from),
            info.height(),
            offsets.get(..planes)?,
            strides.get(..planes)?,
        );
    }
    Some(buffer)
}
