//! Makes the runtime's session of a network, on the execution provider asked for.

use std::sync::Arc;

use onnx_graph::proto::ModelProto;
use onnx_graph::{convolutions, edit, functions, half};
use ort::ep::{CUDA, ExecutionProvider as _, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::load_canceller::LoadCanceller;
use super::providers::{self, Purpose};
use super::{Runtime, arena};
use crate::models::error::{ModelError, plain};
use crate::models::memory::{self, available};
use crate::models::ops;
use crate::models::options::{ExecutionProvider, LoadOptions, Precision};
use crate::models::signature::types::Outputs;

/// Reason why a network in 8 bits is not on a GPU.
const CPU_ONLY: &str = "8 bits are for the CPU";

/// Most threads of a session: more gain nothing on pictures this small.
const MAX_THREADS: usize = 8;

/// A session and how it came about.
pub(crate) struct Started {
    pub(crate) session: Session,
    /// CPU or CUDA. TensorRT takes minutes to get ready: CUDA serves until then.
    pub(crate) provider: ExecutionProvider,
    /// 32, 16 or 8 bits.
    pub(crate) precision: Precision,
    /// Reason why it is not the faster one, where `Auto` had to fall back.
    pub(crate) note: Option<String>,
    /// Reason why it is not in 16 bits, where [`Precision::Auto`] would have liked that.
    pub(crate) precision_note: Option<String>,
    /// Number of nodes that this project's own operators do.
    pub(crate) own_nodes: usize,
    /// Source that sessions for one size are made of, where that is worth while.
    pub(crate) source: Option<Source>,
}

/// A session on the CPU.
pub(crate) struct CpuSession {
    pub(crate) session: Session,
    /// Number of nodes that this project's own operators do.
    pub(crate) own_nodes: usize,
    /// Number of convolutions in 8 bits among them.
    pub(crate) convolutions: usize,
}

/// A network, as sessions for one size are made of it.
pub(crate) struct Source {
    pub(crate) model: ModelProto,
    /// Weights are parts of it.
    pub(crate) file: Arc<[u8]>,
    pub(crate) options: LoadOptions,
    /// CUDA or TensorRT.
    pub(crate) provider: ExecutionProvider,
    /// Precision that such a session computes in.
    pub(crate) precision: Precision,
}

/// Starts `model` as the options ask for. Weights that are
/// parts of `file` are read from there.
pub(crate) fn start(
    runtime: &Runtime,
    options: &LoadOptions,
    label: &str,
    model: ModelProto,
    file: &Arc<[u8]>,
    interrupt: &LoadCanceller,
) -> Result<Started, ModelError> {
    let starter = Starter::new(runtime, options, file, interrupt);
    let mut note = None;
    match options.provider {
        ExecutionProvider::Cpu => {}
        ExecutionProvider::Auto if options.precision == Precision::Int8 => {
            note = Some(CPU_ONLY.into());
        }
        ExecutionProvider::Auto if !CUDA::is_available().unwrap_or(false) => {
            note = Some("this ONNX Runtime has no CUDA".into());
        }
        ExecutionProvider::Auto => match starter.on_gpu(&model, ExecutionProvider::Cuda) {
            Ok(started) => return Ok(started),
            Err(reason) => note = Some(format!("CUDA does not start: {reason}")),
        },
        provider => {
            let started = starter.on_gpu(&model, provider);
            return started.map_err(|reason| ModelError::Provider { provider, reason });
        }
    }
    match starter.on_cpu(model) {
        Ok(started) => Ok(Started { note, ..started }),
        Err(reason) => Err(refusal(label, reason)),
    }
}

/// Returns the error for a session that could not be made.
fn refusal(label: &str, reason: String) -> ModelError {
    let model = label.into();
    match memory::is_shortage(&reason) {
        true => ModelError::Memory { model, reason },
        false => ModelError::Unusable { model, reason },
    }
}

/// Parts that every session of a network is made with.
pub(crate) struct Starter<'a> {
    runtime: &'a Runtime,
    options: &'a LoadOptions,
    file: &'a Arc<[u8]>,
    interrupt: &'a LoadCanceller,
}

impl<'a> Starter<'a> {
    pub(crate) fn new(
        runtime: &'a Runtime,
        options: &'a LoadOptions,
        file: &'a Arc<[u8]>,
        interrupt: &'a LoadCanceller,
    ) -> Self {
        Self {
            runtime,
            options,
            file,
            interrupt,
        }
    }

    /// Starts `model` on CUDA, also where TensorRT is wanted, or tells why not.
    fn on_gpu(&self, model: &ModelProto, provider: ExecutionProvider) -> Result<Started, String> {
        if self.options.precision == Precision::Int8 {
            return Err(format!("{CPU_ONLY}: take precision=fp16 here"));
        }
        providers::check(self.runtime, provider, self.options)?;
        if provider == ExecutionProvider::TensorRt {
            // which loads TensorRT's libraries
            let trial = SessionBuilder::new(&self.runtime.environment)
                .map_err(|error| plain(&error.to_string()))?;
            let registered =
                trial.with_execution_providers([providers::tensorrt(self.options, None)]);
            registered.map_err(|error| plain(&error.to_string()))?;
        }
        let mut model = model.clone();
        // providers then see operators that they know; what can't be put in place, the runtime tries to
        functions::inline(&mut model).ok();
        let (started, halved) = self.on_cuda(&model)?;
        let (model, precision) = match provider {
            // 16 bits are an option of its own
            ExecutionProvider::TensorRt => {
                (model, providers::tensorrt_precision(self.options.precision))
            }
            _ => (halved.unwrap_or(model), started.precision),
        };
        let source = Source {
            model,
            file: Arc::clone(self.file),
            options: self.options.clone(),
            provider,
            precision,
        };
        Ok(Started {
            source: Some(source),
            ..started
        })
    }

    /// Starts `model` on CUDA, in 16 bits (which is then given, too) unless 32 are asked for, or it
    /// can't be.
    fn on_cuda(&self, model: &ModelProto) -> Result<(Started, Option<ModelProto>), String> {
        let providers = [providers::cuda(self.options, Purpose::AnySize)];
        let start = |model: &ModelProto, precision| -> Result<Started, String> {
            let session = self.session(model.clone(), On::Gpu(&providers))?;
            Ok(Started {
                precision,
                ..Started::on(session, ExecutionProvider::Cuda)
            })
        };
        let wanted = self.options.precision;
        let halved = (wanted != Precision::Fp32).then(|| -> Result<_, String> {
            let halved = in_16_bits(model)?;
            let started = start(&halved, Precision::Fp16)?;
            Ok((started, Some(halved)))
        });
        let reason = match halved {
            Some(Ok(started)) => return Ok(started),
            Some(Err(reason)) if wanted == Precision::Fp16 => return Err(not_16_bits(reason)),
            Some(Err(reason)) => Some(not_16_bits(reason)),
            None => None,
        };
        let started = start(model, Precision::Fp32)?;
        Ok((
            Started {
                precision_note: reason,
                ..started
            },
            None,
        ))
    }

    /// Starts `model` on the CPU, or tells why not; in 16 bits only if that is asked for, as the
    /// CPU converts each value to 32 and back.
    fn on_cpu(&self, model: ModelProto) -> Result<Started, String> {
        let (original, precision) = match self.options.precision {
            Precision::Fp16 => (in_16_bits(&model).map_err(not_16_bits)?, Precision::Fp16),
            Precision::Auto | Precision::Fp32 | Precision::Int8 => (model, Precision::Fp32),
        };
        #[cfg(feature = "faults")]
        let source = crate::faults::fits().then(|| Source {
            model: original.clone(),
            file: Arc::clone(self.file),
            options: self.options.clone(),
            provider: ExecutionProvider::TensorRt,
            precision,
        });
        #[cfg(not(feature = "faults"))]
        let source = None;
        let limit = whole_limit(self.options);
        let started = self.cpu_session(original, limit)?;
        let precision = match started.convolutions {
            0 => precision,
            _ => Precision::Int8,
        };
        Ok(Started {
            precision,
            own_nodes: started.own_nodes,
            source,
            ..Started::on(started.session, ExecutionProvider::Cpu)
        })
    }

    /// Makes a session on the CPU of at most so many bytes.
    pub(crate) fn cpu_session(
        &self,
        original: ModelProto,
        limit: u64,
    ) -> Result<CpuSession, String> {
        let mut model = original.clone();
        let stages = functions::hand_over_stages(&mut model);
        let convolutions = match self.in_8_bits(stages > 0)? {
            true => convolutions::use_own_convolutions(&mut model),
            false => 0,
        };
        if self.options.precision == Precision::Int8 && convolutions == 0 {
            return Err(not_8_bits("none of its convolutions can be"));
        }
        let own_nodes = stages + convolutions + edit::use_own_grid_sample(&mut model);
        let on = |own_operators| On::Cpu {
            limit,
            own_operators,
        };
        let with_own = (own_nodes > 0).then(|| self.session(model, on(true)));
        match with_own {
            Some(Ok(session)) => Ok(CpuSession {
                session,
                own_nodes,
                convolutions,
            }),
            Some(Err(reason)) if self.options.precision == Precision::Int8 => Err(reason),
            Some(Err(_)) | None => Ok(CpuSession {
                session: self.session(original, on(false))?,
                own_nodes: 0,
                convolutions: 0,
            }),
        }
    }

    /// Returns whether convolutions are to be in 8 bits: if that is asked for, and by themselves those of
    /// this project's networks, for which it was measured.
    fn in_8_bits(&self, is_ours: bool) -> Result<bool, String> {
        match self.options.precision {
            Precision::Fp32 | Precision::Fp16 => Ok(false),
            Precision::Auto => Ok(is_ours && ops::has_convolution()),
            Precision::Int8 if ops::has_convolution() => Ok(true),
            Precision::Int8 => Err(not_8_bits("this processor has no AVX2")),
        }
    }

    pub(crate) fn session(&self, model: ModelProto, on: On) -> Result<Session, String> {
        let graph = onnx_graph::encode_beside(model, self.file);
        let weights = Some(Arc::clone(self.file));
        commit(
            self.runtime,
            self.options,
            &graph,
            weights,
            on,
            self.interrupt,
        )
    }
}

fn in_16_bits(model: &ModelProto) -> Result<ModelProto, String> {
    let mut model = model.clone();
    functions::inline(&mut model)?;
    half::halve(&mut model).map(|_| model)
}

fn not_8_bits(reason: &str) -> String {
    format!("it cannot be run in 8 bits: {reason}")
}

fn not_16_bits(reason: String) -> String {
    format!("it cannot be run in 16 bits: {reason}")
}

impl Started {
    fn on(session: Session, provider: ExecutionProvider) -> Self {
        Self {
            session,
            provider,
            precision: Precision::Fp32,
            note: None,
            precision_note: None,
            own_nodes: 0,
            source: None,
        }
    }
}

/// Drops the outputs that are not asked for and everything only they need.
pub(crate) fn keep_outputs(model: &mut ModelProto, outputs: &Outputs) {
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

/// Returns the bytes that a network's session on the CPU may hold: all, as no others are made
/// beside it there.
fn whole_limit(options: &LoadOptions) -> u64 {
    #[cfg(feature = "faults")]
    if crate::faults::is_device() {
        return Purpose::AnySize.limit(options);
    }
    options.memory_limit
}

/// Makes a session of one of this project's own graphs, where a network that was loaded with these
/// `options` came to run: on the CPU or with CUDA, which also serves beside TensorRT. It may hold
/// `limit` bytes (0: any number).
///
/// TF32 is off: the graphs compute positions, and levels of more than its 11 bits.
pub(crate) fn beside(
    runtime: &Runtime,
    options: &LoadOptions,
    provider: ExecutionProvider,
    mut model: ModelProto,
    limit: u64,
) -> Result<Session, String> {
    let cuda = [providers::cuda(options, Purpose::Beside(limit))];
    let on = match provider.is_gpu() {
        true => On::Gpu(&cuda),
        false => On::Cpu {
            limit,
            own_operators: edit::use_own_grid_sample(&mut model) > 0,
        },
    };
    let encoded = onnx_graph::encode(&model);
    commit(
        runtime,
        options,
        &encoded,
        None,
        on,
        &LoadCanceller::default(),
    )
}

/// Returns whether there is a limit to what a session may take, beside what the machine has.
pub(crate) fn is_limited(options: &LoadOptions) -> bool {
    arena_limit(options.memory_limit).is_some()
}

/// Returns the bytes that an arena on the CPU may take: as many as were asked for; and where the
/// address space has an end, three quarters of what is left, as most of a process doesn't survive
/// a want of memory.
fn arena_limit(asked: u64) -> Option<u64> {
    let left = available::address_space().map(|room| room.free / 4 * 3);
    [Some(asked).filter(|limit| *limit > 0), left]
        .into_iter()
        .flatten()
        .min()
}

/// Where a session runs.
#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    /// On the CPU.
    Cpu {
        /// How many bytes its arena may take; 0 for any number.
        limit: u64,
        /// Whether this project's own operators are in the graph.
        own_operators: bool,
    },
    /// On these providers, which know their limits, and on the CPU for what they can't do.
    Gpu(&'a [ExecutionProviderDispatch]),
}

/// Makes a session of an encoded graph, whose `weights` may lie beside it
/// ([`onnx_graph::encode_beside`]), unless it is interrupted.
pub(crate) fn commit(
    runtime: &Runtime,
    options: &LoadOptions,
    encoded: &[u8],
    weights: Option<Arc<[u8]>>,
    on: On,
    interrupt: &LoadCanceller,
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
    let mut builder = runtime
        .session()
        .map_err(|error| plain(&error.to_string()))?
        .with_intra_threads(threads)
        .map_err(reason)?;
    if let On::Cpu {
        own_operators: true,
        ..
    } = on
    {
        let domain = ops::domain().map_err(|error| plain(&error.to_string()))?;
        builder = builder.with_operators(domain).map_err(reason)?;
    }
    if let Some(weights) = weights {
        builder = builder
            .with_external_initializer_file_in_memory(onnx_graph::WEIGHTS, weights)
            .map_err(reason)?;
    }
    if let On::Gpu(providers) = on {
        builder = builder
            .with_execution_providers(providers)
            .map_err(reason)?;
    }
    #[cfg(feature = "faults")]
    crate::faults::load(encoded.len()).map_err(|error| plain(&error.to_string()))?;
    let canceler = builder.canceler();
    // which fails for no reason there is a remedy for
    interrupt.add(move || drop(canceler.cancel()));
    let commit = |mut builder: SessionBuilder| builder.commit_from_memory(encoded);
    let limit = match on {
        On::Cpu { limit, .. } => arena_limit(limit),
        On::Gpu(_) => None,
    };
    let session = match limit {
        Some(limit) => arena::with_limit(runtime, limit, builder, commit),
        None => commit(builder),
    };
    session.map_err(|error| plain(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::models::error::plain;

    #[test]
    fn messages_are_freed_of_source_places() {
        let message =
            "/src/a.cc:20 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : No file x: y : z\n";
        assert_eq!(plain(message), "No file x: y : z");
        assert_eq!(plain(" Load model failed \n"), "Load model failed");
    }
}
