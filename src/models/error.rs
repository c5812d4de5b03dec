//! What can go wrong between a model's name and its answer.

use std::borrow::Cow;
use std::path::PathBuf;

use super::ExecutionProvider;
use super::runtime::RuntimeError;

/// What can go wrong with a model. The messages are complete sentences for the user.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No usable ONNX Runtime was found.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The name is no built-in network and no file.
    #[error(
        "there is no model `{}`: {own} come with the plugin; `vfi-models fetch` brings {well_known}; \
         the path of an .onnx file may be given too",
        brief(name, LONGEST_NAME)
    )]
    Unknown {
        /// What was asked for.
        name: String,
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
    #[error("the model {model} cannot be read: {}", brief(reason, LONGEST))]
    Unreadable {
        /// The file.
        model: String,
        /// Why not.
        reason: String,
    },
    /// What is stated about the model is not understood.
    #[error("{}", brief(reason, LONGEST))]
    Info {
        /// What is wrong, where, and what would be accepted.
        reason: String,
    },
    /// The file is not a network that can be used.
    #[error("the model {model} cannot be used: {}", brief(reason, LONGEST))]
    Unusable {
        /// The file or built-in name.
        model: String,
        /// What is wrong with it, and what would be accepted.
        reason: String,
    },
    /// The execution provider that was asked for does not start.
    #[error("the execution provider {} does not start: {}", provider.nick(), brief(reason, LONGEST))]
    Provider {
        /// The provider.
        provider: ExecutionProvider,
        /// Why not.
        reason: String,
    },
    /// A picture's size does not suit the model, or the data does not suit the size.
    #[error("the model {model} cannot take the picture: {reason}")]
    Picture {
        /// The file or built-in name.
        model: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two pictures do not belong together, or were not prepared for this model.
    #[error("the two pictures cannot be interpolated: {0}")]
    Mismatch(String),
    /// There is not enough memory to load or run the model.
    #[error(
        "there is not enough memory for the model {model}: {}",
        brief(reason, LONGEST)
    )]
    Memory {
        /// The file or built-in name.
        model: String,
        /// What could not be had.
        reason: String,
    },
    /// The runtime gave up.
    #[error("running the model {model} failed: {}", brief(reason, LONGEST))]
    Run {
        /// The file or built-in name.
        model: String,
        /// What the runtime says.
        reason: String,
    },
    /// The model gave something else than its signature promises.
    #[error(
        "the model {model} gave something unexpected: {}",
        brief(reason, LONGEST)
    )]
    Output {
        /// The file or built-in name.
        model: String,
        /// What it gave, and what was expected.
        reason: String,
    },
    /// [`Canceller::cancel`](super::Canceller::cancel) was called.
    #[error("the estimate was cancelled")]
    Cancelled,
}

/// The longest reason in a message, in bytes.
const LONGEST: usize = 4096;
/// The longest name in one that says more.
pub(super) const LONGEST_NAME: usize = 160;

/// A text that came from outside, to be read by people: of one longer than `most` bytes, the
/// beginning and the end.
pub(super) fn brief(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let head = text.floor_char_boundary(most * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - most / 5);
    format!("{} […] {}", &text[..head], &text[tail..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_beginning_and_end() {
        assert_eq!(brief("short", 5), "short");
        let long = format!("first {} last", "ü".repeat(1 << 20));
        for most in 100..108 {
            let found = brief(&long, most);
            assert!(
                found.len() <= most && found.starts_with("first ü") && found.ends_with("ü last")
            );
        }
        let error = ModelError::Info { reason: long };
        assert!(error.to_string().len() <= LONGEST);
    }
}
