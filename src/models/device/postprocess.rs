//! The last part of a frame's way on a device, which may go on while the network is at the next
//! one.

use std::sync::{Arc, Mutex};

use ort::value::{DynValue, Tensor};

use super::graphs::{Geometry, OutputKind};
use super::helper_session::{HelperSession, out_of_reach, start};
use super::preprocess::DeviceFrame;
use super::transfer::{FrameSink, transfer};
use crate::frames::PlaneMut;
use crate::models::error::{ModelError, failed};
use crate::models::memory::Usage;
use crate::models::network::output;
use crate::models::options::{ExecutionProvider, LoadOptions};
use crate::models::runtime::binding::{self, Input, Target};
use crate::models::runtime::run_canceller::RunCanceller;
use crate::models::runtime::tensor_pool::{self, Buffer, Memory, Place, Pool};
use crate::sync::lock;

/// Parts that frames are finished with.
pub(crate) struct PostprocessSetup {
    pub(crate) label: String,
    pub(crate) options: LoadOptions,
    pub(crate) provider: ExecutionProvider,
    /// Bytes that the session may hold (0: any number).
    pub(crate) limit: u64,
    pub(crate) canceller: RunCanceller,
    pub(crate) geometry: Geometry,
    pub(crate) memory: Arc<Memory>,
    /// Pools of planes that do not come back.
    pub(crate) new: Vec<Arc<Pool>>,
}

/// Makes frames of what a network gives.
pub(crate) struct Postprocessor {
    pub(crate) setup: PostprocessSetup,
    /// Made with the first answer, which says how large its grid is.
    session: Option<(OutputKind, HelperSession)>,
}

/// Job that makes a frame: it holds all that takes.
pub struct PostprocessJob {
    postprocessor: Arc<Mutex<Postprocessor>>,
    pair: [Arc<DeviceFrame>; 2],
    answer: Arc<output::NetworkOutput>,
    phase: f32,
    clear: bool,
}

impl PostprocessJob {
    pub(crate) fn new(
        postprocessor: &Arc<Mutex<Postprocessor>>,
        pair: [Arc<DeviceFrame>; 2],
        (answer, phase): (Arc<output::NetworkOutput>, f32),
        clear: bool,
    ) -> Self {
        Self {
            postprocessor: Arc::clone(postprocessor),
            pair,
            answer,
            phase,
            clear,
        }
    }

    /// Makes the frame, in planes of the kind that its originals have.
    ///
    /// # Errors
    /// If the network's answer has another shape than it should, if the run fails or is cancelled, if the
    /// planes can't be copied, or memory lacks.
    pub fn run(self, out: FrameSink) -> Result<(), ModelError> {
        lock(&self.postprocessor).run(&self, out)
    }
}

impl std::fmt::Debug for PostprocessJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostprocessJob")
            .field("pair", &self.pair)
            .finish_non_exhaustive()
    }
}

impl Postprocessor {
    pub(crate) fn new(setup: PostprocessSetup) -> Self {
        Self {
            setup,
            session: None,
        }
    }

    /// Returns what its session's arena holds, if the runtime tells.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.session.as_ref()?.1.arena.usage()
    }

    /// Starts the session that makes frames of such an answer, unless it is there; this takes a
    /// while the first time.
    pub(crate) fn get_ready(&mut self, answer: &[DynValue]) -> Result<(), ModelError> {
        let kind = self.setup.kind(answer)?;
        self.session.take_if(|(made, ..)| *made != kind);
        if self.session.is_none() {
            self.session = Some(self.setup.start(kind)?);
        }
        Ok(())
    }

    fn run(&mut self, job: &PostprocessJob, out: FrameSink) -> Result<(), ModelError> {
        if self.setup.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        self.get_ready(job.answer.values())?;
        let setup = &mut self.setup;
        let Some((_, HelperSession { session, .. })) = &mut self.session else {
            return Err(setup.odd("nothing to make a frame of".into()));
        };
        let label = setup.label.clone();
        let failed = |error: ort::Error| failed(&label, &error);
        let phase = Tensor::from_array(([1], vec![job.phase])).map_err(failed)?;
        let phase = phase.into_dyn();
        let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
        let inputs = names.iter().filter_map(|name| {
            let value = match job.answer.values() {
                [value, ..] if matches!(name.as_str(), "flow" | "picture") => Input::Value(value),
                [_, value] if name == "mask" => Input::Value(value),
                _ if name == "phase" => Input::Value(&phase),
                _ => job.input(name)?,
            };
            Some((name.as_str(), value))
        });
        let inputs: Vec<_> = inputs.collect();
        let names: Vec<_> = (0..setup.new.len()).map(|i| format!("out{i}")).collect();
        let names = names.iter().map(String::as_str);
        let mut new: Vec<Buffer> = Vec::new();
        let outputs: Vec<_> = match &out {
            FrameSink::Host(_) => names
                .map(|name| (name, Target::Anew(Place::Staging)))
                .collect(),
            FrameSink::Copied(_) => {
                let planes = setup.new.iter().map(Pool::take);
                new = planes.collect::<ort::Result<_>>().map_err(failed)?;
                names
                    .zip(new.iter_mut().map(|value| Target::Into(value)))
                    .collect()
            }
        };
        let options = setup.canceller.options(job.clear);
        let run = binding::run(session, &inputs, outputs, &setup.memory, options);
        if setup.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let values = run.map_err(failed)?;
        match out {
            FrameSink::Host(planes) => {
                for (plane, value) in planes.iter_mut().zip(&values) {
                    copy_out(value, plane).map_err(failed)?;
                }
                Ok(())
            }
            FrameSink::Copied(copy) => transfer(&mut new, copy).map_err(failed),
        }
    }
}

impl PostprocessJob {
    /// Returns what one of the two frames gives to an input: its picture (`a`, `b`), what that has
    /// cut off (`ax`, `bx`) or a plane (`a0`, …).
    fn input(&self, name: &str) -> Option<Input<'_>> {
        let (which, index) = name.split_at_checked(1)?;
        let frame = &self.pair[usize::from(which == "b")];
        if index.is_empty() {
            return Some(Input::Tensor(&frame.picture));
        }
        if index == "x" {
            return frame.excess.as_ref().map(|excess| Input::Tensor(excess));
        }
        let plane = frame.planes.get(index.parse::<usize>().ok()?)?;
        Some(Input::Tensor(plane))
    }
}

impl PostprocessSetup {
    fn start(&self, kind: OutputKind) -> Result<(OutputKind, HelperSession), ModelError> {
        let model = self.geometry.finish(kind);
        let model = model.map_err(|error| self.odd(error.to_string()))?;
        let beside = start(&self.options, self.provider, &self.label, model, self.limit)?;
        Ok((kind, beside))
    }

    /// Returns the kind of network output that the graph begins with.
    fn kind(&self, values: &[DynValue]) -> Result<OutputKind, ModelError> {
        let shapes = values.iter().map(|value| value.dtype().tensor_shape());
        let shapes: Vec<Option<&[i64]>> = shapes.map(|shape| shape.map(|shape| &**shape)).collect();
        let (width, height) = self.geometry.padded;
        let (wide, high) = (width as i64, height as i64);
        match shapes.as_slice() {
            &[Some(&[1, 3, rows, columns])] if (columns, rows) == (wide, high) => Ok(OutputKind::Picture),
            &[Some(&[1, 4, rows, columns]), Some(&[1, 1, mask_rows, mask_columns])]
                if (rows, columns) == (mask_rows, mask_columns)
                    && columns > 0
                    && wide % columns == 0
                    && rows * (wide / columns) == high =>
            {
                let (columns, rows) = (columns as usize, rows as usize);
                Ok(match self.geometry.pictures {
                    true => OutputKind::MotionOfPictures(columns, rows),
                    false => OutputKind::Motion(columns, rows),
                })
            }
            [Some(picture)] => Err(self.odd(format!(
                "a picture {picture:?}, not [1, 3, {height}, {width}]"
            ))),
            [Some(flow), Some(mask)] => Err(self.odd(format!(
                "flow {flow:?} and mask {mask:?} for a picture of {width}x{height}: expected [1, 4, h, w] \
                 and [1, 1, h, w] on a grid a whole number of times coarser"
            ))),
            _ => Err(self.odd("an output is missing".into())),
        }
    }

    fn odd(&self, reason: String) -> ModelError {
        ModelError::Output {
            model: self.label.clone(),
            reason,
        }
    }
}

/// A plane's rows, with whatever lies between them.
fn copy_out(from: &DynValue, plane: &mut PlaneMut) -> ort::Result<()> {
    let row = plane.row_bytes();
    let from = tensor_pool::bytes(from).ok_or_else(out_of_reach)?;
    let rows = plane.data.chunks_mut(plane.stride);
    for (into, from) in rows.zip(from.chunks_exact(row)) {
        into[..row].copy_from_slice(from);
    }
    Ok(())
}
