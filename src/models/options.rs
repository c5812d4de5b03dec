//! Options that say what to load and how, and facts about what was loaded.

use std::path::PathBuf;

/// The built-in network that serves if nothing is said.
pub(super) const DEFAULT_MODEL: &str = "vfi-lite";

/// Execution provider that runs a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpExecutionProvider")]
#[repr(i32)]
pub enum ExecutionProvider {
    /// CUDA if it starts, else the CPU.
    #[default]
    #[enum_value(name = "CUDA if it starts, else the CPU", nick = "auto")]
    Auto,
    /// The CPU.
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    /// An NVIDIA GPU through CUDA and cuDNN.
    #[enum_value(name = "NVIDIA GPU through CUDA", nick = "cuda")]
    Cuda,
    /// An NVIDIA GPU through TensorRT, and CUDA for what that cannot do.
    #[enum_value(name = "NVIDIA GPU through TensorRT", nick = "tensorrt")]
    TensorRt,
}

impl ExecutionProvider {
    /// The name used in properties and messages.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }

    /// Returns whether it is known to be a GPU: `Auto` may come to be one.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::TensorRt)
    }
}

/// How many bits a network computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpPrecision")]
#[repr(i32)]
pub enum Precision {
    /// 16 bits on a GPU where the network can be converted; on the CPU 8 for this project's own
    /// networks where the processor has AVX2, 32 for others.
    #[default]
    #[enum_value(
        name = "16 bits on a GPU; on the CPU 8 for built-in networks, 32 for others",
        nick = "auto"
    )]
    Auto,
    /// 32 bits, or what the file has.
    #[enum_value(name = "32 bits, or what the file has", nick = "fp32")]
    Fp32,
    /// 16 bits; positions, flow and mask in 32. On the CPU slower than 32.
    #[enum_value(
        name = "16 bits, but 32 where positions are computed; on the CPU slower than 32",
        nick = "fp16"
    )]
    Fp16,
    /// Convolutions in 8 bits, all else in 32: on the CPU alone.
    #[enum_value(
        name = "convolutions in 8 bits, all else in 32: on the CPU alone",
        nick = "int8"
    )]
    Int8,
}

impl Precision {
    /// The name used in properties and messages.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

/// How a network is to be taken, whatever its file looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstVfiInterpModelFamily")]
#[repr(i32)]
pub enum ModelFamily {
    /// As its inputs and outputs, and a run of it, show.
    #[default]
    #[enum_value(name = "As its inputs and outputs show", nick = "auto")]
    Auto,
    /// RIFE: its timestep, if it has one, counts.
    #[enum_value(name = "RIFE: its timestep counts", nick = "rife")]
    Rife,
    /// FILM: it answers with a picture.
    #[enum_value(name = "FILM: it answers with a picture", nick = "film")]
    Film,
    /// It knows only what lies midway; other phases are reached by bisection.
    #[enum_value(
        name = "It knows the midpoint only; other phases are reached by bisection",
        nick = "midpoint"
    )]
    Midpoint,
}

impl ModelFamily {
    /// The name used in properties and statements.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rife => "rife",
            Self::Film => "film",
            Self::Midpoint => "midpoint",
        }
    }
}

/// Which network to load, and what is to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// A built-in name, a well-known one ([`WELL_KNOWN`](super::catalog::WELL_KNOWN)), or the path
    /// of an .onnx file.
    pub model: String,
    /// How it is to be taken.
    pub family: ModelFamily,
    /// Statements about it: `key=value` pairs or the path of a .toml file, see
    /// [`metadata`](super::signature::metadata).
    pub info: String,
    /// Execution provider that runs it.
    pub provider: ExecutionProvider,
    /// Which GPU, counted from 0.
    pub device: i32,
    /// How many bits it computes in.
    pub precision: Precision,
    /// Threads on the CPU; 0 takes what the machine has, up to eight.
    pub threads: usize,
    /// How many bytes the arenas of all sessions may take together that come of this network and
    /// are made beside it: everything but, on the CPU, the weights. There the network's has all of
    /// it; on a GPU each has its part (`memory::Parts`). 0 is no limit.
    pub memory_limit: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.into(),
            family: ModelFamily::Auto,
            info: String::new(),
            provider: ExecutionProvider::Auto,
            device: 0,
            precision: Precision::Auto,
            threads: 0,
            memory_limit: 0,
        }
    }
}

/// Kind of output a network gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Motion, from which frames are made at full size.
    Motion,
    /// A finished picture.
    Picture,
}

/// Facts about a loaded network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its name: the built-in one, or what the file says, or the file's own.
    pub name: String,
    /// The family it says it belongs to.
    pub family: Option<String>,
    /// Whether somebody in this process had it loaded the same way already, so that the two share
    /// its session.
    pub shared: bool,
    /// Its file; `None` for a built-in network.
    pub file: Option<PathBuf>,
    /// Execution provider that really runs it now: never [`ExecutionProvider::Auto`]. Where
    /// TensorRT is wanted it is CUDA until TensorRT's engine is built.
    pub provider: ExecutionProvider,
    /// Which GPU, if one does.
    pub device: i32,
    /// How many bits it computes in: never [`Precision::Auto`]. A file in 16 bits runs as it is
    /// under either name.
    pub precision: Precision,
    /// Reason why [`ExecutionProvider::Auto`] fell back to the CPU, if it did.
    pub fallback: Option<String>,
    /// Kind of output it gives.
    pub kind: ModelKind,
    /// Whether it can be asked for any phase; else it knows midpoints only.
    pub any_phase: bool,
    /// Whether it follows motion while the light of all changes evenly: it says so.
    pub levels_light: bool,
    /// Number that its pictures' sizes are padded to multiples of.
    pub align: usize,
    /// The one size it takes, if it takes one only.
    pub fixed_size: Option<(usize, usize)>,
    /// Properties that were detected, and from what, a phrase each.
    pub notes: Vec<String>,
    /// How many of its nodes run on this project's own operators.
    pub own_nodes: usize,
    /// The version of ONNX Runtime.
    pub runtime_version: String,
    /// The library of ONNX Runtime.
    pub runtime_library: PathBuf,
}
