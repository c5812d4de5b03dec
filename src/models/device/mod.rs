//! What concerns GPUs: what the runtime is told of them, what they are, and memory on them.

pub(super) mod driver;
pub(super) mod engines;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "frames on the device take it up")
)]
pub(super) mod memory;
pub(super) mod providers;
