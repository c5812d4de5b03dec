//! A network in the runtime's hands.

use std::sync::Arc;

use ort::session::Session;

use super::encoder::Encoder;
use crate::models::options::{ExecutionProvider, Precision};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::fair_lock::FairLock;
use crate::models::runtime::session::Source;
use crate::models::signature::Signature;

/// A network in the runtime's hands.
pub(crate) struct Loaded {
    /// Signature of the network as it was found, measured too.
    pub(crate) signature: Signature,
    /// CPU, CUDA or TensorRT.
    pub(crate) provider: ExecutionProvider,
    /// 32 or 16 bits.
    pub(crate) precision: Precision,
    /// Reason why it is not the faster one, where `Auto` had to fall back.
    pub(crate) note: Option<String>,
    /// Number of nodes that this project's own operator does.
    pub(crate) own_nodes: usize,
    pub(crate) session: Arc<FairLock<Session>>,
    /// Arena of the session.
    pub(crate) arena: Arc<Arena>,
    /// Encoder that looks at each picture alone, where that is not left to the session.
    pub(crate) encoder: Option<Arc<Encoder>>,
    /// Source that sessions for one size are made of, where that is worth while.
    pub(crate) source: Option<Source>,
}
