use onnx_graph::build::{GraphBuilder, float, ints};
use onnx_graph::convolutions::use_own_convolutions;
use onnx_graph::proto::ModelProto;

use super::super::testing::{numbers, start};
use super::dot::{Dot, OUTPUTS};
use super::samples::Scale;
use super::weights::Weights;

/// A residual block: convolution, rectifier, addition, rectifier.
fn block([outputs, inputs, height, width]: [usize; 4], stride: i64, add: bool) -> ModelProto {
    let dims = [outputs, inputs, height, width].map(|dim| dim as i64);
    let [top, left] = [height / 2, width / 2].map(|pad| pad as i64);
    let pads = [top, left, dims[2] - 1 - top, dims[3] - 1 - left];
    let weights = numbers(outputs * inputs * height * width, -0.2, 0.3);
    let convolution = vec![ints("pads", &pads), ints("strides", &[stride; 2])];
    let builder = GraphBuilder::new("block", 17)
        .input("x", &[1, dims[1], -1, -1])
        .constant("w", &dims, &weights)
        .constant("b", &[dims[0]], &numbers(outputs, -1.0, 1.0))
        .output("y", &[1, dims[0], -1, -1])
        .node_with("Conv", &["x", "w", "b"], &["c"], convolution)
        .node_with("LeakyRelu", &["c"], &["r"], vec![float("alpha", 0.1)]);
    let builder = match add {
        true => builder
            .node("Add", &["x", "r"], &["s"])
            .node("Relu", &["s"], &["y"]),
        false => builder.node("Identity", &["r"], &["y"]),
    };
    builder.finish()
}

fn run(model: &ModelProto, own: bool, shape: [usize; 4], data: &[f32]) -> Vec<f32> {
    let mut session = start(model, own);
    let tensor = ort::value::TensorRef::from_array_view((shape, data)).expect("it fits");
    let outputs = session.run(ort::inputs!["x" => tensor]).expect("it runs");
    outputs["y"]
        .try_extract_tensor::<f32>()
        .expect("it is float")
        .1
        .to_vec()
}

/// Root mean square of the difference, as a share of that of what is expected.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let power = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|n| n * n).sum::<f32>();
    let apart = power(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    (apart / power(&mut expected.iter().copied())).sqrt()
}

#[test]
fn sums_in_8_bits_are_those_in_32_but_for_rounding() {
    for (kernel, stride, add, [height, width]) in [
        ([48, 48, 3, 3], 1, true, [23, 40]),
        ([32, 6, 3, 3], 2, false, [46, 81]),
        ([21, 50, 3, 3], 1, false, [9, 17]),
        ([5, 3, 1, 1], 1, false, [4, 100]),
        ([16, 8, 5, 2], 2, false, [31, 1]),
        ([7, 4, 7, 7], 1, false, [7, 7]),
    ] {
        let model = block(kernel, stride, add);
        let mut own = model.clone();
        assert_eq!(use_own_convolutions(&mut own), 1);
        let shape = [1, kernel[1], height, width];
        let data = numbers(shape.iter().product(), -0.3, 1.0);
        let expected = run(&model, false, shape, &data);
        let found = run(&own, true, shape, &data);
        // each of both has an error of up to half of 1/255 of its range, evenly spread: 0.0011 of it
        let error = error(&found, &expected);
        assert!(error < 0.01, "{kernel:?} {stride}: {error}");
        assert!(error > 0.0, "{kernel:?}: it was in 8 bits");
    }
}

#[test]
fn what_is_no_number_is_none_behind_it_either() {
    let model = block([4, 4, 3, 3], 1, false);
    let mut own = model.clone();
    use_own_convolutions(&mut own);
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut data = numbers(4 * 8 * 8, 0.0, 1.0);
        data[100] = odd;
        let found = run(&own, true, [1, 4, 8, 8], &data);
        assert!(found.iter().any(|value| !value.is_finite()));
    }
    let nothing = run(&own, true, [1, 4, 8, 8], &[0.0; 4 * 8 * 8]);
    assert_eq!(nothing, run(&model, false, [1, 4, 8, 8], &[0.0; 4 * 8 * 8]));
}

#[test]
fn all_instructions_give_the_same_sums() {
    const PLACES: usize = 5;
    let words = |count: usize| -> Vec<u32> {
        let random = numbers(count, 0.0, 16_777_216.0);
        random
            .iter()
            .map(|&number| (number as u32).wrapping_mul(2_654_435_761))
            .collect()
    };
    let samples = words(200);
    // no weight beyond 64: AVX2 adds pairs of products in 16 bits
    let weights: Vec<u32> = words(PLACES * OUTPUTS)
        .iter()
        .map(|word| word & 0x3f3f_3f3f)
        .collect();
    let places = [0, 3, 7, 40, 120];
    for width in [1, 8, 17, 33, 50] {
        let pitch = usize::next_multiple_of(width, 16);
        for dot in Dot::all() {
            let mut sums = vec![-1; OUTPUTS * pitch];
            dot.row(&samples, &places, &weights, &mut sums, width);
            for (output, sums) in sums.chunks_exact(pitch).enumerate() {
                for (x, &sum) in sums[..width].iter().enumerate() {
                    let products = |(place, at): (usize, usize)| -> i32 {
                        let sample = samples[at + x].to_le_bytes();
                        let weight = weights[place * OUTPUTS + output].to_le_bytes();
                        let pairs = sample.into_iter().zip(weight);
                        pairs.map(|(s, w)| i32::from(s) * i32::from(w as i8)).sum()
                    };
                    let expected: i32 = places.into_iter().enumerate().map(products).sum();
                    assert_eq!(sum, expected, "{dot:?} {width}: {output}, {x}");
                }
            }
        }
    }
}

#[test]
fn the_largest_products_overflow_nothing() {
    for dot in Dot::all() {
        let most = dot.largest_weight();
        let weights = Weights::pack(&[1.0, 1.0, -1.0, -1.0], [2, 2, 1, 1], &[], dot);
        let weights = weights.expect("they are few");
        let block = weights.blocks().next().expect("there are some");
        let mut sums = vec![0; OUTPUTS * 16];
        dot.row(&[u32::MAX; 16], &[0], block, &mut sums, 16);
        assert_eq!(sums[0], 2 * 255 * most as i32, "{dot:?}");
        assert_eq!(sums[16], -2 * 255 * most as i32, "{dot:?}");
    }
}

#[test]
fn zero_is_a_byte_of_its_own() {
    for (range, zero) in [
        ([-1.0, 2.0], 85),
        ([0.5, 2.0], 0),
        ([-3.0, -1.0], 255),
        ([0.0, 0.0], 0),
    ] {
        assert_eq!(
            Scale::over(range).map(|scale| scale.zero),
            Some(zero),
            "{range:?}"
        );
    }
    assert_eq!(Scale::over([f32::NEG_INFINITY, 0.0]), None);
}
