//! Frames of which not all shows.

use super::*;

/// A disc of one colour, of 8 bits, on nothing, whatever is stored there: red, green and blue, or luma and chroma.
fn disc(info: &VideoInfo, colour: [u8; 3], hidden: u8) -> gst::Buffer {
    let layout = FrameLayout::new(info).unwrap();
    let mut buffer = filled(info, 0);
    let mut frame = write(&mut buffer, info);
    let mut planes = layout.planes_mut(&mut frame).unwrap();
    let places = layout.places();
    for (index, plane) in planes.get().iter_mut().enumerate() {
        let (format, pixel) = (plane.format, plane.format.pixel_bytes());
        for (y, line) in plane.data.chunks_mut(plane.stride).enumerate() {
            for (x, out) in line.chunks_exact_mut(pixel).take(plane.width).enumerate() {
                let (x, y) = (x << format.sub_x, y << format.sub_y);
                let inside = x.abs_diff(40).pow(2) + y.abs_diff(32).pow(2) < 20 * 20;
                for channel in 0..format.channels {
                    let component = places.iter().position(|&place| place == (index, channel));
                    let level = match component.and_then(|component| colour.get(component)) {
                        Some(&colour) if inside => u32::from(colour),
                        Some(_) => hidden.into(),
                        None => 255 * u32::from(inside),
                    };
                    match format.sample {
                        Sample::U8 => out[channel] = level as u8,
                        Sample::U16 { shift, .. } => {
                            let level = (level * format.sample.most() / 255) << shift;
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

#[test]
fn colours_and_alpha_come_back_from_pictures() {
    gst::init().unwrap();
    let components = |format: &VideoFormat| VideoFormatInfo::from_format(*format).n_components();
    let with_alpha = |format: &VideoFormat| components(format) == 4;
    for format in FORMATS.into_iter().filter(with_alpha) {
        let info = info(format, 80, 64);
        let colour = match info.format_info().is_rgb() {
            true => [200, 120, 40],
            false => [120, 110, 150],
        };
        let frame = disc(&info, colour, 0);
        let shrinker = Shrinker::new(&info, 40, 32, ScaleMethod::Bilinear).unwrap();
        let (mut picture, mut shown) = (Picture::default(), Picture::default());
        assert!(
            shrinker
                .for_pictures()
                .shrink_both(&read(&frame, &info), &mut picture, &mut shown)
                .unwrap()
        );
        let mut enlarger = Enlarger::new(&info, 40, 32, ScaleMethod::Bilinear).unwrap();
        let mut out = filled(&info, 0);
        enlarger
            .enlarge_both(&mut picture, &shown, &mut write(&mut out, &info))
            .unwrap();
        let out = read(&out, &info);
        let format_info = info.format_info();
        let depth = format_info.depth();
        let of_eight = |component: usize| {
            let most = ((1_u32 << depth[component]) - 1) as f32;
            levels(&out, component)
                .into_iter()
                .map(move |level| level as f32 * 255.0 / most)
        };
        let opacity: Vec<_> = of_eight(3).collect();
        for (component, colour) in colour.into_iter().enumerate() {
            let apart = of_eight(component).map(|level| (level - f32::from(colour)).abs());
            let worst = apart
                .zip(&opacity)
                .map(|(off, opacity)| off * opacity / 255.0);
            // chroma of half the size is sited elsewhere than alpha, which shows at the rim
            let coarse = match (format, component) {
                (VideoFormat::A420, 1..) => 32.0,
                (VideoFormat::A420, _) => 6.0,
                _ => 4.0,
            };
            let worst = worst.fold(0.0, f32::max);
            assert!(worst <= coarse, "{format:?} {component}: {worst}");
        }
        let (inside, outside) = (opacity[32 * 80 + 40], opacity[0]);
        // two of 65535 levels are what the converter's 16 bits leave
        assert!(
            inside == 255.0 && outside < 0.01,
            "{format:?} {inside} {outside}"
        );
    }
}

#[test]
fn what_is_stored_where_nothing_is_shown_is_not_seen() {
    for format in [VideoFormat::Rgba, VideoFormat::Ayuv, VideoFormat::Argb64] {
        let info = info(format, 80, 64);
        let mut shrinker = Shrinker::new(&info, 40, 32, ScaleMethod::Bicubic).unwrap();
        let [first, second] = [0, 90].map(|hidden| {
            let mut picture = Picture::default();
            let frame = disc(&info, [60, 110, 130], hidden);
            shrinker.shrink(&read(&frame, &info), &mut picture).unwrap();
            picture
        });
        assert_eq!(first, second, "{format:?}");
    }
}

#[test]
fn a_hole_is_seen_in_any_colour() {
    let info = info(VideoFormat::Rgba, 80, 64);
    let mut shrinker = Shrinker::new(&info, 40, 32, ScaleMethod::Bilinear).unwrap();
    let levels = [0, 64, 128, 192, 255];
    let colours = levels.map(|red| levels.map(|green| levels.map(|blue| [red, green, blue])));
    for colour in colours.as_flattened().as_flattened() {
        let mut picture = Picture::default();
        let frame = disc(&info, *colour, 0);
        shrinker.shrink(&read(&frame, &info), &mut picture).unwrap();
        let luma = |at: usize| {
            let [red, green, blue] = [0, 1, 2].map(|part| picture.data[part * 40 * 32 + at]);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        let apart = (luma(16 * 40 + 20) - luma(0)).abs();
        assert!(apart > 0.2, "{colour:?}: {apart}");
    }
}
