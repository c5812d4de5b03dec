"""Trains `vfi-lite` or `vfi-base` on a cache that data.py made: `python train.py CACHE RUN --minutes 50`.

RUN/checkpoint.pt is replaced every few hundred steps; started again with the same arguments, training goes on from there.
The learning rate follows the time spent, so that a run ends annealed however fast the machine was. A GPU is used if there
is one; give it more to do at once with `--times`.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data import Batch, Samples
from export import learned as weights_of, training_commit
from losses import total_loss
from model import SIZES, Vfi, resize

PEAK_RATE = 8e-4
LAST_RATE = 2e-6
WARM_UP_STEPS = 300
AVERAGE_DECAY = 0.999
SAVE_EVERY = 200
PARTS = {"cpu": 2, "cuda": 1}
"""Parts of a step's batch, computed side by side: on a CPU far cheaper than sharing out each operation."""
VIEWS = ((2, 352, 1, 1), (2, 256, 2, 1), (1, 176, 2, 1))
"""Views that a part may be of: how much smaller the network sees the pictures, their size, and how many samples there are of
clips and how many drawn with known motion."""
HALF_PRECISION_UNTIL = 0.8
"""Share of the time in which convolutions may run in bfloat16."""
MOST_PARTS = 1 << 40
"""More than any run gets to."""


@dataclass
class Part(Dataset):
    """Samples that parts of steps learn from: part number n of a run is always the same, whoever makes it."""

    samples: Samples
    times: int
    """Number of times as many samples as `VIEWS` says a part has."""

    def __getitem__(self, number: int) -> tuple[int, Batch]:
        """Returns how much smaller the network is to see the pictures, and the pictures."""
        shrink, size, real, drawn = random.Random(number).choice(VIEWS)
        return shrink, self.samples.batch(number, real * self.times, drawn * self.times, size)

    def __len__(self) -> int:
        return MOST_PARTS

    def from_number(self, first: int, workers: int, pinned: bool) -> Iterator[tuple[int, Batch]]:
        """Parts in order, made ahead by `workers` processes."""
        numbers = range(first, MOST_PARTS)
        return iter(DataLoader(self, batch_size=None, sampler=numbers, num_workers=workers, pin_memory=pinned))


def rate(step: int, progress: float, peak: float) -> float:
    """The learning rate after `step` steps, at a share `progress` (0..1) of the time given."""
    cosine = LAST_RATE + (peak - LAST_RATE) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return cosine * min(1.0, (step + 1) / WARM_UP_STEPS)


class Training:
    """Network, averaged weights and optimiser, and how far they are."""

    def __init__(self, folder: Path, device: str = "cpu", size: str = "lite") -> None:
        self.device = device
        self.file = folder / "checkpoint.pt"
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        self.network = Vfi(size).to(device)
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

    def start_from(self, source: Path) -> None:
        """Takes over what another network, perhaps a smaller one, has learned, from a checkpoint or an exported file."""
        if source.suffix == ".onnx":
            learned = weights_of(source)
        else:
            learned = torch.load(source, map_location=self.device, weights_only=True)["average"]
        self.network.grow_from(learned)
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}

    def save(self) -> None:
        """Replaces the checkpoint; whoever reads it meanwhile sees the old or the new one, whole."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
            "commit": self.commit,
            "size": self.network.size,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.file)

    def gradients(self, shrink: int, batch: Batch, progress: float, bfloat16: bool) -> tuple[list[Tensor], Tensor]:
        """Returns what a part of a step gives: gradients, then its loss and the mean square error of its frames."""
        batch = batch.to(self.device)
        seen = (resize(batch.img0, 1 / shrink), resize(batch.img1, 1 / shrink))
        with torch.autocast(self.device, torch.bfloat16, enabled=bfloat16 and progress < HALF_PRECISION_UNTIL):
            estimates = self.network.estimates(*seen, batch.phase)
        estimates = [(flow.float(), mask.float()) for flow, mask in estimates]
        loss, square = total_loss(estimates, batch, shrink, progress)
        gradients = torch.autograd.grad(loss, list(self.network.parameters()))
        return list(gradients), torch.stack([loss.detach(), square])

    def learn(self, parts: list[list[Tensor]], progress: float, peak_rate: float) -> None:
        """One step along the mean of the parts' gradients."""
        for parameter, *gradients in zip(self.network.parameters(), *parts):
            parameter.grad = torch.stack(gradients).mean(0)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.step, progress, peak_rate)
        self.optimiser.step()
        self.step += 1
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)


def keep_memory() -> None:
    """Makes glibc keep what is freed: batches allocate the same large blocks over and over, and getting them from the
    system each time costs a quarter of the time on a CPU."""
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8
    libc = ctypes.CDLL(None)
    for option, value in ((trim_threshold, 2**31 - 1), (top_pad, 2**26), (mmap_max, 0), (arena_max, 1)):
        libc.mallopt(option, value)


def train(
    cache: Path,
    folder: Path,
    minutes: float,
    device: str = "cpu",
    bfloat16: bool = False,
    learned: Path | None = None,
    peak_rate: float = PEAK_RATE,
    size: str = "lite",
    times: int = 1,
    workers: int = 1,
) -> Training:
    """Trains until `minutes` have been spent, those before an interruption counted in. A new run begins with what the
    checkpoint or exported file `learned` holds, if one is given."""
    torch.set_num_threads(1)
    training, parts_a_step = Training(folder, device, size), PARTS[device]
    if learned and not training.step:
        training.start_from(learned)
    feed = Part(Samples(cache), times).from_number(training.step * parts_a_step, workers, device == "cuda")
    seen = torch.zeros(2, device=device)
    with ThreadPoolExecutor(parts_a_step, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        while training.seconds < minutes * 60:
            began = time.monotonic()
            progress = training.seconds / (minutes * 60)
            work = [pool.submit(training.gradients, *part, progress, bfloat16) for part in islice(feed, parts_a_step)]
            parts = [part.result() for part in work]
            training.learn([gradients for gradients, _ in parts], progress, peak_rate)
            seen += sum(figures for _, figures in parts) / parts_a_step
            training.seconds += time.monotonic() - began
            if training.step % SAVE_EVERY == 0:
                training.save()
                loss, square = (seen / SAVE_EVERY).tolist()
                minute, psnr = training.seconds / 60, -10 * math.log10(square)
                print(f"step {training.step} minute {minute:.1f} loss {loss:.5f} {psnr:.2f} dB", flush=True)
                seen.zero_()
    training.save()
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--from", dest="learned", type=Path, help="checkpoint or .onnx file whose weights a new run begins with")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--size", choices=SIZES, default="lite")
    parser.add_argument("--device", choices=PARTS, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--times", type=int, default=1, help="samples at once, as a multiple of those for a CPU")
    parser.add_argument("--workers", type=int, default=1, help="processes that make them ahead")
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has such arithmetic")
    arguments = parser.parse_args()
    keep_memory()
    training = train(
        arguments.cache,
        arguments.run,
        arguments.minutes,
        arguments.device,
        arguments.bfloat16,
        arguments.learned,
        arguments.rate,
        arguments.size,
        arguments.times,
        arguments.workers,
    )
    print(f"{training.step} steps in {training.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
