//! Meaning of a network's inputs and outputs, read from its graph and from what is stated about it.
//!
//! `inputs` tells pictures, timestep and constants apart, `outputs` the picture or motion; both by
//! their shapes (`slot`) and names. `metadata` reads what is stated, which overrules that.
//!
//! A network that gives a picture is known by its inputs, as networks met in the wild have no
//! metadata. One that gives motion says so ([`Statement`]'s `output` and `flow_unit`).
//!
//! Motion is two outputs: `flow` `[1, 4, h, w]` (x and y to the first picture, then to the second)
//! and `mask` `[1, 1, h, w]` (the weight of the first picture, 0 to 1), on a grid that is a whole
//! number of times coarser than the padded input, cells and pixels aligned by their edges.

mod inputs;
pub mod metadata;
mod outputs;
mod slot;
pub mod types;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use onnx_graph::proto::{ModelProto, ValueInfoProto};
use slot::Slot;

use self::metadata::{Origin, Stated, Statement};
use self::types::{Padding, StatedPhase};
use super::options::ModelFamily;
use crate::models::signature::types::{ChannelOrder, Inputs, Layout, Outputs, Range};

/// Multiple that a picture's size is padded to when nothing says more: the most that all but one
/// of the networks around ask for (RIFE 4.25 lite asks for 128, and is measured to).
pub(crate) const DEFAULT_ALIGN: usize = 64;

/// Most inputs or outputs that a message names.
const MOST_NAMED: usize = 16;

/// Description of the networks that are accepted, for messages.
const ACCEPTED: &str = "accepted are networks of floats that take two pictures [1,3,H,W] or [1,H,W,3], with \
    or without a timestep ([1], [b,1], [1,1,1,1] or [1,1,H,W]), or one input of 6, 7, 8 or 11 channels (two pictures, \
    timestep and more), and give one picture, or `flow` [1,4,h,w] and `mask` [1,1,h,w] with vfiinterp.* metadata; \
    model-info overrules what is detected";

/// Meaning of a network's inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The file's own name for the network, where it has one.
    pub name: Option<String>,
    /// The family it says it belongs to.
    pub family: Option<String>,
    /// Its inputs.
    pub inputs: Inputs,
    /// Values of its further inputs, by their names.
    pub constants: Vec<(String, f64)>,
    /// Its outputs.
    pub outputs: Outputs,
    /// Whether motion may be looked for in what makes the picture: nothing stated forbids it.
    pub seek_motion: bool,
    /// Whether any phase can be asked for; else all there is lies midway.
    pub any_phase: bool,
    /// Whether that is stated; else it can be found wanting when it is measured.
    pub phase_stated: bool,
    /// Range of the numbers of its pictures.
    pub range: Range,
    /// The order of their channels.
    pub channel_order: ChannelOrder,
    /// The order of the inputs' dimensions.
    pub input_layout: Layout,
    /// The order of the output's dimensions.
    pub output_layout: Layout,
    /// Number that width and height must be multiples of.
    pub align: usize,
    /// Whether that is stated; else it is where measuring begins.
    pub align_stated: bool,
    /// Content of the padding of pictures.
    pub padding: Padding,
    /// The only width and height it takes, where it takes one only.
    pub fixed: Option<(usize, usize)>,
    /// Whether it follows motion while the light of all changes evenly.
    pub levels_light: bool,
    /// Findings and the reasons for them, a phrase each.
    pub notes: Vec<String>,
}

impl Signature {
    /// Reads the signature of a model.
    ///
    /// # Errors
    /// Returns why it has none that is known: what was found, and what would be accepted.
    pub fn of(model: &ModelProto, stated: &Stated) -> Result<Self, String> {
        let graph = model.graph.as_ref().ok_or("it holds no graph")?;
        let metadata = Statement::from_metadata(model)?;
        let stated = &stated.clone().and(Origin::Metadata, metadata);
        let stored: HashSet<&str> = graph
            .initializer
            .iter()
            .filter_map(|t| t.name.as_deref())
            .collect();
        let describe = |values: &[ValueInfoProto]| {
            values
                .iter()
                .filter(|value| !stored.contains(value.name.as_deref().unwrap_or_default()))
                .map(Slot::of)
                .collect::<Vec<_>>()
        };
        let (inputs, outputs) = (describe(&graph.input), describe(&graph.output));
        Self::of_slots(&inputs, &outputs, stated)
            .map(|signature| Self {
                family: metadata::family_text(model).map(Into::into),
                ..signature
            })
            .map_err(|why| {
                let list = |slots: &[Slot]| {
                    let texts: Vec<_> = slots
                        .iter()
                        .take(MOST_NAMED)
                        .map(ToString::to_string)
                        .collect();
                    texts.join(", ")
                };
                let (takes, gives) = (list(&inputs), list(&outputs));
                format!("{why}; it takes {takes} and gives {gives}; {ACCEPTED}")
            })
    }

    fn of_slots(inputs: &[Slot], outputs: &[Slot], stated: &Stated) -> Result<Self, String> {
        let mut notes = Vec::new();
        let family = stated.get(|s| s.family.as_ref());
        let family = family.map(|(family, origin)| {
            notes.push(format!("family {}: from {origin}", family.nick()));
            *family
        });

        let mut channels = vec![3];
        channels.extend(inputs::STACKED);
        let seen = inputs
            .iter()
            .find_map(|slot| Some((slot, slot.layout(&channels)?)));
        let layout = match (stated.get(|s| s.layout.as_ref()), seen) {
            (Some((layout, origin)), Some((slot, other)))
                if slot
                    .extent(*layout)
                    .is_some_and(|e| !channels.contains(&e.channels)) =>
            {
                return Err(format!(
                    "the layout {layout} is stated by {origin}, and its input {slot} is {other}"
                ));
            }
            (Some((layout, origin)), _) => {
                notes.push(format!("layout {layout}: from {origin}"));
                *layout
            }
            (None, Some((slot, layout))) => {
                notes.push(format!("layout {layout}: from its input {slot}"));
                layout
            }
            (None, None) => Layout::default(),
        };

        let phase = stated.get(|s| s.timestep.as_ref());
        let (constants, inputs) = inputs::constants(inputs, stated, &mut notes)?;
        let found_inputs = inputs::read(&inputs, layout, phase.map(|(phase, _)| *phase))?;
        notes.push(format!("inputs: {found_inputs}"));
        let output = stated.get(|s| s.output.as_ref());
        let (found_outputs, output_layout) =
            outputs::read(outputs, layout, output.map(|(name, _)| name.as_str()))?;
        if matches!(found_outputs, Outputs::Motion { .. })
            && stated.get(|s| s.flow_unit.as_ref()).is_none()
        {
            return Err(
                "its flow_unit is not stated (vfiinterp.flow_unit), and only input_pixels is known"
                    .into(),
            );
        }
        if let (Outputs::Picture(name), 2..) = (&found_outputs, outputs.len()) {
            notes.push(format!("output `{name}`: one of {} outputs", outputs.len()));
        }
        let mut slots = inputs.iter().copied().chain(outputs);
        if let Some(slot) = slots.find(|slot| slot.is_other_float()) {
            let element = slot.element();
            notes.push(format!("{element}: converted where it meets pictures"));
        }

        let takes_phase = match &found_inputs {
            Inputs::PicturesAndTimestep { .. } => true,
            Inputs::Pictures(_) => false,
            Inputs::Stacked { channels, .. } => *channels > 6,
        };
        if let (Some((StatedPhase::Scalar | StatedPhase::Plane, origin)), false) =
            (phase, takes_phase)
        {
            return Err(format!(
                "a timestep is stated by {origin}, and it has no input for one"
            ));
        }
        let (any_phase, phase_stated) = match (phase, family) {
            _ if !takes_phase => (false, true),
            (Some((StatedPhase::None, origin)), _) => {
                notes.push(format!("midpoint only: from {origin}"));
                (false, true)
            }
            (_, Some(ModelFamily::Midpoint)) => (false, true),
            (Some(_), _) | (_, Some(ModelFamily::Rife)) => (true, true),
            (None, _) if is_film_saved_model(&found_inputs, layout, outputs) => {
                notes.push("midpoint only: FILM's SavedModel does not use its time".into());
                (false, true)
            }
            (None, _) => (true, false),
        };
        let align = stated.get(|s| s.align.as_ref());
        if let Some((align, origin)) = align {
            notes.push(format!("alignment {align}: from {origin}"));
        }
        let pad = stated.get(|s| s.pad.as_ref());
        if let Some((padding, origin)) = pad {
            notes.push(format!("padding {padding:?}: from {origin}").to_lowercase());
        }
        let range = stated.get(|s| s.range.as_ref());
        if let Some((Range::Signed, origin)) = range {
            notes.push(format!("range -1..1: from {origin}"));
        }
        let order = stated.get(|s| s.channel_order.as_ref());
        if let Some((ChannelOrder::Bgr, origin)) = order {
            notes.push(format!("channels in the order BGR: from {origin}"));
        }
        Ok(Self {
            name: stated.get(|s| s.name.as_ref()).map(|(n, _)| n.clone()),
            family: None,
            fixed: inputs::fixed_size(&inputs, layout)?,
            constants,
            inputs: found_inputs,
            outputs: found_outputs,
            seek_motion: output.is_none() && family != Some(ModelFamily::Film),
            any_phase,
            phase_stated,
            range: range.map_or_else(Range::default, |(range, _)| *range),
            channel_order: order.map_or_else(ChannelOrder::default, |(order, _)| *order),
            input_layout: layout,
            output_layout,
            align: align.map_or(DEFAULT_ALIGN, |(align, _)| *align),
            align_stated: align.is_some(),
            padding: pad.map_or_else(Padding::default, |(padding, _)| *padding),
            levels_light: stated.get(|s| s.light.as_ref()).is_some(),
            notes,
        })
    }
}

/// Returns whether this is google-research/frame-interpolation's SavedModel, in which the phase is
/// fixed: <https://github.com/google-research/frame-interpolation>, `models/film_net`.
fn is_film_saved_model(inputs: &Inputs, layout: Layout, outputs: &[Slot]) -> bool {
    let Inputs::PicturesAndTimestep { timestep, .. } = inputs else {
        return false;
    };
    layout == Layout::Nhwc
        && slot::stem(timestep) == "time"
        && outputs.len() > 1
        && outputs.iter().any(|slot| slot.stem() == "image")
}
