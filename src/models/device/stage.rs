//! A frame's way on a device, beside the network: for frames of one kind and one network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst_video::VideoInfo;
use ort::session::Session;
use ort::value::TensorElementType;

use super::bound::{self, Input, Target};
use super::finish::{Finisher, Finishing, Task};
use super::memory::{self, Buffer, Memory, Pool};
use super::transfer::{Source, transfer};
use crate::frames::{FrameError, FrameLayout, Plane, Sample, ScaleMethod};
use crate::models::answer::Answer;
use crate::models::arena::Arena;
use crate::models::bisect::Place;
use crate::models::encoder::Seen;
use crate::models::graph::frame::{Geometry, join};
use crate::models::graph::proto::ModelProto;
use crate::models::interpolator::Found;
use crate::models::memory::{Reason, Usage, is_shortage};
use crate::models::network::{self, Network};
use crate::models::prepared::{new_id, padded_size};
use crate::models::runtime::runtime;
use crate::models::signature::{Inputs, Timestep};
use crate::models::{
    Canceller, ExecutionProvider, Interpolator, LoadOptions, ModelError, ModelKind, WarmUp, session,
};

/// Tells stages apart.
static STAGE: AtomicU64 = AtomicU64::new(1);

/// A frame on the device: its planes, and what the network sees of it. Its memory serves the next frame
/// when it is dropped.
pub struct DeviceFrame {
    pub(super) planes: Vec<Buffer>,
    pub(super) picture: Buffer,
    /// On the host.
    thumbnail: Buffer,
    id: u64,
    /// Of which stage it is.
    stage: u64,
}

/// What an estimate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something that [`Stage::finish`] makes a frame of.
    Found,
    /// The first frame is nearer than all that a midpoint-only network is to make.
    First,
    /// The second one is nearer.
    Second,
}

/// What is done on a device beside a network: frames are made ready for it and made of what it gives.
///
/// Sessions for one kind of frame, run in turn with the network's; values go from one to the next
/// without leaving the provider's memory. To the device goes each frame, once; back come its thumbnail and
/// each new frame.
pub struct Stage {
    number: u64,
    label: String,
    canceller: Canceller,
    geometry: Geometry,
    layout: FrameLayout,
    memory: Arc<Memory>,
    ready: Session,
    /// Lays out the network's input, or a plane of the moment.
    join: Option<(Session, Buffer)>,
    finisher: Arc<Mutex<Finisher>>,
    differ: Differ,
    arena: Arena,
    pools: Pools,
    /// On the host: what is uploaded, and a single number.
    staging: Vec<Buffer>,
    moment: Buffer,
    clear: bool,
    found: Option<Found>,
}

/// What compares frames.
struct Differ {
    options: LoadOptions,
    provider: ExecutionProvider,
    /// Made with the first comparison.
    session: Option<Session>,
    /// On the host.
    found: Buffer,
}

/// What frames are made of.
struct Pools {
    planes: Vec<Arc<Pool>>,
    picture: Arc<Pool>,
    thumbnail: Arc<Pool>,
}

/// How frames and pictures are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Width and height of the network's picture.
    pub size: (usize, usize),
    /// Columns and rows of the thumbnail.
    pub cells: (usize, usize),
    /// How frames are shrunk.
    pub downscale: ScaleMethod,
    /// How frames are read along motion, and pictures enlarged.
    pub upscale: ScaleMethod,
    /// Whether frames are made of pictures, even if the network gives motion.
    pub pictures: bool,
}

impl Stage {
    /// For frames that `info` describes, on the device that the network runs on.
    ///
    /// # Errors
    /// [`ModelError::Picture`] if frames of this kind can't be dealt with on a device, or the network does
    /// not take this size; [`ModelError::Memory`]; others if the graphs don't start there.
    pub fn new(
        interpolator: &Interpolator,
        info: &VideoInfo,
        look: &Look,
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
            downscale: look.downscale,
            upscale: look.upscale,
        };
        let unfit = |error: FrameError| unfit(error.to_string());
        let layout = FrameLayout::new(info).map_err(unfit)?;
        let (options, provider) = (interpolator.options(), interpolator.info().provider);
        let start = |model| start(options, provider, &label, model);
        let ready = start(geometry.ready(look.cells).map_err(unfit)?)?;
        let join = join_for(&signature.inputs, geometry.padded);
        let join = join.map(start).transpose()?;
        let parts = Parts::new(&ready, join, look, &geometry, &layout, &signature.inputs, {
            (provider, options.device)
        });
        let parts = parts.map_err(|error| network::failed(&label, &error))?;
        let finishing = Finishing {
            label: label.clone(),
            options: options.clone(),
            provider,
            canceller: interpolator.canceller(),
            geometry: geometry.clone(),
            pictures: look.pictures || interpolator.info().kind == ModelKind::Picture,
            memory: Arc::clone(&parts.memory),
            out: parts.out,
            new: parts.pools.planes.clone(),
            late: parts.late,
        };
        let differ = Differ {
            options: options.clone(),
            provider,
            session: None,
            found: parts.found,
        };
        Ok(Self {
            number: STAGE.fetch_add(1, Ordering::Relaxed),
            canceller: interpolator.canceller(),
            layout,
            finisher: Arc::new(Mutex::new(Finisher::new(finishing))),
            differ,
            arena: Arena::of(&ready, provider, options.device),
            memory: parts.memory,
            ready,
            join: parts.join,
            pools: parts.pools,
            staging: parts.staging,
            moment: parts.moment,
            clear: false,
            found: None,
            geometry,
            label,
        })
    }

    /// Whether a frame was prepared here.
    pub fn accepts(&self, frame: &DeviceFrame) -> bool {
        frame.stage == self.number
    }

    /// Takes a frame's planes and makes it ready for the network: once, though it belongs to two pairs.
    ///
    /// # Errors
    /// If the planes are not those of the frames this was made for or can't be copied, if the run fails or
    /// is cancelled, or memory lacks.
    pub fn prepare(&mut self, source: Source) -> Result<DeviceFrame, ModelError> {
        self.check_cancelled()?;
        if let Source::Host(planes) = &source {
            let given = planes.iter().map(|p| (p.width, p.height, p.format));
            if !self.layout.shapes().eq(given) {
                return Err(ModelError::Mismatch("the frame is of another kind".into()));
            }
            for (plane, staging) in planes.iter().zip(&mut self.staging) {
                copy_in(plane, staging).map_err(|error| network::failed(&self.label, &error))?;
            }
        }
        let mut frame = self.frame().map_err(|error| self.failed(&error))?;
        let names: Vec<_> = (0..frame.planes.len())
            .map(|index| (format!("plane{index}"), format!("kept{index}")))
            .collect();
        let mut outputs = vec![
            ("picture", Target::Into(&mut frame.picture)),
            ("thumbnail", Target::Into(&mut frame.thumbnail)),
        ];
        let given = match source {
            Source::Host(_) => {
                for ((_, name), value) in names.iter().zip(&mut frame.planes) {
                    outputs.push((name, Target::Into(value)));
                }
                &self.staging
            }
            Source::Copied(copy) => {
                // to where they are kept, so that the graph need not
                transfer(&mut frame.planes, copy)
                    .map_err(|error| network::failed(&self.label, &error))?;
                &frame.planes
            }
        };
        let inputs = names.iter().zip(given);
        let inputs: Vec<_> = inputs
            .map(|((name, _), value)| (name.as_str(), Input::Tensor(value)))
            .collect();
        let options = self.canceller.options(self.clear);
        let run = bound::run(&mut self.ready, &inputs, outputs, &self.memory, options);
        self.done(run)?;
        frame.id = new_id();
        Ok(frame)
    }

    /// By how much two frames differ where they differ most; see [`crate::frames::difference`].
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
                none.insert(start(&differ.options, differ.provider, &self.label, model)?)
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
        let outputs = vec![("difference", Target::Into(&mut differ.found))];
        let options = self.canceller.options(false);
        let run = bound::run(session, &inputs, outputs, &self.memory, options);
        self.done(run)?;
        let found = self.differ.found.bytes();
        let found = found.and_then(|bytes| bytes.first_chunk().copied());
        Ok(found.map_or(f64::INFINITY, |bytes| f32::from_ne_bytes(bytes).into()))
    }

    /// Room for a frame.
    fn frame(&self) -> ort::Result<DeviceFrame> {
        let planes = self.pools.planes.iter().map(Pool::take);
        Ok(DeviceFrame {
            planes: planes.collect::<ort::Result<_>>()?,
            picture: self.pools.picture.take()?,
            thumbnail: self.pools.thumbnail.take()?,
            id: 0,
            stage: self.number,
        })
    }

    /// Has the network say what lies between two frames at `phase`, which is above 0 (the first) and below
    /// 1 (the second); as [`Interpolator::estimate`].
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
        let found = interpolator.find((a.id, b.id), phase, |network, places, moment| {
            let seen = |id, picture| Seen { id, picture };
            let pictures = places.map(|place| match place {
                Place::First => Some(seen(a.id, Input::Tensor(&a.picture))),
                Place::Second => Some(seen(b.id, Input::Tensor(&b.picture))),
                Place::Made(answer) => {
                    let picture = answer.values().first().map(Input::Value);
                    picture.map(|picture| seen(answer.id(), picture))
                }
            });
            match pictures {
                [Some(a), Some(b)] => self.ask(network, [a, b], moment),
                _ => Err(network.unexpected("an output is missing".into())),
            }
        })?;
        self.found = Some(found);
        Ok(match found {
            Found::First => Outcome::First,
            Found::Second => Outcome::Second,
            Found::Run | Found::Bisected(_) => Outcome::Found,
        })
    }

    /// Runs the network on two pictures.
    fn ask(
        &mut self,
        network: &mut Network,
        pictures: [Seen<Input>; 2],
        moment: f32,
    ) -> Result<Answer, ModelError> {
        set(&mut self.moment, moment).map_err(|error| self.failed(&error))?;
        let [a, b] = pictures.map(|seen| seen.picture);
        if let Some((session, joined)) = &mut self.join {
            let all = [("a", a), ("b", b), ("moment", Input::Tensor(&self.moment))];
            let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
            let inputs: Vec<_> = all
                .into_iter()
                .filter(|(name, _)| names.iter().any(|wanted| wanted == name))
                .collect();
            let outputs = vec![("joined", Target::Into(joined))];
            let options = self.canceller.options(false);
            bound::run(session, &inputs, outputs, &self.memory, options)
                .map_err(|error| self.failed(&error))?;
        }
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
                (timestep, joined.unwrap_or(Input::Tensor(&self.moment))),
            ],
        };
        network.run_bound(pictures, &inputs, &self.memory, self.geometry.padded)
    }

    /// What makes the frame that the latest estimate, of these two at `phase`, is about.
    ///
    /// # Errors
    /// If there was none.
    pub fn finish(
        &mut self,
        interpolator: &Interpolator,
        pair: [&Arc<DeviceFrame>; 2],
        phase: f64,
    ) -> Result<Task, ModelError> {
        let found = self.found.and_then(|found| interpolator.answer(found));
        let Some(answer) = found else {
            return Err(ModelError::Mismatch("nothing was estimated".into()));
        };
        let clear = std::mem::take(&mut self.clear);
        Ok(Task::new(
            &self.finisher,
            pair.map(Arc::clone),
            Arc::clone(answer),
            phase,
            clear,
        ))
    }

    /// What the arenas of its sessions hold together, if the runtime tells.
    pub fn usage(&self) -> Option<Usage> {
        // whoever finishes a frame has it: what it held before is as good
        let finish = self.finisher.try_lock().ok();
        let finish = finish.and_then(|finisher| finisher.usage());
        let usages = [self.arena.usage(), finish];
        usages.into_iter().flatten().reduce(std::ops::Add::add)
    }

    /// Has what comes behind the network made ready, too, when that is warmed up.
    pub fn attend(&self, warm_up: &mut WarmUp) {
        warm_up.finisher = Some(Arc::clone(&self.finisher));
    }

    /// Has memory that is kept for later given back, that of the sessions with their next run.
    pub fn clear(&mut self, reason: Reason) {
        self.clear = true;
        if reason == Reason::Pressure {
            let pools = self.pools.planes.iter();
            for pool in pools.chain([&self.pools.picture, &self.pools.thumbnail]) {
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
        network::failed(&self.label, error)
    }
}

impl DeviceFrame {
    /// Mean luma of cells of the picture, row by row, in `[0, 1]`.
    pub fn thumbnail(&self) -> &[f32] {
        let thumbnail = self.thumbnail.try_extract_tensor::<f32>();
        thumbnail.map_or(&[], |(_, cells)| cells)
    }
}

impl std::fmt::Debug for DeviceFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceFrame").field(&self.id).finish()
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

/// A session beside the network's, where that one runs.
pub(super) fn start(
    options: &LoadOptions,
    provider: ExecutionProvider,
    label: &str,
    model: ModelProto,
) -> Result<Session, ModelError> {
    let started = session::beside(runtime()?, options, provider, model);
    started.map_err(|reason| {
        let (model, reason) = (label.into(), format!("a graph beside it: {reason}"));
        match is_shortage(&reason) {
            true => ModelError::Memory { model, reason },
            false => ModelError::Unusable { model, reason },
        }
    })
}

/// How many channels are laid out for a network that does not take what there is as it is.
fn joined(inputs: &Inputs) -> Option<usize> {
    match inputs {
        Inputs::Stacked { channels, .. } => Some(*channels),
        Inputs::PicturesAndTimestep {
            form: Timestep::Plane,
            ..
        } => Some(1),
        Inputs::Pictures(_) | Inputs::PicturesAndTimestep { .. } => None,
    }
}

/// The graph that does so.
fn join_for(inputs: &Inputs, (width, height): (usize, usize)) -> Option<ModelProto> {
    let channels = joined(inputs)?;
    let mut all = Vec::new();
    if channels > 7 {
        network::lay_out(&mut all, channels, width, height);
    }
    let rest = all.get(7 * width * height..).unwrap_or_default();
    Some(join(channels, (width, height), rest))
}

/// What a stage has beside its sessions.
struct Parts {
    memory: Arc<Memory>,
    join: Option<(Session, Buffer)>,
    pools: Pools,
    staging: Vec<Buffer>,
    out: Vec<Buffer>,
    moment: Buffer,
    late: Buffer,
    found: Buffer,
}

impl Parts {
    fn new(
        ready: &Session,
        join: Option<Session>,
        look: &Look,
        geometry: &Geometry,
        layout: &FrameLayout,
        inputs: &Inputs,
        (provider, device): (ExecutionProvider, i32),
    ) -> ort::Result<Self> {
        let memory = Arc::new(Memory::of(ready, provider, device)?);
        let pool =
            |place, element, dims: &[i64]| Pool::new(&memory, place, element, dims.iter().copied());
        let planes = |place| {
            let planes = layout.shapes().map(move |(width, height, format)| {
                let element = match format.sample {
                    Sample::U8 => TensorElementType::Uint8,
                    Sample::U16 { .. } => TensorElementType::Uint16,
                };
                pool(
                    place,
                    element,
                    &[height as i64, (width * format.channels) as i64],
                )
            });
            planes.collect::<Vec<_>>()
        };
        let (device, staging) = (memory::Place::Device, memory::Place::Staging);
        let float = TensorElementType::Float32;
        let one = |rank| pool(staging, float, &vec![1; rank]).take();
        let (width, height) = (geometry.padded.0 as i64, geometry.padded.1 as i64);
        let (columns, rows) = (look.cells.0 as i64, look.cells.1 as i64);
        let host = planes(staging);
        let taken = || host.iter().map(Pool::take).collect::<ort::Result<_>>();
        let scalar = match inputs {
            Inputs::PicturesAndTimestep {
                form: Timestep::Scalar(rank),
                ..
            } => *rank,
            _ => 1,
        };
        let joined = |session: Session| -> ort::Result<_> {
            let channels = joined(inputs).unwrap_or(1) as i64;
            let joined = pool(device, float, &[1, channels, height, width]).take()?;
            Ok((session, joined))
        };
        Ok(Self {
            staging: taken()?,
            out: taken()?,
            moment: one(scalar)?,
            late: one(1)?,
            found: one(1)?,
            join: join.map(joined).transpose()?,
            pools: Pools {
                planes: planes(device),
                picture: pool(device, float, &[1, 3, height, width]),
                thumbnail: pool(staging, float, &[rows, columns]),
            },
            memory,
        })
    }
}

/// Writes a single number.
pub(super) fn set(value: &mut Buffer, number: f32) -> ort::Result<()> {
    let (_, numbers) = value.try_extract_tensor_mut::<f32>()?;
    numbers.fill(number);
    Ok(())
}

/// What should lie on the host, and doesn't.
pub(super) fn out_of_reach() -> ort::Error {
    ort::Error::new("memory that should lie on the host is out of reach")
}

/// A plane's rows without what lies between them.
fn copy_in(plane: &Plane, into: &mut Buffer) -> ort::Result<()> {
    let row = plane.row_bytes();
    let into = into.bytes_mut().ok_or_else(out_of_reach)?;
    let rows = plane.data.chunks(plane.stride);
    for (from, into) in rows.zip(into.chunks_exact_mut(row)) {
        into.copy_from_slice(&from[..row]);
    }
    Ok(())
}
