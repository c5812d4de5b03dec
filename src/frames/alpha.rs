//! Frames with alpha as networks see them: what shows of their colours, and another one where something shows
//! through.
//!
//! Colours count as much as they show, whatever is stored where nothing does. So they are shrunk premultiplied, the
//! alpha beside them, and what shows through is added to the small picture. There it may be a colour that no frame
//! has, so that alpha which moves is seen in front of any.

use gst_video::VideoInfo;

use super::{FrameLayout, Picture, Plane, PlaneFormat, PlaneMut, Sample};

/// Colour, by red, green and blue, that shows through a picture that motion is found in: brighter than white, so that
/// it is far from every colour that frames have, in luma too. Darker than black would do the same, but networks that
/// bring pictures to the same mean can't do that with one below zero. On drawn discs and holes, 1.25 and 1.5 do
/// equally well, and 2 is 3 to 8 dB behind them.
pub(crate) const BEYOND: [f32; 3] = [1.25; 3];

/// The same for a picture that a frame is made of. Networks that give pictures cut off what none shows, so it is a
/// colour that some have; alpha is then a picture of its own, in which its motion is seen.
pub(crate) const WITHIN: [f32; 3] = [1.0, 0.0, 1.0];

/// The levels of black, by plane and channel of a layout.
pub(super) fn black(info: &VideoInfo, layout: &FrameLayout) -> Vec<[f32; 4]> {
    let format = info.format_info();
    let (offsets, _) = format.range_offsets(info.colorimetry().range());
    let mut black = vec![[0.0; 4]; layout.shapes().count()];
    // that of RGB is 0 whatever the range
    let components = layout.places().iter().zip(offsets).take(3);
    for (&(plane, channel), offset) in components.filter(|_| !format.is_rgb()) {
        black[plane][channel] = offset as f32;
    }
    black
}

/// Brings a frame's colours as near to black as their alpha is to nothing.
pub(super) fn premultiply(planes: &[Plane], black: &[[f32; 4]], out: &mut [PlaneMut]) {
    for ((plane, black), out) in planes.iter().zip(black).zip(out) {
        let Some(alpha) = plane.format.alpha else {
            continue;
        };
        let most = plane.format.sample.most() as f32;
        let levels = Levels::of(plane.format);
        let lines = plane.data.chunks(plane.stride);
        for (out, line) in out.data.chunks_mut(out.stride).zip(lines) {
            let row = plane.width * levels.pixel;
            let pixels = line[..row].chunks_exact(levels.pixel);
            for (out, pixel) in out[..row].chunks_exact_mut(levels.pixel).zip(pixels) {
                let opacity = levels.get(pixel, alpha);
                for channel in 0..plane.format.channels {
                    let (level, black) = (levels.get(pixel, channel), black[channel]);
                    let shown = (level - black) * opacity / most + black;
                    levels.put(out, channel, if channel == alpha { opacity } else { shown });
                }
            }
        }
    }
}

/// Undoes that of a frame whose alpha is the levels of `shown`, a grey frame of its size, and gives
/// it that.
pub(super) fn divide(shown: &Plane, black: &[[f32; 4]], out: &mut [PlaneMut]) {
    for (plane, black) in out.iter_mut().zip(black) {
        let Some(alpha) = plane.format.alpha else {
            continue;
        };
        let most = plane.format.sample.most() as f32;
        let levels = Levels::of(plane.format);
        for y in 0..plane.height {
            let line = &mut plane.data[y * plane.stride..][..plane.width * levels.pixel];
            for (x, pixel) in line.chunks_exact_mut(levels.pixel).enumerate() {
                let opacity = mean(shown, (x, y), (plane.format.sub_x, plane.format.sub_y));
                for channel in 0..plane.format.channels {
                    let (level, black) = (levels.get(pixel, channel), black[channel]);
                    let colour = (level - black) / opacity.max(1.0 / most) + black;
                    let level = if channel == alpha {
                        opacity * most
                    } else {
                        colour
                    };
                    levels.put(pixel, channel, level);
                }
            }
        }
    }
}

/// Mean of a grey frame, in `[0, 1]`, over the pixel of a plane that is smaller by `sub`.
fn mean(grey: &Plane, (x, y): (usize, usize), (sub_x, sub_y): (u32, u32)) -> f32 {
    let levels = Levels::of(grey.format);
    let (mut sum, mut count) = (0.0, 0.0);
    for y in (y << sub_y..(y + 1) << sub_y).take_while(|&y| y < grey.height) {
        for x in (x << sub_x..(x + 1) << sub_x).take_while(|&x| x < grey.width) {
            sum += levels.get(&grey.data[y * grey.stride + x * levels.pixel..], 0);
            count += 1.0;
        }
    }
    sum / (count * grey.format.sample.most() as f32)
}

/// Adds what shows through to a picture of premultiplied colours.
pub(super) fn add(behind: [f32; 3], alpha: &Picture, picture: &mut Picture) {
    through(behind, alpha, picture, |colour, behind| *colour += behind);
}

/// Takes what shows through off a picture, which leaves its premultiplied colours.
pub(super) fn take_off(behind: [f32; 3], alpha: &Picture, picture: &mut Picture) {
    through(behind, alpha, picture, |colour, behind| *colour -= behind);
}

fn through(behind: [f32; 3], alpha: &Picture, picture: &mut Picture, work: impl Fn(&mut f32, f32)) {
    let area = (picture.width * picture.height).max(1);
    let parts = picture.data.chunks_exact_mut(area);
    for ((part, alpha), behind) in parts.zip(alpha.data.chunks_exact(area)).zip(behind) {
        for (colour, alpha) in part.iter_mut().zip(alpha) {
            work(colour, behind * (1.0 - alpha));
        }
    }
}

/// Copies a plane's alpha, if it has any, to a grey one of its size.
pub(super) fn extract(plane: &Plane, out: &mut PlaneMut) {
    let Some(alpha) = plane.format.alpha else {
        return;
    };
    let (from, to) = (Levels::of(plane.format), Levels::of(out.format));
    let times = out.format.sample.most() as f32 / plane.format.sample.most() as f32;
    let lines = plane.data.chunks(plane.stride);
    for (out, line) in out.data.chunks_mut(out.stride).zip(lines) {
        let pixels = line.chunks_exact(from.pixel).take(plane.width);
        for (out, pixel) in out.chunks_exact_mut(to.pixel).zip(pixels) {
            to.put(out, 0, from.get(pixel, alpha) * times);
        }
    }
}

/// Reads a plane's alpha as a grey picture.
pub(super) fn read(plane: &Plane, alpha: usize, into: &mut Picture) {
    let (area, width) = (into.width * into.height, into.width.max(1));
    let (grey, rest) = into.data.split_at_mut(area);
    let levels = Levels::of(plane.format);
    let unit = 1.0 / plane.format.sample.most() as f32;
    let lines = plane.data.chunks(plane.stride);
    for (out, line) in grey.chunks_exact_mut(width).zip(lines) {
        for (out, pixel) in out.iter_mut().zip(line.chunks_exact(levels.pixel)) {
            *out = levels.get(pixel, alpha) * unit;
        }
    }
    rest.chunks_exact_mut(area.max(1))
        .for_each(|part| part.copy_from_slice(grey));
}

/// The way to a pixel's levels.
#[derive(Clone, Copy)]
struct Levels {
    sample: Sample,
    /// Bytes of a pixel.
    pixel: usize,
}

impl Levels {
    fn of(format: PlaneFormat) -> Self {
        Self {
            sample: format.sample,
            pixel: format.pixel_bytes(),
        }
    }

    #[inline(always)]
    fn get(self, pixel: &[u8], channel: usize) -> f32 {
        match self.sample {
            Sample::U8 => pixel[channel].into(),
            Sample::U16 { shift, .. } => {
                let word = [pixel[2 * channel], pixel[2 * channel + 1]];
                (u16::from_ne_bytes(word) >> shift).into()
            }
        }
    }

    /// Stores a level, rounded and within the range.
    #[inline(always)]
    fn put(self, pixel: &mut [u8], channel: usize, level: f32) {
        let level = ((level + 0.5) as u32).min(self.sample.most());
        match self.sample {
            Sample::U8 => pixel[channel] = level as u8,
            Sample::U16 { shift, .. } => {
                let word = ((level as u16) << shift).to_ne_bytes();
                pixel[2 * channel..2 * channel + 2].copy_from_slice(&word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels of all kinds, one of their channels being alpha.
    fn pixels(format: PlaneFormat, alpha: usize) -> Vec<u8> {
        let levels = Levels::of(format);
        let most = format.sample.most() as f32;
        let mut pixels = Vec::new();
        for opacity in [0.0, 1.0, 64.0, 128.0, 200.0, 255.0] {
            for colour in [0.0, 37.0, 128.0, 255.0] {
                let mut pixel = vec![0; levels.pixel];
                let colours = [colour, 255.0 - colour, colour / 2.0, colour / 3.0];
                for (channel, colour) in colours.into_iter().take(format.channels).enumerate() {
                    levels.put(&mut pixel, channel, colour * most / 255.0);
                }
                levels.put(&mut pixel, alpha, opacity * most / 255.0);
                pixels.extend(pixel);
            }
        }
        pixels
    }

    #[test]
    fn colours_that_were_multiplied_by_their_alpha_come_back_as_far_as_they_show() {
        let deep = Sample::U16 {
            depth: 12,
            shift: 4,
        };
        for (sample, channels, alpha) in [
            (Sample::U8, 4, 0),
            (Sample::U8, 4, 3),
            (Sample::U8, 2, 1),
            (deep, 4, 0),
        ] {
            let format = PlaneFormat {
                sample,
                channels,
                sub_x: 0,
                sub_y: 0,
                alpha: Some(alpha),
            };
            let grey = PlaneFormat {
                channels: 1,
                alpha: None,
                ..format
            };
            let (levels, most) = (Levels::of(format), sample.most() as f32);
            let pixels = pixels(format, alpha);
            let black = [[16.0, 128.0, 100.0, 0.0]];
            let mut shown = Vec::new();
            for pixel in pixels.chunks(levels.pixel) {
                let mut grey = vec![0; sample.bytes()];
                levels.put(&mut grey, 0, levels.get(pixel, alpha));
                shown.extend(grey);
            }
            let width = pixels.len() / levels.pixel;
            let plane = |data, format: PlaneFormat| Plane {
                data,
                stride: width * format.pixel_bytes(),
                width,
                height: 1,
                format,
            };
            let work = |data: &mut Vec<u8>, how: &dyn Fn(&mut [PlaneMut])| {
                how(&mut [PlaneMut {
                    stride: data.len(),
                    data,
                    width,
                    height: 1,
                    format,
                }]);
            };
            let mut multiplied = pixels.clone();
            work(&mut multiplied, &|out| {
                premultiply(&[plane(&pixels, format)], &black, out);
            });
            let pairs = multiplied.chunks(levels.pixel);
            for (got, from) in pairs.zip(pixels.chunks(levels.pixel)) {
                let opaque = levels.get(from, alpha) == most;
                assert!(!opaque || got == from, "{got:?} {from:?}");
            }
            work(&mut multiplied, &|out| {
                divide(&plane(&shown, grey), &black, out);
            });
            let pairs = multiplied.chunks(levels.pixel);
            for (got, want) in pairs.zip(pixels.chunks(levels.pixel)) {
                let opacity = levels.get(want, alpha) / most;
                assert_eq!(levels.get(got, alpha), levels.get(want, alpha));
                for channel in 0..channels {
                    let off = levels.get(got, channel) - levels.get(want, channel);
                    assert!(off.abs() * opacity <= 1.0, "{got:?} {want:?}");
                }
            }
        }
    }
}
