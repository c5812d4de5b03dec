//! Operators of our own for the CPU, where ONNX Runtime's own, or a chain of them, would take most of a
//! network's time: sampling for any network, and what lies between the convolutions of this project's
//! ([`STAGES`](onnx_graph::functions::STAGES)).
//!
//! Rows run in parallel on the runtime's own threads; what is needed in between is taken from the
//! runtime's arena, so that it counts towards the limit and is given back with the rest.

mod convolution;
mod finish;
mod grid_sample;
mod planes;
mod rows;
mod sampling;
mod search;
mod stages;
mod steps;
#[cfg(test)]
mod testing;

use ort::operator::OperatorDomain;

use onnx_graph::edit::OWN_DOMAIN;

pub(crate) use convolution::is_available as has_convolution;
#[cfg(any(test, fuzzing))]
pub(crate) use grid_sample::fuzz_sample;

/// Makes the domain with the operators, to be given to a session.
///
/// # Errors
/// If the runtime refuses it.
pub fn domain() -> ort::Result<OperatorDomain> {
    let domain = OperatorDomain::new(OWN_DOMAIN)?
        .add(grid_sample::GridSample)?
        .add(convolution::Convolution)?;
    stages::add(domain)
}

/// Instructions that the functions made by [`vectorised`] may use; each has those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Simd {
    /// Those that every processor of its kind has.
    Plain,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 for words and bytes, in registers of all lengths.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    /// The most that this processor has.
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let has_avx2 = has!("avx2") && has!("fma");
            let has_avx512 = has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match (has_avx2, has_avx512) {
                (true, true) => Self::Avx512,
                (true, false) => Self::Avx2,
                (false, _) => Self::Plain,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self::Plain
    }
}

/// Functions over rows that the compiler makes for each [`Simd`]. Their first argument, before those
/// written here, says which.
macro_rules! vectorised {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn $name(simd: Simd, $($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn with_avx2($($argument: $type),*) {
                plain($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512bw,avx512dq,avx512vl")]
            #[allow(clippy::too_many_arguments)]
            fn with_avx512($($argument: $type),*) {
                plain($($argument),*);
            }
            match simd {
                Simd::Plain => plain($($argument),*),
                // SAFETY: `simd` says that the processor has AVX2 and FMA.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { with_avx2($($argument),*) },
                // SAFETY: `simd` says that the processor has AVX-512, too.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { with_avx512($($argument),*) },
            }
        }
    )*};
}
use vectorised;
