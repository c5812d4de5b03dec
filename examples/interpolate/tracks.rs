//! Tracks beside the video: sound and subtitles.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::elements::{self, kind_of, make};
use crate::end::{Door, End};
use crate::pipeline::{decoder, link_pad};

/// Means to bring further streams to the muxer.
pub(crate) struct Tracks {
    mux: gst::Element,
    end: Arc<End>,
}

impl Tracks {
    pub(crate) fn to(mux: &gst::Element, end: &Arc<End>) -> Result<Self> {
        // Asked for in advance so that what is missing shows before a frame is worked on.
        aac_encoder()?;
        Ok(Self {
            mux: mux.clone(),
            end: Arc::clone(end),
        })
    }

    /// Finds how a stream could be kept, or says why not.
    pub(crate) fn way(&self, caps: &gst::Caps) -> Result<Way> {
        let container = elements::kind(&self.mux);
        match kind_of(caps) {
            kind if kind.starts_with("audio/") => Ok(self.audio(caps)),
            "text/x-raw" => Ok(Way::Text),
            _ if self.takes("subtitle_%u", caps) => Ok(Way::Subtitle),
            kind => bail!("{container} takes no {kind}"),
        }
    }

    /// Returns the way of a sound stream: untouched when the container takes it, else as AAC.
    fn audio(&self, caps: &gst::Caps) -> Way {
        if is_aac(caps) {
            Way::Aac
        } else if self.takes("audio_%u", caps) && !self.garbles(caps) {
            Way::Audio
        } else {
            Way::Encoded
        }
    }

    fn takes(&self, template: &str, caps: &gst::Caps) -> bool {
        self.mux
            .pad_template(template)
            .is_some_and(|template| template.caps().can_intersect(caps))
    }

    /// Returns whether the muxer takes the stream but writes it wrongly: mp4mux turns the bytes of
    /// Opus' pre-skip round, and players leave out the first third of a second.
    fn garbles(&self, caps: &gst::Caps) -> bool {
        kind_of(caps) == "audio/x-opus" && elements::kind(&self.mux) == "mp4mux"
    }

    /// Leads a stream from `pad` to the muxer.
    pub(crate) fn link(
        &self,
        bin: &gst::Pipeline,
        pad: &gst::Pad,
        caps: &gst::Caps,
        way: Way,
    ) -> Result<()> {
        let (template, door) = match way {
            Way::Text | Way::Subtitle => ("subtitle_%u", Door::Sparse),
            Way::Aac | Way::Audio | Way::Encoded => ("audio_%u", Door::Steady),
        };
        let mut chain = match way {
            // From a transport stream it comes in another packing than files hold.
            Way::Aac => vec![make("aacparse")?],
            Way::Audio | Way::Subtitle => vec![make("identity")?],
            Way::Text => vec![plain_text()?],
            Way::Encoded => vec![
                make("audioconvert")?,
                make("audioresample")?,
                aac_encoder()?,
                make("aacparse")?,
            ],
        };
        if way == Way::Encoded {
            chain.insert(0, decoder(&chain[0], |_, _| Ok(()))?);
        }
        let sink = self
            .mux
            .request_pad_simple(template)
            .context("the muxer has begun and takes no further stream")?;
        self.end.guard(door, &sink);
        if way == Way::Encoded {
            sink.set_offset(-priming(caps));
        }
        // A decoder links itself when it knows what comes out of it.
        let linked = &chain[usize::from(way == Way::Encoded)..];
        bin.add_many(&chain)?;
        gst::Element::link_many(linked)?;
        let last = linked.last().context("an empty chain")?;
        last.static_pad("src")
            .context("no source pad")?
            .link(&sink)?;
        link_pad(pad, &chain[0])?;
        for element in chain.iter().rev() {
            element.sync_state_with_parent()?;
        }
        Ok(())
    }
}

/// How a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Audio,
    Aac,
    Encoded,
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
