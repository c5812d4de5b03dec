//! Levels of frames made of pictures beside those of their originals.

use gst::prelude::*;
use test_support::rig::*;

/// Frames of NV12 at `upscale=image`, the originals equal and of one colour: the luma and chroma between.
fn between(colour: [u8; 3], colorimetry: &str) -> [u8; 3] {
    let mut video = caps("NV12 64x48 30/1");
    video.make_mut().set("colorimetry", colorimetry);
    let info = gst_video::VideoInfo::from_caps(&video).unwrap();
    let mut rig = Rig::with_model_and(blending_model(), |element| {
        element.set_property("still-threshold", 0.0);
        element.set_property("scene-threshold", 0.0);
        element.set_property("downscale", 2.0);
        element.set_property_from_str("upscale", "image");
    });
    rig.harness.set_src_caps(video);
    for k in 0..2 {
        let mut buffer = frame(&info, k);
        let mut map = buffer.make_mut().map_writable().unwrap();
        let (luma, chroma) = map.split_at_mut(info.offset()[1]);
        luma.fill(colour[0]);
        chroma
            .chunks_exact_mut(2)
            .for_each(|pair| pair.copy_from_slice(&colour[1..]));
        // equal pairs are repeated
        luma[0] = 20 * k as u8 + 100;
        drop(map);
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    assert_eq!(rig.stat("synthesised"), 1);
    let frame = gst_video::VideoFrame::from_buffer_readable(out[1].clone(), &info).unwrap();
    let (luma, chroma) = (frame.plane_data(0).unwrap(), frame.plane_data(1).unwrap());
    let (row, stride) = (24 * info.stride()[0] as usize, info.stride()[1] as usize);
    [
        luma[row + 32],
        chroma[12 * stride + 32],
        chroma[12 * stride + 33],
    ]
}

#[test]
fn made_frames_are_as_bright_and_saturated_as_their_originals() {
    init();
    for colorimetry in [
        "bt601",
        "bt709",
        "bt2020",
        "smpte240m",
        "1:4:0:0",
        "1:3:5:1",
    ] {
        for colour in [
            [250, 128, 128],
            [4, 128, 128],
            [150, 20, 230],
            [60, 240, 128],
            [235, 128, 128],
        ] {
            let made = between(colour, colorimetry);
            for (made, original) in made.into_iter().zip(colour) {
                let apart = made.abs_diff(original);
                assert!(
                    apart <= 1,
                    "{colorimetry} {colour:?}: {made}, not {original}"
                );
            }
        }
    }
}
