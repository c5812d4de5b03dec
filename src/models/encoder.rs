//! What a network looks for in each picture alone, found once for a picture: [`siamese`] splits a network
//! that has such a part, and this runs it.
//!
//! The split is proposed by the graph, and used if a run bears it out.

use std::sync::Arc;

use ort::session::{RunOptions, Session};
use ort::value::{DynValue, TensorRef};

use super::answer::Answer;
use super::arena::Arena;
use super::device::bound::{self, Input, Target};
use super::device::memory::{Memory, Place};
use super::graph::edit;
use super::graph::proto::ModelProto;
use super::graph::siamese::{self, Parts};
use super::network::Network;
use super::session::Started;
use super::shared::Loaded;
use super::signature::{Outputs, Signature};
use super::turns::Turns;
use super::{Canceller, LoadOptions, ModelError, measure, prepared, session};
use crate::frames::space;

/// By how much flow may differ from that of the network as a whole, on average, in pixels: a fraction of
/// what shows. Convolutions need not be added up in the same order, in 16 bits above all.
const MOST_FLOW: f64 = 1.0 / 64.0;
/// By how much masks and pictures may, of a range of 1: half a grey level of 255.
const MOST_PICTURE: f64 = 0.5 / 255.0;

/// The part of a network that looks at one picture, in the runtime's hands.
pub(super) struct Encoder {
    session: Arc<Turns<Session>>,
    arena: Arena,
    /// What the session calls its picture.
    picture: String,
    /// What the network calls the features of its first and of its second picture; the session calls
    /// them as those of the first.
    features: [Vec<String>; 2],
}

/// What was found in a picture: a value for each of the encoder's features.
pub(super) type Features = Arc<Vec<DynValue>>;

/// A picture that may be shown to a network again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<T> {
    /// Tells it from all other pictures; 0 if it won't be shown again.
    pub(super) id: u64,
    /// What it is.
    pub(super) picture: T,
}

impl<T> Seen<T> {
    /// Shown this once.
    pub(super) fn once(picture: T) -> Self {
        Self { id: 0, picture }
    }

    /// The same picture in another form.
    pub(super) fn map<U>(self, form: impl FnOnce(T) -> U) -> Seen<U> {
        Seen {
            id: self.id,
            picture: form(self.picture),
        }
    }
}

/// Where a picture lies, which is where its features come to lie.
#[derive(Clone, Copy)]
pub(super) enum Sight<'a> {
    /// Planes on the host.
    Host(&'a [f32]),
    /// In this memory.
    Bound(Input<'a>, &'a Memory),
}

impl Encoder {
    /// The shapes of the features of pictures of a size, by the names of the inputs they are for.
    pub(super) fn shapes(&self, size: (usize, usize)) -> Result<Vec<(String, Vec<i64>)>, String> {
        let mut nothing = Vec::new();
        space::resize(&mut nothing, 3 * size.0 * size.1, 0.0).map_err(|error| error.to_string())?;
        let run = |session: &mut Session| {
            let options = RunOptions::new()?;
            self.run(session, Sight::Host(&nothing), size, &options)
        };
        let found = self.session.take(|| false, run).transpose();
        let found = found.map_err(|error| session::plain(&error.to_string()))?;
        let found = found.unwrap_or_default();
        let shapes = found.iter().map(|value| value.shape().to_vec());
        let both = self.features.iter().map(|names| names.iter().cloned());
        Ok(both.flat_map(|names| names.zip(shapes.clone())).collect())
    }

    fn run(
        &self,
        session: &mut Session,
        picture: Sight,
        (width, height): (usize, usize),
        options: &RunOptions,
    ) -> ort::Result<Vec<DynValue>> {
        #[cfg(feature = "faults")]
        crate::faults::encode(width * height)?;
        let names = self.features[0].iter().map(String::as_str);
        let name = self.picture.as_str();
        match picture {
            Sight::Host(planes) => {
                let input = TensorRef::from_array_view(([1, 3, height, width], planes))?;
                let inputs = ort::inputs![name => input];
                let mut outputs = session.run_with_options(inputs, options)?;
                Ok(names.filter_map(|name| outputs.remove(name)).collect())
            }
            Sight::Bound(input, memory) => {
                let outputs = names
                    .map(|name| (name, Target::Anew(Place::Device)))
                    .collect();
                bound::run(session, &[(name, input)], outputs, memory, options)
            }
        }
    }
}

/// An encoder, and what it has found in the pictures that are still there.
pub(super) struct Encodings {
    encoder: Arc<Encoder>,
    kept: Vec<(u64, Features)>,
}

impl Encodings {
    pub(super) fn of(encoder: &Arc<Encoder>) -> Self {
        Self {
            encoder: Arc::clone(encoder),
            kept: Vec::new(),
        }
    }

    pub(super) fn session(&self) -> &Arc<Turns<Session>> {
        &self.encoder.session
    }

    pub(super) fn arena(&self) -> &Arena {
        &self.encoder.arena
    }

    /// What the network calls the features of its first and its second picture.
    pub(super) fn names(&self) -> &[Vec<String>; 2] {
        &self.encoder.features
    }

    /// The features of a picture of this size, found now if they were not before; `None` if it was called
    /// off.
    pub(super) fn find(
        &mut self,
        seen: Seen<Sight>,
        size: (usize, usize),
        canceller: &Canceller,
        clears: bool,
    ) -> ort::Result<Option<Features>> {
        let known = self.kept.iter().find(|(id, _)| *id == seen.id);
        if let Some((_, features)) = known {
            return Ok(Some(Arc::clone(features)));
        }
        let encoder = &self.encoder;
        let options = canceller.options(clears);
        let run = |session: &mut Session| encoder.run(session, seen.picture, size, options);
        let called_off = || canceller.is_cancelled();
        let found = encoder.session.take(called_off, run).transpose()?;
        let features = found.map(Arc::new);
        if let (Some(features), 1..) = (&features, seen.id) {
            self.kept.push((seen.id, Arc::clone(features)));
        }
        Ok(features)
    }

    /// Drops what was found in pictures that are not `there` any more.
    pub(super) fn retain(&mut self, there: impl Fn(u64) -> bool) {
        self.kept.retain(|(id, _)| there(*id));
    }
}

/// Has a part of `whole`, of which `model` was made, that looks at each picture alone run in a session of
/// its own; `begin` makes sessions, and `start` networks. Where there is no such part it stays as it is,
/// and where it gives something else then; notes tell.
pub(super) fn part_off(
    options: &LoadOptions,
    label: &str,
    model: &ModelProto,
    mut whole: Loaded,
    begin: impl Fn(ModelProto) -> Result<Started, ModelError>,
    start: impl Fn(ModelProto, Signature) -> Result<Loaded, ModelError>,
) -> Loaded {
    let Some(parts) = siamese::split(model, &whole.signature) else {
        return whole;
    };
    let parted = match session::is_limited(options) {
        // the limit is one session's
        true => Err("its memory is limited".into()),
        false => parted(options, label, parts, &whole, begin, start),
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

fn parted(
    options: &LoadOptions,
    label: &str,
    parts: Parts,
    whole: &Loaded,
    begin: impl Fn(ModelProto) -> Result<Started, ModelError>,
    start: impl Fn(ModelProto, Signature) -> Result<Loaded, ModelError>,
) -> Result<Loaded, String> {
    let text = |error: ModelError| error.to_string();
    // of a file's only size, which may be any
    let size = measure::trial_size(&whole.signature);
    prepared::padded_size(&whole.signature, size)?;
    space::probe(2 * 3 * size.0 * size.1 * size_of::<f32>()).map_err(|error| error.to_string())?;
    let Parts {
        encoder,
        mut rest,
        picture,
        features,
        work: (once, all),
    } = parts;
    let started = begin(encoder).map_err(text)?;
    let (session, provider) = (started.session, started.provider);
    let encoder = Encoder {
        arena: Arena::of(&session, provider, options.device),
        session: Arc::new(Turns::new(session)),
        picture,
        features,
    };
    let shapes = encoder.shapes(size)?;
    open(&mut rest, shapes);
    let mut loaded = start(rest, whole.signature.clone()).map_err(text)?;
    if [provider, loaded.provider] != [whole.provider; 2] {
        return Err("its parts don't run where the whole does".into());
    }
    loaded.own_nodes += started.own_nodes;
    loaded.encoder = Some(Arc::new(encoder));
    let answer = |loaded: &Loaded| {
        let mut network = Network::new(label.into(), loaded)?;
        measure::trial(&mut network)
    };
    let (expected, found) = (answer(whole).map_err(text)?, answer(&loaded).map_err(text)?);
    let motion = matches!(whole.signature.outputs, Outputs::Motion { .. });
    let met = compared(&expected, &found, motion)?;
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

/// How well the parts together give what the whole does, or why that is not enough.
fn compared(expected: &Answer, found: &Answer, motion: bool) -> Result<String, String> {
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
