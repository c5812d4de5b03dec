//! The caps that the pads accept, and the output rate that follows from them. Only the frame rate
//! differs between the two sides: frames stay in the kind of memory they come in, as originals
//! leave as the very buffers they were.

use std::sync::LazyLock;

use glib::prelude::*;
use gst_video::VideoCapsBuilder;

use super::cuda;
use super::timing::grid::Rate;
use super::timing::timeline::OutputRate;
use crate::frames;

/// Sizes a frame may have, in pixels a side.
const SIZES: std::ops::RangeInclusive<i32> = 16..=8192;

/// Caps that both pads accept: progressive video, in CUDA's memory rather than in the system's,
/// if it can be dealt with here (see [`servable`]).
pub(super) static TEMPLATE: LazyLock<gst::Caps> = LazyLock::new(|| {
    let progressive = || {
        VideoCapsBuilder::new()
            .width_range(SIZES)
            .height_range(SIZES)
            .field("interlace-mode", "progressive")
    };
    let mut caps = progressive()
        .features([cuda::FEATURE])
        .format_list(cuda::FORMATS)
        .build();
    caps.merge(progressive().format_list(frames::FORMATS).build());
    caps
});

/// Returns the part of `caps` that can be dealt with, CUDA's memory first, so that frames that lie
/// on a device stay there. `cuda` tells whether CUDA's memory can be dealt with at all; it is asked
/// only where it matters, as that may load the driver.
pub(super) fn servable(caps: &gst::CapsRef, cuda: impl FnOnce() -> bool) -> gst::Caps {
    let (mut device, mut host) = (gst::Caps::new_empty(), gst::Caps::new_empty());
    for (structure, features) in caps.iter_with_features() {
        let side = match features.contains(cuda::FEATURE) {
            true => &mut device,
            false => &mut host,
        };
        let side = side.make_mut();
        side.append_structure_full(structure.to_owned(), Some(features.to_owned()));
    }
    if device.is_empty() || !cuda() {
        return host;
    }
    device.merge(host);
    device
}

/// Says what in `caps`, which are fixed, can't be dealt with, and the elements that help; `None` if
/// nothing. `cuda` is as in [`servable`].
pub(super) fn refusal(caps: &gst::CapsRef, cuda: impl FnOnce() -> bool) -> Option<String> {
    let (structure, features) = caps.iter_with_features().next()?;
    let (mut found, mut cures) = (Vec::new(), Vec::new());
    if structure.name() != "video/x-raw" {
        found.push(format!("{} is not raw video", structure.name()));
        cures.push("decodebin");
    }
    let on_device = features.contains(cuda::FEATURE) && cuda();
    let mode = structure.get::<&str>("interlace-mode");
    if let Ok(mode) = mode
        && mode != "progressive"
    {
        found.push(format!("interlace-mode={mode} is not progressive"));
        cures.push("deinterlace");
    }
    for feature in features.iter() {
        let cure = match feature.as_str() {
            SYSTEM | FIELDS => continue,
            cuda::FEATURE if on_device => continue,
            other => DOWNLOADS.iter().find(|(known, _)| *known == other),
        };
        found.push(format!("caps feature {feature} can't be dealt with here"));
        cures.insert(
            0,
            cure.map_or("an element that takes it off", |(_, cure)| cure),
        );
    }
    if let Ok(format) = structure.get::<&str>("format") {
        let known = match on_device {
            true => &cuda::FORMATS[..],
            false => &frames::FORMATS[..],
        };
        if !known.iter().any(|known| known.to_str() == format) {
            let known: Vec<_> = known.iter().map(|known| known.to_str().as_str()).collect();
            found.push(format!("format={format} is none of {}", known.join(", ")));
            cures.push("videoconvert");
        }
    }
    let sides = ["width", "height"].map(|side| structure.get::<i32>(side));
    if let [Ok(width), Ok(height)] = sides
        && !(SIZES.contains(&width) && SIZES.contains(&height))
    {
        let (least, most) = (SIZES.start(), SIZES.end());
        found.push(format!("{width}x{height} is not {least} to {most} a side"));
        cures.push("videoscale");
    }
    (!found.is_empty()).then(|| {
        let (found, cures) = (found.join("; "), cures.join(" ! "));
        format!("Upstream's video can't be interpolated: {found}. Put {cures} before this element")
    })
}

/// Caps feature of frames that lie where every element reads them, if caps name one.
const SYSTEM: &str = "memory:SystemMemory";

/// Caps feature of fields that are buffers of their own.
const FIELDS: &str = "format:Interlaced";

/// Elements that bring frames from other kinds of memory into the system's, by caps feature.
const DOWNLOADS: [(&str, &str); 9] = [
    ("memory:CUDAMemory", "cudadownload"),
    ("memory:D3D11Memory", "d3d11download"),
    ("memory:DMABuf", "vapostproc"),
    ("memory:GLMemory", "gldownload"),
    ("memory:MFXSurface", "msdkvpp"),
    ("memory:NVMM", "nvvideoconvert"),
    ("memory:VAMemory", "vapostproc"),
    ("memory:VASurface", "vaapipostproc"),
    ("memory:VulkanImage", "vulkandownload"),
];

/// The caps the other pad may have for these: each structure as it is, then with any frame rate.
pub(super) fn with_any_rate(caps: &gst::CapsRef) -> gst::Caps {
    let mut result = caps.to_owned();
    for (structure, features) in caps.iter_with_features() {
        let mut structure = structure.to_owned();
        set_rate(&mut structure, &any_rate());
        result.merge_structure_full(structure, Some(features.to_owned()));
    }
    result
}

/// The same caps with any frame rate, and no other.
pub(super) fn open_rate(caps: &gst::Caps) -> gst::Caps {
    at_rate(caps, &any_rate())
}

fn at_rate(caps: &gst::Caps, rate: &(impl ToSendValue + Sync)) -> gst::Caps {
    let mut caps = caps.clone();
    for structure in caps.make_mut().iter_mut() {
        set_rate(structure, rate);
    }
    caps
}

/// Another rate makes the input's highest one meaningless, too.
fn set_rate(structure: &mut gst::StructureRef, rate: &(impl ToSendValue + Sync)) {
    structure.set_value("framerate", rate.to_send_value());
    structure.remove_field("max-framerate");
}

fn any_rate() -> gst::FractionRange {
    gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(i32::MAX, 1))
}

/// The caps that leave for `input`, given what downstream accepts: `multiplier` times the input's
/// rate where downstream leaves it open, else the nearest to it that downstream allows. `None` if
/// downstream accepts nothing that suits.
pub(super) fn choose_output(
    input: &gst::Caps,
    downstream: &gst::CapsRef,
    multiplier: u32,
) -> Option<gst::Caps> {
    let rate = input.structure(0)?.get::<gst::Fraction>("framerate").ok();
    let rate = rate.unwrap_or(gst::Fraction::new(0, 1));
    let wanted = i32::try_from(multiplier)
        .ok()
        .and_then(|m| rate.numer().checked_mul(m))
        .map_or(rate, |num| gst::Fraction::new(num, rate.denom()));

    let preferred = at_rate(input, &wanted);
    if downstream.can_intersect(&preferred) {
        return Some(preferred);
    }
    let open = open_rate(input);
    let mut output = open.intersect_with_mode(downstream, gst::CapsIntersectMode::First);
    if output.is_empty() {
        return None;
    }
    output.truncate();
    {
        let structure = output.make_mut().structure_mut(0)?;
        structure.fixate_field_nearest_fraction("framerate", wanted);
    }
    output.fixate();
    Some(output)
}

/// The rates in fixed input and output caps as the timeline takes them.
pub(super) fn rates(
    input: &gst_video::VideoInfo,
    output: &gst_video::VideoInfo,
    multiplier: u32,
) -> (Option<Rate>, OutputRate) {
    let rate =
        |info: &gst_video::VideoInfo| Rate::from_caps(info.fps().numer(), info.fps().denom());
    let target = rate(output).map_or(OutputRate::Multiple(multiplier), OutputRate::Fixed);
    (rate(input), target)
}

/// Returns whether frames of both caps are laid out alike and lie in the same kind of memory,
/// whatever else they say (mastering displays, light levels).
pub(super) fn describe_same_frames(a: &gst::Caps, b: &gst::Caps) -> bool {
    let info = |caps| gst_video::VideoInfo::from_caps(caps).ok();
    info(a) == info(b) && cuda::is_cuda(a) == cuda::is_cuda(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        format!("video/x-raw,format=NV12,width=64,height=48,interlace-mode=progressive,{text}")
            .parse()
            .unwrap()
    }

    #[test]
    fn what_caps_say_of_colours_and_hdr_leaves_at_every_rate() {
        let said = "framerate=24/1,colorimetry=bt2100-pq,chroma-site=mpeg2,content-light-level=(string)1000:300,\
                    mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:50,\
                    something-to-come=(string)hdr";
        let input = caps(said);
        for downstream in [
            "ANY",
            "video/x-raw,framerate=60/1",
            "video/x-raw,framerate=[1/1,50/1]",
        ] {
            let downstream: gst::Caps = downstream.parse().unwrap();
            let mut output = choose_output(&input, &downstream, 2).unwrap();
            assert_ne!(output, input, "{downstream}");
            let rate = gst::Fraction::new(24, 1);
            output.make_mut().set("framerate", rate);
            assert_eq!(output, input, "{downstream}");
        }
    }

    #[track_caller]
    fn output(input: &str, downstream: &str, multiplier: u32) -> Option<gst::Fraction> {
        choose_output(&caps(input), &caps(downstream), multiplier)
            .map(|caps| caps.structure(0).unwrap().get("framerate").unwrap())
    }

    fn fraction(text: &str) -> gst::Fraction {
        let (num, den) = text.split_once('/').unwrap();
        gst::Fraction::new(num.parse().unwrap(), den.parse().unwrap())
    }

    const ANY: &str = "framerate=[0/1,2147483647/1]";

    #[test]
    fn the_multiplier_decides_when_downstream_does_not() {
        assert_eq!(
            output("framerate=30000/1001", ANY, 2),
            Some(gst::Fraction::new(60000, 1001))
        );
        assert_eq!(
            output("framerate=0/1", ANY, 2),
            Some(gst::Fraction::new(0, 1))
        );
        assert_eq!(
            output(
                "framerate=30/1",
                &format!("framerate=30/1;{}", caps(ANY)),
                4
            ),
            Some(gst::Fraction::new(120, 1)),
            "a rate that comes first is no wish"
        );
    }

    #[test]
    fn downstream_decides_when_it_can() {
        for (input, wanted) in [
            ("24/1", "60/1"),
            ("25/1", "50/1"),
            ("0/1", "60/1"),
            ("60/1", "24/1"),
        ] {
            let rate = output(
                &format!("framerate={input}"),
                &format!("framerate={wanted}"),
                2,
            );
            assert_eq!(rate, Some(fraction(wanted)), "{input}");
        }
    }

    #[test]
    fn the_nearest_rate_is_taken_from_a_choice() {
        assert_eq!(
            output("framerate=25/1", "framerate={30/1,60/1,120/1}", 2),
            Some(gst::Fraction::new(60, 1))
        );
        assert_eq!(
            output("framerate=30/1", "framerate=[1/1,50/1]", 2),
            Some(gst::Fraction::new(50, 1))
        );
    }

    #[test]
    fn the_highest_rate_of_the_input_does_not_bind_the_output() {
        let input = caps("framerate=30/1,max-framerate=30/1");
        let output = choose_output(&input, &caps(ANY), 2).unwrap();
        let structure = output.structure(0).unwrap();
        assert_eq!(structure.get("framerate"), Ok(gst::Fraction::new(60, 1)));
        assert!(!structure.has_field("max-framerate"));
    }

    #[test]
    fn another_size_is_refused() {
        let downstream = caps(ANY)
            .to_string()
            .replace("width=(int)64", "width=(int)32");
        assert_eq!(
            choose_output(
                &caps("framerate=30/1"),
                &downstream.parse::<gst::Caps>().unwrap(),
                2
            ),
            None
        );
    }

    #[test]
    fn a_fixed_rate_comes_first_and_any_rate_after_it() {
        let both = with_any_rate(&caps("framerate=30/1"));
        assert_eq!(both.size(), 2);
        let range = both.structure(1).unwrap();
        assert!(range.get::<gst::FractionRange>("framerate").is_ok());
        let first = both.structure(0).unwrap();
        assert_eq!(
            first.get::<gst::Fraction>("framerate"),
            Ok(gst::Fraction::new(30, 1))
        );
    }
}
