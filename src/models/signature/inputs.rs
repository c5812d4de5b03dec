//! Meaning of a network's inputs.

use onnx_graph::{LONGEST_NAME, abbreviate};

use super::metadata::Stated;
use super::slot::{Extent, Slot};
use super::types::{Inputs, Layout, StatedPhase, Timestep};

/// The channels of inputs that hold everything.
pub(crate) const STACKED: [i64; 4] = [6, 7, 8, 11];

/// Most pixels a side of networks that take one size only; larger ones are refused, as frames have
/// no more.
const LARGEST_SIDE: i64 = 8192;

/// Values of the inputs that are the same at each run, by the inputs' names.
type Constants = Vec<(String, f64)>;

/// Separates the inputs that a number is stated for from the others.
pub(crate) fn constants<'a>(
    slots: &'a [Slot],
    stated: &Stated,
    notes: &mut Vec<String>,
) -> Result<(Constants, Vec<&'a Slot>), String> {
    let mut constants = Vec::new();
    let mut rest: Vec<&Slot> = slots.iter().collect();
    for (name, (number, origin)) in stated.constants() {
        let called = abbreviate(name, LONGEST_NAME);
        let Some(at) = rest.iter().position(|slot| slot.name == name) else {
            return Err(format!(
                "{origin} states {number} for its input `{called}`, and it has none of that name"
            ));
        };
        let slot = rest.remove(at);
        if !slot.holds(number) {
            return Err(format!(
                "{origin} states {number} for its input {slot}, which can't hold that"
            ));
        }
        notes.push(format!("input `{called}` is {number}: from {origin}"));
        constants.push((name.to_owned(), number));
    }
    Ok((constants, rest))
}

/// Finds out which input is what.
pub(crate) fn read(
    slots: &[&Slot],
    layout: Layout,
    phase: Option<StatedPhase>,
) -> Result<Inputs, String> {
    if let Some(slot) = slots.iter().find(|slot| !slot.is_float()) {
        return Err(match slot.is_whole() && slot.may_be_scalar() {
            true => format!(
                "its input {slot} takes whole numbers, and no phase is one; \
                 model-info=\"input.{}=NUMBER\" gives it a number that stays",
                abbreviate(&slot.name, LONGEST_NAME)
            ),
            false => format!("its input {slot} does not hold floats"),
        });
    }
    let extent = |slot: &Slot| slot.extent(layout);
    if let Some(slot) = slots
        .iter()
        .find(|slot| extent(slot).is_some_and(|e| e.batch > 1))
    {
        return Err(format!("its input {slot} takes several pictures at once"));
    }
    let is_picture = |slot: &Slot| extent(slot).is_some_and(|e| e.channels == 3);
    let may_be_picture = |slot: &Slot| extent(slot).is_some_and(|e| matches!(e.channels, -1 | 3));
    let mut pictures: Vec<usize> = (0..slots.len()).filter(|&i| is_picture(slots[i])).collect();
    if pictures.len() < 2 {
        // exporters may leave everything open
        pictures = (0..slots.len())
            .filter(|&i| may_be_picture(slots[i]))
            .collect();
    }
    let name = |i: usize| slots[i].name.clone();
    match (pictures.as_slice(), slots) {
        (&[a, b], [_, _]) => Ok(Inputs::Pictures(in_order([name(a), name(b)]))),
        (&[a, b], [_, _, _]) => {
            let slot = slots[3 - a - b];
            Ok(Inputs::PicturesAndTimestep {
                pictures: in_order([name(a), name(b)]),
                timestep: slot.name.clone(),
                form: timestep(slot, layout, phase)
                    .ok_or_else(|| format!("its third input {slot} is no timestep"))?,
            })
        }
        (_, [slot]) => match extent(slot) {
            Some(Extent { channels, .. }) if STACKED.contains(&channels) => Ok(Inputs::Stacked {
                name: slot.name.clone(),
                channels: channels as usize,
            }),
            _ => Err("it is not a known kind of interpolation network".into()),
        },
        _ => Err("it is not a known kind of interpolation network".into()),
    }
}

/// Returns two names with the first picture's first. They stand in that order nearly everywhere;
/// where both end in a number, the numbers count.
fn in_order(names: [String; 2]) -> [String; 2] {
    fn split(name: &str) -> (&str, Option<u32>) {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (stem, name[stem.len()..].parse().ok())
    }
    let [first, second] = names;
    match (split(&first), split(&second)) {
        ((a, Some(m)), (b, Some(n))) if a == b && m > n => [second, first],
        _ => [first, second],
    }
}

/// Returns how the phase is fed to this input, if it can hold it.
fn timestep(slot: &Slot, layout: Layout, phase: Option<StatedPhase>) -> Option<Timestep> {
    let plane = slot
        .extent(layout)
        .is_some_and(|e| matches!(e.channels, -1 | 1));
    let one = slot.may_be_scalar();
    // of open dimensions a plane fits every use, but not where there are less than four
    let is_pixel = slot
        .extent(layout)
        .is_some_and(|e| (e.height, e.width) == (1, 1));
    match (phase, slot.rank()) {
        (Some(StatedPhase::Plane), _) if plane => Some(Timestep::Plane),
        (Some(StatedPhase::Plane), _) => None,
        (_, None) => Some(Timestep::Scalar(1)),
        (Some(StatedPhase::Scalar), Some(rank)) if one => Some(Timestep::Scalar(rank)),
        (_, Some(4)) if plane && !is_pixel => Some(Timestep::Plane),
        (_, Some(rank)) if one => Some(Timestep::Scalar(rank)),
        _ => None,
    }
}

/// Returns width and height, if the inputs name them as numbers.
pub(crate) fn fixed_size(
    slots: &[&Slot],
    layout: Layout,
) -> Result<Option<(usize, usize)>, String> {
    let sizes = slots.iter().filter_map(|slot| {
        let extent = slot.extent(layout)?;
        let size = (extent.width, extent.height);
        // a timestep of four dimensions
        (size != (1, 1)).then_some((slot, size.0, size.1))
    });
    for (slot, width, height) in sizes {
        match (width, height) {
            (-1, -1) => {}
            (1..=LARGEST_SIDE, 1..=LARGEST_SIDE) => {
                return Ok(Some((width as usize, height as usize)));
            }
            (1.., 1..) => {
                return Err(format!(
                    "its input {slot} takes pictures of {width}x{height}, and the limit is \
                     {LARGEST_SIDE} a side"
                ));
            }
            _ => {
                return Err(format!(
                    "its input {slot} names one of width and height only"
                ));
            }
        }
    }
    Ok(None)
}
