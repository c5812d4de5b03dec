//! Colours of a video that RGB can't show.
//!
//! Most combinations of luma and chroma lie outside RGB's cube: brighter than white, darker than
//! black, or more saturated than any colour of that luma. A network's picture is RGB, so such
//! colours are cut off on the way to it, and frames made of pictures would flicker against the
//! originals. What is cut off of a frame is its excess: the colours as they are less what the
//! picture has of them. It is kept beside the picture, and given back to what is made.

use gst_video::{VideoColorMatrix, VideoInfo};

use super::colour::Colours;
use super::{FrameError, FrameLayout, Picture, Plane, PlaneMut, Sample, space};

/// White and black as the 16 bits of the matrices have them.
const FULL: f32 = 65535.0;

/// How near a made picture's sample is to where it would have been cut off before what was cut off
/// there counts, and before that counts wholly. It does not where something else has moved to, and
/// networks meet the border nearly.
pub(crate) const NEAR: [f32; 2] = [0.25, 0.05];

/// Range that RGB shows, but for what the matrices' roundings make of it.
pub(crate) const SHOWN: (f32, f32) = (-1e-4, 1.0 + 1e-4);

/// The colours a video can have that RGB can't show, found and given back.
#[derive(Clone, Debug)]
pub(crate) struct Gamut {
    /// From levels of the video to RGB in `[0, 1]`.
    pub(crate) to_rgb: [[f32; 4]; 3],
    /// From differences of RGB to differences of levels.
    pub(crate) from_rgb: [[f32; 3]; 3],
    /// The converter's colours come of levels that are larger, since bytes are repeated in 16 bits,
    /// and it drops the lower bits again: by as much in the mean.
    pub(crate) repeated: f32,
    /// Plane and channel of luma and chroma.
    places: Vec<(usize, usize)>,
}

impl Gamut {
    /// Returns the gamut of video; `None` if that is RGB itself.
    pub(crate) fn new(info: &VideoInfo) -> Option<Self> {
        let format = info.format_info();
        if format.is_rgb() || info.colorimetry().matrix() == VideoColorMatrix::Rgb {
            return None;
        }
        let depth = format.depth().first().copied()?;
        // of a level, in 16 bits
        let unit = f64::from(1_u32 << 16u32.checked_sub(depth)?);
        let Colours { to_rgb, from_rgb } = Colours::exact(info);
        let full = f64::from(FULL);
        Some(Self {
            to_rgb: to_rgb.map(|[luma, blue, red, offset]| {
                [luma * unit, blue * unit, red * unit, offset].map(|f| (f / full) as f32)
            }),
            from_rgb: from_rgb
                .map(|[red, green, blue, _]| [red, green, blue].map(|f| (f * full / unit) as f32)),
            repeated: if depth > 8 { 1.0 } else { 1.0 + 0.5 / 256.0 },
            places: FrameLayout::new(info).ok()?.places().to_vec(),
        })
    }

    /// Finds what is cut off of a small frame of three planes of one size; false if that is nothing
    /// that could be seen.
    ///
    /// # Errors
    /// If memory lacks.
    pub(super) fn find(&self, planes: &[Plane], into: &mut Picture) -> Result<bool, FrameError> {
        let [luma, blue, red] = planes else {
            return Ok(false);
        };
        into.resize(luma.width, luma.height)?;
        let mut any = false;
        let (reds, rest) = into.data.split_at_mut(luma.width * luma.height);
        let (greens, blues) = rest.split_at_mut(luma.width * luma.height);
        let width = luma.width.max(1);
        let lines = [reds, greens, blues].map(|part| part.chunks_exact_mut(width));
        let [reds, greens, blues] = lines;
        for (y, ((reds, greens), blues)) in reds.zip(greens).zip(blues).enumerate() {
            let mut levels = [luma, blue, red].map(|plane| row(plane, y));
            for ((r, g), b) in reds.iter_mut().zip(greens).zip(blues) {
                let [luma, blue, red] =
                    levels.each_mut().map(|levels| levels.next().unwrap_or(0.0));
                let excess = self.to_rgb.map(|m| {
                    let colour = m[0] * luma + m[1] * blue + m[2] * red;
                    match colour + m[3] {
                        shown if (SHOWN.0..=SHOWN.1).contains(&shown) => 0.0,
                        _ => {
                            let colour = colour * self.repeated + m[3];
                            colour - colour.clamp(0.0, 1.0)
                        }
                    }
                });
                any |= excess != [0.0; 3]
                    && self
                        .levels(excess)
                        .into_iter()
                        .any(|level| level.abs() >= 0.5);
                [*r, *g, *b] = excess;
            }
        }
        Ok(any)
    }

    /// Adds an excess to a frame's planes, which may be larger.
    ///
    /// # Errors
    /// If memory lacks.
    pub(super) fn give_back(
        &self,
        excess: &Picture,
        planes: &mut [PlaneMut],
    ) -> Result<(), FrameError> {
        let (width, area) = (excess.width, excess.width * excess.height);
        let (mut levels, mut line) = (Vec::new(), Vec::new());
        space::resize(&mut levels, area, 0.0)?;
        for (&(plane, channel), factors) in self.places.iter().zip(&self.from_rgb) {
            for (at, level) in levels.iter_mut().enumerate() {
                let colour = [0, 1, 2].map(|part| excess.data[part * area + at]);
                *level = sum(factors, colour);
            }
            space::resize(&mut line, width, 0.0)?;
            if let Some(plane) = planes.get_mut(plane) {
                add(&levels, (width, excess.height), &mut line, plane, channel);
            }
        }
        Ok(())
    }

    fn levels(&self, excess: [f32; 3]) -> [f32; 3] {
        self.from_rgb.map(|factors| sum(&factors, excess))
    }
}

fn sum(factors: &[f32; 3], colour: [f32; 3]) -> f32 {
    factors.iter().zip(colour).map(|(f, c)| f * c).sum()
}

/// Finds what is given back to `made`, a picture at `phase` between two of which so much was cut
/// off: of each as much as it counts, and only where the picture reaches the border that it was cut
/// off at.
///
/// # Errors
/// If memory lacks.
pub fn between(
    [a, b]: [Option<&Picture>; 2],
    phase: f32,
    made: &Picture,
) -> Result<Option<Picture>, FrameError> {
    if a.is_none() && b.is_none() {
        return Ok(None);
    }
    let mut excess = Picture::default();
    excess.resize(made.width, made.height)?;
    excess.data.fill(0.0);
    for (of, counts) in [(a, 1.0 - phase), (b, phase)] {
        for (sum, from) in excess
            .data
            .iter_mut()
            .zip(of.map_or(&[][..], |of| &of.data))
        {
            *sum += from * counts;
        }
    }
    for (excess, &shown) in excess.data.iter_mut().zip(&made.data) {
        let apart = if *excess > 0.0 { 1.0 - shown } else { shown };
        *excess *= ((NEAR[0] - apart) / (NEAR[0] - NEAR[1])).clamp(0.0, 1.0);
    }
    Ok(Some(excess))
}

/// The levels of a row of a plane of one channel.
fn row<'a>(plane: &Plane<'a>, y: usize) -> impl Iterator<Item = f32> + use<'a> {
    let (bytes, shift) = match plane.format.sample {
        Sample::U8 => (1, 0),
        Sample::U16 { shift, .. } => (2, shift),
    };
    let line = plane.data.get(y * plane.stride..).unwrap_or_default();
    line.chunks_exact(bytes).map(move |sample| match *sample {
        [low, high] => f32::from(u16::from_ne_bytes([low, high]) >> shift),
        [byte, ..] => f32::from(byte),
        [] => 0.0,
    })
}

/// Adds levels of a picture of one size to a channel of a plane of another, read between their
/// centres.
fn add(
    levels: &[f32],
    (width, height): (usize, usize),
    line: &mut [f32],
    plane: &mut PlaneMut,
    channel: usize,
) {
    let across: Vec<_> = (0..plane.width)
        .map(|x| place(x, width, plane.width))
        .collect();
    let lines: Vec<_> = levels.chunks_exact(width.max(1)).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| line.iter().any(|level| level.abs() >= 0.5))
        .collect();
    let (pixel, stride) = (plane.format.pixel_bytes(), plane.stride);
    for (y, out) in plane.data.chunks_mut(stride).take(plane.height).enumerate() {
        let (above, below, part) = place(y, height, plane.height);
        if !seen[above] && !seen[below] {
            continue;
        }
        for ((level, above), below) in line.iter_mut().zip(lines[above]).zip(lines[below]) {
            *level = above + (below - above) * part;
        }
        for (out, &(left, right, part)) in out.chunks_exact_mut(pixel).zip(&across) {
            let level = (line[left] + (line[right] - line[left]) * part).round();
            if level == 0.0 {
                continue;
            }
            match plane.format.sample {
                Sample::U8 => {
                    let sum = f32::from(out[channel]) + level;
                    out[channel] = sum.clamp(0.0, 255.0) as u8;
                }
                Sample::U16 { depth, shift } => {
                    let at = 2 * channel;
                    let was = u16::from_ne_bytes([out[at], out[at + 1]]) >> shift;
                    let most = ((1_u32 << depth) - 1) as f32;
                    let sum = (f32::from(was) + level).clamp(0.0, most) as u16;
                    out[at..at + 2].copy_from_slice(&(sum << shift).to_ne_bytes());
                }
            }
        }
    }
}

/// Returns where the centre of one of `to` samples lies among `from`: between which two, and how
/// far from the first.
fn place(index: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let last = from.saturating_sub(1);
    let at = (index as f32 + 0.5) * from as f32 / to as f32 - 0.5;
    let at = at.clamp(0.0, last as f32);
    let first = at as usize;
    (first, (first + 1).min(last), at - first as f32)
}

#[cfg(test)]
mod tests;
