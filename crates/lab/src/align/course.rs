//! The likeliest course through the reference: one Viterbi path.

use std::collections::VecDeque;

/// Cost of a step of one reference frame more, or less, than expected.
const STRAY: f32 = 1.5;
/// Cost of each reference frame backwards.
const BACK: f32 = 8.0;
/// Cost of a jump to any place.
const JUMP: f32 = 40.0;
/// Cost of losing the reference, and of finding it again.
const LOSE: f32 = 20.0;
/// Frames that may be behind the oldest decision before it is taken.
const LAG: usize = 4096;
/// No predecessor, or a frame without match.
const NONE: u16 = u16::MAX;

/// The places that a frame may have.
#[derive(Debug)]
pub(super) struct Row {
    /// Frames of the reference, ascending; fewer than 65 535.
    pub(super) places: Vec<u32>,
    /// Cost of each of them.
    pub(super) costs: Vec<f32>,
    /// Cost of having no match.
    pub(super) unmatched: f32,
    /// Reference time, in seconds, that should have gone by since the row before.
    pub(super) expected: f64,
}

/// A row as it is kept until it is decided.
#[derive(Debug)]
struct Kept {
    places: Vec<u32>,
    /// For each place the predecessor in the row before.
    from: Vec<u16>,
    /// The predecessor of having no match.
    lost_from: u16,
}

/// Follows the course, row by row.
#[derive(Debug)]
pub(super) struct Course<'a> {
    times: &'a [f64],
    /// Length of a frame, in seconds.
    unit: f64,
    kept: VecDeque<Kept>,
    scores: Vec<f32>,
    lost: f32,
    decided: Vec<Option<u32>>,
}

impl<'a> Course<'a> {
    pub(super) fn new(times: &'a [f64], unit: f64) -> Self {
        Self {
            times,
            unit,
            kept: VecDeque::new(),
            scores: Vec::new(),
            lost: 0.0,
            decided: Vec::new(),
        }
    }

    /// Adds the next row.
    pub(super) fn push(&mut self, row: Row) {
        let before = self.kept.back();
        let (best_before, best_score) = lowest(&self.scores);
        let begins = before.is_none();
        let mut kept = Kept {
            from: Vec::with_capacity(row.places.len()),
            lost_from: NONE,
            places: row.places,
        };
        let mut scores = Vec::with_capacity(kept.places.len());
        let empty = Vec::new();
        let places_before = before.map_or(&empty, |before| &before.places);
        let reach = row.expected.max(0.0) * 3.0 + 8.0 * self.unit;
        let mut low = 0;
        for (&place, cost) in kept.places.iter().zip(&row.costs) {
            if begins {
                scores.push(*cost);
                kept.from.push(NONE);
                continue;
            }
            let time = self.time(place);
            let (mut from, mut score) = (best_before, best_score + JUMP);
            if self.lost + LOSE < score {
                (from, score) = (NONE, self.lost + LOSE);
            }
            while places_before
                .get(low)
                .is_some_and(|&before| self.time(before) < time - reach)
            {
                low += 1;
            }
            for (index, &before) in places_before.iter().enumerate().skip(low) {
                let went = time - self.time(before);
                if went < -3.0 * self.unit {
                    break;
                }
                let stray = ((went - row.expected).abs() / self.unit - 0.99).max(0.0) as f32;
                let back = (-went / self.unit).max(0.0) as f32;
                let through = self.scores[index] + STRAY * stray + BACK * back;
                if through < score {
                    (from, score) = (index as u16, through);
                }
            }
            scores.push(score + cost);
            kept.from.push(from);
        }
        let (lost_from, lost) = if begins || self.lost < best_score + LOSE {
            (NONE, self.lost)
        } else {
            (best_before, best_score + LOSE)
        };
        kept.lost_from = lost_from;
        self.lost = lost + row.unmatched + if begins { LOSE } else { 0.0 };
        self.scores = scores;
        self.kept.push_back(kept);
        self.settle();
    }

    /// Keeps the sums small, and decides what is old.
    fn settle(&mut self) {
        let least = lowest(&self.scores).1.min(self.lost);
        self.scores.iter_mut().for_each(|score| *score -= least);
        self.lost -= least;
        if self.kept.len() >= 2 * LAG {
            let path = self.trace();
            self.decided.extend_from_slice(&path[..LAG]);
            self.kept.drain(..LAG);
        }
    }

    /// Returns the course so far that isn't decided yet.
    fn trace(&self) -> Vec<Option<u32>> {
        let (best, score) = lowest(&self.scores);
        let mut at = if score <= self.lost { best } else { NONE };
        let mut path = Vec::with_capacity(self.kept.len());
        for row in self.kept.iter().rev() {
            let index = usize::from(at);
            path.push(row.places.get(index).copied());
            at = row.from.get(index).copied().unwrap_or(row.lost_from);
        }
        path.reverse();
        path
    }

    /// Returns a reference frame, or none, for each row.
    pub(super) fn finish(mut self) -> Vec<Option<u32>> {
        let path = self.trace();
        self.decided.extend(path);
        self.decided
    }

    fn time(&self, frame: u32) -> f64 {
        self.times.get(frame as usize).copied().unwrap_or_default()
    }
}

fn lowest(scores: &[f32]) -> (u16, f32) {
    let best = scores.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    best.map_or((NONE, f32::INFINITY), |(index, score)| {
        (index as u16, *score)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows frames that fit one place each, or none.
    fn follow(fits: &[Option<u32>]) -> Vec<Option<u32>> {
        let times: Vec<f64> = (0..100).map(f64::from).collect();
        let mut course = Course::new(&times, 1.0);
        for fit in fits {
            let cost = |place: u32| if Some(place) == *fit { 0.0 } else { 60.0 };
            course.push(Row {
                places: (0..100).collect(),
                costs: (0..100).map(cost).collect(),
                unmatched: 20.0,
                expected: 1.0,
            });
        }
        course.finish()
    }

    #[test]
    fn a_single_misfit_is_no_jump() {
        let mut fits: Vec<Option<u32>> = (10..30).map(Some).collect();
        fits[7] = Some(80);
        let path = follow(&fits);
        assert!(path[7].is_none_or(|place| (16..=18).contains(&place)));
        assert_eq!(path[6], Some(16));
        assert_eq!(path[8], Some(18));
    }

    #[test]
    fn a_section_shown_again_is_followed_back() {
        let fits: Vec<Option<u32>> = (20..40).chain(25..45).map(Some).collect();
        assert_eq!(follow(&fits), fits);
    }

    #[test]
    fn what_fits_nowhere_has_no_match() {
        let mut fits: Vec<Option<u32>> = (20..50).map(Some).collect();
        fits[10..20].fill(None);
        assert_eq!(follow(&fits), fits);
    }

    #[test]
    fn a_long_course_is_decided_on_the_way() {
        let times: Vec<f64> = (0..30_000).map(f64::from).collect();
        let mut course = Course::new(&times, 1.0);
        for at in 0..3 * LAG as u32 {
            course.push(Row {
                places: vec![at, at + 1],
                costs: vec![0.0, 9.0],
                unmatched: 50.0,
                expected: 1.0,
            });
            assert!(course.kept.len() <= 2 * LAG);
        }
        let path = course.finish();
        assert!((0..3 * LAG as u32).map(Some).eq(path));
    }
}
