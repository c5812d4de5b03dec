//! Properties that a device is said to have: about those of a GPU of compute capability 9.0.

use std::ffi::c_int;
use std::mem::size_of;

/// Compute capability.
const MAJOR: c_int = 9;
const MINOR: c_int = 0;
const PROCESSORS: c_int = 132;
const WARP: c_int = 32;
const THREADS: c_int = 1024;
const THREADS_OF_PROCESSOR: c_int = 2048;
const BLOCK: [c_int; 3] = [THREADS, THREADS, 64];
const GRID: [c_int; 3] = [c_int::MAX, 65_535, 65_535];
const REGISTERS: c_int = 65_536;
const SHARED: usize = 48 << 10;
const SHARED_AT_MOST: usize = 227 << 10;
const SHARED_OF_PROCESSOR: usize = 228 << 10;
const CONSTANT: usize = 64 << 10;
const CACHE: c_int = 50 << 20;

/// `cudaDeviceProp` of CUDA 13; what isn't set is 0.
#[repr(C, align(8))]
pub(crate) struct Properties([u8; 1008]);

impl Properties {
    /// A device with so many bytes of memory.
    pub(crate) fn new(memory: usize) -> Self {
        let mut all = Self([0; 1008]);
        // places are those of the fields whose names are beside them
        all.set(0, b"stand-in"); // name
        all.set(288, &memory.to_ne_bytes()); // totalGlobalMem
        all.set(296, &SHARED.to_ne_bytes()); // sharedMemPerBlock
        all.set(304, &REGISTERS.to_ne_bytes()); // regsPerBlock
        all.set(308, &WARP.to_ne_bytes()); // warpSize
        all.set(320, &THREADS.to_ne_bytes()); // maxThreadsPerBlock
        all.set(324, BLOCK.map(c_int::to_ne_bytes).as_flattened()); // maxThreadsDim
        all.set(336, GRID.map(c_int::to_ne_bytes).as_flattened()); // maxGridSize
        all.set(352, &CONSTANT.to_ne_bytes()); // totalConstMem
        all.set(360, &MAJOR.to_ne_bytes()); // major
        all.set(364, &MINOR.to_ne_bytes()); // minor
        all.set(384, &PROCESSORS.to_ne_bytes()); // multiProcessorCount
        all.set(596, &CACHE.to_ne_bytes()); // l2CacheSize
        all.set(604, &THREADS_OF_PROCESSOR.to_ne_bytes()); // maxThreadsPerMultiProcessor
        all.set(624, &SHARED_OF_PROCESSOR.to_ne_bytes()); // sharedMemPerMultiprocessor
        all.set(632, &REGISTERS.to_ne_bytes()); // regsPerMultiprocessor
        all.set(672, &SHARED_AT_MOST.to_ne_bytes()); // sharedMemPerBlockOptin
        all
    }

    fn set(&mut self, place: usize, bytes: &[u8]) {
        self.0[place..place + bytes.len()].copy_from_slice(bytes);
    }
}

/// Returns a property by its number in `cudaDeviceAttr`; 0 for others.
pub(crate) fn attribute(number: c_int) -> c_int {
    match number {
        1 => THREADS,
        2..=4 => BLOCK[number as usize - 2],
        5..=7 => GRID[number as usize - 5],
        8 => SHARED as c_int,
        9 => CONSTANT as c_int,
        10 => WARP,
        12 => REGISTERS,
        16 => PROCESSORS,
        38 => CACHE,
        39 => THREADS_OF_PROCESSOR,
        75 => MAJOR,
        76 => MINOR,
        81 => SHARED_OF_PROCESSOR as c_int,
        82 => REGISTERS,
        97 => SHARED_AT_MOST as c_int,
        _ => 0,
    }
}

/// `cudaFuncAttributes`.
#[repr(C)]
pub(crate) struct FunctionAttributes {
    shared: usize,
    constant: usize,
    local: usize,
    threads: c_int,
    registers: c_int,
    ptx: c_int,
    binary: c_int,
    rest: [u8; 144 - 3 * size_of::<usize>() - 4 * size_of::<c_int>()],
}

impl FunctionAttributes {
    /// A kernel that was compiled for the device.
    pub(crate) fn new() -> Self {
        let capability = 10 * MAJOR + MINOR;
        Self {
            shared: 0,
            constant: 0,
            local: 0,
            threads: THREADS,
            registers: 32,
            ptx: capability,
            binary: capability,
            rest: [0; _],
        }
    }
}
