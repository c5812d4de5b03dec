//! Drawn scenes and pages, and what is done to their frames.

pub(super) const WIDTH: usize = 160;
pub(super) const HEIGHT: usize = 90;

/// A camera on a drawn scene: where it looks, in frame widths, how near, and how much light falls
/// in.
#[derive(Clone, Copy)]
pub(super) struct Shot {
    scene: u32,
    x: f32,
    y: f32,
    zoom: f32,
    gain: f32,
}

impl Shot {
    pub(super) fn of(scene: u32) -> Self {
        Self {
            scene,
            x: 0.0,
            y: 0.0,
            zoom: 1.0,
            gain: 1.0,
        }
    }

    pub(super) fn at(self, x: f32, y: f32) -> Self {
        Self { x, y, ..self }
    }

    pub(super) fn zoomed(self, zoom: f32) -> Self {
        Self { zoom, ..self }
    }

    pub(super) fn lit(self, gain: f32) -> Self {
        Self { gain, ..self }
    }

    /// Returns the luma of the frame; what is too bright is white.
    pub(super) fn take(&self) -> Vec<f32> {
        let pixel = |i: usize| {
            let across = (i % WIDTH) as f32 / WIDTH as f32 - 0.5;
            let down = (i / WIDTH) as f32 / WIDTH as f32 - 0.25;
            let (x, y) = (self.x + across / self.zoom, self.y + down / self.zoom);
            (self.gain * luma(self.scene, x, y)).clamp(0.0, 1.0)
        };
        (0..WIDTH * HEIGHT).map(pixel).collect()
    }
}

/// Returns the luma of a scene without end: clouds of several sizes, and boxes with edges; each has
/// its own light.
fn luma(scene: u32, x: f32, y: f32) -> f32 {
    let light = 0.25 + 0.5 * random(scene, 0, 0, 99);
    let clouds: f32 = [2.0, 7.0, 23.0]
        .iter()
        .zip([0.35, 0.25, 0.25])
        .map(|(scale, height)| height * (smooth(scene, x * scale, y * scale) - 0.5))
        .sum();
    let (column, row) = ((x * 6.0).floor() as i32, (y * 6.0).floor() as i32);
    let (inside_x, inside_y) = (x * 6.0 - column as f32, y * 6.0 - row as f32);
    let size = 0.2 + 0.6 * random(scene, column, row, 1);
    let edge = if inside_x < size && inside_y < size {
        0.5 * (random(scene, column, row, 2) - 0.5)
    } else {
        0.0
    };
    light + clouds + edge
}

/// Returns noise between the corners of a grid.
fn smooth(scene: u32, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor() as i32, y.floor() as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - column as f32), ease(y - row as f32));
    let corner = |dx, dy| random(scene, column + dx, row + dy, 3);
    let top = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
    let bottom = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
    top * (1.0 - v) + bottom * v
}

/// Returns a number in `[0, 1)` that is always the same for the same place.
pub(super) fn random(scene: u32, x: i32, y: i32, salt: u32) -> f32 {
    let mut hash = 2_166_136_261u32;
    for part in [scene, x as u32, y as u32, salt] {
        hash = (hash ^ part).wrapping_mul(16_777_619);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(0x2c1b_3c6d);
        hash ^= hash >> 12;
    }
    (hash >> 8) as f32 / (1 << 24) as f32
}

pub(super) fn blend(a: &[f32], b: &[f32], part: f32) -> Vec<f32> {
    let mix = |(a, b): (&f32, &f32)| a * (1.0 - part) + b * part;
    a.iter().zip(b).map(mix).collect()
}

/// Adds black bars above and below, a part of the height each.
pub(super) fn letterbox(mut frame: Vec<f32>, part: f32) -> Vec<f32> {
    let bar = (part * HEIGHT as f32) as usize * WIDTH;
    let end = frame.len() - bar;
    frame[..bar].fill(0.0);
    frame[end..].fill(0.0);
    frame
}

pub(super) fn noisy(mut frame: Vec<f32>, amount: f32, seed: u32) -> Vec<f32> {
    for (i, luma) in frame.iter_mut().enumerate() {
        let noise: f32 = (0..4).map(|n| random(seed, i as i32, n, 7) - 0.5).sum();
        *luma = (*luma + amount * noise).clamp(0.0, 1.0);
    }
    frame
}

/// Returns a white page with lines of text, and dark boxes in its lower part.
pub(super) fn page(number: u32) -> Vec<f32> {
    let cell = |i: usize| {
        let (x, y) = ((i % WIDTH) as i32, (i / WIDTH) as i32);
        let is_box = y > 55 && y < 80 && random(number, x / 25, y / 30, 5) < 0.5;
        let is_line = y > 8 && y < 50 && y % 8 < 3 && x > 8 && x < 150;
        match (is_box, is_line) {
            (true, _) => 0.3,
            (_, true) if random(number, x / 5, y / 8, 6) < 0.7 => 0.2,
            _ => 1.0,
        }
    };
    (0..WIDTH * HEIGHT).map(cell).collect()
}
