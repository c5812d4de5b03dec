//! The runtime's arena of a session: what it may take, what it holds, and giving that back.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Mutex;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session};
use ort::sys::OrtStatusPtr;

use super::Runtime;
use crate::models::memory::Usage;
use crate::models::options::ExecutionProvider;
use crate::sync::lock;

/// A session's arena, from outside.
pub(crate) struct Arena {
    allocator: Option<Mutex<Allocator>>,
    /// Runtime's name for the arenas of the session.
    names: String,
}

impl Arena {
    /// The arena of a session that runs on `provider`, on this `device`.
    pub(crate) fn of(session: &Session, provider: ExecutionProvider, device: i32) -> Self {
        let (place, number) = match provider.is_gpu() {
            true => (AllocationDevice::CUDA, device),
            false => (AllocationDevice::CPU, 0),
        };
        let allocator = MemoryInfo::new(place, number, AllocatorType::Arena, MemoryType::Default)
            .and_then(|info| Allocator::new(session, info));
        Self {
            // without one there are no figures
            allocator: allocator.ok().map(Mutex::new),
            names: match provider.is_gpu() {
                true => format!("cpu:0;gpu:{device}"),
                false => "cpu:0".into(),
            },
        }
    }

    /// Options for a run after which (also if it fails) the arena gives back what is free in it.
    pub(crate) fn clearing(&self) -> ort::Result<RunOptions> {
        let mut options = RunOptions::new()?;
        options.set("memory.enable_memory_arena_shrinkage", &self.names)?;
        Ok(options)
    }

    /// Returns what it holds, if the runtime tells.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let allocator = lock(self.allocator.as_ref()?);
        let mut pairs = ptr::null_mut();
        // SAFETY: the allocator lives, and `pairs` is there to be written.
        let status = unsafe { (ort::api().AllocatorGetStats)(allocator.ptr(), &raw mut pairs) };
        check(status).ok()?;
        let value = |name: &CStr| {
            // SAFETY: `pairs` was made above and is released below.
            let text = unsafe { (ort::api().GetKeyValue)(pairs, name.as_ptr()) };
            // SAFETY: it is null or a string of those pairs.
            unsafe { number(text) }
        };
        let usage = value(c"TotalAllocated").map(|held| Usage {
            held,
            used: value(c"InUse").unwrap_or(0),
            peak: value(c"MaxInUse").unwrap_or(0),
        });
        // SAFETY: made above and not used any more.
        unsafe { (ort::api().ReleaseKeyValuePairs)(pairs) };
        usage
    }
}

/// # Safety
/// `text` is null or points to a string that ends in a nul.
unsafe fn number(text: *const c_char) -> Option<u64> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().ok()?.parse().ok()
}

fn check(status: OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: the status was just given by the runtime, and is not used elsewhere.
    unsafe { ort::Error::result_from_status(status) }
}

/// Makes a session on the CPU whose arena takes no more than `limit` bytes.
///
/// The runtime limits no session's own arena there, but sessions can use one that is registered
/// with the environment. So one is registered for the time it takes to make the session, which
/// then keeps it; the next session gets another. It grows by what is asked for, as doubling would
/// reach the limit with half of it unused.
pub(crate) fn with_limit<T>(
    runtime: &Runtime,
    limit: u64,
    builder: SessionBuilder,
    commit: impl FnOnce(SessionBuilder) -> ort::Result<T>,
) -> ort::Result<T> {
    /// One at a time: the environment has one place for it.
    static REGISTERED: Mutex<()> = Mutex::new(());
    const SAME_AS_REQUESTED: usize = 1;

    let builder = builder.with_env_allocators()?;
    let place = AllocationDevice::CPU;
    let info = MemoryInfo::new(place, 0, AllocatorType::Arena, MemoryType::Default)?;
    let environment = runtime.environment.ptr().cast_mut();
    let keys = [c"max_mem".as_ptr(), c"arena_extend_strategy".as_ptr()];
    let values = [
        usize::try_from(limit).unwrap_or(usize::MAX),
        SAME_AS_REQUESTED,
    ];
    let _alone = lock(&REGISTERED);
    let mut config = ptr::null_mut();
    // SAFETY: two names, each of which ends in a nul, and two values; `config` is there to be written.
    check(unsafe {
        (ort::api().CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &raw mut config)
    })?;
    // SAFETY: all three live; the runtime copies what it needs.
    let registered =
        check(unsafe { (ort::api().CreateAndRegisterAllocator)(environment, info.ptr(), config) });
    // SAFETY: made above and not used any more.
    unsafe { (ort::api().ReleaseArenaCfg)(config) };
    registered?;
    let made = commit(builder);
    // SAFETY: both live; a session that uses the arena holds it.
    let unregistered = check(unsafe { (ort::api().UnregisterAllocator)(environment, info.ptr()) });
    // fails only where it is not registered any more, which is as good
    drop(unregistered);
    made
}
