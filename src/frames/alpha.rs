//! Frames with alpha as networks see them: laid over a colour, and taken off it again.

use super::{Plane, PlaneMut};

/// Colour that shows through, in the order of the colours in a pixel, which may be either way
/// round.
///
/// Whatever is opaque in one place and not in another has to be seen, so it is a colour far from every grey and
/// from most that are filmed or drawn. One colour, because a pattern would stand still behind what moves.
pub(crate) const BEHIND: [u8; 3] = [255, 0, 255];

/// Lays a plane with alpha over [`BEHIND`]; what was opaque is as it was.
pub(super) fn cover(plane: &Plane, alpha: usize, out: &mut PlaneMut) {
    each(plane, out, |from, out| {
        let opacity = u32::from(from[alpha]);
        out[alpha] = 255;
        for (channel, behind) in colours(alpha).zip(BEHIND) {
            let sum = u32::from(from[channel]) * opacity + u32::from(behind) * (255 - opacity);
            out[channel] = ((sum + 127) / 255) as u8;
        }
    });
}

/// Shows a plane's alpha in all channels.
pub(super) fn show(plane: &Plane, alpha: usize, out: &mut PlaneMut) {
    each(plane, out, |from, out| out.fill(from[alpha]));
}

/// Takes what [`cover`] has laid over a colour off it again, the colours of `shown` being its alpha, as of
/// [`show`].
pub(super) fn uncover(shown: &Plane, alpha: usize, out: &mut PlaneMut) {
    each(shown, out, |shown, out| {
        let opacity = shown[3 - alpha];
        out[alpha] = opacity;
        for (channel, behind) in colours(alpha).zip(BEHIND) {
            let apart = f32::from(out[channel]) - f32::from(behind);
            let colour = f32::from(behind) + apart * 255.0 / f32::from(opacity.max(1));
            out[channel] = colour.round() as u8;
        }
    });
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
    fn what_is_laid_over_a_colour_comes_off_it_again() {
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
            let (mut laid, mut shown) = (pixels.clone(), pixels.clone());
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
            let from = plane(&pixels);
            work(&mut laid, &|out| cover(&from, alpha, out));
            work(&mut shown, &|out| show(&from, alpha, out));
            let shown = plane(&shown);
            for (laid, from) in laid.chunks(4).zip(pixels.chunks(4)) {
                assert!(from[alpha] != 255 || laid == from, "{laid:?} {from:?}");
            }
            work(&mut laid, &|out| uncover(&shown, alpha, out));
            for (got, want) in laid.chunks(4).zip(pixels.chunks(4)) {
                assert_eq!(got[alpha], want[alpha]);
                for (got, colour) in got.iter().zip(want) {
                    let off = f32::from(got.abs_diff(*colour)) * f32::from(want[alpha]) / 255.0;
                    assert!(off <= 1.0, "{got} {want:?}");
                }
            }
        }
    }
}
