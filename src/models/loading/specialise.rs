//! Sessions for pictures of one size, made beside the one that serves any size and takes its place
//! there: on a GPU such a session is worth minutes of making, and the stream is not to wait for it.

use std::sync::Arc;
use std::time::Duration;

use cuda::loaded::LoadedDriver;
use onnx_graph::edit;
use onnx_graph::proto::ModelProto;
use ort::session::Session;

use super::Key;
use crate::models::SizedSession;
use crate::models::error::ModelError;
use crate::models::network::Network;
use crate::models::network::input::Tracked;
use crate::models::network::loaded::Loaded;
use crate::models::network::output::NetworkOutput;
use crate::models::network::sized_session::SizedParts;
use crate::models::options::ExecutionProvider;
use crate::models::registry::{Registry, Shared};
use crate::models::runtime::arena::Arena;
use crate::models::runtime::engine_cache::{self, Store};
use crate::models::runtime::fair_lock::FairLock;
use crate::models::runtime::load_canceller::LoadCanceller;
use crate::models::runtime::providers::{self, Purpose};
use crate::models::runtime::runtime;
use crate::models::runtime::session::{On, Source, Starter};
use crate::models::signature::Signature;
use crate::models::signature::types::{Inputs, Outputs, Timestep};

/// By how much flow may differ from what the other session gives, on average, in pixels: a quarter
/// is what shows when frames are warped by it.
const MOST_FLOW: f64 = 0.25;
/// By how much masks and pictures may, of a range of 1.
const MOST_PICTURE: f64 = 0.02;
/// A session that nobody asked for by name has to be faster by this factor to be worth its memory.
const FASTER: f64 = 0.95;
/// Number of times that each is timed.
const RUNS: usize = 3;

/// A session that could be made for pictures of one size; making it takes from a second to minutes.
#[derive(Clone)]
pub struct Specialise {
    loaded: Shared<Loaded>,
    key: Key,
    label: String,
    /// With the padding.
    size: (usize, usize),
}

impl std::fmt::Debug for Specialise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Specialise")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Specialise {
    /// Returns the specialisation that could be made of a network that was loaded, if any.
    pub(crate) fn new(
        loaded: &Shared<Loaded>,
        key: &Key,
        label: &str,
        size: (usize, usize),
    ) -> Option<Self> {
        loaded.source.as_ref()?;
        Some(Self {
            loaded: loaded.clone(),
            key: key.clone(),
            label: label.into(),
            size,
        })
    }

    /// Returns width and height of the pictures, with the padding.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Returns the execution provider that will run it.
    pub fn provider(&self) -> ExecutionProvider {
        let source = self.loaded.source.as_ref();
        source.map_or(self.loaded.provider, |source| source.provider)
    }

    /// Makes the session, or waits for who makes the same, and sees that it gives what the other
    /// one gives. `None` if it does and is not faster, where nobody asked for it by name.
    ///
    /// # Errors
    /// [`ModelError::Provider`] with the reason why it can't be made, or with what it gives
    /// instead.
    pub fn make(self, interrupt: &LoadCanceller) -> Result<Option<SizedSession>, ModelError> {
        static FITTED: Registry<(Key, (usize, usize)), SizedParts> = Registry::new();
        let provider = self.provider();
        let refused = |reason| ModelError::Provider { provider, reason };
        let key = (self.key.clone(), self.size);
        let fitted = SizedSession(FITTED.get(key, || self.start(interrupt).map_err(refused))?);
        let mut general = Network::new(self.label.clone(), &self.loaded)?;
        let mut special = Network::new(self.label.clone(), &self.loaded)?;
        for canceller in [general.canceller(), special.canceller()] {
            let canceller = canceller.clone();
            interrupt.add(move || canceller.cancel());
        }
        special.take_over(fitted.clone());
        let pair = [0.0, 3.0].map(|shift| waves(self.size, shift));
        let (expected, before) = time_runs(&mut general, &pair, self.size)?;
        let (found, after) = time_runs(&mut special, &pair, self.size)?;
        if !special.is_fitted() {
            return Err(refused("it can be made and not run".into()));
        }
        let motion = matches!(self.loaded.signature.outputs, Outputs::Motion { .. });
        check(&expected, &found, motion).map_err(refused)?;
        let faster = after.as_secs_f64() < FASTER * before.as_secs_f64();
        Ok((provider != ExecutionProvider::Cuda || faster).then_some(fitted))
    }

    fn start(&self, interrupt: &LoadCanceller) -> Result<SizedParts, String> {
        let source = self
            .loaded
            .source
            .as_ref()
            .ok_or("there is nothing to make it of")?;
        let runtime = runtime().map_err(|error| error.to_string())?;
        let starter = Starter::new(runtime, &source.options, &source.file, interrupt);
        let mut model = source.model.clone();
        // the encoder itself stays a session for any size: it runs once a picture
        let features = match &self.loaded.encoder {
            Some(encoder) => encoder.shapes(self.size)?,
            None => Vec::new(),
        };
        if let Some(graph) = &mut model.graph {
            let features = features.iter().map(|(name, dims)| (&**name, dims.clone()));
            let mut shapes = shapes(&self.loaded.signature, self.size);
            shapes.extend(features);
            edit::fix_inputs(graph, &shapes);
        }
        let cuda = |purpose| providers::cuda(&source.options, purpose);
        let session = match source.provider {
            #[cfg(feature = "faults")]
            ExecutionProvider::TensorRt if crate::faults::fits() => {
                crate::faults::made()?;
                let limit = Purpose::OneSize.limit(&source.options);
                starter.cpu_session(model, limit)?.session
            }
            ExecutionProvider::TensorRt => {
                let version = &runtime.version;
                with_engines(source, &model, self.size, version, |folder| {
                    let tensorrt = providers::tensorrt(&source.options, folder);
                    let providers = [tensorrt, cuda(Purpose::BehindTensorRt)];
                    starter.session(model.clone(), On::Gpu(&providers))
                })?
            }
            _ => starter.session(model, On::Gpu(&[cuda(Purpose::OneSize)]))?,
        };
        Ok(SizedParts {
            size: self.size,
            arena: Arena::of(&session, source.provider, source.options.device),
            session: Arc::new(FairLock::new(session)),
            provider: source.provider,
            precision: source.precision,
        })
    }
}

/// Makes a session that keeps its engine on disk, if it can be kept there: where the user has no
/// cache, it is built every time.
fn with_engines(
    source: &Source,
    model: &ModelProto,
    size: (usize, usize),
    version: &str,
    make: impl Fn(Option<&std::path::Path>) -> Result<Session, String>,
) -> Result<Session, String> {
    let kind = LoadedDriver::loaded().and_then(|driver| driver.kind(source.options.device));
    let work = || {
        let kind = kind.as_ref()?;
        let store = Store::of_user().ok()?;
        // what can't be removed does no harm yet
        drop(store.tidy());
        let key = engine_cache::Key {
            graph: &onnx_graph::encode_beside(model.clone(), &source.file),
            weights: &source.file,
            precision: source.precision,
            size,
            runtime: version,
            device: kind,
        };
        store.work(&key).ok()
    };
    let Some(mut work) = work() else {
        return make(None);
    };
    let mut made = make(Some(work.folder()));
    if made.is_err() && work.found() && work.discard().is_ok() {
        made = make(Some(work.folder()));
    }
    let session = made?;
    // it runs all the same; it is built again the next time
    drop(work.keep());
    Ok(session)
}

/// The shapes of a network's inputs for pictures of one size.
fn shapes(signature: &Signature, (width, height): (usize, usize)) -> Vec<(&str, Vec<i64>)> {
    let plane = |channels: usize| vec![1, channels as i64, height as i64, width as i64];
    match &signature.inputs {
        Inputs::Stacked { name, channels } => vec![(name, plane(*channels))],
        Inputs::Pictures(names) => names.iter().map(|name| (name.as_str(), plane(3))).collect(),
        Inputs::PicturesAndTimestep {
            pictures,
            timestep,
            form,
        } => {
            let phase = match form {
                Timestep::Scalar(rank) => vec![1; *rank],
                Timestep::Plane => plane(1),
            };
            let pictures = pictures.iter().map(|name| (name.as_str(), plane(3)));
            pictures.chain([(timestep.as_str(), phase)]).collect()
        }
    }
}

/// A picture of waves that were moved by so many pixels: what moved where is plain to see, so that
/// two ways of computing it find the same.
fn waves((width, height): (usize, usize), shift: f32) -> Vec<f32> {
    let value = |channel: usize, x: usize, y: usize| {
        let (x, y) = (x as f32 + shift, y as f32 + shift / 3.0);
        let phase = channel as f32;
        let sum = (0.21 * x + 0.13 * y + phase).sin()
            + (0.083 * x - 0.17 * y).sin()
            + (0.037 * x + 0.029 * y + phase).sin();
        0.5 + sum / 8.0
    };
    let rows = |channel| (0..height).flat_map(move |y| (0..width).map(move |x| (channel, x, y)));
    (0..3)
        .flat_map(rows)
        .map(|(channel, x, y)| value(channel, x, y))
        .collect()
}

/// The answer between two pictures, and the shortest time it took, while others may be using the
/// session, too. The first run makes ready.
fn time_runs(
    network: &mut Network,
    [a, b]: &[Vec<f32>; 2],
    size: (usize, usize),
) -> Result<(NetworkOutput, Duration), ModelError> {
    let pictures = [a, b].map(|planes| Tracked::once(planes.as_slice()));
    let mut answer = network.run(pictures, size, 0.5)?;
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        answer = network.run(pictures, size, 0.5)?;
        best = best.min(network.took());
    }
    Ok((answer, best))
}

/// Checks that an answer is near enough to what is expected.
fn check(expected: &NetworkOutput, found: &NetworkOutput, motion: bool) -> Result<(), String> {
    let most = [if motion { MOST_FLOW } else { MOST_PICTURE }, MOST_PICTURE];
    let distance = expected.distance(found)?;
    let near = distance
        .iter()
        .zip(most)
        .all(|(distance, most)| *distance <= most);
    match near {
        true => Ok(()),
        false => Err(format!(
            "its answers differ from the other session's by {:.3} and {:.3} on average; \
             precision=fp32 may help",
            distance[0], distance[1]
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::models::options::Precision;
    use ort::value::Tensor;

    use super::*;
    use crate::models::interpolator::Interpolator;
    use crate::models::options::LoadOptions;

    fn answer(flow: f32, mask: f32) -> NetworkOutput {
        let tensor = |channels: usize, value: f32| {
            let data = vec![value; channels * 6];
            Tensor::from_array(([1, channels, 2, 3], data))
                .unwrap()
                .into_dyn()
        };
        NetworkOutput::new(vec![tensor(4, flow), tensor(1, mask)])
    }

    #[test]
    fn answers_are_near_by_what_shows() {
        runtime().unwrap();
        let expected = answer(3.0, 0.5);
        for (flow, mask, near) in [
            (3.0, 0.5, true),
            (3.2, 0.51, true),
            (3.3, 0.5, false),
            (3.0, 0.53, false),
            (f32::NAN, 0.5, false),
            (3.0, f32::NAN, false),
        ] {
            let found = check(&expected, &answer(flow, mask), true);
            assert_eq!(found.is_ok(), near, "{flow} {mask}");
        }
        // a picture's range is 1
        assert!(check(&expected, &answer(3.03, 0.5), false).is_err());
        let other = Tensor::from_array(([1_usize, 4, 3, 2], vec![3.0_f32; 24])).unwrap();
        let other = NetworkOutput::new(vec![other.into_dyn()]);
        assert!(check(&expected, &other, true).is_err_and(|why| why.contains("an output")));
    }

    /// Tests that what a session in 16 bits gives is near enough to one in 32, and that what it
    /// gives for another phase is not: so the check tells right from wrong.
    #[test]
    fn sixteen_bits_pass_and_another_phase_does_not() {
        let size = (160, 128);
        let pair = [0.0, 3.0].map(|shift| waves(size, shift));
        let [full, half] = [Precision::Fp32, Precision::Fp16].map(|precision| {
            let options = LoadOptions {
                provider: ExecutionProvider::Cpu,
                precision,
                ..LoadOptions::default()
            };
            let loaded = Interpolator::load(&options).unwrap();
            Network::new("lite".into(), loaded.loaded()).unwrap()
        });
        let [mut full, mut half] = [full, half];
        let pictures = pair
            .each_ref()
            .map(|planes| Tracked::once(planes.as_slice()));
        let run = |network: &mut Network, phase| network.run(pictures, size, phase).unwrap();
        let expected = run(&mut full, 0.5);
        check(&expected, &run(&mut half, 0.5), true).unwrap();
        assert!(check(&expected, &run(&mut full, 0.1), true).is_err());
    }
}
