//! Planes of a frame, free of GStreamer types, so that the kernels can be tested alone.

/// Type of a sample in memory (native byte order).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// One byte, 0 to 255.
    U8,
    /// Two bytes; `depth` significant bits, shifted left by `shift` (P010 has 10 and 6).
    U16 {
        /// Significant bits.
        depth: u32,
        /// Unused low bits, which stay zero.
        shift: u32,
    },
}

/// Format of a plane: `channels` interleaved samples a pixel, at a subsampling of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneFormat {
    /// The sample type.
    pub sample: Sample,
    /// Interleaved samples a pixel, 1 to 4.
    pub channels: usize,
    /// Horizontal subsampling as a shift: 1 means one plane pixel for two frame pixels.
    pub sub_x: u32,
    /// Vertical subsampling as a shift.
    pub sub_y: u32,
    /// Which of four channels of a byte is alpha, and tells how much the others count.
    pub alpha: Option<usize>,
}

impl PlaneFormat {
    /// Bytes of one interleaved pixel.
    pub fn pixel_bytes(&self) -> usize {
        let sample = match self.sample {
            Sample::U8 => 1,
            Sample::U16 { .. } => 2,
        };
        sample * self.channels
    }

    /// Returns whether alpha is where it can be.
    pub(super) fn has_valid_alpha(&self) -> bool {
        let fits = |alpha| alpha < 4 && self.channels == 4 && self.sample == Sample::U8;
        self.alpha.is_none_or(fits)
    }

    /// Returns whether depth and shift fit the sample.
    pub(super) fn has_valid_depth(&self) -> bool {
        match self.sample {
            Sample::U8 => true,
            Sample::U16 { depth, shift } => {
                (1..=16).contains(&depth) && shift < 16 && depth + shift <= 16
            }
        }
    }
}

/// One plane of a frame, read-only.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes from the first pixel on; at least `(height - 1) * stride` and one row.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Width in plane pixels.
    pub width: usize,
    /// Height in plane pixels.
    pub height: usize,
    /// Format of what it holds.
    pub format: PlaneFormat,
}

/// One plane of a frame, to be written.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// The bytes from the first pixel on; at least `(height - 1) * stride` and one row.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Width in plane pixels.
    pub width: usize,
    /// Height in plane pixels.
    pub height: usize,
    /// Format of what it holds.
    pub format: PlaneFormat,
}

impl Plane<'_> {
    /// Returns whether nothing shows through.
    pub(super) fn is_opaque(&self) -> bool {
        let Some(alpha) = self.format.alpha else {
            return true;
        };
        let lines = self.data.chunks(self.stride).take(self.height);
        lines.map(|line| &line[..self.row_bytes()]).all(|line| {
            let (pixels, _) = line.as_chunks::<4>();
            pixels.iter().fold(255, |all, pixel| all & pixel[alpha]) == 255
        })
    }

    /// Bytes of a row's pixels, without what the stride adds.
    pub fn row_bytes(&self) -> usize {
        self.width * self.format.pixel_bytes()
    }
}

impl PlaneMut<'_> {
    /// Bytes of a row's pixels, without what the stride adds.
    pub fn row_bytes(&self) -> usize {
        self.width * self.format.pixel_bytes()
    }
}
