//! Midpoint-only networks to any phase: halves, halves of halves, and so on.
//!
//! Where a phase falls, and which midpoints have to be made in which order. Phases asked for in
//! rising order cost each midpoint once, and no more pictures are kept than the bisection is deep.

/// The finest bisection: a pair is at most cut into two to the power of this.
pub(super) const FINEST: u32 = 6;
/// How deep a midpoint-only network bisects for phases that are no exact halves, until told.
pub const DEFAULT_DEPTH: u32 = 3;
/// A pair's second picture, in slots; the first is slot 0.
const LAST: u32 = 1 << FINEST;
/// Distance from a slot within which a phase is meant to be on it: timestamps are rounded.
const TOLERANCE: f32 = 1e-3;

/// The slot for `phase` (0 to 1): its own if it is a whole number of 2^-[`FINEST`] (rates doubled
/// any number of times), else the nearest among those of a bisection `depth` deep, which may be
/// one of the two pictures themselves.
pub(super) fn slot(phase: f32, depth: u32) -> u32 {
    let finest = nearest(phase, FINEST);
    let is_exact = (phase - finest).abs() <= TOLERANCE && finest > 0.0 && finest < 1.0;
    let found = if is_exact {
        finest
    } else {
        nearest(phase, depth)
    };
    (found * LAST as f32) as u32
}

/// The nearest phase among those of a bisection `depth` deep, 0 and 1 among them.
pub(super) fn nearest(phase: f32, depth: u32) -> f32 {
    let parts = (1_u32 << depth.min(FINEST)) as f32;
    (phase.clamp(0.0, 1.0) * parts).round() / parts
}

/// Where a picture comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a, T> {
    /// The pair's first picture.
    First,
    /// The pair's second picture.
    Second,
    /// One that was made between them.
    Made(&'a T),
}

/// Next step on the way to a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a, T> {
    /// Nothing: here it is.
    There(Place<'a, T>),
    /// Make the picture midway between two, and insert it at this slot.
    Make(u32, [Place<'a, T>; 2]),
}

/// The pictures made between the two of a pair.
#[derive(Debug)]
pub(super) struct Bisection<T> {
    /// Pair that this is about.
    pair: (u64, u64),
    /// Slot before which all was dropped; a picture is at it, or it is 0.
    floor: u32,
    /// Slots with their pictures, rising. Neighbours, the pair's own two included, always have a
    /// midpoint: nothing but midpoints is ever put between them, and nothing but the first dropped.
    made: Vec<(u32, T)>,
}

impl<T> Default for Bisection<T> {
    fn default() -> Self {
        Self {
            pair: (0, 0),
            floor: 0,
            made: Vec::new(),
        }
    }
}

impl<T> Bisection<T> {
    /// Turns to a pair; what belongs to another one is dropped.
    pub(super) fn begin(&mut self, pair: (u64, u64)) {
        if self.pair != pair {
            *self = Self {
                pair,
                ..Self::default()
            };
        }
    }

    /// The next step to `target`. Drops what only lies on the way to earlier slots.
    pub(super) fn step(&mut self, target: u32) -> Step<'_, T> {
        if target < self.floor {
            // back in time: all from the beginning
            self.floor = 0;
            self.made.clear();
        }
        let upper = self.made.partition_point(|(slot, _)| *slot <= target);
        if upper > 0 {
            self.made.drain(..upper - 1);
            self.floor = self.made[0].0;
        }
        let (left, lower) = match self.made.first() {
            Some((slot, picture)) if *slot <= target => (*slot, Place::Made(picture)),
            _ => (0, Place::First),
        };
        let after = usize::from(left > 0);
        let (right, higher) = match self.made.get(after) {
            Some((slot, picture)) => (*slot, Place::Made(picture)),
            None => (LAST, Place::Second),
        };
        if left == target {
            Step::There(lower)
        } else if right == target {
            Step::There(higher)
        } else {
            Step::Make(left.midpoint(right), [lower, higher])
        }
    }

    /// The pictures that were made and are kept.
    pub(super) fn made(&self) -> impl Iterator<Item = &T> {
        self.made.iter().map(|(_, picture)| picture)
    }

    /// The picture that was made at a slot.
    pub(super) fn at(&self, slot: u32) -> Option<&T> {
        let made = self.made.iter().find(|(at, _)| *at == slot);
        made.map(|(_, picture)| picture)
    }

    /// Takes a picture that was made for a [`Step::Make`].
    pub(super) fn insert(&mut self, slot: u32, picture: T) {
        let place = self.made.partition_point(|(before, _)| *before < slot);
        self.made.insert(place, (slot, picture));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for phases in turn, with pictures that know their phase. Returns how many midpoints
    /// were made and the most pictures, the pair's own included, there were at once.
    fn ask(bisection: &mut Bisection<f64>, slots: &[u32]) -> (usize, usize) {
        let value = |place: Place<'_, f64>| match place {
            Place::First => 0.0,
            Place::Second => 1.0,
            Place::Made(value) => *value,
        };
        let (mut made, mut most) = (0, 0);
        for &slot in slots {
            loop {
                match bisection.step(slot) {
                    Step::There(place) => {
                        assert_eq!(value(place), f64::from(slot) / f64::from(LAST));
                        break;
                    }
                    Step::Make(middle, [a, b]) => {
                        let picture = f64::midpoint(value(a), value(b));
                        assert_eq!(picture, f64::from(middle) / f64::from(LAST));
                        bisection.insert(middle, picture);
                        made += 1;
                    }
                }
                most = most.max(bisection.made.len() + 2);
            }
        }
        (made, most)
    }

    #[test]
    fn powers_of_two_are_exact_and_cost_a_midpoint_a_frame() {
        for depth in 1..=FINEST {
            let parts = 1_u32 << depth;
            let slots: Vec<_> = (1..parts)
                .map(|k| slot(k as f32 / parts as f32, 1))
                .collect();
            let expected: Vec<_> = (1..parts).map(|k| k * LAST / parts).collect();
            assert_eq!(slots, expected);
            let mut bisection = Bisection::default();
            bisection.begin((1, 2));
            let (made, most) = ask(&mut bisection, &slots);
            assert_eq!(made, slots.len());
            assert!(most <= depth as usize + 2, "{most} at depth {depth}");
        }
    }

    #[test]
    fn other_phases_take_the_nearest_slot() {
        for (phase, depth, expected) in [
            (0.4, 1, 0.5),
            (0.2, 1, 0.0),
            (0.8, 1, 1.0),
            (0.4, 2, 0.5),
            (0.8, 2, 0.75),
            (0.4, 3, 0.375),
            (0.4, 4, 0.375),
            (0.03, 3, 0.0),
            (0.97, 3, 1.0),
            // an exact one, but for the rounding of timestamps
            (0.2501, 1, 0.25),
        ] {
            let found = slot(phase, depth);
            assert_eq!(
                found as f32 / LAST as f32,
                expected,
                "{phase} at depth {depth}"
            );
        }
        assert_eq!(slot(f32::NAN, 3), 0);
    }

    #[test]
    fn what_is_made_for_one_frame_serves_the_next() {
        // 24 to 60 frames a second
        for phases in [[0.4, 0.8], [0.2, 0.6]] {
            let slots = phases.map(|phase| slot(phase, 3));
            assert_eq!(ask(&mut Bisection::default(), &slots).0, 4);
        }
    }

    #[test]
    fn a_new_pair_begins_anew() {
        let mut bisection = Bisection::default();
        bisection.begin((1, 2));
        assert_eq!(ask(&mut bisection, &[LAST / 2]).0, 1);
        bisection.begin((1, 2));
        assert_eq!(ask(&mut bisection, &[LAST / 2]).0, 0);
        bisection.begin((2, 3));
        assert_eq!(ask(&mut bisection, &[LAST / 2]).0, 1);
    }

    proptest::proptest! {
        #[test]
        fn any_order_comes_out_right_and_a_rising_one_makes_nothing_twice(
            mut slots in proptest::collection::vec(0..=LAST, 1..20),
        ) {
            let mut bisection = Bisection::default();
            ask(&mut bisection, &slots);
            slots.sort_unstable();
            let mut bisection = Bisection::default();
            let (made, most) = ask(&mut bisection, &slots);
            // every midpoint above a slot in the tree of halves, each once
            let mut needed = std::collections::BTreeSet::new();
            for &slot in &slots {
                let (mut left, mut right) = (0, LAST);
                while slot != left && slot != right {
                    let middle = u32::midpoint(left, right);
                    needed.insert(middle);
                    if slot < middle { right = middle } else { left = middle }
                }
            }
            proptest::prop_assert_eq!(made, needed.len());
            proptest::prop_assert!(most <= FINEST as usize + 2);
        }
    }
}
