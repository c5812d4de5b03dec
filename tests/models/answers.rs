//! Answers at a phase, of networks whose answers are known.

use super::*;

#[test]
fn motion_is_described_exactly() {
    for (stride, align) in [(1, 1), (2, 16), (4, 32)] {
        let mut network = load(
            &format!("motion{stride}.onnx"),
            &fixtures::constant_motion([8.0, -4.0], stride, align),
        );
        assert_eq!(network.info().name, "constant-motion");
        assert_eq!(network.info().align, align);
        let (_, [a, b]) = pair(&network, 50, 30);
        for phase in [0.25, 0.5, 0.75] {
            let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, phase) else {
                panic!("no motion");
            };
            let stride = stride as usize;
            assert_eq!(motion.width, 50_usize.next_multiple_of(align) / stride);
            assert_eq!(motion.height, 30_usize.next_multiple_of(align) / stride);
            assert_eq!(motion.unit, 1.0 / stride as f32);
            assert_eq!(motion.cover_x, 50.0 / stride as f32);
            assert_eq!(motion.cover_y, 30.0 / stride as f32);
            let expected = [
                8.0 * phase,
                -4.0 * phase,
                -8.0 * (1.0 - phase),
                4.0 * (1.0 - phase),
            ];
            let planes = motion.flow.chunks_exact(motion.width * motion.height);
            for (plane, expected) in planes.zip(expected) {
                assert!(plane.iter().all(|value| *value == expected));
            }
            assert!(motion.mask.iter().all(|value| *value == 1.0 - phase));
        }
    }
}

#[test]
fn every_form_of_timestep_is_fed() {
    let forms: [&[i64]; 5] = [&[], &[1], &[-1, 1], &[1, 1, 1, 1], &[1, 1, -1, -1]];
    for (i, form) in forms.into_iter().enumerate() {
        let mut network = load(
            &format!("blend{i}.onnx"),
            &fixtures::blend_with_timestep(form),
        );
        assert!(network.info().any_phase);
        let (pictures, prepared) = pair(&network, 61, 45);
        for phase in [0.1, 0.5, 0.9] {
            let found = estimate_picture(&mut network, &prepared, phase);
            assert_blend(&found, &pictures, phase);
        }
    }
}

#[test]
fn a_midpoint_only_network_halves_the_pair_and_its_halves() {
    let mut network = load("mean.onnx", &fixtures::mean());
    assert!(!network.info().any_phase);
    let (pictures, prepared) = pair(&network, 20, 10);
    // in any order
    for phase in [0.25, 0.5, 0.75, 0.125, 1.0 / 64.0] {
        let found = estimate_picture(&mut network, &prepared, phase);
        assert_blend(&found, &pictures, phase);
    }
    network.set_bisection_depth(2);
    assert_blend(
        &estimate_picture(&mut network, &prepared, 0.4),
        &pictures,
        0.5,
    );
    let [a, b] = &prepared;
    assert!(matches!(network.estimate(a, b, 0.1), Ok(Estimate::First)));
    assert!(matches!(network.estimate(a, b, 0.9), Ok(Estimate::Second)));
}

#[test]
fn what_was_made_of_one_pair_is_not_taken_for_another() {
    let mut network = load("mean5.onnx", &fixtures::mean());
    let (pictures, [a, mut b]) = pair(&network, 20, 10);
    let found = estimate_picture(&mut network, &[a.clone(), b.clone()], 0.25);
    assert_blend(&found, &pictures, 0.25);
    // the same storage, another picture
    let other = picture(20, 10, 7);
    network.prepare(&other, &mut b).expect("it fits");
    let [first, _] = pictures;
    let found = estimate_picture(&mut network, &[a, b], 0.25);
    assert_blend(&found, &[first, other], 0.25);
}

#[test]
fn a_midpoint_only_network_of_motion_gives_its_middle_or_an_original() {
    let bytes = fixtures::constant_motion([8.0, -4.0], 2, 16);
    let file = TemporaryFile::new("motion.onnx", &bytes);
    let midpoint = LoadOptions {
        info: "timestep=none".into(),
        ..options(file.path())
    };
    let mut network = Interpolator::load(&midpoint).expect("it loads");
    assert_eq!(network.info().kind, ModelKind::Motion);
    assert!(!network.info().any_phase);
    let (_, [a, b]) = pair(&network, 32, 32);
    for phase in [0.3, 0.5, 0.7] {
        let Ok(Estimate::Motion(motion)) = network.estimate(&a, &b, phase) else {
            panic!("no motion at {phase}");
        };
        assert_eq!((motion.flow[0], motion.mask[0]), (4.0, 0.5));
    }
    assert!(matches!(network.estimate(&a, &b, 0.2), Ok(Estimate::First)));
    assert!(matches!(
        network.estimate(&a, &b, 0.8),
        Ok(Estimate::Second)
    ));
}

#[test]
fn a_network_of_one_input_gets_the_coordinates_of_the_padded_picture() {
    for channel in 7..11 {
        let foreign = Foreign::new(Form::Stacked(11), Answer::Echo(channel));
        let mut network = load(&format!("echo{channel}.onnx"), &foreign.bytes());
        for (width, height) in [(40, 24), (100, 20)] {
            let (_, prepared) = pair(&network, width, height);
            let (w, h) = prepared[0].padded();
            let (sx, sy) = (2.0 / (w - 1) as f32, 2.0 / (h - 1) as f32);
            let found = estimate_picture(&mut network, &prepared, 0.5);
            for (i, found) in found.data.iter().enumerate() {
                let (x, y) = (i % width, i / width % height);
                let values = [x as f32 * sx - 1.0, y as f32 * sy - 1.0, sx, sy];
                let expected = (values[channel - 7] + 1.0) / 3.0;
                assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            }
        }
    }
}

#[test]
fn a_timestep_without_effect_is_found_out() {
    let shift = Foreign::new(Form::Stacked(7), Answer::Shift).bytes();
    let file = TemporaryFile::new("shift.onnx", &shift);
    let measured = Interpolator::load(&options(file.path())).expect("it loads");
    assert!(!measured.info().any_phase);
    let notes = measured.info().notes.join("\n");
    assert!(notes.contains("no effect"), "{notes}");
    let stated = LoadOptions {
        family: ModelFamily::Rife,
        ..options(file.path())
    };
    let believed = Interpolator::load(&stated).expect("it loads");
    assert!(believed.info().any_phase);
}
