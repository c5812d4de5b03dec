//! A plane's way through the converter: one pass after another, each along one side.

use super::taps::Taps;
use super::{Appender, clip};
use crate::frames::ScaleMethod;

/// Bits of the converter's weights for bytes, and for words.
const BYTES: u32 = 6;
const WORDS: u32 = 12;
/// And for bytes where there are but two weights, which enlarging between neighbours needs.
const BYTES_OF_TWO: u32 = 8;

/// Scaling along one side.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) side: Side,
    pub(crate) taps: Taps,
    pub(crate) rounding: Rounding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Across,
    Down,
}

/// Rounding that a pass applies to its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rounding {
    /// Bytes, nearest ones (halves upwards).
    Nearest,
    /// Bytes, those below.
    Below,
    /// As they are, but between 0 and this: the converter has 16 bits there, and rounding those
    /// changes nothing that could be seen.
    Within(f32),
}

impl Pass {
    /// Appends it to what gives `value`, `[n, height, width]`.
    pub(crate) fn apply(&self, graph: &mut Appender, value: &str) -> String {
        let (inputs, outputs) = (self.taps.inputs() as i64, self.taps.outputs() as i64);
        let sums = match self.side {
            Side::Across => {
                let weights = graph.tensor(&[inputs, outputs], &self.taps.dense(false));
                graph.node("MatMul", &[value, &weights], vec![])
            }
            Side::Down => {
                let weights = graph.tensor(&[outputs, inputs], &self.taps.dense(true));
                graph.node("MatMul", &[&weights, value], vec![])
            }
        };
        let below = match self.rounding {
            Rounding::Within(most) => return clip(graph, &sums, 0.0, most),
            Rounding::Below => sums,
            Rounding::Nearest => {
                let half = graph.constant(0.5);
                graph.node("Add", &[&sums, &half], vec![])
            }
        };
        let whole = graph.node("Floor", &[&below], vec![]);
        clip(graph, &whole, 0.0, 255.0)
    }
}

/// Applies passes in turn.
pub(crate) fn apply(passes: &[Pass], graph: &mut Appender, value: &str) -> String {
    let value = value.to_owned();
    passes
        .iter()
        .fold(value, |value, pass| pass.apply(graph, &value))
}

/// Returns the passes that shrink a plane of bytes. `single` says that its samples lie alone, so
/// that the converter halves it where that is what linear scaling is asked for.
pub(crate) fn shrink(
    method: ScaleMethod,
    from: (usize, usize),
    to: (usize, usize),
    single: bool,
) -> Vec<Pass> {
    let sides = [(Side::Down, from.1, to.1), (Side::Across, from.0, to.0)];
    let changed = sides.iter().filter(|(_, from, to)| from != to);
    let halves = single
        && method == ScaleMethod::Bilinear
        && changed.clone().all(|(_, from, to)| *from == 2 * to);
    let mut passes: Vec<_> = changed
        .map(|&(side, from, to)| Pass {
            side,
            taps: match halves {
                true => Taps::halved(to),
                false => Taps::resampled(method, from, to, BYTES),
            },
            rounding: Rounding::Nearest,
        })
        .collect();
    // rows first but where the last one comes from no further down than it goes to
    if !halves && passes.len() == 2 && passes[0].taps.last_start() <= to.1 {
        passes.reverse();
    }
    passes
}

/// Returns the passes that enlarge a picture of bytes.
pub(crate) fn enlarge(method: ScaleMethod, from: (usize, usize), to: (usize, usize)) -> Vec<Pass> {
    let linear = method == ScaleMethod::Bilinear;
    let across = Pass {
        side: Side::Across,
        taps: match linear {
            true => Taps::stretched(from.0, to.0),
            false => Taps::resampled(method, from.0, to.0, BYTES),
        },
        rounding: match linear {
            true => Rounding::Below,
            false => Rounding::Nearest,
        },
    };
    let bits = if linear { BYTES_OF_TWO } else { BYTES };
    let down = Pass {
        side: Side::Down,
        taps: Taps::resampled(method, from.1, to.1, bits),
        rounding: Rounding::Nearest,
    };
    let mut passes = Vec::new();
    if from.0 != to.0 {
        passes.push(across);
    }
    if from.1 != to.1 {
        passes.push(down);
    }
    in_turn(passes, from, to)
}

/// Returns the passes that scale words of levels up to `most`.
pub(crate) fn words(
    method: ScaleMethod,
    from: (usize, usize),
    to: (usize, usize),
    most: f32,
) -> Vec<Pass> {
    let sides = [(Side::Across, from.0, to.0), (Side::Down, from.1, to.1)];
    let changed = sides.into_iter().filter(|(_, from, to)| from != to);
    let passes = changed.map(|(side, from, to)| Pass {
        side,
        taps: Taps::resampled(method, from, to, WORDS),
        rounding: Rounding::Within(most),
    });
    in_turn(passes.collect(), from, to)
}

/// Orders passes: first what leaves fewer samples, as the converter does.
fn in_turn(mut passes: Vec<Pass>, from: (usize, usize), to: (usize, usize)) -> Vec<Pass> {
    if to.0 * from.1 > from.0 * to.1 {
        passes.reverse();
    }
    passes
}
