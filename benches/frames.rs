//! Cost of a synthesised frame apart from the network: shrinking one original and warping two.
//!
//! `cargo bench --bench frames` prints a table of medians first, taken in turns so that their
//! ratios hold on a busy machine, and then criterion's own figures.
//!
//! For 1280x720 NV12 the floor is 4.1 MB of reading and writing, about 0.4 ms. Predicted for
//! bicubic: 250 instructions for eight luma pixels, 3.5 to 5 ms on one thread, half that on two.
//! Found on two cores of a virtual EPYC (Zen 5), one thread / two threads, in ms: bicubic 6.6 /
//! 3.7, bilinear 4.6 / 2.5; shrinking, which is left to one thread, 1.1 (0.7 on two); the plain
//! reference takes 80 or more on one. So the count of instructions was right to a factor of 1.5,
//! and arithmetic sets the pace, not memory: strong gradients in the flow, which make windows be
//! placed twice, cost 10 to 20 %.
//!
//! Other formats take, times NV12's time, bilinear / bicubic: I420 and NV16 1.3 / 1.3, P010 1.05 /
//! 1.05, YUY2 and UYVY 1.5 / 1.4, I422_10LE 1.75 / 1.8, Y210 1.7 / 1.55, v210 1.6 / 1.55, Y444_10LE
//! 2.1 / 2.2; with something that shows through RGBA 1.35 / 1.95, ARGB64 1.55 / 2.25, A420 2.6 /
//! 3.4, Y410 and RGB10A2 2.9 / 3.3. The pace is set by how many samples' places are found, those of
//! chroma in planes of their own once each: 1.25 a pixel for NV12, 1.5 for I420 and NV16, 2 for
//! I422_10LE, 3 for Y444_10LE. It is not set by bytes: I422_10LE moves 2.7 times as many as NV12,
//! P010 twice as many.
#![allow(clippy::unwrap_used)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::Criterion;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use gstvfiinterp::frames::{
    Enlarger, FrameLayout, Motion, Picture, Sampling, ScaleMethod, Shrinker, reference, synthesise,
};

/// Two frames, a place for a third, and motion between them.
struct Scene {
    info: VideoInfo,
    layout: FrameLayout,
    buffers: [gst::Buffer; 3],
    grid: (usize, usize),
    cover: (f32, f32),
    flow: Vec<f32>,
    mask: Vec<f32>,
    shrinker: Shrinker,
    enlarger: Enlarger,
    picture: Picture,
}

impl Scene {
    /// Creates a smooth texture under a slow zoom and turn of up to about 15 pixels, on a grid of
    /// 320 by 184 cells of which 180 rows cover the frame.
    fn new(format: VideoFormat, width: u32, height: u32) -> Self {
        let info = VideoInfo::builder(format, width, height).build().unwrap();
        let buffers = [3u32, 17, 0].map(|seed| {
            let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
            let mut map = buffer.get_mut().unwrap().map_writable().unwrap();
            for (index, byte) in map.iter_mut().enumerate() {
                let (x, y) = (index as u32 % width, index as u32 / width);
                *byte = ((x * 3 + seed) ^ (y * 2) ^ (x * y / 64)) as u8;
            }
            drop(map);
            buffer
        });
        let (grid, cover) = ((320, 184), (320.0, 180.0));
        let mut flow = vec![0.0; 4 * grid.0 * grid.1];
        let mut mask = vec![0.0; grid.0 * grid.1];
        for cell in 0..grid.0 * grid.1 {
            let x = (cell % grid.0) as f32 / cover.0 - 0.5;
            let y = (cell / grid.0) as f32 / cover.1 - 0.5;
            let wave = (7.0 * x + 3.0 * y).sin();
            let (right, down) = (5.0 * x - 2.0 * y + wave, 4.0 * y + 2.0 * x - wave);
            for (part, value) in [right, down, -right, -down].into_iter().enumerate() {
                flow[part * grid.0 * grid.1 + cell] = value;
            }
            mask[cell] = 0.5 + 0.4 * (11.0 * x).cos() * (9.0 * y).sin();
        }
        let (small_width, small_height) = (640, 360);
        let method = ScaleMethod::Bilinear;
        Self {
            layout: FrameLayout::new(&info).unwrap(),
            shrinker: Shrinker::new(&info, small_width, small_height, method).unwrap(),
            enlarger: Enlarger::new(&info, small_width, small_height, method).unwrap(),
            picture: Picture::new(small_width, small_height),
            info,
            buffers,
            grid,
            cover,
            flow,
            mask,
        }
    }

    fn shrink(&mut self) {
        let frame = VideoFrameRef::from_buffer_ref_readable(&self.buffers[0], &self.info).unwrap();
        self.shrinker.shrink(&frame, &mut self.picture).unwrap();
        black_box(&self.picture);
    }

    fn enlarge(&mut self) {
        let out = self.buffers[2].get_mut().unwrap();
        let mut out = VideoFrameRef::from_buffer_ref_writable(out, &self.info).unwrap();
        self.enlarger.enlarge(&self.picture, &mut out).unwrap();
    }

    fn synthesise(&mut self, sampling: Sampling, plain: bool) {
        let [a, b, out] = &mut self.buffers;
        let a = VideoFrameRef::from_buffer_ref_readable(a, &self.info).unwrap();
        let b = VideoFrameRef::from_buffer_ref_readable(b, &self.info).unwrap();
        let out = out.get_mut().unwrap();
        let mut out = VideoFrameRef::from_buffer_ref_writable(out, &self.info).unwrap();
        let motion = Motion {
            width: self.grid.0,
            height: self.grid.1,
            cover_x: self.cover.0,
            cover_y: self.cover.1,
            unit: 1.0,
            flow: &self.flow,
            mask: &self.mask,
        };
        let work = if plain {
            reference::synthesise
        } else {
            synthesise
        };
        work(
            &self.layout.planes(&a).unwrap().get(),
            &self.layout.planes(&b).unwrap().get(),
            &motion,
            sampling,
            &mut self.layout.planes_mut(&mut out).unwrap().get(),
        )
        .unwrap();
    }
}

/// A named piece of work on a scene.
type Work = (&'static str, fn(&mut Scene));

const WORK: [Work; 6] = [
    ("shrink to 640x360", Scene::shrink),
    ("enlarge from 640x360", Scene::enlarge),
    ("synthesise, bilinear", |scene| {
        scene.synthesise(Sampling::Bilinear, false);
    }),
    ("synthesise, bicubic", |scene| {
        scene.synthesise(Sampling::Bicubic, false);
    }),
    ("own cost of 2x, bilinear", |scene| {
        scene.shrink();
        scene.synthesise(Sampling::Bilinear, false);
    }),
    ("own cost of 2x, bicubic", |scene| {
        scene.shrink();
        scene.synthesise(Sampling::Bicubic, false);
    }),
];

const PLAIN: [Work; 2] = [
    ("plain reference, bilinear", |scene| {
        scene.synthesise(Sampling::Bilinear, true);
    }),
    ("plain reference, bicubic", |scene| {
        scene.synthesise(Sampling::Bicubic, true);
    }),
];

const SIZES: [(VideoFormat, u32, u32); 5] = [
    (VideoFormat::Nv12, 1280, 720),
    (VideoFormat::Nv12, 1920, 1080),
    (VideoFormat::I420, 1280, 720),
    (VideoFormat::P01010le, 1280, 720),
    (VideoFormat::Rgba, 1280, 720),
];

/// Formats whose cost is told as a ratio to that of the first.
const COMPARED: [VideoFormat; 16] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Nv16,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::P01010le,
    VideoFormat::P016Le,
    VideoFormat::I42210le,
    VideoFormat::Y210,
    VideoFormat::V210,
    VideoFormat::Y44410le,
    VideoFormat::Y410,
    VideoFormat::Rgb10a2Le,
    VideoFormat::Argb64,
    VideoFormat::A420,
    VideoFormat::Rgba,
];

/// Medians in milliseconds, each piece of work in turn.
fn medians(scene: &mut Scene, work: &[Work], rounds: usize) -> Vec<f64> {
    let mut times = vec![Vec::new(); work.len()];
    for _ in 0..rounds {
        for (times, (_, run)) in times.iter_mut().zip(work) {
            run(scene);
            let start = Instant::now();
            run(scene);
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

fn table() {
    for (format, width, height) in SIZES {
        println!("{format:?} {width}x{height}");
        let mut scene = Scene::new(format, width, height);
        let base = medians(&mut scene, &PLAIN, 1)[0];
        for ((name, _), time) in WORK.iter().zip(medians(&mut scene, &WORK, 41)) {
            println!(
                "  {name:26}{time:8.2} ms   1/{:.0} of plain bilinear",
                base / time
            );
        }
        println!("  {:26}{base:8.2} ms", PLAIN[0].0);
    }
}

/// Prints what a frame of 1280x720 costs in each format, all formats in turn.
fn compare() {
    println!("1280x720, times NV12          bilinear bicubic");
    let mut scenes = COMPARED.map(|format| Scene::new(format, 1280, 720));
    let mut times = COMPARED.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..31 {
        for (scene, times) in scenes.iter_mut().zip(&mut times) {
            for (sampling, times) in [Sampling::Bilinear, Sampling::Bicubic]
                .into_iter()
                .zip(times)
            {
                let start = Instant::now();
                scene.synthesise(sampling, false);
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let medians = times.map(|times| {
        times.map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            times[times.len() / 2]
        })
    });
    for (format, [bilinear, bicubic]) in COMPARED.iter().zip(medians) {
        let [first_bilinear, first_bicubic] = medians[0];
        let (bilinear, bicubic) = (bilinear / first_bilinear, bicubic / first_bicubic);
        println!("  {:28}{bilinear:8.2}{bicubic:8.2}", format.to_str());
    }
}

fn main() {
    gst::init().unwrap();
    // Tests and listings are of criterion's concern only.
    if !std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        compare();
        table();
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (format, width, height) in &SIZES[..2] {
        let mut group = criterion.benchmark_group(format!("{format:?} {width}x{height}"));
        group.sample_size(20);
        group.warm_up_time(Duration::from_millis(500));
        group.measurement_time(Duration::from_secs(2));
        let mut scene = Scene::new(*format, *width, *height);
        for (name, run) in WORK.iter().chain(&PLAIN) {
            group.bench_function(*name, |bencher| bencher.iter(|| run(&mut scene)));
        }
        group.finish();
    }
    criterion.final_summary();
}
