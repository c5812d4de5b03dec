//! A harness round the element with a network of known answers, the frames that go in, and what is
//! told by those that come out.

use std::sync::Once;

use gst::prelude::*;

use crate::fixtures;
pub use crate::fixtures::TemporaryFile;

/// Nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// Starts GStreamer and makes the element known to it, once in a process.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstvfiinterp::plugin_register_static().unwrap();
    });
}

/// A network without motion whose mask is `1 - t`: every synthesised frame is the exact blend.
pub fn blending_model() -> TemporaryFile {
    TemporaryFile::new("still.onnx", &fixtures::constant_motion([0.0, 0.0], 2, 8))
}

/// The element with a network from a file.
fn element_with(model: &TemporaryFile) -> gst::Element {
    init();
    gst::ElementFactory::make("vfiinterp")
        .property("model", model.path())
        .property_from_str("execution-provider", "cpu")
        .build()
        .unwrap()
}

/// The element with a blending network.
pub fn element() -> (gst::Element, TemporaryFile) {
    let model = blending_model();
    (element_with(&model), model)
}

/// A harness round the element.
#[derive(Debug)]
pub struct Rig {
    /// Plays upstream and downstream.
    pub harness: gst_check::Harness,
    /// The element itself.
    pub element: gst::Element,
    _model: TemporaryFile,
}

impl Rig {
    /// A blending network, caps in, and what downstream accepts (`None`: anything).
    pub fn new(input: &str, downstream: Option<&str>) -> Self {
        let mut rig = Self::bare(downstream);
        rig.harness.set_src_caps(caps(input));
        rig
    }

    /// A blending network, without any caps yet.
    pub fn bare(downstream: Option<&str>) -> Self {
        Self::start(blending_model(), |_| {}, downstream)
    }

    /// Another network, without any caps yet.
    pub fn with_model(model: TemporaryFile) -> Self {
        Self::with_model_and(model, |_| {})
    }

    /// Another network and other properties, without any caps yet.
    pub fn with_model_and(model: TemporaryFile, set: impl FnOnce(&gst::Element)) -> Self {
        Self::start(model, set, None)
    }

    /// Another network that sees whole frames at their size and no cuts, and other properties; caps
    /// in. Returns the element's bus, too.
    pub fn at_full_size(
        model: TemporaryFile,
        input: &str,
        set: impl FnOnce(&gst::Element),
    ) -> (Self, gst::Bus) {
        let mut rig = Self::with_model_and(model, |element| {
            element.set_property("scene-threshold", 0.0);
            element.set_property("downscale", 1.0);
            set(element);
        });
        rig.harness.set_src_caps(caps(input));
        let bus = rig.watch();
        (rig, bus)
    }

    /// A blending network, without any caps yet, in a bin with elements behind it.
    pub fn before(way: &str) -> Self {
        let model = blending_model();
        let element = element_with(&model);
        let bin = gst::Bin::new();
        let way = gst::parse::bin_from_description(way, true).unwrap();
        bin.add_many([&element, way.upcast_ref()]).unwrap();
        element.link(&way).unwrap();
        for (element, name) in [(&element, "sink"), (way.upcast_ref(), "src")] {
            let target = element.static_pad(name).unwrap();
            bin.add_pad(&gst::GhostPad::with_target(&target).unwrap())
                .unwrap();
        }
        let harness = gst_check::Harness::with_element(
            bin.upcast_ref::<gst::Element>(),
            Some("sink"),
            Some("src"),
        );
        Self::play(harness, element, model, None)
    }

    fn start(
        model: TemporaryFile,
        set: impl FnOnce(&gst::Element),
        downstream: Option<&str>,
    ) -> Self {
        let element = element_with(&model);
        set(&element);
        let harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        Self::play(harness, element, model, downstream)
    }

    fn play(
        mut harness: gst_check::Harness,
        element: gst::Element,
        model: TemporaryFile,
        downstream: Option<&str>,
    ) -> Self {
        // A harness is live unless told otherwise; then frames that take long are a matter of concern.
        harness.set_live(false);
        if let Some(downstream) = downstream {
            harness.set_sink_caps(downstream.parse().unwrap());
        }
        harness.play();
        Self {
            harness,
            element,
            _model: model,
        }
    }

    /// Gives the element a bus, and returns it.
    pub fn watch(&self) -> gst::Bus {
        let bus = gst::Bus::new();
        self.element.set_bus(Some(&bus));
        bus
    }

    /// Returns how many originals and how many made frames have left.
    pub fn frame_counts(&self) -> (u64, u64) {
        (self.stat("originals"), self.stat("synthesised"))
    }

    /// Pushes frame `k` of a stream of `rate` frames a second.
    pub fn push(&mut self, info: &gst_video::VideoInfo, k: u64) -> gst::Buffer {
        let buffer = frame(info, k);
        self.harness.push(buffer.copy()).unwrap();
        buffer
    }

    /// Makes upstream live, with a latency of this many milliseconds.
    pub fn make_live(&mut self, ms: u64) {
        self.harness.set_live(true);
        let latency = gst::ClockTime::from_mseconds(ms);
        self.harness.set_upstream_latency(latency);
    }

    /// The pipeline's clock is one that goes on only when it is told to.
    pub fn use_test_clock(&mut self) -> gst_check::TestClock {
        self.harness.use_testclock();
        self.harness.testclock().unwrap()
    }

    /// Waits until the element has done all that follows from what was pushed: a frame that has
    /// come out need not be counted yet.
    pub fn settle(&self) {
        let pad = self.element.static_pad("sink").unwrap();
        pad.query(&mut gst::query::Allocation::new(None, false));
    }

    /// Takes frames until that of this time.
    pub fn pull_until_ms(&mut self, ms: u64) {
        let time = gst::ClockTime::from_mseconds(ms);
        while self.harness.pull().unwrap().pts() < Some(time) {}
    }

    /// Ends the stream and gives everything that came out.
    pub fn finish(&mut self) -> Vec<gst::Buffer> {
        assert!(self.harness.push_event(gst::event::Eos::new()));
        self.buffers_until_eos()
    }

    /// Returns all that comes out until the end of the stream.
    pub fn buffers_until_eos(&mut self) -> Vec<gst::Buffer> {
        std::iter::from_fn(|| self.harness.pull_until_eos().unwrap()).collect()
    }

    /// Lets downstream answer allocation queries like this.
    pub fn answer_allocation(
        &self,
        answer: impl Fn(&mut gst::query::Allocation) + Send + Sync + 'static,
    ) {
        let source = self.element.static_pad("src").unwrap();
        source.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, probe| {
            let query = probe.query_mut().map(|query| query.view_mut());
            let Some(gst::QueryViewMut::Allocation(query)) = query else {
                return gst::PadProbeReturn::Ok;
            };
            answer(query);
            gst::PadProbeReturn::Handled
        });
    }

    /// Returns one of the numbers of the property `stats`.
    pub fn stat(&self, name: &str) -> u64 {
        stat(&self.element, name)
    }
}

/// Returns one of the numbers of an element's property `stats`.
pub fn stat(element: &gst::Element, name: &str) -> u64 {
    element
        .property::<gst::Structure>("stats")
        .get::<u64>(name)
        .unwrap()
}

/// Takes all messages off a bus, and returns the warnings among them; an error is none.
pub fn pop_warnings(bus: &gst::Bus) -> Vec<String> {
    let types = [gst::MessageType::Warning, gst::MessageType::Error];
    let text = |message: gst::Message| match message.view() {
        gst::MessageView::Warning(warning) => warning.error().to_string(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| bus.pop_filtered(&types))
        .map(text)
        .collect()
}

/// Caps from format, size and rate, such as `NV12 64x48 30/1`.
pub fn caps(text: &str) -> gst::Caps {
    init();
    let mut words = text.split(' ');
    let (format, size, rate) = (
        words.next().unwrap(),
        words.next().unwrap(),
        words.next().unwrap(),
    );
    let (width, height) = size.split_once('x').unwrap();
    let (num, den) = rate.split_once('/').unwrap();
    gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", width.parse::<i32>().unwrap())
        .field("height", height.parse::<i32>().unwrap())
        .field(
            "framerate",
            gst::Fraction::new(num.parse().unwrap(), den.parse().unwrap()),
        )
        .field("interlace-mode", "progressive")
        .build()
}

/// The layout of frames with such [`caps`].
pub fn info(text: &str) -> gst_video::VideoInfo {
    gst_video::VideoInfo::from_caps(&caps(text)).unwrap()
}

/// Returns frame `k`: contents of its own, timestamp and duration from the rate (none where it
/// varies).
pub fn frame(info: &gst_video::VideoInfo, k: u64) -> gst::Buffer {
    let bytes: Vec<u8> = (0..info.size() as u64)
        .map(|i| (i.wrapping_mul(31).wrapping_add(k * 97) % 251) as u8)
        .collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let fps = info.fps();
    if fps.numer() > 0 {
        let (num, den) = (fps.numer() as u64, fps.denom() as u64);
        let time = |k: u64| gst::ClockTime::from_nseconds(SECOND * den * k / num);
        let target = buffer.make_mut();
        target.set_pts(time(k));
        target.set_duration(time(k + 1) - time(k));
    }
    buffer
}

/// Returns frame `k` with a timestamp of its own, in milliseconds.
pub fn frame_at(info: &gst_video::VideoInfo, k: u64, ms: u64) -> gst::Buffer {
    let mut buffer = frame(info, k);
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(ms));
    buffer
}

/// Copies a buffer's contents.
pub fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// The timestamps, in nanoseconds.
pub fn times(buffers: &[gst::Buffer]) -> Vec<u64> {
    buffers
        .iter()
        .map(|b| b.pts().unwrap().nseconds())
        .collect()
}
