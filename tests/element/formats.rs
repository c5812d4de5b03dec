//! Every format, size and stride: originals untouched, synthesised frames right.

use gst_video::prelude::*;
use gstvfiinterp::frames::FORMATS;

use crate::common::*;

/// Originals in, doubled, out: the originals bit by bit, and as many others.
#[track_caller]
pub(crate) fn assert_originals_survive(text: &str) {
    let info = info(text);
    let mut rig = Rig::new(text, None);
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

/// Fills a frame with one value a plane, where that is a legal sample.
fn flat(info: &gst_video::VideoInfo, k: u64, value: u8) -> gst::Buffer {
    let mut buffer = frame(info, k);
    let shift = info.format_info().shift()[0];
    let deep = info.format_info().depth()[0] > 8;
    {
        let mut map = buffer.make_mut().map_writable().unwrap();
        if deep {
            let sample = (u16::from(value) << 2 << shift).to_le_bytes();
            for pair in map.chunks_exact_mut(2) {
                pair.copy_from_slice(&sample);
            }
        } else {
            map.fill(value);
        }
    }
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
        let between = gst_video::VideoFrame::from_buffer_readable(out[1].clone(), &info).unwrap();
        let expected = flat(&info, 0, 60);
        let expected = gst_video::VideoFrame::from_buffer_readable(expected, &info).unwrap();
        for component in 0..info.n_components() {
            assert_eq!(
                samples(&between, component),
                samples(&expected, component),
                "{text} component {component}"
            );
        }
    }
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

#[test]
fn synthesised_frames_keep_clear_of_strides() {
    // A stride far beyond the width, with other bytes in between, as hardware decoders give.
    let text = "NV12 50x34 30/1";
    let info = info(text);
    let strided = |k: u64, value: u8| {
        let stride = 96;
        let (luma, chroma) = (stride * 40, stride * 20);
        let mut data = vec![0xeeu8; luma + chroma];
        for (start, rows) in [(0, 34), (luma, 17)] {
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
            50,
            34,
            &[0, luma],
            &[stride as i32, stride as i32],
        )
        .unwrap();
        buffer
    };
    let mut rig = Rig::new(text, None);
    let first = strided(0, 100);
    rig.harness.push(first.copy()).unwrap();
    rig.harness.push(strided(1, 200)).unwrap();
    let out = rig.finish();
    assert_eq!(bytes(&out[0]), bytes(&first));
    let between = gst_video::VideoFrame::from_buffer_readable(out[1].clone(), &info).unwrap();
    for plane in 0..2 {
        let (width, height) = [(50, 34), (50, 17)][plane as usize];
        let stride = between.plane_stride()[plane as usize] as usize;
        for row in between
            .plane_data(plane)
            .unwrap()
            .chunks(stride)
            .take(height)
        {
            assert!(
                row[..width].iter().all(|v| *v == 150),
                "{:?}",
                &row[..width]
            );
        }
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

#[test]
fn metas_stay_with_originals_and_go_nowhere_else() {
    let text = "NV12 64x48 30/1";
    let info = info(text);
    let mut rig = Rig::new(text, None);
    for k in 0..2 {
        let mut buffer = frame(&info, k);
        gst_video::VideoCaptionMeta::add(
            buffer.make_mut(),
            gst_video::VideoCaptionType::Cea608Raw,
            &[1, 2],
        );
        gst_video::VideoCropMeta::add(buffer.make_mut(), (2, 2, 60, 44));
        rig.harness.push(buffer).unwrap();
    }
    let out = rig.finish();
    let captions: Vec<_> = out
        .iter()
        .map(|b| b.meta::<gst_video::VideoCaptionMeta>().is_some())
        .collect();
    assert_eq!(captions, [true, false, true, false]);
    for buffer in &out {
        let crop = buffer.meta::<gst_video::VideoCropMeta>().unwrap();
        assert_eq!(crop.rect(), (2, 2, 60, 44));
    }
}
