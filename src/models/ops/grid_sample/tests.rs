use ort::session::Session;
use ort::value::TensorRef;

use super::super::testing::{numbers, start};
use super::*;
use onnx_graph::build::{GraphBuilder, int, text};
use onnx_graph::edit;
use onnx_graph::proto::ModelProto;

fn samplings() -> impl Iterator<Item = Sampling> {
    [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .map(|(border, align_corners)| Sampling {
            border,
            align_corners,
        })
}

/// Our operator on `n` pictures.
fn ours(
    sampling: Sampling,
    simd: Simd,
    n: usize,
    [c, h, w, gh, gw]: [usize; 5],
    picture: &[f32],
    grid: &[f32],
) -> Vec<f32> {
    let mut output = vec![f32::NAN; n * c * gh * gw];
    let job = Job {
        sampling,
        simd,
        size: Size::new([c, h, w, gh, gw]).expect("the size is small"),
        picture,
        grid,
        output: Output(output.as_mut_ptr()),
    };
    job.rows(0..n * gh);
    output
}

/// The definition, word for word, in double precision.
fn reference(
    sampling: Sampling,
    n: usize,
    [c, h, w, gh, gw]: [usize; 5],
    picture: &[f32],
    grid: &[f32],
) -> Vec<f32> {
    let place = |position: f32, size: usize| {
        let (position, size) = (f64::from(position), size as f64);
        let place = if sampling.align_corners {
            (position + 1.0) / 2.0 * (size - 1.0)
        } else {
            ((position + 1.0) * size - 1.0) / 2.0
        };
        match sampling.border {
            true => place.clamp(0.0, size - 1.0),
            false => place,
        }
    };
    let mut output = Vec::new();
    for (n, channel, y, x) in indices([n, c, gh, gw]) {
        let at = ((n * gh + y) * gw + x) * 2;
        let (px, py) = (place(grid[at], w), place(grid[at + 1], h));
        let mut sum = 0.0;
        for dy in 0..2 {
            for dx in 0..2 {
                let (cx, cy) = (px.floor() + f64::from(dx), py.floor() + f64::from(dy));
                let weight = (1.0 - (px - cx).abs()) * (1.0 - (py - cy).abs());
                let inside = cx >= 0.0 && cy >= 0.0 && cx < w as f64 && cy < h as f64;
                if inside {
                    let (cx, cy) = (cx as usize, cy as usize);
                    let at = ((n * c + channel) * h + cy) * w + cx;
                    sum += weight * f64::from(picture[at]);
                }
            }
        }
        output.push(sum as f32);
    }
    output
}

fn indices([n, c, h, w]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..n * c * h * w).map(move |i| (i / (c * h * w), i / (h * w) % c, i / w % h, i % w))
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

const SIZES: [(usize, [usize; 5]); 6] = [
    (1, [3, 24, 32, 24, 32]),
    (2, [5, 7, 9, 3, 37]),
    (1, [1, 1, 1, 2, 8]),
    (3, [2, 13, 1, 5, 7]),
    (1, [4, 2, 3, 1, 1]),
    (2, [1, 40, 64, 33, 129]),
];

#[test]
fn it_does_what_the_definition_says() {
    for (n, size) in SIZES {
        let [c, h, w, gh, gw] = size;
        let picture = numbers(n * c * h * w, -1.0, 1.0);
        let grid = numbers(n * gh * gw * 2, -1.6, 1.6);
        for sampling in samplings() {
            let expected = reference(sampling, n, size, &picture, &grid);
            for simd in [Simd::Plain, Simd::best()] {
                let found = ours(sampling, simd, n, size, &picture, &grid);
                let difference = largest_difference(&found, &expected);
                assert!(
                    difference < 2e-5,
                    "{difference} at {size:?}, {sampling:?}, {simd:?}"
                );
            }
        }
    }
}

#[test]
fn positions_that_are_no_numbers_stay_inside() {
    let size = [1, 2, 2, 2, 8];
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1e30,
        -1e30,
        0.0,
        f32::MAX,
        f32::MIN,
    ];
    let grid: Vec<f32> = odd
        .iter()
        .flat_map(|&x| [x, 0.0])
        .chain(odd.iter().flat_map(|&y| [0.0, y]))
        .collect();
    let picture = [1.0, 2.0, 3.0, 4.0];
    for sampling in samplings() {
        let plain = ours(sampling, Simd::Plain, 1, size, &picture, &grid);
        let simd = ours(sampling, Simd::best(), 1, size, &picture, &grid);
        assert!(plain.iter().all(|v| (0.0..=4.0).contains(v)), "{plain:?}");
        assert_eq!(plain, simd);
    }
}

fn sampler(sampling: Sampling, mode: &str, opset: i64) -> ModelProto {
    let padding = if sampling.border { "border" } else { "zeros" };
    let attributes = vec![
        text("mode", mode),
        text("padding_mode", padding),
        int("align_corners", i64::from(sampling.align_corners)),
    ];
    GraphBuilder::new("sampler", opset)
        .input("x", &[-1, -1, -1, -1])
        .input("grid", &[-1, -1, -1, 2])
        .node_with("GridSample", &["x", "grid"], &["y"], attributes)
        .output("y", &[-1, -1, -1, -1])
        .finish()
}

/// The network as it is and with our operator.
fn both(mut model: ModelProto) -> (Session, Session) {
    let theirs = start(&model, false);
    assert!(edit::use_own_grid_sample(&mut model) > 0);
    (theirs, start(&model, true))
}

fn sample(
    session: &mut Session,
    n: usize,
    [c, h, w, gh, gw]: [usize; 5],
    picture: &[f32],
    grid: &[f32],
) -> Vec<f32> {
    let picture = TensorRef::from_array_view(([n, c, h, w], picture)).expect("it fits");
    let grid = TensorRef::from_array_view(([n, gh, gw, 2], grid)).expect("it fits");
    let outputs = session
        .run(ort::inputs!["x" => picture, "grid" => grid])
        .expect("it runs");
    let (shape, data) = outputs["y"]
        .try_extract_tensor::<f32>()
        .expect("it is float");
    assert_eq!(**shape, [n, c, gh, gw].map(|dim| dim as i64));
    data.to_vec()
}

#[test]
fn it_does_what_the_runtime_s_own_operator_does() {
    for sampling in samplings() {
        for (mode, opset) in [("bilinear", 16), ("linear", 20)] {
            let (mut theirs, mut own) = both(sampler(sampling, mode, opset));
            // the last is large enough to be done by several threads
            for (n, size) in SIZES.into_iter().chain([(2, [8, 90, 120, 80, 130])]) {
                let [c, h, w, gh, gw] = size;
                let picture = numbers(n * c * h * w, -1.0, 1.0);
                let grid = numbers(n * gh * gw * 2, -1.6, 1.6);
                let expected = sample(&mut theirs, n, size, &picture, &grid);
                let found = sample(&mut own, n, size, &picture, &grid);
                let difference = largest_difference(&found, &expected);
                assert!(difference < 5e-5, "{difference} at {size:?}, {sampling:?}");
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let sampling = Sampling {
        border: true,
        align_corners: false,
    };
    let (_, mut own) = both(sampler(sampling, "bilinear", 17));
    let picture = vec![0.0_f32; 2 * 3 * 4 * 4];
    let grid = vec![0.0_f32; 3 * 4 * 4 * 2];
    let picture =
        TensorRef::from_array_view(([2_usize, 3, 4, 4], picture.as_slice())).expect("it fits");
    let grid = TensorRef::from_array_view(([3_usize, 4, 4, 2], grid.as_slice())).expect("it fits");
    let result = own.run(ort::inputs!["x" => picture, "grid" => grid]);
    let message = result.map(|_| ()).expect_err("they differ").to_string();
    assert!(message.contains("differ in number"), "{message}");
}
