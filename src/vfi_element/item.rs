//! The items that wait in the queue between the upstream thread and the task.

use super::queue::{Kind, Queued};

/// Item that waits for the task.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A frame, and the running time at which it came in, where there is a clock.
    Buffer(gst::Buffer, Option<gst::ClockTime>),
    /// A serialized event.
    Event(gst::Event),
    /// Upstream wants its memory back: nothing may be held.
    Drain,
}

impl Queued for Item {
    fn kind(&self) -> Kind {
        match self {
            Item::Buffer(..) => Kind::Frame,
            Item::Drain => Kind::Passing,
            Item::Event(event) => match event.type_() {
                gst::EventType::Eos => Kind::Last,
                gst::EventType::Segment => Kind::Passing,
                // As in gstqueue.c: upstream sends caps or tags only once.
                _ if event.is_sticky() => Kind::Lasting,
                _ => Kind::Passing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstream_sends_only_once_lasts() {
        gst::init().unwrap();
        let kind = |event| Item::Event(event).kind();
        let caps = gst::Caps::new_empty_simple("video/x-raw");
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert_eq!(kind(gst::event::Caps::new(&caps)), Kind::Lasting);
        let tags = gst::event::Tag::new(gst::TagList::new());
        assert_eq!(kind(tags), Kind::Lasting);
        assert_eq!(kind(gst::event::Segment::new(&segment)), Kind::Passing);
        assert_eq!(kind(gst::event::Eos::new()), Kind::Last);
        let gap = gst::event::Gap::builder(gst::ClockTime::ZERO).build();
        assert_eq!(kind(gap), Kind::Passing);
    }
}
