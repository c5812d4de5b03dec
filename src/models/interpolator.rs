//! A loaded network and its use.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};

use super::library;
use super::runtime::runtime;
use super::shared::{self, Network, Shared};
use super::signature::{Inputs, Outputs, Range, Signature, Timestep};
use super::{LoadOptions, ModelError, ModelInfo, ModelKind, Prepared, session};
use crate::frames::{Motion, Picture};

/// A loaded network.
pub struct Interpolator {
    info: ModelInfo,
    /// How messages call the model.
    label: String,
    signature: Signature,
    network: Shared<Network>,
    canceller: Canceller,
    /// The input of everything as channels, or the plane of the moment.
    stacked: Vec<f32>,
    /// The padded size `stacked` was laid out for.
    stacked_for: (usize, usize),
    /// The runtime's latest answer, which motion borrows from.
    answer: Vec<DynValue>,
    /// The latest answer as a picture.
    picture: Picture,
}

/// What lies between two pictures.
#[derive(Clone, Copy, Debug)]
pub enum Estimate<'a> {
    /// Motion between them.
    Motion(Motion<'a>),
    /// A finished picture of their size.
    Picture(&'a Picture),
}

/// Stops a running [`Interpolator::estimate`] from another thread.
#[derive(Clone)]
pub struct Canceller(Arc<Cancel>);

struct Cancel {
    cancelled: Mutex<bool>,
    /// Of this network's own runs: those of others on the same session are not its business.
    options: RunOptions,
    network: Weak<Network>,
}

impl Canceller {
    /// Makes the running estimate, and every later one until [`rearm`](Self::rearm), return
    /// [`ModelError::Cancelled`] as soon as the node it is at is done. Does not wait for it.
    pub fn cancel(&self) {
        self.set(true);
    }

    /// Allows estimates again.
    pub fn rearm(&self) {
        self.set(false);
    }

    fn set(&self, cancelled: bool) {
        let mut state = self
            .0
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *state = cancelled;
        // these only set a flag, which cannot fail
        let _ = if cancelled {
            self.0.options.terminate()
        } else {
            self.0.options.unterminate()
        };
        drop(state);
        if let Some(network) = self.0.network.upgrade() {
            network.session.look_again();
        }
    }

    fn is_cancelled(&self) -> bool {
        *self
            .0
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Canceller")
            .field(&self.is_cancelled())
            .finish()
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
    /// Loads a network. Takes a fraction of a second for the built-in one on the CPU.
    pub fn load(options: &LoadOptions) -> Result<Self, ModelError> {
        let source = library::find(&options.model)?;
        let label = source.label();
        let contents = source.read()?;
        let runtime = runtime()?;
        let network = shared::network(contents.digest, options, || {
            session::start(runtime, options, &label, contents.bytes)
        })?;
        let run_options = RunOptions::new().map_err(|error| ModelError::Unusable {
            model: label.clone(),
            reason: error.to_string(),
        })?;

        let signature = network.signature.clone();
        let file = source.file();
        let stem = file.as_deref().and_then(Path::file_stem);
        let name = source.name().map(str::to_owned);
        let info = ModelInfo {
            name: name
                .or_else(|| signature.name.clone())
                .or_else(|| Some(stem?.to_string_lossy().into_owned()))
                .unwrap_or_default(),
            family: signature.family.clone(),
            file,
            shared: network.found,
            provider: network.provider,
            fallback: network.note.clone(),
            kind: match signature.outputs {
                Outputs::Motion { .. } => ModelKind::Motion,
                Outputs::Picture(_) => ModelKind::Picture,
            },
            any_phase: signature.any_timestep(),
            align: signature.align,
            fixed_size: signature.fixed,
            own_nodes: network.own_nodes,
            runtime_version: runtime.version.clone(),
            runtime_library: runtime.library.clone(),
        };
        Ok(Self {
            info,
            label,
            signature,
            canceller: Canceller(Arc::new(Cancel {
                cancelled: Mutex::new(false),
                options: run_options,
                network: network.downgrade(),
            })),
            network,
            stacked: Vec::new(),
            stacked_for: (0, 0),
            answer: Vec::new(),
            picture: Picture::default(),
        })
    }

    /// What is known of the network.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// A handle with which another thread can stop an estimate.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Allows estimates again after [`Canceller::cancel`].
    pub fn rearm(&self) {
        self.canceller.rearm();
    }

    /// Makes a picture ready for this network: once, though it belongs to two pairs.
    pub fn prepare(&self, picture: &Picture, into: &mut Prepared) -> Result<(), ModelError> {
        into.set(&self.signature, picture)
            .map_err(|reason| ModelError::Picture {
                model: self.label.clone(),
                reason,
            })
    }

    /// Whether a picture was prepared as this network wants it, perhaps by another one.
    pub fn accepts(&self, prepared: &Prepared) -> bool {
        prepared.suits(&self.signature)
    }

    /// What lies between two prepared pictures at `phase`, which is above 0 (the first) and below
    /// 1 (the second).
    ///
    /// A network without a timestep ([`ModelInfo::any_phase`]) answers for 0.5 whatever is asked.
    pub fn estimate(
        &mut self,
        a: &Prepared,
        b: &Prepared,
        phase: f32,
    ) -> Result<Estimate<'_>, ModelError> {
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
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        // the memory of the last answer is free to be used again
        self.answer.clear();
        let result = self.run(a, b, phase);
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        result.map_err(|error| ModelError::Run {
            model: self.label.clone(),
            reason: self.explain(&error, a),
        })?;
        match self.signature.outputs {
            Outputs::Motion { .. } => motion(&self.answer, a).map(Estimate::Motion),
            Outputs::Picture(_) => crop(&self.answer, a, self.signature.range, &mut self.picture)
                .map(|()| Estimate::Picture(&self.picture)),
        }
        .map_err(|reason| ModelError::Output {
            model: self.label.clone(),
            reason,
        })
    }

    /// The runtime's reason, with the one that is likely behind it.
    fn explain(&self, error: &ort::Error, of: &Prepared) -> String {
        let mut reason = session::plain(&error.to_string());
        if !self.signature.align_stated && self.signature.fixed.is_none() {
            let (width, height) = of.padded();
            let align = self.signature.align;
            reason += &format!(
                " (the pictures were padded to {width}x{height}, multiples of {align}; a network that needs other \
                 multiples must say so in its metadata: vfiinterp.align)"
            );
        }
        reason
    }

    fn run(&mut self, a: &Prepared, b: &Prepared, phase: f32) -> ort::Result<()> {
        let (width, height) = a.padded();
        let shape = |channels: usize| [1, channels, height, width];
        let moment = [phase];
        let mut inputs: Vec<(&str, SessionInputValue)> = Vec::with_capacity(3);
        if let Inputs::PicturesAndTimestep {
            form: Timestep::Plane,
            ..
        } = self.signature.inputs
        {
            self.stacked.clear();
            self.stacked.resize(width * height, phase);
        }
        match &self.signature.inputs {
            Inputs::Stacked { name, channels } => {
                if self.stacked_for != (width, height) {
                    lay_out(&mut self.stacked, *channels, width, height);
                    self.stacked_for = (width, height);
                }
                let plane = width * height;
                self.stacked[..3 * plane].copy_from_slice(a.data());
                self.stacked[3 * plane..6 * plane].copy_from_slice(b.data());
                if *channels > 6 {
                    self.stacked[6 * plane..7 * plane].fill(phase);
                }
                let input =
                    TensorRef::from_array_view((shape(*channels), self.stacked.as_slice()))?;
                inputs.push((name, input.into()));
            }
            Inputs::Pictures(pictures) | Inputs::PicturesAndTimestep { pictures, .. } => {
                for (name, picture) in pictures.iter().zip([a, b]) {
                    let input = TensorRef::from_array_view((shape(3), picture.data()))?;
                    inputs.push((name, input.into()));
                }
            }
        }
        if let Inputs::PicturesAndTimestep { timestep, form, .. } = &self.signature.inputs {
            let input = match form {
                Timestep::Scalar(rank) => {
                    TensorRef::from_array_view((vec![1_usize; *rank], moment.as_slice()))?
                }
                Timestep::Plane => TensorRef::from_array_view((shape(1), self.stacked.as_slice()))?,
            };
            inputs.push((timestep, input.into()));
        }
        let names: [Option<&String>; 2] = match &self.signature.outputs {
            Outputs::Motion { flow, mask } => [Some(flow), Some(mask)],
            Outputs::Picture(picture) => [Some(picture), None],
        };
        let canceller = &self.canceller;
        let answer = &mut self.answer;
        let turn = |session: &mut Session| {
            let mut outputs = session.run_with_options(inputs, &canceller.0.options)?;
            let values = names.into_iter().flatten();
            answer.extend(values.filter_map(|name| outputs.remove(name)));
            Ok(())
        };
        self.network
            .session
            .take(|| canceller.is_cancelled(), turn)
            // the caller sees that it was cancelled
            .unwrap_or(Ok(()))
    }
}

/// Sizes the stacked input and fills the channels that stay the same from run to run.
fn lay_out(stacked: &mut Vec<f32>, channels: usize, width: usize, height: usize) {
    let plane = width * height;
    stacked.clear();
    stacked.resize(channels * plane, 0.0);
    let constants = &mut stacked[6 * plane..];
    match channels {
        // flow at the pictures' own scale
        8 => constants[plane..].fill(1.0),
        11 => {
            let step = |size: usize| 2.0 / (size.max(2) - 1) as f32;
            for (i, value) in constants[plane..2 * plane].iter_mut().enumerate() {
                *value = (i % width) as f32 * step(width) - 1.0;
            }
            for (i, value) in constants[2 * plane..3 * plane].iter_mut().enumerate() {
                *value = (i / width) as f32 * step(height) - 1.0;
            }
            constants[3 * plane..4 * plane].fill(step(width));
            constants[4 * plane..].fill(step(height));
        }
        _ => {}
    }
}

/// One output with its shape as numbers.
fn tensor(value: Option<&DynValue>) -> Result<([usize; 4], &[f32]), String> {
    let value = value.ok_or("an output is missing")?;
    let (shape, data) = value
        .try_extract_tensor::<f32>()
        .map_err(|error| error.to_string())?;
    let dims: Option<Vec<usize>> = shape.iter().map(|&dim| dim.try_into().ok()).collect();
    let dims = dims.and_then(|dims| <[usize; 4]>::try_from(dims).ok());
    let dims = dims.ok_or_else(|| format!("an output of shape {:?}", &**shape))?;
    Ok((dims, data))
}

fn motion<'a>(answer: &'a [DynValue], of: &Prepared) -> Result<Motion<'a>, String> {
    let (flow_dims, flow) = tensor(answer.first())?;
    let (mask_dims, mask) = tensor(answer.get(1))?;
    let [_, _, height, width] = flow_dims;
    let (padded_width, padded_height) = of.padded();
    let stride = padded_width.checked_div(width).unwrap_or(0);
    if flow_dims != [1, 4, height, width]
        || mask_dims != [1, 1, height, width]
        || (width * stride, height * stride) != (padded_width, padded_height)
    {
        return Err(format!(
            "flow {flow_dims:?} and mask {mask_dims:?} for a picture of {padded_width}x{padded_height}: \
             expected [1, 4, h, w] and [1, 1, h, w] on a grid a whole number of times coarser"
        ));
    }
    let stride = stride as f32;
    Ok(Motion {
        width,
        height,
        cover_x: of.size().0 as f32 / stride,
        cover_y: of.size().1 as f32 / stride,
        unit: 1.0 / stride,
        flow,
        mask,
    })
}

/// Cuts the padding off a picture and brings it to 0..1.
fn crop(
    answer: &[DynValue],
    of: &Prepared,
    range: Range,
    into: &mut Picture,
) -> Result<(), String> {
    let (dims, data) = tensor(answer.first())?;
    let (padded_width, padded_height) = of.padded();
    if dims != [1, 3, padded_height, padded_width] {
        return Err(format!(
            "a picture {dims:?}, not [1, 3, {padded_height}, {padded_width}]"
        ));
    }
    let (width, height) = of.size();
    (into.width, into.height) = (width, height);
    into.data.resize(3 * width * height, 0.0);
    let planes = data.chunks_exact(padded_width * padded_height);
    for (plane, target) in planes.zip(into.data.chunks_exact_mut(width * height)) {
        let rows = plane.chunks_exact(padded_width);
        for (row, target) in rows.zip(target.chunks_exact_mut(width)) {
            for (target, &value) in target.iter_mut().zip(row) {
                let value = match range {
                    Range::Unit => value,
                    Range::Signed => (value + 1.0) / 2.0,
                };
                // what is no number becomes 0
                *target = if value > 0.0 { value.min(1.0) } else { 0.0 };
            }
        }
    }
    Ok(())
}
