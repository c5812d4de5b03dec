//! What is wrong is said once, with the file and the reason, and the pipeline ends in order.

use gst::prelude::*;

use crate::common::*;
use crate::fixtures;

/// The one error a pipeline with this model ends with.
fn error_of(model: &str) -> String {
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=64,height=48,framerate=30/1 \
         ! vfiinterp model=\"{model}\" execution-provider=cpu ! fakesink"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let bus = pipeline.bus().unwrap();
    // Fails at once or says so on the bus; either way the bus has the reason.
    let _maybe = pipeline.set_state(gst::State::Playing);
    let mut errors = Vec::new();
    while let Some(message) = bus.timed_pop_filtered(
        if errors.is_empty() {
            gst::ClockTime::from_seconds(60)
        } else {
            gst::ClockTime::ZERO
        },
        &[gst::MessageType::Error, gst::MessageType::Eos],
    ) {
        match message.view() {
            gst::MessageView::Error(error) => errors.push(error.error().to_string()),
            _ => panic!("{model} played to the end"),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[track_caller]
fn assert_refused(name: &str, content: &[u8], reason: &str) {
    let file = TemporaryFile::new(name, content);
    let error = error_of(file.path());
    assert!(error.contains(file.path()), "no file in: {error}");
    assert!(error.contains(reason), "no {reason:?} in: {error}");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = error_of("rife-99");
    assert!(
        error.contains("rife-99") && error.contains("vfi-lite"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = error_of("/nowhere/model.onnx");
    assert!(error.contains("/nowhere/model.onnx"), "{error}");
}

#[test]
fn a_folder_is_no_model() {
    let error = error_of("/tmp");
    assert!(error.contains("/tmp"), "{error}");
}

#[test]
fn an_empty_file_is_no_model() {
    assert_refused("empty.onnx", b"", "empty");
}

#[test]
fn a_text_is_no_model() {
    assert_refused(
        "text.onnx",
        b"These are not the bytes you are looking for.\n",
        "",
    );
}

#[test]
fn half_a_model_is_no_model() {
    let whole = fixtures::blend_with_timestep(&[1]);
    assert_refused("half.onnx", &whole[..whole.len() / 2], "");
}

#[test]
fn a_classifier_interpolates_nothing() {
    assert_refused("classifier.onnx", &fixtures::classifier(), "data");
}

#[test]
fn a_buffer_that_is_too_small_ends_the_stream_with_its_size() {
    let text = "NV12 64x48 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let bus = gst::Bus::new();
    rig.element.set_bus(Some(&bus));
    rig.push(&info, 0);
    let mut short = gst::Buffer::from_mut_slice(vec![0u8; 100]);
    short
        .make_mut()
        .set_pts(gst::ClockTime::from_nseconds(SECOND / 30));
    let result = std::iter::once(short)
        .chain((2..10).map(|k| frame(&info, k)))
        .find_map(|buffer| rig.harness.push(buffer).err());
    assert_eq!(result, Some(gst::FlowError::Error));
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(
        error.error().to_string().contains("100"),
        "{}",
        error.error()
    );
}
