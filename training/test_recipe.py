"""The recipe end to end, on clips and pictures made here: `pytest test_recipe.py`, about two minutes."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import cv2
import numpy as np
import torch

from data import Batch, Samples, make_cache
from export import export, learned, verify
from losses import total_loss
from model import Vfi, levelled, warp_pair
from train import Training, keep_memory, train


def make_clips(folder: Path) -> None:
    """One moving clip, four still pictures of smooth noise and the manifest that names them."""
    (folder / "train").mkdir(parents=True)
    (folder / "still").mkdir()
    clip = "train/moving.mkv"
    source = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "mandelbrot=size=640x384:rate=25:end_scale=0.01:maxiter=100"]
    subprocess.run([*source, "-frames:v", "24", "-c:v", "ffv1", str(folder / clip)], check=True)
    rows = [{"path": clip, "width": "640", "height": "384", "fps": "25"}]
    rng = np.random.default_rng(0)
    for index in range(4):
        noise = cv2.resize(rng.integers(0, 256, (64, 64, 3), np.uint8), (512, 512), interpolation=cv2.INTER_CUBIC)
        path = f"still/noise{index}.png"
        cv2.imwrite(str(folder / path), noise)
        rows.append({"path": path})
    columns = ["path", "width", "height", "fps", "note", "licence as stated"]
    with open(folder / "manifest.csv", "w", newline="") as manifest:
        writer = csv.DictWriter(manifest, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def drawn_error(batch: Batch, flow: torch.Tensor) -> float:
    """Returns how far both pictures, warped by a flow on a grid of half the size, are from the wanted frame."""
    warped = warp_pair(torch.cat([batch.img0, batch.img1], 1), flow, 2)
    return float((warped - torch.cat([batch.wanted] * 2, 1)).abs().mean())


def loss_on(network: Vfi, batch: Batch) -> float:
    with torch.no_grad():
        return float(total_loss(network.estimates(batch.img0, batch.img1, batch.phase), batch, 1, 0.5)[0])


def test_recipe(tmp_path: Path) -> None:
    keep_memory()
    make_clips(tmp_path / "clips")
    make_cache(tmp_path / "clips", tmp_path / "cache", per_clip=8, drawn=24)
    batch = Samples(tmp_path / "cache").batch(0, 2, 6, 256)
    assert batch.wanted.shape == (8, 3, 256, 256) and batch.known == 6

    drawn = Batch(*(part[-6:] for part in (batch.img0, batch.wanted, batch.img1, batch.phase)), batch.flow)
    assert drawn_error(drawn, drawn.flow) < 0.5 * drawn_error(drawn, 0 * drawn.flow), "the drawn flow is wrong"

    before = loss_on(Training(tmp_path / "fresh").network, batch)
    train(tmp_path / "cache", tmp_path / "run", minutes=1)
    resumed = Training(tmp_path / "run")
    assert resumed.step > 0 and resumed.seconds >= 60
    network = Vfi()
    network.load_state_dict(resumed.average)
    assert loss_on(network, batch) < before - 0.02, "a minute of training changed nothing"

    export(network, tmp_path / "vfi-lite.onnx", "test")
    verify(network, tmp_path / "vfi-lite.onnx")
    known = learned(tmp_path / "vfi-lite.onnx")
    for name, value in network.state_dict().items():
        assert torch.equal(known[name], value), f"{name} is not in the file"


def test_a_larger_network_begins_with_what_the_one_it_grows_from_has_learned() -> None:
    torch.manual_seed(0)
    lite, base = Vfi(), Vfi("base")
    for parameter in lite.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    base.grow_from(lite.state_dict())
    pictures, phase = torch.rand(2, 1, 3, 64, 64), torch.full((1, 1, 1, 1), 0.4)
    # lite's third block is its last one, which does something more
    for mine, its in zip(base.estimates(*pictures, phase)[:2], lite.estimates(*pictures, phase)):
        for mine, its in zip(mine, its):
            assert torch.allclose(mine, its, atol=1e-4)


def test_a_change_of_light_is_no_motion() -> None:
    torch.manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16), size=(256, 256), mode="bilinear") * 0.8 + 0.1
    phase = torch.full((1, 1, 1, 1), 0.5)
    start, pair = Vfi().start, (picture, picture * 0.6)
    assert start(*pair, phase)[0][:, :4].abs().mean() > 5
    assert start(*levelled(*pair), phase)[0][:, :4].abs().mean() < 0.5
