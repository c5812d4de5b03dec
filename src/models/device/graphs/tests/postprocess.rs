//! Frames made of what the network answers: as the host makes them.

use super::*;

/// Planes as the graph gives them, as numbers.
fn made(layout: &FrameLayout, outputs: &HashMap<String, DynValue>) -> Vec<Vec<f32>> {
    let planes = layout.shapes().enumerate();
    planes
        .map(|(index, (_, _, format))| {
            let value = &outputs[&format!("out{index}")];
            match format.sample {
                Sample::U8 => {
                    let (_, data) = value.try_extract_tensor::<u8>().unwrap();
                    data.iter().map(|&v| v.into()).collect()
                }
                Sample::U16 { shift, .. } => {
                    let (_, data) = value.try_extract_tensor::<u16>().unwrap();
                    assert!(data.iter().all(|v| v & ((1 << shift) - 1) == 0));
                    data.iter().map(|&v| (v >> shift).into()).collect()
                }
            }
        })
        .collect()
}

/// Returns by how many levels of 8 bits what they show differs from a frame.
fn worst(got: &[Vec<f32>], want: &gst::Buffer, info: &VideoInfo) -> f32 {
    let layout = FrameLayout::new(info).unwrap();
    let want = read(want, info);
    let planes = layout.planes(&want).unwrap();
    let planes = planes.get();
    let differences = got.iter().zip(&planes).map(|(got, plane)| {
        let (shift, depth) = match plane.format.sample {
            Sample::U8 => (0, 8),
            Sample::U16 { depth, shift } => (shift, depth),
        };
        let want: Vec<f32> = samples(plane).iter().map(|s| (s >> shift).into()).collect();
        let alpha = plane.format.alpha;
        difference(
            &visible(got, alpha),
            &visible(&want, alpha),
            ((1 << depth) - 1) as f32,
        )
    });
    differences.fold(0.0, f32::max)
}

/// Colours as they show: as much as their alpha is.
fn visible(samples: &[f32], alpha: Option<usize>) -> Vec<f32> {
    let Some(alpha) = alpha else {
        return samples.to_vec();
    };
    let pixels = samples.chunks_exact(4).flat_map(|pixel| {
        let opacity = pixel[alpha];
        (0..4).map(move |channel| match channel == alpha {
            true => opacity,
            false => pixel[channel] * opacity / 255.0,
        })
    });
    pixels.collect()
}

/// Returns flow and mask of every kind: smooth, torn, far outside, and no numbers.
fn motion(cells: usize, seed: u32) -> (Vec<f32>, Vec<f32>) {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let mut flow: Vec<f32> = (0..4 * cells)
        .map(|index| match index % 97 {
            0..50 => 5.0 * noise() - 2.5,
            50..90 => 60.0 * noise() - 30.0,
            _ => (index as f32 / 40.0).sin() * 3.0,
        })
        .collect();
    let mut mask: Vec<f32> = (0..cells).map(|_| 1.4 * noise() - 0.2).collect();
    for (place, odd) in [f32::NAN, f32::INFINITY, 1e9, -1e7].into_iter().enumerate() {
        flow[place * cells + 3] = odd;
        mask[10 + place] = odd;
    }
    (flow, mask)
}

fn finish(
    geometry: &Geometry,
    answer: OutputKind,
    own: bool,
    inputs: Vec<(String, DynValue)>,
) -> Vec<Vec<f32>> {
    let mut session = session(geometry.finish(answer).unwrap(), own);
    made(
        &FrameLayout::new(&geometry.info).unwrap(),
        &run(&mut session, inputs),
    )
}

/// A frame filled by `fill`.
fn frame(
    info: &VideoInfo,
    fill: impl FnOnce(&mut VideoFrameRef<&mut gst::BufferRef>),
) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let memory = buffer.get_mut().unwrap();
    fill(&mut VideoFrameRef::from_buffer_ref_writable(memory, info).unwrap());
    buffer
}

/// Returns motion on a grid `stride` times coarser than the network's padded picture.
fn spread<'a>(geometry: &Geometry, stride: usize, flow: &'a [f32], mask: &'a [f32]) -> Motion<'a> {
    Motion {
        width: geometry.padded.0 / stride,
        height: geometry.padded.1 / stride,
        cover_x: geometry.small.0 as f32 / stride as f32,
        cover_y: geometry.small.1 as f32 / stride as f32,
        unit: 1.0 / stride as f32,
        flow,
        mask,
    }
}

fn motion_inputs(motion: &Motion) -> Vec<(String, DynValue)> {
    let (width, height) = (motion.width, motion.height);
    vec![
        ("flow".into(), floats(&[1, 4, height, width], motion.flow)),
        ("mask".into(), floats(&[1, 1, height, width], motion.mask)),
    ]
}

#[test]
fn warped_planes_are_the_kernels() {
    for format in FORMATS {
        for method in [ScaleMethod::Bilinear, ScaleMethod::Lanczos] {
            for (index, (size, small)) in SIZES.into_iter().enumerate() {
                let info = info(format, size.0, size.1);
                if !Geometry::serves(&info, small.0) {
                    continue;
                }
                let geometry = geometry(&info, small, method);
                let stride = [1, 2, 4][index % 3];
                let (pw, ph) = geometry.padded;
                let (flow, mask) = motion(pw * ph / stride / stride, 5);
                let motion = spread(&geometry, stride, &flow, &mask);
                let (a, b) = (filled(&info, 3), filled(&info, 99));
                let layout = FrameLayout::new(&info).unwrap();
                let want = frame(&info, |out| {
                    let (a, b) = (read(&a, &info), read(&b, &info));
                    let planes = [layout.planes(&a).unwrap(), layout.planes(&b).unwrap()];
                    let mut out = layout.planes_mut(out).unwrap();
                    let sampling = Sampling::from(method);
                    let [a, b] = planes.each_ref().map(|planes| planes.get());
                    reference::synthesise(&a, &b, &motion, sampling, &mut out.get()).unwrap();
                });
                let own = index % 2 == 0;
                let mut inputs = motion_inputs(&motion);
                inputs.extend(planes(&a, &info, "a"));
                inputs.extend(planes(&b, &info, "b"));
                let answer = OutputKind::Motion(motion.width, motion.height);
                let found = worst(&finish(&geometry, answer, own, inputs), &want, &info);
                assert!(
                    found <= 1.0,
                    "{format:?} {method:?} {size:?} {small:?} {own}: {found}"
                );
            }
        }
    }
}

/// A picture, with values outside the range, and the same in the padded size.
fn picture(geometry: &Geometry, seed: u32) -> (Picture, DynValue) {
    let ((width, height), (padded_width, padded_height)) = (geometry.small, geometry.padded);
    let mut picture = Picture::new(width, height);
    let mut padded = vec![0.5; 3 * padded_width * padded_height];
    let mut state = seed;
    for (index, value) in picture.data.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / (1 << 24) as f32;
        let (row, x) = (index / width, index % width);
        *value = match (row / 8 + x / 8) % 2 {
            0 => 1.2 * noise - 0.1,
            _ => 0.5 + 0.4 * (x as f32 / 9.0).sin(),
        };
        let row = row / height * padded_height + row % height;
        padded[row * padded_width + x] = *value;
    }
    (
        picture,
        floats(&[1, 3, padded_height, padded_width], &padded),
    )
}

/// Enlarges a picture both ways and tells by how many levels they differ.
pub(super) fn enlarged(geometry: &Geometry) -> f32 {
    let info = &geometry.info;
    let (picture, padded) = picture(geometry, 9);
    let (width, height) = geometry.small;
    let want = frame(info, |out| {
        let mut enlarger = Enlarger::new(info, width, height, geometry.upscale).unwrap();
        enlarger.enlarge(&picture, out).unwrap();
    });
    let inputs = vec![("picture".into(), padded)];
    worst(
        &finish(geometry, OutputKind::Picture, false, inputs),
        &want,
        info,
    )
}

#[test]
fn enlarged_pictures_are_the_converter_s() {
    for format in FORMATS {
        for method in METHODS {
            for (size, small) in SIZES {
                let info = info(format, size.0, size.1);
                if !Geometry::serves(&info, small.0) {
                    continue;
                }
                let found = enlarged(&geometry(&info, small, method));
                assert!(
                    found <= 1.0,
                    "{format:?} {method:?} {size:?} {small:?}: {found}"
                );
            }
        }
    }
}

#[test]
fn what_rgb_cuts_off_is_given_back_as_on_the_host() {
    for format in FORMATS {
        for (size, small) in [((96, 64), (96, 64)), ((131, 71), (60, 35))] {
            let info = info(format, size.0, size.1);
            if !Geometry::serves(&info, small.0) {
                continue;
            }
            let geometry = Geometry {
                pictures: true,
                ..geometry(&info, small, ScaleMethod::Bilinear)
            };
            if geometry.gamut().is_none() {
                continue;
            }
            // levels all over, and bright ones
            let buffers = [filled(&info, 7), filled(&info, 8)];
            let mut shrinker = Shrinker::new(&info, small.0, small.1, geometry.downscale).unwrap();
            let mut session = session(geometry.ready((16, 9)).unwrap(), false);
            let mut inputs = vec![("phase".to_owned(), floats(&[1], &[0.25]))];
            let found = buffers.each_ref().map(|buffer| {
                let (mut picture, mut excess) = (Picture::default(), Picture::default());
                let frame = read(buffer, &info);
                shrinker.shrink(&frame, &mut picture).unwrap();
                let cut = shrinker.shrink_excess(&frame, &picture, &mut excess);
                let mut got = run(&mut session, planes(buffer, &info, "plane"));
                let got = got.remove("excess").unwrap();
                let (_, values) = got.try_extract_tensor::<f32>().unwrap();
                let none = Picture::new(small.0, small.1);
                let want = if cut.unwrap() { excess } else { none };
                let apart = difference(values, &want.data, 1.0);
                assert!(apart <= 1.0, "{format:?} {small:?}: {apart}");
                inputs.push((["ax", "bx"][inputs.len() - 1].to_owned(), got));
                want
            });
            let (mut picture, mut padded) = picture(&geometry, 9);
            // much of it at the border
            let wide = |value: f32| (3.0 * value - 1.0).clamp(0.0, 1.0);
            picture
                .data
                .iter_mut()
                .for_each(|value| *value = wide(*value));
            let (_, values) = padded.try_extract_tensor_mut::<f32>().unwrap();
            values.iter_mut().for_each(|value| *value = wide(*value));
            inputs.push(("picture".into(), padded));
            let want = frame(&info, |out| {
                let mut enlarger =
                    Enlarger::new(&info, small.0, small.1, geometry.upscale).unwrap();
                enlarger.enlarge(&picture, out).unwrap();
                let [a, b] = &found;
                let excess = excess_between([Some(a), Some(b)], 0.25, &picture).unwrap();
                enlarger.give_back(&excess.unwrap(), out).unwrap();
            });
            let made = finish(&geometry, OutputKind::Picture, false, inputs);
            let apart = worst(&made, &want, &info);
            assert!(apart <= 1.0, "{format:?} {small:?} made: {apart}");
        }
    }
}

#[test]
fn pictures_are_warped_and_enlarged() {
    for format in [VideoFormat::Nv12, VideoFormat::Bgra, VideoFormat::I42010le] {
        for method in [ScaleMethod::Bilinear, ScaleMethod::Bicubic] {
            let info = info(format, 131, 71);
            let geometry = geometry(&info, (60, 35), method);
            let (flow, mask) = motion(64 * 48 / 4, 5);
            let motion = spread(&geometry, 2, &flow, &mask);
            let ((first, a), (second, b)) = (picture(&geometry, 9), picture(&geometry, 10));
            // ready gives nothing outside the range
            let within = |picture: &Picture| {
                let data = picture
                    .data
                    .iter()
                    .map(|value| value.clamp(0.0, 1.0))
                    .collect();
                Picture { data, ..*picture }
            };
            let (first, second) = (within(&first), within(&second));
            let [a, b] = [a, b].map(|padded| {
                let (_, data) = padded.try_extract_tensor::<f32>().unwrap();
                let data: Vec<f32> = data.iter().map(|value| value.clamp(0.0, 1.0)).collect();
                floats(&[1, 3, 48, 64], &data)
            });
            let want = frame(&info, |out| {
                let sampling = Sampling::from(method);
                let picture = Picture::between(&first, &second, &motion, sampling).unwrap();
                let mut enlarger = Enlarger::new(&info, 60, 35, method).unwrap();
                enlarger.enlarge(&picture, out).unwrap();
            });
            let mut inputs = motion_inputs(&motion);
            inputs.extend([("a".into(), a), ("b".into(), b)]);
            let answer = OutputKind::MotionOfPictures(32, 24);
            let found = worst(&finish(&geometry, answer, false, inputs), &want, &info);
            assert!(found <= 1.0, "{format:?} {method:?}: {found}");
        }
    }
}
