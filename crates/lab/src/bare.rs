//! A network's session alone, on tensors that lie where it computes: what the element can't be faster
//! than with the runtime as it is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gstvfiinterp::models::runtime::runtime;
use gstvfiinterp::models::signature::Signature;
use gstvfiinterp::models::signature::metadata::Stated;
use gstvfiinterp::models::signature::types::{Inputs, Timestep};
use gstvfiinterp::models::{ExecutionProvider, LoadOptions, ModelInfo, Precision, catalog};
use onnx_graph::{functions, half};
use ort::ep::CUDA;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::{DynTensor, Tensor};

/// Runs before the clock runs.
const WARM_UP: u32 = 3;

/// Returns the mean time of a run of a model, loaded as `options` say and as `loaded` tells it was,
/// for frames that the network sees `width` x `height` pixels large. On the CPU it takes as many
/// threads as the runtime does by itself; instead of TensorRT it is CUDA.
///
/// # Errors
/// If the model can't be loaded or run.
pub(crate) fn measure(
    options: &LoadOptions,
    loaded: &ModelInfo,
    (width, height): (usize, usize),
    runs: u32,
) -> Result<Duration> {
    let (mut session, signature) = start(options, loaded)?;
    let tensor = |shape: Vec<usize>, value: f32| -> Result<DynTensor> {
        let values = vec![value; shape.iter().product()];
        Ok(Tensor::from_array((shape, values))?.upcast())
    };
    let picture = |value| tensor(vec![1, 3, height, width], value);
    let inputs: Vec<(String, DynTensor)> = match signature.inputs {
        Inputs::Stacked { name, channels } => {
            vec![(name, tensor(vec![1, channels, height, width], 0.5)?)]
        }
        Inputs::Pictures([a, b]) => vec![(a, picture(0.4)?), (b, picture(0.6)?)],
        Inputs::PicturesAndTimestep {
            pictures: [a, b],
            timestep,
            form,
        } => {
            let shape = match form {
                Timestep::Scalar(rank) => vec![1; rank],
                Timestep::Plane => vec![1, 1, height, width],
            };
            let phase = tensor(shape, 0.5)?;
            vec![(a, picture(0.4)?), (b, picture(0.6)?), (timestep, phase)]
        }
    };
    let mut binding = session.create_binding()?;
    for (name, input) in &inputs {
        binding.bind_input(name, input)?;
    }
    let device = match loaded.provider {
        ExecutionProvider::Cuda | ExecutionProvider::TensorRt => AllocationDevice::CUDA,
        ExecutionProvider::Cpu | ExecutionProvider::Auto => AllocationDevice::CPU,
    };
    let memory = MemoryInfo::new(
        device,
        loaded.device,
        AllocatorType::Device,
        MemoryType::Default,
    )?;
    for output in session.outputs() {
        binding.bind_output_to_device(output.name(), &memory)?;
    }
    let mut taken = Duration::ZERO;
    for run in 0..WARM_UP + runs {
        let start = Instant::now();
        drop(session.run_binding(&binding)?);
        binding.synchronize_outputs()?;
        if run >= WARM_UP {
            taken += start.elapsed();
        }
    }
    taken.checked_div(runs).context("no runs were asked for")
}

/// Returns the session, with no operators but the runtime's own, and what its inputs are.
fn start(options: &LoadOptions, loaded: &ModelInfo) -> Result<(Session, Signature)> {
    let contents = catalog::find(&options.model)?.read()?;
    let mut model = contents.decode().map_err(anyhow::Error::msg)?;
    let file = loaded.file.as_deref();
    let stated = Stated::gather(options.family, &options.info, file).map_err(anyhow::Error::msg)?;
    let signature = Signature::of(&model, &stated).map_err(anyhow::Error::msg)?;
    let mut builder = runtime()?.session()?;
    let on_gpu = loaded.provider != ExecutionProvider::Cpu;
    if on_gpu {
        let cuda = CUDA::default().with_device_id(loaded.device).build();
        builder = builder
            .with_execution_providers([cuda.error_on_failure()])
            .map_err(|error| anyhow::Error::msg(error.to_string()))?;
    }
    if on_gpu && loaded.precision == Precision::Fp16 {
        functions::inline(&mut model)
            .and_then(|()| half::halve(&mut model))
            .map_err(anyhow::Error::msg)?;
    }
    let session = builder.commit_from_memory(&onnx_graph::encode(&model))?;
    Ok((session, signature))
}
