//! Graphs that do on a device what lies before and behind a network: a frame's planes become the
//! network's picture ([`ready`](Geometry::ready)), motion or a picture become a new frame's planes
//! ([`finish`](Geometry::finish)).
//!
//! They are made for one kind of frame ([`Geometry`]), so all shapes are fixed, of operators of
//! opset 17 that ONNX Runtime's CUDA provider has kernels for, in 32-bit floats. `crate::frames` is
//! what they are tested against. TF32 has to be off where they run: positions and 10 bits need more
//! than its 11.
//!
//! A plane is a tensor `[height, width * channels]` of bytes or, for deep formats, 16-bit words,
//! without anything between its rows.

mod difference;
mod enlarge;
mod join;
mod pass;
mod postprocess;
mod preprocess;
mod taps;
#[cfg(test)]
mod tests;
mod warp;

use gst_video::VideoInfo;
use onnx_graph::append::Appender;
use onnx_graph::build::{GraphBuilder, int, ints, text, value};
use onnx_graph::proto::ModelProto;
use onnx_graph::{FLOAT, UINT8, UINT16};

use crate::frames::convert::misses_columns;
use crate::frames::excess::Gamut;
use crate::frames::{FrameError, FrameLayout, PlaneFormat, Sample, ScaleMethod};
use crate::models::signature::types::Padding;

pub(crate) use join::join;

/// The version of ONNX's operators: the last for which CUDA has kernels for all that is used.
const OPSET: i64 = 17;
/// Sides below this are not for these graphs: the converter's ways for tiny lines differ.
const SMALLEST: usize = 16;

/// Properties of frames, and of the pictures of them that a network sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Geometry {
    /// Format, size, colorimetry and chroma siting.
    pub info: VideoInfo,
    /// Width and height of the network's picture.
    pub small: (usize, usize),
    /// Width and height of that picture with the network's padding.
    pub padded: (usize, usize),
    /// Contents of the padding.
    pub padding: Padding,
    /// Method by which frames are shrunk.
    pub downscale: ScaleMethod,
    /// Method by which frames are read along motion, and pictures enlarged.
    pub upscale: ScaleMethod,
    /// Whether frames are made of pictures.
    pub pictures: bool,
}

/// Kind of network output that a finishing graph begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// Motion on a grid of so many columns and rows: the frames' planes are warped.
    Motion(usize, usize),
    /// The same, but pictures are warped, and enlarged.
    MotionOfPictures(usize, usize),
    /// A picture, which is enlarged.
    Picture,
}

/// One plane of a frame.
#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    height: usize,
    format: PlaneFormat,
}

impl Geometry {
    /// The graph that makes a frame ready for the network.
    ///
    /// Inputs `plane0`, … are the frame's planes. Outputs: `picture`, `[1, 3, h, w]` of the padded
    /// size in `[0, 1]`, and `thumbnail`, `[rows, columns]`, the mean luma of cells of the picture
    /// without padding; and the planes once more, `kept0`, …, to lie where the graph runs. Where
    /// pictures are made of what RGB can't show all of, also `excess`, `[1, 3, h, w]` without
    /// padding: see `frames::excess`.
    ///
    /// # Errors
    /// As [`FrameLayout::new`], or if a side is out of range.
    pub(crate) fn ready(&self, cells: (usize, usize)) -> Result<ModelProto, FrameError> {
        preprocess::graph(self, cells)
    }

    /// The graph that makes a new frame's planes `out0`, … at one phase between frames a and b.
    ///
    /// Inputs: for motion, `flow` `[1, 4, rows, columns]` and `mask` `[1, 1, rows, columns]`, and
    /// the two frames' planes `a0`, …, `b0`, … or their pictures `a` and `b`; for a picture,
    /// `picture` of the padded size. Where there is an excess, those of both, `ax` and `bx`, and
    /// the `phase`, `[1]`. Where a picture is enlarged, alpha becomes opaque.
    ///
    /// # Errors
    /// As [`Geometry::ready`].
    pub(crate) fn finish(&self, answer: OutputKind) -> Result<ModelProto, FrameError> {
        postprocess::graph(self, answer)
    }

    /// The graph that compares two frames: `difference`, `[1]`, of planes `a0`, … and `b0`, …; see
    /// [`crate::frames::difference`].
    ///
    /// # Errors
    /// As [`Geometry::ready`].
    pub(crate) fn difference(&self) -> Result<ModelProto, FrameError> {
        difference::graph(self)
    }

    /// Returns the gamut of the colours that are cut off, where those are to be given back.
    pub(crate) fn gamut(&self) -> Option<Gamut> {
        Gamut::new(&self.info).filter(|_| self.pictures)
    }

    /// Returns whether graphs are made for such frames and a picture of this width; all others are made
    /// on the host.
    pub(crate) fn serves(info: &VideoInfo, small: usize) -> bool {
        let format = info.format_info();
        let depth = format.depth().first().copied();
        let takes = match format.is_rgb() {
            true => depth <= Some(8) && format.n_planes() == 1,
            false => depth <= Some(10) && format.n_components() < 4,
        };
        // where the converter misses columns, the host shrinks another way
        takes && !misses_columns(info, small)
    }

    /// The planes, and whether this geometry makes sense.
    fn shapes(&self) -> Result<Vec<Shape>, FrameError> {
        let layout = FrameLayout::new(&self.info)?;
        if !Self::serves(&self.info, self.small.0) {
            return Err(FrameError::Device {
                found: self.info.format(),
            });
        }
        let shapes: Vec<_> = layout
            .shapes()
            .map(|(width, height, format)| Shape {
                width,
                height,
                format,
            })
            .collect();
        let (width, height) = self.small;
        let small = [width, height].into_iter().all(|side| side >= SMALLEST);
        let padded = self.padded.0 >= width && self.padded.1 >= height;
        let shrunk = width <= layout.width() && height <= layout.height();
        if small && padded && shrunk {
            return Ok(shapes);
        }
        let (padded_width, padded_height) = self.padded;
        Err(FrameError::Picture {
            found: format!(
                "{width}x{height} (padded to {padded_width}x{padded_height}) for frames of {}x{}",
                layout.width(),
                layout.height()
            ),
            expected: format!("sides from {SMALLEST} to the frame's, padded to no less"),
        })
    }

    /// Returns whether samples have more than 8 bits.
    fn is_deep(&self) -> bool {
        self.info
            .format_info()
            .depth()
            .iter()
            .any(|&depth| depth > 8)
    }

    fn is_rgb(&self) -> bool {
        self.info.format_info().is_rgb()
    }

    /// Returns plane and channel of the components: luma and both of chroma, or red, green and
    /// blue; luma alone for grey.
    fn components(&self) -> Vec<(usize, usize)> {
        let layout = FrameLayout::new(&self.info);
        layout.map_or_else(
            |_| Vec::new(),
            |layout| layout.places().iter().take(3).copied().collect(),
        )
    }

    /// Both kinds of chroma, `[2, h, w]`, in the order of the plane that they share, or back.
    fn swap_chroma(&self, graph: &mut Appender, chroma: &str) -> String {
        match self.components().as_slice() {
            [_, blue, red] if blue.0 == red.0 && blue.1 > red.1 => {
                let order = graph.integers(&[2], &[1, 0]);
                graph.node("Gather", &[chroma, &order], vec![int("axis", 0)])
            }
            _ => chroma.into(),
        }
    }
}

impl Shape {
    fn dims(&self) -> [i64; 2] {
        [
            self.height as i64,
            (self.width * self.format.channels) as i64,
        ]
    }

    fn element(&self) -> i32 {
        match self.format.sample {
            Sample::U8 => UINT8,
            Sample::U16 { .. } => UINT16,
        }
    }

    /// Adds the plane as an input.
    fn input(&self, builder: GraphBuilder, name: &str) -> GraphBuilder {
        builder.typed_input(name, self.element(), &self.dims())
    }

    /// The channels of a plane, `[channels, height, width]`, in levels.
    fn levels(&self, graph: &mut Appender, plane: &str) -> String {
        let channels = self.format.channels;
        let apart = if channels == 1 {
            self.reshape(graph, plane, [1, self.height, self.width])
        } else {
            let pixels = self.reshape(graph, plane, [self.height, self.width, channels]);
            graph.node("Transpose", &[&pixels], vec![ints("perm", &[2, 0, 1])])
        };
        let levels = graph.floats(&apart);
        match self.format.sample {
            Sample::U16 { shift, .. } if shift > 0 => {
                let unit = graph.constant(1.0 / (1_u32 << shift) as f32);
                let levels = graph.node("Mul", &[&levels, &unit], vec![]);
                graph.node("Floor", &[&levels], vec![])
            }
            _ => levels,
        }
    }

    /// Stores whole levels `[channels, height, width]` within the range as the plane `output`.
    fn store(&self, graph: &mut Appender, levels: &str, output: &str) {
        let mut levels = levels.to_owned();
        if let Sample::U16 { shift, .. } = self.format.sample
            && shift > 0
        {
            let unit = graph.constant((1_u32 << shift) as f32);
            levels = graph.node("Mul", &[&levels, &unit], vec![]);
        }
        let to = vec![int("to", i64::from(self.element()))];
        let stored = graph.node("Cast", &[&levels], to);
        let pixels = match self.format.channels {
            1 => stored,
            _ => graph.node("Transpose", &[&stored], vec![ints("perm", &[1, 2, 0])]),
        };
        let shape = graph.integers(&[2], &self.dims());
        graph.node_as(output, "Reshape", &[&pixels, &shape], vec![]);
        graph.output(value(output, self.element(), &self.dims()));
    }

    /// The highest level.
    fn most(&self) -> f32 {
        match self.format.sample {
            Sample::U8 => 255.0,
            Sample::U16 { depth, .. } => ((1_u32 << depth) - 1) as f32,
        }
    }

    fn reshape(&self, graph: &mut Appender, plane: &str, dims: [usize; 3]) -> String {
        let shape = graph.integers(&[3], &dims.map(|dim| dim as i64));
        graph.node("Reshape", &[plane, &shape], vec![])
    }
}

/// Repeats the border: so many samples before and behind each of the last two of `rank` dimensions.
fn repeat_border(
    graph: &mut Appender,
    value: &str,
    rank: usize,
    before: (usize, usize),
    behind: (usize, usize),
) -> String {
    if before == (0, 0) && behind == (0, 0) {
        return value.into();
    }
    let mut pads = vec![0; 2 * rank];
    (pads[rank - 2], pads[rank - 1]) = (before.0 as i64, before.1 as i64);
    (pads[2 * rank - 2], pads[2 * rank - 1]) = (behind.0 as i64, behind.1 as i64);
    let pads = graph.integers(&[2 * rank as i64], &pads);
    graph.node("Pad", &[value, &pads], vec![text("mode", "edge")])
}

/// A picture `[1, 3, h, w]` with its padding.
fn pad(graph: &mut Appender, picture: &str, geometry: &Geometry) -> String {
    let ((width, height), (padded_width, padded_height)) = (geometry.small, geometry.padded);
    let behind = (padded_height - height, padded_width - width);
    match geometry.padding {
        Padding::Repeat => repeat_border(graph, picture, 4, (0, 0), behind),
        Padding::Zeros if behind != (0, 0) => {
            let pads = [0, 0, 0, 0, 0, 0, behind.0 as i64, behind.1 as i64];
            let pads = graph.integers(&[8], &pads);
            graph.node("Pad", &[picture, &pads], vec![text("mode", "constant")])
        }
        Padding::Reflect if behind != (0, 0) => {
            let mut picture = picture.to_owned();
            for (axis, length, padded) in [(2, height, padded_height), (3, width, padded_width)] {
                let sources = (0..padded).filter_map(|at| Padding::Reflect.source(at, length));
                let sources: Vec<i64> = sources.map(|from| from as i64).collect();
                let sources = graph.integers(&[sources.len() as i64], &sources);
                picture = graph.node("Gather", &[&picture, &sources], vec![int("axis", axis)]);
            }
            picture
        }
        Padding::Zeros | Padding::Reflect => picture.into(),
    }
}

/// Some rows and columns: the last two dimensions from `from` to `to`, every `step`th.
fn crop(
    graph: &mut Appender,
    value: &str,
    from: (usize, usize),
    to: (usize, usize),
    step: (usize, usize),
) -> String {
    let pair = |pair: (usize, usize)| [pair.0 as i64, pair.1 as i64];
    let from = graph.integers(&[2], &pair(from));
    let to = graph.integers(&[2], &pair(to));
    let axes = graph.integers(&[2], &[-2, -1]);
    let step = graph.integers(&[2], &pair(step));
    graph.node("Slice", &[value, &from, &to, &axes, &step], vec![])
}

/// Cuts a part out of a dimension.
fn part(graph: &mut Appender, value: &str, axis: i64, from: usize, to: usize) -> String {
    let from = graph.integers(&[1], &[from as i64]);
    let to = graph.integers(&[1], &[to as i64]);
    let axes = graph.integers(&[1], &[axis]);
    graph.node("Slice", &[value, &from, &to, &axes], vec![])
}

/// Buffers brought between two numbers.
fn clip(graph: &mut Appender, value: &str, least: f32, most: f32) -> String {
    let (least, most) = (graph.constant(least), graph.constant(most));
    graph.node("Clip", &[value, &least, &most], vec![])
}

/// An empty graph, to be given its inputs.
fn begin(name: &str) -> GraphBuilder {
    GraphBuilder::new(name, OPSET)
}

/// Buffers `[n, h, w]` as `[1, n, h, w]` and back.
fn lift(graph: &mut Appender, value: &str) -> String {
    let axes = graph.integers(&[1], &[0]);
    graph.node("Unsqueeze", &[value, &axes], vec![])
}

fn drop_first(graph: &mut Appender, value: &str) -> String {
    let axes = graph.integers(&[1], &[0]);
    graph.node("Squeeze", &[value, &axes], vec![])
}
