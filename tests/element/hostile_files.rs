//! Files made to break what reads them, given to the element.

use gst::prelude::*;
use test_support::fixtures::hostile;
use test_support::rig::*;

use crate::faults::error_of;

#[test]
fn each_ends_its_pipeline_with_one_error_and_the_next_one_plays() {
    for (name, bytes, reason) in hostile::files() {
        let file = TemporaryFile::new(&format!("{name}.onnx"), &bytes);
        let error = error_of(file.path());
        for part in [file.path(), reason] {
            assert!(error.contains(part), "no {part:?} in: {error}");
        }
        let element = gst::ElementFactory::make("vfiinterp")
            .property("model", file.path())
            .build()
            .unwrap();
        assert!(element.set_state(gst::State::Paused).is_err(), "{name}");
        element.set_state(gst::State::Null).unwrap();
    }
    let mut rig = Rig::new("NV12 64x48 30/1", None);
    let info = info("NV12 64x48 30/1");
    (0..3).for_each(|k| drop(rig.push(&info, k)));
    assert_eq!(rig.finish().len(), 6);
}

#[test]
fn each_leaves_a_stream_that_plays_as_it_was() {
    let mut rig = Rig::new("NV12 64x48 30/1", None);
    let bus = rig.watch();
    let info = info("NV12 64x48 30/1");
    rig.push(&info, 0);
    for ((name, bytes, _), k) in hostile::files().into_iter().zip(1..) {
        let file = TemporaryFile::new(&format!("{name}.onnx"), &bytes);
        rig.element.set_property("model", file.path());
        rig.push(&info, k);
        let types = [gst::MessageType::Warning, gst::MessageType::Error];
        let message = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(60), &types)
            .unwrap();
        let gst::MessageView::Warning(warning) = message.view() else {
            panic!("{name}: {message:?}");
        };
        let text = warning.error().to_string();
        assert!(
            text.contains(file.path()) && text.contains("stays as it is"),
            "{text}"
        );
    }
    let frames = 1 + hostile::files().len();
    assert_eq!(rig.finish().len(), 2 * frames);
}
