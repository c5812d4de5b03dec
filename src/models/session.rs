//! Makes the runtime's session of a network, on the execution provider asked for.

use std::sync::Arc;

use ort::ep::{CUDA, ExecutionProvider as _, ExecutionProviderDispatch, TensorRT};
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};

use super::graph::{self, edit, proto::ModelProto};
use super::runtime::Runtime;
use super::signature::{Outputs, Signature};
use super::{ExecutionProvider, LoadOptions, ModelError, ops};

/// More threads than this gain nothing on pictures this small.
const MAX_THREADS: usize = 8;

/// A session and how it came about.
pub(super) struct Started {
    pub(super) session: Session,
    /// CPU, CUDA or TensorRT.
    pub(super) provider: ExecutionProvider,
    /// Why it is not the faster one, where `Auto` had to fall back.
    pub(super) note: Option<String>,
    /// How many nodes this project's own operator does.
    pub(super) own_nodes: usize,
}

/// Starts `model` (whose unneeded parts are dropped) as the options ask for. Weights that are
/// parts of `file` are read from there.
pub(super) fn start(
    runtime: &Runtime,
    options: &LoadOptions,
    label: &str,
    mut model: ModelProto,
    signature: &Signature,
    file: &Arc<[u8]>,
) -> Result<Started, ModelError> {
    keep_outputs(&mut model, &signature.outputs);
    // copies of the model share its weights
    let start = |model, providers: &[_], own_operators| {
        let graph = graph::encode_beside(model, file);
        let weights = Some(Arc::clone(file));
        commit(runtime, options, &graph, weights, providers, own_operators)
    };
    let failed = |provider, reason| ModelError::Provider { provider, reason };
    let on_gpu = |provider| {
        let providers = gpu_providers(runtime, provider, options.device)?;
        start(model.clone(), &providers, false)
    };
    let mut note = None;
    match options.provider {
        ExecutionProvider::Cpu => {}
        ExecutionProvider::Auto if !CUDA::is_available().unwrap_or(false) => {
            note = Some("this ONNX Runtime has no CUDA".into());
        }
        ExecutionProvider::Auto => match on_gpu(ExecutionProvider::Cuda) {
            Ok(session) => return Ok(Started::on(session, ExecutionProvider::Cuda)),
            Err(reason) => note = Some(format!("CUDA does not start: {reason}")),
        },
        provider => {
            let session = on_gpu(provider).map_err(|reason| failed(provider, reason))?;
            return Ok(Started::on(session, provider));
        }
    }

    let original = model.clone();
    let own_nodes = edit::use_own_grid_sample(&mut model);
    if own_nodes > 0
        && let Ok(session) = start(model, &[], true)
    {
        return Ok(Started {
            own_nodes,
            note,
            ..Started::on(session, ExecutionProvider::Cpu)
        });
    }
    let session = start(original, &[], false).map_err(|reason| ModelError::Unusable {
        model: label.into(),
        reason,
    })?;
    Ok(Started {
        note,
        ..Started::on(session, ExecutionProvider::Cpu)
    })
}

impl Started {
    fn on(session: Session, provider: ExecutionProvider) -> Self {
        Self {
            session,
            provider,
            note: None,
            own_nodes: 0,
        }
    }
}

/// Drops the outputs that are not asked for and everything only they need.
fn keep_outputs(model: &mut ModelProto, outputs: &Outputs) {
    let Some(graph) = &mut model.graph else {
        return;
    };
    graph
        .output
        .retain(|output| match (output.name.as_ref(), outputs) {
            (Some(name), Outputs::Motion { flow, mask }) => name == flow || name == mask,
            (Some(name), Outputs::Picture(picture)) => name == picture,
            (None, _) => false,
        });
    edit::prune(graph);
}

/// The providers to register for CUDA or TensorRT, or why there is no point in trying.
fn gpu_providers(
    runtime: &Runtime,
    provider: ExecutionProvider,
    device: i32,
) -> Result<Vec<ExecutionProviderDispatch>, String> {
    let missing = |name| {
        format!(
            "ONNX Runtime {} ({}) was built without {name}; the Python wheel onnxruntime-gpu has it",
            runtime.version,
            runtime.library.display()
        )
    };
    if device < 0 {
        return Err(format!("{device} is no device: the first one is 0"));
    }
    if !CUDA::is_available().unwrap_or(false) {
        return Err(missing("CUDA"));
    }
    let cuda = CUDA::default()
        .with_device_id(device)
        .build()
        .error_on_failure();
    if provider != ExecutionProvider::TensorRt {
        return Ok(vec![cuda]);
    }
    if !TensorRT::is_available().unwrap_or(false) {
        return Err(missing("TensorRT"));
    }
    let tensorrt = TensorRT::default()
        .with_device_id(device)
        .build()
        .error_on_failure();
    // what TensorRT cannot do, CUDA does
    Ok(vec![tensorrt, cuda])
}

/// The runtime's message without the places in its source it passed through.
pub(super) fn plain(message: &str) -> String {
    const MARK: &str = "[ONNXRuntimeError] : ";
    let Some(start) = message.rfind(MARK) else {
        return message.trim().into();
    };
    // what follows is a number, its name and the message
    let rest = &message[start + MARK.len()..];
    rest.splitn(3, " : ").last().unwrap_or(rest).trim().into()
}

/// Makes a session of an encoded graph, whose `weights` may lie beside it
/// ([`graph::encode_beside`]).
pub(super) fn commit(
    runtime: &Runtime,
    options: &LoadOptions,
    encoded: &[u8],
    weights: Option<Arc<[u8]>>,
    providers: &[ExecutionProviderDispatch],
    own_operators: bool,
) -> Result<Session, String> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_THREADS),
        threads => threads,
    };
    // an error hands the builder back; only its message is wanted
    fn reason(error: ort::Error<SessionBuilder>) -> String {
        plain(&error.to_string())
    }
    let mut builder = SessionBuilder::new(&runtime.environment)
        .map_err(|error| plain(&error.to_string()))?
        // no provider but those registered here
        .with_auto_device(AutoDevicePolicy::PreferCPU)
        .map_err(reason)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(reason)?
        .with_intra_threads(threads)
        .map_err(reason)?
        // a thread that spins between frames takes time from the rest of the pipeline
        .with_intra_op_spinning(false)
        .map_err(reason)?
        // remembering a plan for each size costs more memory than it saves time
        .with_memory_pattern(false)
        .map_err(reason)?;
    if own_operators {
        let domain = ops::domain().map_err(|error| plain(&error.to_string()))?;
        builder = builder.with_operators(domain).map_err(reason)?;
    }
    if let Some(weights) = weights {
        builder = builder
            .with_external_initializer_file_in_memory(graph::WEIGHTS, weights)
            .map_err(reason)?;
    }
    if !providers.is_empty() {
        builder = builder
            .with_execution_providers(providers)
            .map_err(reason)?;
    }
    builder
        .commit_from_memory(encoded)
        .map_err(|error| plain(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn messages_are_freed_of_source_places() {
        let message =
            "/src/a.cc:20 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : No file x: y : z\n";
        assert_eq!(plain(message), "No file x: y : z");
        assert_eq!(plain(" Load model failed \n"), "Load model failed");
    }
}
