//! Errors: each is reported once, with the file and the reason, and the pipeline ends in order.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

/// The one error a pipeline with this model ends with.
pub(crate) fn error_of(model: &str) -> String {
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
fn every_foreign_border_is_one_error_with_what_was_found_and_what_would_do() {
    const PICTURE: &[i64] = &[1, 3, -1, -1];
    let pair = |element: i32, dims: &'static [i64]| [("a", element, dims), ("b", element, dims)];
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "bytes.onnx",
            fixtures::declared(&pair(2, PICTURE), &[("y", PICTURE)]),
            "`a` uint8 [1,3,?,?]",
        ),
        (
            "words.onnx",
            fixtures::declared(&pair(4, PICTURE), &[("y", PICTURE)]),
            "`a` uint16 [1,3,?,?]",
        ),
        (
            "batch.onnx",
            fixtures::declared(&pair(1, &[2, 3, -1, -1]), &[("y", PICTURE)]),
            "several pictures at once",
        ),
        (
            "grey.onnx",
            fixtures::declared(&pair(1, &[1, 1, -1, -1]), &[("y", PICTURE)]),
            "`b` float32 [1,1,?,?]",
        ),
        (
            "half-fixed.onnx",
            fixtures::declared(&pair(1, &[1, 3, 720, -1]), &[("y", PICTURE)]),
            "one of width and height only",
        ),
        (
            "alone.onnx",
            fixtures::declared(&[("x", 1, PICTURE)], &[("y", PICTURE)]),
            "not a known kind",
        ),
        (
            "two.onnx",
            fixtures::declared(&pair(1, PICTURE), &[("y", PICTURE), ("z", PICTURE)]),
            "output=NAME",
        ),
        (
            "segmenter.onnx",
            fixtures::declared(&pair(1, PICTURE), &[("y", &[1, 21, -1, -1])]),
            "`y` float32 [1,21,?,?]",
        ),
    ];
    for (name, bytes, found) in cases {
        let file = TemporaryFile::new(name, &bytes);
        let error = error_of(file.path());
        for part in [file.path(), found, "accepted are"] {
            assert!(error.contains(part), "no {part:?} in: {error}");
        }
    }
}

#[test]
fn a_network_that_runs_at_no_usual_alignment_says_why() {
    assert_refused(
        "never.onnx",
        &fixtures::aligned_to(256),
        "multiples of 64 or 128",
    );
}

#[test]
fn a_file_beside_the_model_that_is_wrong_is_named() {
    let model = TemporaryFile::new("blend.onnx", &fixtures::mean());
    let beside = std::path::Path::new(model.path()).with_extension("toml");
    std::fs::write(&beside, "layout = \"chw\"\n").unwrap();
    let error = error_of(model.path());
    for part in [beside.to_str().unwrap(), "layout is `chw`", "nchw and nhwc"] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

/// Returns the error the application gets when the second frame of NV12, 64x48, is this buffer.
#[track_caller]
fn error_of_second_frame(mut odd: gst::Buffer) -> String {
    let text = "NV12 64x48 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let bus = rig.watch();
    rig.push(&info, 0);
    odd.make_mut()
        .set_pts(gst::ClockTime::from_nseconds(SECOND / 30));
    let result = std::iter::once(odd)
        .chain((2..10).map(|k| frame(&info, k)))
        .find_map(|buffer| rig.harness.push(buffer).err());
    assert_eq!(result, Some(gst::FlowError::Error));
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    error.error().to_string()
}

#[test]
fn a_buffer_that_is_too_small_ends_the_stream_with_its_size() {
    init();
    let error = error_of_second_frame(gst::Buffer::from_mut_slice(vec![0u8; 100]));
    assert!(error.contains("100"), "{error}");
}

#[test]
fn a_meta_that_does_not_go_with_the_caps_is_one_error_with_both() {
    use gst_video::VideoFormat::{I420, Nv12};
    init();
    for (format, (width, height), found) in [
        (I420, (64, 48), "I420 64x48"),
        (Nv12, (64, 46), "NV12 64x46"),
        (Nv12, (62, 48), "NV12 62x48"),
    ] {
        let mut odd = gst::Buffer::from_mut_slice(vec![0u8; 64 * 72]);
        gst_video::VideoMeta::add(
            odd.make_mut(),
            gst_video::VideoFrameFlags::empty(),
            format,
            width,
            height,
        )
        .unwrap();
        let error = error_of_second_frame(odd);
        assert!(
            error.contains(found) && error.contains("NV12 64x48"),
            "{error}"
        );
    }
}
