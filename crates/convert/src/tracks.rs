//! Tracks beside the video: sound and subtitles.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::args::Sound;
use crate::elements::{kind_of, link_pad, make};
use crate::survey::is_video;

/// The treatment of the time of further streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The part of the input that is used, in ns.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Time of the input that is the output's beginning.
    pub(crate) origin: u64,
    /// Length of the output, as a multiple.
    pub(crate) slow: gst::Fraction,
    pub(crate) sound: Sound,
}

impl Span {
    fn is_slow(&self) -> bool {
        self.slow.numer() != self.slow.denom()
    }

    fn scale(&self, time: u64) -> u64 {
        let (numer, denom) = (self.slow.numer() as u128, self.slow.denom() as u128);
        u64::try_from(u128::from(time) * numer / denom).unwrap_or(u64::MAX)
    }
}

/// Means to bring further streams to the muxer.
#[derive(Debug)]
pub(crate) struct Tracks {
    mux: gst::Element,
    span: Span,
    /// The muxer's pads for streams whose next packet may be hours away.
    sparse: Mutex<Vec<gst::Pad>>,
}

impl Tracks {
    pub(crate) fn to(mux: &gst::Element, span: Span) -> Result<Self> {
        // Asked for in advance so that what is missing shows before a frame is worked on.
        aac_encoder()?;
        Ok(Self {
            mux: mux.clone(),
            span,
            sparse: Mutex::default(),
        })
    }

    /// Finds how a stream could be kept, or says why not.
    pub(crate) fn way(&self, caps: &gst::Caps) -> Result<Way> {
        let container = set_property::kind(&self.mux);
        match kind_of(caps) {
            kind if is_video(kind) => bail!("one video is interpolated"),
            kind if kind.starts_with("audio/") => self.audio(caps),
            "text/x-raw" => Ok(Way::Text),
            _ if self.takes("subtitle_%u", caps) => Ok(Way::Subtitle),
            kind => bail!("{container} takes no {kind}"),
        }
    }

    /// Returns the way of a sound stream: untouched when the container takes it, else as AAC.
    fn audio(&self, caps: &gst::Caps) -> Result<Way> {
        Ok(match self.span.sound {
            Sound::Drop if self.span.is_slow() => bail!("--sound drop"),
            Sound::Stretch if self.span.is_slow() => Way::Stretched,
            _ if is_aac(caps) => Way::Aac,
            _ if self.takes("audio_%u", caps) && !self.garbles(caps) => Way::Audio,
            _ => Way::Encoded,
        })
    }

    fn takes(&self, template: &str, caps: &gst::Caps) -> bool {
        self.mux
            .pad_template(template)
            .is_some_and(|template| template.caps().can_intersect(caps))
    }

    /// Returns whether the muxer takes the stream but writes it wrongly: mp4mux turns the bytes of
    /// Opus' pre-skip round, and players leave out the first third of a second.
    fn garbles(&self, caps: &gst::Caps) -> bool {
        let muxer = set_property::kind(&self.mux);
        kind_of(caps) == "audio/x-opus" && matches!(&*muxer, "mp4mux" | "qtmux")
    }

    /// Leads a stream from `pad` to the muxer.
    pub(crate) fn link(
        &self,
        bin: &gst::Pipeline,
        pad: &gst::Pad,
        caps: &gst::Caps,
        way: Way,
    ) -> Result<()> {
        let is_text = matches!(way, Way::Text | Way::Subtitle);
        let template = if is_text { "subtitle_%u" } else { "audio_%u" };
        let mut chain = match way {
            // From a transport stream it comes in another packing than files hold.
            Way::Aac => vec![make("aacparse")?],
            Way::Audio | Way::Subtitle => vec![make("identity")?],
            Way::Text => vec![plain_text()?],
            Way::Encoded | Way::Stretched => {
                let mut chain = vec![make("audioconvert")?, make("audioresample")?];
                if way == Way::Stretched {
                    chain.extend([stretcher(self.span)?, make("audioconvert")?]);
                }
                chain.extend([aac_encoder()?, make("aacparse")?]);
                chain
            }
        };
        let is_decoded = matches!(way, Way::Encoded | Way::Stretched);
        if is_decoded {
            chain.insert(0, decoder(&chain[0])?);
        }
        let sink = self
            .mux
            .request_pad_simple(template)
            .context("the muxer has begun and takes no further stream")?;
        if is_text {
            self.sparse().push(sink.clone());
        }
        let priming = if is_decoded { priming(caps) } else { 0 };
        let is_scaled = self.span.is_slow() && (is_text || way == Way::Stretched);
        let origin = match is_scaled {
            true => self.span.scale(self.span.origin),
            false => self.span.origin,
        };
        sink.set_offset(-priming - origin as i64);
        // A decoder links itself when it knows what comes out of it.
        let linked = &chain[usize::from(is_decoded)..];
        bin.add_many(&chain)?;
        gst::Element::link_many(linked)?;
        let last = linked.last().context("an empty chain")?;
        let last = last.static_pad("src").context("no source pad")?;
        if is_text && is_scaled {
            stretch_text(&last, self.span);
        }
        bound(&last, self.span, is_scaled, is_text);
        last.link(&sink)?;
        link_pad(pad, &chain[0])?;
        for element in chain.iter().rev() {
            element.sync_state_with_parent()?;
        }
        Ok(())
    }

    /// Ends streams even if nothing comes in them any more.
    pub(crate) fn close(&self) {
        for pad in self.sparse().drain(..) {
            // Each on a thread of its own: a pad is busy as long as its muxer waits for another one.
            thread::spawn(move || {
                if pad.sticky_event::<gst::event::StreamStart>(0).is_none() {
                    pad.send_event(gst::event::StreamStart::new("none"));
                }
                pad.send_event(gst::event::Eos::new());
            });
        }
    }

    fn sparse(&self) -> std::sync::MutexGuard<'_, Vec<gst::Pad>> {
        self.sparse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the part of a stream through that is used, and ends it behind that.
fn bound(pad: &gst::Pad, span: Span, is_scaled: bool, is_text: bool) {
    let scale = |time: u64| if is_scaled { span.scale(time) } else { time };
    let (from, to) = (scale(span.from), scale(span.to));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(time) = running_time(pad, buffer) else {
            return gst::PadProbeReturn::Ok;
        };
        if time >= to {
            pad.push_event(gst::event::Eos::new());
            info.flow_res = Err(gst::FlowError::Eos);
            return gst::PadProbeReturn::Handled;
        }
        // Text that is still shown is not left out.
        let lasts = buffer.duration().map_or(0, gst::ClockTime::nseconds);
        let end = if is_text {
            time.saturating_add(lasts)
        } else {
            time
        };
        match end < from || (is_text && end == from) {
            true => gst::PadProbeReturn::Drop,
            false => gst::PadProbeReturn::Ok,
        }
    });
}

fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<u64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment
        .to_running_time(buffer.pts()?)
        .map(gst::ClockTime::nseconds)
}

/// Makes what stretches sound at the same pitch. It goes by the rate that is played at.
fn stretcher(span: Span) -> Result<gst::Element> {
    let stretcher = make("scaletempo")?;
    let sink = stretcher.static_pad("sink").context("no sink pad")?;
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let slower = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Segment(event)) => {
                let segment = event.segment().downcast_ref::<gst::ClockTime>().cloned();
                segment.map(|mut segment| {
                    segment.set_rate(1.0 / crate::rate::value(span.slow));
                    let base = segment.base().map_or(0, gst::ClockTime::nseconds);
                    segment.set_base(gst::ClockTime::from_nseconds(span.scale(base)));
                    gst::event::Segment::new(&segment)
                })
            }
            _ => None,
        };
        if let Some(event) = slower {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(stretcher)
}

/// Shows text so many times as late and as long.
fn stretch_text(pad: &gst::Pad, span: Span) {
    let given: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>> = Mutex::default();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |_, info| {
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = info.buffer_mut() {
            let scaled =
                |time: gst::ClockTime| gst::ClockTime::from_nseconds(span.scale(time.nseconds()));
            let time = given
                .as_ref()
                .and_then(|segment| segment.to_running_time(buffer.pts()?));
            let lasts = buffer.duration();
            let buffer = buffer.make_mut();
            buffer.set_pts(time.map(scaled));
            buffer.set_duration(lasts.map(scaled));
        } else if let Some(gst::EventView::Segment(event)) = info.event().map(|event| event.view())
        {
            *given = event.segment().downcast_ref::<gst::ClockTime>().cloned();
            let plain = gst::FormattedSegment::<gst::ClockTime>::new();
            info.data = Some(gst::PadProbeData::Event(gst::event::Segment::new(&plain)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Creates a decoder of sound that links itself to `next`.
fn decoder(next: &gst::Element) -> Result<gst::Element> {
    let decoder = make("decodebin")?;
    let next = next.clone();
    decoder.connect_pad_added(move |decoder, pad| {
        let free = next
            .static_pad("sink")
            .is_some_and(|sink| !sink.is_linked());
        if free && let Err(error) = link_pad(pad, &next) {
            gst::element_error!(
                decoder,
                gst::StreamError::Format,
                ("cannot use what was decoded: {error:#}")
            );
        }
    });
    Ok(decoder)
}

/// The way a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Audio,
    Aac,
    Encoded,
    /// Decoded, made longer at the same pitch, and encoded.
    Stretched,
    Subtitle,
    Text,
}

fn aac_encoder() -> Result<gst::Element> {
    make("avenc_aac").or_else(|error| make("voaacenc").map_err(|_| error))
}

/// Returns the silence an AAC encoder begins with, which nothing downstream takes off: 1024
/// samples, in ns.
fn priming(caps: &gst::Caps) -> i64 {
    let rate = caps
        .structure(0)
        .and_then(|s| s.get::<i32>("rate").ok())
        .unwrap_or(48000);
    1024 * 1_000_000_000 / i64::from(rate.max(1))
}

fn is_aac(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|s| {
        s.name() == "audio/mpeg" && matches!(s.get::<i32>("mpegversion"), Ok(2 | 4))
    })
}

/// Makes plain text of text with markup, which no muxer takes.
fn plain_text() -> Result<gst::Element> {
    let setter = make("capssetter")?;
    let utf8 = gst::Caps::builder("text/x-raw").field("format", "utf8");
    setter.set_property("caps", utf8.build());
    let sink = setter.static_pad("sink").context("no sink pad")?;
    sink.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let marked = pad.current_caps().is_some_and(|caps| {
            caps.structure(0)
                .is_some_and(|s| s.get::<&str>("format") == Ok("pango-markup"))
        });
        if let Some(buffer) = info.buffer_mut()
            && marked
            && let Ok(text) = buffer.map_readable().map(|map| without_markup(&map))
        {
            let mut plain = gst::Buffer::from_slice(text.into_bytes());
            if let Some(plain) = plain.get_mut() {
                // The times go along; were they not, the muxer would say so.
                let _ = buffer.copy_into(plain, gst::BufferCopyFlags::TIMESTAMPS, ..);
            }
            *buffer = plain;
        }
        gst::PadProbeReturn::Ok
    });
    Ok(setter)
}

fn without_markup(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut plain = String::with_capacity(text.len());
    for (number, part) in text.split('<').enumerate() {
        plain.push_str(match part.split_once('>') {
            Some((_, after)) if number > 0 => after,
            _ => part,
        });
    }
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(plain, |text, (entity, letter)| text.replace(entity, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_plain_text() {
        let marked = b"<i>Tom &amp; Jerry</i>: 1 &lt; 2, &quot;<b>so</b>&quot;";
        assert_eq!(without_markup(marked), "Tom & Jerry: 1 < 2, \"so\"");
        assert_eq!(without_markup(b"no markup"), "no markup");
    }
}
