//! A frame's way on a device, beside the network: for frames of one kind and one network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst_video::VideoInfo;

use super::budget::MemoryBudget;
use super::buffers::{Buffers, Pools, join_for};
use super::graphs::Geometry;
use super::postprocess::{PostprocessJob, PostprocessSetup, Postprocessor};
use super::preprocess::{DeviceFrame, PreprocessJob, Preprocessor};
use crate::frames::{FrameError, FrameLayout, ScaleMethod};
use crate::models::bisect::Place;
use crate::models::device::helper_session::{HelperSession, set, start};
use crate::models::error::{ModelError, failed};
use crate::models::interpolator::{Found, Interpolator, WarmUp};
use crate::models::memory::{Parts, Reason, Usage};
use crate::models::network::Network;
use crate::models::network::input::Tracked;
use crate::models::network::output::NetworkOutput;
use crate::models::network::prepared::padded_size;
use crate::models::options::{ExecutionProvider, LoadOptions, ModelKind};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::binding::{self, Input, Target};
use crate::models::runtime::run_canceller::RunCanceller;
use crate::models::runtime::tensor_pool::{self, Buffer, Memory};
use crate::models::signature::types::Inputs;
use crate::sync::lock;

/// Number of the next pipeline, which tells them apart.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Result of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something that [`DevicePipeline::finish`] makes a frame of.
    Found,
    /// The first frame is nearer than all that a midpoint-only network is to make.
    First,
    /// The second one is nearer.
    Second,
}

/// Work on a device beside a network: frames are made ready for it and made of what it gives.
///
/// Sessions for one kind of frame, run in turn with the network's; values go from one to the next
/// without leaving the provider's memory. To the device goes each frame, once; back come its
/// thumbnail and each new frame.
pub struct DevicePipeline {
    number: u64,
    pub(crate) label: String,
    canceller: RunCanceller,
    pub(crate) geometry: Geometry,
    memory: Arc<Memory>,
    preprocessor: Arc<Mutex<Preprocessor>>,
    /// Lays out the network's input, or a plane of the phase.
    pub(crate) join: Option<(HelperSession, Buffer)>,
    pub(crate) postprocessor: Arc<Mutex<Postprocessor>>,
    pub(crate) differ: Differ,
    /// Arena of the session that makes frames ready.
    pub(crate) arena: Arena,
    pools: Pools,
    /// On the host: a single number.
    phase_input: Buffer,
    clear: bool,
    found: Option<Found>,
    /// Phase of the latest estimate.
    phase: f32,
}

/// Comparison of frames, in a session of its own.
pub(crate) struct Differ {
    options: LoadOptions,
    provider: ExecutionProvider,
    /// Bytes that its session may hold (0: any number).
    pub(crate) limit: u64,
    /// Made with the first comparison.
    pub(crate) session: Option<HelperSession>,
}

/// Methods by which frames and pictures are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineOptions {
    /// Width and height of the network's picture.
    pub size: (usize, usize),
    /// Columns and rows of the thumbnail.
    pub cells: (usize, usize),
    /// Method by which frames are shrunk.
    pub downscale: ScaleMethod,
    /// Method by which frames are read along motion, and pictures enlarged.
    pub upscale: ScaleMethod,
    /// Whether frames are made of pictures, even if the network gives motion.
    pub pictures: bool,
}

impl DevicePipeline {
    /// Creates a pipeline for frames that `info` describes, on the device that the network runs on.
    ///
    /// # Errors
    /// [`ModelError::Picture`] if frames of this kind can't be dealt with on a device or within the
    /// limit on memory, or the network does not take this size; [`ModelError::Memory`]; others if
    /// the graphs don't start there.
    pub fn new(
        interpolator: &Interpolator,
        info: &VideoInfo,
        look: &PipelineOptions,
    ) -> Result<Self, ModelError> {
        let limit = Parts::of(interpolator.options().memory_limit).frames;
        Self::within(interpolator, info, look, limit)
    }

    /// The same, each of its sessions bounded by itself.
    pub(crate) fn bounded(
        interpolator: &Interpolator,
        info: &VideoInfo,
        look: &PipelineOptions,
        shares: MemoryBudget,
    ) -> Result<Self, ModelError> {
        let network = interpolator.network();
        let label = network.label().to_owned();
        let signature = network.signature();
        let unfit = |reason| ModelError::Picture {
            model: label.clone(),
            reason,
        };
        let geometry = Geometry {
            info: info.clone(),
            small: look.size,
            padded: padded_size(signature, look.size).map_err(unfit)?,
            padding: signature.padding,
            downscale: look.downscale,
            upscale: look.upscale,
            pictures: look.pictures || interpolator.info().kind == ModelKind::Picture,
        };
        let odd = |error: FrameError| unfit(error.to_string());
        let layout = FrameLayout::new(info).map_err(odd)?;
        let (options, provider) = (interpolator.options(), interpolator.info().provider);
        let start = |model, limit| start(options, provider, &label, model, limit);
        let ready = start(geometry.ready(look.cells).map_err(odd)?, shares.ready)?;
        let join = join_for(&signature.inputs, geometry.padded);
        let join = join.map(|model| start(model, shares.join)).transpose()?;
        let values = Buffers::new(
            &ready.session,
            join,
            &geometry,
            &layout,
            &signature.inputs,
            (provider, options.device),
        );
        let values = values.map_err(|error| failed(&label, &error))?;
        let setup = PostprocessSetup {
            label: label.clone(),
            options: options.clone(),
            provider,
            limit: shares.finish,
            canceller: interpolator.canceller(),
            geometry: geometry.clone(),
            memory: Arc::clone(&values.memory),
            new: values.pools.planes.clone(),
        };
        let differ = Differ {
            options: options.clone(),
            provider,
            limit: shares.differ,
            session: None,
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let preprocessor = Preprocessor {
            label: label.clone(),
            canceller: interpolator.canceller(),
            layout,
            memory: Arc::clone(&values.memory),
            session: ready.session,
            pools: values.pools.clone(),
            staging: values.staging,
            pipeline: number,
        };
        Ok(Self {
            number,
            canceller: interpolator.canceller(),
            preprocessor: Arc::new(Mutex::new(preprocessor)),
            postprocessor: Arc::new(Mutex::new(Postprocessor::new(setup))),
            differ,
            arena: ready.arena,
            memory: values.memory,
            join: values.join,
            pools: values.pools,
            phase_input: values.phase_input,
            clear: false,
            found: None,
            phase: 0.5,
            geometry,
            label,
        })
    }

    /// Returns whether a frame was prepared here.
    pub fn accepts(&self, frame: &DeviceFrame) -> bool {
        frame.pipeline == self.number
    }

    /// Returns the job that makes a frame ready for the network.
    pub fn prepare(&self) -> PreprocessJob {
        PreprocessJob::new(&self.preprocessor, self.clear)
    }

    /// Returns by how much two frames differ where they differ most; see
    /// [`crate::frames::difference`].
    ///
    /// # Errors
    /// If they were not prepared here, if the run fails or is cancelled, or memory lacks.
    pub fn difference(&mut self, a: &DeviceFrame, b: &DeviceFrame) -> Result<f64, ModelError> {
        self.check_cancelled()?;
        if !self.accepts(a) || !self.accepts(b) {
            return Err(ModelError::Mismatch(
                "they were not prepared for this model".into(),
            ));
        }
        let differ = &mut self.differ;
        let session = match &mut differ.session {
            Some(session) => session,
            none => {
                let model = self.geometry.difference();
                let model = model.map_err(|error| ModelError::Mismatch(error.to_string()))?;
                let (options, limit) = (&differ.options, differ.limit);
                none.insert(start(options, differ.provider, &self.label, model, limit)?)
            }
        };
        let names: Vec<_> = (0..a.planes.len())
            .map(|index| (format!("a{index}"), format!("b{index}")))
            .collect();
        let mut inputs = Vec::new();
        for ((first, second), (a, b)) in names.iter().zip(a.planes.iter().zip(&b.planes)) {
            inputs.push((first.as_str(), Input::Tensor(a)));
            inputs.push((second.as_str(), Input::Tensor(b)));
        }
        let outputs = vec![("difference", Target::Anew(tensor_pool::Place::Staging))];
        let options = self.canceller.options(false);
        let run = binding::run(
            &mut session.session,
            &inputs,
            outputs,
            &self.memory,
            options,
        );
        let values = self.done(run)?;
        let found = values.first().and_then(tensor_pool::bytes);
        let found = found.and_then(|bytes| bytes.first_chunk().copied());
        Ok(found.map_or(f64::INFINITY, |bytes| f32::from_ne_bytes(bytes).into()))
    }

    /// Estimates with the network what lies between two frames at `phase`, which is above 0 (the
    /// first) and below 1 (the second); as [`Interpolator::estimate`].
    ///
    /// # Errors
    /// As [`Interpolator::estimate`].
    pub fn estimate(
        &mut self,
        interpolator: &mut Interpolator,
        a: &DeviceFrame,
        b: &DeviceFrame,
        phase: f32,
    ) -> Result<Outcome, ModelError> {
        if !(phase > 0.0 && phase < 1.0) {
            return Err(ModelError::Mismatch(format!(
                "the phase {phase} does not lie between 0 and 1"
            )));
        }
        if !self.accepts(a) || !self.accepts(b) {
            return Err(ModelError::Mismatch(
                "they were not prepared for this model".into(),
            ));
        }
        self.found = None;
        let found = interpolator.find((a.id, b.id), phase, |network, places, phase| {
            let seen = |id, picture| Tracked { id, picture };
            let pictures = places.map(|place| match place {
                Place::First => Some(seen(a.id, Input::Tensor(&a.picture))),
                Place::Second => Some(seen(b.id, Input::Tensor(&b.picture))),
                Place::Made(answer) => {
                    let picture = answer.values().first().map(Input::Value);
                    picture.map(|picture| seen(answer.id(), picture))
                }
            });
            match pictures {
                [Some(a), Some(b)] => self.run_network(network, [a, b], phase),
                _ => Err(network.unexpected("an output is missing".into())),
            }
        })?;
        (self.found, self.phase) = (Some(found), phase);
        Ok(match found {
            Found::First => Outcome::First,
            Found::Second => Outcome::Second,
            Found::Run | Found::Bisected(_) => Outcome::Found,
        })
    }

    /// Lays out what the network takes of two pictures, where it does not take them as they are.
    pub(crate) fn lay_out(&mut self, [a, b]: [Input; 2], phase: f32) -> Result<(), ModelError> {
        set(&mut self.phase_input, phase).map_err(|error| self.failed(&error))?;
        if let Some((HelperSession { session, .. }, joined)) = &mut self.join {
            let all = [
                ("a", a),
                ("b", b),
                ("phase", Input::Tensor(&self.phase_input)),
            ];
            let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
            let inputs: Vec<_> = all
                .into_iter()
                .filter(|(name, _)| names.iter().any(|wanted| wanted == name))
                .collect();
            let outputs = vec![("joined", Target::Into(joined))];
            let options = self.canceller.options(false);
            binding::run(session, &inputs, outputs, &self.memory, options)
                .map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// Runs the network on two pictures.
    fn run_network(
        &mut self,
        network: &mut Network,
        pictures: [Tracked<Input>; 2],
        phase: f32,
    ) -> Result<NetworkOutput, ModelError> {
        let [a, b] = pictures.map(|seen| seen.picture);
        self.lay_out([a, b], phase)?;
        let joined = self.join.as_ref().map(|(_, joined)| Input::Tensor(joined));
        let signature = network.signature().inputs.clone();
        let inputs: Vec<(&str, Input)> = match &signature {
            Inputs::Stacked { name, .. } => joined
                .map(|value| (name.as_str(), value))
                .into_iter()
                .collect(),
            Inputs::Pictures([first, second]) => vec![(first, a), (second, b)],
            Inputs::PicturesAndTimestep {
                pictures: [first, second],
                timestep,
                ..
            } => vec![
                (first, a),
                (second, b),
                (timestep, joined.unwrap_or(Input::Tensor(&self.phase_input))),
            ],
        };
        network.run_bound(pictures, &inputs, &self.memory, self.geometry.padded)
    }

    /// Returns the job that makes the frame of the latest estimate, which was of these two.
    ///
    /// # Errors
    /// If there was none.
    pub fn finish(
        &mut self,
        interpolator: &Interpolator,
        pair: [&Arc<DeviceFrame>; 2],
    ) -> Result<PostprocessJob, ModelError> {
        let found = self.found.and_then(|found| interpolator.answer(found));
        let Some(answer) = found else {
            return Err(ModelError::Mismatch("nothing was estimated".into()));
        };
        let answer = Arc::clone(answer);
        Ok(self.job(pair, &answer))
    }

    /// Returns the job that makes a frame of an answer.
    pub(crate) fn job(
        &mut self,
        pair: [&Arc<DeviceFrame>; 2],
        answer: &Arc<NetworkOutput>,
    ) -> PostprocessJob {
        let clear = std::mem::take(&mut self.clear);
        let (pair, answer) = (pair.map(Arc::clone), Arc::clone(answer));
        PostprocessJob::new(&self.postprocessor, pair, (answer, self.phase), clear)
    }

    /// Returns what the arenas of its sessions hold together, if the runtime tells.
    pub fn usage(&self) -> Option<Usage> {
        // whoever finishes a frame has it: what it held before is as good
        let finish = self.postprocessor.try_lock().ok();
        let finish = finish.and_then(|postprocessor| postprocessor.usage());
        let join = self.join.as_ref().map(|(beside, _)| &beside.arena);
        let differ = self.differ.session.as_ref().map(|beside| &beside.arena);
        let arenas = [Some(&self.arena), join, differ].into_iter().flatten();
        let usages = arenas.filter_map(Arena::usage).chain(finish);
        usages.reduce(std::ops::Add::add)
    }

    /// Adds to the network's warm-up that what comes behind the network is made ready, too.
    pub fn join_warm_up(&self, warm_up: &mut WarmUp) {
        let postprocessor = Arc::clone(&self.postprocessor);
        warm_up.then(move |answer| lock(&postprocessor).get_ready(answer));
    }

    /// Gives back memory that is kept for later, that of the sessions with their next run.
    pub fn clear(&mut self, reason: Reason) {
        self.clear = true;
        if reason == Reason::Pressure {
            let pools = self.pools.planes.iter();
            for pool in pools.chain([&self.pools.picture]) {
                pool.clear();
            }
        }
    }

    fn check_cancelled(&self) -> Result<(), ModelError> {
        match self.canceller.is_cancelled() {
            true => Err(ModelError::Cancelled),
            false => Ok(()),
        }
    }

    fn done<T>(&self, run: ort::Result<T>) -> Result<T, ModelError> {
        let run = run.map_err(|error| self.failed(&error));
        self.check_cancelled()?;
        run
    }

    fn failed(&self, error: &ort::Error) -> ModelError {
        failed(&self.label, error)
    }
}

impl std::fmt::Debug for DevicePipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevicePipeline")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}
