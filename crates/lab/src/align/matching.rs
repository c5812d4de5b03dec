//! Finds each frame's place: costs along a band, a course through them, and the parts of a frame.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;

use super::blocks::{
    Between, Difference, Frame, Frames, Measure, Noise, Tone, apart, between, differences, plain,
};
use super::coarse::{self, Band};
use super::course::{Course, Row};
use super::pictures::Pictures;
use super::place::{self, Place, View};
use super::ranges::{merged, pieces};
use super::tone;

/// Rows that are loaded at a time.
const CHUNK: usize = 128;
/// Pairs that noise and tone are learnt from.
const LEARNT: usize = 240;
/// Pairs that a place is refined with.
const SHOWN: usize = 24;
/// Frames of the reference, and of the other, that a place is searched with.
const SEARCHED: (usize, usize) = (32, 5);
/// Agreement at which nobody asks whether the pictures lie elsewhere.
const AGREED: f32 = 0.93;
/// Advantage that a searched place must have over the whole picture.
const BETTER: f32 = 0.1;
/// Most that two equal frames of the reference differ by in any block, in units of noise.
const EQUAL: f32 = 2.0;
/// Confidence below which there is no match.
const CONFIDENT: f32 = 0.3;

/// The amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Quality {
    /// Pictures of 64x40, and one round
    Fast,
    /// Pictures of 128x72
    Balanced,
    /// Pictures of 256x144, and a round more
    Precise,
}

impl Quality {
    fn rounds(self) -> usize {
        match self {
            Self::Fast => 1,
            Self::Balanced => 2,
            Self::Precise => 3,
        }
    }
}

/// Place of a frame of the other file in the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Match {
    /// Seconds since the reference's first frame.
    pub(super) time: f64,
    /// From the first to the last of the times that are as good, where the reference stands still.
    pub(super) still: (f64, f64),
    /// Confidence, from 0 to 1.
    pub(super) confidence: f32,
}

/// Each frame's match, and the place that was found.
#[derive(Debug)]
pub(super) struct Alignment {
    pub(super) matches: Vec<Option<Match>>,
    pub(super) place: Place,
}

/// Two files that are compared in a certain way.
struct Pair<'a> {
    reference: &'a Pictures,
    other: &'a Pictures,
    view: View,
    tone: Tone,
    measure: Measure,
    /// Reference time that should go by at each frame of the other.
    expected: Vec<f64>,
}

/// A frame of the reference, or none, for each of the other's.
type Path = Vec<Option<u32>>;

/// Aligns two files; `coarse` is called with a first result.
pub(super) fn align(
    reference: &Pictures,
    other: &Pictures,
    masks: &[Place],
    quality: Quality,
    mut coarse: impl FnMut(&Alignment),
) -> Result<Alignment> {
    let mut pair = Pair {
        reference,
        other,
        view: View::new(Place::WHOLE, masks, reference.size),
        tone: plain(),
        measure: Measure::Correlation,
        expected: steps(&other.times),
    };
    let mut path = pair.follow()?;
    let place = pair.settle_place(&mut path, masks)?;
    for round in 0..quality.rounds() {
        if round == 0 {
            coarse(&Alignment {
                matches: pair.matches(&path)?,
                place,
            });
        }
        if !pair.learn(&path)? {
            break;
        }
        path = pair.follow()?;
    }
    Ok(Alignment {
        matches: pair.matches(&path)?,
        place,
    })
}

fn steps(times: &[f64]) -> Vec<f64> {
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    std::iter::once(0.0).chain(steps).collect()
}

impl Pair<'_> {
    /// Finds the likeliest course.
    fn follow(&self) -> Result<Path> {
        let band = if coarse::is_needed(self.reference, self.other) {
            let [reference, other] = [self.marks(true)?, self.marks(false)?];
            coarse::narrow(self.reference, self.other, &reference, &other)
        } else {
            Band::whole(self.reference.len())
        };
        let mut course = Course::new(&self.reference.times, self.reference.interval());
        for from in (0..self.other.len()).step_by(CHUNK) {
            let rows = from..(from + CHUNK).min(self.other.len());
            let ranges: Vec<Vec<Range<usize>>> = rows.clone().map(|row| band.at(row)).collect();
            let others = self.others(rows.clone())?;
            let mut made: Vec<Row> = rows
                .map(|row| Row {
                    places: Vec::new(),
                    costs: Vec::new(),
                    unmatched: 0.0,
                    expected: self.expected[row],
                })
                .collect();
            for piece in pieces(&merged(ranges.iter().flatten().cloned())) {
                let references = self.references(vec![piece.clone()])?;
                made.par_iter_mut().enumerate().for_each(|(index, row)| {
                    if let Some(other) = others.get(from + index) {
                        self.fill(row, other, &ranges[index], &piece, &references);
                    }
                });
            }
            let best = made.iter().filter_map(likeliest);
            let near = best.map(|place| place..(place + 2).min(self.reference.len()));
            let references = self.references(merged(near))?;
            for (index, mut row) in made.into_iter().enumerate() {
                row.unmatched = self.limit(others.get(from + index), &row, &references);
                course.push(row);
            }
        }
        Ok(course.finish())
    }

    /// Adds the places of a row that are in a piece of the reference.
    fn fill(
        &self,
        row: &mut Row,
        other: Frame<'_>,
        ranges: &[Range<usize>],
        piece: &Range<usize>,
        references: &[Frames],
    ) {
        for range in ranges {
            for place in range.start.max(piece.start)..range.end.min(piece.end) {
                if let Some(reference) = get(references, place) {
                    row.places.push(place as u32);
                    row.costs.push(self.measure.cost(other, reference));
                }
            }
        }
    }

    /// Returns what it costs a row to have no match.
    fn limit(&self, other: Option<Frame<'_>>, row: &Row, references: &[Frames]) -> f32 {
        let limit = likeliest(row).and_then(|best| {
            let next = get(references, best + 1);
            Some(self.measure.limit(other?, get(references, best)?, next))
        });
        limit.unwrap_or_default()
    }

    fn others(&self, frames: Range<usize>) -> Result<Frames> {
        let size = self.other.size;
        let luma = self.view.other(self.other.load(frames.clone())?, size);
        Ok(Frames::cut(
            frames.start,
            &luma,
            size,
            &self.view.used,
            &plain(),
        ))
    }

    fn references(&self, ranges: Vec<Range<usize>>) -> Result<Vec<Frames>> {
        let size = self.reference.size;
        let load = |range: Range<usize>| {
            let luma = self
                .view
                .reference(self.reference.load(range.clone())?, size);
            Ok(Frames::cut(
                range.start,
                &luma,
                size,
                &self.view.used,
                &self.tone,
            ))
        };
        ranges.into_iter().map(load).collect()
    }

    /// Returns what long files are searched by: the means of each frame's blocks.
    fn marks(&self, of_reference: bool) -> Result<Vec<Vec<i8>>> {
        let (pictures, step) = if of_reference {
            (self.reference, coarse::reference_step(self.reference))
        } else {
            (self.other, coarse::other_step(self.other))
        };
        let mut marks = Vec::with_capacity(pictures.len() / step + 1);
        for from in (0..pictures.len()).step_by(CHUNK) {
            let range = from..(from + CHUNK).min(pictures.len());
            let frames = if of_reference {
                self.references(vec![range.clone()])?
            } else {
                vec![self.others(range.clone())?]
            };
            let wanted = range.filter(|frame| frame % step == 0);
            marks.extend(wanted.filter_map(|frame| Some(coarse::mark(get(&frames, frame)?))));
        }
        Ok(marks)
    }

    /// Finds out where the other's pictures lie, and follows the course anew if they have moved.
    fn settle_place(&mut self, path: &mut Path, masks: &[Place]) -> Result<Place> {
        let size = self.reference.size;
        let pairs = self.shown(path)?;
        let (mut place, mut score) = place::refine(&pairs, Place::WHOLE, masks, size);
        if score < AGREED
            && let Some(found) = self.search()?
        {
            self.view = View::new(found, masks, size);
            let path = self.follow()?;
            let (found, other) = place::refine(&self.shown(&path)?, found, masks, size);
            if other > score + BETTER {
                (place, score) = (found, other);
            }
        }
        self.view = View::new(place, masks, size);
        if place != Place::WHOLE {
            *path = self.follow()?;
            let (better, other) = place::refine(&self.shown(path)?, place, masks, size);
            if other > score {
                place = better;
                self.view = View::new(place, masks, size);
            }
        }
        Ok(place)
    }

    fn search(&self) -> Result<Option<Place>> {
        let some = |pictures: &Pictures, count: usize| -> Result<Vec<Vec<u8>>> {
            let count = count.min(pictures.len());
            let frames = (0..count).map(|index| (2 * index + 1) * pictures.len() / (2 * count));
            frames
                .map(|frame| pictures.load(frame..frame + 1))
                .collect()
        };
        let shown = [self.reference.shown, self.other.shown];
        let reference = some(self.reference, SEARCHED.0)?;
        let other = some(self.other, SEARCHED.1)?;
        Ok(place::search(
            &reference,
            &other,
            self.reference.size,
            shown,
        ))
    }

    /// Returns pictures of some pairs along a path.
    fn shown(&self, path: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let load = |(other, reference): (usize, usize)| {
            Ok((
                self.reference.load(reference..reference + 1)?,
                self.other.load(other..other + 1)?,
            ))
        };
        some_pairs(path, SHOWN).into_iter().map(load).collect()
    }

    /// Learns noise, tone and speed from a path; false where nothing matches.
    fn learn(&mut self, path: &Path) -> Result<bool> {
        let pairs = some_pairs(path, LEARNT);
        let size = self.reference.size;
        let mut tones = tone::Tones::new();
        for &(other, reference) in &pairs {
            let other = self.view.other(self.other.load(other..other + 1)?, size);
            let reference = self.reference.load(reference..reference + 1)?;
            tones.add(
                &self.view.reference(reference, size),
                &other,
                size,
                &self.view.used,
            );
        }
        self.tone = tones.curve();
        let mut differing = Vec::new();
        for &(other, reference) in &pairs {
            let others = self.others(other..other + 1)?;
            let references = self.references(vec![reference..reference + 1])?;
            if let Some((other, reference)) = others.get(other).zip(get(&references, reference)) {
                differing.push(differences(other, reference).collect::<Vec<Difference>>());
            }
        }
        let Some(noise) = Noise::learn(&differing) else {
            return Ok(false);
        };
        self.measure = Measure::Noise(noise);
        self.expected = self.speeds(path);
        Ok(true)
    }

    /// Returns what should go by at each frame, by the speed around it.
    fn speeds(&self, path: &Path) -> Vec<f64> {
        const AROUND: usize = 12;
        let steps = steps(&self.other.times);
        let at = |row: usize| path.get(row).copied().flatten();
        let time = |row: usize| Some(self.reference.times[at(row)? as usize]);
        let all = (0..path.len()).map(|row| {
            let (from, to) = (
                row.saturating_sub(AROUND),
                (row + AROUND).min(path.len() - 1),
            );
            let went = || Some(time(to)? - time(from)?);
            let speed = went().map(|went| went / (self.other.times[to] - self.other.times[from]));
            let speed = speed.filter(|speed| (0.1..10.0).contains(speed));
            steps[row] * speed.unwrap_or(1.0)
        });
        all.collect()
    }

    /// Finds the parts of frames, and how sure each match is.
    fn matches(&self, path: &Path) -> Result<Vec<Option<Match>>> {
        let last = self.reference.len() - 1;
        let rests = self.rests()?;
        let mut found = Vec::with_capacity(path.len());
        for (chunk, places) in path.chunks(CHUNK).enumerate() {
            let from = chunk * CHUNK;
            let others = self.others(from..from + places.len())?;
            let around = places.iter().flatten().map(|&place| {
                let place = place as usize;
                place.saturating_sub(1)..(place + 2).min(last + 1)
            });
            let references = self.references(merged(around))?;
            let rows: Vec<_> = places
                .par_iter()
                .enumerate()
                .map(|(row, place)| {
                    let (place, other) = ((*place)? as usize, others.get(from + row)?);
                    self.between(other, place, &references)
                })
                .collect();
            found.extend(rows);
        }
        let times = &self.reference.times;
        let matches = found.into_iter().map(|row| {
            let row = row.filter(|row| row.confidence >= CONFIDENT)?;
            let rest = rests.partition_point(|first| *first as usize <= row.place);
            let first = rests
                .get(rest.checked_sub(1)?)
                .map_or(0, |first| *first as usize);
            let end = rests.get(rest).map_or(last, |next| *next as usize - 1);
            let next = if row.part < 0.0 {
                row.place.checked_sub(1)?
            } else {
                (row.place + 1).min(last)
            };
            let time =
                times[row.place] + f64::from(row.part.abs()) * (times[next] - times[row.place]);
            Some(Match {
                time,
                still: if first < end {
                    (times[first].min(time), times[end].max(time))
                } else {
                    (time, time)
                },
                confidence: row.confidence,
            })
        });
        Ok(matches.collect())
    }

    /// Returns the first frames of all runs of the reference that equal their first frame.
    fn rests(&self) -> Result<Vec<u32>> {
        let Measure::Noise(noise) = &self.measure else {
            return Ok((0..self.reference.len() as u32).collect());
        };
        let mut rests = vec![0];
        let mut first = self.references(vec![0..1])?;
        let mut began = 0;
        for piece in pieces(&[0..self.reference.len()]) {
            let frames = self.references(vec![piece.clone()])?;
            for at in piece {
                let (here, start) = (get(&frames, at), get(&first, began).or(get(&frames, began)));
                let is_equal = here
                    .zip(start)
                    .is_some_and(|(a, b)| apart(noise, a, b) < EQUAL);
                if !is_equal {
                    began = at;
                    rests.push(at as u32);
                }
            }
            first = self.references(vec![began..began + 1])?;
        }
        rests.dedup();
        Ok(rests)
    }

    fn between(&self, other: Frame<'_>, place: usize, references: &[Frames]) -> Option<Found> {
        let here = get(references, place)?;
        let confidence = self.measure.confidence(other, here);
        let mut found = Found {
            place,
            part: 0.0,
            confidence,
        };
        let Measure::Noise(noise) = &self.measure else {
            return Some(found);
        };
        let to = |there: Option<Frame<'_>>| there.map(|there| between(noise, other, here, there));
        let next = to(get(references, place + 1));
        let last = to(place.checked_sub(1).and_then(|last| get(references, last)));
        let gain = |way: &Option<Between>| way.map_or(0.0, |way| way.gain);
        let (way, sign) = if gain(&next) >= gain(&last) {
            (next, 1.0)
        } else {
            (last, -1.0)
        };
        if let Some(way) = way.filter(|way| way.most >= EQUAL) {
            found.part = sign * way.part;
        }
        Some(found)
    }
}

/// A frame's place in the reference, and what is known around it.
#[derive(Debug)]
struct Found {
    place: usize,
    /// Part of the way to the next frame, or (negative) to the last.
    part: f32,
    confidence: f32,
}

fn get(frames: &[Frames], frame: usize) -> Option<Frame<'_>> {
    frames.iter().find_map(|frames| frames.get(frame))
}

/// Returns the place that costs least.
fn likeliest(row: &Row) -> Option<usize> {
    let costs = row.costs.iter().zip(&row.places);
    let best = costs.min_by(|a, b| a.0.total_cmp(b.0));
    best.map(|(_, place)| *place as usize)
}

/// Returns at most so many pairs (other, reference), evenly spread.
fn some_pairs(path: &Path, most: usize) -> Vec<(usize, usize)> {
    let pairs = path.iter().enumerate();
    let pairs = pairs.filter_map(|(row, place)| Some((row, (*place)? as usize)));
    let pairs: Vec<_> = pairs.collect();
    let count = most.min(pairs.len());
    (0..count)
        .map(|index| pairs[(2 * index + 1) * pairs.len() / (2 * count)])
        .collect()
}
