//! Reading two pictures along motion, as `frames::synthesise` does it.
//!
//! `GridSample` reads between pixels; its cubic is another one (Keys' with a = -0.75) than
//! Catmull-Rom's (a = -0.5), which is made of linear reads here. With `t` the way from one pixel to
//! the next and `d` the second differences `p[i-1] - 2 p[i] + p[i+1]`, Catmull-Rom's is
//!
//! `lerp(p, t) - t (1 - t) / 2 * lerp(d, t)`
//!
//! (multiply out: the outer weights are `-t (1-t)^2 / 2` and `-t^2 (1-t) / 2`). In two dimensions
//! it is that of that: one linear read of four channels, the picture and its differences along x,
//! along y, and along both.

use super::{Appender, clip, crop, drop_first, int, lift, repeat_border, text};
use crate::frames::Sampling;

/// As in `frames::warp::field`: longer flow counts as none, as do what is no number and infinity.
const LIMIT: f32 = 32768.0;

/// Motion as a graph has it: names of flow and mask, its grid, and how many of the grid's cells
/// span the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) flow: &'a str,
    pub(crate) mask: &'a str,
    pub(crate) grid: (usize, usize),
    pub(crate) cover: (f64, f64),
    /// Cells that a stored 1 stands for.
    pub(crate) unit: f64,
}

/// Places where the pixels of planes of one size are read, and how much the first frame counts.
#[derive(Debug)]
pub(crate) struct Reading {
    sampling: Sampling,
    /// For each of the two frames, `[1, h, w, 2]` in -1..1.
    places: [String; 2],
    /// For each of the two frames, the weights of the differences along x and y, `[1, 1, h, w]`.
    bends: Option<[[String; 2]; 2]>,
    /// `[1, 1, h, w]`.
    mask: String,
}

impl Field<'_> {
    /// The motion for planes of `size`, of which one pixel is `times` pixels of the frame wide and
    /// high; `frame` is the frame's size.
    pub(crate) fn reading(
        &self,
        graph: &mut Appender,
        size: (usize, usize),
        times: (usize, usize),
        frame: (usize, usize),
        sampling: Sampling,
    ) -> Reading {
        let (width, height) = size;
        // cells per pixel
        let kx = self.cover.0 / frame.0 as f64 * times.0 as f64;
        let ky = self.cover.1 / frame.1 as f64 * times.1 as f64;
        // from the first pixel to the last it is 2
        let last = [(width - 1) as f32, (height - 1) as f32];
        let step = last.map(|last| if last > 0.0 { 2.0 / last } else { 0.0 });
        let field = self.enlarge(graph, size, (kx, ky), step);
        let field: [String; 5] = graph.node_with_outputs("Split", &[&field], vec![int("axis", 1)]);
        let [x0, y0, x1, y1, mask] = &field;
        let places = |count: usize, step: f32| -> Vec<f32> {
            (0..count).map(|pixel| pixel as f32 * step - 1.0).collect()
        };
        let row = graph.tensor(&[1, 1, 1, width as i64], &places(width, step[0]));
        let column = graph.tensor(&[1, 1, height as i64, 1], &places(height, step[1]));
        let single = graph.integers(&[4], &[1, height as i64, width as i64, 1]);
        let mut bends = Vec::new();
        let places = [(x0, y0), (x1, y1)].map(|(x, y)| {
            let sides = [(x, &row, last[0]), (y, &column, last[1])].map(|(flow, from, last)| {
                let place = graph.node("Add", &[flow, from], vec![]);
                (clip(graph, &place, -1.0, 1.0), last)
            });
            if sampling == Sampling::Bicubic {
                bends.push([0, 1].map(|side| bend(graph, &sides[side].0, sides[side].1)));
            }
            let [x, y] = sides.map(|(place, _)| graph.node("Reshape", &[&place, &single], vec![]));
            graph.node("Concat", &[&x, &y], vec![int("axis", 3)])
        });
        Reading {
            sampling,
            places,
            bends: <[_; 2]>::try_from(bends).ok(),
            mask: mask.clone(),
        }
    }

    /// Makes flow and mask harmless and enlarges them to a plane's size: `[1, 5, h, w]`. Flow is in
    /// steps of a pixel.
    fn enlarge(
        &self,
        graph: &mut Appender,
        (width, height): (usize, usize),
        (kx, ky): (f64, f64),
        step: [f32; 2],
    ) -> String {
        let [x, y] = [self.unit / kx, self.unit / ky].map(|scale| scale as f32);
        let scale = graph.tensor(&[1, 4, 1, 1], &[x, y, x, y]);
        let flow = graph.node("Mul", &[self.flow, &scale], vec![]);
        let length = graph.node("Abs", &[&flow], vec![]);
        let limit = graph.constant(LIMIT);
        let sane = graph.node("LessOrEqual", &[&length, &limit], vec![]);
        let (zero, one, half) = (
            graph.constant(0.0),
            graph.constant(1.0),
            graph.constant(0.5),
        );
        let flow = graph.node("Where", &[&sane, &flow, &zero], vec![]);
        let step = graph.tensor(&[1, 4, 1, 1], &[step, step].concat());
        let flow = graph.node("Mul", &[&flow, &step], vec![]);
        // what is no number is neither
        let positive = graph.node("GreaterOrEqual", &[self.mask, &zero], vec![]);
        let negative = graph.node("Less", &[self.mask, &zero], vec![]);
        let small = graph.node("Min", &[self.mask, &one], vec![]);
        let other = graph.node("Where", &[&negative, &zero, &half], vec![]);
        let mask = graph.node("Where", &[&positive, &small, &other], vec![]);
        let field = graph.node("Concat", &[&flow, &mask], vec![int("axis", 1)]);
        let scale = [1.0, 1.0, (1.0 / ky) as f32, (1.0 / kx) as f32];
        // the border, repeated, until the enlarged grid is large enough, whether the runtime multiplies in 32 bits
        // or in 64, where the product of a rounded scale may end just below a whole number
        let missing = |cells: usize, scale: f32, wanted: usize| {
            let large = |cells: usize| cells as f64 * f64::from(scale) >= wanted as f64;
            (0..wanted + 2)
                .find(|more| large(cells + more))
                .unwrap_or(0)
        };
        let behind = (
            missing(self.grid.1, scale[2], height),
            missing(self.grid.0, scale[3], width),
        );
        let field = repeat_border(graph, &field, 4, (0, 0), behind);
        let enlarged = if scale == [1.0; 4] {
            field
        } else {
            let scale = graph.tensor(&[4], &scale);
            let linear = vec![
                text("mode", "linear"),
                text("coordinate_transformation_mode", "half_pixel"),
            ];
            graph.node("Resize", &[&field, "", &scale], linear)
        };
        crop(graph, &enlarged, (0, 0), (height, width), (1, 1))
    }
}

/// The weights of second differences at places along a side, `t (t - 1)`; its last pixel is at
/// `last`.
fn bend(graph: &mut Appender, place: &str, last: f32) -> String {
    let (half, one) = (graph.constant(last / 2.0), graph.constant(1.0));
    let place = graph.node("Mul", &[place, &half], vec![]);
    let place = graph.node("Add", &[&place, &half], vec![]);
    let pixel = graph.node("Floor", &[&place], vec![]);
    let along = graph.node("Sub", &[&place, &pixel], vec![]);
    let left = graph.node("Sub", &[&along, &one], vec![]);
    graph.node("Mul", &[&along, &left], vec![])
}

impl Reading {
    /// One channel of the new picture from those of the two frames, all `[1, h, w]`.
    pub(crate) fn blend(&self, graph: &mut Appender, frames: [&str; 2]) -> String {
        let [first, second] = [0, 1].map(|index| self.read(graph, index, frames[index]));
        let change = graph.node("Sub", &[&first, &second], vec![]);
        let change = graph.node("Mul", &[&self.mask, &change], vec![]);
        let blended = graph.node("Add", &[&second, &change], vec![]);
        drop_first(graph, &blended)
    }

    fn read(&self, graph: &mut Appender, frame: usize, channel: &str) -> String {
        debug_assert_eq!(self.sampling == Sampling::Bicubic, self.bends.is_some());
        let channel = lift(graph, channel);
        let Some(bends) = &self.bends else {
            return sample(graph, &channel, &self.places[frame]);
        };
        let [bend_x, bend_y] = &bends[frame];
        let wide = repeat_border(graph, &channel, 4, (1, 1), (1, 1));
        let kernels = differences(graph);
        let all = graph.node("Conv", &[&wide, &kernels], vec![]);
        let read = sample(graph, &all, &self.places[frame]);
        let [plain, x, y, both] = graph.node_with_outputs("Split", &[&read], vec![int("axis", 1)]);
        let along = |graph: &mut Appender, plain: &str, bent: &str| {
            let bent = graph.node("Mul", &[bend_x, bent], vec![]);
            graph.node("Add", &[plain, &bent], vec![])
        };
        let row = along(graph, &plain, &x);
        let down = along(graph, &y, &both);
        let down = graph.node("Mul", &[bend_y, &down], vec![]);
        graph.node("Add", &[&row, &down], vec![])
    }
}

/// Kernels that give a picture and halves of its second differences along x, along y, and along
/// both.
fn differences(graph: &mut Appender) -> String {
    const ONE: [f32; 3] = [0.0, 1.0, 0.0];
    const SECOND: [f32; 3] = [0.5, -1.0, 0.5];
    let kernels = [(ONE, ONE), (ONE, SECOND), (SECOND, ONE), (SECOND, SECOND)];
    let kernels: Vec<f32> = kernels
        .iter()
        .flat_map(|(down, across)| down.iter().flat_map(|y| across.map(|x| x * y)))
        .collect();
    graph.tensor(&[4, 1, 3, 3], &kernels)
}

fn sample(graph: &mut Appender, picture: &str, places: &str) -> String {
    let attributes = vec![
        text("mode", "bilinear"),
        text("padding_mode", "border"),
        int("align_corners", 1),
    ];
    graph.node("GridSample", &[picture, places], attributes)
}
