//! Runs whose inputs and outputs stay where they lie.

use ort::session::{RunOptions, Session};
use ort::value::{DynTensor, DynValue};

use super::tensor_pool::{Memory, Place};

/// Input that a session is given.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    Tensor(&'a DynTensor),
    /// Value that another session gave.
    Value(&'a DynValue),
}

/// Where an output goes.
pub(crate) enum Target<'a> {
    /// To what lies ready for it where the session computes. What lies ready elsewhere is no target: ONNX
    /// Runtime 1.31 with CUDA writes to it, and then fails as it copies it onto itself.
    Into(&'a mut DynTensor),
    /// To memory of the session's arenas.
    Anew(Place),
}

/// Runs a session; gives the outputs that were made anew, in their order.
///
/// Pinned memory is read where it lies, and what else lies elsewhere than the session wants it is copied as it is bound: either
/// may be written again when this returns. There is nothing to wait for before the run: `synchronize_inputs` would wait
/// for all that goes on on the device, and so for what other sessions do there.
pub(crate) fn run(
    session: &mut Session,
    inputs: &[(&str, Input)],
    outputs: Vec<(&str, Target)>,
    memory: &Memory,
    options: &RunOptions,
) -> ort::Result<Vec<DynValue>> {
    let mut binding = session.create_binding()?;
    for (name, input) in inputs {
        match input {
            Input::Tensor(tensor) => binding.bind_input(*name, tensor)?,
            Input::Value(value) => binding.bind_input(*name, value)?,
        }
    }
    let mut made = Vec::new();
    for (name, target) in outputs {
        match target {
            Target::Into(tensor) => binding.bind_output(name, tensor)?,
            Target::Anew(place) => {
                binding.bind_output_to_device(name, memory.name(place))?;
                made.push(name);
            }
        }
    }
    let mut outputs = session.run_binding_with_options(&binding, options)?;
    let values = made.into_iter().filter_map(|name| outputs.remove(name));
    Ok(values.collect())
}
