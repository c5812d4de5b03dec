//! Choosing an encoder, and what container takes what it gives.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use gst::prelude::*;
use set_property::set;

use crate::elements::make;

/// The kinds of video that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    H264,
    H265,
    Av1,
    Ffv1,
    Prores,
}

/// Speed preset of x264 and x265, unless another one is asked for.
const SPEED: &str = "faster";

impl Codec {
    /// Returns the elements that encode it, the best first; those of hardware come before.
    fn encoders(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::H264 => (
                &["nvh264enc", "qsvh264enc", "vah264enc"],
                &["x264enc", "openh264enc"],
            ),
            Self::H265 => (&["nvh265enc", "qsvh265enc", "vah265enc"], &["x265enc"]),
            Self::Av1 => (
                &["nvav1enc", "qsvav1enc", "vaav1enc"],
                &["svtav1enc", "rav1enc", "av1enc"],
            ),
            Self::Ffv1 => (&[], &["avenc_ffv1"]),
            Self::Prores => (&[], &["avenc_prores_ks", "avenc_prores"]),
        }
    }

    fn parser(self) -> Option<&'static str> {
        match self {
            Self::H264 => Some("h264parse"),
            Self::H265 => Some("h265parse"),
            Self::Av1 => Some("av1parse"),
            Self::Ffv1 | Self::Prores => None,
        }
    }

    /// Returns the formats it is stored in so that players take it, and all of them where it is for
    /// keeping rather than playing.
    fn formats(self, depth: u32) -> &'static str {
        match (self, depth) {
            (Self::H264, _) | (Self::H265 | Self::Av1, ..=8) => "{ I420, NV12 }",
            (Self::H265 | Self::Av1, _) => "{ I420_10LE, P010_10LE }",
            (Self::Ffv1, ..=8) => "{ I420, Y42B, Y444, GRAY8 }",
            (Self::Ffv1, ..=10) => "{ I420_10LE, I422_10LE, Y444_10LE }",
            (Self::Ffv1, _) => "{ I420_12LE, I422_12LE, Y444_12LE }",
            (Self::Prores, _) => "{ I422_10LE, Y444_10LE }",
        }
    }

    /// Returns the packing that files hold its packets in.
    fn packing(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264,stream-format=avc,alignment=au",
            Self::H265 => "video/x-h265,stream-format=hvc1,alignment=au",
            Self::Av1 => "video/x-av1,stream-format=obu-stream,alignment=tu",
            Self::Ffv1 => "video/x-ffv,ffvversion=1",
            Self::Prores => "video/x-prores",
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The kinds of file that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Mp4,
    Mov,
    Matroska,
}

impl Container {
    /// Chooses by the file's ending.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        match ending.as_str() {
            "mp4" | "m4v" => Ok(Self::Mp4),
            "mov" => Ok(Self::Mov),
            "mkv" => Ok(Self::Matroska),
            _ => bail!(
                "{}: the output ends in .mp4 or .mkv, or .mov, or is called as pictures are: out_%04d.png",
                path.display()
            ),
        }
    }

    pub(crate) fn muxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4mux",
            Self::Mov => "qtmux",
            Self::Matroska => "matroskamux",
        }
    }

    /// Refuses a codec that it has no place for.
    fn check(self, codec: Codec) -> Result<()> {
        let fits = match self {
            Self::Matroska => true,
            Self::Mp4 => matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1),
            Self::Mov => matches!(codec, Codec::H264 | Codec::H265 | Codec::Prores),
        };
        let takers = match codec {
            Codec::Av1 => ".mp4 or .mkv",
            Codec::Ffv1 => ".mkv",
            Codec::Prores => ".mov or .mkv",
            Codec::H264 | Codec::H265 => ".mp4, .mov or .mkv",
        };
        if !fits {
            bail!(
                "{} takes no {}: name an output that ends in {takers}",
                self.muxer(),
                codec.name()
            );
        }
        Ok(())
    }
}

/// Settings of the encoder, as asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) codec: Option<Codec>,
    pub(crate) encoder: Option<String>,
    pub(crate) crf: u32,
    pub(crate) preset: Option<String>,
    /// Encode eight bits whatever comes.
    pub(crate) eight_bit: bool,
}

/// An encoder that was chosen, to be made as often as there are segments.
#[derive(Debug, Clone)]
pub(crate) struct Encoding {
    codec: Codec,
    encoder: String,
    wish: Wish,
    /// Formats to store the frames in.
    pub(crate) caps: gst::Caps,
    pub(crate) depth: u32,
    /// Why there are fewer bits than the input has.
    pub(crate) why: Option<&'static str>,
}

impl Encoding {
    /// Chooses for frames of that many bits, HDR or not, and for a container.
    pub(crate) fn choose(wish: &Wish, container: Container, depth: u32, hdr: bool) -> Result<Self> {
        let deep = depth > 8 && !wish.eight_bit;
        let mut why = (depth > 8 && wish.eight_bit).then_some("to be compared with the truth");
        // HEVC, because hardly a player takes H.264 of ten bits.
        let mut codec = wish.codec.unwrap_or(match deep {
            true => Codec::H265,
            false => Codec::H264,
        });
        if deep && wish.codec.is_none() && find(codec, wish, true).is_none() {
            codec = Codec::H264;
            why = Some("without x265enc (gstreamer1.0-plugins-bad)");
        }
        container.check(codec)?;
        let software = deep || hdr;
        let encoder = find(codec, wish, software).with_context(|| none(codec, wish))?;
        let factory = gst::ElementFactory::find(&encoder).with_context(|| none(codec, wish))?;
        let takes = |depth: u32| -> Result<gst::Caps> {
            let caps = format!("video/x-raw,format=(string){}", codec.formats(depth));
            let caps: gst::Caps = caps.parse()?;
            let templates = factory.static_pad_templates();
            let taken: gst::Caps = templates
                .iter()
                .filter(|template| template.direction() == gst::PadDirection::Sink)
                .flat_map(|template| {
                    let found = caps.intersect(&template.caps());
                    found.iter().map(|s| s.to_owned()).collect::<Vec<_>>()
                })
                .filter_map(|s| {
                    let format = s.value("format").ok()?.clone();
                    let mut only = gst::Structure::new_empty("video/x-raw");
                    only.set_value("format", format);
                    Some(only)
                })
                .collect();
            Ok(taken)
        };
        let mut caps = takes(if deep { depth } else { 8 })?;
        if caps.is_empty() {
            caps = takes(8)?;
            why = why.or(Some("by this encoder"));
        }
        if caps.is_empty() {
            bail!("{encoder} does not encode frames as {codec:?} is made of");
        }
        let made = formats(&caps)
            .into_iter()
            .map(|format| gst_video::VideoFormatInfo::from_format(format).depth()[0])
            .max()
            .unwrap_or(8);
        if codec == Codec::H264 && why.is_none() && depth > made {
            why = Some("as h264 is played");
        }
        Ok(Self {
            codec,
            encoder,
            wish: wish.clone(),
            caps,
            depth: made,
            why,
        })
    }

    /// Makes the encoder, and the parser that goes behind it.
    pub(crate) fn make(&self) -> Result<(gst::Element, Option<gst::Element>)> {
        let encoder = make(&self.encoder)?;
        let crf = self.wish.crf.to_string();
        let try_set = |name: &str, value: &str| match encoder.find_property(name) {
            Some(_) => set(&encoder, name, value),
            None => Ok(()),
        };
        let preset = self.wish.preset.as_deref();
        match self.encoder.as_str() {
            "x264enc" => {
                set(&encoder, "pass", "qual")?;
                set(&encoder, "quantizer", &crf)?;
                set(&encoder, "speed-preset", preset.unwrap_or(SPEED))?;
            }
            "x265enc" => {
                // Its own colours come from the caps, the mastering display's too.
                set(&encoder, "option-string", &format!("crf={crf}"))?;
                set(&encoder, "speed-preset", preset.unwrap_or(SPEED))?;
            }
            "av1enc" => {
                // It has no property for a constant quality, so that is hemmed in.
                let level = self.wish.crf * 63 / 50;
                set(&encoder, "end-usage", "q")?;
                set(
                    &encoder,
                    "min-quantizer",
                    &level.saturating_sub(2).to_string(),
                )?;
                set(&encoder, "max-quantizer", &(level + 2).min(63).to_string())?;
                set(&encoder, "cpu-used", preset.unwrap_or("6"))?;
                try_set("row-mt", "true")?;
            }
            "svtav1enc" | "openh264enc" => {
                try_set("crf", &crf)?;
                try_set("preset", preset.unwrap_or("8"))?;
            }
            "rav1enc" => {
                set(&encoder, "quantizer", &(self.wish.crf * 4).to_string())?;
                set(&encoder, "speed-preset", preset.unwrap_or("8"))?;
            }
            hardware if hardware.starts_with("nv") => {
                try_set("rc-mode", "constqp")?;
                try_set("qp-const", &crf)?;
                preset.map_or(Ok(()), |preset| set(&encoder, "preset", preset))?;
            }
            hardware if hardware.starts_with("va") || hardware.starts_with("qsv") => {
                try_set("rate-control", "cqp")?;
                for name in ["qpi", "qpp", "qpb", "qp-i", "qp-p", "qp-b"] {
                    try_set(name, &crf)?;
                }
                preset.map_or(Ok(()), |preset| set(&encoder, "target-usage", preset))?;
            }
            other => {
                if let Some(preset) = preset {
                    bail!("{other} has no speed presets: leave --encoder-preset {preset} out");
                }
            }
        }
        try_set("key-int-max", "240")?;
        let parser = self.codec.parser().map(make).transpose()?;
        Ok((encoder, parser))
    }

    /// Returns the caps of its packets.
    pub(crate) fn packing(&self) -> Result<gst::Caps> {
        Ok(self.codec.packing().parse()?)
    }

    /// Returns all that decides what the encoder makes of a frame.
    pub(crate) fn identity(&self) -> String {
        format!(
            "{} {} {:?} {}",
            self.encoder, self.wish.crf, self.wish.preset, self.caps
        )
    }

    /// Returns the encoder's name.
    pub(crate) fn encoder(&self) -> &str {
        &self.encoder
    }
}

/// Returns the formats that caps name.
pub(crate) fn formats(caps: &gst::Caps) -> Vec<gst_video::VideoFormat> {
    let mut formats = Vec::new();
    for s in caps.iter() {
        let named = s.get::<gst::List>("format");
        let listed = named.iter().flat_map(|list| list.iter());
        let listed = listed.filter_map(|value| value.get::<&str>().ok());
        let texts = listed.chain(s.get::<&str>("format"));
        formats.extend(texts.filter_map(|text| text.parse::<gst_video::VideoFormat>().ok()));
    }
    formats
}

/// Finds the first encoder that is installed and, if it is hardware's, starts.
fn find(codec: Codec, wish: &Wish, software: bool) -> Option<String> {
    if let Some(encoder) = &wish.encoder {
        return Some(encoder.clone());
    }
    let (hardware, plain) = codec.encoders();
    let starts = |name: &&&str| {
        make(name).is_ok_and(|element| {
            let starts = element.set_state(gst::State::Ready).is_ok();
            let _ = element.set_state(gst::State::Null);
            starts
        })
    };
    let found = (!software).then(|| hardware.iter().find(starts)).flatten();
    let installed = |name: &&&str| gst::ElementFactory::find(name).is_some();
    found
        .or_else(|| plain.iter().find(installed))
        .map(|name| (*name).to_owned())
}

fn none(codec: Codec, wish: &Wish) -> String {
    match &wish.encoder {
        Some(encoder) => format!("no element {encoder}, which --encoder names"),
        None => {
            let (_, plain) = codec.encoders();
            let install = plain
                .first()
                .map_or(String::new(), |name| crate::elements::install(name));
            format!("no encoder for {}: {install}", codec.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_lacks_a_codec_names_one_that_has_it() {
        let said = |container: Container, codec| container.check(codec).unwrap_err().to_string();
        assert!(said(Container::Mp4, Codec::Ffv1).contains("ends in .mkv"));
        assert!(said(Container::Mp4, Codec::Prores).contains(".mov"));
        assert!(said(Container::Mov, Codec::Av1).contains(".mp4"));
        for codec in Codec::value_variants() {
            Container::Matroska.check(*codec).unwrap();
        }
    }
}
