//! Sums of products of bytes, four to a 32-bit word, on the instructions that the processor has.

/// Output channels that are summed at a time.
pub(super) const OUTPUTS: usize = 8;

/// Most words that a row is read beyond its end, as whole registers are.
pub(super) const ROUNDING: usize = 16;

/// The instructions for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dot {
    /// AVX-512 VNNI: Intel since Ice Lake, AMD since Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-VNNI, with half as many at a time: Intel since Alder Lake, AMD since Zen 5.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX2, which adds pairs of products in 16 bits first.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Dot {
    /// All that this processor has, the fastest first.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512vnni");
            let found = [
                (Self::Avx512Vnni, avx512),
                (Self::AvxVnni, has!("avx2") && has!("avxvnni")),
                (Self::Avx2, has!("avx2")),
            ];
            found
                .into_iter()
                .filter_map(|(dot, has)| has.then_some(dot))
                .collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// The fastest that this processor has.
    pub(super) fn best() -> Option<Self> {
        Self::all().first().copied()
    }

    /// The largest weight: so large that no sum of products overflows on the way.
    pub(super) fn largest_weight(self) -> f32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni | Self::AvxVnni => 127.0,
            // 2 * 255 * 64 fits 16 bits
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 64.0,
        }
    }

    /// Writes a row of sums for each of [`OUTPUTS`] channels, equally far apart in `sums`: of `samples` from
    /// each of `places` on, times the word of `weights` for that place and channel.
    pub(super) fn row(
        self,
        samples: &[u32],
        places: &[usize],
        weights: &[u32],
        sums: &mut [i32],
        width: usize,
    ) {
        let pitch = sums.len() / OUTPUTS;
        let furthest = places.iter().max().map_or(0, |place| place + pitch);
        assert!(furthest <= samples.len() && width.next_multiple_of(ROUNDING) <= pitch);
        assert!(weights.len() == places.len() * OUTPUTS);
        match self {
            // SAFETY: the processor has the instructions, or there would be no such value; each place
            // has `pitch` words behind it, each output as many sums, and registers end within them.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => unsafe { x86::row_avx512(samples, places, weights, sums, width) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => unsafe { x86::row_vnni(samples, places, weights, sums, width) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::row_avx2(samples, places, weights, sums, width) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::OUTPUTS;

    /// A register of 32-bit words.
    ///
    /// # Safety
    /// Of all functions: the processor has its instructions, and a pointer has as many words behind it.
    trait Register: Copy {
        const WORDS: usize;
        unsafe fn zero() -> Self;
        unsafe fn load(from: *const u32) -> Self;
        unsafe fn repeat(word: u32) -> Self;
        /// `self` plus, in each word, the sum of the four products of samples' and weights' bytes.
        unsafe fn add_products(self, samples: Self, weights: Self) -> Self;
        unsafe fn store(self, to: *mut i32);
    }

    macro_rules! register {
        ($name:ident($inner:ty), $words:literal, $zero:ident, $load:ident, $repeat:ident, $store:ident,
            |$sum:ident, $samples:ident, $weights:ident| $products:expr) => {
            #[derive(Clone, Copy)]
            struct $name($inner);

            impl Register for $name {
                const WORDS: usize = $words;

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: as the caller promises, the processor has it.
                    Self(unsafe { $zero() })
                }

                #[inline(always)]
                unsafe fn load(from: *const u32) -> Self {
                    // SAFETY: as the caller promises, the processor has it, and as many words are there.
                    Self(unsafe { $load(from.cast()) })
                }

                #[inline(always)]
                unsafe fn repeat(word: u32) -> Self {
                    // SAFETY: as the caller promises, the processor has it.
                    Self(unsafe { $repeat(word as i32) })
                }

                #[inline(always)]
                unsafe fn add_products(self, samples: Self, weights: Self) -> Self {
                    let ($sum, $samples, $weights) = (self.0, samples.0, weights.0);
                    // SAFETY: as the caller promises, the processor has it.
                    Self(unsafe { $products })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut i32) {
                    // SAFETY: as the caller promises, the processor has it, and as many words are there.
                    unsafe { $store(to.cast(), self.0) }
                }
            }
        };
    }

    register!(
        Avx512Vnni(__m512i),
        16,
        _mm512_setzero_si512,
        _mm512_loadu_si512,
        _mm512_set1_epi32,
        _mm512_storeu_si512,
        |sum, samples, weights| _mm512_dpbusd_epi32(sum, samples, weights)
    );
    register!(
        AvxVnni(__m256i),
        8,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_set1_epi32,
        _mm256_storeu_si256,
        |sum, samples, weights| _mm256_dpbusd_avx_epi32(sum, samples, weights)
    );
    register!(
        Avx2(__m256i),
        8,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_set1_epi32,
        _mm256_storeu_si256,
        |sum, samples, weights| {
            let pairs = _mm256_maddubs_epi16(samples, weights);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    );

    /// Makes `N` registers of sums for each output.
    ///
    /// # Safety
    /// The processor has `R`'s instructions; all places have `N` registers of samples behind them, all
    /// outputs as many sums, `pitch` apart.
    #[inline(always)]
    unsafe fn tile<R: Register, const N: usize>(
        samples: *const u32,
        places: &[usize],
        weights: &[u32],
        sums: *mut i32,
        pitch: usize,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut all = [[R::zero(); N]; OUTPUTS];
            for (&place, weights) in places.iter().zip(weights.chunks_exact(OUTPUTS)) {
                let from = samples.add(place);
                let mut read = [R::zero(); N];
                for (index, read) in read.iter_mut().enumerate() {
                    *read = R::load(from.add(index * R::WORDS));
                }
                for (sums, &weight) in all.iter_mut().zip(weights) {
                    let weight = R::repeat(weight);
                    for (sum, read) in sums.iter_mut().zip(read) {
                        *sum = sum.add_products(read, weight);
                    }
                }
            }
            for (output, all) in all.iter().enumerate() {
                for (index, sum) in all.iter().enumerate() {
                    sum.store(sums.add(output * pitch + index * R::WORDS));
                }
            }
        }
    }

    /// [`Dot::row`](super::Dot::row), with up to `N` registers at a time.
    ///
    /// # Safety
    /// As for [`tile`], for as many registers as `width` takes.
    #[inline(always)]
    unsafe fn row<R: Register, const N: usize>(
        samples: &[u32],
        places: &[usize],
        weights: &[u32],
        sums: &mut [i32],
        width: usize,
    ) {
        let pitch = sums.len() / OUTPUTS;
        let mut x = 0;
        while x < width {
            let left = (width - x).div_ceil(R::WORDS).min(N);
            // SAFETY: as the caller promises.
            unsafe {
                let (samples, sums) = (samples.as_ptr().add(x), sums.as_mut_ptr().add(x));
                match left {
                    3.. => tile::<R, 3>(samples, places, weights, sums, pitch),
                    2 => tile::<R, 2>(samples, places, weights, sums, pitch),
                    _ => tile::<R, 1>(samples, places, weights, sums, pitch),
                }
            }
            x += left * R::WORDS;
        }
    }

    /// [`row`] under names of its own, with the instructions it may use.
    macro_rules! row_with {
        ($name:ident, $features:literal, $register:ty, $count:literal) => {
            /// # Safety
            /// As for [`row`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(
                samples: &[u32],
                places: &[usize],
                weights: &[u32],
                sums: &mut [i32],
                width: usize,
            ) {
                // SAFETY: as the caller promises.
                unsafe { row::<$register, $count>(samples, places, weights, sums, width) }
            }
        };
    }

    // 24 sums, 3 samples and a weight of 32 registers; 8 sums and as much else of 16
    row_with!(row_avx512, "avx512f,avx512bw,avx512vnni", Avx512Vnni, 3);
    row_with!(row_vnni, "avx2,avxvnni", AvxVnni, 1);
    row_with!(row_avx2, "avx2", Avx2, 1);
}
