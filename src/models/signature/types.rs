//! The words of a signature: inputs, outputs, ranges and layouts.

use std::fmt;

/// How a network takes the phase.
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
    /// Two pictures and the phase, each with its name.
    PicturesAndTimestep {
        /// The first and second picture.
        pictures: [String; 2],
        /// The phase.
        timestep: String,
        /// Its form.
        form: Timestep,
    },
    /// Two pictures; the result is midway.
    Pictures([String; 2]),
    /// One input with everything as channels: 6 (midway), 7 (phase), 8 (phase, scale) or 11
    /// (phase and the coordinates of every pixel).
    Stacked {
        /// Its name.
        name: String,
        /// Its channels.
        channels: usize,
    },
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pictures([a, b]) => write!(f, "two pictures, `{a}` and `{b}`"),
            Self::PicturesAndTimestep {
                pictures: [a, b],
                timestep,
                form,
            } => {
                let form = match form {
                    Timestep::Scalar(_) => "one value",
                    Timestep::Plane => "a plane",
                };
                write!(f, "two pictures, `{a}` and `{b}`, and {form}, `{timestep}`")
            }
            Self::Stacked { name, channels } => {
                let rest = match channels {
                    6 => "",
                    7 => " and the timestep",
                    8 => ", the timestep and the scale",
                    _ => ", the timestep and the coordinates",
                };
                write!(
                    f,
                    "one of {channels} channels, `{name}`: two pictures{rest}"
                )
            }
        }
    }
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

impl Outputs {
    /// Returns the names of flow and mask, or of the picture.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names: [Option<&String>; 2] = match self {
            Self::Motion { flow, mask } => [Some(flow), Some(mask)],
            Self::Picture(picture) => [Some(picture), None],
        };
        names.into_iter().flatten().map(String::as_str)
    }
}

/// Range of the numbers of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// 0 to 1.
    #[default]
    Unit,
    /// -1 to 1.
    Signed,
}

/// The order of a picture's dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Batch, channels, height, width: planes.
    #[default]
    Nchw,
    /// Batch, height, width, channels: interleaved.
    Nhwc,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nchw => "NCHW",
            Self::Nhwc => "NHWC",
        })
    }
}

/// The order of a picture's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first.
    Bgr,
}

/// How pictures are continued to the size that a network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The last row and column again and again: what networks see that sample outside a picture
    /// like that as they warp it.
    #[default]
    Repeat,
    /// Mirrored at the last row and column, which are not repeated.
    Reflect,
    /// Black.
    Zeros,
}

impl Padding {
    /// The place in a row or column of `length` whose value is at `place`; `None` for black.
    pub(crate) fn source(self, place: usize, length: usize) -> Option<usize> {
        if place < length {
            return Some(place);
        }
        let last = length.checked_sub(1)?;
        match self {
            Self::Repeat => Some(last),
            // there and back again, where there is less than is needed
            Self::Reflect => Some(match place.checked_rem(2 * last) {
                Some(step) => step.min(2 * last - step),
                None => last,
            }),
            Self::Zeros => None,
        }
    }
}

/// Form of the phase, as it is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatedPhase {
    /// It does not count.
    None,
    /// It is one value.
    Scalar,
    /// It is a value per pixel.
    Plane,
}
