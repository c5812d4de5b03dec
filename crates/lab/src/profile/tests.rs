//! Advice on figures that were put together, and logs that were written down.

use std::fs;

use clap::Parser;

use super::advice::{Advice, Cause, Quantity};
use super::log::Log;
use super::measured::{Element, Frames, Measured, Steps};
use super::stack::{boundaries, spend};
use super::watch::Change;
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn arguments(words: &[&str]) -> Args {
    let words = std::iter::once("profile").chain(words.iter().copied());
    Line::try_parse_from(words).unwrap().args
}

fn element(name: &str, factory: &str, thread: &str, work: f64) -> Element {
    Element {
        name: name.into(),
        factory: factory.into(),
        thread: thread.into(),
        work,
        ..Element::default()
    }
}

/// Ten seconds of `videotestsrc ! vfiinterp ! queue ! x264enc ! filesink` on four processors: the
/// element works for `own` of them, nine tenths of that in the network, and the encoder for
/// `encoder`, on a thread of its own or on the element's.
fn pipeline(own: f64, encoder: f64, has_queue: bool) -> Measured {
    let thread = if has_queue { "queue0" } else { "vfi" };
    Measured {
        seconds: 10.0,
        cores: 4,
        cpu: Some(own + encoder),
        interpolator: "vfi".into(),
        steps: Some(Steps {
            network: 0.9 * own,
            warp: 0.1 * own,
            ..Steps::default()
        }),
        frames: Frames {
            originals: 100.0,
            synthesised: 100.0,
            ..Frames::default()
        },
        downscale: 2.0,
        elements: vec![
            element("source", "videotestsrc", "source", 0.5),
            element("vfi", "vfiinterp", "vfi", own),
            element("encoder", "x264enc", thread, encoder),
        ],
        behind: measured::Behind {
            same_thread: if has_queue {
                Vec::new()
            } else {
                vec!["encoder".into()]
            },
            ..measured::Behind::default()
        },
        ..Measured::default()
    }
}

fn first(measured: &Measured) -> Advice {
    advise(measured).into_iter().next().unwrap()
}

fn set(element: &str, property: &str, value: &str) -> Vec<Change> {
    let [element, property, value] = [element, property, value].map(str::to_owned);
    vec![Change::Set {
        element,
        property,
        value,
    }]
}

fn is_about(gain: Option<f64>, wanted: f64) -> bool {
    gain.is_some_and(|gain| (gain / wanted - 1.0).abs() < 0.02)
}

#[test]
fn a_slow_network_is_to_see_smaller_pictures() {
    let advice = first(&pipeline(9.8, 2.0, true));
    assert_eq!(advice.cause, Cause::Network);
    assert_eq!(advice.changes, set("vfi", "downscale", "4"));
    // a quarter of nine tenths, and the tenth that stays
    assert!(is_about(advice.gain, 1.0 / 0.325), "{advice:?}");
    assert!(words(&advice).contains("90 %"), "{}", words(&advice));
}

#[test]
fn what_is_next_limits_what_a_faster_network_brings() {
    let advice = first(&pipeline(9.8, 4.9, true));
    assert_eq!(advice.cause, Cause::Network);
    assert!(is_about(advice.gain, 2.0), "{advice:?}");
}

#[test]
fn what_works_behind_the_element_on_its_thread_wants_a_queue() {
    let advice = first(&pipeline(5.0, 4.8, false));
    assert_eq!(advice.cause, Cause::NoQueue);
    assert_eq!(
        advice.changes,
        [Change::Queue {
            behind: "vfi".into()
        }]
    );
    assert!(is_about(advice.gain, 9.8 / 5.0), "{advice:?}");
    assert!(advice.text.contains("vfiinterp ! queue ! encoder"));
}

#[test]
fn a_queue_brings_nothing_where_all_processors_are_at_work() {
    let busy = Measured {
        cores: 1,
        ..pipeline(5.0, 4.8, false)
    };
    assert!(
        advise(&busy)
            .iter()
            .all(|advice| advice.cause != Cause::NoQueue)
    );
}

#[test]
fn a_slow_encoder_is_named_with_a_faster_setting() {
    let advice = first(&pipeline(3.0, 9.7, true));
    assert_eq!(
        (advice.cause, advice.element.as_str()),
        (Cause::Element, "encoder")
    );
    assert_eq!(advice.changes, set("encoder", "speed-preset", "ultrafast"));
    assert!(is_about(advice.gain, 9.7 / 3.0), "{advice:?}");
}

#[test]
fn an_unknown_slow_element_is_named_with_what_it_would_bring_at_most() {
    let mut measured = pipeline(3.0, 9.7, true);
    measured.elements[2].factory = "someenc".into();
    let advice = first(&measured);
    assert_eq!(
        (advice.cause, advice.element.as_str()),
        (Cause::Element, "encoder")
    );
    assert!(advice.changes.is_empty());
    assert!(advice.text.contains("at most"));
}

/// A pipeline whose sink waits for the clock behind a tee, and falls behind.
fn falling_behind(qos: bool) -> Measured {
    let mut measured = pipeline(9.8, 0.0, true);
    measured.behind.divides_at = Some("t".into());
    measured.behind.paced_sinks = vec![("sink".into(), qos)];
    measured.real_time = Some(0.25);
    measured
}

#[test]
fn a_sink_that_sends_no_qos_is_told_to() {
    let advice = first(&falling_behind(false));
    assert_eq!(
        (advice.cause, advice.of),
        (Cause::NoQos, Quantity::RealTime)
    );
    assert_eq!(advice.changes, set("sink", "qos", "true"));
    assert!(is_about(advice.gain, 4.0), "{advice:?}");
    let others = advise(&falling_behind(true));
    assert!(others.iter().all(|advice| advice.cause != Cause::NoQos));
}

#[test]
fn what_keeps_up_with_the_clock_needs_no_advice() {
    let mut measured = pipeline(9.0, 2.0, true);
    measured.behind.paced_sinks = vec![("sink".into(), true)];
    measured.real_time = Some(1.0);
    assert_eq!(advise(&measured), []);
}

#[test]
fn frames_that_a_clock_leaves_no_time_for_are_all_that_is_gained() {
    let mut measured = pipeline(9.0, 2.0, true);
    measured.behind.paced_sinks = vec![("sink".into(), true)];
    measured.real_time = Some(1.0);
    measured.frames.late = 90.0;
    let advice = first(&measured);
    assert_eq!(advice.cause, Cause::Network);
    // 190 frames would take 17.1 seconds: the first divisor that brings that below 9
    assert_eq!(advice.changes, set("vfi", "downscale", "3"));
    assert!(is_about(advice.gain, 290.0 / 200.0), "{advice:?}");
}

#[test]
fn waits_for_a_shared_session_are_told() {
    let mut measured = pipeline(9.8, 2.0, true);
    measured.steps.as_mut().unwrap().session = 3.0;
    measured.waits.insert("contentions".into(), 42.0);
    let found = advise(&measured);
    let session = found
        .iter()
        .find(|advice| advice.cause == Cause::Session)
        .unwrap();
    assert!(session.text.contains("42 times"), "{}", session.text);
}

/// Lines as GStreamer's tracers write them: a source that pushes into the element, which pushes into
/// an encoder, which pushes into a sink.
fn lines(returns: bool) -> String {
    let mut text = String::from("0:00:00.000000001 7 0xa DEBUG other file.c:1:f:<x> nothing\n");
    let mut add = |thread: &str, words: &str| {
        text += &format!("0:00:00.000000001  7 {thread} TRACE  GST_TRACER :0:: {words}\n");
    };
    let names = [
        ("source", "GstVideoTestSrc"),
        ("vfi", "GstVfiInterp"),
        ("encoder", "GstX264Enc"),
        ("sink", "GstFakeSink"),
    ];
    for (number, (name, kind)) in names.iter().enumerate() {
        add(
            "0xa",
            &format!(
                "new-element, thread-id=(guint64)1, ts=(guint64)1, ix=(uint){number}, parent-ix=(uint)4294967295, \
             name=(string){name}, type=(string){kind}, is-bin=(boolean)0;"
            ),
        );
    }
    let buffer = |at: u64, from: u64, to: u64| {
        format!(
            "buffer, thread-id=(guint64)1, ts=(guint64){at}, pad-ix=(uint)0, element-ix=(uint){from}, \
             peer-pad-ix=(uint)0, peer-element-ix=(uint){to}, buffer-size=(uint)1, have-buffer-pts=(boolean)1, \
             buffer-pts=(guint64){at}, have-buffer-dts=(boolean)0;"
        )
    };
    let done = |at: u64, name: &str| format!("return, element=(string){name}, ts=(guint64){at};");
    for round in 0..20 {
        let at = round * 1000;
        add("0xa", &buffer(at, 0, 1));
        add("0xb", &buffer(at + 600, 1, 2));
        add("0xb", &buffer(at + 800, 2, 3));
        if returns {
            add("0xa", &done(at + 50, "source"));
            add("0xb", &done(at + 900, "encoder"));
            add("0xb", &done(at + 950, "vfi"));
        }
        add(
            "0xb",
            &format!(
                "element-latency, element-id=(string)0x1, element=(string)encoder, src=(string)src, \
             time=(guint64)200, ts=(guint64){at};"
            ),
        );
    }
    text
}

fn log_of(text: &str) -> Result<Log> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("trace.log");
    fs::write(&file, text)?;
    Log::read(&file)
}

#[test]
fn the_tracers_log_says_who_works_on_which_thread() {
    let (measured, _) = measure(&log_of(&lines(true)).unwrap()).unwrap();
    let part = |name: &str| {
        let element = measured
            .elements
            .iter()
            .find(|element| element.name == name);
        let element = element.unwrap();
        (
            element.thread.clone(),
            (element.work / measured.seconds * 100.0).round(),
        )
    };
    assert_eq!(measured.interpolator, "vfi");
    assert_eq!(part("encoder"), ("vfi".into(), 25.0));
    assert_eq!(part("sink"), ("vfi".into(), 10.0));
    assert_eq!(measured.behind.same_thread, ["encoder", "sink"]);
    let encoder = measured
        .elements
        .iter()
        .find(|element| element.name == "encoder");
    assert_eq!(encoder.unwrap().latency, Some((200e-9, 200e-9)));
}

#[test]
fn without_returns_a_push_lasts_until_the_next_one() {
    let log = log_of(&lines(false)).unwrap();
    let boundaries = boundaries(&log.moments);
    assert_eq!(Vec::from_iter(boundaries.clone()), [1]);
    let spent = spend(&log.moments, (0, 19_000), &boundaries);
    let vfi = spent.iter().find(|thread| thread.root == 1).unwrap();
    assert_eq!(vfi.paths[&vec![1, 2]], 19 * 200);
    // the sink is given what the encoder and the element did after it
    assert_eq!(vfi.paths[&vec![1, 2, 3]], 18 * 800 + 200);
}

#[test]
fn colours_of_a_terminal_do_no_harm() {
    let coloured = lines(true).replace("TRACE ", "\u{1b}[37mTRACE\u{1b}[00m ");
    let (plain, coloured) = (log_of(&lines(true)).unwrap(), log_of(&coloured).unwrap());
    assert_eq!(plain, coloured);
}

#[test]
fn what_is_no_log_or_pipeline_is_one_error() {
    crate::init().unwrap();
    let said = |subject: &str| format!("{:#}", profile(&arguments(&[subject])).unwrap_err());
    assert!(said("nowhere.log").contains("nowhere.log: no such file"));
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(said(text).contains("Cargo.toml: it holds no frames that GStreamer's tracers"));
    assert!(said("videotestsrc ! nosuchelement").contains("no pipeline: "));
    assert!(said("videotestsrc ! fakesink").contains("no vfiinterp is in the pipeline"));
    let error = log_of(&lines(true).replace("type=(string)GstVfiInterp", "type=(string)Gst"));
    let error = measure(&error.unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("no vfiinterp is among the elements: encoder, sink"),
        "{error}"
    );
    let cut = lines(true);
    let cut = cut.split_at(cut.len() - 40).0;
    let error = format!("{:#}", log_of(cut).unwrap_err());
    assert!(error.contains("is no whole record"), "{error}");
}
