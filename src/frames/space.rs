//! Memory that may not be there: asked for in a way that says so, as neither Rust's vectors nor
//! GStreamer's buffers survive its lack.

use std::hint::black_box;

use super::FrameError;

/// Gives `vec` room for `len` values, unless there is none.
///
/// # Errors
/// [`FrameError::NoMemory`]; `vec` is as it was.
pub(crate) fn reserve<T>(vec: &mut Vec<T>, len: usize) -> Result<(), FrameError> {
    let bytes = len.saturating_mul(size_of::<T>());
    if len <= vec.capacity() {
        return Ok(());
    }
    #[cfg(feature = "faults")]
    if crate::faults::buffer(bytes) {
        return Err(FrameError::NoMemory { bytes });
    }
    vec.try_reserve_exact(len - vec.len())
        .map_err(|_| FrameError::NoMemory { bytes })
}

/// Makes `vec` as long as `len`; what is new is `value`.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn resize<T: Copy>(vec: &mut Vec<T>, len: usize, value: T) -> Result<(), FrameError> {
    reserve(vec, len)?;
    vec.resize(len, value);
    Ok(())
}

/// Bytes that come with a block of memory: its header, alignment and the like.
const SLACK: usize = 64 << 10;

/// Returns whether so many bytes could be had now, and a little more. What is allocated by others
/// right after it aborts the process if they can't be: GLib's `g_malloc`, which GStreamer's memory
/// comes from, does.
///
/// # Errors
/// [`FrameError::NoMemory`] if not.
pub(crate) fn probe(bytes: usize) -> Result<(), FrameError> {
    let mut trial = Vec::<u8>::new();
    reserve(&mut trial, bytes.saturating_add(SLACK))?;
    // an allocation that nobody looks at need not be made
    black_box(&mut trial);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error_with_its_size() {
        let mut vec = vec![1_u8, 2];
        let huge = usize::MAX / 4;
        let error = resize(&mut vec, huge, 0).unwrap_err();
        assert_eq!(error, FrameError::NoMemory { bytes: huge });
        assert_eq!(vec, [1, 2]);
        assert!(probe(huge).is_err());
        assert_eq!((probe(1 << 20), resize(&mut vec, 3, 7)), (Ok(()), Ok(())));
        assert_eq!(vec, [1, 2, 7]);
    }
}
