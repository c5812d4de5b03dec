//! Frames that stay on a device: uploaded once, made ready, warped and finished beside the network.

mod budget;
mod buffers;
pub(crate) mod graphs;
mod helper_session;
mod limit;
mod pipeline;
pub(crate) mod postprocess;
mod preprocess;
mod transfer;

pub use pipeline::{DevicePipeline, Outcome, PipelineOptions};
pub use postprocess::PostprocessJob;
pub use preprocess::{DeviceFrame, PreprocessJob};
pub use transfer::{Dense, FrameSink, FrameSource, Transfer};
