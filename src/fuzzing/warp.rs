//! Outputs of networks: motion and positions that may be any numbers at all.

use arbitrary::{Arbitrary, Unstructured};

use crate::frames::{
    Motion, Plane, PlaneFormat, PlaneMut, Sample, Sampling, reference, synthesise,
};
use crate::models::fuzz_sample;

/// Any bytes as planes, and as motion between them.
#[derive(Arbitrary, Debug)]
struct Case {
    planes: [Shape; 2],
    count: bool,
    bicubic: bool,
    cells: (u8, u8),
    cover: (f32, f32),
    usual_cover: bool,
    unit: f32,
    values: Vec<Number>,
    bytes: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Shape {
    width: u8,
    height: u8,
    padding: u8,
    missing: u8,
    deep: Option<(u8, u8)>,
    channels: u8,
    sub: (u8, u8),
}

/// Numbers of all kinds, near and far.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Number {
    Small(i8),
    Pixels(i16),
    Any(f32),
    Odd(u8),
}

impl Number {
    pub(crate) fn value(self) -> f32 {
        const ODD: [f32; 8] = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            32768.0,
            -0.0,
        ];
        match self {
            Self::Small(value) => f32::from(value) / 64.0,
            Self::Pixels(value) => f32::from(value) / 4.0,
            Self::Any(value) => value,
            Self::Odd(which) => ODD[usize::from(which) % ODD.len()],
        }
    }
}

impl Shape {
    fn format(&self) -> PlaneFormat {
        PlaneFormat {
            sample: match self.deep {
                None => Sample::U8,
                Some((depth, shift)) => Sample::U16 {
                    depth: u32::from(depth % 20),
                    shift: u32::from(shift % 20),
                },
            },
            channels: usize::from(self.channels % 6),
            sub_x: u32::from(self.sub.0 % 3),
            sub_y: u32::from(self.sub.1 % 3),
            alpha: None,
        }
    }

    fn stride(&self) -> usize {
        usize::from(self.width) * self.format().pixel_bytes() + usize::from(self.padding % 8)
    }

    fn bytes(&self) -> usize {
        let rows = usize::from(self.height).saturating_sub(1) * self.stride();
        (rows + usize::from(self.width) * self.format().pixel_bytes()).saturating_sub(
            if self.missing < 16 {
                usize::from(self.missing)
            } else {
                0
            },
        )
    }

    fn plane<'a>(&self, data: &'a [u8]) -> Plane<'a> {
        Plane {
            data,
            stride: self.stride(),
            width: self.width.into(),
            height: self.height.into(),
            format: self.format(),
        }
    }
}

/// The way frames are made, with any motion: within their memory, and by the fast kernels as the
/// plain one does it.
pub fn warp(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let shapes = &case.planes[..1 + usize::from(case.count)];
    let memory = |shape: &Shape, seed: usize| -> Vec<u8> {
        let given = case.bytes.iter().copied().cycle();
        let pattern = (seed..).map(|index| (index * 59) as u8);
        if case.bytes.is_empty() {
            pattern.take(shape.bytes()).collect()
        } else {
            given.skip(seed).take(shape.bytes()).collect()
        }
    };
    let first: Vec<_> = shapes.iter().map(|shape| memory(shape, 0)).collect();
    let second: Vec<_> = shapes.iter().map(|shape| memory(shape, 3)).collect();
    let (width, height) = (
        usize::from(case.cells.0 % 24),
        usize::from(case.cells.1 % 24),
    );
    let values: Vec<f32> = case.values.iter().map(|number| number.value()).collect();
    let number = |index: usize| {
        values
            .get(index % values.len().max(1))
            .copied()
            .unwrap_or(0.0)
    };
    let flow: Vec<f32> = (0..4 * width * height).map(number).collect();
    let mask: Vec<f32> = (0..width * height).map(|index| number(index + 1)).collect();
    let (cover_x, cover_y) = if case.usual_cover {
        (width as f32, height as f32)
    } else {
        case.cover
    };
    let motion = Motion {
        width,
        height,
        cover_x,
        cover_y,
        unit: case.unit,
        flow: &flow,
        mask: &mask,
    };
    let sampling = if case.bicubic {
        Sampling::Bicubic
    } else {
        Sampling::Bilinear
    };
    let sources = |memory: &[Vec<u8>], make: &mut dyn FnMut(&[Plane])| {
        let planes: Vec<_> = shapes
            .iter()
            .zip(memory)
            .map(|(shape, data)| shape.plane(data))
            .collect();
        make(&planes);
    };
    let synthesised = |fast: bool| {
        let mut out: Vec<Vec<u8>> = shapes
            .iter()
            .map(|shape| vec![0xa5; shape.bytes()])
            .collect();
        let mut result = Ok(());
        sources(&first, &mut |a| {
            sources(&second, &mut |b| {
                let mut targets: Vec<_> = shapes
                    .iter()
                    .zip(&mut out)
                    .map(|(shape, data)| PlaneMut {
                        stride: shape.stride(),
                        width: shape.width.into(),
                        height: shape.height.into(),
                        format: shape.format(),
                        data,
                    })
                    .collect();
                result = if fast {
                    synthesise(a, b, &motion, sampling, &mut targets)
                } else {
                    reference::synthesise(a, b, &motion, sampling, &mut targets)
                };
            });
        });
        (result, out)
    };
    let (fast, plain) = (synthesised(true), synthesised(false));
    assert_eq!(fast.0, plain.0);
    if fast.0.is_err() {
        return;
    }
    for (shape, (fast, plain)) in shapes.iter().zip(fast.1.iter().zip(&plain.1)) {
        let row = usize::from(shape.width) * shape.format().pixel_bytes();
        for (fast, plain) in fast
            .chunks(shape.stride())
            .zip(plain.chunks(shape.stride()))
        {
            assert_eq!(
                fast[row..],
                plain[row..],
                "what lies between rows is not ours"
            );
        }
    }
}

/// The network's own operator, with any positions.
pub fn sample(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    if let Ok((shape, flags, positions)) = source.arbitrary::<([u8; 6], u8, Vec<Number>)>() {
        let positions: Vec<f32> = positions.iter().map(|number| number.value()).collect();
        fuzz_sample(shape, flags, &positions);
    }
}
