"""Training data: `python data.py CLIPS CACHE` makes the cache, `Samples` draws from it.

CLIPS holds `manifest.csv` with the clips' and pictures' licences and notes, `train/` and `still/`. The cache holds
`real.npy`, windows of consecutive frames cut from the clips, and `drawn*.npy`, phases drawn from still pictures with
known motion. Nothing is read from the clips that the evaluation uses.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]

RUN = 7
"""Consecutive frames in a window of a clip."""
WINDOW = 360
"""Height and width of a window of a clip, in pixels."""
DRAWN = 352
"""Height and width of a drawn picture, in pixels."""
LONG_SIDE = 1280
"""Larger clips are shrunk to this."""

REFUSED_NOTES = ("uneven", "cadence", "variable frame times", "advert")
REFUSED_LICENCES = ("GPL", "not stated", "BY-SA", "assumed")


def allowed(row: dict[str, str]) -> bool:
    """Returns whether a row of the manifest may be trained on: even motion and a licence that sets few conditions."""
    licence = row["licence as stated"]
    if licence.startswith(REFUSED_LICENCES[:2]) or any(word in licence for word in REFUSED_LICENCES[2:]):
        return False
    return not any(word in row["note"] for word in REFUSED_NOTES)


def decode(path: Path, most: int, width: int, height: int) -> Picture:
    """The first frames of a clip, `most` at the most, as RGB [frames,height,width,3]."""
    scale = f"scale={width}:{height}:flags=area:in_range=auto:out_range=pc"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", str(most), "-vf", scale, "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def windows(row: dict[str, str], clips: Path, wanted: int, rng: np.random.Generator) -> list[Picture]:
    """Up to `wanted` windows [RUN,WINDOW,WINDOW,3] of one clip in which something moves, and evenly; the more motion,
    the likelier. Faster clips than 40 frames a second are halved in rate first."""
    width, height = int(row["width"]), int(row["height"])
    if "rotation tag -90" in row["note"] or "rotation tag 90" in row["note"]:
        width, height = height, width
    shrink = max(1.0, max(width, height) / LONG_SIDE)
    width, height = round(width / shrink / 2) * 2, round(height / shrink / 2) * 2
    if min(width, height) < WINDOW:
        return []
    step = 2 if float(row["fps"]) > 40 else 1
    frames = decode(clips / row["path"], 300 * step, width, height)[::step]
    found, motion = [], []
    for _ in range(wanted * 4):
        first = rng.integers(0, len(frames) - RUN + 1)
        y, x = rng.integers(0, height - WINDOW + 1), rng.integers(0, width - WINDOW + 1)
        window = frames[first : first + RUN, y : y + WINDOW, x : x + WINDOW]
        small = window[:, ::2, ::2, 1].astype(np.int16)
        change = np.abs(small[1:] - small[:-1]).mean(axis=(1, 2))
        if change.min() > 0.25 and change.min() > 0.4 * change.max():
            found.append(window)
            motion.append(min(change.mean(), 12.0))
    if not found:
        return []
    chance = np.array(motion) / np.sum(motion)
    kept = rng.choice(len(found), min(wanted, (len(found) + 1) // 2), replace=False, p=chance)
    return [found[index] for index in kept]


def affine(shift: NDArray, angle: float, zoom: float) -> NDArray:
    """A 3x3 matrix that turns, zooms and then shifts, around the origin."""
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]])


@dataclass
class Layer:
    """A picture with transparency that moves at constant speed."""

    texture: Picture
    """[h,w,4]; the last channel is opacity. A layer with `edge` set repeats, mirrored, beyond its edges."""
    start: tuple[NDArray, float, float]
    """Its centre in the drawn picture in pixels, its angle and the logarithm of its zoom at phase 0."""
    change: tuple[NDArray, float, float]
    """Change of those until phase 1."""
    edge: bool = False

    def placement(self, phase: float) -> NDArray:
        """The 3x3 matrix from texture to drawn picture, in pixels."""
        shift, angle, zoom = (a + phase * b for a, b in zip(self.start, self.change))
        height, width = self.texture.shape[:2]
        centre = affine(np.array([-(width - 1) / 2, -(height - 1) / 2]), 0, 1)
        return affine(shift, angle, float(np.exp(zoom))) @ centre

    def render(self, phase: float, oversample: int) -> Picture:
        """[DRAWN*oversample,DRAWN*oversample,4]."""
        finer = affine(np.full(2, (oversample - 1) / 2), 0, oversample)
        return cv2.warpAffine(
            self.texture,
            (finer @ self.placement(phase))[:2],
            (DRAWN * oversample, DRAWN * oversample),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101 if self.edge else cv2.BORDER_CONSTANT,
        )


def draw(layers: list[Layer], phase: float) -> Picture:
    """Draws the layers, the last on top, as they look at a phase: [DRAWN,DRAWN,3]."""
    picture = np.zeros((DRAWN * 2, DRAWN * 2, 3), np.float32)
    for layer in layers:
        rendered = layer.render(phase, 2).astype(np.float32)
        picture += (rendered[..., :3] - picture) * (rendered[..., 3:] / 255)
    return cv2.resize(picture, (DRAWN, DRAWN), interpolation=cv2.INTER_AREA).round().astype(np.uint8)


def true_flow(layers: list[Layer], phase: float) -> NDArray[np.float16]:
    """The flow from a phase to 0 and to 1, of the topmost layer, in drawn pixels: [4,DRAWN/2,DRAWN/2]."""
    cells = (np.arange(DRAWN // 2) + 0.5) * 2 - 0.5
    points = np.stack([*np.meshgrid(cells, cells), np.ones((DRAWN // 2, DRAWN // 2))])
    flow = np.zeros((4, DRAWN // 2, DRAWN // 2))
    for layer in layers:
        opacity = cv2.resize(layer.render(phase, 1)[..., 3], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        back = np.linalg.inv(layer.placement(phase))
        there = [np.tensordot((layer.placement(end) @ back)[:2], points, 1) - points[:2] for end in (0.0, 1.0)]
        flow = np.where(opacity > 127, np.concatenate(there), flow)
    return flow.astype(np.float16)


def _cut(stills: list[Picture], rng: np.random.Generator, size: int) -> Picture:
    """A square of a random still picture, at a random scale: [size,size,3]."""
    still = stills[rng.integers(len(stills))]
    side = int(min(size * rng.uniform(0.7, 1.8), *still.shape[:2]))
    y, x = rng.integers(0, still.shape[0] - side + 1), rng.integers(0, still.shape[1] - side + 1)
    return cv2.resize(still[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)


def _shape(rng: np.random.Generator, size: int) -> Picture:
    """The opacity of a random thing: a blob, parallel bars, single thin lines, or text. [size,size]."""
    opacity = np.zeros((size, size), np.uint8)
    match rng.integers(4):
        case 0:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
            radius = size / 2 * rng.uniform(0.4, 1.0, len(angles))
            corners = size / 2 + np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
            cv2.fillPoly(opacity, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        case 1:
            thick, apart = rng.integers(2, 7), rng.integers(9, 36)
            for at in range(0, size, apart):
                cv2.line(opacity, (at, 0), (at, size), 255, int(thick))
        case 2:
            for _ in range(rng.integers(1, 5)):
                ends = rng.integers(0, size, (2, 2)).tolist()
                cv2.line(opacity, *ends, 255, int(rng.integers(1, 6)), cv2.LINE_AA)
        case _:
            for line in range(int(rng.integers(1, 5))):
                text = "".join(chr(c) for c in rng.integers(33, 127, rng.integers(3, 14)))
                font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
                at = (4, int(size * (0.2 + 0.2 * line)))
                cv2.putText(opacity, text, at, font, rng.uniform(0.4, 1.3), 255, int(rng.integers(1, 3)), cv2.LINE_AA)
    return opacity


def _motion(rng: np.random.Generator, most: float) -> tuple[NDArray, float, float]:
    """A random change per interval: up to `most` pixels, small ones as likely as large ones; some turning and zoom."""
    direction, length = rng.uniform(0, 2 * np.pi), most * rng.uniform(0, 1) ** 2
    turn = rng.normal(0, 0.06) if rng.random() < 0.4 else 0.0
    zoom = rng.normal(0, 0.05) if rng.random() < 0.4 else 0.0
    return np.array([np.cos(direction), np.sin(direction)]) * length, turn, zoom


def invent(stills: list[Picture], rng: np.random.Generator) -> list[Layer]:
    """A random scene: a moving background, up to three things moving over it, sometimes a picture-fixed overlay."""
    middle = np.full(2, (DRAWN - 1) / 2)
    camera = _motion(rng, 72.0)
    if rng.random() < 0.15:
        camera = np.zeros(2), 0.0, 0.0
    background = _cut(stills, rng, 448)
    opaque = np.full(background.shape[:2], 255, np.uint8)
    layers = [Layer(np.dstack([background, opaque]), (middle, rng.normal(0, 0.2), 0.0), camera, edge=True)]
    overlay = rng.random() < 0.2
    things = int(rng.integers(0, 4)) + overlay
    for index in range(things):
        size = int(rng.integers(48, 240))
        fill = _cut(stills, rng, size)
        if rng.random() < 0.4:
            fill = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), fill.shape)
        texture = np.dstack([fill, _shape(rng, size)])
        if overlay and index == things - 1:
            own: tuple[NDArray, float, float] = np.zeros(2), 0.0, 0.0
        else:
            shift, turn, zoom = _motion(rng, 48.0)
            own = camera[0] + shift, camera[1] + turn, camera[2] + zoom
        centre = rng.uniform(16, DRAWN - 16, 2) - own[0] / 2
        layers.append(Layer(texture, (centre, rng.normal(0, 0.5), 0.0), own))
    return layers


def make_cache(clips: Path, cache: Path, per_clip: int, drawn: int) -> None:
    """Writes the cache; the same arguments give the same cache."""
    rng = np.random.default_rng(0)
    cache.mkdir(parents=True, exist_ok=True)
    with open(clips / "manifest.csv", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if allowed(row)]
    real: list[Picture] = []
    for row in rows:
        if row["path"].startswith("train/"):
            found = windows(row, clips, per_clip // 3 if "/ui_" in row["path"] else per_clip, rng)
            print(f"{row['path']}: {len(found)} windows", flush=True)
            real.extend(window.copy() for window in found)
    if not real:
        raise ValueError(f"no clip of {clips} has a window of {WINDOW}x{WINDOW} pixels in which something moves, evenly")
    np.save(cache / "real.npy", np.stack(real))
    paths = [clips / row["path"] for row in rows if row["path"].startswith("still/")]
    stills = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    shape = (drawn, 3, DRAWN, DRAWN, 3)
    pictures = np.lib.format.open_memmap(cache / "drawn.npy", "w+", np.uint8, shape)
    flows = np.lib.format.open_memmap(cache / "drawn_flow.npy", "w+", np.float16, (drawn, 4, DRAWN // 2, DRAWN // 2))
    phases = rng.choice(np.array([0.5, 0.5, 0.25, 0.75, 1 / 3, 2 / 3, 0.125, 0.875], np.float32), drawn)
    for index in range(drawn):
        layers, phase = invent(stills, rng), float(phases[index])
        for slot, at in enumerate((0.0, phase, 1.0)):
            pictures[index, slot] = draw(layers, at)
        flows[index] = true_flow(layers, phase)
    np.save(cache / "drawn_moment.npy", phases)
    print(f"{len(real)} windows from clips, {drawn} drawn from {len(stills)} still pictures")


@dataclass
class Batch:
    """Picture 0, the wanted frame and picture 1 [B,3,S,S] in 0..1, the phase [B,1,1,1], and for the last `known`
    samples of the batch the true flow in pixels of these pictures [known,4,S/2,S/2]."""

    img0: Tensor
    wanted: Tensor
    img1: Tensor
    phase: Tensor
    flow: Tensor

    @property
    def known(self) -> int:
        return self.flow.shape[0]

    def to(self, device: str) -> Batch:
        """The same batch on a device."""
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def pin_memory(self) -> Batch:
        """The same batch where a GPU fetches it by itself."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))


def writing(rng: np.random.Generator, size: int) -> Picture:
    """Draws what stations and players put over pictures: lines of text with a rim or on a box, signs, bars. [size,size,4], the
    last channel its opacity."""
    colour = np.zeros((size, size, 3), np.uint8)
    opacity = np.zeros((size, size), np.uint8)
    light = tuple(int(value) for value in rng.choice([(255, 255, 255), (240, 240, 80), (20, 20, 20), tuple(rng.integers(0, 256, 3))]))
    dark = tuple(255 - value if sum(light) > 380 else 230 for value in light)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(value) for value in rng.integers(-size // 4, size * 3 // 4, 2))
        match rng.integers(6):
            case 0:
                bar = int(rng.integers(4, size // 4))
                colour[:bar], colour[-bar:] = 0, 0
                opacity[:bar], opacity[-bar:] = 255, 255
            case 1:
                corner = int(x + rng.integers(8, size // 2)), int(y + rng.integers(8, size // 4))
                cv2.rectangle(colour, (x, y), corner, light, -1)
                cv2.rectangle(opacity, (x, y), corner, int(rng.integers(100, 256)), -1)
            case _:
                text = "".join(chr(c) for c in rng.integers(33, 127, rng.integers(3, 24)))
                font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
                scale, thick = float(rng.uniform(0.4, 1.6)), int(rng.integers(1, 4))
                at = x, y % size
                if rng.random() < 0.6:
                    rim = thick + 2 * int(rng.integers(1, 3))
                    cv2.putText(colour, text, at, font, scale, dark, rim, cv2.LINE_AA)
                    cv2.putText(opacity, text, at, font, scale, 255, rim, cv2.LINE_AA)
                cv2.putText(colour, text, at, font, scale, light, thick, cv2.LINE_AA)
                cv2.putText(opacity, text, at, font, scale, 255, thick, cv2.LINE_AA)
    return np.dstack([colour, opacity])


class Samples:
    """Draws random batches from a cache; a batch depends only on the seed it is asked for with."""

    SPANS = (2, 2, 2, 2, 3, 4)
    """Frames between picture 0 and 1 of a real sample."""
    OVERLAID = 0.2
    """Share of the samples that have something over them that stands still."""
    FADED, NOISY = 0.15, 0.15
    """Shares of the samples whose light changes evenly, and whose outer pictures are noisy."""

    def __init__(self, cache: Path) -> None:
        self.real: Picture = np.load(cache / "real.npy", mmap_mode="r")
        self.drawn: Picture = np.load(cache / "drawn.npy", mmap_mode="r")
        self.flow = np.load(cache / "drawn_flow.npy", mmap_mode="r")
        self.phase = np.load(cache / "drawn_moment.npy")

    def _real(self, rng: random.Random, size: int) -> tuple[Picture, float]:
        """Three pictures [3,size,size,3] of a clip and the phase of the middle one."""
        window = self.real[rng.randrange(len(self.real))]
        span = rng.choice(self.SPANS)
        first = rng.randrange(RUN - span)
        middle = rng.randrange(1, span)
        y, x = rng.randrange(WINDOW - size + 1), rng.randrange(WINDOW - size + 1)
        return window[[first, first + middle, first + span], y : y + size, x : x + size], middle / span

    def _drawn(self, rng: random.Random, size: int) -> tuple[Picture, NDArray, float]:
        """Three drawn pictures, the flow [4,size/2,size/2] and the phase of the middle one."""
        index = rng.randrange(len(self.drawn))
        y, x = (rng.randrange((DRAWN - size) // 2 + 1) for _ in range(2))
        pictures = self.drawn[index, :, 2 * y : 2 * y + size, 2 * x : 2 * x + size]
        flow = self.flow[index, :, y : y + size // 2, x : x + size // 2].astype(np.float32)
        return pictures, flow, float(self.phase[index])

    def batch(self, seed: int, real: int, drawn: int, size: int) -> Batch:
        """`real` samples of clips followed by `drawn` ones, all mirrored, turned, reversed in time and changed in colour
        at random."""
        rng = random.Random(seed)
        pictures, phases, flows = [], [], []
        for index in range(real + drawn):
            flow = None
            if index < real:
                three, phase = self._real(rng, size)
            else:
                three, flow, phase = self._drawn(rng, size)
            if rng.random() < self.OVERLAID:
                three, flow = _overlaid(three, flow, np.random.default_rng(rng.getrandbits(32)))
            if rng.random() < 0.5:
                three, phase = three[::-1], 1 - phase
                flow = None if flow is None else flow[[2, 3, 0, 1]]
            if rng.random() < 0.5:
                three = three[:, :, ::-1]
                flow = None if flow is None else flow[:, :, ::-1] * _signs(-1, 1)
            if rng.random() < 0.5:
                three = three[:, ::-1]
                flow = None if flow is None else flow[:, ::-1] * _signs(1, -1)
            if rng.random() < 0.5:
                three = three.transpose(0, 2, 1, 3)
                flow = None if flow is None else flow.transpose(0, 2, 1)[[1, 0, 3, 2]]
            three = three[..., rng.sample(range(3), 3)]
            if rng.random() < self.FADED:
                three = _faded(three, phase, rng)
            if rng.random() < self.NOISY:
                three = _noisy(three, np.random.default_rng(rng.getrandbits(32)))
            pictures.append(np.ascontiguousarray(three.transpose(0, 3, 1, 2)))
            phases.append(phase)
            if flow is not None:
                flows.append(np.ascontiguousarray(flow))
        stacked = torch.from_numpy(np.stack(pictures)).float() / 255
        known = torch.from_numpy(np.stack(flows)) if flows else torch.zeros(0, 4, size // 2, size // 2)
        phase_plane = torch.tensor(phases, dtype=torch.float32).view(-1, 1, 1, 1)
        return Batch(stacked[:, 0], stacked[:, 1], stacked[:, 2], phase_plane, known)


def _overlaid(three: Picture, flow: NDArray | None, rng: np.random.Generator) -> tuple[Picture, NDArray | None]:
    """Pictures [3,size,size,3] with the same thing over all of them, and their flow [4,size/2,size/2] at rest there."""
    size = three.shape[1]
    over = writing(rng, size)
    opacity = over[..., 3:].astype(np.float32) / 255
    three = (three + (over[..., :3] - three.astype(np.float32)) * opacity).round().astype(np.uint8)
    if flow is not None:
        seen = cv2.resize(opacity[..., 0], (size // 2, size // 2), interpolation=cv2.INTER_AREA)
        flow = np.where(seen > 0.5, 0.0, flow).astype(np.float32)
    return three, flow


def _levels(values: NDArray) -> Picture:
    return values.clip(0, 255).round().astype(np.uint8)


def _faded(three: Picture, phase: float, rng: random.Random) -> Picture:
    """Pictures [3,size,size,3] at 0, `phase` and 1 in a light that changes evenly."""
    first = rng.uniform(0.4, 1.1)
    change = first * (math.exp(rng.gauss(0, 0.2)) - 1)
    light = [first + change * at for at in (0.0, phase, 1.0)]
    return _levels(three * np.array(light, np.float32).reshape(3, 1, 1, 1))


def _noisy(three: Picture, rng: np.random.Generator) -> Picture:
    """Pictures [3,size,size,3] with noise of up to some six levels on the first and the last; nobody could tell what
    noise there is between."""
    noise = rng.normal(0, rng.uniform(0.5, 6.0), three.shape).astype(np.float32)
    noise[1] = 0
    return _levels(three + noise)


def _signs(x: int, y: int) -> NDArray[np.float32]:
    return np.array([x, y, x, y], np.float32).reshape(4, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--per-clip", type=int, default=72, help="windows cut from each clip, at most")
    parser.add_argument("--drawn", type=int, default=4000, help="samples drawn with known motion")
    arguments = parser.parse_args()
    make_cache(arguments.clips, arguments.cache, arguments.per_clip, arguments.drawn)


if __name__ == "__main__":
    main()
