//! Tensors as planes, and memory and threads of the runtime for the work on them.

use std::marker::PhantomData;

use ort::memory::{
    AllocatedBlock, AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType,
};
use ort::operator::ComputeContext;
use ort::value::ValueRef;

use super::sampling::Row;
use crate::frames::space;

/// Fewest samples for which a part is worth another thread.
const PART: usize = 16 * 1024;

/// A tensor `[1, channels, height, width]`, of numbers of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes<'a, T = f32> {
    data: &'a [T],
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl<'a> Planes<'a> {
    /// Input `index` of an operator that is called `name`.
    pub(crate) fn of(value: &'a ValueRef<'_>, name: &str) -> ort::Result<Self> {
        let (shape, data) = value.try_extract_tensor::<f32>()?;
        let &[1, c, h, w] = &**shape else {
            return Err(ort::Error::new(format!(
                "{name} takes one picture at a time, [1, C, H, W], not {shape:?}"
            )));
        };
        Ok(Self::new(data, [c, h, w].map(|dim| dim as usize)))
    }
}

impl<'a, T> Planes<'a, T> {
    pub(crate) fn new(data: &'a [T], [channels, height, width]: [usize; 3]) -> Self {
        Self {
            data: &data[..channels * height * width],
            channels,
            height,
            width,
        }
    }

    pub(crate) fn size(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    pub(crate) fn channel(&self, channel: usize) -> &'a [T] {
        self.channels_from(channel, 1)
    }

    pub(crate) fn channels_from(&self, channel: usize, count: usize) -> &'a [T] {
        let plane = self.height * self.width;
        &self.data[channel * plane..][..count * plane]
    }

    pub(crate) fn row(&self, channel: usize, row: usize) -> &'a [T] {
        self.rows(channel, row, 1)
    }

    pub(crate) fn rows(&self, channel: usize, row: usize, count: usize) -> &'a [T] {
        &self.data[(channel * self.height + row) * self.width..][..count * self.width]
    }
}

/// Planes that several threads write at a time, each its own rows.
#[derive(Clone, Copy)]
pub(crate) struct PlanesMut<'a, T = f32> {
    start: *mut T,
    channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: rows are given out by an unsafe function, whose callers keep threads apart.
unsafe impl<T: Send> Sync for PlanesMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for PlanesMut<'_, T> {}

impl PlanesMut<'_> {
    /// Row `row` in channels from `channel` on.
    pub(crate) fn across(&self, channel: usize, row: usize) -> Row {
        assert!(channel < self.channels && row < self.height);
        Row {
            // SAFETY: within the planes, as was just seen.
            output: unsafe { self.start.add((channel * self.height + row) * self.width) },
            stride: self.height * self.width,
        }
    }
}

impl<'a, T> PlanesMut<'a, T> {
    pub(crate) fn new(data: &'a mut [T], [channels, height, width]: [usize; 3]) -> Self {
        Self {
            start: data[..channels * height * width].as_mut_ptr(),
            channels,
            height,
            width,
            memory: PhantomData,
        }
    }

    /// Some rows of a channel.
    ///
    /// # Safety
    /// Nobody else has any of them at the time.
    pub(crate) unsafe fn rows(&self, channel: usize, row: usize, count: usize) -> &'a mut [T] {
        assert!(channel < self.channels && row + count <= self.height);
        let start = (channel * self.height + row) * self.width;
        // SAFETY: within the planes, as was just seen, and nobody else's, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), count * self.width) }
    }
}

/// The runtime's memory for what an operator needs besides its outputs.
pub(crate) fn allocator(context: &ComputeContext) -> ort::Result<Allocator> {
    let device = AllocationDevice::CPU;
    context.allocator(&MemoryInfo::new(
        device,
        0,
        AllocatorType::Device,
        MemoryType::Default,
    )?)
}

/// A number of which any bits are one.
pub(crate) trait Plain: Copy {}

impl Plain for f32 {}
impl Plain for u32 {}

/// Memory from an [`allocator`].
pub(crate) struct Scratch<'a, T = f32> {
    block: AllocatedBlock<'a>,
    size: [usize; 3],
    numbers: PhantomData<T>,
}

impl<'a, T: Plain> Scratch<'a, T> {
    pub(crate) fn new(allocator: &'a Allocator, size: [usize; 3]) -> ort::Result<Self> {
        let count = size.iter().product::<usize>().max(1);
        let block = allocator.alloc::<T>(count)?;
        Ok(Self {
            block,
            size,
            numbers: PhantomData,
        })
    }

    pub(crate) fn planes(&self) -> Planes<'_, T> {
        let count = self.size.iter().product();
        // SAFETY: the block has room for so many samples, and any bits are a number. Like outputs, it
        // is the runtime's memory, of which nothing says that it was not written before.
        let data = unsafe { std::slice::from_raw_parts(self.block.as_ptr().cast(), count) };
        Planes::new(data, self.size)
    }

    pub(crate) fn planes_mut(&mut self) -> PlanesMut<'_, T> {
        let count = self.size.iter().product();
        // SAFETY: as above, and `self` is borrowed for as long.
        let data = unsafe { std::slice::from_raw_parts_mut(self.block.as_mut_ptr().cast(), count) };
        PlanesMut::new(data, self.size)
    }
}

/// Returns so many zeros, for what is as large as a picture and not to be had of the runtime: a thread that
/// needs it for a while.
///
/// # Errors
/// If memory lacks.
pub(crate) fn zeros<T: Copy + Default>(count: usize) -> ort::Result<Vec<T>> {
    let mut zeros = Vec::new();
    space::resize(&mut zeros, count, T::default())
        .map_err(|why| ort::Error::new(why.to_string()))?;
    Ok(zeros)
}

/// Calls `work` with ranges that make up `0..rows`, each a multiple of `step` but the last, on the
/// runtime's threads; `cost` is what a row costs, in samples.
pub(crate) fn in_parallel(
    context: &ComputeContext,
    rows: usize,
    step: usize,
    cost: usize,
    work: impl Fn(std::ops::Range<usize>) + Sync + Send,
) -> ort::Result<()> {
    let part = PART.div_ceil(cost.max(1)).next_multiple_of(step);
    let parts = rows.div_ceil(part);
    let range = |index: usize| index * part..((index + 1) * part).min(rows);
    match parts {
        0 => Ok(()),
        1 => {
            work(range(0));
            Ok(())
        }
        _ => context.par_for(parts, 0, |index| work(range(index))),
    }
}
