//! From a file's bytes to a network that runs, and is known.

use std::sync::Arc;

use bytes::Bytes;

use super::arena::Arena;
use super::graph::proto::ModelProto;
use super::graph::{self, border};
use super::network::Network;
use super::runtime::Runtime;
use super::shared::Loaded;
use super::signature::Signature;
use super::statement::Stated;
use super::turns::Turns;
use super::{Interrupt, LoadOptions, ModelError, encoder, measure, session, unblend};
use crate::frames::space;

/// Detects what a network is, starts it, and, if it is to be `measured`, finds out what its graph
/// does not say.
pub(super) fn load(
    runtime: &Runtime,
    options: &LoadOptions,
    label: &str,
    file: &Arc<[u8]>,
    stated: &Stated,
    measured: bool,
    interrupt: &Interrupt,
) -> Result<Loaded, ModelError> {
    let unusable = |reason| ModelError::Unusable {
        model: label.into(),
        reason,
    };
    // what follows would be ended, not refused, for want of memory, so that is looked for first
    space::probe(file.len()).map_err(|error| ModelError::Memory {
        model: label.into(),
        reason: error.to_string(),
    })?;
    let bytes = Bytes::from_owner(Arc::clone(file));
    let mut model = graph::decode_shared(&bytes).map_err(unusable)?;
    let mut signature = Signature::of(&model, stated).map_err(unusable)?;
    border::normalise(&mut model, &mut signature);
    let begin = |model| session::start(runtime, options, label, model, file, interrupt);
    let start = |mut model, mut signature: Signature| {
        session::keep_outputs(&mut model, &signature.outputs);
        let started = begin(model)?;
        let notes = &mut signature.notes;
        notes.extend(started.precision_note.filter(|note| !notes.contains(note)));
        let arena = Arena::of(&started.session, started.provider, options.device);
        Ok(Loaded {
            signature,
            provider: started.provider,
            precision: started.precision,
            note: started.note,
            own_nodes: started.own_nodes,
            source: started.source,
            session: Arc::new(Turns::new(started.session)),
            arena: Arc::new(arena),
            encoder: None,
        })
    };
    let whole = match measured {
        true => examine(label, &mut model, signature, start)?,
        false => start(model.clone(), signature)?,
    };
    session::keep_outputs(&mut model, &whole.signature.outputs);
    Ok(encoder::part_off(
        options, label, &model, whole, begin, start,
    ))
}

/// Starts a network and measures it; where its picture is made of motion, starts it anew with that
/// for an answer, for which the model is changed too.
fn examine(
    label: &str,
    model: &mut ModelProto,
    signature: Signature,
    start: impl Fn(ModelProto, Signature) -> Result<Loaded, ModelError>,
) -> Result<Loaded, ModelError> {
    let mut loaded = start(model.clone(), signature)?;
    let mut network = Network::new(label.into(), &loaded)?;
    measure::measure(&mut network)?;
    if let Some(motion) = unblend::unblend(&mut network, model, start)? {
        return Ok(motion);
    }
    loaded.signature = network.signature().clone();
    Ok(loaded)
}
