"""Rebuilds every second frame of clips and prints the luma PSNR: `python evaluate.py MODEL CLIP...`.

The network sees the neighbours at a long side of 640 pixels at the most; its motion warps their full-size luma, as the
element does. Beside it stand blending the neighbours and repeating the earlier one. A clip's figure is the mean over
its frames. Left out are frames between equal neighbours, where there is nothing to interpolate, and frames at a cut.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

CUT = 0.2
"""Neighbours whose luma differs by more than this on average (of 1) are taken for different scenes."""


@dataclass
class Clip:
    """A clip's luma [frames,H,W] and the pictures a network sees of it, RGB [frames,h,w,3]."""

    luma: NDArray[np.uint8]
    seen: NDArray[np.uint8]

    @classmethod
    def read(cls, path: Path, long_side: int, most: int) -> Clip:
        """The first `most` frames of a file."""
        probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "json"]
        stream = json.loads(subprocess.run([*probe, str(path)], capture_output=True, check=True).stdout)["streams"][0]
        width, height = stream["width"], stream["height"]
        shrink = max(1.0, max(width, height) / long_side)
        small = round(width / shrink), round(height / shrink)
        luma = _decode(path, most, "extractplanes=y", "gray").reshape(-1, height, width)
        scale = f"scale={small[0]}:{small[1]}:flags=area+accurate_rnd+full_chroma_int:out_range=pc"
        return cls(luma, _decode(path, most, scale, "rgb24").reshape(-1, small[1], small[0], 3))


def _decode(path: Path, most: int, filters: str, layout: str) -> NDArray[np.uint8]:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", str(most), "-fps_mode", "passthrough"]
    command += ["-vf", filters, "-f", "rawvideo", "-pix_fmt", layout, "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)


class Interpolator:
    """An exported network and the full-size warp that goes with it."""

    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.align = int(self.session.get_modelmeta().custom_metadata_map["vfiinterp.align"])

    def motion(self, first: NDArray, second: NDArray, phase: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow [1,4,h/s,w/s] and mask [1,1,h/s,w/s] between pictures [h0,w0,3], whose right and lower edges are repeated
        to the size h x w that the network takes."""
        height, width = first.shape[:2]
        beyond = (0, -height % self.align), (0, -width % self.align), (0, 0)
        pictures = [np.pad(p, beyond, "edge").transpose(2, 0, 1)[None].astype(np.float32) / 255 for p in (first, second)]
        feeds = {"img0": pictures[0], "img1": pictures[1], "timestep": np.array([phase], np.float32)}
        flow, mask = self.session.run(["flow", "mask"], feeds)
        return torch.from_numpy(flow), torch.from_numpy(mask)

    def frame(self, clip: Clip, first: int, second: int, phase: float) -> NDArray[np.float32]:
        """The luma [H,W] between two frames of a clip, in 0..255."""
        flow, mask = self.motion(clip.seen[first], clip.seen[second], phase)
        planes = torch.from_numpy(clip.luma[[first, second]].astype(np.float32))[:, None]
        height, width = planes.shape[2:]
        small_height, small_width = clip.seen.shape[1:3]
        padded = small_height + -small_height % self.align, small_width + -small_width % self.align
        x = (torch.arange(width) * 2 + 1) / width
        y = (torch.arange(height) * 2 + 1) / height
        seen_x, seen_y = x * (small_width / padded[1]), y * (small_height / padded[0])
        cells = torch.stack(torch.broadcast_tensors(seen_x[None], seen_y[:, None]), -1)
        fine = F.grid_sample(torch.cat([flow, mask], 1), cells[None] - 1, padding_mode="border", align_corners=False)
        unit = torch.tensor([2 / small_width, 2 / small_height]).view(1, 2, 1, 1)
        offset = (fine[:, :4].reshape(2, 2, height, width) * unit).permute(0, 2, 3, 1)
        here = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), -1) - 1
        warped = F.grid_sample(planes, here + offset, padding_mode="border", align_corners=False)[:, 0]
        weight = fine[0, 4]
        return (warped[0] * weight + warped[1] * (1 - weight)).numpy()


def psnr(made: NDArray, wanted: NDArray) -> float:
    """dB, after rounding to whole values as a stored frame would be; at most 60."""
    square = np.square(np.rint(made) - wanted.astype(np.float32)).mean()
    return 60.0 if square < 0.065025 else 10 * math.log10(255**2 / square)


def evaluate(interpolator: Interpolator, clip: Clip) -> tuple[int, NDArray]:
    """Returns the number of frames rebuilt, and the mean PSNR of network, blend and repeat."""
    figures = []
    for middle in range(1, len(clip.luma) - 1, 2):
        first, wanted, second = clip.luma[middle - 1 : middle + 2]
        difference = np.abs(first.astype(np.int16) - second).mean() / 255
        if difference == 0 or difference > CUT:
            continue
        mean = (first.astype(np.float32) + second) / 2
        made = interpolator.frame(clip, middle - 1, middle + 1, 0.5)
        figures.append([psnr(made, wanted), psnr(mean, wanted), psnr(first, wanted)])
    return len(figures), np.mean(figures or [[math.nan] * 3], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--long-side", type=int, default=640, help="of the pictures the network sees, in pixels")
    parser.add_argument("--frames", type=int, default=101, help="read of each clip, at most")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    interpolator = Interpolator(arguments.model, arguments.threads)
    print(f"{'clip':28} {'frames':>6} {'network':>8} {'blend':>8} {'repeat':>8}")
    figures = []
    for path in arguments.clips:
        count, figure = evaluate(interpolator, Clip.read(path, arguments.long_side, arguments.frames))
        figures.append(figure)
        print(f"{path.stem:28} {count:6d} " + " ".join(f"{value:8.2f}" for value in figure), flush=True)
    print(f"{'mean':28} {'':6} " + " ".join(f"{value:8.2f}" for value in np.nanmean(figures, axis=0)))


if __name__ == "__main__":
    main()
