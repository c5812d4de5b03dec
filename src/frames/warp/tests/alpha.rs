//! Planes of which not all shows.

use super::*;

/// Pixels of four bytes of which one is alpha: noise that shows wholly, in part, and not at all.
fn with_alpha(alpha: usize, seed: u64, opaque: bool) -> Vec<Owned> {
    let format = PlaneFormat {
        sample: U8,
        channels: 4,
        sub_x: 0,
        sub_y: 0,
        alpha: Some(alpha),
    };
    let mut plane = Owned::noise(61, 40, format, 0, seed);
    let mut random = Random(seed);
    for (at, pixel) in plane.data.chunks_exact_mut(4).enumerate() {
        let opacity = match (at % 61 / 7 + at / 61 / 5) % 3 {
            0 => 255,
            1 => 0,
            _ => random.next() as u8,
        };
        pixel[alpha] = if opaque { 255 } else { opacity };
    }
    vec![plane]
}

#[test]
fn fast_kernels_show_what_the_plain_way_shows() {
    for alpha in [0, 3] {
        for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
            let field = Field::noise(9, 7, 3.0, 11, 5);
            let (a, b) = (with_alpha(alpha, 3, false), with_alpha(alpha, 8, false));
            let (fast, plain) = both(&a, &b, &field.motion(1.0), sampling, 4);
            let (fast, plain) = (fast[0].samples(), plain[0].samples());
            for (got, want) in fast.chunks(4).zip(plain.chunks(4)) {
                assert!((got[alpha] - want[alpha]).abs() <= 1, "{got:?} {want:?}");
                for channel in 0..4 {
                    let shown = |pixel: &[i32]| pixel[channel] * pixel[alpha];
                    // a level, where all of it shows
                    let off = (shown(got) - shown(want)).abs();
                    assert!(channel == alpha || off <= 2 * 255, "{got:?} {want:?}");
                }
            }
        }
    }
}

#[test]
fn what_shows_wholly_is_made_as_without_alpha() {
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        let field = Field::noise(9, 7, 3.0, 11, 5);
        let made = |alpha| {
            let frames = [3, 8].map(|seed| {
                let mut frame = with_alpha(3, seed, true);
                frame[0].format.alpha = alpha;
                frame
            });
            let (fast, plain) = both(&frames[0], &frames[1], &field.motion(1.0), sampling, 0);
            [fast[0].samples(), plain[0].samples()]
        };
        assert_eq!(made(Some(3)), made(None));
    }
}

#[test]
fn what_does_not_show_leaves_no_rim() {
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        let disc = |from: usize| {
            let mut frame = with_alpha(3, 1, false);
            for (at, pixel) in frame[0].data.chunks_exact_mut(4).enumerate() {
                let inside = (from..from + 20).contains(&(at % 61));
                // black is stored where nothing shows
                pixel.fill(200 * u8::from(inside));
            }
            frame
        };
        let field = Field::flat([-1.3, 0.4, 1.3, -0.4], 0.6);
        let (fast, plain) = both(&disc(20), &disc(23), &field.motion(1.0), sampling, 0);
        for made in [fast, plain] {
            let mut seen = 0;
            for pixel in made[0].samples().chunks(4).filter(|pixel| pixel[3] > 0) {
                seen += 1;
                assert!(pixel[..3].iter().all(|c| (c - 200).abs() <= 1), "{pixel:?}");
            }
            assert!(seen > 800, "{seen}");
        }
    }
}
