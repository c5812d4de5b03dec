//! Planes of which not all shows.

use super::*;

/// Sample, channels, and which of these is alpha.
const WITH_ALPHA: [(Sample, usize, usize); 6] = [
    (U8, 4, 0),
    (U8, 4, 3),
    (U8, 2, 1),
    (U8, 3, 2),
    (SIXTEEN, 4, 0),
    (TEN, 4, 3),
];

/// Pixels of which one channel is alpha: noise that shows wholly, in part, and not at all.
fn with_alpha(
    (sample, channels, alpha): (Sample, usize, usize),
    seed: u64,
    opaque: bool,
) -> Vec<Owned> {
    let format = PlaneFormat {
        sample,
        channels,
        sub_x: 0,
        sub_y: 0,
        alpha: Some(alpha),
    };
    let mut plane = Owned::noise(61, 40, format, 0, seed);
    let (pixel, bytes) = (format.pixel_bytes(), sample.bytes());
    for (at, pixel) in plane.data.chunks_exact_mut(pixel).enumerate() {
        let opacity = &mut pixel[alpha * bytes..(alpha + 1) * bytes];
        let all = &(sample.most() as u16).to_ne_bytes()[..bytes];
        match (at % 61 / 7 + at / 61 / 5) % 3 {
            _ if opaque => opacity.copy_from_slice(all),
            0 => opacity.copy_from_slice(all),
            1 => opacity.fill(0),
            // noise
            _ => {}
        }
    }
    vec![plane]
}

#[test]
fn fast_kernels_show_what_the_plain_way_shows() {
    for kind @ (sample, channels, alpha) in WITH_ALPHA {
        for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
            let field = Field::noise(9, 7, 3.0, 11, 5);
            let (a, b) = (with_alpha(kind, 3, false), with_alpha(kind, 8, false));
            let (fast, plain) = both(&a, &b, &field.motion(1.0), sampling, 4);
            let (fast, plain) = (fast[0].samples(), plain[0].samples());
            let allowed = i64::from(allowed(sample, &field.motion(1.0)));
            for (got, want) in fast.chunks(channels).zip(plain.chunks(channels)) {
                let off = i64::from(got[alpha].abs_diff(want[alpha]));
                assert!(off <= allowed, "{kind:?} {got:?} {want:?}");
                for channel in (0..channels).filter(|&channel| channel != alpha) {
                    let shown = |pixel: &[i32]| i64::from(pixel[channel]) * i64::from(pixel[alpha]);
                    // a level, where all of it shows
                    let off = (shown(got) - shown(want)).abs();
                    let most = 2 * allowed * i64::from(sample.most());
                    assert!(off <= most, "{kind:?} {got:?} {want:?}");
                }
            }
        }
    }
}

#[test]
fn what_shows_wholly_is_made_as_without_alpha() {
    for kind @ (_, _, alpha) in WITH_ALPHA {
        for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
            let field = Field::noise(9, 7, 3.0, 11, 5);
            let made = |alpha| {
                let frames = [3, 8].map(|seed| {
                    let mut frame = with_alpha(kind, seed, true);
                    frame[0].format.alpha = alpha;
                    frame
                });
                let (fast, plain) = both(&frames[0], &frames[1], &field.motion(1.0), sampling, 0);
                [fast[0].samples(), plain[0].samples()]
            };
            assert_eq!(made(Some(alpha)), made(None), "{kind:?}");
        }
    }
}

#[test]
fn what_does_not_show_leaves_no_rim() {
    for sampling in [Sampling::Bilinear, Sampling::Bicubic] {
        let disc = |from: usize| {
            let mut frame = with_alpha((U8, 4, 3), 1, false);
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
