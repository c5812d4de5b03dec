//! A frame in colour, as planes of 8 bits: what compare measures, shows and hands to others.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gst_video::prelude::*;

use crate::clip::Picture;
use crate::luma::Luma;

/// The formats frames are compared in.
pub(super) const FORMATS: &str = "video/x-raw,format=(string){I420,Y444}";

/// Compression level of pictures, of 9.
const COMPRESSION: u8 = 4;

/// Luma and two planes of chroma, without padding.
#[derive(Debug, Clone)]
pub(super) struct Planar {
    info: gst_video::VideoInfo,
    /// Luma, then both planes of chroma.
    pub(super) planes: [Luma; 3],
}

impl Planar {
    /// Reads a frame in one of [`FORMATS`].
    pub(super) fn read(picture: &Picture) -> Result<Self> {
        let info = picture.info.clone();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &info)
            .context("a frame that cannot be mapped")?;
        if (info.n_components(), info.comp_pstride(0)) != (3, 1) {
            bail!("{} is none of {FORMATS}", info.format());
        }
        let plane = |component: u8| {
            let (width, height) = size(&info, component);
            let stride = usize::try_from(frame.comp_stride(component.into()))?;
            let rows = frame.comp_data(component.into())?.chunks(stride);
            let rows = rows.take(height).flat_map(|row| row.iter().take(width));
            Luma::new(width, height, rows.copied().collect())
        };
        let planes = [plane(0)?, plane(1)?, plane(2)?];
        Ok(Self { info, planes })
    }

    /// Returns a frame like this one with other values, plane by plane.
    pub(super) fn with(&self, bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut plane = |like: &Luma| {
            let (data, more) = rest
                .split_at_checked(like.data.len())
                .context("a frame that is too short")?;
            rest = more;
            Luma::new(like.width, like.height, data.to_vec())
        };
        let [luma, cb, cr] = &self.planes;
        Ok(Self {
            info: self.info.clone(),
            planes: [plane(luma)?, plane(cb)?, plane(cr)?],
        })
    }

    /// Returns all values, plane by plane.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let planes = self.planes.iter();
        planes.flat_map(|plane| &plane.data).copied().collect()
    }

    /// Returns the frame `phase` of the way to another, when one lays them over each other.
    pub(super) fn blend(&self, other: &Self, phase: f64) -> Result<Self> {
        let [luma, cb, cr] = [0, 1, 2].map(|i| self.planes[i].blend(&other.planes[i], phase));
        Ok(Self {
            info: self.info.clone(),
            planes: [luma?, cb?, cr?],
        })
    }

    /// Returns luma, in which most is measured.
    pub(super) fn luma(&self) -> &Luma {
        &self.planes[0]
    }

    /// Returns width and height of each plane of chroma.
    pub(super) fn chroma(&self) -> (usize, usize) {
        (self.planes[1].width, self.planes[1].height)
    }

    /// Returns whether both show the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.planes == other.planes
    }

    /// Returns what GStreamer says of the frame.
    pub(super) fn info(&self) -> &gst_video::VideoInfo {
        &self.info
    }

    /// Returns the frame as GStreamer has it.
    pub(super) fn picture(&self) -> Result<Picture> {
        let buffer = gst::Buffer::with_size(self.info.size())?;
        let mut frame = gst_video::VideoFrame::from_buffer_writable(buffer, &self.info)
            .map_err(|_| anyhow::anyhow!("a buffer that cannot be written"))?;
        for (component, plane) in (0..).zip(&self.planes) {
            let stride = usize::try_from(frame.comp_stride(component))?;
            let rows = frame.comp_data_mut(component)?.chunks_mut(stride);
            for (to, from) in rows.zip(plane.data.chunks_exact(plane.width)) {
                to[..plane.width].copy_from_slice(from);
            }
        }
        Ok(Picture {
            info: self.info.clone(),
            buffer: frame.into_buffer(),
        })
    }

    /// Returns red, green and blue, of 8 bits, pixel by pixel.
    pub(super) fn rgb(&self) -> Result<Vec<u8>> {
        let picture = self.picture()?;
        let (width, height) = (self.info.width(), self.info.height());
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height)
            .fps(self.info.fps())
            .par(self.info.par())
            .build()?;
        let converter = gst_video::VideoConverter::new(&picture.info, &info, None)?;
        let source =
            gst_video::VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &picture.info)
                .context("a frame that cannot be mapped")?;
        let buffer = gst::Buffer::with_size(info.size())?;
        let mut target = gst_video::VideoFrame::from_buffer_writable(buffer, &info)
            .map_err(|_| anyhow::anyhow!("a buffer that cannot be written"))?;
        let mut target = target.as_mut_video_frame_ref();
        converter.frame_ref(&source, &mut target);
        let stride = usize::try_from(target.comp_stride(0))?;
        let rows = target.plane_data(0)?.chunks(stride).take(height as usize);
        let row = width as usize * 3;
        Ok(rows
            .flat_map(|bytes| bytes.iter().take(row))
            .copied()
            .collect())
    }
}

/// Returns width and height of a component's plane.
fn size(info: &gst_video::VideoInfo, component: u8) -> (usize, usize) {
    let (width, height) = (info.comp_width(component), info.comp_height(component));
    (width as usize, height as usize)
}

/// Writes a picture.
pub(super) fn write_png(path: &Path, (width, height): (usize, usize), rgb: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, u32::try_from(width)?, u32::try_from(height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_deflate_compression(png::DeflateCompression::Level(COMPRESSION));
        let mut writer = encoder.write_header()?;
        writer.write_image_data(rgb)?;
        writer.finish()?;
        Ok(())
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;

    #[test]
    fn planes_come_back_as_they_were() {
        gst::init().unwrap();
        let scene = Scene::new(33, 17, gst::Fraction::new(30, 1)).unwrap();
        let frame = Planar::read(&scene.take(1).next().unwrap()).unwrap();
        assert_eq!(frame.chroma(), (17, 9));
        assert!(frame.is_same(&frame.with(&frame.bytes()).unwrap()));
        assert!(frame.is_same(&Planar::read(&frame.picture().unwrap()).unwrap()));
        assert!(frame.with(&frame.bytes()[1..]).is_err());
        assert_eq!(frame.rgb().unwrap().len(), 33 * 17 * 3);
    }
}
