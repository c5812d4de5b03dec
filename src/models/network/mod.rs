//! A network's session, fed and read as its signature says.

pub(crate) mod encoder;
pub(super) mod estimate;
pub(crate) mod input;
pub(crate) mod loaded;
pub(crate) mod output;
pub(super) mod prepared;
pub(super) mod sized_session;

use std::ops::Add as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};

use self::encoder::{FeatureCache, Features};
use self::input::{PictureRef, Tracked};
use self::loaded::Loaded;
use self::output::NetworkOutput;
use self::sized_session::SizedSession;
use super::error::ModelError;
use super::memory::{Clears, Reason, Usage, available};
use super::options::{ExecutionProvider, Precision};
use super::runtime::arena::Arena;
use super::runtime::binding::{self, Input, Target};
use super::runtime::fair_lock::FairLock;
use super::runtime::run_canceller::RunCanceller;
use super::runtime::session_waits::SessionWaits;
use super::runtime::tensor_pool::{Memory, Place};
use super::signature::Signature;
use super::signature::types::{Inputs, Timestep};
use crate::frames::{FrameError, space};
use crate::models::error::failed;
use crate::models::network::input::lay_out;

/// A network that can be run.
pub(crate) struct Network {
    /// Name of the model in messages.
    label: String,
    signature: Signature,
    /// Session of the network, which others may use too.
    session: Arc<FairLock<Session>>,
    /// Features found in each picture alone, where that is done apart.
    encodings: Option<FeatureCache>,
    canceller: RunCanceller,
    arena: Arc<Arena>,
    provider: ExecutionProvider,
    precision: Precision,
    /// Session that takes the place of `session` for pictures of its size.
    fitted: Option<SizedSession>,
    /// Session that will take that place, as soon as the one there has given back what it holds.
    coming: Option<SizedSession>,
    /// Time the latest run took, without the wait for its turn.
    took: Duration,
    /// Waits for sessions that others were using, since this was last asked.
    waits: SessionWaits,
    /// Reason why memory is to be given back with the next run, if it is.
    clear: Option<Reason>,
    clears: Clears,
    /// The input of everything as channels, or the plane of the phase.
    stacked: Vec<f32>,
    /// The padded size `stacked` was laid out for.
    stacked_for: (usize, usize),
}

impl Network {
    pub(crate) fn new(label: String, loaded: &Loaded) -> Result<Self, ModelError> {
        let session = Arc::clone(&loaded.session);
        let encodings = loaded.encoder.as_ref().map(FeatureCache::of);
        let canceller = (loaded.arena.clearing())
            .and_then(|clearing| RunCanceller::new(&session, clearing))
            .map_err(|error| ModelError::Unusable {
                model: label.clone(),
                reason: error.to_string(),
            })?;
        if let Some(encodings) = &encodings {
            canceller.watch(encodings.session());
        }
        Ok(Self {
            label,
            signature: loaded.signature.clone(),
            session,
            encodings,
            canceller,
            arena: Arc::clone(&loaded.arena),
            provider: loaded.provider,
            precision: loaded.precision,
            fitted: None,
            coming: None,
            took: Duration::ZERO,
            waits: SessionWaits::default(),
            clear: None,
            clears: Clears::default(),
            stacked: Vec::new(),
            stacked_for: (0, 0),
        })
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Returns the signature, to be corrected by what turns out when the network is measured.
    pub(crate) fn signature_mut(&mut self) -> &mut Signature {
        &mut self.signature
    }

    pub(crate) fn canceller(&self) -> &RunCanceller {
        &self.canceller
    }

    /// Returns the time the latest run on pictures of the host took, without the wait for its turn.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    /// Returns where it runs now, and in how many bits.
    pub(crate) fn place(&self) -> (ExecutionProvider, Precision) {
        match &self.fitted {
            Some(fitted) => fitted.place(),
            None => (self.provider, self.precision),
        }
    }

    /// Returns what the arenas of its sessions hold together, if the runtime tells.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let fitted = self.fitted.as_ref().map(SizedSession::arena);
        let encoder = self.encodings.as_ref().map(FeatureCache::arena);
        let arenas = [Some(&*self.arena), fitted, encoder].into_iter();
        arenas.flatten().filter_map(Arena::usage).reduce(Usage::add)
    }

    /// Lets a session for one size take over, from the run after the next on: with the next one the
    /// session that has served gives back what it holds.
    pub(crate) fn adopt(&mut self, fitted: SizedSession) {
        self.canceller.watch(fitted.session());
        self.coming = Some(fitted);
        self.clear(Reason::Interval);
    }

    /// Lets a session for one size take over at once.
    pub(crate) fn take_over(&mut self, fitted: SizedSession) {
        self.canceller.watch(fitted.session());
        self.fitted = Some(fitted);
    }

    /// Gives up sessions for other sizes than this, and what was found in pictures of those.
    pub(crate) fn fit(&mut self, size: (usize, usize)) {
        self.keep_features(|_| false);
        for fitted in [&mut self.fitted, &mut self.coming] {
            fitted.take_if(|fitted| fitted.size() != size);
        }
    }

    /// Returns whether a session for this very size has taken over, or will.
    pub(crate) fn is_fitted(&self) -> bool {
        self.fitted.is_some() || self.coming.is_some()
    }

    /// Gives memory back with the next run; the worse reason counts.
    pub(crate) fn clear(&mut self, reason: Reason) {
        if self.clear != Some(Reason::Pressure) {
            self.clear = Some(reason);
        }
        match reason {
            // what another size needed
            Reason::Interval => self.stacked.shrink_to_fit(),
            Reason::Pressure => {
                // the next run lays it out and finds them anew
                (self.stacked, self.stacked_for) = (Vec::new(), (0, 0));
                self.keep_features(|_| false);
            }
        }
    }

    /// Drops what was found in pictures that are not `there` any more.
    pub(crate) fn keep_features(&mut self, there: impl Fn(u64) -> bool) {
        if let Some(encodings) = &mut self.encodings {
            encodings.retain(there);
        }
    }

    /// Returns how often memory was given back since this was last asked.
    pub(crate) fn take_clears(&mut self) -> Clears {
        std::mem::take(&mut self.clears)
    }

    /// Returns how long its runs waited for others since this was last asked.
    pub(crate) fn take_waits(&mut self) -> SessionWaits {
        std::mem::take(&mut self.waits)
    }

    /// Runs the network on two pictures of three planes each, of the padded size, for a phase.
    pub(crate) fn run(
        &mut self,
        pictures: [Tracked<&[f32]>; 2],
        size: (usize, usize),
        phase: f32,
    ) -> Result<NetworkOutput, ModelError> {
        self.run_retrying(|network, clears| {
            network.make_room(size)?;
            let sights = pictures.map(|seen| seen.map(PictureRef::Host));
            let features = network.encode(sights, size, clears);
            let run = features.and_then(|features| match features {
                Some(features) => {
                    let planes = pictures.map(|seen| seen.picture);
                    network.run_session(planes, &features, size, phase, clears)
                }
                None => Ok(None),
            });
            run.map_err(|error| failed(&network.label, &error))
        })
    }

    /// Runs it on what lies in some memory, where its answer then lies, too. `inputs` are those of its
    /// signature, for these pictures of this size.
    pub(crate) fn run_bound(
        &mut self,
        pictures: [Tracked<Input>; 2],
        inputs: &[(&str, Input)],
        memory: &Memory,
        size: (usize, usize),
    ) -> Result<NetworkOutput, ModelError> {
        self.run_retrying(|network, clears| {
            let sights = pictures.map(|seen| seen.map(|input| PictureRef::Bound(input, memory)));
            let features = network.encode(sights, size, clears);
            let features = features.map_err(|error| failed(&network.label, &error))?;
            let Some(features) = features else {
                return Ok(None);
            };
            let found = network.find_features(&features);
            let found = found.map(|(name, value)| (name, Input::Value(value)));
            let inputs: Vec<_> = inputs.iter().copied().chain(found).collect();
            let canceller = &network.canceller;
            let names = network.signature.outputs.names();
            let outputs: Vec<_> = names
                .map(|name| (name, Target::Anew(Place::Device)))
                .collect();
            let mut waited = None;
            let run = |session: &mut Session, wait| {
                waited = wait;
                #[cfg(feature = "faults")]
                crate::faults::run(size.0 * size.1)?;
                let options = canceller.options(clears);
                binding::run(session, &inputs, outputs, memory, options).map(NetworkOutput::new)
            };
            let called_off = || canceller.is_cancelled();
            let session = network.session_for(size);
            let answer = session.take_timed(called_off, run);
            network.waits.add(waited);
            answer
                .transpose()
                .map_err(|error| failed(&network.label, &error))
        })
    }

    /// Returns what is found in each of two pictures alone, where it looks for anything; `None` if
    /// it was cancelled.
    fn encode(
        &mut self,
        pictures: [Tracked<PictureRef>; 2],
        size: (usize, usize),
        clears: bool,
    ) -> ort::Result<Option<[Features; 2]>> {
        let mut features = [Features::default(), Features::default()];
        if let Some(encodings) = &mut self.encodings {
            for (seen, features) in pictures.into_iter().zip(&mut features) {
                match encodings.find(seen, size, &self.canceller, clears, &mut self.waits)? {
                    Some(found) => *features = found,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(features))
    }

    /// Features by the names of the inputs they are for.
    fn find_features<'f>(
        &'f self,
        features: &'f [Features; 2],
    ) -> impl Iterator<Item = (&'f str, &'f DynValue)> {
        let names = self.encodings.iter().flat_map(FeatureCache::names);
        let all = names.zip(features);
        all.flat_map(|(names, values)| names.iter().map(String::as_str).zip(values.iter()))
    }

    /// Returns the session that runs pictures of a size.
    fn session_for(&self, size: (usize, usize)) -> &FairLock<Session> {
        match &self.fitted {
            Some(fitted) if fitted.size() == size => fitted.session(),
            _ => &self.session,
        }
    }

    /// Runs it; where memory lacks, gives back what is kept and tries once more. A run that fails
    /// gives back, too: so the second is also what empties the arena for a third.
    fn run_retrying(
        &mut self,
        mut run: impl FnMut(&mut Self, bool) -> Result<Option<NetworkOutput>, ModelError>,
    ) -> Result<NetworkOutput, ModelError> {
        let mut tries = 0..2;
        loop {
            match self.run_once(&mut run) {
                // what is not needed goes first
                Err(ModelError::Memory { .. } | ModelError::Run { .. }) if self.is_fitted() => {
                    (self.fitted, self.coming) = (None, None);
                }
                Err(ModelError::Memory { .. }) if tries.next().is_some() => {
                    self.clear(Reason::Pressure);
                }
                result => return result,
            }
        }
    }

    fn run_once(
        &mut self,
        run: &mut impl FnMut(&mut Self, bool) -> Result<Option<NetworkOutput>, ModelError>,
    ) -> Result<NetworkOutput, ModelError> {
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let clear = self.clear.take();
        let result = run(self, clear.is_some());
        if let Some(reason) = clear {
            self.clears.add(reason);
            if reason == Reason::Pressure {
                available::trim();
            }
        }
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        if result.is_ok() && clear.is_some() && self.coming.is_some() {
            self.fitted = self.coming.take();
        }
        result?.ok_or(ModelError::Cancelled)
    }

    pub(crate) fn unexpected(&self, reason: String) -> ModelError {
        ModelError::Output {
            model: self.label.clone(),
            reason,
        }
    }

    /// Reserves room for the input that is laid out here.
    fn make_room(&mut self, (width, height): (usize, usize)) -> Result<(), ModelError> {
        let planes = match &self.signature.inputs {
            Inputs::Stacked { channels, .. } => *channels,
            Inputs::PicturesAndTimestep {
                form: Timestep::Plane,
                ..
            } => 1,
            Inputs::Pictures(_) | Inputs::PicturesAndTimestep { .. } => 0,
        };
        let room = space::reserve(&mut self.stacked, planes * width * height);
        room.map_err(|error| self.no_memory(&error))
    }

    fn no_memory(&self, error: &FrameError) -> ModelError {
        ModelError::Memory {
            model: self.label.clone(),
            reason: error.to_string(),
        }
    }

    /// Runs the session; returns `None` if it was cancelled before its turn came.
    fn run_session(
        &mut self,
        [a, b]: [&[f32]; 2],
        features: &[Features; 2],
        (width, height): (usize, usize),
        phase: f32,
        clears: bool,
    ) -> ort::Result<Option<NetworkOutput>> {
        let shape = |channels: usize| [1, channels, height, width];
        let plane = width * height;
        let one = [phase];
        let mut inputs: Vec<(&str, SessionInputValue)> = Vec::with_capacity(3);
        match &self.signature.inputs {
            Inputs::Stacked { name, channels } => {
                if self.stacked_for != (width, height) {
                    lay_out(&mut self.stacked, *channels, width, height);
                    self.stacked_for = (width, height);
                }
                self.stacked[..3 * plane].copy_from_slice(a);
                self.stacked[3 * plane..6 * plane].copy_from_slice(b);
                if *channels > 6 {
                    self.stacked[6 * plane..7 * plane].fill(phase);
                }
                let input =
                    TensorRef::from_array_view((shape(*channels), self.stacked.as_slice()))?;
                inputs.push((name, input.into()));
            }
            Inputs::Pictures(pictures) => {
                for (name, picture) in pictures.iter().zip([a, b]) {
                    let input = TensorRef::from_array_view((shape(3), picture))?;
                    inputs.push((name, input.into()));
                }
            }
            Inputs::PicturesAndTimestep {
                pictures,
                timestep,
                form,
            } => {
                for (name, picture) in pictures.iter().zip([a, b]) {
                    let input = TensorRef::from_array_view((shape(3), picture))?;
                    inputs.push((name, input.into()));
                }
                let input = match form {
                    Timestep::Scalar(rank) => {
                        TensorRef::from_array_view((vec![1_usize; *rank], one.as_slice()))?
                    }
                    Timestep::Plane => {
                        self.stacked.clear();
                        self.stacked.resize(plane, phase);
                        TensorRef::from_array_view((shape(1), self.stacked.as_slice()))?
                    }
                };
                inputs.push((timestep, input.into()));
            }
        }
        let features = self.find_features(features);
        inputs.extend(features.map(|(name, value)| (name, value.into())));
        let names = self.signature.outputs.names();
        let canceller = &self.canceller;
        let mut took = Duration::ZERO;
        let mut waited = None;
        let run = |session: &mut Session, wait| {
            waited = wait;
            #[cfg(feature = "faults")]
            crate::faults::run(plane)?;
            let start = Instant::now();
            let mut outputs = session.run_with_options(inputs, canceller.options(clears))?;
            took = start.elapsed();
            Ok(NetworkOutput::new(
                names.filter_map(|name| outputs.remove(name)).collect(),
            ))
        };
        let called_off = || canceller.is_cancelled();
        let session = self.session_for((width, height));
        let answer = session.take_timed(called_off, run).transpose();
        self.took = took;
        self.waits.add(waited);
        answer
    }
}
