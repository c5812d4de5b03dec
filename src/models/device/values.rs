//! What a stage has beside its sessions: values that are written again and again, and where they come from.

use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorElementType;

use super::memory::{self, Buffer, Memory, Pool};
use super::ready::Pools;
use super::stage::Beside;
use crate::frames::{FrameLayout, Sample};
use crate::models::graph::frame::{Geometry, join};
use crate::models::graph::proto::ModelProto;
use crate::models::signature::{Inputs, Timestep};
use crate::models::{ExecutionProvider, network};

/// How many channels are laid out for a network that does not take what there is as it is.
pub(super) fn joined(inputs: &Inputs) -> Option<usize> {
    match inputs {
        Inputs::Stacked { channels, .. } => Some(*channels),
        Inputs::PicturesAndTimestep {
            form: Timestep::Plane,
            ..
        } => Some(1),
        Inputs::Pictures(_) | Inputs::PicturesAndTimestep { .. } => None,
    }
}

/// The graph that does so.
pub(super) fn join_for(inputs: &Inputs, (width, height): (usize, usize)) -> Option<ModelProto> {
    let channels = joined(inputs)?;
    let mut all = Vec::new();
    if channels > 7 {
        network::lay_out(&mut all, channels, width, height);
    }
    let rest = all.get(7 * width * height..).unwrap_or_default();
    Some(join(channels, (width, height), rest))
}

/// All of them.
pub(super) struct Values {
    pub(super) memory: Arc<Memory>,
    pub(super) join: Option<(Beside, Buffer)>,
    pub(super) pools: Pools,
    pub(super) staging: Vec<Buffer>,
    pub(super) moment: Buffer,
}

impl Values {
    pub(super) fn new(
        ready: &Session,
        join: Option<Beside>,
        geometry: &Geometry,
        layout: &FrameLayout,
        inputs: &Inputs,
        (provider, device): (ExecutionProvider, i32),
    ) -> ort::Result<Self> {
        let memory = Arc::new(Memory::of(ready, provider, device)?);
        let pool =
            |place, element, dims: &[i64]| Pool::new(&memory, place, element, dims.iter().copied());
        let planes = |place| {
            let planes = layout.shapes().map(move |(width, height, format)| {
                let element = match format.sample {
                    Sample::U8 => TensorElementType::Uint8,
                    Sample::U16 { .. } => TensorElementType::Uint16,
                };
                pool(
                    place,
                    element,
                    &[height as i64, (width * format.channels) as i64],
                )
            });
            planes.collect::<Vec<_>>()
        };
        let (device, staging) = (memory::Place::Device, memory::Place::Staging);
        let float = TensorElementType::Float32;
        let one = |rank| pool(staging, float, &vec![1; rank]).take();
        let (width, height) = (geometry.padded.0 as i64, geometry.padded.1 as i64);
        let host = planes(staging);
        let taken = host.iter().map(Pool::take).collect::<ort::Result<_>>();
        let scalar = match inputs {
            Inputs::PicturesAndTimestep {
                form: Timestep::Scalar(rank),
                ..
            } => *rank,
            _ => 1,
        };
        let joined = |beside: Beside| -> ort::Result<_> {
            let channels = joined(inputs).unwrap_or(1) as i64;
            let joined = pool(device, float, &[1, channels, height, width]).take()?;
            Ok((beside, joined))
        };
        Ok(Self {
            staging: taken?,
            moment: one(scalar)?,
            join: join.map(joined).transpose()?,
            pools: Pools {
                planes: planes(device),
                picture: pool(device, float, &[1, 3, height, width]),
            },
            memory,
        })
    }
}
