use std::collections::HashMap;

use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use onnx_graph::edit;
use onnx_graph::proto::ModelProto;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use super::{Geometry, OutputKind};
use crate::frames::{
    Enlarger, FORMATS, FrameLayout, Motion, Picture, Plane, Sample, Sampling, ScaleMethod,
    Shrinker, excess_between, reference,
};
use crate::models::options::LoadOptions;
use crate::models::runtime::load_canceller::LoadCanceller;
use crate::models::runtime::{self, session};
use crate::models::signature::types::Padding;

const METHODS: [ScaleMethod; 3] = [
    ScaleMethod::Bilinear,
    ScaleMethod::Bicubic,
    ScaleMethod::Lanczos,
];

/// A graph on the CPU, `GridSample` being this project's own operator or the runtime's.
fn session(mut model: ModelProto, own: bool) -> Session {
    if own {
        edit::use_own_grid_sample(&mut model);
    }
    let options = LoadOptions {
        threads: 1,
        ..LoadOptions::default()
    };
    let runtime = runtime::runtime().unwrap();
    let encoded = onnx_graph::encode(&model);
    let interrupt = LoadCanceller::default();
    let on = session::On::Cpu {
        limit: 0,
        own_operators: own,
    };
    session::commit(runtime, &options, &encoded, None, on, &interrupt).unwrap()
}

fn run(session: &mut Session, inputs: Vec<(String, DynValue)>) -> HashMap<String, DynValue> {
    let inputs: Vec<_> = inputs
        .into_iter()
        .map(|(name, value)| (name, SessionInputValue::from(value)))
        .collect();
    let outputs = session.run(inputs).unwrap();
    outputs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn floats(dims: &[usize], values: &[f32]) -> DynValue {
    Tensor::from_array((dims.to_vec(), values.to_vec()))
        .unwrap()
        .into_dyn()
}

fn info(format: VideoFormat, width: usize, height: usize) -> VideoInfo {
    gst::init().unwrap();
    runtime::runtime().unwrap();
    VideoInfo::builder(format, width as u32, height as u32)
        .build()
        .unwrap()
}

/// Noise, smooth in places, in all of the range.
fn filled(info: &VideoInfo, seed: u32) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut frame =
        VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), info).unwrap();
    let layout = FrameLayout::new(info).unwrap();
    let mut state = seed | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state >> 8
    };
    for plane in layout.planes_mut(&mut frame).unwrap() {
        let (row, stride, height) = (plane.row_bytes(), plane.stride, plane.height);
        for (y, line) in plane.data.chunks_mut(stride).enumerate().take(height) {
            match plane.format.sample {
                Sample::U8 => {
                    for (x, byte) in line[..row].iter_mut().enumerate() {
                        *byte = match (x / 24 + y / 16) % 3 {
                            0 => noise() as u8,
                            1 => (3 * x + 2 * y) as u8,
                            _ => 40 + 170 * u8::from(x % 7 < 3),
                        };
                    }
                }
                Sample::U16 { depth, shift } => {
                    for (x, word) in line[..row].chunks_exact_mut(2).enumerate() {
                        let level = match (x / 24 + y / 16) % 3 {
                            0 => noise(),
                            1 => (12 * x + 8 * y) as u32,
                            _ => 160 + 680 * u32::from(x % 7 < 3),
                        };
                        let level = (level & ((1 << depth) - 1)) << shift;
                        word.copy_from_slice(&(level as u16).to_ne_bytes());
                    }
                }
            }
        }
    }
    drop(frame);
    buffer
}

fn read<'a>(buffer: &'a gst::Buffer, info: &'a VideoInfo) -> VideoFrameRef<&'a gst::BufferRef> {
    VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap()
}

/// A plane's samples without what lies between its rows.
fn samples(plane: &Plane) -> Vec<u16> {
    let rows = plane.data.chunks(plane.stride).take(plane.height);
    let rows = rows.map(|row| &row[..plane.row_bytes()]);
    match plane.format.sample {
        Sample::U8 => rows.flatten().map(|&byte| byte.into()).collect(),
        Sample::U16 { .. } => rows
            .flat_map(|row| row.chunks_exact(2))
            .map(|word| u16::from_ne_bytes([word[0], word[1]]))
            .collect(),
    }
}

fn tensor(plane: &Plane) -> DynValue {
    let dims = [plane.height, plane.width * plane.format.channels];
    let samples = samples(plane);
    match plane.format.sample {
        Sample::U8 => {
            let bytes: Vec<u8> = samples.iter().map(|&s| s as u8).collect();
            Tensor::from_array((dims, bytes)).unwrap().into_dyn()
        }
        Sample::U16 { .. } => Tensor::from_array((dims, samples)).unwrap().into_dyn(),
    }
}

fn planes(buffer: &gst::Buffer, info: &VideoInfo, name: &str) -> Vec<(String, DynValue)> {
    let frame = read(buffer, info);
    let layout = FrameLayout::new(info).unwrap();
    let planes = layout.planes(&frame).unwrap();
    let named = planes.iter().enumerate();
    named
        .map(|(index, plane)| (format!("{name}{index}"), tensor(plane)))
        .collect()
}

fn geometry(info: &VideoInfo, small: (usize, usize), method: ScaleMethod) -> Geometry {
    Geometry {
        info: info.clone(),
        small,
        padded: (small.0.next_multiple_of(16), small.1.next_multiple_of(16)),
        padding: Padding::default(),
        downscale: method,
        upscale: method,
        pictures: false,
    }
}

#[test]
fn the_padding_is_the_one_on_the_host() {
    let info = info(VideoFormat::Nv12, 131, 71);
    for padding in [Padding::Repeat, Padding::Reflect, Padding::Zeros] {
        let geometry = Geometry {
            padding,
            // more than there is to be mirrored
            padded: (192, 128),
            ..geometry(&info, (60, 35), ScaleMethod::Bilinear)
        };
        let mut session = session(geometry.ready((16, 9)).unwrap(), false);
        let made = run(&mut session, planes(&filled(&info, 1), &info, "plane"));
        let (_, data) = made["picture"].try_extract_tensor::<f32>().unwrap();
        let at = |x: usize, y: usize| data[y * 192 + x];
        for (x, y) in (0..192).flat_map(|x| (0..128).map(move |y| (x, y))) {
            let source = padding.source(x, 60).zip(padding.source(y, 35));
            assert_eq!(
                at(x, y),
                source.map_or(0.0, |(x, y)| at(x, y)),
                "{padding:?} {x} {y}"
            );
        }
    }
}

/// The geometries that are tried: frame, and network's picture.
const SIZES: [((usize, usize), (usize, usize)); 7] = [
    ((96, 64), (96, 64)),
    ((96, 64), (48, 32)),
    ((131, 71), (60, 35)),
    ((97, 71), (40, 31)),
    ((128, 96), (100, 75)),
    ((201, 90), (31, 20)),
    // the scale between them is rounded, and 48 times that is a bit less than 50
    ((50, 33), (48, 32)),
];

/// By how many levels of 8 bits two lists of numbers differ at most; `most` is the highest.
fn difference(got: &[f32], want: &[f32], most: f32) -> f32 {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    differences.fold(0.0, f32::max) * 255.0 / most
}

/// A padded picture's inside.
fn inside(geometry: &Geometry, picture: &DynValue) -> Vec<f32> {
    let (_, data) = picture.try_extract_tensor::<f32>().unwrap();
    let (width, height) = geometry.padded;
    let rows = data.chunks(width).enumerate();
    let rows = rows.filter(|(row, _)| row % height < geometry.small.1);
    rows.flat_map(|(_, row)| row[..geometry.small.0].to_vec())
        .collect()
}

/// The picture as the graph makes it, and as the converter does.
fn ready(info: &VideoInfo, geometry: &Geometry, buffer: &gst::Buffer) -> (Vec<f32>, Picture) {
    let (width, height) = geometry.small;
    let mut want = Picture::default();
    let mut shrinker = Shrinker::new(info, width, height, geometry.downscale).unwrap();
    shrinker.shrink(&read(buffer, info), &mut want).unwrap();
    let mut session = session(geometry.ready((16, 9)).unwrap(), false);
    let got = run(&mut session, planes(buffer, info, "plane"));
    (inside(geometry, &got["picture"]), want)
}

/// One of the converter's own 1023 levels: what a sum that falls the other way in the last step makes.
const LAST_STEP: f32 = 255.0 / 1023.0 + 1e-3;

#[test]
fn pictures_are_the_converter_s() {
    for format in FORMATS {
        for method in METHODS {
            for (size, small) in SIZES {
                let info = info(format, size.0, size.1);
                let geometry = geometry(&info, small, method);
                let (got, want) = ready(&info, &geometry, &filled(&info, 7));
                let found = difference(&got, &want.data, 1.0);
                assert!(
                    found <= LAST_STEP,
                    "{format:?} {method:?} {size:?} {small:?}: {found}"
                );
            }
        }
    }
}

#[test]
fn chroma_is_sited_and_colours_are_ranged_as_the_video_says() {
    gst::init().unwrap();
    runtime::runtime().unwrap();
    let sites = ["none", "mpeg2", "cosited", "v-cosited"];
    for format in [VideoFormat::Nv12, VideoFormat::Y42b, VideoFormat::I42010le] {
        for (site, colorimetry) in sites
            .into_iter()
            .zip(["bt709", "bt601", "bt2020", "1:4:0:0"])
        {
            let info = VideoInfo::builder(format, 131, 71)
                .chroma_site(site.parse().unwrap())
                .colorimetry(&colorimetry.parse().unwrap())
                .build()
                .unwrap();
            let geometry = geometry(&info, (60, 35), ScaleMethod::Bicubic);
            let (got, want) = ready(&info, &geometry, &filled(&info, 7));
            let found = difference(&got, &want.data, 1.0);
            assert!(
                found <= LAST_STEP,
                "{format:?} {site} {colorimetry}: {found}"
            );
            let found = enlarged(&geometry);
            assert!(found <= 1.0, "{format:?} {site} {colorimetry}: {found}");
        }
    }
}

/// Where the converter scales rows before columns behind chroma that it brings to full size (so in deep
/// formats, and where the picture is flatter than the frame), it takes other rows than it should, luma's too: on
/// noise up to 230 levels off, in GStreamer 1.22. On rows that are all alike, that does not show.
#[test]
fn deep_pictures_that_are_flatter_than_their_frames_are_right_but_for_the_converter_s_rows() {
    for format in [VideoFormat::P01010le, VideoFormat::I42010le] {
        for method in METHODS {
            let info = info(format, 128, 96);
            let mut buffer = filled(&info, 7);
            {
                let layout = FrameLayout::new(&info).unwrap();
                let buffer = buffer.get_mut().unwrap();
                let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &info).unwrap();
                for plane in layout.planes_mut(&mut frame).unwrap() {
                    let (first, rest) = plane.data.split_at_mut(plane.stride);
                    for row in rest.chunks_mut(plane.stride) {
                        row.copy_from_slice(&first[..row.len()]);
                    }
                }
            }
            let geometry = geometry(&info, (127, 48), method);
            let (got, want) = ready(&info, &geometry, &buffer);
            let found = difference(&got, &want.data, 1.0);
            assert!(found <= 2.0 * LAST_STEP, "{format:?} {method:?}: {found}");
        }
    }
}

#[test]
fn pictures_are_padded_and_thumbnails_are_means() {
    let info = info(VideoFormat::Nv12, 131, 71);
    let geometry = geometry(&info, (60, 35), ScaleMethod::Bilinear);
    let mut session = session(geometry.ready((7, 4)).unwrap(), false);
    let got = run(&mut session, planes(&filled(&info, 7), &info, "plane"));
    let (shape, padded) = got["picture"].try_extract_tensor::<f32>().unwrap();
    assert_eq!(&**shape, [1, 3, 48, 64]);
    let picture = inside(&geometry, &got["picture"]);
    for (index, value) in padded.iter().enumerate() {
        let (part, y, x) = (index / (48 * 64), index / 64 % 48, index % 64);
        assert_eq!(*value, picture[(part * 35 + y.min(34)) * 60 + x.min(59)]);
    }
    let (_, cells) = got["thumbnail"].try_extract_tensor::<f32>().unwrap();
    assert_eq!(cells.len(), 7 * 4);
    for (index, cell) in cells.iter().enumerate() {
        let (row, column) = (index / 7, index % 7);
        let (rows, columns) = (
            row * 35 / 4..(row + 1) * 35 / 4,
            column * 60 / 7..(column + 1) * 60 / 7,
        );
        let count = rows.len() * columns.len();
        let places = rows.flat_map(|y| columns.clone().map(move |x| y * 60 + x));
        let luma = places.map(|at| {
            let [red, green, blue] = [0, 1, 2].map(|part| picture[part * 60 * 35 + at]);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        });
        assert!((luma.sum::<f32>() / count as f32 - cell).abs() < 1e-5);
    }
}

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

/// By how many levels of 8 bits what they show differs from a frame.
fn worst(got: &[Vec<f32>], want: &gst::Buffer, info: &VideoInfo) -> f32 {
    let layout = FrameLayout::new(info).unwrap();
    let want = read(want, info);
    let planes = layout.planes(&want).unwrap();
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

/// Flow and mask of every kind: smooth, torn, far outside, and no numbers.
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

/// Motion on a grid `stride` times coarser than the network's padded picture.
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
                    reference::synthesise(&planes[0], &planes[1], &motion, sampling, &mut out)
                        .unwrap();
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
fn enlarged(geometry: &Geometry) -> f32 {
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

/// All that the graphs are made of. For each, CUDA has a kernel at opset 17 for the types used here
/// (docs/OperatorKernels.md of ONNX Runtime).
const ON_CUDA: [&str; 35] = [
    "Abs",
    "Add",
    "AveragePool",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "Div",
    "Expand",
    "Floor",
    "Gather",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "Identity",
    "Less",
    "LessOrEqual",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Pad",
    "ReduceMax",
    "ReduceMin",
    "Reshape",
    "Resize",
    "Round",
    "Slice",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
    "Where",
];

#[test]
fn operators_are_those_that_cuda_has() {
    for format in FORMATS {
        let info = info(format, 131, 71);
        for method in METHODS {
            let geometry = geometry(&info, (60, 35), method);
            let answers = [
                OutputKind::Motion(32, 24),
                OutputKind::MotionOfPictures(32, 24),
                OutputKind::Picture,
            ];
            let finishing = answers.map(|answer| geometry.finish(answer).unwrap());
            let pictures = Geometry {
                pictures: true,
                ..geometry.clone()
            };
            for model in finishing.into_iter().chain([
                pictures.ready((7, 4)).unwrap(),
                pictures
                    .finish(OutputKind::MotionOfPictures(32, 24))
                    .unwrap(),
                pictures.finish(OutputKind::Picture).unwrap(),
                geometry.ready((7, 4)).unwrap(),
                geometry.difference().unwrap(),
            ]) {
                assert_eq!(model.opset_import[0].version, Some(17));
                for node in &model.graph.unwrap().node {
                    assert!(ON_CUDA.contains(&node.op_type()), "{}", node.op_type());
                }
            }
        }
    }
}

#[test]
fn geometries_that_cannot_be_are_refused() {
    let video = info(VideoFormat::Nv12, 128, 96);
    for (small, padded) in [
        ((129, 96), (144, 96)),
        ((8, 48), (16, 48)),
        ((64, 48), (63, 48)),
    ] {
        let geometry = Geometry {
            padded,
            ..geometry(&video, small, ScaleMethod::Bilinear)
        };
        assert!(geometry.ready((8, 6)).is_err(), "{small:?} {padded:?}");
        assert!(geometry.finish(OutputKind::Picture).is_err());
    }
    let other = geometry(
        &info(VideoFormat::Uyvy, 128, 96),
        (64, 48),
        ScaleMethod::Bilinear,
    );
    assert!(other.ready((8, 6)).is_err());
}

#[test]
fn differences_are_those_of_the_host() {
    for format in FORMATS {
        for (width, height) in [(96, 64), (131, 71)] {
            let info = info(format, width, height);
            let geometry = geometry(&info, (40, 31), ScaleMethod::Bilinear);
            let layout = FrameLayout::new(&info).unwrap();
            let mut session = session(geometry.difference().unwrap(), false);
            // apart everywhere, alike, and apart in the last sample alone
            let a = filled(&info, 1);
            let mut corner = filled(&info, 1);
            {
                let frame = corner.get_mut().unwrap();
                let mut frame = VideoFrameRef::from_buffer_ref_writable(frame, &info).unwrap();
                let mut planes = layout.planes_mut(&mut frame).unwrap();
                let last = planes.last_mut().unwrap();
                let at = (last.height - 1) * last.stride + last.row_bytes() - 1;
                last.data[at] ^= 0x40;
            }
            for b in [filled(&info, 2), filled(&info, 1), corner] {
                let (frame_a, frame_b) = (read(&a, &info), read(&b, &info));
                let planes_a = layout.planes(&frame_a).unwrap();
                let want = crate::frames::difference(
                    &planes_a,
                    &layout.planes(&frame_b).unwrap(),
                    f64::INFINITY,
                );
                let mut inputs = planes(&a, &info, "a");
                inputs.extend(planes(&b, &info, "b"));
                let outputs = run(&mut session, inputs);
                let (_, got) = outputs["difference"].try_extract_tensor::<f32>().unwrap();
                let want = want.unwrap() as f32;
                assert!(
                    (got[0] - want).abs() <= want * 1e-5,
                    "{format} {width}: {got:?}, {want}"
                );
            }
        }
    }
}

/// Where the grid is not a whole number of times coarser than a plane, its enlarged size is rounded.
#[test]
fn odd_ratios_of_grid_and_plane_make_graphs_that_start() {
    for (frame, small, padded, grid) in [
        ((48, 95), (24, 48), (24, 48), (3, 6)),
        ((107, 95), (54, 48), (56, 48), (56, 48)),
        ((62, 71), (21, 24), (24, 24), (6, 6)),
        ((115, 111), (58, 56), (64, 56), (64, 56)),
        ((119, 93), (40, 31), (40, 32), (40, 32)),
    ] {
        for format in [VideoFormat::Gray8, VideoFormat::Nv12] {
            let info = info(format, frame.0, frame.1);
            let geometry = Geometry {
                padded,
                ..geometry(&info, small, ScaleMethod::Bilinear)
            };
            let model = geometry.finish(OutputKind::Motion(grid.0, grid.1)).unwrap();
            session(model, false);
        }
    }
}
