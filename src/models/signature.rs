//! What a network's inputs and outputs mean, read from its graph and metadata.
//!
//! A network that gives a picture is known by its inputs, as networks met in the wild have no
//! metadata. One that gives motion says so in its metadata. The keys (ONNX `metadata_props`):
//!
//! | key | values | when it is missing |
//! | --- | --- | --- |
//! | `vfiinterp.output` | `motion`, `picture` | `picture` |
//! | `vfiinterp.flow_unit` | `input_pixels`: pixels of the padded input | refused if motion |
//! | `vfiinterp.range` | `0..1`, `-1..1`: of pictures, in and out | `0..1` |
//! | `vfiinterp.align` | 1 to 1024: width and height are padded to multiples | 64 |
//! | `vfiinterp.name`, `vfiinterp.family` | any text, for display | the file's name, nothing |
//!
//! Motion is two outputs: `flow` `[1, 4, h, w]` (x and y to the first picture, then to the second)
//! and `mask` `[1, 1, h, w]` (the weight of the first picture, 0 to 1), on a grid that is a whole
//! number of times coarser than the padded input, cells and pixels aligned by their edges.

use super::graph::FLOAT;
use super::graph::proto::{ModelProto, ValueInfoProto};

/// What a picture's size is padded to when the file does not say: the most that all but one of
/// the networks around ask for (RIFE 4.25 lite asks for 128).
const DEFAULT_ALIGN: usize = 64;
/// Larger alignments are refused.
const MAX_ALIGN: usize = 1024;

/// What is accepted, for messages.
const ACCEPTED: &str = "accepted are float32 networks in NCHW order that take two pictures [1,3,H,W] with or without a \
    timestep, or one input of 6, 7, 8 or 11 channels (two pictures, then timestep and the like), and give one \
    picture [1,3,H,W], or `flow` [1,4,h,w] and `mask` [1,1,h,w] with `vfiinterp.*` metadata";

/// How a network takes the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestep {
    /// As an input of one value with this many dimensions.
    Scalar(usize),
    /// As an input of a value per pixel, `[1, 1, H, W]`.
    Plane,
}

/// The inputs, in the order the names are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Two pictures and the moment, each with its name.
    PicturesAndTimestep {
        /// The first and second picture.
        pictures: [String; 2],
        /// The moment.
        timestep: String,
        /// Its form.
        form: Timestep,
    },
    /// Two pictures; the result is midway.
    Pictures([String; 2]),
    /// One input with everything as channels: 6 (midway), 7 (moment), 8 (moment, scale) or 11
    /// (moment and the coordinates of every pixel).
    Stacked {
        /// Its name.
        name: String,
        /// Its channels.
        channels: usize,
    },
}

/// The outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Flow in pixels of the padded input, and the weight of picture 0.
    Motion {
        /// The name of the flow.
        flow: String,
        /// The name of the mask.
        mask: String,
    },
    /// A picture.
    Picture(String),
}

/// What the numbers of a picture range over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 to 1.
    Unit,
    /// -1 to 1.
    Signed,
}

/// What a network's inputs and outputs mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The file's own name for the network, where it has one.
    pub name: Option<String>,
    /// The family it says it belongs to.
    pub family: Option<String>,
    /// Its inputs.
    pub inputs: Inputs,
    /// Its outputs.
    pub outputs: Outputs,
    /// What its pictures range over.
    pub range: Range,
    /// What width and height must be multiples of.
    pub align: usize,
    /// Whether the file says so itself; else it is a guess.
    pub align_stated: bool,
    /// The only width and height it takes, where it takes one only.
    pub fixed: Option<(usize, usize)>,
}

impl Signature {
    /// Whether any moment can be asked for; else all there is lies midway.
    pub fn any_timestep(&self) -> bool {
        match &self.inputs {
            Inputs::PicturesAndTimestep { .. } => true,
            Inputs::Pictures(_) => false,
            Inputs::Stacked { channels, .. } => *channels > 6,
        }
    }

    /// Reads the signature of a model, or says why it has none that is known.
    pub fn of(model: &ModelProto) -> Result<Self, String> {
        let graph = model.graph.as_ref().ok_or("it holds no graph")?;
        let stored: Vec<&str> = graph
            .initializer
            .iter()
            .filter_map(|t| t.name.as_deref())
            .collect();
        let describe = |values: &[ValueInfoProto]| {
            values
                .iter()
                .filter(|value| !stored.contains(&value.name.as_deref().unwrap_or_default()))
                .map(Slot::of)
                .collect::<Vec<_>>()
        };
        let (inputs, outputs) = (describe(&graph.input), describe(&graph.output));
        let refuse = |why: &str| {
            let list = |slots: &[Slot]| {
                let texts: Vec<String> = slots.iter().take(16).map(ToString::to_string).collect();
                texts.join(", ")
            };
            format!(
                "{why}; it takes {} and gives {}; {ACCEPTED}",
                list(&inputs),
                list(&outputs)
            )
        };
        let metadata = |key: &str| {
            let entry = model.metadata_props.iter().find(|entry| {
                entry
                    .key
                    .as_deref()
                    .and_then(|k| k.strip_prefix("vfiinterp."))
                    == Some(key)
            });
            entry.and_then(|entry| entry.value.as_deref())
        };

        let found_outputs = if metadata("output") == Some("motion") {
            motion_outputs(&outputs).map_err(|why| refuse(&why))?
        } else {
            picture_output(&outputs).map_err(|why| refuse(&why))?
        };
        let found_inputs = picture_inputs(&inputs).map_err(|why| refuse(&why))?;
        if matches!(found_outputs, Outputs::Motion { .. })
            && metadata("flow_unit") != Some("input_pixels")
        {
            let unit = metadata("flow_unit").unwrap_or("nothing");
            return Err(format!(
                "its vfiinterp.flow_unit is {unit}, and only input_pixels is known"
            ));
        }
        if let Some(output) = metadata("output").filter(|o| !matches!(*o, "motion" | "picture")) {
            return Err(format!(
                "its vfiinterp.output is {output}, and only motion and picture are known"
            ));
        }
        Ok(Self {
            name: metadata("name").map(Into::into),
            family: metadata("family").map(Into::into),
            fixed: fixed_size(&inputs),
            inputs: found_inputs,
            outputs: found_outputs,
            range: match metadata("range") {
                None | Some("0..1") => Range::Unit,
                Some("-1..1") => Range::Signed,
                Some(other) => {
                    return Err(format!(
                        "its vfiinterp.range is {other}, and only 0..1 and -1..1 are known"
                    ));
                }
            },
            align_stated: metadata("align").is_some(),
            align: match metadata("align") {
                None => DEFAULT_ALIGN,
                Some(text) => text
                    .parse()
                    .ok()
                    .filter(|align| (1..=MAX_ALIGN).contains(align))
                    .ok_or_else(|| {
                        format!("its vfiinterp.align is {text}, and 1 to {MAX_ALIGN} is accepted")
                    })?,
            },
        })
    }
}

/// An input or output.
struct Slot {
    name: String,
    element: i32,
    /// `None` when not even the number of dimensions is known; -1 for an unknown dimension.
    dims: Option<Vec<i64>>,
}

impl Slot {
    fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        Self {
            name: value.name.clone().unwrap_or_default(),
            element: tensor.and_then(|t| t.elem_type).unwrap_or(0),
            dims: tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
                let dims = shape.dim.iter().map(|dim| dim.dim_value.unwrap_or(-1));
                dims.collect()
            }),
        }
    }

    /// The number of channels, if this is a float tensor of four dimensions with a known number.
    fn channels(&self) -> Option<i64> {
        match self.dims.as_deref() {
            Some([-1 | 1, channels @ (1..), _, _]) if self.element == FLOAT => Some(*channels),
            _ => None,
        }
    }

    /// Whether this can hold one value, and as how many dimensions, or a plane of values.
    fn timestep(&self) -> Option<Timestep> {
        if self.element != FLOAT {
            return None;
        }
        match self.dims.as_deref()? {
            [_, 1, 1, 1] => Some(Timestep::Scalar(4)),
            [_, 1, _, _] => Some(Timestep::Plane),
            dims if dims.len() < 4 && dims.iter().all(|dim| matches!(dim, -1 | 1)) => {
                Some(Timestep::Scalar(dims.len()))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let element = match self.element {
            1 => "float32",
            2 => "uint8",
            3 => "int8",
            6 => "int32",
            7 => "int64",
            9 => "bool",
            10 => "float16",
            11 => "float64",
            16 => "bfloat16",
            _ => "another type",
        };
        write!(f, "`{}` {element}", self.name)?;
        let Some(dims) = &self.dims else {
            return f.write_str(" of unknown shape");
        };
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| {
                if *dim < 0 {
                    "?".into()
                } else {
                    dim.to_string()
                }
            })
            .collect();
        write!(f, " [{}]", dims.join(","))
    }
}

fn motion_outputs(outputs: &[Slot]) -> Result<Outputs, String> {
    let find = |name: &str, channels: i64| {
        let slot = outputs.iter().find(|slot| slot.name == name);
        slot.filter(|slot| slot.channels() == Some(channels))
            .map(|slot| slot.name.clone())
            .ok_or(format!(
                "its metadata promises motion, but it has no float32 output `{name}` [1,{channels},h,w]"
            ))
    };
    Ok(Outputs::Motion {
        flow: find("flow", 4)?,
        mask: find("mask", 1)?,
    })
}

fn picture_output(outputs: &[Slot]) -> Result<Outputs, String> {
    let mut pictures = outputs.iter().filter(|slot| slot.channels() == Some(3));
    match (pictures.next(), pictures.next(), outputs) {
        (Some(one), None, _) => Ok(Outputs::Picture(one.name.clone())),
        // exporters often leave the output's shape open; what comes is checked at every run
        (None, None, [only]) if only.element == FLOAT && only.may_be_picture() => {
            Ok(Outputs::Picture(only.name.clone()))
        }
        (None, ..) => Err("it gives no picture and no motion".into()),
        _ => Err("it gives more than one picture".into()),
    }
}

impl Slot {
    /// Whether the shape leaves it open that this is a picture.
    fn may_be_picture(&self) -> bool {
        match self.dims.as_deref() {
            None => true,
            Some([-1 | 1, -1, height, width]) => *width != 3 && *height != 1,
            _ => false,
        }
    }
}

fn picture_inputs(inputs: &[Slot]) -> Result<Inputs, String> {
    if inputs.iter().any(|slot| slot.element != FLOAT) {
        return Err("not all of its inputs are float32".into());
    }
    let is_nhwc = |slot: &Slot| {
        let dims = slot.dims.as_deref().unwrap_or_default();
        dims.len() == 4 && dims[3] == 3 && dims[1] != 3
    };
    if inputs.iter().any(is_nhwc) {
        return Err("its pictures are in NHWC order".into());
    }
    let is_picture = |slot: &&Slot| slot.channels() == Some(3);
    let mut pictures = inputs
        .iter()
        .filter(is_picture)
        .map(|slot| slot.name.clone());
    let rest: Vec<&Slot> = inputs.iter().filter(|slot| !is_picture(slot)).collect();
    let pictures = (pictures.next(), pictures.next(), pictures.next());
    match (pictures, rest.as_slice()) {
        ((Some(first), Some(second), None), []) => Ok(Inputs::Pictures([first, second])),
        ((Some(first), Some(second), None), [slot]) => Ok(Inputs::PicturesAndTimestep {
            pictures: [first, second],
            timestep: slot.name.clone(),
            form: slot
                .timestep()
                .ok_or_else(|| format!("its third input `{}` is no timestep", slot.name))?,
        }),
        ((None, ..), [slot]) => match slot.channels() {
            Some(channels @ (6 | 7 | 8 | 11)) => Ok(Inputs::Stacked {
                name: slot.name.clone(),
                channels: channels as usize,
            }),
            _ => Err("it is not a known kind of interpolation network".into()),
        },
        _ => Err("it is not a known kind of interpolation network".into()),
    }
}

/// Width and height, if the inputs name them as numbers.
fn fixed_size(inputs: &[Slot]) -> Option<(usize, usize)> {
    inputs.iter().find_map(|slot| match slot.dims.as_deref()? {
        [_, (3..), height @ (1..), width @ (1..)] => Some((*width as usize, *height as usize)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::graph::build::GraphBuilder;
    use super::*;

    const PICTURE: &[i64] = &[1, 3, -1, -1];

    fn model(inputs: &[(&str, &[i64])], outputs: &[(&str, &[i64])]) -> GraphBuilder {
        let mut builder = GraphBuilder::new("test", 17);
        for (name, dims) in inputs {
            builder = builder.input(name, dims);
        }
        for (name, dims) in outputs {
            builder = builder.output(name, dims);
        }
        builder
    }

    fn inputs_of(inputs: &[(&str, &[i64])]) -> Result<Inputs, String> {
        Signature::of(&model(inputs, &[("y", PICTURE)]).finish()).map(|s| s.inputs)
    }

    #[test]
    fn the_builtin_network_is_read() {
        let model =
            super::super::graph::decode(super::super::library::VFI_LITE).unwrap_or_default();
        let expected = Signature {
            name: Some("vfi-lite".into()),
            family: Some("rife".into()),
            inputs: Inputs::PicturesAndTimestep {
                pictures: ["img0".into(), "img1".into()],
                timestep: "timestep".into(),
                form: Timestep::Scalar(1),
            },
            outputs: Outputs::Motion {
                flow: "flow".into(),
                mask: "mask".into(),
            },
            range: Range::Unit,
            align: 16,
            align_stated: true,
            fixed: None,
        };
        assert_eq!(Signature::of(&model), Ok(expected));
    }

    #[test]
    fn timesteps_are_known_by_shape_wherever_they_stand() {
        let cases: [(&[i64], Timestep); 6] = [
            (&[], Timestep::Scalar(0)),
            (&[1], Timestep::Scalar(1)),
            (&[-1, 1], Timestep::Scalar(2)),
            (&[1, 1, 1, 1], Timestep::Scalar(4)),
            (&[-1, 1, -1, -1], Timestep::Plane),
            (&[1, 1, 64, 64], Timestep::Plane),
        ];
        for (dims, form) in cases {
            let expected = Ok(Inputs::PicturesAndTimestep {
                pictures: ["a".into(), "b".into()],
                timestep: "t".into(),
                form,
            });
            assert_eq!(
                inputs_of(&[("a", PICTURE), ("b", PICTURE), ("t", dims)]),
                expected
            );
            assert_eq!(
                inputs_of(&[("t", dims), ("a", PICTURE), ("b", PICTURE)]),
                expected
            );
        }
    }

    #[test]
    fn stacked_inputs_are_known_by_their_channels() {
        for channels in [6, 7, 8, 11] {
            let expected = Inputs::Stacked {
                name: "input".into(),
                channels: channels as usize,
            };
            assert_eq!(
                inputs_of(&[("input", &[1, channels, -1, -1])]),
                Ok(expected)
            );
        }
        for channels in [1, 3, 4, 5, 9, 10, 12, -1] {
            assert!(inputs_of(&[("input", &[1, channels, -1, -1])]).is_err());
        }
    }

    #[test]
    fn what_is_refused_is_described() {
        let classifier = model(&[("data", &[1, 3, 224, 224])], &[("prob", &[1, 1000])]).finish();
        let why = Signature::of(&classifier).unwrap_err();
        for part in [
            "`data` float32 [1,3,224,224]",
            "`prob` float32 [1,1000]",
            "accepted are",
        ] {
            assert!(why.contains(part), "`{part}` is not in: {why}");
        }
        let nhwc: &[i64] = &[-1, -1, -1, 3];
        let why = inputs_of(&[("time", &[-1, 1]), ("x0", nhwc), ("x1", nhwc)]).unwrap_err();
        assert!(why.contains("NHWC"), "{why}");
        let half = GraphBuilder::new("half", 17)
            .typed_input("x", 10, &[1, 7, -1, -1])
            .output("y", PICTURE)
            .finish();
        let why = Signature::of(&half).unwrap_err();
        assert!(why.contains("`x` float16 [1,7,?,?]"), "{why}");
        let pictures: [(&str, &[i64]); 2] = [("a", PICTURE), ("b", PICTURE)];
        let two = model(&pictures, &[("x", PICTURE), ("y", PICTURE)]).finish();
        assert!(
            Signature::of(&two)
                .unwrap_err()
                .contains("more than one picture")
        );
    }

    #[test]
    fn metadata_is_checked() {
        let pictures: [(&str, &[i64]); 2] = [("a", PICTURE), ("b", PICTURE)];
        let of = |key: &str, value: &str| {
            Signature::of(
                &model(&pictures, &[("y", PICTURE)])
                    .metadata(key, value)
                    .finish(),
            )
        };
        assert!(of("vfiinterp.range", "-1..1").is_ok_and(|s| s.range == Range::Signed));
        assert!(of("vfiinterp.align", "8").is_ok_and(|s| s.align == 8));
        assert!(of("other.align", "8").is_ok_and(|s| s.align == DEFAULT_ALIGN));
        for (key, value) in [
            ("align", "0"),
            ("align", "many"),
            ("range", "0..255"),
            ("output", "sound"),
        ] {
            let why = of(&format!("vfiinterp.{key}"), value).unwrap_err();
            assert!(why.contains(value), "{why}");
        }
        assert!(of("vfiinterp.output", "motion").is_err_and(|why| why.contains("`flow`")));
    }

    #[test]
    fn sizes_written_into_the_file_are_read() {
        let dims: &[i64] = &[1, 3, 256, 448];
        let model = model(&[("a", dims), ("b", dims)], &[("y", PICTURE)]).finish();
        assert!(Signature::of(&model).is_ok_and(|s| s.fixed == Some((448, 256))));
    }
}
