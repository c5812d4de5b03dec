use std::cell::Cell as Shared;
use std::fs;
use std::process::Command;

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::clip::Decoder;
use crate::methods::answer;
use crate::scene::Scene;

/// The command line.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn arguments(words: &[&str]) -> Args {
    crate::init().unwrap();
    Line::parse_from(["compare"].iter().chain(words)).args
}

/// Returns frames of a small picture that moves.
fn scene(frames: usize) -> Vec<Planar> {
    gst::init().unwrap();
    let scene = Scene::new(96, 64, gst::Fraction::new(30, 1)).unwrap();
    let scene = scene.take(frames);
    scene
        .map(|picture| Planar::read(&picture).unwrap())
        .collect()
}

/// Writes frames into a folder, as a video or as pictures.
fn write(folder: &Path, frames: &[Planar], as_video: bool) {
    crate::init().unwrap();
    let store = Store::new(folder, as_video, gst::Fraction::new(30, 1)).unwrap();
    for (number, frame) in frames.iter().enumerate() {
        store.write(number, frame).unwrap();
    }
    store.finish().unwrap();
}

/// Returns a small clip in a folder that is gone with the first.
fn clip(frames: &[Planar]) -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("clip"), frames, true);
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (clip, out) = (path("clip/frames.mkv"), path("out"));
    (folder, clip, out)
}

fn metrics(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("metrics.json")).unwrap()).unwrap()
}

/// Returns figures but for those that hang on time.
fn without_times(folder: &Path) -> Value {
    let mut metrics = metrics(folder);
    metrics.as_object_mut().unwrap().remove("timing");
    metrics
}

/// Returns the frames of one of ffmpeg's filters that compare, each a line of `key:value`.
fn of_ffmpeg(filter: &str, folder: &Path, files: [&str; 2]) -> Vec<BTreeMap<String, f64>> {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error"]);
    for file in files {
        command.args(["-i", file]);
    }
    command.args([
        "-lavfi",
        &format!("{filter}=stats_file=-"),
        "-f",
        "null",
        "-",
    ]);
    let text = answer(&mut command).unwrap();
    let value = |word: &str| {
        let (key, value) = word.split_once(':')?;
        Some((key.to_owned(), value.parse().ok()?))
    };
    let lines = text.lines().filter(|line| line.starts_with("n:"));
    lines
        .map(|line| line.split_whitespace().filter_map(value).collect())
        .collect()
}

#[test]
fn psnr_and_ssim_are_those_of_ffmpeg() {
    if answer(Command::new("ffmpeg").arg("-version")).is_err() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let truth = scene(4);
    let made: Vec<_> = (0..4)
        .map(|i| {
            truth[i]
                .blend(&truth[(i + 1) % 4], 0.1 * (i + 1) as f64)
                .unwrap()
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("truth"), &truth, true);
    write(&folder.path().join("made"), &made, true);
    let files = ["made/frames.mkv", "truth/frames.mkv"];
    let psnr = of_ffmpeg("psnr", folder.path(), files);
    let ssim = of_ffmpeg("ssim", folder.path(), files);
    assert_eq!((psnr.len(), ssim.len()), (4, 4));
    for (number, (made, wanted)) in made.iter().zip(&truth).enumerate() {
        let place = Place {
            before: wanted,
            after: wanted,
            phase: 0.5,
        };
        let ours = measure::measure(made, made, Some(wanted), &place).unwrap();
        let near = |ours: Option<f64>, theirs: f64, within: f64| {
            let ours = ours.unwrap();
            assert!(
                (ours - theirs).abs() <= within,
                "{number}: {ours} is not {theirs}"
            );
        };
        near(ours.psnr, psnr[number]["psnr_y"], 0.01);
        near(ours.psnr_all, psnr[number]["psnr_avg"], 0.01);
        near(ours.ssim, ssim[number]["Y"], 0.001);
        near(ours.ssim_all, ssim[number]["All"], 0.001);
    }
}

#[test]
fn a_run_has_frames_figures_and_a_page_and_names_what_it_left_out() {
    let (folder, clip, out) = clip(&scene(6));
    let text = folder
        .path()
        .join("text.mp4")
        .to_string_lossy()
        .into_owned();
    fs::write(&text, "no video").unwrap();
    let words = ["--beside", "blend", "--downscale", "1,2", "--out", &out];
    let args = arguments(&[&[clip.as_str(), &text], words.as_slice()].concat());
    let (run, finished) = compare(&args, &|| false).unwrap();
    assert!(finished);
    let found = metrics(&run);
    let cells = found["cells"].as_array().unwrap();
    let names: Vec<_> = cells
        .iter()
        .map(|cell| cell["folder"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "frames__x2_vfi_downscale-1",
            "frames__x2_vfi_downscale-2",
            "frames__x2_blend"
        ]
    );
    for (cell, name) in cells.iter().zip(names) {
        assert_eq!(cell["originals_identical"], true, "{name}");
        assert!(cell["mean"]["ssimulacra2"].is_number(), "{name}");
        assert!(run.join(name).join("frame_004.png").is_file(), "{name}");
        assert!(!run.join(name).join("frame_005.png").exists(), "{name}");
    }
    let psnr = |number: usize| cells[number]["mean"]["psnr"].as_f64().unwrap();
    assert!(psnr(0) > psnr(2), "{} {}", psnr(0), psnr(2));
    assert_eq!(found["left_out"][0]["name"], text.as_str());
    assert_eq!(found["timing"]["recommended"].as_array().unwrap().len(), 3);
    let csv = fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 4);
    let page = fs::read_to_string(run.join(report::FILE)).unwrap();
    assert!(page.contains("text.mp4") && !page.contains("src=\"http"));
}

#[test]
fn an_interrupted_run_continues_to_the_same_figures() {
    let (folder, clip, out) = clip(&scene(5));
    let with = |out: &str| {
        let words = [
            &clip,
            "--beside",
            "repeat,blend",
            "--multiplier",
            "2,4",
            "--out",
            out,
        ];
        arguments(&words)
    };
    let (whole, finished) = compare(&with(&out), &|| false).unwrap();
    assert!(finished);
    let other = folder.path().join("other").to_string_lossy().into_owned();
    // Five frames each: the third configuration stops in its middle.
    let left = Shared::new(12);
    let stop = || left.replace(left.get() - 1) == 0;
    let (part, finished) = compare(&with(&other), &stop).unwrap();
    assert!(!finished);
    assert_eq!(metrics(&part)["cells"].as_array().unwrap().len(), 2);
    assert!(part.join(report::FILE).is_file());
    assert!(!part.join("frames__x2_blend").exists());
    let kept = part.join("frames__x2_vfi/frame_000.png");
    let written = fs::metadata(&kept).unwrap().modified().unwrap();
    let (again, finished) = compare(&with(&other), &|| false).unwrap();
    assert!(finished);
    assert_eq!(again, part);
    assert_eq!(without_times(&again), without_times(&whole));
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), written);
}

#[test]
fn two_pictures_have_frames_between_and_nothing_to_compare_with() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &scene(2), false);
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (a, b, out) = (path("frame_000.png"), path("frame_001.png"), path("out"));
    let words = [
        &a,
        &b,
        "--multiplier",
        "16",
        "--beside",
        "blend",
        "--out",
        &out,
    ];
    let (run, _) = compare(&arguments(&words), &|| false).unwrap();
    let found = metrics(&run);
    let cell = &found["cells"][0];
    assert_eq!(cell["frames"].as_array().unwrap().len(), 17);
    assert_eq!(cell["has_truth"], false);
    assert_eq!(cell["originals_identical"], true);
    assert_eq!(cell["mean"]["psnr"], Value::Null);
    assert!(cell["mean"]["flicker_luma"].is_number());
    assert!(run.join("frame_000__x16_vfi/frame_016.png").is_file());
    assert_eq!(found["timing"]["recommended"], Value::Array(Vec::new()));
}

#[test]
fn a_video_holds_every_frame_without_loss() {
    let frames = scene(5);
    let (_folder, clip, out) = clip(&frames);
    let words = [&clip, "--beside", "repeat", "--video", "--out", &out];
    let (run, _) = compare(&arguments(&words), &|| false).unwrap();
    let read = |name: &str| -> Vec<Planar> {
        let path = run.join(name).join(store::VIDEO);
        let decoder = Decoder::open_as(&path, 99, planar::FORMATS).unwrap();
        decoder
            .map(|p| Planar::read(&p.unwrap()).unwrap())
            .collect()
    };
    let repeated = read("frames__x2_repeat");
    assert_eq!(repeated.len(), 5);
    for (number, frame) in repeated.iter().enumerate() {
        assert!(frame.is_same(&frames[number / 2 * 2]), "{number}");
    }
    assert_eq!(read("frames__truth").len(), 5);
}

#[test]
fn frames_between_equal_ones_count_for_nothing() {
    let scene = scene(3);
    let frames = [0, 0, 0, 1, 2].map(|number: usize| scene[number].clone());
    let (_folder, clip, out) = clip(&frames);
    let words = [&clip, "--beside", "blend", "--out", &out];
    let (run, _) = compare(&arguments(&words), &|| false).unwrap();
    let cell = metrics(&run)["cells"][1].clone();
    assert_eq!(cell["frames"][1]["still"], true);
    assert_eq!(cell["frames"][1]["psnr"], crate::metrics::MOST_DB);
    assert_eq!(cell["mean"]["psnr"], cell["frames"][3]["psnr"]);
}

#[test]
fn nothing_that_can_be_read_is_one_error() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_string_lossy().into_owned();
    for (input, words) in [
        ("nowhere.mp4", "no such file"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "text"),
        ("one.png", "it takes two"),
    ] {
        let error = compare(&arguments(&[input, "--out", &out]), &|| false).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let args = arguments(&[
        input_of_demo(),
        "--downscale",
        "half",
        "--frames",
        "2",
        "--out",
        &out,
    ]);
    let error = compare(&args, &|| false).unwrap_err();
    assert!(format!("{error:#}").contains("downscale"), "{error:#}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

fn input_of_demo() -> &'static str {
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../assets/demo/truth_60.mp4"
    )
}

/// Errors of the page, gathered from its beginning.
const GATHER: &str = "<script>window.pageErrors = [];
    addEventListener('error', (event) => pageErrors.push(event.message || `not loaded: ${event.target.src}`), true);
    addEventListener('unhandledrejection', (event) => pageErrors.push(String(event.reason)));
    addEventListener('securitypolicyviolation', (event) => pageErrors.push(event.blockedURI));
    console.error = (...words) => pageErrors.push(words.join(' '));</script>";

#[test]
fn the_page_works_in_a_browser() {
    let Ok(version) = answer(Command::new("chromium").arg("--version")) else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let words = [
        "--frames",
        "5",
        "--beside",
        "blend",
        "--downscale",
        "1,4",
        "--out",
        &out,
    ];
    let args = arguments(&[&[input_of_demo()], words.as_slice()].concat());
    let (run, _) = compare(&args, &|| false).unwrap();
    let page = fs::read_to_string(run.join(report::FILE)).unwrap();
    let check = include_str!("page_check.js");
    let page = page.replacen("<head>", &format!("<head>{GATHER}"), 1);
    let page = page.replace("</body>", &format!("<script>{check}</script></body>"));
    let checked = run.join("checked.html");
    fs::write(&checked, page).unwrap();
    let browser = |words: &[&str], page: &Path| {
        let profile = format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        );
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", &profile]);
        command.args(["--virtual-time-budget=8000", "--window-size=1400,2000"]);
        answer(
            command
                .args(words)
                .arg(format!("file://{}", page.display())),
        )
        .unwrap()
    };
    let seen = browser(&["--dump-dom"], &checked);
    let title = seen
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    let title = title.map(|(title, _)| title).unwrap_or_default();
    assert_eq!(title, "checked: all is well", "{version}");
    if let Some(path) = std::env::var_os("VFI_LAB_SCREENSHOT") {
        let path = format!("--screenshot={}", Path::new(&path).display());
        browser(&[&path], &run.join(report::FILE));
    }
}
