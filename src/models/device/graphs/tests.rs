mod postprocess;
mod preprocess;

use std::collections::HashMap;

use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use onnx_graph::edit;
use onnx_graph::proto::ModelProto;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use super::{Geometry, OutputKind};
use crate::frames::{
    Enlarger, FORMATS, FrameError, FrameLayout, Motion, Picture, Plane, Sample, Sampling,
    ScaleMethod, Shrinker, excess_between, reference,
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

/// Returns a frame of noise, smooth in places, in all of the range.
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
    let mut planes = layout.planes_mut(&mut frame).unwrap();
    for plane in planes.get() {
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
    drop(planes);
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
    let planes = planes.get();
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

/// Returns by how many levels of 8 bits two lists of numbers differ at most; `most` is the highest.
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
        if !Geometry::serves(&info, 60) {
            continue;
        }
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
        &info(VideoFormat::Yuv9, 128, 96),
        (64, 48),
        ScaleMethod::Bilinear,
    );
    assert!(other.ready((8, 6)).is_err());
    for format in [VideoFormat::A420, VideoFormat::Gbr, VideoFormat::P016Le] {
        let other = geometry(&info(format, 128, 96), (64, 48), ScaleMethod::Bilinear);
        let refused = other.finish(OutputKind::Picture).map(drop);
        assert_eq!(refused, Err(FrameError::Device { found: format }));
    }
}

#[test]
fn differences_are_those_of_the_host() {
    for format in FORMATS {
        for (width, height) in [(96, 64), (131, 71)] {
            let info = info(format, width, height);
            if !Geometry::serves(&info, 40) {
                continue;
            }
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
                let mut planes = planes.get();
                let last = planes.last_mut().unwrap();
                let at = (last.height - 1) * last.stride + last.row_bytes() - 1;
                last.data[at] ^= 0x40;
            }
            for b in [filled(&info, 2), filled(&info, 1), corner] {
                let (frame_a, frame_b) = (read(&a, &info), read(&b, &info));
                let planes_a = layout.planes(&frame_a).unwrap();
                let want = crate::frames::difference(
                    &planes_a.get(),
                    &layout.planes(&frame_b).unwrap().get(),
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

/// Where the grid is not a whole number of times coarser than a plane, its enlarged size is
/// rounded.
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
