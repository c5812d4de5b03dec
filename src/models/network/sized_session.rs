//! A session for pictures of one size, which takes the place of the one for any.

use std::sync::Arc;

use ort::session::Session;

use crate::models::options::{ExecutionProvider, Precision};
use crate::models::registry::Shared;
use crate::models::runtime::arena::Arena;
use crate::models::runtime::fair_lock::FairLock;

/// A session for pictures of one size.
#[derive(Clone)]
pub struct SizedSession(pub(crate) Shared<SizedParts>);

/// Parts shared by the elements that make the same of the same network.
pub(crate) struct SizedParts {
    pub(crate) size: (usize, usize),
    pub(crate) session: Arc<FairLock<Session>>,
    pub(crate) arena: Arena,
    pub(crate) provider: ExecutionProvider,
    pub(crate) precision: Precision,
}

impl SizedSession {
    pub(crate) fn size(&self) -> (usize, usize) {
        self.0.size
    }

    pub(crate) fn session(&self) -> &Arc<FairLock<Session>> {
        &self.0.session
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.0.arena
    }

    pub(crate) fn place(&self) -> (ExecutionProvider, Precision) {
        (self.0.provider, self.0.precision)
    }
}

impl std::fmt::Debug for SizedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SizedSession")
            .field(&self.size())
            .field(&self.place())
            .finish()
    }
}
