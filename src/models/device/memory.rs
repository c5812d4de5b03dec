//! Where values lie: with the provider, and on the host where it reaches them fast.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::{DynTensor, DynValue, TensorElementType};

use crate::models::ExecutionProvider;

/// A session's memory.
pub(in crate::models) struct Memory {
    device: Allocator,
    host: Allocator,
}

impl Memory {
    /// The memory of a session that runs on `provider`, on the device of this `number`.
    ///
    /// With CUDA, what is on the host is pinned: copies to and from other memory go through a pinned
    /// buffer of the driver's, and block. On the CPU both are plain memory.
    pub(in crate::models) fn of(
        session: &Session,
        provider: ExecutionProvider,
        number: i32,
    ) -> ort::Result<Self> {
        let allocator = |place, kind| {
            let info = MemoryInfo::new(place, number, AllocatorType::Device, kind)?;
            Allocator::new(session, info)
        };
        Ok(match provider {
            ExecutionProvider::Cuda | ExecutionProvider::TensorRt => Self {
                device: allocator(AllocationDevice::CUDA, MemoryType::Default)?,
                host: allocator(AllocationDevice::CUDA_PINNED, MemoryType::CPUInput)?,
            },
            ExecutionProvider::Cpu | ExecutionProvider::Auto => Self {
                device: Allocator::default(),
                host: Allocator::default(),
            },
        })
    }

    /// A tensor with the provider; what is in it is not known.
    pub(in crate::models) fn device(
        &self,
        element: TensorElementType,
        dims: &[i64],
    ) -> ort::Result<DynValue> {
        DynTensor::new(&self.device, element, dims.to_vec()).map(DynTensor::into_dyn)
    }

    /// A tensor on the host.
    pub(in crate::models) fn host(
        &self,
        element: TensorElementType,
        dims: &[i64],
    ) -> ort::Result<DynValue> {
        DynTensor::new(&self.host, element, dims.to_vec()).map(DynTensor::into_dyn)
    }

    /// What the provider's memory is called.
    pub(super) fn name(&self) -> &MemoryInfo<'_> {
        self.device.memory_info()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name().allocation_device().as_str().to_owned();
        f.debug_tuple("Memory").field(&name).finish()
    }
}
