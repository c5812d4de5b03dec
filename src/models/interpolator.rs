//! A loaded network and its use.

use std::path::Path;
use std::sync::Arc;

use ort::value::DynValue;

use super::bisect::{self, Bisection, Place, Step};
use super::error::ModelError;
use super::loading::specialise::Specialise;
use super::loading::{self, Key, LoadJob, catalog};
use super::memory::{Clears, Reason, Usage, available};
use super::network::Network;
use super::network::estimate::{Estimate, Inference};
use super::network::input::Tracked;
use super::network::loaded::Loaded;
use super::network::output::NetworkOutput;
use super::network::prepared::{self, Prepared};
use super::network::sized_session::SizedSession;
use super::options::{LoadOptions, ModelInfo, ModelKind};
use super::registry::Shared;
use super::runtime::load_canceller::LoadCanceller;
use super::runtime::run_canceller::RunCanceller;
use super::runtime::runtime;
use super::runtime::session_waits::SessionWaits;
use super::signature::metadata::Stated;
use super::signature::types::Outputs;
use crate::frames::{FrameError, Picture, space};

/// A loaded network.
pub struct Interpolator {
    info: ModelInfo,
    network: Network,
    /// The session, kept where others find it.
    loaded: Shared<Loaded>,
    key: Key,
    options: LoadOptions,
    /// True on a GPU until a session for one size could not be made, or was no gain.
    may_specialise: bool,
    /// The size that pictures are padded to now.
    size: (usize, usize),
    /// How deep it bisects, where it must.
    bisection_depth: u32,
    /// Outputs that a midpoint-only network has made of the latest pair.
    bisection: Bisection<Arc<NetworkOutput>>,
    /// The network's latest answer, which motion borrows from.
    answer: Option<Arc<NetworkOutput>>,
    /// The latest answer as a picture.
    picture: Picture,
}

/// Place of the answer for a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is the latest run's.
    Run,
    /// It was made by bisection, at this slot.
    Bisected(u32),
    /// The first picture is nearer than all that is to be made.
    First,
    /// The second one is.
    Second,
}

/// A run on pictures of zeros, so that the first real one is not slow.
pub struct WarmUp {
    network: Network,
    size: (usize, usize),
    /// Step that follows the network on a device, given what the network answers.
    then: Option<Box<NextStep>>,
}

/// A step that follows a network's answer.
type NextStep = dyn FnOnce(&[DynValue]) -> Result<(), ModelError> + Send;

impl WarmUp {
    /// Runs it, unless it is interrupted.
    pub fn run(mut self, interrupt: &LoadCanceller) -> Result<(), ModelError> {
        let canceller = self.network.canceller().clone();
        interrupt.add(move || canceller.cancel());
        let (width, height) = self.size;
        let mut zeros = Vec::new();
        let room = space::resize(&mut zeros, 3 * width * height, 0.0);
        room.map_err(|error| ModelError::Memory {
            model: self.network.label().into(),
            reason: error.to_string(),
        })?;
        let pictures = [Tracked::once(zeros.as_slice()); 2];
        let answer = self.network.run(pictures, self.size, 0.5)?;
        match self.then {
            Some(then) => then(answer.values()),
            None => Ok(()),
        }
    }

    /// Sets a step to be done with what the network answers.
    pub(super) fn then(
        &mut self,
        step: impl FnOnce(&[DynValue]) -> Result<(), ModelError> + Send + 'static,
    ) {
        self.then = Some(Box::new(step));
    }
}

impl std::fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarmUp")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Interpolator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpolator")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Interpolator {
    /// Loads a network. Takes a fraction of a second for the built-in one on the CPU. One from a
    /// file is run on something small, to find out what its graph does not say.
    pub fn load(options: &LoadOptions) -> Result<Self, ModelError> {
        Self::load_unless(options, &LoadCanceller::default())
    }

    /// Loads a network, and gives up with an error when it is interrupted.
    pub fn load_unless(
        options: &LoadOptions,
        interrupt: &LoadCanceller,
    ) -> Result<Self, ModelError> {
        let source = catalog::find(&options.model)?;
        let (label, file) = (source.label(), source.file());
        let stated = Stated::gather(options.family, &options.info, file.as_deref())
            .map_err(|reason| ModelError::Info { reason })?;
        let contents = source.read()?;
        let runtime = runtime()?;
        let key = Key::new(contents.digest, options, stated.clone());
        let loaded = loading::loaded(key.clone(), || {
            let job = LoadJob {
                runtime,
                options,
                label: &label,
                file: &contents.bytes,
                interrupt,
            };
            // a built-in network states everything itself, and rightly
            let measured = file.is_some() || !stated.is_empty();
            match job.load(&contents, &stated, measured) {
                Err(ModelError::Memory { .. }) => {
                    available::trim();
                    job.load(&contents, &stated, measured)
                }
                result => result,
            }
        })?;
        let network = Network::new(label, &loaded)?;

        let signature = network.signature();
        let stem = file.as_deref().and_then(Path::file_stem);
        let info = ModelInfo {
            name: (source.name().map(str::to_owned))
                .or_else(|| signature.name.clone())
                .or_else(|| Some(stem?.to_string_lossy().into_owned()))
                .unwrap_or_default(),
            family: signature.family.clone(),
            file,
            shared: loaded.found,
            provider: loaded.provider,
            precision: loaded.precision,
            device: options.device,
            fallback: loaded.note.clone(),
            kind: match signature.outputs {
                Outputs::Motion { .. } => ModelKind::Motion,
                Outputs::Picture(_) => ModelKind::Picture,
            },
            any_phase: signature.any_phase,
            levels_light: signature.levels_light,
            align: signature.align,
            fixed_size: signature.fixed,
            notes: signature.notes.clone(),
            own_nodes: loaded.own_nodes,
            runtime_version: runtime.version.clone(),
            runtime_library: runtime.library.clone(),
        };
        Ok(Self {
            info,
            network,
            may_specialise: loaded.source.is_some(),
            size: (0, 0),
            loaded,
            key,
            options: options.clone(),
            bisection_depth: bisect::DEFAULT_DEPTH,
            bisection: Bisection::default(),
            answer: None,
            picture: Picture::default(),
        })
    }

    /// Returns what is shared with others who loaded the same.
    #[cfg(test)]
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Returns the facts about the network.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Returns the options it was loaded with, for what is to run beside it.
    pub(super) fn options(&self) -> &LoadOptions {
        &self.options
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// A handle with which another thread can stop an estimate.
    pub fn canceller(&self) -> RunCanceller {
        self.network.canceller().clone()
    }

    /// Allows estimates again after [`RunCanceller::cancel`].
    pub fn rearm(&self) {
        self.network.canceller().rearm();
    }

    /// Sets how often a midpoint-only network halves a pair, or a part of it, for a phase that is
    /// no exact 2^-n: 3 gives eighths. Exact ones (1/2, 1/4, 3/4, 1/8, … 63/64) it reaches anyway.
    pub fn set_bisection_depth(&mut self, depth: u32) {
        self.bisection_depth = depth;
    }

    /// Gives memory back that is kept for the next run. [`Reason::Interval`] frees what is spare: what
    /// the session's arena holds and does not use, with the next run, and room behind pictures.
    /// [`Reason::Pressure`] also frees buffers that the next run will allocate again. Others who share
    /// the session take anew what they need.
    pub fn clear(&mut self, reason: Reason) {
        self.network.clear(reason);
        match reason {
            Reason::Interval => self.picture.data.shrink_to_fit(),
            Reason::Pressure => self.picture = Picture::default(),
        }
    }

    /// Expects pictures of this size from now on. Gives up what was made for another size, and
    /// returns what could be made for this one, on another thread, to make runs faster.
    pub fn fit(&mut self, picture: (usize, usize)) -> Option<Specialise> {
        let size = prepared::padded_size(self.network.signature(), picture).ok()?;
        self.size = size;
        self.network.fit(size);
        self.refresh_place();
        if !self.may_specialise || self.network.is_fitted() {
            return None;
        }
        Specialise::new(&self.loaded, &self.key, self.network.label(), size)
    }

    /// Lets what was made for one size run pictures of that size, from the run after the next on.
    /// `None`: it can't be made, or is no gain, and is not tried again.
    pub fn adopt(&mut self, fitted: Option<SizedSession>) {
        match fitted {
            Some(fitted) if self.size == fitted.size() => self.network.adopt(fitted),
            // the size has changed meanwhile
            Some(_) => {}
            None => self.may_specialise = false,
        }
    }

    /// Returns what is to be run once on another thread, so that the first run on pictures of this
    /// size takes no longer than the next: a GPU gets its code and its memory with the first run,
    /// and plans its convolutions. `None` where it takes no longer anyway.
    pub fn warm_up(&self, picture: (usize, usize)) -> Option<WarmUp> {
        let size = prepared::padded_size(self.network.signature(), picture).ok()?;
        // there is a source only where sessions for one size pay off, on a GPU; so does this
        self.loaded.source.as_ref()?;
        let network = Network::new(self.network.label().into(), &self.loaded).ok()?;
        Some(WarmUp {
            network,
            size,
            then: None,
        })
    }

    /// Updates the facts about what runs it, which a run may have changed.
    fn refresh_place(&mut self) {
        (self.info.provider, self.info.precision) = self.network.place();
    }

    /// Returns how often memory was given back since this was last asked.
    pub fn take_clears(&mut self) -> Clears {
        self.network.take_clears()
    }

    /// Returns how long its runs waited for others, with which it shares sessions, since this was
    /// last asked.
    pub fn take_waits(&mut self) -> SessionWaits {
        self.network.take_waits()
    }

    /// Returns what the arenas of its sessions hold, if the runtime tells. Takes some microseconds.
    pub fn usage(&self) -> Option<Usage> {
        self.network.usage()
    }

    /// Makes a picture ready for this network: once, though it belongs to two pairs.
    pub fn prepare(&self, picture: &Picture, into: &mut Prepared) -> Result<(), ModelError> {
        let signature = self.network.signature();
        into.make_room(signature, (picture.width, picture.height))
            .map_err(|error| self.no_memory(&error))?;
        into.set(signature, picture)
            .map_err(|reason| ModelError::Picture {
                model: self.network.label().into(),
                reason,
            })
    }

    /// Returns whether a picture was prepared as this network wants it, perhaps by another one.
    pub fn accepts(&self, prepared: &Prepared) -> bool {
        prepared.suits(self.network.signature())
    }

    /// Estimates what lies between two prepared pictures at `phase`, which is above 0 (the first)
    /// and below 1 (the second).
    ///
    /// A network that knows only what lies midway (not [`ModelInfo::any_phase`]) is asked for the
    /// middle of the pair, then the middle of a half, and so on
    /// ([`set_bisection_depth`](Self::set_bisection_depth)). What it makes on the way is kept until
    /// the pair changes; phases in rising order make nothing twice. One that gives motion cannot
    /// be asked for the middle of a half, and answers with the middle, or with one of the two
    /// pictures where that is nearer.
    pub fn estimate(
        &mut self,
        a: &Prepared,
        b: &Prepared,
        phase: f32,
    ) -> Result<Estimate<'_>, ModelError> {
        if self.info.kind == ModelKind::Picture {
            self.make_room(a)?;
        }
        let found = self.run(a, b, phase)?;
        let (network, kind, picture) = (&self.network, self.info.kind, &mut self.picture);
        let answer = match found {
            Found::First => return Ok(Estimate::First),
            Found::Second => return Ok(Estimate::Second),
            Found::Run => self.answer.as_ref(),
            Found::Bisected(slot) => self.bisection.at(slot),
        };
        let answer = answer.ok_or_else(|| network.unexpected("nothing".into()))?;
        match kind {
            ModelKind::Motion => answer.motion(a.size(), a.padded()).map(Estimate::Motion),
            ModelKind::Picture => {
                let cropped = answer.crop(a.padded(), picture);
                cropped.map(|()| Estimate::Picture(picture))
            }
        }
        .map_err(|why| network.unexpected(why))
    }

    /// Estimates as [`estimate`](Self::estimate) does, for who keeps the result while the network
    /// goes on.
    pub(crate) fn infer(
        &mut self,
        a: &Prepared,
        b: &Prepared,
        phase: f32,
    ) -> Result<Inference, ModelError> {
        let found = self.run(a, b, phase)?;
        let network = &self.network;
        let answer = match found {
            Found::First => return Ok(Inference::First),
            Found::Second => return Ok(Inference::Second),
            found => self.answer(found),
        };
        let answer = answer.ok_or_else(|| network.unexpected("nothing".into()))?;
        Inference::of(answer, self.info.kind, a).map_err(|why| network.unexpected(why))
    }

    /// Runs the network on two prepared pictures.
    fn run(&mut self, a: &Prepared, b: &Prepared, phase: f32) -> Result<Found, ModelError> {
        if !(phase > 0.0 && phase < 1.0) {
            return Err(ModelError::Mismatch(format!(
                "the phase {phase} does not lie between 0 and 1"
            )));
        }
        if a.size() != b.size() {
            let ((aw, ah), (bw, bh)) = (a.size(), b.size());
            return Err(ModelError::Mismatch(format!(
                "one is {aw}x{ah}, the other {bw}x{bh}"
            )));
        }
        if !self.accepts(a) || !self.accepts(b) {
            return Err(ModelError::Mismatch(
                "they were not prepared for this model".into(),
            ));
        }
        self.find((a.id(), b.id()), phase, |network, places, phase| {
            let seen = |id, picture| Tracked { id, picture };
            let pictures = places.map(|place| match place {
                Place::First => Ok(seen(a.id(), a.data())),
                Place::Second => Ok(seen(b.id(), b.data())),
                // at the network's size and precision, as it came
                Place::Made(answer) => {
                    let planes = answer.picture(a.padded());
                    planes.map(|planes| seen(answer.id(), planes))
                }
            });
            let [first, second] = pictures;
            let pictures = first.and_then(|first| Ok([first, second?]));
            let pictures = pictures.map_err(|why| network.unexpected(why))?;
            network.run(pictures, a.padded(), phase)
        })
    }

    /// Runs the network on a pair, which the ids of its two pictures tell from others. `run` runs
    /// it for a phase between two places of that pair.
    pub(super) fn find(
        &mut self,
        pair: (u64, u64),
        phase: f32,
        mut run: impl FnMut(
            &mut Network,
            [Place<'_, Arc<NetworkOutput>>; 2],
            f32,
        ) -> Result<NetworkOutput, ModelError>,
    ) -> Result<Found, ModelError> {
        // the memory of the last answer is free to be used again
        self.answer = None;
        self.refresh_place();
        self.bisection.begin(pair);
        let made = self.bisection.made().map(|answer| answer.id());
        let there: Vec<u64> = [pair.0, pair.1].into_iter().chain(made).collect();
        self.network.keep_features(|id| there.contains(&id));
        let phase = match (self.info.kind, self.info.any_phase) {
            (ModelKind::Picture, false) => return self.bisected(phase, run),
            (ModelKind::Motion, false) => match bisect::nearest(phase, 1) {
                0.0 => return Ok(Found::First),
                1.0 => return Ok(Found::Second),
                middle => middle,
            },
            (_, true) => phase,
        };
        let answer = run(&mut self.network, [Place::First, Place::Second], phase)?;
        self.answer = Some(Arc::new(answer));
        Ok(Found::Run)
    }

    /// Returns what was found, if it is not one of the pair.
    pub(super) fn answer(&self, found: Found) -> Option<&Arc<NetworkOutput>> {
        match found {
            Found::First | Found::Second => None,
            Found::Run => self.answer.as_ref(),
            Found::Bisected(slot) => self.bisection.at(slot),
        }
    }

    /// The picture at `phase` from a network that knows midpoints only.
    /// The pair is the one that the bisection has begun with.
    fn bisected(
        &mut self,
        phase: f32,
        mut run: impl FnMut(
            &mut Network,
            [Place<'_, Arc<NetworkOutput>>; 2],
            f32,
        ) -> Result<NetworkOutput, ModelError>,
    ) -> Result<Found, ModelError> {
        let slot = bisect::slot(phase, self.bisection_depth);
        loop {
            let (middle, picture) = match self.bisection.step(slot) {
                Step::There(Place::First) => return Ok(Found::First),
                Step::There(Place::Second) => return Ok(Found::Second),
                Step::There(Place::Made(_)) => return Ok(Found::Bisected(slot)),
                Step::Make(middle, places) => (middle, run(&mut self.network, places, 0.5)?),
            };
            self.bisection.insert(middle, Arc::new(picture));
        }
    }

    /// Makes room for a picture of this size.
    fn make_room(&mut self, size: &Prepared) -> Result<(), ModelError> {
        let (width, height) = size.size();
        let room = self.picture.resize(width, height);
        room.map_err(|error| self.no_memory(&error))
    }

    fn no_memory(&self, error: &FrameError) -> ModelError {
        ModelError::Memory {
            model: self.network.label().into(),
            reason: error.to_string(),
        }
    }
}
