//! Sessions of this project's own graphs, which run beside the network.

use onnx_graph::proto::ModelProto;
use ort::session::Session;

use crate::models::ModelError;
use crate::models::memory::is_shortage;
use crate::models::options::{ExecutionProvider, LoadOptions};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::tensor_pool::Buffer;
use crate::models::runtime::{runtime, session};

/// A session beside the network's, and its arena.
pub(crate) struct HelperSession {
    pub(crate) session: Session,
    pub(crate) arena: Arena,
}

/// A session beside the network's, where that one runs, that may hold so many bytes (0: any number).
pub(crate) fn start(
    options: &LoadOptions,
    provider: ExecutionProvider,
    label: &str,
    model: ModelProto,
    limit: u64,
) -> Result<HelperSession, ModelError> {
    let session = session::beside(runtime()?, options, provider, model, limit);
    let session = session.map_err(|reason| {
        let (model, reason) = (label.into(), format!("a graph beside it: {reason}"));
        match is_shortage(&reason) {
            true => ModelError::Memory { model, reason },
            false => ModelError::Unusable { model, reason },
        }
    })?;
    let arena = Arena::of(&session, provider, options.device);
    Ok(HelperSession { session, arena })
}

/// Writes a single number.
pub(crate) fn set(value: &mut Buffer, number: f32) -> ort::Result<()> {
    let (_, numbers) = value.try_extract_tensor_mut::<f32>()?;
    numbers.fill(number);
    Ok(())
}

/// Returns the error for memory that should lie on the host, and doesn't.
pub(crate) fn out_of_reach() -> ort::Error {
    ort::Error::new("memory that should lie on the host is out of reach")
}
