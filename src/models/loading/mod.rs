//! From a file's bytes to a network that runs, and is known.

pub mod catalog;
mod contents;
mod extract_motion;
pub(crate) mod normalise;
pub(crate) mod probe;
pub(crate) mod siamese;
pub(crate) mod specialise;
mod split_encoder;

use std::sync::Arc;

use onnx_graph::proto::ModelProto;

use super::error::ModelError;
use super::network::Network;
use super::network::loaded::Loaded;
use super::options::LoadOptions;
use super::runtime::Runtime;
use super::runtime::arena::Arena;
use super::runtime::fair_lock::FairLock;
use super::runtime::load_canceller::LoadCanceller;
use super::runtime::session::{self, Started};
use super::signature::Signature;
use super::signature::metadata::Stated;
use crate::frames::space;
use crate::models::catalog::{Contents, Digest};
use crate::models::registry::{Registry, Shared};

/// Load of one file's network.
pub(crate) struct LoadJob<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) options: &'a LoadOptions,
    /// Name of the model in messages.
    pub(crate) label: &'a str,
    /// Bytes that weights are parts of.
    pub(crate) file: &'a Arc<[u8]>,
    /// Canceller that stops it.
    pub(crate) interrupt: &'a LoadCanceller,
}

impl LoadJob<'_> {
    /// Detects what a network is, starts it, and, if it is to be `measured`, finds out what its
    /// graph does not say.
    pub(crate) fn load(
        &self,
        contents: &Contents,
        stated: &Stated,
        measured: bool,
    ) -> Result<Loaded, ModelError> {
        let unusable = |reason| ModelError::Unusable {
            model: self.label.into(),
            reason,
        };
        // what follows would be ended, not refused, for want of memory, so that is looked for first
        space::probe(self.file.len()).map_err(|error| ModelError::Memory {
            model: self.label.into(),
            reason: error.to_string(),
        })?;
        let mut model = contents.decode().map_err(unusable)?;
        let mut signature = Signature::of(&model, stated).map_err(unusable)?;
        normalise::normalise(&mut model, &mut signature);
        let whole = match measured {
            true => self.examine(&mut model, signature)?,
            false => self.start(model.clone(), signature)?,
        };
        session::keep_outputs(&mut model, &whole.signature.outputs);
        Ok(split_encoder::part_off(self, &model, whole))
    }

    /// Starts a network and measures it; where its picture is made of motion, starts it anew with
    /// that for an answer, for which the model is changed too.
    fn examine(&self, model: &mut ModelProto, signature: Signature) -> Result<Loaded, ModelError> {
        let mut loaded = self.start(model.clone(), signature)?;
        let mut network = Network::new(self.label.into(), &loaded)?;
        probe::measure(&mut network)?;
        if let Some(motion) = extract_motion::extract(self, &mut network, model)? {
            return Ok(motion);
        }
        loaded.signature = network.signature().clone();
        Ok(loaded)
    }

    /// Opens a session of a graph.
    fn open(&self, model: ModelProto) -> Result<Started, ModelError> {
        let (runtime, options) = (self.runtime, self.options);
        session::start(
            runtime,
            options,
            self.label,
            model,
            self.file,
            self.interrupt,
        )
    }

    /// Starts a network of this signature.
    fn start(&self, mut model: ModelProto, mut signature: Signature) -> Result<Loaded, ModelError> {
        session::keep_outputs(&mut model, &signature.outputs);
        let started = self.open(model)?;
        let notes = &mut signature.notes;
        notes.extend(started.precision_note.filter(|note| !notes.contains(note)));
        let device = self.options.device;
        let arena = Arena::of(&started.session, started.provider, device);
        Ok(Loaded {
            signature,
            provider: started.provider,
            precision: started.precision,
            note: started.note,
            own_nodes: started.own_nodes,
            source: started.source,
            session: Arc::new(FairLock::new(started.session)),
            arena: Arc::new(arena),
            encoder: None,
        })
    }
}

/// Key that makes two loads one: the content, what is stated about it, and all options but the
/// name it was found by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    digest: Digest,
    options: LoadOptions,
    stated: Stated,
}

impl Key {
    pub(crate) fn new(digest: Digest, options: &LoadOptions, stated: Stated) -> Self {
        Self {
            digest,
            options: LoadOptions {
                model: String::new(),
                // a path, perhaps; `stated` has what it says
                info: String::new(),
                ..options.clone()
            },
            stated,
        }
    }
}

/// Returns what is in use under this key, or what `load` makes. Who comes while it is being made
/// waits for it; if making it fails, the next in line tries.
pub(crate) fn loaded(
    key: Key,
    load: impl FnOnce() -> Result<Loaded, ModelError>,
) -> Result<Shared<Loaded>, ModelError> {
    static LOADED: Registry<Key, Loaded> = Registry::new();
    LOADED.get(key, load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_options_and_statement_make_a_load_another_but_not_the_name() {
        let options = LoadOptions::default();
        let key = |content: u8, options: &LoadOptions| {
            Key::new([content; 32], options, Stated::default())
        };
        let named = LoadOptions {
            model: "a name".into(),
            ..options.clone()
        };
        let threaded = LoadOptions {
            threads: 2,
            ..options.clone()
        };
        assert_eq!(key(1, &options), key(1, &named));
        assert_ne!(key(1, &options), key(2, &options));
        assert_ne!(key(1, &options), key(1, &threaded));
    }
}
