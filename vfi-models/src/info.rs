//! `vfi-models info`: what a network is taken for, without running it.

use std::io::Write as _;

use anyhow::{Result, anyhow};
use gstvfiinterp::models::graph::proto::{ModelProto, ValueInfoProto};
use gstvfiinterp::models::graph::{self, edit::use_own_grid_sample};
use gstvfiinterp::models::library::{self, WellKnown};
use gstvfiinterp::models::signature::{Inputs, Outputs, Range, Signature, Timestep};
use gstvfiinterp::models::{ExecutionProvider, Interpolator, LoadOptions};

use crate::size;

/// Which network, and whether to load it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The path of an .onnx file, or a name that `vfi-models list` gives
    model: String,
    /// Also start it in ONNX Runtime, and say what runs it
    #[arg(long)]
    load: bool,
}

/// Prints what is known of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let source = library::find(&args.model)?;
    let bytes = source.read()?.bytes;
    let (model, signature) = detect(&bytes)
        .map_err(|why| anyhow!("the model {} cannot be used: {why:#}", source.label()))?;
    let mut out = std::io::stdout().lock();
    let mut row = |what: &str, text: &str| writeln!(out, "{what:12} {text}");
    row("model", &source.label())?;
    row("size", &size(bytes.len() as u64))?;
    if let Some(known) = WellKnown::find(&args.model) {
        row("from", &format!("{}{}", library::RELEASE, known.archive))?;
        row("licence", library::RELEASE_LICENCE)?;
    }
    for (what, text) in describe(&model, &signature) {
        row(what, &text)?;
    }
    if args.load {
        let options = LoadOptions {
            model: args.model.clone(),
            ..LoadOptions::default()
        };
        for (what, text) in loaded(&Interpolator::load(&options)?) {
            row(what, &text)?;
        }
    }
    Ok(())
}

/// One line on a network.
pub(crate) fn summarise(model: &str) -> Result<()> {
    let bytes = library::find(model)?.read()?.bytes;
    let (model, signature) = detect(&bytes)?;
    println!(
        "It takes {} and gives {} ({} parameters)",
        takes(&signature),
        gives(&signature),
        millions(parameters(&model))
    );
    Ok(())
}

/// Reads a network and what it is taken for.
pub(crate) fn detect(bytes: &[u8]) -> Result<(ModelProto, Signature)> {
    let model = graph::decode(bytes).map_err(|why| anyhow!(why))?;
    let signature = Signature::of(&model).map_err(|why| anyhow!(why))?;
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
    if !producer.is_empty() {
        rows.push(("made by", producer.join(" ")));
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
    rows.push(("takes", takes(signature)));
    rows.push(("gives", gives(signature)));
    let range = match signature.range {
        Range::Unit => "0 to 1",
        Range::Signed => "-1 to 1",
    };
    rows.push(("range", range.into()));
    let size = match signature.fixed {
        Some((width, height)) => format!("{width}x{height} only"),
        None if signature.align_stated => format!("multiples of {}, as it says", signature.align),
        None => format!("multiples of {}, as most need", signature.align),
    };
    rows.push(("sizes", size));
    let own = use_own_grid_sample(&mut model.clone());
    if own > 0 {
        let nodes = graph.node.len();
        rows.push((
            "on the CPU",
            format!("{own} of {nodes} nodes run on the element's own GridSample"),
        ));
    }
    rows
}

fn takes(signature: &Signature) -> String {
    match &signature.inputs {
        Inputs::Pictures(_) => "two pictures; what it gives lies midway".into(),
        Inputs::PicturesAndTimestep { form, .. } => format!(
            "two pictures and the moment, as {}",
            match form {
                Timestep::Scalar(0) => "a single value".into(),
                Timestep::Scalar(rank) => format!("one value of {rank} dimensions"),
                Timestep::Plane => "a plane".into(),
            }
        ),
        Inputs::Stacked { channels, .. } => format!(
            "{channels} channels: two pictures{}",
            match channels {
                6 => "; what it gives lies midway",
                7 => " and the moment",
                8 => ", the moment and the flow's scale",
                _ => ", the moment and where each pixel lies",
            }
        ),
    }
}

fn gives(signature: &Signature) -> String {
    match &signature.outputs {
        Outputs::Motion { .. } => {
            "motion, with which frames are made at full size (its metadata says so)".into()
        }
        Outputs::Picture(name) => format!("a picture, `{name}`"),
    }
}

fn loaded(interpolator: &Interpolator) -> Vec<(&'static str, String)> {
    let info = interpolator.info();
    let mut rows = vec![(
        "runs on",
        match info.provider {
            ExecutionProvider::Cpu => "the CPU".into(),
            other => other.nick().into(),
        },
    )];
    if let Some(why) = &info.fallback {
        rows.push(("", why.clone()));
    }
    let library = info.runtime_library.display();
    rows.push((
        "runtime",
        format!("ONNX Runtime {}, {library}", info.runtime_version),
    ));
    rows
}

fn parameters(model: &ModelProto) -> u64 {
    let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
    tensors
        .map(|tensor| {
            let dims = tensor.dims.iter().map(|dim| dim.unsigned_abs());
            dims.fold(1, u64::saturating_mul)
        })
        .fold(0, u64::saturating_add)
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
        Some(1) => "float32",
        Some(10) => "float16",
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
