//! Memory of a session's device, and memory of the host that the device can reach, for values that
//! are bound to sessions.
//!
//! Device memory comes out of the session's own arena: so it is within the arena's limit and in its
//! figures, without a ledger beside it. That must not be the arena of a session which records its
//! runs (`enable_cuda_graph`): its replays write to memory that the arena takes for free.
//!
//! On the CPU all of it is plain memory out of the session's arena, which is how tests run it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{Session, SharedSessionInner};
use ort::value::{DynTensor, DynTensorValueType, DynValue, Shape, TensorElementType};

use crate::models::options::ExecutionProvider;
use crate::sync::lock;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the session computes.
    Device,
    /// On the host, where the device can reach it: copies to and from there need no copy in between
    /// and go on beside what is computed (pinned memory, which the system can't swap out).
    Staging,
}

/// The memory of one session.
pub(crate) struct Memory {
    // an allocator may not be used by two threads at a time
    device: Mutex<Allocator>,
    staging: Mutex<Allocator>,
    device_name: MemoryInfo<'static>,
    staging_name: MemoryInfo<'static>,
    /// Session that the allocators belong to.
    _session: Arc<SharedSessionInner>,
}

impl Memory {
    /// The memory of a session that runs on `provider`, on the GPU of this number if it is one.
    pub(crate) fn of(
        session: &Session,
        provider: ExecutionProvider,
        device: i32,
    ) -> ort::Result<Self> {
        let allocator = |place, number, kind, memory| {
            let info = MemoryInfo::new(place, number, kind, memory)?;
            Allocator::new(session, info).map(Mutex::new)
        };
        let arena =
            |place, number| allocator(place, number, AllocatorType::Arena, MemoryType::Default);
        let named =
            |place, number, memory| MemoryInfo::new(place, number, AllocatorType::Device, memory);
        const PINNED: AllocationDevice = AllocationDevice::CUDA_PINNED;
        let (on_device, staging, device_name, staging_name) = match provider {
            ExecutionProvider::Cuda | ExecutionProvider::TensorRt => (
                arena(AllocationDevice::CUDA, device)?,
                allocator(PINNED, device, AllocatorType::Device, MemoryType::CPUInput)?,
                named(AllocationDevice::CUDA, device, MemoryType::Default)?,
                named(PINNED, device, MemoryType::CPUInput)?,
            ),
            ExecutionProvider::Auto | ExecutionProvider::Cpu => (
                arena(AllocationDevice::CPU, 0)?,
                arena(AllocationDevice::CPU, 0)?,
                named(AllocationDevice::CPU, 0, MemoryType::Default)?,
                named(AllocationDevice::CPU, 0, MemoryType::Default)?,
            ),
        };
        Ok(Self {
            device: on_device,
            staging,
            device_name,
            staging_name,
            _session: session.inner(),
        })
    }

    /// Returns the runtime's name for the memory of a place.
    pub(crate) fn name(&self, place: Place) -> &MemoryInfo<'static> {
        match place {
            Place::Device => &self.device_name,
            Place::Staging => &self.staging_name,
        }
    }

    fn tensor(
        &self,
        place: Place,
        element: TensorElementType,
        shape: &Shape,
    ) -> ort::Result<DynTensor> {
        let allocator = match place {
            Place::Device => &self.device,
            Place::Staging => &self.staging,
        };
        DynTensor::new(&lock(allocator), element, shape.clone())
    }
}

/// Values of one shape, which are used again and again: an allocation on a device, and even more one
/// that is pinned, takes longer than what is done with it.
pub(crate) struct Pool {
    memory: Arc<Memory>,
    place: Place,
    element: TensorElementType,
    shape: Shape,
    spare: Mutex<Vec<DynTensor>>,
}

impl Pool {
    pub(crate) fn new(
        memory: &Arc<Memory>,
        place: Place,
        element: TensorElementType,
        shape: impl IntoIterator<Item = i64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            place,
            element,
            shape: Shape::new(shape),
            spare: Mutex::default(),
        })
    }

    /// One of its values, with whatever is in it.
    ///
    /// # Errors
    /// Where there is no memory for one more.
    pub(crate) fn take(self: &Arc<Self>) -> ort::Result<Buffer> {
        let spare = lock(&self.spare).pop();
        let tensor = match spare {
            Some(tensor) => tensor,
            None => self.memory.tensor(self.place, self.element, &self.shape)?,
        };
        Ok(Buffer {
            tensor: Some(tensor),
            pool: Arc::clone(self),
        })
    }

    /// Gives back the values that nobody has.
    pub(crate) fn clear(&self) {
        let spare = std::mem::take(&mut *lock(&self.spare));
        drop(spare);
    }
}

/// A value out of a [`Pool`], which gets it back when this is dropped.
pub(crate) struct Buffer {
    /// There until it is dropped.
    tensor: Option<DynTensor>,
    pool: Arc<Pool>,
}

impl Buffer {
    /// Its bytes, if the host can reach them.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let length = self.length()?;
        let data = self.data_ptr().cast::<u8>();
        // SAFETY: the host can reach the tensor's memory, of which `length` bytes were allocated;
        // where it is not set by the allocator, bytes of any value are bytes.
        Some(unsafe { std::slice::from_raw_parts(data, length) })
    }

    /// The same, to be written.
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let length = self.length()?;
        let data = self.data_ptr_mut().cast::<u8>();
        // SAFETY: as above, and nobody else has the tensor.
        Some(unsafe { std::slice::from_raw_parts_mut(data, length) })
    }

    /// Bytes in a row, which is the last dimension, and how many rows there are.
    pub(crate) fn size(&self) -> (usize, usize) {
        let row = self.pool.shape.last().map_or(1, |&side| side as usize);
        let rows = self.pool.shape.num_elements() / row.max(1);
        let bytes = self.pool.element.byte_size(row).unwrap_or(0);
        (bytes, rows)
    }

    fn length(&self) -> Option<usize> {
        self.memory_info()
            .is_cpu_accessible()
            .then(|| self.pool.element.byte_size(self.pool.shape.num_elements()))?
    }
}

impl Deref for Buffer {
    type Target = DynTensor;

    fn deref(&self) -> &DynTensor {
        match &self.tensor {
            Some(tensor) => tensor,
            None => unreachable!("it is taken out by dropping only"),
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut DynTensor {
        match &mut self.tensor {
            Some(tensor) => tensor,
            None => unreachable!("it is taken out by dropping only"),
        }
    }
}

/// The bytes of a tensor, if it is one and the host can reach them.
pub(crate) fn bytes(value: &DynValue) -> Option<&[u8]> {
    let tensor = value.view().downcast::<DynTensorValueType>().ok()?;
    let elements = tensor.shape().num_elements();
    let length = tensor.data_type().byte_size(elements)?;
    if !tensor.memory_info().is_cpu_accessible() {
        return None;
    }
    let data = tensor.data_ptr().cast::<u8>();
    // SAFETY: the host can reach the tensor's memory, which has this many bytes; a run has set them, and
    // nobody writes to them while the value is borrowed.
    Some(unsafe { std::slice::from_raw_parts(data, length) })
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.pool.spare).extend(self.tensor.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::options::LoadOptions;
    use crate::models::runtime;
    use crate::models::runtime::arena::Arena;
    use crate::models::runtime::load_canceller::LoadCanceller;
    use crate::models::runtime::session;
    use onnx_graph::build::GraphBuilder;

    const CPU: ExecutionProvider = ExecutionProvider::Cpu;

    /// A session that doubles bytes, with an arena of at most so many.
    fn doubles(memory_limit: u64) -> Session {
        let dims = [2, 3];
        let model = GraphBuilder::new("double", 17)
            .typed_input("x", 2, &dims)
            .typed_output("y", 2, &dims)
            .node("Add", &["x", "x"], &["y"])
            .finish();
        let on = session::On::Cpu {
            limit: memory_limit,
            own_operators: false,
        };
        let options = LoadOptions {
            threads: 1,
            ..LoadOptions::default()
        };
        let runtime = runtime::runtime().unwrap();
        let encoded = onnx_graph::encode(&model);
        let interrupt = LoadCanceller::default();
        session::commit(runtime, &options, &encoded, None, on, &interrupt).unwrap()
    }

    fn pool(session: &Session, place: Place, shape: [i64; 2]) -> Arc<Pool> {
        let memory = Arc::new(Memory::of(session, CPU, 0).unwrap());
        Pool::new(&memory, place, TensorElementType::Uint8, shape)
    }

    #[test]
    fn values_go_through_a_session_in_its_own_memory() {
        let mut session = doubles(0);
        let (into, out) = (
            pool(&session, Place::Staging, [2, 3]),
            pool(&session, Place::Device, [2, 3]),
        );
        for round in 0..3 {
            let mut input = into.take().unwrap();
            input
                .bytes_mut()
                .unwrap()
                .copy_from_slice(&[round, 1, 2, 3, 4, 5]);
            let mut output = out.take().unwrap();
            let mut binding = session.create_binding().unwrap();
            binding.bind_input("x", &*input).unwrap();
            binding.bind_output("y", &mut *output).unwrap();
            drop(session.run_binding(&binding).unwrap());
            assert_eq!(output.bytes().unwrap(), [2 * round, 2, 4, 6, 8, 10]);
        }
        assert_eq!(lock(&into.spare).len(), 1);
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let session = doubles(0);
        let pool = pool(&session, Place::Device, [2, 3]);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        let first = a.data_ptr();
        assert_ne!(first, b.data_ptr());
        drop(a);
        let again = pool.take().unwrap();
        assert_eq!(again.data_ptr(), first);
        drop((again, b));
        assert_eq!(lock(&pool.spare).len(), 2);
        pool.clear();
        assert!(lock(&pool.spare).is_empty());
    }

    #[test]
    fn it_counts_into_the_session_s_arena_and_its_limit() {
        let session = doubles(4 << 20);
        let arena = Arena::of(&session, CPU, 0);
        let before = arena.usage().unwrap().used;
        let mebibyte = pool(&session, Place::Device, [1024, 1024]);
        let kept: Vec<_> = std::iter::from_fn(|| mebibyte.take().ok())
            .take(9)
            .collect();
        assert!((2..=4).contains(&kept.len()), "{}", kept.len());
        let used = arena.usage().unwrap().used - before;
        assert_eq!(used >> 20, kept.len() as u64);
        drop(kept);
        mebibyte.clear();
        assert_eq!(arena.usage().unwrap().used, before);
    }

    #[test]
    fn it_outlives_the_session() {
        let session = doubles(0);
        let pool = pool(&session, Place::Staging, [2, 3]);
        let mut buffer = pool.take().unwrap();
        drop(session);
        buffer.bytes_mut().unwrap().fill(7);
        assert_eq!(buffer.bytes().unwrap(), [7; 6]);
    }
}
