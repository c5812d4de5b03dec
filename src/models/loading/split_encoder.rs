//! Parting a network into an encoder and the rest, where a run bears out that it is the same.

use std::sync::Arc;

use onnx_graph::edit;
use onnx_graph::proto::ModelProto;

use super::LoadJob;
use super::probe;
use super::siamese::{self, Parts};
use crate::frames::space;
use crate::models::error::ModelError;
use crate::models::network::encoder::Encoder;
use crate::models::network::loaded::Loaded;
use crate::models::network::output::NetworkOutput;
use crate::models::network::{Network, prepared};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::fair_lock::FairLock;
use crate::models::runtime::session;
use crate::models::signature::types::Outputs;

/// By how much flow may differ from that of the network as a whole, on average, in pixels: a fraction of
/// what shows. Convolutions need not be added up in the same order, in 16 bits above all.
const MOST_FLOW: f64 = 1.0 / 64.0;

/// By how much masks and pictures may, of a range of 1: half a grey level of 255.
const MOST_PICTURE: f64 = 0.5 / 255.0;

/// Moves the part of `whole`, whose graph is `model`, that looks at each picture alone into a
/// session of its own. Where there is no such part `whole` stays as it is, and where it would give
/// something else then; notes tell.
pub(crate) fn part_off(job: &LoadJob, model: &ModelProto, mut whole: Loaded) -> Loaded {
    let Some(parts) = siamese::split(model, &whole.signature) else {
        return whole;
    };
    let parted = match session::is_limited(job.options) {
        // the limit is one session's
        true => Err("its memory is limited".into()),
        false => load_parts(job, parts, &whole),
    };
    match parted {
        Ok(parts) => parts,
        Err(why) => {
            let notes = &mut whole.signature.notes;
            notes.push(format!("encoder: found, and not used: {why}"));
            whole
        }
    }
}

/// Starts the parts of a network, and compares what they give with what the whole does.
fn load_parts(job: &LoadJob, parts: Parts, whole: &Loaded) -> Result<Loaded, String> {
    let text = |error: ModelError| error.to_string();
    // of a file's only size, which may be any
    let size = probe::trial_size(&whole.signature);
    prepared::padded_size(&whole.signature, size)?;
    space::probe(2 * 3 * size.0 * size.1 * size_of::<f32>()).map_err(|error| error.to_string())?;
    let Parts {
        encoder,
        mut rest,
        picture,
        features,
        work: (once, all),
    } = parts;
    let started = job.open(encoder).map_err(text)?;
    let (session, provider) = (started.session, started.provider);
    let encoder = Encoder {
        arena: Arena::of(&session, provider, job.options.device),
        session: Arc::new(FairLock::new(session)),
        picture,
        features,
    };
    let shapes = encoder.shapes(size)?;
    open(&mut rest, shapes);
    let mut loaded = job.start(rest, whole.signature.clone()).map_err(text)?;
    if [provider, loaded.provider] != [whole.provider; 2] {
        return Err("its parts don't run where the whole does".into());
    }
    loaded.own_nodes += started.own_nodes;
    loaded.encoder = Some(Arc::new(encoder));
    let answer = |loaded: &Loaded| {
        let mut network = Network::new(job.label.into(), loaded)?;
        probe::trial(&mut network)
    };
    let (expected, found) = (answer(whole).map_err(text)?, answer(&loaded).map_err(text)?);
    let motion = matches!(whole.signature.outputs, Outputs::Motion { .. });
    let met = compare(&expected, &found, motion)?;
    let notes = &mut loaded.signature.notes;
    notes.push(format!(
        "encoder: {once} of {all} convolutions are done once a picture, {met}"
    ));
    Ok(loaded)
}

/// Tells what is known of the shapes of features, for pictures of any size: the runtime lays out memory, and
/// so adds up numbers, by how many channels there are.
fn open(rest: &mut ModelProto, mut shapes: Vec<(String, Vec<i64>)>) {
    for (_, dims) in &mut shapes {
        match dims.as_mut_slice() {
            [_, _, sides @ ..] if sides.len() == 2 => sides.fill(-1),
            others => others.fill(-1),
        }
    }
    let shapes: Vec<_> = shapes
        .iter()
        .map(|(name, dims)| (&**name, dims.clone()))
        .collect();
    edit::fix_inputs(rest.graph.get_or_insert_default(), &shapes);
}

/// Returns how well the parts together give what the whole does, or why that is not enough.
fn compare(
    expected: &NetworkOutput,
    found: &NetworkOutput,
    motion: bool,
) -> Result<String, String> {
    if expected.equals(found)? {
        return Ok("met exactly".into());
    }
    let [first, second] = expected.distance(found)?;
    let most = if motion { MOST_FLOW } else { MOST_PICTURE };
    match first <= most && second <= MOST_PICTURE {
        true => Ok(format!("met to {first:.1e} and {second:.1e}")),
        false => Err(format!("its answers differ by {first:.3} and {second:.3}")),
    }
}
