//! Motion or a picture to a new frame's planes.

use super::warp::{Field, Reading};
use super::{
    Appender, Geometry, ModelProto, OutputKind, Shape, begin, clip, crop, drop_first, enlarge, int,
    part,
};
use crate::frames::{FrameError, Sampling};

pub(crate) fn graph(geometry: &Geometry, answer: OutputKind) -> Result<ModelProto, FrameError> {
    let shapes = geometry.shapes()?;
    let mut builder = begin("finish");
    let picture = [1, 3, geometry.padded.1 as i64, geometry.padded.0 as i64];
    let grid = match answer {
        OutputKind::Motion(columns, rows) | OutputKind::MotionOfPictures(columns, rows) => {
            let (rows, columns) = (rows as i64, columns as i64);
            builder = builder
                .input("flow", &[1, 4, rows, columns])
                .input("mask", &[1, 1, rows, columns]);
            Some((columns as usize, rows as usize))
        }
        OutputKind::Picture => {
            builder = builder.input("picture", &picture);
            None
        }
    };
    if let OutputKind::MotionOfPictures(..) = answer {
        builder = builder.input("a", &picture).input("b", &picture);
    }
    let planes = match answer {
        OutputKind::Motion(..) => shapes.len(),
        _ => 0,
    };
    let gamut = geometry.gamut().filter(|_| planes == 0);
    if gamut.is_some() {
        let excess = [1, 3, geometry.small.1 as i64, geometry.small.0 as i64];
        builder = builder.input("ax", &excess).input("bx", &excess);
        builder = builder.input("phase", &[1]);
    }
    for (index, shape) in shapes.iter().enumerate().take(planes) {
        builder = shape.input(builder, &format!("a{index}"));
        builder = shape.input(builder, &format!("b{index}"));
    }
    let mut model = builder.finish();
    let mut graph = Appender::new(model.graph.get_or_insert_default(), "v");
    let graph = &mut graph;
    let field = grid.map(|grid| {
        // the grid is a whole number of times coarser than the padded picture
        let stride = geometry.padded.0 as f64 / grid.0.max(1) as f64;
        let cells = |side: usize| side as f64 / stride;
        Field {
            flow: "flow",
            mask: "mask",
            grid,
            cover: (cells(geometry.small.0), cells(geometry.small.1)),
            unit: 1.0 / stride,
        }
    });
    match (answer, field) {
        (OutputKind::Motion(..), Some(field)) => warp_planes(geometry, &shapes, graph, &field),
        (_, Some(field)) => {
            let (size, sampling) = (geometry.small, Sampling::from(geometry.upscale));
            let reading = field.reading(graph, size, (1, 1), size, sampling);
            let [a, b] = ["a", "b"].map(|picture| crop_padding(geometry, graph, picture));
            let parts = blend(graph, &reading, [&a, &b], 3);
            enlarge::append(geometry, &shapes, graph, &parts, gamut.as_ref());
        }
        (_, None) => {
            let picture = crop_padding(geometry, graph, "picture");
            let (zero, one) = (graph.constant(0.0), graph.constant(1.0));
            // what is no number becomes 0
            let positive = graph.node("Greater", &[&picture, &zero], vec![]);
            let small = graph.node("Min", &[&picture, &one], vec![]);
            let picture = graph.node("Where", &[&positive, &small, &zero], vec![]);
            enlarge::append(geometry, &shapes, graph, &picture, gamut.as_ref());
        }
    }
    Ok(model)
}

/// A picture `[1, 3, h, w]` without its padding: `[3, height, width]`.
fn crop_padding(geometry: &Geometry, graph: &mut Appender, picture: &str) -> String {
    let (width, height) = geometry.small;
    let picture = drop_first(graph, picture);
    match geometry.padded == geometry.small {
        true => picture,
        false => crop(graph, &picture, (0, 0), (height, width), (1, 1)),
    }
}

/// The planes of both frames, read along motion.
fn warp_planes(geometry: &Geometry, shapes: &[Shape], graph: &mut Appender, field: &Field) {
    let sampling = Sampling::from(geometry.upscale);
    let frame = (shapes[0].width, shapes[0].height);
    let mut readings: Vec<(u32, u32, Reading)> = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let (sub_x, sub_y) = (shape.format.sub_x, shape.format.sub_y);
        let known = readings.iter().position(|r| (r.0, r.1) == (sub_x, sub_y));
        let place = known.unwrap_or_else(|| {
            let size = (shape.width, shape.height);
            let times = (1 << sub_x, 1 << sub_y);
            let reading = field.reading(graph, size, times, frame, sampling);
            readings.push((sub_x, sub_y, reading));
            readings.len() - 1
        });
        let frames = ["a", "b"].map(|name| shape.levels(graph, &format!("{name}{index}")));
        let [a, b] = &frames;
        let reading = &readings[place].2;
        let levels = match shape.format.alpha {
            Some(alpha) => blend_by_alpha(graph, reading, [a, b], alpha),
            None => blend(graph, reading, [a, b], shape.format.channels),
        };
        let levels = graph.node("Round", &[&levels], vec![]);
        let levels = clip(graph, &levels, 0.0, shape.most());
        shape.store(graph, &levels, &format!("out{index}"));
    }
}

/// Four channels of two planes of which one is alpha: colours count as much as that does, unless all of both
/// frames counts wholly; where hardly anything shows, they count alike. So does `frames::synthesise`.
fn blend_by_alpha(
    graph: &mut Appender,
    reading: &Reading,
    frames: [&str; 2],
    alpha: usize,
) -> String {
    let [a, b] = frames.map(|frame| part(graph, frame, 0, alpha, alpha + 1));
    let opacity = reading.blend(graph, [&a, &b]);
    let [least_a, least_b] = [&a, &b].map(|alpha| graph.node("ReduceMin", &[alpha], vec![]));
    let least = graph.node("Min", &[&least_a, &least_b], vec![]);
    let (whole, visible, never) = (
        graph.constant(255.0),
        graph.constant(0.5),
        graph.constant(f32::MAX),
    );
    let opaque = graph.node("GreaterOrEqual", &[&least, &whole], vec![]);
    let visible_from = graph.node("Where", &[&opaque, &never, &visible], vec![]);
    let counts = graph.node("GreaterOrEqual", &[&opacity, &visible_from], vec![]);
    let divisor = graph.node("Max", &[&opacity, &visible], vec![]);
    let channels: Vec<String> = (0..4)
        .map(|channel| {
            if channel == alpha {
                return opacity.clone();
            }
            let colours = frames.map(|frame| part(graph, frame, 0, channel, channel + 1));
            let plain = reading.blend(graph, [&colours[0], &colours[1]]);
            let [a, b] = [(&colours[0], &a), (&colours[1], &b)]
                .map(|(colour, alpha)| graph.node("Mul", &[colour, alpha], vec![]));
            let shown = reading.blend(graph, [&a, &b]);
            let shown = graph.node("Div", &[&shown, &divisor], vec![]);
            graph.node("Where", &[&counts, &shown, &plain], vec![])
        })
        .collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    graph.node("Concat", &channels, vec![int("axis", 0)])
}

/// Channels `[count, h, w]` of two pictures, read and blended one by one: differences of all of them at a time
/// would take four times as much memory.
fn blend(graph: &mut Appender, reading: &Reading, frames: [&str; 2], count: usize) -> String {
    if count == 1 {
        return reading.blend(graph, frames);
    }
    let channels: Vec<String> = (0..count)
        .map(|channel| {
            let [a, b] = frames.map(|frame| part(graph, frame, 0, channel, channel + 1));
            reading.blend(graph, [&a, &b])
        })
        .collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    graph.node("Concat", &channels, vec![int("axis", 0)])
}
