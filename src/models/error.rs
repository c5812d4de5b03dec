//! Errors that can occur between a model's name and its answer.

use std::fmt;
use std::path::PathBuf;

use onnx_graph::{LONGEST_NAME, abbreviate};
use ort::sys::ORT_API_VERSION;

use super::memory;
use super::options::ExecutionProvider;

/// Error with a model. The messages are complete sentences for the user.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No usable ONNX Runtime was found.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The name is no built-in network and no file.
    #[error(
        "there is no model `{}`{}: {own} come with the plugin; `vfi-models fetch` brings {well_known}; \
         the path of an .onnx file may be given too",
        abbreviate(name, LONGEST_NAME),
        meant.map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default()
    )]
    Unknown {
        /// Name that was asked for.
        name: String,
        /// The name that was probably meant.
        meant: Option<&'static str>,
        /// The names of this project's networks.
        own: String,
        /// The names of well-known networks.
        well_known: String,
    },
    /// The well-known network is not on this machine.
    #[error(
        "the model `{name}` is not on this machine: `vfi-models fetch {name}` brings it to {}",
        file.display()
    )]
    NotFetched {
        /// Its name.
        name: String,
        /// Where its file would be.
        file: PathBuf,
    },
    /// The network should have come with the plugin.
    #[error(
        "the model `{name}`, which comes as a file beside the plugin (`make install` puts it there), is not on this machine: \
         its place is {}",
        file.display()
    )]
    NotInstalled {
        /// Its name.
        name: String,
        /// Where its file would be.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("the model {model} cannot be read: {}", abbreviate(reason, LONGEST))]
    Unreadable {
        /// The file.
        model: String,
        /// Reason why it cannot be read.
        reason: String,
    },
    /// A statement about the model is not understood.
    #[error("{}", abbreviate(reason, LONGEST))]
    Info {
        /// Account of what is wrong, where, and what would be accepted.
        reason: String,
    },
    /// The file is not a network that can be used.
    #[error("the model {model} cannot be used: {}", abbreviate(reason, LONGEST))]
    Unusable {
        /// The file or built-in name.
        model: String,
        /// Account of what is wrong with it, and what would be accepted.
        reason: String,
    },
    /// The execution provider that was asked for does not start.
    #[error("the execution provider {} does not start: {}", provider.nick(), abbreviate(reason, LONGEST))]
    Provider {
        /// The provider.
        provider: ExecutionProvider,
        /// Reason why it does not start.
        reason: String,
    },
    /// A picture's size does not suit the model, or the data does not suit the size.
    #[error("the model {model} cannot take the picture: {reason}")]
    Picture {
        /// The file or built-in name.
        model: String,
        /// Account of what is wrong with it.
        reason: String,
    },
    /// Two pictures do not belong together, or were not prepared for this model.
    #[error("the two pictures cannot be interpolated: {0}")]
    Mismatch(String),
    /// There is not enough memory to load or run the model.
    #[error(
        "there is not enough memory for the model {model}: {}",
        abbreviate(reason, LONGEST)
    )]
    Memory {
        /// The file or built-in name.
        model: String,
        /// Account of what could not be had.
        reason: String,
    },
    /// The runtime gave up.
    #[error("running the model {model} failed: {}", abbreviate(reason, LONGEST))]
    Run {
        /// The file or built-in name.
        model: String,
        /// Message of the runtime.
        reason: String,
    },
    /// The model gave something else than its signature promises.
    #[error(
        "the model {model} gave something unexpected: {}",
        abbreviate(reason, LONGEST)
    )]
    Output {
        /// The file or built-in name.
        model: String,
        /// Account of what it gave, and what was expected.
        reason: String,
    },
    /// [`RunCanceller::cancel`](super::runtime::run_canceller::RunCanceller::cancel) was called.
    #[error("the estimate was cancelled")]
    Cancelled,
}

/// The longest reason in a message, in bytes.
const LONGEST: usize = 4096;

/// Reason why no ONNX Runtime could be started: every place that was tried, with its reason.
#[derive(Clone, Debug)]
pub struct RuntimeError {
    pub(super) tried: Vec<(String, String)>,
}

impl RuntimeError {
    /// The places tried, each with the reason it did not serve.
    pub fn tried(&self) -> &[(String, String)] {
        &self.tried
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ONNX Runtime could not be loaded. Tried:")?;
        for (place, reason) in &self.tried {
            write!(f, "\n  {place}: {reason}")?;
        }
        write!(
            f,
            "\nTo get it, run `make runtime` in the source tree, or unpack the Python wheel \
             (`pip download onnxruntime`, or onnxruntime-gpu for CUDA; the library is \
             onnxruntime/capi/libonnxruntime.so.*) and set ORT_DYLIB_PATH to the library's path. \
             Version 1.{ORT_API_VERSION} or newer is needed."
        )
    }
}

impl std::error::Error for RuntimeError {}

/// Returns the error for a run that failed.
pub(super) fn failed(label: &str, error: &ort::Error) -> ModelError {
    let (model, reason) = (label.into(), plain(&error.to_string()));
    match memory::is_shortage(&reason) {
        true => ModelError::Memory { model, reason },
        false => ModelError::Run { model, reason },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_in_messages_are_of_bounded_length() {
        let long = format!("first {} last", "ü".repeat(1 << 20));
        let error = ModelError::Info { reason: long };
        assert!(error.to_string().len() <= LONGEST);
    }
}
