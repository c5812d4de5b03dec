//! A picture to a frame's planes, as `frames::Enlarger` does it: quantised to the levels the
//! converter is given, turned to the frame's components in 16 bits, cut to the frame's own,
//! enlarged, and chroma made smaller again.

use gst_video::VideoChromaSite;

use super::{
    Appender, Geometry, Shape, clip, crop, drop_first, int, ints, lift, part, pass, repeat_border,
    text,
};
use crate::frames::colour::Colours;
use crate::frames::excess::{Gamut, NEAR};

/// Appends it to what gives `picture`, `[3, height, width]` in `[0, 1]` (what is beyond is
/// clamped). What RGB can't show is given back: see `frames::excess`.
pub(crate) fn append(
    geometry: &Geometry,
    shapes: &[Shape],
    graph: &mut Appender,
    picture: &str,
    gamut: Option<&Gamut>,
) {
    let rgb = geometry.is_rgb();
    let most = if rgb { 255.0 } else { 1023.0 };
    let picture = clip(graph, picture, 0.0, 1.0);
    let excess = gamut.map(|gamut| excess(gamut, graph, &picture));
    let (scale, half) = (graph.constant(most), graph.constant(0.5));
    let levels = graph.node("Mul", &[&picture, &scale], vec![]);
    let levels = graph.node("Add", &[&levels, &half], vec![]);
    let levels = graph.node("Floor", &[&levels], vec![]);
    if rgb {
        packed(geometry, &shapes[0], graph, &levels);
    } else {
        components(geometry, shapes, graph, &levels, excess.as_deref());
    }
}

/// Appends the excess that is given back to `picture`, in levels `[1, 3, height, width]`, as
/// `frames::excess_between` has it, and returns its name.
fn excess(gamut: &Gamut, graph: &mut Appender, picture: &str) -> String {
    let (zero, one) = (graph.constant(0.0), graph.constant(1.0));
    let rest = graph.node("Sub", &[&one, "phase"], vec![]);
    let a = graph.node("Mul", &["ax", &rest], vec![]);
    let b = graph.node("Mul", &["bx", "phase"], vec![]);
    let excess = graph.node("Add", &[&a, &b], vec![]);
    let picture = lift(graph, picture);
    let above = graph.node("Sub", &[&one, &picture], vec![]);
    let is_above = graph.node("Greater", &[&excess, &zero], vec![]);
    let apart = graph.node("Where", &[&is_above, &above, &picture], vec![]);
    let (far, span) = (graph.constant(NEAR[0]), graph.constant(NEAR[0] - NEAR[1]));
    let counts = graph.node("Sub", &[&far, &apart], vec![]);
    let counts = graph.node("Div", &[&counts, &span], vec![]);
    let counts = clip(graph, &counts, 0.0, 1.0);
    let excess = graph.node("Mul", &[&excess, &counts], vec![]);
    let weights = graph.tensor(&[3, 3, 1, 1], gamut.from_rgb.as_flattened());
    graph.node("Conv", &[&excess, &weights], vec![])
}

/// Makes packed RGB: its channels in the format's order, what means nothing 255, and alpha, too.
fn packed(geometry: &Geometry, shape: &Shape, graph: &mut Appender, levels: &str) {
    let size = (shape.width, shape.height);
    let passes = pass::enlarge(geometry.upscale, geometry.small, size);
    let levels = pass::apply(&passes, graph, levels);
    let mut channels = vec![None; shape.format.channels];
    for (component, (_, channel)) in geometry.components().into_iter().enumerate() {
        channels[channel] = Some(component);
    }
    let channels: Vec<String> = channels
        .into_iter()
        .map(|component| match component {
            Some(component) => part(graph, &levels, 0, component, component + 1),
            None => opaque(shape, graph),
        })
        .collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    let all = graph.node("Concat", &channels, vec![int("axis", 0)]);
    shape.store(graph, &all, "out0");
}

/// The fourth channel, as the converter fills it in.
fn opaque(shape: &Shape, graph: &mut Appender) -> String {
    let opaque = graph.constant(255.0);
    let dims = [1, shape.height as i64, shape.width as i64];
    let dims = graph.integers(&[3], &dims);
    graph.node("Expand", &[&opaque, &dims], vec![])
}

/// Makes luma and chroma of levels of 10 bits.
fn components(
    geometry: &Geometry,
    shapes: &[Shape],
    graph: &mut Appender,
    levels: &str,
    excess: Option<&str>,
) {
    let given = |graph: &mut Appender, shape: &Shape, from: usize, to: usize| {
        let levels = part(graph, excess?, 1, from, to);
        let dims = [
            1,
            (to - from) as i64,
            shape.height as i64,
            shape.width as i64,
        ];
        let dims = graph.integers(&[4], &dims);
        let how = ["linear", "half_pixel"];
        let how = vec![
            text("mode", how[0]),
            text("coordinate_transformation_mode", how[1]),
        ];
        let levels = graph.node("Resize", &[&levels, "", "", &dims], how);
        let levels = graph.node("Round", &[&levels], vec![]);
        Some(drop_first(graph, &levels))
    };
    // 10 bits become 16 as the upper ones are repeated in the lower ones
    let (left, right) = (graph.constant(64.0), graph.constant(1.0 / 16.0));
    let lower = graph.node("Mul", &[levels, &right], vec![]);
    let lower = graph.node("Floor", &[&lower], vec![]);
    let upper = graph.node("Mul", &[levels, &left], vec![]);
    let levels = graph.node("Add", &[&upper, &lower], vec![]);
    let levels = lift(graph, &levels);
    let deep = geometry.is_deep();
    // of 16 bits, bytes are the upper half
    let unit = if deep { 1.0 } else { 1.0 / 256.0 };
    let count = if shapes.len() == 1 { 1 } else { 3 };
    let rows = Colours::of(&geometry.info).from_rgb;
    let rows = &rows[..count];
    let weights: Vec<f32> = rows
        .iter()
        .flat_map(|row| row[..3].iter().map(|factor| (factor * unit) as f32))
        .collect();
    let biases: Vec<f32> = rows.iter().map(|row| (row[3] * unit) as f32).collect();
    let weights = graph.tensor(&[count as i64, 3, 1, 1], &weights);
    let biases = graph.tensor(&[count as i64], &biases);
    let levels = graph.node("Conv", &[&levels, &weights, &biases], vec![]);
    let levels = graph.node("Floor", &[&levels], vec![]);
    let levels = clip(graph, &levels, 0.0, if deep { 65535.0 } else { 255.0 });
    let levels = drop_first(graph, &levels);

    let full = (shapes[0].width, shapes[0].height);
    let passes = match deep {
        true => pass::words(geometry.upscale, geometry.small, full, 65535.0),
        false => pass::enlarge(geometry.upscale, geometry.small, full),
    };
    let levels = pass::apply(&passes, graph, &levels);
    let luma = if count > 1 {
        part(graph, &levels, 0, 0, 1)
    } else {
        levels.clone()
    };
    let back = given(graph, &shapes[0], 0, 1);
    store(geometry, &shapes[0], graph, (&luma, back), "out0");
    if count == 1 {
        return;
    }
    // which planes chroma goes to
    let places = geometry.components();
    let together = places[1].0 == places[2].0;
    let chroma = part(graph, &levels, 0, 1, 3);
    let chroma = smaller(geometry, &shapes[places[1].0], graph, &chroma);
    for (component, &(plane, _)) in places[1..].iter().enumerate() {
        let levels = if together {
            chroma.clone()
        } else {
            part(graph, &chroma, 0, component, component + 1)
        };
        let shape = &shapes[plane];
        let (from, to) = match together {
            true => (1, 3),
            false => (component + 1, component + 2),
        };
        let levels = geometry.swap_chroma(graph, &levels);
        let back = given(graph, shape, from, to);
        let back = back.map(|back| geometry.swap_chroma(graph, &back));
        store(
            geometry,
            shape,
            graph,
            (&levels, back),
            &format!("out{plane}"),
        );
        if together {
            break;
        }
    }
}

/// Levels as the plane has them: of 16 bits, the upper ones of a deep format; and what is given
/// back to them.
fn store(
    geometry: &Geometry,
    shape: &Shape,
    graph: &mut Appender,
    (levels, back): (&str, Option<String>),
    output: &str,
) {
    let mut levels = levels.to_owned();
    if geometry.is_deep() {
        levels = clip(graph, &levels, 0.0, 65535.0);
        let unit = graph.constant((shape.most() + 1.0) / 65536.0);
        levels = graph.node("Mul", &[&levels, &unit], vec![]);
        levels = graph.node("Floor", &[&levels], vec![]);
    }
    if let Some(back) = back {
        levels = graph.node("Add", &[&levels, &back], vec![]);
        levels = clip(graph, &levels, 0.0, shape.most());
    }
    shape.store(graph, &levels, output);
}

/// Shrinks chroma `[2, height, width]` at the size of its plane: `video-chroma.c` of
/// gst-plugins-base. Rows before columns; bytes are rounded after each.
fn smaller(geometry: &Geometry, shape: &Shape, graph: &mut Appender, chroma: &str) -> String {
    let site = geometry.info.chroma_site();
    let mut size = (
        geometry.info.width() as usize,
        geometry.info.height() as usize,
    );
    let mut chroma = chroma.to_owned();
    if shape.format.sub_y > 0 {
        chroma = match site.contains(VideoChromaSite::V_COSITED) {
            // every second row as it is
            true => crop(graph, &chroma, (0, 0), (size.1, size.0), (2, 1)),
            false => {
                let behind = (size.1 % 2, 0);
                let whole = repeat_border(graph, &chroma, 3, (0, 0), behind);
                mean(geometry, graph, &whole, [2, 1], &[0.5, 0.5])
            }
        };
        size.1 = shape.height;
    }
    if shape.format.sub_x > 0 {
        chroma = match site.contains(VideoChromaSite::H_COSITED) {
            true => {
                // of an even number of columns, the last is left out, and the one before repeated
                let columns = size.0 - (size.0 + 1) % 2;
                let inner = crop(graph, &chroma, (0, 0), (size.1, columns), (1, 1));
                let wide = repeat_border(graph, &inner, 3, (0, 1), (0, 1));
                mean(geometry, graph, &wide, [1, 2], &[0.25, 0.5, 0.25])
            }
            false => {
                let behind = (0, size.0 % 2);
                let whole = repeat_border(graph, &chroma, 3, (0, 0), behind);
                mean(geometry, graph, &whole, [1, 2], &[0.5, 0.5])
            }
        };
    }
    chroma
}

/// Takes weighted means along the side on which `steps` (down, across) is 2.
fn mean(
    geometry: &Geometry,
    graph: &mut Appender,
    chroma: &str,
    steps: [i64; 2],
    weights: &[f32],
) -> String {
    let taps = weights.len() as i64;
    let [down, across] = steps.map(|step| if step == 2 { taps } else { 1 });
    // each kind of chroma is a picture of its own
    let axes = graph.integers(&[1], &[1]);
    let apart = graph.node("Unsqueeze", &[chroma, &axes], vec![]);
    let kernel = graph.tensor(&[1, 1, down, across], weights);
    let strides = vec![ints("strides", &steps)];
    let means = graph.node("Conv", &[&apart, &kernel], strides);
    let means = graph.node("Squeeze", &[&means, &axes], vec![]);
    if geometry.is_deep() {
        return means;
    }
    let half = graph.constant(0.5);
    let means = graph.node("Add", &[&means, &half], vec![]);
    graph.node("Floor", &[&means], vec![])
}
