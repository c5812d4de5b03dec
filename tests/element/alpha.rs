//! Frames of which not all shows.

use gst::prelude::*;
use test_support::fixtures;
use test_support::rig::*;

const WIDTH: usize = 192;
const HEIGHT: usize = 128;

/// A disc round `x`, and whether it or all else shows; the colour of what shows is stored there,
/// `hidden` elsewhere.
#[derive(Clone, Copy)]
struct Disc {
    x: f32,
    shows: bool,
    colour: [u8; 3],
    hidden: u8,
}

impl Disc {
    fn pixels(self) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(4 * WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let inside = (x as f32 - self.x).hypot(y as f32 - 64.0) < 28.0;
                let shows = inside == self.shows;
                pixels.extend(if shows { self.colour } else { [self.hidden; 3] });
                pixels.push(255 * u8::from(shows));
            }
        }
        pixels
    }
}

/// Returns the frame that an element makes between two.
fn between(element: &gst::Element, discs: [Disc; 2]) -> Vec<u8> {
    element.set_property_from_str("execution-provider", "cpu");
    let mut harness = gst_check::Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_live(false);
    harness.play();
    let text = format!("RGBA {WIDTH}x{HEIGHT} 30/1");
    harness.set_src_caps(caps(&text));
    for (k, disc) in (0..).zip(discs) {
        let mut buffer = frame(&info(&text), k);
        let memory = buffer.make_mut();
        let mut map = memory.map_writable().unwrap();
        map.copy_from_slice(&disc.pixels());
        drop(map);
        harness.push(buffer).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let mut out = std::iter::from_fn(|| harness.pull_until_eos().unwrap());
    bytes(&out.nth(1).unwrap())
}

fn vfiinterp() -> gst::Element {
    init();
    gst::ElementFactory::make("vfiinterp").build().unwrap()
}

/// Asserts that over white, white stays white.
#[track_caller]
fn assert_no_rim(made: &[u8]) {
    let over_white = |pixel: &[u8]| {
        let colour = pixel[..3].iter().min().copied();
        let [colour, alpha] = [colour.unwrap(), pixel[3]].map(f32::from);
        (colour * alpha + 255.0 * (255.0 - alpha)) / 255.0
    };
    let darkest = made.chunks_exact(4).map(over_white).fold(255.0, f32::min);
    assert!(darkest > 250.0, "{darkest}");
}

#[test]
fn what_moves_leaves_no_rim() {
    let disc = |x| Disc {
        x,
        shows: true,
        colour: [255; 3],
        hidden: 0,
    };
    for upscale in ["motion", "image"] {
        let element = vfiinterp();
        element.set_property_from_str("upscale", upscale);
        assert_no_rim(&between(&element, [disc(60.0), disc(68.0)]));
    }
}

#[test]
fn of_pictures_colours_and_alpha_go_together() {
    let disc = |x| Disc {
        x,
        shows: true,
        colour: [255; 3],
        hidden: 0,
    };
    let element = vfiinterp();
    let model = TemporaryFile::new("mean.onnx", &fixtures::mean());
    element.set_property("model", model.path());
    let made = between(&element, [disc(60.0), disc(68.0)]);
    assert_no_rim(&made);
    let alpha = |x: usize| made[4 * (64 * WIDTH + x) + 3];
    assert_eq!((alpha(64), alpha(10)), (255, 0));
    // on one of the two only
    assert!(alpha(35).abs_diff(128) <= 2, "{}", alpha(35));
}

#[test]
fn a_hole_that_moves_in_one_colour_is_followed() {
    for colour in [[0; 3], [128; 3], [255; 3], MAGENTA, GREEN] {
        assert_followed(|x| Disc {
            x,
            shows: false,
            colour,
            hidden: 255,
        });
    }
}

#[test]
fn a_disc_that_moves_in_one_colour_is_followed() {
    for colour in [[0; 3], [128; 3], [255; 3], MAGENTA, GREEN] {
        assert_followed(|x| Disc {
            x,
            shows: true,
            colour,
            hidden: 0,
        });
    }
}

const MAGENTA: [u8; 3] = [255, 0, 255];
const GREEN: [u8; 3] = [0, 255, 0];

/// Alpha between two is what lies between them, not a crossfade.
#[track_caller]
fn assert_followed(disc: impl Fn(f32) -> Disc) {
    let [first, last] = [disc(60.0), disc(72.0)];
    let made = between(&vfiinterp(), [first, last]);
    let truth = disc(66.0).pixels();
    let error = |made: &[u8]| {
        let squares = made.iter().zip(&truth).skip(3).step_by(4);
        squares
            .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))
            .sum::<f64>()
    };
    let fade = first.pixels().into_iter().zip(last.pixels());
    let fade: Vec<u8> = fade.map(|(a, b)| a.midpoint(b)).collect();
    let (found, faded) = (error(&made), error(&fade));
    // 10 dB
    assert!(
        found * 10.0 < faded,
        "{:?}: {found}, {faded} by fading",
        first.colour
    );
}
