//! A picture with detail everywhere, and motion where it is wanted.

use gstvfiinterp::frames::Picture;

/// Waves in every channel, `shift` pixels to the right.
pub fn picture(width: usize, height: usize, shift: f32) -> Picture {
    let mut picture = Picture::new(width, height);
    for (i, value) in picture.data.iter_mut().enumerate() {
        let (x, y) = ((i % width) as f32 - shift, (i / width % height) as f32);
        let c = (i / (width * height)) as f32;
        *value = 0.5 + 0.25 * (x * 0.21 + c).sin() + 0.25 * (x * 0.05 + y * 0.17 * (c + 1.0)).cos();
    }
    picture
}
