//! Every signature met in the wild reproduces its network's known answer through the element.

use gst::prelude::*;
use test_support::fixtures::TemporaryFile;
use test_support::fixtures::foreign::{Answer, Foreign, Form, random_film};
use test_support::rig::*;

/// Odd, smaller than any alignment, and aligned.
const SIZES: [(usize, usize); 3] = [(35, 27), (64, 64), (101, 18)];

/// Every form there is.
const FORMS: [Form; 11] = [
    Form::Stacked(6),
    Form::Stacked(7),
    Form::Stacked(8),
    Form::Stacked(11),
    Form::Pictures,
    Form::Timestep(&[1]),
    Form::Timestep(&[-1, 1]),
    Form::Timestep(&[1, 1, 1, 1]),
    Form::Timestep(&[1, 1, -1, -1]),
    Form::Timestep(&[]),
    Form::Film,
];

/// A picture of bytes, R, G and B of each pixel; `seed` tells pictures apart.
fn pixels(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let value = |i: usize| ((i * 37 + i / 7 + seed * 101) % 256) as u8;
    (0..3 * width * height).map(value).collect()
}

/// An element with the network, before any caps.
fn rig(network: &Foreign) -> Rig {
    let file = TemporaryFile::new("foreign.onnx", &network.bytes());
    Rig::with_model_and(file, |element| {
        element.set_property("model-info", network.info());
        no_judgement(element);
    })
}

/// No pair is too alike, or too different, to be interpolated.
fn no_judgement(element: &gst::Element) {
    element.set_property("scene-threshold", 0.0);
    element.set_property("still-threshold", 0.0);
}

/// Sends two pictures of RGB through an element, and gives what comes between them.
fn between(rig: &mut Rig, (width, height): (usize, usize), multiplier: u32) -> Vec<Vec<u8>> {
    let text = format!("RGB {width}x{height} 30/1");
    rig.element.set_property("multiplier", multiplier);
    rig.harness.set_src_caps(caps(&text));
    let stride = (3 * width).next_multiple_of(4);
    for k in 0..2 {
        let data = pixels(width, height, k);
        let mut bytes = vec![0; stride * height];
        for (row, line) in bytes.chunks_exact_mut(stride).zip(data.chunks(3 * width)) {
            row[..3 * width].copy_from_slice(line);
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let time = gst::ClockTime::from_nseconds(SECOND * k as u64 / 30);
        buffer.make_mut().set_pts(time);
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    assert_eq!(out.len(), 2 * multiplier as usize);
    let packed = |buffer: &gst::Buffer| {
        let bytes = bytes(buffer);
        let rows = bytes.chunks(stride).take(height);
        rows.flat_map(|row| row[..3 * width].to_vec()).collect()
    };
    out[1..multiplier as usize].iter().map(packed).collect()
}

/// Returns the network's answer, for pictures from 0 to 1, in levels of 8 bits.
fn expected(network: &Foreign, (width, height): (usize, usize), t: f32) -> Vec<f32> {
    let [a, b] = [0, 1].map(|seed| pixels(width, height, seed));
    let level = |data: &[u8], i: usize| f32::from(data[i]) / 255.0;
    let (padded_width, padded_height) = (width.next_multiple_of(64), height.next_multiple_of(64));
    let value = |i: usize| {
        let (channel, x, y) = (i % 3, i / 3 % width, i / 3 / width);
        match network.answer {
            Answer::Blend => level(&a, i) + (level(&b, i) - level(&a, i)) * t,
            Answer::Shift => level(&a, if x + 1 < width { i + 3 } else { i }),
            Answer::Tint => level(&a, i) * level(&b, i) / (1 << channel) as f32,
            Answer::Echo(channel) => {
                let step = |size: usize| 2.0 / (size - 1) as f32;
                let value = match channel {
                    6 => t,
                    7 if network.form == Form::Stacked(8) => 1.0,
                    7 => x as f32 * step(padded_width) - 1.0,
                    8 => y as f32 * step(padded_height) - 1.0,
                    9 => step(padded_width),
                    _ => step(padded_height),
                };
                (value + 1.0) / 3.0
            }
        }
    };
    (0..a.len()).map(|i| value(i) * 255.0).collect()
}

/// Asserts that both are close: half a level is rounding; what more there may be is that of the
/// network's own arithmetic.
#[track_caller]
fn assert_close(found: &[u8], expected: &[f32], more: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = |(found, expected): (&u8, &f32)| (f32::from(*found) - expected).abs();
    let worst = found.iter().zip(expected).map(off).fold(0.0, f32::max);
    assert!(worst <= 0.501 + more, "{what}: off by {worst} levels");
}

/// Asks for the middle, and for a quarter and three quarters on the way.
#[track_caller]
fn assert_reproduces(network: &Foreign) {
    for size in SIZES {
        let found = between(&mut rig(network), size, 4);
        for (k, found) in found.iter().enumerate() {
            let t = (k + 1) as f32 / 4.0;
            let expected = expected(network, size, t);
            // half of float32's digits
            let more = if network.half { 255.0 / 2048.0 } else { 0.0 };
            assert_close(
                found,
                &expected,
                more,
                &format!("{network:?} {size:?} at {t}"),
            );
        }
    }
}

#[test]
fn every_form_blends_at_every_phase() {
    for form in FORMS {
        assert_reproduces(&Foreign::new(form, Answer::Blend));
    }
}

#[test]
fn every_form_keeps_every_pixel_in_its_place() {
    for form in FORMS {
        let network = Foreign::new(form, Answer::Shift);
        for size in SIZES {
            // the middle: what is made of it would be shifted again
            let found = between(&mut rig(&network), size, 2);
            let expected = expected(&network, size, 0.5);
            assert_close(&found[0], &expected, 0.0, &format!("{network:?} {size:?}"));
        }
    }
}

#[test]
fn every_form_keeps_its_channels_apart() {
    for form in FORMS {
        for (nhwc, signed, bgr, half) in [
            (false, true, false, false),
            (false, false, true, false),
            (true, true, true, true),
        ] {
            let network = Foreign {
                nhwc: nhwc || form == Form::Film,
                signed,
                bgr,
                half,
                ..Foreign::new(form, Answer::Tint)
            };
            let size = (35, 27);
            let found = between(&mut rig(&network), size, 2);
            let expected = expected(&network, size, 0.5);
            let more = if half { 255.0 / 1024.0 } else { 0.0 };
            assert_close(&found[0], &expected, more, &format!("{network:?}"));
        }
    }
}

#[test]
fn float16_is_converted_at_the_border() {
    for form in FORMS {
        let half = true;
        let network = Foreign::new(form, Answer::Blend);
        assert_reproduces(&Foreign { half, ..network });
    }
}

#[test]
fn what_lies_beside_the_pictures_is_right() {
    for (channels, echoed) in [(7, 6..=6), (8, 6..=7), (11, 6..=10)] {
        for channel in echoed {
            let network = Foreign::new(Form::Stacked(channels), Answer::Echo(channel));
            if channel == 6 {
                assert_reproduces(&network);
                continue;
            }
            for size in SIZES {
                // it ignores its phase, so it is taken for one that knows the middle only
                let found = between(&mut rig(&network), size, 2);
                let expected = expected(&network, size, 0.5);
                assert_close(&found[0], &expected, 0.0, &format!("{network:?} {size:?}"));
            }
        }
    }
}

#[test]
fn powers_of_two_are_exact_by_bisection() {
    for form in [Form::Film, Form::Pictures, Form::Stacked(6)] {
        let network = Foreign::new(form, Answer::Blend);
        for multiplier in [2_u32, 4, 8, 16, 32, 64] {
            let size = (35, 27);
            let found = between(&mut rig(&network), size, multiplier);
            for (k, found) in found.iter().enumerate() {
                let t = (k + 1) as f32 / multiplier as f32;
                let expected = expected(&network, size, t);
                assert_close(found, &expected, 0.0, &format!("{form:?} at {t}"));
            }
        }
    }
}

/// Returns what a midpoint-only network gives for 2/5, 4/5, 1/5 and 3/5, in 255ths of the way from
/// frame to frame.
fn nearest_slots(depth: u32) -> Vec<u8> {
    let film = Foreign::new(Form::Film, Answer::Blend);
    let mut rig = Rig::with_model_and(TemporaryFile::new("film.onnx", &film.bytes()), |element| {
        element.set_property("bisection-depth", depth);
        no_judgement(element);
    });
    rig.harness.set_sink_caps(caps("RGB 32x32 75/1"));
    rig.harness.set_src_caps(caps("RGB 32x32 30/1"));
    let info = info("RGB 32x32 30/1");
    for (k, value) in [0, 255, 0].into_iter().enumerate() {
        let mut buffer = frame(&info, k as u64);
        buffer.make_mut().map_writable().unwrap().fill(value);
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    [1, 2, 3, 4].map(|slot| bytes(&out[slot])[0]).into()
}

#[test]
fn other_rates_take_the_nearest_slot_of_the_depth() {
    let up = |t: f32| (t * 255.0).round() as u8;
    let down = |t: f32| up(1.0 - t);
    // at depth 1 the originals are slots, too
    assert_eq!(nearest_slots(1), [up(0.5), up(1.0), down(0.0), down(0.5)]);
    assert_eq!(nearest_slots(2), [up(0.5), up(0.75), down(0.25), down(0.5)]);
    assert_eq!(
        nearest_slots(3),
        [up(0.375), up(0.75), down(0.25), down(0.625)]
    );
}

#[test]
fn frames_are_resized_for_a_network_of_one_size() {
    // the network's own coordinates, which then span the whole frame
    for (channel, along_x) in [(7, true), (8, false)] {
        let network = Foreign {
            size: Some((64, 32)),
            ..Foreign::new(Form::Stacked(11), Answer::Echo(channel))
        };
        for (width, height) in [(35, 27), (256, 300)] {
            let found = between(&mut rig(&network), (width, height), 2);
            for (x, y) in [
                (0, 0),
                (width - 1, 0),
                (0, height - 1),
                (width - 1, height - 1),
            ] {
                let at_end = if along_x { x > 0 } else { y > 0 };
                let expected = if at_end { 2.0 / 3.0 * 255.0 } else { 0.0 };
                let value = f32::from(found[0][3 * (y * width + x)]);
                assert!((value - expected).abs() <= 4.0, "{value}, not {expected}");
            }
        }
    }
}

#[test]
fn a_film_like_network_gives_what_it_gives_alone() {
    let bytes = random_film();
    let (width, height) = (35, 27);
    let model = TemporaryFile::new("film.onnx", &bytes);
    let rig = &mut Rig::with_model_and(model, no_judgement);
    let found = between(rig, (width, height), 2);
    // NHWC, the border repeated up to 64x64
    let side = 64;
    let [a, b] = [0, 1].map(|seed| {
        let data = pixels(width, height, seed);
        let place = |i: usize| {
            let (channel, x, y) = (i % 3, i / 3 % side, i / 3 / side);
            3 * (y.min(height - 1) * width + x.min(width - 1)) + channel
        };
        let values = (0..3 * side * side).map(|i| f32::from(data[place(i)]) / 255.0);
        values.collect::<Vec<_>>()
    });
    let runtime = gstvfiinterp::models::runtime::runtime().unwrap();
    let mut session = ort::session::Session::builder(&runtime.environment)
        .unwrap()
        .commit_from_memory(&bytes)
        .unwrap();
    let tensor = |data: &[f32]| ort::value::Tensor::from_array(([1, side, side, 3], data.to_vec()));
    let time = ort::value::Tensor::from_array(([1, 1], vec![0.5_f32])).unwrap();
    let inputs =
        ort::inputs!["time" => time, "x0" => tensor(&a).unwrap(), "x1" => tensor(&b).unwrap()];
    let outputs = session.run(inputs).unwrap();
    let (_, image) = outputs["image"].try_extract_tensor::<f32>().unwrap();
    let row = |y: usize| &image[3 * y * side..][..3 * width];
    let expected: Vec<f32> = (0..height)
        .flat_map(row)
        .map(|value| value.clamp(0.0, 1.0) * 255.0)
        .collect();
    let spread = |values: &[f32]| values.iter().fold(0.0, |sum, v| f32::max(sum, *v));
    assert!(spread(&expected) > 100.0, "there is something to compare");
    assert_close(&found[0], &expected, 0.01, "alone and in the element");
}

#[test]
fn a_file_beside_the_model_is_believed() {
    let network = Foreign {
        signed: true,
        bgr: true,
        ..Foreign::new(Form::Stacked(7), Answer::Tint)
    };
    let model = TemporaryFile::new("foreign.onnx", &network.bytes());
    let beside = std::path::Path::new(model.path()).with_extension("toml");
    std::fs::write(beside, "range = \"-1..1\"\nchannel_order = \"bgr\"\n").unwrap();
    let rig = &mut Rig::with_model_and(model, no_judgement);
    let found = between(rig, (35, 27), 2);
    let expected = expected(&network, (35, 27), 0.5);
    assert_close(&found[0], &expected, 0.0, "with a file beside");
}

#[test]
fn what_is_stated_while_playing_holds_from_some_pair_on() {
    let network = Foreign {
        signed: true,
        ..Foreign::new(Form::Stacked(7), Answer::Tint)
    };
    let model = TemporaryFile::new("foreign.onnx", &network.bytes());
    let mut rig = Rig::with_model_and(model, no_judgement);
    let text = "RGB 32x32 30/1";
    let info = info(text);
    rig.harness.set_src_caps(caps(text));
    rig.element.set_property("model-info", "range=-1..1");
    let flat = |k: u64| {
        let mut buffer = frame(&info, k);
        // unlike its neighbours, so that there is something to make
        let value = if k.is_multiple_of(2) { 100 } else { 110 };
        buffer.make_mut().map_writable().unwrap().fill(value);
        buffer
    };
    rig.harness.push(flat(0)).unwrap();
    let expected = (100.0_f32 * 110.0 / 255.0).round() as u8;
    let mut values = Vec::new();
    for k in 1..100_000 {
        rig.harness.push(flat(k)).unwrap();
        // the original before, and what lies between
        let _original = rig.harness.pull().unwrap();
        values.push(bytes(&rig.harness.pull().unwrap())[0]);
        if values.last() == Some(&expected) {
            break;
        }
    }
    assert_eq!(values.last(), Some(&expected), "it never came");
    values.dedup();
    assert!(values.len() <= 2, "{values:?}");
}
