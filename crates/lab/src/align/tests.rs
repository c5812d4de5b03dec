#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

use std::path::{Path, PathBuf};

use clap::Parser;
use gst::prelude::*;

use super::{Args, Outcome, measure};

/// Frames that are drawn, and their size.
const FRAMES: usize = 120;
const SIZE: (usize, usize) = (192, 108);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Returns level of a frame of the drawn film at a point (0 to 1): things that move over a ground
/// with details, never twice the same.
fn film(frame: f64, x: f64, y: f64) -> f64 {
    let phase = frame / 60.0;
    let ground = 60.0 * (17.0 * x + 3.0 * y).sin() * (11.0 * y - 5.0 * x).cos();
    let spot = |speed: f64, size: f64, at: f64| {
        let (u, v) = (
            0.5 + 0.4 * (speed * phase + at).sin(),
            0.5 + 0.35 * (1.3 * speed * phase + 2.0 * at).cos(),
        );
        let (dx, dy) = ((x - u) * 16.0 / 9.0, y - v);
        (-(dx * dx + dy * dy) / (size * size)).exp()
    };
    let pan = 25.0 * (23.0 * (x + 0.1 * phase)).sin();
    110.0 + ground + pan + 110.0 * spot(2.1, 0.15, 0.0) - 90.0 * spot(3.3, 0.1, 1.0)
}

/// A screen: lines of text that scroll now and then, and rest between.
fn screen(frame: f64, x: f64, y: f64) -> f64 {
    let (turn, into) = ((frame / 30.0).floor(), frame % 30.0);
    let scrolled = 0.21 * turn + 0.021 * into.min(10.0);
    let line = ((y + scrolled) * 24.0).floor();
    let word = ((x * 30.0).floor() * 12.9898 + line * 78.233).sin() * 43_758.545;
    if (word - word.floor()) > 0.6 {
        30.0
    } else {
        225.0
    }
}

/// A room in the dark, where nothing moves but a small light.
fn dark(frame: f64, x: f64, y: f64) -> f64 {
    let room = 6.0 * (9.0 * x).sin() * (7.0 * y).cos();
    let (dx, dy) = ((x - 0.2 - 0.003 * frame) * 16.0 / 9.0, y - 0.6);
    26.0 + room + 9.0 * (-(dx * dx + dy * dy) / 0.003).exp()
}

/// Writes frames of a drawing, through a lossy encoder, and returns the file.
fn write(
    folder: &Path,
    name: &str,
    rate: i32,
    quality: i32,
    frames: impl Iterator<Item = f64>,
    draw: impl Fn(f64, f64, f64) -> f64,
) -> PathBuf {
    crate::init().unwrap();
    let path = folder.join(name);
    let line = format!(
        "appsrc name=source format=time block=true max-buffers=4 ! videoconvert ! \
        jpegenc quality={quality} ! matroskamux ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("source").unwrap();
    let source = source.downcast::<gst_app::AppSrc>().unwrap();
    let info =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, SIZE.0 as u32, SIZE.1 as u32)
            .fps(gst::Fraction::new(rate, 1))
            .build()
            .unwrap();
    source.set_caps(Some(&info.to_caps().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    for (number, frame) in frames.enumerate() {
        let points = (0..SIZE.0 * SIZE.1).map(|at| {
            let (x, y) = (at % SIZE.0, at / SIZE.0);
            let (x, y) = (
                (x as f64 + 0.5) / SIZE.0 as f64,
                (y as f64 + 0.5) / SIZE.1 as f64,
            );
            draw(frame, x, y).clamp(0.0, 255.0) as u8
        });
        let mut buffer = gst::Buffer::from_slice(points.collect::<Vec<u8>>());
        let second = gst::ClockTime::SECOND;
        let time = second.mul_div_round(number as u64, rate as u64).unwrap();
        let buffer_mut = buffer.get_mut().unwrap();
        buffer_mut.set_pts(time);
        buffer_mut.set_duration(second.mul_div_round(1, rate as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let bus = pipeline.bus().unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(50), &end);
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

fn align(folder: &Path, reference: &Path, other: &Path, more: &[&str]) -> Outcome {
    let cache = folder.join("cache");
    let files = [reference, other, Path::new("--cache-dir"), &cache];
    let line = std::iter::once("align".as_ref()).chain(files.map(Path::as_os_str));
    let line = line.chain(more.iter().map(AsRef::as_ref));
    measure(&Line::parse_from(line).args).unwrap()
}

/// Checks that each frame is within one reference frame of its true place.
#[track_caller]
fn check(outcome: &Outcome, truth: &[f64], rate: f64) {
    assert_eq!(outcome.matches.len(), truth.len());
    for (frame, (found, truth)) in outcome.matches.iter().zip(truth).enumerate() {
        let Some(found) = found else {
            panic!("frame {frame} has no match")
        };
        let off = (found.time * rate - truth).abs();
        assert!(
            off <= 1.0,
            "frame {frame}: {:.2}, not {truth:.2}",
            found.time * rate
        );
    }
}

fn all() -> impl Iterator<Item = f64> + Clone {
    (0..FRAMES).map(|frame| frame as f64)
}

#[test]
fn frames_of_another_rate_are_placed_by_parts_of_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fast = write(folder, "fast.mkv", 60, 85, all(), film);
    let slow: Vec<f64> = (0..40).map(|frame| 11.0 + 2.5 * f64::from(frame)).collect();
    let other = write(folder, "slow.mkv", 24, 60, slow.iter().copied(), film);
    let outcome = align(folder, &fast, &other, &[]);
    check(&outcome, &slow, 60.0);
    assert!(
        outcome.summary.largest_drift_ms < 5.0,
        "{}",
        outcome.summary.largest_drift_ms
    );
    assert!((outcome.summary.offset_s - 11.0 / 60.0).abs() < 0.004);
}

#[test]
fn more_frames_than_the_reference_has_lie_between_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let slow = write(
        folder,
        "slow.mkv",
        24,
        85,
        all().step_by(5).map(|f| f / 2.0),
        film,
    );
    let some: Vec<f64> = (0..50).map(f64::from).collect();
    let other = write(folder, "fast.mkv", 60, 60, some.iter().copied(), film);
    let outcome = align(folder, &slow, &other, &[]);
    let truth: Vec<f64> = some.iter().map(|frame| frame / 2.5).collect();
    check(&outcome, &truth, 24.0);
}

#[test]
fn speed_that_varies_is_followed_and_is_drift() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "reference.mkv", 60, 85, all(), film);
    let warped: Vec<f64> = (0..100)
        .map(|frame| f64::from(frame) + 9.0 + 9.0 * (f64::from(frame) / 14.0).sin())
        .collect();
    let other = write(folder, "other.mkv", 60, 60, warped.iter().copied(), film);
    let outcome = align(folder, &reference, &other, &[]);
    check(&outcome, &warped, 60.0);
    assert!(outcome.summary.largest_drift_ms > 100.0);
}

#[test]
fn sections_left_out_and_shown_again_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "reference.mkv", 60, 85, all(), film);
    let cut: Vec<f64> = (0..30)
        .chain(55..100)
        .chain(70..120)
        .map(f64::from)
        .collect();
    let other = write(folder, "other.mkv", 60, 60, cut.iter().copied(), film);
    let outcome = align(folder, &reference, &other, &[]);
    check(&outcome, &cut, 60.0);
    assert_eq!(
        (outcome.summary.missing.len(), outcome.summary.again.len()),
        (1, 1)
    );
}

#[test]
fn what_the_reference_does_not_have_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "reference.mkv", 60, 85, all(), film);
    let foreign = |frame: f64, x: f64, y: f64| match frame {
        f if (30.0..50.0).contains(&f) => screen(f, x, y),
        f => film(f, x, y),
    };
    let other = write(folder, "other.mkv", 60, 60, all().take(80), foreign);
    let outcome = align(folder, &reference, &other, &[]);
    for (frame, found) in outcome.matches.iter().enumerate() {
        assert_eq!(
            found.is_none(),
            (30..50).contains(&frame),
            "frame {frame}: {found:?}"
        );
    }
    assert_eq!(outcome.summary.unmatched.len(), 1);
    let line = super::report::csv(&outcome)
        .lines()
        .nth(41)
        .unwrap()
        .to_owned();
    assert_eq!(line, "40,0.667000,,");
}

#[test]
fn a_reference_with_borders_and_a_logo_is_matched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let covered = |frame: f64, x: f64, y: f64| match (x, y) {
        (_, y) if !(0.13..0.87).contains(&y) => 16.0,
        (x, y) if (0.7..0.9).contains(&x) && (0.2..0.4).contains(&y) => 235.0,
        _ => film(frame, x, y),
    };
    let reference = write(folder, "reference.mkv", 60, 35, all(), covered);
    let brighter = |frame: f64, x: f64, y: f64| 10.0 + 0.9 * film(frame, x, y);
    let other = write(folder, "other.mkv", 60, 60, all().skip(15), brighter);
    let truth: Vec<f64> = all().skip(15).collect();
    check(&align(folder, &reference, &other, &[]), &truth, 60.0);
}

#[test]
fn a_film_placed_in_another_is_found_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inside = |frame: f64, x: f64, y: f64| {
        let (u, v) = ((x - 0.3) / 0.5, (y - 0.2) / 0.5);
        if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) {
            return film(frame, u, v);
        }
        90.0 + 50.0 * (31.0 * x).sin() * (19.0 * y).sin()
    };
    let reference = write(folder, "reference.mkv", 60, 75, all(), inside);
    let other = write(folder, "other.mkv", 60, 75, all().skip(15), film);
    let truth: Vec<f64> = all().skip(15).collect();
    let outcome = align(folder, &reference, &other, &[]);
    check(&outcome, &truth, 60.0);
    let place = outcome.place;
    for (found, wanted) in [
        (place.x, 0.3),
        (place.y, 0.2),
        (place.width, 0.5),
        (place.height, 0.5),
    ] {
        assert!((found - wanted).abs() < 0.02, "{place:?}");
    }
}

#[test]
fn a_dark_picture_in_which_little_moves_is_matched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "reference.mkv", 60, 85, all(), dark);
    let other = write(folder, "other.mkv", 60, 85, all().skip(15), dark);
    let truth: Vec<f64> = all().skip(15).collect();
    check(&align(folder, &reference, &other, &[]), &truth, 60.0);
}

#[test]
fn a_screen_that_rests_is_matched_anywhere_within_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "reference.mkv", 60, 85, all(), screen);
    let other = write(folder, "other.mkv", 60, 60, all().skip(7), screen);
    let truth: Vec<f64> = all().skip(7).collect();
    let outcome = align(folder, &reference, &other, &[]);
    // rests are put where the course is even
    check(&outcome, &truth, 60.0);
    assert!(
        outcome.summary.largest_drift_ms < 20.0,
        "{}",
        outcome.summary.largest_drift_ms
    );
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_kept_pictures_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let reference = write(folder, "<reference>.mkv", 60, 85, all().take(40), film);
    let other = write(folder, "other.mkv", 60, 60, all().skip(5).take(30), film);
    let first = align(folder, &reference, &other, &["--quality", "fast"]);
    let page = super::report::html(&first);
    assert!(page.contains("<svg") && page.contains("&lt;reference&gt;"));
    for outside in ["http", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(std::fs::read_dir(folder.join("cache")).unwrap().count(), 2);
    let again = align(folder, &reference, &other, &["--quality", "fast"]);
    assert_eq!(super::report::csv(&first), super::report::csv(&again));
}

#[test]
fn masks_are_rectangles_in_pixels() {
    let parse = |mask: &str| Line::try_parse_from(["align", "a", "b", "--mask", mask]);
    assert!(parse("0,10,20,30").is_ok());
    for mask in ["1,2,3", "1,2,3,4,5", "1,2,0,4", "a,b,c,d", "-1,2,3,4"] {
        assert!(parse(mask).is_err(), "{mask}");
    }
}
