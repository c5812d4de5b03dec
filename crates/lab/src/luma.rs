//! A frame's luma, in which everything is measured.

use anyhow::{Context, Result, bail};
use gst_video::prelude::*;

/// Luma of 8 bits without padding; deeper luma is rounded to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Luma {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

impl Luma {
    /// Reads a frame in one of the formats a [`crate::clip::Clip`] is read in.
    pub(crate) fn read(info: &gst_video::VideoInfo, buffer: &gst::BufferRef) -> Result<Self> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .context("a frame that cannot be mapped")?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = usize::try_from(frame.comp_stride(0))
            .ok()
            .filter(|stride| *stride > 0)
            .context("a frame that is upside down")?;
        let rows = frame.comp_data(0)?.chunks(stride).take(height);
        let data: Vec<u8> = match (info.comp_depth(0), info.comp_pstride(0)) {
            (8, 1) => rows
                .flat_map(|row| row.iter().take(width))
                .copied()
                .collect(),
            (10, 2) => {
                let shift = info.format_info().shift()[0];
                rows.flat_map(|row| row.as_chunks::<2>().0.iter().take(width))
                    .map(|bytes| eight_bits(u16::from_le_bytes(*bytes) >> shift))
                    .collect()
            }
            _ => bail!("{} has no plane of 8 or 10 bits of luma", info.format()),
        };
        Self::new(width, height, data)
    }

    /// Creates a picture, checked: as many values as the size says.
    pub(crate) fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        if data.len() != width * height {
            bail!("{} values of luma for {width}x{height}", data.len());
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Returns the frame `phase` of the way to another, when one lays them over each other.
    pub(crate) fn blend(&self, other: &Self, phase: f64) -> Result<Self> {
        self.same_size(other)?;
        let weight = (phase * 256.0).round() as u32;
        let mix = |(&a, &b): (&u8, &u8)| {
            ((u32::from(a) * (256 - weight) + u32::from(b) * weight + 128) >> 8) as u8
        };
        let data = self.data.iter().zip(&other.data).map(mix).collect();
        Self::new(self.width, self.height, data)
    }

    /// Fails unless both are of one size.
    pub(crate) fn same_size(&self, other: &Self) -> Result<()> {
        if (self.width, self.height) != (other.width, other.height) {
            bail!(
                "frames of two sizes, {}x{} and {}x{}",
                self.width,
                self.height,
                other.width,
                other.height
            );
        }
        Ok(())
    }
}

/// Rounds ten bits to eight.
fn eight_bits(value: u16) -> u8 {
    u8::try_from((value + 2) >> 2).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blends_by_phase() {
        let luma = |data: &[u8]| Luma::new(data.len(), 1, data.to_vec()).unwrap();
        let (a, b) = (luma(&[0, 100]), luma(&[100, 0]));
        assert_eq!(a.blend(&b, 0.5).unwrap(), luma(&[50, 50]));
        assert_eq!(a.blend(&b, 0.25).unwrap(), luma(&[25, 75]));
        assert!(a.blend(&luma(&[1]), 0.5).is_err());
    }

    #[test]
    fn reads_eight_and_ten_bits_without_their_padding() {
        gst::init().unwrap();
        for (format, wanted) in [
            (gst_video::VideoFormat::I420, 200u8),
            (gst_video::VideoFormat::I42010le, 50),
            (gst_video::VideoFormat::P01010le, 50),
        ] {
            let info = gst_video::VideoInfo::builder(format, 18, 16)
                .build()
                .unwrap();
            let bytes: Vec<u8> = match format {
                gst_video::VideoFormat::P01010le => [0, 50].repeat(info.size() / 2),
                gst_video::VideoFormat::I42010le => [201, 0].repeat(info.size() / 2),
                _ => vec![200; info.size()],
            };
            let buffer = gst::Buffer::from_slice(bytes);
            let luma = Luma::read(&info, &buffer).unwrap();
            assert_eq!(luma, Luma::new(18, 16, vec![wanted; 18 * 16]).unwrap());
        }
        assert_eq!(eight_bits(1023), 255);
    }
}
