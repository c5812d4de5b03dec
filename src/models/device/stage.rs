//! A frame's way on a device, beside the network: for frames of one kind and one network.

use std::sync::atomic::{AtomicU64, Ordering};

use gst_video::VideoInfo;
use ort::session::Session;
use ort::value::{DynTensorValueType, DynValue, TensorElementType};

use super::bound::{self, Target};
use super::memory::Memory;
use super::transfer::{Dense, Sink, Source, Transfer};
use crate::frames::{FrameLayout, Plane, PlaneMut, Sample, ScaleMethod};
use crate::models::bisect::Place;
use crate::models::graph::frame::{Answer, Geometry, join};
use crate::models::graph::proto::ModelProto;
use crate::models::interpolator::Found;
use crate::models::memory::Reason;
use crate::models::network::{self, Network};
use crate::models::prepared::padded_size;
use crate::models::runtime::runtime;
use crate::models::signature::{Inputs, Timestep};
use crate::models::{
    Canceller, ExecutionProvider, Interpolator, LoadOptions, ModelError, ModelKind, memory, session,
};

/// Frames that are kept for the next ones: a pair's two are in use, and one goes as another comes.
const SPARE: usize = 1;

/// Tells every frame that was prepared from all others.
static ID: AtomicU64 = AtomicU64::new(1);
/// Tells stages apart.
static STAGE: AtomicU64 = AtomicU64::new(1);

/// A frame on the device: its planes, and what the network sees of it.
#[derive(Debug)]
pub struct DeviceFrame {
    planes: Vec<DynValue>,
    picture: DynValue,
    /// On the host.
    thumbnail: DynValue,
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
    memory: Memory,
    ready: Session,
    /// Lays out the network's input, or a plane of the moment.
    join: Option<(Session, DynValue)>,
    /// Made with the first answer, which says how large its grid is.
    finish: Option<(Answer, Session)>,
    /// Whether pictures are warped rather than planes.
    pictures: bool,
    cells: (usize, usize),
    /// On the host: what is uploaded, what came back, and single numbers.
    staging: Vec<DynValue>,
    out: Vec<DynValue>,
    moment: DynValue,
    late: DynValue,
    /// With the provider: a new frame that does not go to the host. Made with the first one.
    new: Vec<DynValue>,
    /// Compares frames; made with the first comparison.
    differ: Option<Session>,
    spare: Vec<DeviceFrame>,
    clear: bool,
    found: Option<Found>,
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
        let unfit = |error: crate::frames::FrameError| unfit(error.to_string());
        let layout = FrameLayout::new(info).map_err(unfit)?;
        let (options, provider) = (interpolator.options(), interpolator.info().provider);
        let start = |model| start(options, provider, &label, model);
        let ready = start(geometry.ready(look.cells).map_err(unfit)?)?;
        let join = join_for(&signature.inputs, geometry.padded)
            .map(start)
            .transpose()?;
        let made = || -> ort::Result<_> {
            let memory = Memory::of(&ready, provider, options.device)?;
            let planes = || planes(&layout, |element, dims| memory.host(element, dims));
            let (staging, out) = (planes()?, planes()?);
            let one = |rank| memory.host(TensorElementType::Float32, &vec![1; rank]);
            let moment = one(match &signature.inputs {
                Inputs::PicturesAndTimestep {
                    form: Timestep::Scalar(rank),
                    ..
                } => *rank,
                _ => 1,
            })?;
            let late = one(1)?;
            let join = match join {
                Some(session) => {
                    let (width, height) = geometry.padded;
                    let channels = joined(&signature.inputs).unwrap_or(1) as i64;
                    let dims = [1, channels, height as i64, width as i64];
                    Some((session, memory.device(TensorElementType::Float32, &dims)?))
                }
                None => None,
            };
            Ok((memory, staging, out, moment, late, join))
        };
        let (memory, staging, out, moment, late, join) =
            made().map_err(|error| network::failed(&label, &error))?;
        let kind = interpolator.info().kind;
        Ok(Self {
            number: STAGE.fetch_add(1, Ordering::Relaxed),
            options: options.clone(),
            provider,
            canceller: interpolator.canceller(),
            layout,
            memory,
            ready,
            join,
            finish: None,
            pictures: look.pictures || kind == ModelKind::Picture,
            cells: look.cells,
            staging,
            out,
            moment,
            late,
            new: Vec::new(),
            differ: None,
            spare: Vec::new(),
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
        let mut frame = match self.spare.pop() {
            Some(frame) => frame,
            None => self.frame().map_err(|e| self.label_error(&e))?,
        };
        let names: Vec<_> = (0..frame.planes.len())
            .map(|index| (format!("plane{index}"), format!("kept{index}")))
            .collect();
        let mut outputs = vec![
            ("picture", Target::Into(&mut frame.picture)),
            ("thumbnail", Target::Into(&mut frame.thumbnail)),
        ];
        let given: &[DynValue] = match source {
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
        let inputs = names.iter().map(|(name, _)| name.as_str()).zip(given);
        let inputs: Vec<_> = inputs.collect();
        let options = self.canceller.options(self.clear);
        let run = bound::run(&mut self.ready, &inputs, outputs, &self.memory, options);
        self.done(run)?;
        frame.id = ID.fetch_add(1, Ordering::Relaxed);
        Ok(frame)
    }

    /// Has planes copied to or from values of this stage.
    fn transfer(&self, values: &mut [DynValue], copy: &mut Transfer) -> Result<(), ModelError> {
        let on_device = self.provider != ExecutionProvider::Cpu;
        let dense = values.iter_mut().zip(self.layout.shapes());
        let dense = dense.map(|(value, (width, height, format))| {
            let sample = match format.sample {
                Sample::U8 => 1,
                Sample::U16 { .. } => 2,
            };
            let size = (width * format.channels * sample, height);
            let tensor = value.view_mut().downcast::<DynTensorValueType>()?;
            // SAFETY: the value was made with this size, is borrowed, and no run is under way.
            Ok(unsafe { Dense::new(tensor.data_ptr().cast_mut(), on_device, size) })
        });
        let dense = dense.collect::<ort::Result<Vec<_>>>();
        let dense = dense.map_err(|error| self.label_error(&error))?;
        copy(&dense).map_err(|reason| {
            self.label_error(&ort::Error::new(format!(
                "a frame can't be copied: {reason}"
            )))
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
            inputs.push((first.as_str(), a));
            inputs.push((second.as_str(), b));
        }
        // on the host, and used for nothing else until the frame is finished
        let outputs = vec![("difference", Target::Into(&mut self.late))];
        let options = self.canceller.options(false);
        let run = bound::run(session, &inputs, outputs, &self.memory, options);
        self.done(run)?;
        let (_, found) = self
            .late
            .try_extract_tensor::<f32>()
            .map_err(|error| self.label_error(&error))?;
        Ok(found.first().copied().map_or(f64::INFINITY, f64::from))
    }

    /// Room for a frame.
    fn frame(&self) -> ort::Result<DeviceFrame> {
        let (width, height) = self.geometry.padded;
        let planes = planes(&self.layout, |element, dims| {
            self.memory.device(element, dims)
        });
        let float = TensorElementType::Float32;
        let (columns, rows) = self.cells;
        Ok(DeviceFrame {
            planes: planes?,
            picture: self
                .memory
                .device(float, &[1, 3, height as i64, width as i64])?,
            thumbnail: self.memory.host(float, &[rows as i64, columns as i64])?,
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
                Place::First => Some(&a.picture),
                Place::Second => Some(&b.picture),
                Place::Made(answer) => answer.values().first(),
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
        pictures: [&DynValue; 2],
        moment: f32,
    ) -> Result<network::Answer, ModelError> {
        set(&mut self.moment, moment).map_err(|error| self.label_error(&error))?;
        let [a, b] = pictures;
        if let Some((session, joined)) = &mut self.join {
            let all = [("a", a), ("b", b), ("moment", &self.moment)];
            let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
            let inputs: Vec<_> = all
                .into_iter()
                .filter(|(name, _)| names.iter().any(|wanted| wanted == name))
                .collect();
            let outputs = vec![("joined", Target::Into(joined))];
            let options = self.canceller.options(false);
            bound::run(session, &inputs, outputs, &self.memory, options)
                .map_err(|error| self.label_error(&error))?;
        }
        let joined = self.join.as_ref().map(|(_, joined)| joined);
        let signature = network.signature().inputs.clone();
        let inputs: Vec<(&str, &DynValue)> = match &signature {
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
                (timestep, joined.unwrap_or(&self.moment)),
            ],
        };
        let (width, height) = self.geometry.padded;
        network.run_bound(&inputs, &self.memory, width * height)
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
            self.finish = Some((kind, session));
        }
        // weights of 8 bits after the point, as `frames::blend_alpha` has
        let late = (phase.clamp(0.0, 1.0) * 256.0).round() as f32;
        set(&mut self.late, late).map_err(|error| self.label_error(&error))?;
        let Some((_, session)) = &mut self.finish else {
            return Ok(());
        };
        let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
        let inputs = names.iter().filter_map(|name| {
            let value = match (name.as_str(), answer.values()) {
                ("flow" | "picture", [value, ..]) | ("mask", [_, value]) => value,
                ("late", _) => &self.late,
                ("a", _) => &a.picture,
                ("b", _) => &b.picture,
                (name, _) => {
                    let frame = if name.starts_with('a') { a } else { b };
                    let index: usize = name.get(1..)?.parse().ok()?;
                    frame.planes.get(index)?
                }
            };
            Some((name.as_str(), value))
        });
        let inputs: Vec<_> = inputs.collect();
        let values = match &out {
            Sink::Host(_) => &mut self.out,
            Sink::Copied(_) => {
                if self.new.is_empty() {
                    let planes = planes(&self.layout, |element, dims| {
                        self.memory.device(element, dims)
                    });
                    self.new = planes.map_err(|error| network::failed(&self.label, &error))?;
                }
                &mut self.new
            }
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
            Sink::Host(planes) => {
                for (plane, value) in planes.iter_mut().zip(&mut self.out) {
                    copy_out(value, plane).map_err(|error| network::failed(&self.label, &error))?;
                }
                Ok(())
            }
            Sink::Copied(copy) => {
                let mut new = std::mem::take(&mut self.new);
                let copied = self.transfer(&mut new, copy);
                self.new = new;
                copied
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

    /// Takes back a frame that is no longer needed.
    pub fn recycle(&mut self, frame: DeviceFrame) {
        if self.accepts(&frame) && self.spare.len() < SPARE {
            self.spare.push(frame);
        }
    }

    /// Has memory that is kept for later given back, that of the sessions with their next run.
    pub fn clear(&mut self, reason: Reason) {
        self.clear = true;
        if reason == Reason::Pressure {
            self.spare.clear();
        }
    }

    fn check_cancelled(&self) -> Result<(), ModelError> {
        match self.canceller.is_cancelled() {
            true => Err(ModelError::Cancelled),
            false => Ok(()),
        }
    }

    fn done<T>(&self, run: ort::Result<T>) -> Result<T, ModelError> {
        let run = run.map_err(|error| self.label_error(&error));
        self.check_cancelled()?;
        run
    }

    fn label_error(&self, error: &ort::Error) -> ModelError {
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

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("geometry", &self.geometry)
            .field("memory", &self.memory)
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
        match memory::is_shortage(&reason) {
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

/// Room for a frame's planes.
fn planes(
    layout: &FrameLayout,
    make: impl Fn(TensorElementType, &[i64]) -> ort::Result<DynValue>,
) -> ort::Result<Vec<DynValue>> {
    let shapes = layout.shapes();
    let planes = shapes.map(|(width, height, format)| {
        let dims = [height as i64, (width * format.channels) as i64];
        make(element(format.sample), &dims)
    });
    planes.collect()
}

fn element(sample: Sample) -> TensorElementType {
    match sample {
        Sample::U8 => TensorElementType::Uint8,
        Sample::U16 { .. } => TensorElementType::Uint16,
    }
}

/// Writes a single number.
fn set(value: &mut DynValue, number: f32) -> ort::Result<()> {
    let (_, numbers) = value.try_extract_tensor_mut::<f32>()?;
    numbers.fill(number);
    Ok(())
}

/// A plane's rows without what lies between them.
fn copy_in(plane: &Plane, into: &mut DynValue) -> ort::Result<()> {
    let row = plane.row_bytes();
    let into = bytes_mut(into, plane.format.sample)?.chunks_exact_mut(row);
    for (from, into) in plane.data.chunks(plane.stride).zip(into) {
        into.copy_from_slice(&from[..row]);
    }
    Ok(())
}

/// And back.
fn copy_out(from: &mut DynValue, plane: &mut PlaneMut) -> ort::Result<()> {
    let row = plane.row_bytes();
    let from = bytes_mut(from, plane.format.sample)?.chunks_exact(row);
    for (into, from) in plane.data.chunks_mut(plane.stride).zip(from) {
        into[..row].copy_from_slice(from);
    }
    Ok(())
}

/// The bytes of a plane on the host.
fn bytes_mut(value: &mut DynValue, sample: Sample) -> ort::Result<&mut [u8]> {
    match sample {
        Sample::U8 => Ok(value.try_extract_tensor_mut::<u8>()?.1),
        Sample::U16 { .. } => {
            let (_, words) = value.try_extract_tensor_mut::<u16>()?;
            // SAFETY: any word is two bytes, and bytes may lie anywhere; borrowed as the words were.
            Ok(unsafe {
                std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), 2 * words.len())
            })
        }
    }
}
