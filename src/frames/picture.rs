//! The small RGB picture a network works on.

use super::{
    FrameError, Motion, Plane, PlaneFormat, PlaneMut, Sample, Sampling, space, synthesise,
};

/// A planar RGB picture of `f32` in `[0, 1]`, or beyond where something shows through: `data` holds the red, green and blue planes one
/// after the other, each `height` rows of `width` samples without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `3 * height * width` samples.
    pub data: Vec<f32>,
}

impl Picture {
    /// A black picture.
    ///
    /// Aborts the process if there is no memory for it; [`Picture::resize`] says so instead.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0.0; 3 * width * height],
        }
    }

    /// Makes it this large; what is in it then means nothing.
    ///
    /// # Errors
    /// [`FrameError::NoMemory`]: it is as it was.
    pub fn resize(&mut self, width: usize, height: usize) -> Result<(), FrameError> {
        space::resize(&mut self.data, 3 * width * height, 0.0)?;
        (self.width, self.height) = (width, height);
        Ok(())
    }

    /// The picture between two of one size, made by warping them by `motion`: what a network that
    /// gives motion would have given as a picture.
    ///
    /// # Errors
    /// If the pictures differ in size, the motion has another number of cells than it says, or
    /// memory lacks.
    pub fn between(
        a: &Picture,
        b: &Picture,
        motion: &Motion,
        sampling: Sampling,
    ) -> Result<Picture, FrameError> {
        let (a_bytes, b_bytes) = (a.quantise()?, b.quantise()?);
        let mut bytes = Vec::new();
        space::resize(&mut bytes, a_bytes.len(), 0)?;
        let size = (2 * a.width * a.height).max(1);
        let mut out: Vec<_> = bytes
            .chunks_mut(size)
            .map(|data| PlaneMut {
                data,
                stride: 2 * a.width,
                width: a.width,
                height: a.height,
                format: FORMAT,
            })
            .collect();
        let (first, second) = (a.planes(&a_bytes), b.planes(&b_bytes));
        synthesise(&first, &second, motion, sampling, &mut out)?;
        let samples = bytes
            .chunks_exact(2)
            .map(|s| u16::from_ne_bytes([s[0], s[1]]));
        let mut data = Vec::new();
        space::reserve(&mut data, samples.len())?;
        data.extend(samples.map(|s| f32::from(s) / LARGEST));
        Ok(Picture {
            width: a.width,
            height: a.height,
            data,
        })
    }

    fn quantise(&self) -> Result<Vec<u8>, FrameError> {
        let samples = self
            .data
            .iter()
            .map(|v| (v.clamp(0.0, 1.0) * LARGEST).round());
        let mut bytes = Vec::new();
        space::reserve(&mut bytes, 2 * self.data.len())?;
        bytes.extend(samples.flat_map(|v| (v as u16).to_ne_bytes()));
        Ok(bytes)
    }

    fn planes<'a>(&self, bytes: &'a [u8]) -> Vec<Plane<'a>> {
        let size = (2 * self.width * self.height).max(1);
        let planes = bytes.chunks(size).map(|data| Plane {
            data,
            stride: 2 * self.width,
            width: self.width,
            height: self.height,
            format: FORMAT,
        });
        planes.collect()
    }
}

/// Format of a picture's planes while they are warped: 15 bits lose nothing that could be seen, and
/// are the most that the fastest kernels take.
const FORMAT: PlaneFormat = PlaneFormat {
    sample: Sample::U16 {
        depth: 15,
        shift: 0,
    },
    channels: 1,
    sub_x: 0,
    sub_y: 0,
    alpha: None,
};

/// The largest sample of [`FORMAT`].
const LARGEST: f32 = 32767.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn still_motion_blends_pictures() {
        let picture = |value| Picture {
            width: 20,
            height: 17,
            data: vec![value; 3 * 20 * 17],
        };
        let motion = Motion {
            width: 5,
            height: 5,
            cover_x: 5.0,
            cover_y: 5.0,
            unit: 1.0,
            flow: &[0.0; 100],
            mask: &[0.25; 25],
        };
        let (dark, bright) = (picture(0.2), picture(0.6));
        let between = Picture::between(&dark, &bright, &motion, Sampling::Bicubic).unwrap();
        assert_eq!((between.width, between.height), (20, 17));
        assert!(between.data.iter().all(|v| (v - 0.5).abs() < 1e-4));
    }
}
