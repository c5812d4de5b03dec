//! Inputs that a network takes beside two pictures, or instead of them, made where they lie.

use onnx_graph::proto::ModelProto;

use super::{Appender, FLOAT, begin, int, value};

/// The graph that lays out a network's input `joined` of so many `channels` for pictures of `width` x `height`.
///
/// Of one channel it is a plane of `phase`, `[1]`; of six the pictures `a` and `b`; of more, also
/// that plane and then `rest`, the planes that are the same in every run.
pub(crate) fn join(channels: usize, (width, height): (usize, usize), rest: &[f32]) -> ModelProto {
    let [width, height] = [width, height].map(|side| side as i64);
    let mut builder = begin("join");
    if channels > 1 {
        let picture = [1, 3, height, width];
        builder = builder.input("a", &picture).input("b", &picture);
    }
    if channels != 6 {
        builder = builder.input("phase", &[1]);
    }
    let mut model = builder.finish();
    let mut graph = Appender::new(model.graph.get_or_insert_default(), "v");
    let mut parts: Vec<String> = match channels {
        1 => vec![],
        _ => vec!["a".into(), "b".into()],
    };
    if channels != 6 {
        let dims = graph.integers(&[4], &[1, 1, height, width]);
        parts.push(graph.node("Expand", &["phase", &dims], vec![]));
    }
    let count = channels.saturating_sub(7) as i64;
    if count > 0 {
        parts.push(graph.tensor(&[1, count, height, width], rest));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    graph.node_as("joined", "Concat", &parts, vec![int("axis", 1)]);
    let dims = [1, channels as i64, height, width];
    graph.output(value("joined", FLOAT, &dims));
    model
}
