#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Sampling, reference, synthesise};
use crate::frames::{FrameError, Motion, Plane, PlaneFormat, PlaneMut, Sample};

const U8: Sample = Sample::U8;
const P010: Sample = Sample::U16 {
    depth: 10,
    shift: 6,
};
const TEN: Sample = Sample::U16 {
    depth: 10,
    shift: 0,
};
const TWELVE: Sample = Sample::U16 {
    depth: 12,
    shift: 4,
};
const SIXTEEN: Sample = Sample::U16 {
    depth: 16,
    shift: 0,
};

/// Sample, channels and subsampling of the planes of each kind of format.
const FORMATS: [&[(Sample, usize, u32, u32)]; 14] = [
    &[(U8, 1, 0, 0), (U8, 2, 1, 1)],
    &[(U8, 1, 0, 0), (U8, 1, 1, 1), (U8, 1, 1, 1)],
    &[(U8, 1, 0, 0), (U8, 1, 1, 0), (U8, 1, 1, 0)],
    &[(U8, 1, 0, 0), (U8, 1, 0, 0), (U8, 1, 0, 0)],
    &[(U8, 1, 0, 0)],
    &[(U8, 3, 0, 0)],
    &[(U8, 4, 0, 0)],
    &[(P010, 1, 0, 0), (P010, 2, 1, 1)],
    &[(TEN, 1, 0, 0), (TEN, 1, 1, 1), (TEN, 1, 1, 1)],
    &[(SIXTEEN, 1, 0, 0)],
    &[(SIXTEEN, 1, 0, 0), (SIXTEEN, 2, 1, 1)],
    &[(TWELVE, 1, 0, 0), (TWELVE, 2, 1, 0)],
    &[(SIXTEEN, 4, 0, 0)],
    &[(TEN, 4, 0, 0)],
];

/// How far the fast kernels may be from the plain way: a level, and of more bits as far as the last
/// bits of a position lead in noise, which are coarser for long flows.
fn allowed(sample: Sample, motion: &Motion) -> i32 {
    if sample.most() <= 1023 {
        return 1;
    }
    let lengths = motion.flow.iter().map(|flow| (flow * motion.unit).abs());
    let longest = lengths.filter(|length| *length < 1e6).fold(0.0, f32::max);
    // in planes of up to 200 pixels
    let reach = 200.0 * (1.0 + longest / motion.cover_x.min(motion.cover_y));
    1 + (sample.most() as f32 * reach * (-21_f32).exp2()) as i32
}

/// Random numbers that a seed repeats (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn unit(&mut self) -> f32 {
        (self.next() & 0xffff) as f32 / 65536.0
    }

    /// Returns a number between `-most` and `most`.
    fn around(&mut self, most: f32) -> f32 {
        (2.0 * self.unit() - 1.0) * most
    }
}

/// A plane with memory of its own that ends with the last pixel.
struct Owned {
    data: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
    format: PlaneFormat,
}

impl Owned {
    /// Creates a plane of noise, in rows `gap` bytes apart.
    fn noise(width: usize, height: usize, format: PlaneFormat, gap: usize, seed: u64) -> Self {
        let mut random = Random(seed | 1);
        let row = width * format.pixel_bytes();
        let stride = row + gap;
        let mut data = vec![0; (height - 1) * stride + row];
        data.fill_with(|| random.next() as u8);
        if let Sample::U16 { depth, shift } = format.sample {
            for line in data.chunks_mut(stride) {
                for sample in line[..row].chunks_exact_mut(2) {
                    let level = (random.next() as u32 & ((1 << depth) - 1)) as u16;
                    sample.copy_from_slice(&(level << shift).to_ne_bytes());
                }
            }
        }
        Self {
            data,
            stride,
            width,
            height,
            format,
        }
    }

    fn get(&self) -> Plane<'_> {
        Plane {
            data: &self.data,
            stride: self.stride,
            width: self.width,
            height: self.height,
            format: self.format,
        }
    }

    fn get_mut(&mut self) -> PlaneMut<'_> {
        PlaneMut {
            data: &mut self.data,
            stride: self.stride,
            width: self.width,
            height: self.height,
            format: self.format,
        }
    }

    /// All samples, in levels.
    fn samples(&self) -> Vec<i32> {
        let row = self.width * self.format.pixel_bytes();
        let lines = self.data.chunks(self.stride).flat_map(|line| &line[..row]);
        let bytes: Vec<u8> = lines.copied().collect();
        match self.format.sample {
            Sample::U8 => bytes.into_iter().map(i32::from).collect(),
            Sample::U16 { depth, shift } => bytes
                .chunks_exact(2)
                .map(|pair| {
                    let word = u16::from_ne_bytes([pair[0], pair[1]]);
                    assert_eq!(word & ((1 << shift) - 1), 0, "low bits are set");
                    assert!(u32::from(word >> shift) < 1 << depth, "too high");
                    i32::from(word >> shift)
                })
                .collect(),
        }
    }
}

fn frame(kind: usize, width: usize, height: usize, gap: usize, seed: u64) -> Vec<Owned> {
    let plane =
        |(index, &(sample, channels, sub_x, sub_y)): (usize, &(Sample, usize, u32, u32))| {
            let format = PlaneFormat {
                sample,
                channels,
                sub_x,
                sub_y,
                alpha: None,
            };
            let width = (width + (1 << sub_x) - 1) >> sub_x;
            let height = (height + (1 << sub_y) - 1) >> sub_y;
            Owned::noise(width, height, format, gap, seed + 31 * index as u64)
        };
    FORMATS[kind].iter().enumerate().map(plane).collect()
}

struct Field {
    width: usize,
    height: usize,
    flow: Vec<f32>,
    mask: Vec<f32>,
}

impl Field {
    /// Creates a flow of up to `far` units, every `odd`th one of them strange.
    fn noise(width: usize, height: usize, far: f32, odd: usize, seed: u64) -> Self {
        const STRANGE: [f32; 6] = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e30,
            -1e30,
            -0.0,
        ];
        let mut random = Random(seed | 1);
        let mut flow = vec![0.0; 4 * width * height];
        let mut mask = vec![0.0; width * height];
        flow.fill_with(|| random.around(far));
        mask.fill_with(|| 0.5 + random.around(0.8));
        if odd > 0 {
            for (index, value) in flow.iter_mut().chain(&mut mask).step_by(odd).enumerate() {
                *value = STRANGE[index % STRANGE.len()];
            }
        }
        Self {
            width,
            height,
            flow,
            mask,
        }
    }

    /// The same flows and mask everywhere.
    fn flat(flow: [f32; 4], mask: f32) -> Self {
        Self {
            width: 3,
            height: 2,
            flow: flow.iter().flat_map(|&value| [value; 6]).collect(),
            mask: vec![mask; 6],
        }
    }

    fn motion(&self, unit: f32) -> Motion<'_> {
        Motion {
            width: self.width,
            height: self.height,
            cover_x: self.width as f32 * 0.97,
            cover_y: self.height as f32,
            unit,
            flow: &self.flow,
            mask: &self.mask,
        }
    }
}

fn both(
    a: &[Owned],
    b: &[Owned],
    motion: &Motion,
    sampling: Sampling,
    gap: usize,
) -> (Vec<Owned>, Vec<Owned>) {
    let a: Vec<_> = a.iter().map(Owned::get).collect();
    let b: Vec<_> = b.iter().map(Owned::get).collect();
    let make = |fast: bool| {
        let mut out: Vec<_> = a
            .iter()
            .map(|plane| Owned::noise(plane.width, plane.height, plane.format, gap, 99))
            .collect();
        let mut planes: Vec<_> = out.iter_mut().map(Owned::get_mut).collect();
        let work = if fast {
            synthesise
        } else {
            reference::synthesise
        };
        work(&a, &b, motion, sampling, &mut planes).unwrap();
        out
    };
    (make(true), make(false))
}

fn compare(fast: &[Owned], plain: &[Owned], motion: &Motion, context: &str) {
    for (index, (fast, plain)) in fast.iter().zip(plain).enumerate() {
        let (got, want) = (fast.samples(), plain.samples());
        let allowed = allowed(fast.format.sample, motion);
        for (place, (got, want)) in got.into_iter().zip(want).enumerate() {
            assert!(
                (got - want).abs() <= allowed,
                "{context}, plane {index}, sample {place}: {got}, plainly {want}"
            );
        }
        let row = fast.width * fast.format.pixel_bytes();
        for (got, want) in fast
            .data
            .chunks(fast.stride)
            .zip(plain.data.chunks(plain.stride))
        {
            assert_eq!(
                got[row.min(got.len())..],
                want[row.min(want.len())..],
                "{context}: gap"
            );
        }
    }
}

#[test]
fn fast_is_within_one_level_of_plain() {
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        for kind in 0..FORMATS.len() {
            for (width, height) in [(16, 16), (33, 17), (61, 35), (130, 19), (7, 5), (1, 1)] {
                for (gap, far, odd) in [(0, 0.3, 0), (5, 3.0, 7), (13, 60.0, 0), (2, 9.0, 3)] {
                    let a = frame(kind, width, height, gap, 3);
                    let b = frame(kind, width, height, gap + 1, 17);
                    let field = Field::noise(9, 7, far, odd, 5);
                    let motion = field.motion(0.7);
                    let (fast, plain) = both(&a, &b, &motion, sampling, gap);
                    compare(
                        &fast,
                        &plain,
                        &motion,
                        &format!("{sampling:?} {kind} {width}x{height} {far} {odd}"),
                    );
                }
            }
        }
    }
}

#[test]
fn no_motion_and_full_weight_give_the_original() {
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        for kind in 0..FORMATS.len() {
            let (a, b) = (frame(kind, 75, 21, 3, 3), frame(kind, 75, 21, 0, 17));
            for (mask, source) in [(1.0, &a), (0.0, &b), (7.0, &a), (-3.0, &b)] {
                let field = Field::flat([0.0; 4], mask);
                let (fast, plain) = both(&a, &b, &field.motion(1.0), sampling, 1);
                for (index, source) in source.iter().enumerate() {
                    assert_eq!(fast[index].samples(), source.samples(), "kind {kind}");
                    assert_eq!(plain[index].samples(), source.samples(), "kind {kind}");
                }
            }
        }
    }
}

#[test]
fn whole_shifts_move_samples() {
    let (width, height) = (72, 24);
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        for kind in [0, 3, 5, 6, 7, 8, 10, 11, 12, 13] {
            let a = frame(kind, width, height, 0, 3);
            let b = frame(kind, width, height, 0, 17);
            // Three cells of 24 pixels, two of 12: 4 and -6 pixels.
            let field = Field::flat([4.0 / 24.0, -6.0 / 12.0, 0.0, 0.0], 1.0);
            let motion = Motion {
                cover_x: 3.0,
                ..field.motion(1.0)
            };
            let (fast, _) = both(&a, &b, &motion, sampling, 0);
            for (got, from) in fast.iter().zip(&a) {
                let channels = got.format.channels;
                let (right, up) = (4 >> got.format.sub_x, 6 >> got.format.sub_y);
                let (got, want) = (got.samples(), from.samples());
                for (index, level) in got.into_iter().enumerate() {
                    let (x, y) = (index / channels % from.width, index / channels / from.width);
                    let x = (x + right).min(from.width - 1);
                    let y = y.saturating_sub(up);
                    let place = (y * from.width + x) * channels + index % channels;
                    assert!(
                        (level - want[place]).abs() <= allowed(from.format.sample, &motion),
                        "kind {kind}, sample {index}"
                    );
                }
            }
        }
    }
}

#[test]
fn grids_may_be_finer_than_planes() {
    for kind in [0, 5, 7] {
        let (a, b) = (frame(kind, 50, 34, 0, 3), frame(kind, 50, 34, 0, 17));
        for cells in [(50, 34), (64, 64), (128, 50), (1, 1)] {
            let field = Field::noise(cells.0, cells.1, 2.0, 0, 5);
            let (fast, plain) = both(&a, &b, &field.motion(1.0), Sampling::Bicubic, 0);
            compare(
                &fast,
                &plain,
                &field.motion(1.0),
                &format!("{kind}, grid {cells:?}"),
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (a, b) = (frame(0, 32, 32, 0, 3), frame(0, 32, 32, 0, 17));
    let (a, b): (Vec<_>, Vec<_>) = (
        a.iter().map(Owned::get).collect(),
        b.iter().map(Owned::get).collect(),
    );
    let field = Field::flat([0.0; 4], 1.0);
    let good = field.motion(1.0);
    let mut owned = frame(0, 32, 32, 0, 1);
    let mut out: Vec<_> = owned.iter_mut().map(Owned::get_mut).collect();
    let kernel = Sampling::Bicubic;
    assert_eq!(synthesise(&a, &b, &good, kernel, &mut out), Ok(()));
    let error = synthesise(&a, &b[..1], &good, kernel, &mut out).unwrap_err();
    assert!(matches!(error, FrameError::Planes { .. }), "{error}");
    let mut short = b.clone();
    short[1].data = &short[1].data[1..];
    let error = synthesise(&a, &short, &good, kernel, &mut out).unwrap_err();
    assert!(
        matches!(error, FrameError::Memory { plane: 1, .. }),
        "{error}"
    );
    let wrong = [
        Motion { width: 4, ..good },
        Motion { height: 0, ..good },
        Motion {
            cover_x: 0.0,
            ..good
        },
        Motion {
            cover_y: f32::NAN,
            ..good
        },
        Motion {
            cover_x: 9.0,
            ..good
        },
        Motion {
            unit: f32::INFINITY,
            ..good
        },
        Motion {
            mask: &good.mask[1..],
            ..good
        },
    ];
    for motion in wrong {
        let error = synthesise(&a, &b, &motion, kernel, &mut out).unwrap_err();
        assert!(matches!(error, FrameError::Motion { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_frame_and_any_flow(
        kind in 0..FORMATS.len(),
        width in 16usize..200,
        height in 16usize..40,
        gap in 0usize..40,
        cells in (1usize..40, 1usize..20),
        far in 0.0f32..8.0,
        odd in 0usize..5,
        seed in any::<u64>(),
        bicubic in any::<bool>(),
    ) {
        let sampling = if bicubic { Sampling::Bicubic } else { Sampling::Bilinear };
        let (a, b) = (
            frame(kind, width, height, gap, seed >> 1),
            frame(kind, width, height, 0, seed >> 2),
        );
        let field = Field::noise(cells.0, cells.1, far, odd, seed >> 3);
        let (fast, plain) = both(&a, &b, &field.motion(1.0), sampling, gap);
        compare(&fast, &plain, &field.motion(1.0), "random");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn fast_kernels_take_all() {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return;
    }
    let field = Field::flat([0.0; 4], 1.0);
    let motion = field.motion(1.0);
    for kind in 0..FORMATS.len() {
        for plane in frame(kind, 33, 17, 0, 3) {
            let plane = plane.get();
            let job = super::Job::new(&plane, &plane, &motion, Sampling::Bicubic, &plane);
            assert!(super::avx2::Warp::new(job).is_some(), "{:?}", plane.format);
        }
    }
}

mod alpha;
