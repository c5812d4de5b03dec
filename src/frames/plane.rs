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

impl Sample {
    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 { .. } => 2,
        }
    }

    /// The highest level.
    pub fn most(self) -> u32 {
        match self {
            Self::U8 => 255,
            Self::U16 { depth, .. } => (1 << depth) - 1,
        }
    }
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
    /// Which of the channels is alpha, and tells how much the others count.
    pub alpha: Option<usize>,
}

impl PlaneFormat {
    /// Bytes of one interleaved pixel.
    pub fn pixel_bytes(&self) -> usize {
        self.sample.bytes() * self.channels
    }

    /// Returns whether alpha is where it can be.
    pub(super) fn has_valid_alpha(&self) -> bool {
        self.alpha
            .is_none_or(|alpha| alpha < self.channels && self.channels > 1)
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
        let mut lines = lines.map(|line| &line[..self.row_bytes()]);
        let at = alpha * self.format.sample.bytes();
        match self.format.sample {
            Sample::U8 => lines.all(|line| match self.format.channels {
                2 => common_bits::<2>(line, at),
                3 => common_bits::<3>(line, at),
                _ => common_bits::<4>(line, at),
            } == 255),
            Sample::U16 { shift, .. } => lines.all(|line| {
                let pixels = line.chunks_exact(self.format.pixel_bytes());
                let words = pixels.map(|pixel| u16::from_ne_bytes([pixel[at], pixel[at + 1]]));
                let common = words.fold(u16::MAX, |common, word| common & word);
                u32::from(common >> shift) == self.format.sample.most()
            }),
        }
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

/// The bits that are set in one byte of all pixels of so many `BYTES`.
fn common_bits<const BYTES: usize>(line: &[u8], at: usize) -> u8 {
    let (pixels, _) = line.as_chunks::<BYTES>();
    pixels.iter().fold(255, |common, pixel| common & pixel[at])
}
