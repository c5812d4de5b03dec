use gst_video::{VideoFormat, VideoFormatInfo, VideoInfo};

use super::between;
use crate::frames::tests::{filled, read, write};
use crate::frames::{Enlarger, FORMATS, FrameLayout, Picture, Sample, ScaleMethod, Shrinker};

/// Matrices and ranges, in the words of caps.
const COLORIMETRIES: [&str; 8] = [
    "bt601",
    "bt709",
    "bt2020",
    "smpte240m",
    "1:4:0:0",
    "1:3:5:1",
    "1:6:0:0",
    "2:2:0:0",
];

/// A frame whose components are what a function says of their place in the frame, in levels of 8
/// bits; all of it shows.
fn painted(info: &VideoInfo, level: impl Fn(usize, usize, usize) -> u16) -> gst::Buffer {
    let layout = FrameLayout::new(info).unwrap();
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut frame = write(&mut buffer, info);
    let mut planes = layout.planes_mut(&mut frame).unwrap();
    for (index, plane) in planes.get().iter_mut().enumerate() {
        let (pixel, stride) = (plane.format.pixel_bytes(), plane.stride);
        for (y, line) in plane.data.chunks_mut(stride).take(plane.height).enumerate() {
            for (x, out) in line.chunks_exact_mut(pixel).take(plane.width).enumerate() {
                for channel in 0..plane.format.channels {
                    let mut places = layout.places().iter().take(3);
                    let component = places.position(|&place| place == (index, channel));
                    let (x, y) = (x << plane.format.sub_x, y << plane.format.sub_y);
                    let level = component.map(|component| u32::from(level(component, x, y)));
                    match plane.format.sample {
                        Sample::U8 => out[channel] = level.unwrap_or(255) as u8,
                        Sample::U16 { depth, shift } => {
                            let level = level.map(|level| level << (depth - 8));
                            let level = level.unwrap_or(plane.format.sample.most()) << shift;
                            out[2 * channel..2 * channel + 2]
                                .copy_from_slice(&(level as u16).to_ne_bytes());
                        }
                    }
                }
            }
        }
    }
    drop(planes);
    drop(frame);
    buffer
}

/// Returns the mean levels of the colours' components, in levels of 8 bits.
fn means(buffer: &gst::Buffer, info: &VideoInfo) -> Vec<f64> {
    let layout = FrameLayout::new(info).unwrap();
    let frame = read(buffer, info);
    let planes = layout.planes(&frame).unwrap();
    let planes = planes.get();
    let mean = |&(plane, channel): &(usize, usize)| {
        let plane = &planes[plane];
        let mut sum = 0.0;
        for line in plane.data.chunks(plane.stride).take(plane.height) {
            for pixel in line
                .chunks_exact(plane.format.pixel_bytes())
                .take(plane.width)
            {
                sum += match plane.format.sample {
                    Sample::U8 => f64::from(pixel[channel]),
                    Sample::U16 { depth, shift } => {
                        let word = [pixel[2 * channel], pixel[2 * channel + 1]];
                        let level = u16::from_ne_bytes(word) >> shift;
                        f64::from(level) / f64::from(1 << (depth - 8))
                    }
                };
            }
        }
        sum / (plane.width * plane.height) as f64
    };
    layout.places().iter().take(3).map(mean).collect()
}

/// A frame by way of a picture, and whether anything was given back.
fn by_picture(info: &VideoInfo, frame: &gst::Buffer, small: (usize, usize)) -> (gst::Buffer, bool) {
    let (mut picture, mut excess) = (Picture::default(), Picture::default());
    let (width, height) = small;
    let mut shrinker = Shrinker::new(info, width, height, ScaleMethod::Bilinear).unwrap();
    let frame = read(frame, info);
    shrinker.shrink(&frame, &mut picture).unwrap();
    let cut = shrinker
        .shrink_excess(&frame, &picture, &mut excess)
        .unwrap();
    let mut out = filled(info, 5);
    let mut enlarger = Enlarger::new(info, width, height, ScaleMethod::Bicubic).unwrap();
    let mut into = write(&mut out, info);
    enlarger.enlarge(&picture, &mut into).unwrap();
    let found = between([cut.then_some(&excess); 2], 0.5, &picture).unwrap();
    if let Some(found) = found {
        enlarger.give_back(&found, &mut into).unwrap();
    }
    drop(into);
    (out, cut)
}

/// What more than 10 bits show of the converter's coefficients, of 8 bits, and what it repeats in the
/// lower bits of Y210: a quarter of a level.
fn finer(info: &VideoInfo) -> f64 {
    match info.format_info().depth()[0] {
        11.. => 0.25,
        _ if info.format() == VideoFormat::Y210 => 0.25,
        _ => 0.0,
    }
}

/// Does the work for each format, colorimetry and size in which colours are cut off.
fn each_that_is_cut(work: impl Fn(&VideoInfo, (usize, usize), &str)) {
    gst::init().unwrap();
    for format in FORMATS {
        let rgb = VideoFormatInfo::from_format(format).is_rgb();
        for colorimetry in COLORIMETRIES.into_iter().filter(|_| !rgb) {
            for small in [(48, 32), (96, 64)] {
                let info = VideoInfo::builder(format, 96, 64);
                let info = info.colorimetry(&colorimetry.parse().unwrap());
                work(
                    &info.build().unwrap(),
                    small,
                    &format!("{format:?} {colorimetry} {small:?}"),
                );
            }
        }
    }
}

#[test]
fn what_rgb_cuts_off_is_given_back() {
    let colours: [[u16; 3]; 9] = [
        [250, 128, 128],
        [255, 120, 140],
        [3, 128, 128],
        [0, 140, 120],
        [150, 20, 230],
        [60, 240, 128],
        [200, 128, 250],
        [235, 90, 240],
        [16, 16, 16],
    ];
    each_that_is_cut(|info, small, what| {
        for colour in colours {
            let frame = painted(info, |component, _, _| colour[component]);
            let (out, cut) = by_picture(info, &frame, small);
            // what was not cut off is as the converter has it
            if !cut {
                continue;
            }
            for (got, want) in means(&out, info).iter().zip(colour) {
                let want = f64::from(want);
                assert!(
                    (got - want).abs() <= 1.0 + finer(info),
                    "{what} {colour:?}: {got}, not {want}"
                );
            }
        }
    });
}

#[test]
fn the_mean_of_what_is_partly_cut_off_stays() {
    each_that_is_cut(|info, small, what| {
        let (inside, outside) = ([120, 128, 128], [245, 60, 200]);
        let level = |component: usize, x: usize, _| match x < 48 {
            true => outside[component],
            false => inside[component],
        };
        let frame = painted(info, level);
        let (out, cut) = by_picture(info, &frame, small);
        // grey of the full range is never out of RGB's
        assert!(cut || info.n_components() == 1, "{what}");
        for (got, want) in means(&out, info).iter().zip(means(&frame, info)) {
            assert!((got - want).abs() <= 1.0, "{what}: {got}, not {want}");
        }
    });
}

#[test]
fn where_nothing_is_cut_off_nothing_is_given_back() {
    each_that_is_cut(|info, small, what| {
        for colour in [
            [235, 128, 128],
            [16, 128, 128],
            [120, 110, 140],
            [180, 128, 128],
        ] {
            let frame = painted(info, |component, _, _| colour[component]);
            assert!(!by_picture(info, &frame, small).1, "{what} {colour:?}");
        }
    });
}

#[test]
fn what_moved_elsewhere_is_not_given_back() {
    let mut excess = Picture::new(2, 1);
    excess.data = vec![0.25, 0.25, -0.5, -0.5, 0.0, 0.0];
    let mut made = Picture::new(2, 1);
    made.data = vec![1.0, 0.5, 0.0, 0.5, 1.0, 0.5];
    let found = between([Some(&excess), None], 0.25, &made);
    assert_eq!(
        found.unwrap().unwrap().data,
        [0.1875, 0.0, -0.375, 0.0, 0.0, 0.0]
    );
    assert_eq!(between([None, None], 0.5, &made), Ok(None));
}
