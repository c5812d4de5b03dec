//! State that the driver keeps: contexts, memory, streams.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::copy::{Copy, Side};
use crate::status::{Counts, Status};

/// Byte that lies where nothing was written, because nobody may rely on zeroes, and that kernels
/// come to: a small number in 32 bits (0.046) and in 16 (1.31), so that answers make sense and do
/// not change.
const BLANK: u8 = 0x3d;

/// Memory on a device: what the host sees of it are addresses without access.
pub(crate) struct Memory {
    context: usize,
    reserved: usize,
    bytes: Box<[u8]>,
}

/// A stream and what is still to be done in it.
pub(crate) struct Stream {
    pub(crate) context: usize,
    /// Whether it waits for the default stream, and that one for it.
    pub(crate) blocking: bool,
    pending: Vec<Copy>,
}

#[derive(Default)]
pub(crate) struct State {
    initialized: bool,
    devices: c_int,
    limit: Option<usize>,
    /// The devices of contexts.
    contexts: HashMap<usize, c_int>,
    /// Contexts and uses of them.
    primaries: HashMap<c_int, (usize, u32)>,
    /// Devices whose primary contexts the runtime uses.
    held: HashSet<c_int>,
    memories: BTreeMap<usize, Memory>,
    pinned: BTreeMap<usize, Box<[u8]>>,
    streams: HashMap<usize, Stream>,
    /// The streams that events were recorded in, if they were.
    events: HashMap<usize, Option<usize>>,
    /// The last handle that was given.
    handle: usize,
    pub(crate) counts: Counts,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

pub(crate) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// This thread's contexts; the last one is current.
    static STACK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn push(context: usize) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

pub(crate) fn pop() -> Result<usize, Status> {
    STACK.with_borrow_mut(|stack| stack.pop().ok_or(Status::InvalidContext))
}

/// Makes a context the current one instead of the one that is.
pub(crate) fn replace(context: usize) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        stack.push(context);
    });
}

pub(crate) fn current() -> Result<usize, Status> {
    STACK.with_borrow(|stack| stack.last().copied().ok_or(Status::InvalidContext))
}

fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

impl State {
    pub(crate) fn init(&mut self, flags: c_uint) -> Result<(), Status> {
        if flags != 0 {
            return Err(Status::InvalidValue);
        }
        if !self.initialized {
            let devices = variable("CUDA_STAND_IN_DEVICES").unwrap_or(2);
            self.devices = devices.try_into().unwrap_or(c_int::MAX);
            self.limit = variable("CUDA_STAND_IN_MEMORY");
            self.initialized = true;
        }
        Ok(())
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut held = [0; 2];
        for memory in self.memories.values() {
            let first = self.contexts.get(&memory.context) == Some(&0);
            held[usize::from(!first)] += memory.bytes.len() as u64;
        }
        Counts {
            held,
            memories: self.memories.len() as u64,
            pinned: self.pinned.len() as u64,
            contexts: self.contexts.len() as u64,
            streams: self.streams.len() as u64,
            ..self.counts
        }
    }

    pub(crate) fn devices(&self) -> Result<c_int, Status> {
        match self.initialized {
            true => Ok(self.devices),
            false => Err(Status::NotInitialized),
        }
    }

    pub(crate) fn device(&self, device: c_int) -> Result<(), Status> {
        match (0..self.devices()?).contains(&device) {
            true => Ok(()),
            false => Err(Status::InvalidDevice),
        }
    }

    fn next_handle(&mut self) -> usize {
        // far from any address, and never 0
        self.handle += 0x10;
        self.handle
    }

    pub(crate) fn create_context(&mut self, device: c_int) -> Result<usize, Status> {
        self.device(device)?;
        let context = self.next_handle();
        self.contexts.insert(context, device);
        Ok(context)
    }

    pub(crate) fn alive(&self, context: usize) -> Result<(), Status> {
        match self.contexts.contains_key(&context) {
            true => Ok(()),
            false => Err(Status::InvalidContext),
        }
    }

    /// The device of a context.
    pub(crate) fn device_of(&self, context: usize) -> Result<c_int, Status> {
        let device = self.contexts.get(&context).copied();
        device.ok_or(Status::InvalidContext)
    }

    pub(crate) fn destroy_context(&mut self, context: usize) -> Result<(), Status> {
        self.alive(context)?;
        self.contexts.remove(&context);
        self.memories.retain(|_, memory| memory.context != context);
        self.streams.retain(|_, stream| stream.context != context);
        Ok(())
    }

    pub(crate) fn retain_primary(&mut self, device: c_int) -> Result<usize, Status> {
        self.device(device)?;
        if let Some((context, uses)) = self.primaries.get_mut(&device) {
            *uses += 1;
            return Ok(*context);
        }
        let context = self.create_context(device)?;
        self.primaries.insert(device, (context, 1));
        Ok(context)
    }

    /// A device's primary context, used once for good.
    pub(crate) fn hold_primary(&mut self, device: c_int) -> Result<usize, Status> {
        if self.held.contains(&device) {
            return Ok(self.primaries[&device].0);
        }
        let context = self.retain_primary(device)?;
        self.held.insert(device);
        Ok(context)
    }

    pub(crate) fn release_primary(&mut self, device: c_int) -> Result<(), Status> {
        self.device(device)?;
        let Some((context, uses)) = self.primaries.get_mut(&device) else {
            return Err(Status::InvalidContext);
        };
        *uses -= 1;
        if *uses == 0 {
            let context = *context;
            self.primaries.remove(&device);
            self.destroy_context(context)?;
        }
        Ok(())
    }

    /// Returns how much memory there is in all.
    pub(crate) fn total(&self) -> usize {
        self.limit.unwrap_or(1 << 34)
    }

    pub(crate) fn room(&self) -> Result<(usize, usize), Status> {
        current()?;
        let total = self.total();
        let used: usize = self
            .memories
            .values()
            .map(|memory| memory.bytes.len())
            .sum();
        Ok((total.saturating_sub(used), total))
    }

    pub(crate) fn allocate(&mut self, size: usize) -> Result<usize, Status> {
        let context = current()?;
        self.alive(context)?;
        if size == 0 {
            return Err(Status::InvalidValue);
        }
        if size > self.room()?.0 {
            return Err(Status::OutOfMemory);
        }
        let memory = Memory::new(context, size)?;
        let address = memory.reserved;
        self.memories.insert(address, memory);
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: usize) -> Result<(), Status> {
        let context = self
            .memories
            .get(&address)
            .ok_or(Status::InvalidValue)?
            .context;
        self.synchronize(|stream| stream.context == context)?;
        self.memories.remove(&address);
        Ok(())
    }

    pub(crate) fn allocate_pinned(&mut self, size: usize) -> Result<*mut c_void, Status> {
        self.alive(current()?)?;
        if size == 0 {
            return Err(Status::InvalidValue);
        }
        let mut bytes = vec![0xbd; size].into_boxed_slice();
        let address = bytes.as_mut_ptr();
        self.pinned.insert(address as usize, bytes);
        Ok(address.cast())
    }

    pub(crate) fn free_pinned(&mut self, address: *mut c_void) -> Result<(), Status> {
        self.synchronize(|_| true)?;
        let found = self.pinned.remove(&(address as usize));
        found.map(drop).ok_or(Status::InvalidValue)
    }

    pub(crate) fn create_stream(&mut self, blocking: bool) -> Result<usize, Status> {
        let context = current()?;
        self.alive(context)?;
        let handle = self.next_handle();
        let pending = Vec::new();
        self.streams.insert(
            handle,
            Stream {
                context,
                blocking,
                pending,
            },
        );
        Ok(handle)
    }

    pub(crate) fn destroy_stream(&mut self, stream: usize) -> Result<(), Status> {
        self.wait_for(stream)?;
        self.streams.remove(&stream);
        Ok(())
    }

    pub(crate) fn create_event(&mut self) -> usize {
        let handle = self.next_handle();
        self.events.insert(handle, None);
        handle
    }

    pub(crate) fn destroy_event(&mut self, event: usize) -> Result<(), Status> {
        let found = self.events.remove(&event);
        found.map(drop).ok_or(Status::InvalidHandle)
    }

    /// Makes an event come after all that is in a stream.
    pub(crate) fn record(&mut self, event: usize, stream: usize) -> Result<(), Status> {
        self.stream(stream)?;
        let recorded = self.events.get_mut(&event).ok_or(Status::InvalidHandle)?;
        *recorded = Some(stream);
        Ok(())
    }

    /// Waits for an event, and for what came into its stream since.
    pub(crate) fn wait_for_event(&mut self, event: usize) -> Result<(), Status> {
        let recorded = *self.events.get(&event).ok_or(Status::InvalidHandle)?;
        match recorded {
            // all of a stream that is gone was done
            Some(stream) if self.stream(stream).is_ok() => self.wait_for(stream),
            _ => Ok(()),
        }
    }

    /// Returns whether there is such a stream; 0 is always there.
    pub(crate) fn stream(&self, stream: usize) -> Result<(), Status> {
        match stream == 0 || self.streams.contains_key(&stream) {
            true => Ok(()),
            false => Err(Status::InvalidHandle),
        }
    }

    /// Launches a kernel, in a stream of this context.
    pub(crate) fn launch(&mut self, context: usize, stream: usize) -> Result<(), Status> {
        let foreign = |stream: &Stream| stream.context != context;
        if stream != 0 && self.streams.get(&stream).is_none_or(foreign) {
            return Err(Status::InvalidHandle);
        }
        self.counts.launches += 1;
        Ok(())
    }

    /// Puts a copy off till its stream is waited for; the default stream (0) does it now.
    pub(crate) fn enqueue(&mut self, stream: usize, copy: Copy) -> Result<(), Status> {
        let context = current()?;
        if stream == 0 {
            self.synchronize(|stream| stream.blocking)?;
            // SAFETY: host addresses are the promise of who enqueues.
            return unsafe { self.copy(&copy) };
        }
        let stream = self.streams.get_mut(&stream).ok_or(Status::InvalidHandle)?;
        if stream.context != context {
            return Err(Status::InvalidHandle);
        }
        stream.pending.push(copy);
        Ok(())
    }

    pub(crate) fn wait_for(&mut self, stream: usize) -> Result<(), Status> {
        if stream == 0 {
            return self.synchronize(|stream| stream.blocking);
        }
        let stream = self.streams.get_mut(&stream).ok_or(Status::InvalidHandle)?;
        let pending = std::mem::take(&mut stream.pending);
        self.run(pending)
    }

    /// Does what is still to be done in the streams that are `meant`.
    pub(crate) fn synchronize(&mut self, meant: impl Fn(&Stream) -> bool) -> Result<(), Status> {
        let streams = self.streams.values_mut().filter(|stream| meant(stream));
        let pending = streams
            .flat_map(|stream| stream.pending.drain(..))
            .collect();
        self.run(pending)
    }

    fn run(&mut self, pending: Vec<Copy>) -> Result<(), Status> {
        for copy in pending {
            // SAFETY: host addresses are the promise of who enqueued it, until the stream is waited for.
            unsafe { self.copy(&copy) }?;
        }
        Ok(())
    }

    /// # Safety
    /// Host addresses of the copy are good for its lines, and device addresses nobody else's
    /// business.
    pub(crate) unsafe fn copy(&mut self, copy: &Copy) -> Result<(), Status> {
        let (from, to) = (copy.from, copy.to);
        let source = self.place(&from, copy)?;
        let target = self.place(&to, copy)?;
        let bytes = (copy.width * copy.height) as u64;
        match (from.context, to.context) {
            (None, Some(_)) => {
                self.counts.uploads += 1;
                self.counts.uploaded += bytes;
            }
            (Some(_), None) => {
                self.counts.downloads += 1;
                self.counts.downloaded += bytes;
            }
            _ => self.counts.within += 1,
        }
        for line in 0..copy.height {
            // SAFETY: device addresses lie within a memory, as was checked; host addresses are the caller's
            // promise.
            unsafe {
                let source = source.add(line * from.pitch);
                let target = target.add(line * to.pitch);
                match copy.computed {
                    true => target.write_bytes(BLANK, copy.width),
                    false => ptr::copy(source, target, copy.width),
                }
            }
        }
        Ok(())
    }

    /// Returns the place where a side of a copy really lies.
    fn place(&mut self, side: &Side, copy: &Copy) -> Result<*mut u8, Status> {
        if copy.width > side.pitch && copy.height > 1 {
            return Err(Status::InvalidValue);
        }
        let Some(context) = side.context else {
            // a device's memory taken for the host's
            if self.memory_at(side.address).is_some() {
                return Err(Status::IllegalAddress);
            }
            return Ok(side.address as *mut u8);
        };
        let length = copy.height.saturating_sub(1) * side.pitch + copy.width;
        let (offset, memory) = self.memory_at(side.address).ok_or(Status::IllegalAddress)?;
        if memory.context != context || offset + length > memory.bytes.len() {
            return Err(Status::IllegalAddress);
        }
        Ok(memory.bytes[offset..].as_mut_ptr())
    }

    /// Sets bytes of a device's memory.
    pub(crate) fn fill(&mut self, address: usize, value: u8, size: usize) -> Result<(), Status> {
        let (offset, memory) = self.memory_at(address).ok_or(Status::IllegalAddress)?;
        let bytes = memory.bytes[offset..].get_mut(..size);
        bytes.ok_or(Status::IllegalAddress)?.fill(value);
        Ok(())
    }

    /// The context whose memory lies at an address; `None`: the host's.
    pub(crate) fn context_at(&mut self, address: usize) -> Option<usize> {
        let (_, memory) = self.memory_at(address)?;
        Some(memory.context)
    }

    /// Returns whether memory of the host is pinned.
    pub(crate) fn is_pinned(&self, address: usize) -> bool {
        let before = self.pinned.range(..=address).next_back();
        before.is_some_and(|(start, bytes)| address - start < bytes.len())
    }

    fn memory_at(&mut self, address: usize) -> Option<(usize, &mut Memory)> {
        let (start, memory) = self.memories.range_mut(..=address).next_back()?;
        let offset = address - start;
        (offset < memory.bytes.len()).then_some((offset, memory))
    }
}

impl Memory {
    fn new(context: usize, size: usize) -> Result<Self, Status> {
        // SAFETY: new addresses, which nothing can be read from or written to.
        let reserved = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0)
        };
        if reserved == libc::MAP_FAILED {
            return Err(Status::OutOfMemory);
        }
        Ok(Self {
            context,
            reserved: reserved as usize,
            bytes: vec![BLANK; size].into_boxed_slice(),
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` at this address and size.
        unsafe { libc::munmap(self.reserved as *mut c_void, self.bytes.len()) };
    }
}
