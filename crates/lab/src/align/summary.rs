//! Summary of an alignment: speed, drift, stutters, repeats, sections missing and shown again.

use serde::Serialize;

use super::matching::Match;

/// A speed that is off real time by no more is meant to be real time: what it is off is drift.
const REAL_TIME: f64 = 0.02;
/// A jump is longer than so many frames of the reference.
const JUMP: f64 = 3.0;
/// Moving frames that a line is laid through alone, if there are as many.
const MOVING: usize = 8;
/// Points that a line is laid through.
const POINTS: usize = 240;

/// A passage of both files, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Passage {
    /// When it begins in the other file.
    pub(super) other_from_s: f64,
    /// When it ends in the other file.
    pub(super) other_to_s: f64,
    /// When it begins in the reference, if that is known.
    pub(super) reference_from_s: Option<f64>,
    /// When it ends in the reference, if that is known.
    pub(super) reference_to_s: Option<f64>,
}

/// Summary of an alignment.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) frames: usize,
    pub(super) matched: usize,
    /// Reference time that goes by in a second of the other file.
    pub(super) speed: f64,
    /// Reference time at the other file's beginning.
    pub(super) offset_s: f64,
    /// Largest deviation from the even course.
    pub(super) largest_drift_ms: f64,
    pub(super) drift_deviation_ms: f64,
    /// Frames that go on by less than half, or more than one and a half, of what is usual.
    pub(super) stutters: Vec<usize>,
    /// Frames that show what the frame before them does, though the reference moves.
    pub(super) repeats: Vec<usize>,
    /// Sections of the reference that are left out.
    pub(super) missing: Vec<Passage>,
    /// Jumps back in the reference, and what is shown again.
    pub(super) again: Vec<Passage>,
    /// Sections of the other file that the reference doesn't have.
    pub(super) unmatched: Vec<Passage>,
    /// Deviation from the even course at each frame.
    #[serde(skip)]
    pub(super) drift_ms: Vec<Option<f64>>,
}

/// Sums an alignment up. Where the reference stands still, any of its times is right: such frames
/// are put where they keep closest to the even course.
pub(super) fn sum_up(matches: &mut [Option<Match>], times: &[f64], interval: f64) -> Summary {
    let mut summary = Summary {
        frames: times.len(),
        matched: matches.iter().flatten().count(),
        ..Summary::default()
    };
    let (speed, offset) = line(matches, times);
    (summary.speed, summary.offset_s) = (speed, offset);
    for (found, time) in matches.iter_mut().zip(times) {
        if let Some(found) = found.as_mut().filter(|found| found.still.0 < found.still.1) {
            found.time = (offset + speed * time).clamp(found.still.0, found.still.1);
        }
    }
    let drift = matches.iter().zip(times);
    let drift = drift.map(|(m, time)| m.map(|m| (m.time - offset - speed * time) * 1e3));
    summary.drift_ms = drift.collect();
    let known: Vec<f64> = summary.drift_ms.iter().flatten().copied().collect();
    let count = known.len().max(1) as f64;
    let mean = known.iter().sum::<f64>() / count;
    summary.largest_drift_ms = known.iter().fold(0.0, |most, d| d.abs().max(most));
    summary.drift_deviation_ms =
        (known.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count).sqrt();
    find_events(&mut summary, matches, times, interval);
    summary
}

/// Lays a line through the matches, by the median of slopes; returns speed and offset.
fn line(matches: &[Option<Match>], times: &[f64]) -> (f64, f64) {
    let points = |moving: bool| -> Vec<(f64, f64)> {
        let known = matches.iter().zip(times);
        let known = known.filter_map(|(found, time)| Some((*time, (*found)?)));
        let known = known.filter(|(_, found)| !moving || found.still.0 == found.still.1);
        known.map(|(time, found)| (time, found.time)).collect()
    };
    // Where the reference stands still, its time says nothing.
    let mut used = points(true);
    if used.len() < MOVING {
        used = points(false);
    }
    let points = used;
    let count = points.len().min(POINTS);
    let some = (0..count).map(|at| points[(2 * at + 1) * points.len() / (2 * count)]);
    let some: Vec<(f64, f64)> = some.collect();
    let mut slopes = Vec::new();
    for (at, a) in some.iter().enumerate() {
        slopes.extend(
            some[at + 1..]
                .iter()
                .map(|b| (b.1 - a.1) / (b.0 - a.0).max(1e-9)),
        );
    }
    let mut speed = median(&mut slopes).unwrap_or(1.0);
    if (speed - 1.0).abs() <= REAL_TIME {
        speed = 1.0;
    }
    let mut offsets: Vec<f64> = points.iter().map(|(t, r)| r - speed * t).collect();
    (speed, median(&mut offsets).unwrap_or_default())
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

fn find_events(summary: &mut Summary, matches: &[Option<Match>], times: &[f64], interval: f64) {
    let mut before: Option<(usize, &Match)> = None;
    let mut lost: Option<usize> = None;
    let usual = usual_speed(matches, times).unwrap_or(summary.speed);
    for (frame, found) in matches.iter().enumerate() {
        let Some(found) = found else {
            lost.get_or_insert(frame);
            continue;
        };
        if let Some(from) = lost.take() {
            let ends = before.map(|(_, m)| m.time);
            summary
                .unmatched
                .push(passage(times, from, frame, ends, Some(found.time)));
        }
        if let Some((last, earlier)) = before.replace((frame, found)) {
            let went = found.time - earlier.time;
            let due = usual * (times[frame] - times[last]);
            // what standing pictures leave open
            let open = (earlier.time - earlier.still.0) + (found.still.1 - found.time);
            let open = open + (earlier.still.1 - earlier.time) + (found.time - found.still.0);
            let place = passage(times, last, frame, Some(earlier.time), Some(found.time));
            let large = JUMP * interval.max(due / (frame - last) as f64);
            if went - due > large + open {
                summary.missing.push(place);
            } else if went < -1.5 * interval - open {
                summary.again.push(place);
            } else if frame == last + 1 && open < interval / 2.0 {
                if went.abs() < 0.1 * due {
                    summary.repeats.push(frame);
                }
                if (went - due).abs() > 0.5 * due {
                    summary.stutters.push(frame);
                }
            }
        }
    }
    if let Some(from) = lost {
        let ends = before.map(|(_, m)| m.time);
        summary
            .unmatched
            .push(passage(times, from, times.len() - 1, ends, None));
    }
}

/// Returns the speed that most steps have.
fn usual_speed(matches: &[Option<Match>], times: &[f64]) -> Option<f64> {
    const REACH: usize = 8;
    let mut speeds: Vec<f64> = (REACH..matches.len())
        .filter_map(|frame| {
            let went = matches[frame]?.time - matches[frame - REACH]?.time;
            let speed = went / (times[frame] - times[frame - REACH]);
            (speed > 0.0).then_some(speed)
        })
        .collect();
    median(&mut speeds)
}

fn passage(
    times: &[f64],
    from: usize,
    to: usize,
    reference_from_s: Option<f64>,
    reference_to_s: Option<f64>,
) -> Passage {
    Passage {
        other_from_s: times[from],
        other_to_s: times[to],
        reference_from_s,
        reference_to_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: f64 = 0.04;

    fn at(time: f64) -> Option<Match> {
        Some(Match {
            time,
            still: (time, time),
            confidence: 1.0,
        })
    }

    fn summary(course: impl Fn(f64) -> f64) -> Summary {
        let times: Vec<f64> = (0..200).map(|frame| f64::from(frame) * INTERVAL).collect();
        let mut matches: Vec<_> = times.iter().map(|time| at(course(*time))).collect();
        sum_up(&mut matches, &times, INTERVAL)
    }

    #[test]
    fn an_even_course_has_no_drift() {
        let summary = summary(|time| 0.5 * time + 2.0);
        assert!((summary.speed - 0.5).abs() < 1e-6 && (summary.offset_s - 2.0).abs() < 1e-6);
        assert!(
            summary.largest_drift_ms < 1e-6,
            "{}",
            summary.largest_drift_ms
        );
        assert!(summary.stutters.is_empty() && summary.repeats.is_empty());
    }

    #[test]
    fn a_clock_that_is_a_little_off_drifts() {
        let summary = summary(|time| 1.01 * time);
        assert!((summary.speed - 1.0).abs() < 1e-9);
        assert!(
            (summary.largest_drift_ms - 40.0).abs() < 2.0,
            "{}",
            summary.largest_drift_ms
        );
    }

    #[test]
    fn sections_left_out_and_shown_again_are_told() {
        let summary = summary(|time| match time {
            t if t < 2.0 => t,
            t if t < 4.0 => t + 1.0,
            t => t - 1.0,
        });
        assert_eq!((summary.missing.len(), summary.again.len()), (1, 1));
        assert!((summary.missing[0].other_to_s - 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_repeated_frame_is_a_stutter_but_not_where_the_reference_stands_still() {
        let times: Vec<f64> = (0..60).map(|frame| f64::from(frame) * INTERVAL).collect();
        let mut matches: Vec<_> = times.iter().map(|time| at(*time)).collect();
        matches[30] = at(29.0 * INTERVAL);
        let moving = sum_up(&mut matches.clone(), &times, INTERVAL);
        assert_eq!(moving.repeats, [30]);
        assert_eq!(moving.stutters, [30, 31]);
        for found in matches[20..40].iter_mut().flatten() {
            found.still = (20.0 * INTERVAL, 39.0 * INTERVAL);
        }
        let still = sum_up(&mut matches, &times, INTERVAL);
        assert!(still.repeats.is_empty() && still.stutters.is_empty());
        assert!(still.largest_drift_ms < 1e-6);
    }
}
