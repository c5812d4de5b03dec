//! A network's session alone, on tensors that lie ready: what the element can't be faster than with
//! the runtime as it is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gstvfiinterp::models::runtime::runtime;
use gstvfiinterp::models::signature::{Inputs, Signature, Timestep};
use gstvfiinterp::models::statement::Stated;
use gstvfiinterp::models::{Interpolator, LoadOptions, graph, library};
use ort::session::SessionInputValue;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::Tensor;

/// Runs before the clock runs.
const WARM_UP: u32 = 3;

/// The mean time of a run of `model` on the CPU for frames that the network sees `width` x `height`
/// pixels large, with as many threads as the runtime takes by itself.
///
/// # Errors
/// If the model can't be loaded or run.
pub(crate) fn measure(model: &str, (width, height): (usize, usize), runs: u32) -> Result<Duration> {
    let align = Interpolator::load(&LoadOptions {
        model: model.into(),
        ..LoadOptions::default()
    })?;
    let align = align.info().align;
    let (width, height) = (
        width.next_multiple_of(align),
        height.next_multiple_of(align),
    );
    let bytes = library::find(model)?.read()?.bytes;
    let decoded = graph::decode(&bytes).map_err(anyhow::Error::msg)?;
    let signature = Signature::of(&decoded, &Stated::default()).map_err(anyhow::Error::msg)?;
    let mut session = SessionBuilder::new(&runtime()?.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(plain)?
        .with_memory_pattern(false)
        .map_err(plain)?
        .with_intra_op_spinning(false)
        .map_err(plain)?
        .commit_from_memory(&bytes)?;
    let tensor = |shape: Vec<usize>, value: f32| {
        let values = vec![value; shape.iter().product()];
        Tensor::from_array((shape, values)).map(SessionInputValue::from)
    };
    let picture = |value| tensor(vec![1, 3, height, width], value);
    let inputs = || -> ort::Result<Vec<(String, SessionInputValue<'static>)>> {
        Ok(match &signature.inputs {
            Inputs::Stacked { name, channels } => {
                vec![(
                    name.clone(),
                    tensor(vec![1, *channels, height, width], 0.5)?,
                )]
            }
            Inputs::Pictures([a, b]) => {
                vec![(a.clone(), picture(0.4)?), (b.clone(), picture(0.6)?)]
            }
            Inputs::PicturesAndTimestep {
                pictures: [a, b],
                timestep,
                form,
            } => {
                let moment = match form {
                    Timestep::Scalar(rank) => tensor(vec![1; *rank], 0.5)?,
                    Timestep::Plane => tensor(vec![1, 1, height, width], 0.5)?,
                };
                vec![
                    (a.clone(), picture(0.4)?),
                    (b.clone(), picture(0.6)?),
                    (timestep.clone(), moment),
                ]
            }
        })
    };
    let mut taken = Duration::ZERO;
    for run in 0..WARM_UP + runs {
        let inputs = inputs()?;
        let start = Instant::now();
        drop(session.run(inputs)?);
        if run >= WARM_UP {
            taken += start.elapsed();
        }
    }
    taken.checked_div(runs).context("no runs were asked for")
}

/// An error without the builder that it hands back.
fn plain(error: ort::Error<SessionBuilder>) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}
