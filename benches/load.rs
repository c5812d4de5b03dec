//! How long a network takes to load, beside a bare session of the same bytes.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use gstvfiinterp::models::graph::build::{GraphBuilder, ints};
use gstvfiinterp::models::runtime::runtime;
use gstvfiinterp::models::signature::Signature;
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions, graph};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

/// A network of 3x3 convolutions with 256 channels, of about `mebibytes`.
fn network(mebibytes: usize) -> Vec<u8> {
    const CHANNELS: i64 = 256;
    let mut state = 1_u32;
    let mut values = |count: i64| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        };
        (0..count).map(|_| next() * 0.05).collect()
    };
    let conv = |builder: GraphBuilder, name: &str, input: &str, weights: &[f32], from, to| {
        let dims = [to, from, 3, 3];
        let attributes = vec![ints("pads", &[1; 4])];
        let weight = format!("{name}.weight");
        builder.constant(&weight, &dims, weights).node_with(
            "Conv",
            &[input, &weight],
            &[name],
            attributes,
        )
    };
    let picture: &[i64] = &[1, 3, -1, -1];
    let mut builder = GraphBuilder::new("large", 17)
        .input("img0", picture)
        .input("img1", picture)
        .node("Sub", &["img1", "img0"], &["difference"]);
    builder = conv(
        builder,
        "c0",
        "difference",
        &values(CHANNELS * 27),
        3,
        CHANNELS,
    );
    let layers = (mebibytes << 20) / (CHANNELS * CHANNELS * 36) as usize;
    for layer in 0..layers {
        let weights = values(CHANNELS * CHANNELS * 9);
        let (input, name) = (format!("c{layer}"), format!("c{}", layer + 1));
        builder = conv(builder, &name, &input, &weights, CHANNELS, CHANNELS);
    }
    let last = format!("c{layers}");
    builder = conv(builder, "part", &last, &values(CHANNELS * 27), CHANNELS, 3);
    let model = builder
        .node("Add", &["img0", "part"], &["output"])
        .output("output", picture);
    graph::encode(&model.finish())
}

fn read_shared(path: &std::path::Path) -> std::sync::Arc<[u8]> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    let mut buf = unsafe { std::sync::Arc::<[u8]>::new_zeroed_slice(len).assume_init() };
    file.read_exact(std::sync::Arc::get_mut(&mut buf).unwrap())
        .unwrap();
    buf
}

fn child(how: &str, path: &str) {
    let environment = &runtime().unwrap().environment;
    let builder = || {
        SessionBuilder::new(environment)
            .unwrap()
            .with_optimization_level(GraphOptimizationLevel::All)
            .unwrap()
            .with_memory_pattern(false)
            .unwrap()
            .with_intra_threads(2)
            .unwrap()
    };
    drop(builder());
    let start = Instant::now();
    match how {
        "read" => drop(std::fs::read(path).unwrap()),
        "readarc" => drop(read_shared(path.as_ref())),
        "bare file" => drop(builder().commit_from_file(path).unwrap()),
        "bare memory" => {
            let bytes = std::fs::read(path).unwrap();
            drop(builder().commit_from_memory(&bytes).unwrap())
        }
        "beside" => {
            let file = read_shared(path.as_ref());
            let t0 = start.elapsed();
            let bytes = bytes::Bytes::from_owner(file.clone());
            let model = graph::decode_shared(&bytes).unwrap();
            let t1 = start.elapsed();
            let small = graph::encode_beside(model, &bytes);
            let t2 = start.elapsed();
            drop(
                builder()
                    .with_external_initializer_file_in_memory(graph::WEIGHTS, file)
                    .unwrap()
                    .commit_from_memory(&small)
                    .unwrap(),
            );
            eprintln!("   {t0:?} {t1:?} {t2:?} {}", small.len());
        }
        "load" => {
            let options = LoadOptions {
                model: path.into(),
                provider: ExecutionProvider::Cpu,
                ..LoadOptions::default()
            };
            drop(Interpolator::load(&options).unwrap());
        }
        _ => unreachable!(),
    }
    println!("{how:12} {:7.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let st = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "     {}",
        st.lines().find(|l| l.starts_with("VmHWM")).unwrap()
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    if let (Some(how), Some(path)) = (args.next(), args.next()) {
        return child(&how, &path);
    }
    let bytes = network(100);
    let path = std::env::temp_dir().join(format!("vfiinterp-load-{}.onnx", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    for _ in 0..3 {
        for how in [
            "read",
            "readarc",
            "bare file",
            "bare memory",
            "beside",
            "load",
        ] {
            std::process::Command::new(std::env::current_exe().unwrap())
                .arg(how)
                .arg(&path)
                .status()
                .unwrap();
        }
    }
    std::fs::remove_file(&path).unwrap();
    let _ = Duration::ZERO;
}
