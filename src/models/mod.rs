//! Inference: networks that turn a pair of small pictures and a phase into motion or a picture.
//!
//! ```no_run
//! # use gstvfiinterp::{frames::Picture, models::*};
//! # fn main() -> Result<(), ModelError> {
//! let mut interpolator = Interpolator::load(&LoadOptions::default())?;
//! let (first, second) = (Picture::new(640, 360), Picture::new(640, 360));
//! let (mut a, mut b) = (Prepared::default(), Prepared::default());
//! interpolator.prepare(&first, &mut a)?;
//! interpolator.prepare(&second, &mut b)?;
//! match interpolator.estimate(&a, &b, 0.5)? {
//!     Estimate::Motion(motion) => println!("{} cells a row", motion.width),
//!     Estimate::Picture(picture) => println!("{} pixels a row", picture.width),
//!     Estimate::First | Estimate::Second => println!("one of the two"),
//! }
//! # Ok(())
//! # }
//! ```

mod bisect;
pub mod device;
mod error;
mod files;
mod interpolator;
pub(crate) mod loading;
pub mod memory;
mod network;
pub mod ops;
mod options;
mod registry;
pub mod runtime;
pub mod signature;

pub use bisect::DEFAULT_DEPTH as DEFAULT_BISECTION_DEPTH;
pub use error::{ModelError, RuntimeError};
pub use interpolator::{Interpolator, WarmUp};
pub use loading::catalog;
pub use loading::specialise::Specialise;
pub use network::estimate::Estimate;
pub(crate) use network::estimate::{Inference, KeptOutput};
pub use network::prepared::Prepared;
pub use network::sized_session::SizedSession;
#[cfg(any(test, fuzzing))]
pub(crate) use ops::fuzz_sample;
pub use options::{ExecutionProvider, LoadOptions, ModelFamily, ModelInfo, ModelKind, Precision};
pub use runtime::load_canceller::LoadCanceller;
pub use runtime::run_canceller::RunCanceller;
pub use runtime::session_waits::SessionWaits;
