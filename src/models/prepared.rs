//! A picture made ready for a network, once, though it belongs to two pairs.

use super::signature::{Range, Signature};
use crate::frames::Picture;

/// The most pixels of a padded picture.
const MAX_PIXELS: usize = 1 << 26;

/// A picture padded to the size a network takes and brought to its range. It is storage to be
/// reused: preparing another picture of the same size into it allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    size: (usize, usize),
    padded: (usize, usize),
    range: Option<Range>,
    data: Vec<f32>,
}

impl Prepared {
    /// Width and height of the picture in it; zero by zero when nothing was prepared yet.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Width and height with the padding, as the network sees it.
    pub fn padded(&self) -> (usize, usize) {
        self.padded
    }

    /// The padded planes.
    pub(super) fn data(&self) -> &[f32] {
        &self.data
    }

    /// Whether a network of this signature would have the picture prepared like this.
    pub(super) fn suits(&self, signature: &Signature) -> bool {
        self.range == Some(signature.range)
            && padded_size(signature, self.size).is_ok_and(|padded| padded == self.padded)
    }

    /// Takes a picture for a network of this signature; the border is repeated in the padding.
    pub(super) fn set(&mut self, signature: &Signature, picture: &Picture) -> Result<(), String> {
        let (width, height) = (picture.width, picture.height);
        let (padded_width, padded_height) = padded_size(signature, (width, height))?;
        if picture.data.len() != 3 * width * height {
            return Err(format!(
                "{width}x{height} has {} values, not {}",
                3 * width * height,
                picture.data.len()
            ));
        }
        self.range = None;
        self.data.resize(3 * padded_width * padded_height, 0.0);
        let planes = picture.data.chunks_exact(width * height);
        let targets = self.data.chunks_exact_mut(padded_width * padded_height);
        for (plane, target) in planes.zip(targets) {
            let rows = plane.chunks_exact(width);
            for (row, target) in rows.zip(target.chunks_exact_mut(padded_width)) {
                let (inside, outside) = target.split_at_mut(width);
                match signature.range {
                    Range::Unit => inside.copy_from_slice(row),
                    Range::Signed => {
                        for (target, value) in inside.iter_mut().zip(row) {
                            *target = value * 2.0 - 1.0;
                        }
                    }
                }
                outside.fill(inside[width - 1]);
            }
            let (inside, outside) = target.split_at_mut(height * padded_width);
            let last = &inside[(height - 1) * padded_width..];
            for row in outside.chunks_exact_mut(padded_width) {
                row.copy_from_slice(last);
            }
        }
        self.size = (width, height);
        self.padded = (padded_width, padded_height);
        self.range = Some(signature.range);
        Ok(())
    }
}

/// The size a picture is padded to.
fn padded_size(
    signature: &Signature,
    (width, height): (usize, usize),
) -> Result<(usize, usize), String> {
    if width == 0 || height == 0 {
        return Err("it is empty".into());
    }
    let pad = |length: usize| length.checked_next_multiple_of(signature.align);
    let padded = match signature.fixed {
        Some((w, h)) if w < width || h < height => {
            return Err(format!(
                "it is {width}x{height}, and the model takes {w}x{h} only"
            ));
        }
        Some(size) => Some(size),
        None => pad(width).zip(pad(height)),
    };
    padded
        .filter(|(w, h)| w.checked_mul(*h).is_some_and(|pixels| pixels <= MAX_PIXELS))
        .ok_or_else(|| format!("{width}x{height} is too large"))
}

#[cfg(test)]
mod tests {
    use super::super::signature::{Inputs, Outputs};
    use super::*;

    fn signature(align: usize) -> Signature {
        Signature {
            name: None,
            family: None,
            inputs: Inputs::Pictures(["a".into(), "b".into()]),
            outputs: Outputs::Picture("y".into()),
            range: Range::Unit,
            align,
            align_stated: true,
            fixed: None,
        }
    }

    fn picture(width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        for (i, value) in picture.data.iter_mut().enumerate() {
            *value = i as f32 / 64.0;
        }
        picture
    }

    #[test]
    fn the_border_is_repeated() {
        let mut prepared = Prepared::default();
        let source = picture(3, 2);
        assert_eq!(prepared.set(&signature(4), &source), Ok(()));
        assert_eq!((prepared.size(), prepared.padded()), ((3, 2), (4, 4)));
        for c in 0..3 {
            for y in 0..4 {
                for x in 0..4 {
                    let expected = source.data[c * 6 + y.min(1) * 3 + x.min(2)];
                    assert_eq!(prepared.data()[c * 16 + y * 4 + x], expected);
                }
            }
        }
    }

    #[test]
    fn another_size_leaves_nothing_of_the_first() {
        let mut reused = Prepared::default();
        let mut fresh = Prepared::default();
        for size in [(9, 5), (2, 2), (17, 1)] {
            let source = picture(size.0, size.1);
            assert_eq!(reused.set(&signature(8), &source), Ok(()));
        }
        assert_eq!(fresh.set(&signature(8), &picture(17, 1)), Ok(()));
        assert_eq!(reused.data(), fresh.data());
    }

    #[test]
    fn a_signed_range_is_applied() {
        let signed = Signature {
            range: Range::Signed,
            ..signature(1)
        };
        let mut prepared = Prepared::default();
        let mut source = Picture::new(1, 1);
        source.data = vec![0.0, 0.5, 1.0];
        assert_eq!(prepared.set(&signed, &source), Ok(()));
        assert_eq!(prepared.data(), [-1.0, 0.0, 1.0]);
        assert!(prepared.suits(&signed) && !prepared.suits(&signature(1)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let mut prepared = Prepared::default();
        assert!(prepared.set(&signature(4), &Picture::new(0, 4)).is_err());
        let mut short = Picture::new(4, 4);
        short.data.pop();
        assert!(prepared.set(&signature(4), &short).is_err());
        let fixed = Signature {
            fixed: Some((8, 8)),
            ..signature(4)
        };
        assert!(
            prepared
                .set(&fixed, &picture(9, 8))
                .is_err_and(|why| why.contains("8x8 only"))
        );
        assert_eq!(prepared.set(&fixed, &picture(5, 5)), Ok(()));
        assert_eq!(prepared.padded(), (8, 8));
        assert!(padded_size(&signature(4), (usize::MAX, 1)).is_err());
        assert!(padded_size(&signature(4), (1 << 20, 1 << 20)).is_err());
    }
}
