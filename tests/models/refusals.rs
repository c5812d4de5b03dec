//! Networks that are refused, each with one clear error.

use super::*;

#[test]
fn what_is_stated_wrongly_is_one_clear_error() {
    let file = TemporaryFile::new("mean.onnx", &fixtures::mean());
    for (info, parts) in [
        (
            "colour=bgr",
            ["model-info: `colour` is no key", "channel_order"],
        ),
        ("range=0..255", ["range is `0..255`", "0..1 and -1..1"]),
        ("align=0", ["align is `0`", "1 to 1024"]),
        ("bgr", ["`bgr` is neither key=value", "layout"]),
        ("/nowhere/info.toml", ["/nowhere/info.toml", "No such file"]),
        (
            "timestep=plane",
            ["no input for one", "`I0` float32 [1,3,?,?]"],
        ),
        ("output=picture2", ["`picture2`", "`output` float32"]),
        ("output=motion", ["no output `flow`", "`output` float32"]),
        (
            "layout=nhwc",
            [
                "layout NHWC is stated by model-info",
                "`I0` float32 [1,3,?,?]",
            ],
        ),
    ] {
        let stated = LoadOptions {
            info: info.into(),
            ..options(file.path())
        };
        let message = Interpolator::load(&stated).expect_err(info).to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in: {message}");
        }
    }
}

#[test]
fn a_stated_alignment_that_does_not_run_is_an_error_at_load() {
    let file = TemporaryFile::new("aligned.onnx", &fixtures::aligned_to(128));
    let stated = LoadOptions {
        info: "align=32".into(),
        ..options(file.path())
    };
    let message = Interpolator::load(&stated)
        .expect_err("it cannot run")
        .to_string();
    for part in ["aligned.onnx", "it does not run", "multiples of 32"] {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn what_is_no_interpolation_network_is_one_clear_error() {
    let whole = fixtures::mean();
    let cases: [(&str, &[u8], &str); 5] = [
        ("classifier.onnx", &fixtures::classifier(), "accepted are"),
        (
            "truncated.onnx",
            &whole[..whole.len() / 2],
            "not an ONNX file",
        ),
        ("empty.onnx", b"", "it is empty"),
        (
            "text.onnx",
            b"Dear network,\nplease interpolate.\n",
            "not an ONNX file",
        ),
        ("zeros.onnx", &[0; 4096], "not an ONNX file"),
    ];
    for (name, bytes, reason) in cases {
        let file = TemporaryFile::new(name, bytes);
        let error = refusal(file.path());
        assert!(matches!(error, ModelError::Unusable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains(reason),
            "{message}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_one_clear_error() {
    let folder = std::env::temp_dir();
    for (path, reason) in [
        ("/nowhere/model.onnx", "No such file"),
        (&*folder.to_string_lossy(), "it is a folder"),
        ("/dev/zero", "not a regular file"),
    ] {
        let error = refusal(path);
        assert!(matches!(error, ModelError::Unreadable { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(path) && message.contains(reason),
            "{message}"
        );
    }
    let message = refusal("rife").to_string();
    for part in [
        "`rife`",
        "vfi-lite",
        "`vfi-models fetch`",
        "rife-4.25",
        "path",
    ] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_network_the_runtime_refuses_is_an_error() {
    use onnx_graph::build::GraphBuilder;
    let dims: &[i64] = &[1, 3, -1, -1];
    let model = GraphBuilder::new("unknown", 17)
        .input("a", dims)
        .input("b", dims)
        .node("Telepathy", &["a", "b"], &["y"])
        .output("y", dims)
        .finish();
    let file = TemporaryFile::new("unknown.onnx", &onnx_graph::encode(&model));
    let message = refusal(file.path()).to_string();
    assert!(
        message.contains("unknown.onnx") && message.contains("Telepathy"),
        "{message}"
    );
}
