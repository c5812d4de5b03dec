//! Features that a network finds in each picture alone, found once for a picture: `siamese` splits
//! a network that has such a part, and this runs it.
//!
//! The split is proposed by the graph, and used if a run bears it out.

use std::sync::Arc;

use ort::session::{RunOptions, Session};
use ort::value::{DynValue, TensorRef};

use crate::frames::space;
use crate::models::error::plain;
use crate::models::network::{PictureRef, Tracked};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::binding::{self, Target};
use crate::models::runtime::fair_lock::FairLock;
use crate::models::runtime::run_canceller::RunCanceller;
use crate::models::runtime::session_waits::SessionWaits;
use crate::models::runtime::tensor_pool::Place;

/// The part of a network that looks at one picture, in the runtime's hands.
pub(crate) struct Encoder {
    pub(crate) session: Arc<FairLock<Session>>,
    pub(crate) arena: Arena,
    /// Session's name for its picture.
    pub(crate) picture: String,
    /// Network's names for the features of its first and of its second picture; the session calls
    /// them as those of the first.
    pub(crate) features: [Vec<String>; 2],
}

/// Features found in a picture: a value for each of the encoder's.
pub(crate) type Features = Arc<Vec<DynValue>>;

impl Encoder {
    /// The shapes of the features of pictures of a size, by the names of the inputs they are for.
    pub(crate) fn shapes(&self, size: (usize, usize)) -> Result<Vec<(String, Vec<i64>)>, String> {
        let mut nothing = Vec::new();
        space::resize(&mut nothing, 3 * size.0 * size.1, 0.0).map_err(|error| error.to_string())?;
        let run = |session: &mut Session| {
            let options = RunOptions::new()?;
            self.run(session, PictureRef::Host(&nothing), size, &options)
        };
        let found = self.session.take(|| false, run).transpose();
        let found = found.map_err(|error| plain(&error.to_string()))?;
        let found = found.unwrap_or_default();
        let shapes = found.iter().map(|value| value.shape().to_vec());
        let both = self.features.iter().map(|names| names.iter().cloned());
        Ok(both.flat_map(|names| names.zip(shapes.clone())).collect())
    }

    fn run(
        &self,
        session: &mut Session,
        picture: PictureRef,
        (width, height): (usize, usize),
        options: &RunOptions,
    ) -> ort::Result<Vec<DynValue>> {
        #[cfg(feature = "faults")]
        crate::faults::encode(width * height)?;
        let names = self.features[0].iter().map(String::as_str);
        let name = self.picture.as_str();
        match picture {
            PictureRef::Host(planes) => {
                let input = TensorRef::from_array_view(([1, 3, height, width], planes))?;
                let inputs = ort::inputs![name => input];
                let mut outputs = session.run_with_options(inputs, options)?;
                Ok(names.filter_map(|name| outputs.remove(name)).collect())
            }
            PictureRef::Bound(input, memory) => {
                let outputs = names
                    .map(|name| (name, Target::Anew(Place::Device)))
                    .collect();
                binding::run(session, &[(name, input)], outputs, memory, options)
            }
        }
    }
}

/// An encoder, and what it has found in the pictures that are still there.
pub(crate) struct FeatureCache {
    encoder: Arc<Encoder>,
    kept: Vec<(u64, Features)>,
}

impl FeatureCache {
    pub(crate) fn of(encoder: &Arc<Encoder>) -> Self {
        Self {
            encoder: Arc::clone(encoder),
            kept: Vec::new(),
        }
    }

    pub(crate) fn session(&self) -> &Arc<FairLock<Session>> {
        &self.encoder.session
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.encoder.arena
    }

    /// Returns the network's names for the features of its first and its second picture.
    pub(crate) fn names(&self) -> &[Vec<String>; 2] {
        &self.encoder.features
    }

    /// The features of a picture of this size, found now if they were not before; `None` if it was called
    /// off. Adds to `waits` how long others were waited for.
    pub(crate) fn find(
        &mut self,
        seen: Tracked<PictureRef>,
        size: (usize, usize),
        canceller: &RunCanceller,
        clears: bool,
        waits: &mut SessionWaits,
    ) -> ort::Result<Option<Features>> {
        let known = self.kept.iter().find(|(id, _)| *id == seen.id);
        if let Some((_, features)) = known {
            return Ok(Some(Arc::clone(features)));
        }
        let encoder = &self.encoder;
        let options = canceller.options(clears);
        let run = |session: &mut Session, waited| {
            waits.add(waited);
            encoder.run(session, seen.picture, size, options)
        };
        let called_off = || canceller.is_cancelled();
        let found = encoder.session.take_timed(called_off, run).transpose()?;
        let features = found.map(Arc::new);
        if let (Some(features), 1..) = (&features, seen.id) {
            self.kept.push((seen.id, Arc::clone(features)));
        }
        Ok(features)
    }

    /// Drops what was found in pictures that are not `there` any more.
    pub(crate) fn retain(&mut self, there: impl Fn(u64) -> bool) {
        self.kept.retain(|(id, _)| there(*id));
    }
}
