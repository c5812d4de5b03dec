//! Errors in frames and motion that are handed to this module.

use gst_video::{VideoFormat, VideoInterlaceMode};

/// Why a frame could not be described, shrunk, synthesised or enlarged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The pixel format is none of [`FORMATS`](super::FORMATS).
    #[error(
        "format {found:?} is not supported; use one of NV12, I420, P010_10LE, RGBA and the like"
    )]
    Format {
        /// The format found.
        found: VideoFormat,
    },
    /// The pixel format is one whose frames are not made on a device.
    #[error(
        "graphs for a device take luma and chroma of up to 10 bits without alpha (of an even width, where they share bytes of a plane), and packed RGB of 8 bits, not such {found:?}"
    )]
    Device {
        /// The format found.
        found: VideoFormat,
    },
    /// Width or height are out of range.
    #[error("frame of {width}x{height}: each side has to be 1 to 32768")]
    Size {
        /// Width found.
        width: u32,
        /// Height found.
        height: u32,
    },
    /// Fields can't be interpolated as if they were frames.
    #[error("{found:?} video; only progressive video can be interpolated, deinterlace it first")]
    Interlaced {
        /// The mode found.
        found: VideoInterlaceMode,
    },
    /// Frames of several views take turns: what lies between two of them is none.
    #[error(
        "multiview-mode={found}: views in frames or memories of their own can't be interpolated; split them into streams of one view each, or pack them into each frame, with glviewconvert"
    )]
    Views {
        /// The mode found.
        found: String,
    },
    /// A frame isn't what the layout was made for.
    #[error("frame is {found}, expected {expected}")]
    Frame {
        /// Description of the frame found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// A buffer isn't the memory of a frame.
    #[error("a buffer of {found} bytes can't be mapped as a {frame} frame of {expected} bytes")]
    Buffer {
        /// Bytes found.
        found: usize,
        /// Bytes of such a frame.
        expected: usize,
        /// Size and format of the frame.
        frame: String,
    },
    /// A plane's memory is shorter than its rows.
    #[error("plane {plane} has {found} bytes, needs {expected}")]
    Memory {
        /// Index of the plane.
        plane: usize,
        /// Bytes found.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// A plane's pixels lie where the converter cannot write them.
    #[error("plane {plane} begins, or its rows go on, at no multiple of {expected} bytes")]
    Alignment {
        /// Index of the plane.
        plane: usize,
        /// Bytes that addresses and stride have to be multiples of.
        expected: usize,
    },
    /// The lists of planes differ in length, or a plane differs in size or format.
    #[error("planes differ: {found} against {expected}")]
    Planes {
        /// Description of the planes found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// The motion's grid or its numbers make no sense.
    #[error("motion: {what} is {found}, has to be {expected}")]
    Motion {
        /// The part that makes no sense.
        what: &'static str,
        /// The value found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// A picture of another size than expected.
    #[error("picture of {found}, expected {expected}")]
    Picture {
        /// Size and number of samples found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// Memory could not be had.
    #[error("not enough memory for {bytes} bytes")]
    NoMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// GStreamer's converter refused.
    #[error("cannot convert {from} to {to}: {reason}")]
    Converter {
        /// Format and size converted from.
        from: String,
        /// Format and size converted to.
        to: String,
        /// The converter's own words.
        reason: String,
    },
}
