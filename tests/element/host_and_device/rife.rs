//! RIFE files that give a picture: frames are made of the motion in them.

use gst::prelude::*;
use onnx_graph::proto::StringStringEntryProto;
use onnx_graph::{decode, encode};
use test_support::fixtures;
use test_support::rig::*;

/// A file of `tests/fixtures`; as it is, or stating that its picture is wanted.
fn file(name: &str, picture: bool) -> TemporaryFile {
    let mut model = decode(&std::fs::read(fixtures::stored_path(name)).unwrap()).unwrap();
    if picture {
        model.metadata_props.push(StringStringEntryProto {
            key: Some("vfiinterp.output".into()),
            value: Some("picture".into()),
        });
    }
    TemporaryFile::new(&format!("{name}.onnx"), &encode(&model))
}

/// The frame between two of waves that move, at full size.
fn between(model: TemporaryFile, upscale: &str, text: &str) -> Vec<u8> {
    let info = info(text);
    let mut rig = Rig::with_model(model);
    rig.element.set_property("downscale", 1.0);
    rig.element.set_property_from_str("upscale", upscale);
    rig.element
        .set_property_from_str("upscale-method", "bilinear");
    rig.harness.set_src_caps(caps(text));
    for k in 0..2 {
        let mut buffer = frame(&info, k);
        let mut map = buffer.make_mut().map_writable().unwrap();
        for (i, value) in map.iter_mut().enumerate() {
            let (x, y) = (i % info.stride()[0] as usize, i / info.stride()[0] as usize);
            let (x, y) = ((x / 3) as f32 - 3.0 * k as f32, y as f32);
            *value = (128.0 + 50.0 * (x * 0.2).sin() + 50.0 * (x * 0.07 + y * 0.13).cos()) as u8;
        }
        drop(map);
        rig.harness.push(buffer).unwrap();
    }
    bytes(&rig.finish()[1])
}

#[track_caller]
fn assert_both_ways_agree(name: &str) {
    let text = "RGB 100x75 30/1";
    let motion = between(file(name, false), "motion", text);
    let picture = between(file(name, true), "image", text);
    for (motion, picture) in motion.iter().zip(&picture) {
        assert!(motion.abs_diff(*picture) <= 1, "{motion} and {picture}");
    }
}

#[test]
fn motion_of_a_7_channel_file_makes_its_picture() {
    assert_both_ways_agree("rife46_7");
}

#[test]
fn motion_of_an_11_channel_file_makes_its_picture() {
    assert_both_ways_agree("rife46_11_folded");
}

#[test]
fn motion_of_a_file_with_three_inputs_makes_its_picture() {
    assert_both_ways_agree("rife425_3_half");
}

#[test]
fn motion_shown_as_an_image_is_the_same() {
    let text = "RGB 128x64 30/1";
    let motion = between(file("rife425_7_padded_folded", false), "motion", text);
    let image = between(file("rife425_7_padded_folded", false), "image", text);
    for (motion, image) in motion.iter().zip(&image) {
        assert!(motion.abs_diff(*image) <= 1, "{motion} and {image}");
    }
}

#[test]
fn a_file_that_refines_its_blend_gives_its_picture() {
    let text = "RGB 128x64 30/1";
    let refined = |picture| between(file("rife46_7_refined", picture), "auto", text);
    assert_eq!(refined(false), refined(true));
}

#[test]
fn why_a_file_has_no_motion_is_told_to_who_wants_it() {
    let text = "RGB 128x64 30/1";
    let mut rig = Rig::with_model(file("rife46_7_refined", false));
    let bus = rig.watch();
    rig.element.set_property_from_str("upscale", "motion");
    rig.harness.set_src_caps(caps(text));
    for k in 0..2 {
        let _flow = rig.harness.push(frame(&info(text), k));
    }
    let error =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    let Some(gst::MessageView::Error(error)) = error.as_ref().map(|m| m.view()) else {
        panic!("no error");
    };
    assert!(error.error().to_string().contains("more than a blend"));
}
