"""Trains `vfi-lite` on a cache that data.py made: `python train.py CACHE RUN --minutes 50`.

RUN/checkpoint.pt is replaced every few hundred steps; started again with the same arguments, training goes on from there.
The learning rate follows the time spent, so that a run ends annealed however fast the machine was.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from data import Batch, Samples
from export import training_commit
from losses import total_loss
from model import VfiLite, resize

PEAK_RATE = 8e-4
LAST_RATE = 2e-6
WARM_UP_STEPS = 300
AVERAGE_DECAY = 0.999
SAVE_EVERY = 200
REAL, DRAWN = 3, 2
"""Samples in a batch: of clips, and drawn with known motion."""
HALF_PRECISION_UNTIL = 0.8
"""Share of the time in which convolutions may run in bfloat16."""
VIEWS = ((2, 256), (2, 256), (1, 144))
"""What a batch may be: (how much smaller the network sees the pictures, size of the pictures)."""


def rate(step: int, progress: float) -> float:
    """The learning rate after `step` steps, at a share `progress` (0..1) of the time given."""
    cosine = LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return cosine * min(1.0, (step + 1) / WARM_UP_STEPS)


class Training:
    """Network, averaged weights and optimiser, and how far they are."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.device = device
        self.file = folder / "checkpoint.pt"
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        self.network = VfiLite().to(device)
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
        self.step = 0
        self.seconds = 0.0
        self.commit = training_commit()
        if self.file.exists():
            state = torch.load(self.file, map_location=device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average = state["average"]
            self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Replaces the checkpoint; whoever reads it meanwhile sees the old or the new one, whole."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
            "commit": self.commit,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.file)

    def learn(self, batch: Batch, shrink: int, progress: float, bfloat16: bool = False) -> tuple[float, float]:
        """One step; the loss and the mean square error of the frames made."""
        batch = batch.to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.step, progress)
        seen = (resize(batch.img0, 1 / shrink), resize(batch.img1, 1 / shrink))
        with torch.autocast(self.device, torch.bfloat16, enabled=bfloat16 and progress < HALF_PRECISION_UNTIL):
            estimates = self.network.estimates(*seen, batch.moment)
        estimates = [(flow.float(), mask.float()) for flow, mask in estimates]
        loss, square = total_loss(estimates, batch, shrink, progress)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        return loss.item(), square.item()


def draw_batch(samples: Samples, step: int) -> tuple[Batch, int]:
    """The batch of a step and how much smaller the network sees it."""
    shrink, size = random.Random(step).choice(VIEWS)
    return samples.batch(step, REAL, DRAWN, size), shrink


def keep_memory() -> None:
    """Makes glibc keep what is freed: batches allocate the same large blocks over and over, and getting them from the
    system each time costs a quarter of the time on a CPU."""
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8
    libc = ctypes.CDLL(None)
    for option, value in ((trim_threshold, 2**31 - 1), (top_pad, 2**26), (mmap_max, 0), (arena_max, 1)):
        libc.mallopt(option, value)


def train(cache: Path, folder: Path, minutes: float, device: str = "cpu", bfloat16: bool = False) -> Training:
    """Trains until `minutes` have been spent, those before an interruption counted in."""
    training, samples = Training(folder, device), Samples(cache)
    loss_sum = square_sum = 0.0
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(draw_batch, samples, training.step)
        while training.seconds < minutes * 60:
            began = time.monotonic()
            batch, shrink = coming.result()
            coming = reader.submit(draw_batch, samples, training.step + 1)
            loss, square = training.learn(batch, shrink, training.seconds / (minutes * 60), bfloat16)
            loss_sum, square_sum = loss_sum + loss, square_sum + square
            training.seconds += time.monotonic() - began
            if training.step % SAVE_EVERY == 0:
                training.save()
                mean_loss, psnr = loss_sum / SAVE_EVERY, -10 * math.log10(square_sum / SAVE_EVERY)
                print(f"step {training.step} minute {training.seconds / 60:.1f} loss {mean_loss:.5f} {psnr:.2f} dB", flush=True)
                loss_sum = square_sum = 0.0
    training.save()
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has such arithmetic")
    arguments = parser.parse_args()
    keep_memory()
    torch.set_num_threads(arguments.threads)
    training = train(arguments.cache, arguments.run, arguments.minutes, arguments.device, arguments.bfloat16)
    print(f"{training.step} steps in {training.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
