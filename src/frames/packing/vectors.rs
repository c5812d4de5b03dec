//! Samples in words, 16 bytes of memory at a time.

use super::component::Component;
use crate::frames::{PlaneFormat, Sample};

/// Bytes in memory that are unpacked at once.
pub(super) const BLOCK: usize = 16;

/// The way between a block of memory and the samples of a plane that lie in it: bytes are shuffled,
/// and words multiplied by powers of two, which moves each by as many bits as it needs.
#[derive(Clone, Debug)]
pub(super) struct Vectors {
    /// Bytes of the samples, at most a block.
    pub(super) bytes: usize,
    /// The place in the block of each byte of the samples, and in the samples of each byte of the
    /// block; [`NONE`] where there is none.
    take: [u8; BLOCK],
    give: [u8; BLOCK],
    /// Factors that move a sample to its word's highest bit, and to its place in the block.
    raise: [u16; 8],
    place: [u16; 8],
    /// Bits of a word that are no sample's; none for bytes.
    unused: Option<i32>,
}

/// Gives a byte of zero when bytes are shuffled.
const NONE: u8 = 0x80;

impl Vectors {
    /// Returns the way for a plane of these components; `None` where the machine has none, samples
    /// of different places share a byte, or a block has more than fits.
    pub(super) fn of(components: &[&Component], format: PlaneFormat) -> Option<Self> {
        let first = components.first()?;
        let alike = components.iter().all(|one| {
            let same =
                (one.plane, one.group, one.at.len()) == (first.plane, first.group, first.at.len());
            same && one.sub == (format.sub_x, format.sub_y) && one.most() == format.sample.most()
        });
        let pixels = BLOCK / first.group * first.at.len();
        let bytes = pixels * format.pixel_bytes();
        if !alike || bytes > BLOCK || !is_supported() {
            return None;
        }
        let mut vectors = Self {
            bytes,
            take: [NONE; BLOCK],
            give: [NONE; BLOCK],
            raise: [0; 8],
            place: [0; 8],
            unused: match format.sample {
                Sample::U8 => None,
                Sample::U16 { depth, .. } => Some(16 - depth as i32),
            },
        };
        let samples = (0..pixels).flat_map(|pixel| components.iter().map(move |one| (pixel, one)));
        for (index, (pixel, component)) in samples.enumerate() {
            let group = pixel / first.at.len() * first.group;
            let at = component.at[pixel % first.at.len()];
            vectors.add(index, 8 * group + at, format.sample)?;
        }
        Some(vectors)
    }

    /// Adds the sample that begins at a bit of the block.
    fn add(&mut self, index: usize, bit: usize, sample: Sample) -> Option<()> {
        let (byte, shift) = (bit / 8, bit % 8);
        let size = sample.bytes();
        for part in 0..size {
            let give = self.give.get_mut(byte + part)?;
            if *give != NONE {
                return None;
            }
            *give = (size * index + part) as u8;
            self.take[size * index + part] = (byte + part) as u8;
        }
        match self.unused {
            None => (shift == 0).then_some(()),
            Some(unused) => {
                let above = (unused as usize).checked_sub(shift)?;
                self.raise[index] = 1 << above;
                self.place[index] = 1 << shift;
                Some(())
            }
        }
    }

    /// Writes the samples of a row's blocks; returns how many blocks those were.
    pub(super) fn unpack(&self, row: &[u8], out: &mut [u8]) -> usize {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `of` made sure that the machine has SSSE3.
        let blocks = unsafe { self.unpack_blocks(row, out) };
        #[cfg(not(target_arch = "x86_64"))]
        let blocks = 0;
        blocks
    }

    /// Adds samples to the blocks of a row of zeros; returns how many blocks those were.
    pub(super) fn pack(&self, line: &[u8], out: &mut [u8]) -> usize {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `of` made sure that the machine has SSSE3.
        let blocks = unsafe { self.pack_blocks(line, out) };
        #[cfg(not(target_arch = "x86_64"))]
        let blocks = 0;
        blocks
    }
}

fn is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    let supported = is_x86_feature_detected!("ssse3");
    #[cfg(not(target_arch = "x86_64"))]
    let supported = false;
    supported
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Vectors};

    impl Vectors {
        #[target_feature(enable = "ssse3")]
        pub(super) fn unpack_blocks(&self, row: &[u8], out: &mut [u8]) -> usize {
            let take = load(&self.take);
            let raise = load_words(&self.raise);
            let unused = _mm_cvtsi32_si128(self.unused.unwrap_or(0));
            let (blocks, _) = row.as_chunks::<BLOCK>();
            let mut done = 0;
            for block in blocks {
                // what is written beyond the samples is written again
                let Some(out) = out
                    .get_mut(done * self.bytes..)
                    .and_then(<[u8]>::first_chunk_mut)
                else {
                    break;
                };
                let mut samples = _mm_shuffle_epi8(load(block), take);
                if self.unused.is_some() {
                    samples = _mm_srl_epi16(_mm_mullo_epi16(samples, raise), unused);
                }
                store(out, samples);
                done += 1;
            }
            done
        }

        #[target_feature(enable = "ssse3")]
        pub(super) fn pack_blocks(&self, line: &[u8], out: &mut [u8]) -> usize {
            let give = load(&self.give);
            let place = load_words(&self.place);
            let (blocks, _) = out.as_chunks_mut::<BLOCK>();
            let mut done = 0;
            for block in blocks {
                let Some(samples) = line.get(done * self.bytes..).and_then(<[u8]>::first_chunk)
                else {
                    break;
                };
                let mut samples = load(samples);
                if self.unused.is_some() {
                    samples = _mm_mullo_epi16(samples, place);
                }
                store(
                    block,
                    _mm_or_si128(load(block), _mm_shuffle_epi8(samples, give)),
                );
                done += 1;
            }
            done
        }
    }

    #[inline(always)]
    fn load(bytes: &[u8; BLOCK]) -> __m128i {
        // SAFETY: these are 16 bytes, and all x86-64 machines have SSE2.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_words(words: &[u16; 8]) -> __m128i {
        // SAFETY: these are 16 bytes, and all x86-64 machines have SSE2.
        unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(bytes: &mut [u8; BLOCK], value: __m128i) {
        // SAFETY: these are 16 bytes, and all x86-64 machines have SSE2.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) };
    }
}
