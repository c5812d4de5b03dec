//! A frame's way on a device, beside the network: for frames of one kind and one network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst_video::VideoInfo;
use ort::session::Session;
use ort::value::{DynValue, TensorElementType};

use super::bound::{self, Input, Target};
use super::memory::{self, Buffer, Memory, Pool};
use super::transfer::{Dense, Sink, Source, Transfer};
use crate::frames::{FrameError, FrameLayout, Plane, PlaneMut, Sample, ScaleMethod};
use crate::models::arena::Arena;
use crate::models::bisect::Place;
use crate::models::graph::frame::{Answer, Geometry, join};
use crate::models::graph::proto::ModelProto;
use crate::models::interpolator::Found;
use crate::models::memory::{Reason, Usage, is_shortage};
use crate::models::network::{self, Network};
use crate::models::prepared::padded_size;
use crate::models::runtime::runtime;
use crate::models::signature::{Inputs, Timestep};
use crate::models::{
    Canceller, ExecutionProvider, Interpolator, LoadOptions, ModelError, ModelKind, session,
};

/// Tells every frame that was prepared from all others.
static ID: AtomicU64 = AtomicU64::new(1);
/// Tells stages apart.
static STAGE: AtomicU64 = AtomicU64::new(1);

/// A frame on the device: its planes, and what the network sees of it. Its memory serves the next frame
/// when it is dropped.
pub struct DeviceFrame {
    planes: Vec<Buffer>,
    picture: Buffer,
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
    options: LoadOptions,
    provider: ExecutionProvider,
    canceller: Canceller,
    geometry: Geometry,
    layout: FrameLayout,
    /// Whether pictures are warped rather than planes.
    pictures: bool,
    memory: Arc<Memory>,
    ready: Session,
    /// Lays out the network's input, or a plane of the moment.
    join: Option<(Session, Buffer)>,
    /// Made with the first answer, which says how large its grid is.
    finish: Option<(Answer, Session)>,
    /// Of the sessions for every frame, the latter as soon as it is there.
    arenas: Vec<Arena>,
    /// Compares frames; made with the first comparison.
    differ: Option<Session>,
    pools: Pools,
    /// On the host: what is uploaded, what came back, and single numbers.
    staging: Vec<Buffer>,
    out: Vec<Buffer>,
    moment: Buffer,
    late: Buffer,
    clear: bool,
    found: Option<Found>,
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
        let kind = interpolator.info().kind;
        Ok(Self {
            number: STAGE.fetch_add(1, Ordering::Relaxed),
            options: options.clone(),
            provider,
            canceller: interpolator.canceller(),
            layout,
            pictures: look.pictures || kind == ModelKind::Picture,
            arenas: vec![Arena::of(&ready, provider, options.device)],
            memory: parts.memory,
            ready,
            join: parts.join,
            finish: None,
            differ: None,
            pools: parts.pools,
            staging: parts.staging,
            out: parts.out,
            moment: parts.moment,
            late: parts.late,
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
                self.transfer(&mut frame.planes, copy)?;
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
        frame.id = ID.fetch_add(1, Ordering::Relaxed);
        Ok(frame)
    }

    /// Has planes copied to or from values of this stage.
    fn transfer(&self, values: &mut [Buffer], copy: &mut Transfer) -> Result<(), ModelError> {
        let planes = values.iter_mut().zip(self.layout.shapes());
        let planes = planes.map(|(value, (width, height, format))| {
            let sample = match format.sample {
                Sample::U8 => 1,
                Sample::U16 { .. } => 2,
            };
            let size = (width * format.channels * sample, height);
            let on_device = !value.memory_info().is_cpu_accessible();
            // SAFETY: the value was made with this size, is borrowed, and no run is under way.
            unsafe { Dense::new(value.data_ptr_mut(), on_device, size) }
        });
        copy(&planes.collect::<Vec<_>>()).map_err(|reason| {
            let reason = format!("a frame can't be copied: {reason}");
            self.failed(&ort::Error::new(reason))
        })
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
        let session = match &mut self.differ {
            Some(session) => session,
            none => {
                let model = self.geometry.difference();
                let model = model.map_err(|error| ModelError::Mismatch(error.to_string()))?;
                none.insert(start(&self.options, self.provider, &self.label, model)?)
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
        // a number on the host, which is set anew where a frame is finished
        let outputs = vec![("difference", Target::Into(&mut self.late))];
        let options = self.canceller.options(false);
        let run = bound::run(session, &inputs, outputs, &self.memory, options);
        self.done(run)?;
        let found = self.late.bytes().and_then(|bytes| bytes.first_chunk());
        let found = found.copied().map(f32::from_ne_bytes);
        Ok(found.map_or(f64::INFINITY, f64::from))
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
            let pictures = places.map(|place| match place {
                Place::First => Some(Input::Tensor(&a.picture)),
                Place::Second => Some(Input::Tensor(&b.picture)),
                Place::Made(answer) => answer.values().first().map(Input::Value),
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
        pictures: [Input; 2],
        moment: f32,
    ) -> Result<network::Answer, ModelError> {
        set(&mut self.moment, moment).map_err(|error| self.failed(&error))?;
        let [a, b] = pictures;
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
        network.run_bound(&inputs, &self.memory, self.geometry.padded)
    }

    /// Makes the frame that the latest estimate, of `a` and `b` at `phase`, is about.
    ///
    /// # Errors
    /// If there was none, if the answer has another shape than it should, if the run fails or is cancelled,
    /// or memory lacks.
    pub fn finish(
        &mut self,
        interpolator: &mut Interpolator,
        a: &DeviceFrame,
        b: &DeviceFrame,
        phase: f64,
        out: Sink,
    ) -> Result<(), ModelError> {
        self.check_cancelled()?;
        let found = self.found.and_then(|found| interpolator.answer(found));
        let Some(answer) = found else {
            return Err(ModelError::Mismatch("nothing was estimated".into()));
        };
        let kind = self.kind(answer.values())?;
        if self.finish.as_ref().is_none_or(|(made, _)| *made != kind) {
            self.finish = None;
            let model = self
                .geometry
                .finish(kind)
                .map_err(|error| self.odd(error.to_string()))?;
            let session = start(&self.options, self.provider, &self.label, model)?;
            let arena = Arena::of(&session, self.provider, self.options.device);
            self.arenas.truncate(1);
            self.arenas.push(arena);
            self.finish = Some((kind, session));
        }
        // weights of 8 bits after the point, as `frames::blend_alpha` has
        let late = (phase.clamp(0.0, 1.0) * 256.0).round() as f32;
        set(&mut self.late, late).map_err(|error| self.failed(&error))?;
        let Some((_, session)) = &mut self.finish else {
            return Ok(());
        };
        let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
        let inputs = names.iter().filter_map(|name| {
            let value = match (name.as_str(), answer.values()) {
                ("flow" | "picture", [value, ..]) | ("mask", [_, value]) => Input::Value(value),
                ("late", _) => Input::Tensor(&self.late),
                ("a", _) => Input::Tensor(&a.picture),
                ("b", _) => Input::Tensor(&b.picture),
                (name, _) => {
                    let frame = if name.starts_with('a') { a } else { b };
                    let index: usize = name.get(1..)?.parse().ok()?;
                    Input::Tensor(frame.planes.get(index)?)
                }
            };
            Some((name.as_str(), value))
        });
        let inputs: Vec<_> = inputs.collect();
        let mut new = match &out {
            Sink::Host(_) => Vec::new(),
            // of the same shapes as the planes of a frame that came
            Sink::Copied(_) => {
                let planes = self.pools.planes.iter().map(Pool::take);
                let planes = planes.collect::<ort::Result<_>>();
                planes.map_err(|error| network::failed(&self.label, &error))?
            }
        };
        let values = match &out {
            Sink::Host(_) => &mut self.out,
            Sink::Copied(_) => &mut new,
        };
        let names: Vec<_> = (0..values.len())
            .map(|index| format!("out{index}"))
            .collect();
        let outputs = names.iter().map(String::as_str).zip(values);
        let outputs = outputs
            .map(|(name, value)| (name, Target::Into(value)))
            .collect();
        let options = self.canceller.options(self.clear);
        let run = bound::run(session, &inputs, outputs, &self.memory, options);
        self.clear = false;
        self.done(run)?;
        match out {
            Sink::Copied(copy) => self.transfer(&mut new, copy),
            Sink::Host(planes) => {
                for (plane, value) in planes.iter_mut().zip(&self.out) {
                    copy_out(value, plane).map_err(|error| network::failed(&self.label, &error))?;
                }
                Ok(())
            }
        }
    }

    /// What a finishing graph is made of.
    fn kind(&self, values: &[DynValue]) -> Result<Answer, ModelError> {
        let shapes: Vec<_> = values
            .iter()
            .map(|value| value.dtype().tensor_shape())
            .collect();
        let (width, height) = self.geometry.padded;
        let (wide, high) = (width as i64, height as i64);
        match shapes.as_slice() {
            [Some(picture)] if ***picture == [1, 3, high, wide] => Ok(Answer::Picture),
            [Some(flow), Some(mask)] => match (&***flow, &***mask) {
                (&[1, 4, rows, columns], &[1, 1, mask_rows, mask_columns])
                    if (rows, columns) == (mask_rows, mask_columns)
                        && columns > 0
                        && wide % columns == 0
                        && rows * (wide / columns) == high =>
                {
                    let (columns, rows) = (columns as usize, rows as usize);
                    Ok(match self.pictures {
                        true => Answer::MotionOfPictures(columns, rows),
                        false => Answer::Motion(columns, rows),
                    })
                }
                (flow, mask) => Err(self.odd(format!(
                    "flow {flow:?} and mask {mask:?} for a picture of {width}x{height}: expected [1, 4, h, w] \
                     and [1, 1, h, w] on a grid a whole number of times coarser"
                ))),
            },
            [Some(picture)] => Err(self.odd(format!(
                "a picture {:?}, not [1, 3, {height}, {width}]",
                &***picture
            ))),
            _ => Err(self.odd("an output is missing".into())),
        }
    }

    /// What the arenas of its sessions hold together, if the runtime tells.
    pub fn usage(&self) -> Option<Usage> {
        let arenas = self.arenas.iter().filter_map(Arena::usage);
        arenas.reduce(std::ops::Add::add)
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

    fn odd(&self, reason: String) -> ModelError {
        ModelError::Output {
            model: self.label.clone(),
            reason,
        }
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
fn start(
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
fn set(value: &mut Buffer, number: f32) -> ort::Result<()> {
    let (_, numbers) = value.try_extract_tensor_mut::<f32>()?;
    numbers.fill(number);
    Ok(())
}

/// What lies on the host, though it should not.
fn out_of_reach() -> ort::Error {
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

/// And back.
fn copy_out(from: &Buffer, plane: &mut PlaneMut) -> ort::Result<()> {
    let row = plane.row_bytes();
    let from = from.bytes().ok_or_else(out_of_reach)?;
    let rows = plane.data.chunks_mut(plane.stride);
    for (into, from) in rows.zip(from.chunks_exact(row)) {
        into[..row].copy_from_slice(from);
    }
    Ok(())
}
