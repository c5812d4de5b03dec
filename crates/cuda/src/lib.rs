//! NVIDIA's driver, `libcuda.so.1`, bound at run time: nothing links against it, and where it is missing all
//! calls say so.
//!
//! [`driver`] loads it when somebody first needs it, for contexts and copies; [`loaded`] asks a driver that is
//! there already what its devices are and how much memory they have left, and never loads it.

mod copy;
pub mod driver;
pub mod loaded;
pub mod stream;

pub use copy::{Copy, Place};
