//! Frames with alpha as networks see them: what shows of their colours, and another one where something shows
//! through.
//!
//! Colours count as much as they show, whatever is stored where nothing does. So they are shrunk premultiplied, the
//! alpha beside them, and what shows through is added to the small picture. There it may be a colour that no frame
//! has, so that alpha which moves is seen in front of any.

use super::{Picture, Plane, PlaneMut};

/// Colour, by red, green and blue, that shows through a picture that motion is found in: brighter than white, so that
/// it is far from every colour that frames have, in luma too. Darker than black would do the same, but networks that
/// bring pictures to the same mean can't do that with one below zero. On drawn discs and holes, 1.25 and 1.5 do
/// equally well, and 2 is 3 to 8 dB behind them.
pub(crate) const BEYOND: [f32; 3] = [1.25; 3];

/// The same for a picture that a frame is made of. Networks that give pictures cut off what none shows, so it is a
/// colour that some have; alpha is then a picture of its own, in which its motion is seen.
pub(crate) const WITHIN: [f32; 3] = [1.0, 0.0, 1.0];

/// Multiplies a plane's colours by their alpha, which stays as it is.
pub(super) fn premultiply(plane: &Plane, alpha: usize, out: &mut PlaneMut) {
    each(plane, out, |from, out| {
        let opacity = u32::from(from[alpha]);
        out[alpha] = from[alpha];
        for channel in colours(alpha) {
            out[channel] = ((u32::from(from[channel]) * opacity + 127) / 255) as u8;
        }
    });
}

/// Divides a plane's colours by the alpha that the colours of `shown` are.
pub(super) fn divide(shown: &Plane, alpha: usize, out: &mut PlaneMut) {
    each(shown, out, |shown, out| {
        let opacity = shown[3 - alpha];
        out[alpha] = opacity;
        for channel in colours(alpha) {
            let colour = f32::from(out[channel]) * 255.0 / f32::from(opacity.max(1));
            out[channel] = colour.round() as u8;
        }
    });
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

/// Reads a plane's alpha as a grey picture.
pub(super) fn read(plane: &Plane, alpha: usize, into: &mut Picture) {
    let (area, width) = (into.width * into.height, into.width.max(1));
    let (grey, rest) = into.data.split_at_mut(area);
    let lines = plane.data.chunks(plane.stride);
    for (out, line) in grey.chunks_exact_mut(width).zip(lines) {
        for (out, pixel) in out.iter_mut().zip(line.chunks_exact(4)) {
            *out = f32::from(pixel[alpha]) * (1.0 / 255.0);
        }
    }
    rest.chunks_exact_mut(area.max(1))
        .for_each(|part| part.copy_from_slice(grey));
}

/// The channels of a pixel that are not its alpha.
fn colours(alpha: usize) -> impl Iterator<Item = usize> {
    (0..4).filter(move |&channel| channel != alpha)
}

/// Pixels of four bytes, side by side.
fn each(from: &Plane, out: &mut PlaneMut, work: impl Fn(&[u8; 4], &mut [u8; 4])) {
    let row = from.row_bytes();
    let lines = from.data.chunks(from.stride);
    for (out, from) in out.data.chunks_mut(out.stride).zip(lines) {
        let (pixels, _) = from[..row].as_chunks();
        let (into, _) = out[..row].as_chunks_mut();
        into.iter_mut()
            .zip(pixels)
            .for_each(|(out, from)| work(from, out));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PlaneFormat, Sample};
    use super::*;

    #[test]
    fn colours_that_were_multiplied_by_their_alpha_come_back_as_far_as_they_show() {
        for alpha in [0, 3] {
            let format = PlaneFormat {
                sample: Sample::U8,
                channels: 4,
                sub_x: 0,
                sub_y: 0,
                alpha: Some(alpha),
            };
            let mut pixels = Vec::new();
            for opacity in [0, 1, 64, 128, 200, 255] {
                for colour in [0, 37, 128, 255] {
                    let mut pixel = [colour, 255 - colour, colour / 2, colour / 3];
                    pixel[alpha] = opacity;
                    pixels.extend(pixel);
                }
            }
            let stride = pixels.len();
            let shown: Vec<u8> = pixels.chunks(4).flat_map(|p| [p[alpha]; 4]).collect();
            let plane = |data| Plane {
                data,
                stride,
                width: stride / 4,
                height: 1,
                format,
            };
            let work = |data: &mut Vec<u8>, how: &dyn Fn(&mut PlaneMut)| {
                how(&mut PlaneMut {
                    data,
                    stride,
                    width: stride / 4,
                    height: 1,
                    format,
                });
            };
            let mut multiplied = pixels.clone();
            work(&mut multiplied, &|out| {
                premultiply(&plane(&pixels), alpha, out);
            });
            for (got, from) in multiplied.chunks(4).zip(pixels.chunks(4)) {
                assert!(from[alpha] != 255 || got == from, "{got:?} {from:?}");
            }
            work(&mut multiplied, &|out| divide(&plane(&shown), alpha, out));
            for (got, want) in multiplied.chunks(4).zip(pixels.chunks(4)) {
                assert_eq!(got[alpha], want[alpha]);
                for (got, colour) in got.iter().zip(want) {
                    let off = f32::from(got.abs_diff(*colour)) * f32::from(want[alpha]) / 255.0;
                    assert!(off <= 1.0, "{got} {want:?}");
                }
            }
        }
    }
}
