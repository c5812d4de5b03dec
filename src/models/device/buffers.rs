//! Buffers of a pipeline beside its sessions: values that are written again and again, and where they
//! come from.

use std::sync::Arc;

use onnx_graph::proto::ModelProto;
use ort::session::Session;
use ort::value::TensorElementType;

use super::graphs::{Geometry, join};
use super::helper_session::HelperSession;
use crate::frames::{FrameLayout, Sample};
use crate::models::network::input::lay_out;
use crate::models::options::ExecutionProvider;
use crate::models::runtime::tensor_pool::{self, Buffer, Memory, Pool};
use crate::models::signature::types::{Inputs, Timestep};

/// Returns how many channels are laid out for a network that does not take what there is as it is.
pub(crate) fn joined(inputs: &Inputs) -> Option<usize> {
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
pub(crate) fn join_for(inputs: &Inputs, (width, height): (usize, usize)) -> Option<ModelProto> {
    let channels = joined(inputs)?;
    let mut all = Vec::new();
    if channels > 7 {
        lay_out(&mut all, channels, width, height);
    }
    let rest = all.get(7 * width * height..).unwrap_or_default();
    Some(join(channels, (width, height), rest))
}

/// Buffers of a pipeline.
pub(crate) struct Buffers {
    pub(crate) memory: Arc<Memory>,
    pub(crate) join: Option<(HelperSession, Buffer)>,
    pub(crate) pools: Pools,
    pub(crate) staging: Vec<Buffer>,
    pub(crate) phase_input: Buffer,
}

impl Buffers {
    pub(crate) fn new(
        ready: &Session,
        join: Option<HelperSession>,
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
        let (device, staging) = (tensor_pool::Place::Device, tensor_pool::Place::Staging);
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
        let joined = |beside: HelperSession| -> ort::Result<_> {
            let channels = joined(inputs).unwrap_or(1) as i64;
            let joined = pool(device, float, &[1, channels, height, width]).take()?;
            Ok((beside, joined))
        };
        Ok(Self {
            staging: taken?,
            phase_input: one(scalar)?,
            join: join.map(joined).transpose()?,
            pools: Pools {
                planes: planes(device),
                picture: pool(device, float, &[1, 3, height, width]),
                excess: geometry.gamut().map(|_| {
                    let (width, height) = geometry.small;
                    pool(device, float, &[1, 3, height as i64, width as i64])
                }),
            },
            memory,
        })
    }
}

/// Pools that the memory of frames comes from.
#[derive(Clone)]
pub(crate) struct Pools {
    pub(crate) planes: Vec<Arc<Pool>>,
    pub(crate) picture: Arc<Pool>,
    /// For what is cut off of colours, where that is given back.
    pub(crate) excess: Option<Arc<Pool>>,
}
