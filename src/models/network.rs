//! A network's session, fed and read as its signature says.

use std::ops::Add as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};

use super::arena::Arena;
use super::device::bound::{self, Input, Target};
use super::device::memory::{Memory, Place};
use super::fitted::Fitted;
use super::memory::{self, Clears, Reason, Usage};
use super::shared::Loaded;
use super::signature::{Inputs, Signature, Timestep};
use super::turns::Turns;
use super::{Canceller, ExecutionProvider, ModelError, Precision, room, session};
use crate::frames::{Motion, space};

/// A network that can be run.
pub(super) struct Network {
    /// How messages call the model.
    label: String,
    signature: Signature,
    /// Others may use it too.
    session: Arc<Turns<Session>>,
    canceller: Canceller,
    arena: Arc<Arena>,
    provider: ExecutionProvider,
    precision: Precision,
    /// What takes the session's place for pictures of its size.
    fitted: Option<Fitted>,
    /// What will, as soon as the session has given back what it holds.
    coming: Option<Fitted>,
    /// What the latest run took, without the wait for its turn.
    took: Duration,
    /// Memory is to be given back with the next run.
    clear: Option<Reason>,
    clears: Clears,
    /// The input of everything as channels, or the plane of the moment.
    stacked: Vec<f32>,
    /// The padded size `stacked` was laid out for.
    stacked_for: (usize, usize),
}

impl Network {
    pub(super) fn new(label: String, loaded: &Loaded) -> Result<Self, ModelError> {
        let session = Arc::clone(&loaded.session);
        let canceller = (loaded.arena.clearing())
            .and_then(|clearing| Canceller::new(&session, clearing))
            .map_err(|error| ModelError::Unusable {
                model: label.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            label,
            signature: loaded.signature.clone(),
            session,
            canceller,
            arena: Arc::clone(&loaded.arena),
            provider: loaded.provider,
            precision: loaded.precision,
            fitted: None,
            coming: None,
            took: Duration::ZERO,
            clear: None,
            clears: Clears::default(),
            stacked: Vec::new(),
            stacked_for: (0, 0),
        })
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// For what turns out when the network is measured.
    pub(super) fn signature_mut(&mut self) -> &mut Signature {
        &mut self.signature
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.canceller
    }

    /// What the latest run on pictures of the host took, without the wait for its turn.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// Where it runs now, and in how many bits.
    pub(super) fn place(&self) -> (ExecutionProvider, Precision) {
        match &self.fitted {
            Some(fitted) => fitted.place(),
            None => (self.provider, self.precision),
        }
    }

    /// What the arenas of its sessions hold together, if the runtime tells.
    pub(super) fn usage(&self) -> Option<Usage> {
        let fitted = self.fitted.as_ref().map(Fitted::arena);
        let arenas = [Some(&*self.arena), fitted].into_iter().flatten();
        arenas.filter_map(Arena::usage).reduce(Usage::add)
    }

    /// Has a session for one size take over, from the run after the next on: with the next one the
    /// session that has served gives back what it holds.
    pub(super) fn adopt(&mut self, fitted: Fitted) {
        self.canceller.watch(fitted.session());
        self.coming = Some(fitted);
        self.clear(Reason::Interval);
    }

    /// Does the same at once.
    pub(super) fn take_over(&mut self, fitted: Fitted) {
        self.canceller.watch(fitted.session());
        self.fitted = Some(fitted);
    }

    /// Gives up sessions for other sizes than this.
    pub(super) fn fit(&mut self, size: (usize, usize)) {
        for fitted in [&mut self.fitted, &mut self.coming] {
            fitted.take_if(|fitted| fitted.size() != size);
        }
    }

    /// Whether a session for this very size has taken over, or will.
    pub(super) fn is_fitted(&self) -> bool {
        self.fitted.is_some() || self.coming.is_some()
    }

    /// Has memory given back with the next run; the worse reason counts.
    pub(super) fn clear(&mut self, reason: Reason) {
        if self.clear != Some(Reason::Pressure) {
            self.clear = Some(reason);
        }
        match reason {
            // what another size needed
            Reason::Interval => self.stacked.shrink_to_fit(),
            // the next run lays it out anew
            Reason::Pressure => (self.stacked, self.stacked_for) = (Vec::new(), (0, 0)),
        }
    }

    /// How often that was done since this was last asked.
    pub(super) fn take_clears(&mut self) -> Clears {
        std::mem::take(&mut self.clears)
    }

    /// Runs the network on two pictures of three planes each, of the padded size, for a moment.
    pub(super) fn run(
        &mut self,
        pictures: [&[f32]; 2],
        size: (usize, usize),
        moment: f32,
    ) -> Result<Answer, ModelError> {
        self.retried(|network, clears| {
            network.make_room(size)?;
            let run = network.run_session(pictures, size, moment, clears);
            run.map_err(|error| failed(&network.label, &error))
        })
    }

    /// Runs it on what lies in some memory, where its answer then lies, too. `inputs` are those of its
    /// signature, for pictures of this size.
    pub(super) fn run_bound(
        &mut self,
        inputs: &[(&str, Input)],
        memory: &Memory,
        size: (usize, usize),
    ) -> Result<Answer, ModelError> {
        self.retried(|network, clears| {
            let canceller = &network.canceller;
            let names = network.signature.outputs.names();
            let outputs: Vec<_> = names
                .map(|name| (name, Target::Anew(Place::Device)))
                .collect();
            let run = |session: &mut Session| {
                #[cfg(feature = "faults")]
                crate::faults::run(size.0 * size.1)?;
                let options = canceller.options(clears);
                bound::run(session, inputs, outputs, memory, options).map(Answer)
            };
            let called_off = || canceller.is_cancelled();
            let answer = network.session_for(size).take(called_off, run);
            answer
                .transpose()
                .map_err(|error| failed(&network.label, &error))
        })
    }

    /// What runs pictures of a size.
    fn session_for(&self, size: (usize, usize)) -> &Turns<Session> {
        match &self.fitted {
            Some(fitted) if fitted.size() == size => fitted.session(),
            _ => &self.session,
        }
    }

    /// Where memory lacks, what is kept is given back, and it is tried once more. A run that
    /// fails gives back, too: so the second is also what empties the arena for a third.
    fn retried(
        &mut self,
        mut run: impl FnMut(&mut Self, bool) -> Result<Option<Answer>, ModelError>,
    ) -> Result<Answer, ModelError> {
        let mut tries = 0..2;
        loop {
            match self.once(&mut run) {
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

    fn once(
        &mut self,
        run: &mut impl FnMut(&mut Self, bool) -> Result<Option<Answer>, ModelError>,
    ) -> Result<Answer, ModelError> {
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let clear = self.clear.take();
        let result = run(self, clear.is_some());
        if let Some(reason) = clear {
            self.clears.add(reason);
            if reason == Reason::Pressure {
                room::trim();
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

    pub(super) fn unexpected(&self, reason: String) -> ModelError {
        ModelError::Output {
            model: self.label.clone(),
            reason,
        }
    }

    /// Has room for the input that is laid out here.
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
        room.map_err(|error| ModelError::Memory {
            model: self.label.clone(),
            reason: error.to_string(),
        })
    }

    /// `None` if it was cancelled before its turn came.
    fn run_session(
        &mut self,
        [a, b]: [&[f32]; 2],
        (width, height): (usize, usize),
        moment: f32,
        clears: bool,
    ) -> ort::Result<Option<Answer>> {
        let shape = |channels: usize| [1, channels, height, width];
        let plane = width * height;
        let one = [moment];
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
                    self.stacked[6 * plane..7 * plane].fill(moment);
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
                        self.stacked.resize(plane, moment);
                        TensorRef::from_array_view((shape(1), self.stacked.as_slice()))?
                    }
                };
                inputs.push((timestep, input.into()));
            }
        }
        let names = self.signature.outputs.names();
        let canceller = &self.canceller;
        let mut took = Duration::ZERO;
        let run = |session: &mut Session| {
            #[cfg(feature = "faults")]
            crate::faults::run(plane)?;
            let start = Instant::now();
            let mut outputs = session.run_with_options(inputs, canceller.options(clears))?;
            took = start.elapsed();
            Ok(Answer(
                names.filter_map(|name| outputs.remove(name)).collect(),
            ))
        };
        let called_off = || canceller.is_cancelled();
        let session = self.session_for((width, height));
        let answer = session.take(called_off, run).transpose();
        self.took = took;
        answer
    }
}

/// What became of a run that failed.
pub(super) fn failed(label: &str, error: &ort::Error) -> ModelError {
    let (model, reason) = (label.into(), session::plain(&error.to_string()));
    match memory::is_shortage(&reason) {
        true => ModelError::Memory { model, reason },
        false => ModelError::Run { model, reason },
    }
}

/// What a network gave: a picture, or flow and mask.
pub(super) struct Answer(Vec<DynValue>);

impl Answer {
    /// What a network might have given.
    #[cfg(test)]
    pub(super) fn new(values: Vec<DynValue>) -> Self {
        Self(values)
    }

    /// Its values, wherever they lie.
    pub(super) fn values(&self) -> &[DynValue] {
        &self.0
    }

    /// The planes of a picture of the padded size.
    pub(super) fn picture(&self, (width, height): (usize, usize)) -> Result<&[f32], String> {
        let (dims, data) = self.tensor(0)?;
        if dims != [1, 3, height, width] {
            return Err(format!("a picture {dims:?}, not [1, 3, {height}, {width}]"));
        }
        Ok(data)
    }

    /// Motion between pictures of `size` within the padded size.
    pub(super) fn motion(
        &self,
        size: (usize, usize),
        (padded_width, padded_height): (usize, usize),
    ) -> Result<Motion<'_>, String> {
        let (flow_dims, flow) = self.tensor(0)?;
        let (mask_dims, mask) = self.tensor(1)?;
        let [_, _, height, width] = flow_dims;
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
            cover_x: size.0 as f32 / stride,
            cover_y: size.1 as f32 / stride,
            unit: 1.0 / stride,
            flow,
            mask,
        })
    }

    /// Whether two answers are the same to the last bit.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, String> {
        let bits = |value: &f32| value.to_bits();
        for index in 0..self.0.len() {
            let (mine, its) = (self.tensor(index)?, other.tensor(index)?);
            if mine.0 != its.0 || !mine.1.iter().map(bits).eq(its.1.iter().map(bits)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// By how much two answers to the same question differ, on average: flow in pixels or a picture,
    /// and the mask.
    pub(super) fn distance(&self, other: &Self) -> Result<[f64; 2], String> {
        let mut distances = [0.0; 2];
        for (index, distance) in distances.iter_mut().enumerate().take(self.0.len()) {
            let ((mine, a), (its, b)) = (self.tensor(index)?, other.tensor(index)?);
            if mine != its {
                return Err(format!("an output {its:?}, not {mine:?}"));
            }
            let apart = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
            *distance = apart.sum::<f64>() / a.len().max(1) as f64;
        }
        Ok(distances)
    }

    /// One output with its shape as numbers.
    fn tensor(&self, index: usize) -> Result<([usize; 4], &[f32]), String> {
        let value = self.0.get(index).ok_or("an output is missing")?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|error| error.to_string())?;
        let dims: Option<Vec<usize>> = shape.iter().map(|&dim| dim.try_into().ok()).collect();
        let dims = dims.and_then(|dims| <[usize; 4]>::try_from(dims).ok());
        let dims = dims.ok_or_else(|| format!("an output of shape {:?}", &**shape))?;
        Ok((dims, data))
    }
}

/// Sizes the stacked input and fills the channels that stay the same from run to run.
pub(super) fn lay_out(stacked: &mut Vec<f32>, channels: usize, width: usize, height: usize) {
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
