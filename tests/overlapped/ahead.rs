//! The frame that comes next is made ready while the network is at the pair before it.

use gst::prelude::*;
use gstvfiinterp::faults;

use super::*;

/// The element making frames as on a device, which is where that is done.
fn on_device(set: impl FnOnce(&gst::Element)) -> (MutexGuard<'static, ()>, Rig) {
    let guard = reserve();
    faults::force_device(true);
    (guard, rig(set))
}

/// Sends frames as fast as they are taken.
fn send(rig: &mut Rig, frames: impl IntoIterator<Item = gst::Buffer>) {
    // made before, so that they come faster than they are dealt with
    let frames: Vec<_> = frames.into_iter().collect();
    for buffer in frames {
        rig.harness.push(buffer).unwrap();
    }
}

#[test]
fn originals_leave_as_the_buffers_they_came_as() {
    let (_alone, mut rig) = on_device(|_| {});
    let info = info(TEXT);
    let frames: Vec<_> = (0..FRAMES).map(|k| frame(&info, k)).collect();
    let came: Vec<_> = frames.iter().map(|b| b.as_ptr()).collect();
    send(&mut rig, frames);
    let out = rig.finish();
    assert!(faults::fetched() > 0);
    let left: Vec<_> = out.iter().step_by(2).map(|b| b.as_ptr()).collect();
    assert!(left == came);
}

#[test]
fn nothing_is_made_ready_where_the_network_has_nothing_to_do() {
    let (_alone, mut rig) = on_device(|_| {});
    let info = info(TEXT);
    let content = bytes(&frame(&info, 0));
    let still = (0..FRAMES).map(|k| {
        let mut buffer = frame(&info, k);
        let target = buffer.make_mut();
        target.map_writable().unwrap().copy_from_slice(&content);
        buffer
    });
    send(&mut rig, still);
    rig.settle();
    assert_eq!(rig.stat("stills"), FRAMES - 1);
    assert!(faults::sent_apart() > 0);
    assert_eq!(faults::fetched(), 0);
}

#[test]
fn what_was_made_ready_for_other_settings_or_caps_is_not_used() {
    const OTHER: &str = "I420 256x128 30/1";
    let other = |element: &gst::Element| element.set_property_from_str("upscale", "image");
    let expected = {
        let (_alone, mut rig) = on_device(other);
        send(
            &mut rig,
            (FRAMES..2 * FRAMES).map(|k| frame(&info(TEXT), k)),
        );
        rig.finish()
    };
    let (_alone, mut rig) = on_device(|_| {});
    send(&mut rig, (0..FRAMES).map(|k| frame(&info(TEXT), k)));
    other(&rig.element);
    send(
        &mut rig,
        (FRAMES..2 * FRAMES).map(|k| frame(&info(TEXT), k)),
    );
    rig.harness.set_src_caps(caps(OTHER));
    send(
        &mut rig,
        (2 * FRAMES..3 * FRAMES).map(|k| frame(&info(OTHER), k)),
    );
    let out = rig.finish();
    assert!(faults::fetched() > 0);
    // nothing lies between frames of different caps
    assert_eq!(rig.stat("synthesised"), 3 * FRAMES - 2);
    // all but the last frame once more, which fills the time until others come
    let found = out.iter().skip(2 * FRAMES as usize);
    let expected = expected.iter().take(2 * FRAMES as usize - 1);
    assert!(found.zip(expected).all(|(a, b)| bytes(a) == bytes(b)));
}

#[test]
fn a_flush_lets_go_of_what_was_made_ready() {
    let (_alone, mut rig) = on_device(|_| {});
    let info = info(TEXT);
    let all: Vec<_> = (0..3 * FRAMES).map(|k| frame(&info, k)).collect();
    let (_, blocked) = block(&rig);
    let sink = rig.element.static_pad("sink").unwrap();
    let sent = all.clone();
    let upstream = std::thread::spawn(move || {
        let mut sent = sent.into_iter();
        sent.try_for_each(|buffer| sink.chain(buffer).map(drop))
    });
    while *blocked.lock().unwrap() == 0 {
        std::thread::yield_now();
    }
    assert!(rig.harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(upstream.join().unwrap(), Err(gst::FlowError::Flushing));
    assert!(rig.harness.push_event(gst::event::FlushStop::new(true)));
    while rig.harness.try_pull().is_some() {}
    // one reference each, which is this one
    assert!(all.into_iter().all(|mut buffer| buffer.get_mut().is_some()));
}

#[test]
fn what_can_t_be_made_ready_is_an_error_in_its_own_turn() {
    let (_alone, mut rig) = on_device(|_| {});
    let bus = rig.watch();
    let info = info(TEXT);
    let frames = (0..FRAMES).map(|k| match k == FRAMES - 1 {
        true => {
            let mut short = gst::Buffer::with_size(16).unwrap();
            let like = frame(&info, k);
            short.make_mut().set_pts(like.pts());
            short
        }
        false => frame(&info, k),
    });
    send(&mut rig, frames);
    let error =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    let error = error.expect("it is told");
    let gst::MessageView::Error(error) = error.view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    assert!(text.contains("16 bytes"), "{text}");
    assert!(faults::fetched() > 0);
    // upstream learns of it when all is over
    let sink = rig.element.static_pad("sink").unwrap();
    let end = (FRAMES..1000).find_map(|k| sink.chain(frame(&info, k)).err());
    assert_eq!(end, Some(gst::FlowError::Error));
    assert_eq!(rig.frame_counts(), (FRAMES - 1, FRAMES - 2));
}
