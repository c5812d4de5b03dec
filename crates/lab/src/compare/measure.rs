//! Figures of one made frame.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic};

use super::motion;
use super::planar::Planar;
use crate::luma::Luma;
use crate::metrics;

/// Figures of a frame, as far as there is a true one to compare with, or means of such.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Of luma, in dB.
    pub(super) psnr: Option<f64>,
    /// Of all planes, in dB.
    pub(super) psnr_all: Option<f64>,
    /// Of luma.
    pub(super) ssim: Option<f64>,
    /// Of all planes.
    pub(super) ssim_all: Option<f64>,
    pub(super) ssimulacra2: Option<f64>,
    /// Of luma where motion diverges, in dB.
    pub(super) psnr_div: Option<f64>,
    /// Mean squared gradient as a part of the true frame's, or of that of the originals around.
    pub(super) edges: Option<f64>,
    /// Distance of the mean from that of the originals around, in levels of 255.
    pub(super) flicker_luma: Option<f64>,
    pub(super) flicker_chroma: Option<f64>,
}

/// A measure: its name in files, its title, its decimals, whether more is better, and its value.
pub(super) struct Measure {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) digits: usize,
    pub(super) value: fn(&Figures) -> Option<f64>,
    value_mut: fn(&mut Figures) -> &mut Option<f64>,
}

/// Declares a measure by its field.
macro_rules! measure {
    ($field:ident, $title:literal, $digits:literal) => {
        Measure {
            key: stringify!($field),
            title: $title,
            digits: $digits,
            value: |figures| figures.$field,
            value_mut: |figures| &mut figures.$field,
        }
    };
}

/// All measures.
pub(super) const MEASURES: [Measure; 9] = [
    measure!(ssimulacra2, "SSIMULACRA2", 2),
    measure!(psnr, "PSNR (dB)", 2),
    measure!(psnr_all, "PSNR, all planes (dB)", 2),
    measure!(psnr_div, "PSNR where motion diverges (dB)", 2),
    measure!(ssim, "SSIM", 4),
    measure!(ssim_all, "SSIM, all planes", 4),
    measure!(edges, "Edges", 3),
    measure!(flicker_luma, "Flicker, luma", 3),
    measure!(flicker_chroma, "Flicker, chroma", 3),
];

impl Figures {
    /// Returns the mean of each figure over those that have it.
    pub(super) fn mean<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mut mean = Self::default();
        for measure in &MEASURES {
            let known = all.clone().filter_map(measure.value);
            let (sum, count) = known.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
            *(measure.value_mut)(&mut mean) = (count > 0).then(|| sum / f64::from(count));
        }
        mean
    }
}

/// The originals around a made frame, and where between them it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) before: &'a Planar,
    pub(super) after: &'a Planar,
    pub(super) phase: f64,
}

/// Measures a frame, beside the true one where there is one. `next` is the frame that came after it.
pub(super) fn measure(
    made: &Planar,
    next: &Planar,
    wanted: Option<&Planar>,
    place: &Place<'_>,
) -> Result<Figures> {
    let around = |value: fn(&Luma) -> f64, plane: usize| {
        let (a, b) = (&place.before.planes[plane], &place.after.planes[plane]);
        value(a) * (1.0 - place.phase) + value(b) * place.phase
    };
    let flicker = |plane: usize| (mean(&made.planes[plane]) - around(mean, plane)).abs();
    let edges = metrics::edges(made.luma());
    let likely = wanted.map_or_else(
        || around(metrics::edges, 0),
        |wanted| metrics::edges(wanted.luma()),
    );
    let own = Figures {
        edges: (likely > 0.0).then(|| edges / likely),
        flicker_luma: Some(flicker(0)),
        flicker_chroma: Some(flicker(1).max(flicker(2))),
        ..Figures::default()
    };
    let Some(wanted) = wanted else {
        return Ok(own);
    };
    let (all, ssim_all) = whole(made, wanted)?;
    Ok(Figures {
        psnr: Some(metrics::psnr(made.luma(), wanted.luma())?),
        psnr_all: Some(all),
        ssim: Some(metrics::ssim_of_blocks(made.luma(), wanted.luma())?),
        ssim_all,
        ssimulacra2: Some(ssimulacra2(made, wanted)?),
        psnr_div: motion::psnr_of_divergence(made.luma(), next.luma(), wanted.luma())?,
        ..own
    })
}

fn mean(luma: &Luma) -> f64 {
    let sum: u64 = luma.data.iter().map(|value| u64::from(*value)).sum();
    sum as f64 / luma.data.len().max(1) as f64
}

/// Returns PSNR and SSIM over all planes, each by its size, as ffmpeg has them; no SSIM where chroma
/// is too small for it.
fn whole(made: &Planar, wanted: &Planar) -> Result<(f64, Option<f64>)> {
    let pairs = || made.planes.iter().zip(&wanted.planes);
    let size: usize = made.planes.iter().map(|plane| plane.data.len()).sum();
    let (mut error, mut likeness) = (0u64, Some(0.0));
    for (made, wanted) in pairs() {
        made.same_size(wanted)?;
        let each = made.data.iter().zip(&wanted.data);
        error += each
            .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
            .sum::<u64>();
        let ssim = metrics::ssim_of_blocks(made, wanted).ok();
        likeness = likeness
            .zip(ssim)
            .map(|(sum, ssim)| sum + ssim * made.data.len() as f64);
    }
    let mean = error as f64 / size.max(1) as f64;
    let psnr = (10.0 * (255.0 * 255.0 / mean).log10()).min(metrics::MOST_DB);
    Ok((psnr, likeness.map(|sum| sum / size as f64)))
}

fn ssimulacra2(made: &Planar, wanted: &Planar) -> Result<f64> {
    let of = |frame: &Planar| -> Result<Rgb> {
        let bytes = frame.rgb()?;
        let pixels = bytes.as_chunks::<3>().0.iter();
        let pixels = pixels.map(|pixel| pixel.map(|value| f32::from(value) / 255.0));
        let luma = frame.luma();
        Rgb::new(
            pixels.collect(),
            luma.width,
            luma.height,
            TransferCharacteristic::SRGB,
            ColorPrimaries::BT709,
        )
        .map_err(|error| anyhow::anyhow!("{error}"))
    };
    Ok(ssimulacra2::compute_frame_ssimulacra2(
        of(wanted)?,
        of(made)?,
    )?)
}
