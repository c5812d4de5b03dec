//! The colour matrices of GStreamer's converter, as numbers.
//!
//! From `gst-libs/gst/video/video-converter.c` of gst-plugins-base: with 16 bits a sample, coefficients
//! rounded to 8 bits after the point. Bytes become 16 bits by being written twice (257 times the byte), bytes come
//! of 16 bits by dropping the lower ones.

use gst_video::{VideoColorMatrix, VideoFormat, VideoFormatInfo, VideoInfo};

/// Rows of three factors and an offset.
pub(crate) type Matrix = [[f64; 4]; 3];

/// From a video's components to RGB, and back, both of 16 bits a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colours {
    pub(crate) to_rgb: Matrix,
    pub(crate) from_rgb: Matrix,
}

const IDENTITY: Matrix = [
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
];

impl Colours {
    /// Returns the converter's colours, for video that is not RGB itself.
    pub(crate) fn of(info: &VideoInfo) -> Self {
        let Self { to_rgb, from_rgb } = Self::exact(info);
        Self {
            to_rgb: round(to_rgb),
            from_rgb: round(from_rgb),
        }
    }

    /// Returns the colours as the standards have them.
    pub(crate) fn exact(info: &VideoInfo) -> Self {
        let colorimetry = info.colorimetry();
        if colorimetry.matrix() == VideoColorMatrix::Rgb {
            // the same matrix on both sides: the converter leaves everything as it is
            return Self {
                to_rgb: IDENTITY,
                from_rgb: IDENTITY,
            };
        }
        let deep = info.format_info().depth().iter().any(|&depth| depth > 8);
        let format = match deep {
            true => VideoFormat::Ayuv64,
            false => VideoFormat::Ayuv,
        };
        let (offsets, scales) =
            VideoFormatInfo::from_format(format).range_offsets(colorimetry.range());
        // what a level of the format is in 16 bits, as the matrices see it
        let unit = if deep { 1.0 } else { 256.0 };
        let offset = offsets.map(|offset| f64::from(offset) * unit);
        let scale = scales.map(|scale| f64::from(scale) * unit);
        let (mut to_rgb, mut from_rgb) = (IDENTITY, IDENTITY);
        if let Ok((red, blue)) = colorimetry.matrix().kr_kb() {
            let green = 1.0 - red - blue;
            to_rgb = [
                [1.0, 0.0, 2.0 * (1.0 - red), 0.0],
                [
                    1.0,
                    -2.0 * blue * (1.0 - blue) / green,
                    -2.0 * red * (1.0 - red) / green,
                    0.0,
                ],
                [1.0, 2.0 * (1.0 - blue), 0.0, 0.0],
            ];
            let (to_blue, to_red) = (0.5 / (1.0 - blue), 0.5 / (1.0 - red));
            from_rgb = [
                [red, green, blue, 0.0],
                [
                    -to_blue * red,
                    -to_blue * green,
                    to_blue * (1.0 - blue),
                    0.0,
                ],
                [to_red * (1.0 - red), -to_red * green, -to_red * blue, 0.0],
            ];
        }
        const FULL: f64 = 65535.0;
        for row in &mut to_rgb {
            for component in 0..3 {
                row[component] *= FULL / scale[component];
                row[3] -= row[component] * offset[component];
            }
        }
        for (component, row) in from_rgb.iter_mut().enumerate() {
            row.iter_mut()
                .for_each(|factor| *factor *= scale[component] / FULL);
            row[3] += offset[component];
        }
        Self { to_rgb, from_rgb }
    }
}

/// Coefficients as the converter has them: multiples of 1/256.
fn round(matrix: Matrix) -> Matrix {
    matrix.map(|row| row.map(|factor| (factor * 256.0).round_ties_even() / 256.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_same() {
        gst::init().unwrap();
        for (format, colorimetry) in [
            (VideoFormat::Nv12, "bt709"),
            (VideoFormat::I420, "bt601"),
            (VideoFormat::P01010le, "bt2020"),
            (VideoFormat::Y444, "1:4:0:0"),
        ] {
            let info = VideoInfo::builder(format, 64, 64)
                .colorimetry(&colorimetry.parse().unwrap())
                .build()
                .unwrap();
            let colours = Colours::of(&info);
            let apply = |matrix: &Matrix, x: [f64; 3]| {
                matrix.map(|row| row[3] + (0..3).map(|k| row[k] * x[k]).sum::<f64>())
            };
            let colour = [20000.0, 40000.0, 30000.0];
            let back = apply(&colours.to_rgb, apply(&colours.from_rgb, colour));
            for (got, want) in back.iter().zip(colour) {
                // what 8 bits after the point leave
                assert!(
                    (got - want).abs() < 0.006 * 65535.0,
                    "{colorimetry} {got} {want}"
                );
            }
        }
    }
}
