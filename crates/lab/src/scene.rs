//! A moving picture of any size for measurements that need no clip.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use crate::clip::Picture;

/// Pixels that the picture moves from one frame to the next: across and down.
const STEP: (usize, usize) = (5, 2);
/// Frames that are drawn; they are shown forwards and backwards in turn, so that all motion is
/// alike.
const DRAWN: usize = 8;

/// Frames of a texture that moves steadily, in I420; endless.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    info: gst_video::VideoInfo,
    waiting: VecDeque<gst::Buffer>,
}

impl Scene {
    /// Frames of a size, at a rate.
    pub(crate) fn new(width: u32, height: u32, rate: gst::Fraction) -> Result<Self> {
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .fps(rate)
            .build()
            .with_context(|| format!("no frames of {width}x{height}"))?;
        let drawn = (0..DRAWN)
            .map(|number| draw(&info, number))
            .collect::<Result<Vec<_>>>()?;
        let back = drawn.iter().rev().skip(1).take(DRAWN - 2);
        let waiting = drawn.iter().chain(back).cloned().collect();
        Ok(Self { info, waiting })
    }
}

impl Iterator for Scene {
    type Item = Picture;

    fn next(&mut self) -> Option<Picture> {
        self.waiting.rotate_left(1);
        self.waiting.back().map(|buffer| Picture {
            info: self.info.clone(),
            buffer: buffer.clone(),
        })
    }
}

fn draw(info: &gst_video::VideoInfo, number: usize) -> Result<gst::Buffer> {
    let mut data = vec![0; info.size()];
    for plane in 0..info.n_planes() {
        let shrink = if plane == 0 { 1 } else { 2 };
        let stride = usize::try_from(info.stride()[plane as usize])?;
        let rows = data[info.offset()[plane as usize]..].chunks_mut(stride);
        let height = info.comp_height(u8::try_from(plane)?) as usize;
        for (y, row) in rows.take(height).enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                let (x, y) = (x * shrink + number * STEP.0, y * shrink + number * STEP.1);
                *value = texture(x, y, plane);
            }
        }
    }
    Ok(gst::Buffer::from_mut_slice(data))
}

/// Returns a texture that is smooth, without repetition within a frame, and different in each
/// plane.
fn texture(x: usize, y: usize, plane: u32) -> u8 {
    let (x, y) = (x as f32, y as f32);
    let coarse = (x * 0.031 + (y * 0.017).sin() * 2.0).sin() + (y * 0.043 - x * 0.011).cos();
    let fine = (x * 0.37 + y * 0.21).sin() * (y * 0.29 - x * 0.13).cos();
    let value = 128.0 + 30.0 * coarse + 25.0 * fine + 8.0 * plane as f32;
    value.clamp(16.0, 235.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_differs_from_the_one_before() {
        gst::init().unwrap();
        let scene = Scene::new(65, 37, gst::Fraction::new(30, 1)).unwrap();
        let bytes = |frame: Picture| frame.buffer.map_readable().unwrap().to_vec();
        let frames: Vec<_> = scene.take(3 * DRAWN).map(bytes).collect();
        assert!(frames.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
