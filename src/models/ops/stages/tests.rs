use ort::session::Session;
use ort::value::TensorRef;

use super::super::testing::{numbers, start};
use crate::models::loading::catalog;
use onnx_graph::build::GraphBuilder;
use onnx_graph::decode;
use onnx_graph::functions::{STAGES, hand_over_stages, inline};
use onnx_graph::proto::NodeProto;

/// The built-in network reduced to one stage, by its definition and by our operator.
fn both(stage: &str) -> [Session; 2] {
    let mut model = decode(catalog::VFI_LITE).expect("it is a network");
    let graph = model.graph.take().unwrap_or_default();
    let call = graph.node.iter().find(|node| node.op_type() == stage);
    let call = call.expect("it has the stage");
    let name = |letter: char, count| (0..count).map(move |i| format!("{letter}{i}"));
    let node = NodeProto {
        input: name('i', call.input.len()).collect(),
        output: name('o', call.output.len()).collect(),
        ..call.clone()
    };
    let mut builder = GraphBuilder::new(stage, 17);
    for name in &node.input {
        let rank = if stage == "Finish" && name == "i3" {
            1
        } else {
            4
        };
        builder = builder.input(name, &[-1; 4][..rank]);
    }
    for name in &node.output {
        builder = builder.output(name, &[-1; 4]);
    }
    let mut graph = builder.finish().graph.unwrap_or_default();
    graph.node.push(node);
    model.graph = Some(graph);
    let mut own = model.clone();
    assert_eq!(hand_over_stages(&mut own), 1);
    inline(&mut model).expect("it can be");
    [start(&model, false), start(&own, true)]
}

/// A tensor's shape and numbers.
type Tensor = (Vec<usize>, Vec<f32>);

fn tensor(shape: &[usize], least: f32, most: f32) -> Tensor {
    (shape.to_vec(), numbers(shape.iter().product(), least, most))
}

/// Something with shapes in it, of which `shift` pixels are gone.
fn scene(channels: usize, height: usize, width: usize, shift: f32) -> Tensor {
    let mut data = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (x as f32 - shift, y as f32 - 0.6 * shift);
                let waves =
                    (0.31 * x + 0.07 * y + channel as f32).sin() + (0.11 * x - 0.4 * y).cos();
                let spots = ((x / 9.0).floor() * 7.0 + (y / 11.0).floor() * 13.0).sin();
                data.push(0.5 + 0.15 * waves + 0.12 * spots);
            }
        }
    }
    (vec![1, channels, height, width], data)
}

type Inputs<'a> = Vec<(String, ort::session::SessionInputValue<'a>)>;

fn named(inputs: &[Tensor]) -> Inputs<'_> {
    let inputs = inputs.iter().enumerate().map(|(i, (shape, data))| {
        let tensor = TensorRef::from_array_view((shape.clone(), data.as_slice())).expect("it fits");
        (
            format!("i{i}"),
            ort::session::SessionInputValue::from(tensor),
        )
    });
    inputs.collect()
}

fn run(session: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let outputs = session
        .run(named(inputs))
        .map_err(|error| error.to_string())?;
    let outputs = outputs.values().map(|output| {
        let (shape, data) = output.try_extract_tensor::<f32>().expect("it is float");
        (
            shape.iter().map(|&dim| dim as usize).collect(),
            data.to_vec(),
        )
    });
    Ok(outputs.collect())
}

/// Compares the two; `tolerances` are for the outputs.
#[track_caller]
fn assert_same(stage: &str, inputs: &[Vec<Tensor>], tolerances: &[f32]) {
    let [mut theirs, mut own] = both(stage);
    for inputs in inputs {
        let expected = run(&mut theirs, inputs).expect("the definition runs");
        let found = run(&mut own, inputs).expect("the operator runs");
        assert_eq!(found.len(), tolerances.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.0, expected.0);
            let apart = found.1.iter().zip(&expected.1).map(|(a, b)| (a - b).abs());
            let most = apart.fold(0.0, f32::max);
            let shape = &inputs[0].0;
            assert!(
                most <= tolerances[index],
                "{stage} {shape:?}, output {index}: {most}"
            );
        }
    }
}

const MOMENTS: [f32; 3] = [0.5, 0.125, 0.8];

fn phase(of: f32) -> Tensor {
    (vec![1, 1, 1, 1], vec![of])
}

#[test]
fn every_stage_has_its_operator_and_its_definition() {
    let model = decode(catalog::VFI_LITE).expect("it is a network");
    let mut names: Vec<_> = model.functions.iter().map(|f| f.name()).collect();
    let mut known = STAGES;
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
    assert_eq!(hand_over_stages(&mut model.clone()), STAGES.len());
}

#[test]
fn start_does_what_its_definition_says() {
    let sizes = [(16, 16), (48, 80), (160, 112)];
    let inputs = sizes.iter().zip(MOMENTS).map(|(&(height, width), at)| {
        let (a, b) = (scene(3, height, width, 0.0), scene(3, height, width, 9.0));
        vec![a, b, phase(at)]
    });
    assert_same(
        "Start",
        &inputs.collect::<Vec<_>>(),
        &[2e-3, 1e-6, 1e-6, 1e-6, 2e-3],
    );
}

/// A page of white words on black, `lines` pixels from line to line, scrolled up by `by`.
fn page(height: usize, width: usize, lines: usize, by: usize) -> Tensor {
    const TALL: usize = 16;
    const LETTER: usize = 8;
    let columns = width / LETTER;
    // letters of 4x8 cells of 2x2 pixels, of which the last column is empty; one of six is a space
    let dots = numbers((height + 64) / lines * columns * 32, 0.0, 1.0);
    let ink = |x: usize, y: usize| {
        let (line, row, letter) = (y / lines, y % lines, x / LETTER);
        let first = (line * columns + letter) * 32;
        let place = row / 2 * 4 + x % LETTER / 2;
        let inside = row < TALL && x % LETTER < 6 && dots.get(first).is_some_and(|dot| *dot > 0.16);
        inside && dots[first + place] > 0.5
    };
    let mut data = Vec::with_capacity(height * width);
    for y in 0..height {
        data.extend((0..width).map(|x| f32::from(u8::from(ink(x, y + by)))));
    }
    (vec![1, 3, height, width], data.repeat(3))
}

#[test]
fn rolling_text_is_not_taken_for_its_next_line() {
    let (height, width, lines) = (320, 320, 34);
    let [_, mut own] = both("Start");
    for speed in (2..=40).step_by(2) {
        let [first, second] = [0, speed].map(|by| page(height, width, lines, by));
        let found = run(&mut own, &[first, second, phase(0.5)]).expect("it runs");
        let (rows, columns) = (height / 8, width / 8);
        // to the second picture, down
        let motion = &found[0].1[3 * rows * columns..][..rows * columns];
        // lines that leave or enter are seen in one picture only
        let inner = &motion[6 * columns..(rows - 6) * columns];
        let right = inner
            .iter()
            .filter(|down| (**down + speed as f32).abs() < 2.0);
        let share = right.count() as f32 / inner.len() as f32;
        assert!(share > 0.97, "{speed} pixels a frame: {share} of the cells");
    }
}

#[test]
fn look_does_what_its_definition_says() {
    for (stage, finer) in [("Look16", 2), ("Look8", 1), ("Look4", 1)] {
        let sizes = [(4, 4), (20, 36), (92, 160)];
        let inputs = sizes.iter().zip(MOMENTS).map(|(&(height, width), at)| {
            let (a, b) = (scene(3, height, width, 0.0), scene(3, height, width, 1.0));
            let pair = (vec![1, 6, height, width], [a.1, b.1].concat());
            let motion = tensor(&[1, 5, height / 4 * finer, width / 4 * finer], -9.0, 9.0);
            vec![pair, motion, phase(at)]
        });
        assert_same(stage, &inputs.collect::<Vec<_>>(), &[2e-4, 2e-3]);
    }
}

#[test]
fn improve_does_what_its_definition_says() {
    for (stage, finer, channels) in [
        ("Improve16", 2, 21),
        ("Improve8", 1, 21),
        ("Improve4", 1, 29),
    ] {
        let inputs = [(1, 1), (5, 9), (46, 80)].map(|(height, width)| {
            vec![
                tensor(&[1, 5, height * finer, width * finer], -9.0, 9.0),
                tensor(&[1, 8, height, width], -1.5, 1.5),
                tensor(&[1, channels, height, width], -4.0, 4.0),
            ]
        });
        assert_same(stage, &inputs, &[1e-4]);
    }
}

#[test]
fn finish_does_what_its_definition_says() {
    let sizes = [(8, 8), (24, 40), (184, 320)];
    let inputs = sizes.iter().zip(MOMENTS).map(|(&(height, width), at)| {
        let (a, b) = (scene(3, height, width, 0.0), scene(3, height, width, 1.0));
        vec![
            (vec![1, 6, height, width], [a.1, b.1].concat()),
            tensor(&[1, 5, height / 2, width / 2], -3.0, 3.0),
            tensor(&[1, 29, height / 4, width / 4], -4.0, 4.0),
            (vec![3], vec![40.0, -80.0, -2.2]),
            phase(at),
            tensor(&[1, 2, height / 8, width / 8], -9.0, 9.0),
        ]
    });
    assert_same("Finish", &inputs.collect::<Vec<_>>(), &[2e-3]);
    let letter = |x: usize, y: usize| (8..32).contains(&y) && x % 24 < 4;
    for (by, said) in [(12.0, 12.0), (12.0, 3.0), (30.0, 30.0), (12.0, 300.0)] {
        let mut inputs = finish_inputs(pan([48, 144], by, letter), by);
        // where the network is wrong, the search is right, and the other way round
        inputs[1].1[..24 * 72].fill(said);
        // half of the motion is left, but beyond the border
        inputs[3].1[2] = 20.0;
        assert_same("Finish", &[inputs], &[2e-3]);
    }
}

/// Both pictures of a scene of `size` that has moved left by `by` pixels, each with letters, bright
/// strokes of 4 pixels, where `letter` says so.
fn pan(size: [usize; 2], by: f32, letter: impl Fn(usize, usize) -> bool) -> Tensor {
    let [height, width] = size;
    let mut data = Vec::new();
    for shift in [0.0, -by] {
        // `scene` moves down, too; this one doesn't
        let wave = |x: usize, y: usize| {
            let (x, y) = (x as f32 - shift, y as f32);
            let spots = ((x / 5.0).floor() * 7.0 + (y / 6.0).floor() * 13.0).sin();
            0.2 * spots - 0.1 + 0.05 * (0.3 * x).sin()
        };
        let picture: Vec<f32> = (0..height * width)
            .map(|i| (i % width, i / width))
            .map(|(x, y)| if letter(x, y) { 0.45 } else { wave(x, y) })
            .collect();
        data.extend(picture.repeat(3));
    }
    (vec![1, 6, height, width], data)
}

/// Inputs of `Finish` for a pair that lies `by` pixels further left, as network and search say.
fn finish_inputs(pair: Tensor, by: f32) -> Vec<Tensor> {
    let (height, width) = (pair.0[2], pair.0[3]);
    let plane = |value: f32, shape: [usize; 2]| vec![value; shape[0] * shape[1]];
    let cells = [height / 2, width / 2];
    let motion = [by, 0.0, -by, 0.0, 0.0].map(|value| plane(value, cells));
    let apart = [-by, 0.0].map(|value| plane(value, [height / 8, width / 8]));
    vec![
        pair,
        (vec![1, 5, cells[0], cells[1]], motion.concat()),
        // no step is trusted, and no wish for rest is left
        (
            vec![1, 29, cells[0] / 2, cells[1] / 2],
            plane(-20.0, [29 * cells[0] / 2, cells[1] / 2]),
        ),
        (vec![3], vec![0.0; 3]),
        phase(0.5),
        (vec![1, 2, height / 8, width / 8], apart.concat()),
    ]
}

#[test]
fn letters_over_a_pan_rest_and_what_they_cover_comes_from_the_other_picture() {
    let (height, width, by) = (96, 192, 12.0);
    let letter = |x: usize, y: usize| (40..52).contains(&y) && x % 48 >= 20 && x % 48 < 24;
    let [_, mut own] = both("Finish");
    let inputs = finish_inputs(pan([height, width], by, letter), by);
    let found = run(&mut own, &inputs).expect("it runs");
    let (columns, plane) = (width / 2, height * width / 4);
    let at =
        |channel: usize, x: usize, y: usize| found[0].1[channel * plane + y / 2 * columns + x / 2];
    for x in (0..width).filter(|x| x % 48 == 22) {
        for y in (42..50).step_by(2) {
            assert_eq!(at(0, x, y), 0.0, "a letter at {x}, {y} moves");
        }
    }
    // half a pan left of a letter lies what it covers in the first picture, and right of it in the second
    for x in (48..width - 48).filter(|x| x % 48 == 22) {
        let (first, second) = (at(4, x - 6, 46), at(4, x + 6, 46));
        assert!(first < -4.0 && second > 4.0, "masks {first} and {second}");
        assert!((at(0, x - 6, 46) - by).abs() < 1.0);
    }
}

#[test]
fn motion_goes_on_at_the_border_and_the_picture_that_has_the_place_gives_it() {
    let (height, width, by) = (96, 192, 24.0);
    let mut inputs = finish_inputs(pan([height, width], by, |_, _| false), by);
    let (columns, plane) = (width / 2, height * width / 4);
    // at the border the network found something else
    for (channel, velocity) in [(0, 40.0), (2, -40.0)] {
        for y in 0..height / 2 {
            let row = &mut inputs[1].1[channel * plane + y * columns..][..columns];
            row[..4].fill(velocity);
            row[columns - 4..].fill(velocity);
        }
    }
    let [_, mut own] = both("Finish");
    let found = run(&mut own, &inputs).expect("it runs");
    for y in 0..height / 2 {
        let row = |channel: usize| &found[0].1[channel * plane + y * columns..][..columns];
        for x in [0, 2, columns - 3, columns - 1] {
            assert!((row(0)[x] - by).abs() < 0.5, "{} at {x}, {y}", row(0)[x]);
        }
        // what comes in on the right is in the second picture, what leaves on the left in the first
        assert!(row(4)[0] > 4.0 && row(4)[columns - 1] < -4.0);
    }
}

#[test]
fn planes_that_do_not_go_together_are_errors() {
    let cases: [(&str, Vec<Tensor>); 4] = [
        (
            "Start",
            vec![scene(3, 16, 24, 0.0), scene(3, 16, 24, 0.0), phase(0.5)],
        ),
        (
            "Look8",
            vec![
                scene(6, 16, 16, 0.0),
                tensor(&[1, 5, 4, 3], 0.0, 1.0),
                phase(0.5),
            ],
        ),
        (
            "Improve4",
            vec![
                tensor(&[1, 5, 4, 4], 0.0, 1.0),
                tensor(&[1, 8, 4, 4], 0.0, 1.0),
                tensor(&[1, 20, 4, 4], 0.0, 1.0),
            ],
        ),
        (
            "Finish",
            vec![
                scene(6, 16, 16, 0.0),
                tensor(&[1, 5, 8, 8], 0.0, 1.0),
                tensor(&[1, 29, 4, 5], 0.0, 1.0),
                (vec![3], vec![0.0; 3]),
                phase(0.5),
                tensor(&[1, 2, 2, 2], 0.0, 1.0),
            ],
        ),
    ];
    for (stage, inputs) in cases {
        let [_, mut own] = both(stage);
        let why = run(&mut own, &inputs).expect_err(stage);
        assert!(why.contains("can't take planes"), "{stage}: {why}");
    }
}
