//! Takes flow and mask from networks whose picture is a blend of two warped ones.
//!
//! A graph that looks like RIFE's ([`Blend`]) is not trusted: the network is run once as it is and
//! once cut at flow and mask, on the same small pair, and the pictures have to be the same.

use onnx_graph::blend::Blend;
use onnx_graph::proto::ModelProto;

use super::LoadJob;
use crate::frames::{Motion, Picture, Sampling};
use crate::models::error::ModelError;
use crate::models::network::Network;
use crate::models::network::input::Tracked;
use crate::models::network::loaded::Loaded;
use crate::models::signature::Signature;
use crate::models::signature::types::Outputs;

/// The most that the picture made of flow and mask may differ from the network's own, of the range
/// from 0 to 1: half a grey level of 255 on average, room for networks that compute in 16 bits.
const TOLERANCE: f32 = 0.5 / 255.0;

/// The shorter side of the pictures compared, at least.
const SMALLEST_SIDE: usize = 64;

/// Neither the middle, where much is symmetric, nor near a picture.
const PHASE: f32 = 0.375;

/// Starts the network anew with flow and mask for outputs, where its picture is made of them; the
/// model is then cut as well. What was found is noted in the signature of whichever is kept.
///
/// `picture` is the same network giving its picture. A midpoint-only one stays as it is: of its
/// pictures it can make more, of its motion it cannot.
///
/// # Errors
/// If memory lacks; whatever else fails says that there is no motion to be had.
pub(crate) fn extract(
    job: &LoadJob,
    picture: &mut Network,
    model: &mut ModelProto,
) -> Result<Option<Loaded>, ModelError> {
    let signature = picture.signature();
    let (Outputs::Picture(output), Some(graph)) = (&signature.outputs, &model.graph) else {
        return Ok(None);
    };
    if !signature.seek_motion || !signature.any_phase {
        return Ok(None);
    }
    let found = Blend::find(graph, output)
        .map_err(Refusal::Said)
        .and_then(|blend| compare(job, &blend, picture, model));
    match found {
        Ok((mut loaded, cut, difference)) => {
            let levels = difference * 255.0;
            let note = format!("motion: taken from its picture, met to {levels:.3} of 255");
            loaded.signature.notes.push(note);
            *model = cut;
            Ok(Some(loaded))
        }
        // says nothing of the network
        Err(Refusal::Failed(error @ ModelError::Memory { .. })) => Err(error),
        Err(Refusal::Failed(error)) => Ok(refuse(picture, &error.to_string())),
        Err(Refusal::Said(why)) => Ok(refuse(picture, &why)),
    }
}

fn refuse(picture: &mut Network, why: &str) -> Option<Loaded> {
    let notes = &mut picture.signature_mut().notes;
    notes.push(format!("no motion: {why}"));
    None
}

/// Why a network's picture isn't taken for a blend.
enum Refusal {
    Said(String),
    Failed(ModelError),
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        Self::Failed(error)
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Said(why)
    }
}

/// The network cut at flow and mask, if the picture made of them is the one it gives itself.
fn compare(
    job: &LoadJob,
    blend: &Blend,
    picture: &mut Network,
    model: &ModelProto,
) -> Result<(Loaded, ModelProto, f32), Refusal> {
    let known = picture.signature().clone();
    let start = |swapped| {
        let mut model = model.clone();
        let (flow, mask) = blend.cut(&mut model, swapped);
        let signature = Signature {
            outputs: Outputs::Motion { flow, mask },
            ..known.clone()
        };
        let loaded = job.start(model.clone(), signature)?;
        Ok::<_, ModelError>((loaded, model))
    };
    let (loaded, cut) = start(false)?;
    let mut motion = Network::new(picture.label().into(), &loaded)?;
    let size = size(&known);
    let pair = pair(size);
    let [a, b] = &pair;
    let planes = [a.data.as_slice(), &b.data].map(Tracked::once);
    let answer = picture.run(planes, size, PHASE)?;
    let expected = answer.picture(size)?;
    let answer = motion.run(planes, size, PHASE)?;
    let motion = answer.motion(size, size)?;
    let direct = difference(expected, &pair, &motion)?;
    // the other way round
    let cells = motion.width * motion.height;
    let flow = [&motion.flow[2 * cells..], &motion.flow[..2 * cells]].concat();
    let mask: Vec<f32> = motion.mask.iter().map(|share| 1.0 - share).collect();
    let swapped = Motion {
        flow: &flow,
        mask: &mask,
        ..motion
    };
    let swapped = difference(expected, &pair, &swapped)?;
    let least = direct.min(swapped);
    if least.is_nan() || least > TOLERANCE {
        let levels = least * 255.0;
        return Err(Refusal::Said(format!(
            "its picture differs by {levels:.2} of 255 from the blend it seems to be"
        )));
    }
    if direct.max(swapped) <= TOLERANCE {
        let why = "which flow belongs to which picture cannot be told";
        return Err(Refusal::Said(why.into()));
    }
    if swapped < direct {
        let (loaded, cut) = start(true)?;
        return Ok((loaded, cut, swapped));
    }
    Ok((loaded, cut, direct))
}

/// The mean difference between a picture and the one that motion makes of a pair.
fn difference(expected: &[f32], [a, b]: &[Picture; 2], motion: &Motion) -> Result<f32, String> {
    let made = Picture::between(a, b, motion, Sampling::Bilinear);
    let made = made.map_err(|error| error.to_string())?;
    let differences = made.data.iter().zip(expected);
    // networks may leave the range; pictures made of motion do not
    let sum: f32 = differences
        .map(|(made, expected)| (made - expected.clamp(0.0, 1.0)).abs())
        .sum();
    Ok(sum / expected.len() as f32)
}

/// Returns width and height of the pair: small, the sides unlike.
fn size(signature: &Signature) -> (usize, usize) {
    let side = SMALLEST_SIDE.next_multiple_of(signature.align);
    signature.fixed.unwrap_or((2 * side, side))
}

/// Two pictures with edges softer than a pixel's: the second is the first moved, with some of its
/// own over it, so that no two places are alike and no order of them can be mistaken.
fn pair((width, height): (usize, usize)) -> [Picture; 2] {
    [(0, 0, 1), (3, -2, 2)].map(|(dx, dy, own)| {
        let mut picture = Picture::new(width, height);
        for (i, value) in picture.data.iter_mut().enumerate() {
            let (x, y) = ((i % width) as i64, (i / width % height) as i64);
            let channel = (i / (width * height)) as u32;
            let shared = texture(x + 64 - dx, y + 64 - dy, channel);
            *value = 0.7 * shared + 0.3 * texture(x, y, channel + 3 * own);
        }
        picture
    })
}

/// Values from 0 to 1 at the corners of cells of eight pixels, bilinear between them.
fn texture(x: i64, y: i64, seed: u32) -> f32 {
    const CELL: i64 = 8;
    let corner = |i: i64, j: i64| {
        // a few rounds of multiplying and shifting mix the bits well enough for this
        let mut bits = (i as u32).wrapping_mul(0x9e37_79b1) ^ (j as u32).wrapping_mul(0x85eb_ca77);
        bits ^= seed.wrapping_mul(0xc2b2_ae3d);
        for _ in 0..2 {
            bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
        }
        ((bits >> 8) & 0xffff) as f32 / 65535.0
    };
    let (i, j) = (x.div_euclid(CELL), y.div_euclid(CELL));
    let along = |position: i64| position.rem_euclid(CELL) as f32 / CELL as f32;
    let mix = |from: f32, to: f32, part: f32| from + part * (to - from);
    let upper = mix(corner(i, j), corner(i + 1, j), along(x));
    let lower = mix(corner(i, j + 1), corner(i + 1, j + 1), along(x));
    mix(upper, lower, along(y))
}

#[cfg(test)]
mod tests {
    use crate::models::interpolator::Interpolator;
    use crate::models::options::{LoadOptions, ModelKind};
    use onnx_graph::build::{self, GraphBuilder, int};
    use onnx_graph::encode;

    /// Loads a network of 11 channels, whose grid is moved by a part of a picture's width;
    /// `blurred`: the pictures that are read are others than those that come in.
    fn loaded(name: &str, first: f32, second: f32, share: f32, blurred: bool) -> Interpolator {
        let modes = vec![
            build::text("mode", "bilinear"),
            build::text("padding_mode", "border"),
            int("align_corners", 1),
        ];
        let shuffle = |order: &[i64]| vec![build::ints("perm", order)];
        let pool = vec![
            build::ints("kernel_shape", &[5, 5]),
            build::ints("pads", &[2, 2, 2, 2]),
        ];
        let blur = if blurred { "AveragePool" } else { "Identity" };
        let pool = if blurred { pool } else { vec![] };
        let model = GraphBuilder::new("moved", 17)
            .input("input", &[1, 11, -1, -1])
            .integers("sizes", &[3, 3, 1, 2, 2])
            .constant("first", &[], &[first])
            .constant("second", &[], &[second])
            .constant("share", &[], &[share])
            .constant("zero", &[], &[0.0])
            .constant("one", &[], &[1.0])
            .node_with(
                "Split",
                &["input", "sizes"],
                &["img0", "img1", "t", "grid", "unit"],
                vec![int("axis", 1)],
            )
            .node("Add", &["grid", "first"], &["moved0"])
            .node("Add", &["grid", "second"], &["moved1"])
            .node_with("Transpose", &["moved0"], &["grid0"], shuffle(&[0, 2, 3, 1]))
            .node_with("Transpose", &["moved1"], &["grid1"], shuffle(&[0, 2, 3, 1]))
            .node_with(blur, &["img0"], &["source0"], pool.clone())
            .node_with(blur, &["img1"], &["source1"], pool)
            .node_with("GridSample", &["source0", "grid0"], &["a"], modes.clone())
            .node_with("GridSample", &["source1", "grid1"], &["b"], modes)
            // depends on the phase, or it would be a midpoint-only network
            .node("Mul", &["t", "zero"], &["nothing"])
            .node("Relu", &["nothing"], &["plane"])
            .node("Add", &["plane", "share"], &["s"])
            .node("Clip", &["s", "zero", "one"], &["mask"])
            .node("Sub", &["a", "b"], &["difference"])
            .node("Mul", &["difference", "mask"], &["part"])
            .node("Add", &["b", "part"], &["output"])
            .output("output", &[1, 3, -1, -1])
            .metadata("vfiinterp.timestep", "plane");
        let folder = std::env::temp_dir().join(format!("vfiinterp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder takes folders");
        let path = folder.join(name);
        std::fs::write(&path, encode(&model.finish())).expect("the folder takes files");
        let options = LoadOptions {
            model: path.to_string_lossy().into_owned(),
            provider: crate::models::options::ExecutionProvider::Cpu,
            ..LoadOptions::default()
        };
        let network = Interpolator::load(&options);
        std::fs::remove_file(&path).expect("the file is ours");
        network.unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn assert_found(network: &Interpolator, kind: ModelKind, note: &str) {
        let notes = network.info().notes.join("; ");
        assert_eq!(network.info().kind, kind, "{notes}");
        assert!(notes.contains(note), "{notes}");
    }

    #[test]
    fn a_blend_of_the_pictures_is_taken() {
        let network = loaded("blend.onnx", 0.05, -0.02, 0.7, false);
        assert_found(&network, ModelKind::Motion, "taken from its picture");
    }

    #[test]
    fn a_blend_of_something_else_is_not() {
        let network = loaded("blurred.onnx", 0.05, -0.02, 0.7, true);
        assert_found(&network, ModelKind::Picture, "of 255 from the blend");
    }

    #[test]
    fn what_cannot_be_told_apart_is_not() {
        let network = loaded("mean.onnx", 0.0, 0.0, 0.5, false);
        assert_found(&network, ModelKind::Picture, "cannot be told");
    }
}
