//! Every format, size and stride: originals untouched, synthesised frames right.

use gst_video::prelude::*;
use gstvfiinterp::frames::{FORMATS, FrameLayout, Plane, Sample};
use test_support::rig::*;

/// Originals in, doubled, out: the originals bit by bit, and as many others.
#[track_caller]
pub(crate) fn assert_originals_survive(text: &str) {
    let info = info(text);
    let mut rig = Rig::new(text, None);
    // of some formats such frames look like cuts
    rig.element.set_property("scene-threshold", 0.0);
    let originals: Vec<_> = (0..4).map(|k| rig.push(&info, k)).collect();
    let out = rig.finish();
    assert_eq!(out.len(), 8, "{text}");
    for (k, original) in originals.iter().enumerate() {
        assert!(
            bytes(&out[2 * k]) == bytes(original),
            "{text}: original {k}"
        );
    }
    assert_eq!(rig.stat("originals"), 4, "{text}");
    assert_eq!(rig.stat("synthesised"), 3, "{text}");
    assert_eq!(rig.stat("repeated"), 1, "{text}");
}

#[test]
fn originals_are_bit_exact_in_every_format() {
    init();
    for format in FORMATS {
        assert_originals_survive(&format!("{} 64x48 30/1", format.to_str()));
    }
}

#[test]
fn originals_are_bit_exact_at_odd_sizes() {
    init();
    for format in FORMATS {
        for size in ["17x16", "35x27"] {
            assert_originals_survive(&format!("{} {size} 25/1", format.to_str()));
        }
    }
}

/// Fills a frame with one level, of 8 bits; all of it shows.
fn flat(info: &gst_video::VideoInfo, k: u64, value: u8) -> gst::Buffer {
    let layout = FrameLayout::new(info).unwrap();
    let mut buffer = frame(info, k);
    let memory = buffer.make_mut();
    let mut mapped = gst_video::VideoFrameRef::from_buffer_ref_writable(memory, info).unwrap();
    for plane in layout.planes_mut(&mut mapped).unwrap().get() {
        let row = plane.row_bytes();
        let rows = plane
            .data
            .chunks_mut(plane.stride)
            .map(|line| &mut line[..row]);
        for pixel in rows.flat_map(|row| row.chunks_exact_mut(plane.format.pixel_bytes())) {
            for (channel, sample) in pixel
                .chunks_exact_mut(plane.format.sample.bytes())
                .enumerate()
            {
                let shows = plane.format.alpha == Some(channel);
                match plane.format.sample {
                    Sample::U8 => sample[0] = if shows { 255 } else { value },
                    Sample::U16 { depth, shift } => {
                        let level = u32::from(value) << (depth - 8);
                        let level = if shows {
                            plane.format.sample.most()
                        } else {
                            level
                        };
                        sample.copy_from_slice(&((level << shift) as u16).to_le_bytes());
                    }
                }
            }
        }
    }
    drop(mapped);
    buffer
}

#[test]
fn a_blend_is_exact_in_every_format() {
    init();
    for format in FORMATS {
        let text = format!("{} 38x26 30/1", format.to_str());
        let info = info(&text);
        let mut rig = Rig::new(&text, None);
        rig.harness.push(flat(&info, 0, 40)).unwrap();
        rig.harness.push(flat(&info, 1, 80)).unwrap();
        let out = rig.finish();
        let expected = flat(&info, 0, 60);
        let [got, expected] = [&out[1], &expected].map(|buffer| levels(buffer, &info));
        assert!(got == expected, "{text}: {got:?}");
    }
}

/// The planes of a frame, without whatever lies between their rows.
fn levels(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Vec<Vec<u8>> {
    let layout = FrameLayout::new(info).unwrap();
    let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let planes = layout.planes(&mapped).unwrap();
    let rows = |plane: &Plane| {
        let lines = plane.data.chunks(plane.stride).take(plane.height);
        lines
            .flat_map(|line| line[..plane.row_bytes()].to_vec())
            .collect()
    };
    planes.get().iter().map(rows).collect()
}

type Frame = gst_video::VideoFrame<gst_video::video_frame::Readable>;

/// The bytes of one component, without whatever lies between its samples.
fn samples(frame: &Frame, component: u32) -> Vec<u8> {
    let (width, height) = (
        frame.comp_width(component) as usize,
        frame.comp_height(component) as usize,
    );
    let bytes = frame.comp_depth(component).div_ceil(8) as usize;
    let step = frame.comp_pstride(component) as usize;
    let stride = frame.comp_stride(component) as usize;
    let data = frame.comp_data(component).unwrap();
    (0..height)
        .flat_map(|y| (0..width).map(move |x| y * stride + x * step))
        .flat_map(|start| data[start..start + bytes].to_vec())
        .collect()
}

/// A frame of NV12, 50x34, of one luma and no chroma, whose memory is larger: with other bytes in between, as hardware decoders
/// give. Its meta says that it is of this size.
fn strided(k: u64, value: u8, (width, height): (u32, u32)) -> gst::Buffer {
    let stride = 96;
    let (luma, chroma) = (stride * 40, stride * 20);
    let mut data = vec![0xeeu8; luma + chroma];
    for (start, rows, value) in [(0, 34, value), (luma, 17, 128)] {
        for y in 0..rows {
            data[start + y * stride..][..50].fill(value);
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let target = buffer.make_mut();
    target.set_pts(gst::ClockTime::from_nseconds(SECOND * k / 30));
    gst_video::VideoMeta::add_full(
        target,
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::Nv12,
        width,
        height,
        &[0, luma],
        &[stride as i32, stride as i32],
    )
    .unwrap();
    buffer
}

/// Checks the frame made between two such frames, of 100 and 200, which come out as they went in.
#[track_caller]
fn assert_only_the_picture_is_read(size: (u32, u32), upscale: &str) {
    let text = "NV12 50x34 30/1";
    let info = info(text);
    let set = |element: &gst::Element| element.set_property_from_str("upscale", upscale);
    let mut rig = Rig::with_model_and(blending_model(), set);
    rig.harness.set_src_caps(caps(text));
    let first = strided(0, 100, size);
    rig.harness.push(first.copy()).unwrap();
    rig.harness.push(strided(1, 200, size)).unwrap();
    let out = rig.finish();
    assert_eq!(bytes(&out[0]), bytes(&first));
    let between = gst_video::VideoFrame::from_buffer_readable(out[1].clone(), &info).unwrap();
    assert_eq!((between.width(), between.height()), (50, 34));
    for component in 0..3 {
        let samples = samples(&between, component);
        let expected = if component == 0 { 150 } else { 128 };
        let near = |v: &u8| v.abs_diff(expected) <= u8::from(upscale == "image");
        assert!(samples.iter().all(near), "{size:?} {upscale}: {samples:?}");
    }
}

#[test]
fn synthesised_frames_keep_clear_of_strides() {
    assert_only_the_picture_is_read((50, 34), "motion");
}

#[test]
fn of_frames_that_their_meta_says_are_larger_the_caps_part_is_read() {
    for size in [(64, 34), (50, 40), (96, 40)] {
        assert_only_the_picture_is_read(size, "motion");
        assert_only_the_picture_is_read(size, "image");
    }
}

#[test]
fn originals_are_the_very_buffers() {
    let text = "NV12 64x48 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    let buffers: Vec<_> = (0..3).map(|k| frame(&info, k)).collect();
    let memory = |b: &gst::Buffer| b.peek_memory(0).as_ptr();
    let pushed: Vec<_> = buffers.iter().map(memory).collect();
    for buffer in buffers {
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    let came: Vec<_> = out.iter().step_by(2).map(memory).collect();
    assert_eq!(came, pushed);
}
