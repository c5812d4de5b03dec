//! A picture made ready for a network, once, though it belongs to two pairs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::frames::{FrameError, Picture, space};
use crate::models::signature::Signature;
use crate::models::signature::types::Padding;

/// The most pixels of a padded picture.
const MAX_PIXELS: usize = 1 << 26;

/// A number that no other picture has or had; never 0.
pub(crate) fn new_id() -> u64 {
    static ID: AtomicU64 = AtomicU64::new(1);
    ID.fetch_add(1, Ordering::Relaxed)
}

/// A picture padded to the size a network takes. It is storage to be reused: preparing another
/// picture of the same size into it allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    size: (usize, usize),
    padded: (usize, usize),
    padding: Padding,
    /// 0 when there is nothing in it.
    id: u64,
    data: Vec<f32>,
}

impl Prepared {
    /// Returns width and height of the picture in it; zero by zero when nothing was prepared yet.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Returns width and height with the padding, as the network sees it.
    pub fn padded(&self) -> (usize, usize) {
        self.padded
    }

    /// The padded planes.
    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    /// A number that nothing else that was prepared has or had, in this or other storage.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns whether a network of this signature would have the picture prepared like this.
    pub(crate) fn suits(&self, signature: &Signature) -> bool {
        self.id != 0
            && self.padding == signature.padding
            && padded_size(signature, self.size).is_ok_and(|padded| padded == self.padded)
    }

    /// Reserves room for a picture of this size, if it is one for a network of this signature.
    pub(crate) fn make_room(
        &mut self,
        signature: &Signature,
        (width, height): (usize, usize),
    ) -> Result<(), FrameError> {
        match padded_size(signature, (width, height)) {
            Ok((width, height)) => space::reserve(&mut self.data, 3 * width * height),
            // what is wrong with it is told by `set`
            Err(_) => Ok(()),
        }
    }

    /// Takes a picture for a network of this signature, and pads it.
    ///
    /// The border is repeated where nothing else is stated, because networks sample what lies
    /// outside like that as they warp (`border`), so that both agree; a mirrored border moves
    /// against the picture.
    pub(crate) fn set(&mut self, signature: &Signature, picture: &Picture) -> Result<(), String> {
        let (width, height) = (picture.width, picture.height);
        let (padded_width, padded_height) = padded_size(signature, (width, height))?;
        if picture.data.len() != 3 * width * height {
            return Err(format!(
                "{width}x{height} has {} values, not {}",
                3 * width * height,
                picture.data.len()
            ));
        }
        let padding = signature.padding;
        self.data.resize(3 * padded_width * padded_height, 0.0);
        let planes = picture.data.chunks_exact(width * height);
        let targets = self.data.chunks_exact_mut(padded_width * padded_height);
        for (plane, target) in planes.zip(targets) {
            let rows = plane.chunks_exact(width);
            for (row, target) in rows.zip(target.chunks_exact_mut(padded_width)) {
                let (inside, outside) = target.split_at_mut(width);
                inside.copy_from_slice(row);
                for (at, outside) in (width..).zip(outside) {
                    *outside = padding.source(at, width).map_or(0.0, |from| inside[from]);
                }
            }
            let (inside, outside) = target.split_at_mut(height * padded_width);
            for (at, row) in (height..).zip(outside.chunks_exact_mut(padded_width)) {
                match padding.source(at, height) {
                    Some(from) => {
                        row.copy_from_slice(&inside[from * padded_width..][..padded_width])
                    }
                    None => row.fill(0.0),
                }
            }
        }
        self.size = (width, height);
        self.padded = (padded_width, padded_height);
        self.padding = padding;
        self.id = new_id();
        Ok(())
    }
}

/// The size a picture is padded to.
pub(crate) fn padded_size(
    signature: &Signature,
    (width, height): (usize, usize),
) -> Result<(usize, usize), String> {
    if width == 0 || height == 0 {
        return Err("it is empty".into());
    }
    let pad = |length: usize| length.checked_next_multiple_of(signature.align);
    let padded = match signature.fixed {
        Some((w, h)) if (w, h) != (width, height) => {
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
    use super::*;
    use crate::models::signature::metadata::Stated;
    use onnx_graph::build::GraphBuilder;

    fn signature(align: usize) -> Signature {
        let dims: &[i64] = &[1, 3, -1, -1];
        let model = GraphBuilder::new("test", 17)
            .input("a", dims)
            .input("b", dims)
            .output("y", dims)
            .finish();
        let signature = Signature::of(&model, &Stated::default()).unwrap();
        Signature { align, ..signature }
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
    fn pictures_are_padded_as_is_stated() {
        let row = |padding, width: usize| {
            let mut source = Picture::new(width, 1);
            for (x, value) in source.data.iter_mut().enumerate() {
                *value = (x % width + 1) as f32;
            }
            let signature = Signature {
                padding,
                ..signature(8)
            };
            let mut prepared = Prepared::default();
            assert_eq!(prepared.set(&signature, &source), Ok(()));
            let other = Signature {
                padding: Padding::Repeat,
                ..signature.clone()
            };
            assert!(prepared.suits(&signature));
            assert_eq!(prepared.suits(&other), padding == Padding::Repeat);
            prepared.data()[..8].to_vec()
        };
        let reflected = [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0];
        assert_eq!(row(Padding::Reflect, 3), reflected);
        assert_eq!(row(Padding::Reflect, 1), [1.0; 8]);
        let black = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(row(Padding::Zeros, 3), black);
        assert_eq!(row(Padding::Repeat, 2)[1..], [2.0; 7]);
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
    fn every_picture_has_a_number_of_its_own() {
        let mut prepared = Prepared::default();
        assert!(!prepared.suits(&signature(1)), "there is nothing in it");
        let mut seen = vec![prepared.id()];
        for _ in 0..3 {
            assert_eq!(prepared.set(&signature(1), &picture(2, 2)), Ok(()));
            assert!(!seen.contains(&prepared.id()));
            seen.push(prepared.id());
        }
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
        for size in [(9, 8), (5, 5)] {
            let refused = prepared.set(&fixed, &picture(size.0, size.1));
            assert!(refused.is_err_and(|why| why.contains("8x8 only")));
        }
        assert_eq!(prepared.set(&fixed, &picture(8, 8)), Ok(()));
        assert_eq!(prepared.padded(), (8, 8));
        assert!(padded_size(&signature(4), (usize::MAX, 1)).is_err());
        assert!(padded_size(&signature(4), (1 << 20, 1 << 20)).is_err());
    }
}
