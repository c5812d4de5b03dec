//! Facts about a foreign network that are found by running it once or twice on something small.
//!
//! Neither a file's name nor its graph says reliably what its sizes must be multiples of, or
//! whether its timestep has any effect. A run at a size that is too small to take long does.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::models::error::ModelError;
use crate::models::network::Network;
use crate::models::network::input::Tracked;
use crate::models::network::output::NetworkOutput;
use crate::models::runtime::run_canceller::RunCanceller;
use crate::models::signature::types::Outputs;
use crate::models::signature::{DEFAULT_ALIGN, Signature};

/// The largest alignment that is tried: what RIFE 4.25 lite needs, the most of any known.
const LARGEST: usize = 128;
/// A network that takes longer for pictures this small is none that can be used; one that loops for
/// ever is stopped. The slowest known (FILM) takes two seconds on two cores.
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// Networks may need more than a few pixels to run at all.
const SMALLEST_SIDE: usize = 64;

/// Runs `network` at its alignment. Where that fails and nothing states it, doubles it until it
/// runs; finds out whether the phase has any effect, unless that is stated.
///
/// A network of one size is taken at its word, as that size may be large.
pub(crate) fn measure(network: &mut Network) -> Result<(), ModelError> {
    measure_within(network, LONGEST_RUN)
}

fn measure_within(network: &mut Network, limit: Duration) -> Result<(), ModelError> {
    let signature = network.signature();
    if signature.fixed.is_some() {
        return Ok(());
    }
    let (stated, phase_open) = (
        signature.align_stated,
        signature.any_phase && !signature.phase_stated,
    );
    let mut failures = Vec::new();
    let answer = loop {
        match attempt(network, 0.25, limit) {
            Ok(answer) => break answer,
            Err(ModelError::Run { reason, .. } | ModelError::Output { reason, .. }) => {
                let words: Vec<_> = reason.split_whitespace().collect();
                failures.push(words.join(" "));
            }
            Err(other) => return Err(other),
        }
        let align = network.signature().align;
        if stated || 2 * align > LARGEST {
            let multiples = if stated || align == DEFAULT_ALIGN {
                align.to_string()
            } else {
                format!("{DEFAULT_ALIGN} or {align}")
            };
            return Err(ModelError::Unusable {
                model: network.label().into(),
                reason: format!(
                    "it does not run with pictures padded to multiples of {multiples}: {}; \
                     model-info can state align, layout, timestep and more",
                    failures.join("; and then: ")
                ),
            });
        }
        network.signature_mut().align = 2 * align;
    };
    let align = network.signature().align;
    if !stated {
        let found = match failures.as_slice() {
            [] => format!("alignment {align}: it runs"),
            [first, ..] => {
                format!("alignment {align}: it runs, and not at {DEFAULT_ALIGN} ({first})")
            }
        };
        network.signature_mut().notes.push(found);
    }
    if phase_open {
        let other = attempt(network, 0.75, limit)?;
        let same = answer.equals(&other).map_err(|reason| ModelError::Output {
            model: network.label().into(),
            reason,
        })?;
        let signature = network.signature_mut();
        signature.any_phase = !same;
        let note = match same {
            true => "midpoint only: its timestep has no effect",
            false => "any phase: its timestep has an effect",
        };
        signature.notes.push(note.into());
    }
    Ok(())
}

/// Returns what a network that was measured makes of noise, always the same, at the size that was
/// measured or at its only one.
pub(crate) fn trial(network: &mut Network) -> Result<NetworkOutput, ModelError> {
    attempt(network, 0.25, LONGEST_RUN)
}

/// Returns the size of the pictures for [`trial`].
pub(crate) fn trial_size(signature: &Signature) -> (usize, usize) {
    signature.fixed.unwrap_or_else(|| size(signature.align))
}

/// Runs on noise, at a size that is a multiple of the alignment and of nothing larger.
fn attempt(
    network: &mut Network,
    phase: f32,
    limit: Duration,
) -> Result<NetworkOutput, ModelError> {
    let (width, height) = trial_size(network.signature());
    let pictures = [1, 2].map(|seed| noise(3 * width * height, seed));
    let [a, b] = &pictures;
    let canceller = network.canceller().clone();
    let answer = within(limit, &canceller, || {
        network.run(
            [a, b].map(|planes| Tracked::once(planes.as_slice())),
            (width, height),
            phase,
        )
    });
    if let Err(ModelError::Cancelled) = answer {
        return Err(ModelError::Unusable {
            model: network.label().into(),
            reason: format!(
                "a run of it on pictures of {width}x{height} was stopped after {} s",
                limit.as_secs_f32()
            ),
        });
    }
    let answer = answer?;
    let checked = match network.signature().outputs {
        Outputs::Motion { .. } => answer.motion((width, height), (width, height)).map(drop),
        Outputs::Picture(_) => answer.picture((width, height)).map(drop),
    };
    checked.map_err(|reason| ModelError::Output {
        model: network.label().into(),
        reason,
    })?;
    Ok(answer)
}

/// Does work that `canceller` stops if it takes longer than `limit`.
fn within<R>(limit: Duration, canceller: &RunCanceller, work: impl FnOnce() -> R) -> R {
    let (done, wait) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                canceller.cancel();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Returns width and height, odd multiples of `align`. The width is three times it at least: of a
/// single cell, one too many or too few can pass unnoticed, as it is repeated to fit.
fn size(align: usize) -> (usize, usize) {
    let times = SMALLEST_SIDE.div_ceil(align) | 1;
    (align * (times + 2), align * times)
}

/// Values between 0 and 1 without a pattern (a linear congruential generator: Numerical Recipes,
/// "quick and dirty").
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::catalog::Contents;
    use crate::models::loading::LoadJob;
    use crate::models::options::{ExecutionProvider, LoadOptions};
    use crate::models::runtime::load_canceller::LoadCanceller;
    use crate::models::runtime::runtime;
    use crate::models::signature::metadata::Stated;
    use onnx_graph::build::GraphBuilder;
    use onnx_graph::proto::{AttributeProto, ModelProto, TensorProto};
    use onnx_graph::{INT64, encode};

    /// ONNX's number for truth values.
    const BOOL: i32 = 9;

    /// A network that does something 2^62 times.
    fn endless() -> ModelProto {
        let any: &[i64] = &[1, 3, -1, -1];
        let body = GraphBuilder::new("body", 17)
            .typed_input("iteration", INT64, &[])
            .typed_input("go_on", BOOL, &[])
            .input("before", any)
            .node("Identity", &["go_on"], &["still"])
            .node("Sin", &["before"], &["after"])
            .typed_output("still", BOOL, &[])
            .output("after", any)
            .finish();
        let scalar = |name: &str, element, bytes: &[u8]| TensorProto {
            name: Some(name.into()),
            data_type: Some(element),
            raw_data: Some(bytes.to_vec().into()),
            ..TensorProto::default()
        };
        let attribute = AttributeProto {
            name: Some("body".into()),
            g: body.graph,
            r#type: Some(5),
            ..AttributeProto::default()
        };
        let mut model = GraphBuilder::new("endless", 17)
            .input("a", any)
            .input("b", any)
            .node_with("Loop", &["times", "true", "a"], &["y"], vec![attribute])
            .output("y", any)
            .finish();
        let graph = model.graph.get_or_insert_default();
        graph
            .initializer
            .push(scalar("times", INT64, &(1_i64 << 62).to_le_bytes()));
        graph.initializer.push(scalar("true", BOOL, &[1]));
        model
    }

    #[test]
    fn a_network_that_never_ends_is_stopped() {
        let contents = Contents::built_in(&encode(&endless()));
        let options = LoadOptions {
            provider: ExecutionProvider::Cpu,
            ..LoadOptions::default()
        };
        let job = LoadJob {
            runtime: runtime().unwrap(),
            options: &options,
            label: "endless",
            file: &contents.bytes,
            interrupt: &LoadCanceller::default(),
        };
        let loaded = job.load(&contents, &Stated::default(), false).unwrap();
        let mut network = Network::new("endless".into(), &loaded).unwrap();
        let error = measure_within(&mut network, Duration::from_millis(50)).unwrap_err();
        assert!(
            error.to_string().contains("stopped after 0.05 s"),
            "{error}"
        );
    }

    #[test]
    fn sizes_are_small_and_multiples_of_nothing_larger() {
        for align in [1, 2, 16, 32, 64, 128, 200] {
            let (width, height) = size(align);
            for side in [width, height] {
                assert_eq!((side % align, side / align % 2), (0, 1));
                assert!((64..=600).contains(&side), "{side}");
            }
            assert!(width >= 3 * align);
        }
    }
}
