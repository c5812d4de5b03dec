//! The first part of a frame's way on a device, which may go on while the network is at the pair
//! before.

use std::sync::{Arc, Mutex};

use ort::session::Session;
use ort::value::DynValue;

use super::helper_session::out_of_reach;
use super::transfer::{FrameSource, transfer};
use crate::frames::{FrameLayout, Plane};
use crate::models::device::buffers::Pools;
use crate::models::error::{ModelError, failed};
use crate::models::network::prepared::new_id;
use crate::models::runtime::binding::{self, Input, Target};
use crate::models::runtime::run_canceller::RunCanceller;
use crate::models::runtime::tensor_pool::{Buffer, Memory, Place, Pool};
use crate::sync::lock;

/// A frame on the device: its planes, and what the network sees of it. Its memory serves the next
/// frame when it is dropped.
pub struct DeviceFrame {
    pub(crate) planes: Vec<Buffer>,
    pub(crate) picture: Buffer,
    /// Excess that the picture cuts off of its colours, where that is given back.
    pub(crate) excess: Option<Buffer>,
    /// On the host.
    thumbnail: DynValue,
    pub(crate) id: u64,
    /// Number of the pipeline that it belongs to.
    pub(crate) pipeline: u64,
}

/// Makes frames ready for the network, one at a time.
pub(crate) struct Preprocessor {
    pub(crate) label: String,
    pub(crate) canceller: RunCanceller,
    pub(crate) layout: FrameLayout,
    pub(crate) memory: Arc<Memory>,
    pub(crate) session: Session,
    pub(crate) pools: Pools,
    /// On the host: what is uploaded.
    pub(crate) staging: Vec<Buffer>,
    /// Number of its pipeline.
    pub(crate) pipeline: u64,
}

/// Job that makes a frame ready: it holds all that takes.
pub struct PreprocessJob {
    preprocessor: Arc<Mutex<Preprocessor>>,
    clear: bool,
}

impl PreprocessJob {
    pub(crate) fn new(preprocessor: &Arc<Mutex<Preprocessor>>, clear: bool) -> Self {
        Self {
            preprocessor: Arc::clone(preprocessor),
            clear,
        }
    }

    /// Takes a frame's planes and makes it ready for the network: once, though it belongs to two
    /// pairs.
    ///
    /// # Errors
    /// If the planes are not those of the frames this was made for or can't be copied, if the run
    /// fails or is cancelled, or memory lacks.
    pub fn run(self, source: FrameSource) -> Result<DeviceFrame, ModelError> {
        lock(&self.preprocessor).run(source, self.clear)
    }
}

impl std::fmt::Debug for PreprocessJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreprocessJob")
            .field("clear", &self.clear)
            .finish_non_exhaustive()
    }
}

impl Preprocessor {
    fn run(&mut self, source: FrameSource, clear: bool) -> Result<DeviceFrame, ModelError> {
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let label = self.label.clone();
        let failed = |error: ort::Error| failed(&label, &error);
        if let FrameSource::Host(planes) = &source {
            let given = planes.iter().map(|p| (p.width, p.height, p.format));
            if !self.layout.shapes().eq(given) {
                return Err(ModelError::Mismatch("the frame is of another kind".into()));
            }
            for (plane, staging) in planes.iter().zip(&mut self.staging) {
                copy_in(plane, staging).map_err(failed)?;
            }
        }
        let (mut kept, mut picture) = self.take_memory().map_err(failed)?;
        let excess = self.pools.excess.as_ref().map(Pool::take);
        let mut excess = excess.transpose().map_err(failed)?;
        let names: Vec<_> = (0..kept.len())
            .map(|index| (format!("plane{index}"), format!("kept{index}")))
            .collect();
        let mut outputs = vec![
            ("picture", Target::Into(&mut picture)),
            ("thumbnail", Target::Anew(Place::Staging)),
        ];
        if let Some(excess) = &mut excess {
            outputs.push(("excess", Target::Into(excess)));
        }
        let given = match source {
            FrameSource::Host(_) => {
                for ((_, name), value) in names.iter().zip(&mut kept) {
                    outputs.push((name, Target::Into(value)));
                }
                &self.staging
            }
            FrameSource::Copied(copy) => {
                // to where they are kept, so that the graph need not
                transfer(&mut kept, copy).map_err(failed)?;
                &kept
            }
        };
        let inputs = names.iter().zip(given);
        let inputs: Vec<_> = inputs
            .map(|((name, _), value)| (name.as_str(), Input::Tensor(value)))
            .collect();
        let options = self.canceller.options(clear);
        let run = binding::run(&mut self.session, &inputs, outputs, &self.memory, options);
        if self.canceller.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let thumbnail = run.map_err(failed)?.pop();
        Ok(DeviceFrame {
            planes: kept,
            picture,
            excess,
            thumbnail: thumbnail.ok_or_else(|| failed(out_of_reach()))?,
            id: new_id(),
            pipeline: self.pipeline,
        })
    }

    /// Takes memory for a frame's planes, and for its picture.
    fn take_memory(&self) -> ort::Result<(Vec<Buffer>, Buffer)> {
        let planes = self.pools.planes.iter().map(Pool::take);
        Ok((
            planes.collect::<ort::Result<_>>()?,
            self.pools.picture.take()?,
        ))
    }
}

impl DeviceFrame {
    /// Returns the mean luma of cells of the picture, row by row, in `[0, 1]`, or brighter where
    /// something shows through.
    pub fn thumbnail(&self) -> &[f32] {
        let thumbnail = self.thumbnail.try_extract_tensor::<f32>();
        thumbnail.map_or(&[], |(_, cells)| cells)
    }
}

impl std::fmt::Debug for DeviceFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceFrame").field(&self.id).finish()
    }
}

/// A plane's rows without what lies between them.
fn copy_in(plane: &Plane, into: &mut Buffer) -> ort::Result<()> {
    let row = plane.row_bytes();
    let into = into.bytes_mut().ok_or_else(out_of_reach)?;
    let rows = plane.data.chunks(plane.stride);
    for (from, into) in rows.zip(into.chunks_exact_mut(row)) {
        into.copy_from_slice(&from[..row]);
    }
    Ok(())
}
