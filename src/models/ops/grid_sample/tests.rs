use std::time::Instant;

use ort::session::Session;
use ort::value::TensorRef;

use super::super::testing::{numbers, start};
use super::*;
use crate::frames::Picture;
use crate::models::interpolator::Interpolator;
use crate::models::loading::catalog;
use crate::models::network::prepared::Prepared;
use crate::models::options::{ExecutionProvider, LoadOptions};
use onnx_graph::build::{GraphBuilder, int, text};
use onnx_graph::proto::ModelProto;
use onnx_graph::{decode, edit, functions};

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
    simd: bool,
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
            for simd in [false, simd_available()] {
                let found = ours(sampling, simd, n, size, &picture, &grid);
                let difference = largest_difference(&found, &expected);
                assert!(
                    difference < 2e-5,
                    "{difference} at {size:?}, {sampling:?}, simd {simd}"
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
        let plain = ours(sampling, false, 1, size, &picture, &grid);
        let simd = ours(sampling, simd_available(), 1, size, &picture, &grid);
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

/// Milliseconds of the quickest of some runs: the one least disturbed by whatever else runs.
fn quickest(mut run: impl FnMut()) -> f64 {
    let times = (0..41).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default().as_secs_f64() * 1e3
}

/// `cargo test --release --lib how_much_faster -- --ignored --nocapture`
#[test]
#[ignore = "it measures"]
fn how_much_faster() {
    let size = [3, 384, 640, 384, 640];
    let picture = numbers(3 * 384 * 640, 0.0, 1.0);
    // positions as a network makes them: near where they are
    let jitter = numbers(384 * 640 * 2, -0.02, 0.02);
    let grid: Vec<f32> = jitter
        .iter()
        .enumerate()
        .map(|(i, jitter)| {
            let (x, y) = (i / 2 % 640, i / 2 / 640);
            jitter
                + if i % 2 == 0 {
                    x as f32 / 320.0
                } else {
                    y as f32 / 192.0
                }
                - 1.0
        })
        .collect();
    for sampling in samplings() {
        let (mut theirs, mut own) = both(sampler(sampling, "bilinear", 17));
        println!(
            "GridSample 3x384x640, {sampling:?}: runtime's {:.2} ms, ours {:.2} ms",
            quickest(|| drop(sample(&mut theirs, 1, size, &picture, &grid))),
            quickest(|| drop(sample(&mut own, 1, size, &picture, &grid))),
        );
    }
    let model = decode(catalog::VFI_LITE).expect("it is a network");
    let mut own = model.clone();
    assert!(functions::hand_over_stages(&mut own) > 0);
    let (theirs, own) = (start(&model, false), start(&own, true));
    for (name, mut session) in [("runtime's", theirs), ("our", own)] {
        for (w, h) in [(320_usize, 192_usize), (640, 368), (1280, 720)] {
            let (a, b) = (numbers(3 * w * h, 0.0, 1.0), numbers(3 * w * h, 0.2, 0.9));
            let time = quickest(|| {
                let a = TensorRef::from_array_view(([1, 3, h, w], a.as_slice())).expect("it fits");
                let b = TensorRef::from_array_view(([1, 3, h, w], b.as_slice())).expect("it fits");
                let t =
                    TensorRef::from_array_view(([1_usize], [0.5_f32].as_slice())).expect("it fits");
                let inputs = ort::inputs!["img0" => a, "img1" => b, "timestep" => t];
                drop(session.run(inputs).expect("it runs"));
            });
            println!("vfi-lite {w}x{h} with {name} operators: {time:.1} ms");
        }
    }
    let start_time = quickest(|| drop(start(&model, false)));
    println!("a session of vfi-lite: {start_time:.0} ms");
    let options = LoadOptions {
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let load_time = quickest(|| drop(Interpolator::load(&options)));
    println!("loading vfi-lite: {load_time:.0} ms");
    let mut network = Interpolator::load(&options).expect("it loads");
    let picture = Picture::new(640, 360);
    let (mut a, mut b) = (Prepared::default(), Prepared::default());
    let prepare = quickest(|| {
        network.prepare(&picture, &mut a).expect("it fits");
        network.prepare(&picture, &mut b).expect("it fits");
    });
    let estimate = quickest(|| {
        network.estimate(&a, &b, 0.5).expect("it runs");
    });
    println!(
        "vfi-lite 640x360: two pictures prepared in {prepare:.2} ms, estimate {estimate:.1} ms"
    );
}
