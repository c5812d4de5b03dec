//! Samples of each format, against what GStreamer's own unpacking gives.

use glib::translate::IntoGlib as _;

use super::*;

/// The levels of a component as GStreamer has them: it unpacks lines to four components of 8 or 16 bits, alpha first.
fn unpacked(frame: &VideoFrameRef<&gst::BufferRef>, component: usize) -> Vec<u32> {
    let info = frame.info();
    let format = info.format_info();
    let planes = 0..info.n_planes();
    let data: Vec<_> = planes
        .map(|plane| frame.plane_data(plane).unwrap().as_ptr())
        .collect();
    let (width, height) = (info.width() as usize, info.height() as usize);
    let depth = VideoFormatInfo::from_format(format.unpack_format()).depth()[0];
    let bytes = depth as usize / 8;
    let mut levels = Vec::new();
    for y in 0..height {
        let mut line = vec![0; 4 * bytes * width];
        // SAFETY: the planes and their strides are those of a mapped frame of this format, and `line` has room for
        // its width.
        unsafe {
            let described = gst_video::ffi::gst_video_format_get_info(info.format().into_glib());
            (*described).unpack_func.unwrap()(
                described,
                gst_video::ffi::GST_VIDEO_PACK_FLAG_TRUNCATE_RANGE,
                line.as_mut_ptr().cast(),
                data.as_ptr().cast(),
                frame.plane_stride().as_ptr(),
                0,
                y as i32,
                width as i32,
            );
        }
        let place = (component + 1) % 4;
        levels.extend(line.chunks(4 * bytes).map(|pixel| match bytes {
            1 => u32::from(pixel[place]),
            _ => {
                let word = u16::from_ne_bytes([pixel[2 * place], pixel[2 * place + 1]]);
                u32::from(word) >> (16 - format.depth()[component])
            }
        }));
    }
    levels
}

#[test]
fn samples_lie_where_gstreamer_says() {
    for format in FORMATS {
        for (width, height) in [(48, 16), (35, 18), (67, 35)] {
            let info = info(format, width, height);
            let buffer = noise(&info, 5);
            let frame = read(&buffer, &info);
            for component in 0..info.n_components() as usize {
                let (got, want) = (levels(&frame, component), unpacked(&frame, component));
                assert!(
                    got == want,
                    "{format:?} {width}x{height}, component {component}"
                );
            }
        }
    }
}

#[test]
fn what_is_unpacked_is_packed_again() {
    for format in FORMATS {
        for (width, height) in [(48, 16), (35, 27), (7, 3), (1, 1)] {
            let info = info(format, width, height);
            let buffer = noise(&info, 5);
            let layout = FrameLayout::new(&info).unwrap();
            let mut copy = filled(&info, 1);
            {
                let frame = read(&buffer, &info);
                let planes = layout.planes(&frame).unwrap();
                let mut out = write(&mut copy, &info);
                let mut out = layout.planes_mut(&mut out).unwrap();
                for (out, from) in out.get().iter_mut().zip(planes.get()) {
                    let row = from.row_bytes();
                    let lines = from.data.chunks(from.stride).take(from.height);
                    for (out, from) in out.data.chunks_mut(out.stride).zip(lines) {
                        out[..row].copy_from_slice(&from[..row]);
                    }
                }
            }
            let (frame, copied) = (read(&buffer, &info), read(&copy, &info));
            for component in 0..info.n_components() as usize {
                let (got, want) = (levels(&copied, component), levels(&frame, component));
                assert!(
                    got == want,
                    "{format:?} {width}x{height}, component {component}"
                );
            }
        }
    }
}
