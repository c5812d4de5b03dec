//! Frames as large as they may be.

use crate::host_and_device::formats::assert_originals_survive;

#[test]
fn the_largest_frames_work() {
    for size in ["8192x16", "16x8192", "8192x8192"] {
        assert_originals_survive(&format!("GRAY8 {size} 30/1"));
    }
}
