//! `vfi-models info`: what a network is taken for, without running it.

use std::io::Write as _;

use anyhow::{Result, anyhow};
use gstvfiinterp::models::catalog::{self, Source};
use gstvfiinterp::models::signature::Signature;
use gstvfiinterp::models::signature::metadata::Stated;
use gstvfiinterp::models::signature::types::{
    ChannelOrder, Inputs, Layout, Outputs, Range, Timestep,
};
use gstvfiinterp::models::{Interpolator, LoadOptions, ModelFamily, ModelInfo, ModelKind};
use onnx_graph::blend::Blend;
use onnx_graph::proto::{ModelProto, ValueInfoProto};
use onnx_graph::{convolutions, edit, functions};

use crate::size;

/// Which network, and how closely to look at it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The path of an .onnx file, or a name that `vfi-models list` gives
    model: String,
    /// Statements about it, as the element's property: key=value pairs, or a .toml file
    #[arg(long, default_value = "")]
    model_info: String,
    /// Also start it in ONNX Runtime, and find out what only a run can tell
    #[arg(long)]
    run: bool,
}

/// Prints what is known of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let source = catalog::find(&args.model)?;
    let file = source.file();
    let stated = Stated::gather(ModelFamily::Auto, &args.model_info, file.as_deref());
    let stated = stated.map_err(|why| anyhow!(why))?;
    let contents = source.read()?;
    let (model, signature) = detect(contents.decode(), &stated)
        .map_err(|why| anyhow!("the model {} cannot be used: {why:#}", source.label()))?;
    let mut out = std::io::stdout().lock();
    let mut row = |what: &str, text: &str| writeln!(out, "{what:12} {text}");
    row("model", &source.label())?;
    row("size", &size(contents.bytes.len() as u64))?;
    if let Source::WellKnown(known) = source {
        row("from", &format!("{}{}", catalog::RELEASE, known.archive))?;
        row("licence", catalog::RELEASE_LICENCE)?;
    }
    for (what, text) in describe(&model, &signature) {
        row(what, &text)?;
    }
    let mut notes = signature.notes;
    if args.run {
        let options = LoadOptions {
            model: args.model.clone(),
            info: args.model_info.clone(),
            ..LoadOptions::default()
        };
        let interpolator = Interpolator::load(&options)?;
        for (what, text) in ran(interpolator.info()) {
            row(what, &text)?;
        }
        notes = interpolator.info().notes.clone();
    }
    for (index, note) in notes.iter().enumerate() {
        row(if index == 0 { "because" } else { "" }, note)?;
    }
    Ok(())
}

/// One line on a network.
pub(crate) fn summarise(model: &str) -> Result<()> {
    let model = catalog::find(model)?.read()?.decode();
    let (model, signature) = detect(model, &Stated::default())?;
    println!(
        "It takes {}, and gives {} ({} parameters)",
        describe_inputs(&signature),
        describe_outputs(&model, &signature),
        millions(parameters(&model))
    );
    Ok(())
}

/// Tells what a network that was read is taken for.
pub(crate) fn detect(
    model: Result<ModelProto, String>,
    stated: &Stated,
) -> Result<(ModelProto, Signature)> {
    let model = model.map_err(|why| anyhow!(why))?;
    let signature = Signature::of(&model, stated).map_err(|why| anyhow!(why))?;
    Ok((model, signature))
}

fn describe(model: &ModelProto, signature: &Signature) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let graph = model.graph.clone().unwrap_or_default();
    if let Some(name) = &signature.name {
        rows.push(("name", name.clone()));
    }
    if let Some(family) = &signature.family {
        rows.push(("family", family.clone()));
    }
    let producer = [&model.producer_name, &model.producer_version];
    let producer: Vec<&str> = producer.into_iter().flatten().map(String::as_str).collect();
    let producer = producer.join(" ");
    if !producer.is_empty() {
        rows.push(("made by", producer.trim_end().into()));
    }
    let opset = model.opset_import.iter().map(|set| {
        let domain = set.domain.as_deref().filter(|domain| !domain.is_empty());
        format!("{} {}", domain.unwrap_or("onnx"), set.version.unwrap_or(0))
    });
    rows.push(("operators", opset.collect::<Vec<_>>().join(", ")));
    rows.push(("parameters", millions(parameters(model))));
    let stored: Vec<&Option<String>> = graph.initializer.iter().map(|t| &t.name).collect();
    let list = |values: &[ValueInfoProto]| {
        let values = values.iter().filter(|value| !stored.contains(&&value.name));
        values.map(slot).collect::<Vec<_>>().join(", ")
    };
    rows.push(("inputs", list(&graph.input)));
    rows.push(("outputs", list(&graph.output)));
    rows.push(("takes", describe_inputs(signature)));
    rows.push(("gives", describe_outputs(model, signature)));
    let range = match signature.range {
        Range::Unit => "0 to 1",
        Range::Signed => "-1 to 1",
    };
    let order = match signature.channel_order {
        ChannelOrder::Rgb => "RGB",
        ChannelOrder::Bgr => "BGR",
    };
    let layout = match signature.input_layout {
        Layout::Nchw => "in planes (NCHW)",
        Layout::Nhwc => "interleaved (NHWC)",
    };
    rows.push(("pictures", format!("{order}, {range}, {layout}")));
    let size = match signature.fixed {
        Some((width, height)) => format!("{width}x{height} only"),
        None if signature.align_stated => format!("multiples of {}", signature.align),
        None => format!(
            "multiples of {}, or what a run shows (--run)",
            signature.align
        ),
    };
    rows.push(("sizes", size));
    let mut edited = model.clone();
    let stages = functions::hand_over_stages(&mut edited);
    let own = stages + edit::use_own_grid_sample(&mut edited);
    if own > 0 {
        let nodes = graph.node.len();
        rows.push((
            "on the CPU",
            format!("{own} of {nodes} nodes run on the element's own operators"),
        ));
    }
    let convolutions = convolutions::use_own_convolutions(&mut edited);
    if convolutions > 0 {
        let when = match stages {
            0 => "with precision=int8",
            _ => "by themselves",
        };
        rows.push((
            "in 8 bits",
            format!("{convolutions} convolutions {when}, on a CPU with AVX2"),
        ));
    }
    rows
}

fn describe_inputs(signature: &Signature) -> String {
    match &signature.inputs {
        Inputs::Pictures(_) => "two pictures".into(),
        Inputs::PicturesAndTimestep { form, .. } => format!(
            "two pictures and the phase, as {}",
            match form {
                Timestep::Scalar(rank) => format!("one value [{}]", vec!["1"; *rank].join(",")),
                Timestep::Plane => "a plane [1,1,H,W]".into(),
            }
        ),
        Inputs::Stacked { channels, .. } => format!(
            "{channels} channels: two pictures{}",
            match channels {
                6 => "",
                7 => " and the phase",
                8 => ", the phase and the flow's scale",
                _ => ", the phase and where each pixel lies",
            }
        ),
    }
}

fn describe_outputs(model: &ModelProto, signature: &Signature) -> String {
    let made_of_motion = |output: &str| {
        let graph = model.graph.as_ref();
        signature.seek_motion && graph.is_some_and(|graph| Blend::find(graph, output).is_ok())
    };
    match &signature.outputs {
        Outputs::Motion { .. } => "motion, with which frames are made at full size".into(),
        Outputs::Picture(name) if signature.any_phase && made_of_motion(name) => {
            format!("a picture, `{name}`, made of motion that can be taken from it")
        }
        Outputs::Picture(name) if signature.any_phase => format!("a picture, `{name}`"),
        Outputs::Picture(name) => format!("the picture midway, `{name}`"),
    }
}

fn ran(info: &ModelInfo) -> Vec<(&'static str, String)> {
    let sizes = match info.fixed_size {
        Some((width, height)) => format!("{width}x{height}"),
        None => format!("multiples of {}", info.align),
    };
    let phases = if info.any_phase {
        "any phase between the two pictures"
    } else {
        "the middle; other phases by halving again"
    };
    let mut on = format!(
        "{}, ONNX Runtime {} ({})",
        info.provider.nick(),
        info.runtime_version,
        info.runtime_library.display()
    );
    if let Some(why) = &info.fallback {
        on += &format!("; {why}");
    }
    let gave = match info.kind {
        ModelKind::Motion => "motion",
        ModelKind::Picture => "a picture",
    };
    vec![
        ("ran at", sizes),
        ("gave", gave.into()),
        ("answers for", phases.into()),
        ("ran on", on),
    ]
}

/// Returns how many numbers it has learnt: integers are axes, shapes and the like.
fn parameters(model: &ModelProto) -> u64 {
    let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
    let learnt =
        tensors.filter(|t| matches!(t.data_type, Some(onnx_graph::FLOAT | onnx_graph::FLOAT16)));
    let counts = learnt.map(|tensor| {
        let dims = tensor.dims.iter().map(|dim| dim.unsigned_abs());
        dims.fold(1, u64::saturating_mul)
    });
    counts.fold(0, u64::saturating_add)
}

fn millions(count: u64) -> String {
    match count {
        0..100_000 => count.to_string(),
        _ => format!("{:.2} M", count as f64 / 1e6),
    }
}

fn slot(value: &ValueInfoProto) -> String {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let element = match tensor.and_then(|t| t.elem_type) {
        Some(onnx_graph::FLOAT) => "float32",
        Some(onnx_graph::FLOAT16) => "float16",
        _ => "of another type",
    };
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
        let dims = shape
            .dim
            .iter()
            .map(|dim| match (&dim.dim_value, &dim.dim_param) {
                (Some(value), _) => value.to_string(),
                (None, Some(name)) => name.clone(),
                (None, None) => "?".into(),
            });
        dims.collect::<Vec<_>>().join(",")
    });
    let name = value.name.as_deref().unwrap_or_default();
    match dims {
        Some(dims) => format!("`{name}` {element} [{dims}]"),
        None => format!("`{name}` {element}"),
    }
}
