//! The plain way to synthesise: one sample at a time, in `f32`, written to be read.
//!
//! It defines what the fast kernels have to come within one level of, and serves where they
//! can't: other processors, planes narrower than 16 bytes.

use super::{Job, Sampling, VISIBLE, check, field::PARTS};
use crate::frames::{FrameError, Motion, Plane, PlaneMut, Sample};

/// Does what [`synthesise`](super::synthesise) does, on the calling thread, without any vector
/// instructions.
///
/// # Errors
/// As [`synthesise`](super::synthesise).
pub fn synthesise(
    a: &[Plane],
    b: &[Plane],
    motion: &Motion,
    sampling: Sampling,
    out: &mut [PlaneMut],
) -> Result<(), FrameError> {
    check(a, b, motion, out)?;
    for (index, plane) in out.iter_mut().enumerate() {
        let job = Job::new(&a[index], &b[index], motion, sampling, &a[0]);
        let bytes = plane.row_bytes();
        for (y, line) in plane.data.chunks_mut(plane.stride).enumerate() {
            if y < plane.height {
                row(&job, y, &mut line[..bytes]);
            }
        }
    }
    Ok(())
}

/// Makes row `y` of a plane.
pub(super) fn row(job: &Job, y: usize, out: &mut [u8]) {
    let (a, b) = (&job.a, &job.b);
    let (above, down) = job.mapping.row(y, job.motion);
    let below = (above + 1).min(job.motion.height - 1);
    for x in 0..a.width {
        let (left, along) = job.mapping.column(x, job.motion);
        let right = (left + 1).min(job.motion.width - 1);
        let mut field = [0.0; PARTS];
        for (part, value) in field.iter_mut().enumerate() {
            let cell = |x, y| job.mapping.cell(job.motion, part, y * job.motion.width + x);
            let at_left = lerp(cell(left, above), cell(left, below), down);
            let at_right = lerp(cell(right, above), cell(right, below), down);
            *value = lerp(at_left, at_right, along);
        }
        let [x0, y0, x1, y1, mask] = field;
        let (x0, y0) = (x as f32 + x0, y as f32 + y0);
        let (x1, y1) = (x as f32 + x1, y as f32 + y1);
        let blend = |channel, times| {
            let first = sample(a, channel, times, x0, y0, job.sampling);
            let second = sample(b, channel, times, x1, y1, job.sampling);
            mask * first + (1.0 - mask) * second
        };
        let alpha = job.alpha.map(|alpha| (alpha, blend(alpha, None)));
        for channel in 0..a.format.channels {
            let value = match alpha {
                Some((alpha, opacity)) if channel != alpha && opacity >= VISIBLE => {
                    blend(channel, Some(alpha)) / opacity
                }
                _ => blend(channel, None),
            };
            put(out, x * a.format.channels + channel, a.format.sample, value);
        }
    }
}

fn lerp(from: f32, to: f32, part: f32) -> f32 {
    from + part * (to - from)
}

/// A plane's channel between its pixels, `times` another one; positions outside are moved to its
/// border.
fn sample(
    plane: &Plane,
    channel: usize,
    times: Option<usize>,
    x: f32,
    y: f32,
    sampling: Sampling,
) -> f32 {
    let x = x.max(0.0).min((plane.width - 1) as f32);
    let y = y.max(0.0).min((plane.height - 1) as f32);
    let (across, down) = (sampling.weights(x.fract()), sampling.weights(y.fract()));
    let mut sum = 0.0;
    for (row, weight_y) in down.iter().enumerate() {
        // Taps lie at -1, 0, 1 and 2; those outside repeat the border.
        let row = (y as usize + row).saturating_sub(1).min(plane.height - 1);
        let mut line = 0.0;
        for (column, weight_x) in across.iter().enumerate() {
            let column = (x as usize + column).saturating_sub(1).min(plane.width - 1);
            let get = |channel| get(plane, row, column * plane.format.channels + channel);
            line += weight_x * times.map_or(1.0, get) * get(channel);
        }
        sum += weight_y * line;
    }
    sum
}

/// Returns sample `index` of row `y`, in levels.
fn get(plane: &Plane, y: usize, index: usize) -> f32 {
    let row = &plane.data[y * plane.stride..];
    match plane.format.sample {
        Sample::U8 => f32::from(row[index]),
        Sample::U16 { shift, .. } => {
            f32::from(u16::from_ne_bytes([row[2 * index], row[2 * index + 1]]) >> shift)
        }
    }
}

/// Stores sample `index` of a row, rounded to nearest and clamped to the range.
fn put(row: &mut [u8], index: usize, sample: Sample, value: f32) {
    match sample {
        Sample::U8 => row[index] = value.round_ties_even() as u8,
        Sample::U16 { depth, shift } => {
            let most = ((1u32 << depth) - 1) as f32;
            let level = value.round_ties_even().max(0.0).min(most) as u16;
            row[2 * index..2 * index + 2].copy_from_slice(&(level << shift).to_ne_bytes());
        }
    }
}
