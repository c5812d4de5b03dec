//! Whose CUDA context is used.

use gst::prelude::*;
use test_support::cuda::*;
use test_support::rig::{element, init};

fn device(context: &gst::Object) -> u32 {
    context.property("cuda-device-id")
}

#[test]
fn a_neighbour_that_asks_is_given_one_context_from_either_side() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let context = ask_for_context(&element, "sink").expect("there is a device");
    assert_eq!(device(&context), 0);
    assert_eq!(ask_for_context(&element, "src"), Some(context));
}

#[test]
fn the_device_is_the_property_s() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let first = ask_for_context(&element, "src").unwrap();
    element.set_property("device", 1);
    let second = ask_for_context(&element, "src").unwrap();
    assert_eq!((device(&first), device(&second)), (0, 1));
}

#[test]
fn a_context_that_is_given_is_kept() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let given = driver.foreign_context(0);
    element.set_context(&given);
    element.set_context(&driver.foreign_context(0));
    assert_eq!(
        ask_for_context(&element, "sink"),
        Some(carried_object(&given))
    );
}

#[test]
fn a_context_of_another_device_is_left_alone() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    element.set_context(&driver.foreign_context(1));
    assert_eq!(device(&ask_for_context(&element, "sink").unwrap()), 0);
}

#[test]
fn other_questions_and_contexts_are_none_of_its_business() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let mut query = gst::query::Context::new("gst.gl.GLDisplay");
    assert!(!element.static_pad("src").unwrap().query(&mut query));
    element.set_context(&gst::Context::new("gst.gl.GLDisplay", true));
    assert_eq!(
        ask_for_context(&element, "src").as_ref().map(device),
        Some(0)
    );
}

#[test]
fn the_application_is_asked_before_one_is_made() {
    let Some(driver) = Driver::load() else {
        return;
    };
    let (element, _model) = element();
    let given = driver.foreign_context(0);
    let offer = given.clone();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).unwrap();
    pipeline.bus().unwrap().set_sync_handler(move |_, message| {
        if let gst::MessageView::NeedContext(need) = message.view()
            && need.context_type() == "gst.cuda.context"
        {
            let asker = message.src().unwrap().downcast_ref::<gst::Element>();
            asker.unwrap().set_context(&offer);
        }
        gst::BusSyncReply::Pass
    });
    assert_eq!(
        ask_for_context(&element, "sink"),
        Some(carried_object(&given))
    );
}

#[test]
fn what_is_made_is_told_to_the_pipeline() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    let (first, _model) = element();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&first).unwrap();
    let context = ask_for_context(&first, "sink").unwrap();
    // one that comes later is given it by the pipeline
    let (second, _model) = element();
    pipeline.add(&second).unwrap();
    assert_eq!(ask_for_context(&second, "sink"), Some(context));
}

#[test]
fn elements_in_a_row_share_one() {
    let Some(_driver) = Driver::load() else {
        return;
    };
    init();
    let row: Vec<_> = (0..3).map(|_| element()).collect();
    let pipeline = gst::Pipeline::new();
    for (element, _) in &row {
        pipeline.add(element).unwrap();
    }
    let elements: Vec<_> = row.iter().map(|(element, _)| element).collect();
    gst::Element::link_many(&elements).unwrap();
    let middle = ask_for_context(elements[1], "sink");
    assert!(middle.is_some());
    for element in elements {
        assert_eq!(ask_for_context(element, "src"), middle);
    }
}
