//! What concerns GPUs: what the runtime is told of them, what they are, memory on them, and frames
//! that stay there: uploaded once, made ready, warped and finished beside the network.

pub(super) mod bound;
pub(super) mod driver;
pub(super) mod engines;
pub(super) mod finish;
mod limit;
pub(super) mod memory;
pub(super) mod providers;
mod ready;
mod stage;
mod transfer;
mod values;

pub use finish::Task;
pub use ready::{DeviceFrame, Preparation};
pub use stage::{Look, Outcome, Stage};
pub use transfer::{Dense, Sink, Source, Transfer};
