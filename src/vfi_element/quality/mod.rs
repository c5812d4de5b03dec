//! How much effort frames are worth, and what they cost. Pure.

pub(super) mod controller;
pub(super) mod cost_model;
pub(super) mod ladder;
pub(super) mod memory_backoff;
pub(super) mod run_limit;
