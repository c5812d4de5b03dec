//! Operators of our own for the CPU, where ONNX Runtime's own, or a chain of them, would take most of a
//! network's time: sampling for any network, and what lies between the convolutions of this project's
//! ([`STAGES`](onnx_graph::functions::STAGES)).
//!
//! Rows run in parallel on the runtime's own threads; what is needed in between is taken from the
//! runtime's arena, so that it counts towards the limit and is given back with the rest.

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

#[cfg(any(test, fuzzing))]
pub(crate) use grid_sample::fuzz_sample;

/// Makes the domain with the operators, to be given to a session.
///
/// # Errors
/// If the runtime refuses it.
pub fn domain() -> ort::Result<OperatorDomain> {
    let domain = OperatorDomain::new(OWN_DOMAIN)?.add(grid_sample::GridSample)?;
    stages::add(domain)
}

/// Whether the functions made by [`vectorised`] may use AVX2 and FMA.
fn simd_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Functions over rows that the compiler makes twice: for any processor, and for those with AVX2 and
/// FMA. Their first argument, before those written here, says which: [`simd_available`].
macro_rules! vectorised {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn $name(simd: bool, $($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            if simd {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn with_avx2($($argument: $type),*) {
                    plain($($argument),*);
                }
                // SAFETY: `simd` says that the processor has AVX2 and FMA.
                return unsafe { with_avx2($($argument),*) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = simd;
            plain($($argument),*);
        }
    )*};
}
use vectorised;
