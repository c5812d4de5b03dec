//! Why frames can't be made.

use crate::frames::FrameError;
use crate::models::ModelError;

/// Why a frame could not be made.
#[derive(Debug)]
pub(super) enum Failure {
    /// The run was cancelled, as a flush or a stop does.
    Cancelled,
    /// Something that frames are made with lacks: the next one may be made in another way.
    Lacks(Want),
    /// There is none to be made, and upstream is to be told.
    Flow(gst::FlowError),
    /// Anything else; the text says what.
    Failed(anyhow::Error),
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Failure::Cancelled,
            ModelError::Memory { .. } => Failure::Lacks(Want::Memory(error.to_string())),
            error => Failure::Lacks(Want::Network(error.to_string())),
        }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NoMemory { .. } => Failure::Lacks(Want::Memory(error.to_string())),
            error => Failure::Failed(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

/// Fails for want of caps, or of memory to get ready for frames of them.
pub(super) fn not_ready() -> Failure {
    Failure::Lacks(Want::Memory("nothing is ready to make frames with".into()))
}

/// Kind of thing that lacks for a frame to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Memory; the text says for what.
    Memory(String),
    /// A network that works; the text says what this one does instead.
    Network(String),
}
