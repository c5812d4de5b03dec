//! Helpers that tests of the operators share.

use ort::session::Session;

use super::super::runtime::runtime;
use crate::models::options::{ExecutionProvider, LoadOptions};
use crate::models::runtime::session;
use onnx_graph::encode;
use onnx_graph::proto::ModelProto;

/// Numbers that look random and are the same every time.
pub(crate) fn numbers(count: usize, least: f32, most: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        least + (most - least) * (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..count).map(next).collect()
}

/// A session on the CPU, perhaps with our operators.
pub(crate) fn start(model: &ModelProto, own: bool) -> Session {
    let options = LoadOptions {
        provider: ExecutionProvider::Cpu,
        ..LoadOptions::default()
    };
    let runtime = runtime().unwrap_or_else(|error| panic!("{error}"));
    session::commit(
        runtime,
        &options,
        &encode(model),
        None,
        session::On::Cpu {
            limit: 0,
            own_operators: own,
        },
        &crate::models::runtime::load_canceller::LoadCanceller::default(),
    )
    .expect("it starts")
}
