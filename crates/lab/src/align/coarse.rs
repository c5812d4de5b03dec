//! Narrows long files down: which part of the reference each passage may lie in.

use std::ops::Range;

use rayon::prelude::*;

use super::blocks::Frame;
use super::course::{Course, Row};
use super::pictures::Pictures;

/// Pairs of frames that are all compared; beyond them the reference is narrowed down first.
const ALL: usize = 4_000_000;
/// Frames of the other file, and of the reference, that are looked at to narrow it down.
const SAMPLES: (usize, usize) = (2_000, 40_000);
/// Places that each frame may have then.
const PLACES: usize = 48;
/// Seconds to either side of a coarse course.
const MARGIN: f64 = 1.0;

/// Returns whether there are too many pairs to compare them all.
pub(super) fn is_needed(reference: &Pictures, other: &Pictures) -> bool {
    reference.len() * other.len() > ALL || reference.len() >= usize::from(u16::MAX)
}

/// Returns the step from one frame that is looked at to the next.
pub(super) fn reference_step(reference: &Pictures) -> usize {
    reference.len().div_ceil(SAMPLES.1)
}

/// Returns the step from one frame that is looked at to the next.
pub(super) fn other_step(other: &Pictures) -> usize {
    other.len().div_ceil(SAMPLES.0)
}

/// Returns what a frame is known by: its blocks' means, whatever its brightness and contrast.
pub(super) fn mark(frame: Frame<'_>) -> Vec<i8> {
    let count = frame.means().count().max(1) as f32;
    let mean = frame.means().sum::<f32>() / count;
    let square = frame.means().map(|m| (m - mean) * (m - mean)).sum::<f32>();
    let scale = 32.0 / ((square / count).sqrt() + 1.0);
    frame
        .means()
        .map(|m| ((m - mean) * scale).round() as i8)
        .collect()
}

/// The places each frame of the other file may have.
#[derive(Debug)]
pub(super) struct Band {
    frames: usize,
    /// Frames of the other file, and of the reference, known to be near each other; none where
    /// nothing was narrowed down.
    known: Option<Vec<(usize, usize)>>,
    /// Frames of the reference for one of the other.
    rate: f64,
    margin: usize,
}

impl Band {
    /// Returns the band of all places.
    pub(super) fn whole(frames: usize) -> Self {
        Self {
            frames,
            known: None,
            rate: 1.0,
            margin: 0,
        }
    }

    /// Returns ranges of the reference for a frame of the other file.
    pub(super) fn at(&self, row: usize) -> Vec<Range<usize>> {
        let Some(known) = &self.known else {
            return vec![0..self.frames];
        };
        let next = known.partition_point(|(at, _)| *at <= row);
        let before = next.checked_sub(1).and_then(|last| known.get(last));
        let span = |from: f64, to: f64| {
            let from = (from as usize).saturating_sub(self.margin).min(self.frames);
            from..(to as usize + self.margin + 1).min(self.frames)
        };
        let forward = before.map(|&(at, place)| {
            let there = place as f64 + (row - at) as f64 * self.rate;
            span(
                there.min(place as f64 + (row - at) as f64 * self.rate * 0.5),
                there,
            )
        });
        let backward = known.get(next).map(|&(at, place)| {
            let there = (place as f64 - (at - row) as f64 * self.rate).max(0.0);
            span(there, there)
        });
        match (forward, backward) {
            (Some(a), Some(b)) if a.start <= b.end && b.start <= a.end => {
                vec![a.start.min(b.start)..a.end.max(b.end)]
            }
            (Some(a), Some(b)) if b.start < a.start => vec![b, a],
            (a, b) => a.into_iter().chain(b).collect(),
        }
    }
}

/// Finds a coarse course by frames' marks, and returns the band around it.
pub(super) fn narrow(
    reference: &Pictures,
    other: &Pictures,
    reference_marks: &[Vec<i8>],
    other_marks: &[Vec<i8>],
) -> Band {
    let (interval, step) = (reference.interval(), reference_step(reference));
    let between = other.interval() * other_step(other) as f64;
    let unit = (interval * step as f64).max(0.2 * between);
    let mut course = Course::new(&reference.times, unit);
    let rows: Vec<Row> = other_marks
        .par_iter()
        .map(|mark| candidates(mark, reference_marks, step, between))
        .collect();
    rows.into_iter().for_each(|row| course.push(row));
    let known = course.finish().into_iter().enumerate();
    let known = known.filter_map(|(row, place)| Some((row * other_step(other), place? as usize)));
    let margin = MARGIN.max(0.5 * between) / interval;
    Band {
        frames: reference.len(),
        known: Some(known.collect()),
        rate: other.interval() / interval,
        margin: (margin.ceil() as usize + 2 * step).min(10_000),
    }
}

/// Returns the most similar places of the reference.
fn candidates(mark: &[i8], marks: &[Vec<i8>], step: usize, expected: f64) -> Row {
    let cost = |distance: f32| 72.0 * (distance / 6.0).powi(2).ln_1p();
    let distances: Vec<u32> = marks.iter().map(|other| distance(mark, other)).collect();
    let mut best: Vec<(u32, usize)> = (0..distances.len())
        .filter(|&at| {
            let here = distances[at];
            let last = at.checked_sub(1).and_then(|at| distances.get(at));
            last.is_none_or(|d| *d >= here) && distances.get(at + 1).is_none_or(|d| *d > here)
        })
        .map(|at| (distances[at], at))
        .collect();
    best.sort_unstable();
    best.truncate(PLACES);
    best.sort_unstable_by_key(|(_, at)| *at);
    let blocks = mark.len().max(1) as f32;
    Row {
        places: best.iter().map(|(_, at)| (at * step) as u32).collect(),
        costs: best.iter().map(|(d, _)| cost(*d as f32 / blocks)).collect(),
        unmatched: cost(18.0),
        expected,
    }
}

fn distance(a: &[i8], b: &[i8]) -> u32 {
    let apart = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (i16::from(a) - i16::from(b)).unsigned_abs());
    apart.map(u32::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(known: &[(usize, usize)]) -> Band {
        Band {
            frames: 10_000,
            known: Some(known.to_vec()),
            rate: 1.0,
            margin: 10,
        }
    }

    #[test]
    fn the_band_lies_around_an_even_course() {
        let ranges = band(&[(0, 100), (40, 140)]).at(20);
        assert_eq!(ranges.len(), 1);
        assert!(
            ranges[0].contains(&120) && ranges[0].len() < 50,
            "{ranges:?}"
        );
    }

    #[test]
    fn around_a_jump_both_sides_are_possible() {
        for known in [[(0, 100), (40, 900)], [(0, 900), (40, 100)]] {
            let ranges = band(&known).at(20);
            let has = |place| ranges.iter().any(|range| range.contains(&place));
            assert!(has(known[0].1 + 20) && has(known[1].1 - 20), "{ranges:?}");
            assert!(ranges[0].start < ranges[1].start);
        }
    }
}
