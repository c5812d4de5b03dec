//! Which of the originals' metas the frames between them have.

use gst::prelude::*;
use test_support::rig::*;

type Metas = Vec<&'static str>;

/// All metas that a frame can have, by what they are for.
fn decorate(buffer: &mut gst::BufferRef, words: &[&str]) {
    for word in words {
        match *word {
            "captions" => {
                let kind = gst_video::VideoCaptionType::Cea608Raw;
                gst_video::VideoCaptionMeta::add(buffer, kind, &[1, 2]);
            }
            "reference time" => {
                let caps = gst::Caps::new_empty_simple("timestamp/x-test");
                let time = gst::ClockTime::from_seconds(3);
                gst::ReferenceTimestampMeta::add(buffer, &caps, time, gst::ClockTime::NONE);
            }
            "crop" => {
                gst_video::VideoCropMeta::add(buffer, (2, 2, 60, 44));
            }
            "region" => {
                gst_video::VideoRegionOfInterestMeta::add(buffer, "face", (8, 8, 16, 16));
            }
            "affine" => {
                gst_video::VideoAffineTransformationMeta::add(buffer, None);
            }
            "active format" => {
                let afd = gst_video::VideoAFDValue::_169TopAligned;
                gst_video::VideoAFDMeta::add(buffer, 0, gst_video::VideoAFDSpec::DvbEtsi, afd);
            }
            "subtitle" => {
                let mut pixels = gst::Buffer::with_size(8 * 8 * 4).unwrap();
                gst_video::VideoMeta::add(
                    pixels.make_mut(),
                    gst_video::VideoFrameFlags::empty(),
                    gst_video::VideoFormat::Bgra,
                    8,
                    8,
                )
                .unwrap();
                let flags = gst_video::VideoOverlayFormatFlags::empty();
                let rectangle =
                    gst_video::VideoOverlayRectangle::new_raw(&pixels, 4, 4, 8, 8, flags);
                let overlay = gst_video::VideoOverlayComposition::new([&rectangle]).unwrap();
                gst_video::VideoOverlayCompositionMeta::add(buffer, &overlay);
            }
            word => panic!("{word}"),
        }
    }
}

/// Counts the metas that a buffer has, each as often as it has it.
fn count_metas(buffer: &gst::Buffer) -> Metas {
    let known = [
        ("captions", gst_video::VideoCaptionMeta::meta_api()),
        ("reference time", gst::ReferenceTimestampMeta::meta_api()),
        ("crop", gst_video::VideoCropMeta::meta_api()),
        ("region", gst_video::VideoRegionOfInterestMeta::meta_api()),
        (
            "affine",
            gst_video::VideoAffineTransformationMeta::meta_api(),
        ),
        ("active format", gst_video::VideoAFDMeta::meta_api()),
        (
            "subtitle",
            gst_video::VideoOverlayCompositionMeta::meta_api(),
        ),
    ];
    let metas = buffer.iter_meta::<gst::Meta>();
    let mut words: Metas = metas
        .filter_map(|meta| known.iter().find(|(_, api)| *api == meta.api()))
        .map(|(word, _)| *word)
        .collect();
    words.sort_unstable();
    words
}

/// Frames with these metas, and the metas of what comes out.
fn push_through(rig: &mut Rig, frames: &[&[&str]]) -> Vec<Metas> {
    let text = "NV12 64x48 30/1";
    rig.harness.set_src_caps(caps(text));
    for (k, words) in (0..).zip(frames) {
        let mut buffer = frame(&info(text), k);
        decorate(buffer.make_mut(), words);
        rig.harness.push(buffer).unwrap();
    }
    rig.finish().iter().map(count_metas).collect()
}

/// Kinds of metadata that describe the picture, in the order of the alphabet.
const PICTURE: [&str; 5] = ["active format", "affine", "crop", "region", "subtitle"];

#[test]
fn what_describes_the_picture_goes_onto_made_and_repeated_frames_and_nothing_else() {
    let all: Vec<_> = PICTURE
        .into_iter()
        .chain(["captions", "reference time"])
        .collect();
    let out = push_through(&mut Rig::bare(None), &[&all, &all]);
    let mut whole = all.clone();
    whole.sort_unstable();
    // the last one is the second original once more
    assert_eq!(out, [&whole[..], &PICTURE, &whole, &PICTURE]);
}

#[test]
fn a_made_frame_is_described_as_the_nearer_original_is() {
    let quadruple = |element: &gst::Element| element.set_property("multiplier", 4u32);
    let mut rig = Rig::with_model_and(blending_model(), quadruple);
    let out = push_through(&mut rig, &[&["subtitle"], &["region"]]);
    let [first, second] = [vec!["subtitle"], vec!["region"]];
    let nearer = [&first, &first, &second, &second, &second];
    assert!(out.iter().zip(nearer).all(|(a, b)| a == b), "{out:?}");
}
