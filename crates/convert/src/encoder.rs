//! From frames to the packets of a segment.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;

use crate::codec::{Container, Encoding};
use crate::elements::{self, make};
use crate::packets::{self, Packet};

/// Frames that wait for the encoder.
const WAITING: u64 = 4;

/// Interval between looks for room for another frame.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(2);

/// Encoders whose frames begin before 0 put this before all times, and so does this program.
pub(crate) const BEFORE: gst::ClockTime = gst::ClockTime::from_seconds(1000 * 3600);

/// An encoder at work.
#[derive(Debug)]
pub(crate) struct Encoder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    written: Arc<Mutex<Written>>,
}

/// The result so far.
#[derive(Debug)]
struct Written {
    file: File,
    caps: Option<gst::Caps>,
    failed: Option<anyhow::Error>,
}

impl Encoder {
    /// Begins with frames of those caps.
    pub(crate) fn begin(caps: &gst::Caps, encoding: &Encoding, file: File) -> Result<Self> {
        let pipeline = gst::Pipeline::new();
        let source = source(caps);
        let filter = make("capsfilter")?;
        filter.set_property("caps", &encoding.caps);
        let crop = make("videocrop")?;
        make_even(&crop)?;
        let (encoder, parser) = encoding.make()?;
        let written = Arc::new(Mutex::new(Written {
            file,
            caps: None,
            failed: None,
        }));
        let taking = Arc::clone(&written);
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let mut written = taking.lock().unwrap_or_else(PoisonError::into_inner);
            written.take(&sample).map_err(|error| {
                written.failed.get_or_insert(error);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        };
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .caps(&encoding.packing()?)
            .callbacks(
                gst_app::AppSinkCallbacks::builder()
                    .new_sample(new_sample)
                    .build(),
            )
            .build();
        let mut chain = vec![
            source.clone().upcast(),
            make("videoconvert")?,
            filter,
            crop,
            encoder,
        ];
        chain.extend(parser);
        chain.push(sink.upcast());
        pipeline.add_many(&chain)?;
        gst::Element::link_many(&chain)?;
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(Self {
            pipeline,
            source,
            written,
        })
    }

    /// Encodes a frame that is shown at `pts` for `duration` ns.
    pub(crate) fn push(
        &self,
        frame: &gst::BufferRef,
        pts: u64,
        duration: Option<u64>,
    ) -> Result<()> {
        let mut frame = frame.copy();
        if let Some(frame) = frame.get_mut() {
            frame.set_pts(gst::ClockTime::from_nseconds(pts));
            frame.set_dts(gst::ClockTime::NONE);
            frame.set_duration(duration.map(gst::ClockTime::from_nseconds));
        }
        feed(&self.pipeline, &self.source, frame).map_err(|error| self.reason(error))
    }

    /// Encodes what is on its way, and returns the packets' caps.
    pub(crate) fn finish(self) -> Result<gst::Caps> {
        // Without success there is an error on the bus.
        let _ = self.source.end_of_stream();
        wait(&self.pipeline).map_err(|error| self.reason(error))?;
        let mut written = self.lock();
        if let Some(error) = written.failed.take() {
            return Err(error);
        }
        written.file.sync_data().context("cannot write a segment")?;
        written.caps.take().context("the encoder gave nothing")
    }

    /// Returns why it failed: a full disk says more than the pipeline does.
    fn reason(&self, error: anyhow::Error) -> anyhow::Error {
        self.lock().failed.take().unwrap_or(error)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Written {
    fn take(&mut self, sample: &gst::Sample) -> Result<()> {
        let buffer = sample.buffer().context("a packet without data")?;
        let segment = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
            .context("packets without times")?;
        let running = |time: Option<gst::ClockTime>| -> Option<i64> {
            let time = segment.to_running_time_full(time?)?;
            let nanoseconds = i64::try_from(time.abs().nseconds()).ok()?;
            Some(if time.is_negative() {
                -nanoseconds
            } else {
                nanoseconds
            })
        };
        let pts = running(buffer.pts()).context("a packet without a time")?;
        let caps = sample.caps_owned().context("packets without caps")?;
        match &self.caps {
            Some(known) if *known != caps => bail!("the encoder changed its mind: {caps}"),
            _ => self.caps = Some(caps),
        }
        let packet = Packet {
            pts,
            dts: running(buffer.dts()).unwrap_or(pts),
            duration: buffer.duration().map_or(0, gst::ClockTime::nseconds),
            is_key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data: buffer.map_readable()?.to_vec(),
        };
        packets::write(&mut self.file, &packet).context("cannot write a segment")
    }
}

/// Makes an element that gives what is pushed into it.
pub(crate) fn source(caps: &gst::Caps) -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .is_live(false)
        .max_bytes(0)
        .build()
}

/// Gives a buffer to a source when there is room for it.
///
/// # Errors
/// If the pipeline fails, also while there is none.
pub(crate) fn feed(
    pipeline: &gst::Pipeline,
    source: &gst_app::AppSrc,
    buffer: gst::Buffer,
) -> Result<()> {
    let bus = elements::bus(pipeline)?;
    while source.current_level_buffers() >= WAITING {
        if let Some(message) = bus.timed_pop_filtered(GLANCE, &[gst::MessageType::Error]) {
            return Err(error_of(&message));
        }
    }
    source.push_buffer(buffer).map_err(|flow| {
        let message = bus.pop_filtered(&[gst::MessageType::Error]);
        message.map_or_else(|| anyhow!("frames are refused: {flow}"), |m| error_of(&m))
    })?;
    Ok(())
}

/// Waits until a pipeline is through.
pub(crate) fn wait(pipeline: &gst::Pipeline) -> Result<()> {
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = elements::bus(pipeline)?.timed_pop_filtered(gst::ClockTime::NONE, &ends);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(_) => Err(message.map_or_else(|| anyhow!("no message"), |m| error_of(&m))),
        None => bail!("a pipeline ended without a message"),
    }
}

/// Returns the error that a message tells.
pub(crate) fn error_of(message: &gst::Message) -> anyhow::Error {
    match message.view() {
        gst::MessageView::Error(error) => elements::failure(error, None),
        _ => anyhow!("the pipeline failed"),
    }
}

/// Returns whether a format has colours at half the size in each direction.
fn is_halved(info: &gst_video::VideoInfo) -> (bool, bool) {
    let format = info.format_info();
    let halved = |sub: &[u32]| sub.iter().any(|sub| *sub > 0);
    (halved(format.w_sub()), halved(format.h_sub()))
}

/// Cuts an odd row or column off, which 4:2:0 has no place for.
fn make_even(crop: &gst::Element) -> Result<()> {
    let of = crop.downgrade();
    let sink = crop.static_pad("sink").context("no sink pad")?;
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let (Some(crop), Ok(found)) =
                (of.upgrade(), gst_video::VideoInfo::from_caps(caps.caps()))
        {
            let (across, down) = is_halved(&found);
            crop.set_property("right", if across { found.width() as i32 % 2 } else { 0 });
            crop.set_property("bottom", if down { found.height() as i32 % 2 } else { 0 });
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Tells what of the input's frames does not reach the output, and refuses a size that is not taken.
pub(crate) fn losses(
    info: &gst_video::VideoInfo,
    encoding: &Encoding,
    container: Container,
) -> Result<Vec<String>> {
    let formats: Vec<_> = crate::codec::formats(&encoding.caps)
        .into_iter()
        .map(gst_video::VideoFormatInfo::from_format)
        .collect();
    let halved = |sub: fn(&gst_video::VideoFormatInfo) -> bool| formats.iter().all(sub);
    let across = halved(|format| format.w_sub().iter().any(|sub| *sub > 0));
    let down = halved(|format| format.h_sub().iter().any(|sub| *sub > 0));
    let mut losses = tell(info, encoding.depth, encoding.why, across && down);
    let (width, height) = (info.width(), info.height());
    let even = |length: u32, halved: bool| if halved { length & !1 } else { length };
    let (new_width, new_height) = (even(width, across), even(height, down));
    if (new_width, new_height) != (width, height) {
        losses.push(format!(
            "{width}x{height} becomes {new_width}x{new_height}: 4:2:0 has even sizes"
        ));
    }
    let (encoder, _) = encoding.make()?;
    let muxer = make(container.muxer())?;
    for (element, template) in [
        (&muxer, muxer.pad_template("video_%u")),
        (&encoder, encoder.pad_template("sink")),
    ] {
        let size = (new_width as i32, new_height as i32);
        if template.is_some_and(|template| !has_room_for(template.caps(), size)) {
            bail!(
                "{width}x{height} is too small or too large for {}",
                set_property::kind(element)
            );
        }
    }
    Ok(losses)
}

/// Returns how many bits the frames' samples have.
pub(crate) fn depth(info: &gst_video::VideoInfo) -> u32 {
    let format = info.format_info();
    format.depth().iter().copied().max().unwrap_or(8)
}

/// Returns whether the frames are those of high dynamic range.
pub(crate) fn is_hdr(info: &gst_video::VideoInfo) -> bool {
    use gst_video::VideoTransferFunction::{AribStdB67, Smpte2084};
    matches!(info.colorimetry().transfer(), Smpte2084 | AribStdB67)
}

fn tell(
    info: &gst_video::VideoInfo,
    depth_out: u32,
    why: Option<&str>,
    halves: bool,
) -> Vec<String> {
    let mut losses = Vec::new();
    let depth = depth(info);
    if depth > depth_out {
        let why = why.map_or(String::new(), |why| format!(" {why}"));
        losses.push(format!("{depth} bits become {depth_out} bits{why}"));
        if is_hdr(info) && depth_out == 8 {
            losses.push("the video is HDR: with 8 bits, bands may show".into());
        }
    }
    let format = info.format_info();
    if halves && !info.is_gray() && (!info.is_yuv() || format.w_sub()[1] + format.h_sub()[1] < 2) {
        losses.push(format!(
            "colours are stored at half the size (4:2:0): {} is not",
            info.format()
        ));
    }
    if info.has_alpha() {
        losses.push("transparency is not kept".into());
    }
    losses
}

/// Returns whether some kind of video of that size is among the caps.
fn has_room_for(caps: &gst::Caps, (width, height): (i32, i32)) -> bool {
    let sized: gst::Caps = caps
        .iter()
        .map(|s| {
            gst::Structure::builder(s.name())
                .field("width", width)
                .field("height", height)
                .build()
        })
        .collect();
    caps.is_any() || caps.can_intersect(&sized)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoFormat, VideoInfo};

    fn info(format: VideoFormat, colorimetry: &str) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, 64, 64)
            .colorimetry(&colorimetry.parse().unwrap())
            .build()
            .unwrap()
    }

    #[test]
    fn what_is_lost_is_told() {
        let told = |format, colorimetry, depth, why| {
            tell(&info(format, colorimetry), depth, why, true).join("; ")
        };
        assert_eq!(told(VideoFormat::I420, "bt709", 8, None), "");
        assert_eq!(told(VideoFormat::P01010le, "bt2100-pq", 10, None), "");
        assert_eq!(told(VideoFormat::Gray8, "bt709", 8, None), "");
        let hdr = told(VideoFormat::I42010le, "bt2100-pq", 8, Some("for a reason"));
        assert_eq!(
            hdr,
            "10 bits become 8 bits for a reason; the video is HDR: with 8 bits, bands may show"
        );
        assert!(
            told(VideoFormat::Y44412le, "bt709", 10, None)
                .starts_with("12 bits become 10 bits; colours")
        );
        assert!(told(VideoFormat::Rgba, "sRGB", 8, None).ends_with("transparency is not kept"));
    }

    #[test]
    fn sizes_are_those_of_the_templates() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-h264,width=[16,max],height=[16,max]"
            .parse()
            .unwrap();
        assert!(has_room_for(&caps, (16, 16)));
        assert!(!has_room_for(&caps, (8, 16)));
        assert!(has_room_for(&gst::Caps::new_any(), (8, 8)));
    }
}
