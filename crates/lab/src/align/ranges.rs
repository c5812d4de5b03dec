//! Ranges of frames.

use std::ops::Range;

/// Frames of the reference that are loaded at a time.
const PIECE: usize = 512;

/// Cuts ranges into pieces that memory holds.
pub(super) fn pieces(ranges: &[Range<usize>]) -> impl Iterator<Item = Range<usize>> {
    ranges.iter().flat_map(|range| {
        let starts = range.clone().step_by(PIECE);
        starts.map(|from| from..(from + PIECE).min(range.end))
    })
}

/// Returns ranges in order, those that touch as one.
pub(super) fn merged(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
