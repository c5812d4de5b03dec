//! The video's way: decoded, turned upright, interpolated, encoded.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

use crate::elements::{kind, make, set};
use crate::end::{Door, End};
use crate::pipeline::{Plan, decoder};
use crate::rate::Rate;

/// An encoder, and what every player takes of it.
#[derive(Debug, Clone)]
struct Encoding {
    encoder: gst::Element,
    parser: gst::Element,
    formats: &'static str,
    depth: u32,
}

impl Encoding {
    fn eight_bit(plan: &Plan<'_>) -> Result<Self> {
        let encoder = make("x264enc")?;
        set(&encoder, "pass", "qual")?;
        set(&encoder, "quantizer", &plan.crf.to_string())?;
        set(&encoder, "speed-preset", plan.preset)?;
        set(&encoder, "key-int-max", "240")?;
        Ok(Self {
            encoder,
            parser: make("h264parse")?,
            formats: "{ I420, NV12 }",
            depth: 8,
        })
    }

    /// Chooses HEVC, because hardly a player takes H.264 of ten bits.
    fn ten_bit(plan: &Plan<'_>) -> Result<Self> {
        let encoder = make("x265enc")?;
        // Its own colours come from the caps, the mastering display's too.
        set(&encoder, "option-string", &format!("crf={}", plan.crf))?;
        set(&encoder, "speed-preset", plan.preset)?;
        set(&encoder, "key-int-max", "240")?;
        Ok(Self {
            encoder,
            parser: make("h265parse")?,
            formats: "I420_10LE",
            depth: 10,
        })
    }

    fn caps(&self) -> Result<gst::Caps> {
        Ok(format!("video/x-raw,format=(string){}", self.formats).parse()?)
    }
}

/// Builds the video's way from encoded frames to the muxer's pad; its first element, and the one
/// that interpolates.
pub(crate) fn build(
    bin: &gst::Pipeline,
    plan: &Plan<'_>,
    mux: &gst::Pad,
    end: &Arc<End>,
) -> Result<(gst::Element, gst::Element)> {
    let interpolator = interpolator(plan)?;
    let rate = make("capsfilter")?;
    if let Rate::Fixed(fraction) = plan.rate {
        let caps = gst::Caps::builder("video/x-raw")
            .field("framerate", fraction)
            .build();
        rate.set_property("caps", caps);
    }
    let before = make("capsfilter")?;
    let eight_bit = Encoding::eight_bit(plan)?;
    let deep = if plan.eight_bit {
        before.set_property("caps", eight_bit.caps()?);
        Err("to be compared with the truth")
    } else {
        Encoding::ten_bit(plan).map_err(|_| "without x265enc (gstreamer1.0-plugins-bad)")
    };

    // The muxers write no rotation, so the frames are turned instead.
    let flip = make("videoflip")?;
    set(&flip, "video-direction", "auto")?;
    let deinterlace = make("deinterlace")?;
    set(&deinterlace, "mode", "auto")?;
    let chain = [
        make("videoconvert")?,
        flip,
        deinterlace,
        make("videoconvert")?,
        before,
        short_queue()?,
        interpolator.clone(),
        rate,
        short_queue()?,
        make("videoconvert")?,
        make("capsfilter")?,
        make("videocrop")?,
    ];
    bin.add_many(&chain)?;
    gst::Element::link_many(&chain)?;
    let [first, .., after, crop] = chain;
    make_even(&crop)?;
    end.guard(Door::Steady, mux);

    let (bin_of, mux, end) = (bin.downgrade(), mux.clone(), Arc::clone(end));
    let decoder = decoder(&first, move |decoder, pad| {
        let caps = pad.current_caps().context("no caps")?;
        let info = gst_video::VideoInfo::from_caps(&caps)?;
        let encoding = match &deep {
            Ok(deep) if depth(&info) > 8 => deep,
            _ => &eight_bit,
        };
        for loss in losses(&info, encoding.depth, deep.as_ref().err().copied()) {
            gst::element_warning!(decoder, gst::StreamError::Format, ("{loss}"));
        }
        let bin = bin_of.upgrade().context("the pipeline is gone")?;
        after.set_property("caps", encoding.caps()?);
        let Encoding {
            encoder, parser, ..
        } = encoding;
        check_size(&info, encoder, &mux)?;
        bin.add_many([encoder, parser])?;
        gst::Element::link_many([&crop, encoder, parser])?;
        parser
            .static_pad("src")
            .context("no source pad")?
            .link(&mux)?;
        end.guard(
            Door::Frames,
            &encoder.static_pad("sink").context("no sink pad")?,
        );
        for element in [parser, encoder] {
            element.sync_state_with_parent()?;
        }
        Ok(())
    })?;
    bin.add(&decoder)?;
    Ok((decoder, interpolator))
}

/// Returns a thread border that holds few frames.
fn short_queue() -> Result<gst::Element> {
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 4u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

fn interpolator(plan: &Plan<'_>) -> Result<gst::Element> {
    let element = make(plan.element)?;
    // There is time: nothing is to be left out because a clock has moved on.
    if element.find_property("qos").is_some() {
        set(&element, "qos", "false")?;
    }
    if let Rate::Times(factor) = plan.rate {
        set(&element, "multiplier", &factor.to_string())?;
    }
    for (name, value) in &plan.properties {
        set(&element, name, value)?;
    }
    Ok(element)
}

fn depth(info: &gst_video::VideoInfo) -> u32 {
    info.format_info()
        .depth()
        .iter()
        .copied()
        .max()
        .unwrap_or(8)
}

/// Tells what of the input's frames does not reach the output.
fn losses(info: &gst_video::VideoInfo, depth_out: u32, why: Option<&str>) -> Vec<String> {
    use gst_video::VideoTransferFunction::{AribStdB67, Smpte2084};
    let mut losses = Vec::new();
    let depth = depth(info);
    if depth > depth_out {
        let why = why.map_or(String::new(), |why| format!(" {why}"));
        losses.push(format!("{depth} bits become {depth_out} bits{why}"));
        if matches!(info.colorimetry().transfer(), Smpte2084 | AribStdB67) && depth_out == 8 {
            losses.push("the video is HDR: with 8 bits, bands may show".into());
        }
    }
    if !info.is_gray()
        && (!info.is_yuv() || info.format_info().w_sub()[1] + info.format_info().h_sub()[1] < 2)
    {
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

/// Cuts an odd row or column off, which 4:2:0 has no place for.
fn make_even(crop: &gst::Element) -> Result<()> {
    let of = crop.downgrade();
    let sink = crop.static_pad("sink").context("no sink pad")?;
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let (Some(crop), Ok(found)) =
                (of.upgrade(), gst_video::VideoInfo::from_caps(caps.caps()))
        {
            let (width, height) = (found.width() as i32, found.height() as i32);
            crop.set_property("right", width % 2);
            crop.set_property("bottom", height % 2);
            if (width | height) % 2 == 1 {
                let (even_width, even_height) = (width & !1, height & !1);
                gst::element_warning!(
                    crop,
                    gst::StreamError::Format,
                    ("{width}x{height} becomes {even_width}x{even_height}: 4:2:0 has even sizes")
                );
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Refuses frames of a size that the encoder or the muxer doesn't take.
fn check_size(info: &gst_video::VideoInfo, encoder: &gst::Element, mux: &gst::Pad) -> Result<()> {
    let size = (info.width() as i32 & !1, info.height() as i32 & !1);
    let container = mux.parent_element().context("the muxer is gone")?;
    for (element, template) in [
        (encoder, encoder.pad_template("sink")),
        (&container, mux.pad_template()),
    ] {
        if template.is_some_and(|template| !has_room_for(template.caps(), size)) {
            bail!(
                "{}x{} is too small or too large for {}",
                info.width(),
                info.height(),
                kind(element)
            );
        }
    }
    Ok(())
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
            losses(&info(format, colorimetry), depth, why).join("; ")
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
