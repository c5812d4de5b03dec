//! Rigs and fixtures that the test programs share: those of the plugin under `tests/`, and those of the
//! stand-in for CUDA.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // that is how a test fails

pub mod cuda;
pub mod fixtures;
pub mod rig;
pub mod waves;

/// Runs an expression before a program's `main`: where the harness is the standard one, that is the only
/// place for what has to hold before the first test, in whatever order they come.
#[macro_export]
macro_rules! before_main {
    ($call:expr) => {
        // SAFETY: the loader calls what stands in this section, without arguments, and that neither unwinds
        // nor needs anything of the standard library's start.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static BEFORE_MAIN: extern "C" fn() = {
            extern "C" fn run() {
                $call
            }
            run
        };
    };
}
