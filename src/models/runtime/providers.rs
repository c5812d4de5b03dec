//! Options that the runtime's providers for GPUs are given, and the reasons for them.
//!
//! The options are lists of names and values, so that tests can read them where there is no GPU.
//! None of them has been measured by this project yet, as it has had no GPU: what is not the
//! provider's default has a reason here, from the [CUDA provider's] or the [TensorRT provider's]
//! documentation, the runtime's source, or others' figures.
//!
//! [CUDA provider's]: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
//! [TensorRT provider's]: https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html

use std::path::Path;

use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider as _, CUDA, ExecutionProvider as _,
    ExecutionProviderDispatch, TensorRT,
};

use super::Runtime;
use crate::models::memory::Parts;
use crate::models::options::{ExecutionProvider, LoadOptions, Precision};
use dylib::Whole;

/// Names and values, as the runtime takes them.
type Options = Vec<(&'static str, String)>;

/// Purpose that a session is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Pictures of any size, as soon as the first one comes.
    AnySize,
    /// Pictures of one size; it may take its time to get ready, as another session serves meanwhile.
    OneSize,
    /// The same, for what TensorRT can't do of a network.
    BehindTensorRt,
    /// One of this project's own graphs, of one size, beside a network; may hold so many bytes (0: any number).
    Beside(u64),
}

impl Purpose {
    /// Returns how many bytes such a session may hold; 0 for any number.
    pub(crate) fn limit(self, options: &LoadOptions) -> u64 {
        let parts = Parts::of(options.memory_limit);
        match self {
            Self::AnySize => parts.network,
            Self::OneSize => parts.one_size,
            // the other half is for TensorRT's scratch memory, which lies outside the arena
            Self::BehindTensorRt => (parts.one_size / 2).max(parts.one_size.min(1)),
            Self::Beside(limit) => limit,
        }
    }
}

/// The CUDA provider's options.
///
/// - `cudnn_conv_algo_search`: with `EXHAUSTIVE`, the default, the first run at a size tries all of
///   cuDNN's ways for every convolution, which takes seconds, and a live stream would stand still
///   for it; so does every later change of size, as each convolution remembers the latest size only.
///   `HEURISTIC` asks cuDNN's model of the device. A session for one size, which is made beside the
///   stream and is kept, is worth the search.
/// - `cudnn_conv_use_max_workspace`: the default, 1, lets a convolution take all the scratch memory
///   that its fastest way wants; 0 stops at 32 MB. Where memory is limited, that would be the first
///   thing to overshoot.
/// - `use_tf32`: the default, 1, rounds factors of 32-bit convolutions to the 10 bits that 16-bit
///   floats have, too, and is several times faster. It is off for who asks for 32 bits by name,
///   and for graphs beside a network: they compute positions, and levels of more than 11 bits.
/// - `prefer_nhwc`: off, the default. Tensor cores want channels last, but everything that is no
///   convolution then gets transposed round it, and networks that warp are half made of that. Others
///   found such graphs slower by a sixth. To be measured.
/// - `fuse_conv_bias`: off, the default. It has kernels compiled at the first run for every shape,
///   and takes convolutions out of the runtime's own fusions. Others found it slower. To be measured.
/// - `enable_cuda_graph`: off, the default. It needs fixed sizes and addresses and one thread. The
///   runtime records with `cudaStreamCaptureModeGlobal`, under which an allocation by any other
///   thread fails: in a process that decodes video on the same device that would be the decoder's.
/// - `gpu_mem_limit`: of the arena, which on a GPU holds the weights too: the session's part of what all of
///   an element's may hold.
/// - `arena_extend_strategy`: doubling, the default, makes few blocks, of which the first is kept when memory is
///   given back; under a limit, doubling would meet it with half of it unused.
///
/// A stream of its own is what each session has anyway, so none is given.
pub(crate) fn cuda_options(options: &LoadOptions, purpose: Purpose) -> Options {
    let flag = |on: bool| String::from(if on { "1" } else { "0" });
    let limit = purpose.limit(options);
    let limited = limit > 0;
    let (search, fast) = match purpose {
        Purpose::AnySize => ("HEURISTIC", options.precision != Precision::Fp32),
        Purpose::OneSize | Purpose::BehindTensorRt => {
            ("EXHAUSTIVE", options.precision != Precision::Fp32)
        }
        Purpose::Beside(_) => ("HEURISTIC", false),
    };
    let mut list = vec![
        ("device_id", options.device.to_string()),
        ("cudnn_conv_algo_search", search.into()),
        ("cudnn_conv_use_max_workspace", flag(!limited)),
        ("use_tf32", flag(fast)),
    ];
    if limited {
        list.push(("gpu_mem_limit", limit.to_string()));
        list.push(("arena_extend_strategy", "kSameAsRequested".into()));
    }
    list
}

/// The TensorRT provider's options. The network's sizes are fixed in its graph, so that the engine
/// is built while the session is made, and for that size alone; no profiles are needed.
///
/// - `trt_fp16_enable`: TensorRT decides by itself what it computes in 16 bits, positions among it. So
///   what comes out is compared with CUDA's before it is used.
/// - `trt_engine_cache_*`, `trt_timing_cache_*`: `folder` is this session's alone (see
///   [`engines`](super::engine_cache)), because the provider names an engine after the names in the graph
///   and not after its weights, and writes over what is there without care for who reads it.
/// - `trt_max_workspace_size`: the default is all of the device.
/// - `trt_context_memory_sharing_enable`: where the network had to be cut into several engines, they
///   run one after the other, and can have the same scratch memory.
/// - `trt_force_sequential_engine_build`: two elements on two devices may build at once, which the
///   documentation says takes this.
/// - `trt_cuda_graph_enable`: off, the default; as with CUDA.
pub(crate) fn tensorrt_options(options: &LoadOptions, folder: Option<&Path>) -> Options {
    let on = || String::from("1");
    let mut list = vec![
        ("device_id", options.device.to_string()),
        ("trt_context_memory_sharing_enable", on()),
        ("trt_force_sequential_engine_build", on()),
    ];
    if tensorrt_precision(options.precision) == Precision::Fp16 {
        list.push(("trt_fp16_enable", on()));
    }
    let limit = Purpose::BehindTensorRt.limit(options);
    if limit > 0 {
        list.push(("trt_max_workspace_size", limit.to_string()));
    }
    if let Some(folder) = folder.and_then(Path::to_str) {
        list.push(("trt_engine_cache_enable", on()));
        list.push(("trt_engine_cache_path", folder.into()));
        list.push(("trt_timing_cache_enable", on()));
        list.push(("trt_timing_cache_path", folder.into()));
    }
    list
}

/// Returns the precision that TensorRT computes in when asked for this.
pub(crate) fn tensorrt_precision(wanted: Precision) -> Precision {
    match wanted {
        Precision::Fp32 | Precision::Int8 => Precision::Fp32,
        Precision::Auto | Precision::Fp16 => Precision::Fp16,
    }
}

/// The CUDA provider, to be registered.
pub(crate) fn cuda(options: &LoadOptions, purpose: Purpose) -> ExecutionProviderDispatch {
    let mut provider = CUDA::default();
    for (name, value) in cuda_options(options, purpose) {
        provider = provider.with_arbitrary_config(name, value);
    }
    provider.build().error_on_failure()
}

/// The TensorRT provider, to be registered before CUDA, which does what TensorRT can't.
pub(crate) fn tensorrt(options: &LoadOptions, folder: Option<&Path>) -> ExecutionProviderDispatch {
    let mut provider = TensorRT::default();
    for (name, value) in tensorrt_options(options, folder) {
        provider = provider.with_arbitrary_config(name, value);
    }
    provider.build().error_on_failure()
}

/// Returns why there is no point in trying a provider for GPUs, if there is none.
pub(crate) fn check(
    runtime: &Runtime,
    provider: ExecutionProvider,
    options: &LoadOptions,
) -> Result<(), String> {
    let device = options.device;
    if device < 0 {
        return Err(format!("{device} is no device: the first one is 0"));
    }
    let missing = match provider {
        _ if !CUDA::is_available().unwrap_or(false) => "CUDA",
        ExecutionProvider::TensorRt if !TensorRT::is_available().unwrap_or(false) => "TensorRT",
        _ => return check_libraries(&runtime.library),
    };
    Err(format!(
        "ONNX Runtime {} ({}) was built without {missing}; the Python wheel onnxruntime-gpu has it",
        runtime.version,
        runtime.library.display()
    ))
}

/// Looks at the providers' libraries beside the runtime's, which that opens.
fn check_libraries(runtime: &Path) -> Result<(), String> {
    for name in ["shared", "cuda", "tensorrt"] {
        let path = runtime.with_file_name(format!("libonnxruntime_providers_{name}.so"));
        // what is not there, the runtime has better words for
        if path.exists() {
            Whole::open(&path).map_err(|reason| format!("{}: {reason}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: Options) -> String {
        let pairs = options
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    fn wanted(device: i32, precision: Precision, memory_limit: u64) -> LoadOptions {
        LoadOptions {
            device,
            precision,
            memory_limit,
            ..LoadOptions::default()
        }
    }

    #[test]
    fn cuda_is_told_what_it_is_for() {
        let plain = wanted(0, Precision::Auto, 0);
        assert_eq!(
            text(cuda_options(&plain, Purpose::AnySize)),
            "device_id=0 cudnn_conv_algo_search=HEURISTIC cudnn_conv_use_max_workspace=1 use_tf32=1"
        );
        assert_eq!(
            text(cuda_options(&plain, Purpose::OneSize)),
            "device_id=0 cudnn_conv_algo_search=EXHAUSTIVE cudnn_conv_use_max_workspace=1 use_tf32=1"
        );
        let limited = wanted(3, Precision::Fp32, 5 << 30);
        assert_eq!(
            text(cuda_options(&limited, Purpose::AnySize)),
            "device_id=3 cudnn_conv_algo_search=HEURISTIC cudnn_conv_use_max_workspace=0 use_tf32=0 \
             gpu_mem_limit=1342177280 arena_extend_strategy=kSameAsRequested"
        );
        let purposes = [
            Purpose::AnySize,
            Purpose::OneSize,
            Purpose::BehindTensorRt,
            Purpose::Beside(7),
        ];
        let limits = purposes.map(|purpose| purpose.limit(&limited));
        assert_eq!(limits, [5 << 28, 5 << 28, 5 << 27, 7]);
        assert_eq!(purposes.map(|purpose| purpose.limit(&plain)), [0, 0, 0, 7]);
    }

    #[test]
    fn tensorrt_is_told_what_it_is_for() {
        assert_eq!(
            text(tensorrt_options(&wanted(0, Precision::Fp32, 0), None)),
            "device_id=0 trt_context_memory_sharing_enable=1 trt_force_sequential_engine_build=1"
        );
        let folder = Path::new("/home/x/.cache/vfiinterp/engines/work");
        assert_eq!(
            text(tensorrt_options(
                &wanted(1, Precision::Auto, 1 << 30),
                Some(folder)
            )),
            "device_id=1 trt_context_memory_sharing_enable=1 trt_force_sequential_engine_build=1 \
             trt_fp16_enable=1 trt_max_workspace_size=134217728 \
             trt_engine_cache_enable=1 trt_engine_cache_path=/home/x/.cache/vfiinterp/engines/work \
             trt_timing_cache_enable=1 trt_timing_cache_path=/home/x/.cache/vfiinterp/engines/work"
        );
    }

    #[test]
    fn a_provider_s_library_that_is_cut_is_named() {
        let folder = std::env::temp_dir().join(format!("vfiinterp-ep-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = folder.join("libonnxruntime.so");
        assert_eq!(check_libraries(&runtime), Ok(()), "none is there");
        let provider = folder.join("libonnxruntime_providers_cuda.so");
        std::fs::write(&provider, b"\x7fELF").unwrap();
        let said = check_libraries(&runtime).unwrap_err();
        assert!(said.contains("providers_cuda.so: its 4 bytes"), "{said}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_device_below_the_first_is_refused() {
        let runtime = crate::models::runtime::runtime().unwrap();
        let refused = check(
            runtime,
            ExecutionProvider::Cuda,
            &wanted(-1, Precision::Auto, 0),
        );
        assert!(refused.is_err_and(|why| why.contains("-1 is no device")));
    }
}
