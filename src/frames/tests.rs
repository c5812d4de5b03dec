use gst_video::{
    VideoColorimetry, VideoFormat, VideoFormatInfo, VideoFrameRef, VideoInfo, VideoInterlaceMode,
    VideoMeta, prelude::*,
};

use super::{
    Enlarger, FORMATS, FrameError, FrameLayout, Motion, Picture, PlaneMut, Sample, Sampling,
    ScaleMethod, Shrinker, difference, synthesise,
};

const METHODS: [ScaleMethod; 3] = [
    ScaleMethod::Bilinear,
    ScaleMethod::Bicubic,
    ScaleMethod::Lanczos,
];

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    gst::init().unwrap();
    VideoInfo::builder(format, width, height).build().unwrap()
}

pub(super) fn filled(info: &VideoInfo, seed: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut map = buffer.get_mut().unwrap().map_writable().unwrap();
    for (index, byte) in map.iter_mut().enumerate() {
        *byte = (index * 37 + index / 17 + seed) as u8;
    }
    drop(map);
    buffer
}

pub(super) fn read<'a>(
    buffer: &'a gst::Buffer,
    info: &'a VideoInfo,
) -> VideoFrameRef<&'a gst::BufferRef> {
    VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap()
}

pub(super) fn write<'a>(
    buffer: &'a mut gst::Buffer,
    info: &'a VideoInfo,
) -> VideoFrameRef<&'a mut gst::BufferRef> {
    VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), info).unwrap()
}

/// Returns a picture in which red rises to the right, green downwards, blue falls to the right.
fn gradient(width: usize, height: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let right = (x as f32 + 0.5) / width as f32;
            let down = (y as f32 + 0.5) / height as f32;
            for (part, level) in [right, down, 1.0 - right].into_iter().enumerate() {
                picture.data[(part * height + y) * width + x] = 0.1 + 0.8 * level;
            }
        }
    }
    picture
}

#[test]
fn layouts_say_what_gstreamer_says() {
    for format in FORMATS {
        for (width, height) in [(16, 16), (33, 17), (1279, 719), (8192, 18)] {
            let info = info(format, width, height);
            let layout = FrameLayout::new(&info).unwrap();
            let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
            let mut frame = write(&mut buffer, &info);
            let mut planes = layout.planes_mut(&mut frame).unwrap();
            let planes = planes.get();
            for (component, &(plane, channel)) in layout.places().iter().enumerate() {
                let plane = &planes[plane];
                assert_eq!(plane.width as u32, info.comp_width(component as u8));
                assert_eq!(plane.height as u32, info.comp_height(component as u8));
                assert!(channel < plane.format.channels);
                assert_eq!(plane.format.alpha == Some(channel), component == 3);
                let depth = info.format_info().depth()[component];
                // alpha of fewer bits is spread over those of the colours
                assert!(component == 3 || plane.format.sample.most() == (1 << depth) - 1);
            }
            assert_eq!(layout.places().len(), info.n_components() as usize);
            let in_memory = layout.is_packed() || planes.len() == info.n_planes() as usize;
            assert!(in_memory, "{format:?}");
        }
    }
}

#[test]
fn other_video_is_refused() {
    let error = FrameLayout::new(&info(VideoFormat::Yuv9, 64, 64)).unwrap_err();
    assert!(matches!(error, FrameError::Format { .. }), "{error}");
    gst::init().unwrap();
    let fields = VideoInfo::builder(VideoFormat::Nv12, 64, 64)
        .interlace_mode(VideoInterlaceMode::Interleaved)
        .build()
        .unwrap();
    let error = FrameLayout::new(&fields).unwrap_err();
    assert!(matches!(error, FrameError::Interlaced { .. }), "{error}");

    let (wanted, other) = (
        info(VideoFormat::Nv12, 64, 64),
        info(VideoFormat::Nv12, 64, 62),
    );
    let layout = FrameLayout::new(&wanted).unwrap();
    let mut buffer = filled(&other, 0);
    let error = layout.planes(&read(&buffer, &other)).unwrap_err();
    assert!(matches!(error, FrameError::Frame { .. }), "{error}");
    let mut shrinker = Shrinker::new(&wanted, 32, 32, ScaleMethod::Bilinear).unwrap();
    let mut picture = Picture::default();
    assert!(
        shrinker
            .shrink(&read(&buffer, &other), &mut picture)
            .is_err()
    );
    let mut enlarger = Enlarger::new(&wanted, 32, 32, ScaleMethod::Bilinear).unwrap();
    let small = Picture::new(32, 32);
    assert!(
        enlarger
            .enlarge(&small, &mut write(&mut buffer, &other))
            .is_err()
    );
    let mut buffer = filled(&wanted, 0);
    let small = Picture::new(32, 31);
    assert!(
        enlarger
            .enlarge(&small, &mut write(&mut buffer, &wanted))
            .is_err()
    );
    for (width, height) in [(0, 32), (32, 0), (1 << 20, 32), (1 << 40, 32)] {
        assert!(Shrinker::new(&wanted, width, height, ScaleMethod::Bilinear).is_err());
        assert!(Enlarger::new(&wanted, width, height, ScaleMethod::Bilinear).is_err());
    }
}

#[test]
fn a_meta_can_not_reach_past_the_memory() {
    let info = info(VideoFormat::Nv12, 64, 64);
    let layout = FrameLayout::new(&info).unwrap();
    for (offsets, strides) in [
        ([0, 64 * 64], [640, 64]),
        ([0, 64 * 64 + 1], [64, 64]),
        ([0, 64 * 64], [32, 64]),
    ] {
        let mut buffer = filled(&info, 0);
        VideoMeta::add_full(
            buffer.get_mut().unwrap(),
            gst_video::VideoFrameFlags::empty(),
            VideoFormat::Nv12,
            64,
            64,
            &offsets,
            &strides,
        )
        .unwrap();
        // GStreamer itself may refuse to map it.
        if let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(&buffer, &info) {
            assert!(layout.planes(&frame).is_err(), "{offsets:?} {strides:?}");
        }
    }
}

#[test]
fn planes_that_overlap_are_not_written() {
    let info = info(VideoFormat::Nv12, 64, 64);
    let layout = FrameLayout::new(&info).unwrap();
    let mut buffer = filled(&info, 0);
    VideoMeta::add_full(
        buffer.get_mut().unwrap(),
        gst_video::VideoFrameFlags::empty(),
        VideoFormat::Nv12,
        64,
        64,
        &[0, 64],
        &[64, 64],
    )
    .unwrap();
    let mut frame = write(&mut buffer, &info);
    let error = layout.planes_mut(&mut frame).unwrap_err();
    assert!(matches!(error, FrameError::Planes { .. }), "{error}");
}

/// A frame of noise, all of its samples legal.
pub(super) fn noise(info: &VideoInfo, seed: u32) -> gst::Buffer {
    let layout = FrameLayout::new(info).unwrap();
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut state = seed | 1;
    let mut frame = write(&mut buffer, info);
    let mut planes = layout.planes_mut(&mut frame).unwrap();
    for plane in planes.get() {
        let row = plane.row_bytes();
        for line in plane.data.chunks_mut(plane.stride).take(plane.height) {
            for sample in line[..row].chunks_mut(plane.format.sample.bytes()) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let level = (state >> 13) & plane.format.sample.most();
                match plane.format.sample {
                    Sample::U8 => sample[0] = level as u8,
                    Sample::U16 { shift, .. } => {
                        sample.copy_from_slice(&((level << shift) as u16).to_ne_bytes());
                    }
                }
            }
        }
    }
    drop(planes);
    drop(frame);
    buffer
}

/// The levels of a component at each pixel of a frame, those of subsampled ones repeated.
fn levels(frame: &VideoFrameRef<&gst::BufferRef>, component: usize) -> Vec<u32> {
    let info = frame.info();
    let layout = FrameLayout::new(info).unwrap();
    let planes = layout.planes(frame).unwrap();
    let (plane, channel) = layout.places()[component];
    let plane = planes.get()[plane];
    let format = plane.format;
    let own = (1 << info.format_info().depth()[component]) - 1;
    let pixels = (0..layout.height()).flat_map(|y| (0..layout.width()).map(move |x| (x, y)));
    let level = |(x, y): (usize, usize)| {
        let (x, y) = (x >> format.sub_x, y >> format.sub_y);
        let at = y * plane.stride + x * format.pixel_bytes() + channel * format.sample.bytes();
        let level = match format.sample {
            Sample::U8 => u32::from(plane.data[at]),
            Sample::U16 { shift, .. } => {
                u32::from(u16::from_ne_bytes([plane.data[at], plane.data[at + 1]]) >> shift)
            }
        };
        level * own / format.sample.most()
    };
    pixels.map(level).collect()
}

#[test]
fn a_changed_pixel_is_seen_in_every_format() {
    for format in FORMATS {
        let info = info(format, 67, 35);
        let layout = FrameLayout::new(&info).unwrap();
        let a = noise(&info, 3);
        let mut b = noise(&info, 3);
        let (plane, channel) = layout.places()[0];
        let differ = |a: &gst::Buffer, b: &gst::Buffer| {
            let (a, b) = (read(a, &info), read(b, &info));
            let (a, b) = (layout.planes(&a).unwrap(), layout.planes(&b).unwrap());
            difference(&a.get(), &b.get(), 1.0).unwrap()
        };
        assert_eq!(differ(&a, &b), 0.0, "{format:?}");
        let half = |planes: &mut [PlaneMut]| {
            let plane = &mut planes[plane];
            let sample = plane.format.sample.bytes();
            let at = 20 * plane.stride + 66 * plane.format.pixel_bytes() + channel * sample;
            match plane.format.sample {
                Sample::U8 => plane.data[at] ^= 0x80,
                Sample::U16 { depth, shift } => {
                    let bit = (1_u16 << (depth - 1) << shift).to_ne_bytes();
                    plane.data[at] ^= bit[0];
                    plane.data[at + 1] ^= bit[1];
                }
            }
            Ok(())
        };
        layout.edit(&mut write(&mut b, &info), half).unwrap();
        // half of the range, in one of the samples of a block
        assert!(differ(&a, &b) > 0.06, "{format:?}");
    }
}

#[test]
fn every_format_goes_through() {
    for format in FORMATS {
        let info = info(format, 67, 35);
        let layout = FrameLayout::new(&info).unwrap();
        let (a, b) = (noise(&info, 3), noise(&info, 99));
        let mut out = filled(&info, 7);
        let (flow, mask) = (vec![0.0; 4 * 6], vec![1.0; 6]);
        let motion = Motion {
            width: 3,
            height: 2,
            cover_x: 3.0,
            cover_y: 2.0,
            unit: 1.0,
            flow: &flow,
            mask: &mask,
        };
        let (a, b) = (read(&a, &info), read(&b, &info));
        let b = layout.planes(&b).unwrap();
        {
            let a = layout.planes(&a).unwrap();
            let mut frame = write(&mut out, &info);
            let mut planes = layout.planes_mut(&mut frame).unwrap();
            let (a, b) = (a.get(), b.get());
            synthesise(&a, &b, &motion, Sampling::Bicubic, &mut planes.get()).unwrap();
        }
        let out = read(&out, &info);
        for component in 0..info.n_components() as usize {
            let (got, want) = (levels(&out, component), levels(&a, component));
            assert!(got == want, "{format:?}, component {component}");
        }
    }
}

#[test]
fn pictures_come_back_from_frames() {
    for format in FORMATS {
        for method in METHODS {
            for (width, height) in [(96, 64), (99, 65)] {
                let info = info(format, width, height);
                let picture = gradient(48, 32);
                let mut buffer = filled(&info, 0);
                let mut enlarger = Enlarger::new(&info, 48, 32, method).unwrap();
                enlarger
                    .enlarge(&picture, &mut write(&mut buffer, &info))
                    .unwrap();
                let mut back = Picture::default();
                let mut shrinker = Shrinker::new(&info, 48, 32, method).unwrap();
                shrinker.shrink(&read(&buffer, &info), &mut back).unwrap();
                assert_eq!((back.width, back.height), (48, 32));
                let mut want = picture;
                if info.format_info().is_gray() {
                    // Luma after BT.601, the default for small frames.
                    for index in 0..48 * 32 {
                        let [red, green, blue] =
                            [0, 1, 2].map(|part| want.data[part * 48 * 32 + index]);
                        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
                        for part in 0..3 {
                            want.data[part * 48 * 32 + index] = luma;
                        }
                    }
                }
                let difference = |(got, want): (&f32, &f32)| (got - want).abs();
                let differences = back.data.iter().zip(&want.data).map(difference);
                let sum: f32 = differences.sum();
                let mean = sum / want.data.len() as f32;
                assert!(mean < 0.006, "{format:?} {method:?} {width}: {mean}");
            }
        }
    }
}

#[test]
fn shrinking_by_two_averages() {
    let info = info(VideoFormat::Gray8, 128, 64);
    let buffer = filled(&info, 0);
    let mut shrinker = Shrinker::new(&info, 64, 32, ScaleMethod::Bilinear).unwrap();
    let mut picture = Picture::default();
    shrinker
        .shrink(&read(&buffer, &info), &mut picture)
        .unwrap();
    let frame = read(&buffer, &info);
    let data = frame.plane_data(0).unwrap();
    let full = info.colorimetry().range() == gst_video::VideoColorRange::Range0_255;
    for y in 0..32 {
        for x in 0..64 {
            let at = |x: usize, y: usize| f32::from(data[y * 128 + x]);
            let (x2, y2) = (2 * x, 2 * y);
            let sum = at(x2, y2) + at(x2 + 1, y2) + at(x2, y2 + 1) + at(x2 + 1, y2 + 1);
            let level = if full {
                sum / 4.0 / 255.0
            } else {
                ((sum / 4.0 - 16.0) / 219.0).clamp(0.0, 1.0)
            };
            let got = picture.data[y * 64 + x];
            assert!((got - level).abs() < 0.012, "{x} {y}: {got}, {level}");
        }
    }
}

#[test]
fn colours_keep_their_matrix() {
    gst::init().unwrap();
    for colorimetry in ["bt601", "bt709", "1:1:5:1"] {
        let Ok(colorimetry) = colorimetry.parse::<VideoColorimetry>() else {
            continue;
        };
        let info = VideoInfo::builder(VideoFormat::Nv12, 64, 64)
            .colorimetry(&colorimetry)
            .build()
            .unwrap();
        let mut picture = Picture::new(32, 32);
        for (part, level) in [0.8, 0.2, 0.4].into_iter().enumerate() {
            picture.data[part * 1024..(part + 1) * 1024].fill(level);
        }
        let mut buffer = filled(&info, 0);
        let mut enlarger = Enlarger::new(&info, 32, 32, ScaleMethod::Bicubic).unwrap();
        enlarger
            .enlarge(&picture, &mut write(&mut buffer, &info))
            .unwrap();
        let mut back = Picture::default();
        let mut shrinker = Shrinker::new(&info, 32, 32, ScaleMethod::Bicubic).unwrap();
        shrinker.shrink(&read(&buffer, &info), &mut back).unwrap();
        for (got, want) in back.data.iter().zip(&picture.data) {
            assert!((got - want).abs() < 0.008, "{colorimetry}: {got}, {want}");
        }
    }
}

#[test]
fn scale_methods_have_the_nicks_of_the_properties() {
    let class = glib::EnumClass::new::<ScaleMethod>();
    let nicks: Vec<_> = class.values().iter().map(glib::EnumValue::nick).collect();
    assert_eq!(nicks, ["bilinear", "bicubic", "lanczos"]);
}

#[test]
fn pixels_at_odd_addresses_are_refused_before_the_converter_writes_them() {
    for (format, unit) in [
        (VideoFormat::Rgba, 4),
        (VideoFormat::Nv12, 2),
        (VideoFormat::I42010le, 2),
        (VideoFormat::Rgb, 1),
        (VideoFormat::Yuy2, 4),
        (VideoFormat::V210, 4),
        (VideoFormat::Argb64, 8),
    ] {
        let info = info(format, 64, 48);
        let mut enlarger = Enlarger::new(&info, 32, 24, ScaleMethod::Bilinear).unwrap();
        for shift in [0, 1, 4, 8] {
            let mut buffer = gst::Buffer::with_size(info.size() + shift).unwrap();
            let offsets: Vec<_> = info.offset().iter().map(|offset| offset + shift).collect();
            VideoMeta::add_full(
                buffer.get_mut().unwrap(),
                gst_video::VideoFrameFlags::empty(),
                format,
                64,
                48,
                &offsets,
                info.stride(),
            )
            .unwrap();
            let mut frame = write(&mut buffer, &info);
            let enlarged = enlarger.enlarge(&gradient(32, 24), &mut frame);
            let refused =
                matches!(enlarged, Err(FrameError::Alignment { expected, .. }) if expected == unit);
            assert_eq!(
                refused,
                shift % unit != 0,
                "{format:?} by {shift}: {enlarged:?}"
            );
        }
    }
}

mod alpha;
mod samples;
