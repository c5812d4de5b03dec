//! When frames leave: the grid of a stream, and what is late. Pure.

pub(super) mod cadence;
pub(super) mod deadlines;
pub(super) mod grid;
pub(super) mod percentile;
pub(super) mod steady;
pub(super) mod timeline;
