//! What comes behind the network: a frame is made on the device, and brought back.

use std::sync::{Arc, Mutex};

use ort::session::Session;
use ort::value::DynValue;

use super::bound::{self, Input, Target};
use super::memory::{Buffer, Memory};
use super::stage::{DeviceFrame, copy_out, set, start};
use crate::frames::PlaneMut;
use crate::models::arena::Arena;
use crate::models::graph::frame::{Answer, Geometry};
use crate::models::memory::Usage;
use crate::models::shared::lock;
use crate::models::{Canceller, ExecutionProvider, LoadOptions, ModelError, network};

/// Makes frames of what a network gave, in a session of its own, so that the network can go on.
pub(super) struct Finisher {
    pub(super) label: String,
    pub(super) options: LoadOptions,
    pub(super) provider: ExecutionProvider,
    pub(super) canceller: Canceller,
    pub(super) geometry: Geometry,
    /// Whether pictures are warped rather than planes.
    pub(super) pictures: bool,
    pub(super) memory: Arc<Memory>,
    /// Made with the first answer, which says how large its grid is; and its arena.
    pub(super) session: Option<(Answer, Session, Arena)>,
    /// On the host: what came back, and how late the frame is between its two.
    pub(super) out: Vec<Buffer>,
    pub(super) late: Buffer,
    /// Memory is to be given back with the next run.
    pub(super) clear: bool,
}

/// A frame that the network has said everything of, on its way to be made.
pub struct Unfinished {
    pub(super) finisher: Arc<Mutex<Finisher>>,
    pub(super) answer: network::Answer,
    pub(super) frames: [Arc<DeviceFrame>; 2],
    pub(super) phase: f64,
}

impl Unfinished {
    /// Makes it.
    ///
    /// # Errors
    /// As [`Stage::finish`](super::Stage::finish).
    pub fn finish(self, out: &mut [PlaneMut]) -> Result<(), ModelError> {
        let [a, b] = &self.frames;
        lock(&self.finisher).run(self.answer.values(), [a, b], self.phase, out)
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unfinished")
            .field("frames", &self.frames)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Finisher {
    /// What its arena holds, if the runtime tells.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.session.as_ref()?.2.usage()
    }

    /// Makes the frame at `phase` between two of an answer.
    pub(super) fn run(
        &mut self,
        answer: &[DynValue],
        [a, b]: [&DeviceFrame; 2],
        phase: f64,
        out: &mut [PlaneMut],
    ) -> Result<(), ModelError> {
        self.check_cancelled()?;
        let kind = self.kind(answer)?;
        if self.session.as_ref().is_none_or(|(made, ..)| *made != kind) {
            self.session = None;
            let model = self.geometry.finish(kind);
            let model = model.map_err(|error| self.odd(error.to_string()))?;
            let session = start(&self.options, self.provider, &self.label, model)?;
            let arena = Arena::of(&session, self.provider, self.options.device);
            self.session = Some((kind, session, arena));
        }
        // weights of 8 bits after the point, as `frames::blend_alpha` has
        let late = (phase.clamp(0.0, 1.0) * 256.0).round() as f32;
        set(&mut self.late, late).map_err(|error| network::failed(&self.label, &error))?;
        let Some((_, session, _)) = &mut self.session else {
            return Ok(());
        };
        let names: Vec<String> = session.inputs().iter().map(|i| i.name().into()).collect();
        let inputs = names.iter().filter_map(|name| {
            let value = match (name.as_str(), answer) {
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
        let names: Vec<_> = (0..self.out.len())
            .map(|index| format!("out{index}"))
            .collect();
        let outputs = names.iter().map(String::as_str).zip(&mut self.out);
        let outputs = outputs
            .map(|(name, value)| (name, Target::Into(value)))
            .collect();
        let options = self.canceller.options(self.clear);
        let run = bound::run(session, &inputs, outputs, &self.memory, options);
        self.clear = false;
        let run = run.map_err(|error| network::failed(&self.label, &error));
        self.check_cancelled()?;
        run?;
        for (plane, value) in out.iter_mut().zip(&self.out) {
            copy_out(value, plane).map_err(|error| network::failed(&self.label, &error))?;
        }
        Ok(())
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

    fn check_cancelled(&self) -> Result<(), ModelError> {
        match self.canceller.is_cancelled() {
            true => Err(ModelError::Cancelled),
            false => Ok(()),
        }
    }

    fn odd(&self, reason: String) -> ModelError {
        ModelError::Output {
            model: self.label.clone(),
            reason,
        }
    }
}
