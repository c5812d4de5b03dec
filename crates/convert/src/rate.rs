//! The wanted frame rate, as typed.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// Rate that `--fps` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// So many frames per second, as a fraction.
    Fixed(gst::Fraction),
    /// So many times the input's rate.
    Times(u32),
}

impl Rate {
    /// Returns whether it makes 60 frames of 30.
    pub(crate) fn doubles_30(self) -> bool {
        self == Self::Times(2) || self == Self::Fixed(gst::Fraction::new(60, 1))
    }

    /// Returns the rate without characters a file name must not have: `60`, `59.94`, `2x`.
    pub(crate) fn for_file_name(self) -> String {
        match self {
            Self::Times(factor) => format!("{factor}x"),
            Self::Fixed(rate) if rate.denom() == 1 => rate.numer().to_string(),
            Self::Fixed(rate) => {
                format!("{:.2}", f64::from(rate.numer()) / f64::from(rate.denom()))
            }
        }
    }
}

impl FromStr for Rate {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(factor) = text.strip_suffix(['x', 'X']) {
            return match factor.parse() {
                Ok(factor @ 1..=64) => Ok(Self::Times(factor)),
                _ => bail!("{text}: a factor is 1x to 64x"),
            };
        }
        let (numer, denom) = match text.split_once('/') {
            Some((numer, denom)) => (numer.parse()?, denom.parse()?),
            None => fraction_of(
                text.parse()
                    .context("expected 60, 60000/1001, 59.94 or 2x")?,
            ),
        };
        if numer <= 0 || denom <= 0 || numer / denom > 1000 {
            bail!("{text}: a rate lies between 0 and 1000 frames per second");
        }
        Ok(Self::Fixed(gst::Fraction::new(numer, denom)))
    }
}

/// The frames that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Another rate, and the same length.
    Rate(Rate),
    /// The same rate, and so many times the length.
    Slow(gst::Fraction),
}

impl Wanted {
    /// Returns words for a file name: `60fps`, `2x`, `slow2.5x`.
    pub(crate) fn for_file_name(self) -> String {
        match self {
            Self::Rate(rate) => format!("{}fps", rate.for_file_name()),
            Self::Slow(times) if times.denom() == 1 => format!("slow{}x", times.numer()),
            Self::Slow(times) => format!("slow{:.2}x", value(times)),
        }
    }
}

/// Returns a fraction as a number.
pub(crate) fn value(fraction: gst::Fraction) -> f64 {
    f64::from(fraction.numer()) / f64::from(fraction.denom())
}

/// Reads how many times as long it is to last.
pub(crate) fn slowness(text: &str) -> Result<gst::Fraction> {
    let times: f64 = text.parse().context("expected a number such as 4 or 2.5")?;
    if !(1.0..=64.0).contains(&times) {
        bail!("{text}: slow motion takes 1 to 64 times as long");
    }
    Ok(gst::Fraction::new((times * 1000.0).round() as i32, 1000))
}

/// Reads frames per second.
pub(crate) fn fixed(text: &str) -> Result<gst::Fraction> {
    match text.parse()? {
        Rate::Fixed(rate) => Ok(rate),
        Rate::Times(_) => bail!("expected 24, 24000/1001 or 23.976"),
    }
}

/// Returns the fraction meant by a decimal: 59.94 is 60000/1001, as television has it.
fn fraction_of(rate: f64) -> (i32, i32) {
    let thousandths = (rate * 1000.0).round();
    let television = rate.ceil() * 1000.0;
    if rate.fract() != 0.0 && (television / 1001.0 - rate).abs() < 0.005 {
        (television as i32, 1001)
    } else {
        (thousandths as i32, 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parses(text: &str, numer: i32, denom: i32) {
        assert_eq!(
            text.parse::<Rate>().unwrap(),
            Rate::Fixed(gst::Fraction::new(numer, denom))
        );
    }

    #[test]
    fn reads_what_people_type() {
        parses("60", 60, 1);
        parses("60000/1001", 60000, 1001);
        parses("59.94", 60000, 1001);
        parses("23.976", 24000, 1001);
        parses("12.5", 25, 2);
        assert_eq!("2x".parse::<Rate>().unwrap(), Rate::Times(2));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "", "0", "-1", "x", "0x", "65x", "60/0", "fast", "1e9", "nan",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_files() {
        assert_eq!(
            "60000/1001".parse::<Rate>().unwrap().for_file_name(),
            "59.94"
        );
        assert_eq!("48".parse::<Rate>().unwrap().for_file_name(), "48");
    }
}
