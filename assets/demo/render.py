#!/usr/bin/env python3
"""Renders the project's own demo clip, picture and sound.

    python3 assets/demo/render.py [--frames N] [--still N FILE.png] [--out FOLDER]

writes truth_60.mp4 (every frame, 60 per second) and demo_30.mp4 (every second frame, with sound), so
that frame 2k of the one is frame k of the other, up to coding. Needs numpy, ffmpeg with x264 and the
DejaVu fonts; nothing else in the project runs this script, as its output is committed.

Everything is drawn from formulas and seeded noise: no picture of anyone else's is in it. The scene
is there to show what interpolation is for:

* layers that pan at different speeds and zoom, in sub-pixel steps, so each uncovers the one behind;
* sails that turn in front of a moving balloon, and a ball that rolls through the air behind a fence;
* wires of a pixel's width, and a caption that must stand still while all the rest moves;
* up to about 12 pixels of motion between two frames of the 30 fps clip;
* a tick at each bounce, by which one hears whether sound and picture still agree.

The motion repeats after five seconds: the clip loops without a jump.
"""

import argparse
import multiprocessing
import pathlib
import subprocess
import tempfile
import wave

import numpy as np

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 60, 5
SAMPLES = 2  # samples per pixel and direction; edges are smoothed analytically on top
LOOP = 2 * np.pi / SECONDS
BOUNCES = 6  # per loop
SOUND_RATE = 48000
F = np.float32


# --- textures ---------------------------------------------------------------------------------

def noise(seed, size, slope, aspect=1.0):
    """Tileable noise with a power-law spectrum, zero mean, unit deviation."""
    rng = np.random.default_rng(seed)
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size * aspect
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1
    # Nothing above a third of the sampling rate: a texture that shimmers is no fair test.
    envelope = radius ** -slope * np.exp(-((radius / (size / 3)) ** 4))
    spectrum = envelope * np.exp(2j * np.pi * rng.random(radius.shape))
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, s=(size, size))
    return (out / out.std()).astype(F)


def tint(mix, *stops):
    """Runs `mix`, 0 to 1, through the colours in `stops`."""
    at = np.linspace(0, 1, len(stops))
    stops = np.array(stops, F) / 255
    return np.stack([np.interp(mix, at, stops[:, c]) for c in range(3)], -1).astype(F)


def make_textures():
    rough, fine = noise(1, 1024, 1.5), noise(2, 1024, 0.9)
    rock = np.clip(0.5 + 0.17 * rough + 0.07 * fine, 0, 1)
    grass = np.clip(0.5 + 0.15 * noise(3, 1024, 1.35, 0.8) + 0.08 * noise(4, 1024, 0.8), 0, 1)
    road = np.clip(0.5 + 0.13 * noise(5, 1024, 1.2, 0.6) + 0.09 * noise(6, 1024, 0.7), 0, 1)
    cloud = np.clip(0.5 + 0.28 * noise(7, 1024, 1.9, 0.4).T, 0, 1)
    return {
        "rock": tint(rock, (58, 62, 92), (104, 104, 138), (168, 158, 176)),
        "hill": tint(grass, (38, 66, 42), (82, 116, 60), (150, 166, 92)),
        "road": tint(road, (96, 66, 48), (164, 122, 86), (216, 178, 132)),
        "cloud": np.repeat(np.clip(cloud * 1.9 - 0.75, 0, 1)[..., None], 3, -1).astype(F),
    }


def sample(texture, u, v):
    """Bilinear, repeating."""
    size = texture.shape[0]
    u0, v0 = np.floor(u), np.floor(v)
    fu, fv = (u - u0)[..., None].astype(F), (v - v0)[..., None].astype(F)
    u0, v0 = u0.astype(np.int32) % size, v0.astype(np.int32) % size
    u1, v1 = (u0 + 1) % size, (v0 + 1) % size
    flat = texture.reshape(-1, 3)
    top = flat[v0 * size + u0] * (1 - fu) + flat[v0 * size + u1] * fu
    bottom = flat[v1 * size + u0] * (1 - fu) + flat[v1 * size + u1] * fu
    return top * (1 - fv) + bottom * fv


# --- motion -----------------------------------------------------------------------------------

def camera(t):
    """Returns the place the camera looks at (x, y), and how near it is."""
    return 150 * np.sin(LOOP * t), 10 * np.sin(2 * LOOP * t + 1), 1.06 + 0.06 * np.cos(LOOP * t + 0.6)


def ball_at(t):
    """Centre and angle of the ball, in its layer."""
    phase = (t * BOUNCES / SECONDS) % 1
    x = -30 + 165 * np.sin(LOOP * t + 2.2)
    return x, 106 - 4 * 78 * phase * (1 - phase), x / 24


def mountain(x):
    return 4 + 34 * np.sin(x / 97) + 19 * np.sin(x / 41 + 1) + 9 * np.sin(x / 17 + 2) + 4 * np.sin(x / 7.3)


def hill(x):
    return 62 + 20 * np.sin(x / 140 + 0.5) + 8 * np.sin(x / 53) + 1.5 * np.sin(x / 9)


# --- drawing ----------------------------------------------------------------------------------

class Layer:
    """A plane at some depth: its coordinates for each sample of the canvas, and what paints on it."""

    def __init__(self, canvas, t, depth):
        x, y, zoom = camera(t)
        self.zoom = 1 + (zoom - 1) * depth
        rows = (np.arange(HEIGHT * SAMPLES, dtype=np.float64) + 0.5) / SAMPLES - HEIGHT / 2
        cols = (np.arange(WIDTH * SAMPLES, dtype=np.float64) + 0.5) / SAMPLES - WIDTH / 2
        self.y = rows[:, None] / self.zoom + y * depth
        self.x = cols[None, :] / self.zoom + x * depth
        self.canvas = canvas

    def cover(self, distance):
        """Coverage of each sample, from the signed distance to an edge in the layer's units."""
        return np.clip(0.5 - distance * self.zoom * SAMPLES, 0, 1).astype(F)

    def paint(self, mask, colour, where=None):
        view = self.canvas if where is None else self.canvas[where]
        view += mask[..., None] * (np.asarray(colour, F) - view)

    def window(self, x0, y0, x1, y1):
        """The slices of the canvas that hold a box, with its coordinates; None when out of sight."""
        cols = np.flatnonzero((self.x[0] >= x0 - 2) & (self.x[0] <= x1 + 2))
        rows = np.flatnonzero((self.y[:, 0] >= y0 - 2) & (self.y[:, 0] <= y1 + 2))
        if not len(cols) or not len(rows):
            return None
        where = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        return where, self.x[:, where[1]], self.y[where[0]]

    def box(self, x0, y0, x1, y1, colour, shade=0.0):
        """An upright box, darker by `shade` at its right."""
        seen = self.window(x0, y0, x1, y1)
        if seen:
            where, x, y = seen
            mask = self.cover(np.maximum(np.maximum(x0 - x, x - x1), np.maximum(y0 - y, y - y1)))
            light = 1 - shade * np.clip((x - x0) / (x1 - x0), 0, 1)
            self.paint(mask, (np.array(colour) / 255) * light[..., None] * np.ones_like(y)[..., None], where)

    def line(self, x0, y0, x1, y1, half, colour):
        """A straight bar between two points."""
        seen = self.window(min(x0, x1) - half, min(y0, y1) - half, max(x0, x1) + half, max(y0, y1) + half)
        if seen:
            where, x, y = seen
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            self.paint(self.cover(np.hypot(x - x0 - along * dx, y - y0 - along * dy) - half), np.array(colour) / 255, where)


def sky(layer, textures):
    t = np.clip((layer.y + 190) / 300, 0, 1)[:, 0]
    layer.canvas[:] = tint(t, (64, 112, 176), (132, 178, 214), (246, 220, 186), (250, 196, 150))[:, None, :]
    cloud = sample(textures["cloud"], layer.x + 0 * layer.y, layer.y * 1.6 + 0 * layer.x)[..., 0]
    layer.paint(cloud * np.clip((70 - layer.y) / 130, 0, 1).astype(F) * 0.85, (1.0, 0.965, 0.93))


def mountains(layer, textures):
    top = mountain(layer.x)
    colour = sample(textures["rock"], layer.x * 2 + layer.y * 0.7, layer.y * 2.4 + 0 * layer.x)
    snow = np.clip((70 * (colour[..., 0] - 0.42) - 14 - layer.y) / 7, 0, 1)
    colour += snow[..., None].astype(F) * (np.array((0.93, 0.94, 0.98), F) - colour)
    haze = np.clip((layer.y - 10) / 120, 0, 0.55).astype(F)[..., None]
    layer.paint(layer.cover((top - layer.y) * 0.8), colour * (1 - haze) + haze * np.array((0.95, 0.82, 0.72), F))


def balloon(layer, t):
    cx, cy, radius = 50 + 80 * np.sin(LOOP * t + 3.4), -72 + 14 * np.sin(2 * LOOP * t), 40
    for side in (-1, 1):
        layer.line(cx + side * 20, cy + 36, cx + side * 6, cy + 66, 0.55, (60, 44, 40))
    layer.box(cx - 7, cy + 65, cx + 7, cy + 76, (132, 88, 52), 0.4)
    seen = layer.window(cx - radius, cy - radius, cx + radius, cy + 1.3 * radius)
    if seen:
        where, x, y = seen
        u, v = (x - cx) / radius, (y - cy) / radius
        v = np.where(v > 0, v / 1.25, v)
        r = np.hypot(u, v)
        across = np.arcsin(np.clip(u / np.sqrt(np.clip(1 - v * v, 1e-3, 1)), -1, 1)) / np.pi + 0.5 + 0.05 * np.sin(LOOP * t)
        stripe = np.clip(0.5 + 4 * np.sin(across * 2 * np.pi * 4), 0, 1)
        light = np.clip(1.06 - 0.42 * np.hypot(u + 0.35, v + 0.4), 0, 1.1)
        colour = tint(stripe, (206, 52, 50), (250, 214, 122)) * light[..., None]
        layer.paint(layer.cover((r - 1) * radius), colour, where)


def hills(layer, textures):
    top = hill(layer.x)
    colour = sample(textures["hill"], layer.x * 2 + 0 * layer.y, layer.y * 2.6 + 0 * layer.x)
    light = 1.0 + 0.18 * np.clip(1 - (layer.y - top) / 40, 0, 1)
    layer.paint(layer.cover((top - layer.y) * 0.95), colour * light[..., None].astype(F))


def mill(layer, t):
    x, foot, hub = 64, hill(np.float64(64)) + 6, -44
    seen = layer.window(x - 26, hub - 20, x + 26, foot)
    if seen:
        where, u, v = seen
        down = (v - hub) / (foot - hub)
        half = 11 + 12 * down
        mask = layer.cover(np.maximum(np.maximum(np.abs(u - x) - half, hub - 6 - v), v - foot))
        brick = 0.93 + 0.07 * np.sign(np.sin(v * 1.1)) * np.sign(np.sin(u * 0.7 + np.floor(v * 0.35) * 2))
        light = brick * np.clip(1.02 - 0.45 * (u - x + half) / (2 * half), 0, 1.1)
        layer.paint(mask, np.array((0.93, 0.88, 0.80)) * light[..., None], where)
        layer.paint(layer.cover(np.hypot((u - x) / 1.0, np.minimum(v - hub + 4, 0) / 1.15) - 12.5) * (v < hub - 3), (0.42, 0.22, 0.18), where)
    layer.box(x - 5, foot - 24, x + 5, foot - 1, (92, 58, 40), 0.3)
    layer.box(x - 4, hub + 34, x + 4, hub + 45, (74, 92, 116), 0.3)
    turn = 2 * np.pi * 3 * t / SECONDS
    for sail in range(4):
        angle = turn + sail * np.pi / 2
        c, s = np.cos(angle), np.sin(angle)
        at = lambda r, w: (x + c * r - s * w, hub + s * r + c * w)
        layer.line(*at(0, 0), *at(86, 0), 1.5, (84, 56, 42))
        for w in (6, 12, 17):
            layer.line(*at(20, w), *at(84, w), 0.6, (246, 236, 216))
        for r in range(20, 86, 8):
            layer.line(*at(r, 0), *at(r, 17), 0.75, (246, 236, 216))
    layer.line(x, hub, x + 0.01, hub, 4.5, (60, 40, 34))


def wires(layer):
    for i in range(-3, 4):
        left = i * 230 + 40
        layer.box(left - 2.2, -62, left + 2.2, 112, (70, 54, 46), 0.4)
        layer.box(left - 15, -57, left + 15, -54, (70, 54, 46))
        for dx, dy in ((-13, -58), (0, -64), (13, -58)):
            seen = layer.window(left + dx, dy - 3, left + dx + 230, dy + 30)
            if seen:
                where, x, y = seen
                u = (x - left - dx) / 230
                sag = dy + 4 * 22 * u * (1 - u)
                slope = 4 * 22 * (1 - 2 * u) / 230
                inside = (u >= 0) & (u < 1)
                layer.paint(layer.cover(np.abs(y - sag) / np.sqrt(1 + slope * slope) - 0.5) * inside, (0.13, 0.11, 0.12), where)


def road(layer, textures):
    rows = np.flatnonzero(layer.y[:, 0] > 100)
    if len(rows):
        where = slice(rows[0], None), slice(None)
        x, y = layer.x + 0 * layer.y[where[0]], layer.y[where[0]]
        colour = sample(textures["road"], x * 2, y * 3.2 + 0 * x)
        light = 0.8 + 0.3 * np.clip((y - 104) / 60, 0, 1)
        top = 108 + 1.2 * np.sin(x / 11) + 0.8 * np.sin(x / 4.1)
        layer.paint(layer.cover(top - y), colour * light[..., None].astype(F), where)


def ball(layer, t):
    cx, cy, angle = ball_at(t)
    radius, ground = 25, 132
    height = (ground - cy - radius) / 80
    seen = layer.window(cx - 50, ground - 10, cx + 50, ground + 12)
    if seen:
        where, x, y = seen
        r = np.hypot((x - cx) / (24 + 14 * height), (y - ground - 2) / 6.5)
        layer.paint((np.clip(1.25 - r, 0, 1) * (0.55 - 0.3 * height)).astype(F), (0.13, 0.08, 0.06), where)
    seen = layer.window(cx - radius, cy - radius, cx + radius, cy + radius)
    if seen:
        where, x, y = seen
        u, v = (x - cx) / radius, (y - cy) / radius
        r = np.hypot(u, v)
        around = np.arctan2(v, u) - angle
        stripe = np.clip(0.5 + 3.0 * np.sin(3 * around) * np.maximum(r, 0.05) * 3, 0, 1)
        colour = tint(stripe, (30, 106, 178), (246, 244, 236))
        cap = np.clip(0.5 - (r - 0.2) * radius, 0, 1)[..., None]
        colour = colour * (1 - cap) + cap * np.array((0.95, 0.70, 0.20), F)
        light = np.clip(1.1 - 0.55 * np.hypot(u + 0.4, v + 0.45) ** 1.5, 0.2, 1.15)
        gleam = 0.5 * np.exp(-(((u + 0.38) ** 2 + (v + 0.42) ** 2) / 0.035))
        layer.paint(layer.cover((r - 1) * radius), np.clip(colour * light[..., None] + gleam[..., None], 0, 1), where)


def fence(layer):
    for y in (128, 150):
        layer.box(-1200, y, 1200, y + 6, (206, 200, 190))
    for i in range(-9, 10):
        x = i * 92 + 9
        layer.box(x - 5, 112, x + 5, 230, (238, 234, 226), 0.45)
        layer.box(x - 6.5, 109, x + 6.5, 113, (250, 248, 242), 0.4)


TEXTURES = None


def frame(number):
    """Frame `number` of the 60 fps clip: HEIGHT x WIDTH x 3 bytes."""
    global TEXTURES
    TEXTURES = TEXTURES or make_textures()
    t = number / RATE
    canvas = np.zeros((HEIGHT * SAMPLES, WIDTH * SAMPLES, 3), F)
    at = lambda depth: Layer(canvas, t, depth)
    sky(at(0.15), TEXTURES)
    mountains(at(0.35), TEXTURES)
    balloon(at(0.5), t)
    hills(at(0.65), TEXTURES)
    mill(at(0.65), t)
    wires(at(0.85))
    road(at(1.0), TEXTURES)
    ball(at(1.0), t)
    fence(at(1.7))
    small = canvas.reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES, 3).mean((1, 3))
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8).tobytes()


# --- sound ------------------------------------------------------------------------------------

def sound(path, seconds):
    """A tick at each bounce, panned to where the ball is, over a breath of wind."""
    count = int(seconds * SOUND_RATE)
    rng = np.random.default_rng(11)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    pitch = np.fft.rfftfreq(count, 1 / SOUND_RATE)
    wind = np.fft.irfft(spectrum / (1 + (pitch / 220) ** 2), count)
    now = np.arange(count) / SOUND_RATE
    wind *= 0.012 / wind.std() * (1 + 0.5 * np.sin(LOOP * now))
    out = np.stack([wind, np.roll(wind, SOUND_RATE // 2)], -1)
    for bounce in range(int(np.ceil(seconds * BOUNCES / SECONDS))):
        at = bounce * SECONDS / BOUNCES
        since = now[int(at * SOUND_RATE):][: SOUND_RATE // 3] - at
        tick = 0.5 * np.exp(-since * 30) * np.sin(2 * np.pi * (150 * since + 3 * (1 - np.exp(-since * 50))))
        tick += 0.25 * np.exp(-since * 160) * np.sin(2 * np.pi * 1900 * since)
        side = np.clip((ball_at(at)[0] - camera(at)[0]) / WIDTH, -0.5, 0.5)
        start = int(at * SOUND_RATE)
        out[start:start + len(tick)] += tick[:, None] * np.array([0.5 - side, 0.5 + side]) * 1.4
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        samples = (np.clip(out, -1, 1) * 32767).astype("<i2")
        file.writeframes(samples.tobytes())


# --- files ------------------------------------------------------------------------------------

CAPTION = (
    "drawbox=x=12:y=12:w=174:h=40:color=0x101828@0.62:t=fill,"
    "drawtext=font='DejaVu Sans':text='vfiinterp':x=22:y=17:fontsize=17:fontcolor=white,"
    "drawtext=font='DejaVu Sans Mono':text='this text stands still':x=22:y=37:fontsize=10:fontcolor=0xd8e0ec,"
    "drawbox=x=604:y=16:w=20:h=20:color=0xf04438:t=fill,drawbox=x=598:y=10:w=32:h=32:color=white:t=2"
)
RAW = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-"]
YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p"
H264 = [
    "-c:v", "libx264", "-preset", "veryslow", "-tune", "animation", "-profile:v", "high", "-threads", "2",
    "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
]
PLAIN = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"]


def ffmpeg(arguments):
    return subprocess.Popen(["ffmpeg", "-v", "error", "-y", *arguments], stdin=subprocess.PIPE)


def render(folder, frames, quality):
    with tempfile.TemporaryDirectory() as scratch, multiprocessing.Pool() as pool:
        tick = pathlib.Path(scratch, "sound.wav")
        sound(tick, frames / RATE)
        split = f"[0:v]{CAPTION},{YUV},split[all][two];[two]select='not(mod(n,2))',setpts=N/({RATE // 2}*TB)[half]"
        crf = ["-crf", str(quality)]
        encoder = ffmpeg([
            *RAW, "-i", str(tick), "-filter_complex", split,
            "-map", "[all]", *H264, *crf, "-r", str(RATE), *PLAIN, str(folder / "truth_60.mp4"),
            "-map", "[half]", "-map", "1:a", *H264, *crf, "-r", str(RATE // 2),
            "-c:a", "aac", "-b:a", "80k", "-flags:a", "+bitexact", *PLAIN, str(folder / "demo_30.mp4"),
        ])
        for number, picture in enumerate(pool.imap(frame, range(frames), chunksize=4)):
            encoder.stdin.write(picture)
            print(f"\rframe {number + 1} of {frames}", end="", flush=True)
        print()
        encoder.stdin.close()
        if encoder.wait():
            raise SystemExit("ffmpeg failed")


def main():
    here = pathlib.Path(__file__).resolve().parent
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--frames", type=int, default=RATE * SECONDS, help="frames of the 60 fps clip")
    options.add_argument("--quality", type=float, default=18.5, help="x264's crf")
    options.add_argument("--out", type=pathlib.Path, default=here)
    options.add_argument("--still", nargs=2, metavar=("N", "PNG"), help="only frame N, uncompressed")
    chosen = options.parse_args()
    if chosen.still:
        one = ffmpeg([*RAW, "-vf", CAPTION, "-frames:v", "1", chosen.still[1]])
        one.communicate(frame(int(chosen.still[0])))
    else:
        chosen.out.mkdir(parents=True, exist_ok=True)
        render(chosen.out, chosen.frames, chosen.quality)


if __name__ == "__main__":
    main()
