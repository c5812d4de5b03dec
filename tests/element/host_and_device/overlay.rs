//! Tests of this project's networks on writing that stands still over a picture that moves.

use test_support::rig::*;

const WIDTH: usize = 384;
const HEIGHT: usize = 216;
/// Pixels that the background moves from one original to the next, across and down.
const PAN: (f32, f32) = (8.0, 2.0);

/// Letters of five by seven, a row a number, the leftmost dot the highest of five bits: V F I.
const LETTERS: [[u8; 7]; 3] = [
    [17, 17, 17, 17, 10, 10, 4],
    [31, 16, 16, 30, 16, 16, 16],
    [14, 4, 4, 4, 4, 4, 14],
];
/// Pixels to a dot, and where the first letter stands.
const DOT: usize = 3;
const AT: (usize, usize) = (60, 160);
const REPEATS: usize = 4;

/// Returns how far a pixel is within the writing: 2 on a letter, 1 on its dark rim, 0 elsewhere.
fn writing(x: usize, y: usize) -> u8 {
    let dot = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(AT.0), y.checked_sub(AT.1)) else {
            return false;
        };
        let (letter, column, row) = (x / (6 * DOT), x / DOT % 6, y / DOT);
        letter < REPEATS * LETTERS.len()
            && row < 7
            && column < 5
            && LETTERS[letter % LETTERS.len()][row] >> (4 - column) & 1 == 1
    };
    if dot(x, y) {
        return 2;
    }
    let near = |d: usize| (0..=2 * d).flat_map(move |i| (0..=2 * d).map(move |j| (i, j)));
    u8::from(near(2).any(|(i, j)| dot((x + i).wrapping_sub(2), (y + j).wrapping_sub(2))))
}

/// A smooth random value for a point: lattice noise of several sizes.
fn noise(x: f32, y: f32) -> f32 {
    let lattice = |x: i32, y: i32, octave: u32| {
        let mixed = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
        let mixed = (mixed ^ octave.wrapping_mul(0xc2b2_ae3d)).wrapping_mul(0x27d4_eb2f);
        (mixed ^ mixed >> 15).wrapping_mul(0x1656_67b1) as f32 / u32::MAX as f32 - 0.5
    };
    [(24.0, 90.0), (11.0, 50.0), (5.0, 30.0)]
        .iter()
        .zip(0..)
        .map(|((size, strength), octave)| {
            let (x, y) = (x / size, y / size);
            let (left, top) = (x.floor(), y.floor());
            let ease = |t: f32| t * t * (3.0 - 2.0 * t);
            let (u, v) = (ease(x - left), ease(y - top));
            let corner = |i, j| lattice(left as i32 + i, top as i32 + j, octave);
            let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
            let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
            strength * (upper + (lower - upper) * v)
        })
        .sum()
}

/// Returns the scene at an instant, counted in originals.
fn scene(time: f32) -> Vec<u8> {
    let mut picture = Vec::with_capacity(WIDTH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            picture.push(match writing(x, y) {
                2 => 235,
                1 => 20,
                _ => {
                    let (dx, dy) = (PAN.0 * time, PAN.1 * time);
                    (128.0 + noise(x as f32 + 500.0 - dx, y as f32 + 500.0 - dy)) as u8
                }
            });
        }
    }
    picture
}

/// Returns the mean difference of two pictures where `part` says so, in grey levels.
fn difference(a: &[u8], b: &[u8], part: impl Fn(usize, usize) -> bool) -> f64 {
    let inside = |i: &usize| part(i % WIDTH, i / WIDTH);
    let errors = (0..WIDTH * HEIGHT)
        .filter(inside)
        .map(|i| f64::from(a[i].abs_diff(b[i])));
    let count = (0..WIDTH * HEIGHT).filter(inside).count();
    errors.sum::<f64>() / count as f64
}

#[test]
fn writing_stays_still_and_sharp_before_a_moving_background() {
    for model in ["vfi-lite", "vfi-base"] {
        stays_still_and_sharp(model);
    }
}

fn stays_still_and_sharp(model: &str) {
    init();
    let element = gst::ElementFactory::make("vfiinterp")
        .property_from_str("execution-provider", "cpu")
        .property("model", model)
        .build()
        .unwrap();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let text = format!("GRAY8 {WIDTH}x{HEIGHT} 30/1");
    harness.set_src_caps(caps(&text));
    let ends = [scene(0.0), scene(1.0)];
    for (k, picture) in (0..).zip(&ends) {
        let mut buffer = frame(&info(&text), k);
        let target = buffer.make_mut();
        target.map_writable().unwrap().copy_from_slice(picture);
        harness.push(buffer).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let out = std::iter::from_fn(|| harness.pull_until_eos().unwrap());
    let made = bytes(&out.into_iter().nth(1).unwrap());
    let truth = scene(0.5);

    let on_writing = |x, y| writing(x, y) > 0;
    let off_writing = |x, y| writing(x, y) == 0 && (24..WIDTH - 24).contains(&x);
    let text_error = difference(&made, &truth, on_writing);
    let background_error = difference(&made, &truth, off_writing);
    let blend: Vec<u8> = ends[0]
        .iter()
        .zip(&ends[1])
        .map(|(a, b)| a.midpoint(*b))
        .collect();
    let blend_error = difference(&blend, &truth, off_writing);
    println!(
        "{model}: writing {text_error:.2}, background {background_error:.2}, blended {blend_error:.2}"
    );
    assert!(
        text_error < 2.0,
        "{model}: the writing is off by {text_error}"
    );
    assert!(
        background_error < blend_error / 4.0,
        "{model}: the background is off by {background_error}, blended by {blend_error}"
    );
}
