//! Frames as PNG files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

/// The form in which frames are written.
#[derive(Debug)]
pub(crate) struct PngWriter {
    converter: gst_video::VideoConverter,
    from: VideoInfo,
    to: VideoInfo,
    level: u8,
}

impl PngWriter {
    /// Prepares for frames of that kind, as pictures of 8 or 16 bits.
    pub(crate) fn new(from: &VideoInfo, depth: u32, level: u8) -> Result<Self> {
        let format = match (depth > 8, from.has_alpha(), from.is_gray()) {
            (false, _, true) => VideoFormat::Gray8,
            (true, _, true) => VideoFormat::Gray16Be,
            (false, false, _) => VideoFormat::Rgb,
            (false, true, _) => VideoFormat::Rgba,
            (true, ..) => VideoFormat::Argb64,
        };
        let to = VideoInfo::builder(format, from.width(), from.height())
            .par(from.par())
            .fps(from.fps())
            .build()?;
        Ok(Self {
            converter: gst_video::VideoConverter::new(from, &to, None)?,
            from: from.clone(),
            to,
            level,
        })
    }

    /// Writes a frame, which then lies under its name wholly or not at all.
    pub(crate) fn write(&self, frame: &gst::BufferRef, path: &Path) -> Result<()> {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(frame, &self.from)?;
        let buffer = gst::Buffer::with_size(self.to.size())?;
        let mut to = gst_video::VideoFrame::from_buffer_writable(buffer, &self.to)
            .map_err(|_| anyhow::anyhow!("no memory for a picture"))?;
        self.converter
            .frame_ref(&from, &mut to.as_mut_video_frame_ref());
        let unfinished = path.with_extension("part");
        let cannot = || format!("cannot write {}", path.display());
        let file = File::create(&unfinished).with_context(cannot)?;
        self.encode(&to, BufWriter::new(file))
            .with_context(cannot)?;
        fs::rename(&unfinished, path).with_context(cannot)
    }

    fn encode(
        &self,
        frame: &gst_video::VideoFrame<gst_video::video_frame::Writable>,
        mut file: BufWriter<File>,
    ) -> Result<()> {
        let (width, height) = (self.to.width(), self.to.height());
        let mut encoder = png::Encoder::new(&mut file, width, height);
        let (color, depth, bytes) = match self.to.format() {
            VideoFormat::Gray8 => (png::ColorType::Grayscale, png::BitDepth::Eight, 1),
            VideoFormat::Gray16Be => (png::ColorType::Grayscale, png::BitDepth::Sixteen, 2),
            VideoFormat::Rgb => (png::ColorType::Rgb, png::BitDepth::Eight, 3),
            VideoFormat::Rgba => (png::ColorType::Rgba, png::BitDepth::Eight, 4),
            VideoFormat::Argb64 if self.from.has_alpha() => {
                (png::ColorType::Rgba, png::BitDepth::Sixteen, 8)
            }
            VideoFormat::Argb64 => (png::ColorType::Rgb, png::BitDepth::Sixteen, 8),
            other => bail!("{other} is no picture's format"),
        };
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.set_deflate_compression(match self.level {
            0 => png::DeflateCompression::NoCompression,
            level => png::DeflateCompression::Level(level),
        });
        encoder.set_filter(match self.level {
            0 => png::Filter::NoFilter,
            _ => png::Filter::Up,
        });
        let mut writer = encoder.write_header()?;
        let stride = frame.plane_stride()[0] as usize;
        let rows = frame.plane_data(0)?.chunks(stride).take(height as usize);
        let wide = width as usize * bytes;
        let mut data = Vec::with_capacity(wide * height as usize);
        for row in rows {
            let row = &row[..wide];
            match self.to.format() {
                VideoFormat::Argb64 => data.extend(
                    row.chunks_exact(8)
                        .flat_map(|pixel| wide_pixel(pixel, self.from.has_alpha())),
                ),
                _ => data.extend(row),
            }
        }
        writer.write_image_data(&data)?;
        writer.finish()?;
        file.flush()?;
        Ok(())
    }
}

/// Returns a pixel of ARGB64, of this machine's byte order, as PNG has it.
fn wide_pixel(pixel: &[u8], with_alpha: bool) -> impl Iterator<Item = u8> + use<> {
    let value = |at: usize| u16::from_ne_bytes([pixel[at], pixel[at + 1]]).to_be_bytes();
    let (alpha, colours) = (value(0), [value(2), value(4), value(6)]);
    colours
        .into_iter()
        .chain(with_alpha.then_some(alpha))
        .flatten()
}
