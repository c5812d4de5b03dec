//! Motion-compensated synthesis: a new frame from two originals and the motion between them.
//!
//! `out(p) = mask * a(p + flow0) + (1 - mask) * b(p + flow1)`, for every plane in its own format
//! at its own size. Positions outside the frame are moved to its border. Flow and mask are
//! enlarged bilinearly from the network's grid while a row is made; they never exist at full size.
//!
//! Where something shows through, a pixel's colours count as much as its alpha does: what is wholly transparent
//! has none, whatever is stored there.

mod field;
pub mod reference;

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::pool::{self, BAND};
use super::{FrameError, Motion, Plane, PlaneFormat, PlaneMut};
use field::Mapping;

/// Method by which a frame is read between its pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// From 2x2 pixels: blurs by up to half a pixel.
    Bilinear,
    /// From 4x4 pixels, by Catmull-Rom (Keys 1981 with a = -0.5): keeps detail.
    #[default]
    Bicubic,
}

impl Sampling {
    /// The weights of the four pixels at -1, 0, 1 and 2, for a position `t` in `[0, 1)` behind 0.
    fn weights(self, t: f32) -> [f32; 4] {
        let u = 1.0 - t;
        match self {
            Self::Bilinear => [0.0, u, t, 0.0],
            Self::Bicubic => {
                let after = t * (0.5 + t * (2.0 - 1.5 * t));
                let (first, last) = (-0.5 * t * u * u, -0.5 * u * t * t);
                [first, 1.0 - first - after - last, after, last]
            }
        }
    }
}

/// Inputs that any row of a plane is made of.
#[derive(Clone, Copy)]
struct Job<'a> {
    a: Plane<'a>,
    b: Plane<'a>,
    motion: &'a Motion<'a>,
    sampling: Sampling,
    mapping: Mapping,
    /// The channel that says how much the others count, unless all of both frames counts wholly.
    alpha: Option<usize>,
}

/// The least alpha that leaves a colour: what is below is rounded to none, and its colours are blended as if
/// they counted alike.
const VISIBLE: f32 = 0.5;

impl<'a> Job<'a> {
    fn new(
        a: &Plane<'a>,
        b: &Plane<'a>,
        motion: &'a Motion<'a>,
        sampling: Sampling,
        frame: &Plane,
    ) -> Self {
        let width = frame.width << frame.format.sub_x;
        let height = frame.height << frame.format.sub_y;
        Self {
            a: *a,
            b: *b,
            motion,
            sampling,
            mapping: Mapping::new(motion, width, height, &a.format),
            alpha: (a.format.alpha).filter(|_| !(a.is_opaque() && b.is_opaque())),
        }
    }
}

/// Synthesises a frame between `a` and `b` into `out`, on all cores.
///
/// The first plane has to be at the frame's full size; it tells how large the frame is.
///
/// # Errors
/// [`FrameError::Planes`], [`FrameError::Memory`] if the planes don't match or are too short, and
/// [`FrameError::Motion`] if the motion's sizes make no sense. Its *values* may be anything: flow
/// that is not a number or longer than 32768 pixels counts as none, a mask that is not a number
/// as one half.
pub fn synthesise(
    a: &[Plane],
    b: &[Plane],
    motion: &Motion,
    sampling: Sampling,
    out: &mut [PlaneMut],
) -> Result<(), FrameError> {
    check(a, b, motion, out)?;
    let mut kernels = Vec::with_capacity(out.len());
    for (a_plane, b_plane) in a.iter().zip(b) {
        let job = Job::new(a_plane, b_plane, motion, sampling, &a[0]);
        kernels.push(Kernel::new(job));
    }
    let mut tasks = Vec::new();
    for (plane, kernel) in out.iter_mut().zip(&kernels) {
        let (bytes, stride, height) = (plane.row_bytes(), plane.stride, plane.height);
        for (index, band) in plane.data.chunks_mut(BAND * stride).enumerate() {
            let top = index * BAND;
            if top < height {
                let rows = BAND.min(height - top);
                tasks.push((kernel, top, rows, bytes, stride, band));
            }
        }
    }
    let make = |scratch: &mut Vec<f32>, (kernel, top, rows, bytes, stride, band): Task| {
        for (y, line) in band.chunks_mut(stride).take(rows).enumerate() {
            kernel.row(top + y, scratch, &mut line[..bytes]);
        }
    };
    pool::each(tasks, make);
    Ok(())
}

/// A band of a plane: kernel, first row, rows, bytes of a row, stride, memory.
type Task<'a, 'b> = (&'b Kernel<'a>, usize, usize, usize, usize, &'b mut [u8]);

/// The way a plane's rows are made on this machine.
enum Kernel<'a> {
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Warp<'a>),
    Reference(Job<'a>),
}

impl<'a> Kernel<'a> {
    fn new(job: Job<'a>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(warp) = avx2::Warp::new(job) {
            return Self::Avx2(warp);
        }
        Self::Reference(job)
    }

    fn row(&self, y: usize, scratch: &mut Vec<f32>, out: &mut [u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(warp) => warp.row(y, scratch, out),
            Self::Reference(job) => {
                let _ = scratch;
                reference::row(job, y, out);
            }
        }
    }
}

/// Refuses planes and motion that don't belong together.
fn check(a: &[Plane], b: &[Plane], motion: &Motion, out: &[PlaneMut]) -> Result<(), FrameError> {
    if a.is_empty() || a.len() != b.len() || a.len() != out.len() {
        return Err(FrameError::Planes {
            found: format!("{}, {} and {} planes", a.len(), b.len(), out.len()),
            expected: "three equal lists of at least one".into(),
        });
    }
    for (index, plane) in a.iter().enumerate() {
        let other = &b[index];
        let target = &out[index];
        let expected = (plane.width, plane.height, plane.format);
        for found in [
            (other.width, other.height, other.format),
            (target.width, target.height, target.format),
        ] {
            if found != expected {
                return Err(FrameError::Planes {
                    found: format!("{found:?}"),
                    expected: format!("{expected:?}"),
                });
            }
        }
        check_plane(index, expected, plane.stride, plane.data.len())?;
        check_plane(index, expected, other.stride, other.data.len())?;
        check_plane(index, expected, target.stride, target.data.len())?;
    }
    check_motion(motion)
}

fn check_plane(
    index: usize,
    (width, height, format): (usize, usize, PlaneFormat),
    stride: usize,
    bytes: usize,
) -> Result<(), FrameError> {
    let row = width * format.pixel_bytes();
    let sane = (1..=32768).contains(&width)
        && (1..=32768).contains(&height)
        && (1..=4).contains(&format.channels)
        && format.sub_x <= 4
        && format.sub_y <= 4
        && format.has_valid_depth()
        && format.has_valid_alpha()
        && stride >= row;
    if !sane {
        return Err(FrameError::Planes {
            found: format!("plane {index}: {width}x{height}, stride {stride}, {format:?}"),
            expected: "1 to 32768 pixels a side, 1 to 4 channels, a stride of at least a row"
                .into(),
        });
    }
    let expected = (height - 1) * stride + row;
    if bytes < expected {
        return Err(FrameError::Memory {
            plane: index,
            found: bytes,
            expected,
        });
    }
    Ok(())
}

fn check_motion(motion: &Motion) -> Result<(), FrameError> {
    let wrong = |what, found: String, expected: String| {
        Err(FrameError::Motion {
            what,
            found,
            expected,
        })
    };
    if !(1..=32768).contains(&motion.width) || !(1..=32768).contains(&motion.height) {
        let found = format!("{}x{}", motion.width, motion.height);
        return wrong("grid", found, "1 to 32768 cells a side".into());
    }
    for (what, cover, cells) in [
        ("cover_x", motion.cover_x, motion.width),
        ("cover_y", motion.cover_y, motion.height),
    ] {
        // A little more than the grid is a matter of rounding; the border is repeated.
        if !(cover > 0.0 && cover <= cells as f32 + 1.0) {
            return wrong(what, cover.to_string(), format!("above 0, at most {cells}"));
        }
    }
    if !motion.unit.is_finite() {
        return wrong("unit", motion.unit.to_string(), "finite".into());
    }
    let cells = motion.width * motion.height;
    if motion.flow.len() != 4 * cells {
        let found = format!("{} values", motion.flow.len());
        return wrong("flow", found, format!("4 * {cells}"));
    }
    if motion.mask.len() != cells {
        return wrong(
            "mask",
            format!("{} values", motion.mask.len()),
            format!("{cells}"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
