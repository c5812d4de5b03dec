//! Meaning of a network's outputs.

use onnx_graph::{LONGEST_NAME, abbreviate};

use super::MOST_NAMED;
use super::slot::Slot;
use super::types::{Layout, Outputs};

/// Names of the picture in networks that give other things of its kind as well.
const PICTURE_NAMES: [&str; 3] = ["image", "output", "interpolated"];

/// Finds the answer among the outputs; `stated` is `motion` or the picture's name.
pub(crate) fn read(
    slots: &[Slot],
    layout: Layout,
    stated: Option<&str>,
) -> Result<(Outputs, Layout), String> {
    match stated {
        Some("motion") => Ok((motion(slots)?, Layout::Nchw)),
        stated => {
            let slot = picture(slots, layout, stated)?;
            let found = slot.layout(&[3]).unwrap_or(layout);
            Ok((Outputs::Picture(slot.name.clone()), found))
        }
    }
}

fn motion(slots: &[Slot]) -> Result<Outputs, String> {
    let find = |name: &str, channels: i64| {
        let slot = slots.iter().find(|slot| slot.name == name);
        slot.filter(|slot| {
            let extent = slot.extent(Layout::Nchw);
            slot.is_float() && extent.is_some_and(|e| e.channels == channels)
        })
        .map(|slot| slot.name.clone())
        .ok_or(format!(
            "motion is promised, but it has no output `{name}` [1,{channels},h,w]"
        ))
    };
    Ok(Outputs::Motion {
        flow: find("flow", 4)?,
        mask: find("mask", 1)?,
    })
}

fn picture<'a>(
    slots: &'a [Slot],
    layout: Layout,
    stated: Option<&str>,
) -> Result<&'a Slot, String> {
    let named = |name: &str| slots.iter().find(|slot| slot.name == name);
    let chosen = match stated {
        // the word that metadata uses for the only picture there is
        Some(name) if name != "picture" || named(name).is_some() => {
            Some(named(name).ok_or_else(|| {
                let name = abbreviate(name, LONGEST_NAME);
                format!("its output should be `{name}`, and there is none")
            })?)
        }
        _ => None,
    };
    // exporters often leave the output's shape open; what comes is checked at every run
    let fits = |slot: &&Slot, known: bool| {
        let sure = slot.layout(&[3]).is_some();
        let open = slot.extent(layout).is_some_and(|e| e.channels == -1);
        slot.is_float() && (sure || (!known && open))
    };
    if let Some(slot) = chosen {
        return fits(&slot, false)
            .then_some(slot)
            .ok_or_else(|| format!("its output {slot} is no picture"));
    }
    let all = |known: bool| slots.iter().filter(|slot| fits(slot, known)).collect();
    let mut pictures: Vec<&Slot> = all(true);
    if pictures.is_empty() {
        pictures = all(false);
    }
    if let [only] = pictures.as_slice() {
        return Ok(only);
    }
    let by_name = PICTURE_NAMES
        .iter()
        .find_map(|name| slots.iter().find(|s| s.stem() == *name && fits(s, false)));
    match (by_name, pictures.as_slice()) {
        (Some(slot), _) => Ok(slot),
        (None, []) => Err("it gives no picture and no motion".into()),
        (None, several) => {
            let names = several.iter().take(MOST_NAMED);
            let names: Vec<_> = names
                .map(|s| format!("`{}`", abbreviate(&s.name, LONGEST_NAME)))
                .collect();
            Err(format!(
                "it gives more than one picture ({}); model-info=\"output=NAME\" chooses one",
                names.join(", ")
            ))
        }
    }
}
