//! The labelled set: drawn scenes with cuts, and with all that is none.

mod drawn;

use self::drawn::*;
use super::*;
use crate::vfi_element::settings::Settings;

/// Returns the frames that a cut lies before.
fn cuts(frames: impl IntoIterator<Item = Vec<f32>>) -> Vec<usize> {
    changes(frames, Change::Cut)
}

/// Returns the frames that a change of this kind lies before.
fn changes(frames: impl IntoIterator<Item = Vec<f32>>, wanted: Change) -> Vec<usize> {
    let threshold = Settings::default().scene_threshold;
    let mut scenes = SceneDetector::default();
    let thumbnails: Vec<_> = frames
        .into_iter()
        .map(|luma| {
            let mut thumbnail = Thumbnail::default();
            thumbnail.set(&Picture {
                width: WIDTH,
                height: HEIGHT,
                data: luma.repeat(3),
            });
            thumbnail
        })
        .collect();
    let pairs = thumbnails.windows(2).enumerate();
    pairs
        .filter(|(_, pair)| scenes.judge(&pair[0], &pair[1], threshold) == wanted)
        .map(|(k, _)| k + 1)
        .collect()
}

const NONE: [usize; 0] = [];

/// Returns a calm shot of a scene: the camera moves a little.
fn calm(scene: u32, frames: usize) -> impl Iterator<Item = Vec<f32>> {
    (0..frames).map(move |k| Shot::of(scene).at(0.004 * k as f32, 0.0).take())
}

#[test]
fn cuts_are_found_where_they_are() {
    for scene in 0..30 {
        let frames = calm(scene, 6).chain(calm(scene + 1000, 6));
        assert_eq!(cuts(frames), [6], "from scene {scene}");
    }
}

#[test]
fn a_cut_in_the_midst_of_a_pan_is_found() {
    for scene in 0..8 {
        let pan = |scene: u32| (0..8).map(move |k| Shot::of(scene).at(0.05 * k as f32, 0.0).take());
        assert_eq!(
            cuts(pan(scene).chain(pan(scene + 500))),
            [8],
            "from scene {scene}"
        );
    }
}

#[test]
fn a_cut_after_one_frame_is_found() {
    assert_eq!(cuts(calm(1, 1).chain(calm(2, 1)).chain(calm(3, 2))), [1, 2]);
}

#[test]
fn cuts_in_quick_succession_are_found() {
    for length in 1..=4 {
        let shots = 0..40u32;
        let frames = shots.flat_map(|scene| {
            let pan = move |k: usize| Shot::of(scene * 37 + 5).at(0.02 * k as f32, 0.0).take();
            (0..length).map(pan)
        });
        assert_most_are_found(frames, length);
    }
}

/// Finds nine tenths of the 39 cuts between shots of so many frames, and no other.
fn assert_most_are_found(frames: impl Iterator<Item = Vec<f32>>, length: usize) {
    let found = cuts(frames);
    assert!(found.iter().all(|at| at % length == 0), "{found:?}");
    assert!(
        found.len() * 10 >= 39 * 9,
        "{length}: {} of 39",
        found.len()
    );
}

#[test]
fn cuts_between_pages_and_what_is_filmed_are_found() {
    for length in 1..=4 {
        let frames = (0..40u32).flat_map(|shot| {
            let filmed = move |k: usize| Shot::of(shot * 37 + 5).at(0.02 * k as f32, 0.0).lit(0.6);
            (0..length).map(move |k| match shot % 2 {
                0 => filmed(k).take(),
                _ => page(shot),
            })
        });
        assert_most_are_found(frames, length);
    }
}

#[test]
fn letterbox_and_pillarbox_hide_no_cut() {
    for scene in 0..8 {
        let frames = calm(scene, 4).chain(calm(scene + 1000, 4));
        let boxed = frames.map(|frame| letterbox(frame, 0.35));
        assert_eq!(cuts(boxed), [4], "from scene {scene}");
    }
}

#[test]
fn cuts_to_and_from_black_are_cuts() {
    let black = || std::iter::repeat_n(vec![0.02; WIDTH * HEIGHT], 5);
    assert_eq!(cuts(calm(4, 5).chain(black())), [5]);
    assert_eq!(cuts(black().chain(calm(4, 5))), [5]);
}

#[test]
fn pans_are_not_cuts() {
    for scene in 0..8 {
        for speed in [0.01, 0.03, 0.06, 0.1, 0.15] {
            let pan = (0..10).map(|k| Shot::of(scene).at(speed * k as f32, 0.3 * speed * k as f32));
            assert_eq!(
                cuts(pan.map(|shot| shot.take())),
                NONE,
                "scene {scene} at {speed}"
            );
        }
    }
}

#[test]
fn a_whip_pan_is_not_a_cut() {
    for scene in 0..8 {
        // Speeds up, whips round with the shutter open all the time, and slows down.
        let speeds = [
            0.0, 0.01, 0.03, 0.08, 0.15, 0.2, 0.2, 0.15, 0.08, 0.03, 0.01, 0.0,
        ];
        let mut x = 0.0;
        let frames = speeds.map(|speed| {
            let exposures =
                (0..8).map(|e| Shot::of(scene).at(x + speed * e as f32 / 8.0, 0.0).take());
            let sum = exposures.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect());
            x += speed;
            sum.unwrap().into_iter().map(|sum| sum / 8.0).collect()
        });
        assert_eq!(cuts(frames), NONE, "scene {scene}");
    }
}

#[test]
fn zooms_are_not_cuts() {
    for scene in 0..8 {
        for step in [1.02f32, 1.05, 1.1] {
            let zoom = |k: i32| Shot::of(scene).zoomed(step.powi(k)).take();
            assert_eq!(cuts((0..8).map(zoom)), NONE, "into scene {scene} by {step}");
            assert_eq!(
                cuts((0..8).rev().map(zoom)),
                NONE,
                "out of scene {scene} by {step}"
            );
        }
    }
}

#[test]
fn flashes_are_not_cuts() {
    for scene in 0..8 {
        for gain in [1.5, 2.0, 3.0] {
            let frames = (0..12).map(|k| {
                let gain = if k % 5 == 3 { gain } else { 1.0 };
                Shot::of(scene).at(0.005 * k as f32, 0.0).lit(gain).take()
            });
            assert_eq!(cuts(frames), NONE, "scene {scene} times {gain}");
        }
        let white = (0..10).map(|k| match k {
            4 => vec![1.0; WIDTH * HEIGHT],
            _ => Shot::of(scene).at(0.005 * k as f32, 0.0).take(),
        });
        assert_eq!(cuts(white), NONE, "scene {scene} and white");
    }
}

#[test]
fn a_camera_flash_on_half_the_scene_is_not_a_cut() {
    for scene in 0..8 {
        let frames = calm(scene, 10).enumerate().map(|(k, mut frame)| {
            if k == 5 {
                for row in frame.chunks_exact_mut(WIDTH) {
                    for (x, luma) in row.iter_mut().enumerate() {
                        *luma = (*luma * (1.0 + 2.5 * (1.0 - x as f32 / WIDTH as f32))).min(1.0);
                    }
                }
            }
            frame
        });
        assert_eq!(cuts(frames), NONE, "scene {scene}");
    }
}

#[test]
fn fades_are_not_cuts() {
    for scene in 0..8 {
        for frames in [5, 12, 24] {
            let fade = |k: usize| {
                let light = (k as f32 / frames as f32).min(1.0);
                Shot::of(scene).at(0.003 * k as f32, 0.0).lit(light).take()
            };
            assert_eq!(
                cuts((0..frames + 3).map(fade)),
                NONE,
                "scene {scene} in {frames} in"
            );
            assert_eq!(
                cuts((0..frames + 3).rev().map(fade)),
                NONE,
                "scene {scene} in {frames} out"
            );
        }
    }
}

#[test]
fn crossfades_are_not_cuts() {
    for scene in 0..8 {
        for frames in [8, 12, 24] {
            let fade = (0..frames + 4).map(|k| {
                let shot = |scene| Shot::of(scene).at(0.003 * k as f32, 0.0).take();
                let part = (k as f32 - 2.0) / frames as f32;
                blend(&shot(scene), &shot(scene + 700), part.clamp(0.0, 1.0))
            });
            assert_eq!(cuts(fade), NONE, "scene {scene} in {frames}");
        }
    }
}

#[test]
fn exposure_that_jumps_is_not_a_cut() {
    for scene in 0..8 {
        for gain in [0.5, 0.7, 1.4] {
            let frames = (0..10).map(|k| {
                let gain = if k < 5 { 1.0 } else { gain };
                Shot::of(scene).at(0.005 * k as f32, 0.0).lit(gain).take()
            });
            assert_eq!(cuts(frames), NONE, "scene {scene} times {gain}");
        }
    }
}

#[test]
fn noise_is_not_a_cut() {
    for scene in 0..5 {
        let noise = calm(scene, 8)
            .zip(0..)
            .map(|(frame, k)| noisy(frame, 0.15, k));
        assert_eq!(cuts(noise), NONE, "scene {scene}");
        let dark = (0..8).map(|k| noisy(Shot::of(scene).lit(0.15).take(), 0.1, k));
        assert_eq!(cuts(dark), NONE, "scene {scene} at night");
    }
}

#[test]
fn something_large_that_comes_in_is_not_a_cut() {
    for scene in 0..8 {
        let frames = calm(scene, 12).enumerate().map(|(k, mut frame)| {
            let edge = (k * WIDTH / 10).min(WIDTH * 6 / 10);
            let other = Shot::of(scene + 300).at(-(k as f32) / 10.0, 0.0).take();
            for (row, other) in frame.chunks_exact_mut(WIDTH).zip(other.chunks_exact(WIDTH)) {
                row[..edge].copy_from_slice(&other[..edge]);
            }
            frame
        });
        assert_eq!(cuts(frames), NONE, "scene {scene}");
    }
}

#[test]
fn subtitles_that_come_and_go_are_not_cuts() {
    let frames = calm(8, 12).enumerate().map(|(k, frame)| {
        let mut frame = letterbox(frame, 0.15);
        if (3..8).contains(&k) {
            for y in HEIGHT - 12..HEIGHT - 6 {
                for x in (30..130).filter(|x| x % 3 != 0) {
                    frame[y * WIDTH + x] = 0.9;
                }
            }
        }
        frame
    });
    assert_eq!(cuts(frames), NONE);
}

#[test]
fn light_that_jumps_is_told_from_motion() {
    for scene in 0..8 {
        for gain in [0.6, 1.7, 2.0] {
            let frames = (0..8).map(|k| {
                let gain = if k == 4 { gain } else { 1.0 };
                Shot::of(scene).at(0.02 * k as f32, 0.0).lit(gain).take()
            });
            let found = changes(frames, Change::Light);
            assert_eq!(found, [4, 5], "scene {scene} times {gain}");
        }
        let pan = (0..8).map(|k| Shot::of(scene).at(0.05 * k as f32, 0.0).take());
        assert_eq!(changes(pan, Change::Light), NONE, "scene {scene}");
        let slow = (0..8).map(|k| Shot::of(scene).lit(1.0 - 0.02 * k as f32).take());
        assert_eq!(changes(slow, Change::Light), NONE, "scene {scene}");
    }
}

#[test]
fn light_that_changes_evenly_is_told_from_a_flash() {
    for scene in 0..8 {
        for (before, after) in [(1.0, 0.75), (1.0, 0.85), (0.85, 1.0), (0.75, 1.0)] {
            let frames = (0..8).map(|k| {
                let gain = if k < 4 { before } else { after };
                Shot::of(scene).at(0.02 * k as f32, 0.0).lit(gain).take()
            });
            let found = changes(frames, Change::Exposure);
            assert_eq!(found, [4], "scene {scene}, {before} to {after}");
        }
        let half = (0..8).map(|k| {
            let mut frame = Shot::of(scene).at(0.01 * k as f32, 0.0).take();
            if k >= 4 {
                frame
                    .chunks_exact_mut(WIDTH)
                    .for_each(|row| row[..WIDTH / 2].iter_mut().for_each(|luma| *luma += 0.15));
            }
            frame
        });
        assert_eq!(changes(half, Change::Light), [4], "scene {scene}");
    }
}

#[test]
fn thumbnails_are_the_means_of_their_cells() {
    let mut thumbnail = Thumbnail::default();
    let mut picture = Picture::new(130, 65);
    for (i, value) in picture.data.iter_mut().enumerate() {
        *value = (i % 130) as f32 / 130.0;
    }
    thumbnail.set(&picture);
    assert_eq!((thumbnail.width, thumbnail.height), (64, 32));
    // The first cell spans two columns, and the last three.
    let last = thumbnail.luma[64 * 32 - 1];
    assert!((thumbnail.luma[0] - 0.5 / 130.0).abs() < 1e-5);
    assert!((last - 128.0 / 130.0).abs() < 1e-5, "{last}");
    // Another size leaves nothing of the first; small pictures stay as they are.
    thumbnail.set(&Picture::new(16, 20));
    assert_eq!(thumbnail.luma, [0.0; 320]);
}

#[test]
fn pictures_of_any_size_can_be_judged() {
    for (width, height) in [
        (1, 1),
        (2, 3),
        (16, 1),
        (1, 300),
        (7, 640),
        (640, 7),
        (65, 65),
    ] {
        let mut thumbnails = [Thumbnail::default(), Thumbnail::default()];
        for (shade, thumbnail) in thumbnails.iter_mut().enumerate() {
            let mut picture = Picture::new(width, height);
            for (i, value) in picture.data.iter_mut().enumerate() {
                *value = random(shade as u32, i as i32, 0, 0);
            }
            thumbnail.set(&picture);
        }
        let [a, b] = &thumbnails;
        assert_eq!(
            SceneDetector::default().judge(a, a, 0.1),
            Change::None,
            "{width}x{height}"
        );
        assert_ne!(
            SceneDetector::default().judge(a, b, 0.1),
            Change::Light,
            "{width}x{height}"
        );
    }
}
