//! Planes to the network's picture, as `frames::Shrinker` does it.
//!
//! The converter shrinks bytes in their own format, rounding after each pass, then brings the small
//! chroma to the picture's size, and ends in 10 bits a sample. All of that is done here in the same
//! order with the same roundings, in floats that hold every sum exactly; so what differs is how a
//! sum near a whole number falls in the last step: by one of 1023 levels, now and then. Deep
//! formats go there without any rounding of the converter's 16 bits between.

use gst_video::VideoChromaSite;

use super::pass::{self, Pass, Rounding, Side};
use super::taps::Taps;
use super::{
    Appender, FLOAT, Geometry, ModelProto, Shape, begin, clip, crop, drop_first, int, lift, pad,
    part, text, value,
};
use crate::frames::colour::Colours;
use crate::frames::excess::{Gamut, SHOWN};
use crate::frames::{FrameError, alpha};

/// The levels of the picture the converter makes of anything but RGB of 8 bits.
const LEVELS: f32 = 1023.0;

pub(crate) fn graph(geometry: &Geometry, cells: (usize, usize)) -> Result<ModelProto, FrameError> {
    let shapes = geometry.shapes()?;
    let mut builder = begin("ready");
    for (index, shape) in shapes.iter().enumerate() {
        builder = shape.input(builder, &format!("plane{index}"));
    }
    let mut model = builder.finish();
    let mut graph = Appender::new(model.graph.get_or_insert_default(), "v");
    for (index, shape) in shapes.iter().enumerate() {
        // all else reads what was brought to the device, so that the host's memory is read once
        let kept = format!("kept{index}");
        graph.node_as(&kept, "Identity", &[&format!("plane{index}")], vec![]);
        graph.output(value(&kept, shape.element(), &shape.dims()));
    }
    let picture = match geometry.is_rgb() {
        true => rgb(geometry, &shapes, &mut graph),
        false => converted(geometry, &shapes, &mut graph),
    };
    thumbnail(geometry, cells, &mut graph, &picture);
    let (padded_width, padded_height) = geometry.padded;
    let picture = lift(&mut graph, &picture);
    let padded = pad(&mut graph, &picture, geometry);
    graph.name_as("picture", padded);
    let dims = [1, 3, padded_height as i64, padded_width as i64];
    graph.output(value("picture", FLOAT, &dims));
    Ok(model)
}

/// Takes `[3, height, width]` out of packed RGB.
fn rgb(geometry: &Geometry, shapes: &[Shape], graph: &mut Appender) -> String {
    let shape = &shapes[0];
    let levels = shape.levels(graph, "kept0");
    let order: Vec<_> = geometry
        .components()
        .iter()
        .map(|&(_, c)| c as i64)
        .collect();
    let order = graph.integers(&[3], &order);
    let colours = graph.node("Gather", &[&levels, &order], vec![int("axis", 0)]);
    let from = (shape.width, shape.height);
    let passes = pass::shrink(geometry.downscale, from, geometry.small, false);
    let unit = graph.constant(1.0 / 255.0);
    let Some(alpha) = shape.format.alpha else {
        let levels = pass::apply(&passes, graph, &colours);
        return graph.node("Mul", &[&levels, &unit], vec![]);
    };
    let alpha = part(graph, &levels, 0, alpha, alpha + 1);
    let colours = premultiplied(graph, &colours, &alpha);
    let all = graph.node("Concat", &[&colours, &alpha], vec![int("axis", 0)]);
    let levels = pass::apply(&passes, graph, &all);
    let levels = graph.node("Mul", &[&levels, &unit], vec![]);
    let (colours, alpha) = (part(graph, &levels, 0, 0, 3), part(graph, &levels, 0, 3, 4));
    let (whole, behind) = (
        graph.constant(1.0),
        graph.tensor(&[3, 1, 1], &alpha::BEYOND),
    );
    let through = graph.node("Sub", &[&whole, &alpha], vec![]);
    let through = graph.node("Mul", &[&behind, &through], vec![]);
    graph.node("Add", &[&colours, &through], vec![])
}

/// Colours multiplied by their alpha, as `frames::alpha` does it.
fn premultiplied(graph: &mut Appender, colours: &str, alpha: &str) -> String {
    let (whole, half) = (graph.constant(255.0), graph.constant(127.0));
    let product = graph.node("Mul", &[colours, alpha], vec![]);
    let sum = graph.node("Add", &[&product, &half], vec![]);
    let levels = graph.node("Div", &[&sum, &whole], vec![]);
    graph.node("Floor", &[&levels], vec![])
}

/// Makes `[3, height, width]` of luma and chroma, or luma alone.
fn converted(geometry: &Geometry, shapes: &[Shape], graph: &mut Appender) -> String {
    let planes: Vec<_> = (0..shapes.len())
        .map(|index| shapes[index].levels(graph, &format!("kept{index}")))
        .collect();
    let mut parts = vec![shrunk(geometry, &shapes[0], graph, &planes[0])];
    // both kinds of chroma in one plane, or one after the other
    for (plane, _) in geometry.components().into_iter().skip(1) {
        if parts.len() < shapes.len() {
            let chroma = shrunk(geometry, &shapes[plane], graph, &planes[plane]);
            parts.push(geometry.swap_chroma(graph, &chroma));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let levels = match parts.as_slice() {
        [luma] => (*luma).to_owned(),
        parts => graph.node("Concat", parts, vec![int("axis", 0)]),
    };
    let levels = lift(graph, &levels);
    if let Some(gamut) = geometry.gamut() {
        excess(geometry, &gamut, shapes.len() == 1, graph, &levels);
    }
    // The picture's 10 bits are the upper ones of the converter's 16, which come of the samples' bits,
    // repeated to fill the lower ones: of bytes 257 times the byte, of 10 bits 64 times and a sixteenth,
    // less what is cut off, which is 15/32 in the mean.
    let (times, plus) = match geometry.is_deep() {
        true => (64.0625, -15.0 / 32.0),
        false => (257.0, 0.0),
    };
    let to_rgb = Colours::of(&geometry.info).to_rgb;
    let count = if shapes.len() == 1 { 1 } else { 3 };
    const MIDDLE: f64 = 128.0;
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    for row in to_rgb {
        let mut bias = row[3];
        for (component, factor) in row[..3].iter().enumerate() {
            if component < count {
                weights.push((factor * times / 64.0) as f32);
                bias += factor * plus;
            } else {
                bias += factor * MIDDLE * times;
            }
        }
        biases.push((bias / 64.0) as f32);
    }
    let weights = graph.tensor(&[3, count as i64, 1, 1], &weights);
    let biases = graph.tensor(&[3], &biases);
    let levels = graph.node("Conv", &[&levels, &weights, &biases], vec![]);
    let levels = graph.node("Floor", &[&levels], vec![]);
    let levels = clip(graph, &levels, 0.0, LEVELS);
    let unit = graph.constant(1.0 / LEVELS);
    let picture = graph.node("Mul", &[&levels, &unit], vec![]);
    drop_first(graph, &picture)
}

/// Appends the excess, which the picture cuts off of the colours: see `frames::excess`.
fn excess(geometry: &Geometry, gamut: &Gamut, grey: bool, graph: &mut Appender, levels: &str) {
    let count = if grey { 1 } else { 3 };
    let colours = |graph: &mut Appender, times: f32| {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for row in gamut.to_rgb {
            weights.extend(row[..count].iter().map(|factor| factor * times));
            // where there is no chroma, that is in the middle
            let rest: f32 = row[count..3]
                .iter()
                .map(|factor| factor * times * 128.0)
                .sum();
            biases.push(row[3] + rest);
        }
        let weights = graph.tensor(&[3, count as i64, 1, 1], &weights);
        let biases = graph.tensor(&[3], &biases);
        graph.node("Conv", &[levels, &weights, &biases], vec![])
    };
    let shown = colours(graph, 1.0);
    let colours = colours(graph, gamut.repeated);
    let within = clip(graph, &colours, 0.0, 1.0);
    let cut = graph.node("Sub", &[&colours, &within], vec![]);
    let (middle, most, none) = (
        graph.constant((SHOWN.0 + SHOWN.1) / 2.0),
        graph.constant((SHOWN.1 - SHOWN.0) / 2.0),
        graph.constant(0.0),
    );
    let apart = graph.node("Sub", &[&shown, &middle], vec![]);
    let apart = graph.node("Abs", &[&apart], vec![]);
    let is_shown = graph.node("GreaterOrEqual", &[&most, &apart], vec![]);
    graph.node_as("excess", "Where", &[&is_shown, &none, &cut], vec![]);
    let (width, height) = geometry.small;
    let dims = [1, 3, height as i64, width as i64];
    graph.output(value("excess", FLOAT, &dims));
}

/// A plane at the picture's size. Chroma of deep formats is brought to the frame's size and then
/// shrunk, that of bytes is shrunk first: so does the converter.
fn shrunk(geometry: &Geometry, shape: &Shape, graph: &mut Appender, levels: &str) -> String {
    let (method, format) = (geometry.downscale, shape.format);
    if geometry.is_deep() {
        let full = (
            geometry.info.width() as usize,
            geometry.info.height() as usize,
        );
        let levels = larger(geometry, shape, graph, levels, full);
        let passes = pass::words(method, full, geometry.small, shape.most());
        return pass::apply(&passes, graph, &levels);
    }
    let (width, height) = geometry.small;
    let small = (
        width.div_ceil(1 << format.sub_x),
        height.div_ceil(1 << format.sub_y),
    );
    // what shares a plane in memory is not halved
    let single =
        format.channels == 1 && (geometry.info.n_planes() > 1 || geometry.info.n_components() == 1);
    let passes = pass::shrink(method, (shape.width, shape.height), small, single);
    let levels = pass::apply(&passes, graph, levels);
    larger(geometry, shape, graph, &levels, geometry.small)
}

/// Brings chroma `[n, h, w]` to the `size` of its picture, about twice its own: `video-chroma.c` of
/// gst-plugins-base. Columns before rows; bytes are rounded after each.
fn larger(
    geometry: &Geometry,
    shape: &Shape,
    graph: &mut Appender,
    chroma: &str,
    (width, height): (usize, usize),
) -> String {
    let (sub_x, sub_y) = (shape.format.sub_x > 0, shape.format.sub_y > 0);
    if !sub_x && !sub_y {
        return chroma.into();
    }
    let site = geometry.info.chroma_site();
    let mut chroma = lift(graph, chroma);
    if sub_x {
        // midway between two of the picture's columns, or on every second one
        let place = match site.contains(VideoChromaSite::H_COSITED) {
            true => "asymmetric",
            false => "half_pixel",
        };
        chroma = doubled(geometry, graph, &chroma, [1.0, 2.0], ["linear", place]);
    }
    if sub_y {
        // of rows that lie on the picture's, the converter repeats each
        let how = match site.contains(VideoChromaSite::V_COSITED) {
            true => ["nearest", "asymmetric"],
            false => ["linear", "half_pixel"],
        };
        chroma = doubled(geometry, graph, &chroma, [2.0, 1.0], how);
    }
    let chroma = drop_first(graph, &chroma);
    crop(graph, &chroma, (0, 0), (height, width), (1, 1))
}

/// Makes twice as many rows or columns.
fn doubled(
    geometry: &Geometry,
    graph: &mut Appender,
    chroma: &str,
    [down, across]: [f32; 2],
    [mode, place]: [&str; 2],
) -> String {
    let scales = graph.tensor(&[4], &[1.0, 1.0, down, across]);
    let attributes = vec![
        text("mode", mode),
        text("coordinate_transformation_mode", place),
        text("nearest_mode", "floor"),
    ];
    let larger = graph.node("Resize", &[chroma, "", &scales], attributes);
    if geometry.is_deep() {
        return larger;
    }
    let half = graph.constant(0.5);
    let larger = graph.node("Add", &[&larger, &half], vec![]);
    graph.node("Floor", &[&larger], vec![])
}

/// Takes the mean luma in cells, by BT.709: which matrix makes no difference to whoever compares
/// them.
fn thumbnail(
    geometry: &Geometry,
    (columns, rows): (usize, usize),
    graph: &mut Appender,
    picture: &str,
) {
    let (width, height) = geometry.small;
    let picture = lift(graph, picture);
    let weights = graph.tensor(&[1, 3, 1, 1], &[0.2126, 0.7152, 0.0722]);
    let luma = graph.node("Conv", &[&picture, &weights], vec![]);
    let luma = drop_first(graph, &luma);
    let cells = [
        (Side::Down, Taps::cells(height, rows)),
        (Side::Across, Taps::cells(width, columns)),
    ];
    let cells = cells.map(|(side, taps)| Pass {
        side,
        taps,
        rounding: Rounding::Within(1.0),
    });
    let luma = pass::apply(&cells, graph, &luma);
    let dims = [rows as i64, columns as i64];
    let shape = graph.integers(&[2], &dims);
    graph.node_as("thumbnail", "Reshape", &[&luma, &shape], vec![]);
    graph.output(value("thumbnail", FLOAT, &dims));
}
