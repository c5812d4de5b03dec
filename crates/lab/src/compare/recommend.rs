//! Recommends settings, with reasons.

use super::measure::Figures;
use super::record::{Metrics, Recommendation, Timing};

/// Points of SSIMULACRA2 that nobody sees: of two so near, the faster is the better.
const NOTHING: f64 = 0.1;
/// Points of SSIMULACRA2 that "balanced" gives for speed, at most.
const LITTLE: f64 = 1.0;

/// A configuration over all clips.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    pub(super) configuration: String,
    pub(super) multiplier: usize,
    pub(super) is_ours: bool,
    pub(super) mean: Figures,
    pub(super) timing: Timing,
    pub(super) originals_identical: bool,
}

/// Returns each configuration's means over the clips it was run on.
pub(super) fn summarise(metrics: &Metrics) -> Vec<Summary> {
    let of = |configuration: &super::matrix::Configuration| {
        let cells = || {
            let cells = metrics.cells.iter();
            cells.filter(|cell| cell.configuration == configuration.name)
        };
        let times: Vec<_> = cells()
            .filter_map(|cell| metrics.timing.cells.get(&cell.folder))
            .collect();
        if times.is_empty() {
            return None;
        }
        let each = times.iter().map(|timing| timing.ms_a_frame).sum::<f64>() / times.len() as f64;
        let paces = times.iter().map(|timing| timing.times_real_time);
        let memory = times.iter().filter_map(|timing| timing.memory_mib);
        Some(Summary {
            configuration: configuration.name.clone(),
            multiplier: configuration.multiplier,
            is_ours: configuration.is_ours(),
            mean: Figures::mean(cells().map(|cell| &cell.mean)),
            timing: Timing {
                ms_a_frame: each,
                frames_a_second: 1e3 / each,
                // of the clip that is hardest to keep up with
                times_real_time: paces.fold(f64::INFINITY, f64::min),
                memory_mib: memory.reduce(f64::max),
            },
            originals_identical: cells().all(|cell| cell.originals_identical),
        })
    };
    metrics.configurations.iter().filter_map(of).collect()
}

/// Returns which of the points, of cost and quality, no other beats in both.
pub(super) fn best_line(points: &[(f64, f64)]) -> Vec<bool> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 <= b.0 && a.1 >= b.1 && a != b;
    let on_line = |point: &(f64, f64)| points.iter().all(|other| !beats(other, point));
    points.iter().map(on_line).collect()
}

/// A configuration with its quality and its time.
type Rated<'a> = (&'a Summary, f64, f64);

/// Returns settings for quality, for speed and between them, at each multiplier that has true frames.
pub(super) fn recommend(summaries: &[Summary]) -> Vec<Recommendation> {
    let mut multipliers: Vec<_> = summaries.iter().map(|one| one.multiplier).collect();
    multipliers.sort_unstable();
    multipliers.dedup();
    multipliers
        .into_iter()
        .flat_map(|multiplier| at(multiplier, summaries))
        .collect()
}

fn at(multiplier: usize, summaries: &[Summary]) -> Vec<Recommendation> {
    let rated = |is_ours: bool| {
        let here = summaries
            .iter()
            .filter(move |one| one.multiplier == multiplier && one.is_ours == is_ours);
        here.filter_map(|one| Some((one, one.mean.ssimulacra2?, one.timing.ms_a_frame)))
    };
    let ours: Vec<Rated<'_>> = rated(true).collect();
    let fastest = |near: f64| -> Option<Rated<'_>> {
        let enough = ours.iter().filter(|one| one.1 >= near);
        enough.copied().min_by(|a, b| a.2.total_cmp(&b.2))
    };
    let most = ours.iter().map(|one| one.1).fold(f64::MIN, f64::max);
    let Some(best) = fastest(most - NOTHING) else {
        return Vec::new();
    };
    let recommend = |purpose: &str, one: Rated<'_>, reason: String| Recommendation {
        multiplier,
        purpose: purpose.to_owned(),
        configuration: one.0.configuration.clone(),
        reason,
    };
    let balanced = fastest(best.1 - LITTLE).unwrap_or(best);
    let simple = rated(false).filter(|one| {
        let name = &one.0.configuration;
        name.ends_with("_blend") || name.ends_with("_repeat")
    });
    let floor = simple.max_by(|a, b| a.1.total_cmp(&b.1));
    let (fast, beaten) = match floor.and_then(|floor| Some((fastest(floor.1)?, floor))) {
        Some((fast, floor)) => (
            fast,
            format!(
                "that is still no worse than {} (SSIMULACRA2 {:.1} to {:.1})",
                floor.0.configuration, fast.1, floor.1
            ),
        ),
        None => (
            fastest(f64::MIN).unwrap_or(best),
            "of all; nothing simpler was better, or was compared".to_owned(),
        ),
    };
    let pace = |one: Rated<'_>| {
        format!(
            "{:.1} ms a frame, {:.2} times real time here",
            one.2, one.0.timing.times_real_time
        )
    };
    vec![
        recommend(
            "quality",
            best,
            if best.1 == most {
                format!("It has the highest SSIMULACRA2, {most:.1}: {}.", pace(best))
            } else {
                format!(
                    "It is the fastest within {NOTHING} of the highest SSIMULACRA2, {most:.1}: {}.",
                    pace(best)
                )
            },
        ),
        recommend(
            "balanced",
            balanced,
            if balanced.0 == best.0 {
                format!("Nothing faster comes within {LITTLE} point of SSIMULACRA2 of the best.")
            } else {
                format!(
                    "It is {:.1} times as fast as the best and {:.1} points of SSIMULACRA2 below it: {}.",
                    best.2 / balanced.2,
                    best.1 - balanced.1,
                    pace(balanced)
                )
            },
        ),
        recommend(
            "speed",
            fast,
            format!("It is the fastest {beaten}: {}.", pace(fast)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(name: &str, quality: f64, ms: f64) -> Summary {
        Summary {
            configuration: name.to_owned(),
            multiplier: 2,
            is_ours: name.starts_with("vfi"),
            mean: Figures {
                ssimulacra2: Some(quality),
                ..Figures::default()
            },
            timing: Timing {
                ms_a_frame: ms,
                frames_a_second: 1e3 / ms,
                times_real_time: 1.0,
                memory_mib: None,
            },
            originals_identical: true,
        }
    }

    #[test]
    fn the_best_line_has_what_nothing_beats() {
        let points = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 4.0), (4.0, 4.0)];
        assert_eq!(best_line(&points), [true, true, false, true, true]);
    }

    #[test]
    fn each_purpose_gets_its_settings() {
        let all = [
            summary("vfi_slow", 80.02, 100.0),
            summary("vfi_best", 80.0, 50.0),
            summary("vfi_near", 79.2, 20.0),
            summary("vfi_fast", 60.0, 5.0),
            summary("vfi_poor", 40.0, 1.0),
            summary("x2_blend", 50.0, 0.1),
        ];
        let names = |all: &[Summary]| -> Vec<String> {
            let all = recommend(all).into_iter();
            all.map(|one| one.configuration).collect()
        };
        assert_eq!(names(&all), ["vfi_best", "vfi_near", "vfi_fast"]);
        assert_eq!(names(&all[..5]), ["vfi_best", "vfi_near", "vfi_poor"]);
        assert!(names(&all[5..]).is_empty());
    }
}
